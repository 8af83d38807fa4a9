"""WeCom's HTTP API under `/cgi-bin/`: tokens in the query, errors as HTTP 200 with a code."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from email.utils import format_datetime
from functools import partial
from typing import Any

from aiohttp import web

from adapters.simulator.company import Call
from adapters.simulator.refusals import ApiError
from adapters.simulator.wecom import SimulatedWeCom

WECOM = web.AppKey("wecom", SimulatedWeCom)
Json = dict[str, Any]
Handler = Callable[[SimulatedWeCom, web.Request], Awaitable[Json]]


async def gettoken(wecom: SimulatedWeCom, request: web.Request) -> Json:
    query = request.query
    token, lives_s = wecom.tokens.issue(
        query.get("corpid", ""), query.get("corpsecret", ""), _ip(request), wecom.knobs
    )
    return {"access_token": token, "expires_in": lives_s}


async def send(wecom: SimulatedWeCom, request: web.Request) -> Json:
    own = _application(wecom, request)
    return wecom.send(await _payload(request), own)


async def update_template_card(wecom: SimulatedWeCom, request: web.Request) -> Json:
    own = _application(wecom, request)
    return wecom.update_card(await _payload(request), own)


async def recall(wecom: SimulatedWeCom, request: web.Request) -> Json:
    own = _application(wecom, request)
    return wecom.recall(await _payload(request), own)


async def getuserinfo(wecom: SimulatedWeCom, request: web.Request) -> Json:
    _application(wecom, request)
    return wecom.user_info(request.query.get("code"))


async def old_getuserinfo(wecom: SimulatedWeCom, request: web.Request) -> Json:
    """The older path, with its capital letters."""
    found = await getuserinfo(wecom, request)
    if "userid" in found:
        return {"UserId": found["userid"], "DeviceId": ""}
    return {"OpenId": found["openid"], "DeviceId": ""}


async def get_user(wecom: SimulatedWeCom, request: web.Request) -> Json:
    _application(wecom, request)
    return wecom.user(request.query.get("userid"))


async def create_menu(wecom: SimulatedWeCom, request: web.Request) -> Json:
    own = _application(wecom, request)
    return wecom.create_menu(await _payload(request), _agent_id(request), own)


async def get_menu(wecom: SimulatedWeCom, request: web.Request) -> Json:
    return wecom.get_menu(_agent_id(request), _application(wecom, request))


async def delete_menu(wecom: SimulatedWeCom, request: web.Request) -> Json:
    return wecom.delete_menu(_agent_id(request), _application(wecom, request))


async def addresses(wecom: SimulatedWeCom, request: web.Request) -> Json:
    try:
        _application(wecom, request)
    except ApiError as error:
        error.extra["ip_list"] = []
        raise
    return {"ip_list": ["127.0.0.1"]}


PATHS: dict[tuple[str, str], Handler] = {
    ("GET", "gettoken"): gettoken,
    ("POST", "message/send"): send,
    ("POST", "message/update_template_card"): update_template_card,
    ("POST", "message/recall"): recall,
    ("GET", "auth/getuserinfo"): getuserinfo,
    ("GET", "user/getuserinfo"): old_getuserinfo,
    ("GET", "user/get"): get_user,
    ("POST", "menu/create"): create_menu,
    ("GET", "menu/get"): get_menu,
    ("GET", "menu/delete"): delete_menu,
    ("GET", "getcallbackip"): addresses,
    ("GET", "get_api_domain_ip"): addresses,
}


def add_api(app: web.Application) -> None:
    for (method, path), handler in PATHS.items():
        app.router.add_route(method, f"/cgi-bin/{path}", partial(_answer, path, handler))


async def _answer(path: str, handler: Handler, request: web.Request) -> web.Response:
    """One call, on a good day or a bad one, and on the record."""
    wecom = request.app[WECOM]
    wecom.under_way += 1
    try:
        return await _dealt_with(wecom, path, handler, request)
    finally:
        wecom.under_way -= 1


async def _dealt_with(
    wecom: SimulatedWeCom, path: str, handler: Handler, request: web.Request
) -> web.Response:
    outage = _outage(wecom, path)
    if outage == "slow":
        await request.read()  # it has arrived; who asked may be gone before it is dealt with
        await asyncio.sleep(wecom.knobs.slow_s)
    works = outage in ("none", "slow", "busy", "lost-answer")
    body = await _work(wecom, path, handler, request, outage == "busy") if works else {}
    heard = works and outage != "lost-answer"
    payload = await _payload(request, lenient=True)
    wecom.calls.append(Call(path, wecom.clock(), payload, body["errcode"] if heard else None))
    if outage == "http-500":
        return web.Response(status=500, text="<html>500</html>", content_type="text/html")
    if outage == "html":
        return web.Response(text="<html>请登录代理服务器</html>", content_type="text/html")
    return _as_wecom(body, wecom.clock()) if heard else _hang_up(request)


def _outage(wecom: SimulatedWeCom, path: str) -> str:
    knobs = wecom.knobs
    if knobs.outage == "none" or knobs.outage_on not in path or knobs.outage_calls == 0:
        return "none"
    if knobs.outage_calls is not None:
        knobs.outage_calls -= 1
    return knobs.outage


async def _work(
    wecom: SimulatedWeCom, path: str, handler: Handler, request: web.Request, busy: bool
) -> Json:
    try:
        scripted = -1 if busy else wecom.scripted(path)
        if scripted is not None:
            raise ApiError(scripted)
        return {"errcode": 0, "errmsg": "ok", **await handler(wecom, request)}
    except ApiError as error:
        return error.body(wecom.clock(), _ip(request))


def _as_wecom(body: Json, at: datetime) -> web.Response:
    return web.Response(
        body=json.dumps(body, ensure_ascii=False).encode(),
        headers={
            "Content-Type": "application/json; charset=UTF-8",
            "Date": format_datetime(at, usegmt=True),
            "Error-Code": str(body["errcode"]),
            "Error-Msg": body["errmsg"].encode("ascii", "replace").decode(),
        },
    )


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _application(wecom: SimulatedWeCom, request: web.Request) -> int:
    """The application that calls, by its token; headers and bodies are not looked at."""
    token = request.query.get("access_token")
    return wecom.tokens.check(token, _ip(request), wecom.knobs)


def _agent_id(request: web.Request) -> int:
    try:
        return int(request.query.get("agentid", ""))
    except ValueError:
        raise ApiError(40056) from None


async def _payload(request: web.Request, *, lenient: bool = False) -> Json:
    try:
        payload = json.loads(await request.read())
    except ValueError:
        payload = None
    if isinstance(payload, dict):
        return payload
    if lenient:
        return {}
    raise ApiError(40058, "the body is no JSON object")


def _ip(request: web.Request) -> str:
    return request.remote or "127.0.0.1"
