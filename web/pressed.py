"""A pressed button on the page of an approval: who pressed it, when, and what stood in the form."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from domain import errors
from domain.approval import Approval
from web import keys
from web.detail import UUID, render_detail, visible_approval
from web.errors import STATUS
from web.forms import read_form
from web.pages import render_message
from web.reasons import UnusableReason, reason_in
from web.sessions import NotLoggedIn, is_from_elsewhere, logged_in, login_first
from web.shown import path_of

IsOurs = Callable[[web.Request, Approval, dict[str, str]], bool]


class NotPressed(Exception):
    """Nothing can be done with it; `code` names the page that says why."""

    def __init__(self, code: str, status: int) -> None:
        self.code, self.status = code, status
        super().__init__(code)


@dataclass(frozen=True, slots=True)
class Press:
    """A button that a logged-in member pressed in a form of ours."""

    at: datetime
    """When the click had arrived whole: what deadlines are compared with."""
    member: str
    approval: Approval
    form: dict[str, str]

    @property
    def reason(self) -> str | None:
        """
        What the member chose and wrote, on one line.

        Raises:
            NotPressed: It cannot be used.
        """
        try:
            return reason_in(self.form)
        except UnusableReason as error:
            raise NotPressed(error.code, 422) from None


async def read_press(request: web.Request, is_ours: IsOurs) -> Press:
    """
    Who pressed what.

    Args:
        is_ours: Whether the form was made for this session, approval and button.

    Raises:
        NotPressed: 403 for a form that is not ours, 401 for somebody who is not logged in.
        HTTPNotFound: The approval is not theirs to see, or there is none.
    """
    if is_from_elsewhere(request):
        raise NotPressed("form-expired", 403)
    form = await read_form(request)
    at = request.app[keys.CLOCK]()
    try:
        member = await logged_in(request)
    except NotLoggedIn:
        raise NotPressed("login-needed", 401) from None
    approval = await visible_approval(request, member)
    if form is None or not is_ours(request, approval, form):
        raise NotPressed("form-expired", 403)
    return Press(at, member, approval, form)


def not_pressed(request: web.Request, error: NotPressed) -> web.Response:
    """The page that says why; its button leads back to the approval that the address names."""
    name = request.match_info["approval_id"]
    back = path_of(request, name) if UUID.fullmatch(name) else None
    return render_message(request, error.code, error.status, link=back)


async def refused(request: web.Request, refusal: errors.Refusal, press: Press) -> web.Response:
    """The page that says what the domain had against it."""
    status = STATUS[type(refusal)]
    if status == 404:
        raise web.HTTPNotFound
    if isinstance(refusal, errors.AlreadyDecided):
        as_it_is = await request.app[keys.READING].approval(press.approval.reply_id)
        return await render_detail(request, as_it_is or press.approval, press.member, too_late=True)
    link = path_of(request, press.approval.approval_id)
    if isinstance(refusal, errors.LoginTooOld):
        return login_first(request, link)
    because = refusal.freeze.why if isinstance(refusal, errors.Frozen) else None
    return render_message(request, refusal.code, status, link=link, because=because)
