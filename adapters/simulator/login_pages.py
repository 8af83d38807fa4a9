"""
Logging in through WeCom: `/connect/oauth2/authorize` inside the client, `/wwlogin/sso/login`
outside it.

A browser is whoever its cookie `phone` says, which `/chat/{userid}` sets; without one a page asks.
"""

from aiohttp import web
from yarl import URL

from adapters.simulator.api import WECOM
from adapters.simulator.logins import STATE, LoginRefused, check_redirect
from adapters.simulator.pages import page
from adapters.simulator.wecom import SimulatedWeCom

PHONE = "phone"
routes = web.RouteTableDef()


@routes.get("/connect/oauth2/authorize")
async def authorize(request: web.Request) -> web.StreamResponse:
    wecom, query = request.app[WECOM], request.query
    try:
        if query.get("appid") != wecom.settings.corp_id:
            raise LoginRefused("appid 参数错误")
        if query.get("response_type") != "code":
            raise LoginRefused("response_type 参数错误")
        if query.get("scope") not in ("snsapi_base", "snsapi_privateinfo"):
            raise LoginRefused("scope 参数错误")
        if query.get("scope") == "snsapi_privateinfo" and not query.get("agentid"):
            raise LoginRefused("agentid 参数缺失")
        if not STATE.fullmatch(query.get("state", "")):
            raise LoginRefused("state 参数错误：只能是字母和数字，最长 128 字节")
        check_redirect(query.get("redirect_uri", ""), wecom.trusted_hosts)
    except LoginRefused as refusal:
        return page(request, "login_refused.html", 400, why=str(refusal))
    return _choose(request, wecom, "在企业微信中打开")


@routes.get("/wwlogin/sso/login")
async def sso_login(request: web.Request) -> web.StreamResponse:
    wecom, query = request.app[WECOM], request.query
    try:
        if query.get("login_type") != "CorpApp":
            raise LoginRefused("login_type 参数错误 -31040")
        if query.get("appid") != wecom.settings.corp_id:
            raise LoginRefused("appid 参数错误 -31027")
        if query.get("agentid") != str(wecom.settings.agent_id):
            raise LoginRefused("agentid 参数错误 -31028")
        check_redirect(query.get("redirect_uri", ""), wecom.trusted_hosts, " -31020")
        userid = _who(request)
        if userid is not None and _is_out_of_sight(wecom, userid):
            raise LoginRefused("没有权限：该成员不在应用的可见范围内")
    except LoginRefused as refusal:
        return page(request, "login_refused.html", 400, why=str(refusal))
    return _choose(request, wecom, "扫码登录")


def _who(request: web.Request) -> str | None:
    return request.query.get("userid") or request.cookies.get(PHONE) or None


def _is_out_of_sight(wecom: SimulatedWeCom, userid: str) -> bool:
    return userid.casefold() not in wecom.book.seen()


def _choose(request: web.Request, wecom: SimulatedWeCom, title: str) -> web.StreamResponse:
    userid = _who(request)
    if userid is None:
        choices = [
            (member, str(request.rel_url.update_query(userid=member.userid)))
            for member in wecom.book.members.values()
        ]
        stranger = str(request.rel_url.update_query(userid="@outside"))
        return page(request, "who_are_you.html", title=title, choices=choices, stranger=stranger)
    back = wecom.logins.send_back(
        wecom.book.member(userid),
        userid,
        request.query["redirect_uri"],
        request.query.get("state", ""),
        wecom.clock(),
    )
    # encoded=True: otherwise yarl would rewrite what the application asked for.
    raise web.HTTPFound(location=URL(back, encoded=True))
