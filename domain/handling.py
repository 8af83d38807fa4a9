"""How each command is carried out: what it loads, which aggregate decides, what it answers.

Runs inside the one writer (adapters/store/writer.py): everything that one command triggers is
saved in one transaction, together with its neighbours.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from domain import commands, errors, identity
from domain.approval import Approval
from domain.approvers import Answer
from domain.decision import Channel, Risk, Verdict
from domain.identity import same_person
from domain.inbox import Inbox
from domain.installation import Installation
from domain.session import Session, session_stream

# A reply without an id counts only if nothing else was asked of the member, or ended, so lately
# that they may have meant that (contract 5).
QUIET_BEFORE_NAMELESS = timedelta(minutes=10)
# Of a reason, how many words are looked up as ids: a text has room for hundreds.
LOOKED_UP_WORDS = 20
KEPT_SUGGESTIONS = 10
LEFT_VISIBLE_RANGE = "left-visible-range"
ANOTHER_CARD = "another-card"
GREETED_AT_MOST_EVERY = timedelta(hours=1)
# Whose deliveries the states of logins are; no userid is empty.
NOBODY = ""


class Directory(Protocol):
    """What only a read model knows, as of the last event recorded before this command."""

    def same_but_for_case(self, reply_id: str) -> Sequence[str]:
        """Reply ids of all approvals ever that differ from this one in case at most."""

    def waiting_for(self, userid: str) -> Sequence[str]:
        """Reply ids of pending approvals that this member may decide, most urgent first."""

    def addressed_to(self, userid: str) -> Sequence[str]:
        """Reply ids of pending approvals that this member was asked about."""

    def lately_asked_or_ended(self, userid: str, since: datetime) -> Sequence[str]:
        """Reply ids of approvals addressed to the member and asked or ended at or after `since`."""

    def sessions_of(self, userid: str, at: datetime) -> Sequence[str]:
        """The member's sessions that are open at that moment."""


class Unit(Protocol):
    """The unit of work of one command: what it may load, and what it leaves to be saved."""

    super_approvers: list[str]

    def approval(self, reply_id: str) -> Approval | None:
        """The approval of that name, as of this moment."""

    def runs(self, obj_id: str) -> list[Approval]:
        """Every run of that node, lowest first."""

    def by_stream(self, stream: str) -> Approval | Inbox | None:
        """Whatever has that stream."""

    def inbox(self, userid: str, at: datetime) -> Inbox:
        """The member's inbox of that day, new if there is none."""

    def session(self, session: str) -> Session | None:
        """The session of that name."""

    def add(self, aggregate: Approval | Inbox | Session | Installation) -> None:
        """Have a new aggregate saved."""

    def is_repeated_delivery(self, userid: str, delivery_key: str) -> bool:
        """Whether this member's message came before, through whichever process; if not, it has
        come now."""

    def directory(self) -> Directory:
        """The read models, caught up. May make the writer run this command again by itself."""


def request_approval(command: commands.RequestApproval, unit: Unit) -> tuple[Approval, bool]:
    """The approval, and whether it is new."""
    existing = unit.approval(identity.reply_id(command.obj_id, command.run))
    if existing is not None:
        if not existing.is_same_request(command):
            raise errors.ConflictingRequest(existing.reply_id)
        return existing, False
    return _open(command, unit, "api"), True


def request_next_run(command: commands.RequestNextRun, unit: Unit) -> Approval:
    """FTA's old API: the pending approval of this node if it is the same, else the next run."""
    runs = unit.runs(command.obj_id)
    if runs:
        runs[-1].expire(command.at)
    if runs and runs[-1].ending is None:
        return _same_pending(runs[-1], command)
    request = commands.RequestApproval(
        at=command.at,
        engine=command.engine,
        obj_id=command.obj_id,
        run=runs[-1].requested.run + 1 if runs else 1,
        message=command.message,
        approvers=command.approvers,
        callback_url=command.callback_url,
    )
    return _open(request, unit, "fta")


def _same_pending(pending: Approval, command: commands.RequestNextRun) -> Approval:
    first = pending.requested
    same_people = {same_person(userid) for userid in first.approvers} == {
        same_person(userid) for userid in command.approvers
    }
    if first.engine != command.engine or first.message != command.message or not same_people:
        raise errors.ConflictingRequest(pending.reply_id)
    return pending


def _open(command: commands.RequestApproval, unit: Unit, channel: str) -> Approval:
    approval = Approval.request(command, unit.super_approvers, channel)
    _supersede_lower_runs(command, unit)
    unit.add(approval)
    return approval


def _supersede_lower_runs(command: commands.RequestApproval, unit: Unit) -> None:
    for lower in unit.runs(command.obj_id):
        if lower.requested.run < command.run and lower.requested.engine == command.engine:
            lower.expire(command.at)
            if lower.ending is None:
                lower.cancel(command.engine, f"superseded by run {command.run}", command.at)


