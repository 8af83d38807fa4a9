"""The examples for engines do what they say at a real service; docs/engines.md shows them whole."""

import asyncio
import json
import os
import re
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from adapters.engine.client import EngineClient
from domain.commands import FreezeApprovals
from tests.service import OTHER_TOKEN, TOKEN, Service
from web import keys

ROOT = Path(__file__).parent.parent
EXAMPLES, GUIDE = ROOT / "examples", ROOT / "docs" / "engines.md"
README = ROOT / "README.md"
PUBLIC_URL = "http://127.0.0.1:8000/o/bk_fta_solutions"
WITHIN_S = 60.0
HEALING = {
    "heal.py": [sys.executable],
    "heal_blocking.py": [sys.executable],
    "heal.sh": ["bash"],
}
CURL_SAYS = re.compile(r"curl: \(22\) The requested URL returned error: 4\d\d")
EACH = pytest.mark.parametrize("example", HEALING)


@asynccontextmanager
async def started(
    service: Service, command: Sequence[str | Path], token: str = TOKEN
) -> AsyncIterator[asyncio.subprocess.Process]:
    """One as a process; whatever happens, it has ended afterwards."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={"PATH": os.environ["PATH"], "APPROVAL_URL": service.base, "APPROVAL_TOKEN": token},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def healing(example: str) -> list[str | Path]:
    return [*HEALING[example], EXAMPLES / example, "12345_2", "10.0.0.1"]


async def said(process: asyncio.subprocess.Process) -> list[str]:
    """Its lines; it has nothing to complain of but, by curl, of the refusal that it tells of."""
    async with asyncio.timeout(WITHIN_S):
        out, wrong = await process.communicate()
    complaints = [line for line in wrong.decode().splitlines() if not CURL_SAYS.match(line)]
    assert (complaints, process.returncode) == ([], 0)
    return out.decode().splitlines()


async def answered(service: Service, words: str) -> None:
    """zhangsan answers once the message is there."""
    async with asyncio.timeout(WITHIN_S):
        while not service.wecom.inbox("zhangsan"):
            await asyncio.sleep(0.02)
    await service.says("zhangsan", words)


async def the_one(service: Service) -> tuple[Any, list[str]]:
    """The approval that was asked, and what happened to it."""
    _, found = await service.api("GET", "/approvals?obj_id=12345_2")
    (approval,) = found["approvals"]
    return approval, [one["type"] for one in await service.events(approval["approval_id"])]


# One run.


@EACH
async def test_what_is_approved_is_redeemed_done_and_reported(
    service: Service, example: str
) -> None:
    async with started(service, healing(example)) as process:
        await answered(service, "TY 12345_2")
        lines = await said(process)
    assert lines == ["replacing 10.0.0.1", "12345_2 succeeded, allowed by zhangsan"]
    approval, events = await the_one(service)
    assert approval["action_digest"] is not None
    ends = ["approval.approved", "approval.redeemed", "approval.outcome-reported"]
    assert [one for one in events if one in ends] == ends


@EACH
async def test_what_is_rejected_is_not_done(service: Service, example: str) -> None:
    async with started(service, healing(example)) as process:
        await answered(service, "BH 12345_2 太忙")
        assert await said(process) == ["12345_2 rejected: nothing was done"]
    _, events = await the_one(service)
    assert "approval.redeemed" not in events


@EACH
async def test_what_may_not_be_redeemed_is_not_done(service: Service, example: str) -> None:
    async with started(service, healing(example)) as process:
        await answered(service, "TY 12345_2")
        assert (await said(process))[0] == "replacing 10.0.0.1"
    # Killed half-way, and started again: the same approval, another attempt.
    async with started(service, healing(example)) as process:
        (line,) = await said(process)
    assert line.startswith("12345_2: no leave to act, nothing was done; ")
    assert "already-redeemed" in line


@EACH
async def test_while_everything_is_frozen_nothing_is_done(service: Service, example: str) -> None:
    await service.ask("12345_2", message="替换故障机 10.0.0.1", action=ACTION)
    await answered(service, "TY 12345_2")
    await service.app[keys.WRITER].execute(
        FreezeApprovals(at=service.clock(), by="shell:root", why="网络变更")
    )
    async with started(service, healing(example)) as process:
        (line,) = await said(process)
    assert "no leave to act, nothing was done; " in line
    assert "frozen" in line


ACTION = {"job": "replace-machine", "ip": "10.0.0.1"}


@EACH
async def test_another_engines_run_is_never_taken_over(service: Service, example: str) -> None:
    await service.ask("12345_2", message="替换故障机 10.0.0.1", action=ACTION)
    await answered(service, "TY 12345_2")
    async with started(service, healing(example), OTHER_TOKEN) as process:
        async with asyncio.timeout(WITHIN_S):
            out, _ = await process.communicate()
        assert process.returncode != 0
    assert b"replacing" not in out


# Following.


async def test_following_goes_on_where_it_was_killed(service: Service, tmp_path: Path) -> None:
    """With fifty kills of both sides: tests/test_engine_kills.py."""
    database = tmp_path / "engine.db"
    command: list[str | Path] = [sys.executable, EXAMPLES / "follow_decisions.py", database]
    for number in (1, 2, 3):
        await service.ask(f"{number}_1", approvers=["zhangsan"])
        await service.says("zhangsan", f"TY {number}_1")
        async with started(service, command):
            rows = await work(database, number)
    ends = [(int(one["id"]), one["data"]["approval_id"]) for one in await service.decisions()]
    assert [(position, approval_id) for _, position, approval_id, _, _ in rows] == ends
    assert {status for *_, status, _ in rows} == {"approved"}
    assert all(permit for *_, permit in rows)


async def work(database: Path, count: int) -> list[tuple[Any, ...]]:
    """Its table, once there is so much in it."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            with suppress(sqlite3.OperationalError), closing(sqlite3.connect(database)) as read:
                rows = read.execute("SELECT * FROM work ORDER BY number").fetchall()
                if len(rows) >= count:
                    return rows
            await asyncio.sleep(0.02)


