"""A pressed button: 同意 or 驳回, from the list or from the page of an approval."""

from aiohttp import web

from domain import errors
from domain.commands import Decide
from web import keys
from web.pages import redirect
from web.pressed import NotPressed, Press, not_pressed, read_press, refused
from web.reasons import UnusableReason, verdict_in
from web.shown import PAGE, is_our_form, path_of

routes = web.RouteTableDef()


@routes.post("/wechat/a/{approval_id}/decision")
async def decision(request: web.Request) -> web.StreamResponse:
    """
    Take a pressed button.

    303 to the page of the approval; 409 with a page that says who was first; 403 for a form
    that is not ours; 303 to the login where it has to be made again before a high risk is
    approved. Pressing the same button twice is one decision.
    """
    try:
        press = await read_press(request, is_our_form)
        command = _read_decision(request, press)
    except NotPressed as error:
        return not_pressed(request, error)
    try:
        await request.app[keys.WRITER].execute(command)
    except errors.Refusal as refusal:
        return await refused(request, refusal, press)
    return redirect(request, path_of(request, press.approval.approval_id))


def _read_decision(request: web.Request, press: Press) -> Decide:
    """
    What was pressed.

    Raises:
        NotPressed: Neither 同意 nor 驳回, or a reason that cannot be used.
    """
    try:
        verdict = verdict_in(press.form)
    except UnusableReason as error:
        raise NotPressed(error.code, 422) from None
    return Decide(
        at=press.at,
        by=press.member,
        reply_id=press.approval.reply_id,
        verdict=verdict,
        logged_in_at=request[keys.LOGGED_IN_AT],
        reason=press.reason,
        from_list=press.form["view"] != PAGE,
    )
