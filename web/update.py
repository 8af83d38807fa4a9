"""An open list is brought up to date: only what changed, so that nobody's typing is disturbed.

The page says which cards it has; the answer has what ended among them, what is new, and the time
left of the rest, each marked for htmx with where it goes (docs/decisions/0017-an-open-list.md).
"""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from domain.approval import Approval
from web import keys
from web.detail import UUID
from web.listed import (
    LATELY,
    PAGE_SIZE,
    Listed,
    can_pick,
    card,
    heading,
    listed,
    outcome,
    page_number,
    seen_by,
    todo_path,
    waits,
)
from web.pages import render
from web.sessions import NotLoggedIn, is_our_list, logged_in, path_of_login

routes = web.RouteTableDef()

# An address may have 8 KiB: a page that has grown to this gets nothing new any more, but whatever
# stands on it is kept up to date. Of what is new there can be one page at once.
MOST_CARDS, MOST_DECIDED = 60, 20


@routes.get("/wechat/todo/update/")
async def update(request: web.Request) -> web.StreamResponse:
    """
    What is new for an open list.

    Query: `list` its token, `page`, and by uuid `open` (cards with buttons), `did` (decided
    lately), `undo` (of those, which can be taken back); `bar`, if several can be ticked.
    """
    try:
        member = await logged_in(request)
    except NotLoggedIn:
        return _over(request)
    if not is_our_list(request):
        return _over(request)
    found = await listed(request, member, page_number(request))
    cards, decided = await _cards(request, member, found), await _decided(request, member, found)
    context = {
        **heading(request, found),
        **cards,
        **decided,
        "can_pick": can_pick([*cards["still"], *(it for _, it in cards["fresh"])]),
        "has_bar": "bar" in request.query,
        "has_decided": bool(decided["told"] or decided["new_decided"]),
        "frozen": (await request.app[keys.READING].freeze()).in_force,
    }
    return render(request, "todo_update.html", context)


def _over(request: web.Request) -> web.Response:
    """Nobody is logged in, or somebody else: of that list nothing may stay."""
    login = path_of_login(request, todo_path(request))
    return render(request, "todo_over.html", {"login": login})


async def _cards(request: web.Request, member: str, found: Listed) -> dict[str, Any]:
    has = request.query.getall("open", [])[: MOST_CARDS + PAGE_SIZE]
    seen = {a.approval_id: a for a in await seen_by(request, has, member)}
    still = [it for it in seen.values() if waits(request, it, member, found.now)]
    kept = {it.approval_id for it in still}
    fresh, after = list[tuple[str, dict[str, Any]]](), ""
    has_room = page_number(request) == 1 and len(has) < MOST_CARDS
    for it in found.waiting if has_room else ():
        if it.approval_id not in has:
            fresh.append((after, card(request, it, member, found.now)))
        after = it.approval_id
    return {
        "fresh": fresh,
        "still": [card(request, it, member, found.now) for it in still],
        "ended_cards": [
            outcome(request, it, member, found.now)
            for it in seen.values()
            if it.approval_id not in kept
        ],
        "lost_cards": _unseen(has, seen),
    }


async def _decided(request: web.Request, member: str, found: Listed) -> dict[str, Any]:
    did = request.query.getall("did", [])[: MOST_DECIDED + LATELY]
    undo = set(request.query.getall("undo", []))
    seen = {a.approval_id: a for a in await seen_by(request, did, member)}
    lately = found.decided if len(did) < MOST_DECIDED else []
    new = [it for it in lately if it.approval_id not in did]
    told = [outcome(request, it, member, found.now) for it in seen.values()]
    return {
        "new_decided": [outcome(request, it, member, found.now) for it in reversed(new)],
        "told": told,
        "no_undo": [it["id"] for it in told if it["id"] in undo and not it["may_revoke"]]
        + [one for one in _unseen(did, seen) if one in undo],
    }


def _unseen(ids: Sequence[str], seen: dict[str, Approval]) -> list[str]:
    """Of what the page has, what this member may not see any more; anything else is not ours."""
    return [one for one in dict.fromkeys(ids) if UUID.fullmatch(one) and one not in seen]
