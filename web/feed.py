"""The decision feed over HTTP: polling, long polling, and Server-Sent Events."""

import json
from dataclasses import dataclass
from typing import Any

from web.reading import Reading


class PositionUnknown(Exception):
    """The reader is ahead of the store: it was restored, or is another one."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision, ready to be sent."""

    position: int
    type: str
    cloud_event: str

    def as_json(self) -> Any:
        return json.loads(self.cloud_event)


class Feed:
    """
    Decisions in order of position; a reader that has seen P has seen every decision up to P.

    Args:
        feed_id: Names the store; another one after a restore.
    """

    def __init__(self, reading: Reading, feed_id: str) -> None:
        self._reading = reading
        self._closing = False
        self.feed_id = feed_id

    async def check(self, after: int) -> None:
        """
        Whether a reader can go on from there.

        Raises:
            PositionUnknown: No event has that position yet, so nobody can have seen it here.
        """
        if after > await self._reading.last_position():
            raise PositionUnknown

    async def after(self, position: int, limit: int, engine: str | None) -> list[Decision]:
        """The next decisions, oldest first; none if there are none yet."""
        rows = await self._reading.decisions_after(position, limit, engine)
        return [Decision(row["position"], row["type"], row["cloud_event"]) for row in rows]

    async def next_after(self, position: int, limit: int, engine: str | None) -> list[Decision]:
        """The next decisions, waited for; none only when the service ends."""
        while not self._closing:
            seen = self._reading.progress.position
            found = await self.after(position, limit, engine)
            if found:
                return found
            if self._reading.progress.position == seen:
                await self._reading.progress.next()
        return []

    def close(self) -> None:
        """Let everybody go who waits for a decision: the service ends."""
        self._closing = True
        self._reading.progress.move(self._reading.progress.position)
