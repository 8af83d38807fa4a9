"""The text that asks: FTA's words, byte for byte, because a rule depends on whether they fit.

A member who could not read the whole message decides by text or card only after having opened the
page (contract 5), so the domain has to know the text and what text and card have room for.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from domain.decision import Kind

TEXT_LIMIT_BYTES = 2048  # WeCom cuts a text beyond it, even inside a character (wecom-protocol 5.3)
CUT_MARK = "…（未显示完，请在待办中查看后审批）"
# Room for `详情: ` and the address of a page, whatever the settings of that moment.
LINK_BYTES = 256
# WeCom shows about that much of a card's text (wecom-protocol 5.4, sub_title_text).
CARD_CHARACTERS = 160
# And of a fact beside it.
FACT_CHARACTERS = 30
# Of what the text says about the alarm, so that there is room for what will be executed.
LINE_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Alarm:
    """What FTA's mechanism A (异常防御需审批) says of the alarm; what is not known is None."""

    business: str | None = None
    alarm_type: str | None = None

    @property
    def fits_a_text(self) -> bool:
        return self._fits(LINE_CHARACTERS)

    @property
    def fits_a_card(self) -> bool:
        return self._fits(FACT_CHARACTERS)

    def _fits(self, characters: int) -> bool:
        return all(len(one or "") <= characters for one in (self.business, self.alarm_type))


def alarm_of(kind: Kind, details: Mapping[str, str]) -> Alarm | None:
    """What the message has to say of the alarm; None for a kind whose words name none."""
    if kind is not Kind.CONVERGENCE:
        return None
    business, alarm_type = (details.get(name, "").strip() for name in ("业务", "告警类型"))
    return Alarm(business or None, alarm_type or None)


def asking_text(
    message: str,
    reply_id: str,
    link: str | None = None,
    alarm: Alarm | None = None,
    todo: str = "",
) -> tuple[str, bool]:
    """
    The text that asks an approver, and whether something of it had to be cut to fit.

    The message is cut, at a character, and what is said of the alarm to a line each; the
    instruction lines stay whole. `<` would begin a link in WeCom, so it becomes the full-width
    one.

    Args:
        alarm: With one, the words are those of FTA's mechanism A.
        todo: The address of the page 待办, which those words name.
    """
    shown = _shown(message)
    is_line_cut = alarm is not None and not alarm.fits_a_text
    text = _frame(shown, reply_id, link, alarm, todo)
    excess = len(text.encode()) - TEXT_LIMIT_BYTES
    if excess <= 0:
        return text, is_line_cut
    room = len(shown.encode()) - excess - len(CUT_MARK.encode())
    kept = shown.encode()[: max(room, 0)].decode(errors="ignore")
    return _frame(kept + CUT_MARK, reply_id, link, alarm, todo), True


def bytes_left(message: str, reply_id: str, alarm: Alarm | None = None) -> int:
    """
    How much room the text leaves for the address of a page, beside the one that mechanism A's
    words name anyway; below zero where it does not show everything.
    """
    if alarm is not None and not alarm.fits_a_text:
        return -1
    text = _frame(_shown(message), reply_id, None, alarm, "x" * LINK_BYTES if alarm else "")
    return TEXT_LIMIT_BYTES - len(text.encode())


def fits_a_card(message: str, alarm: Alarm | None = None) -> bool:
    """Whether a card shows the whole message, and what it says of the alarm."""
    return len(message) <= CARD_CHARACTERS and (alarm is None or alarm.fits_a_card)


def _shown(message: str) -> str:
    return message.replace("<", "＜")


def _frame(message: str, reply_id: str, link: str | None, alarm: Alarm | None, todo: str) -> str:
    what = f"即将执行 {message},请审核！"
    lines = [f"【故障自愈】{what}"] if alarm is None else _convergence(what, alarm, todo)
    lines += [f"同意请回复: TY {reply_id}", f"驳回请回复: BH {reply_id}"]
    if link:
        lines.append(f"详情: {link}")
    return "\n".join(lines)


def _convergence(what: str, alarm: Alarm, todo: str) -> list[str]:
    """FTA's lines (fta 1.3), and what will be executed, because here a reply decides it."""
    lines = ["【故障自愈】【待审批】"]
    if alarm.business:
        lines.append(f"业务：{_line(alarm.business)}")
    if alarm.alarm_type:
        lines.append(f"告警类型：{_line(alarm.alarm_type)}")
    lines += [what, "网页：请到故障自愈APP审批或操作"]
    if todo and len(todo.encode()) <= LINK_BYTES:
        lines.append(f"微信：{todo}")
    return lines


def _line(value: str) -> str:
    cut = value if len(value) <= LINE_CHARACTERS else value[: LINE_CHARACTERS - 1] + "…"
    return _shown(cut)
