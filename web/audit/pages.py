"""Looking for approvals in the history: `/audit/`."""

from datetime import datetime
from functools import partial
from typing import Any

from aiohttp import web

from domain.approval import Approval
from domain.decision import Channel
from projections.business import business_of
from projections.search import Sought, search
from web import keys
from web.audit.pages_export import copy_of
from web.audit.pages_filters import (
    OF_APPROVALS,
    Filters,
    names_switch,
    read_filters,
    turns,
)
from web.audit.pages_names import with_names
from web.audit.pages_reader import Reader, record_search, searcher_of
from web.audit.pages_shown import WAYS, moments, page_of
from web.audit.pages_state import state_of_the_log
from web.pages import render
from web.sessions import NotLoggedIn, login_first, logout_token, may_see
from web.shown import LONG_MESSAGE, STATUS, status_at
from web.timeline import execution, how_it_ended
from web.translation import gettext
from web.vocabulary import why

routes = web.RouteTableDef()

PAGE_SIZE = 30
NOTHING: dict[str, Any] = {"items": [], "older": None, "is_cut": False}
KNOWN = {"status": [it.value for it in STATUS], "channel": [it.value for it in Channel]}


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
    zone = request.app[keys.CLOCKFACE].zone
    filters = read_filters(request.query, zone, OF_APPROVALS, KNOWN)
    found = NOTHING if filters.wrong else await _find(request, reader, filters)
    context = {
        "me": reader.member,
        "logout": logout_token(request),
        "reader": reader,
        "log": await state_of_the_log(request) if reader.is_auditor else None,
        "given": filters.given,
        "wrong": filters.wrong,
        "statuses": [(status.value, gettext(words)) for status, words in STATUS.items()],
        "channels": [(it.value, gettext(WAYS[it.value])) for it in Channel],
        "names": names_switch(request.path, reader, filters.used),
        "copy": None if filters.wrong else copy_of(request, reader, "approvals", filters),
        "zone": zone.key,
        "opened_at": moments(request)(request.app[keys.CLOCK]()),
        **found,
        **turns(request.path, reader, filters, found["older"]),
    }
    return render(request, "audit.html", context, 400 if filters.wrong else 200)


async def _find(request: web.Request, reader: Reader, filters: Filters) -> dict[str, Any]:
    await record_search(request, reader, "approvals", filters.recorded)
    reading = request.app[keys.READING]
    await reading.caught_up()
    sought = sought_by(filters, reader.only)
    page = await reading.of_read_models(partial(search, sought=sought, limit=PAGE_SIZE))
    found = await reading.approvals(page.reply_ids)
    # The events decide who may see it, whatever a read model says.
    theirs = [approval for approval in found if may_see(request, approval, reader.member)]
    return {
        "items": [
            _item(request, reader, approval)
            for approval in await with_names(request, reader, theirs)
        ],
        "older": page.older,
        "is_cut": page.is_cut,
    }


def sought_by(filters: Filters, only: str | None) -> Sought:
    """The question to the read model; `only` whose approvals, None: everybody's."""
    return Sought(
        reader=only,
        member=filters.get("member"),
        business=filters.get("business"),
        engine=filters.get("engine"),
        status=filters.get("status"),
        channel=filters.get("channel"),
        since=filters.since,
        before=filters.before,
        words=filters.words,
        after=filters.after,
    )


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
