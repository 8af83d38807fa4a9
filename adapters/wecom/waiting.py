"""How a member is told in the chat what waits for them, and what to type for it."""

from collections.abc import Callable, Sequence
from datetime import datetime

from domain.approval import Approval
from domain.decision import Risk

MAX_NAMED = 5  # in one answer
MAX_MESSAGE = 40  # characters; with it five lines, the longest ids too, stay within 2048 bytes
NOTHING_WAITS = "目前没有等待您审批的事项"


def what_to_type(reply_id: str) -> str:
    """Both ways to decide it."""
    return f"同意请回复: TY {reply_id}，驳回请回复: BH {reply_id}"


def list_of(waiting: Sequence[str]) -> str:
    """The ids of what waits, as the end of a sentence."""
    if not waiting:
        return NOTHING_WAITS
    more = f" 等 {len(waiting)} 项" if len(waiting) > MAX_NAMED else ""
    return f"等待您审批的有: {'、'.join(waiting[:MAX_NAMED])}{more}"


def todo_list(
    count: int,
    most_urgent: Sequence[Approval],
    show: Callable[[datetime], str],
    link: str | None,
) -> str:
    """
    待办 in the chat: a line for each of the most urgent, what to type, where the rest is.

    Args:
        count: How many wait.
        most_urgent: The first of them, of which at most five are named.
        show: How a time is written.
        link: The address of the page 待办.
    """
    if not count:
        return f"【故障自愈】{NOTHING_WAITS}"
    named = most_urgent[:MAX_NAMED]
    lines = [f"【故障自愈】等待您审批的有 {count} 项:"]
    lines += [_line(approval, show) for approval in named]
    if count > len(named):
        lines.append(f"另有 {count - len(named)} 项截止较晚")
    lines.append(f"{what_to_type('编号')} 原因")
    if link:
        lines.append(f"全部待办: {link}")
    return "\n".join(lines)


def _line(approval: Approval, show: Callable[[datetime], str]) -> str:
    risk = "高风险，" if approval.risk is Risk.HIGH else ""
    what = short(approval.requested.message, MAX_MESSAGE)
    return f"{approval.reply_id} {what}（{risk}{show(approval.expires_at)} 截止）"


def short(text: str, limit: int) -> str:
    """Words from elsewhere: cut, and `<` would begin a link (domain/wording.py)."""
    cut = text if len(text) <= limit else text[:limit] + "…"
    return cut.replace("<", "＜")
