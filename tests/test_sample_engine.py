"""The sample healing engine: what it takes, what it asks, and what it does with a decision."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from adapters.engine.client import EngineClient
from adapters.engine.documents import action_digest
from adapters.engine.event_stream import EventStream, ServerSentEvent
from adapters.engine.pauses import Patience
from adapters.engine.reading import read_approval
from adapters.simulator.alarm_intake import WrongAlarm, read_alarm
from adapters.simulator.alarms import Alarm, AlarmData, Run
from adapters.simulator.engine import AlreadyHealed, EngineSettings, HealingEngine
from adapters.simulator.engine_app import ENGINE, create_engine_app

NOON = datetime(2026, 1, 31, 4, 0, tzinfo=UTC)
PREFIX = "/o/bk_fta_solutions"
TOKEN = "an-engine-token-of-this-test"
Client = TestClient[web.Request, web.Application]
Json = dict[str, Any]
ALARM = {
    "ip": "10.0.0.1",
    "source_id": "123456",
    "source_time": "2026-01-31 12:00:00",
    "alarm_type": "api_default",
    "alarm_content": "FAILURE for production/HTTP on machine 10.0.0.1",
}


@dataclass
class Service:
    """The endpoints of the approval service that an engine uses; a test decides."""

    approvals: list[Json] = field(default_factory=list)
    decisions: list[Json] = field(default_factory=list)
    resumed_from: list[tuple[str, str | None]] = field(default_factory=list)
    fail_asks: int = 0
    cut_streams: int = 0
    """So many streams end after one decision."""
    on_refused_position: Callable[[], None] | None = None
    """If given, the next position other than 0 is unknown, and this is done."""
    on_ask: Callable[[Json], None] = lambda approval: None
    told_first: asyncio.Event | None = None
    """Set once a stream has told the decision; the answer to asking waits for it."""
    feed_id: str = "feed-1"
    has_permits: bool = True
    refuse_permit: tuple[int, str] | None = None
    fail_redeems: int = 0
    redeemed: list[Json] = field(default_factory=list)
    outcomes: list[Json] = field(default_factory=list)
    on_redeem: Callable[[], None] = lambda: None
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: bool = False

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post(f"{PREFIX}/api/v1/approvals", self.ask)
        app.router.add_get(f"{PREFIX}/api/v1/approvals", self.find)
        app.router.add_get(f"{PREFIX}/api/v1/approvals/{{approval_id}}", self.look_up)
        app.router.add_get(f"{PREFIX}/api/v1/decisions/stream", self.stream)
        app.router.add_post(f"{PREFIX}/api/v1/permits/redeem", self.redeem)
        app.router.add_post(f"{PREFIX}/api/v1/approvals/{{approval_id}}/outcome", self.report)
        app.on_shutdown.append(self.stop)
        return app

    async def stop(self, app: web.Application) -> None:
        self.stopped = True
        self.wake()

    def wake(self) -> None:
        self.moved.set()
        self.moved = asyncio.Event()

    async def ask(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        if self.fail_asks:
            self.fail_asks -= 1
            raise web.HTTPServiceUnavailable
        body = await request.json()
        for approval in self.approvals:
            if (approval["obj_id"], approval["run"]) == (body["obj_id"], body["run"]):
                if approval["asked"] == body:
                    return web.json_response(approval)
                return problem(409, "conflicting-request", "obj_id and run are taken")
        approval = self.record(body)
        told = web.json_response(approval, status=201)
        self.on_ask(approval)
        if self.told_first is not None:
            await self.told_first.wait()
        return told

    def record(self, body: Json) -> Json:
        run = body["run"]
        approval = {
            "approval_id": f"id-{body['obj_id']}-{run}",
            "number": len(self.decisions),
            "obj_id": body["obj_id"],
            "run": run,
            "reply_id": body["obj_id"] if run == 1 else f"{body['obj_id']}.{run}",
            "message": body["message"],
            "engine": "fta",
            "approvers": body["approvers"],
            "action_digest": action_digest(body["action"]),
            "status": "pending",
            "requested_at": "2026-01-31T04:00:00.000Z",
            "expires_at": "2026-01-31T04:20:00.000Z",
            "decided_at": None,
            "decided_by": None,
            "decided_via": None,
            "capacity": None,
            "reason": None,
            "asked": body,
        }
        self.approvals.append(approval)
        return approval

    async def redeem(self, request: web.Request) -> web.Response:
        self.redeemed.append(await request.json())
        self.on_redeem()
        if self.fail_redeems:
            self.fail_redeems -= 1
            raise web.HTTPBadGateway
        if self.refuse_permit:
            return problem(*self.refuse_permit, "so it is")
        of = self.redeemed[-1]["permit"].removeprefix("permit of ")
        return web.json_response(self.known(of))

    async def report(self, request: web.Request) -> web.Response:
        self.outcomes.append(await request.json())
        return web.json_response(self.known(request.match_info["approval_id"]))

    def known(self, approval_id: str) -> Json:
        (found,) = [one for one in self.approvals if one["approval_id"] == approval_id]
        return found

    async def find(self, request: web.Request) -> web.Response:
        found = [a for a in self.approvals if a["obj_id"] == request.query["obj_id"]]
        return web.json_response({"approvals": found, "next": None})

    async def look_up(self, request: web.Request) -> web.Response:
        for approval in self.approvals:
            if approval["approval_id"] == request.match_info["approval_id"]:
                return web.json_response(approval)
        return problem(404, "unknown-approval", "no such approval")

    async def stream(self, request: web.Request) -> web.StreamResponse:
        last_id = request.headers.get("Last-Event-ID")
        self.resumed_from.append((request.query["after"], last_id))
        if int(last_id or 0) and self.on_refused_position is not None:
            self.on_refused_position()
            self.on_refused_position = None
            return problem(409, "position-unknown", "the store is another one")
        headers = {"Content-Type": "text/event-stream", "Feed-Id": self.feed_id}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await response.write(b": hello\n\n")
        seen = int(last_id or request.query["after"])
        while not self.stopped:
            for decision in self.decisions[seen:]:
                await response.write(sse(decision))
                seen += 1
                if self.told_first is not None:
                    self.told_first.set()
                if self.cut_streams:
                    self.cut_streams -= 1
                    return response
            await self.moved.wait()
        return response

    def decide(self, approval: Json, status: str, by: str | None = "zhangsan") -> None:
        how = {"status": status, "decided_by": by, "decided_via": "wecom-text"}
        approval.update(how, decided_at="2026-01-31T04:03:00.000Z", capacity="approver")
        self.publish(approval)

    def publish(self, approval: Json) -> None:
        position = str(len(self.decisions) + 1)
        kind = f"fta.approval.{approval['status']}"
        data = dict(approval)
        if approval["status"] == "approved" and self.has_permits:
            data["permit"] = f"permit of {approval['approval_id']}"
        event = {"id": position, "type": kind, "subject": approval["reply_id"], "data": data}
        self.decisions.append(event | {"time": "2026-01-31T04:03:00.000Z"})
        self.wake()


def sse(decision: Json) -> bytes:
    data = json.dumps(decision)
    return f"id: {decision['id']}\nevent: {decision['type']}\ndata: {data}\n\n".encode()


def problem(status: int, code: str, detail: str) -> web.Response:
    body = {"type": f"/problems/{code}", "code": code, "detail": detail}
    return web.json_response(body, status=status, content_type="application/problem+json")


async def no_pause(seconds: float) -> None:
    await asyncio.sleep(0)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def settings(service: Service) -> AsyncIterator[EngineSettings]:
    async with TestServer(service.app()) as server:
        yield EngineSettings(str(server.make_url(PREFIX)), TOKEN)


@asynccontextmanager
async def running(settings: EngineSettings) -> AsyncIterator[HealingEngine]:
    def trouble(why: str | None) -> None:
        here.stream_trouble(why)

    patience = Patience(sleep=no_pause, chance=lambda: 0.0)
    async with EngineClient(
        settings.service_url, settings.token, patience=patience, trouble=trouble
    ) as client:
        here = HealingEngine(settings, client, clock=lambda: NOON, sleep=no_pause)
        following = asyncio.create_task(here.follow())
        yield here
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        await here.stop()


@pytest.fixture
async def engine(settings: EngineSettings) -> AsyncIterator[HealingEngine]:
    async with running(settings) as found:
        yield found


@pytest.fixture
async def web_engine(settings: EngineSettings) -> AsyncIterator[Client]:
    app = create_engine_app(settings, clock=lambda: NOON)
    async with TestClient(TestServer(app)) as client:
        yield client


def engine_of(client: Client) -> HealingEngine:
    assert client.app is not None
    return client.app[ENGINE]


async def until(engine: HealingEngine, condition: Callable[[], bool]) -> None:
    """Wait for changes of the engine, never for the clock."""
    async with asyncio.timeout(5):
        while not condition():
            await engine.changes.beyond(engine.changes.version, 5)


async def asked(engine: HealingEngine, service: Service, **more: Any) -> tuple[Alarm, Json]:
    """An alarm whose first run waits for its approval."""
    alarm = engine.take(read_alarm("demo", ALARM | more, ("zhangsan", "lisi"), NOON))
    await until(engine, lambda: alarm.last_run.approval is not None)
    return alarm, service.approvals[-1]


# The run of an alarm.


async def test_an_alarm_is_asked_about(engine: HealingEngine, service: Service) -> None:
    alarm, approval = await asked(engine, service, expires_in=60)
    request = approval["asked"]
    assert (request["obj_id"], request["run"]) == ("1_1", 1)
    assert request["approvers"] == ["zhangsan", "lisi"]
    assert request["expires_in"] == 60
    assert request["risk"] == "medium"
    assert request["details"]["IP"] == "10.0.0.1"
    assert request["action"]["do"] == "replace-machine"
    assert "requested_by" not in request
    assert alarm.state == "waiting"


async def test_approved_goes_on(engine: HealingEngine, service: Service) -> None:
    alarm, approval = await asked(engine, service)
    service.decide(approval, "approved")
    await until(engine, lambda: alarm.state == "success")
    first, second = alarm.last_run.steps
    assert (first.state, first.note) == ("success", "审批同意")
    assert second.state == "success"
    assert "10.0.0.1" in second.note


@pytest.mark.parametrize(
    ("status", "note"),
    [
        ("rejected", "审批驳回"),
        ("expired", "审批超时"),
        ("cancelled", "已取消"),
    ],
)
async def test_anything_else_ends_it(
    engine: HealingEngine, service: Service, status: str, note: str
) -> None:
    alarm, approval = await asked(engine, service)
    service.decide(approval, status)
    await until(engine, lambda: alarm.state == "failure")
    first, second = alarm.last_run.steps
    assert (first.state, first.note) == ("failure", note)
    assert second.state == "planned"


async def test_a_decision_applies_to_its_own_alarm_only(
    engine: HealingEngine, service: Service
) -> None:
    first, _ = await asked(engine, service)
    second, approval = await asked(engine, service)
    service.decide(approval, "approved")
    await until(engine, lambda: second.state == "success")
    assert first.state == "waiting"


async def test_a_decision_applies_to_its_own_run_only(
    engine: HealingEngine, service: Service
) -> None:
    alarm, old = await asked(engine, service)
    run = engine.retry(alarm)
    await until(engine, lambda: run.approval is not None)
    assert service.approvals[-1]["reply_id"] == "1_1.2"
    service.decide(old, "approved")
    await until(engine, lambda: alarm.runs[0].state == "success")
    assert run.state == "waiting"


def test_a_foreign_decision_changes_nothing() -> None:
    run, body = Run(1), approval_of_another_kind()
    approved = body | {"status": "approved"}
    assert not run.decided(read_approval(approved), NOON)
    run.ask.start(NOON)
    run.asked(read_approval(body))
    others: list[Json] = [
        {"approval_id": "b"},
        {"obj_id": "2_1"},
        {"run": 2},
        {"engine": "another"},
        {"action_digest": "sha256:0"},
        {"status": "pending"},
    ]
    for other in others:
        assert not run.decided(read_approval(approved | other), NOON)
    assert run.decided(read_approval(approved), NOON)
    assert not run.decided(read_approval(approved), NOON)
    assert (run.ask.state, run.replace.state) == ("success", "waiting")


def approval_of_another_kind() -> Json:
    return Service().record(
        {"obj_id": "1_1", "run": 1, "message": "x", "approvers": ["lisi"]} | {"action": {}}
    )


# The permit.


async def test_the_permit_is_redeemed_before_the_machine_is_replaced(
    engine: HealingEngine, service: Service
) -> None:
    alarm, approval = await asked(engine, service)
    seen: list[str] = []
    service.on_redeem = lambda: seen.append(alarm.last_run.replace.state)
    service.decide(approval, "approved")
    await until(engine, lambda: alarm.state == "success")
    assert seen == ["waiting"]
    (body,) = service.redeemed
    assert body == {
        "permit": f"permit of {approval['approval_id']}",
        "action": approval["asked"]["action"],
        "attempt": f"{alarm.event_id}.1",
    }
    await until(engine, lambda: bool(service.outcomes))
    assert service.outcomes[0]["outcome"] == "succeeded"


async def test_a_redeem_whose_answer_was_lost_is_the_same_attempt_again(
    engine: HealingEngine, service: Service
) -> None:
    service.fail_redeems = 4
    alarm, approval = await asked(engine, service)
    service.decide(approval, "approved")
    await until(engine, lambda: alarm.state == "success")
    assert len(service.redeemed) == 5
    assert len({body["attempt"] for body in service.redeemed}) == 1


@pytest.mark.parametrize(
    ("refusal", "words", "outcomes"),
    [
        ((409, "revoked"), "审批已撤销，本次未执行任何操作", []),
        ((409, "already-redeemed"), "执行许可已用于另一次执行，本次未执行任何操作", []),
        ((409, "frozen"), "审批服务已冻结，暂停执行，本次未执行任何操作", ["skipped"]),
        ((410, "permit-expired"), "执行许可已过期，本次未执行任何操作", ["skipped"]),
        ((422, "action-differs"), "要执行的操作与审批的不一致，本次未执行任何操作", ["skipped"]),
        ((401, "bad-permit"), "执行许可无效，本次未执行任何操作", ["skipped"]),
        ((418, "else"), "执行许可未通过：else: so it is，本次未执行任何操作", ["skipped"]),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else None,
)
async def test_what_may_not_be_redeemed_is_not_done_and_says_why(
    web_engine: Client,
    service: Service,
    refusal: tuple[int, str],
    words: str,
    outcomes: list[str],
) -> None:
    engine = engine_of(web_engine)
    service.refuse_permit = refusal
    alarm, approval = await asked(engine, service)
    service.decide(approval, "approved")
    await until(engine, lambda: alarm.state == "failure")
    assert (alarm.last_run.ask.state, alarm.last_run.replace.state) == ("success", "failure")
    assert alarm.last_run.replace.note == words
    await until(engine, lambda: len(service.outcomes) == len(outcomes))
    assert [outcome["outcome"] for outcome in service.outcomes] == outcomes
    async with web_engine.get("/list") as answer:
        assert words in await answer.text()


async def test_a_service_without_permits_lets_nothing_be_done(
    engine: HealingEngine, service: Service
) -> None:
    service.has_permits = False
    alarm, approval = await asked(engine, service)
    service.decide(approval, "approved")
    await until(engine, lambda: alarm.state == "failure")
    assert "没有给出执行许可" in alarm.last_run.replace.note
    assert service.redeemed == []


async def test_what_was_taken_back_before_it_was_redeemed_is_not_done(
    engine: HealingEngine, service: Service
) -> None:
    alarm, approval = await asked(engine, service)

    def revoke() -> None:
        service.on_redeem = lambda: None
        service.refuse_permit = (409, "revoked")
        approval["status"] = "revoked"
        service.publish(approval)

    service.on_redeem = revoke
    service.fail_redeems = 1
    service.decide(approval, "approved")
    await until(engine, lambda: alarm.state == "failure")
    assert "审批已撤销" in alarm.last_run.replace.note


async def test_the_permit_is_on_no_page(web_engine: Client, service: Service) -> None:
    engine = engine_of(web_engine)
    alarm, approval = await asked(engine, service)
    service.decide(approval, "approved")
    await until(engine, lambda: alarm.state == "success")
    for path in ("/", "/list", "/alarms", "/alarms/1"):
        async with web_engine.get(path) as answer:
            text = await answer.text()
        assert approval["reply_id"] in text
        assert "permit of" not in text


async def test_a_healed_alarm_is_not_tried_again(engine: HealingEngine, service: Service) -> None:
    alarm, approval = await asked(engine, service)
    service.decide(approval, "approved")
    await until(engine, lambda: alarm.state == "success")
    with pytest.raises(AlreadyHealed):
        engine.retry(alarm)


async def test_a_restarted_engine_never_takes_an_old_decision_for_its_own(
    engine: HealingEngine, service: Service
) -> None:
    earlier = Alarm(1, "another-life", read_alarm("demo", ALARM, ("zhangsan", "lisi"), NOON), NOON)
    before: Json = {"obj_id": earlier.obj_id, "message": earlier.message, "approvers": ["lisi"]}
    service.decide(service.record(before | earlier.asking(Run(1))), "approved")
    alarm, approval = await asked(engine, service)
    assert alarm.state == "waiting"
    assert (alarm.last_run.number, approval["reply_id"]) == (2, "1_1.2")


async def test_a_service_that_is_down_is_asked_again(
    engine: HealingEngine, service: Service
) -> None:
    service.fail_asks = 3
    alarm, _ = await asked(engine, service)
    assert alarm.last_run.number == 1
    assert len(service.approvals) == 1
    assert alarm.last_run.ask.note == ""


async def test_a_refusal_ends_the_run(settings: EngineSettings) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return problem(422, "invalid", "approvers: nobody is left")

    app = web.Application()
    app.router.add_post("/api/v1/approvals", refuse)
    async with TestServer(app) as server, EngineClient(str(server.make_url("/")), TOKEN) as client:
        engine = HealingEngine(settings, client, clock=lambda: NOON, sleep=no_pause)
        alarm = engine.take(read_alarm("demo", ALARM, ("zhangsan",), NOON))
        await until(engine, lambda: alarm.state == "failure")
        await engine.stop()
    assert alarm.last_run.ask.note == "发送审批失败：invalid: approvers: nobody is left"


# Following the decisions.


async def test_a_broken_stream_is_taken_up_where_it_ended(
    engine: HealingEngine, service: Service
) -> None:
    service.cut_streams = 1
    first, approval = await asked(engine, service)
    service.decide(approval, "approved")
    await until(engine, lambda: first.state == "success")
    second, approval = await asked(engine, service)
    service.decide(approval, "rejected")
    await until(engine, lambda: second.state == "failure")
    assert service.resumed_from[0] == ("0", "0")
    assert service.resumed_from[-1] == ("1", "1")


async def test_a_decision_faster_than_the_answer_is_looked_up(
    engine: HealingEngine, service: Service
) -> None:
    # The stream tells it before the engine knows the id of its own approval.
    service.on_ask = lambda approval: service.decide(approval, "approved")
    service.told_first = asyncio.Event()
    alarm = engine.take(read_alarm("demo", ALARM, ("zhangsan", "lisi"), NOON))
    await until(engine, lambda: alarm.state == "success")
    assert len(service.redeemed) == 1


async def test_of_a_restored_service_what_it_still_knows_is_waited_for_and_the_rest_given_up(
    engine: HealingEngine, service: Service
) -> None:
    known, approval = await asked(engine, service)
    lost, _ = await asked(engine, service)
    await until(engine, lambda: engine.connected)

    def restored() -> None:
        service.feed_id = "feed-2"
        service.decisions.clear()
        service.approvals.remove(service.known("id-2_1-1"))
        service.decide(approval, "cancelled", by=None)

    service.on_refused_position, service.cut_streams = restored, 1
    service.decide(service.record(approval["asked"] | {"obj_id": "9_1"}), "approved")
    await until(engine, lambda: lost.state == known.state == "failure")
    assert "审批服务已恢复到较早的状态" in lost.last_run.ask.note
    assert known.last_run.ask.note == "已取消"
    assert service.resumed_from[-2:] == [("1", "1"), ("0", "0")]


PIECES = (
    b"\xef\xbb\xbf: comment\r\nid: 7\nevent: a\r\ndata: {\ndata:x}\r\rdata\n\nid: 8\n\ndata: cut"
)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_events_are_read_from_pieces_of_any_size(size: int) -> None:
    stream = EventStream()
    found = [
        event
        for start in range(0, len(PIECES), size)
        for event in stream.feed(PIECES[start : start + size])
    ]
    assert found == [ServerSentEvent("{\nx}", "a", "7"), ServerSentEvent("", "message", "7")]
    assert stream.last_id == "8"


def test_text_cut_inside_a_character() -> None:
    stream = EventStream("3")
    whole = "data: 审批\n\n".encode()
    assert stream.feed(whole[:8]) == []
    assert stream.feed(whole[8:]) == [ServerSentEvent("审批", "message", "3")]


def test_an_id_with_a_null_is_ignored() -> None:
    stream = EventStream("3")
    assert stream.feed(b"id: 4\0\ndata: x\n\n") == [ServerSentEvent("x", "message", "3")]


# Taking alarms.


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ip": ""}, "字段【ip】不能为空"),
        ({"ip": "10.0.0"}, "不是合法的 IP"),
        ({"alarm_content": None}, "字段【alarm_content】不能为空"),
        ({"alarm_content": ["x"]}, "应为字符串"),
        ({"source_time": "yesterday"}, "source_time"),
        ({"expires_in": 9}, "expires_in"),
        ({"expires_in": "soon"}, "expires_in"),
        ({"risk": "extreme"}, "risk"),
        ({"approvers": [1]}, "approvers"),
        ({"approvers": " ,"}, "approvers"),
    ],
)
def test_alarms_that_are_refused(change: Json, words: str) -> None:
    with pytest.raises(WrongAlarm, match=words):
        read_alarm("demo", ALARM | change, ("zhangsan",), NOON)


def test_what_an_alarm_may_leave_out() -> None:
    short = {"ip": "10.0.0.1", "alarm_content": "down", "approvers": "lisi，wangwu"}
    assert read_alarm("demo", short, ("zhangsan",), NOON) == AlarmData(
        ip="10.0.0.1",
        content="down",
        alarm_type="api_default",
        application="demo",
        source_id="",
        source_time="2026-01-31 12:00:00",
        approvers=("lisi", "wangwu"),
        expires_in=1200,
        risk="medium",
    )


@pytest.mark.parametrize("path", ["/event/api/demo/", "/event/api/demo"])
async def test_an_alarm_by_rest(web_engine: Client, service: Service, path: str) -> None:
    async with web_engine.post(path, json=ALARM) as answer:
        assert await answer.json() == {
            "result": True,
            "code": 1200,
            "message": "推送成功",
            "data": {"alarm_id": 1, "obj_id": "1_1"},
        }
    engine = engine_of(web_engine)
    await until(engine, lambda: engine.alarms[1].last_run.approval is not None)
    service.decide(service.approvals[0], "approved", by="lisi")
    await until(engine, lambda: engine.alarms[1].state == "success")
    async with web_engine.get("/alarms/1") as answer:
        told = await answer.json()
    assert (told["state"], told["runs"][0]["approval"]["decided_by"]) == ("success", "lisi")
    assert [step["state"] for step in told["runs"][0]["steps"]] == ["success", "success"]
    async with web_engine.get("/list") as answer:
        page = await answer.text()
    assert "<b>lisi</b> 于 12:03:00 同意（微信回复）" in page


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "POST不是合法JSON"),
        (b"[]", "POST应为JSON对象"),
        (b"{}", "字段【ip】不能为空"),
    ],
)
async def test_wrong_input_by_rest(web_engine: Client, body: bytes, message: str) -> None:
    async with web_engine.post("/event/api/demo/", data=body) as answer:
        told = await answer.json()
        assert answer.status == 200
    assert (told["result"], told["code"], told["message"]) == (False, 1400, message)


async def test_the_page_pushes_and_tries_again(web_engine: Client, service: Service) -> None:
    form = {"ip": "10.0.0.7", "application": "pay", "alarm_content": "<b>down</b>"}
    async with web_engine.post("/", data=form) as answer:
        assert answer.status == 422
        assert "请至少选择一位审批人" in await answer.text()
    async with web_engine.post("/", data=form | {"approvers": "wangwu"}) as answer:
        page = await answer.text()
    assert "#1 10.0.0.7" in page
    assert "&lt;b&gt;down&lt;/b&gt;" in page
    async with web_engine.post("/alarms/1/retry") as answer:
        assert "第 2 次执行" in await answer.text()
    async with web_engine.post("/alarms/9/retry") as answer:
        assert answer.status == 404


FORM = {"ip": "10.0.0.254", "application": "pay", "alarm_content": "down", "approvers": "lisi"}


async def test_the_page_pushes_several_at_once_each_of_its_own_machine(
    web_engine: Client, service: Service
) -> None:
    async with web_engine.get("/") as answer:
        page = await answer.text()
    for count in (1, 4, 10, 50):
        assert f'name="count" value="{count}"' in page
    assert '<option value="480">' in page
    async with web_engine.post("/", data=FORM | {"count": "4", "expires_in": "480"}) as answer:
        assert answer.status == 200
    engine = engine_of(web_engine)
    alarms = list(engine.alarms.values())
    await until(engine, lambda: all(alarm.last_run.approval is not None for alarm in alarms))
    asked = sorted((a["asked"]["obj_id"], a["asked"]["details"]["IP"]) for a in service.approvals)
    assert asked == [
        ("1_1", "10.0.0.254"),
        ("2_1", "10.0.0.255"),
        ("3_1", "10.0.1.0"),
        ("4_1", "10.0.1.1"),
    ]
    assert {approval["asked"]["expires_in"] for approval in service.approvals} == {480}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"count": "5"}, "字段【count】应为 1、4、10、50 之一"),
        ({"count": "many"}, "字段【count】"),
        ({"count": "10", "ip": "255.255.255.250"}, "之后不足 10 个地址"),
        ({"count": "10", "ip": "10.0.0"}, "不是合法的 IP"),
    ],
)
async def test_if_one_of_several_is_wrong_none_is_pushed(
    web_engine: Client, change: Json, words: str
) -> None:
    async with web_engine.post("/", data=FORM | change) as answer:
        assert answer.status == 422
        assert words in await answer.text()
    async with web_engine.get("/alarms") as answer:
        assert (await answer.json())["alarms"] == []