async def test_a_restored_service_stops_the_follower_and_calls_for_somebody(
    service: Service, tmp_path: Path
) -> None:
    database = tmp_path / "engine.db"
    command: list[str | Path] = [sys.executable, EXAMPLES / "follow_decisions.py", database]
    await service.ask("1_1", approvers=["zhangsan"])
    await service.says("zhangsan", "TY 1_1")
    async with started(service, command):
        await work(database, 1)
    with closing(sqlite3.connect(database)) as changed, changed:
        changed.execute("UPDATE place SET feed_id = 'another', position = 0")
    async with started(service, command) as process:
        async with asyncio.timeout(WITHIN_S):
            _, wrong = await process.communicate()
    assert process.returncode == 1
    assert b"stopped, and somebody has to look: position 0 is of feed another" in wrong
    assert len(await work(database, 1)) == 1


# The guide.


def test_the_guide_shows_the_examples_as_they_are() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    blocks = set(re.findall(r"^```(?:python|bash)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    assert blocks == {
        path.read_text(encoding="utf-8") for path in EXAMPLES.iterdir() if path.is_file()
    }


async def test_the_readmes_lines_of_python_do_what_they_say(service: Service) -> None:
    (block,) = re.findall(
        r"^```python\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    assert PUBLIC_URL in block
    code = f"async def run():\n{textwrap.indent(block.replace(PUBLIC_URL, service.base), '    ')}"
    names: dict[str, Any] = {
        "EngineClient": EngineClient,
        "token": TOKEN,
        "action": ACTION,
        "attempt": "attempt-1",
    }
    exec(code, names)  # noqa: S102  # it is ours
    running = asyncio.create_task(names["run"]())
    await answered(service, "TY 12345_2")
    async with asyncio.timeout(WITHIN_S):
        await running
    _, events = await the_one(service)
    assert "approval.redeemed" in events


async def test_the_readmes_lines_of_curl_do_what_they_say(service: Service) -> None:
    text = README.read_text("utf-8")
    (block,) = re.findall(r"^```console\n(\$ TOKEN=.*?)^id: ", text, re.MULTILINE | re.DOTALL)
    script = block.replace("$ curl", "curl").replace(
        "localhost:8000/o/bk_fta_solutions", service.base
    )
    ask, listen = script.split("\n", 1)[1].split("\ncurl -sN")
    commands = f"TOKEN={TOKEN}\n{ask}\necho\nexec curl -sN{listen}"
    async with started(service, ["bash", "-c", commands]) as process:
        await answered(service, "TY 12345_2")
        assert process.stdout is not None
        async with asyncio.timeout(WITHIN_S):
            approval = await process.stdout.readline()
            told = await process.stdout.readuntil(b"data: ")
    assert json.loads(approval)["obj_id"] == "12345_2"
    assert re.search(r"^id: \d+\r?\nevent: fta.approval.approved\r?\n", told.decode(), re.MULTILINE)
