"""Given / when / then: whole commands through `HANDLERS`, on a unit of work that is plain dicts.

    given(ask()).when(says("zhangsan", APPROVE)).then(event(Approval.Replied), ...)

Every command loads its aggregates by replaying what was stored, so each test also shows that the
events carry the state.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from domain.aggregate import Aggregate, Event
from domain.approval import Approval
from domain.audit import Audit
from domain.commands import (
    Cancel,
    Decide,
    Expire,
    Greet,
    OpenPage,
    RecordDelivery,
    RecordLeaving,
    RecordWebhook,
    RedeliverWebhook,
    Remind,
    Reply,
)
from domain.commands import RequestApproval as Request
from domain.commands import RequestNextRun as NextRun
from domain.configuration import CONFIGURATION_STREAM, Configuration
from domain.decision import Channel, Verdict
from domain.errors import Refusal
from domain.freeze import FREEZE_STREAM, Freeze
from domain.handling import HANDLERS
from domain.identity import (
    APPROVAL_STREAM,
    approval_stream,
    audit_stream,
    inbox_stream,
    same_person,
)
from domain.inbox import Inbox
from domain.permit import PermitTerms
from domain.session import SESSION_STREAM, Session, session_of, session_stream
from domain.unit import Directory

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
DEADLINE = NOON + timedelta(minutes=20)
MILLISECOND = timedelta(milliseconds=1)
APPROVE, REJECT = Verdict.APPROVE, Verdict.REJECT
NODE = "12345_2"
TERMS = PermitTerms("key-1", "fta-approval", timedelta(minutes=15))

T = TypeVar("T", bound=Aggregate)


def after(**duration: float) -> datetime:
    """So long after noon."""
    return NOON + timedelta(**duration)


def with_its_card(command: Any, approval_of: Callable[[str], Approval | None]) -> Any:
    """A tap is on the very card that asks its member, unless a test says which one it was."""
    is_tap = isinstance(command, Reply) and command.channel is Channel.CARD
    if not is_tap or command.card is not None or command.reply_id is None:
        return command
    approval = approval_of(command.reply_id)
    return command if approval is None else replace(command, card=approval.card_name(command.by))


# The unit of work.


class MemoryUnit:
    """`domain.unit.Unit` on dicts; each command sees what was stored, and leaves its events."""

    def __init__(self, super_approvers: Sequence[str] = ()) -> None:
        self.super_approvers = list(super_approvers)
        self.stored: list[Event] = []
        self.aggregates: dict[str, Aggregate] = {}
        """Those that the last command loaded or added, as it left them."""
        self._streams: dict[str, list[Event]] = {}
        self._deliveries: set[tuple[str, str]] = set()

    def carry_out(self, command: Any) -> Any:
        """Run one command and store what it triggered, also when it is refused."""
        self.aggregates = {}
        command = with_its_card(
            command, lambda name: self.replayed(Approval, approval_stream(name))
        )
        try:
            return HANDLERS[type(command)](command, self)
        finally:
            for aggregate in self.aggregates.values():
                for new in aggregate.collect_events():
                    self._store(new)

    def replayed(self, kind: type[T], stream: str) -> T | None:
        """The aggregate as its stored events tell it."""
        events = self._streams.get(stream)
        if not events:
            return None
        aggregate = kind.replay(stream, events)
        aggregate.number = self.stored.index(events[0]) + 1
        return aggregate

    def approvals(self) -> list[Approval]:
        """All that were ever asked, oldest first."""
        streams = [stream for stream in self._streams if stream.startswith(APPROVAL_STREAM)]
        return [found for s in streams if (found := self.replayed(Approval, s)) is not None]

    def sessions(self) -> list[Session]:
        """All that were ever opened, oldest first."""
        streams = [stream for stream in self._streams if stream.startswith(SESSION_STREAM)]
        return [found for s in streams if (found := self.replayed(Session, s)) is not None]

    def events_of(self, stream: str) -> list[Event]:
        """What was stored in one stream."""
        return list(self._streams.get(stream, ()))

    def approval(self, reply_id: str) -> Approval | None:
        return self._get(Approval, approval_stream(reply_id))

    def runs(self, obj_id: str) -> list[Approval]:
        names = [a.reply_id for a in self.approvals() if a.requested.obj_id == obj_id]
        found = [run for name in names if (run := self.approval(name)) is not None]
        return sorted(found, key=lambda run: run.requested.run)

    def freeze(self) -> Freeze:
        return self._get(Freeze, FREEZE_STREAM) or Freeze()

    def configuration(self) -> Configuration:
        return self._get(Configuration, CONFIGURATION_STREAM) or Configuration()

    def permit_terms(self) -> PermitTerms | None:
        return TERMS

    def by_stream(self, stream: str) -> Approval | Inbox | Configuration | None:
        if stream == CONFIGURATION_STREAM:
            return self._get(Configuration, stream)
        if stream.startswith(APPROVAL_STREAM):
            return self._get(Approval, stream)
        return self._get(Inbox, stream)

    def audit(self, who: str, at: datetime) -> Audit:
        stream = audit_stream(who, at)
        audit = self._get(Audit, stream)
        if audit is None:
            audit = Audit(stream)
            self.add(audit)
        return audit

    def inbox(self, userid: str, at: datetime) -> Inbox:
        stream = inbox_stream(userid, at)
        inbox = self._get(Inbox, stream)
        if inbox is None:
            inbox = Inbox(stream)
            self.add(inbox)
        return inbox

    def session(self, session: str) -> Session | None:
        return self._get(Session, session_stream(session))

    def add(self, aggregate: Aggregate) -> None:
        assert aggregate.id not in self.aggregates, f"{aggregate.id} would be lost"
        self.aggregates[aggregate.id] = aggregate

    def is_repeated_delivery(self, userid: str, delivery_key: str) -> bool:
        key = (same_person(userid), delivery_key)
        repeated = key in self._deliveries
        self._deliveries.add(key)
        return repeated

    def directory(self) -> Directory:
        return MemoryDirectory(self.approvals(), self.super_approvers, self.sessions())

    def _get(self, kind: type[T], stream: str) -> T | None:
        if stream not in self.aggregates:
            found = self.replayed(kind, stream)
            if found is None:
                return None
            self.aggregates[stream] = found
        aggregate = self.aggregates[stream]
        assert isinstance(aggregate, kind)
        return aggregate

    def _store(self, new: Event) -> None:
        stream = self._streams.setdefault(new.originator_id, [])
        assert new.originator_version == len(stream) + 1, "two events of one version"
        stream.append(new)
        self.stored.append(new)


@dataclass
class MemoryDirectory:
    """`domain.unit.Directory` by looking at every approval, and at every session."""

    approvals: list[Approval]
    super_approvers: list[str]
    sessions: list[Session] = field(default_factory=list)

    def same_but_for_case(self, reply_id: str) -> Sequence[str]:
        return [a.reply_id for a in self.approvals if a.reply_id.lower() == reply_id.lower()]

    def waiting_for(self, userid: str) -> Sequence[str]:
        return [a.reply_id for a in self.approvals if a.ending is None and self._may(userid, a)]

    def addressed_to(self, userid: str, limit: int) -> Sequence[str]:
        return [
            a.reply_id
            for a in self.approvals
            if a.ending is None and userid.lower() in map(str.lower, a.requested.asked)
        ][:limit]

    def lately_asked_or_ended(self, userid: str, since: datetime) -> Sequence[str]:
        return [
            a.reply_id
            for a in self.approvals
            if userid.lower() in {name.lower() for name in a.requested.asked}
            and (a.requested.timestamp >= since or (a.ending is not None and a.ending.at >= since))
        ]

    def sessions_of(self, userid: str, at: datetime) -> Sequence[str]:
        return [
            session_of(session.id)
            for session in self.sessions
            if (session.member(at) or "").lower() == userid.lower()
        ]

    def _may(self, userid: str, approval: Approval) -> bool:
        deciders = {name.lower() for name in [*approval.approvers, *self.super_approvers]}
        return userid.lower() in deciders and not approval.is_requester(userid)


# Commands, with what most tests do not care about filled in.


def ask(at: datetime = NOON, **fields: Any) -> Request:
    """The engine asks zhangsan and lisi, for twenty minutes."""
    usual: dict[str, Any] = {
        "engine": "fta",
        "obj_id": NODE,
        "message": "重启 10.0.0.1 的 nginx",
        "approvers": ["zhangsan", "lisi"],
    }
    return Request(at=at, **{**usual, **fields})


def ask_next(at: datetime = NOON, **fields: Any) -> NextRun:
    """The engine asks by FTA's old API."""
    usual: dict[str, Any] = {
        "engine": "fta",
        "obj_id": NODE,
        "message": "重启 10.0.0.1 的 nginx",
        "approvers": ["zhangsan", "lisi"],
    }
    return NextRun(at=at, **{**usual, **fields})


