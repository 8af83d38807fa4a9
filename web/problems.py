"""Every problem that the engine API answers, with an example: the error itself, as it is raised.

So code, status and sentence of the OpenAPI document are those of the code. A new refusal of
domain/errors.py is listed here or, if only members hear it, in NOT_FOR_ENGINES.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from adapters.store.writer import Overloaded
from domain import errors
from domain.decision import Capacity, Channel, Ending, Status
from domain.freeze import Frozen
from web import answers
from web.ask import not_json, unsupported_media_type
from web.errors import (
    Problem,
    internal_error,
    invalid,
    no_token_configured,
    problem_of,
    too_many_requests,
    unauthorized,
)
from web.feed import PositionUnknown
from web.reading import Behind

NOON = datetime(2026, 1, 5, 12, 3, tzinfo=UTC)
TAKEN_BACK = Ending(Status.REVOKED, NOON, Channel.WEB, "zhangsan", Capacity.APPROVER)
APPROVED = Ending(Status.APPROVED, NOON, Channel.TEXT, "zhangsan", Capacity.APPROVER)
REQUEST_ID = "5f0a4d9c-0d0e-4c5b-9a55-1f7a3f0f5a10"


@dataclass(frozen=True)
class KnownProblem:
    """One code that an engine may meet."""

    error: Exception
    when: str
    """What is the case, after "when"."""
    model: type[answers.Problem] = answers.Problem

    @property
    def problem(self) -> Problem:
        """What becomes of the error on its way to the engine."""
        problem = problem_of(self.error)
        assert problem is not None  # noqa: S101  # a test goes through all of them
        return problem

    @property
    def example(self) -> dict[str, Any]:
        return {**self.problem.body, "request_id": REQUEST_ID}


UNAUTHORIZED = KnownProblem(unauthorized(), "there is no token, or none of this service")
NO_TOKEN_CONFIGURED = KnownProblem(no_token_configured(), "the settings give no engine a token")
TOO_MANY = KnownProblem(
    too_many_requests(1000, 0.2), "a token makes more requests a second than the settings allow"
)
NOT_JSON = KnownProblem(
    not_json("Expecting value: line 1 column 1 (char 0)"), "the body is not JSON by RFC 8259"
)
TOO_LARGE = KnownProblem(web.HTTPRequestEntityTooLarge(262144, 300000), "the body is too large")
MEDIA_TYPE = KnownProblem(unsupported_media_type(), "the body is of another kind")
INVALID_BODY = KnownProblem(
    invalid("run", "Input should be greater than or equal to 1"),
    "a field or parameter is wrong, missing or unknown; `errors` names each",
)
INVALID_QUERY = KnownProblem(
    invalid("limt", "is not a parameter of this request"),
    "a parameter is wrong or unknown; `errors` names each",
)
NOBODY_CAN_DECIDE = KnownProblem(
    errors.NobodyCanDecide("zhangsan"), "the requester is the only approver"
)
CONFLICTING = KnownProblem(
    errors.ConflictingRequest("12345_2"),
    "this run was asked before with other contents, or by another engine",
)
UNKNOWN_APPROVAL = KnownProblem(
    errors.UnknownApproval("00000000-0000-5000-8000-000000000000"),
    "there is no such approval, or it is another engine's",
)
ALREADY_DECIDED = KnownProblem(
    errors.AlreadyDecided("12345_2", APPROVED),
    "it ended before; `decision` says how",
    answers.ProblemWithDecision,
)
BAD_PERMIT = KnownProblem(
    errors.BadPermit(), "it is no permit that this service gave to this engine, or its key is void"
)
ACTION_DIFFERS = KnownProblem(
    errors.ActionDiffers("12345_2"), "what would be done is not what was approved"
)
ALREADY_REDEEMED = KnownProblem(
    errors.AlreadyRedeemed("12345_2", NOON), "another attempt was first, or an outcome was reported"
)
PERMIT_EXPIRED = KnownProblem(
    errors.PermitExpired("12345_2"), "its time is over; it is never renewed"
)
REVOKED = KnownProblem(
    errors.Revoked("12345_2", TAKEN_BACK), "the approval was taken back before it was used"
)
FROZEN = KnownProblem(
    errors.Frozen(Frozen(NOON, "shell:root", "网络变更")),
    "approving and redeeming are stopped for everybody",
)
NOT_APPROVED = KnownProblem(errors.NotApproved("12345_2"), "it is not approved")
OUTCOME_DIFFERS = KnownProblem(
    errors.OutcomeDiffers("12345_2", "succeeded"), "another outcome was reported before"
)
UNKNOWN_WEBHOOK = KnownProblem(
    errors.UnknownWebhook(12),
    "no decision at that position is pushed, or it is another engine's",
)
ALREADY_DELIVERED = KnownProblem(errors.AlreadyDelivered(12), "its engine took it")
NOT_UNDELIVERED = KnownProblem(errors.NotUndelivered(12), "it is still being tried")
POSITION_UNKNOWN = KnownProblem(
    PositionUnknown(), "`after` lies beyond the last position: the store was put back"
)
OVERLOADED = KnownProblem(Overloaded(), "the queue is full; nothing was recorded")
UNAVAILABLE = KnownProblem(Behind(), "the database or the read models do not answer in time")
INTERNAL = KnownProblem(internal_error(), "something failed that nobody foresaw; it is logged")

# About the address itself, before any operation is known.
NOT_FOUND = KnownProblem(web.HTTPNotFound(), "there is nothing at this address")
METHOD = KnownProblem(
    web.HTTPMethodNotAllowed("PUT", ["GET", "POST"]), "the address takes other methods"
)
OF_ADDRESSES = (NOT_FOUND, METHOD)

# What only members hear, in the chat or on a page.
NOT_FOR_ENGINES = {
    errors.NotAnApprover,
    errors.OwnRequest,
    errors.NotFromList,
    errors.LoginTooOld,
    errors.OpenItFirst,
    errors.NothingDecided,
    errors.UnclearWhich,
    errors.LoginUsed,
    errors.SettingsMoved,
    errors.LinkSpent,
    errors.TooLateToRevoke,
}
