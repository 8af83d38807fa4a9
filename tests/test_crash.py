"""`kill -9` under load: nothing acknowledged is lost, nothing is repeated (contract 6.2)."""

import asyncio
import random
import socket
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.simulator.corp import CorpSettings, Member
from adapters.simulator.knobs import Knobs
from adapters.simulator.run import start_simulator
from adapters.simulator.wecom import SimulatedWeCom
from tests.process import ServiceProcess
from tests.tampering import Evidence
from web.settings import PREFIX

TOKEN = "token-of-the-engine-fta"
CLIENTS = 8
# Enough of them that nobody gets more than twenty-five messages a minute.
MEMBERS = tuple(Member(f"zhangsan-{number}", "张三") for number in range(10_000))
PREFIX_PATH = "/o/bk_fta_solutions"


@dataclass
class Asked:
    """One approval from the point of view of engine and approver."""

    obj_id: str
    msg_id: int
    approver: str
    approval_id: str | None = None
    """Known once the request was acknowledged."""
    answered: bool = False
    """The reply was acknowledged."""


@dataclass
class Load:
    """Engines that ask and an approver who answers, for as long as the service lives."""

    base: str
    wecom: SimulatedWeCom
    http: aiohttp.ClientSession
    all: list[Asked] = field(default_factory=list)

    async def run(self) -> None:
        await asyncio.gather(*(self._client() for _ in range(CLIENTS)))

    async def _client(self) -> None:
        while True:
            number = len(self.all) + 1
            one = Asked(f"{number}_1", 10_000_000 + number, MEMBERS[number % len(MEMBERS)].userid)
            self.all.append(one)
            await self.finish(one)

    async def finish(self, one: Asked) -> None:
        """Ask if that was not acknowledged, answer if that was not: as engine and WeCom repeat."""
        if one.approval_id is None:
            one.approval_id = (await self._ask(one))["approval_id"]
        if not one.answered:
            delivery = await self.wecom.send_text(one.approver, f"TY {one.obj_id}", one.msg_id)
            if not delivery.answered:
                raise ConnectionError
            one.answered = True

    async def _ask(self, one: Asked) -> Any:
        body = {"obj_id": one.obj_id, "message": "替换故障机", "approvers": [one.approver]}
        async with self.http.post(
            f"{self.base}/api/v1/approvals", json=body, headers={"Authorization": f"Bearer {TOKEN}"}
        ) as response:
            assert response.status in (200, 201)
            return await response.json()

    async def get(self, path: str) -> Any:
        async with self.http.get(
            f"{self.base}/api/v1{path}", headers={"Authorization": f"Bearer {TOKEN}"}
        ) as response:
            assert response.status == 200
            return await response.json()


@pytest.fixture
async def patient_wecom() -> AsyncIterator[tuple[SimulatedWeCom, str]]:
    """A WeCom that delivers each callback once and takes any number of messages."""
    knobs = Knobs(retries=0, per_member_a_minute=10**9, per_member_an_hour=10**9)
    wecom = SimulatedWeCom(CorpSettings(members=MEMBERS), knobs=knobs)
    running = await start_simulator(wecom)
    yield wecom, running.url
    await running.stop()


def environment(folder: Path, wecom: SimulatedWeCom, url: str, port: int) -> dict[str, str]:
    corp = wecom.settings
    settings = {
        "DATABASE": f"sqlite:///{folder / 'fta-approval.db'}",
        "LISTEN": f"127.0.0.1:{port}",
        "API_TOKENS": f"fta:{TOKEN}",
        "API_RATE": "0",  # as fast as it goes
        "WECOM_CORP_ID": corp.corp_id,
        "WECOM_SECRET": corp.secret,
        "WECOM_AGENT_ID": str(corp.agent_id),
        "WECOM_API_URL": url,
    }
    return {PREFIX + name: value for name, value in settings.items()}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    "kills", [20, pytest.param(100, marks=pytest.mark.slow)], ids=["20 kills", "100 kills"]
)
async def test_kills_under_load_lose_nothing_acknowledged_and_repeat_nothing(
    tmp_path: Path, patient_wecom: tuple[SimulatedWeCom, str], kills: int
) -> None:
    wecom, url = patient_wecom
    port, chance = free_port(), random.Random(20260105)  # noqa: S311  # moments, no secrets
    service = ServiceProcess(environment(tmp_path, wecom, url, port), tmp_path)
    base = f"http://127.0.0.1:{port}{PREFIX_PATH}"
    async with aiohttp.ClientSession() as http:
        load = Load(base, wecom, http)
        for _ in range(kills):
            async with service:
                assert (await wecom.save_callback(f"{base}/wechat/entry/")).ok
                await die_under_load(service, load, chance)
        async with service:
            await check_everything(load)
            await check_answers(load, kills)
            assert await service.terminate() == 0
    found = await asyncio.to_thread(Evidence(tmp_path / "fta-approval.db").verify)
    assert found.problem is None and found.covered == found.tree_size


async def die_under_load(service: ServiceProcess, load: Load, chance: random.Random) -> None:
    """Let it work until a random number of approvals later, then kill it in the midst of it."""
    until = len(load.all) + chance.randint(10, 150)
    working = asyncio.create_task(load.run())
    while len(load.all) < until and not working.done():
        await asyncio.sleep(0.001)
    await service.kill()
    (error,) = await asyncio.gather(working, return_exceptions=True)
    assert isinstance(error, aiohttp.ClientError | ConnectionError), error


async def check_everything(load: Load) -> None:
    acknowledged = [one for one in load.all if one.approval_id and one.answered]
    assert len(acknowledged) > 100
    for one in load.all:
        await load.finish(one)  # what was not acknowledged is sent again, by engine and WeCom
    feed = await whole_feed(load)
    assert Counter(decision["subject"] for decision in feed) == Counter(
        one.obj_id for one in load.all
    )
    positions = [int(decision["id"]) for decision in feed]
    assert positions == sorted(set(positions))
    for one in load.all:
        events = (await load.get(f"/approvals/{one.approval_id}/events"))["events"]
        kinds = Counter(event["type"] for event in events)
        assert kinds["approval.requested"] == kinds["approval.approved"] == 1, events
        assert kinds["approval.replied"] == 1, events


async def check_answers(load: Load, kills: int) -> None:
    """Every replier hears at least once; a kill repeats at most what was in flight."""
    wanted = {f"【故障自愈】审批成功：您已同意 {one.obj_id}" for one in load.all}
    async with asyncio.timeout(60):
        while not wanted <= (heard := Counter(texts(load.wecom))).keys():
            await asyncio.sleep(0.05)
    repeats = sum(heard[text] - 1 for text in wanted)
    assert repeats <= kills * CLIENTS * 2, repeats


def texts(wecom: SimulatedWeCom) -> list[str]:
    return [message.text for member in MEMBERS for message in wecom.inbox(member.userid)]


async def whole_feed(load: Load) -> list[Any]:
    found: list[Any] = []
    while page := (await load.get(f"/decisions?limit=1000&after={_last(found)}"))["decisions"]:
        found.extend(page)
    return found


def _last(found: list[Any]) -> int:
    return int(found[-1]["id"]) if found else 0
