"""Which language a reader gets: what they chose, else what their browser asks for."""

from aiohttp import web

from web import keys
from web.errors import Handler
from web.forms import read_form
from web.login import local_page
from web.pages import redirect, render_message
from web.sessions import is_from_elsewhere, set_cookie
from web.translation import LANGUAGE, NAMES, preferred

routes = web.RouteTableDef()

COOKIE = "fta_language"
YEAR_S = 365 * 24 * 3600


@web.middleware
async def in_readers_language(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Everything that this request has written."""
    chosen = request.cookies.get(request.app[keys.ADDRESSES].cookie(COOKIE))
    asked = request.headers.get("Accept-Language", "")
    LANGUAGE.set(chosen if chosen in NAMES else preferred(asked))
    return await handler(request)


@routes.post("/wechat/language/")
async def switch(request: web.Request) -> web.Response:
    """Choose a language for this browser, and go back to where one was."""
    form = None if is_from_elsewhere(request) else await read_form(request)
    if form is None or form.get("language") not in NAMES:
        return render_message(request, "form-expired", 403)
    response = redirect(request, local_page(request, form.get("next", "")))
    set_cookie(request, response, COOKIE, form["language"], YEAR_S)
    return response
