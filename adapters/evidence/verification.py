"""
Everything computed anew from the stored events, in one pass and constant memory, and compared.

What is compared with what: each event with its recorded leaf, the tree at the size of each signed
head with that head, the heads with their signatures, each event with what its own row says of it,
each stream with its numbers, the last position with the last that was ever given. It ends at the
first thing that is wrong; adapters/evidence/naming.py says what became of it.
"""

import base64
import sqlite3
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from eventsourcing.persistence import JSONTranscoder, StoredEvent

from adapters.evidence.heads import BadHead, TreeHead, check_signature, read_head
from adapters.evidence.leaf import leaf_hashes
from adapters.evidence.logs import Logs
from adapters.evidence.merkle import Frontier
from adapters.evidence.naming import Disagreement, Problem, ProblemFound, name_it
from adapters.evidence.outside import OrderedHeads
from adapters.store.mapper import EventMapper, UnreadableEvent
from adapters.store.snapshot import Leaf, Row, Snapshot

NO_HASH = b""
MAPPER = EventMapper(JSONTranscoder())


@dataclass
class Verification:
    """What was computed, as far as it got, and the first thing that is wrong."""

    tree_size: int = 0
    """Events that were computed anew."""
    position: int = 0
    root_hash: str = ""
    """What they come to, base64."""
    covered: int = 0
    """How many of them the newest head of the store covers."""
    heads: int = 0
    """Heads in the store that agree."""
    outside: int = 0
    """Heads from outside that agree."""
    newest_outside: TreeHead | None = None
    """The largest of them."""
    foreign: int = 0
    """Heads from outside that are of another log."""
    not_here: int = 0
    """Events that an earlier log of this store had beyond what was put back of it."""
    problem: Problem | None = None


