"""Sends what stands in the outbox: one queue for each member, at least once, in order."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import msgspec
import structlog

from adapters.store.writer import Overloaded, StoreUnavailable, Writer
from adapters.wecom.client import (
    Unreachable,
    WeComAway,
    WeComClient,
    WeComMisconfigured,
    WeComRefused,
)
from adapters.wecom.messages import Clockface, answer_on_approval, answer_to_inbox
from domain.approval import Approval
from domain.commands import RecordDelivery
from domain.identity import APPROVAL_STREAM
from domain.inbox import Inbox
from domain.wording import asking_text
from web.reading import Behind, Reading

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
AT_ONCE_FROM_OUTBOX = 50
NOT_CONFIGURED = "WeCom is not configured"
ASK = "ask/"

log = structlog.get_logger()


class Sender:
    """
    Follows the outbox. Each member with messages has a task of their own: a message that cannot
    be delivered now keeps back that member's next ones, and nobody else's.
    """

    def __init__(
        self,
        reading: Reading,
        writer: Writer,
        wecom: WeComClient | None,
        clock: Callable[[], datetime],
        clockface: Clockface,
        link_of: Callable[[str], str] | None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._reading = reading
        self._writer = writer
        self._wecom = wecom
        self._clock = clock
        self._clockface = clockface
        self._link_of = link_of
        self._sleep = sleep
        self._queues: dict[str, asyncio.Task[None]] = {}

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
        """Start the queue of each member who has messages and no queue yet."""
        for member in await self._reading.members_with_messages():
            task = self._queues.get(member)
            if task is None or task.done():
                self._queues[member] = asyncio.create_task(self._empty_queue(member))
        self._queues = {m: task for m, task in self._queues.items() if not task.done()}

    async def _looked(self) -> bool:
        """False if the outbox could not be read: a bad moment must not end all sending."""
        try:
            await self.look()
        except Exception:
            log.exception("the outbox cannot be read")
            return False
        return True

    async def _empty_queue(self, member: str) -> None:
        """Send until nothing is left; then `look` begins anew when something comes."""
        while True:
            seen = self._reading.progress.position
            try:
                sent = await self._send_what_waits(member)
            except Exception:
                log.exception("sending failed", member=member)
                await self._sleep(LONGEST_PAUSE_S)
                continue
            # What came while the outbox was read, `look` left to this queue: it was still there.
            if not sent and self._reading.progress.position == seen:
                return

    async def _send_what_waits(self, member: str) -> bool:
        """False if there was nothing but what is moot; the events that say so are on their way."""
        rows = await self._reading.messages_for(member, AT_ONCE_FROM_OUTBOX)
        recorded = [await self._deliver(row) for row in rows]
        if any(recorded):
            # What was recorded has to leave the outbox before it is read again.
            await self._reading.caught_up()
        return any(recorded)

    async def _deliver(self, row: Any) -> bool:
        """Try until WeCom took it or refused it for good and record which; False if moot."""
        pause_s, outcome = FIRST_PAUSE_S, dict[str, Any]()
        while True:
            try:
                text, cut = await self._text_of(row)
                if text is None:
                    return False
                await self._send(row, text)
            except (WeComAway, WeComMisconfigured, Behind) as error:
                log.warning("message waits", why=str(error) or repr(error), stream=row["stream"])
                await self._sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
                continue
            except Unreachable as error:
                outcome = {"problem": str(error), "unreachable": True}
            except WeComRefused as error:
                outcome = {"problem": str(error)}
            else:
                outcome = {"cut": cut}
            await self._record(row, outcome)
            return True

    async def _send(self, row: Any, text: str) -> None:
        if self._wecom is None:
            raise WeComRefused(0, NOT_CONFIGURED)
        await self._wecom.send_text(row["userid"], text, once=row["notice"].startswith(ASK))

    async def _record(self, row: Any, outcome: dict[str, Any]) -> None:
        """Not recorded means sent again, so this is tried until the store takes it."""
        while True:
            command = RecordDelivery(
                at=self._clock(),
                stream=row["stream"],
                notice=row["notice"],
                to=row["userid"],
                **outcome,
            )
            try:
                await self._writer.execute(command)
            except (Overloaded, StoreUnavailable):
                await self._sleep(FIRST_PAUSE_S)
            else:
                return

    async def _text_of(self, row: Any) -> tuple[str | None, bool]:
        """
        What to send now, and whether the message in it was cut.

        None when it is moot: it was sent (the outbox may be behind the events), or nobody is to
        be asked any more.
        """
        if not row["stream"].startswith(APPROVAL_STREAM):
            return await self._answer_to_inbox(row), False
        approval = await self._reading.approval(row["stream"].removeprefix(APPROVAL_STREAM))
        assert approval is not None  # noqa: S101  # its event called for this message
        if row["notice"] in approval.delivered:
            return None, False
        if row["notice"].startswith(ASK):
            return self._asking(approval)
        replied = msgspec.json.decode(row["payload"], type=Approval.Replied)
        waiting = await self._reading.waiting_ids(row["userid"])
        return answer_on_approval(replied, approval, waiting, self._clockface), False

    async def _answer_to_inbox(self, row: Any) -> str | None:
        inbox = await self._reading.inbox(row["stream"])
        if inbox is None or row["notice"] in inbox.answered:
            return None
        received = msgspec.json.decode(row["payload"], type=Inbox.Received)
        waiting = await self._reading.still_waiting_for(row["userid"])
        return answer_to_inbox(received, waiting, self._clockface)

    def _asking(self, approval: Approval) -> tuple[str | None, bool]:
        if approval.ending is not None or self._clock() >= approval.expires_at:
            return None, False
        link = self._link_of(approval.approval_id) if self._link_of else None
        return asking_text(approval.requested.message, approval.reply_id, link)

    async def _stop_queues(self) -> None:
        for task in self._queues.values():
            task.cancel()
        await asyncio.gather(*self._queues.values(), return_exceptions=True)
