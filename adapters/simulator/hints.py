"""What a chat offers to be tapped instead of typed: the answers to the newest that still waits."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from adapters.simulator.inbox import Delivered, Said

REPLY_ID = r"(?<![A-Za-z0-9_:.-])[A-Za-z0-9_:.-]*[A-Za-z0-9_]"
ASKS = re.compile(rf"回复[:：] ?TY (?P<id>{REPLY_ID})")
# 您已同意 1_1; 1_1 已由 lisi 于 …; 1_1（替换故障机 10.0.0.1） 已于 … 超时; 1_1 您已于 …
ENDED = (
    re.compile(rf"您已(?:同意|驳回) (?P<id>{REPLY_ID})"),
    re.compile(rf"(?P<id>{REPLY_ID})(?:（[^\n]*?）)? (?:已|您已于)"),
)


def hints(entries: Sequence[Delivered | Said]) -> list[str]:
    """
    Like a member who reads the whole chat: what was told to be over is offered no more, and what
    a card without live buttons is about is over, whatever a reminder said of it before.
    """
    told = [entry for entry in entries if isinstance(entry, Delivered) and not entry.recalled]
    over = {reply_id for entry in told for reply_id in _ended(entry)}
    for entry in reversed(told):
        for reply_id in _asked(entry):
            if reply_id not in over:
                return [f"TY {reply_id}", f"BH {reply_id}"]
    return []


def _asked(entry: Delivered) -> Iterable[str]:
    if entry.kind != "template_card":
        return ASKS.findall(entry.text)
    return ASKS.findall(str(entry.content.get("quote_area", {}).get("quote_text", "")))


def _ended(entry: Delivered) -> Iterable[str]:
    if entry.kind == "template_card":
        return () if entry.button_caption is None else _named(entry.content)
    return (found["id"] for pattern in ENDED for found in pattern.finditer(entry.text))


def _named(card: dict[str, Any]) -> Iterable[str]:
    """What a card says in its row 编号."""
    rows = card.get("horizontal_content_list", [])
    values = [str(row.get("value", "")) for row in rows if row.get("keyname") == "编号"]
    return (found[0] for value in values if (found := re.match(REPLY_ID, value)))