def reply(command: commands.Reply, unit: Unit) -> None:
    """Keep the reply where it belongs, and let it decide if it does. A repeat does nothing."""
    if unit.is_repeated_delivery(command.by, command.delivery_key):
        return
    about: dict[str, Any] = {"delivery_key": command.delivery_key, "sent_at": command.sent_at}
    try:
        approval = _approval_named_by(command, unit)
    except errors.Refusal as refusal:
        _keep_in_inbox(command, refusal, unit, about)
        raise
    doubt = command.doubt or _doubt_about_card(command, approval)
    if doubt != ANOTHER_CARD:  # its code would change the card of something else
        about["response_code"] = command.response_code
    doubt = doubt or _doubt_about_reason(command, unit)
    if doubt is not None or command.verdict is None:
        undecided = errors.NothingDecided(doubt or "unreadable")
        approval.refuse(
            undecided,
            command.at,
            by=command.by,
            words=command.words,
            channel=command.channel.value,
            verdict=command.verdict.value if command.verdict else None,
            reason=command.reason,
            **about,
        )
        raise undecided
    approval.answer(_answer(command, unit), command.at, **about)


def _doubt_about_card(command: commands.Reply, approval: Approval) -> str | None:
    """Button and card have to name the same approval, and the card be this member's."""
    if command.channel is not Channel.CARD or command.card == approval.card_name(command.by):
        return None
    return ANOTHER_CARD


def _doubt_about_reason(command: commands.Reply, unit: Unit) -> str | None:
    """An id of letters alone looks like a word: `TY alpha beta` may mean two approvals."""
    if command.verdict is not Verdict.APPROVE or not command.reason:
        return None
    words = [word for word in command.reason.split() if identity.OBJ_ID.fullmatch(word)]
    is_id = any(unit.approval(word) is not None for word in words[:LOOKED_UP_WORDS])
    return "several-ids" if is_id else None


def _answer(command: commands.Reply, unit: Unit) -> Answer:
    assert command.verdict is not None  # noqa: S101  # asked by the caller
    return Answer(
        by=command.by,
        verdict=command.verdict,
        channel=command.channel,
        words=command.words,
        reason=command.reason,
        named=command.reply_id is not None,
        may_decide_all=_is_super_approver(command.by, unit),
    )


def _keep_in_inbox(
    command: commands.Reply, refusal: errors.Refusal, unit: Unit, about: dict[str, Any]
) -> None:
    unit.inbox(command.by, command.at).receive(
        command.at,
        by=command.by,
        words=command.words,
        channel=command.channel.value,
        refusal=refusal.code,
        verdict=command.verdict.value if command.verdict else None,
        reply_id=command.reply_id,
        suggestions=list(getattr(refusal, "suggestions", ()))[:KEPT_SUGGESTIONS],
        **about,
    )


def _approval_named_by(command: commands.Reply, unit: Unit) -> Approval:
    """
    The one approval that these words mean.

    Raises:
        NothingDecided, UnknownApproval, UnclearWhich: None, or it is not certain which.
    """
    if command.reply_id is not None:
        return _by_id(command, command.reply_id, unit)
    if command.doubt is not None or command.verdict is None:
        raise errors.NothingDecided(command.doubt or "unreadable")
    return _without_id(command, unit)


def _by_id(command: commands.Reply, reply_id: str, unit: Unit) -> Approval:
    exact = unit.approval(reply_id)
    if exact is not None:
        return exact
    if command.channel is Channel.CARD:  # nobody mistypes a button
        raise errors.UnknownApproval(reply_id)
    directory = unit.directory()
    similar = directory.same_but_for_case(reply_id)
    found = unit.approval(similar[0]) if len(similar) == 1 else None
    if found is None:
        raise errors.UnknownApproval(reply_id, directory.waiting_for(command.by))
    return found


def _without_id(command: commands.Reply, unit: Unit) -> Approval:
    directory = unit.directory()
    waiting = list(directory.waiting_for(command.by))
    approval = unit.approval(waiting[0]) if len(waiting) == 1 else None
    if approval is None or not _must_be_meant(approval, command, directory):
        raise errors.UnclearWhich(waiting)
    return approval


def _must_be_meant(approval: Approval, command: commands.Reply, directory: Directory) -> bool:
    reached_at = approval.notifications.reached_at(command.by)
    lately = directory.lately_asked_or_ended(command.by, command.at - QUIET_BEFORE_NAMELESS)
    return (
        reached_at is not None
        and reached_at < command.at
        and approval.risk is not Risk.HIGH
        and set(lately) <= {approval.reply_id}
    )


def decide(command: commands.Decide, unit: Unit) -> Approval:
    """The approval after the decision; who may not even see it hears that there is none."""
    approval = _known(command.reply_id, unit)
    answer = Answer(
        by=command.by,
        verdict=command.verdict,
        channel=Channel.WEB,
        words=command.verdict.value,
        reason=command.reason,
        from_list=command.from_list,
        login_age=command.at - command.logged_in_at,
        may_decide_all=_is_super_approver(command.by, unit),
    )
    approval.answer(answer, command.at)
    return approval


