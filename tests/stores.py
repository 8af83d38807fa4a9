"""A store, its read models and its writer, on real files; commands through them.

with opened(tmp_path) as house:
    house.do(ask(), says("zhangsan", APPROVE))
    assert house.rows("decision_feed")
"""

import asyncio
import threading
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from adapters.store.event_store import EventStore, open_event_store
from adapters.store.read_models import ReadModelDatabase
from adapters.store.unit import UnitOfWork
from adapters.store.writer import Writer
from domain.aggregate import Event
from domain.approval import Approval
from domain.errors import Refusal
from domain.handling import HANDLERS
from domain.identity import approval_stream
from projections.directory import Directory
from projections.projection import Projection
from projections.runner import ALL, ProjectionRunner
from tests.scenario import NODE, NOON, with_its_card

SOON_S = 10.0
"""Long enough for anything that comes at all."""

TABLES = tuple(projection.name for projection in ALL)


def open_store(path: Path) -> EventStore:
    return open_event_store(f"sqlite:///{path}")


def open_read_models(
    path: Path, store: str = "feed", projections: Sequence[Projection] = ALL
) -> ReadModelDatabase:
    return ReadModelDatabase(path, store, {p.name: p.schema for p in projections})


def rows(database: ReadModelDatabase, table: str) -> list[dict[str, Any]]:
    """All rows of a table, in an order that does not depend on how they came there."""
    return sorted((dict(row) for row in database.query(f"SELECT * FROM {table}")), key=repr)  # noqa: S608


def everything(database: ReadModelDatabase) -> dict[str, list[dict[str, Any]]]:
    """All rows of all read models, their positions included."""
    return {table: rows(database, table) for table in (*TABLES, "tracking")}


def position_of(database: ReadModelDatabase, name: str) -> int:
    with database.transaction() as tables:
        return database.positions(tables, [name])[name]


def events_of(store: EventStore, reply_id: str = NODE) -> list[Event]:
    """What was stored of one approval."""
    return [event for _, event in store.events_of(approval_stream(reply_id))]


@dataclass
class House:
    """An event store with read models, which are brought up to date on demand."""

    store: EventStore
    read_models: ReadModelDatabase
    runner: ProjectionRunner
    super_approvers: list[str] = field(default_factory=list)
    is_live: bool = False
    """The runner is at work on its own thread."""

    def do(self, *commands: Any) -> Any:
        """
        Carry out commands, each in a transaction of its own; refusals are recorded and passed
        over. What the last one answered, or its refusal.
        """
        answer: Any = None
        for command in commands:
            unit = UnitOfWork(self.store, self.super_approvers, self.directory)
            unit.begin(command.at)
            command = with_its_card(command, unit.approval)
            try:
                answer = HANDLERS[type(command)](command, unit)
            except Refusal as refusal:
                answer = refusal
            unit.end()
            events, keys = unit.collect()
            unit.number(self.store.save(events, keys, unit.unmoved))
        return answer

    def catch_up(self) -> None:
        if self.is_live:
            self.runner.wait_for(self.store.last_position(), SOON_S)
        else:
            self.runner.catch_up()

    def directory(self) -> Directory:
        self.catch_up()
        return Directory(self.read_models, self.super_approvers)

    def rows(self, table: str) -> list[dict[str, Any]]:
        self.catch_up()
        return rows(self.read_models, table)


@contextmanager
def opened(path: Path, super_approvers: Sequence[str] = ()) -> Iterator[House]:
    with (
        closing(open_store(path / "events.db")) as store,
        closing(open_read_models(path / "views.db")) as read_models,
    ):
        yield House(store, read_models, ProjectionRunner(store, read_models), list(super_approvers))


@contextmanager
def writing(
    path: Path, super_approvers: Sequence[str] = (), max_queue: int = 2000
) -> Iterator[Writer]:
    """The writer at work, with read models that follow on their own thread."""
    with ExitStack() as closing_time:
        store = closing_time.enter_context(closing(open_store(path / "events.db")))
        views = closing_time.enter_context(closing(open_read_models(path / "views.db")))
        source = closing_time.enter_context(closing(store.another()))
        runner = ProjectionRunner(source, views)

        def directory_at(position: int) -> Directory:
            runner.wait_for(position, SOON_S)
            return Directory(views, super_approvers)

        writer = Writer(store, directory_at, lambda: list(super_approvers), max_queue)
        runner.start()
        closing_time.callback(runner.stop)
        writer.start()
        closing_time.callback(writer.stop)
        yield writer


@dataclass(frozen=True)
class Pause:
    """A command that keeps the writer busy until it may go on; it stores nothing."""

    at: datetime = NOON
    entered: threading.Event = field(default_factory=threading.Event)
    may_go: threading.Event = field(default_factory=threading.Event)


def _pause(command: Pause, unit: Any) -> None:
    command.entered.set()
    assert command.may_go.wait(SOON_S)


@pytest.fixture
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    """What is logged, instead of on the terminal."""
    with capture_logs() as entries:
        yield entries


@pytest.fixture
def pausing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the writer understand `Pause`."""
    monkeypatch.setitem(HANDLERS, Pause, _pause)


class Busy:
    """The writer kept busy: what is given to it meanwhile waits, and is then one batch."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._pause = Pause()
        self.jobs: list[asyncio.Task[Any]] = []

    async def __aenter__(self) -> "Busy":
        pause: Any = self._pause
        self._held = asyncio.create_task(self._writer.execute(pause))
        assert await asyncio.to_thread(self._pause.entered.wait, SOON_S)
        return self

    async def give(self, *commands: Any, from_callback: bool = False) -> None:
        """Queue commands, in this order."""
        for command in commands:
            job = self._writer.execute(command, from_callback=from_callback)
            self.jobs.append(asyncio.create_task(job))
        await asyncio.sleep(0)  # each task runs up to where it waits for its answer

    def release(self) -> None:
        self._pause.may_go.set()

    async def outcomes(self) -> list[Any]:
        """Answers and refusals, in the order of the commands."""
        async with asyncio.timeout(SOON_S):
            return await asyncio.gather(*self.jobs, return_exceptions=True)

    async def __aexit__(self, *args: object) -> None:
        self.release()
        await self._held
        with suppress(asyncio.CancelledError):
            await self.outcomes()


async def in_one_batch(writer: Writer, *commands: Any) -> list[Any]:
    """Have commands carried out in one transaction; their answers and refusals."""

    def approval(reply_id: str) -> Approval | None:
        return writer.store.load(Approval, approval_stream(reply_id))

    async with Busy(writer) as busy:
        await busy.give(*(with_its_card(command, approval) for command in commands))
    return await busy.outcomes()
