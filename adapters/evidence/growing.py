"""The tree grows: events become leaves, and each portion of them ends in a signed head."""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eventsourcing.persistence import Notification

from adapters.evidence.head_file import append_heads, last_size
from adapters.evidence.heads import TreeHead, check_signature, read_head, signed
from adapters.evidence.keys import public_keys
from adapters.evidence.leaf import StoredRow, leaf_hashes
from adapters.evidence.merkle import Frontier
from adapters.store.event_store import EventStore
from adapters.store.tree import Tree
from domain.installation import STREAM, Installation, SecretKind

# Events in one transaction: few enough that whoever else writes waits for milliseconds.
AT_ONCE = 2000
HEADS_AT_ONCE = 1000

SigningKey = Callable[[], tuple[str, Ed25519PrivateKey]]
"""Name and key of the moment; raises where it cannot be had, and then nothing is signed."""

log = structlog.get_logger()


class TreeDamaged(Exception):
    """The recorded leaves do not give the newest head: no head may be signed upon them."""


class Grower:
    """
    Takes events into the tree, one portion after the other; for one thread at a time.

    Nothing is kept in memory between portions that is not also in the database, so it may be
    killed at any moment, and two of them on one store are slow and no harm.

    Args:
        store: With connections of its own.
        file: Outside the database; each head is added to it, sooner or later.
    """

    def __init__(
        self,
        store: EventStore,
        log_id: str,
        signing_key: SigningKey,
        clock: Callable[[], datetime],
        file: Path | None = None,
    ) -> None:
        self.store = store
        self.log_id = log_id
        self._signing_key = signing_key
        self._clock = clock
        self._file = file
        self._filed: int | None = None
        self._trusted: str | None = None
        """The text of a head whose signature was looked at."""
        self._turn = threading.Lock()
        self.file_problem: str | None = None
        """Why heads wait to be added to the file; None: all of them stand there."""

    @property
    def _tree(self) -> Tree:
        return self.store.recorder.tree

    def is_behind(self) -> bool:
        """Whether there are events that no head covers."""
        head = self._tree.newest_head()
        return self.store.last_position() > (read_head(head).position if head else 0)

    def grow(self) -> TreeHead | None:
        """
        Cover the next events with a head; None where there were none.

        Raises:
            TreeDamaged, BadHead
            IntegrityError: Another process did it at the same moment; again, then.
            EventSourcingError: The database does not take it.
        """
        with self._turn:
            frontier, position = self._standing()
            events = self.store.read_after(position, AT_ONCE)
            if not events:
                return None
            first = frontier.size
            leaves = leaf_hashes(map(_row, events))
            frontier.extend(leaves)
            head = self._signed(frontier, events[-1].id)
            numbered = [(event.id, leaf) for event, leaf in zip(events, leaves, strict=True)]
            self._tree.grow(first, numbered, head.text(), frontier.roots())
            return head

    def file_heads(self) -> None:
        """Add to the file what it does not have yet, in order; a failure is told once, and kept."""
        if self._file is None:
            return
        with self._turn:
            try:
                self._file_heads(self._file)
            except OSError as error:
                why = f"{self._file}: {error.strerror or error}"
                if self.file_problem != why:
                    log.error("tree heads cannot be added to the file outside", why=why)
                self.file_problem, self._filed = why, None
                return
            if self.file_problem is not None:
                log.warning("tree heads are added to the file outside again")
            self.file_problem = None

    def _file_heads(self, file: Path) -> None:
        if self._filed is None:
            self._filed = last_size(file, self.log_id)
        while heads := self._tree.heads_after(self._filed, HEADS_AT_ONCE):
            append_heads(file, [head for _, head in heads])
            self._filed = heads[-1][0]

    def _signed(self, frontier: Frontier, position: int) -> TreeHead:
        key_id, key = self._signing_key()
        at = self._clock().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        root = frontier.root()
        return signed(TreeHead.of(self.log_id, frontier.size, position, at, root, key_id), key)

    def _standing(self) -> tuple[Frontier, int]:
        """What to append to, and the last position in it; the newest head has to say the same."""
        kept = self._tree.standing()
        if kept.head is None:
            return Frontier(), 0
        head = self._trusted_head(kept.head)
        if kept.tree_size == head.tree_size:
            with suppress(ValueError):
                frontier = Frontier(kept.tree_size, kept.roots)
                if frontier.root() == head.root:
                    return frontier, head.position
        frontier = self._of_leaves(head.tree_size)
        if frontier.root() != head.root:
            raise TreeDamaged("the recorded leaves do not give the newest head: see audit verify")
        return frontier, head.position

    def _trusted_head(self, text: str) -> TreeHead:
        """Signed by a key of this store: what is signed upon it vouches for all that it covers."""
        head = read_head(text)
        if text != self._trusted:
            installation = self.store.load(Installation, STREAM)
            made = installation.made(SecretKind.TREE_KEY) if installation else []
            check_signature(head, public_keys(one.public for one in made))
            self._trusted = text
        return head

    def _of_leaves(self, size: int) -> Frontier:
        """Computed anew from all of them."""
        frontier = Frontier()
        while leaves := self._tree.leaf_hashes(frontier.size, min(AT_ONCE, size - frontier.size)):
            frontier.extend([leaf for _, leaf in leaves])
        return frontier


def _row(stored: Notification) -> StoredRow:
    return StoredRow(
        stored.id,
        str(stored.originator_id).encode(),
        stored.originator_version,
        stored.topic.encode(),
        stored.state,
    )
