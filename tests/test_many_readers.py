"""Many readers of the decision stream, slow and dead ones among them, on real sockets."""

import asyncio
import json
import resource
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from eventsourcing.persistence import OperationalError

from projections.decision_feed import Batch
from tests.process import ServiceProcess
from tests.raw_reader import RawReader
from tests.service import OTHER_TOKEN, READER_TOKEN, TOKEN, WITHIN_S, Service
from tests.test_decisions import decide, poll, stream
from web import keys, open_files
from web.event_stream import KERNEL_GIVES_UP_AFTER_S, KERNEL_KEEPS_BYTES, bound
from web.feed_memory import FeedMemory
from web.settings import PREFIX

# A busy machine opens and serves a thousand connections in its own time.
ALL_WITHIN_S = 120.0
BIG = {f"{n}": "审" * 1000 for n in range(40)}
"""Details that make a decision of more than 100 KiB."""


@asynccontextmanager
async def raw_readers(
    base: str, count: int, tokens: Sequence[str] = (TOKEN,), after: int = 0
) -> AsyncIterator[list[RawReader]]:
    """So many streams, all open."""
    readers = [RawReader(base, tokens[n % len(tokens)], after) for n in range(count)]
    async with asyncio.timeout(ALL_WITHIN_S):
        for some in range(0, count, 100):
            await asyncio.gather(*(reader.connect() for reader in readers[some : some + 100]))
    try:
        yield readers
    finally:
        for reader in readers:
            await reader.close()


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


async def end_all(service: Service, obj_ids: Sequence[str], **fields: Any) -> list[int]:
    """Ask, and cancel one after another: the positions of the decisions."""
    asked = [await service.ask(obj_id, **fields) for obj_id in obj_ids]
    for approval in asked:
        path = f"/approvals/{approval['approval_id']}/cancel"
        status, _ = await service.api("POST", path, json={"reason": "x"})
        assert status == 200
    return [int(decision["id"]) for decision in await service.decisions()][-len(obj_ids) :]


# Read once.


async def test_a_decision_is_read_once_for_a_hundred_readers(service: Service) -> None:
    feed, progress = service.app[keys.FEED], service.app[keys.READING].progress
    moves: list[int] = []
    move = progress.move

    def counted(position: int) -> None:
        moves.append(position)
        move(position)

    progress.move = counted  # type: ignore[method-assign]
    async with raw_readers(service.base, 100, (TOKEN, OTHER_TOKEN, READER_TOKEN)) as readers:
        before = feed.reads_for_all
        wanted = await end_all(service, [f"{n}_1" for n in range(20)])
        for reader in readers[::3] + readers[2::3]:
            assert await reader.read_until(20) == wanted
        # The read models moved that often, and whatever they moved over was read once.
        assert feed.reads_for_all - before <= len(moves)
    assert feed.reads_for_one == 0
    assert all(reader.positions == [] for reader in readers[1::3])


async def test_nothing_is_read_while_nobody_follows(service: Service) -> None:
    feed = service.app[keys.FEED]
    await service.ask("1_1")
    await service.says("zhangsan", "TY 1_1")
    await service.quiet()
    assert (feed.reads_for_all, feed.reads_for_one) == (0, 0)


async def test_readers_who_all_come_back_at_once_cost_one_read(service: Service) -> None:
    """As after a restart: the memory is empty, and everybody resumes from another position."""
    service.hurry()
    wanted = await decide(service, *(f"{n}_1" for n in range(10)))
    await service.quiet()
    feed = service.app[keys.FEED]
    feed.memory, before = FeedMemory(), feed.reads_for_all
    async with AsyncExitStack() as stack:
        for after in [0, *wanted[:-1]] * 5:
            (reader,) = await stack.enter_async_context(raw_readers(service.base, 1, after=after))
            missed = [position for position in wanted if position > after]
            assert await reader.read_until(len(missed)) == missed
    assert feed.reads_for_one == 0
    assert feed.reads_for_all - before <= 1


