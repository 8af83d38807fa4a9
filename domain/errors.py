"""Every refusal, with its code.

    Refusal
    ├── ConflictingRequest    the same (obj_id, run), asked differently or by another engine
    ├── NobodyCanDecide       the requester is the only approver
    ├── UnknownApproval       no approval has that name, or not for whoever asks
    ├── NotAnApprover         a person without the right to decide it
    ├── OwnRequest            the requester may not decide
    ├── AlreadyDecided        it ended before; the first end stands
    ├── NotFromList           high risk is decided on its own page, or with its id, only
    ├── LoginTooOld           a high risk is approved on a page after a fresh login only
    ├── OpenItFirst           the message was too long to be shown whole
    ├── NothingDecided        words that decide nothing: unreadable, a question, doubt, several ids
    ├── UnclearWhich          a reply without an id, and more than one approval it could mean
    ├── Frozen                approving is stopped for everybody
    ├── NotApproved           only what was approved has an outcome, or can be revoked
    ├── TooLateToRevoke       redeemed, reported or expired
    ├── BadPermit             no permit of ours, or another engine's
    ├── ActionDiffers         the permit is for another action
    ├── AlreadyRedeemed       another attempt was first
    ├── PermitExpired         its time is over
    ├── Revoked               the approver took the approval back
    ├── OutcomeDiffers        another outcome was reported before
    ├── LoginUsed             the way back from WeCom was taken before
    ├── SettingsMoved         the settings were changed since they were looked at
    ├── LinkSpent             a link to the configuration page works once, and for an hour
    ├── UnknownWebhook        no webhook has that id, or not for whoever asks
    ├── AlreadyDelivered      a webhook that its engine took is not sent again
    └── NotUndelivered        a webhook that is still being tried needs no redelivery

`code` is for programs and never changes; the sentence is for the logs and the engine. What a
member reads is made from the code and the facts kept here, in adapters/wecom/messages.py.
"""

from collections.abc import Sequence
from datetime import datetime

from domain.decision import Ending
from domain.freeze import Frozen as Freeze


class Refusal(Exception):
    """The service turned a command down; what was asked for did not happen."""

    code = "refused"


class ConflictingRequest(Refusal):
    """The identity (obj_id, run) is taken by a request that differs, or by another engine's."""

    code = "conflicting-request"

    def __init__(self, reply_id: str) -> None:
        super().__init__(
            f"{reply_id} was asked before with other contents or by another engine; "
            "ask the next run, or send exactly the first request"
        )


class NobodyCanDecide(Refusal):
    """Without the requester no approver is left."""

    code = "nobody-can-decide"

    def __init__(self, requested_by: str) -> None:
        super().__init__(f"{requested_by} requests and cannot decide; name another approver")


class UnknownApproval(Refusal):
    """There is no such approval, or not for whoever asks: both sound the same."""

    code = "unknown-approval"

    def __init__(self, name: str, suggestions: Sequence[str] = ()) -> None:
        self.suggestions = list(suggestions)
        super().__init__(f"there is no approval {name}")


class NotAnApprover(Refusal):
    """The person is neither an approver of this approval nor a super approver."""

    code = "not-an-approver"

    def __init__(self, by: str, reply_id: str) -> None:
        super().__init__(f"{by} is not among the approvers of {reply_id}; nothing changed")


class OwnRequest(Refusal):
    """Who requests does not decide, whatever else they are."""

    code = "own-request"

    def __init__(self, by: str, reply_id: str) -> None:
        super().__init__(f"{by} requested {reply_id} and cannot decide it; nothing changed")


class AlreadyDecided(Refusal):
    """The approval ended before; the first end stands."""

    code = "already-decided"

    def __init__(self, reply_id: str, first: Ending) -> None:
        self.first = first
        who = f" by {first.by}" if first.by else ""
        super().__init__(
            f"{reply_id} was {first.status}{who} via {first.via} at {first.at.isoformat()}; "
            "nothing changed"
        )


class NotFromList(Refusal):
    """A high risk is never decided from a list, in a batch or without its id."""

    code = "high-risk-needs-its-page"

    def __init__(self, reply_id: str) -> None:
        super().__init__(f"{reply_id} is of high risk: open it or name its id; nothing changed")


class LoginTooOld(Refusal):
    """A high risk is approved by who logged in just now: a browser left open proves nobody."""

    code = "login-too-old"

    def __init__(self, reply_id: str) -> None:
        super().__init__(f"{reply_id} is of high risk: log in again to approve it; nothing changed")


class OpenItFirst(Refusal):
    """The message was cut, so the person cannot have read what will be executed."""

    code = "open-it-first"

    def __init__(self, reply_id: str) -> None:
        super().__init__(f"the message of {reply_id} did not fit: open its page; nothing changed")


