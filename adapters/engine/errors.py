"""What a call of an engine may end in other than its answer.

    EngineError
    ├── Unreachable             no usable answer within the patience given: nothing is known
    ├── StillPending            nobody decided within the time that `wait` was given
    ├── FeedChanged             the positions kept belong to another feed: the service was restored
    ├── LogWentBack             the service's history is not the one that it showed before
    ├── UnexpectedAnswer        not what the contract says
    │   └── OtherApproval       an approval other than the one that was asked about
    └── Refused                 the service turned the request down; again it would do the same
        ├── Unauthorized        the token is wrong or has ended
        ├── UnknownApproval     no approval has that id, or not for this engine
        ├── ConflictingRequest  the (obj_id, run) is taken by a request that differs
        ├── AlreadyDecided      it ended before; `decision` says how
        ├── AlreadyRedeemed     the permit was used by another attempt
        ├── PermitExpired       too late: ask the next run
        ├── BadPermit           no permit of this service for this engine
        ├── ActionDiffers       what is to be done is not what was approved
        ├── Revoked             the approval was taken back
        ├── Frozen              nothing may be redeemed at present
        ├── NotApproved         an outcome of what nobody approved
        └── OutcomeDiffers      another outcome was reported before

After any of them an engine that has not redeemed does not act. Neither the token nor a permit
stands in one of them, in its causes or in its context.
"""

from collections.abc import Mapping
from typing import Any


class EngineError(Exception):
    """Whatever this client raises about the service."""


class Unreachable(EngineError):
    """
    No connection, no answer in time, or one that says to come again.

    The request may or may not have been carried out: the same one again finds out.
    """

    def __init__(self, why: str, retry_after_s: float = 0.0) -> None:
        self.retry_after_s = retry_after_s
        """What the service asked to wait, if it did."""
        super().__init__(why)


class StillPending(EngineError, TimeoutError):
    """The approval still waits; nothing is decided by that."""

    def __init__(self, reply_id: str) -> None:
        super().__init__(f"nobody has decided {reply_id} yet")


class FeedChanged(EngineError):
    """
    The service does not have the feed that the position is of; nothing was read from the other one.

    What to do is for the engine: begin after 0 or elsewhere, and look up what it waits for.
    """

    def __init__(self, expected: str | None, found: str | None, after: int) -> None:
        self.expected, self.found, self.after = expected, found, after
        super().__init__(
            f"position {after} is of feed {expected or '(unknown)'}; "
            f"the service has {found or 'one that does not know it'}"
        )


class LogWentBack(EngineError):
    """
    A tree head covers less than one of the same log that was signed before it, or another past.

    Somebody took events away or altered them: tell whoever answers for the service, and keep both.
    A restore does not do this; it begins a log of another name.
    """

    def __init__(self, known: Any, shown: Any) -> None:
        self.known, self.shown = known, shown
        super().__init__(
            f"log {known.log_id} was shown with {known.tree_size} events at {known.timestamp}, and "
            f"is shown with {shown.tree_size} at {shown.timestamp}: its history was altered"
        )


class UnexpectedAnswer(EngineError):
    """The answer is not as the contract says; it is not used."""


class OtherApproval(UnexpectedAnswer):
    """The service answered with an approval of another run, engine or action; it is not used."""


class Refused(EngineError):
    """
    The service answered, and the same request will not do better.

    `code` is for programs and never changes; the text is the service's sentence for people.
    """

    def __init__(self, code: str, status: int, detail: str, document: Mapping[str, Any]) -> None:
        self.code, self.status, self.detail = code, status, detail
        self.document = document
        """The whole problem document (RFC 9457)."""
        super().__init__(f"{code}: {detail}")


class Unauthorized(Refused):
    pass


class UnknownApproval(Refused):
    pass


class ConflictingRequest(Refused):
    pass


class AlreadyDecided(Refused):
    @property
    def decision(self) -> Mapping[str, Any]:
        """How it ended: `status`, `decided_at`, `decided_by`, `decided_via`, `reason`."""
        found = self.document.get("decision")
        return found if isinstance(found, Mapping) else {}


class AlreadyRedeemed(Refused):
    pass


class PermitExpired(Refused):
    pass


class BadPermit(Refused):
    pass


class ActionDiffers(Refused):
    pass


class Revoked(Refused):
    pass


class Frozen(Refused):
    pass


class NotApproved(Refused):
    pass


class OutcomeDiffers(Refused):
    pass


BY_CODE: Mapping[str, type[Refused]] = {
    "unauthorized": Unauthorized,
    "no-api-token-configured": Unauthorized,
    "unknown-approval": UnknownApproval,
    "conflicting-request": ConflictingRequest,
    "already-decided": AlreadyDecided,
    "already-redeemed": AlreadyRedeemed,
    "permit-expired": PermitExpired,
    "bad-permit": BadPermit,
    "action-differs": ActionDiffers,
    "revoked": Revoked,
    "frozen": Frozen,
    "not-approved": NotApproved,
    "outcome-differs": OutcomeDiffers,
}


def refused(code: str, status: int, detail: str, document: Mapping[str, Any]) -> Refused:
    """The refusal with that code, by its own name where an engine acts on it."""
    return BY_CODE.get(code, Refused)(code, status, detail, document)
