"""The entrance for engines: who comes, and whether too often."""

import math

from aiohttp import web

from web import keys
from web.engines import Holder
from web.errors import Handler, Problem


@web.middleware
async def let_in(request: web.Request, handler: Handler) -> web.StreamResponse:
    """
    Name the engine by its token and hold it to its rate, before any of the body is read.

    Raises:
        Problem: 503 without tokens in the settings, 401 without one of them, 429 too often.
    """
    holder = _holder(request)
    request[keys.ENGINE] = holder.engine
    wait_s = request.app[keys.RATE_LIMIT].wait_s(holder.token)
    if wait_s:
        raise _too_often(request, wait_s)
    return await handler(request)


def _holder(request: web.Request) -> Holder:
    engines = request.app[keys.ENGINES]
    if not engines.any:
        raise Problem(503, "no-api-token-configured", "set FTA_APPROVAL_API_TOKENS")
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    holder = engines.holder(token.strip()) if scheme.lower() == "bearer" else None
    if holder is None:
        raise Problem(
            401,
            "unauthorized",
            "send the header Authorization: Bearer TOKEN with a token of this service",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return holder


def _too_often(request: web.Request, wait_s: float) -> Problem:
    most = request.app[keys.SETTINGS].api_rate
    return Problem(
        429,
        "too-many-requests",
        f"more than {most} requests a second with this token; wait as Retry-After says",
        headers={"Retry-After": str(max(1, math.ceil(wait_s)))},
    )
