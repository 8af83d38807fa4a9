"""Once a day the service itself computes everything anew, records what it found, and says it loudly
where something is wrong."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

import structlog
from eventsourcing.domain import EventSourcingError

from adapters.evidence.head_file import heads_in
from adapters.evidence.heads import BadHead, TreeHead
from adapters.evidence.keys import BadKey, public_keys
from adapters.evidence.logs import made_keys
from adapters.evidence.outside import in_order
from adapters.evidence.verification import Verification, Verifier
from adapters.store.event_store import EventStore
from adapters.store.schema import NewerStore
from adapters.store.snapshot import opened_snapshot
from adapters.store.writer import Overloaded, StoreUnavailable, Writer
from domain.installation import STREAM
from web.evidence import last_verification
from web.evidence_verifying import heads_file, recorded
from web.reading import Reading
from web.settings import Settings

EVERY = timedelta(days=1)
LOOK_EVERY_S = 60.0
# Of the time that a portion took: others want the interpreter, too.
REST = 2.0
HEADS_AT_ONCE = 500
BY_ITSELF = "service"
CANNOT = (OSError, sqlite3.Error, EventSourcingError, NewerStore, BadHead, BadKey)

log = structlog.get_logger()


class _Stopped(Exception):
    """The service ends; the next one begins anew."""


class DailyCheck:
    """
    Verifies on a thread, slowly, in the process that does what one process does.

    Args:
        settings: Where the store and the file of heads are.
    """

    def __init__(
        self,
        settings: Settings,
        reading: Reading,
        writer: Writer,
        clock: Callable[[], datetime],
        rest: float = REST,
    ) -> None:
        self._settings = settings
        self._reading = reading
        self._writer = writer
        self._clock = clock
        self._rest = rest

    async def run(self) -> None:
        """Look once a minute whether a day has passed since, for ever."""
        while True:
            try:
                await self.look()
            except (*CANNOT, Overloaded, StoreUnavailable) as error:
                log.error("the history could not be verified", why=str(error))
            except Exception:
                log.exception("verifying the history crashed")
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> Verification | None:
        """Verify if it is time; None if it is not."""
        now = self._clock()
        if now - await self._reading.of_store(_last) < EVERY:
            return None
        stopped = threading.Event()
        try:
            found = await asyncio.to_thread(self._verify, stopped)
        finally:
            stopped.set()  # on a thread nothing else ends it when the service does
        if found.problem is not None:
            log.error("the history is not as it was recorded", what=found.problem.sentence)
        await self._writer.execute(recorded(found, BY_ITSELF, BY_ITSELF, self._clock()))
        return found

    def _verify(self, stopped: threading.Event) -> Verification:
        worked_since = time.monotonic()

        def rest(count: int) -> None:
            nonlocal worked_since
            if stopped.wait((time.monotonic() - worked_since) * self._rest):
                raise _Stopped
            worked_since = time.monotonic()

        def resting(heads: Iterable[TreeHead]) -> Iterator[TreeHead]:
            for count, head in enumerate(heads, 1):
                if count % HEADS_AT_ONCE == 0:
                    rest(count)
                yield head

        file = heads_file(self._settings)
        # A file of years is read before the first event is: it, too, has to leave room.
        outside = resting(() if file is None else heads_in(file, []))
        with opened_snapshot(self._settings.database) as snapshot, in_order(outside) as ordered:
            keys = public_keys(made.public for made in made_keys(snapshot))
            return Verifier(snapshot, keys, ordered, rest).run()


def _last(store: EventStore) -> datetime:
    """When it was last verified, or the store began."""
    if (verified := last_verification(store)) is not None:
        return verified.at
    return store.events_of(STREAM)[0][1].timestamp
