"""Durable decisions by callback, against the same handler with storage left out, in one run."""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.fill import fill
from benchmarks.load import callbacks, run
from benchmarks.settings import bench_settings

CASES = {1: 2_000, 64: 20_000}
WARM_UP = 500
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


@dataclass
class Server:
    """The measured process."""

    address: str
    process: asyncio.subprocess.Process

    async def figures(self) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(b"\n")
        await self.process.stdin.drain()
        return dict(json.loads(await self.process.stdout.readline()))


@asynccontextmanager
async def server(folder: Path, storage: bool) -> AsyncIterator[Server]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.server",
        str(folder),
        "storage" if storage else "no-storage",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    yield Server(json.loads(await process.stdout.readline())["address"], process)
    process.stdin.close()
    await process.wait()


async def measure(folder: Path, storage: bool) -> list[Figure]:
    """Every number of connections, on one server."""
    figures, first = [], 1
    async with server(folder, storage) as measured:
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
    while storage and (await measured.figures())["behind"] > 0:
        await asyncio.sleep(0.01)  # another process; it has nothing to tell us when
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


async def main() -> tuple[list[Figure], dict[str, float]]:
    """Every figure, and what storage leaves of the requests a second, by connections."""
    with tempfile.TemporaryDirectory(prefix="fta-bench-") as name:
        folder = Path(name)
        fill(bench_settings(folder), WARM_UP + sum(CASES.values()))
        without = await measure(folder, storage=False)
        durable = await measure(folder, storage=True)
    ratios = {
        str(one.connections): one.requests_per_second / limit.requests_per_second
        for one, limit in zip(durable, without, strict=True)
    }
    return durable + without, ratios


def report(figures: list[Figure], ratios: dict[str, float]) -> None:
    """A table for people, JSON for programs."""
    RESULT.parent.mkdir(exist_ok=True)
    result = {"figures": [asdict(one) for one in figures], "ratios": ratios}
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    console = Console(width=110)
    console.print(table(figures, ratios))
    console.print(f"also in {RESULT}")


if __name__ == "__main__":
    report(*uvloop.run(main()))
