"""How soon 待办 answers somebody for whom much waits, with a long history behind it.

    python -m benchmarks.todo [--history 1000000]

A thousand approvals wait for the member; the history is of others and of the member, decided. The
same pages are asked for as an approver and as a super approver. The service is a process of its
own.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import aiohttp
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks.fill import MEMBERS, save
from benchmarks.measured import server
from benchmarks.settings import bench_settings
from domain.aggregate import Event
from domain.approval import Approval
from domain.approvers import Answer
from domain.commands import RequestApproval
from domain.decision import Channel, Risk, Verdict
from domain.session import Session, session_stream
from web.settings import Settings

HISTORY = 50_000
WAITING = 1_000
REQUESTS = 400
WARM_UP = 20
MEMBER, SUPER = "zhangsan", "wangwu"
PAGE = "/o/bk_fta_solutions/wechat/todo/"
RISKS = (Risk.LOW, Risk.MEDIUM, Risk.HIGH)


def fill(settings: Settings, history: int) -> None:
    """The history first, as it came about; then what waits, and a login of each."""
    save(settings, _events(history))


def _events(history: int) -> Iterator[Event]:
    now = datetime.now(UTC)
    for number in range(history):
        # Every tenth was the member's own, so that their share of the index is long too.
        approver = MEMBER if number % 10 == 0 else f"approver{number % MEMBERS}"
        approval = _asked(number, approver, now - timedelta(days=1))
        verdict = Verdict.APPROVE if number % 3 else Verdict.REJECT
        answer = Answer(
            by=approver,
            verdict=verdict,
            channel=Channel.WEB,
            words=verdict.value,
            login_age=timedelta(),  # a high risk is among them
        )
        approval.answer(answer, now - timedelta(days=1) + timedelta(minutes=1))
        yield from approval.collect_events()
    for number in range(history, history + WAITING):
        yield from _asked(number, MEMBER, now).collect_events()
    for userid in (MEMBER, SUPER):
        session = Session(session_stream(sha256(userid.encode()).hexdigest()))
        session.open(userid, now + timedelta(hours=12), now)
        yield from session.collect_events()


def _asked(number: int, approver: str, at: datetime) -> Approval:
    return Approval.request(
        RequestApproval(
            at=at,
            engine="bench",
            obj_id=f"{number}_1",
            message=f"替换故障机 10.0.{number // 250 % 250}.{number % 250}",
            approvers=[approver],
            risk=RISKS[number % len(RISKS)],
            expires_in=80_000 + number % 1000,
            details={"业务": "bench", "告警类型": "ping", "IP": "10.0.0.1"},
        ),
        [SUPER],
    )


async def measure(url: str, userid: str, query: str) -> list[float]:
    """Milliseconds of each request, one after the other, sorted."""
    times, cookies = list[float](), {"fta_session": userid}
    async with aiohttp.ClientSession(cookies=cookies) as http:
        for turn in range(WARM_UP + REQUESTS):
            began = time.perf_counter()
            async with http.get(url + PAGE + query, allow_redirects=False) as answer:
                text = await answer.text()
            assert answer.status == 200 and "card-" in text, answer.status
            if turn >= WARM_UP:
                times.append((time.perf_counter() - began) * 1000)
    return sorted(times)


async def main(history: int) -> list[tuple[str, list[float]]]:
    found = []
    with tempfile.TemporaryDirectory(prefix="fta-bench-todo-") as name:
        began = time.perf_counter()
        fill(bench_settings(Path(name), [SUPER]), history)
        filled = time.perf_counter()
        async with server("benchmarks.server", name, "storage", SUPER) as measured:
            caught_up = time.perf_counter() - filled
            print(f"filled in {filled - began:.0f} s, read models in {caught_up:.0f} s more")
            url = f"http://{measured.address}"
            for who, userid in (("approver", MEMBER), ("super approver", SUPER)):
                for what, query in (("first page", ""), ("last page", "?page=34")):
                    found.append((f"{who}, {what}", await measure(url, userid, query)))
    return found


def table(figures: list[tuple[str, list[float]]], history: int) -> Table:
    shown = Table(title=f"待办: {WAITING:,} waiting, {history:,} decided")
    for column in ("who", "p50 ms", "p99 ms", "most ms"):
        shown.add_column(column, justify="left" if column == "who" else "right")
    for who, ms in figures:
        p50, p99 = ms[len(ms) // 2], ms[int(len(ms) * 0.99)]
        shown.add_row(who, *(f"{one:.1f}" for one in (p50, p99, ms[-1])))
    return shown


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--history", type=int, default=HISTORY)
    wanted = arguments.parse_args().history
    Console(width=110).print(table(uvloop.run(main(wanted)), wanted))
