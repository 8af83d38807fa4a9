"""What members read in the chat without having said anything: ends, reminders, digests."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.wecom.messages import ENDED, HOW, Clockface, how_it_ended
from domain.approval import Approval
from domain.decision import Outcome
from domain.identity import same_person

HEAD = "【故障自愈】"
NOTHING_TO_DO = "无需再处理"
MESSAGE_CHARACTERS = 60  # of an approval's message, where the line is about something else
REMINDED_CHARACTERS = 300
DETAIL_CHARACTERS = 200
NAMED = 5
OUTCOMES = {
    Outcome.SUCCEEDED.value: "执行成功",
    Outcome.FAILED.value: "执行失败",
    Outcome.SKIPPED.value: "未执行",
}


def end_line(approval: Approval, userid: str, clockface: Clockface, now: datetime) -> str:
    """How it ended, for somebody who was asked; nothing is left for them to do."""
    return f"{HEAD}{_end(approval, userid, clockface, now)}，{NOTHING_TO_DO}"


def result_line(approval: Approval, clockface: Clockface, now: datetime) -> str:
    """How it ended, for who requested it."""
    return f"{HEAD}您发起的 {_end(approval, '', clockface, now)}"


def revoked_line(approval: Approval, userid: str, clockface: Clockface, now: datetime) -> str:
    """The approval was taken back, for everybody who had to do with it."""
    told = _end(approval, userid, clockface, now)
    return f"{HEAD}{told}，执行方不能再领取执行许可，{NOTHING_TO_DO}"


def outcome_line(approval: Approval) -> str:
    """What became of the action, for who answers for it."""
    assert approval.outcome is not None  # noqa: S101  # the caller tells of it
    detail = approval.outcome.detail
    more = f": {_short(detail, DETAIL_CHARACTERS)}" if detail else ""
    return f"{HEAD}{_named(approval)} {OUTCOMES[approval.outcome.outcome]}{more}"


def reminder(approval: Approval, clockface: Clockface, now: datetime) -> str:
    """Most of the time is over and nobody has decided."""
    minutes = round((approval.expires_at - now).total_seconds() / 60)
    until = clockface.show(approval.expires_at, now)
    what = _short(approval.requested.message, REMINDED_CHARACTERS)
    head = f"{HEAD}{approval.reply_id} 还有 {minutes} 分钟超时（{until}）: {what}"
    return f"{head}\n{_to_type(approval)}"


def alarm(approval: Approval) -> str:
    """For super approvers: of the approvers nobody can be told."""
    people = "、".join(approval.approvers[:NAMED])
    more = f" 等 {len(approval.approvers)} 人" if len(approval.approvers) > NAMED else ""
    return (
        f"{HEAD}请注意: {_named(approval)} 的审批人 {people}{more} "
        f"均无法收到消息，请您审批或联系他们\n{_to_type(approval)}"
    )


# The same without a word from elsewhere, for when WeCom blocks those words (82004, 85002 …).


def plain_waiting(approval: Approval, page: str) -> str:
    """Something waits; what it is stands on its page."""
    return f"{HEAD}{approval.reply_id} 等待您审批，内容无法在此显示，请打开详情查看: {page}"


def plain_end(approval: Approval) -> str:
    """It has ended."""
    return f"{HEAD}{approval.reply_id} 已结束，{NOTHING_TO_DO}"


def plain_digest(waiting: int, ended: int, todo: str) -> str:
    """How many, and where."""
    return f"{HEAD}您有 {waiting} 项待审批，{ended} 项已结束。请打开待办查看: {todo}"


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for one member: how many, and the most urgent of them."""

    count: int
    first: Approval | None


def greeting(waiting: Waiting, clockface: Clockface, now: datetime, todo: str) -> str:
    """For a member who opens the application while something waits for them."""
    return f"{HEAD}{_what_waits(waiting, clockface, now)}。请打开待办查看: {todo}"


def digest(
    waiting: Waiting,
    ended: Sequence[Approval],
    unreached: int,
    clockface: Clockface,
    now: datetime,
    todo: str,
) -> str:
    """
    One message for many.

    Args:
        ended: Of what the member was asked about, what ended since the last message.
        unreached: Of how many that wait no approver can be told.
    """
    at = clockface.show(now, now)
    parts = [f"截至 {at}，{_what_waits(waiting, clockface, now)}"] if waiting.count else []
    if unreached:
        parts.append(f"其中 {unreached} 项的审批人均无法收到消息，请您审批或联系他们")
    if ended:
        named = "、".join(map(_in_short, ended[:NAMED]))
        more = " 等" if len(ended) > NAMED else ""
        also = "另有 " if parts else ""
        parts.append(f"{also}{len(ended)} 项已结束，{NOTHING_TO_DO}: {named}{more}")
    return f"{HEAD}{'；'.join(parts)}。请打开待办查看: {todo}"


def _what_waits(waiting: Waiting, clockface: Clockface, now: datetime) -> str:
    if not waiting.count:
        return "目前没有等待您审批的事项"
    counted = f"您有 {waiting.count} 项待审批"
    if waiting.first is None:
        return counted
    until = clockface.show(waiting.first.expires_at, now)
    return f"{counted}，最紧急的是 {_named(waiting.first)}，{until} 到期"


def _end(approval: Approval, userid: str, clockface: Clockface, now: datetime) -> str:
    assert approval.ending is not None  # noqa: S101  # the caller tells of an end
    ending, name = approval.ending, _named(approval)

    def show(at: datetime) -> str:
        return clockface.show(at, now)

    if ending.capacity is not None and same_person(ending.by or "") == same_person(userid):
        # Also told to who pressed the button: if it was not them, they hear it here.
        return f"{name} 您已于 {show(ending.at)} 通过{HOW[ending.via]}{ENDED[ending.status]}"
    return how_it_ended(name, ending, show)


def _in_short(ended: Approval) -> str:
    outcome = f"并{OUTCOMES[ended.outcome.outcome]}" if ended.outcome is not None else ""
    return f"{ended.reply_id} 已{ENDED[ended.status]}{outcome}"


def _named(approval: Approval) -> str:
    return f"{approval.reply_id}（{_short(approval.requested.message, MESSAGE_CHARACTERS)}）"


def _short(message: str, characters: int) -> str:
    """`<` would begin a link in WeCom."""
    cut = message if len(message) <= characters else message[:characters] + "…"
    return cut.replace("<", "＜")


def _to_type(approval: Approval) -> str:
    return f"同意请回复: TY {approval.reply_id}\n驳回请回复: BH {approval.reply_id}"
