"""The engine API: ask, look, list, cancel, follow decisions (contract 4.1-4.3)."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response

from domain.aggregate import Event
from domain.approval import Approval
from domain.commands import Cancel
from domain.decision import Status
from domain.errors import UnknownApproval
from projections.document import document, timestamp
from web import keys
from web.ask import MAX_INTEGER, ApprovalRequest, CancelRequest, printable, read_body
from web.errors import Problem, invalid
from web.json_answers import json_answer

routes = web.RouteTableDef()

HEARTBEAT_S = 10.0
SSE_BATCH = 500
# Of an event: what stands beside its `data`, and what is WeCom's and ours alone.
NOT_DATA = (
    *("originator_id", "originator_version", "timestamp", "by", "channel"),
    "response_code",
)
# Of this API, for everybody (contract 3).
WITHOUT_TOKEN = ("/permits/keys",)
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
# Any length that fits into a request line: a position beyond the last one is refused as that.
POSITION = re.compile(r"[0-9]{1,4000}", re.ASCII)

STREAMS: web.AppKey[set[EventSourceResponse]] = web.AppKey("streams")


@web.middleware
async def authentication(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Name the engine by its token; without one only what is for everybody is open."""
    if _is_for_everybody(request):
        return await handler(request)
    engines = request.app[keys.ENGINES]
    if not engines.any:
        raise Problem(503, "no-api-token-configured", "set FTA_APPROVAL_API_TOKENS")
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    engine = engines.named(token.strip()) if scheme.lower() == "bearer" else None
    if engine is None:
        raise Problem(
            401,
            "unauthorized",
            "send the header Authorization: Bearer TOKEN with a token of this service",
            headers={"WWW-Authenticate": "Bearer"},
        )
    request[keys.ENGINE] = engine
    return await handler(request)


def _is_for_everybody(request: web.Request) -> bool:
    below = request.path.removeprefix(f"{request.app[keys.SETTINGS].url_prefix}/api/v1")
    return below.rstrip("/") in WITHOUT_TOKEN


@routes.post("/approvals")
async def ask(request: web.Request) -> web.Response:
    """Ask for an approval: 201, or 200 for the same request again."""
    asked = await read_body(request, ApprovalRequest)
    command = asked.command(request[keys.ENGINE], request.app[keys.CLOCK]())
    approval, is_new = await request.app[keys.WRITER].execute(command)
    location = f"{request.path.rstrip('/')}/{approval.approval_id}"
    return json_answer(
        document(approval), status=201 if is_new else 200, headers={"Location": location}
    )


@routes.get("/approvals")
async def list_approvals(request: web.Request) -> web.Response:
    """What matches, by number, a page at a time."""
    filters, after, limit = _read_filters(request)
    scope = request.app[keys.ENGINES].scope(request[keys.ENGINE])
    found = await request.app[keys.READING].matching(filters, after, limit + 1, scope)
    page = found[:limit]
    more = len(found) > limit
    return json_answer(
        {
            "approvals": [document(approval) for approval in page],
            "next": str(page[-1].number) if more else None,
        }
    )


@routes.get("/approvals/{approval_id}")
async def look(request: web.Request) -> web.Response:
    """One approval as it is now."""
    return json_answer(document(await approval_of(request)))


@routes.get("/approvals/{approval_id}/events")
async def events(request: web.Request) -> web.Response:
    """Everything that happened to one approval, oldest first."""
    approval = await approval_of(request)
    stored = await request.app[keys.READING].events_of(approval.id)
    return json_answer({"events": [event_document(p, event) for p, event in stored]})


@routes.post("/approvals/{approval_id}/cancel")
async def cancel(request: web.Request) -> web.Response:
    """End the wait; again by the same engine: the same answer."""
    wanted = await read_body(request, CancelRequest)
    approval = await approval_of(request)
    command = Cancel(
        at=request.app[keys.CLOCK](),
        engine=request[keys.ENGINE],
        reply_id=approval.reply_id,
        reason=wanted.reason,
    )
    return json_answer(document(await request.app[keys.WRITER].execute(command)))


@routes.get("/decisions")
async def decisions(request: web.Request) -> web.Response:
    """The next decisions after a position, waited for if the caller wants."""
    after = _read_position("after", request.query.get("after", "0"))
    limit = _read_number(request, "limit", 100, minimum=1, maximum=1000)
    wait_s = _read_number(request, "wait", 0, maximum=60)
    feed = request.app[keys.FEED]
    scope = request.app[keys.ENGINES].scope(request[keys.ENGINE])
    await feed.check(after)
    await request.app[keys.READING].caught_up()
    found = await feed.after(after, limit, scope)
    if not found and wait_s:
        try:
            found = await asyncio.wait_for(feed.next_after(after, limit, scope), wait_s)
        except TimeoutError:
            found = []
    return json_answer(
        {
            "decisions": [decision.as_json() for decision in found],
            "next": found[-1].position if found else after,
            "feed_id": feed.feed_id,
        }
    )


