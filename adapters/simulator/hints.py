"""What a chat offers to be tapped instead of typed: the answers to the newest that still waits."""

import re
from collections.abc import Iterable, Sequence

from adapters.simulator.inbox import Delivered, Said

REPLY_ID = r"[A-Za-z0-9_:.-]*[A-Za-z0-9_]"
ASKS = re.compile(rf"回复[:：] ?TY (?P<id>{REPLY_ID})")
# 您已同意 1_1; 1_1 已由 lisi 于 …; 1_1（替换故障机 10.0.0.1） 已于 … 超时; 1_1 您已于 …
ENDED = (
    re.compile(rf"您已(?:同意|驳回) (?P<id>{REPLY_ID})"),
    re.compile(rf"(?P<id>{REPLY_ID})(?:（[^\n]*?）)? (?:已|您已于)"),
)


def hints(entries: Sequence[Delivered | Said]) -> list[str]:
    """
    Like a member who reads the whole chat: what was told to be over is offered no more.

    A card whose buttons are dead asks nothing, and what it has become asks nothing either.
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
    if entry.button_caption is not None:
        return ()
    return ASKS.findall(str(entry.content.get("quote_area", {}).get("quote_text", "")))


def _ended(entry: Delivered) -> Iterable[str]:
    if entry.kind == "template_card":
        return ()
    return (found["id"] for pattern in ENDED for found in pattern.finditer(entry.text))
