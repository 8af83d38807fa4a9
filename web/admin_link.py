"""The one-time link to the configuration page, for while nobody can log in as an administrator."""

import asyncio
import os
import secrets
import sys
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from aiohttp import web

from adapters.store.event_store import sqlite_path
from adapters.store.writer import Writer
from domain.commands import OfferLink, UseLink
from domain.errors import LinkSpent
from web import keys
from web.administrators import SETUP_COOKIE, hashed_secret
from web.errors import STATUS
from web.forms import read_form
from web.pages import redirect, render, render_message
from web.sessions import is_from_elsewhere, set_cookie

routes = web.RouteTableDef()
log = structlog.get_logger()

PAGE = "/doc/wechat_config/"
LIFETIME = timedelta(hours=1)
FILE = "admin-link"
OF_THE_SERVICE = "service"


async def offer_link(writer: Writer, at: datetime, by: str, *, first: bool = False) -> str | None:
    """
    The secret of a new link, which works once and for an hour; the one before works no more.

    Args:
        first: Only while no admin is set; None where one is.
    """
    secret = secrets.token_urlsafe(24)
    command = OfferLink(
        at=at,
        by=by,
        link=hashed_secret(secret),
        expires_at=at + LIFETIME,
        only_without_admins=first,
    )
    return secret if await writer.execute(command) else None


def address_of_link(app_url: str, secret: str) -> str:
    """Where it leads."""
    return f"{app_url.removesuffix('/wechat/')}{PAGE}link/?key={secret}"


def hand_over(address: str, folder: Path) -> None:
    """Print it where somebody reads along; else write it where only the service's account reads."""
    if sys.stderr.isatty():
        sys.stderr.write(f"no admin is set; configure here, within an hour, once: {address}\n")
        return
    write_privately(folder / FILE, f"{address}\n")
    log.warning("no admin is set; a one-time link to the configuration page is written", file=FILE)


def write_privately(path: Path, text: str) -> None:
    """Whole, or not at all; readable by this account alone, whoever made a file there before."""
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


@routes.get(f"{PAGE}link/")
async def look(request: web.Request) -> web.Response:
    """A page with a button: whoever previews links, such as a chat, uses nothing up."""
    return render(request, "admin_link.html", {"key": request.query.get("key", ""), "here": ""})


@routes.post(f"{PAGE}link/")
async def use(request: web.Request) -> web.Response:
    """Use the link up; this browser may configure for an hour."""
    form = None if is_from_elsewhere(request) else await read_form(request)
    if form is None:
        return render_message(request, "form-expired", 403)
    value, now = secrets.token_urlsafe(32), request.app[keys.CLOCK]()
    command = UseLink(
        at=now,
        link=hashed_secret(form.get("key", "")),
        session=hashed_secret(value),
        expires_at=now + LIFETIME,
    )
    try:
        await request.app[keys.WRITER].execute(command)
    except LinkSpent as spent:
        return render_message(request, spent.code, STATUS[type(spent)])
    file = sqlite_path(request.app[keys.IN_FORCE].given.database).parent / FILE
    await asyncio.to_thread(file.unlink, missing_ok=True)
    response = redirect(request, f"{request.app[keys.ADDRESSES].prefix}{PAGE}")
    set_cookie(request, response, SETUP_COOKIE, value, int(LIFETIME.total_seconds()))
    return response