@routes.get("/decisions/stream")
async def stream(request: web.Request) -> web.StreamResponse:
    """Decisions as Server-Sent Events, resumed after `Last-Event-ID` or `after`."""
    after = _read_start(request)
    feed = request.app[keys.FEED]
    scope = request.app[keys.ENGINES].scope(request[keys.ENGINE])
    await feed.check(after)
    headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
    async with sse_response(request, headers=headers, ping_interval=HEARTBEAT_S) as response:
        request.app[STREAMS].add(response)
        sending = asyncio.create_task(_send_decisions(request, response, after, scope))
        # The heartbeat ends first when the reader has gone while there was nothing to say.
        beating = asyncio.create_task(response.wait())
        try:
            await asyncio.wait([sending, beating], return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            beating.cancel()
            await asyncio.gather(sending, beating, return_exceptions=True)
            request.app[STREAMS].discard(response)
    return response


async def _send_decisions(
    request: web.Request, response: EventSourceResponse, after: int, scope: str | None
) -> None:
    feed = request.app[keys.FEED]
    while found := await feed.next_after(after, SSE_BATCH, scope):
        for decision in found:
            await response.send(
                decision.cloud_event, id=str(decision.position), event=decision.type
            )
            after = decision.position


async def end_streams(app: web.Application) -> None:
    """At shutdown readers are let go; they resume elsewhere or later."""
    open_streams: set[EventSourceResponse] = app[STREAMS]
    for response in tuple(open_streams):
        response.stop_streaming()


def event_document(position: int, event: Event) -> dict[str, Any]:
    """One stored event as engines see it; `action` as the object that was sent."""
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    for name in NOT_DATA:
        fields.pop(name, None)
    if fields.get("action"):
        fields["action"] = json.loads(fields["action"])
    data = {name: timestamp(v) if hasattr(v, "isoformat") else v for name, v in fields.items()}
    return {
        "position": position,
        "type": event.TOPIC,
        "at": timestamp(event.timestamp),
        "by": _by(event),
        "via": _via(event),
        "data": data,
    }


def _by(event: Event) -> str | None:
    """Who acted; null for what the service itself did, such as delivering a message."""
    return getattr(event, "by", None) or getattr(event, "engine", None)


def _via(event: Event) -> str | None:
    if isinstance(event, Approval.Expired):
        return "clock"
    return getattr(event, "channel", None)


async def approval_of(request: web.Request) -> Approval:
    """The approval that the path names, if this engine may know of it."""
    name = request.match_info["approval_id"]
    found = await request.app[keys.READING].by_uuid(name) if UUID.fullmatch(name) else None
    engines, engine = request.app[keys.ENGINES], request[keys.ENGINE]
    if found is None or not engines.may_read(engine, found.requested.engine):
        raise UnknownApproval(name)
    return found


def _read_filters(request: web.Request) -> tuple[dict[str, object], int, int]:
    known = {"obj_id", "run", "status", "biz_id", "after", "limit"}
    for name in request.query:
        if name not in known:
            raise invalid(printable(name), "is not a parameter of this request")
    filters: dict[str, object] = {
        name: request.query[name]
        for name in ("obj_id", "status", "biz_id")
        if name in request.query
    }
    if filters.get("status", "pending") not in list(Status):
        raise invalid("status", f"must be one of {', '.join(Status)}")
    if "run" in request.query:
        filters["run"] = _read_number(request, "run", 1, minimum=1, maximum=MAX_INTEGER)
    after = _read_number(request, "after", 0, maximum=10**18)
    return filters, after, _read_number(request, "limit", 100, minimum=1, maximum=1000)


def _read_start(request: web.Request) -> int:
    last_seen = request.headers.get("Last-Event-ID")
    if last_seen is None:
        return _read_position("after", request.query.get("after", "0"))
    return _read_position("Last-Event-ID", last_seen)


def _read_position(name: str, text: str) -> int:
    if not POSITION.fullmatch(text):
        raise invalid(name, "must be a position, an integer from 0 on")
    return int(text)


def _read_number(
    request: web.Request, name: str, default: int, *, minimum: int = 0, maximum: int
) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not POSITION.fullmatch(text) or not minimum <= int(text) <= maximum:
        raise invalid(name, f"must be an integer from {minimum} to {maximum}")
    return int(text)
