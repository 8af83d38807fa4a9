"""Every event of an approval in words, for people; and how it ended."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from adapters.wecom.messages import ENDED, HOW, in_chinese
from adapters.wecom.notices import OUTCOMES
from domain.aggregate import Event
from domain.approval import Approval
from domain.decision import Capacity, Channel, Ending, Status
from domain.identity import same_person
from domain.notifications import BY_CARD, CARD, Way
from domain.text import one_line
from projections.outbox import Kind, kind_of

REFUSED = {
    "not-an-approver": "不是审批人",
    "own-request": "发起人不能审批",
    "already-decided": "此前已有结论",
    "high-risk-needs-its-page": "高风险操作需写明编号或打开详情",
    "login-too-old": "高风险操作需重新确认身份",
    "open-it-first": "内容未能完整显示，需先打开详情",
    "question": "像是在提问",
    "hesitation": "像是还有疑虑",
    "several-ids": "写了不止一个编号",
    "stale": "到达时间异常",
    "another-card": "不是这次审批的卡片",
    "unreadable": "未能理解",
    "frozen": "审批已冻结",
}
DELIVERED = {
    Kind.ASK: "已发送给",
    Kind.REMIND: "已提醒",
    Kind.ALARM: "已请求协助",
    Kind.END: "已告知结果",
    Kind.RESULT: "已告知发起人结果",
    Kind.REVOKED: "已告知撤销",
    Kind.OUTCOME: "已告知执行结果",
    Kind.ANSWER: "已答复",
    Kind.GREET: "已问候",
    Kind.CARD: "已更新卡片",
}
ABOUT = {
    Kind.ASK: "",
    Kind.REMIND: "提醒",
    Kind.ALARM: "协助请求",
    Kind.END: "结果",
    Kind.RESULT: "结果",
    Kind.REVOKED: "撤销消息",
    Kind.OUTCOME: "执行结果",
    Kind.ANSWER: "答复",
    Kind.GREET: "问候",
    Kind.CARD: "卡片更新",
}
NOT_REDEEMED = {
    "action-differs": "要执行的操作与批准的不同",
    "frozen": "审批已冻结",
    "revoked": "同意已被撤销",
    "already-redeemed": "许可已被另一次执行领取",
    "permit-expired": "许可已过期",
}
VERDICT = {"approve": "同意", "reject": "驳回", None: "回复"}


def in_words(event: Event) -> str:
    """One event in one line."""
    return WORDS[type(event)](event)


def how_it_ended(approval: Approval, member: str, show: Callable[[datetime], str]) -> str | None:
    """
    Who ended it, when and how, in one line without the reason; None while it is pending.

    Args:
        member: Who reads this, and is told what they did themselves as such.
    """
    ending = approval.ending
    if ending is None:
        return None
    if ending.status is Status.EXPIRED or ending.by is None:
        return f"{show(ending.at)} 到期，无人作出决定"
    who = _who(ending, member)
    how = f"通过{HOW[ending.via]}" if ending.via in HOW else ""
    return f"{who} 于 {show(ending.at)} {how}{ENDED[ending.status]}"


def execution(approval: Approval, now: datetime, show: Callable[[datetime], str]) -> str | None:
    """What the engine has made of an approval, in one line; None where it is not one."""
    permit, outcome = approval.permit, approval.outcome
    if outcome is not None:
        detail = f": {one_line(outcome.detail)}" if outcome.detail else ""
        return f"{OUTCOMES[outcome.outcome]}，{show(outcome.timestamp)} 报告{detail}"
    if approval.redeemed is not None:
        return f"执行方已于 {show(approval.redeemed.timestamp)} 领取执行许可"
    if permit is None or approval.status is not Status.APPROVED:
        return None
    if permit.is_expired(now):
        return f"执行许可已于 {show(permit.expires_at)} 过期，执行方没有领取"
    return f"执行方尚未领取执行许可，许可有效至 {show(permit.expires_at)}"


def _who(ending: Ending, member: str) -> str:
    is_a_person = ending.via is not Channel.API  # an engine may bear the name of a member
    if is_a_person and same_person(ending.by or "") == same_person(member):
        return "您"
    as_what = "（审批管理员）" if ending.capacity is Capacity.SUPER_APPROVER else ""
    return f"{ending.by}{as_what}"


def why(reason: str | None) -> str:
    """The reason on one line, and in the reader's language where it is one of ours."""
    return one_line(in_chinese(reason or ""))


