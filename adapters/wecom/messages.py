"""What members read in the chat, in Chinese: answers to their own words."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from adapters.wecom.near_misses import named_within, near_miss
from adapters.wecom.waiting import NOTHING_WAITS, list_of, short, todo_list, what_to_type
from domain.approval import RESTORED, Approval
from domain.decision import Channel, Ending, Status
from domain.inbox import Inbox

SUCCESS = "【故障自愈】审批成功："
FAILURE = "【故障自愈】审批失败："
MAX_REASON = 200  # characters; with it an answer stays within the 2048 bytes of a text

ENDED = {
    Status.APPROVED: "同意",
    Status.REJECTED: "驳回",
    Status.EXPIRED: "超时",
    Status.CANCELLED: "撤销",
    Status.REVOKED: "撤销同意",
}
SUPERSEDED = re.compile(r"superseded by run (\d+)")
RESTORED_IN_CHINESE = "服务已从备份恢复"
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
    frozen: str | None = None,
) -> str:
    """
    What a member hears who named an approval.

    Args:
        replied: Their reply as it was recorded.
        approval: As it is now.
        waiting: What waits for this member now.
        frozen: Why approving is, or was, frozen.
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
    if replied.refusal == "frozen":
        because = f"（{short(frozen, MAX_REASON)}）" if frozen else ""
        return f"{FAILURE}审批已冻结{because}，{name} 未作决定，解冻后请重新审批"
    if replied.refusal in REFUSALS:
        return FAILURE + REFUSALS[replied.refusal].format(name=name)
    doubt, to_type = DOUBTS.get(replied.refusal, DOUBTS["unreadable"])
    if approval.ending is not None and approval.is_asked(replied.by):
        told = how_it_ended(name, approval.ending, show)
        return f"{FAILURE}{doubt}，{told}，本次回复未生效"
    # Only what waits for this very member is worth typing, and theirs to know.
    return FAILURE + _undecided(doubt, name, to_type if name in waiting else "")


def answer_to_inbox(
    received: Inbox.Received,
    names: Sequence[str],
    most_urgent: Sequence[Approval],
    clockface: Clockface,
    todo_link: str | None = None,
) -> str:
    """
    What a member hears whose words name no approval.

    Args:
        names: Of what waits for this member now; nobody else's approvals are ever named.
        most_urgent: The first of those, for a list.
        todo_link: The address of the page 待办, if it is to stand under the list.
    """
    now = received.timestamp
    if received.refusal == "help":
        return "【故障自愈】同意请回复: TY 编号，驳回请回复: BH 编号 原因，查看待办请回复: 待办"
    if received.refusal == "todo":
        return todo_list(len(names), most_urgent, lambda at: clockface.show(at, now), todo_link)
    if received.refusal == "unknown-approval" and received.reply_id is not None:
        return FAILURE + _on_unknown(received, received.reply_id, names)
    return FAILURE + _on_nameless(received, names)


def _on_unknown(received: Inbox.Received, reply_id: str, waiting: Sequence[str]) -> str:
    meant = near_miss(reply_id, waiting)
    if meant is not None:
        question = f"没有编号为 {reply_id} 的审批，您是否要审批 {meant}？"
        return question + what_to_type(meant)
    if received.verdict is None and not _could_be_id(reply_id):
        return _on_nameless(received, waiting)
    return f"没有编号为 {reply_id} 的审批，{list_of(waiting)}"


def _could_be_id(word: str) -> bool:
    """`hello` and `1` are what people say; `12345_2` they say about an approval."""
    return any(c.isdigit() for c in word) and not word.isdigit()


def _on_nameless(received: Inbox.Received, waiting: Sequence[str]) -> str:
    code = received.refusal
    doubt, to_type = DOUBTS.get(code, DOUBTS["unreadable"])
    meant = named_within(received.words, waiting)
    if meant is not None:
        return _undecided(doubt, meant, to_type)
    if code in NAMELESS and not waiting:
        return f"本次回复未生效，{NOTHING_WAITS}"
    case = NAMELESS.get(code, f"{doubt}，未作决定")
    return f"{case}，{_what_waits(code, waiting)}"


def _what_waits(code: str, waiting: Sequence[str]) -> str:
    """What waits, and what to type for whoever seems not to know; the others only hesitate."""
    if not waiting or code in ("unclear-which", "question", "hesitation"):
        return list_of(waiting)
    if len(waiting) == 1:
        return what_to_type(waiting[0])
    how = "" if code in NAMELESS else f"{what_to_type('编号')}，"
    return how + list_of(waiting)


def _undecided(doubt: str, name: str, to_type: str) -> str:
    suggestion = f"，{to_type.format(name=name)}" if to_type else ""
    return f"{doubt}，{name} 未作决定{suggestion}"


DOUBTS = {
    # code: what is the case, and what to type
    "question": ("看起来您在提问", "同意请只回复: TY {name}"),
    "hesitation": ("看起来您还有疑虑", "同意请只回复: TY {name}"),
    "several-ids": ("一次只能审批一个编号", "同意请只回复: TY {name}"),
    "stale": ("您的回复到达时间异常", "请重新回复: TY {name} 或 BH {name}"),
    "unreadable": ("未能理解您的回复", what_to_type("{name}")),
}
REFUSALS = {
    "another-card": "这张卡片不是当前的 {name}，本次操作未生效，请在待办中查看后再审批",
    "not-an-approver": "您不是 {name} 的审批人，本次回复未生效",
    "own-request": "{name} 由您发起，不能由您审批，本次回复未生效",
    "high-risk-needs-its-page": "{name} 为高风险操作，本次回复未生效，"
    "请写明编号（如 TY {name}）或打开详情页审批",
    "open-it-first": "{name} 的内容未能完整显示，请在待办中查看后再审批",
}
NAMELESS = {
    "not-text": "只能处理文字和卡片，图片、语音等未作决定",
    "needs-id": "请在同意或驳回后写明编号",
    "unclear-which": "请写明编号",
}


def how_it_ended(name: str, ending: Ending, show: Callable[[datetime], str]) -> str:
    """Who ended it, when, how and why: one sentence without its full stop."""
    at = show(ending.at)
    if ending.status is Status.EXPIRED:
        return f"{name} 已于 {at} 超时"
    if ending.via is Channel.SHELL:
        return f"{name} 已于 {at} 因{RESTORED_IN_CHINESE}而{ENDED[ending.status]}"
    reason = f"（{short(in_chinese(ending.reason), MAX_REASON)}）" if ending.reason else ""
    return f"{name} 已由 {ending.by} 于 {at} 通过{HOW[ending.via]}{ENDED[ending.status]}{reason}"


def _later_run(approval: Approval, waiting: Sequence[str]) -> str:
    """`.` cannot stand in an obj_id, so what follows it is the run."""
    for reply_id in waiting:
        obj_id, _, run = reply_id.partition(".")
        if obj_id == approval.requested.obj_id and int(run or 1) > approval.requested.run:
            return f"；新一次执行仍待审批，{what_to_type(reply_id)}"
    return ""


def in_chinese(reason: str) -> str:
    """A reason as people read it: the contract fixes some words, because engines read them."""
    if reason == RESTORED:
        return RESTORED_IN_CHINESE
    superseded = SUPERSEDED.fullmatch(reason)
    return f"已由第 {superseded[1]} 次执行取代" if superseded else reason
