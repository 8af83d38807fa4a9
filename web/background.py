"""The clock that ends what nobody answered."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import structlog

from adapters.store.writer import Overloaded, StoreUnavailable, Writer
from domain.commands import Expire
from domain.errors import Refusal
from web.reading import Reading

EXPIRY_EVERY_S = 0.5

log = structlog.get_logger()


class Expiry:
    """Ends approvals whose deadline has passed, within two seconds of it (contract 6.3)."""

    def __init__(self, reading: Reading, writer: Writer, clock: Callable[[], datetime]) -> None:
        self._reading = reading
        self._writer = writer
        self._clock = clock

    async def run(self) -> None:
        """Look twice a second, for ever."""
        while True:
            try:
                await self.look()
            except (Overloaded, StoreUnavailable) as error:
                log.warning("expiry waits", why=type(error).__name__)
            except Exception:
                log.exception("expiry failed")
            await asyncio.sleep(EXPIRY_EVERY_S)

    async def look(self) -> None:
        """Expire what is overdue now; the aggregate judges, this only asks."""
        now = self._clock()
        overdue = await self._reading.overdue(now)
        commands = [Expire(at=now, reply_id=reply_id) for reply_id in overdue]
        outcomes = await asyncio.gather(
            *(self._writer.execute(command) for command in commands), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, Refusal):
                raise outcome
