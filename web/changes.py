"""The event stream of an open list: it says that something changed, never what."""

import asyncio

from aiohttp import web

from web import keys
from web.event_stream import EventStream
from web.listed import is_super_approver
from web.sessions import NotLoggedIn, is_our_list, logged_in
from web.viewers import Viewer

routes = web.RouteTableDef()

CHANGED = b"event: changed\ndata: \n\n"


@routes.get("/wechat/todo/changes/")
async def changes(request: web.Request) -> web.StreamResponse:
    """
    `changed` whenever the list of this member did, and once if it has since `after`.

    Query: `list` its token, `after` the position as of which the page was made. It ends after the
    session has: the page asks what is new, and hears that it is over.
    """
    try:
        member = await logged_in(request)
    except NotLoggedIn:
        return web.Response(status=204)  # by which a browser knows not to come back
    if not is_our_list(request):
        return web.Response(status=204)
    return await stream_to(request, member, is_super_approver(request, member))


async def stream_to(
    request: web.Request, member: str, is_super: bool, reply_id: str | None = None
) -> web.StreamResponse:
    """
    Tell this reader of changes until the stream ends.

    Args:
        reply_id: Of this approval only; None: of the member's list.
    """
    viewers = request.app[keys.VIEWERS]
    with (
        viewers.watching(member, is_super, reply_id) as viewer,
        request.app[keys.LIST_READERS].reading({}) as response,
    ):
        await response.open(request)
        if str(request.app[keys.READING].progress.position) != request.query.get("after"):
            viewer.tell()
        await _tell(request, viewer, response)
        await response.write_eof()
    return response


async def _tell(request: web.Request, viewer: Viewer, response: EventStream) -> None:
    """Until the service ends, the session has, or the reader is gone."""
    viewers, is_over = request.app[keys.VIEWERS], False
    clock, every_s = asyncio.get_running_loop().time, request.app[keys.LIST_READERS].heartbeat_s
    look_at = clock() + every_s
    while not viewers.closing:
        try:
            async with asyncio.timeout_at(look_at):
                await viewer.news()
        except TimeoutError:
            if is_over:
                return  # the page had the time to ask, and to hang up itself
            is_over = not await _is_logged_in(request)
            await (response.send(CHANGED) if is_over else response.beat())
            look_at = clock() + every_s
        else:
            await response.send(CHANGED)


async def _is_logged_in(request: web.Request) -> bool:
    try:
        await logged_in(request)
    except NotLoggedIn:
        return False
    return True
