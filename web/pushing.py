"""Pushes decisions to the engines that gave an address: in order, at least once (contract 4.4)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import structlog

from adapters.engine.signature import signed_headers
from adapters.engine.webhooks import Outcome, WebhookClient
from adapters.store.writer import Overloaded, StoreUnavailable, Writer
from domain.approval import Approval
from domain.commands import RecordWebhook
from projections.database import Database, Row
from projections.decision_feed import decision_at
from projections.webhooks import Turn, changed_after, next_turn, shown_url
from web.feed_memory import Decision, PermitOf, Reader, no_permit
from web.reading import Behind, Reading
from web.tally import WebhookOutcome
from web.webhook_secrets import WebhookSecrets

T = TypeVar("T")

PAUSE_S, LONG_PAUSE_S = 1.0, 30.0
# A clock that was set, or a machine that slept, is noticed after that.
LOOK_AGAIN_S = 60.0
# Of one engine: each has a connection, and perhaps a thread that looks a name up.
MOST_UNDER_WAY = 100
ANYBODY = Reader("", everything=True)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Letterhead:
    """What stands on everything that is pushed from this store."""

    feed_id: str
    secrets: WebhookSecrets
    permit_of: PermitOf = no_permit

    def webhook_id(self, position: int) -> str:
        """The same for each try; another store has others."""
        return webhook_id(self.feed_id, position)

    def body(self, decision: Row, url: str) -> bytes:
        """As it stands in the feed of its engine; without a permit where others can read along."""
        is_secret = url.lower().startswith("https:")
        reader = Reader(decision["engine"]) if is_secret else ANYBODY
        return Decision(decision, self.permit_of).for_(reader).json


def webhook_id(feed_id: str, position: int) -> str:
    return f"{feed_id}-{position}"


@dataclass
class Queue:
    """What goes to one destination."""

    task: asyncio.Task[None] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Pusher:
    """
    Follows what is to be pushed. Each destination has a task of its own: one that is down, slow
    or wrong keeps back what goes there, and nothing else.
    """

    def __init__(
        self,
        reading: Reading,
        writer: Writer,
        client: WebhookClient,
        clock: Callable[[], datetime],
        letterhead: Letterhead,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_outcome: Callable[[WebhookOutcome], None] = lambda outcome: None,
    ) -> None:
        self._reading = reading
        self._writer = writer
        self._client = client
        self._clock = clock
        self._letterhead = letterhead
        self._sleep = sleep
        self._on_outcome = on_outcome
        self._queues: dict[str, Queue] = {}
        self._room: dict[str, asyncio.Semaphore] = {}
        self._seen = 0

    async def run(self) -> None:
        """Look after every step of the read models, for ever."""
        try:
            while True:
                seen = self._reading.progress.position
                if not await self._looked():
                    await self._sleep(PAUSE_S)
                elif self._reading.progress.position == seen:
                    await self._reading.progress.next()
        finally:
            await self._stop_queues()

    async def look(self) -> None:
        """Wake the queue of each destination of which something changed, or begin it."""
        after = self._seen
        changed, self._seen = await self._ask(lambda tables: changed_after(tables, after))
        self._queues = {d: q for d, q in self._queues.items() if q.task and not q.task.done()}
        for destination in changed:
            queue = self._queues.setdefault(destination, Queue())
            queue.changed.set()
            if queue.task is None:
                queue.task = asyncio.create_task(self._empty(destination, queue.changed))

    async def _looked(self) -> bool:
        """False if the read models could not be asked: a bad moment must not end all pushing."""
        try:
            await self.look()
        except Exception:
            log.exception("what is to be pushed cannot be read")
            return False
        return True

    async def _empty(self, destination: str, changed: asyncio.Event) -> None:
        """Push until nothing is left; then `look` begins anew when something comes."""
        while True:
            changed.clear()
            try:
                turn = await self._turn(destination)
                if turn is not None and not turn.wait_ms:
                    await self._push(turn)
                    continue
            except Exception:
                log.exception("pushing failed", destination=destination)
                await self._sleep(LONG_PAUSE_S)
                continue
            if turn is not None:
                await self._pause(min(turn.wait_ms / 1000, LOOK_AGAIN_S), changed)
            elif not changed.is_set():
                return

    async def _turn(self, destination: str) -> Turn | None:
        now = self._clock()
        return await self._ask(lambda tables: next_turn(tables, destination, now))

    async def _pause(self, seconds: float, changed: asyncio.Event) -> None:
        """Until it is time, or something changed: a decision came, or somebody asked for one."""
        waits = [
            asyncio.ensure_future(self._sleep(seconds)),
            asyncio.ensure_future(changed.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _push(self, turn: Turn) -> None:
        """One try, and its record: not recorded means tried again, so that has to succeed."""
        row = turn.row
        async with self._room_for(row["engine"]):
            outcome = await self._tried(row)
        approval = await self._record(
            RecordWebhook(
                at=self._clock(),
                reply_id=row["reply_id"],
                delivery=row["position"],
                attempt=row["attempts"] + 1,
                problem=outcome.problem,
                down=outcome.down,
                released=[] if outcome.down else list(turn.held),
            )
        )
        self._tell(turn, outcome, approval)
        await self._is_known()

    async def _tried(self, row: Row) -> Outcome:
        decision = await self._ask(lambda tables: decision_at(tables, row["position"]))
        if decision is None:
            raise LookupError(f"no decision at {row['position']}")
        letterhead, url, at = self._letterhead, row["url"], self._clock()
        secrets = await asyncio.to_thread(letterhead.secrets.of, row["engine"], at)
        body = letterhead.body(decision, url)
        name = letterhead.webhook_id(row["position"])
        return await self._client.push(url, signed_headers(name, at, body, secrets), body)

    def _room_for(self, engine: str) -> asyncio.Semaphore:
        """An engine with ever so many dead receivers takes nothing from the others."""
        return self._room.setdefault(engine, asyncio.Semaphore(MOST_UNDER_WAY))

    async def _record(self, tried: RecordWebhook) -> Approval:
        while True:
            try:
                approval: Approval = await self._writer.execute(tried)
            except (Overloaded, StoreUnavailable):
                await self._sleep(PAUSE_S)
                continue
            return approval

    async def _is_known(self) -> None:
        """What was recorded has to be in the read models before they are asked what is next."""
        while True:
            try:
                return await self._reading.caught_up()
            except Behind:
                await self._sleep(PAUSE_S)

    def _tell(self, turn: Turn, outcome: Outcome, approval: Approval) -> None:
        row = turn.row
        about = {"engine": row["engine"], "url": shown_url(row["url"]), "delivery": row["position"]}
        given_up = approval.webhooks.at(row["position"]).is_undelivered
        self._on_outcome(_counted_as(outcome, given_up))
        if turn.is_down and not outcome.down:
            log.warning("webhook destination is back", **about)
        if given_up:
            log.error("webhook is undelivered and was given up", why=outcome.problem, **about)
        elif outcome.down and not turn.is_down:
            log.error("webhook destination is down", why=outcome.problem, **about)
        elif outcome.problem is not None:
            log.warning("webhook failed", why=outcome.problem, **about)

    async def _ask(self, question: Callable[[Database], T]) -> T:
        return await self._reading.of_read_models(question)

    async def _stop_queues(self) -> None:
        tasks = [queue.task for queue in self._queues.values() if queue.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _counted_as(outcome: Outcome, given_up: bool) -> WebhookOutcome:
    if outcome.problem is None:
        return "delivered"
    if given_up:
        return "given-up"
    return "down" if outcome.down else "failed"
