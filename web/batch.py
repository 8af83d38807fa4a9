"""Several at once: chosen in the list, shown whole, decided each by its own command."""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from adapters.store.writer import Overloaded, StoreUnavailable
from domain import errors
from domain.approval import Approval
from domain.commands import Decide
from domain.decision import Risk
from web import keys
from web.batch_forms import MOST, Batch, Pressed, batch_in, make_token, read_batch
from web.batch_results import results
from web.listed import card, outcome, seen_by, todo_path, waits
from web.pages import redirect, render, render_message
from web.pressed import NotPressed
from web.sessions import NotLoggedIn, logged_in, login_first, logout_token
from web.shown import BUTTONS, KIND
from web.translation import gettext

routes = web.RouteTableDef()


@routes.get("/wechat/todo/batch/")
async def choose(request: web.Request) -> web.StreamResponse:
    """
    Show exactly what would be decided together: the cards ticked in the list, of one kind.

    Query: `pick` the uuids. Nothing is decided here.
    """
    try:
        member = await logged_in(request)
    except NotLoggedIn:
        return login_first(request, todo_path(request))
    picked = list(dict.fromkeys(request.query.getall("pick", [])))
    if not 0 < len(picked) <= MOST:
        return render_message(request, "too-many-picked" if picked else "nothing-picked", 422)
    now = request.app[keys.CLOCK]()
    seen = sorted(await seen_by(request, picked, member), key=lambda it: it.expires_at)
    fit = [it for it in seen if waits(request, it, member, now) and it.risk is not Risk.HIGH]
    context = {
        "me": member,
        "logout": logout_token(request),
        "frozen": (await request.app[keys.READING].freeze()).in_force,
        "left_out": [
            outcome(request, it, member, now) | {"waits": waits(request, it, member, now)}
            for it in seen
            if it not in fit
        ],
        **_together(request, fit, member, now),
    }
    return render(request, "batch.html", context)


def _together(
    request: web.Request, fit: Sequence[Approval], member: str, now: datetime
) -> dict[str, Any]:
    """The form for approvals of one kind; for several kinds a way to each."""
    kinds = list(dict.fromkeys(it.kind for it in fit))
    if len(kinds) > 1:
        ways = [(gettext(KIND[kind]), [it for it in fit if it.kind is kind]) for kind in kinds]
        return {
            "items": [],
            "ways": [(words, len(of), _picking(request, of)) for words, of in ways],
        }
    batch = Batch(uuid.uuid4().hex, list(fit))
    return {
        "items": [card(request, it, member, now) for it in fit],
        "ways": [],
        "path": request.path.rstrip("/") + "/",
        "batch": batch.name,
        "ids": batch.ids,
        "token": make_token(request, batch),
        "buttons": [gettext(words) for words in BUTTONS[kinds[0]]] if kinds else [],
    }


def _picking(request: web.Request, approvals: Sequence[Approval]) -> str:
    query = urlencode([("pick", it.approval_id) for it in approvals])
    return f"{request.path}?{query}"


@routes.post("/wechat/todo/batch/")
async def decide(request: web.Request) -> web.StreamResponse:
    """
    Decide each by its own command, as if its own button in the list had been pressed.

    303 to a page with one result for each. Pressing twice decides nothing twice.
    """
    try:
        pressed = await read_batch(request)
    except NotPressed as error:
        return render_message(request, error.code, error.status)
    troubles = await asyncio.gather(
        *(_decide_one(request, pressed, it) for it in pressed.batch.approvals)
    )
    busy = [trouble for trouble in troubles if trouble is not None]
    if len(busy) == len(troubles):
        raise busy[0]
    query = [("decision", pressed.verdict.value)]
    query += [("of", it.approval_id) for it in pressed.batch.approvals]
    here = f"{request.path.rstrip('/')}/{pressed.batch.name}/"
    return redirect(request, f"{here}?{urlencode(query)}")


async def _decide_one(
    request: web.Request, pressed: Pressed, approval: Approval
) -> Overloaded | StoreUnavailable | None:
    """What came of it stands in the events; why, where it could not even be taken."""
    command = Decide(
        at=pressed.at,
        by=pressed.member,
        reply_id=approval.reply_id,
        verdict=pressed.verdict,
        logged_in_at=request[keys.LOGGED_IN_AT],
        reason=pressed.reason,
        from_list=True,
        batch=pressed.batch.name,
    )
    try:
        await request.app[keys.WRITER].execute(command)
    except errors.Refusal:
        return None
    except (Overloaded, StoreUnavailable) as busy:
        return busy
    return None


@routes.get("/wechat/todo/batch/{batch}/")
async def result(request: web.Request) -> web.StreamResponse:
    """What came of each: read from the events, so that it is the same however often one looks."""
    try:
        member = await logged_in(request)
    except NotLoggedIn:
        return login_first(request, todo_path(request))
    name, verdict = batch_in(request)
    approvals = await seen_by(request, request.query.getall("of", [])[:MOST], member)
    shown = await results(request, approvals, member, name, verdict)
    if not shown:
        raise web.HTTPNotFound
    context = {
        "me": member,
        "logout": logout_token(request),
        "verdict": verdict.value,
        "batch": name,
        "results": shown,
        "done": sum(it["done"] for it in shown),
    }
    return render(request, "batch_result.html", context)
