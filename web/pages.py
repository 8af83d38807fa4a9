"""What every page has in common: templates, headers, and pages that say what happened."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import aiohttp_jinja2
import jinja2
from aiohttp import web

from web.addresses import origin_of
from web.static_files import version_of
from web.translation import LANGUAGE, NAMES, TAGS, gettext, ngettext


class Message(NamedTuple):
    """What happened, what to do, and the words on the button that does it, if one helps."""

    title: str
    text: str
    button: str | None = "打开待办"


MESSAGES = {
    "unknown": Message(
        "没有找到",
        "没有这个页面或审批单，或者您没有查看它的权限。请从企业微信的审批列表进入。",
    ),
    "busy": Message("系统繁忙", "刚才的操作没有处理，请稍候再试一次。"),
    "internal": Message("出错了", "系统内部错误，已记录。请先在待办中查看结果，再决定是否重试。"),
    "form-expired": Message(
        "页面已失效",
        "这个页面已过期或不是本系统的页面，没有作任何决定。请重新打开后再操作。",
        "重新打开",
    ),
    "bad-form": Message("未作决定", "没有看懂这个操作，没有作任何决定。请返回后重试。", "重新打开"),
    "reason-too-long": Message(
        "未作决定", "审批意见最多 500 个字，没有作任何决定。请返回后缩短再提交。", "重新打开"
    ),
    "approved-with-a-reason-to-reject": Message(
        "未作决定",
        "您选了驳回的理由，按下的却是同意，没有作任何决定。请重新打开后再操作。",
        "重新打开",
    ),
    "nothing-picked": Message("没有勾选", "请先在待办中勾选要一起审批的事项。", "返回待办"),
    "too-many-picked": Message(
        "勾选太多", "一次最多审批 50 项，没有作任何决定。请返回后少选一些。", "返回待办"
    ),
    "page-over": Message(
        "登录已失效",
        "这个页面是为之前的登录打开的，已不能再审批。没有作任何决定。",
        "重新打开",
    ),
    "login-needed": Message(
        "请重新登录", "您的登录已失效，没有作任何决定。请重新登录后再操作。", "重新登录"
    ),
    "stranger": Message("没有权限", "您不是本企业的成员，不能使用审批。", None),
    "login-expired": Message(
        "登录没有完成", "登录链接只能使用一次，而且只在打开它的浏览器中有效。", "重新登录"
    ),
    "login-refused": Message("没有登录", "您在企业微信中取消了登录。", "重新登录"),
    "logged-out": Message("已退出登录", "这个浏览器中的登录已结束，可以离开了。", "重新登录"),
    "wecom-away": Message(
        "暂时无法登录",
        "企业微信没有应答，请稍候再试，或直接在应用中回复消息审批。",
        "再试一次",
    ),
    "wecom-misconfigured": Message(
        "暂时无法登录",
        "企业微信不接受本系统的配置（例如可信域名），请联系管理员；也可以在应用中回复消息审批。",
        "再试一次",
    ),
    "wecom-unconfigured": Message(
        "尚未配置企业微信", "请管理员先配置企业微信的 CorpID、Secret 和 AgentId。", None
    ),
    "already-decided": Message("已有结论", "这个审批单已经结束，您的操作没有生效。", "查看"),
    "own-request": Message("不能审批", "这个操作由您发起，不能由您审批，没有作任何决定。"),
    "high-risk-needs-its-page": Message(
        "请先查看", "高风险操作请打开详情页查看后再审批，没有作任何决定。", "查看后审批"
    ),
    "frozen": Message(
        "审批已冻结",
        "管理员暂停了所有审批，没有作任何决定，解冻后请重新审批。仍可以驳回。",
        "返回",
    ),
    "not-approved": Message("不能撤销", "这个审批单没有被同意，没有可以撤销的。", "查看"),
    "too-late-to-revoke": Message(
        "不能撤销", "执行方已领取执行许可、已报告结果，或许可已过期，撤销没有生效。", "查看"
    ),
    "http-403": Message("没有权限", "不能打开这个地址。"),
    "http-405": Message("不能这样打开", "这个地址不是页面，没有作任何决定。"),
    "http-413": Message("未作决定", "提交的内容太长，没有作任何决定。"),
    "settings-moved": Message(
        "没有保存", "配置已被其他人修改，您的修改没有保存。请查看现在的配置后再修改。", "重新打开"
    ),
    "settings-login": Message(
        "请重新登录", "修改配置前需要重新确认登录，没有作任何修改。", "重新登录"
    ),
    "link-spent": Message(
        "链接已失效",
        "这个链接已经用过、已过期，或已有更新的链接。"
        "可以在服务器上运行 fta-approval settings link 生成新的链接。",
        None,
    ),
    "http-400": Message("没有看懂", "没有看懂这个请求，什么也没有发生。"),
}

# What of an error's own headers says something to a browser.
KEPT_HEADERS = ("Allow", "Retry-After")

# No scripts and styles but our own files, nothing framed, no form sent elsewhere: but a pressed
# button may lead on to WeCom's login, and browsers hold the redirects of a form to the same rule.
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src {static}; style-src {static}; img-src {static}; "
        "connect-src 'self'; form-action 'self' {login}; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


def set_up_templates(
    app: web.Application, static_url: str, prefix: str, login_urls: Iterable[str]
) -> None:
    """
    Templates of this package; everything that they show is escaped.

    Args:
        login_urls: Where WeCom's login stands, inside the client and outside.
    """
    environment = aiohttp_jinja2.setup(
        app,
        loader=jinja2.PackageLoader("web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_callables(gettext, ngettext, newstyle=True)  # type: ignore[attr-defined]  # of the extension
    environment.globals.update(
        static_url=static_url,
        prefix=prefix,
        static=lambda name: f"{static_url}{name}?v={version_of(name)}",
        languages=[(code, name, TAGS[code]) for code, name in NAMES.items()],
    )
    allow_logins_at(app, login_urls)


def allow_logins_at(app: web.Application, login_urls: Iterable[str]) -> None:
    """Where a form of ours may lead on to; see SECURITY_HEADERS."""
    sites = " ".join(dict.fromkeys(origin_of(url) for url in login_urls))
    aiohttp_jinja2.get_env(app).globals["login_sites"] = sites


def render(
    request: web.Request,
    template: str,
    context: Mapping[str, Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """A page, with the headers that every page has."""
    # Where a form was sent to, nothing can be opened.
    here = request.path if request.method == "GET" else ""
    everywhere = {"lang": TAGS[LANGUAGE.get()], "here": here}
    response = aiohttp_jinja2.render_template(
        template, request, {**everywhere, **context}, status=status
    )
    response.headers.update(_security_headers(request))
    response.headers.update(headers or {})
    return response


def prepared(request: web.Request, text: str, headers: Mapping[str, str]) -> web.Response:
    """A page that was rendered before, with the headers that every page has."""
    response = web.Response(text=text, content_type="text/html", charset="utf-8")
    response.headers.update(_security_headers(request))
    response.headers.update(headers)
    return response


def render_message(
    request: web.Request,
    code: str,
    status: int,
    headers: Mapping[str, str] | None = None,
    link: str | None = None,
    because: str | None = None,
) -> web.Response:
    """
    A page that says what happened and what to do.

    Args:
        link: Where its button leads; None: to the list.
        because: Why, in somebody's own words.
    """
    message = in_readers_language(MESSAGES.get(code, MESSAGES["bad-form"]))
    kept = {name: value for name, value in (headers or {}).items() if name in KEPT_HEADERS}
    # Not where it was asked for: that may name what this reader must not know of.
    context = {"message": message, "link": link, "because": because, "here": ""}
    return render(request, "message.html", context, status, kept)


def in_readers_language(message: Message) -> Message:
    """The same, as this reader reads it."""
    button = gettext(message.button) if message.button else None
    return Message(gettext(message.title), gettext(message.text), button)


def redirect(request: web.Request, location: str, status: int = 303) -> web.Response:
    """To an address that is percent-encoded already and stays as it is."""
    response = web.Response(status=status)
    response.headers.update(_security_headers(request))
    # Set by hand: HTTPFound would change the encoding, which WeCom documents to the letter.
    response.headers["Location"] = location
    return response


def _security_headers(request: web.Request) -> dict[str, str]:
    known = aiohttp_jinja2.get_env(request.app).globals
    static, login = str(known["static_url"]), known["login_sites"]
    source = "'self'" if static.startswith("/") else static
    return {
        name: value.format(static=source, login=login) if "{static}" in value else value
        for name, value in SECURITY_HEADERS.items()
    }