class Verifier:
    """
    One verification of one snapshot.

    Args:
        keys: Public keys by their names; a head of another one is not believed.
        outside: Heads that were kept outside the store.
        on_portion: Told after each portion how many events have been looked at; may raise.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        keys: Mapping[str, Ed25519PublicKey],
        outside: OrderedHeads | None = None,
        on_portion: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._snapshot = snapshot
        self._keys = keys
        self._logs = Logs.of(snapshot)
        self._on_portion = on_portion
        self._frontier = Frontier()
        self._agreed: TreeHead | None = None
        self._stored = _StoredHeads(snapshot)
        self._outside = OrderedHeads(iter(())) if outside is None else outside
        self._stranger: TreeHead | None = None
        self.found = Verification()

    def run(self) -> Verification:
        """
        Until the end, or the first thing that is wrong.

        Raises:
            Whatever `on_portion` raises.
        """
        try:
            self._run()
        except ProblemFound as wrong:
            self.found.problem = self._damage() if wrong.problem.has_no_place else None
            self.found.problem = self.found.problem or wrong.problem
        except sqlite3.Error as error:
            self.found.problem = Problem(
                "database", f"the file of the store is damaged: SQLite cannot read on ({error})",
                position=self.found.position + 1,
            )  # fmt: skip
        self.found.tree_size = self._frontier.size
        self.found.root_hash = base64.b64encode(self._frontier.root()).decode()
        return self.found

    def _run(self) -> None:
        leaves: Iterator[list[Leaf]] = self._snapshot.leaves()
        for rows in self._snapshot.events():
            self._compare(rows, next(leaves, []))
            self._on_portion(self._frontier.size)
        if beyond := next(leaves, []):
            raise self._disagreement(None, beyond[0])
        self._check_end()

    def _compare(self, rows: list[Row], recorded: list[Leaf]) -> None:
        """A portion of events and the leaves that have the same indexes."""
        first, hashes = self._frontier.size, _hashes(rows)
        ours = [(first + n, row[0], hashes[n]) for n, row in enumerate(rows)]
        common = min(len(ours), len(recorded))
        if ours[:common] == recorded[:common] and len(recorded) <= len(rows):
            if not recorded or len(recorded) == len(rows):
                self._take(rows, hashes)
            else:
                self._take(rows[:common], hashes[:common])
                self._take(rows[common:], hashes[common:])
            return
        pairs = zip(ours, recorded, strict=False)
        wrong = next((n for n, (one, leaf) in enumerate(pairs) if one != leaf), common)
        self._take(rows[:wrong], hashes[:wrong])
        raise self._disagreement(
            rows[wrong] if wrong < len(rows) else None,
            recorded[wrong] if wrong < len(recorded) else None,
        )

    def _disagreement(self, row: Row | None, leaf: Leaf | None) -> ProblemFound:
        found = Disagreement(
            self._snapshot, self._frontier, row, leaf, self._later_heads(), self._agreed
        )
        return ProblemFound(name_it(found))

    def _take(self, rows: list[Row], hashes: list[bytes]) -> None:
        """Events that agree with their leaves, up to the heads in between."""
        base, begun = self._frontier.size, 0
        while (size := self._next_size()) is not None and size <= base + len(rows):
            if size <= self._frontier.size:
                raise ProblemFound(Problem("head", f"a head of size {size} was added"))
            self._extend(rows[begun : size - base], hashes[begun : size - base])
            begun = size - base
            self._check_heads(size)
        self._extend(rows[begun:], hashes[begun:])

    def _extend(self, rows: list[Row], hashes: list[bytes]) -> None:
        for row in rows:
            _check_readable(row)
        if rows:
            self._frontier.extend(hashes)
            self.found.position = rows[-1][0]

    def _next_size(self) -> int | None:
        sizes = (self._stored.size, self._outside.size)
        return min((size for size in sizes if size is not None), default=None)

    def _check_heads(self, size: int) -> None:
        """Every head of exactly the size that has been reached."""
        if self._stored.size == size:
            head = self._believed(self._stored.text, size)
            self._check_root(head, "the store's head")
            self.found.heads, self.found.covered, self._agreed = self.found.heads + 1, size, head
            self._stored.advance()
        while (head_outside := self._outside.head) is not None and self._outside.size == size:
            self._outside.advance()
            if self._is_to_agree(head_outside):
                self._check_outside(head_outside)

    def _check_outside(self, head: TreeHead) -> None:
        self._check_signed(head)
        self._check_root(head, "the head from outside")
        self._agreed = self.found.newest_outside = head
        self.found.outside += 1

    def _check_signed(self, head: TreeHead) -> None:
        if head == self._agreed:  # the same as the store's, whose signature was looked at
            return
        try:
            check_signature(head, self._keys)
        except BadHead as error:
            what = f"the head of size {head.tree_size} from outside: {error}"
            raise ProblemFound(Problem("head", what)) from None

    def _believed(self, text: bytes, size: int) -> TreeHead:
        """A head of the store: exactly as it was written, of a log of this store, and signed."""
        try:
            head = read_head(text)
            if head.text().encode() != text or head.tree_size != size:
                raise BadHead("it is not as it was written")
            if not self._logs.knows(head):
                raise BadHead("it is of another log")
            check_signature(head, self._keys)
        except BadHead as error:
            raise ProblemFound(
                Problem("head", f"the recorded head of size {size} was altered: {error}")
            ) from None
        return head

    def _check_root(self, head: TreeHead, whose: str) -> None:
        if head.root == self._frontier.root() and head.position == self.found.position:
            return
        raise ProblemFound(
            Problem.between_heads(self._snapshot, self._agreed, head, self.found.position, whose)
        )

    def _later_heads(self) -> Iterator[TreeHead]:
        """Signed heads of sizes that have not been reached, in order; to say who is right."""
        while (size := self._next_size()) is not None:
            if (candidate := self._outside.head) is not None and candidate.tree_size == size:
                self._outside.advance()
            else:
                candidate = _readable(self._stored.text)
                self._stored.advance()
            if candidate is None or not self._logs.covers(candidate):
                continue
            with suppress(BadHead):
                check_signature(candidate, self._keys)
                yield candidate

    def _is_to_agree(self, head: TreeHead) -> bool:
        """
        Whether a head from outside is about what this store holds: not if it is of another log, or
        of an earlier one and larger than what was put back of it, which is a loss.
        """
        if not self._logs.knows(head):
            self.found.foreign += 1
            if self._stranger is None and self._is_signed(head):
                self._stranger = head
            return False
        if self._logs.is_beyond(head):
            self.found.not_here = max(self.found.not_here, self._logs.lost(head))
            return False
        return True

    def _is_signed(self, head: TreeHead) -> bool:
        try:
            check_signature(head, self._keys)
        except BadHead:
            return False
        return True

    def _check_stranger(self) -> None:
        """
        A head that our key signed, of a log that this store does not know: its name was altered,
        so that what was kept outside would be left aside. Or a copy was put back twice, and the
        head is of the time between: then the store says so, and older heads agree.
        """
        if (head := self._stranger) is None:
            return
        if self.found.outside and self._logs.were_put_back:
            return
        what = (
            f"a head from outside, of size {head.tree_size}, signed {head.timestamp}, is signed by "
            "a key of this store, and of a log that it does not know: the name of its log was "
            "altered, or this is another copy of the store that the head is of"
        )
        raise ProblemFound(Problem("head", what))

    def _check_end(self) -> None:
        found, size = self.found, self._frontier.size
        if self._stored.size is not None:
            head = self._believed(self._stored.text, self._stored.size)
            raise ProblemFound(Problem.tail(found.position, size, head, "the store's newest head"))
        largest: TreeHead | None = None
        while (head_outside := self._outside.head) is not None:
            self._outside.advance()
            if self._is_to_agree(head_outside):
                self._check_signed(head_outside)
                largest = head_outside
        if largest is not None:
            raise ProblemFound(Problem.tail(found.position, size, largest, "a head from outside"))
        self._check_stranger()
        given = self._snapshot.last_given()
        if given is not None and given > found.position:
            raise ProblemFound(Problem.tail_by_position(found.position, given))
        if given != found.position:
            shown = "no one number" if given is None else given
            raise ProblemFound(
                Problem("database", f"the last position given is recorded as {shown}, not as "
                        f"{found.position}: the memory of removed rows was altered")
            )  # fmt: skip
        if (leaves := self._snapshot.leaf_count()) != found.covered:
            raise ProblemFound(
                Problem("leaf", f"{leaves} leaves are recorded, and the newest head of the store "
                        f"covers {found.covered}: leaves or heads were removed")
            )  # fmt: skip
        if (gap := self._snapshot.first_gap()) is not None:
            raise ProblemFound(Problem.gap(gap))
        if (damaged := self._damage()) is not None:
            raise ProblemFound(damaged)

    def _damage(self) -> Problem | None:
        """What may be the cause of everything else: an index that hides what is there, say."""
        if (damage := self._snapshot.damage()) is not None:
            return Problem("database", f"SQLite finds its file damaged: {damage}")
        if (mistyped := self._snapshot.mistyped()) is not None:
            return Problem.mistyped(self._snapshot, *mistyped)
        if (trigger := self._snapshot.foreign_trigger()) is not None:
            what = f"the trigger {trigger} is not one of this program: it may keep events from it"
            return Problem("database", what)
        return None


class _StoredHeads:
    """The heads of the store, one after the other."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._heads = snapshot.heads(above=-(2**63))
        self.size: int | None = None
        self.text = b""
        self.advance()

    def advance(self) -> None:
        self.size, self.text = next(self._heads, (None, b""))


def _readable(text: bytes) -> TreeHead | None:
    try:
        return read_head(text)
    except BadHead:
        return None


def _hashes(rows: list[Row]) -> list[bytes]:
    """Of a row whose numbers are none the hash is none, too."""
    try:
        return leaf_hashes(rows)
    except (struct.error, TypeError):
        return [_hash(row) for row in rows]


def _hash(row: Row) -> bytes:
    try:
        return leaf_hashes([row])[0]
    except (struct.error, TypeError):
        return NO_HASH


def _check_readable(row: Row) -> None:
    """That the program can load it, and that it says of itself what its row says of it."""
    _, stream, version, topic, state = row
    try:
        MAPPER.to_domain_event(StoredEvent(stream.decode(), version, topic.decode(), state))
    except (UnreadableEvent, UnicodeDecodeError, AttributeError) as error:
        raise ProblemFound(Problem.of_row("unreadable", row, f"cannot be read: {error}")) from None
