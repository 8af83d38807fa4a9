"""Pauses that end when the test's clock has moved so far, and not before."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.service import WITHIN_S, Clock, Service
from web import keys


@dataclass
class Alarm:
    """One pause."""

    until: datetime
    over: asyncio.Event = field(default_factory=asyncio.Event)


class SimulatedTime:
    """The sender's sleep: nobody wakes until `pass_` moves the clock to where they wanted to."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asleep: list[Alarm] = []

    async def __call__(self, seconds: float) -> None:
        alarm = Alarm(self._clock.now + timedelta(seconds=seconds))
        self._asleep.append(alarm)
        await alarm.over.wait()

    async def pass_(self, service: Service, **delta: float) -> None:
        """Let so much time pass, waking everybody in turn, until nothing is left to do at once."""
        end = self._clock.now + timedelta(**delta)
        await self.settle(service)
        while (soonest := self._soonest()) is not None and soonest <= end:
            self._clock.now = max(soonest, self._clock.now)
            await service.expire()
            self._wake()
            await self.settle(service)
        self._clock.now = end
        await service.expire()
        await self.settle(service)

    async def settle(self, service: Service) -> None:
        """Wait until every queue with something to send is asleep."""
        reading = service.app[keys.READING]
        async with asyncio.timeout(WITHIN_S):
            while True:
                await reading.caught_up()
                if len(await reading.waiting_lanes()) <= len(self._asleep):
                    return
                await asyncio.sleep(0.005)

    def _soonest(self) -> datetime | None:
        return min((alarm.until for alarm in self._asleep), default=None)

    def _wake(self) -> None:
        due = [alarm for alarm in self._asleep if alarm.until <= self._clock.now]
        self._asleep = [alarm for alarm in self._asleep if alarm not in due]
        for alarm in due:
            alarm.over.set()