class NothingDecided(Refusal):
    """The words decide nothing; `code` is the doubt that the grammar found."""

    def __init__(self, doubt: str) -> None:
        self.code = doubt
        super().__init__(f"the words decide nothing: {doubt}")


class UnclearWhich(Refusal):
    """A verdict without an id, where it is not certain which approval was meant."""

    code = "unclear-which"

    def __init__(self, suggestions: Sequence[str]) -> None:
        self.suggestions = list(suggestions)
        super().__init__("the reply names no approval and could mean more than one, or none")


class Frozen(Refusal):
    """Nothing is approved or redeemed for now; whoever tries is told why."""

    code = "frozen"

    def __init__(self, freeze: Freeze) -> None:
        self.freeze = freeze
        super().__init__(
            f"approving is frozen since {freeze.at.isoformat()} by {freeze.by}: {freeze.why}; "
            "nothing changed"
        )


class NotApproved(Refusal):
    """What was asked for presupposes an approval."""

    code = "not-approved"

    def __init__(self, reply_id: str) -> None:
        super().__init__(f"{reply_id} is not approved; nothing changed")


class TooLateToRevoke(Refusal):
    """The engine has been let through, or its time is over."""

    code = "too-late-to-revoke"

    def __init__(self, reply_id: str, why: str) -> None:
        super().__init__(f"{reply_id} cannot be revoked any more: {why}; nothing changed")


class BadPermit(Refusal):
    """Not a permit that this service gave to this engine."""

    code = "bad-permit"

    def __init__(self) -> None:
        super().__init__("this is no permit of this service for this engine; do not act on it")


class ActionDiffers(Refusal):
    """What the engine is about to do is not what was approved."""

    code = "action-differs"

    def __init__(self, reply_id: str) -> None:
        super().__init__(
            f"{reply_id} was approved for another action; do not act, ask the next run"
        )


class AlreadyRedeemed(Refusal):
    """An approval authorises one action once."""

    code = "already-redeemed"

    def __init__(self, reply_id: str, used_at: datetime | None) -> None:
        self.used_at = used_at
        when = f" at {used_at.isoformat()}" if used_at else ""
        super().__init__(f"{reply_id} was used{when} by another attempt; do not act on it again")


class PermitExpired(Refusal):
    """A permit is never renewed."""

    code = "permit-expired"

    def __init__(self, reply_id: str) -> None:
        super().__init__(f"the permit of {reply_id} has expired; ask the next run")


class Revoked(Refusal):
    """Whoever approved it, or a super approver, took it back before it was used."""

    code = "revoked"

    def __init__(self, reply_id: str, ending: Ending) -> None:
        self.first = ending
        super().__init__(
            f"{reply_id} was revoked by {ending.by} at {ending.at.isoformat()}; do not act on it"
        )


class OutcomeDiffers(Refusal):
    """The outcome of an execution is reported once."""

    code = "outcome-differs"

    def __init__(self, reply_id: str, outcome: str) -> None:
        super().__init__(f"{reply_id} was reported as {outcome} before; nothing changed")


class LoginUsed(Refusal):
    """Somebody came back from WeCom with this very state before; it counts once."""

    code = "login-used"

    def __init__(self) -> None:
        super().__init__("this login was completed before; set out anew")


class SettingsMoved(Refusal):
    """Who changes the settings has to have seen what is in force."""

    code = "settings-moved"

    def __init__(self) -> None:
        super().__init__(
            "the settings were changed meanwhile; nothing was changed now: look again, then repeat"
        )


class LinkSpent(Refusal):
    """A link to the configuration page works once, for a while, and only the last one made."""

    code = "link-spent"

    def __init__(self) -> None:
        super().__init__(
            "this link was used, has expired, or a newer one was made; "
            "fta-approval settings link makes another"
        )


class UnknownWebhook(Refusal):
    """No decision at that position is pushed anywhere, or not for whoever asks."""

    code = "unknown-webhook"

    def __init__(self, delivery: object) -> None:
        super().__init__(f"there is no webhook {delivery}")


class AlreadyDelivered(Refusal):
    """The engine took it; that is never taken back."""

    code = "already-delivered"

    def __init__(self, delivery: int) -> None:
        super().__init__(f"webhook {delivery} was delivered; nothing is sent again")


class NotUndelivered(Refusal):
    """It has not been given up: its next try is on its way."""

    code = "not-undelivered"

    def __init__(self, delivery: int) -> None:
        super().__init__(
            f"webhook {delivery} has not been given up and is still being tried; nothing changed"
        )
