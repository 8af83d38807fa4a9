"""
The page of an approval that stays open: it hears that something changed, and asks what.

What can be pressed is replaced only when it has changed: nobody loses what they are writing.
"""

from aiohttp import web

from web import keys
from web.changes import stream_to
from web.detail import UUID, actions_of, context_of, visible_approval
from web.listed import is_super_approver
from web.pages import MESSAGES, in_readers_language, render
from web.sessions import NotLoggedIn, is_our_list, logged_in, path_of_login
from web.shown import path_of

routes = web.RouteTableDef()


@routes.get("/wechat/a/{approval_id}/changes/")
async def changes(request: web.Request) -> web.StreamResponse:
    """`changed` whenever this approval did (see web/changes.py for the query and the end)."""
    try:
        member = await logged_in(request)
    except NotLoggedIn:
        return web.Response(status=204)  # by which a browser knows not to come back
    approval = await visible_approval(request, member)
    if not is_our_list(request):
        return web.Response(status=204)
    is_super = is_super_approver(request, member)
    return await stream_to(request, member, is_super, reply_id=approval.reply_id)


@routes.get("/wechat/a/{approval_id}/update/")
async def update(request: web.Request) -> web.StreamResponse:
    """
    The parts of the page as they are now, each marked for htmx with where it goes.

    Query: `list` the token of the page, `has` what can be pressed on it.
    """
    try:
        member = await logged_in(request)
    except NotLoggedIn:
        return _over(request)
    if not is_our_list(request):
        return _over(request)
    try:
        approval = await visible_approval(request, member)
    except web.HTTPNotFound:
        return _gone(request)
    has = request.query.get("has", "")
    context = await context_of(request, approval, member)
    is_new = actions_of(context) != has
    return render(request, "detail_update.html", {**context, "has_new_actions": is_new})


def _over(request: web.Request) -> web.Response:
    """Nobody is logged in, or somebody else: nothing of the page may stay."""
    name = request.match_info["approval_id"]
    back = path_of(request, name) if UUID.fullmatch(name) else ""
    return render(
        request,
        "detail_over.html",
        {
            "message": in_readers_language(MESSAGES["page-over"]),
            "link": path_of_login(request, back),
        },
    )


def _gone(request: web.Request) -> web.Response:
    """The member may not see it any more: what an unknown approval is told by."""
    prefix = request.app[keys.ADDRESSES].prefix
    context = {
        "message": in_readers_language(MESSAGES["unknown"]),
        "link": f"{prefix}/wechat/todo/",
    }
    return render(request, "detail_over.html", context)