def says(
    by: str,
    verdict: Verdict | None,
    reply_id: str | None = NODE,
    at: datetime = NOON + timedelta(minutes=1),
    **fields: Any,
) -> Reply:
    """A member writes. The same words at the same moment are the same delivery."""
    word = {APPROVE: "TY", REJECT: "BH", None: "咦"}[verdict]
    words = " ".join(filter(None, [word, reply_id, fields.get("reason")]))
    key = f"{words} {at.isoformat()}"
    usual: dict[str, Any] = {"words": words, "delivery_key": key, "channel": Channel.TEXT}
    return Reply(by=by, verdict=verdict, reply_id=reply_id, at=at, **{**usual, **fields})


def presses(
    by: str,
    verdict: Verdict,
    reply_id: str = NODE,
    at: datetime = NOON + timedelta(minutes=1),
    **fields: Any,
) -> Decide:
    """A member presses a button on a page, having just logged in."""
    usual: dict[str, Any] = {"logged_in_at": at}
    return Decide(by=by, verdict=verdict, reply_id=reply_id, at=at, **{**usual, **fields})


def opens(by: str, reply_id: str = NODE, at: datetime = NOON + timedelta(minutes=1)) -> OpenPage:
    return OpenPage(by=by, reply_id=reply_id, at=at)


