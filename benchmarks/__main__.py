"""Durable decisions by callback, and their way to engines, each against its limit in one run."""

import asyncio
import json
import tempfile
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.broadcast import PATH
from benchmarks.fill import fill
from benchmarks.load import callbacks, run
from benchmarks.measured import Server, server
from benchmarks.settings import bench_settings
from benchmarks.stream import Spread, fan_out, steady

CASES = {1: 2_000, 64: 20_000}
WARM_UP = 500
A_SECOND = 200
READERS = 1000
FAN_OUT = 40
STREAM_WARM_UP = 200
STREAM_APPROVALS = STREAM_WARM_UP + 10 * A_SECOND + FAN_OUT
BARE_POST = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n".encode()
RESULT = Path("build/bench.json")


@dataclass(frozen=True)
class Figure:
    """One row of the table."""

    storage: bool
    connections: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us_per_request: float
    events_per_commit: float | None
    behind_s: float | None
    """How long after the last answer the read models had everything."""


@dataclass(frozen=True)
class StreamFigure:
    """How soon a decision is where it is waited for, and the least that it could be."""

    who: str
    durable: Spread
    bare: Spread

    @property
    def ratio(self) -> float:
        return self.durable.p50_ms / self.bare.p50_ms


async def measure(folder: Path, storage: bool) -> list[Figure]:
    """Every number of connections, on one server."""
    figures, first = [], 1
    kind = "storage" if storage else "no-storage"
    async with server("benchmarks.server", str(folder), kind) as measured:
        await run(measured.address, callbacks(first, WARM_UP), 8)
        first += WARM_UP
        for connections, count in CASES.items():
            requests = callbacks(first, count)
            first += count
            figures.append(await _measure_one(measured, requests, connections, storage))
    return figures


async def _measure_one(
    measured: Server, requests: list[bytes], connections: int, storage: bool
) -> Figure:
    before = await measured.figures()
    seen = await run(measured.address, requests, connections)
    after = await measured.figures()
    clock = asyncio.get_running_loop().time
    answered_at = clock()
    if storage:
        await measured.caught_up()
    commits = after["commits"] - before["commits"]
    return Figure(
        storage,
        connections,
        seen.per_second,
        seen.percentile(0.5),
        seen.percentile(0.99),
        (after["cpu_s"] - before["cpu_s"]) / len(requests) * 1e6,
        (after["events"] - before["events"]) / commits if storage else None,
        clock() - answered_at if storage else None,
    )


async def measure_streams(folder: Path, first: int) -> list[StreamFigure]:
    """The service, and then the bare limit with decisions of the same size."""
    replies = callbacks(first, STREAM_APPROVALS)
    async with server("benchmarks.server", str(folder), "storage") as measured:
        await run(measured.address, replies[:STREAM_WARM_UP], 8)
        after = (await measured.caught_up())["position"]
        rate, many = replies[STREAM_WARM_UP:-FAN_OUT], replies[-FAN_OUT:]
        soon, size = await steady(measured.address, rate, A_SECOND, after)
        after = (await measured.caught_up())["position"]
        median, last = await fan_out(measured.address, many, READERS, after)
    async with server("benchmarks.broadcast", str(size)) as bare:
        posts = [BARE_POST] * len(rate)
        bare_soon, _ = await steady(bare.address, posts, A_SECOND, 0)
    async with server("benchmarks.broadcast", str(size)) as bare:
        bare_median, bare_last = await fan_out(bare.address, posts[:FAN_OUT], READERS, 0)
    return [
        StreamFigure(f"1 reader, {A_SECOND} decisions/s", soon, bare_soon),
        StreamFigure(f"the median of {READERS:,} readers, one decision", median, bare_median),
        StreamFigure(f"the last of {READERS:,} readers, one decision", last, bare_last),
    ]


def stream_table(figures: list[StreamFigure]) -> Table:
    shown = Table(title="From a member's reply to the decision at an engine, Server-Sent Events")
    for column in ("who", "p50 ms", "p99 ms", "most ms", "bare p50", "bare p99", "p50 / bare"):
        shown.add_column(column, justify="left" if column == "who" else "right")
    for one in figures:
        numbers = (*astuple(one.durable), one.bare.p50_ms, one.bare.p99_ms)
        shown.add_row(one.who, *(f"{ms:.1f}" for ms in numbers), f"{one.ratio:.1f}")
    shown.caption = "bare: aiohttp sends the same bytes to the same readers, nothing is stored"
    return shown


def table(figures: list[Figure], ratios: dict[str, float]) -> Table:
    shown = Table(title="Decisions by callback, SQLite, synchronous=FULL")
    for column in (
        "storage", "connections", "requests/s", "p50 ms", "p99 ms", "CPU µs", "events/commit",
        "behind s",
    ):  # fmt: skip
        shown.add_column(column, justify="right")
    for one in figures:
        shown.add_row(
            "yes" if one.storage else "left out",
            str(one.connections),
            f"{one.requests_per_second:,.0f}",
            f"{one.p50_ms:.2f}",
            f"{one.p99_ms:.2f}",
            f"{one.cpu_us_per_request:.0f}",
            f"{one.events_per_commit:.1f}" if one.events_per_commit else "",
            f"{one.behind_s:.2f}" if one.behind_s is not None else "",
        )
    shown.caption = "; ".join(
        f"{name} connections: {ratio:.0%} of the requests/s without storage"
        for name, ratio in ratios.items()
    )
    return shown


async def main() -> tuple[list[Figure], dict[str, float], list[StreamFigure]]:
    """Every figure, and what storage leaves of the requests a second, by connections."""
    by_callback = WARM_UP + sum(CASES.values())
    with tempfile.TemporaryDirectory(prefix="fta-bench-") as name:
        folder = Path(name)
        fill(bench_settings(folder), by_callback + STREAM_APPROVALS)
        without = await measure(folder, storage=False)
        durable = await measure(folder, storage=True)
        streams = await measure_streams(folder, by_callback + 1)
    ratios = {
        str(one.connections): one.requests_per_second / limit.requests_per_second
        for one, limit in zip(durable, without, strict=True)
    }
    return durable + without, ratios, streams


def report(figures: list[Figure], ratios: dict[str, float], streams: list[StreamFigure]) -> None:
    """A table for people, JSON for programs."""
    RESULT.parent.mkdir(exist_ok=True)
    result = {
        "figures": [asdict(one) for one in figures],
        "ratios": ratios,
        "streams": [{**asdict(one), "ratio": one.ratio} for one in streams],
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    console = Console(width=110)
    console.print(table(figures, ratios))
    console.print(stream_table(streams))
    console.print(f"also in {RESULT}")


if __name__ == "__main__":
    report(*uvloop.run(main()))
