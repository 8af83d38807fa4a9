"""What is known of the tree over the events: its newest head, and when it was last verified."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

import structlog
from eventsourcing.domain import EventSourcingError

from adapters.evidence.heads import BadHead, TreeHead, read_head
from adapters.store.event_store import EventStore
from domain.audit import Audit
from web.reading import Reading

LOOK_EVERY_S = 0.5

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LastVerification:
    """The newest record that everything was computed anew."""

    at: datetime
    by: str
    tree_size: int
    problem: str | None


@dataclass(frozen=True, slots=True)
class TreeState:
    """The newest signed head, and the last verification if there was one."""

    tree_size: int
    position: int
    root_hash: str
    signed_at: datetime
    key_id: str
    verified: LastVerification | None


async def tree_state(reading: Reading) -> TreeState | None:
    """
    As it is in the database now; None before the first head.

    Raises:
        BadHead: What stands there as the newest head is none.
    """
    return await reading.of_store(_tree_state)


def last_verification(store: EventStore) -> LastVerification | None:
    """By whomever: the newest event `audit.verified`."""
    found = store.newest_verification()
    if not isinstance(found, Audit.Verified):
        return None
    return LastVerification(found.timestamp, found.by, found.tree_size, found.problem)


def _newest_head(store: EventStore) -> str | None:
    return store.recorder.tree.newest_head()


def _tree_state(store: EventStore) -> TreeState | None:
    text = _newest_head(store)
    if text is None:
        return None
    head = read_head(text)
    return TreeState(
        head.tree_size,
        head.position,
        head.root_hash,
        datetime.fromisoformat(head.timestamp),
        head.key_id,
        last_verification(store),
    )


class NewestHead:
    """
    The newest head, in memory for whoever is asked for it many times a second.

    Whoever signs one puts it in; in other processes it is read soon after events came.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self.head: TreeHead | None = None
        self.json = b"null"

    def take(self, head: TreeHead) -> None:
        """A head that was signed and stored; an older one changes nothing."""
        if self.head is None or head.tree_size > self.head.tree_size:
            self.json = head.text().encode()
            self.head = head

    async def follow(self) -> None:
        """Look for a newer one twice a second while there are events that it does not cover."""
        while True:
            await self._look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self) -> None:
        covered = 0 if self.head is None else self.head.position
        if self._reading.progress.position <= covered:
            return
        try:
            if (text := await self._reading.of_store(_newest_head)) is not None:
                self.take(read_head(text))
        except (EventSourcingError, BadHead) as error:
            log.error("the newest tree head cannot be read", why=str(error))
