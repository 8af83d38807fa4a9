"""Tree heads of a running service: given to engines, kept outside, one at its end; daily checks."""

import asyncio
import json
import sqlite3
import threading
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from adapters.evidence.head_file import read_heads
from adapters.evidence.heads import TreeHead, check_signature, head_of
from adapters.evidence.keys import public_keys
from adapters.evidence.logs import made_keys
from adapters.evidence.verification import Verification
from adapters.simulator.corp import CorpSettings
from adapters.simulator.run import start_simulator
from adapters.simulator.wecom import SimulatedWeCom
from adapters.store.snapshot import opened_snapshot
from domain.audit import Audit
from domain.identity import audit_stream
from tests.conftest import StartService
from tests.process import ServiceProcess
from tests.service import TOKEN, WITHIN_S, Clock, Service
from tests.tampering import Evidence
from tests.test_crash import PREFIX_PATH, environment, free_port
from tests.test_evidence_commands import audit
from tests.test_metrics import figures
from web import keys
from web.evidence import tree_state
from web.evidence_checking import HEADS_AT_ONCE, DailyCheck


def evidence_of(service: Service) -> Evidence:
    return Evidence(Path(service.app[keys.SETTINGS].database.removeprefix("sqlite:///")))


async def head_covering(service: Service, position: int) -> Any:
    """What an engine is given once it covers that position."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            _, body = await service.api("GET", "/decisions?limit=1")
            if body["tree_head"] is not None and body["tree_head"]["position"] >= position:
                return body["tree_head"]
            await asyncio.sleep(0.01)


async def verified(service: Service, *outside: TreeHead) -> Any:
    return await asyncio.to_thread(evidence_of(service).verify, *outside)


async def test_every_answer_about_decisions_carries_the_newest_head(service: Service) -> None:
    approval = await service.ask("1_1", approvers=["zhangsan"])
    await service.notified(approval["approval_id"])
    await service.says("zhangsan", "TY 1_1")
    last = await service.quiet()
    head = head_of(await head_covering(service, last))
    assert head.log_id == service.app[keys.FEED].feed_id
    with opened_snapshot(evidence_of(service).url) as snapshot:
        check_signature(head, public_keys(one.public for one in made_keys(snapshot)))
    found = await verified(service, head)
    assert found.problem is None and found.newest_outside == head
    state = await tree_state(service.app[keys.READING])
    assert state is not None and state.verified is None
    assert (state.tree_size, state.root_hash) == (head.tree_size, head.root_hash)
    assert state.signed_at == service.clock.now


async def test_who_waits_for_a_decision_is_given_the_head_of_that_moment(service: Service) -> None:
    before = await head_covering(service, await service.quiet())
    waits = asyncio.create_task(service.api("GET", "/decisions?wait=30"))
    asked = await service.ask("1_1")
    newer = await head_covering(service, asked["number"])
    await service.api("POST", f"/approvals/{asked['approval_id']}/cancel", json={"reason": "x"})
    _, body = await waits
    assert len(body["decisions"]) == 1
    assert body["tree_head"]["position"] >= newer["position"] > before["position"]


async def test_heads_are_not_read_for_each_answer(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await head_covering(service, await service.quiet())
    reads = 0
    really = service.app[keys.READING].of_store

    async def counted(question: Any) -> Any:
        nonlocal reads
        reads += 1
        return await really(question)

    monkeypatch.setattr(service.app[keys.READING], "of_store", counted)
    for _ in range(50):
        _, body = await service.api("GET", "/decisions")
        assert body["tree_head"] is not None
    assert reads == 0


async def test_the_service_signs_a_head_at_its_end(start: StartService, tmp_path: Path) -> None:
    file = tmp_path / "heads.jsonl"
    service = await start(tree_heads=str(file))
    await service.ask("1_1")
    await service.quiet()
    await service.ask("2_1")  # recorded, and the end comes at once
    await service.stop()
    found = await verified(service, *read_heads(file).heads)
    assert found.problem is None
    assert found.newest_outside is not None
    assert found.covered == found.tree_size == found.newest_outside.tree_size
    assert found.heads == found.outside


async def test_processes_without_the_lease_give_the_same_heads(tmp_path: Path) -> None:
    wecom, ports = SimulatedWeCom(CorpSettings()), (free_port(), free_port())
    async with AsyncExitStack() as stack:
        running = await start_simulator(wecom)
        stack.push_async_callback(running.stop)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        for port in ports:
            settings = environment(tmp_path, wecom, running.url, port)
            await stack.enter_async_context(ServiceProcess(settings, tmp_path))
        for number in range(3):
            asked = await _post(http, ports[number % 2], f"{number}_1")
            heads = [await _covering(http, port, asked["number"]) for port in ports]
            assert len({head["log_id"] for head in heads}) == 1
    found = await asyncio.to_thread(Evidence(tmp_path / "fta-approval.db").verify)
    assert found.problem is None


async def _post(http: aiohttp.ClientSession, port: int, obj_id: str) -> Any:
    url = f"http://127.0.0.1:{port}{PREFIX_PATH}/api/v1/approvals"
    body = {"obj_id": obj_id, "message": "替换故障机", "approvers": ["zhangsan"]}
    async with http.post(url, json=body, headers=AUTHORIZED) as response:
        assert response.status == 201
        return await response.json()


async def _covering(http: aiohttp.ClientSession, port: int, position: int) -> Any:
    url = f"http://127.0.0.1:{port}{PREFIX_PATH}/api/v1/decisions"
    async with asyncio.timeout(WITHIN_S):
        while True:
            async with http.get(url, headers=AUTHORIZED) as response:
                head = (await response.json())["tree_head"]
            if head is not None and head["position"] >= position:
                return head
            await asyncio.sleep(0.01)


AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


async def test_the_read_models_are_compared_too(service: Service) -> None:
    approval = await service.ask("1_1")
    await service.notified(approval["approval_id"])
    await service.quiet()
    await service.stop()
    words = ("verify", "--projections", "--no-record")
    status, said, _ = await audit(evidence_of(service), *words)
    assert status == 0 and said.splitlines()[-1] == "read models say what the events say"
    views = evidence_of(service).path
    with closing(sqlite3.connect(views.with_name(views.name + "-views"))) as connection:
        connection.execute("UPDATE approvals SET status = 'approved'")
        connection.commit()
    status, said, _ = await audit(evidence_of(service), *words)
    assert status == 1 and "read models differ: approvals [" in said


# Once a day.


def checks(service: Service) -> DailyCheck:
    app = service.app
    settings = app[keys.IN_FORCE].given
    return DailyCheck(settings, app[keys.READING], app[keys.WRITER], app[keys.CLOCK], rest=0)


async def test_once_a_day_the_service_verifies_its_history(service: Service, clock: Clock) -> None:
    assert await checks(service).look() is None
    clock.advance(hours=23, minutes=59)
    assert await checks(service).look() is None
    assert (await figures(service))["audit_verified_timestamp"] == 0
    clock.advance(minutes=1)
    await head_covering(service, await service.quiet())
    found = await checks(service).look()
    assert found is not None and found.problem is None
    assert await checks(service).look() is None
    ((_, kept),) = await service.app[keys.READING].events_of(audit_stream("service", clock.now))
    assert isinstance(kept, Audit.Verified)
    assert (kept.by, kept.via, kept.problem) == ("service", "service", None)
    assert (kept.tree_size, kept.root_hash) == (found.tree_size, found.root_hash)
    state = await tree_state(service.app[keys.READING])
    assert state is not None and state.verified is not None
    assert (state.verified.at, state.verified.by) == (clock.now, "service")
    now = await figures(service)
    assert now["audit_verified_timestamp"] == clock.now.timestamp() and now["audit_problem"] == 0
    clock.advance(days=1)
    assert await checks(service).look() is not None


async def test_what_is_wrong_is_said_loudly_and_recorded(service: Service, clock: Clock) -> None:
    await service.ask("1_1")
    await head_covering(service, await service.quiet())
    await asyncio.to_thread(
        evidence_of(service).alter,
        "UPDATE stored_events SET topic = 'approval.approved' WHERE topic = 'approval.requested'",
    )
    clock.advance(days=1)
    with capture_logs() as logs:
        found = await checks(service).look()
    assert found is not None and found.problem is not None and found.problem.kind == "changed"
    (said,) = [log for log in logs if log["log_level"] == "error"]
    assert said["what"] == found.problem.sentence and "approval-1_1" in said["what"]
    state = await tree_state(service.app[keys.READING])
    assert state is not None and state.verified is not None
    assert state.verified.problem == found.problem.sentence
    assert (await figures(service))["audit_problem"] == 1


class Turns(threading.Event):
    """Counts how often the verification made room for others."""

    count = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.count += 1
        return super().wait(timeout)


async def test_the_service_has_its_turn_while_many_heads_from_outside_are_read(
    service: Service, tmp_path: Path
) -> None:
    app, turns = service.app, Turns()
    head = await head_covering(service, await service.quiet())
    file = tmp_path / "heads.jsonl"
    file.write_text((json.dumps(head) + "\n") * (3 * HEADS_AT_ONCE))
    settings = app[keys.IN_FORCE].given.model_copy(update={"tree_heads": str(file)})
    check = DailyCheck(settings, app[keys.READING], app[keys.WRITER], app[keys.CLOCK], rest=0)
    assert (await asyncio.to_thread(check._verify, turns)).outside == 1
    assert turns.count >= 3


class Slow(DailyCheck):
    """Would rest for years after its first portion."""

    def __init__(self, app: web.Application) -> None:
        settings, clock = app[keys.IN_FORCE].given, app[keys.CLOCK]
        super().__init__(settings, app[keys.READING], app[keys.WRITER], clock, rest=1e9)
        self.began, self.ended = threading.Event(), threading.Event()

    def _verify(self, stopped: threading.Event) -> Verification:
        self.began.set()
        try:
            return super()._verify(stopped)
        finally:
            self.ended.set()


async def test_the_end_of_the_service_does_not_wait_for_a_verification(
    service: Service, clock: Clock
) -> None:
    slow = Slow(service.app)
    clock.advance(days=1)
    looks = asyncio.create_task(slow.look())
    assert await asyncio.to_thread(slow.began.wait, WITHIN_S)
    looks.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looks
    assert await asyncio.to_thread(slow.ended.wait, WITHIN_S)


async def test_how_far_the_heads_are_is_in_the_metrics(service: Service) -> None:
    head = await head_covering(service, await service.quiet())
    now = await figures(service)
    assert now["tree_size"] == head["tree_size"] and now["tree_lag"] == 0
    assert now["tree_failing"] == now["tree_heads_file_failing"] == 0
