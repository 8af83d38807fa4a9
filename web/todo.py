"""待办 and the page of one approval: what waits, what will be executed, two buttons."""

import json
import re
from datetime import datetime
from typing import Any

from aiohttp import web

from domain import errors
from domain.approval import Approval
from domain.commands import Decide, OpenPage
from domain.decision import Risk, Verdict
from domain.text import one_line
from web import keys
from web.errors import STATUS
from web.pages import render, render_message
from web.sessions import (
    NotLoggedIn,
    logged_in,
    login_first,
    may_decide,
    may_see,
    session_hash,
)
from web.timeline import in_words

routes = web.RouteTableDef()

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
PAGE_SIZE = 30
MAX_REASON = 500
LIST, PAGE = "list", "page"
RISK = {Risk.LOW: "低风险", Risk.MEDIUM: "中风险", Risk.HIGH: "高风险"}
STATUS_WORDS = {
    "pending": "待审批",
    "approved": "已同意",
    "rejected": "已驳回",
    "expired": "已超时",
    "cancelled": "已撤销",
    "revoked": "已撤销同意",
}
DELIVERY_WORDS = {
    "pending": "发送中",
    "sent": "已送达企业微信",
    "unreachable": "无法送达",
    "failed": "发送失败",
}


@routes.get("/wechat/todo/")
async def todo(request: web.Request) -> web.StreamResponse:
    """What waits for me, the most urgent first."""
    try:
        member = await logged_in(request)
    except NotLoggedIn:
        raise login_first(request) from None
    now = request.app[keys.CLOCK]()
    waiting = [
        approval
        for approval in await request.app[keys.READING].waiting_for(member)
        if may_decide(request, approval, member) and now < approval.expires_at
    ]
    shown = [_shown(request, approval, member, LIST, now) for approval in waiting[:PAGE_SIZE]]
    return render(request, "todo.html", {"me": member, "items": shown, "total": len(waiting)})


@routes.get("/wechat/a/{approval_id}/")
async def detail(request: web.Request) -> web.StreamResponse:
    """One approval: what, why, who, until when, and everything that happened."""
    try:
        member = await logged_in(request)
    except NotLoggedIn:
        raise login_first(request) from None
    approval = await _visible(request, member)
    approval = await _remember_opening(request, approval, member)
    return await _render_detail(request, approval, member)


@routes.post("/wechat/a/{approval_id}/decision")
async def decision(request: web.Request) -> web.StreamResponse:
    """
    Take a pressed button.

    303 to the page of the approval; 409 with a page that says who was first; 403 for a form
    that is not ours. Pressing the same button twice is one decision.
    """
    if request.headers.get("Origin", request.app[keys.ADDRESSES].origin) != (
        request.app[keys.ADDRESSES].origin
    ):
        return render_message(request, "form-expired", 403)
    try:
        member = await logged_in(request)
    except NotLoggedIn:
        return render_message(request, "login-needed", 401)
    approval = await _visible(request, member)
    form = await request.post()
    view = str(form.get("view", ""))
    if view not in (LIST, PAGE) or not _is_our_form(
        request, approval, view, str(form.get("token"))
    ):
        return render_message(request, "form-expired", 403)
    command = _read_decision(request, approval, member, form)
    if command is None:
        return render_message(request, "bad-form", 422)
    try:
        await request.app[keys.WRITER].execute(command)
    except errors.Refusal as refusal:
        return await _refused(request, refusal, approval, member)
    raise web.HTTPSeeOther(f"{request.app[keys.ADDRESSES].prefix}/wechat/a/{approval.approval_id}/")


async def _visible(request: web.Request, member: str) -> Approval:
    """The approval, or the same 404 for a stranger as for an unknown id."""
    name = request.match_info["approval_id"]
    approval = await request.app[keys.READING].by_uuid(name) if UUID.fullmatch(name) else None
    if approval is None or not may_see(request, approval, member):
        raise web.HTTPNotFound
    return approval


