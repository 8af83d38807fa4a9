"""A clock that runs faster than this machine's, so that minutes of waiting are seen in seconds."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime

from adapters.simulator.corp import Clock, utc_now


class FastClock:
    """
    Begins at this machine's time and runs `speed` times as fast; at 1 it is this machine's clock.

    Whoever compares times with each other has to share one: who asks, who is asked, and WeCom
    between them.
    """

    def __init__(
        self,
        speed: int,
        now: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.speed = speed
        self._now = now
        self._monotonic = monotonic
        self._sleep = sleep
        self._began = now()

    def __call__(self) -> datetime:
        return self._began + (self._now() - self._began) * self.speed

    def monotonic(self) -> float:
        return self._monotonic() * self.speed

    async def sleep(self, seconds: float) -> None:
        """Until that much has passed on this clock."""
        await self._sleep(seconds / self.speed)
