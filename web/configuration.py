"""The configuration page: what is set, by whom, where one finds it, and whether it works."""

import secrets
import string
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from domain.commands import ChangeSettings
from domain.configuration import Via
from domain.errors import SettingsMoved
from web import keys
from web.admin_link import PAGE
from web.administrators import (
    LOOK_WITHIN,
    SAVE_WITHIN,
    Administrator,
    LoginOutdated,
    administrator,
    form_token,
    is_our_form,
)
from web.editable import ITEMS, SECTIONS, TOKENS, Item, Section
from web.errors import STATUS
from web.findings import Finding, visible
from web.forms import read_form
from web.in_force import SECRET, SettingsInForce, text_of
from web.pages import redirect, render, render_message
from web.sessions import NotLoggedIn, is_from_elsewhere, login_first
from web.setting_form import Mistakes, changes_in, mistakes_in, strangers, token_name
from web.settings import PREFIX, PUBLIC_AES_KEY, PUBLIC_TOKEN
from web.translation import gettext
from web.trying import SEND, findings_of

routes = web.RouteTableDef()

ALPHABET = string.ascii_letters + string.digits
MADE = {"wecom_token": 32, "wecom_encoding_aes_key": 43}
"""Characters of what is made here for both sides to have."""
TESTS = {
    "token": "测试 CorpID 和 Secret",
    "callback": "测试回调地址",
    "menu": "检查菜单",
    SEND: "给我发送测试审批",
}
OUTCOMES = {"ok": "正常", "warn": "注意", "skip": "未检查", "FAIL": "失败"}


@routes.get(PAGE)
async def look(request: web.Request) -> web.Response:
    """The page; with `make=1` it proposes a strong Token and EncodingAESKey, and sets nothing."""
    try:
        who = await administrator(request, LOOK_WITHIN)
    except (NotLoggedIn, LoginOutdated):
        return login_first(request)
    await request.app[keys.IN_FORCE].refresh()
    made = _made(request.app[keys.IN_FORCE]) if "make" in request.query else {}
    return _page(request, who, typed=made, made=made, saved="saved" in request.query)


@routes.post(PAGE)
async def save(request: web.Request) -> web.Response:
    """Change what was typed otherwise in one section."""
    found = await _pressed(request)
    if isinstance(found, web.Response):
        return found
    who, form = found
    section = next((one for one in SECTIONS if one.name == form.get("section")), None)
    if section is None or not form.get("revision", "").isdecimal():
        return render_message(request, "form-expired", 403, link=_here(request))
    return await _save(request, who, section, form)


async def _save(
    request: web.Request, who: Administrator, section: Section, form: dict[str, str]
) -> web.Response:
    in_force = request.app[keys.IN_FORCE]
    # Whether they are an administrator was judged by this revision, so it has to be the same.
    if int(form["revision"]) != in_force.configuration.revision:
        return render_message(request, SettingsMoved.code, 409, link=_here(request))
    texts = changes_in(form, section, in_force)
    mistakes = mistakes_in(texts, in_force.configuration, in_force)
    mistakes = mistakes or await strangers(texts, in_force.now, request.app[keys.OUTSIDE].wecom)
    if mistakes:
        return _page(request, who, typed=form, mistakes=mistakes, status=422)
    try:
        await request.app[keys.WRITER].execute(
            ChangeSettings(
                at=request.app[keys.CLOCK](),
                by=who.by,
                via=Via.PAGE,
                revision=int(form["revision"]),
                change=in_force.secrets.change_of(texts),
            )
        )
    except SettingsMoved as moved:
        return render_message(request, moved.code, STATUS[type(moved)], link=_here(request))
    await in_force.refresh()
    return redirect(request, f"{_here(request)}?saved=1#{section.name}")


@routes.post(f"{PAGE}check/")
async def check(request: web.Request) -> web.Response:
    """What is wrong with one field as it was typed; nothing changes."""
    found = await _pressed(request)
    if isinstance(found, web.Response):
        return found
    _, form = found
    in_force = request.app[keys.IN_FORCE]
    item = ITEMS.get(form.get("field", ""))
    if item is None or in_force.is_locked(item.name):
        return web.Response(text="")
    alone = Section("", "", (item,))
    texts = changes_in(form, alone, in_force)
    mistakes = mistakes_in(texts, in_force.configuration, in_force)
    mistakes = mistakes or await strangers(texts, in_force.now, request.app[keys.OUTSIDE].wecom)
    context = {"mistake": _said(mistakes.get(item.name)), "is_changed": bool(texts)}
    return render(request, "setting_check.html", context)


@routes.post(f"{PAGE}test/")
async def try_it(request: web.Request) -> web.Response:
    """What doctor finds."""
    found = await _pressed(request)
    if isinstance(found, web.Response):
        return found
    who, form = found
    what = form.get("what", "")
    if what not in TESTS or (what == SEND and who.userid is None):
        return render_message(request, "form-expired", 403, link=_here(request))
    findings = await findings_of(request, what, who.userid)
    return _page(request, who, findings=findings, tested=what)


