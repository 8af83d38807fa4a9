"""待办: what waits for a member, and what they decided lately."""

from aiohttp import web

from web import keys
from web.listed import can_pick, card, heading, listed, outcome, page_number
from web.pages import render
from web.sessions import NotLoggedIn, list_token, logged_in, login_first, logout_token, may_audit

routes = web.RouteTableDef()


@routes.get("/wechat/todo/")
async def todo(request: web.Request) -> web.StreamResponse:
    """What waits for me, the most urgent first; nothing overdue, whatever the clock has done."""
    try:
        member = await logged_in(request)
    except NotLoggedIn:
        return login_first(request)
    found = await listed(request, member, page_number(request))
    cards = [card(request, it, member, found.now) for it in found.waiting]
    context = {
        "me": member,
        "logout": logout_token(request),
        "may_audit": may_audit(request, member),
        "items": cards,
        "can_pick": can_pick(cards),
        "decided": [outcome(request, it, member, found.now) for it in found.decided],
        "frozen": (await request.app[keys.READING].freeze()).in_force,
        "position": found.position,
        "list_token": list_token(request),
        **heading(request, found),
    }
    return render(request, "todo.html", context)
