"""What was the case at a moment: every stream up to its last event at or before then.

By their times, not by their positions: within a stream time never goes back, and what is the case
follows from each stream by itself (docs/decisions/0023-as-it-was.md).
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from eventsourcing.persistence import Notification

from adapters.store.stored_history import APPROVALS, Stored, StoredHistory
from domain.aggregate import Event
from domain.approval import Approval
from domain.configuration import CONFIGURATION_STREAM, Configuration, Via
from domain.decision import Status
from domain.freeze import FREEZE_STREAM, Freeze, Frozen
from web.happenings import setting_value

MOST_NAMED = 1000
"""Of what waited, so many of the most urgent are kept; all others are counted."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What one setting was set to, by whom and where."""

    name: str
    value: str | None
    """None where it is secret."""
    fingerprint: str | None
    source: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """One approval that waited, as far as it is listed."""

    expires_at: datetime
    number: int
    reply_id: str
    risk: str
    engine: str
    approvers: Sequence[str]
    message: str


@dataclass
class Sum:
    """What comes of every approval, in little room however many there are."""

    statuses: Counter[Status] = field(default_factory=Counter)
    events: int = 0
    overdue: int = 0
    """Of the pending ones: nobody could decide them any more."""
    _waiting: list[tuple[tuple[float, int], Waiting]] = field(default_factory=list)

    def add(self, approval: Approval, at: datetime) -> None:
        self.statuses[approval.status] += 1
        self.events += approval.version
        if approval.status is not Status.PENDING:
            return
        self.overdue += at >= approval.expires_at
        asked, number = approval.requested, approval.number or 0
        waits = Waiting(
            approval.expires_at,
            number,
            approval.reply_id,
            asked.risk,
            asked.engine,
            asked.approvers,
            asked.message,
        )
        # The least urgent one stands first, and goes when there are too many.
        entry = (-approval.expires_at.timestamp(), -number), waits
        if len(self._waiting) < MOST_NAMED:
            heapq.heappush(self._waiting, entry)
        else:
            heapq.heappushpop(self._waiting, entry)

    def waiting(self) -> list[Waiting]:
        """The most urgent first."""
        return sorted((w for _, w in self._waiting), key=lambda w: (w.expires_at, w.number))


def up_to(history: StoredHistory, rows: Iterable[Notification], at: datetime) -> Iterator[Stored]:
    """Of the rows of one stream those at or before then, decoded."""
    for row in rows:
        one = history.stored(row)
        if one.event.timestamp > at:
            return
        yield one


def approvals_at(history: StoredHistory, at: datetime) -> Iterator[Approval]:
    """Every approval that had been asked for, as it was, in order of the names."""
    for rows in history.streams(*APPROVALS):
        events = [one.event for one in up_to(history, rows, at)]
        if events:
            yield replayed(events, rows[0].id)


def replayed(events: Sequence[Event], position: int) -> Approval:
    """The approval after these events, the first of which stands there."""
    approval = Approval.replay(events[0].originator_id, events)
    approval.number = position
    return approval


def frozen_at(history: StoredHistory, at: datetime) -> Frozen | None:
    """Since when, by whom and why approving was frozen; None if it was not."""
    events = [one.event for one in history.events_of(FREEZE_STREAM)]
    return Freeze.replay(FREEZE_STREAM, before(events, at)).in_force


def settings_at(history: StoredHistory, at: datetime) -> list[Setting]:
    """
    What was set, by name; the environment goes first, as at the last start of the service.

    What nobody had set is left out: it had the default of the program that ran then.
    """
    events = [one.event for one in history.events_of(CONFIGURATION_STREAM)]
    stored: dict[str, Setting] = {}
    environment: dict[str, Setting] = {}
    for event in before(events, at):
        if isinstance(event, Configuration.Changed):
            _set(environment if event.via == Via.ENVIRONMENT else stored, event)
    return [one for _, one in sorted({**stored, **environment}.items())]


def before(events: Iterable[Event], at: datetime) -> list[Event]:
    """Those at or before then."""
    return [event for event in events if event.timestamp <= at]


def _set(known: dict[str, Setting], event: Configuration.Changed) -> None:
    about: dict[str, Any] = {"by": event.by, "at": event.timestamp, "source": event.via}
    for name, value in event.values.items():
        known.pop(name, None)
        if value is not None:
            known[name] = Setting(name, setting_value(value), None, **about)
    for name, fingerprint in event.fingerprints.items():
        known.pop(name, None)
        if fingerprint is not None:
            known[name] = Setting(name, None, fingerprint, **about)
