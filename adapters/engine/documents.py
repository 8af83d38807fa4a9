"""What the service answers, as values: approval, decision, permit (contract 4.1, 4.3, 4.5)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

import rfc8785

from adapters.engine.errors import OtherApproval


class Status(StrEnum):
    """How an approval stands. Only `approved` lets anything be done."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REVOKED = "revoked"
    UNKNOWN = "unknown"
    """A word of a newer service: certainly not one that this client may act on."""

    @classmethod
    def _missing_(cls, value: object) -> Self:
        return cls("unknown")


class Outcome(StrEnum):
    """What came of an approved action."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Identity:
    """What one approval is for. Where any of it differs, it is another approval."""

    approval_id: str
    obj_id: str
    run: int
    engine: str
    action_digest: str | None


@dataclass(frozen=True, slots=True)
class Permit:
    """The leave to do one action once: what `redeem` takes. Its text is shown to nobody."""

    text: str = field(repr=False)
    of: Identity
    """The approval that it came with; the answer to redeeming it must be about that one."""


@dataclass(frozen=True, slots=True)
class Notification:
    """Whether a member was reached: `pending`, `sent`, `unreachable` or `failed`."""

    userid: str
    state: str
    detail: str | None


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval as the service told it at one moment; field by field as in the contract."""

    approval_id: str
    number: int
    obj_id: str
    run: int
    reply_id: str
    message: str
    engine: str
    approvers: tuple[str, ...]
    action_digest: str | None
    status: Status
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    decided_via: str | None
    capacity: str | None
    reason: str | None
    kind: str | None
    risk: str | None
    biz_id: str | None
    requested_by: str | None
    details: Mapping[str, str] = field(hash=False)
    notifications: tuple[Notification, ...]
    permit: Permit | None
    """
    In the decision `approved` of the engine's own approval, and nowhere else. Without one there
    nothing may be done: the service is older than permits, or the permit is void.
    """

    @property
    def identity(self) -> Identity:
        return Identity(self.approval_id, self.obj_id, self.run, self.engine, self.action_digest)

    @property
    def has_ended(self) -> bool:
        return self.status is not Status.PENDING

    def must_be(self, asked: Identity) -> Self:
        """
        This approval, if it is the one that was asked about.

        Raises:
            OtherApproval
        """
        if self.identity != asked:
            raise OtherApproval(f"asked about {asked}, answered with {self.identity}")
        return self


@dataclass(frozen=True, slots=True)
class Decision:
    """The end of one approval, at its position in the feed. What a position says never changes."""

    position: int
    type: str
    time: datetime
    approval: Approval
    feed_id: str | None
    """Which feed the position is of; keep both together. None: the service does not say."""

    @property
    def permit(self) -> Permit | None:
        return self.approval.permit


def action_digest(action: Mapping[str, Any] | None) -> str | None:
    """
    `sha256:` and the hex of the SHA-256 of the action's RFC 8785 form.

    Raises:
        ValueError: It is no JSON, or has a number that not every program reads alike.
    """
    if action is None:
        return None
    return "sha256:" + hashlib.sha256(rfc8785.dumps(dict(action))).hexdigest()
