"""
What became of an event that is not as it was recorded: changed, removed, inserted or moved.

The recorded leaves say what stood where, and a signed head says whether the leaves are to be
believed. Looked for in all of the store, in constant memory, once something is wrong.
"""

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from adapters.evidence.heads import TreeHead
from adapters.evidence.leaf import leaf_hashes
from adapters.evidence.merkle import Frontier
from adapters.store.snapshot import Gap, Leaf, Row, Snapshot


@dataclass(frozen=True, slots=True)
class Problem:
    """The first thing that is wrong, for a program and in a sentence."""

    kind: str
    """`changed`, `removed`, `inserted`, `moved`; `leaf`: the record of it; `altered`: it and the
    record of it; `unreadable`, `head`, `stream`, `database`."""
    sentence: str
    position: int | None = None
    stream: str | None = None
    version: int | None = None
    other_position: int | None = None
    """Where it stood, or stands, if it was moved."""
    between: tuple[int, int] | None = None
    """The sizes of two heads: the first still agrees, the second does not any more."""

    @property
    def has_no_place(self) -> bool:
        """Whether no event is named as what was altered."""
        return self.kind in ("head", "stream", "leaf", "unreadable")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of_row(cls, kind: str, row: Row, what: str, other: int | None = None) -> "Problem":
        position, stream = row[0], shown(row[1])
        sentence = f"the event at position {position}, version {shown(row[2])} of {stream}, {what}"
        return cls(kind, sentence, position, stream, _number(row[2]), other)

    @classmethod
    def mistyped(cls, snapshot: Snapshot, table: str, number: int) -> "Problem":
        """The bytes are those that were recorded, and SQLite takes them for something else."""
        what = "was altered: a text of it is stored as bytes, or bytes as a text"
        if table == "stored_events":
            return cls.of_row("changed", next(snapshot.events(number))[0], what)
        return cls("leaf" if table == "tree_leaves" else "head", f"row {number} of {table} {what}")

    @classmethod
    def removed(cls, snapshot: Snapshot, leaf: Leaf, now: str = "") -> "Problem":
        """What stood at the position of a leaf is nowhere any more."""
        position = leaf[1]
        gap = snapshot.first_gap(position - 1, position + 1)
        whose = "it was the last of its stream, so its name went with it"
        if gap is not None:
            whose = f"version {gap.version} of {gap.stream} is missing"
        return cls(
            "removed",
            f"the event at position {position} was removed{now}: {whose}",
            position,
            gap.stream if gap else None,
            gap.version if gap else None,
        )

    @classmethod
    def between_heads(
        cls, snapshot: Snapshot, agreed: TreeHead | None, head: TreeHead, at: int, whose: str
    ) -> "Problem":
        """Events and their leaves were altered alike, so that only a head tells."""
        size, since = (agreed.tree_size, agreed.position) if agreed else (0, 0)
        signed = f"signed {agreed.timestamp}" if agreed else "where the store begins"
        gap = snapshot.first_gap(since, at)
        more = f"; version {gap.version} of {gap.stream} is not where it should be" if gap else ""
        return cls(
            "altered",
            f"an event between positions {since + 1} and {at} was altered, and the record of it: "
            f"{whose} of size {head.tree_size}, signed {head.timestamp}, does not agree; that of "
            f"size {size}, {signed}, does{more}",
            since + 1,
            gap.stream if gap else None,
            gap.version if gap else None,
            between=(size, head.tree_size),
        )

    @classmethod
    def tail(cls, position: int, size: int, wanted: TreeHead, whose: str) -> "Problem":
        return cls(
            "removed",
            f"the events after position {position} were removed: there are {size}, and {whose}, "
            f"signed {wanted.timestamp}, covers {wanted.tree_size}, up to {wanted.position}",
            position + 1,
            between=(size, wanted.tree_size),
        )

    @classmethod
    def tail_by_position(cls, position: int, given: int) -> "Problem":
        return cls(
            "removed",
            f"the events after position {position} were removed: {given} was given as a position",
            position + 1,
        )

    @classmethod
    def gap(cls, gap: Gap) -> "Problem":
        return cls(
            "stream",
            f"{gap.stream} does not go on as it should: at position {gap.position} its version "
            f"{gap.version} should follow what stands at position {gap.before}",
            gap.position,
            gap.stream,
            gap.version,
        )


