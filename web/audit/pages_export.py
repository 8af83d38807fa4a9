"""A copy of what fits to the filters of a page, to take away: recorded before its first byte."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime
from typing import Any

import structlog
from aiohttp import web

from web import keys
from web.audit.export import Extract, Form, What, off_the_loop, written
from web.audit.pages_filters import Typed, read_filters
from web.audit.pages_reader import HIDDEN, VIA, Reader
from web.audit.pseudonyms import Pseudonyms
from web.forms import read_form
from web.pages import render_message
from web.sessions import NotLoggedIn, is_from_elsewhere, logged_in, may_audit, session_hash

routes = web.RouteTableDef()
log = structlog.get_logger()

PURPOSE = "audit-export"
TYPES = {
    Form.JSONL: "application/x-ndjson; charset=utf-8",
    Form.CSV: "text/csv; charset=utf-8",
}


def copy_of(
    request: web.Request, reader: Reader, what: str, used: Mapping[str, str]
) -> dict[str, Any] | None:
    """What the form holds that takes a copy of these; None for who may not."""
    if not reader.is_auditor:
        return None
    hidden = {"names": HIDDEN} if reader.are_names_hidden else {}
    token = request.app[keys.FORM_TOKENS].make(PURPOSE, session_hash(request))
    return {"token": token, "fields": {"what": what, **used, **hidden}}


@routes.post("/audit/export/")
async def export(request: web.Request) -> web.StreamResponse:
    """
    Everything that fits, for auditors and admins, as JSON Lines or CSV.

    Fields: `what` is `approvals` or `events`, `form` is `jsonl` or `csv`, the filters of that page,
    and `names=hidden`. What is not understood is refused: more would be taken than was wanted.
    """
    if is_from_elsewhere(request):
        return render_message(request, "form-expired", 403)
    form = await read_form(request)
    try:
        member = await logged_in(request)
    except NotLoggedIn:
        return render_message(request, "login-needed", 401)
    if not may_audit(request, member):
        raise web.HTTPNotFound
    tokens = request.app[keys.FORM_TOKENS]
    if form is None or not tokens.fits(form.get("token", ""), PURPOSE, session_hash(request)):
        return render_message(request, "form-expired", 403)
    extract = await _wanted(request, form)
    if extract is None:
        return render_message(request, "http-400", 400)
    return await _give(request, extract, member)


async def _wanted(request: web.Request, form: Mapping[str, str]) -> Extract | None:
    """What is taken and how; None where the form means nothing."""
    try:
        what, shape = What(form.get("what", "")), Form(form.get("form", ""))
    except ValueError:
        return None
    typed: Typed = read_filters(form, request.app[keys.CLOCKFACE].zone, what.value)
    if typed.wrong:
        return None
    names = None
    if form.get("names") == HIDDEN:
        names = await asyncio.to_thread(Pseudonyms.of_store, request.app[keys.KEYRING])
    # Whoever opens it by a click opens it with a spreadsheet.
    return Extract(what=what, form=shape, filters=typed.meant, names=names, bom=shape is Form.CSV)


async def _give(request: web.Request, extract: Extract, member: str) -> web.StreamResponse:
    """The file, as of the moment that was recorded."""
    at, reading = request.app[keys.CLOCK](), request.app[keys.READING]
    await request.app[keys.WRITER].execute(extract.record(member, VIA, at))
    last = await reading.last_position()
    pieces: Iterator[bytes] = await reading.of_store(lambda it: written(it, extract, last))
    response = web.StreamResponse(headers=_headers(request, extract, at))
    await response.prepare(request)
    await _send(request, response, off_the_loop(pieces))
    return response


async def _send(
    request: web.Request, response: web.StreamResponse, pieces: AsyncIterator[bytes]
) -> None:
    try:
        async for piece in pieces:
            if piece:
                await response.write(piece)
    except ConnectionError:
        pass  # nobody reads on; that it was begun is recorded
    except Exception:
        log.exception("an export failed")
        if request.transport is not None:
            request.transport.abort()  # so that half a file never looks like a whole one


def _headers(request: web.Request, extract: Extract, at: datetime) -> dict[str, str]:
    day = at.astimezone(request.app[keys.CLOCKFACE].zone)
    name = f"fta-approval-{extract.what.value}-{day:%Y%m%d-%H%M%S}.{extract.form.value}"
    return {
        "Content-Type": TYPES[extract.form],
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
    }
