"""How soon an auditor is answered, with a long history behind it.

    python -m benchmarks.audit_pages [--history 1000000]

Each answer contains that the look was kept: one event, durable, before anything is shown. The
service is a process of its own.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.measured import server
from benchmarks.settings import bench_settings
from benchmarks.todo import SUPER, fill
from domain.identity import approval_id, approval_stream

HISTORY = 50_000
REQUESTS, WARM_UP = 200, 20
AUDIT = "/o/bk_fta_solutions/audit/"
SEARCHES = {
    "newest approvals": "",
    "approvals of a member, rejected": "?member=approver7&status=rejected",
    "approvals with words that none has": "?words=nothing",
    "newest other events": "events/",
    "other events by whom": "events/?by=nobody",
}


async def measure(url: str, paths: Sequence[str]) -> list[float]:
    """Milliseconds of each request, one after the other, sorted."""
    times, cookies = list[float](), {"fta_session": SUPER}
    async with aiohttp.ClientSession(cookies=cookies) as http:
        for turn in range(WARM_UP + REQUESTS):
            began = time.perf_counter()
            async with http.get(url + paths[turn % len(paths)], allow_redirects=False) as answer:
                await answer.read()
            assert answer.status == 200, answer.status
            if turn >= WARM_UP:
                times.append((time.perf_counter() - began) * 1000)
    return sorted(times)


async def main(history: int) -> list[tuple[str, list[float]]]:
    pages = {
        # All over the history, so that nothing is answered from memory.
        "one approval": [_page(number) for number in range(0, history, max(1, history // 997))],
        **{what: [AUDIT + query] for what, query in SEARCHES.items()},
    }
    with tempfile.TemporaryDirectory(prefix="fta-bench-audit-") as name:
        fill(bench_settings(Path(name), [SUPER]), history)
        async with server("benchmarks.server", name, "storage", SUPER) as measured:
            url = f"http://{measured.address}"
            return [(what, await measure(url, paths)) for what, paths in pages.items()]


def _page(number: int) -> str:
    return f"{AUDIT}a/{approval_id(approval_stream(f'{number}_1'))}/"


def table(figures: list[tuple[str, list[float]]], history: int) -> Table:
    shown = Table(title=f"/audit/: {history:,} approvals decided")
    for column in ("what", "p50 ms", "p99 ms", "most ms"):
        shown.add_column(column, justify="left" if column == "what" else "right")
    for what, ms in figures:
        p50, p99 = ms[len(ms) // 2], ms[int(len(ms) * 0.99)]
        shown.add_row(what, *(f"{one:.1f}" for one in (p50, p99, ms[-1])))
    return shown


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--history", type=int, default=HISTORY)
    wanted = arguments.parse_args().history
    Console(width=110).print(table(uvloop.run(main(wanted)), wanted))
