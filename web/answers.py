"""What the engine API answers, as models: the OpenAPI document is made from them.

Answers themselves are made elsewhere, mostly in projections/document.py; tests hold every one of
them against these models, so that neither has a field that the other lacks.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from domain.decision import Capacity, Kind, Risk, Status

Time = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
        json_schema_extra={"format": "date-time", "examples": ["2026-01-05T12:00:00.000Z"]},
    ),
]
Uuid = Annotated[
    str,
    Field(
        pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        json_schema_extra={"format": "uuid"},
    ),
]
Position = Annotated[int, Field(ge=0)]
DecidedVia = Literal["wecom-text", "wecom-card", "web", "clock", "api"]
"""The contract's list, which is closed; see projections/document.py."""


class Answered(BaseModel):
    """Every field is always there. More may be added later: ignore those that you do not know."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True, strict=True)


class Notification(Answered):
    """What became of the message that asks one member."""

    userid: str
    """As the engine or the settings spelled it."""
    state: Literal["pending", "sent", "unreachable", "failed"]
    """`unreachable`: the member is outside the application's visible range, or has left."""
    detail: str | None
    """Why it failed, in words."""


class Approval(Answered):
    """An approval as it is at one moment."""

    approval_id: Uuid
    number: Annotated[int, Field(ge=1)]
    """Position of its request in the event sequence: unique, only grows, with gaps."""
    obj_id: str
    run: Annotated[int, Field(ge=1)]
    reply_id: str
    """What an approver types: `obj_id` for run 1, `obj_id.RUN` for later ones."""
    kind: Annotated[Kind, Field(strict=False)]
    message: str
    """One line: what breaks a line or turns its direction has become a blank."""
    risk: Annotated[Risk, Field(strict=False)]
    biz_id: str | None
    requested_by: str | None
    """Is not asked and cannot decide."""
    engine: str
    """The name of the token with which it was asked."""
    approvers: list[str]
    """Without doubles, the first spelling kept."""
    action_digest: Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")] | None
    """SHA-256 of the RFC 8785 form of `action`; null without one."""
    details: dict[str, str]
    status: Annotated[Status, Field(strict=False)]
    requested_at: Time
    expires_at: Time
    """From this moment on a decision is too late."""
    decided_at: Time | None
    decided_by: str | None
    """The userid as WeCom spelled it; null for expired, the engine's name for cancelled; null where
    nobody cancelled it but a restore of the store did, reason `restored`."""
    decided_via: DecidedVia | None
    capacity: Annotated[Capacity, Field(strict=False)] | None
    reason: str | None
    """The member's words; for cancelled as given."""
    notifications: list[Notification]


class ApprovalPage(Answered):
    """A page of approvals, in the order in which they were asked."""

    approvals: list[Approval]
    next: str | None
    """Send it as `after` for the next page; null on the last one."""


class Event(Answered):
    """One thing that happened, as it is stored for ever."""

    position: Annotated[int, Field(ge=1)]
    type: Annotated[str, Field(examples=["approval.requested", "approval.approved"])]
    at: Time
    by: str | None
    """Who acted: a userid, or an engine; null for what the service did by itself."""
    via: str | None
    data: dict[str, Any]
    """By type. Types and fields are only added."""


class EventList(Answered):
    """Everything that happened to one approval, oldest first."""

    events: list[Event]


class DecidedApproval(Approval):
    """An approval as it was when it ended."""

    permit: str | None = None
    """Of an approval, and only for the engine that asked: a JWS (EdDSA) to be redeemed before its
    `exp`."""


class Decision(Answered):
    """The end of an approval as a CloudEvents 1.0 object. What a position says never changes."""

    specversion: Literal["1.0"]
    id: Annotated[str, Field(pattern="^[0-9]+$")]
    """The position in the one event sequence."""
    source: Literal["/fta-approval"]
    type: Literal[
        "fta.approval.approved",
        "fta.approval.rejected",
        "fta.approval.expired",
        "fta.approval.cancelled",
        "fta.approval.revoked",
    ]
    subject: str
    """The `reply_id`."""
    time: Time
    datacontenttype: Literal["application/json"]
    data: DecidedApproval


class TreeHead(Answered):
    """How many events there were at one moment, and the hash that covers them (docs/audit.md)."""

    log_id: str
    """That of the store: the `feed_id`."""
    tree_size: Annotated[int, Field(ge=1)]
    position: Annotated[int, Field(ge=1)]
    """Of the last event covered."""
    timestamp: Time
    root_hash: Annotated[str, Field(pattern="^[A-Za-z0-9+/]{43}=$")]
    key_id: str
    signature: Annotated[str, Field(pattern="^[A-Za-z0-9+/]{86}==$")]
    """Ed25519, over the canonical JSON (RFC 8785) of the other fields."""


class DecisionPage(Answered):
    """The next decisions after a position."""

    decisions: list[Decision]
    next: Position
    """The last position given, or `after` if there was none: send it as the next `after`."""
    feed_id: str
    """Names the store. Another one: it was put back, and positions mean something else."""
    tree_head: TreeHead | None
    """The newest signed one: keep it, and nobody can alter what it covers unnoticed. Null before
    the first."""


class Webhook(Answered):
    """A decision that its engine has not taken yet."""

    id: Annotated[str, Field(pattern="^[0-9]+$")]
    """That of the decision: its position."""
    webhook_id: str
    """The header `webhook-id` of every try."""
    approval_id: Uuid
    reply_id: str
    engine: str
    url: str
    """Where it goes, without the query."""
    state: Literal["waiting", "undelivered"]
    """`undelivered`: it was given up and waits for somebody who has it sent again."""
    attempts: Annotated[int, Field(ge=0)]
    problem: str | None
    """Of the last try, in a sentence; null before the first."""
    destination_down: bool
    """The last try failed because the whole destination is away."""
    last_attempt_at: Time | None
    next_attempt_at: Time | None
    """Null: at once, or when those before it to the same destination have got through."""


class WebhookPage(Answered):
    """A page of deliveries, by position."""

    webhooks: list[Webhook]
    next: str | None
    """Send it as `after` for the next page; null on the last one."""


class PublicKey(Answered):
    """A JWK (RFC 8037)."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: str
    kid: str
    """Stands in the header of each permit that this key signed."""
    use: Literal["sig"]
    alg: Literal["EdDSA"]


class KeySet(Answered):
    """A JWKS (RFC 7517)."""

    keys: list[PublicKey]


class WrongField(Answered):
    """One field of a request that is wrong, missing or unknown."""

    field: str
    detail: str


class Problem(Answered):
    """An error by RFC 9457."""

    type: Annotated[str, Field(pattern="^/problems/[a-z0-9-]+$")]
    title: str
    status: int
    code: Annotated[str, Field(pattern="^[a-z0-9-]+$")]
    """For programs; never changes."""
    detail: str
    """For people: what is the case, and what to change."""
    errors: list[WrongField]
    request_id: str
    """That of the header `X-Request-Id`; the log of the service has it too."""


class Ending(Answered):
    """How an approval ended."""

    status: Annotated[Status, Field(strict=False)]
    decided_at: Time
    decided_by: str | None
    decided_via: DecidedVia
    reason: str | None


class ProblemWithDecision(Problem):
    """Somebody, or the clock, was first."""

    decision: Ending
