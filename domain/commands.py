"""Every command, on one screen: plain data that says who wants what, and when it reached us."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from domain.configuration import Change, Via
from domain.decision import Channel, Kind, Outcome, Risk, Verdict
from domain.notifications import Way


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestApproval:
    """An engine asks. The same request again finds the same approval."""

    at: datetime
    engine: str
    obj_id: str
    message: str
    approvers: list[str]
    run: int = 1
    kind: Kind = Kind.SOLUTION
    expires_in: int = 1200
    biz_id: str | None = None
    requested_by: str | None = None
    risk: Risk = Risk.MEDIUM
    action: str | None = None
    """RFC 8785 text of what will be done."""
    action_digest: str | None = None
    details: dict[str, str] = field(default_factory=dict)
    callback_url: str | None = None
    test: bool = False
    """An administrator tries the way to a member; nothing waits for the answer, and it is no
    decision that an engine hears of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestNextRun:
    """An engine asks by FTA's old API, which knows no runs: the one that waits, or the next."""

    at: datetime
    engine: str
    obj_id: str
    message: str
    approvers: list[str]
    callback_url: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A member wrote to the application. What it decides, if anything, is the domain's business."""

    at: datetime
    by: str
    words: str
    delivery_key: str
    """The same for a repeated delivery of the same message."""
    channel: Channel = Channel.TEXT
    verdict: Verdict | None = None
    reply_id: str | None = None
    reason: str | None = None
    doubt: str | None = None
    """Code of what keeps these words from deciding anything."""
    sent_at: datetime | None = None
    """When WeCom says it was sent; kept for the record, decides nothing."""
    card: str | None = None
    """The name of the card that was tapped."""
    response_code: str | None = None
    """Came with a tap on a card, and changes that card once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decide:
    """A logged-in member pressed a button on a page."""

    at: datetime
    by: str
    reply_id: str
    verdict: Verdict
    logged_in_at: datetime
    """When the login was made under which the button was pressed."""
    reason: str | None = None
    from_list: bool = False
    """Pressed in the list, without having opened the approval."""
    batch: str | None = None
    """What all decisions have in common that were made by one press."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenPage:
    """A logged-in member opened the page of an approval."""

    at: datetime
    by: str
    reply_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Cancel:
    """The engine that asked no longer wants an answer."""

    at: datetime
    engine: str
    reply_id: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Expire:
    """The clock: the deadline passed. Before it, or after another end, nothing happens."""

    at: datetime
    reply_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Remind:
    """The clock: most of the time is over. After an end, too late, or again, nothing happens."""

    at: datetime
    reply_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Revoke:
    """A logged-in member takes back an approval that has not been used yet."""

    at: datetime
    by: str
    reply_id: str
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Redeem:
    """An engine is about to act, and shows the permit; its signature was found good."""

    at: datetime
    engine: str
    reply_id: str
    permit: Mapping[str, Any]
    """The claims."""
    attempt: str
    """The engine's name for this execution. The same one again finds the same answer."""
    action_digest: str | None = None
    """Of what it is about to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportOutcome:
    """The engine has acted, or will not. The same outcome again changes nothing."""

    at: datetime
    engine: str
    reply_id: str
    outcome: Outcome
    detail: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FreezeApprovals:
    """An administrator stops all approving. Again for the same reason: nothing happens."""

    at: datetime
    by: str
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ThawApprovals:
    """An administrator lets it go on."""

    at: datetime
    by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Greet:
    """A member came to the application, and is told what waits for them: once an hour."""

    at: datetime
    by: str
    delivery_key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordLeaving:
    """A member has left the application's visible range, or the corp."""

    at: datetime
    by: str
    delivery_key: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordDelivery:
    """What became of one message to one member: our own sender learned it."""

    at: datetime
    stream: str
    notice: str
    """Which message: `ask/zhangsan`, `answer/7`. The same one again changes nothing."""
    to: str
    problem: str | None = None
    """None when WeCom took it; else what is wrong, in a sentence."""
    unreachable: bool = False
    cut: bool = False
    """What was shown is less than the whole message."""
    way: Way = Way.TEXT
    """As what it was sent."""
    response_code: str | None = None
    """Changes the card that was sent, once; of a changed card, the one that was used for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordWebhook:
    """What came of one try to push a decision to its engine: our own sender learned it."""

    at: datetime
    reply_id: str
    delivery: int
    """The position of the decision."""
    attempt: int
    """Which try it was, from 1 on. The same one again changes nothing."""
    problem: str | None = None
    """None when the engine took it; else what is wrong, in a sentence."""
    down: bool = False
    """The destination is to blame, and with it everything else that goes there has to wait."""
    released: list[int] = field(default_factory=list)
    """Other deliveries that failed because the destination was down, which it is no more: they need
    not wait for their time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RedeliverWebhook:
    """Somebody wants a decision pushed once more that was given up."""

    at: datetime
    by: str
    channel: str
    """`api` for an engine, `shell` for an administrator."""
    reply_id: str
    delivery: int
    engine: str | None = None
    """Whose approval it has to be; None for an administrator."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenSession:
    """A member logged in. `session` is the SHA-256 of the cookie's value, never the value."""

    at: datetime
    session: str
    by: str
    expires_at: datetime
    state: str | None = None
    """The SHA-256 of the state with which they came back from WeCom; it opens one session."""
    replaces: str | None = None
    """The session that this browser had before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EndSession:
    """A member logged out."""

    at: datetime
    session: str
    why: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EndSessionsOf:
    """A member's phone is lost, or they lost the right to be here: every login of theirs ends."""

    at: datetime
    by: str
    """The member whose sessions they are."""
    why: str
    """A short code, kept with the event: `ended-by-administrator`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeSettings:
    """Somebody sets settings, having seen those of a revision."""

    at: datetime
    by: str
    """A userid, `shell:ACCOUNT`, or `link:…` for who came by the one-time link."""
    via: Via
    revision: int
    change: Change


@dataclass(frozen=True, kw_only=True, slots=True)
class FindEnvironment:
    """The service starts with an environment that sets this, and nothing else."""

    at: datetime
    found: Change


@dataclass(frozen=True, kw_only=True, slots=True)
class OfferLink:
    """A one-time link to the configuration page. `link` is the SHA-256 of its secret."""

    at: datetime
    by: str
    link: str
    expires_at: datetime
    only_without_admins: bool = False
    """The service's own, at its start: not where somebody has set admins meanwhile."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UseLink:
    """Somebody opened it and pressed the button: a session of theirs, for the configuration."""

    at: datetime
    link: str
    session: str
    expires_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordSearch:
    """Somebody is about to see what some filters find in the history."""

    at: datetime
    by: str
    """A userid, or `shell:ACCOUNT`."""
    via: str
    """`page` or `shell`."""
    wanted: Mapping[str, str]
    """Names of filters and what they were set to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordLook:
    """Somebody is about to see everything that happened to one approval."""

    at: datetime
    by: str
    via: str
    reply_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordExport:
    """Somebody is about to take a part of the history away."""

    at: datetime
    by: str
    via: str
    what: str
    wanted: Mapping[str, str]
    form: str
    pseudonyms: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordVerification:
    """Everything up to a position was computed anew, and this came of it."""

    at: datetime
    by: str
    via: str
    """`shell`, or `service` where it was by itself."""
    tree_size: int
    position: int
    root_hash: str
    problem: str | None = None


Command = (
    RequestApproval
    | RequestNextRun
    | Reply
    | Decide
    | OpenPage
    | Cancel
    | Expire
    | Revoke
    | Redeem
    | ReportOutcome
    | FreezeApprovals
    | ThawApprovals
    | Remind
    | Greet
    | RecordLeaving
    | RecordDelivery
    | RecordWebhook
    | RedeliverWebhook
    | OpenSession
    | EndSession
    | EndSessionsOf
    | ChangeSettings
    | FindEnvironment
    | OfferLink
    | UseLink
    | RecordSearch
    | RecordLook
    | RecordExport
    | RecordVerification
)
