"""审批统计: how many approvals, what became of them, how long people took to decide."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from domain.decision import Status
from domain.identity import same_person
from projections.figures import EVERYBODY, REQUESTED, Day, Figured, Tally, figures_of
from projections.projection import milliseconds
from web import charts, keys
from web.history import history_of
from web.pages import render
from web.sessions import NotLoggedIn, logged_in, login_first, logout_token, sees_everything

routes = web.RouteTableDef()

RANGES = (7, 30, 90)
USUAL = 30
MOST_ROWS = 30
# What stands on top of each other in a column; a revocation is no further end of an approval.
ENDS = (Status.APPROVED, Status.REJECTED, Status.EXPIRED, Status.CANCELLED)


@routes.get("/wechat/figures/")
async def figures(request: web.Request) -> web.StreamResponse:
    """The figures of the last `days` (7, 30, 90) days, today included, in our time zone."""
    try:
        member = await logged_in(request)
    except NotLoggedIn:
        return login_first(request)
    everything = sees_everything(request, member)
    chosen = request.query.get("days", "")
    count = int(chosen) if chosen in map(str, RANGES) else USUAL
    dates = _dates(request, count)
    reader = EVERYBODY if everything else member
    found = await _count(request, reader, dates)
    names = [f"{day:%m-%d}" for day in dates]
    context = {
        "me": member,
        "logout": logout_token(request),
        "everything": everything,
        "ranges": RANGES,
        "chosen": count,
        "total": _row("", found.total),
        "days": [_row(n, tally) for n, tally in zip(names, found.days, strict=True)],
        "numbers": charts.columns(names, [_stack(tally) for tally in found.days]),
        "times": charts.beside(names, [_times(tally) for tally in found.days]),
        **_longest(found, member, everything, request),
        "duration": duration,
        "size": {"width": charts.WIDTH, "height": charts.HEIGHT, "left": charts.LEFT},
        "base": charts.HEIGHT - charts.BOTTOM,
        "zone": request.app[keys.SETTINGS].time_zone,
    }
    return render(request, "figures.html", context)


async def _count(request: web.Request, reader: str, dates: Sequence[date]) -> Figured:
    zone = ZoneInfo(request.app[keys.SETTINGS].time_zone)
    starts = [_begin(day, zone) for day in (*dates, dates[-1] + timedelta(days=1))]
    days = [Day(*pair) for pair in pairwise(starts)]
    reading = request.app[keys.READING]
    await reading.caught_up()
    async with request.app[keys.COUNTING]:
        return await reading.of_read_models(partial(figures_of, reader=reader, days=days))


def _dates(request: web.Request, count: int) -> list[date]:
    zone = ZoneInfo(request.app[keys.SETTINGS].time_zone)
    today = request.app[keys.CLOCK]().astimezone(zone).date()
    return [today - timedelta(days=back) for back in reversed(range(count))]


def _begin(day: date, zone: ZoneInfo) -> int:
    return milliseconds(datetime.combine(day, time(), zone).astimezone(UTC))


def _longest(found: Figured, member: str, everything: bool, request: web.Request) -> dict[str, Any]:
    """The rows of businesses and of members, those with the most first, and how many are left."""
    addressed = found.addressed if everything else {same_person(member): found.total}
    businesses = sorted(found.businesses.items(), key=_most_first)
    people = [
        (name, _of_member(found.approvers.get(name, Tally()), addressed.get(name)))
        for name in {**found.approvers, **addressed}
    ]
    people.sort(key=lambda one: (-one[1]["decided"], -(one[1][REQUESTED] or 0), one[0]))
    rows = [
        {**_row(name, tally), "link": history_of(request, business=name) if name else None}
        for name, tally in businesses[:MOST_ROWS]
    ]
    shown_people = [{**row, "name": row["name"] or name} for name, row in people[:MOST_ROWS]]
    return {
        "businesses": rows,
        "more_businesses": len(businesses) - len(rows),
        "members": shown_people,
        "more_members": len(people) - len(shown_people),
        "widest_business": max((row["ended"] for row in rows), default=0),
        "widest_member": max((row["decided"] for row in shown_people), default=0),
    }


def _most_first(one: tuple[str, Tally]) -> tuple[int, str]:
    return -one[1].counts[REQUESTED], one[0]


def _row(name: str, tally: Tally) -> dict[str, Any]:
    """Numbers by the name of what they count; times in seconds or None."""
    ended: Mapping[str, int] = {status.value: tally.counts[status.value] for status in ENDS}
    return {
        "name": name,
        REQUESTED: tally.counts[REQUESTED],
        **ended,
        "ended": sum(ended.values()),
        "revoked": tally.counts[Status.REVOKED.value],
        "decided": tally.decided,
        "median": tally.median,
        "percentile_95": tally.percentile_95,
    }


def _of_member(decided: Tally, addressed: Tally | None) -> dict[str, Any]:
    """What somebody decided, and of what was addressed to them what nobody did; None: unknown."""
    asked = addressed.counts if addressed is not None else None
    return {
        **_row(decided.spelled, decided),
        REQUESTED: None if asked is None else asked[REQUESTED],
        "expired": None if asked is None else asked[Status.EXPIRED.value],
    }


def _stack(tally: Tally) -> list[tuple[str, int]]:
    return [(status.value, tally.counts[status.value]) for status in ENDS]


def _times(tally: Tally) -> list[tuple[str, int | None]]:
    return [("slow", tally.percentile_95), ("usual", tally.median)]


def duration(seconds: int | None) -> str:
    """`0:45`, `12:05`, `3:20:00`: minutes and seconds, with hours where there are any."""
    if seconds is None:
        return "–"
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
