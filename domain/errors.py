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
    └── LoginUsed             the way back from WeCom was taken before

`code` is for programs and never changes; the sentence is for the logs and the engine. What a
member reads is made from the code and the facts kept here, in adapters/wecom/messages.py.
"""

from collections.abc import Sequence

from domain.decision import Ending


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


class LoginUsed(Refusal):
    """Somebody came back from WeCom with this very state before; it counts once."""

    code = "login-used"

    def __init__(self) -> None:
        super().__init__("this login was completed before; set out anew")
