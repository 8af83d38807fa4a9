"""Login through WeCom: inside the client silently, outside by a QR code (wecom-protocol 6)."""

import re
import secrets
from urllib.parse import quote

import structlog
import yarl
from aiohttp import web

from adapters.wecom.client import WeComError, WeComRefused
from web import keys
from web.pages import render_message
from web.sessions import open_session, set_cookie

routes = web.RouteTableDef()
log = structlog.get_logger()

STATE_COOKIE = "fta_login"
STATE_LIFETIME_S = 600
# On this site only: a path, no second slash or backslash that a browser would read as a host.
LOCAL_PATH = re.compile(r"/(?![/\\])[A-Za-z0-9/_.~:@-]*")


@routes.get("/wechat/accounts/login/")
async def login(request: web.Request) -> web.StreamResponse:
    """Off to WeCom, or back from there with a code."""
    if request.app[keys.OUTSIDE].wecom is None:
        return render_message(request, "wecom-unconfigured", 503)
    if "code" in request.query:
        return await _come_back(request)
    return _go(request)


def _go(request: web.Request) -> web.Response:
    """To WeCom with a state that only this browser can bring back."""
    state = secrets.token_hex(16)
    target = _local(request, request.query.get("next", ""))
    response = web.Response(status=302)
    # Set by hand: through yarl the percent-encoding of redirect_uri would change.
    response.headers["Location"] = _authorize_url(request, state)
    signature = request.app[keys.FORM_TOKENS].make("login", state, target)
    set_cookie(request, response, STATE_COOKIE, f"{state}|{target}|{signature}", STATE_LIFETIME_S)
    response.headers["Cache-Control"] = "no-store"
    return response


async def _come_back(request: web.Request) -> web.Response:
    target = _expected_target(request)
    if target is None:
        return render_message(request, "login-expired", 400)
    wecom = request.app[keys.OUTSIDE].wecom
    assert wecom is not None  # noqa: S101  # asked by the caller
    try:
        userid = await wecom.member_of(request.query["code"])
    except WeComRefused:
        return render_message(request, "login-expired", 400)
    except WeComError as error:
        log.warning("login failed", why=str(error))
        return render_message(request, "wecom-away", 503)
    if userid is None:
        return render_message(request, "stranger", 403)
    response = web.Response(status=303)
    response.headers["Location"] = str(yarl.URL(target, encoded=True))
    response.headers["Cache-Control"] = "no-store"
    await open_session(request, userid, response)
    response.del_cookie(
        request.app[keys.ADDRESSES].cookie(STATE_COOKIE),
        path=request.app[keys.ADDRESSES].cookie_path,
    )
    return response


def _expected_target(request: web.Request) -> str | None:
    """Where this browser wanted to go, if it is the one that set out with that state."""
    cookie = request.cookies.get(request.app[keys.ADDRESSES].cookie(STATE_COOKIE), "")
    state, _, rest = cookie.partition("|")
    target, _, signature = rest.rpartition("|")
    is_ours = request.app[keys.FORM_TOKENS].fits(signature, "login", state, target)
    if not is_ours or not secrets.compare_digest(
        state.encode(), request.query.get("state", "").encode(errors="replace")
    ):
        return None
    return target


def _local(request: web.Request, target: str) -> str:
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
