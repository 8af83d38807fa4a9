"""Logging out: the session ends for good, whoever else has its cookie."""

from aiohttp import web

from domain.commands import EndSession
from web import keys
from web.forms import read_form
from web.pages import render_message
from web.sessions import COOKIE, forget_cookie, is_from_elsewhere, is_logout_form, session_hash

routes = web.RouteTableDef()


@routes.post("/wechat/accounts/logout/")
async def logout(request: web.Request) -> web.StreamResponse:
    """End this browser's session and say so; without one, or again, there is nothing to end."""
    session = session_hash(request)
    if is_from_elsewhere(request):
        return render_message(request, "form-expired", 403)
    form = await read_form(request)
    if session:
        if form is None or not is_logout_form(request, form):
            return render_message(request, "form-expired", 403)
        at = request.app[keys.CLOCK]()
        await request.app[keys.WRITER].execute(EndSession(at=at, session=session, why="logged-out"))
    login = f"{request.app[keys.ADDRESSES].prefix}/wechat/accounts/login/"
    response = render_message(request, "logged-out", 200, link=login)
    forget_cookie(request, response, COOKIE)
    return response
