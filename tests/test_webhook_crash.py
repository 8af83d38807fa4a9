"""`kill -9` while decisions are pushed: each arrives at least once, in order, none is missing."""

import asyncio
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.process import ServiceProcess
from tests.receiver import Receiver
from tests.test_crash import free_port
from web.settings import PREFIX

TOKENS = {"fta": "token-of-the-engine-fta", "other": "token-of-another-engine"}
API = "/o/bk_fta_solutions/api/v1"
CLIENTS = 4
WITHIN_S = 60.0


class Engine:
    """Asks and cancels as fast as it is answered, and repeats what was not answered."""

    def __init__(self, name: str, base: str, receiver: Receiver, http: aiohttp.ClientSession):
        self.name = name
        self.receiver = receiver
        self._base = base
        self._http = http
        self._headers = {"Authorization": f"Bearer {TOKENS[name]}"}
        self.begun: list[str] = []
        self.done: set[str] = set()

    async def run(self) -> None:
        await asyncio.gather(*(self._client() for _ in range(CLIENTS)))

    async def _client(self) -> None:
        while True:
            obj_id = f"{self.name}-{len(self.begun) + 1}"
            self.begun.append(obj_id)
            await self.decide(obj_id)

    async def decide(self, obj_id: str) -> None:
        asked = {
            "obj_id": obj_id,
            "message": "替换故障机",
            "approvers": ["zhangsan"],
            "callback_url": self.receiver.url(),
        }
        approval = await self._post("/approvals", asked)
        await self._post(f"/approvals/{approval['approval_id']}/cancel", {"reason": "x"})
        self.done.add(obj_id)

    async def _post(self, path: str, body: Any) -> Any:
        url = f"{self._base}{path}"
        async with self._http.post(url, json=body, headers=self._headers) as response:
            assert response.status in (200, 201)
            return await response.json()

    async def feed(self) -> list[int]:
        """The position of every decision."""
        found: list[int] = []
        while True:
            url = f"{self._base}/decisions?limit=1000&after={found[-1] if found else 0}"
            async with self._http.get(url, headers=self._headers) as response:
                page = (await response.json())["decisions"]
            if not page:
                return found
            found += [int(decision["id"]) for decision in page]


@pytest.mark.parametrize(
    "kills", [4, pytest.param(50, marks=pytest.mark.slow)], ids=["4 kills", "50 kills"]
)
async def test_kills_while_pushing_lose_nothing_and_keep_the_order(
    tmp_path: Path, kills: int
) -> None:
    port, chance = free_port(), random.Random(20260105)  # noqa: S311  # moments, no secrets
    environment = {
        PREFIX + "DATABASE": f"sqlite:///{tmp_path / 'fta-approval.db'}",
        PREFIX + "LISTEN": f"127.0.0.1:{port}",
        PREFIX + "API_TOKENS": ",".join(f"{name}:{token}" for name, token in TOKENS.items()),
    }
    service = ServiceProcess(environment, tmp_path)
    receivers = {name: await Receiver().start() for name in TOKENS}
    async with aiohttp.ClientSession() as http:
        base = f"http://127.0.0.1:{port}{API}"
        engines = [Engine(name, base, receivers[name], http) for name in TOKENS]
        for _ in range(kills):
            async with service:
                await die_while_pushing(service, engines, chance)
        async with service:
            for engine in engines:
                for obj_id in engine.begun:
                    if obj_id not in engine.done:
                        await engine.decide(obj_id)
            for engine in engines:
                await check(engine, kills)
            assert await service.terminate() == 0
    for receiver in receivers.values():
        await receiver.stop()


async def die_while_pushing(
    service: ServiceProcess, engines: list[Engine], chance: random.Random
) -> None:
    """Let it work until a random number of deliveries later, then kill it in the midst of them."""
    until = [len(engine.receiver.got) + chance.randint(5, 60) for engine in engines]
    working = asyncio.gather(*(engine.run() for engine in engines))
    async with asyncio.timeout(WITHIN_S):
        while any(
            len(engine.receiver.got) < end for engine, end in zip(engines, until, strict=True)
        ):
            assert not working.done()
            await asyncio.sleep(0.001)
    await service.kill()
    (error,) = await asyncio.gather(working, return_exceptions=True)
    assert isinstance(error, aiohttp.ClientError | ConnectionError), error


async def check(engine: Engine, kills: int) -> None:
    positions = await engine.feed()
    assert len(positions) == len(engine.begun) > 20
    await arrived(engine, set(positions))
    came = pushed(engine)
    firsts = list(dict.fromkeys(came))
    assert firsts == positions, "in order, none missing"
    # Only the one in flight can have come again, straight after itself.
    assert all(before <= after for before, after in pairwise(came))
    assert len(came) - len(firsts) <= kills


async def arrived(engine: Engine, missing: set[int]) -> None:
    """Wait for these, however many they are, as long as one more comes now and then."""
    got, seen = engine.receiver.got, 0
    while missing:
        async with asyncio.timeout(WITHIN_S):
            while len(got) == seen:
                await asyncio.sleep(0.01)
        missing -= {int(one.event["id"]) for one in got[seen:]}
        seen = len(got)


def pushed(engine: Engine) -> list[int]:
    return [int(got.event["id"]) for got in engine.receiver.got]
