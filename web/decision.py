"""A pressed button: 同意 or 驳回, from the list or from the page of an approval."""

from datetime import datetime

from aiohttp import web

from domain import errors
from domain.approval import Approval
from domain.commands import Decide
from domain.decision import Verdict
from domain.text import one_line
from web import keys
from web.detail import UUID, render_detail, visible_approval
from web.errors import STATUS
from web.forms import read_form
from web.pages import redirect, render_message
from web.sessions import NotLoggedIn, is_from_elsewhere, logged_in, login_first
from web.shown import PAGE, is_our_form, path_of

routes = web.RouteTableDef()

MAX_REASON = 500


class BadForm(Exception):
    """A form of ours that says nothing which could be done; `code` names the page that tells."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


@routes.post("/wechat/a/{approval_id}/decision")
async def decision(request: web.Request) -> web.StreamResponse:
    """
    Take a pressed button.

    303 to the page of the approval; 409 with a page that says who was first; 403 for a form
    that is not ours; 303 to the login where it has to be made again before a high risk is
    approved. Pressing the same button twice is one decision.
    """
    back = page_of(request)
    if is_from_elsewhere(request):
        return render_message(request, "form-expired", 403, link=back)
    form = await read_form(request)
    # The moment that the deadline is compared with: the click has arrived whole.
    at = request.app[keys.CLOCK]()
    try:
        member = await logged_in(request)
    except NotLoggedIn:
        return render_message(request, "login-needed", 401, link=back)
    approval = await visible_approval(request, member)
    if form is None or not is_our_form(request, approval, form):
        return render_message(request, "form-expired", 403, link=back)
    try:
        command = _read_decision(form, approval, member, at, request[keys.LOGGED_IN_AT])
        await request.app[keys.WRITER].execute(command)
    except BadForm as bad:
        return render_message(request, bad.code, 422, link=back)
    except errors.Refusal as refusal:
        return await _refused(request, refusal, approval, member)
    return redirect(request, path_of(request, approval.approval_id))


def _read_decision(
    form: dict[str, str], approval: Approval, member: str, at: datetime, logged_in_at: datetime
) -> Decide:
    """
    What was pressed.

    Raises:
        BadForm: Neither 同意 nor 驳回, or a reason that is too long.
    """
    if form.get("decision") not in list(Verdict):
        raise BadForm("bad-form")
    # Browsers count a line break as one character and send two.
    reason = one_line(form.get("reason", "").replace("\r\n", "\n")).strip()
    if len(reason) > MAX_REASON:
        raise BadForm("reason-too-long")
    return Decide(
        at=at,
        by=member,
        reply_id=approval.reply_id,
        verdict=Verdict(form["decision"]),
        logged_in_at=logged_in_at,
        reason=reason.encode(errors="replace").decode() or None,
        from_list=form["view"] != PAGE,
    )


async def _refused(
    request: web.Request, refusal: errors.Refusal, approval: Approval, member: str
) -> web.Response:
    status = STATUS[type(refusal)]
    if status == 404:
        raise web.HTTPNotFound
    if isinstance(refusal, errors.AlreadyDecided):
        as_it_is = await request.app[keys.READING].approval(approval.reply_id)
        return await render_detail(request, as_it_is or approval, member, too_late=True)
    link = path_of(request, approval.approval_id)
    if isinstance(refusal, errors.LoginTooOld):
        return login_first(request, link)
    if isinstance(refusal, errors.Frozen):
        return render_message(request, refusal.code, status, link=link, because=refusal.freeze.why)
    return render_message(request, refusal.code, status, link=link)


def page_of(request: web.Request) -> str | None:
    """The page of whatever the address names, to go back to; it may not exist."""
    name = request.match_info["approval_id"]
    return path_of(request, name) if UUID.fullmatch(name) else None
