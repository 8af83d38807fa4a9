"""What somebody chose, who they are, and how it reached us."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Verdict(StrEnum):
    """What a person chose."""

    APPROVE = "approve"
    REJECT = "reject"


class Channel(StrEnum):
    """How something reached us; the value is the `decided_via` of the engine API, which has none
    for SHELL (projections/document.py)."""

    TEXT = "wecom-text"
    CARD = "wecom-card"
    WEB = "web"
    CLOCK = "clock"
    API = "api"
    SHELL = "shell"
    """A command on the server: the store was restored."""


class Capacity(StrEnum):
    """In which capacity a person decided."""

    APPROVER = "approver"
    SUPER_APPROVER = "super-approver"


class Status(StrEnum):
    """Where an approval stands; everything but PENDING is an end, except that a later revocation
    turns APPROVED into REVOKED."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REVOKED = "revoked"


class Risk(StrEnum):
    """How dangerous the repair is; HIGH is never decided from a list or without its id."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Kind(StrEnum):
    """Which of FTA's two mechanisms asks; chooses wording only."""

    SOLUTION = "solution"
    CONVERGENCE = "convergence"


class Outcome(StrEnum):
    """What became of the action that was approved, as the engine reports it."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Ending:
    """How an approval ended: what everybody who comes later is told."""

    status: Status
    at: datetime
    via: Channel
    by: str | None = None
    """The userid as WeCom spelled it; the engine if it cancelled; None if nobody decided: the clock
    ended it, or a restore of the store, which is named by its event."""
    capacity: Capacity | None = None
    reason: str | None = None
