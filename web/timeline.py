"""Every event in words, for people; and how an approval ended."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from adapters.wecom.notices import OUTCOMES
from domain.aggregate import Event
from domain.approval import Approval
from domain.configuration import Configuration
from domain.decision import Capacity, Channel, Ending, Status
from domain.identity import same_person
from domain.notifications import BY_CARD, CARD, Way
from domain.text import one_line
from web import happenings
from web.translation import gettext
from web.vocabulary import (
    CHANNEL,
    NOT_REDEEMED,
    REFUSED,
    SAID,
    delivered,
    detail,
    not_delivered,
    people,
    why,
)

HOW_IT_ENDED = {
    Status.APPROVED: "%(who)s 于 %(at)s 通过%(how)s同意",
    Status.REJECTED: "%(who)s 于 %(at)s 通过%(how)s驳回",
    Status.CANCELLED: "%(who)s 于 %(at)s 通过%(how)s撤销",
    Status.REVOKED: "%(who)s 于 %(at)s 通过%(how)s撤销同意",
}


def in_words(event: Event, before: Mapping[str, str | None] | None = None) -> str:
    """
    One event of any kind in one line.

    Args:
        before: Of a change of the settings, what they were until then (happenings.settings_before);
            without it only the new values are told.
    """
    if isinstance(event, Configuration.Changed):
        return happenings.settings_changed(event, before)
    return (WORDS.get(type(event)) or happenings.WORDS[type(event)])(event)


def how_it_ended(approval: Approval, member: str, show: Callable[[datetime], str]) -> str | None:
    """
    Who ended it, when and how, in one line without the reason; None while it is pending.

    Args:
        member: Who reads this, and is told what they did themselves as such.
    """
    ending = approval.ending
    if ending is None:
        return None
    if ending.via is Channel.SHELL:
        return gettext("%(at)s 因服务从备份恢复而撤销") % {"at": show(ending.at)}
    if ending.status is Status.EXPIRED or ending.by is None:
        return gettext("%(at)s 到期，无人作出决定") % {"at": show(ending.at)}
    return gettext(HOW_IT_ENDED[ending.status]) % {
        "who": _who(ending, member),
        "at": show(ending.at),
        "how": gettext(CHANNEL[ending.via]),
    }


def execution(approval: Approval, now: datetime, show: Callable[[datetime], str]) -> str | None:
    """What the engine has made of an approval, in one line; None where it is not one."""
    permit, outcome = approval.permit, approval.outcome
    if outcome is not None:
        what = {"what": gettext(OUTCOMES[outcome.outcome]), "at": show(outcome.timestamp)}
        return gettext("%(what)s，%(at)s 报告") % what + detail(outcome.detail)
    if approval.redeemed is not None:
        at = show(approval.redeemed.timestamp)
        return gettext("执行方已于 %(at)s 领取执行许可") % {"at": at}
    if permit is None or approval.status is not Status.APPROVED:
        return None
    until = {"at": show(permit.expires_at)}
    if permit.is_expired(now):
        return gettext("执行许可已于 %(at)s 过期，执行方没有领取") % until
    return gettext("执行方尚未领取执行许可，许可有效至 %(at)s") % until


def _who(ending: Ending, member: str) -> str:
    is_a_person = ending.via is not Channel.API  # an engine may bear the name of a member
    if is_a_person and same_person(ending.by or "") == same_person(member):
        return gettext("您")
    by = ending.by or ""
    is_super = ending.capacity is Capacity.SUPER_APPROVER
    return gettext("%(who)s（审批管理员）") % {"who": by} if is_super else by


def _requested(event: Any) -> str:
    about = {"engine": event.engine, "who": people(event.approvers)}
    return gettext("%(engine)s 发起审批，审批人: %(who)s") % about


def _notified(event: Any) -> str:
    return delivered(event.notice, event.to, _as_what(event))


def _as_what(event: Any) -> str:
    """How it was shown, where that says something."""
    if event.way == Way.DIGEST:
        return gettext("（汇总消息）")
    is_card = event.way in BY_CARD and not event.notice.startswith(CARD)
    card = gettext("（卡片）") if is_card else ""
    return card + (gettext("（内容较长，未显示完）") if event.cut else "")


def _not_notified(event: Any) -> str:
    return not_delivered(event.notice, event.to, event.problem, unreachable=event.unreachable)


def _became_unreachable(event: Any) -> str:
    return gettext("%(to)s 已离开应用的可见范围，无法再收到消息") % {"to": event.to}


def _nobody_reached(event: Any) -> str:
    return gettext("审批人均无法收到消息，已告知审批管理员")


def _reminded(event: Any) -> str:
    return gettext("时间已过大半，提醒审批人")


def _opened(event: Any) -> str:
    return gettext("%(who)s 打开了详情") % {"who": event.by}


def _replied(event: Any) -> str:
    how = gettext(CHANNEL[Channel(event.channel)])
    said = gettext(SAID[event.verdict]) % {"who": event.by, "how": how}
    if event.channel == Channel.TEXT.value:
        said += f": “{one_line(event.words)}”"
    if event.repeated:
        return gettext("%(said)s（重复，不变）") % {"said": said}
    if not event.refusal:
        return said
    because = gettext(REFUSED.get(event.refusal, event.refusal))
    return gettext("%(said)s（未生效: %(because)s）") % {"said": said, "because": because}


def _decided(event: Any) -> str:
    text = "已同意，由 %(who)s（%(capacity)s）决定"
    if isinstance(event, Approval.Rejected):
        text = "已驳回，由 %(who)s（%(capacity)s）决定"
    said = gettext(text) % {"who": event.by, "capacity": _capacity(event)}
    if event.batch:
        said += gettext("，与其他审批单一起（批次 %(batch)s）") % {"batch": event.batch[:8]}
    return said + _opinion(event)


def _revoked(event: Any) -> str:
    about = {"who": event.by, "capacity": _capacity(event)}
    return gettext("%(who)s（%(capacity)s）撤销了同意") % about + _opinion(event)


def _capacity(event: Any) -> str:
    return gettext("审批管理员" if event.capacity == "super-approver" else "审批人")


def _opinion(event: Any) -> str:
    return gettext("，意见: %(reason)s") % {"reason": why(event.reason)} if event.reason else ""


def _redeemed(event: Any) -> str:
    about = {"who": event.by, "attempt": one_line(event.attempt)}
    return gettext("%(who)s 领取了执行许可（执行编号 %(attempt)s）") % about


def _not_redeemed(event: Any) -> str:
    because = gettext(NOT_REDEEMED.get(event.refusal, event.refusal))
    about = {"who": event.by, "attempt": one_line(event.attempt), "because": because}
    return gettext("%(who)s 未能领取执行许可（执行编号 %(attempt)s）: %(because)s") % about


def _outcome(event: Any) -> str:
    about = {"who": event.by, "what": gettext(OUTCOMES[event.outcome])}
    return gettext("%(who)s 报告%(what)s") % about + detail(event.detail)


def _expired(event: Any) -> str:
    return gettext("已超时，无人作出决定")


def _cancelled(event: Any) -> str:
    if event.channel == Channel.SHELL.value:
        return gettext("服务从备份恢复，审批已撤销（%(who)s）") % {"who": event.by}
    about = {"who": event.by, "reason": why(event.reason)}
    return gettext("%(who)s 撤销了审批，原因: %(reason)s") % about


def _webhook_delivered(event: Any) -> str:
    return gettext("结论已推送到回调地址（第 %(attempt)s 次）") % {"attempt": event.attempt}


def _webhook_failed(event: Any) -> str:
    about = {"attempt": event.attempt, "problem": one_line(event.problem)}
    # Without an attempt it was withheld, by a restore.
    text = (
        "结论推送失败（第 %(attempt)s 次）: %(problem)s"
        if event.attempt
        else "结论未推送: %(problem)s"
    )
    failed = gettext(text) % about
    return failed if event.retry_at is not None else failed + gettext("；不再重试，可手动重新推送")


def _webhook_requeued(event: Any) -> str:
    return gettext("%(who)s 要求重新推送结论") % {"who": event.by}


WORDS = {
    Approval.Requested: _requested,
    Approval.Notified: _notified,
    Approval.NotificationFailed: _not_notified,
    Approval.BecameUnreachable: _became_unreachable,
    Approval.NobodyReached: _nobody_reached,
    Approval.Reminded: _reminded,
    Approval.Opened: _opened,
    Approval.Replied: _replied,
    Approval.Approved: _decided,
    Approval.Rejected: _decided,
    Approval.Expired: _expired,
    Approval.Cancelled: _cancelled,
    Approval.Revoked: _revoked,
    Approval.Redeemed: _redeemed,
    Approval.RedemptionRefused: _not_redeemed,
    Approval.OutcomeReported: _outcome,
    Approval.WebhookDelivered: _webhook_delivered,
    Approval.WebhookFailed: _webhook_failed,
    Approval.WebhookRequeued: _webhook_requeued,
}
