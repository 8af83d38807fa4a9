"""The members' phones as pages: who is there, and the chat with the application."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

from aiohttp import web

from adapters.simulator import menu as menus
from adapters.simulator.api import WECOM
from adapters.simulator.corp import Member
from adapters.simulator.hints import hints
from adapters.simulator.inbox import Delivered, Said
from adapters.simulator.live import follow
from adapters.simulator.login_pages import PHONE
from adapters.simulator.pages import page
from adapters.simulator.wecom import SimulatedWeCom

SHOWN = 100
PAUSE = timedelta(minutes=5)
routes = web.RouteTableDef()


@routes.get("/")
async def phones(request: web.Request) -> web.Response:
    return page(request, "phones.html", **_company(request))


@routes.get("/phones")
async def phone_list(request: web.Request) -> web.Response:
    return page(request, "_phones.html", **_company(request))


@routes.get("/stream")
async def stream(request: web.Request) -> web.StreamResponse:
    return await follow(request, request.app[WECOM].changes)


@routes.get("/chat/{userid}")
async def chat(request: web.Request) -> web.Response:
    """The chat; from now on this browser is this member's phone."""
    member = _member(request)
    context = _company(request) | _conversation(request, member)
    response = page(request, "chat.html", **context)
    _hand_over_phone(response, member)
    return response


@routes.get("/chat/{userid}/messages")
async def messages(request: web.Request) -> web.Response:
    return page(request, "_messages.html", **_conversation(request, _member(request)))


@routes.get("/chat/{userid}/bar")
async def bar(request: web.Request) -> web.Response:
    return page(request, "_bar.html", **_conversation(request, _member(request)))


@routes.post("/chat/{userid}/say")
async def say(request: web.Request) -> web.StreamResponse:
    member, words = _member(request), str((await request.post()).get("content", ""))
    if words.strip():
        await request.app[WECOM].send_text(member.userid, words)
    raise _back(member)


@routes.post("/chat/{userid}/tap")
async def tap(request: web.Request) -> web.StreamResponse:
    member, form = _member(request), await request.post()
    task_id, key = str(form.get("task_id")), str(form.get("key"))
    selected = {
        name.removeprefix("choice:"): [str(value)]
        for name, value in form.items()
        if name.startswith("choice:")
    }
    # A page that is a moment old may still show a button that is gone: nothing happens then.
    with suppress(LookupError):
        await request.app[WECOM].tap(member.userid, task_id, key, selected)
    raise _back(member)


@routes.post("/chat/{userid}/menu")
async def tap_menu(request: web.Request) -> web.StreamResponse:
    """An entry of the menu: reported to the application; a page opens as this member."""
    member, entry = _member(request), str((await request.post()).get("entry"))
    wecom = request.app[WECOM]
    try:
        found = menus.find(wecom.menu or [], entry)
    except LookupError:
        raise _back(member) from None
    await wecom.click_menu(member.userid, entry)
    if found["type"] != "view":
        raise _back(member)
    raise _opening(member, found["url"])


@routes.get("/chat/{userid}/open")
async def open_link(request: web.Request) -> web.StreamResponse:
    """A link in a message, opened on this member's phone."""
    url = request.query.get("url", "")
    if not url.startswith(("http://", "https://")):
        raise web.HTTPBadRequest(text="no web address")
    raise _opening(_member(request), url)


@routes.post("/nobody")
async def put_phone_down(request: web.Request) -> web.StreamResponse:
    """This browser is nobody's phone any more: the next login asks who one is."""
    response = web.HTTPSeeOther("/")
    response.del_cookie(PHONE)
    raise response


def _member(request: web.Request) -> Member:
    member = request.app[WECOM].book.member(request.match_info["userid"])
    if member is None:
        raise web.HTTPNotFound(text="no such member")
    return member


def _company(request: web.Request) -> dict[str, Any]:
    wecom = request.app[WECOM]
    rows = [
        {
            "member": member,
            "visible": key in wecom.book.visible,
            "unseen": wecom.inboxes.unseen[key],
            "count": len(wecom.inbox(key)),
            "last": next(reversed(wecom.inboxes.conversation(key)), None),
        }
        for key, member in wecom.book.members.items()
    ]
    holder = request.match_info.get("userid") or request.cookies.get(PHONE, "")
    return {"settings": wecom.settings, "rows": rows, "holder": holder.casefold(), "member": None}


def _conversation(request: web.Request, member: Member) -> dict[str, Any]:
    wecom = request.app[WECOM]
    _mark_seen(wecom, member)
    entries = wecom.inboxes.conversation(member.userid)[-SHOWN:]
    return {
        "settings": wecom.settings,
        "member": member,
        "entries": _with_pauses(entries),
        "hints": hints(entries),
        "menu": wecom.menu or [],
        "opener": f"/chat/{member.userid}/open",
    }


def _mark_seen(wecom: SimulatedWeCom, member: Member) -> None:
    if wecom.inboxes.unseen.pop(member.key, 0):
        wecom.changes.bump()


def _with_pauses(entries: list[Delivered | Said]) -> list[dict[str, Any]]:
    """Each entry, and whether the time stands above it, as after a pause."""
    shown = []
    before = None
    for entry in entries:
        pause = before is None or entry.at - before >= PAUSE
        shown.append({"entry": entry, "pause": pause, "mine": isinstance(entry, Said)})
        before = entry.at
    return shown


def _hand_over_phone(response: web.StreamResponse, member: Member) -> None:
    response.set_cookie(PHONE, member.userid, httponly=True, samesite="Lax")


def _back(member: Member) -> web.HTTPException:
    return web.HTTPSeeOther(f"/chat/{member.userid}")


def _opening(member: Member, url: str) -> web.HTTPException:
    response = web.HTTPSeeOther(url)
    _hand_over_phone(response, member)
    return response