def _requested(event: Any) -> str:
    return f"{event.engine} 发起审批，审批人: {'、'.join(event.approvers)}"


def _notified(event: Any) -> str:
    return f"{DELIVERED[kind_of(event.notice)]} {event.to}{_as_what(event)}"


def _as_what(event: Any) -> str:
    """How it was shown, where that says something."""
    if event.way == Way.DIGEST:
        return "（汇总消息）"
    card = "（卡片）" if event.way in BY_CARD and not event.notice.startswith(CARD) else ""
    return card + ("（内容较长，未显示完）" if event.cut else "")


def _not_notified(event: Any) -> str:
    what = "无法送达" if event.unreachable else "发送失败"
    about = ABOUT[kind_of(event.notice)]
    return f"{about}{what} {event.to}: {one_line(event.problem)}"


def _became_unreachable(event: Any) -> str:
    return f"{event.to} 已离开应用的可见范围，无法再收到消息"


def _nobody_reached(event: Any) -> str:
    return "审批人均无法收到消息，已告知审批管理员"


def _reminded(event: Any) -> str:
    return "时间已过大半，提醒审批人"


def _opened(event: Any) -> str:
    return f"{event.by} 打开了详情"


def _replied(event: Any) -> str:
    how = HOW[Channel(event.channel)]
    said = f"{event.by} 通过{how}{VERDICT[event.verdict]}"
    if event.channel == Channel.TEXT.value:
        said += f": “{one_line(event.words)}”"
    if event.repeated:
        return f"{said}（重复，不变）"
    return (
        f"{said}（未生效: {REFUSED.get(event.refusal, event.refusal)}）" if event.refusal else said
    )


def _decided(event: Any) -> str:
    ended = ENDED["approved"] if isinstance(event, Approval.Approved) else ENDED["rejected"]  # type: ignore[index]  # a StrEnum equals its value
    together = f"，与其他审批单一起（批次 {event.batch[:8]}）" if event.batch else ""
    return f"已{ended}，由 {event.by}（{_capacity(event)}）决定{together}{_opinion(event)}"


def _revoked(event: Any) -> str:
    return f"{event.by}（{_capacity(event)}）撤销了同意{_opinion(event)}"


def _capacity(event: Any) -> str:
    return "审批管理员" if event.capacity == "super-approver" else "审批人"


def _opinion(event: Any) -> str:
    return f"，意见: {why(event.reason)}" if event.reason else ""


def _redeemed(event: Any) -> str:
    return f"{event.by} 领取了执行许可（执行编号 {one_line(event.attempt)}）"


def _not_redeemed(event: Any) -> str:
    because = NOT_REDEEMED.get(event.refusal, event.refusal)
    return f"{event.by} 未能领取执行许可（执行编号 {one_line(event.attempt)}）: {because}"


def _outcome(event: Any) -> str:
    detail = f": {one_line(event.detail)}" if event.detail else ""
    return f"{event.by} 报告{OUTCOMES[event.outcome]}{detail}"


def _expired(event: Any) -> str:
    return "已超时，无人作出决定"


def _cancelled(event: Any) -> str:
    return f"{event.by} 撤销了审批，原因: {why(event.reason)}"


def _webhook_delivered(event: Any) -> str:
    return f"结论已推送到回调地址（第 {event.attempt} 次）"


def _webhook_failed(event: Any) -> str:
    then = "" if event.retry_at is not None else "；不再重试，可手动重新推送"
    return f"结论推送失败（第 {event.attempt} 次）: {one_line(event.problem)}{then}"


def _webhook_requeued(event: Any) -> str:
    return f"{event.by} 要求重新推送结论"


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
