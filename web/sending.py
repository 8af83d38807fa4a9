"""Sends what stands in the outbox: a queue for each member and lane, at least once, in order."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import structlog

from adapters.store.writer import Overloaded, StoreUnavailable, Writer
from adapters.wecom.client import (
    WeComAway,
    WeComClient,
    WeComMisconfigured,
)
from domain.commands import RecordDelivery
from domain.notifications import Way
from projections.outbox import Kind, Lane, kind_of
from projections.projection import milliseconds
from web.letters import Letter, Letters, Row
from web.pace import Pace
from web.post import Outcome, Post
from web.reading import Behind, Reading
from web.tally import MessageOutcome

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
AT_ONCE_FROM_OUTBOX = 50
MOST_IN_A_DIGEST = 5000
RECORDED_AT_ONCE = 200
# Who reads that something waits should have that long to answer.
HURRY_BEFORE_S = 15.0
NOBODY_REACHED = "no approver can be told of an approval"
NOT_NOW = (WeComAway, WeComMisconfigured, Behind)

CountOutcome = Callable[[Kind, MessageOutcome], None]

log = structlog.get_logger()


async def _never() -> None:
    await asyncio.Event().wait()


class Sender:
    """
    Follows the outbox. Each lane of each member with messages has a task of its own: a message
    that cannot be delivered now keeps back what comes after it there, and nothing else.
    """

    def __init__(
        self,
        reading: Reading,
        writer: Writer,
        wecom: Callable[[], WeComClient | None],
        clock: Callable[[], datetime],
        letters: Letters,
        pace: Pace,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_outcome: CountOutcome = lambda kind, outcome: None,
        replaced: Callable[[], Awaitable[None]] = _never,
    ) -> None:
        self._reading = reading
        self._writer = writer
        self._wecom = wecom
        self._clock = clock
        self._letters = letters
        self._sleep = sleep
        self._on_outcome = on_outcome
        self._pace = pace
        self._replaced = replaced
        self._queues: dict[tuple[str, Lane], asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Look after every step of the read models, for ever."""
        try:
            while True:
                seen = self._reading.progress.position
                if not await self._looked():
                    await self._sleep(FIRST_PAUSE_S)
                elif self._reading.progress.position == seen:
                    await self._reading.progress.next()
        finally:
            await self._stop_queues()

    async def look(self) -> None:
        """Start the queue of each member's lane that has messages and no queue yet."""
        for queue in await self._reading.waiting_lanes():
            task = self._queues.get(queue)
            if task is None or task.done():
                self._queues[queue] = asyncio.create_task(self._empty_queue(*queue))
        self._queues = {q: task for q, task in self._queues.items() if not task.done()}

    async def _looked(self) -> bool:
        """False if the outbox could not be read: a bad moment must not end all sending."""
        try:
            await self.look()
        except Exception:
            log.exception("the outbox cannot be read")
            return False
        return True

    async def _empty_queue(self, member: str, lane: Lane) -> None:
        """Send until nothing is left; then `look` begins anew when something comes."""
        while True:
            seen = self._reading.progress.position
            try:
                sent = await self._send_what_waits(member, lane)
            except Exception:
                log.exception("sending failed", member=member)
                await self._sleep(LONGEST_PAUSE_S)
                continue
            # What came while the outbox was read, `look` left to this queue: it was still there.
            if not sent and self._reading.progress.position == seen:
                return

    async def _send_what_waits(self, member: str, lane: Lane) -> bool:
        """False if there was nothing but what is moot; the events that say so are on their way."""
        if lane is Lane.NOTICES:
            sent = await self._send_notices(member)
        else:
            rows = await self._reading.messages_for(member, lane, AT_ONCE_FROM_OUTBOX)
            sent = any([await self._deliver(row, answer=lane is Lane.ANSWERS) for row in rows])
        if sent:
            # What was recorded has to leave the outbox before it is read again.
            await self._reading.caught_up()
        return sent

    async def _send_notices(self, member: str) -> bool:
        """One by one while the member's pace allows it, then in one message all that is left."""
        rows = await self._reading.messages_for(member, Lane.NOTICES, MOST_IN_A_DIGEST)
        sent = False
        for number, row in enumerate(rows):
            turn = self._pace.notice(member)
            rest = rows[number:]
            if turn.may_hurry and self._ends_within(rest, turn.wait_s + HURRY_BEFORE_S):
                return await self._gather(member, rest) or sent
            if turn.wait_s:
                if await self._letters.letter(row) is None:
                    continue
                await self._sleep(turn.wait_s)
                return True
            if turn.gather:
                return await self._gather(member, rest) or sent
            sent = await self._deliver(row) or sent
        return sent

    def _ends_within(self, rows: Sequence[Row], seconds: float) -> bool:
        """Whether one of these would hardly be announced before its deadline."""
        soon = milliseconds(self._clock() + timedelta(seconds=seconds))
        return any(row["expires_at"] is not None and row["expires_at"] <= soon for row in rows)

    async def _deliver(self, row: Row, *, answer: bool = False, gathered: bool = False) -> bool:
        """Try until WeCom took it or refused it for good and record which; False if moot."""
        member = row["member"]
        post = self._post(member, row["userid"], answer=answer, gathered=gathered)

        async def once() -> list[RecordDelivery]:
            if answer:
                await self._has_room(member)  # what it says is looked up after that
            letter = await self._letters.letter(row)
            if letter is not None:
                return [self._recorded(row, await post.deliver(letter))]
            # Moot meanwhile; but what is out is out, and has to be told of the end.
            return [self._recorded(row, post.card)] if post.card is not None else []

        return await self._record(await self._patiently(once, row["stream"]))

    def _post(
        self, member: str, userid: str, *, answer: bool = False, gathered: bool = False
    ) -> Post:
        return Post(
            self._wecom,
            userid,
            on_sent=lambda: self._pace.sent(member, answer=answer, gathered=gathered),
            has_room=lambda: self._has_room(member),
        )

    async def _has_room(self, member: str) -> None:
        """Wait until one more message does not reach what WeCom drops."""
        while wait_s := self._pace.answer_waits_s(member):
            await self._sleep(wait_s)

    async def _gather(self, member: str, rows: Sequence[Row]) -> bool:
        """
        One message about many rows; if only one is left, that one in its own words. For the
        member's pace it is a digest all the same: the next one comes half a minute later.
        """
        still = await self._letters.still_due(rows)
        if not still:
            return False
        if len(still) == 1:
            return await self._deliver(still[0], gathered=True)
        post = self._post(member, still[0]["userid"], gathered=True)

        async def once() -> list[RecordDelivery]:
            digest = await self._letters.digest(member, still)
            if digest is None:
                return []
            outcome = await post.deliver(Letter(text=digest.text, plain=digest.plain))
            if "problem" not in outcome:
                outcome = {**outcome, "way": Way.DIGEST}
            return [self._recorded(row, outcome) for row in digest.rows]

        return await self._record(await self._patiently(once, f"{len(still)} in a digest"))

    async def _patiently(
        self, attempt: Callable[[], Awaitable[list[RecordDelivery]]], what: str
    ) -> list[RecordDelivery]:
        """Again and again, with growing pauses, while WeCom or the read models are away."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return await attempt()
            except NOT_NOW as error:
                is_wrong = isinstance(error, WeComMisconfigured)  # until somebody mends it
                say = log.error if is_wrong else log.warning
                say("message waits", why=str(error) or repr(error), what=what)
                wait_s = max(pause_s, getattr(error, "retry_after_s", 0.0))
                await (self._until_mended(wait_s) if is_wrong else self._sleep(wait_s))
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _until_mended(self, seconds: float) -> None:
        """That long, or until somebody changed the account in the settings."""
        waits = [
            asyncio.ensure_future(self._sleep(seconds)),
            asyncio.ensure_future(self._replaced()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    def _recorded(self, row: Row, outcome: Outcome) -> RecordDelivery:
        state: MessageOutcome = "sent"
        if "problem" in outcome:
            state = "unreachable" if outcome.get("unreachable") else "failed"
        self._on_outcome(kind_of(row["notice"]), state)
        return RecordDelivery(
            at=self._clock(),
            stream=row["stream"],
            notice=row["notice"],
            to=row["userid"],
            **outcome,
        )

    async def _record(self, deliveries: Sequence[RecordDelivery]) -> bool:
        """Not recorded means sent again, so this is tried until the store takes all of them."""
        for begin in range(0, len(deliveries), RECORDED_AT_ONCE):
            some = deliveries[begin : begin + RECORDED_AT_ONCE]
            await asyncio.gather(*map(self._record_one, some))
        return bool(deliveries)

    async def _record_one(self, delivery: RecordDelivery) -> None:
        while True:
            try:
                about = await self._writer.execute(delivery)
            except (Overloaded, StoreUnavailable):
                await self._sleep(FIRST_PAUSE_S)
                continue
            is_asking = delivery.problem is not None and kind_of(delivery.notice) is Kind.ASK
            if is_asking and about.nobody_reached:
                log.error(NOBODY_REACHED, reply_id=about.reply_id, why=delivery.problem)
            return

    async def _stop_queues(self) -> None:
        for task in self._queues.values():
            task.cancel()
        await asyncio.gather(*self._queues.values(), return_exceptions=True)
