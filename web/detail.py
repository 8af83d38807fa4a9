"""The page of one approval: what will be executed, why, until when, and what happened."""

import json
import re
from datetime import datetime
from typing import Any

from aiohttp import web

from domain.approval import Approval
from domain.commands import OpenPage
from domain.decision import Status
from web import keys
from web.confirmation import confirmation
from web.pages import render
from web.sessions import (
    NotLoggedIn,
    logged_in,
    login_first,
    logout_token,
    may_decide,
    may_see,
)
from web.shown import PAGE, shown, status_at
from web.timeline import execution, how_it_ended, in_words, why

routes = web.RouteTableDef()

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
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
    now = request.app[keys.CLOCK]()
    stored = await request.app[keys.READING].events_of(approval.id)
    show = request.app[keys.CLOCKFACE].show
    it = shown(request, approval, member, PAGE, now)
    events = [event for _, event in stored]
    confirm = confirmation(request, approval, member, events, now)
    context = {
        "me": member,
        "logout": logout_token(request),
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
        "too_late": too_late,
    }
    return render(request, "detail.html", context, 409 if too_late else 200)


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
        return "这个操作由您发起，需由其他审批人决定。"
    return "您可以查看，但不是这个审批单的审批人。"


def _deliveries(approval: Approval) -> list[dict[str, Any]]:
    return [
        {"to": to.userid, "state": to.state, "words": DELIVERY[to.state], "why": to.detail}
        for to in approval.deliveries.values()
    ]


def _pretty(action: str | None) -> str | None:
    return action and json.dumps(json.loads(action), ensure_ascii=False, indent=2)
