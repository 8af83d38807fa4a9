"""What was asked and what became of it, for whoever looks back: newest first, page by page."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from domain.identity import same_person
from projections.business import business_of
from projections.database import Database, Row, Tables
from projections.projection import DECISIONS, Fact, Projection, milliseconds

# How many approvals one question for words reads at most; the next one goes on from there.
MOST_SEARCHED = 20_000


class History(Projection):
    """One row for each approval; `words` is what is searched: reply id and message, casefolded."""

    name = "history"
    schema = """
        CREATE TABLE history (
            number BIGINT PRIMARY KEY,
            reply_id TEXT NOT NULL,
            asked_at BIGINT NOT NULL,
            business TEXT NOT NULL,
            status TEXT NOT NULL,
            words TEXT NOT NULL);
        CREATE INDEX history_newest ON history (asked_at, number);
        CREATE INDEX history_by_status ON history (status, asked_at, number);
        CREATE INDEX history_by_business ON history (business, asked_at, number, status)
    """

    def project(self, fact: Fact, tables: Tables) -> None:
        if fact.approval is None:
            return
        if fact.event.originator_version == 1:
            asked = fact.approval.requested
            words = f"{fact.approval.reply_id}\n{asked.message}".casefold()
            named = {"reply_id": fact.approval.reply_id, "words": words}
            tables.insert(self.name, {**_found_by(fact), **named})
        elif isinstance(fact.event, DECISIONS):
            tables.update(self.name, {"number": fact.approval.number}, _status(fact))


class HistoryReaders(Projection):
    """One row for each approval and approver of it, who may look back at it whatever was made of
    it, also if they requested it themselves and were not asked."""

    name = "history_readers"
    schema = """
        CREATE TABLE history_readers (
            member TEXT NOT NULL,
            number BIGINT NOT NULL,
            asked_at BIGINT NOT NULL,
            business TEXT NOT NULL,
            status TEXT NOT NULL,
            PRIMARY KEY (member, number));
        CREATE INDEX history_readers_newest ON history_readers (member, asked_at, number);
        CREATE INDEX history_readers_by_status
            ON history_readers (member, status, asked_at, number);
        CREATE INDEX history_readers_by_business
            ON history_readers (member, business, asked_at, number, status)
    """

    def project(self, fact: Fact, tables: Tables) -> None:
        if fact.approval is None:
            return
        is_first = fact.event.originator_version == 1
        if not is_first and not isinstance(fact.event, DECISIONS):
            return
        for userid in fact.approval.approvers:
            member = same_person(userid)
            if is_first:
                tables.insert(self.name, {"member": member, **_found_by(fact)})
            else:
                key = {"member": member, "number": fact.approval.number}
                tables.update(self.name, key, _status(fact))


def _found_by(fact: Fact) -> dict[str, Any]:
    assert fact.approval is not None  # noqa: S101  # asked by the callers
    asked = fact.approval.requested
    return {
        "number": fact.position,
        "asked_at": milliseconds(asked.timestamp),
        "business": business_of(asked),
        **_status(fact),
    }


def _status(fact: Fact) -> dict[str, Any]:
    assert fact.approval is not None  # noqa: S101  # asked by the callers
    return {"status": fact.approval.status.value}


class Cursor(NamedTuple):
    """An approval in the order of the history: only older ones come after it."""

    asked_at: int
    number: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody looks for; times in milliseconds, from the first up to before the second."""

    reader: str | None
    """Only what this member is an approver of; None: everything."""
    status: str | None = None
    business: str | None = None
    since: int | None = None
    before: int | None = None
    words: Sequence[str] = field(default_factory=tuple)
    """Each of them stands in the reply id or in the message, whatever the case."""
    after: Cursor | None = None
    """Only what is older than this."""


@dataclass(frozen=True, slots=True)
class Found:
    """A page of the history."""

    reply_ids: Sequence[str]
    older: Cursor | None
    """Where the next page begins; None: there is no more."""
    is_cut: bool
    """It was not looked any further than `older`, where there may be more."""


def look_back(
    database: Database, wanted: Wanted, limit: int, most_searched: int = MOST_SEARCHED
) -> Found:
    """What was wanted, newest first; each approval is read by an index, messages up to a bound."""
    source = "history" if wanted.reader is None else "history_readers"
    wanted_from = f"FROM {source} AS listed", *_conditions(wanted)
    last = _last_to_search(database, *wanted_from, most_searched) if wanted.words else None
    searched, search_values = _searched(wanted.words, last)
    come_from, conditions, values = wanted_from
    rows = database.query(
        "SELECT listed.asked_at, listed.number, history.reply_id "
        # A cross join is read in the order in which it is written, here that of the index.
        f"{come_from} CROSS JOIN history "
        f"WHERE history.number = listed.number AND {conditions}{searched} "
        "ORDER BY listed.asked_at DESC, listed.number DESC LIMIT ?",
        [*values, *search_values, limit + 1],
    )
    reply_ids = [row["reply_id"] for row in rows[:limit]]
    if len(rows) > limit:
        return Found(reply_ids, _cursor(rows[limit - 1]), is_cut=False)
    return Found(reply_ids, last, is_cut=last is not None)


def _conditions(wanted: Wanted) -> tuple[str, list[Any]]:
    given: list[tuple[str, Any]] = [
        ("listed.member = ?", wanted.reader and same_person(wanted.reader)),
        ("listed.business = ?", wanted.business),
        ("listed.status = ?", wanted.status),
        ("listed.asked_at >= ?", wanted.since),
        ("listed.asked_at < ?", wanted.before),
    ]
    used = [(condition, value) for condition, value in given if value is not None]
    conditions, values = ["1 = 1", *(c for c, _ in used)], [v for _, v in used]
    if wanted.after is not None:
        conditions.append("(listed.asked_at, listed.number) < (?, ?)")
        values.extend(wanted.after)
    return " AND ".join(conditions), values


def _last_to_search(
    database: Database, come_from: str, conditions: str, values: list[Any], most: int
) -> Cursor | None:
    """The last approval whose words are read; None where there are no more than that."""
    rows = database.query(
        f"SELECT listed.asked_at, listed.number {come_from} WHERE {conditions} "
        "ORDER BY listed.asked_at DESC, listed.number DESC LIMIT 2 OFFSET ?",
        [*values, most - 1],
    )
    return _cursor(rows[0]) if len(rows) == 2 else None


def _searched(words: Sequence[str], last: Cursor | None) -> tuple[str, list[Any]]:
    conditions = r" AND history.words LIKE ? ESCAPE '\'" * len(words)
    values: list[Any] = [f"%{_literal(word.casefold())}%" for word in words]
    if last is None:
        return conditions, values
    within = " AND (listed.asked_at, listed.number) >= (?, ?)"
    return within + conditions, [*last, *values]


def _literal(word: str) -> str:
    return word.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


def _cursor(row: Row) -> Cursor:
    return Cursor(row["asked_at"], row["number"])
