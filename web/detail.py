"""The page of one approval: what will be executed, why, until when, and what happened."""

import json
import math
import re
from datetime import datetime
from typing import Any

from aiohttp import web

from domain.approval import Approval
from domain.commands import OpenPage
from domain.decision import Status
from projections.runs import runs_of
from web import keys
from web.confirmation import confirmation
from web.pages import render
from web.sessions import (
    NotLoggedIn,
    list_token,
    logged_in,
    login_first,
    logout_token,
    may_audit,
    may_decide,
    may_see,
)
from web.shown import PAGE, STATUS, path_of, shown, status_at
from web.timeline import execution, how_it_ended, in_words
from web.translation import gettext
from web.vocabulary import people, why

routes = web.RouteTableDef()

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
RUNS = 6
# Names by which an engine says what else the action touches; they stand in front of all details.
BLAST_RADIUS = {"影响范围", "影响", "爆炸半径", "blastradius", "impact", "scope"}
DELIVERY = {
    "pending": "发送中",
    "sent": "已送达企业微信",
    "unreachable": "无法送达",
    "failed": "发送失败",
}


@routes.get("/wechat/a/{approval_id}/")
async def detail(request: web.Request) -> web.StreamResponse:
    """One approval: what, why, who, until when, and everything that happened."""
    try:
        member = await logged_in(request)
    except NotLoggedIn:
        return login_first(request)
    approval = await visible_approval(request, member)
    approval = await _remember_opening(request, approval, member)
    return await render_detail(request, approval, member)


async def visible_approval(request: web.Request, member: str) -> Approval:
    """The approval that the address names, or the same 404 for a stranger as for an unknown id."""
    name = request.match_info["approval_id"]
    approval = await request.app[keys.READING].by_uuid(name) if UUID.fullmatch(name) else None
    if approval is None or not may_see(request, approval, member):
        raise web.HTTPNotFound
    return approval


async def render_detail(
    request: web.Request, approval: Approval, member: str, too_late: bool = False
) -> web.Response:
    """
    The page, as things stand now.

    Args:
        too_late: The member tried to decide and somebody was first: 409, and the page says so.
    """
    context = {**await context_of(request, approval, member), "too_late": too_late}
    return render(request, "detail.html", context, 409 if too_late else 200)


async def context_of(request: web.Request, approval: Approval, member: str) -> dict[str, Any]:
    """Everything that the page says, as things stand now."""
    now, position = request.app[keys.CLOCK](), request.app[keys.READING].progress.position
    stored = await request.app[keys.READING].events_of(approval.id)
    show = request.app[keys.CLOCKFACE].show
    it = shown(request, approval, member, PAGE, now)
    events = [event for _, event in stored]
    confirm = confirmation(request, approval, member, events, now)
    blast_radius, details = _details(approval.requested.details)
    return {
        "me": member,
        "position": position,
        "list_token": list_token(request),
        "seconds_left": max(0, math.ceil((approval.expires_at - now).total_seconds())),
        "approvers": people(approval.requested.approvers),
        "blast_radius": blast_radius,
        "details": details,
        "runs": await _other_runs(request, approval, member, now),
        "logout": logout_token(request),
        "may_audit": may_audit(request, member),
        "it": {**it, "reason": confirm["reason"]} if confirm else it,
        "confirm": confirm,
        "asked": approval.requested,
        "action": _pretty(approval.requested.action),
        "ending": how_it_ended(approval, member, lambda at: show(at, now)),
        "reason": why(approval.ending.reason) if approval.ending else "",
        "why_no_buttons": _why_no_buttons(request, approval, member, now),
        "execution": execution(approval, now, lambda at: show(at, now)),
        "frozen": (await request.app[keys.READING].freeze()).in_force,
        "deliveries": _deliveries(approval),
        "timeline": [
            (show(event.timestamp, now), event.timestamp.isoformat(), in_words(event))
            for event in events
        ],
    }


def actions_of(context: dict[str, Any]) -> str:
    """What can be pressed on the page that was made of this."""
    it = context["it"]
    return "decide" if it["may_decide"] else "revoke" if it["may_revoke"] else "nothing"


async def _remember_opening(request: web.Request, approval: Approval, member: str) -> Approval:
    """Where no message showed everything, having opened this page allows to decide by message."""
    now = request.app[keys.CLOCK]()
    waits = status_at(approval, now) is Status.PENDING and may_decide(request, approval, member)
    if not waits or not approval.notifications.does_opening_matter(member):
        return approval
    opened: Approval = await request.app[keys.WRITER].execute(
        OpenPage(at=now, by=member, reply_id=approval.reply_id)
    )
    return opened


def _why_no_buttons(
    request: web.Request, approval: Approval, member: str, now: datetime
) -> str | None:
    if status_at(approval, now) is not Status.PENDING or may_decide(request, approval, member):
        return None
    if approval.is_requester(member):
        return gettext("这个操作由您发起，需由其他审批人决定。")
    return gettext("您可以查看，但不是这个审批单的审批人。")


def _deliveries(approval: Approval) -> list[dict[str, Any]]:
    return [
        {"to": to.userid, "state": to.state, "words": gettext(DELIVERY[to.state]), "why": to.detail}
        for to in approval.deliveries.values()
    ]


def _details(details: dict[str, str]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """What else is touched, and the rest: names as given, told apart without case and blanks."""
    found: tuple[list[tuple[str, str]], list[tuple[str, str]]] = ([], [])
    for name, value in details.items():
        bare = re.sub(r"[\s_-]", "", name.casefold())
        found[bare not in BLAST_RADIUS].append((name, value))
    return found


async def _other_runs(
    request: web.Request, approval: Approval, member: str, now: datetime
) -> list[dict[str, Any]]:
    """Earlier and later runs of this node, the latest first, as far as this member may see them."""
    reading, obj_id = request.app[keys.READING], approval.requested.obj_id
    names = await reading.of_read_models(lambda database: runs_of(database, obj_id, RUNS))
    runs = await reading.approvals([name for name in names if name != approval.reply_id])
    show = request.app[keys.CLOCKFACE].show
    return [
        {
            "path": path_of(request, run.approval_id),
            "reply_id": run.reply_id,
            "status": (status := status_at(run, now)).value,
            "status_words": gettext(STATUS[status]),
            "asked_at": show(run.requested.timestamp, now),
            "execution": execution(run, now, lambda at: show(at, now)),
        }
        for run in runs
        if may_see(request, run, member)
    ]


def _pretty(action: str | None) -> str | None:
    return action and json.dumps(json.loads(action), ensure_ascii=False, indent=2)
