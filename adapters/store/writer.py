"""The one writer: commands queue while a transaction is being made durable; the next takes all.

Group commit without timers: an idle service commits a single command at once, a busy one up to
MAX_BATCH in one transaction (design and figures: docs/decisions/0003-one-writer.md).
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog
from eventsourcing.domain import EventSourcingError
from eventsourcing.persistence import IntegrityError

from adapters.store.event_store import EventStore
from adapters.store.unit import NeedsDirectory, UnitOfWork
from domain.commands import Command
from domain.errors import Refusal
from domain.handling import HANDLERS
from domain.permit import PermitRules
from domain.unit import Directory

MAX_BATCH = 200
# Room kept for callbacks when engines and pages have filled the queue.
RESERVE_FOR_CALLBACKS = 500
KEEP_DELIVERY_KEYS = timedelta(hours=25)
FORGET_EVERY = timedelta(hours=1)
# The database, its connections or the read models do not answer.
UNAVAILABLE = (EventSourcingError, TimeoutError)

log = structlog.get_logger()


class Overloaded(Exception):
    """The queue is full: nothing was done, try again in a moment."""


class StoreUnavailable(Exception):
    """The database did not take it: nothing was done, or it is unknown; the same command again
    is recognised."""


@dataclass(slots=True)
class _Job:
    command: Command
    done: "asyncio.Future[Any]"
    outcome: Any = None
    refused: BaseException | None = None
    settled: bool = False
    """What it answers is on disk, or it was refused for good."""


@dataclass(slots=True)
class WriterFigures:
    """What has been done since the start."""

    commits: int = 0
    commands: int = 0
    events: int = 0
    conflicts: int = 0
    largest_batch: int = 0
    failures: int = 0


@dataclass
class Writer:
    """
    Carries out commands in the order in which they arrive, on a thread of its own.

    Args:
        directory_at: Read models that have seen everything up to a position; may block briefly,
            raises TimeoutError when they do not get there.
        super_approvers: What the environment says of them; None where it is for the stored settings
            to say, which are then read with what they decide on.
        permit_rules: By the settings in force at this moment.
    """

    store: EventStore
    directory_at: Callable[[int], Directory]
    super_approvers: Callable[[], list[str] | None]
    max_queue: int = 2000
    figures: WriterFigures = field(default_factory=WriterFigures)
    permit_rules: Callable[[], PermitRules] = PermitRules

    def __post_init__(self) -> None:
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._accepting = threading.Lock()
        self._stopped = False
        self._forgotten_at: Any = None
        self.failed_at: float | None = None
        """When the store last refused to take something, by the monotonic clock; None: it took
        what came since."""
        self.last_position = self.store.last_position()

    def start(self) -> None:
        """Begin with the work."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what was accepted, then end."""
        with self._accepting:
            self._stopped = True
            self._queue.put(None)
        self._thread.join()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """Commands that wait for the next transaction."""
        return self._queue.qsize()

    async def execute(self, command: Command, *, from_callback: bool = False) -> Any:
        """
        Carry out a command; what it answers is on disk.

        Raises:
            Refusal: The domain turned it down. A refused reply has been recorded.
            Overloaded: Too many wait already; nothing was done.
            StoreUnavailable: The database did not take it.
        """
        room = self.max_queue + (RESERVE_FOR_CALLBACKS if from_callback else 0)
        if self._queue.qsize() >= room:
            raise Overloaded
        job = _Job(command, asyncio.get_running_loop().create_future())
        with self._accepting:
            if self._stopped or not self.alive:
                raise StoreUnavailable("the writer has stopped")
            self._queue.put(job)
        return await job.done

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, ends = self._take_with(first)
            self._carry_out(batch)
            self._forget_old_deliveries(batch[0].command)
            if ends:
                return

    def _take_with(self, first: _Job) -> tuple[list[_Job], bool]:
        batch = [first]
        while len(batch) < MAX_BATCH:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return batch, True
            batch.append(job)
        return batch, False

    def _carry_out(self, batch: list[_Job]) -> None:
        """Everything in one transaction; then, each on its own, those that ask the read models."""
        later: list[_Job] = []
        self._commit(batch, later)
        _tell([job for job in batch if job.settled])
        for number, job in enumerate(later):
            self._commit([job], [], directory=True)
            _tell([job])
            if isinstance(job.refused, StoreUnavailable):
                # The read models stand still: waiting for them again would hold up everybody.
                _refuse_all(later[number + 1 :], job.refused)
                _tell(later[number + 1 :])
                return

    def _commit(self, jobs: list[_Job], later: list[_Job], directory: bool = False) -> None:
        """Run and save; on a conflict again, all, then halves, then one by one."""
        for attempt in range(10):
            try:
                while not self._run_and_save(jobs, later, directory):
                    pass
                return
            except IntegrityError:
                self.figures.conflicts += 1
                if attempt and len(jobs) > 1:
                    self._commit_halves(jobs, later)
                    return
            except UNAVAILABLE as error:
                log.error("store unavailable", error=str(error), commands=len(jobs))
                self.figures.failures += 1
                self.failed_at = time.monotonic()
                _refuse_all(jobs, StoreUnavailable(str(error)))
                return
            except Exception as error:
                # A bug of ours outside the handlers, such as an event that cannot be encoded:
                # nothing was stored. It must not hurt the neighbours, nor end the writer.
                log.exception("saving crashed", commands=len(jobs))
                self.figures.failures += 1
                if len(jobs) > 1:
                    self._commit_halves(jobs, later)
                else:
                    _refuse_all(jobs, _Crashed(str(error)))
                return
        _refuse_all(jobs, StoreUnavailable("others keep writing first"))

    def _commit_halves(self, jobs: list[_Job], later: list[_Job]) -> None:
        middle = len(jobs) // 2
        self._commit(jobs[:middle], later)
        self._commit(jobs[middle:], later)

    def _run_and_save(self, jobs: list[_Job], later: list[_Job], directory: bool) -> bool:
        """False when a command crashed and nothing was saved: again, without that one."""
        unit = UnitOfWork(
            self.store,
            self.super_approvers(),
            self._directory if directory else None,
            self.permit_rules,
        )
        unit.prefetch([job.command for job in jobs])
        deferred: list[_Job] = []
        carried_out: list[_Job] = []
        for job in jobs:
            if isinstance(job.refused, _Crashed):
                carried_out.append(job)
                continue
            begun = unit.begin(job.command.at)
            try:
                job.refused = None
                job.outcome = HANDLERS[type(job.command)](job.command, unit)
            except Refusal as refusal:
                job.refused = refusal
            except NeedsDirectory:
                unit.forget_deliveries(begun)
                deferred.append(job)
                continue
            except UNAVAILABLE:
                raise
            except Exception as error:
                # A bug in one command must not hurt its neighbours: run the others without it.
                log.exception("command crashed", command=type(job.command).__name__)
                job.refused = _Crashed(str(error))
                return False
            unit.end()
            carried_out.append(job)
        self._save(unit, len(carried_out))
        for job in carried_out:
            job.settled = True
        later.extend(deferred)
        return True

    def _save(self, unit: UnitOfWork, commands: int) -> None:
        events, delivery_keys = unit.collect()
        if events or delivery_keys:
            unit.number(self.store.save(events, delivery_keys, unit.unmoved))
            self.failed_at = None
            self.last_position = self.store.saved_to or self.last_position
            self.figures.commits += 1
            self.figures.events += len(events)
        self.figures.commands += commands
        self.figures.largest_batch = max(self.figures.largest_batch, commands)

    def _directory(self) -> Directory:
        return self.directory_at(self.store.last_position())

    def _forget_old_deliveries(self, command: Command) -> None:
        """A delivery is recognised for 24 hours; older keys would only grow."""
        if self._forgotten_at is None:
            self._forgotten_at = command.at
        elif command.at - self._forgotten_at > FORGET_EVERY:
            self._forgotten_at = command.at
            try:
                self.store.recorder.delete_delivery_keys(command.at - KEEP_DELIVERY_KEYS)
            except UNAVAILABLE as error:
                log.warning("old delivery keys are kept until the next time", error=str(error))


class _Crashed(StoreUnavailable):
    """The command met a bug of ours: nothing of it was stored."""


def _refuse_all(jobs: list[_Job], error: Exception) -> None:
    for job in jobs:
        job.outcome, job.refused, job.settled = None, error, True


def _tell(batch: list[_Job]) -> None:
    """One wake-up of each waiting event loop for the whole batch."""
    loops: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in batch:
        loops.setdefault(job.done.get_loop(), []).append(job)
    for loop, jobs in loops.items():
        with suppress(RuntimeError):  # the loop has ended, and with it everybody who waited
            loop.call_soon_threadsafe(_resolve, jobs)


def _resolve(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.done.done():
            continue  # whoever asked has gone
        if job.refused is not None:
            job.done.set_exception(job.refused)
        else:
            job.done.set_result(job.outcome)
