"""Looking for approvals in the history: `/audit/`."""

from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from aiohttp import web

from domain.approval import Approval
from domain.decision import Channel
from projections.business import business_of
from projections.search import search
from web import keys
from web.audit.pages_filters import APPROVALS, Typed, read_filters
from web.audit.pages_list import NOTHING, Found, list_of
from web.audit.pages_names import with_names
from web.audit.pages_reader import Reader, record_search, searcher_of
from web.audit.pages_shown import WAYS, moments, page_of
from web.pages import render
from web.sessions import NotLoggedIn, login_first, may_see
from web.shown import LONG_MESSAGE, STATUS, status_at
from web.timeline import execution, how_it_ended
from web.translation import gettext
from web.vocabulary import why

routes = web.RouteTableDef()

PAGE_SIZE = 30


@routes.get("/audit/")
async def approvals(request: web.Request) -> web.StreamResponse:
    """
    Newest first, thirty to a page; what is shown is recorded before it is.

    Query: `status`, `business`, `engine`, `member`, `channel`, `from`, `to` (days, both included),
    `words`, `after`, where the page before ended, and `names=hidden`. What is not understood is
    said, and then nothing is listed.
    """
    try:
        reader = await searcher_of(request)
    except NotLoggedIn:
        return login_first(request)
    typed = read_filters(request.query, request.app[keys.CLOCKFACE].zone, APPROVALS)
    found = NOTHING if typed.wrong else await _find(request, reader, typed)
    choices = {
        "statuses": [(status.value, gettext(words)) for status, words in STATUS.items()],
        "channels": [(it.value, gettext(WAYS[it.value])) for it in Channel],
    }
    context = await list_of(request, reader, APPROVALS, typed, found)
    return render(request, "audit.html", {**choices, **context}, 400 if typed.wrong else 200)


async def _find(request: web.Request, reader: Reader, typed: Typed) -> Found:
    await record_search(request, reader, typed.recorded)
    reading = request.app[keys.READING]
    await reading.caught_up()
    sought = replace(typed.meant.sought(typed.after), reader=reader.only)
    page = await reading.of_read_models(partial(search, sought=sought, limit=PAGE_SIZE))
    approvals = await reading.approvals(page.reply_ids)
    # The events decide who may see it, whatever a read model says.
    theirs = [approval for approval in approvals if may_see(request, approval, reader.member)]
    shown = await with_names(request, reader, theirs)
    items = [_item(request, reader, approval) for approval in shown]
    return Found(items, page.older, page.is_cut)


def _item(request: web.Request, reader: Reader, approval: Approval) -> dict[str, Any]:
    now, at = request.app[keys.CLOCK](), moments(request)
    status, asked, ending = status_at(approval, now), approval.requested, approval.ending

    def show(when: datetime) -> str:
        return at(when).words

    return {
        "id": approval.approval_id,
        "path": page_of(request, reader, approval.approval_id),
        "reply_id": approval.reply_id,
        "message": asked.message,
        "is_long": len(asked.message) > LONG_MESSAGE,
        "engine": asked.engine,
        "business": business_of(asked),
        "status": status.value,
        "status_words": gettext(STATUS[status]),
        "asked_at": at(asked.timestamp),
        "ending": how_it_ended(approval, "", show),
        "reason": why(ending.reason) if ending else "",
        "execution": execution(approval, now, show),
    }
