"""Reads: the event store for one approval, the read models for finding and listing.

Everything runs on threads of its own; nothing here blocks the event loop.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from adapters.store.event_store import EventStore
from adapters.store.read_models import ReadModelDatabase
from adapters.store.writer import Writer
from domain.aggregate import Event
from domain.approval import Approval
from domain.configuration import CONFIGURATION_STREAM, Configuration
from domain.freeze import FREEZE_STREAM, Freeze
from domain.identity import approval_stream
from domain.inbox import Inbox
from domain.session import Session, session_stream
from projections.database import Database
from projections.decision_feed import Batch, decisions_after, newest_decisions
from projections.directory import Directory
from projections.outbox import Lane, messages_for, size, waiting_lanes
from projections.webhooks import Waiting, how_many_wait

T = TypeVar("T")

CAUGHT_UP_WITHIN_S = 5.0
ON_LISTS = {
    event.TOPIC
    for event in (
        *(Approval.Requested, Approval.Approved, Approval.Rejected, Approval.Expired),
        *(Approval.Cancelled, Approval.Revoked, Approval.Redeemed, Approval.OutcomeReported),
        *(Freeze.Began, Freeze.Ended),
    )
}
"""What changes how an approval stands in a list."""


class Behind(Exception):
    """The read models have not seen what this process has answered; ask again in a moment."""


class Progress:
    """How far the read models are, for whoever waits in the event loop."""

    def __init__(self, position: int) -> None:
        self.position = position
        self._moved = asyncio.Event()

    def move(self, position: int) -> None:
        """Everything up to that position has been taken in."""
        self.position = position
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def next(self) -> None:
        """Wait until it moves."""
        await self._moved.wait()

    async def reach(self, position: int, timeout_s: float) -> None:
        """Wait until it is there; TimeoutError if it is not after that time."""
        async with asyncio.timeout(timeout_s):
            while self.position < position:
                await self.next()


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much there is, and how much of it is still to be done."""

    last_position: int
    pending: int
    outbox: int
    nobody_reached: int
    is_frozen: bool
    webhooks: Waiting


