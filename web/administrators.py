"""Who may configure: an administrator who logged in lately, or who came by the one-time link."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from aiohttp import web

from domain.identity import same_person
from web import keys
from web.sessions import logged_in, session_hash

SETUP_COOKIE = "fta_setup"
LINK = "link:"
# Looking needs a login of this age, saving one of that: who looks has time to fill in a form.
LOOK_WITHIN, SAVE_WITHIN = timedelta(minutes=15), timedelta(minutes=45)


class LoginOutdated(Exception):
    """An administrator, but they have to show anew who they are."""


@dataclass(frozen=True, slots=True)
class Administrator:
    """Who asks, and in which session."""

    by: str
    session: str

    @property
    def userid(self) -> str | None:
        """None for who came by the link: nobody knows who that is."""
        return None if self.by.startswith(LINK) else self.by


async def administrator(request: web.Request, within: timedelta) -> Administrator:
    """
    Who asks, if they may configure.

    Raises:
        NotLoggedIn: Nobody is logged in.
        LoginOutdated: The login is older than that.
        HTTPNotFound: Somebody else; to them there is no such page.
    """
    by_link = await _by_link(request)
    if by_link is not None:
        return by_link
    member = await logged_in(request)
    admins = {same_person(userid) for userid in request.app[keys.SETTINGS].admins}
    if same_person(member) not in admins:
        raise web.HTTPNotFound
    age = request.app[keys.CLOCK]() - request[keys.LOGGED_IN_AT]
    if not -timedelta(seconds=5) <= age <= within:
        raise LoginOutdated
    return Administrator(member, session_hash(request))


async def _by_link(request: web.Request) -> Administrator | None:
    # It may have been set before there was an https address, which changes the names of cookies.
    names = (request.app[keys.ADDRESSES].cookie(SETUP_COOKIE), SETUP_COOKIE)
    value = next((request.cookies[name] for name in names if name in request.cookies), None)
    if not value:
        return None
    hashed = hashed_secret(value)
    session = await request.app[keys.READING].session(hashed)
    holder = session.member(request.app[keys.CLOCK]()) if session else None
    if holder is None or not holder.startswith(LINK):
        return None
    return Administrator(holder, hashed)


def hashed_secret(secret: str) -> str:
    """What the store may know of it."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def form_token(request: web.Request, who: Administrator) -> str:
    """For the forms of the configuration page, in this session."""
    return request.app[keys.FORM_TOKENS].make("settings", who.session)


def is_our_form(request: web.Request, who: Administrator, form: dict[str, str]) -> bool:
    """Whether it was made by `form_token`, for this session."""
    tokens = request.app[keys.FORM_TOKENS]
    return tokens.fits(form.get("token", ""), "settings", who.session)
