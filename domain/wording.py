"""The text that asks: FTA's words, byte for byte, because a rule depends on whether they fit.

A member who could not read the whole message decides by text or card only after having opened the
page (contract 5), so the domain has to know the text and what text and card have room for.
"""

TEXT_LIMIT_BYTES = 2048  # WeCom cuts a text beyond it, even inside a character (wecom-protocol 5.3)
CUT_MARK = "…（未显示完，请在待办中查看后审批）"
# Room for `详情: ` and the address of a page, whatever the settings of that moment.
LINK_BYTES = 256
# WeCom shows about that much of a card's text (wecom-protocol 5.4, sub_title_text).
CARD_CHARACTERS = 160


def asking_text(message: str, reply_id: str, link: str | None = None) -> tuple[str, bool]:
    """
    The text that asks an approver, and whether `message` had to be cut to fit.

    Only the message is cut, at a character; the instruction lines stay whole. `<` would begin
    a link in WeCom, so it becomes the full-width one.
    """
    shown = _shown(message)
    text = _frame(shown, reply_id, link)
    excess = len(text.encode()) - TEXT_LIMIT_BYTES
    if excess <= 0:
        return text, False
    room = len(shown.encode()) - excess - len(CUT_MARK.encode())
    kept = shown.encode()[: max(room, 0)].decode(errors="ignore")
    return _frame(kept + CUT_MARK, reply_id, link), True


def bytes_left(message: str, reply_id: str) -> int:
    """How much room the text leaves, for a link for instance; below zero where it does not fit."""
    return TEXT_LIMIT_BYTES - len(_frame(_shown(message), reply_id, None).encode())


def fits_a_card(message: str) -> bool:
    """Whether a card shows the whole message."""
    return len(message) <= CARD_CHARACTERS


def _shown(message: str) -> str:
    return message.replace("<", "＜")


def _frame(message: str, reply_id: str, link: str | None) -> str:
    lines = [
        f"【故障自愈】即将执行 {message},请审核！",
        f"同意请回复: TY {reply_id}",
        f"驳回请回复: BH {reply_id}",
    ]
    if link:
        lines.append(f"详情: {link}")
    return "\n".join(lines)
