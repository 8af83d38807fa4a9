"""撤销同意: an approval taken back on its page, before it is used (contract 4.5)."""

from aiohttp import web

from domain import errors
from domain.commands import Revoke
from web import keys
from web.pages import redirect
from web.pressed import NotPressed, not_pressed, read_press, refused
from web.shown import is_revocation_form, path_of

routes = web.RouteTableDef()


@routes.post("/wechat/a/{approval_id}/revocation")
async def revocation(request: web.Request) -> web.StreamResponse:
    """
    Take the approval back.

    303 to its page; 409 with a page that says why it is too late; 403 for a form that is not ours.
    Pressing twice is one revocation.
    """
    try:
        press = await read_press(request, is_revocation_form)
        command = Revoke(
            at=press.at,
            by=press.member,
            reply_id=press.approval.reply_id,
            reason=press.reason,
        )
    except NotPressed as error:
        return not_pressed(request, error)
    try:
        await request.app[keys.WRITER].execute(command)
    except errors.Refusal as refusal:
        return await refused(request, refusal, press)
    return redirect(request, path_of(request, press.approval.approval_id))
