"""待办: what waits for a member."""

from aiohttp import web

from web import keys
from web.pages import render
from web.sessions import NotLoggedIn, logged_in, login_first, logout_token, may_decide
from web.shown import LIST, shown

routes = web.RouteTableDef()

PAGE_SIZE = 30


@routes.get("/wechat/todo/")
async def todo(request: web.Request) -> web.StreamResponse:
    """What waits for me, the most urgent first; nothing overdue, whatever the clock has done."""
    try:
        member = await logged_in(request)
    except NotLoggedIn:
        return login_first(request)
    now = request.app[keys.CLOCK]()
    waiting = [
        approval
        for approval in await request.app[keys.READING].waiting_for(member)
        if may_decide(request, approval, member) and now < approval.expires_at
    ]
    context = {
        "me": member,
        "logout": logout_token(request),
        "items": [shown(request, it, member, LIST, now) for it in waiting[:PAGE_SIZE]],
        "total": len(waiting),
        "frozen": (await request.app[keys.READING].freeze()).in_force,
        "now": request.app[keys.CLOCKFACE].show(now, now),
        "zone": request.app[keys.SETTINGS].time_zone,
    }
    return render(request, "todo.html", context)
