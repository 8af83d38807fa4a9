"""Two services on one SQLite file: one sends and watches the clock, the other takes over."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp

from adapters.simulator.corp import CorpSettings, Member
from adapters.simulator.run import start_simulator
from adapters.simulator.wecom import SimulatedWeCom
from adapters.store.lease import FileLease
from tests.process import ServiceProcess
from tests.service import TOKEN, WITHIN_S
from tests.test_crash import PREFIX_PATH, environment, free_port


def test_a_lease_is_held_once_and_free_again_after_release(tmp_path: Path) -> None:
    one, other = FileLease(tmp_path / "lease"), FileLease(tmp_path / "lease")
    assert one.try_take() and one.try_take()
    assert not other.try_take()
    one.release()
    assert other.try_take()
    other.release()


async def test_each_message_is_sent_once_and_the_other_process_goes_on_after_a_kill(
    tmp_path: Path,
) -> None:
    members = tuple(Member(f"zhangsan-{number}_1", "张三") for number in range(11))
    wecom, ports = SimulatedWeCom(CorpSettings(members=members)), (free_port(), free_port())
    async with AsyncExitStack() as stack:
        running = await start_simulator(wecom)
        stack.push_async_callback(running.stop)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        both = [
            await stack.enter_async_context(
                ServiceProcess(environment(tmp_path, wecom, running.url, port), tmp_path)
            )
            for port in ports
        ]
        for number in range(10):
            await ask(http, ports[number % 2], f"{number}_1")
        await delivered(wecom, {f"{number}_1" for number in range(10)})
        await recorded(http, ports[1])
        await both[0].kill()
        await ask(http, ports[1], "10_1")
        await delivered(wecom, {f"{number}_1" for number in range(11)})


async def ask(http: aiohttp.ClientSession, port: int, obj_id: str) -> None:
    # Each of another member: of many to one member most would be gathered.
    body = {"obj_id": obj_id, "message": "替换故障机", "approvers": [f"zhangsan-{obj_id}"]}
    url = f"http://127.0.0.1:{port}{PREFIX_PATH}/api/v1/approvals"
    async with http.post(url, json=body, headers={"Authorization": f"Bearer {TOKEN}"}) as response:
        assert response.status == 201


async def recorded(http: aiohttp.ClientSession, port: int) -> None:
    """What was sent is known to have been sent: nothing is in flight that a kill would repeat."""
    url = f"http://127.0.0.1:{port}{PREFIX_PATH}/api/v1/approvals"
    async with asyncio.timeout(WITHIN_S):
        while True:
            async with http.get(url, headers={"Authorization": f"Bearer {TOKEN}"}) as response:
                approvals = (await response.json())["approvals"]
            if all(to["state"] == "sent" for a in approvals for to in a["notifications"]):
                return
            await asyncio.sleep(0.01)


async def delivered(wecom: SimulatedWeCom, obj_ids: set[str]) -> None:
    """Each of them sent once; what WeCom itself would have suppressed counts too."""
    wanted = sorted(f"驳回请回复: BH {obj_id}" for obj_id in obj_ids)
    async with asyncio.timeout(WITHIN_S):
        while len(sent := texts(wecom)) < len(wanted):
            await asyncio.sleep(0.01)
    assert sorted(text.splitlines()[2] for text in sent) == wanted


def texts(wecom: SimulatedWeCom) -> list[str]:
    return [c.payload["text"]["content"] for c in wecom.calls if c.path == "message/send"]