async def _remember_opening(request: web.Request, approval: Approval, member: str) -> Approval:
    """Where the message was cut, having opened this page is what allows to decide by text."""
    if not may_decide(request, approval, member):
        return approval
    if not approval.was_cut_for(member) or approval.was_opened_by(member):
        return approval
    opened: Approval = await request.app[keys.WRITER].execute(
        OpenPage(at=request.app[keys.CLOCK](), by=member, reply_id=approval.reply_id)
    )
    return opened


def _read_decision(
    request: web.Request, approval: Approval, member: str, form: Any
) -> Decide | None:
    verdict, reason = form.get("decision"), form.get("reason", "")
    if verdict not in list(Verdict) or not isinstance(reason, str) or len(reason) > MAX_REASON:
        return None
    return Decide(
        at=request.app[keys.CLOCK](),
        by=member,
        reply_id=approval.reply_id,
        verdict=Verdict(verdict),
        reason=one_line(reason).encode(errors="replace").decode().strip() or None,
        from_list=form.get("view") != PAGE,
    )


async def _refused(
    request: web.Request, refusal: errors.Refusal, approval: Approval, member: str
) -> web.Response:
    status = STATUS[type(refusal)]
    if status == 404:
        raise web.HTTPNotFound
    if isinstance(refusal, errors.AlreadyDecided):
        now_known = await request.app[keys.READING].approval(approval.reply_id)
        return await _render_detail(request, now_known or approval, member, status, too_late=True)
    return render_message(request, refusal.code, status)


async def _render_detail(
    request: web.Request,
    approval: Approval,
    member: str,
    status: int = 200,
    too_late: bool = False,
) -> web.Response:
    now = request.app[keys.CLOCK]()
    show = request.app[keys.CLOCKFACE].show
    stored = await request.app[keys.READING].events_of(approval.id)
    context = {
        "me": member,
        "it": _shown(request, approval, member, PAGE, now),
        "details": approval.requested.details,
        "action": _pretty(approval.requested.action),
        "asked": approval,
        "deliveries": [
            (to.userid, DELIVERY_WORDS[to.state], to.detail) for to in approval.deliveries.values()
        ],
        "timeline": [(show(event.timestamp, now), in_words(event)) for _, event in stored],
        "zone": request.app[keys.SETTINGS].time_zone,
        "too_late": too_late,
    }
    return render(request, "detail.html", context, status)


def _shown(
    request: web.Request, approval: Approval, member: str, view: str, now: datetime
) -> dict[str, Any]:
    asked, ending = approval.requested, approval.ending
    overdue = now >= approval.expires_at
    return {
        "id": approval.approval_id,
        "reply_id": approval.reply_id,
        "message": asked.message,
        "risk": approval.risk.value,
        "risk_words": RISK[approval.risk],
        "biz": asked.details.get("业务") or asked.biz_id,
        "engine": asked.engine,
        "left": _left(approval.expires_at, now),
        "until": request.app[keys.CLOCKFACE].show(approval.expires_at, now),
        "status": approval.status.value,
        "status_words": STATUS_WORDS[approval.status.value],
        "ending": ending,
        "ended": request.app[keys.CLOCKFACE].show(ending.at, now) if ending else None,
        "may_decide": may_decide(request, approval, member) and not overdue,
        "open_first": view == LIST and approval.risk is Risk.HIGH,
        "view": view,
        "token": _form_token(request, approval, view),
    }


def _left(until: datetime, now: datetime) -> str:
    seconds = max(int((until - now).total_seconds()), 0)
    if seconds < 120:
        return f"{seconds}秒"
    if seconds < 7200:
        return f"{seconds // 60}分钟"
    return f"{seconds // 3600}小时" if seconds < 172_800 else f"{seconds // 86_400}天"


def _pretty(action: str | None) -> str | None:
    return action and json.dumps(json.loads(action), ensure_ascii=False, indent=2)


def _form_token(request: web.Request, approval: Approval, view: str) -> str:
    return request.app[keys.FORM_TOKENS].make(
        "decide", session_hash(request), approval.approval_id, view
    )


def _is_our_form(request: web.Request, approval: Approval, view: str, token: str) -> bool:
    return request.app[keys.FORM_TOKENS].fits(
        token, "decide", session_hash(request), approval.approval_id, view
    )
