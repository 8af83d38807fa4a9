"""
The same levers as the methods of `SimulatedWeCom`, over HTTP: for curl and for tests in another
process. JSON in, JSON out; a wrong request is 400 and says what is wrong.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

import msgspec
from aiohttp import web

from adapters.simulator.api import WECOM
from adapters.simulator.callbacks import Delivery
from adapters.simulator.wecom import SimulatedWeCom

Json = dict[str, Any]
Lever = Callable[[SimulatedWeCom, Json], Awaitable[Json]]
routes = web.RouteTableDef()


async def send_text(wecom: SimulatedWeCom, body: Json) -> Json:
    return _told(await wecom.send_text(body["userid"], body["content"], body.get("msg_id")))


async def send_event(wecom: SimulatedWeCom, body: Json) -> Json:
    fields = list(body.get("fields", {}).items())
    return _told(await wecom.send_event(body["userid"], body["event"], fields))


async def enter_agent(wecom: SimulatedWeCom, body: Json) -> Json:
    return _told(await wecom.enter_agent(body["userid"]))


async def click_menu(wecom: SimulatedWeCom, body: Json) -> Json:
    return _told(await wecom.click_menu(body["userid"], body["entry"]))


async def tap(wecom: SimulatedWeCom, body: Json) -> Json:
    delivery = await wecom.tap(
        body["userid"],
        body["task_id"],
        body["key"],
        body.get("selected"),
        menu=body.get("menu", False),
    )
    return {"dead": True, "status": None, "attempts": []} if delivery is None else _told(delivery)


async def repeat_last(wecom: SimulatedWeCom, body: Json) -> Json:
    return _told(await wecom.repeat_last())


async def release(wecom: SimulatedWeCom, body: Json) -> Json:
    deliveries = await wecom.release_callbacks(reverse=body.get("reverse", False))
    return {"callbacks": [_told(delivery) for delivery in deliveries]}


async def save_callback(wecom: SimulatedWeCom, body: Json) -> Json:
    result = await wecom.save_callback(
        body["url"], token=body.get("token"), encoding_aes_key=body.get("encoding_aes_key")
    )
    return asdict(result)


async def expire_tokens(wecom: SimulatedWeCom, body: Json) -> Json:
    wecom.expire_tokens()
    return {}


async def script(wecom: SimulatedWeCom, body: Json) -> Json:
    wecom.script(body["path"], *body["errcodes"])
    return {}


async def visible(wecom: SimulatedWeCom, body: Json) -> Json:
    wecom.show_only_to(set(body["userids"]))
    return {"userids": sorted(wecom.book.visible)}


async def trusted_hosts(wecom: SimulatedWeCom, body: Json) -> Json:
    wecom.trusted_hosts = set(body["hosts"])
    return {"hosts": sorted(wecom.trusted_hosts)}


async def turn_knobs(wecom: SimulatedWeCom, body: Json) -> Json:
    wecom.knobs = wecom.knobs.turned(body)
    knobs: Json = _builtin(wecom.knobs)
    return knobs


LEVERS: dict[str, Lever] = {
    "send_text": send_text,
    "send_event": send_event,
    "enter_agent": enter_agent,
    "click_menu": click_menu,
    "tap": tap,
    "repeat_last": repeat_last,
    "release_callbacks": release,
    "callback": save_callback,
    "expire_tokens": expire_tokens,
    "script": script,
    "visible": visible,
    "trusted_hosts": trusted_hosts,
    "knobs": turn_knobs,
}


@routes.post("/control/{lever}")
async def pull(request: web.Request) -> web.Response:
    lever = LEVERS.get(request.match_info["lever"])
    if lever is None:
        raise web.HTTPNotFound(text=f"levers: {', '.join(LEVERS)}")
    try:
        body = json.loads(await request.read() or b"{}")
        return web.json_response(await lever(request.app[WECOM], body))
    except KeyError as error:
        return web.json_response({"error": f"missing: {error}"}, status=400)
    except (LookupError, ValueError, TypeError) as error:
        return web.json_response({"error": str(error)}, status=400)


@routes.get("/control/knobs")
async def show_knobs(request: web.Request) -> web.Response:
    return web.json_response(_builtin(request.app[WECOM].knobs))


@routes.get("/control/inbox/{userid}")
async def show_inbox(request: web.Request) -> web.Response:
    messages = request.app[WECOM].inbox(request.match_info["userid"])
    return web.json_response({"messages": [message.as_json() for message in messages]})


@routes.get("/control/dropped")
async def show_dropped(request: web.Request) -> web.Response:
    """What WeCom swallowed for a member's limits."""
    messages = request.app[WECOM].inboxes.dropped
    return web.json_response({"messages": [message.as_json() for message in messages]})


@routes.get("/control/calls")
async def show_calls(request: web.Request) -> web.Response:
    """The calls of the API; `?path=message/send` for one of them."""
    path = request.query.get("path")
    calls = [call for call in request.app[WECOM].calls if path in (None, call.path)]
    return web.json_response({"calls": _builtin(calls)})


@routes.get("/control/menu")
async def show_menu(request: web.Request) -> web.Response:
    return web.json_response({"button": request.app[WECOM].menu})


def _told(delivery: Delivery) -> Json:
    attempts = [asdict(attempt) for attempt in delivery.attempts]
    return {"status": delivery.status, "answered": delivery.answered, "attempts": attempts}


def _builtin(value: Any) -> Any:
    return msgspec.to_builtins(value)
