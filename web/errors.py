"""Refusals and failures to HTTP: here and nowhere else."""

import math
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiohttp import web

from adapters.store.writer import Overloaded, StoreUnavailable
from domain import errors
from projections.document import decided_via, timestamp
from web import keys
from web.feed import PositionUnknown
from web.json_answers import json_answer
from web.pages import render_message
from web.reading import Behind

STATUS: dict[type[errors.Refusal], int] = {
    errors.ConflictingRequest: 409,
    errors.NobodyCanDecide: 422,
    errors.UnknownApproval: 404,
    errors.NotAnApprover: 404,
    errors.OwnRequest: 403,
    errors.AlreadyDecided: 409,
    errors.NotFromList: 409,
    errors.LoginTooOld: 403,
    errors.OpenItFirst: 409,
    errors.NothingDecided: 422,
    errors.UnclearWhich: 409,
    errors.LoginUsed: 400,
    errors.Frozen: 409,
    errors.NotApproved: 409,
    errors.TooLateToRevoke: 409,
    errors.BadPermit: 401,
    errors.ActionDiffers: 422,
    errors.AlreadyRedeemed: 409,
    errors.PermitExpired: 410,
    errors.Revoked: 409,
    errors.OutcomeDiffers: 409,
    errors.UnknownWebhook: 404,
    errors.AlreadyDelivered: 409,
    errors.NotUndelivered: 409,
    errors.SettingsMoved: 409,
    errors.LinkSpent: 410,
}
RETRY_AFTER_S = "2"
BEARER = {"WWW-Authenticate": "Bearer"}
BUSY = (Overloaded, StoreUnavailable, Behind)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = structlog.get_logger()


class Problem(Exception):
    """An answer by RFC 9457 that is no refusal of the domain: a malformed request, say."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        errors: list[dict[str, str]] | None = None,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        self.status, self.code, self.detail = status, code, detail
        self.errors, self.headers, self.more = errors or [], headers or {}, more
        super().__init__(detail)

    @property
    def body(self) -> dict[str, Any]:
        """The problem document."""
        return {
            "type": f"/problems/{self.code}",
            "title": self.code.replace("-", " "),
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "errors": self.errors,
            **self.more,
        }

    def response(self) -> web.Response:
        return json_answer(
            self.body,
            status=self.status,
            headers=self.headers,
            content_type="application/problem+json",
        )


def invalid(field: str, detail: str) -> Problem:
    """One field that is wrong."""
    return Problem(
        422, "invalid-request", f"{field}: {detail}", [{"field": field, "detail": detail}]
    )


def no_token_configured() -> Problem:
    """Whoever set up the service gave no engine a token."""
    return Problem(503, "no-api-token-configured", "set FTA_APPROVAL_API_TOKENS")


def unauthorized() -> Problem:
    """No token, or none of this service."""
    return Problem(
        401,
        "unauthorized",
        "send the header Authorization: Bearer TOKEN with a token of this service",
        headers=BEARER,
    )


def too_many_requests(most: int, wait_s: float) -> Problem:
    """The bucket of this token is empty."""
    return Problem(
        429,
        "too-many-requests",
        f"more than {most} requests a second with this token; wait as Retry-After says",
        headers={"Retry-After": str(max(1, math.ceil(wait_s)))},
    )


def internal_error() -> Problem:
    """For whatever nobody foresaw; what it was stands in the log."""
    return Problem(500, "internal-error", "internal error; nothing is known of it")


def problem_of(error: BaseException) -> Problem | None:
    """The problem document for what a handler of the engine API raised."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, errors.AlreadyDecided):
        return Problem(STATUS[type(error)], error.code, str(error), decision=_ending(error))
    if isinstance(error, errors.ActionDiffers):
        wrong = [{"field": "action", "detail": str(error)}]
        return Problem(STATUS[type(error)], error.code, str(error), wrong)
    if isinstance(error, errors.NobodyCanDecide):
        wrong = [{"field": "approvers", "detail": str(error)}]
        return Problem(STATUS[type(error)], error.code, str(error), wrong)
    if isinstance(error, errors.BadPermit):
        # Every 401 names a scheme (RFC 9110 15.5.2).
        return Problem(STATUS[type(error)], error.code, str(error), headers=BEARER)
    if isinstance(error, errors.Refusal):
        return Problem(STATUS[type(error)], error.code, str(error))
    if isinstance(error, BUSY):
        return Problem(
            503,
            "overloaded" if isinstance(error, Overloaded) else "unavailable",
            "the service cannot take this now; send the same request again in a moment",
            headers={"Retry-After": RETRY_AFTER_S},
        )
    if isinstance(error, PositionUnknown):
        return Problem(
            409,
            "position-unknown",
            "no event has that position: the store was restored or is another one; "
            "begin again after 0 and compare feed_id",
        )
    if isinstance(error, web.HTTPException) and error.status >= 400:
        return _of_http(error)
    return None


def _of_http(error: web.HTTPException) -> Problem:
    allowed = error.headers.get("Allow", "")
    # Codes are ours: the phrases of HTTP differ between versions of Python.
    code, detail = {
        404: ("not-found", "there is nothing at this address; compare its path with the API's"),
        405: ("method-not-allowed", f"use {allowed} at this address"),
        413: ("content-too-large", "the body is too large; send less"),
    }.get(error.status, ("refused", error.reason))
    return Problem(error.status, code, detail, headers={"Allow": allowed} if allowed else {})


@web.middleware
async def api_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Problem documents for the engine API; an internal error says nothing of itself."""
    try:
        return await handler(request)
    except web.HTTPSuccessful:
        raise
    except Exception as error:
        problem = problem_of(error)
        if problem is None:
            log.exception("internal error", path=request.path)
            problem = internal_error()
        # An extension member of RFC 9457: `instance` would have to be a URI, and this is the
        # engine's own word.
        problem.more["request_id"] = request[keys.REQUEST_ID]
        return problem.response()


@web.middleware
async def page_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Pages that say what happened and what to do."""
    try:
        return await handler(request)
    except (web.HTTPSuccessful, web.HTTPRedirection):
        raise
    except web.HTTPException as error:
        if error.status == 404:
            return render_message(request, "unknown", 404)
        return render_message(request, f"http-{error.status}", error.status, dict(error.headers))
    except BUSY:
        return render_message(request, "busy", 503, {"Retry-After": RETRY_AFTER_S})
    except Exception:
        log.exception("internal error", path=request.path)
        return render_message(request, "internal", 500)


def _ending(error: errors.AlreadyDecided) -> dict[str, Any]:
    first = error.first
    return {
        "status": first.status.value,
        "decided_at": timestamp(first.at),
        "decided_by": first.by,
        "decided_via": decided_via(first.via),
        "reason": first.reason,
    }
