"""How long to wait, for what; pauses grow, and engines that lost one service come back spread."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

FIRST_S, MOST_S = 0.2, 10.0


@dataclass(frozen=True, kw_only=True)
class Patience:
    """
    Args:
        call_s: Of one call with all its tries and pauses; a first try is made in any case.
        try_s: Of one try; for a stream, until its connection stands.
        silence_s: Without a word for so long a stream is dead; the service speaks every 15 s.
        sleep, monotonic, chance: Waiting, seconds that only grow, and 0 to 1 to spread pauses.
    """

    call_s: float = 60.0
    try_s: float = 10.0
    silence_s: float = 45.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    monotonic: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random


def pause_s(failures: int, chance: float, asked_s: float = 0.0) -> float:
    """
    Args:
        failures: Tries that failed since the last success, this one not counted.
        chance: 0 to 1; spreads engines that lost the same service at the same moment.
        asked_s: What the service asked for; never less than that.
    """
    longest = min(FIRST_S * 2.0 ** min(failures, 16), MOST_S)
    return asked_s + longest * (1 + chance) / 2


def asked_pause_s(headers: Mapping[str, str]) -> float:
    """What `Retry-After` asks for; 0 if nothing that can be read. A date counts from `Date`."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal() and len(text) < 10:
        return float(text)
    try:
        until, now = parsedate_to_datetime(text), parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, TypeError):
        return 0.0
    return float(max(0.0, (until - now).total_seconds()))
