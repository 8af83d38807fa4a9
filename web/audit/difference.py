"""`fta-approval audit replay --diff`: what changed between two moments."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.store.event_store import sqlite_path
from adapters.store.stored_history import APPROVALS, Stored, StoredHistory, opened_history
from domain.approval import Approval
from domain.configuration import CONFIGURATION_STREAM, Configuration
from domain.freeze import FREEZE_STREAM
from domain.installation import STREAM as INSTALLATION_STREAM
from projections.audit_trail import who
from projections.document import timestamp
from web.audit.as_it_was import replayed, up_to
from web.audit.finding import NotYet, reply_id_of, stream_of
from web.audit.moments import moment
from web.audit.replay import as_json_line, whole
from web.audit.show import as_line, zone_of
from web.audit.told import lines, state, timeline
from web.audit.zone import Zone
from web.happenings import settings_before
from web.settings import Settings
from web.shown import STATUS
from web.timeline import execution, in_words
from web.translation import gettext

BESIDE = (CONFIGURATION_STREAM, FREEZE_STREAM, INSTALLATION_STREAM)

Say = Callable[[str], None]


class NotLater(ValueError):
    """The second moment is not after the first."""

    def __init__(self) -> None:
        super().__init__("the time of --diff must be later than that of --at")


@dataclass(frozen=True, slots=True)
class Change:
    """One approval to which something happened between the two moments."""

    before: Approval | None
    """None: it had not been asked for."""
    after: Approval
    events: Sequence[Stored]


def difference(
    given: Settings,
    at: str,
    until: str,
    name: str | None,
    now: datetime,
    say: Say,
    *,
    as_json: bool,
) -> None:
    """
    Print what happened after the first moment, up to the second and at it.

    Raises:
        NotLater: The second is not after the first.
        WrongTime, UnknownApproval, NotYet, and what else `replay` raises.
    """
    with opened_history(sqlite_path(given.database)) as history:
        zone = zone_of(given, history)
        first, second = (moment(text, zone.zone, now) for text in (at, until))
        if first >= second:
            raise NotLater
        if name is not None:
            stream = stream_of(history, given, name)
            answer = _of_one(history, stream, first, second, zone, as_json)
        elif as_json:
            answer = _as_json(history, first, second)
        else:
            answer = _of_everything(history, first, second, zone)
        for line in answer:
            say(line)


def changes(history: StoredHistory, first: datetime, second: datetime) -> Iterator[Change]:
    """In order of the names of the approvals."""
    for rows in history.streams(*APPROVALS):
        if change := _change(list(up_to(history, rows, second)), first):
            yield change


def _change(events: Sequence[Stored], first: datetime) -> Change | None:
    if not events or events[-1].event.timestamp <= first:
        return None
    then = [one for one in events if one.event.timestamp <= first]
    before = _replayed(then) if then else None
    return Change(before, _replayed(events), events[len(then) :])


def _replayed(events: Sequence[Stored]) -> Approval:
    return replayed([one.event for one in events], events[0].position)


def _of_one(
    history: StoredHistory,
    stream: str,
    first: datetime,
    second: datetime,
    zone: Zone,
    as_json: bool,
) -> Iterator[str]:
    events = history.events_of(stream)
    until = [one for one in events if one.event.timestamp <= second]
    if not until:
        raise NotYet(reply_id_of(stream), zone.full(events[0].event.timestamp))
    change = _change(until, first)
    if as_json:
        return iter([as_line(one) for one in change.events] if change else [])
    if change is None:
        return iter([gettext("没有变化")])
    return iter([_line(change, second, zone), *timeline(change.events, zone)])


def _of_everything(
    history: StoredHistory, first: datetime, second: datetime, zone: Zone
) -> Iterator[str]:
    yield f"{zone.full(first)} → {zone.full(second)} {zone.zone.key}"
    number = 0
    for change in changes(history, first, second):
        number += 1
        yield _line(change, second, zone)
    yield gettext("有变化的审批单: %(number)s") % {"number": number}
    if beside := _beside(history, first, second):
        yield ""
        yield from lines(beside, zone)


def _line(change: Change, at: datetime, zone: Zone) -> str:
    before, after = change.before, change.after
    was = gettext(STATUS[before.status]) if before else gettext("尚未发起")
    same = before is not None and before.status is after.status
    now = gettext("不变") if same else state(after, at, zone)
    done = execution(after, at, zone.full)
    used = f"{gettext('；')}{done}" if done else ""
    count = gettext("，%(number)s 个事件") % {"number": len(change.events)}
    return f"{after.reply_id}: {was} → {now}{used}{count}"


def _as_json(history: StoredHistory, first: datetime, second: datetime) -> Iterator[str]:
    for change in changes(history, first, second):
        yield as_json_line(
            {
                "record": "change",
                "reply_id": change.after.reply_id,
                "before": change.before and whole(change.before),
                "after": whole(change.after),
                "events": [one.position for one in change.events],
            }
        )
    for one, words in _beside(history, first, second):
        yield as_json_line(
            {
                "record": "event",
                "position": one.position,
                "type": one.event.TOPIC,
                "at": timestamp(one.event.timestamp),
                "by": who(one.event),
                "words": words,
            }
        )


def _beside(history: StoredHistory, first: datetime, second: datetime) -> list[tuple[Stored, str]]:
    """What happened to settings, secrets and the freeze, in words, as it happened."""
    found: list[tuple[Stored, str]] = []
    for stream in BESIDE:
        found += _in_words(history.events_of(stream))
    between = [pair for pair in found if first < pair[0].event.timestamp <= second]
    return sorted(between, key=lambda pair: pair[0].position)


def _in_words(events: Sequence[Stored]) -> Iterator[tuple[Stored, str]]:
    """Of a change of settings also what they were until then."""
    configuration = Configuration()
    for one in events:
        event, before = one.event, None
        if isinstance(event, Configuration.Changed):
            before = settings_before(event, configuration)
        yield one, in_words(event, before)
        if event.originator_id == CONFIGURATION_STREAM:
            configuration.apply(event)
