"""How the simulator's pages are made: templates, the words of messages, times, a strict policy."""

import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

STATIC = Path(__file__).parent / "static"
ZONE = ZoneInfo("Asia/Shanghai")
ANCHOR = re.compile(r'<a\s+href="(?P<url>https?://[^"]+)"\s*>(?P<label>.*?)</a>', re.DOTALL)
BARE = re.compile(r"https?://[\w\-.~:/?#\[\]@!$&'()*+,;=%]+", re.ASCII)
MARKDOWN = (
    (re.compile(r"^(#{1,6}) (.*)$", re.MULTILINE), r"<strong>\2</strong>"),
    (re.compile(r"\*\*(.+?)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"`([^`\n]+)`"), r"<code>\1</code>"),
    (re.compile(r"^&gt; ?(.*)$", re.MULTILINE), r'<span class="quote">\1</span>'),
    (
        re.compile(r"&lt;font color=&#34;(info|comment|warning)&#34;&gt;(.*?)&lt;/font&gt;"),
        r'<span class="\1">\2</span>',
    ),
)
MARKDOWN_LINK = re.compile(r"\[([^\]\n]+)\]\((https?://[^)\s]+)\)")


def environment() -> Environment:
    made = Environment(
        loader=PackageLoader("adapters.simulator"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "clock": clock_time,
        "minute": minute,
        "day": day_time,
        "words": words,
        "markdown": markdown,
    }
    made.filters["card_words"] = card_words
    return made


TEMPLATES = web.AppKey("templates", Environment)
POLICY = "default-src 'self'; img-src 'self' data: https:; base-uri 'none'; frame-ancestors 'none'"


def page(request: web.Request, template: str, status: int = 200, **context: Any) -> web.Response:
    text = request.app[TEMPLATES].get_template(template).render(**context)
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
    return web.Response(text=text, status=status, content_type="text/html", headers=headers)


@web.middleware
async def own_forms_only(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """No other site's page may post here; programs send no Origin and are let through."""
    origin = request.headers.get("Origin")
    if request.method == "POST" and origin and urlsplit(origin).netloc != request.host:
        raise web.HTTPForbidden(text="from another site")
    return await handler(request)


def add_pages(app: web.Application) -> None:
    app[TEMPLATES] = environment()
    app.middlewares.append(own_forms_only)
    app.router.add_static("/static/", STATIC)


def clock_time(at: datetime | None) -> str:
    return at.astimezone(ZONE).strftime("%H:%M:%S") if at else ""


def minute(at: datetime | None) -> str:
    return at.astimezone(ZONE).strftime("%H:%M") if at else ""


def day_time(at: datetime | None) -> str:
    return at.astimezone(ZONE).strftime("%m-%d %H:%M") if at else ""


def words(text: str, opener: str) -> Markup:
    """A text message: WeCom shows links, `<a href>` ones and bare ones, and nothing else."""
    parts, end = [], 0
    for match in ANCHOR.finditer(text):
        parts += [_bare(text[end : match.start()], opener)]
        parts += [_link(match["url"], match["label"], opener)]
        end = match.end()
    return Markup("").join([*parts, _bare(text[end:], opener)])


def markdown(text: str, opener: str) -> Markup:
    """The subset that WeCom shows."""
    shown = str(escape(text))
    for pattern, replacement in MARKDOWN:
        shown = pattern.sub(replacement, shown)
    return Markup(MARKDOWN_LINK.sub(lambda m: _opened(m[2], m[1], opener), shown))  # noqa: S704


def card_words(text: str) -> Markup:
    """A textcard's description, in which `<br>` and three kinds of `<div>` mean something."""
    shown = str(escape(text))
    shown = re.sub(r"&lt;br/?&gt;", "<br>", shown)
    shown = re.sub(
        r"&lt;div class=&#34;(gray|highlight|normal)&#34;&gt;", r'<div class="\1">', shown
    )
    return Markup(shown.replace("&lt;/div&gt;", "</div>"))  # noqa: S704 - escaped above


def _bare(text: str, opener: str) -> Markup:
    parts, end = [], 0
    for match in BARE.finditer(text):
        parts += [escape(text[end : match.start()]), _link(match[0], match[0], opener)]
        end = match.end()
    return Markup("").join([*parts, escape(text[end:])])


def _link(url: str, label: str, opener: str) -> Markup:
    return Markup('<a href="{}">{}</a>').format(opened(url, opener), label)


def _opened(escaped_url: str, escaped_label: str, opener: str) -> str:
    url = Markup(escaped_url).unescape()  # noqa: S704 - escaped by the caller, quoted below
    return f'<a href="{opened(url, opener)}">{escaped_label}</a>'


def opened(url: str, opener: str) -> str:
    """The address that opens `url` as the member whose phone this is."""
    return f"{opener}?url={quote(url, safe='')}"