async def _pressed(request: web.Request) -> tuple[Administrator, dict[str, str]] | web.Response:
    """Who pressed what, in a form of ours; else the page that says why nothing happened."""
    if is_from_elsewhere(request):
        return render_message(request, "form-expired", 403, link=_here(request))
    form = await read_form(request)
    try:
        who = await administrator(request, SAVE_WITHIN)
    except (NotLoggedIn, LoginOutdated):
        return render_message(request, "settings-login", 401, link=_here(request))
    if form is None or not is_our_form(request, who, form):
        return render_message(request, "form-expired", 403, link=_here(request))
    return who, form


def _here(request: web.Request) -> str:
    return f"{request.app[keys.ADDRESSES].prefix}{PAGE}"


def _made(in_force: SettingsInForce) -> dict[str, str]:
    """Strong ones, of what the environment leaves to us."""
    return {
        name: "".join(secrets.choice(ALPHABET) for _ in range(characters))
        for name, characters in MADE.items()
        if not in_force.is_locked(name)
    }


def _page(
    request: web.Request,
    who: Administrator,
    *,
    typed: Mapping[str, str] | None = None,
    made: Mapping[str, str] | None = None,
    mistakes: Mistakes | None = None,
    findings: list[Finding] | None = None,
    tested: str = "",
    saved: bool = False,
    status: int = 200,
) -> web.Response:
    in_force = request.app[keys.IN_FORCE]
    shown = _Shown(request, in_force, typed or {}, made or {}, mistakes or {})
    sections = [
        {"name": s.name, "title": gettext(s.title), "items": [shown.item(i) for i in s.items]}
        for s in SECTIONS
    ]
    tests = {name: text for name, text in TESTS.items() if name != SEND or who.userid}
    context = {
        "me": who.by,
        "sections": sections,
        "token": form_token(request, who),
        "revision": in_force.configuration.revision,
        "is_public": in_force.now.callback_is_public_knowledge,
        "can_make": bool(_made(in_force)),
        "callback": request.app[keys.ADDRESSES].callback,
        "mistakes": len(mistakes or {}),
        "made": bool(made),
        "saved": saved,
        "tests": [(name, gettext(text)) for name, text in tests.items()],
        "tested": gettext(TESTS[tested]) if tested else "",
        "findings": [
            (one.outcome.value.lower(), gettext(OUTCOMES[one.outcome.value]), visible(one.text))
            for one in findings or []
        ],
    }
    return render(request, "configuration.html", context, status)


class _Shown:
    """The settings as a page shows them: of what is secret a fingerprint, never more."""

    def __init__(
        self,
        request: web.Request,
        in_force: SettingsInForce,
        typed: Mapping[str, str],
        made: Mapping[str, str],
        mistakes: Mistakes,
    ) -> None:
        self._now = request.app[keys.CLOCK]()
        self._clockface = request.app[keys.CLOCKFACE]
        self._in_force = in_force
        self._typed, self._made, self._mistakes = typed, made, mistakes

    def item(self, item: Item) -> dict[str, Any]:
        name, text = item.name, text_of(getattr(self._in_force.now, item.name))
        is_secret = name in SECRET
        return {
            "name": name,
            "kind": item.kind,
            "title": gettext(item.title),
            "what": gettext(item.what),
            "restart": item.restart,
            "choices": [(value, gettext(title)) for value, title in item.choices],
            "value": self._made.get(name, "") if is_secret else self._typed.get(name, text),
            "made": name in self._made,
            "is_set": bool(text),
            "is_public": text in (PUBLIC_TOKEN, PUBLIC_AES_KEY),
            "fingerprint": self._in_force.secrets.fingerprint(name, text) if is_secret else "",
            "tokens": self._tokens() if item.kind == TOKENS else [],
            "locked": f"{PREFIX}{name.upper()}" if self._in_force.is_locked(name) else "",
            "by": self._by(name),
            "clearable": name in self._in_force.configuration.stored,
            "mistake": _said(self._mistakes.get(name)),
        }

    def _tokens(self) -> list[tuple[str, str]]:
        return [
            (engine, token_name(self._in_force, engine, token))
            for engine, token in self._in_force.now.engines
        ]

    def _by(self, name: str) -> str:
        stored = self._in_force.configuration.stored.get(name)
        if stored is None or self._in_force.is_locked(name):
            return ""
        return f"{stored.by} {self._clockface.show(stored.at, self._now)}"


def _said(mistake: str | None) -> str:
    """In the reader's language; what follows a colon are names."""
    if mistake is None:
        return ""
    words, colon, names = mistake.partition(": ")
    return f"{gettext(words)}{colon}{names}"
