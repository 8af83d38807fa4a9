"""How many approvals there were, what became of them, and how long people took to decide."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

from domain.approval import Approval
from domain.decision import Status
from domain.identity import same_person
from projections.business import business_of
from projections.database import Database, Row, Tables
from projections.projection import DECISIONS, Fact, Projection, milliseconds

EVERYBODY = ""
REQUESTED = "requested"
DECIDED = (Status.APPROVED.value, Status.REJECTED.value)


class Figures(Projection):
    """
    One row for each fact and reader: everybody's, and one for each approver, who may count what
    was addressed to them.

    `what` is `requested` or the status that an approval came to, `at` when; `who` decided or
    revoked, as WeCom spells them; `took` is how many whole seconds a decision took. Test approvals
    count for nothing.

    Facts and not sums of days: whose day it is depends on the time zone of whoever reads, and sums
    would have neither the median nor the 95th percentile.
    """

    name = "figures"
    schema = """
        CREATE TABLE figures (
            reader TEXT NOT NULL,
            at BIGINT NOT NULL,
            what TEXT NOT NULL,
            business TEXT NOT NULL,
            who TEXT NOT NULL,
            took BIGINT);
        CREATE INDEX figures_by_reader ON figures (reader, at, what, business, who, took)
    """

    def project(self, fact: Fact, tables: Tables) -> None:
        if fact.approval is None or fact.approval.requested.test:
            return
        if not isinstance(fact.event, (Approval.Requested, *DECISIONS)):
            return
        row = _row(fact.event, fact.approval)
        for reader in (EVERYBODY, *map(same_person, fact.approval.approvers)):
            tables.insert(self.name, {"reader": reader, **row})


def _row(event: Any, approval: Approval) -> dict[str, Any]:
    what = REQUESTED if isinstance(event, Approval.Requested) else approval.status.value
    is_by_a_person = isinstance(event, Approval.Approved | Approval.Rejected | Approval.Revoked)
    took = event.timestamp - approval.requested.timestamp
    return {
        "at": milliseconds(event.timestamp),
        "what": what,
        "business": business_of(approval.requested),
        "who": event.by if is_by_a_person else "",
        "took": int(took.total_seconds()) if what in DECIDED else None,
    }


@dataclass
class Tally:
    """How many of each there were, and within how many whole seconds people decided."""

    counts: Counter[str] = field(default_factory=Counter)
    median: int | None = None
    """The least number of seconds within which half of the decisions were made (nearest rank);
    None if there are none."""
    percentile_95: int | None = None
    """The same for 95 in a hundred."""
    spelled: str = ""
    """The name, where it is a member's, as WeCom spells it."""

    @property
    def decided(self) -> int:
        return sum(self.counts[what] for what in DECIDED)


class Day(NamedTuple):
    """Milliseconds: from the first up to before the second."""

    since: int
    before: int


@dataclass(frozen=True)
class Figured:
    """What was found for some days that follow each other."""

    total: Tally
    days: Sequence[Tally]
    """One for each, in order."""
    businesses: dict[str, Tally]
    approvers: dict[str, Tally]
    """What each decided, by members without case."""
    addressed: dict[str, Tally]
    """What was addressed to each and came of that; only for EVERYBODY."""


def figures_of(database: Database, reader: str, days: Sequence[Day]) -> Figured:
    """
    The figures of some days, oldest first and without a gap between them. Exact.

    Args:
        reader: EVERYBODY, or a member for what was addressed to them.
    """
    # One statement, so that its parts count the same facts; and all the counting in it, because
    # Python would keep everybody else waiting meanwhile.
    rows = database.query(*_question(same_person(reader), days))
    parts = {part: _tallies([row for row in rows if row["part"] == part]) for part in PARTS}
    return Figured(
        total=parts["total"].get("", Tally()),
        days=[parts["day"].get(str(number), Tally()) for number in range(len(days))],
        businesses=parts["business"],
        approvers=parts["member"],
        addressed=parts["reader"],
    )


# What each part counts by, and which facts.
PARTS = {
    "total": ("''", ""),
    "day": ("day", ""),
    "business": ("business", ""),
    "member": ("LOWER(who)", "WHERE who <> ''"),
    "reader": ("name", ""),
}
FACTS = """
    facts (day, what, business, who, took) AS (
        SELECT day, what, business, who, took FROM days CROSS JOIN figures
        WHERE reader = ? AND at >= since AND at < before)
"""
COUNTED = """
    SELECT '{part}' AS part, {name} AS name, MAX(who) AS spelled, what, COUNT(*) AS facts,
        NULL AS median, NULL AS percentile_95
    FROM facts {which} GROUP BY {name}, what
"""
TIMED = """
    SELECT '{part}', name, NULL, NULL, NULL,
        MIN(CASE WHEN upto * 100 >= decided * 50 THEN took END),
        MIN(CASE WHEN upto * 100 >= decided * 95 THEN took END)
    FROM (
        SELECT name, took, SUM(n) OVER (PARTITION BY name ORDER BY took) AS upto,
            SUM(n) OVER (PARTITION BY name) AS decided
        FROM (
            SELECT {name} AS name, took, COUNT(*) AS n FROM facts
            WHERE took IS NOT NULL GROUP BY {name}, took) AS counted) AS ranked
    GROUP BY name
"""
# Readers are few and their facts many: the index is asked for the next reader, each time.
READERS = """
    readers (name) AS (
        SELECT MIN(reader) FROM figures WHERE reader > ''
        UNION ALL
        SELECT (SELECT MIN(reader) FROM figures WHERE reader > name)
        FROM readers WHERE name IS NOT NULL)
"""
ADDRESSED = """
    SELECT 'reader', name, NULL, what, COUNT(*), NULL, NULL FROM readers CROSS JOIN figures
    WHERE reader = name AND at >= ? AND at < ? GROUP BY name, what
"""


def _question(reader: str, days: Sequence[Day]) -> tuple[str, list[Any]]:
    numbered = ", ".join(f"('{number}', ?, ?)" for number in range(len(days)))
    tables = [f"days (day, since, before) AS (VALUES {numbered})", FACTS]
    values = [*chain.from_iterable(days), reader]
    parts = [
        shape.format(part=part, name=name, which=which)
        for part, (name, which) in PARTS.items()
        if part != "reader"
        for shape in (COUNTED, TIMED)
    ]
    if reader == EVERYBODY:
        tables.append(READERS)
        parts.append(ADDRESSED)
        values += [days[0].since, days[-1].before]
    return f"WITH RECURSIVE {', '.join(tables)} {' UNION ALL '.join(parts)}", values


def _tallies(rows: Iterable[Row]) -> dict[str, Tally]:
    tallies: dict[str, Tally] = {}
    for row in rows:
        tally = tallies.setdefault(row["name"], Tally())
        if row["what"] is None:
            tally.median, tally.percentile_95 = row["median"], row["percentile_95"]
        else:
            tally.counts[row["what"]] += row["facts"]
            tally.spelled = max(tally.spelled, row["spelled"] or "")
    return tallies
