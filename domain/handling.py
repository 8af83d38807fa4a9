"""How each command is carried out: what it loads, which aggregate decides, what it answers.

Runs inside the one writer (adapters/store/writer.py): everything that one command triggers is
saved in one transaction, together with its neighbours.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from domain import commands, errors, identity
from domain.approval import Approval
from domain.approvers import Answer
from domain.configuration import Configuration, link_holder
from domain.decision import Channel, Verdict
from domain.freeze import Freeze
from domain.identity import same_person
from domain.inbox import Inbox
from domain.redeeming import Redemption
from domain.replying import reply
from domain.session import Session, session_stream
from domain.unit import Unit, is_super_approver

LEFT_VISIBLE_RANGE = "left-visible-range"
# Of a super approver whom everything was sent to, more than this would keep the writer from others;
# that they are gone is known of the rest with the next message to them.
LOST_AT_ONCE = 2000
GREETED_AT_MOST_EVERY = timedelta(hours=1)
# Whose deliveries the states of logins are; no userid is empty.
NOBODY = ""


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
        batch=command.batch,
        login_age=command.at - command.logged_in_at,
        may_decide_all=is_super_approver(command.by, unit),
        frozen=unit.freeze().in_force,
        terms=unit.permit_terms(),
    )
    approval.answer(answer, command.at)
    return approval


def revoke(command: commands.Revoke, unit: Unit) -> Approval:
    """The approval after its approver took it back; a stranger hears that there is none."""
    approval = _known(command.reply_id, unit)
    person = Answer(
        by=command.by,
        verdict=Verdict.REJECT,
        channel=Channel.WEB,
        words="revoke",
        reason=command.reason,
        may_decide_all=is_super_approver(command.by, unit),
    )
    approval.revoke(person, command.at)
    return approval


def redeem(command: commands.Redeem, unit: Unit) -> Approval:
    """The approval that the engine may act on now; a refusal is recorded."""
    approval = unit.approval(command.reply_id)
    permit = approval.permit if approval is not None else None
    if approval is None or permit is None or permit.claims() != command.permit:
        raise errors.BadPermit
    if approval.requested.engine != command.engine:
        raise errors.BadPermit
    approval.redeem(
        Redemption(
            at=command.at,
            by=command.engine,
            attempt=command.attempt,
            action_digest=command.action_digest,
            frozen=unit.freeze().in_force,
        )
    )
    return approval


def report_outcome(command: commands.ReportOutcome, unit: Unit) -> Approval:
    """The approval with its outcome; another engine hears that there is none."""
    approval = _known(command.reply_id, unit)
    if approval.requested.engine != command.engine:
        raise errors.UnknownApproval(command.reply_id)
    approval.report(command.engine, command.outcome, command.detail, command.at)
    return approval


def freeze_approvals(command: commands.FreezeApprovals, unit: Unit) -> Freeze:
    """Stop approving; as it is now."""
    freeze = unit.freeze()
    if freeze.version == 0:
        unit.add(freeze)
    freeze.freeze(command.by, command.why, command.at)
    return freeze


def thaw_approvals(command: commands.ThawApprovals, unit: Unit) -> Freeze:
    """Let approving go on; as it is now."""
    freeze = unit.freeze()
    freeze.thaw(command.by, command.at)
    return freeze


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
    names = unit.directory().addressed_to(command.by, LOST_AT_ONCE)
    left = [_known(reply_id, unit) for reply_id in names]
    for approval in left:
        approval.lose_member(command.by, command.at)
    _end_sessions(command.by, LEFT_VISIBLE_RANGE, command.at, unit)
    return [approval for approval in left if approval.nobody_reached]


def record_delivery(
    command: commands.RecordDelivery, unit: Unit
) -> Approval | Inbox | Configuration:
    """Record what became of a message; whatever it was about, as it is now."""
    aggregate = unit.by_stream(command.stream)
    if aggregate is None:
        raise errors.UnknownApproval(command.stream)
    aggregate.record_delivery(command)
    return aggregate


def record_webhook(command: commands.RecordWebhook, unit: Unit) -> Approval:
    """The approval, with what came of pushing its decision."""
    approval = _known(command.reply_id, unit)
    approval.record_webhook(command)
    return approval


def redeliver_webhook(command: commands.RedeliverWebhook, unit: Unit) -> Approval:
    """The approval, its decision on its way again; another engine hears that there is none."""
    approval = unit.approval(command.reply_id)
    if approval is None or command.engine not in (None, approval.requested.engine):
        raise errors.UnknownWebhook(command.delivery)
    approval.redeliver_webhook(command)
    return approval


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


def change_settings(command: commands.ChangeSettings, unit: Unit) -> Configuration:
    """The configuration with the change; who has not seen what is in force changes nothing."""
    configuration = _configuration(unit)
    configuration.change(command.change, command.revision, command.by, command.via, command.at)
    return configuration


def find_environment(command: commands.FindEnvironment, unit: Unit) -> Configuration:
    """Record where the environment differs from that of the last start."""
    configuration = _configuration(unit)
    configuration.find_environment(command.found, command.at)
    return configuration


def offer_link(command: commands.OfferLink, unit: Unit) -> bool:
    """Whether it leads to the configuration page from now on, and the one before no more."""
    configuration = _configuration(unit)
    if command.only_without_admins and configuration.has_admins():
        return False
    configuration.offer_link(command.link, command.expires_at, command.by, command.at)
    return True


def use_link(command: commands.UseLink, unit: Unit) -> None:
    """Use it up, and begin the session of who has it."""
    holder = link_holder(command.link)
    _configuration(unit).use_link(command.link, holder, command.at)
    session = Session(session_stream(command.session))
    session.open(holder, command.expires_at, command.at)
    unit.add(session)


def record_search(command: commands.RecordSearch, unit: Unit) -> None:
    """Keep who looked for what."""
    audit = unit.audit(command.by, command.at)
    audit.search(command.by, command.via, command.wanted, command.at)


def record_look(command: commands.RecordLook, unit: Unit) -> None:
    """Keep who opened what."""
    audit = unit.audit(command.by, command.at)
    audit.open(command.by, command.via, command.reply_id, command.at)


def record_export(command: commands.RecordExport, unit: Unit) -> None:
    """Keep who takes what away."""
    unit.audit(command.by, command.at).export(
        command.by,
        command.via,
        command.what,
        command.wanted,
        command.form,
        command.at,
        pseudonyms=command.pseudonyms,
    )


def record_verification(command: commands.RecordVerification, unit: Unit) -> None:
    """Keep who found the history to be as it was recorded, or not."""
    unit.audit(command.by, command.at).verify(
        command.by,
        command.via,
        command.at,
        tree_size=command.tree_size,
        position=command.position,
        root_hash=command.root_hash,
        problem=command.problem,
    )


def _configuration(unit: Unit) -> Configuration:
    configuration = unit.configuration()
    if configuration.version == 0:
        unit.add(configuration)
    return configuration


def _known(reply_id: str, unit: Unit) -> Approval:
    approval = unit.approval(reply_id)
    if approval is None:
        raise errors.UnknownApproval(reply_id)
    return approval


HANDLERS: dict[type, Callable[[Any, Unit], Any]] = {
    commands.RequestApproval: request_approval,
    commands.RequestNextRun: request_next_run,
    commands.Reply: reply,
    commands.Decide: decide,
    commands.OpenPage: open_page,
    commands.Revoke: revoke,
    commands.Redeem: redeem,
    commands.ReportOutcome: report_outcome,
    commands.FreezeApprovals: freeze_approvals,
    commands.ThawApprovals: thaw_approvals,
    commands.Cancel: cancel,
    commands.Expire: expire,
    commands.Remind: remind,
    commands.Greet: greet,
    commands.RecordLeaving: record_leaving,
    commands.RecordDelivery: record_delivery,
    commands.RecordWebhook: record_webhook,
    commands.RedeliverWebhook: redeliver_webhook,
    commands.OpenSession: open_session,
    commands.EndSession: end_session,
    commands.EndSessionsOf: end_sessions_of,
    commands.ChangeSettings: change_settings,
    commands.FindEnvironment: find_environment,
    commands.OfferLink: offer_link,
    commands.UseLink: use_link,
    commands.RecordSearch: record_search,
    commands.RecordLook: record_look,
    commands.RecordExport: record_export,
    commands.RecordVerification: record_verification,
}
