"""The entrance for engines: whether the address means anything, who comes, and how often."""

from aiohttp import web

from web import keys
from web.engines import Holder
from web.errors import Handler, no_token_configured, too_many_requests, unauthorized
from web.operations import operation_of
from web.queries import check_names


@web.middleware
async def let_in(request: web.Request, handler: Handler) -> web.StreamResponse:
    """
    Name the engine by its token and hold it to its rate, before any of the body is read.

    What is open to everybody is nobody's: it empties no bucket.

    Raises:
        Problem: 503 without tokens in the settings, 401 without one of them, 429 too often, 422
            for a parameter in the address that means nothing.
    """
    operation = operation_of(request)
    if operation is None or not operation.is_open:
        _name(request)
    if operation is not None:
        check_names(request, operation.query)
    return await handler(request)


def is_still_let_in(request: web.Request) -> bool:
    """For requests that last: whether the token with which this one came still is one."""
    engines = request.app[keys.ENGINES]
    if request[keys.LET_IN_BY] is engines.edition:
        return True
    holder = engines.holder(_token(request))
    if holder is None or holder.engine != request[keys.ENGINE]:
        return False
    request[keys.LET_IN_BY] = engines.edition
    return True


def _name(request: web.Request) -> None:
    holder = _holder(request)
    request[keys.ENGINE] = holder.engine
    request[keys.LET_IN_BY] = request.app[keys.ENGINES].edition
    wait_s = request.app[keys.RATE_LIMIT].wait_s(holder.token)
    if wait_s:
        raise too_many_requests(request.app[keys.SETTINGS].api_rate, wait_s)


def _holder(request: web.Request) -> Holder:
    engines = request.app[keys.ENGINES]
    if not engines.any:
        raise no_token_configured()
    holder = engines.holder(_token(request))
    if holder is None:
        raise unauthorized()
    return holder


def _token(request: web.Request) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