class ProblemFound(Exception):
    """Ends a verification."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.sentence)


@dataclass(frozen=True)
class Disagreement:
    """An event and the leaf of the same index; one of them may be missing."""

    snapshot: Snapshot
    frontier: Frontier
    """Of everything before them."""
    row: Row | None
    leaf: Leaf | None
    heads: Iterator[TreeHead]
    """Signed ones of larger sizes, in order."""
    agreed: TreeHead | None

    @property
    def index(self) -> int:
        return self.frontier.size


def name_it(found: Disagreement) -> Problem:
    """What became of the event, or of its leaf."""
    if found.leaf is not None and not all(isinstance(one, int) for one in found.leaf[:2]):
        found = replace(found, leaf=None)
    head = next(found.heads, None)
    events_say = head is not None and _is_root(found, head, _event_hashes(found))
    if head is not None and events_say:
        return _leaf_altered(found, head)
    if head is None and found.row is None and found.leaf is not None:
        what = f"a leaf is recorded for position {found.leaf[1]}, and no event and no head for it"
        return Problem("leaf", f"{what}: either it was added, or those were removed", found.leaf[1])
    leaves_say = head is not None and _is_root(found, head, _leaf_hashes(found))
    problem = _event_altered(found)
    if head is not None and not leaves_say:
        size = found.agreed.tree_size if found.agreed else 0
        sentence = (
            f"{problem.sentence}; the recorded leaves were altered too, between the heads of sizes "
            f"{size} and {head.tree_size}"
        )
        return replace(problem, sentence=sentence, between=(size, head.tree_size))
    return problem


def _leaf_altered(found: Disagreement, head: TreeHead) -> Problem:
    fine = f"the events themselves are as the head of size {head.tree_size} says"
    if found.row is None or (found.leaf is not None and found.leaf[0] < found.index):
        added = found.index if found.leaf is None else found.leaf[0]
        return Problem("leaf", f"a leaf was added at index {added}; {fine}")
    what = (
        f"is as it was, but its recorded leaf (index {found.index}) was altered or removed; {fine}"
    )
    return Problem.of_row("leaf", found.row, what)


def _event_altered(found: Disagreement) -> Problem:
    row, leaf, snapshot = found.row, found.leaf, found.snapshot
    if leaf is None:
        assert row is not None  # noqa: S101  # there is one of them at least
        return Problem.of_row("leaf", row, "has no recorded leaf any more")
    stood_at = _stood_at(snapshot, row) if row is not None else None
    stands_at = _stands_at(snapshot, leaf)
    if row is None or row[0] > leaf[1]:
        if stands_at is not None:
            return _moved(leaf[1], stands_at, snapshot)
        return Problem.removed(snapshot, leaf)
    if row[0] < leaf[1]:
        if stood_at is not None:
            return _moved(stood_at, row[0], snapshot)
        return Problem.of_row("inserted", row, "was inserted: no leaf is recorded for it")
    if stood_at is not None and stands_at is not None:
        what = f"was moved: it was recorded at position {stood_at}"
        return Problem.of_row("moved", row, what, stood_at)
    if stands_at is not None:
        what = f"was inserted: what was recorded there stands at position {stands_at}"
        return Problem.of_row("inserted", row, what, stands_at)
    if stood_at is not None:
        now = f", and what was recorded at position {stood_at} stands there"
        return Problem.removed(snapshot, leaf, now)
    return Problem.of_row("changed", row, "was changed: it is not what its recorded leaf says")


def _moved(before: int, now: int, snapshot: Snapshot) -> Problem:
    row = next(snapshot.events(now))[0]
    first = min(before, now)
    what = f"was moved: it was recorded at position {before}"
    return Problem(
        "moved",
        Problem.of_row("moved", row, what).sentence,
        first,
        shown(row[1]),
        _number(row[2]),
        before if first == now else now,
    )


def _stood_at(snapshot: Snapshot, row: Row) -> int | None:
    """The position at which the contents of a row were recorded, if at another one."""
    contents = row[1:]
    for leaves in snapshot.leaves():
        for (_, position, recorded), now in zip(
            leaves, _hashes([(position, *contents) for _, position, _ in leaves]), strict=True
        ):
            if now == recorded and position != row[0]:
                return position
    return None


def _stands_at(snapshot: Snapshot, leaf: Leaf) -> int | None:
    """The position at which the contents stand that a leaf records, if at another one."""
    _, recorded_at, recorded = leaf
    for rows in snapshot.events():
        as_there = _hashes([(recorded_at, *row[1:]) for row in rows])
        with suppress(ValueError):
            return rows[as_there.index(recorded)][0]
    return None


def _is_root(found: Disagreement, head: TreeHead, hashes: Iterator[list[bytes]]) -> bool:
    """Whether what was agreed before and these hashes lead to a head."""
    frontier = found.frontier.copy()
    for portion in hashes:
        frontier.extend(portion[: head.tree_size - frontier.size])
        if frontier.size == head.tree_size:
            break
    return frontier.size == head.tree_size and frontier.root() == head.root


def _event_hashes(found: Disagreement) -> Iterator[list[bytes]]:
    if found.row is not None:
        for rows in found.snapshot.events(found.row[0]):
            yield _hashes(rows)


def _leaf_hashes(found: Disagreement) -> Iterator[list[bytes]]:
    if found.leaf is not None:
        for leaves in found.snapshot.leaves(found.leaf[0]):
            yield [leaf for _, _, leaf in leaves]


def _hashes(rows: list[Any]) -> list[bytes]:
    """Of a row whose numbers are none there is no hash that a leaf could have."""
    try:
        return leaf_hashes(rows)
    except (struct.error, TypeError):
        return [_hash(row) for row in rows]


def _hash(row: Any) -> bytes:
    try:
        return leaf_hashes([row])[0]
    except (struct.error, TypeError):
        return b""


def shown(stored: Any) -> str:
    """A text as it stands in the database, whatever became of it."""
    return stored.decode(errors="backslashreplace") if isinstance(stored, bytes) else str(stored)


def _number(stored: Any) -> int | None:
    return stored if isinstance(stored, int) else None
