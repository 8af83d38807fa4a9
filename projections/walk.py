"""A walk along an index, the newest first, page by page, however many rows there are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from projections.database import Database, Row

# How many rows one question reads at most for what no index holds; the next one goes on there.
MOST_SEARCHED = 20_000


class Cursor(NamedTuple):
    """A place in the order of what is walked: only what is older comes after it."""

    at: int
    number: int


@dataclass
class Conditions:
    """What must hold, and the values for its `?`."""

    said: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def add(self, condition: str, *values: Any) -> Self:
        self.said.append(condition)
        self.values.extend(values)
        return self

    def __str__(self) -> str:
        return "".join(f" AND {condition}" for condition in self.said)


@dataclass(frozen=True, kw_only=True)
class Way:
    """Which rows are walked along: by an index on `exactly`, then the times, then the numbers."""

    table: str
    at: str
    """The column of times, in milliseconds."""
    number: str
    """The column that names a row, and tells rows of one time apart."""
    exactly: Mapping[str, Any] = field(default_factory=dict)
    one_of: tuple[str, Sequence[Any]] | None = None
    """A column of an index of its own, and what it may be."""
    since: int | None = None
    before: int | None = None
    after: Cursor | None = None

    @property
    def order(self) -> str:
        return f"ORDER BY listed.{self.at} DESC, listed.{self.number} DESC"

    def conditions(self) -> Conditions:
        conditions = Conditions()
        for column, value in self.exactly.items():
            conditions.add(f"listed.{column} = ?", value)
        if self.since is not None:
            conditions.add(f"listed.{self.at} >= ?", self.since)
        if self.before is not None:
            conditions.add(f"listed.{self.at} < ?", self.before)
        if self.after is not None:
            conditions.add(f"(listed.{self.at}, listed.{self.number}) < (?, ?)", *self.after)
        return conditions

    def merged(self, most: int) -> tuple[str, list[Any]]:
        """The newest rows with any of several values, each found by the index, as a table."""
        assert self.one_of is not None  # noqa: S101  # asked by the caller
        column, wanted = self.one_of
        conditions = self.conditions()
        columns = f"SELECT listed.{self.at}, listed.{self.number} FROM {self.table} AS listed"  # noqa: S608  # our names
        one = f"{columns} WHERE listed.{column} = ?{conditions}"
        order = f"ORDER BY {self.at} DESC, {self.number} DESC LIMIT {most}"
        values = [value for each in wanted for value in (each, *conditions.values)]
        return f"({' UNION ALL '.join([one] * len(wanted))} {order})", values


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one question found."""

    found: Sequence[Row]
    older: Cursor | None
    """Where the next question goes on; None: there is no more."""
    is_cut: bool
    """It was not looked any further than `older`, where there may be more."""


def walk(
    database: Database,
    way: Way,
    facts: tuple[str, str],
    further: Conditions,
    limit: int,
    most_searched: int = MOST_SEARCHED,
) -> Stretch:
    """
    The newest rows on a way of which something further holds.

    Args:
        facts: The table that the further conditions are about, and the column wanted of it.
        most_searched: So many rows of the way are read, if there are further conditions.
    """
    come_from = _come_from(way, most_searched + 1 if further.said else limit + 1)
    last = _last(database, way, come_from, most_searched) if further.said else None
    if last is not None:
        further.add(f"(listed.{way.at}, listed.{way.number}) >= (?, ?)", *last)
    table, wanted = facts
    rows = database.query(
        f"SELECT listed.{way.at} AS at, listed.{way.number} AS number, {table}.{wanted} "  # noqa: S608
        # A cross join is read in the order in which it is written, here that of the index.
        f"FROM {come_from.listed} CROSS JOIN {table} "
        f"WHERE {table}.{way.number} = listed.{way.number}{come_from.conditions}{further} "
        f"{way.order} LIMIT ?",
        [*come_from.values, *further.values, limit + 1],
    )
    if len(rows) > limit:
        return Stretch(rows[:limit], _cursor(rows[limit - 1]), is_cut=False)
    return Stretch(rows, last, is_cut=last is not None)


@dataclass(frozen=True, slots=True)
class _From:
    """The rows of a way, as a query reads them."""

    listed: str
    conditions: str
    values: Sequence[Any]


def _come_from(way: Way, most: int) -> _From:
    if way.one_of is not None:
        listed, values = way.merged(most)
        return _From(f"{listed} AS listed", "", values)
    conditions = way.conditions()
    return _From(f"{way.table} AS listed", str(conditions), conditions.values)


def _last(database: Database, way: Way, come_from: _From, most: int) -> Cursor | None:
    """The last row of the way that is read; None where there are no more than that."""
    rows = database.query(
        f"SELECT listed.{way.at} AS at, listed.{way.number} AS number "  # noqa: S608  # our names
        f"FROM {come_from.listed} "
        f"WHERE 1 = 1{come_from.conditions} {way.order} LIMIT 2 OFFSET ?",
        [*come_from.values, most - 1],
    )
    return _cursor(rows[0]) if len(rows) == 2 else None


def _cursor(row: Row) -> Cursor:
    return Cursor(row["at"], row["number"])
