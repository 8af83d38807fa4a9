"""Login through WeCom: inside the client silently, outside by a QR code (wecom-protocol 6)."""

import re
import secrets
from urllib.parse import quote

import structlog
from aiohttp import web

from adapters.wecom.client import WeComError, WeComMisconfigured, WeComRefused
from domain.errors import LoginUsed
from web import keys
from web.errors import STATUS
from web.pages import redirect, render_message
from web.sessions import forget_cookie, open_session, set_cookie

routes = web.RouteTableDef()
log = structlog.get_logger()

STATE_COOKIE = "fta_login"
STATE_LIFETIME_S = 600
MAX_CODE = 512
# On this site only: a path whose every part names something. No second slash or backslash that a
# browser would read as a host, no part of dots that would leave the prefix, nothing encoded.
LOCAL_PATH = re.compile(r"(/(?!\.+(/|$))[A-Za-z0-9_.~:@-]+)+/?", re.ASCII)


@routes.get("/wechat/accounts/login/")
async def login(request: web.Request) -> web.StreamResponse:
    """Off to WeCom, or back from there with a code."""
    if request.app[keys.OUTSIDE].wecom is None:
        return render_message(request, "wecom-unconfigured", 503)
    if "code" in request.query:
        return await _come_back(request)
    if "state" in request.query:  # back without a code: the member pressed cancel
        return render_message(request, "login-refused", 403)
    return _go(request)


def _go(request: web.Request) -> web.Response:
    """To WeCom with a state that only this browser can bring back, and only for a while."""
    state = secrets.token_hex(16)
    until = str(_now(request) + STATE_LIFETIME_S)
    target = local_page(request, request.query.get("next", ""))
    signature = request.app[keys.FORM_TOKENS].make("login", state, until, target)
    response = redirect(request, _authorize_url(request, state), 302)
    cookie = "|".join((state, until, target, signature))
    set_cookie(request, response, STATE_COOKIE, cookie, STATE_LIFETIME_S)
    return response


async def _come_back(request: web.Request) -> web.Response:
    target, code = _expected_target(request), request.query["code"]
    if target is None or len(code) > MAX_CODE:
        return render_message(request, "login-expired", 400)
    wecom = request.app[keys.OUTSIDE].wecom
    assert wecom is not None  # noqa: S101  # asked by the caller
    try:
        userid = await wecom.member_of(code)
    except WeComRefused:
        return render_message(request, "login-expired", 400, link=target)
    except WeComMisconfigured as error:
        log.warning("login failed", why=str(error))
        return render_message(request, "wecom-misconfigured", 503, link=target)
    except WeComError as error:
        log.warning("login failed", why=str(error))
        return render_message(request, "wecom-away", 503, link=target)
    if userid is None:
        return render_message(request, "stranger", 403)
    # Elsewhere at once: the code stays in no address bar.
    response = redirect(request, target)
    try:
        await open_session(request, userid, request.query["state"], response)
    except LoginUsed as used:
        return render_message(request, "login-expired", STATUS[type(used)], link=target)
    forget_cookie(request, response, STATE_COOKIE)
    return response


def _expected_target(request: web.Request) -> str | None:
    """Where this browser wanted to go, if it is the one that set out with that state."""
    cookie = request.cookies.get(request.app[keys.ADDRESSES].cookie(STATE_COOKIE), "")
    *signed, signature = cookie.split("|")
    if len(signed) != 3 or not request.app[keys.FORM_TOKENS].fits(signature, "login", *signed):
        return None
    state, until, target = signed
    came_back_with = request.query.get("state", "").encode(errors="replace")
    is_same = secrets.compare_digest(state.encode(), came_back_with)
    return target if is_same and _now(request) < int(until) else None


def _now(request: web.Request) -> int:
    return int(request.app[keys.CLOCK]().timestamp())


def local_page(request: web.Request, target: str) -> str:
    """Where to go after the login: a page of this service, else the list."""
    prefix = request.app[keys.ADDRESSES].prefix
    fits = LOCAL_PATH.fullmatch(target) and target.startswith(f"{prefix}/")
    return target if fits else f"{prefix}/wechat/todo/"


def _authorize_url(request: web.Request, state: str) -> str:
    settings = request.app[keys.SETTINGS]
    corp = quote(settings.wecom_corp_id or "", safe="")
    back = quote(request.app[keys.ADDRESSES].login, safe="")
    if "wxwork" in request.headers.get("User-Agent", "").lower():
        return (
            f"{settings.wecom_oauth_url}/connect/oauth2/authorize?appid={corp}"
            f"&redirect_uri={back}&response_type=code&scope=snsapi_base&state={state}"
            f"&agentid={settings.wecom_agent_id}#wechat_redirect"
        )
    return (
        f"{settings.wecom_login_url}/wwlogin/sso/login?login_type=CorpApp&appid={corp}"
        f"&agentid={settings.wecom_agent_id}&redirect_uri={back}&state={state}&lang=zh"
    )