async def test_a_stream_that_cannot_go_on_ends_at_once_and_is_resumed(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had been left open and silent, for as long as the reader liked to wait."""
    service.hurry()
    wanted = await decide(service, *(f"{n}_1" for n in range(3)))
    await service.quiet()
    reading = service.app[keys.READING]
    service.app[keys.FEED].memory.start = wanted[-1]  # whoever comes from further back reads alone
    read, reads = reading.decisions_after, 0

    async def once(after: int, limit: int, engine: str | None, most: int) -> Batch:
        nonlocal reads
        reads += 1
        if reads == 2:
            raise OperationalError("disk I/O error")
        return await read(after, 1, engine, most)

    monkeypatch.setattr(reading, "decisions_after", once)
    async with raw_readers(service.base, 1) as (reader,):
        with pytest.raises(ConnectionResetError):
            await reader.read_to_end()
        assert reader.positions == wanted[:1]
    async with raw_readers(service.base, 1, after=wanted[0]) as (reader,):
        assert await reader.read_until(2) == wanted[1:]


# Slow and dead.


async def test_nobody_waits_for_a_reader_that_does_not_read(service: Service) -> None:
    service.app[keys.READERS].take_within_s = 10 * WITHIN_S  # it stays for the whole test
    stuck = await RawReader(service.base).connect(takes_bytes=4096)
    async with stream(service) as reader, stream(service, token=READER_TOKEN) as another:
        wanted = await end_all(service, [f"{n}_1" for n in range(20)], details=BIG)
        for one in (reader, another):
            assert [event.id for event in await one.decisions(20)] == [str(p) for p in wanted]
        assert service.app[keys.READERS].open == 3
        assert (await poll(service, f"?after={wanted[-2]}"))["next"] == wanted[-1]
    await stuck.close()


async def test_a_reader_that_does_not_read_is_cut_off_and_resumes_without_a_gap(
    service: Service,
) -> None:
    readers = service.app[keys.READERS]
    readers.take_within_s = 0.1
    stuck = await RawReader(service.base).connect(takes_bytes=4096)
    wanted = await end_all(service, [f"{n}_1" for n in range(20)], details=BIG)
    async with asyncio.timeout(WITHIN_S):
        while readers.cut_off == 0:
            await asyncio.sleep(0.01)
    assert readers.open == 0
    with pytest.raises(ConnectionResetError):  # no proper end: what it has is not all
        await stuck.read_to_end()
    got = stuck.positions
    assert got == wanted[: len(got)] and len(got) < len(wanted)
    after = got[-1] if got else 0
    async with stream(service, **{"Last-Event-ID": str(after)}) as reader:
        rest = await reader.decisions(len(wanted) - len(got))
    assert got + [int(event.id or 0) for event in rest] == wanted
    await stuck.close()


async def test_what_is_kept_for_a_reader_that_does_not_read_is_bounded(service: Service) -> None:
    """Two million bytes are decided; the process holds one portion and what aiohttp gathers."""
    readers = service.app[keys.READERS]
    readers.take_within_s = 10 * WITHIN_S
    stuck = await RawReader(service.base).connect(takes_bytes=4096)
    await end_all(service, [f"{n}_1" for n in range(20)], details=BIG)
    (kept,) = readers.unsent()
    async with asyncio.timeout(WITHIN_S):
        while kept == 0:
            await asyncio.sleep(0.01)
            (kept,) = readers.unsent()
    assert kept < 512 * 1024
    await stuck.close()


async def test_the_kernel_keeps_little_and_gives_up_on_a_peer_that_vanished() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        bound(client)
        kept = client.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        waits = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert kept <= 2 * KERNEL_KEEPS_BYTES
    assert waits == KERNEL_GIVES_UP_AFTER_S * 1000


# The end.


async def stuck_reader(service: Service) -> RawReader:
    """It follows another engine's decisions, which are more than anything keeps for it."""
    readers = service.app[keys.READERS]
    readers.take_within_s = 10 * WITHIN_S
    stuck = await RawReader(service.base, OTHER_TOKEN).connect(takes_bytes=4096)
    for n in range(20):
        await service.ask(f"{n}_2", token=OTHER_TOKEN, details=BIG, expires_in=10)
    service.clock.advance(seconds=10)
    await service.expire()
    async with asyncio.timeout(WITHIN_S):
        while readers.unsent() == [0]:
            await asyncio.sleep(0.01)
    return stuck


async def test_everybody_else_ends_properly_before_a_stuck_reader_is_cut_off(
    service: Service,
) -> None:
    readers = service.app[keys.READERS]
    readers.end_within_s = 10 * WITHIN_S
    stuck = await stuck_reader(service)
    async with raw_readers(service.base, 50) as good:
        wanted = await end_all(service, [f"{n}_1" for n in range(5)])
        for reader in good:
            assert await reader.read_until(5) == wanted
        stopping = asyncio.create_task(service.runner.shutdown())
        for reader in good:
            assert await reader.read_to_end()
        async with asyncio.timeout(WITHIN_S):
            while readers.open > 1:
                await asyncio.sleep(0.01)
            assert not stopping.done()
            await stuck.close()
            await stopping
    assert (readers.open, readers.cut_off) == (0, 0)


async def test_the_end_waits_for_no_reader_that_is_stuck(service: Service) -> None:
    readers = service.app[keys.READERS]
    readers.end_within_s = 0.05
    stuck = await stuck_reader(service)
    async with asyncio.timeout(WITHIN_S):
        await service.runner.shutdown()
        while readers.open:
            await asyncio.sleep(0.01)
    assert readers.cut_off == 1
    await stuck.close()


# What a stream says of itself, and permits.


async def test_a_stream_names_the_feed_and_is_not_buffered(service: Service) -> None:
    async with stream(service) as reader:
        assert reader.response.headers["Feed-Id"] == (await poll(service))["feed_id"]
        assert reader.response.headers["X-Accel-Buffering"] == "no"
        assert reader.response.headers["Cache-Control"] == "no-store"


async def test_a_permit_reaches_the_engine_that_asked_and_nobody_else(service: Service) -> None:
    asked: list[int] = []

    def permit_of(row: Any) -> str | None:
        asked.append(row["position"])
        return f"permit.of.{row['position']}" if row["type"] == "fta.approval.approved" else None

    service.app[keys.FEED].permit_of = permit_of
    async with (
        stream(service) as ours,
        stream(service) as ours_too,
        stream(service, token=READER_TOKEN) as everything,
    ):
        (approved,) = await decide(service, "1_1")
        (cancelled,) = await end_all(service, ["2_1"])
        await decide(service, "3_1", token=READER_TOKEN)
        readers_own = int((await service.decisions(token=READER_TOKEN))[-1]["id"])
        got = {
            name: [json.loads(event.data or "") for event in await reader.decisions(count)]
            for name, reader, count in (
                ("ours", ours, 2), ("ours too", ours_too, 2), ("everything", everything, 3),
            )
        }  # fmt: skip
    permits = {name: [d["data"].pop("permit", None) for d in said] for name, said in got.items()}
    assert permits == {
        "ours": [f"permit.of.{approved}", None],
        "ours too": [f"permit.of.{approved}", None],
        "everything": [None, None, f"permit.of.{readers_own}"],
    }
    assert got["ours"] == got["ours too"] == got["everything"][:2]
    (polled, _) = (await poll(service))["decisions"]
    assert polled["data"].pop("permit") == f"permit.of.{approved}"
    assert polled == got["ours"][0]
    polled_by_reader = (await poll(service, token=READER_TOKEN))["decisions"]
    assert ["permit" in d["data"] for d in polled_by_reader] == [False, False, True]
    assert sorted(asked) == sorted([approved, cancelled, readers_own])


# A process of its own.


def environment(folder: Path, port: int) -> dict[str, str]:
    given = {
        "DATABASE": f"sqlite:///{folder / 'fta-approval.db'}",
        "LISTEN": f"127.0.0.1:{port}",
        "API_TOKENS": f"fta:{TOKEN},other:{OTHER_TOKEN}",
        "API_RATE": "0",
    }
    return {PREFIX + name: value for name, value in given.items()}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def cancelled(base: str, token: str, obj_ids: Sequence[str], **fields: Any) -> None:
    """Ask for approvals and cancel them, one after another."""
    headers = {"Authorization": f"Bearer {token}"}
    address = f"{base}/api/v1/approvals"
    async with aiohttp.ClientSession(headers=headers, raise_for_status=True) as http:
        for obj_id in obj_ids:
            body = {"obj_id": obj_id, "message": "替换故障机", "approvers": ["zhangsan"], **fields}
            async with http.post(address, json=body) as answer:
                asked = (await answer.json())["approval_id"]
            async with http.post(f"{address}/{asked}/cancel", json={"reason": "x"}):
                pass


async def test_a_thousand_readers_get_everything_in_order_and_a_clean_end(tmp_path: Path) -> None:
    """Started under a limit of 256 open files. One more reader, of another engine, never reads."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 3000:
        pytest.fail("the hard limit of open files is below 3000 here: ulimit -Hn")
    open_files.raise_limit()
    port = free_port()
    base = f"http://127.0.0.1:{port}/o/bk_fta_solutions"
    service = ServiceProcess(environment(tmp_path, port), tmp_path, open_files=256)
    async with service, raw_readers(base, 1000) as readers:
        stuck = await RawReader(base, OTHER_TOKEN).connect(takes_bytes=4096)
        await cancelled(base, OTHER_TOKEN, [f"{n}_2" for n in range(20)], details=BIG)
        await cancelled(base, TOKEN, [f"{n}_1" for n in range(20)])
        first = await readers[0].read_until(20, ALL_WITHIN_S)
        assert first == sorted(set(first))
        for reader in readers:
            assert await reader.read_until(20, ALL_WITHIN_S) == first
        ending = asyncio.create_task(service.terminate())
        for reader in readers:
            assert await reader.read_to_end(ALL_WITHIN_S)
        async with asyncio.timeout(ALL_WITHIN_S):
            assert await ending == 0
        await stuck.close()
    log = (tmp_path / "serve.log").read_text()
    assert "Traceback" not in log, log


def test_the_limit_of_open_files_is_raised_as_far_as_one_may() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        raised = open_files.raise_limit()
        assert raised == resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 256
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
