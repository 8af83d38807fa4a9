"""Engines on the decision stream: how long after a member's reply each of them has the decision."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from web.open_files import raise_limit

STREAM = "/o/bk_fta_solutions/api/v1/decisions/stream"
HEADERS = "Host: 127.0.0.1\r\nAuthorization: Bearer token-of-the-benchmark\r\n\r\n"
AT_ONCE = 100
WITHIN_S = 60.0


class Readers:
    """Notes when which of them has how many decisions."""

    def __init__(self) -> None:
        self.count = 0
        self.arrived: list[list[float]] = []
        """For each decision, when each reader had it, in the order of arrival."""
        self.size = 0
        """Bytes of the last decision."""
        self._moved = asyncio.Event()

    def has(self, number: int) -> None:
        """One more reader has decision number so and so."""
        while len(self.arrived) <= number:
            self.arrived.append([])
        self.arrived[number].append(time.perf_counter())
        if len(self.arrived[number]) == self.count:
            self._moved.set()

    async def all_have(self, decisions: int) -> None:
        async with asyncio.timeout(WITHIN_S):
            while len(self.arrived) < decisions or len(self.arrived[-1]) < self.count:
                self._moved.clear()
                await self._moved.wait()


class _Reader(asyncio.Protocol):
    """Looks for the line of data; the end of what came stays, for it may be half of one."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._seen = 0
        self._rest = b""
        self.stands = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        if not self.stands.done():
            _, head, data = data.partition(b"\r\n\r\n")
            self.stands.set_result(head)
        data = self._rest + data
        for _ in range(data.count(b"\ndata: ")):
            self._readers.has(self._seen)
            self._readers.size = len(data)
            self._seen += 1
        self._rest = data[-6:]


@asynccontextmanager
async def reading(address: str, count: int, after: int) -> AsyncIterator[Readers]:
    """So many readers on that server, each with a connection of its own, from now on."""
    raise_limit()
    host, _, port = address.rpartition(":")
    loop, readers = asyncio.get_running_loop(), Readers()
    readers.count = count
    transports: list[asyncio.Transport] = []

    async def connect() -> None:
        transport, reader = await loop.create_connection(lambda: _Reader(readers), host, int(port))
        transport.write(f"GET {STREAM}?after={after} HTTP/1.1\r\n{HEADERS}".encode())
        transports.append(transport)
        await reader.stands

    for begin in range(0, count, AT_ONCE):
        await asyncio.gather(*(connect() for _ in range(begin, min(begin + AT_ONCE, count))))
    yield readers
    for transport in transports:
        transport.abort()


@dataclass(frozen=True)
class Spread:
    """Milliseconds from the reply to the decision at a reader."""

    p50_ms: float
    p99_ms: float
    last_ms: float


async def steady(
    address: str, requests: Sequence[bytes], a_second: float, after: int
) -> tuple[Spread, int]:
    """One engine, so many replies a second: how soon it has each; and the bytes of a decision."""
    async with reading(address, 1, after) as readers:
        sent: list[float] = []
        host, _, port = address.rpartition(":")
        connections = [await asyncio.open_connection(host, int(port)) for _ in range(16)]
        free = asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]()
        for connection in connections:
            free.put_nowait(connection)
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number, request in enumerate(requests):
                await asyncio.sleep(began + number / a_second - time.perf_counter())
                sent.append(time.perf_counter())
                group.create_task(_reply(free, request))
        await readers.all_have(len(requests))
        for _, writer in connections:
            writer.close()
    # Of several that are under way at once, the first sent may be recorded second: at this rate
    # that moves a figure by the time between two.
    took = sorted((at - began) * 1000 for began, (at,) in zip(sent, readers.arrived, strict=True))
    return _spread(took), readers.size


async def _reply(
    free: "asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]", request: bytes
) -> None:
    reader, writer = connection = await free.get()
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    free.put_nowait(connection)


async def fan_out(
    address: str, requests: Sequence[bytes], count: int, after: int
) -> tuple[Spread, Spread]:
    """One decision at a time to so many: when the median and when the last of them has it."""
    host, _, port = address.rpartition(":")
    median: list[float] = []
    last: list[float] = []
    async with reading(address, count, after) as readers:
        reader, writer = await asyncio.open_connection(host, int(port))
        for number, request in enumerate(requests, 1):
            began = time.perf_counter()
            writer.write(request)
            await reader.readuntil(b"\r\n\r\n")
            await readers.all_have(number)
            arrived = readers.arrived[number - 1]
            median.append((arrived[count // 2] - began) * 1000)
            last.append((arrived[-1] - began) * 1000)
        writer.close()
    return _spread(sorted(median)), _spread(sorted(last))


def _spread(sorted_ms: Sequence[float]) -> Spread:
    def share(part: float) -> float:
        return sorted_ms[min(int(len(sorted_ms) * part), len(sorted_ms) - 1)]

    return Spread(share(0.5), share(0.99), sorted_ms[-1])
