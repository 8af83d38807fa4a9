"""审批记录: what was addressed to a member and what became of it; everything for some."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from aiohttp import web

from domain.approval import Approval
from projections.projection import milliseconds
from projections.search import Cursor, Sought, search
from web import keys
from web.pages import render
from web.sessions import (
    NotLoggedIn,
    logged_in,
    login_first,
    logout_token,
    may_audit,
    may_see,
    sees_everything,
)
from web.shown import LIST, STATUS, shown
from web.timeline import execution, how_it_ended
from web.vocabulary import why

routes = web.RouteTableDef()

PAGE_SIZE = 30
FILTERS = ("status", "business", "from", "to", "words")
LONGEST_FILTER = 200
MOST_WORDS = 5
CURSOR = re.compile(r"([0-9]{1,15})-([0-9]{1,18})", re.ASCII)


@routes.get("/wechat/history/")
async def history(request: web.Request) -> web.StreamResponse:
    """
    Newest first, thirty to a page.

    Query: `status`, `business`, `from`, `to` (days, both included), `words`, and `after`, where the
    page before ended. What is not understood is said, and then nothing is listed: a filter that was
    silently left out would show the wrong approvals.
    """
    try:
        member = await logged_in(request)
    except NotLoggedIn:
        return login_first(request)
    everything = sees_everything(request, member)
    given = {name: request.query.get(name, "").strip()[:LONGEST_FILTER] for name in FILTERS}
    sought, wrong = _sought(request, given, None if everything else member)
    page = await _page(request, member, sought) if not wrong else NOTHING
    context = {
        "me": member,
        "logout": logout_token(request),
        "everything": everything,
        "may_audit": may_audit(request, member),
        "given": given,
        "wrong": wrong,
        "statuses": [(status.value, words) for status, words in STATUS.items()],
        "is_first": not request.query.get("after"),
        "newest": _address(request, given),
        "older": page["cursor"] and _address(request, given, page["cursor"]),
        "zone": request.app[keys.SETTINGS].time_zone,
        **page,
    }
    return render(request, "history.html", context, 400 if wrong else 200)


NOTHING: dict[str, Any] = {"items": [], "cursor": None, "is_cut": False}


async def _page(request: web.Request, member: str, sought: Sought) -> dict[str, Any]:
    reading = request.app[keys.READING]
    await reading.caught_up()
    found = await reading.of_read_models(partial(search, sought=sought, limit=PAGE_SIZE))
    approvals = await reading.approvals(found.reply_ids)
    return {
        # The events decide who may see it, whatever a read model says.
        "items": [_item(request, it, member) for it in approvals if may_see(request, it, member)],
        "cursor": found.older and f"{found.older.at}-{found.older.number}",
        "is_cut": found.is_cut,
    }


def _item(request: web.Request, approval: Approval, member: str) -> dict[str, Any]:
    now, clockface = request.app[keys.CLOCK](), request.app[keys.CLOCKFACE]

    def show(at: datetime) -> str:
        return clockface.show(at, now)

    # With its year: who looks back may look far.
    asked = approval.requested.timestamp.astimezone(clockface.zone)
    return {
        **shown(request, approval, member, LIST, now),
        "asked_at": f"{asked:%Y-%m-%d %H:%M}",
        "asked_exactly": approval.requested.timestamp.isoformat(),
        "ending": how_it_ended(approval, member, show),
        "reason": why(approval.ending.reason) if approval.ending else "",
        "execution": execution(approval, now, show),
    }


def _sought(
    request: web.Request, given: Mapping[str, str], reader: str | None
) -> tuple[Sought, list[str]]:
    """What is looked for, and which parts of the query mean nothing."""
    zone = ZoneInfo(request.app[keys.SETTINGS].time_zone)
    since, is_since = _day(given["from"], zone)
    before, is_before = _day(given["to"], zone, days_later=1)
    after = request.query.get("after", "")
    cursor = CURSOR.fullmatch(after)
    understood = {
        "status": given["status"] in ("", *(status.value for status in STATUS)),
        "from": is_since,
        "to": is_before,
        "after": not after or cursor is not None,
    }
    sought = Sought(
        reader=reader,
        status=given["status"] or None,
        business=given["business"] or None,
        since=since,
        before=before,
        words=given["words"].split()[:MOST_WORDS],
        after=Cursor(*map(int, cursor.groups())) if cursor else None,
    )
    return sought, [name for name, is_fine in understood.items() if not is_fine]


def _day(text: str, zone: ZoneInfo, days_later: int = 0) -> tuple[int | None, bool]:
    """When a day of that zone begins, in milliseconds, and whether it is one."""
    if not text:
        return None, True
    try:
        day = date.fromisoformat(text) + timedelta(days=days_later)
        return milliseconds(datetime.combine(day, time(), zone).astimezone(UTC)), True
    except (ValueError, OverflowError):
        return None, False


def _address(request: web.Request, given: Mapping[str, str], after: str | None = None) -> str:
    query = {name: value for name, value in {**given, "after": after}.items() if value}
    path = f"{request.app[keys.ADDRESSES].prefix}/wechat/history/"
    return f"{path}?{urlencode(query)}" if query else path


def history_of(request: web.Request, **filters: str) -> str:
    """The address of the history with these filters."""
    return _address(request, filters)
