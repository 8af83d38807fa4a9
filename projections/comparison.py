"""Whether read models say what the events say: made anew beside them, and compared row by row."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from projections.database import Database
from projections.projection import Projection
from projections.runner import ALL, CHUNK, EventSource, Fold

SHOWN = 120

Row = tuple[Any, ...]


class ReadTables(Protocol):
    """The tables of some read models, at rest."""

    def columns(self) -> Mapping[str, Sequence[str]]:
        """Of each table, those of its primary key first."""

    def keys(self) -> Mapping[str, int]:
        """How many of them are the primary key; all, where there is none."""

    def rows(self, table: str) -> Iterator[Row]:
        """In order of all these columns."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where a table is not what follows from the events."""

    table: str
    row: Mapping[str, Any] | None
    """By what the row is told from others; None: it is about the whole table."""
    column: str | None
    """None: the whole row is there and should not be, or is missing."""
    live: Any
    rebuilt: Any

    def __str__(self) -> str:
        row = ", ".join(f"{name}={_short(value)}" for name, value in (self.row or {}).items())
        where = " ".join(filter(None, [self.table, row and f"[{row}]", self.column]))
        return f"{where}: {_short(self.live)} is stored, {_short(self.rebuilt)} follows"


def rebuild_up_to(
    source: EventSource,
    database: Database,
    positions: Mapping[str, int],
    on_progress: Callable[[int], None] = lambda position: None,
    projections: Sequence[Projection] = ALL,
) -> None:
    """
    Take in the events, each projection up to its own position.

    Args:
        database: Empty read models.
        positions: By name of the projection.
    """
    fold, last, end = Fold(source), 0, max(positions.values(), default=0)
    while chunk := [s for s in source.read_after(last, CHUNK) if s.id <= end]:
        with database.transaction() as tables:
            for stored in chunk:
                fact = fold.take(stored)
                for projection in projections:
                    if fact.position <= positions.get(projection.name, 0):
                        projection.project(fact, tables)
            tables.finish()
            last = chunk[-1].id
            reached = {name: min(at, last) for name, at in positions.items() if at}
            database.set_positions(tables, reached)
        on_progress(last)


def differences(live: ReadTables, rebuilt: ReadTables) -> Iterator[Difference]:
    """The first one of each table, by name of the table."""
    ours, theirs, keys = live.columns(), rebuilt.columns(), rebuilt.keys()
    for table in sorted({*ours, *theirs}):
        if ours.get(table) != theirs.get(table):
            columns = (ours.get(table), theirs.get(table))
            yield Difference(table, None, None, *map(_listed, columns))
            continue
        pair = live.rows(table), rebuilt.rows(table)
        if difference := _first(table, theirs[table], keys[table], *pair):
            yield difference


def _first(
    table: str, columns: Sequence[str], key: int, live: Iterator[Row], rebuilt: Iterator[Row]
) -> Difference | None:
    while True:
        ours, theirs = next(live, None), next(rebuilt, None)
        if ours == theirs:
            if ours is None:
                return None
            continue
        return _difference(table, columns, key, ours, theirs)


def _difference(
    table: str, columns: Sequence[str], key: int, ours: Row | None, theirs: Row | None
) -> Difference:
    """Of two rows that are not the same, one of which may be none."""
    if theirs is None or (ours is not None and _order(ours[:key]) < _order(theirs[:key])):
        assert ours is not None  # noqa: S101  # one of them is there
        return Difference(table, _named(columns, ours, key), None, "a row", "none")
    if ours is None or ours[:key] != theirs[:key]:
        return Difference(table, _named(columns, theirs, key), None, "no row", "one")
    at = next(n for n, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b)
    return Difference(table, _named(columns, ours, key), columns[at], ours[at], theirs[at])


def _named(columns: Sequence[str], row: Row, key: int) -> dict[str, Any]:
    return dict(zip(columns[:key], row[:key], strict=True))


def _order(values: Row) -> list[tuple[int, Any]]:
    """As the database orders them: nothing, then numbers, then texts by their bytes."""
    return [_rank(value) for value in values]


def _rank(value: Any) -> tuple[int, Any]:
    if value is None:
        return 0, 0
    if isinstance(value, str):
        return 2, value.encode()
    return (3, value) if isinstance(value, bytes) else (1, value)


def _listed(columns: Sequence[str] | None) -> str:
    return "no table" if columns is None else f"columns {', '.join(columns)}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
