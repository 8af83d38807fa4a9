"""
Service and consumer are killed again and again: the consumer ends with every decision once, in
order, no gap (contract 4.3, 6.2).

The consumer is examples/follow_decisions.py as it stands in the documentation.
"""

import asyncio
import os
import random
import sqlite3
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.engine.client import EngineClient
from adapters.engine.pauses import Patience
from adapters.simulator.wecom import SimulatedWeCom
from tests.process import ServiceProcess
from tests.test_crash import MEMBERS, PREFIX_PATH, TOKEN, environment, free_port, patient_wecom

CONSUMER = Path(__file__).parent.parent / "examples" / "follow_decisions.py"
ENGINES = 8
WITHIN_S = 120.0
ENDS = tuple(
    f"approval.{status}" for status in ("approved", "rejected", "expired", "cancelled", "revoked")
)
Kept = list[tuple[int, str]]
"""Position and status of each decision."""

__all__ = ["patient_wecom"]


class Consumer:
    """The example as a process of its own, with its database."""

    def __init__(self, base: str, folder: Path) -> None:
        self._environment = {
            "PATH": os.environ["PATH"],
            "APPROVAL_URL": base,
            "APPROVAL_TOKEN": TOKEN,
        }
        self._database, self._log = folder / "engine.db", folder / "consumer.log"
        self._process: asyncio.subprocess.Process | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Started; it has ended afterwards, whatever happens."""
        await self.start()
        try:
            yield
        finally:
            if self._process is not None and self._process.returncode is None:
                self._process.kill()
                await self._process.wait()

    async def start(self) -> None:
        with self._log.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, CONSUMER, self._database), env=self._environment, stderr=errors
            )

    async def kill(self) -> None:
        """`kill -9`; it must not have ended by itself."""
        assert self._process is not None
        assert self._process.returncode is None, self._log.read_text()
        self._process.kill()
        await self._process.wait()

    def kept(self) -> Kept:
        """What it has done about decisions, in the order in which it did it."""
        with closing(sqlite3.connect(self._database, timeout=30)) as database:
            try:
                return database.execute(
                    "SELECT position, status FROM work ORDER BY number"
                ).fetchall()
            except sqlite3.OperationalError:  # it has made no table yet
                return []


@dataclass
class Engines:
    """They ask, and members answer in WeCom, until there are so many decisions."""

    client: EngineClient
    wecom: SimulatedWeCom
    wanted: int
    begun: int = 0
    decided: int = 0
    moved: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as engines:
            for _ in range(ENGINES):
                engines.create_task(self._engine())

    async def until(self, decided: int) -> None:
        async with self.moved:
            await self.moved.wait_for(lambda: self.decided >= min(decided, self.wanted))

    async def _engine(self) -> None:
        while self.begun < self.wanted:
            self.begun += 1
            number = self.begun
            member = MEMBERS[number % len(MEMBERS)].userid
            await self.client.ask(f"{number}_1", "替换故障机", [member])
            word = "BH" if number % 5 == 0 else "TY"
            await self._says(member, f"{word} {number}_1", 10_000_000 + number)
            async with self.moved:
                self.decided += 1
                self.moved.notify_all()

    async def _says(self, member: str, words: str, msg_id: int) -> None:
        """As WeCom does: the same callback again until it is answered."""
        while not (await self.wecom.send_text(member, words, msg_id)).answered:
            await asyncio.sleep(0.05)


@asynccontextmanager
async def engines(base: str, wecom: SimulatedWeCom, wanted: int) -> AsyncIterator[Engines]:
    patience = Patience(call_s=WITHIN_S)
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        EngineClient(base, TOKEN, session=session, patience=patience) as client,
    ):
        yield Engines(client, wecom, wanted)


@pytest.mark.parametrize(
    ("kills", "decisions"),
    [(4, 400), pytest.param(50, 10_000, marks=pytest.mark.slow)],
    ids=["4 kills", "50 kills"],
)
async def test_whoever_is_killed_the_consumer_ends_with_every_decision_once_and_in_order(
    tmp_path: Path, patient_wecom: tuple[SimulatedWeCom, str], kills: int, decisions: int
) -> None:
    wecom, url = patient_wecom
    port, chance = free_port(), random.Random(20260107)  # noqa: S311  # moments, no secrets
    base = f"http://127.0.0.1:{port}{PREFIX_PATH}"
    service = ServiceProcess(environment(tmp_path, wecom, url, port), tmp_path)
    consumer = Consumer(base, tmp_path)
    moments = sorted(chance.sample(range(1, decisions), kills))
    victims: list[ServiceProcess | Consumer] = [service, consumer] * (kills // 2)
    chance.shuffle(victims)
    async with service, consumer.running(), engines(base, wecom, decisions) as load:
        assert (await wecom.save_callback(f"{base}/wechat/entry/")).ok
        working = asyncio.create_task(load.run())
        for moment, victim in zip(moments, victims, strict=True):
            await either(load.until(moment), working)
            await victim.kill()
            await (service.__aenter__() if victim is service else consumer.start())
        await working
        expected = stored(tmp_path)
        assert len(expected) == decisions
        await eventually(consumer, decisions)
        await consumer.kill()
        assert consumer.kept() == expected


async def either(moment: Coroutine[Any, Any, None], working: asyncio.Task[None]) -> None:
    """Until that moment; if the work has ended in an error before, with that error."""
    waiting = asyncio.create_task(moment)
    await asyncio.wait([waiting, working], return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        waiting.cancel()
        await working
    await waiting


def stored(folder: Path) -> Kept:
    """What the event store itself says: each end, in the order in which it was recorded."""
    with closing(sqlite3.connect(folder / "fta-approval.db", timeout=30)) as database:
        marks = ", ".join("?" * len(ENDS))
        found = database.execute(
            f"SELECT position, topic FROM stored_events WHERE topic IN ({marks})"  # noqa: S608
            " ORDER BY position",
            ENDS,
        ).fetchall()
    return [(position, topic.removeprefix("approval.")) for position, topic in found]


async def eventually(consumer: Consumer, count: int) -> None:
    async with asyncio.timeout(WITHIN_S):
        while len(consumer.kept()) < count:
            await asyncio.sleep(0.05)
