"""The text that asks: FTA's words, byte for byte, because a rule depends on whether they fit.

A member who could not read the whole message decides by text only after having opened the page
(contract 5), so the domain has to know the text and its limit.
"""

TEXT_LIMIT_BYTES = 2048  # WeCom cuts a text beyond it, even inside a character (wecom-protocol 5.3)
CUT_MARK = "…（未显示完，请在待办中查看后审批）"


def asking_text(message: str, reply_id: str, link: str | None = None) -> tuple[str, bool]:
    """
    The text that asks an approver, and whether `message` had to be cut to fit.

    Only the message is cut, at a character; the instruction lines stay whole. `<` would begin
    a link in WeCom, so it becomes the full-width one.
    """
    shown = message.replace("<", "＜")
    text = _frame(shown, reply_id, link)
    excess = len(text.encode()) - TEXT_LIMIT_BYTES
    if excess <= 0:
        return text, False
    room = len(shown.encode()) - excess - len(CUT_MARK.encode())
    kept = shown.encode()[: max(room, 0)].decode(errors="ignore")
    return _frame(kept + CUT_MARK, reply_id, link), True


def fits(message: str, reply_id: str) -> bool:
    """Whether the bare text, without a link, shows the whole message."""
    return not asking_text(message, reply_id)[1]


def _frame(message: str, reply_id: str, link: str | None) -> str:
    lines = [
        f"【故障自愈】即将执行 {message},请审核！",
        f"同意请回复: TY {reply_id}",
        f"驳回请回复: BH {reply_id}",
    ]
    if link:
        lines.append(f"详情: {link}")
    return "\n".join(lines)
