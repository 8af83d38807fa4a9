"""What somebody looks for in the history, and what is found: newest first, page by page.

Approvals are found by when they were asked, who had a part in them, what they were about and what
became of them; events of every kind by what happened, by whom, through what and when.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from domain.identity import same_person
from projections.database import Database
from projections.walk import MOST_SEARCHED, Conditions, Way, walk
from projections.walk import Cursor as Cursor

# Each has an index; where several are wanted, the one that is likely to leave least comes first.
FACETS = ("business", "engine", "channel", "status")
SAID = "(history.words || '\n' || history.reason || '\n' || history.revoked_for)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """Approvals; what is None or empty is left open. Times in milliseconds."""

    reader: str | None = None
    """Only what this member is an approver of, and so may look at."""
    member: str | None = None
    """Who had any part: requested, was asked, replied, decided."""
    business: str | None = None
    engine: str | None = None
    status: str | None = None
    channel: str | None = None
    """Through which it was ended, as `decided_via` of the API."""
    since: int | None = None
    """Asked then or later."""
    before: int | None = None
    """Asked earlier than that."""
    words: Sequence[str] = ()
    """Each of them stands in the reply id, the message or a reason, whatever the case."""
    after: Cursor | None = None
    """Only what is older than this."""


@dataclass(frozen=True, slots=True)
class Page:
    """Approvals, newest first."""

    reply_ids: Sequence[str]
    older: Cursor | None
    """Where the next page begins; None: there is no more."""
    is_cut: bool
    """It was not looked any further than `older`, where there may be more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """Events of every kind; what is None or empty is left open. Times in milliseconds."""

    kinds: Sequence[str] = ()
    """Stored names such as `session.opened`, any of them."""
    by: str | None = None
    """Who acted, else whom a message went to, whatever the case."""
    via: str | None = None
    since: int | None = None
    before: int | None = None
    stream: str | None = None
    after: Cursor | None = None
    """Only what is older than this."""


@dataclass(frozen=True, slots=True)
class EventsPage:
    """Events, newest first, of one time the last recorded first."""

    positions: Sequence[int]
    older: Cursor | None
    is_cut: bool


def search(
    database: Database, sought: Sought, limit: int, most_searched: int = MOST_SEARCHED
) -> Page:
    """What was sought; found by an index, what no index holds is compared up to a bound."""
    table, exactly = _approvals(sought)
    way = Way(
        table=table,
        at="asked_at",
        number="number",
        exactly=exactly,
        since=sought.since,
        before=sought.before,
        after=sought.after,
    )
    further = _further(sought, exactly)
    found = walk(database, way, ("history", "reply_id"), further, limit, most_searched)
    return Page([row["reply_id"] for row in found.found], found.older, found.is_cut)


def _approvals(sought: Sought) -> tuple[str, dict[str, Any]]:
    """Which table is walked along, and what its index holds."""
    if sought.reader is not None:
        given = {"business": sought.business, "status": sought.status}
        held = {column: value for column, value in given.items() if value is not None}
        return "history_readers", {"member": same_person(sought.reader), **held}
    if sought.member is not None:
        return "history_members", {"member": same_person(sought.member)}
    wanted = [column for column in FACETS if getattr(sought, column) is not None]
    held_too = ["status"] if wanted[:1] == ["business"] and "status" in wanted else []
    return "history", {column: getattr(sought, column) for column in wanted[:1] + held_too}


def _further(sought: Sought, held: dict[str, Any]) -> Conditions:
    """What the index does not hold."""
    further = Conditions()
    for column in FACETS:
        value = getattr(sought, column)
        if value is not None and column not in held:
            further.add(f"history.{column} = ?", value)
    if sought.reader is not None and sought.member is not None:
        further.add(
            "EXISTS (SELECT 1 FROM history_members AS part WHERE part.member = ? "
            "AND part.asked_at = listed.asked_at AND part.number = listed.number)",
            same_person(sought.member),
        )
    for word in sought.words:
        further.add(rf"{SAID} LIKE ? ESCAPE '\'", f"%{_literal(word.casefold())}%")
    return further


def happened(
    database: Database, wanted: Happened, limit: int, most_searched: int = MOST_SEARCHED
) -> EventsPage:
    """What happened; found by an index, what no index holds is compared up to a bound."""
    given = {
        "stream": wanted.stream,
        "who": wanted.by and same_person(wanted.by),
        "type": wanted.kinds[0] if len(wanted.kinds) == 1 else None,
        "via": wanted.via,
    }
    named = [(column, value) for column, value in given.items() if value is not None]
    several = len(wanted.kinds) > 1
    is_by_kinds = several and (not named or named[0][0] == "via")
    held = {} if is_by_kinds else dict(named[:1])
    way = Way(
        table="audit_trail",
        at="at",
        number="position",
        exactly=held,
        one_of=("type", wanted.kinds) if is_by_kinds else None,
        since=wanted.since,
        before=wanted.before,
        after=wanted.after,
    )
    further = Conditions()
    for column, value in named:
        if column not in held:
            further.add(f"audit_trail.{column} = ?", value)
    if several and not is_by_kinds:
        marks = ", ".join("?" * len(wanted.kinds))
        further.add(f"audit_trail.type IN ({marks})", *wanted.kinds)
    found = walk(database, way, ("audit_trail", "position"), further, limit, most_searched)
    return EventsPage([row["position"] for row in found.found], found.older, found.is_cut)


def _literal(word: str) -> str:
    return word.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