def open_page(command: commands.OpenPage, unit: Unit) -> Approval:
    """The approval, its opening remembered where a rule depends on it."""
    approval = _known(command.reply_id, unit)
    approval.open_page(command.by, command.at)
    return approval


def cancel(command: commands.Cancel, unit: Unit) -> Approval:
    """The cancelled approval; another engine hears that there is none."""
    approval = _known(command.reply_id, unit)
    if approval.requested.engine != command.engine:
        raise errors.UnknownApproval(command.reply_id)
    approval.cancel(command.engine, command.reason, command.at)
    return approval


def expire(command: commands.Expire, unit: Unit) -> None:
    """End it if the deadline has passed and nobody did before."""
    _known(command.reply_id, unit).expire(command.at)


def remind(command: commands.Remind, unit: Unit) -> None:
    """Remind whoever was asked, if it is time and nothing has ended it."""
    _known(command.reply_id, unit).remind(command.at)


def greet(command: commands.Greet, unit: Unit) -> None:
    """Have a member told what waits for them, unless they were within the hour."""
    if unit.is_repeated_delivery(command.by, command.delivery_key):
        return
    if _was_greeted_lately(command, unit):
        return
    if unit.directory().waiting_for(command.by):
        unit.inbox(command.by, command.at).greet(command.by, command.at)


def _was_greeted_lately(command: commands.Greet, unit: Unit) -> bool:
    """Also yesterday; also tomorrow, by a clock that was set back over midnight since."""
    lately, soon = command.at - GREETED_AT_MOST_EVERY, command.at + GREETED_AT_MOST_EVERY
    days = {identity.inbox_stream(command.by, at) for at in (lately, command.at, soon)}
    inboxes = [unit.by_stream(stream) for stream in sorted(days)]
    return any(isinstance(i, Inbox) and i.was_greeted_after(lately) for i in inboxes)


def record_leaving(command: commands.RecordLeaving, unit: Unit) -> list[Approval]:
    """
    End the member's sessions, and have every approval know that they are out of reach.

    Returns:
        The approvals of which nobody who may decide them can be told any more.
    """
    if unit.is_repeated_delivery(command.by, command.delivery_key):
        return []
    left = [_known(reply_id, unit) for reply_id in unit.directory().addressed_to(command.by)]
    for approval in left:
        approval.lose_member(command.by, command.at)
    _end_sessions(command.by, LEFT_VISIBLE_RANGE, command.at, unit)
    return [approval for approval in left if approval.nobody_reached]


def record_delivery(command: commands.RecordDelivery, unit: Unit) -> Approval | Inbox:
    """Record what became of a message; whatever it was about, as it is now."""
    aggregate = unit.by_stream(command.stream)
    if aggregate is None:
        raise errors.UnknownApproval(command.stream)
    aggregate.record_delivery(command)
    return aggregate


def open_session(command: commands.OpenSession, unit: Unit) -> None:
    """Begin a session in place of the browser's earlier one; a state opens one session only."""
    if command.state and unit.is_repeated_delivery(NOBODY, f"login:{command.state}"):
        raise errors.LoginUsed
    earlier = unit.session(command.replaces) if command.replaces else None
    if earlier is not None:
        earlier.end(command.at, "logged-in-again")
    session = Session(session_stream(command.session))
    session.open(command.by, command.expires_at, command.at)
    unit.add(session)


def end_session(command: commands.EndSession, unit: Unit) -> None:
    """End a session; one that is unknown has ended already."""
    session = unit.session(command.session)
    if session is not None:
        session.end(command.at, command.why)


def end_sessions_of(command: commands.EndSessionsOf, unit: Unit) -> int:
    """End every open session of a member, in whichever browser; how many there were."""
    return _end_sessions(command.by, command.why, command.at, unit)


def _end_sessions(userid: str, why: str | None, at: datetime, unit: Unit) -> int:
    found = [unit.session(name) for name in unit.directory().sessions_of(userid, at)]
    sessions = [session for session in found if session is not None and not session.ended]
    for session in sessions:
        session.end(at, why)
    return len(sessions)


def _known(reply_id: str, unit: Unit) -> Approval:
    approval = unit.approval(reply_id)
    if approval is None:
        raise errors.UnknownApproval(reply_id)
    return approval


def _is_super_approver(userid: str, unit: Unit) -> bool:
    return same_person(userid) in {same_person(name) for name in unit.super_approvers}


HANDLERS: dict[type, Callable[[Any, Unit], Any]] = {
    commands.RequestApproval: request_approval,
    commands.RequestNextRun: request_next_run,
    commands.Reply: reply,
    commands.Decide: decide,
    commands.OpenPage: open_page,
    commands.Cancel: cancel,
    commands.Expire: expire,
    commands.Remind: remind,
    commands.Greet: greet,
    commands.RecordLeaving: record_leaving,
    commands.RecordDelivery: record_delivery,
    commands.OpenSession: open_session,
    commands.EndSession: end_session,
    commands.EndSessionsOf: end_sessions_of,
}
