"""Tree heads while the service runs: one a second at most, and one at its end."""

import asyncio
import time
from collections.abc import Callable

import structlog
from eventsourcing.domain import EventSourcingError
from eventsourcing.persistence import IntegrityError

from adapters.evidence.growing import Grower, TreeDamaged
from adapters.evidence.heads import BadHead, TreeHead
from adapters.evidence.keys import BadKey
from adapters.store.lease import FileLease
from web.vault import WrongSecretKey

LOOK_EVERY_S = 1.0
# Of a store that has no tree yet; the rest is covered after the next start.
FINISH_WITHIN_S = 5.0
CANNOT = (EventSourcingError, TreeDamaged, BadHead, BadKey, WrongSecretKey)

log = structlog.get_logger()


class TreeKeeper:
    """
    Has the tree grow after the events.

    Args:
        on_head: Told in the event loop of each head that was signed.
    """

    def __init__(self, grower: Grower, on_head: Callable[[TreeHead], None]) -> None:
        self._grower = grower
        self._on_head = on_head
        self.problem: str | None = None
        """Why events are not covered at present; the next try may mend it."""
        self._not_filed: str | None = None

    @property
    def file_problem(self) -> str | None:
        """Why heads wait to be filed outside."""
        return self._grower.file_problem or self._not_filed

    async def run(self) -> None:
        """Once a second, for ever; and at once again while there is more than one portion."""
        while True:
            is_more = await self.look()
            await asyncio.sleep(0 if is_more else LOOK_EVERY_S)

    async def look(self) -> bool:
        """Cover what is new; True if there may be more."""
        head = await asyncio.to_thread(self._grow)
        if head is not None:
            self._on_head(head)
        await asyncio.to_thread(self._file_heads)
        return head is not None and await asyncio.to_thread(self._is_behind)

    def finish(self, lease: FileLease) -> None:
        """
        After the last event of this process: cover everything. Another process that holds the lease
        does it itself.
        """
        try:
            if lease.try_take():
                until = time.monotonic() + FINISH_WITHIN_S
                while self._grow() is not None and time.monotonic() < until:
                    pass
                self._file_heads()
        except OSError as error:
            log.error("the last events are not covered by a tree head", why=str(error))
        finally:
            self._grower.store.close()

    def _grow(self) -> TreeHead | None:
        try:
            head = self._grower.grow()
        except IntegrityError as error:
            log.warning("another process has grown the tree", why=str(error))
            return None
        except CANNOT as error:
            self._failed(str(error))
            return None
        except Exception as error:
            log.exception("growing the tree crashed")
            self.problem = f"it crashed: {error}"
            return None
        if self.problem is not None:
            log.warning("events are covered by tree heads again")
        self.problem = None
        return head

    def _file_heads(self) -> None:
        """What fails now is filed later: the heads are in the database."""
        try:
            self._grower.file_heads()
        except Exception as error:
            if self._not_filed is None:
                log.exception("tree heads cannot be filed outside")
            self._not_filed = str(error)
        else:
            self._not_filed = None

    def _is_behind(self) -> bool:
        try:
            return self._grower.is_behind()
        except CANNOT:
            return False

    def _failed(self, why: str) -> None:
        """Said once; what it is at present stands in the metrics."""
        if self.problem != why:
            log.error("events are not covered by a tree head", why=why)
        self.problem = why
