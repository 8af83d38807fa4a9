"""
`fta-approval audit access-review`: who had which right and when, and what was decided by it.

One CSV. First the rights, then every decision that was made as a super approver, then where the
store was put back from a copy: what was set between is not known.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from adapters.store.event_store import EventStore
from domain.approval import Approval
from domain.commands import RecordExport
from domain.configuration import CONFIGURATION_STREAM, Configuration
from domain.decision import Capacity
from domain.identity import APPROVAL_STREAM
from domain.installation import STREAM, Installation
from web.app import utc_now
from web.audit.rights import Held, rights
from web.in_force import SettingsInForce
from web.settings import Settings
from web.settings_shell import opened
from web.shell_account import shell_account

COLUMNS = (
    *("what", "name", "from", "to", "set_by", "set_via", "ended_by", "ended_via"),
    *("approval", "decision", "reason"),
)
DECIDED = {
    Approval.Approved.TOPIC: "approved",
    Approval.Rejected.TOPIC: "rejected",
    Approval.Revoked.TOPIC: "revoked",
}
AT_ONCE = 500
# A spreadsheet would compute what begins so, and may send what stands beside it elsewhere; a
# Chinese one takes the wide signs for the narrow ones (OWASP, CSV Injection).
LIKE_A_FORMULA = re.compile(r"\s*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
BOM = "\ufeff"
"""Without it Excel takes UTF-8 for something else."""

Row = Sequence[str]
Period = tuple[datetime | None, datetime | None]
"""From that moment on, and before that one."""


async def access_review(
    given: Settings,
    first: date | None,
    last: date | None,
    write: Callable[[str], None],
    *,
    bom: bool,
) -> None:
    """
    Write the review of some days, both included, in the time zone of the settings.

    That it was taken is recorded before the first line goes out.

    Raises:
        StoreUnavailable: It could not be recorded; nothing was written.
        FileNotFoundError, WrongSecretKey: The store cannot be opened.
    """
    async with opened(given) as (store, writer, secrets):
        zone = ZoneInfo(SettingsInForce(given, store, secrets).now.time_zone)
        wanted = {"from": first, "to": last}
        await writer.execute(
            RecordExport(
                at=utc_now(),
                by=shell_account(),
                via="shell",
                what="access-review",
                wanted={name: day.isoformat() for name, day in wanted.items() if day is not None},
                form="csv",
            )
        )
        write((BOM if bom else "") + line(COLUMNS))
        for row in rows_of(store, _period(first, last, zone), zone):
            write(line(row))


def rows_of(store: EventStore, period: Period, zone: ZoneInfo) -> Iterator[Row]:
    """Everything that was in force or happened at some time of a period."""

    def show(at: datetime | None) -> str:
        return "" if at is None else at.astimezone(zone).isoformat(timespec="seconds")

    for held in rights(_changes(store)):
        if _overlaps(held.since, held.until, period):
            yield _of_right(held, show)
    yield from _decisions(store, period, show)
    for event in _restores(store):
        if _overlaps(event.as_of, event.timestamp, period):
            times = (show(event.as_of), show(event.timestamp))
            yield ("restored", "", *times, event.by, "shell", *[""] * 5)


def line(cells: Iterable[str]) -> str:
    """One line of CSV (RFC 4180), in which nothing is a formula."""
    text = io.StringIO(newline="")
    csv.writer(text).writerow([harmless(cell) for cell in cells])
    return text.getvalue()


def harmless(cell: str) -> str:
    """What begins like a formula has an apostrophe before it, which a spreadsheet takes as text."""
    return f"'{cell}" if LIKE_A_FORMULA.match(cell) else cell


def _changes(store: EventStore) -> Iterator[Configuration.Changed]:
    found = (event for _, event in store.events_of(CONFIGURATION_STREAM))
    return (event for event in found if isinstance(event, Configuration.Changed))


def _restores(store: EventStore) -> Iterator[Installation.Restored]:
    found = (event for _, event in store.events_of(STREAM))
    return (event for event in found if isinstance(event, Installation.Restored))


def _of_right(held: Held, show: Callable[[datetime | None], str]) -> Row:
    ended = (held.ended_by or "", held.ended_via or "")
    times = (show(held.since), show(held.until))
    return (held.right, held.name, *times, held.by, held.via, *ended, "", "", "")


def _decisions(
    store: EventStore, period: Period, show: Callable[[datetime | None], str]
) -> Iterator[Row]:
    """What was decided as a super approver, oldest first."""
    position = 0
    while some := store.recorder.select_notifications(
        position, AT_ONCE, topics=list(DECIDED), inclusive_of_start=False
    ):
        position = some[-1].id
        for stored in some:
            event = store.event(stored)
            assert isinstance(event, Approval.Approved | Approval.Rejected | Approval.Revoked)  # noqa: S101  # their topics
            is_super = event.capacity == Capacity.SUPER_APPROVER
            if is_super and _overlaps(event.timestamp, event.timestamp, period):
                reply_id = event.originator_id.removeprefix(APPROVAL_STREAM)
                yield (
                    *("decision", event.by, show(event.timestamp), "", "", event.channel, "", ""),
                    *(reply_id, DECIDED[stored.topic], event.reason or ""),
                )


def _overlaps(since: datetime, until: datetime | None, period: Period) -> bool:
    first, before = period
    has_begun = before is None or since < before
    return has_begun and (first is None or until is None or until >= first)


def _period(first: date | None, last: date | None, zone: ZoneInfo) -> Period:
    begin = None if first is None else datetime.combine(first, time.min, zone)
    if last is None:
        return begin, None
    return begin, datetime.combine(last + timedelta(days=1), time.min, zone)
