"""Who is looking: a session's cookie holds a random id, the store its hash."""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import quote

from aiohttp import web

from domain.approval import Approval
from domain.commands import OpenSession
from domain.identity import same_person
from domain.redeeming import refusal_to_revoke
from web import keys
from web.pages import redirect

COOKIE = "fta_session"
LIFETIME = timedelta(hours=12)


class NotLoggedIn(Exception):
    """Nobody is logged in, or no longer."""


async def logged_in(request: web.Request) -> str:
    """
    The member whose session this is; `request[keys.LOGGED_IN_AT]` says since when.

    Raises:
        NotLoggedIn: No session, or one that ended or ran out.
    """
    hashed = session_hash(request)
    session = await request.app[keys.READING].session(hashed) if hashed else None
    member = session.member(request.app[keys.CLOCK]()) if session else None
    if session is None or member is None:
        raise NotLoggedIn
    request[keys.LOGGED_IN_AT] = session.opened_at
    return member


def session_hash(request: web.Request) -> str:
    """The name under which the browser's session is stored; empty if it sent no cookie."""
    value = request.cookies.get(request.app[keys.ADDRESSES].cookie(COOKIE), "")
    return _hash(value) if value else ""


async def open_session(
    request: web.Request, userid: str, state: str, response: web.Response
) -> None:
    """
    Begin a session under a new id, and give the browser its cookie. Its earlier session ends.

    Raises:
        LoginUsed: Somebody came back with this state before.
    """
    value, now = secrets.token_urlsafe(32), request.app[keys.CLOCK]()
    await request.app[keys.WRITER].execute(
        OpenSession(
            at=now,
            session=_hash(value),
            by=userid,
            expires_at=now + LIFETIME,
            state=_hash(state),
            replaces=session_hash(request) or None,
        )
    )
    set_cookie(request, response, COOKIE, value, int(LIFETIME.total_seconds()))


def set_cookie(
    request: web.Request, response: web.Response, name: str, value: str, max_age_s: int
) -> None:
    """A cookie by contract 3: HttpOnly, SameSite=Lax, for our paths only, Secure over https."""
    addresses = request.app[keys.ADDRESSES]
    response.set_cookie(
        addresses.cookie(name),
        value,
        max_age=max_age_s,
        path=addresses.cookie_path,
        httponly=True,
        samesite="Lax",
        secure=addresses.is_https,
    )


def forget_cookie(request: web.Request, response: web.Response, name: str) -> None:
    """Browsers drop a `__Secure-` cookie only if told so with Secure."""
    addresses = request.app[keys.ADDRESSES]
    response.del_cookie(
        addresses.cookie(name),
        path=addresses.cookie_path,
        httponly=True,
        samesite="Lax",
        secure=addresses.is_https,
    )


def login_first(request: web.Request, back: str | None = None) -> web.Response:
    """To the login, and afterwards back to a page of ours, else here."""
    return redirect(request, path_of_login(request, back or request.path))


def path_of_login(request: web.Request, back: str) -> str:
    """The login, which leads on to `back`."""
    prefix = request.app[keys.ADDRESSES].prefix
    return f"{prefix}/wechat/accounts/login/?next={quote(back, safe='')}"


def logout_token(request: web.Request) -> str:
    """For the form that ends this session."""
    return request.app[keys.FORM_TOKENS].make("logout", session_hash(request))


def is_logout_form(request: web.Request, form: Mapping[str, str]) -> bool:
    """Whether the form was made by `logout_token`, in this session."""
    tokens = request.app[keys.FORM_TOKENS]
    return tokens.fits(form.get("token", ""), "logout", session_hash(request))


def list_token(request: web.Request) -> str:
    """Ties an open page that keeps itself current to the session that it was made for."""
    return request.app[keys.FORM_TOKENS].make("list", session_hash(request))


def is_our_list(request: web.Request) -> bool:
    """Whether the open page that asks was made in this session."""
    given = request.query.get("list", "")
    return request.app[keys.FORM_TOKENS].fits(given, "list", session_hash(request))


def is_from_elsewhere(request: web.Request) -> bool:
    """Whether a form comes from another site, by the Origin that browsers send with it."""
    origin = request.headers.get("Origin")
    return origin is not None and not request.app[keys.ADDRESSES].is_ours(origin)


def may_decide(request: web.Request, approval: Approval, member: str) -> bool:
    """Whether buttons are shown; the aggregate asks again when one is pressed."""
    return approval.ending is None and _is_entitled(request, approval, member)


def may_revoke(request: web.Request, approval: Approval, member: str, now: datetime) -> bool:
    """Whether the button 撤销同意 is shown; the aggregate asks again when it is pressed."""
    return refusal_to_revoke(approval, now) is None and _is_entitled(request, approval, member)


def _is_entitled(request: web.Request, approval: Approval, member: str) -> bool:
    entitled = [*approval.approvers, *request.app[keys.SETTINGS].super_approvers]
    return _is_among(member, entitled) and not approval.is_requester(member)


def may_see(request: web.Request, approval: Approval, member: str) -> bool:
    """Approvers of it, super approvers, admins, auditors."""
    return _is_among(member, approval.approvers) or sees_everything(request, member)


def sees_everything(request: web.Request, member: str) -> bool:
    """Super approvers, admins, auditors."""
    settings = request.app[keys.SETTINGS]
    return _is_among(member, [*settings.super_approvers, *settings.admins, *settings.auditors])


def may_audit(request: web.Request, member: str) -> bool:
    """Auditors, admins: the whole history, and what others did with it."""
    settings = request.app[keys.SETTINGS]
    return _is_among(member, [*settings.admins, *settings.auditors])


def _hash(secret: str) -> str:
    """What the store may know of a value that opens something."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _is_among(member: str, userids: list[str]) -> bool:
    return same_person(member) in {same_person(userid) for userid in userids}