def cancels(
    engine: str = "fta",
    reply_id: str = NODE,
    at: datetime = NOON + timedelta(minutes=1),
    reason: str = "告警已恢复",
) -> Cancel:
    return Cancel(engine=engine, reply_id=reply_id, at=at, reason=reason)


def clock(at: datetime, reply_id: str = NODE) -> Expire:
    return Expire(at=at, reply_id=reply_id)


def reached(
    to: str, reply_id: str = NODE, at: datetime = NOON + timedelta(seconds=1), **fields: Any
) -> RecordDelivery:
    """WeCom took the message that asks this member, or another one of that `notice`, or did not."""
    usual: dict[str, Any] = {"notice": f"ask/{same_person(to)}"}
    return RecordDelivery(to=to, stream=approval_stream(reply_id), at=at, **{**usual, **fields})


def taps(
    by: str,
    verdict: Verdict | None,
    reply_id: str = NODE,
    at: datetime = NOON + timedelta(minutes=1),
    **fields: Any,
) -> Reply:
    """A member taps a button of their card, which brings a code that changes the card."""
    usual: dict[str, Any] = {"channel": Channel.CARD, "response_code": f"tap {by} {at.isoformat()}"}
    return says(by, verdict, reply_id, at, **{**usual, **fields})


def pushes(
    at: datetime, attempt: int = 1, problem: str | None = None, **fields: Any
) -> RecordWebhook:
    """What came of one try to push the decision at position 7."""
    usual: dict[str, Any] = {"reply_id": NODE, "delivery": 7}
    return RecordWebhook(at=at, attempt=attempt, problem=problem, **{**usual, **fields})