class Reading:
    """What handlers and reactions ask."""

    def __init__(
        self,
        store: EventStore,
        read_models: ReadModelDatabase,
        writer: Writer,
        progress: Progress,
        directory: Directory,
    ) -> None:
        self._store = store
        self._read_models = read_models
        self._writer = writer
        self.progress = progress
        self._directory = directory
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="reading")

    async def approval(self, reply_id: str) -> Approval | None:
        """The approval as it is now."""
        return await self._run(lambda: self._store.load(Approval, approval_stream(reply_id)))

    async def approvals(self, reply_ids: Sequence[str]) -> list[Approval]:
        """Those that exist, in the order asked."""
        streams = [approval_stream(reply_id) for reply_id in reply_ids]
        found = await self._run(lambda: self._store.load_all(Approval, streams))
        return [found[stream] for stream in streams if stream in found]

    async def by_uuid(self, approval_id: str) -> Approval | None:
        """The approval with that uuid, asked for by this process before included."""
        reply_id = await self._run(lambda: self._directory.reply_id_of(approval_id))
        if reply_id is None:
            await self.caught_up()
            reply_id = await self._run(lambda: self._directory.reply_id_of(approval_id))
        return await self.approval(reply_id) if reply_id else None

    async def events_of(self, stream: str) -> list[tuple[int, Event]]:
        return await self._run(lambda: self._store.events_of(stream))

    async def session(self, session: str) -> Session | None:
        return await self._run(lambda: self._store.load(Session, session_stream(session)))

    async def inbox(self, stream: str) -> Inbox | None:
        return await self._run(lambda: self._store.load(Inbox, stream))

    async def freeze(self) -> Freeze:
        """Whether approving is stopped, by whichever process."""
        return await self._run(self._freeze)

    async def configuration(self) -> Configuration:
        """The settings that are stored, as history."""
        load = self._store.load
        found = await self._run(lambda: load(Configuration, CONFIGURATION_STREAM))
        return found or Configuration()

    async def last_position(self) -> int:
        """The position of the last event recorded, by whichever process."""
        return await self._run(self._store.last_position)

    async def caught_up(self) -> None:
        """
        Wait until the read models have seen everything that this process has answered.

        Raises:
            Behind: They have not after a few seconds.
        """
        try:
            await self.progress.reach(self._writer.last_position, CAUGHT_UP_WITHIN_S)
        except TimeoutError:
            raise Behind from None

    async def waiting_for(self, userid: str) -> list[Approval]:
        """What waits for this member, most urgent first, as far as it still waits."""
        await self.caught_up()
        reply_ids = await self._run(lambda: self._directory.waiting_for(userid))
        return [a for a in await self.approvals(reply_ids) if not a.is_requester(userid)]

    async def most_urgent(
        self, userid: str, at: datetime, limit: int
    ) -> tuple[int, list[Approval]]:
        """How many wait for this member, and the first of them, the most urgent first."""
        await self.caught_up()
        count, first = await self._run(lambda: self._directory.most_urgent(userid, at, limit))
        return count, await self.approvals(first)

    async def waiting_ids(self, userid: str, at: datetime) -> list[str]:
        """Names of what waits for this member now, the most urgent first."""
        await self.caught_up()
        return await self._run(lambda: list(self._directory.still_waiting_for(userid, at)))

    async def matching(
        self, filters: dict[str, object], after: int, limit: int, engine: str | None
    ) -> list[Approval]:
        """Approvals by number (see Directory.matching)."""
        await self.caught_up()
        found = await self._run(lambda: self._directory.matching(filters, after, limit, engine))
        return await self.approvals([reply_id for _, reply_id in found])

    async def decisions_after(
        self, position: int, limit: int, engine: str | None, most_characters: int
    ) -> Batch:
        return await self._run(
            lambda: decisions_after(self._read_models, position, limit, engine, most_characters)
        )

    async def newest_decisions(self, position: int, limit: int, most_characters: int) -> Batch:
        return await self._run(
            lambda: newest_decisions(self._read_models, position, limit, most_characters)
        )

    async def changed_between(
        self, position: int, reached: int, limit: int
    ) -> list[Approval] | None:
        """
        Approvals that lists show otherwise for what happened after a position, up to another one.

        Returns:
            None where it may be anything: approving was stopped or goes on, the positions do not
            follow each other, or more happened than `limit`.
        """
        return await self._run(lambda: self._changed_between(position, reached, limit))

    async def backlog(self) -> Backlog:
        return await self._run(
            lambda: Backlog(
                self._store.last_position(),
                self._directory.pending(),
                size(self._read_models),
                self._directory.nobody_reached(),
                self._freeze().in_force is not None,
                how_many_wait(self._read_models),
            )
        )

    async def overdue(self, at: Any, limit: int) -> Sequence[str]:
        return await self._run(lambda: self._directory.deadlines_until(at, limit))

    async def reminders_due(self, at: Any, limit: int) -> Sequence[str]:
        return await self._run(lambda: self._directory.reminders_due(at, limit))

    async def waiting_lanes(self) -> list[tuple[str, Lane]]:
        """Members to whom something is to be sent, and in which lane."""
        return await self._run(lambda: waiting_lanes(self._read_models))

    async def messages_for(self, member: str, lane: Lane, limit: int) -> list[Any]:
        return await self._run(lambda: messages_for(self._read_models, member, lane, limit))

    async def of_read_models(self, question: Callable[[Database], T]) -> T:
        """What a function of projections/ answers."""
        return await self._run(lambda: question(self._read_models))

    async def of_store(self, question: Callable[[EventStore], T]) -> T:
        """What a function of the event store answers."""
        return await self._run(lambda: question(self._store))

    def close(self) -> None:
        self._threads.shutdown()

    def _changed_between(self, position: int, reached: int, limit: int) -> list[Approval] | None:
        if not position <= reached <= position + limit:
            return None
        stored = self._store.read_after(position, limit)
        changes = [one for one in stored if one.id <= reached and one.topic in ON_LISTS]
        streams = list(dict.fromkeys(str(one.originator_id) for one in changes))
        if FREEZE_STREAM in streams:
            return None
        return list(self._store.load_all(Approval, streams).values())

    def _freeze(self) -> Freeze:
        return self._store.load(Freeze, FREEZE_STREAM) or Freeze()

    async def _run(self, question: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, question)
