"""The engine API: ask, look, list, cancel (contract 4.1, 4.2)."""

import json
import re
from typing import Any

from aiohttp import web

from domain.aggregate import Event
from domain.approval import Approval
from domain.commands import Cancel
from domain.errors import UnknownApproval
from projections.document import document, timestamp
from projections.webhooks import shown_url
from web import keys
from web.ask import ApprovalRequest, CancelRequest, read_body
from web.etags import unless_held
from web.json_answers import json_answer
from web.queries import ApprovalsQuery, read_query

routes = web.RouteTableDef()

# Of an event: what stands beside its `data`, and what is WeCom's and ours alone.
NOT_DATA = (
    *("originator_id", "originator_version", "timestamp", "by", "channel"),
    "response_code",
)
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


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
    query = read_query(request, ApprovalsQuery)
    scope = request.app[keys.ENGINES].scope(request[keys.ENGINE])
    found = await request.app[keys.READING].matching(
        query.filters, int(query.after), query.limit + 1, scope
    )
    page = found[: query.limit]
    more = len(found) > query.limit
    return json_answer(
        {
            "approvals": [document(approval) for approval in page],
            "next": str(page[-1].number) if more else None,
        }
    )


@routes.get("/approvals/{approval_id}")
async def look(request: web.Request) -> web.Response:
    """One approval as it is now; nothing of it for who holds it by its ETag."""
    return unless_held(request, json_answer(document(await approval_of(request))))


@routes.get("/approvals/{approval_id}/events")
async def events(request: web.Request) -> web.Response:
    """Everything that happened to one approval, oldest first."""
    approval = await approval_of(request)
    stored = await request.app[keys.READING].events_of(approval.id)
    is_own = request[keys.ENGINE] == approval.requested.engine
    shown = [event_document(p, event, is_own=is_own) for p, event in stored]
    return json_answer({"events": shown})


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


def event_document(position: int, event: Event, *, is_own: bool) -> dict[str, Any]:
    """
    One stored event as engines see it; `action` as the object that was sent.

    Args:
        is_own: The reader is the engine that asked; others see nothing of the query of its address.
    """
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    for name in NOT_DATA:
        fields.pop(name, None)
    if fields.get("callback_url") and not is_own:
        fields["callback_url"] = shown_url(fields["callback_url"])
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