def redelivers(at: datetime, **fields: Any) -> RedeliverWebhook:
    """Somebody wants it pushed again."""
    usual: dict[str, Any] = {
        "by": "fta",
        "channel": "api",
        "engine": "fta",
        "reply_id": NODE,
        "delivery": 7,
    }
    return RedeliverWebhook(at=at, **{**usual, **fields})


def reminds(at: datetime, reply_id: str = NODE) -> Remind:
    """The clock, when most of the time is over."""
    return Remind(at=at, reply_id=reply_id)


def comes(by: str, at: datetime = NOON + timedelta(minutes=1), **fields: Any) -> Greet:
    """A member opens the application. At the same moment it is the same delivery."""
    return Greet(by=by, at=at, **{"delivery_key": f"came {at.isoformat()}", **fields})


def leaves(by: str, at: datetime = NOON + timedelta(minutes=1), **fields: Any) -> RecordLeaving:
    """A member leaves the application's visible range."""
    return RecordLeaving(by=by, at=at, **{"delivery_key": f"left {at.isoformat()}", **fields})


# What follows from them.


@dataclass(frozen=True)
class Expected:
    kind: type[Event]
    fields: dict[str, Any]


def event(event_class: type[Event], /, **fields: Any) -> Expected:
    """An event of that kind with at least these fields."""
    return Expected(event_class, fields)


@dataclass
class Scenario:
    """What happened so far, and what the last command did."""

    unit: MemoryUnit
    answer: Any = None
    refusal: Refusal | None = None
    happened: list[Event] = field(default_factory=list)

    def and_(self, *commands: Any) -> "Scenario":
        """More of what goes before; none of it is refused."""
        for command in commands:
            self.when(command)
            assert self.refusal is None, f"{command} was refused: {self.refusal!r}"
        return self

    def under(self, *super_approvers: str) -> "Scenario":
        """From now on these are the super approvers."""
        self.unit.super_approvers = list(super_approvers)
        return self

    def when(self, command: Any) -> "Scenario":
        before = len(self.unit.stored)
        self.answer = self.refusal = None
        try:
            self.answer = self.unit.carry_out(command)
        except Refusal as refusal:
            self.refusal = refusal
        self.happened = self.unit.stored[before:]
        return self

    def then(self, *expected: Expected) -> "Scenario":
        """It was done, and exactly these events were stored."""
        assert self.refusal is None, f"refused: {self.refusal!r}"
        self._happened(expected)
        return self

    def then_nothing(self) -> "Scenario":
        """It was taken, and nothing was stored."""
        return self.then()

    def then_refused(self, kind: type[Refusal], *expected: Expected, match: str = "") -> "Scenario":
        """It was turned down, and exactly these events were stored."""
        assert type(self.refusal) is kind, f"not {kind.__name__}: {self.refusal!r}"
        assert re.search(match, str(self.refusal)), str(self.refusal)
        self._happened(expected)
        return self

    def approval(self, reply_id: str = NODE) -> Approval:
        """The approval as its stored events tell it."""
        found = self.unit.replayed(Approval, approval_stream(reply_id))
        assert found is not None, f"no approval {reply_id}"
        return found

    def _happened(self, expected: Sequence[Expected]) -> None:
        kinds = [type(new).__qualname__ for new in self.happened]
        assert kinds == [wanted.kind.__qualname__ for wanted in expected], self.happened
        for new, wanted in zip(self.happened, expected, strict=True):
            told = {name: getattr(new, name) for name in wanted.fields}
            assert told == wanted.fields, new


def given(*commands: Any, super_approvers: Sequence[str] = ()) -> Scenario:
    """A service in which this has happened."""
    return Scenario(MemoryUnit(super_approvers)).and_(*commands)
