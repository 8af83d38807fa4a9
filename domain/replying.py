"""A reply: where it belongs, whether it decides, and what keeps it from deciding.

What the words say was read before (adapters/wecom/words.py); what they mean is settled here, inside
the writer (docs/decisions/0005-what-a-reply-means.md).
"""

from datetime import timedelta
from typing import Any

from domain import commands, errors, identity
from domain.approval import Approval
from domain.approvers import Answer
from domain.decision import Channel, Risk, Verdict
from domain.unit import Directory, Unit, is_super_approver

# A reply without an id counts only if nothing else was asked of the member, or ended, so lately
# that they may have meant that (contract 5).
QUIET_BEFORE_NAMELESS = timedelta(minutes=10)
# Of a reason, how many words are looked up as ids: a text has room for hundreds.
LOOKED_UP_WORDS = 20
KEPT_SUGGESTIONS = 10
ANOTHER_CARD = "another-card"


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
        may_decide_all=is_super_approver(command.by, unit),
        frozen=unit.freeze().in_force,
        terms=unit.permit_terms(),
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
