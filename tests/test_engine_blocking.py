"""The client for scripts: plain calls, several threads, Ctrl-C, a clean end."""

import asyncio
import concurrent.futures
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from typing import TypeVar

import pytest

from adapters.engine.blocking import BlockingEngineClient, Reading
from adapters.engine.client import EngineClient
from adapters.engine.documents import Decision, Status
from adapters.engine.errors import ConflictingRequest, StillPending, Unreachable
from adapters.engine.reading import read_decision
from tests.scripted import Scripted, approval, decision, hangs, says, scripted_service, streams
from tests.service import TOKEN, WITHIN_S, Service

T = TypeVar("T")


async def aside(call: Callable[[], T]) -> T:
    """In a thread: the service of these tests runs in the loop of this one."""
    async with asyncio.timeout(WITHIN_S):
        return await asyncio.to_thread(call)


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    async with scripted_service() as found:
        yield found


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name == "engine-client"]


async def test_a_script_asks_and_waits(service: Service) -> None:
    asked = threading.Event()

    def script() -> list[Status]:
        with BlockingEngineClient(service.base, TOKEN) as client:
            first = client.ask("12345_2", "替换故障机", ["zhangsan"], risk="low")
            assert client.look(first).status is Status.PENDING
            assert [one.run for one in client.find("12345_2")] == [1]
            second = client.ask("12345_3", "替换故障机", ["zhangsan"])
            assert client.cancel(second, "不需要了").status is Status.CANCELLED
            with pytest.raises(ConflictingRequest):
                client.ask("12345_2", "别的", ["zhangsan"])
            asked.set()
            return [client.wait(first).status, *(one.approval.status for one in two(client))]

    running = asyncio.create_task(aside(script))
    await aside(asked.wait)
    await service.says("zhangsan", "TY 12345_2")
    assert await running == [Status.APPROVED, Status.CANCELLED, Status.APPROVED]
    assert threads() == []


def two(client: BlockingEngineClient) -> list[Decision]:
    decisions = client.decisions()
    found = [next(decisions), next(decisions)]
    decisions.close()
    return found


async def test_several_threads_share_one(service: Service) -> None:
    def script() -> set[str]:
        with (
            BlockingEngineClient(service.base, TOKEN) as client,
            concurrent.futures.ThreadPoolExecutor(8) as pool,
        ):
            asked = pool.map(lambda n: client.ask(f"{n}_1", "x", ["lisi"]), range(40))
            return {one.obj_id for one in asked}

    assert await aside(script) == {f"{n}_1" for n in range(40)}


async def test_leaving_the_iterator_ends_its_connection_and_the_client_stays_open(
    scripted: Scripted,
) -> None:
    scripted.then(streams(decision(1), decision(2), ends=False), says(approval()))
    ended = threading.Event()

    def script() -> list[int]:
        with BlockingEngineClient(scripted.url, TOKEN) as client:
            found = [one.position for one in first_of(client.decisions())]
            assert ended.wait(WITHIN_S)
            client.look(approval()["approval_id"])
            return found

    running = asyncio.create_task(aside(script))
    async with asyncio.timeout(WITHIN_S):
        while not (scripted.transports and scripted.transports[0].is_closing()):
            await asyncio.sleep(0.01)
    ended.set()
    assert await running == [1]
    assert threads() == []


def first_of(decisions: Generator[Decision, None, None]) -> list[Decision]:
    for one in decisions:
        decisions.close()
        return [one]
    return []


async def test_closing_a_reader_waits_for_a_step_that_was_interrupted() -> None:
    begun, let_go = asyncio.Event(), asyncio.Event()

    async def slow_to_end() -> AsyncGenerator[Decision, None]:
        try:
            begun.set()
            await asyncio.Event().wait()
            yield read_decision(decision(1), "1", None)
        finally:
            await let_go.wait()

    reading = Reading(slow_to_end())
    step = asyncio.create_task(reading.next())
    await begun.wait()
    step.cancel()
    closing = asyncio.create_task(reading.close())
    await asyncio.sleep(0)
    let_go.set()
    await closing
    assert step.cancelled()


async def test_closing_ends_what_other_threads_wait_for(scripted: Scripted) -> None:
    scripted.then(hangs)
    client = BlockingEngineClient(scripted.url, TOKEN).__enter__()
    waiting = asyncio.create_task(aside(lambda: client.look("x")))
    async with asyncio.timeout(WITHIN_S):
        while not scripted.requests:
            await asyncio.sleep(0.01)
    await aside(client.close)
    with pytest.raises(Unreachable, match="closed"):
        await waiting
    client.close()
    with pytest.raises(RuntimeError, match="as `with"):
        client.look("x")
    assert threads() == []


async def test_a_wait_that_ends_leaves_the_client_usable(scripted: Scripted) -> None:
    scripted.then(says(approval()), streams(ends=False))

    def script() -> None:
        with BlockingEngineClient(scripted.url, TOKEN) as client:
            asked = client.look(approval()["approval_id"])
            for _ in range(2):
                with pytest.raises(StillPending):
                    client.wait(asked, timeout=0.05)

    await aside(script)


def test_it_is_not_opened_twice() -> None:
    with (
        BlockingEngineClient("http://127.0.0.1", "token") as client,
        pytest.raises(RuntimeError, match="open already"),
    ):
        client.__enter__()


def test_it_shows_no_token() -> None:
    client = BlockingEngineClient("http://127.0.0.1/o", "a-token-of-this-test")
    assert repr(client) == "BlockingEngineClient('http://127.0.0.1/o')"


INTERRUPTED = """
import signal
import sys
from adapters.engine.blocking import BlockingEngineClient, Reading

# Whoever runs the tests in the background has it ignored, and that is inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
with BlockingEngineClient(sys.argv[1], "a-token-of-this-test") as client:
    try:
        print("waiting", flush=True)
        {call}
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


@pytest.mark.parametrize(
    "call", ["client.look('x')", "next(client.decisions())", "[*client.decisions()]"]
)
async def test_ctrl_c_ends_the_call_and_the_script_goes_on(scripted: Scripted, call: str) -> None:
    scripted.then(hangs)
    script = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", INTERRUPTED.format(call=call), scripted.url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(WITHIN_S):
            while not scripted.requests:
                await asyncio.sleep(0.01)
            script.send_signal(signal.SIGINT)
            said, wrong = await script.communicate()
    finally:
        if script.returncode is None:
            os.kill(script.pid, signal.SIGKILL)
            await script.wait()
    assert (said.split(), wrong, script.returncode) == ([b"waiting", b"interrupted"], b"", 0)


def test_both_clients_have_the_same_calls() -> None:
    def calls(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert calls(BlockingEngineClient) == calls(EngineClient) | {"close"}
