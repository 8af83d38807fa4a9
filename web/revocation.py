"""撤销同意: an approval taken back on its page, before it is used (contract 4.5)."""

from aiohttp import web

from domain import errors
from domain.approval import Approval
from domain.commands import Revoke
from domain.text import one_line
from web import keys
from web.decision import MAX_REASON, page_of
from web.detail import render_detail, visible_approval
from web.errors import STATUS
from web.forms import read_form
from web.pages import redirect, render_message
from web.sessions import NotLoggedIn, is_from_elsewhere, logged_in
from web.shown import is_revocation_form, path_of

routes = web.RouteTableDef()


@routes.post("/wechat/a/{approval_id}/revocation")
async def revocation(request: web.Request) -> web.StreamResponse:
    """
    Take the approval back.

    303 to its page; 409 with a page that says why it is too late; 403 for a form that is not ours.
    Pressing twice is one revocation.
    """
    back = page_of(request)
    if is_from_elsewhere(request):
        return render_message(request, "form-expired", 403, link=back)
    form = await read_form(request)
    at = request.app[keys.CLOCK]()
    try:
        member = await logged_in(request)
    except NotLoggedIn:
        return render_message(request, "login-needed", 401, link=back)
    approval = await visible_approval(request, member)
    if form is None or not is_revocation_form(request, approval, form):
        return render_message(request, "form-expired", 403, link=back)
    reason = one_line(form.get("reason", "").replace("\r\n", "\n")).strip()
    if len(reason) > MAX_REASON:
        return render_message(request, "reason-too-long", 422, link=back)
    said = reason.encode(errors="replace").decode() or None
    command = Revoke(at=at, by=member, reply_id=approval.reply_id, reason=said)
    try:
        await request.app[keys.WRITER].execute(command)
    except errors.Refusal as refusal:
        return await _refused(request, refusal, approval, member)
    return redirect(request, path_of(request, approval.approval_id))


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
    return render_message(request, refusal.code, status, link=link)
