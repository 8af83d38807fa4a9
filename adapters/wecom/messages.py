"""What members read in the chat, in Chinese: answers to their own words."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from domain.approval import Approval
from domain.decision import Channel, Ending, Status
from domain.inbox import Inbox

SUCCESS = "【故障自愈】审批成功："
FAILURE = "【故障自愈】审批失败："
MAX_NAMED = 5  # of what waits, in one answer
MAX_REASON = 200  # characters; with it an answer stays within the 2048 bytes of a text

ENDED = {
    Status.APPROVED: "同意",
    Status.REJECTED: "驳回",
    Status.EXPIRED: "超时",
    Status.CANCELLED: "撤销",
    Status.REVOKED: "撤销同意",
}
SUPERSEDED = re.compile(r"superseded by run (\d+)")
HOW = {Channel.TEXT: "回复", Channel.CARD: "卡片", Channel.WEB: "页面", Channel.API: "接口"}


@dataclass(frozen=True, slots=True)
class Clockface:
    """How times are shown to people: in the zone of the settings, with the day if it is another."""

    zone: ZoneInfo

    def show(self, at: datetime, now: datetime) -> str:
        local, today = at.astimezone(self.zone), now.astimezone(self.zone).date()
        return f"{local:%H:%M}" if local.date() == today else f"{local:%m-%d %H:%M}"


def answer_on_approval(
    replied: Approval.Replied,
    approval: Approval,
    waiting: Sequence[str],
    clockface: Clockface,
) -> str:
    """
    What a member hears who named an approval.

    Args:
        replied: Their reply as it was recorded.
        approval: As it is now.
        waiting: What waits for this member now.
    """
    name = approval.reply_id

    def show(at: datetime) -> str:
        return clockface.show(at, replied.timestamp)

    if replied.repeated and approval.ending is not None:
        said = f"{name} 您已于 {show(approval.ending.at)} {ENDED[approval.status]}"
        return SUCCESS + said + _later_run(approval, waiting)
    if replied.refusal is None:
        verdict = "同意" if replied.verdict == "approve" else "驳回"
        return f"{SUCCESS}您已{verdict} {name}"
    if replied.refusal == "already-decided" and approval.ending is not None:
        told = how_it_ended(name, approval.ending, show)
        return f"{FAILURE}{told}，本次回复未生效{_later_run(approval, waiting)}"
    sentence, to_type = REFUSALS.get(replied.refusal, REFUSALS["unreadable"])
    # Only what waits for this very member is worth typing, and theirs to know.
    suggestion = f"，{to_type}" if to_type and name in waiting else ""
    return FAILURE + (sentence + suggestion).format(name=name)


def answer_to_inbox(received: Inbox.Received, waiting: Sequence[str]) -> str:
    """
    What a member hears whose words name no approval.

    Args:
        waiting: What waits for this member now; nobody else's approvals are ever named.
    """
    if received.refusal == "help":
        return "【故障自愈】同意请回复: TY 编号，驳回请回复: BH 编号 原因，查看待办请回复: 待办"
    if received.refusal == "todo":
        return f"【故障自愈】{_list_of(waiting)}"
    if received.refusal == "unknown-approval":
        return f"{FAILURE}没有编号为 {received.reply_id} 的审批，{_list_of(waiting)}"
    if received.refusal == "unclear-which":
        return f"{FAILURE}请写明编号，{_list_of(waiting)}"
    sentence = NAMELESS.get(received.refusal, NAMELESS["unreadable"])
    return f"{FAILURE}{sentence}，{_list_of(waiting)}"


REFUSALS = {
    # code: what is the case, and what to type
    "not-an-approver": ("您不是 {name} 的审批人，本次回复未生效", ""),
    "own-request": ("{name} 由您发起，不能由您审批，本次回复未生效", ""),
    "high-risk-needs-its-page": (
        "{name} 为高风险操作，本次回复未生效",
        "请写明编号（如 TY {name}）或打开详情页审批",
    ),
    "open-it-first": ("{name} 的内容未能完整显示，请在待办中查看后再审批", ""),
    "question": ("看起来您在提问，{name} 未作决定", "同意请只回复: TY {name}"),
    "hesitation": ("看起来您还有疑虑，{name} 未作决定", "同意请只回复: TY {name}"),
    "several-ids": ("一次只能审批一个编号，{name} 未作决定", "同意请只回复: TY {name}"),
    "stale": (
        "您的回复到达时间异常，{name} 未作决定",
        "请重新回复: TY {name} 或 BH {name}",
    ),
    "unreadable": (
        "未能理解您的回复，{name} 未作决定",
        "同意请回复: TY {name}，驳回请回复: BH {name}",
    ),
}
NAMELESS = {
    "not-text": "只能处理文字和卡片，图片、语音等未作决定",
    "needs-id": "请在同意或驳回后写明编号",
    "question": "看起来您在提问，未作决定",
    "hesitation": "看起来您还有疑虑，未作决定",
    "stale": "您的回复到达时间异常，未作决定，请重新回复",
    "unreadable": "未能理解您的回复，未作决定，同意请回复: TY 编号，驳回请回复: BH 编号",
}


def how_it_ended(name: str, ending: Ending, show: Callable[[datetime], str]) -> str:
    """Who ended it, when, how and why: one sentence without its full stop."""
    at = show(ending.at)
    if ending.status is Status.EXPIRED:
        return f"{name} 已于 {at} 超时"
    reason = f"（{_shown(ending.reason)}）" if ending.reason else ""
    return f"{name} 已由 {ending.by} 于 {at} 通过{HOW[ending.via]}{ENDED[ending.status]}{reason}"


def _later_run(approval: Approval, waiting: Sequence[str]) -> str:
    """`.` cannot stand in an obj_id, so what follows it is the run."""
    for reply_id in waiting:
        obj_id, _, run = reply_id.partition(".")
        if obj_id == approval.requested.obj_id and int(run or 1) > approval.requested.run:
            return f"；新一次执行仍待审批，同意请回复: TY {reply_id}，驳回请回复: BH {reply_id}"
    return ""


def in_chinese(reason: str) -> str:
    """A reason as people read it: the contract fixes some words, because engines read them."""
    superseded = SUPERSEDED.fullmatch(reason)
    return f"已由第 {superseded[1]} 次执行取代" if superseded else reason


def _shown(reason: str) -> str:
    """Another member's words: cut, and `<` would begin a link (domain/wording.py)."""
    reason = in_chinese(reason)
    cut = reason if len(reason) <= MAX_REASON else reason[:MAX_REASON] + "…"
    return cut.replace("<", "＜")


def _list_of(waiting: Sequence[str]) -> str:
    if not waiting:
        return "目前没有等待您审批的事项"
    more = f" 等 {len(waiting)} 项" if len(waiting) > MAX_NAMED else ""
    return f"等待您审批的有: {'、'.join(waiting[:MAX_NAMED])}{more}"
