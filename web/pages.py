"""What every page has in common: templates, headers, and pages that say what happened."""

from collections.abc import Mapping
from typing import Any

import aiohttp_jinja2
import jinja2
from aiohttp import web

MESSAGES: dict[str, tuple[str, str]] = {
    "unknown": (
        "没有找到",
        "没有这个页面或审批单，或者您没有查看它的权限。请从企业微信的审批列表进入。",
    ),
    "busy": ("系统繁忙", "刚才的操作没有处理，请稍候再试一次。"),
    "internal": ("出错了", "系统内部错误，已记录。请先在待办中查看结果，再决定是否重试。"),
    "form-expired": (
        "页面已失效",
        "这个页面已过期或不是本系统的页面，没有作任何决定。请重新打开后再操作。",
    ),
    "bad-form": ("未作决定", "没有看懂这个操作，没有作任何决定。请返回后重试。"),
    "login-needed": (
        "请重新登录",
        "您的登录已失效，没有作任何决定。请从企业微信的审批列表重新进入。",
    ),
    "stranger": ("没有权限", "您不是本企业的成员，不能使用审批。"),
    "login-expired": ("登录链接已失效", "登录链接只能使用一次。请从企业微信的审批列表重新进入。"),
    "wecom-away": ("暂时无法登录", "企业微信没有应答，请稍候再试，或直接在应用中回复消息审批。"),
    "wecom-unconfigured": (
        "尚未配置企业微信",
        "请管理员先配置企业微信的 CorpID、Secret 和 AgentId。",
    ),
    "already-decided": ("已有结论", "这个审批单已经结束，您的操作没有生效。"),
    "own-request": ("不能审批", "这个操作由您发起，不能由您审批。"),
    "high-risk-needs-its-page": ("请先查看", "高风险操作请打开详情页查看后再审批。"),
}

# What of an error's own headers says something to a browser.
KEPT_HEADERS = ("Allow", "Retry-After")

# No scripts, no styles but our own, nothing framed, no form sent elsewhere.
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src {static}; img-src 'self' data:; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


def set_up_templates(app: web.Application, static_url: str, prefix: str) -> None:
    """Templates of this package; everything that they show is escaped."""
    environment = aiohttp_jinja2.setup(
        app, loader=jinja2.PackageLoader("web"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.globals.update(static_url=static_url, prefix=prefix)


def render(
    request: web.Request,
    template: str,
    context: Mapping[str, Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """A page, with the headers that every page has."""
    response = aiohttp_jinja2.render_template(template, request, context, status=status)
    response.headers.update(_security_headers(request))
    response.headers.update(headers or {})
    return response


def render_message(
    request: web.Request,
    code: str,
    status: int,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> web.Response:
    """A page that says what happened and what to do."""
    title, text = MESSAGES.get(code, MESSAGES["bad-form"])
    kept = {name: value for name, value in (headers or {}).items() if name in KEPT_HEADERS}
    context = {"title": title, "text": text, **more}
    return render(request, "message.html", context, status, kept)


def _security_headers(request: web.Request) -> dict[str, str]:
    static = aiohttp_jinja2.get_env(request.app).globals["static_url"]
    source = "'self'" if str(static).startswith("/") else str(static)
    return {
        name: value.format(static=source) if "{static}" in value else value
        for name, value in SECURITY_HEADERS.items()
    }
