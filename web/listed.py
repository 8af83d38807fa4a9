"""What 待办 shows a member: a page of what waits, and what they decided lately."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from domain.approval import Approval
from domain.decision import Risk
from domain.identity import same_person
from projections.waiting import WaitingPage, decided_by, names_of, waiting_page
from web import keys
from web.detail import UUID
from web.sessions import may_decide, may_see
from web.shown import LIST, RISK, shown
from web.timeline import execution, how_it_ended
from web.translation import gettext
from web.vocabulary import why

PAGE_SIZE = 30
LATELY = 10
HURRY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Listed:
    """The list as it is at one moment."""

    page: WaitingPage
    waiting: list[Approval]
    decided: list[Approval]
    position: int
    """Of the last event that it takes into account for certain."""
    now: datetime


async def listed(request: web.Request, member: str, number: int) -> Listed:
    """Page `number` of what waits for the member, the most urgent first."""
    reading, now = request.app[keys.READING], request.app[keys.CLOCK]()
    await reading.caught_up()
    position = reading.progress.position
    is_super = is_super_approver(request, member)
    page, lately = await reading.of_read_models(
        lambda database: (
            waiting_page(database, member, is_super, now, number, PAGE_SIZE),
            decided_by(database, member, LATELY),
        )
    )
    found = await reading.approvals([*page.reply_ids, *lately])
    named = {approval.reply_id: approval for approval in found}
    waiting = [named[name] for name in page.reply_ids]
    return Listed(
        page,
        [it for it in waiting if waits(request, it, member, now)],
        [it for name in lately if may_see(request, it := named[name], member)],
        position,
        now,
    )


def waits(request: web.Request, approval: Approval, member: str, now: datetime) -> bool:
    """Whether the member can still decide it."""
    return may_decide(request, approval, member) and now < approval.expires_at


def is_super_approver(request: web.Request, member: str) -> bool:
    supers = request.app[keys.SETTINGS].super_approvers
    return same_person(member) in {same_person(userid) for userid in supers}


async def seen_by(request: web.Request, ids: Sequence[str], member: str) -> list[Approval]:
    """The approvals with these uuids that the member may see, each once, in that order."""
    wanted = [one for one in dict.fromkeys(ids) if UUID.fullmatch(one)]
    reading = request.app[keys.READING]
    await reading.caught_up()
    names = await reading.of_read_models(lambda database: names_of(database, wanted))
    found = await reading.approvals(names)
    return [approval for approval in found if may_see(request, approval, member)]


def card(request: web.Request, approval: Approval, member: str, now: datetime) -> dict[str, Any]:
    """What the list says of one approval that waits."""
    left = approval.expires_at - now
    return {
        **shown(request, approval, member, LIST, now),
        "is_urgent": left < HURRY,
        "may_pick": approval.risk is not Risk.HIGH,
    }


def can_pick(cards: Sequence[dict[str, Any]]) -> bool:
    """Whether there is more than one that can be decided together with others."""
    return [it["may_pick"] for it in cards].count(True) > 1


def outcome(request: web.Request, approval: Approval, member: str, now: datetime) -> dict[str, Any]:
    """What the list says of one approval that has ended, or that waits no more for the member."""
    show = request.app[keys.CLOCKFACE].show
    ending = approval.ending
    ended = how_it_ended(approval, member, lambda at: show(at, now))
    return {
        **shown(request, approval, member, LIST, now),
        "ended": ended
        or gettext("%(at)s 到期，无人作出决定") % {"at": show(approval.expires_at, now)},
        "why": why(ending.reason) if ending is not None else "",
        "execution": execution(approval, now, lambda at: show(at, now)),
    }


def heading(request: web.Request, found: Listed) -> dict[str, Any]:
    """What stands above and below the cards."""
    page = found.page
    return {
        "total": page.total,
        "risks": [
            (risk.value, gettext(RISK[risk]), page.by_risk[risk])
            for risk in reversed(Risk)
            if risk in page.by_risk
        ],
        "page": page.number,
        "pages": max(1, -(-page.total // PAGE_SIZE)),
        "made_at": request.app[keys.CLOCKFACE].show(found.now, found.now),
        "zone": request.app[keys.SETTINGS].time_zone,
    }


def todo_path(request: web.Request) -> str:
    """The list, on this site."""
    return f"{request.app[keys.ADDRESSES].prefix}/wechat/todo/"


def page_number(request: web.Request) -> int:
    """Which page of the list is asked for; the first where that makes no sense."""
    text = request.query.get("page", "")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 7 else 1
