"""The sample engine on the web: FTA's REST 推送, the page 自愈测试, and JSON for curl."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from aiohttp import web

from adapters.engine.client import EngineClient
from adapters.engine.documents import Approval
from adapters.engine.pauses import Patience
from adapters.simulator.alarm_intake import (
    ACCEPTED,
    AT_ONCE,
    WRONG,
    WrongAlarm,
    of_several_machines,
    read_alarm,
    read_count,
)
from adapters.simulator.alarms import Alarm, AlarmData, Run, Step
from adapters.simulator.corp import Clock, utc_now
from adapters.simulator.engine import AlreadyHealed, EngineSettings, HealingEngine
from adapters.simulator.live import follow
from adapters.simulator.pages import add_pages, page

ENGINE = web.AppKey("engine", HealingEngine)
SETTINGS = web.AppKey("settings", EngineSettings)
CLOCK: web.AppKey[Clock] = web.AppKey("clock")
Json = dict[str, Any]
# Soon enough for the page to say that the service is away; then it is tried again.
CALL_S = 3.0
routes = web.RouteTableDef()


def create_engine_app(settings: EngineSettings, *, clock: Clock = utc_now) -> web.Application:
    app = web.Application()
    app[SETTINGS] = settings
    app[CLOCK] = clock
    add_pages(app)
    app.add_routes(routes)
    app.cleanup_ctx.append(_run_engine)
    app.on_shutdown.append(_end_streams)
    return app


@routes.post("/event/api/{application}")
@routes.post("/event/api/{application}/")
async def push(request: web.Request) -> web.Response:
    """An alarm, as FTA takes it; always HTTP 200, the answer is in the body."""
    engine = request.app[ENGINE]
    try:
        alarm = engine.take(
            _read(engine, request.match_info["application"], _json(await request.read()))
        )
    except WrongAlarm as wrong:
        return _reply({"result": False, "code": WRONG, "message": str(wrong), "data": None})
    data = {"alarm_id": alarm.alarm_id, "obj_id": alarm.obj_id}
    return _reply({"result": True, "code": ACCEPTED, "message": "推送成功", "data": data})


@routes.get("/alarms")
async def alarms(request: web.Request) -> web.Response:
    return _reply({"alarms": [_told(alarm) for alarm in request.app[ENGINE].alarms.values()]})


@routes.get("/alarms/{alarm_id:\\d+}")
async def alarm(request: web.Request) -> web.Response:
    return _reply(_told(_found(request)))


@routes.get("/")
async def test_page(request: web.Request) -> web.Response:
    return page(request, "engine.html", wrong="", **_shown(request))


@routes.get("/list")
async def alarm_list(request: web.Request) -> web.Response:
    return page(request, "_alarms.html", **_shown(request))


@routes.get("/stream")
async def stream(request: web.Request) -> web.StreamResponse:
    return await follow(request, request.app[ENGINE].changes)


@routes.post("/")
async def push_by_form(request: web.Request) -> web.StreamResponse:
    """An alarm, or the same of several machines: all of them, or, if anything is wrong, none."""
    engine, form = request.app[ENGINE], await request.post()
    body: Json = {name: value for name, value in form.items() if name != "approvers"}
    body["approvers"] = [str(value) for value in form.getall("approvers", [])]
    application = str(body.pop("application", "") or "demo")
    try:
        if not body["approvers"]:
            raise WrongAlarm("请至少选择一位审批人")
        alarms = of_several_machines(_read(engine, application, body), read_count(body))
    except WrongAlarm as wrong:
        return page(request, "engine.html", 422, wrong=str(wrong), **_shown(request))
    for alarm in alarms:
        engine.take(alarm)
    raise web.HTTPSeeOther("/")


@routes.post("/alarms/{alarm_id:\\d+}/retry")
async def retry(request: web.Request) -> web.StreamResponse:
    """重试: the next run, which is asked anew."""
    with suppress(AlreadyHealed):
        request.app[ENGINE].retry(_found(request))
    raise web.HTTPSeeOther("/")


async def _run_engine(app: web.Application) -> AsyncIterator[None]:
    settings = app[SETTINGS]

    def trouble(why: str | None) -> None:
        engine.stream_trouble(why)

    client = EngineClient(
        settings.service_url, settings.token, patience=Patience(call_s=CALL_S), trouble=trouble
    )
    async with client:
        engine = HealingEngine(settings, client, clock=app[CLOCK])
        app[ENGINE] = engine
        following = asyncio.create_task(engine.follow())
        yield
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        await engine.stop()


async def _end_streams(app: web.Application) -> None:
    app[ENGINE].changes.close()


def _read(engine: HealingEngine, application: str, body: Json) -> AlarmData:
    return read_alarm(application, body, engine.settings.approvers, engine.clock())


def _json(content: bytes) -> Json:
    try:
        body = json.loads(content)
    except ValueError:
        raise WrongAlarm("POST不是合法JSON") from None
    if not isinstance(body, dict):
        raise WrongAlarm("POST应为JSON对象")
    return body


def _found(request: web.Request) -> Alarm:
    try:
        return request.app[ENGINE].alarms[int(request.match_info["alarm_id"])]
    except KeyError:
        raise web.HTTPNotFound(text="no such alarm") from None


def _shown(request: web.Request) -> Json:
    engine = request.app[ENGINE]
    return {
        "engine": engine,
        "alarms": list(reversed(engine.alarms.values())),
        "members": engine.settings.members,
        "asked": engine.settings.approvers,
        "at_once": AT_ONCE,
    }


def _told(alarm: Alarm) -> Json:
    return {
        "alarm_id": alarm.alarm_id,
        "obj_id": alarm.obj_id,
        "state": alarm.state,
        "taken_at": alarm.taken_at.isoformat(),
        **asdict(alarm.data),
        "runs": [_run(run) for run in alarm.runs],
    }


def _run(run: Run) -> Json:
    return {
        "run": run.number,
        "state": run.state,
        "approval": _approval(run.approval) if run.approval else None,
        "steps": [_step(step) for step in run.steps],
    }


def _approval(approval: Approval) -> Json:
    """As the service shows it, but for the permit, which is for nobody to see."""
    shown = {one.name: getattr(approval, one.name) for one in fields(approval)}
    del shown["permit"]
    shown["notifications"] = [asdict(one) for one in approval.notifications]
    return {name: _plain(value) for name, value in shown.items()}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _step(step: Step) -> Json:
    times = {"started_at": step.started_at, "ended_at": step.ended_at}
    shown = {name: at.isoformat() if at else None for name, at in times.items()}
    return {"name": step.name, "state": step.state, "note": step.note, **shown}


def _reply(body: Json) -> web.Response:
    return web.json_response(body, dumps=lambda value: json.dumps(value, ensure_ascii=False))
