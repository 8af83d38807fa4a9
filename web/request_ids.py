"""An id for each request of an engine: in its answer, in every log line, in every problem."""

import re
import time
import uuid

import structlog
from aiohttp import web

from web import keys
from web.ask import printable
from web.errors import Handler

HEADER = "X-Request-Id"
# Visible ASCII without blanks: it goes into a header and into logs as it came.
FITS = re.compile(r"[!-~]{1,128}", re.ASCII)

log = structlog.get_logger()


@web.middleware
async def with_request_id(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Around everything that a request of an engine causes; one line when it is over."""
    request_id = request[keys.REQUEST_ID] = _request_id(request)
    began, status = time.monotonic(), None
    with structlog.contextvars.bound_contextvars(request_id=request_id):
        try:
            response = await handler(request)
            status = response.status
        finally:
            _note(request, status, time.monotonic() - began)
    return response


async def label(request: web.Request, response: web.StreamResponse) -> None:
    """What every answer to an engine carries, streams included; a signal of aiohttp."""
    if keys.REQUEST_ID not in request:
        return
    response.headers[HEADER] = request[keys.REQUEST_ID]
    # Whatever a token opened is for its holder alone, and permits may stand in it.
    if keys.ENGINE in request or "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"


def _request_id(request: web.Request) -> str:
    """As sent, if it fits and is no token put there by mistake; else a fresh one."""
    sent = request.headers.get(HEADER, "")
    if FITS.fullmatch(sent) and request.app[keys.ENGINES].holder(sent) is None:
        return sent
    return str(uuid.uuid4())


def _note(request: web.Request, status: int | None, took_s: float) -> None:
    """What went wrong is worth a line at "info"; thousands a second that did not are not."""
    say = log.debug if status is not None and status < 400 else log.info
    say(
        "request",
        engine=request.get(keys.ENGINE),
        method=printable(request.method),
        path=printable(request.path),
        status=status,
        ms=round(took_s * 1000, 1),
    )
