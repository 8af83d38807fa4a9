"""The clock: ends what nobody answered, and reminds whoever has not answered yet."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

import structlog

from adapters.store.writer import Overloaded, StoreUnavailable, Writer
from domain.commands import Command, Expire, Remind
from domain.errors import Refusal
from web.reading import Reading

LOOK_EVERY_S = 0.5
AT_ONCE = 500
# A reply of the last moment that waits for the read models (one without an id, say) is carried out
# after its batch: were the clock in the same one, it would come first.
GRACE = timedelta(seconds=0.5)

log = structlog.get_logger()


class Timekeeper:
    """
    Ends approvals whose deadline has passed, within two seconds of it (contract 6.3).

    Args:
        grace: How long after a deadline it is first acted on. No rule depends on it: who comes
            after the deadline is late, whether or not that has been recorded.
    """

    def __init__(
        self,
        reading: Reading,
        writer: Writer,
        clock: Callable[[], datetime],
        grace: timedelta = GRACE,
    ) -> None:
        self._reading = reading
        self._writer = writer
        self._clock = clock
        self._grace = grace

    async def run(self) -> None:
        """Look twice a second, for ever; and at once again while there is more than one look's."""
        while True:
            is_more = False
            for due in (self.expire, self.remind):
                try:
                    is_more |= await due()
                except (Overloaded, StoreUnavailable) as error:
                    log.warning("the clock waits", why=type(error).__name__)
                except Exception:
                    log.exception("the clock failed")
            await asyncio.sleep(0 if is_more else LOOK_EVERY_S)

    async def look(self) -> None:
        """Ask for what is due now; the aggregate judges."""
        while await self.expire():
            pass
        while await self.remind():
            pass

    async def expire(self) -> bool:
        """End what is overdue; True if there may be more."""
        now = self._clock()
        overdue = await self._reading.overdue(now - self._grace, AT_ONCE)
        await self._ask(Expire(at=now, reply_id=reply_id) for reply_id in overdue)
        return await self._is_more(overdue)

    async def remind(self) -> bool:
        """Remind of what is due; True if there may be more."""
        now = self._clock()
        due = await self._reading.reminders_due(now, AT_ONCE)
        await self._ask(Remind(at=now, reply_id=reply_id) for reply_id in due)
        return await self._is_more(due)

    async def _is_more(self, done: Sequence[str]) -> bool:
        """What was done has to leave the read models before they are asked again."""
        if len(done) < AT_ONCE:
            return False
        await self._reading.caught_up()
        return True

    async def _ask(self, commands: Iterable[Command]) -> None:
        outcomes = await asyncio.gather(
            *map(self._writer.execute, commands), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, Refusal):
                raise outcome
