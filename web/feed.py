"""The decision feed of this process: read once for all who follow it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from eventsourcing.persistence import PersistenceError

from web.feed_memory import (
    MOST_CHARACTERS,
    MOST_DECISIONS,
    Decision,
    FeedMemory,
    PermitOf,
    Portion,
    Reader,
    no_permit,
)
from web.reading import CAUGHT_UP_WITHIN_S, Behind, Progress, Reading

# How many of those who are behind read at the same time: other questions need threads too.
BEHIND_AT_ONCE = 2
TRY_AGAIN_AFTER_S = 1.0

log = structlog.get_logger()


class PositionUnknown(Exception):
    """The reader is ahead of the store: it was restored, or is another one."""


class Feed:
    """
    Decisions in order of position; a reader that has seen P has seen every decision up to P.

    One tail follows the read models while somebody follows it, and keeps what is new in memory.
    Readers take it from there; those who are further behind read for themselves until they are
    not. Nobody waits for another reader, and the tail waits for none.

    Args:
        feed_id: Names the store; another one after a restore.
        permit_of: Called in the event loop, once for each time that an approved decision is read.
    """

    def __init__(self, reading: Reading, feed_id: str, permit_of: PermitOf = no_permit) -> None:
        self._reading = reading
        self.feed_id = feed_id
        self.permit_of = permit_of
        self.closing = False
        self.reads_for_all = 0
        self.reads_for_one = 0
        self.memory = FeedMemory()
        self._taken_in = Progress(0)
        self._news = Progress(0)
        self._behind = asyncio.Semaphore(BEHIND_AT_ONCE)
        self._followers = 0
        self._looked_up = 0
        self._is_followed = asyncio.Event()

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Around everything that waits for decisions: without it nothing is read."""
        self._followers += 1
        self._is_followed.set()
        try:
            yield
        finally:
            self._followers -= 1
            if not self._followers:
                self._is_followed.clear()

    async def run(self) -> None:
        """The tail, for ever."""
        progress = self._reading.progress
        while True:
            await self._is_followed.wait()
            if progress.position <= self.memory.reached:
                await progress.next()
                continue
            try:
                if not await self._read_on(progress.position):
                    await asyncio.sleep(TRY_AGAIN_AFTER_S)
            except PersistenceError as error:
                log.error("the decision feed cannot be read", why=str(error))
                await asyncio.sleep(TRY_AGAIN_AFTER_S)
            except Exception:
                log.exception("the decision feed failed")
                await asyncio.sleep(TRY_AGAIN_AFTER_S)

    async def _read_on(self, known: int) -> bool:
        """
        Take in what is new; False while the feed holds less than was known before: somebody makes
        the read models anew, and what is not there yet would be passed over.
        """
        self.reads_for_all += 1
        rows, is_all, reached = await self._reading.newest_decisions(
            self.memory.reached, MOST_DECISIONS, MOST_CHARACTERS
        )
        if reached < known:
            return False
        found = [Decision(row, self.permit_of) for row in rows]
        self.memory.take(found, reached, is_all=is_all)
        self._taken_in.move(self.memory.reached)
        if found:
            self._news.move(self.memory.last)
        return True

    async def check(self, after: int) -> None:
        """
        Whether a reader can go on from there.

        Raises:
            PositionUnknown: No event has that position yet, so nobody can have seen it here.
        """
        if after <= self._reading.progress.position:
            return
        if after > await self._reading.last_position():
            raise PositionUnknown

    async def caught_up(self) -> None:
        """
        Wait until it has everything that this process has answered.

        Raises:
            Behind: It has not after a few seconds.
        """
        await self._reading.caught_up()
        try:
            await self._taken_in.reach(self._reading.progress.position, CAUGHT_UP_WITHIN_S)
        except TimeoutError:
            raise Behind from None

    async def after(
        self, position: int, reader: Reader, limit: int, most_characters: int
    ) -> Portion:
        """
        The next decisions, oldest first; none if there are none yet.

        Raises:
            Behind: The feed holds less than it did: somebody makes the read models anew.
        """
        if self.memory.holds_all_after(position):
            return self.memory.after(position, reader, limit, most_characters)
        known = self._reading.progress.position  # before the read, which sees at least as much
        async with self._behind:
            self.reads_for_one += 1
            rows, is_all, reached = await self._reading.decisions_after(
                position, limit, reader.scope, most_characters
            )
        if reached < known:
            raise Behind
        found = [Decision(row, self.permit_of) for row in rows]
        last = found[-1].position if found else position
        return Portion(found, max(reached, last) if is_all else last)

    async def news_after(self, position: int) -> None:
        """
        Wait until there is a decision after that position, for anybody, or the service ends, or
        everybody is to look up.
        """
        looked_up = self._looked_up
        while not self.closing and self.memory.last <= position and looked_up == self._looked_up:
            await self._news.next()

    async def next_after(
        self,
        position: int,
        reader: Reader,
        limit: int,
        most_characters: int,
        may: Callable[[], bool] = lambda: True,
    ) -> Portion:
        """The next decisions, waited for; none only when the service ends or `may` says no."""
        while True:
            portion = await self.after(position, reader, limit, most_characters)
            if portion.decisions or self.closing or not may():
                return portion
            position = portion.seen
            await self.news_after(position)

    def look_up(self) -> None:
        """Have everybody who waits for a decision ask again whether they may."""
        self._looked_up += 1
        self._news.move(self.memory.last)

    def close(self) -> None:
        """Let everybody go who waits for a decision: the service ends."""
        self.closing = True
        self._news.move(self.memory.last)
