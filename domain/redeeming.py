"""What keeps a permit from being redeemed, and an approval from being revoked: named rules in
order; the first refusal wins (contract 4.5)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from domain import errors
from domain.decision import Status
from domain.freeze import Frozen

if TYPE_CHECKING:
    from domain.approval import Approval


@dataclass(frozen=True, kw_only=True, slots=True)
class Redemption:
    """An engine is about to act, and asks whether it may."""

    at: datetime
    by: str
    """The engine."""
    attempt: str
    """The engine's own name for this execution; the same one may ask again."""
    action_digest: str | None
    """Of what it is about to do."""
    frozen: Frozen | None = None


Rule = Callable[["Approval", Redemption], errors.Refusal | None]


def the_approved_action(approval: "Approval", redemption: Redemption) -> errors.Refusal | None:
    """What will be done is what was shown to the approver, to the last byte."""
    if redemption.action_digest != approval.requested.action_digest:
        return errors.ActionDiffers(approval.reply_id)
    return None


def nothing_is_frozen(approval: "Approval", redemption: Redemption) -> errors.Refusal | None:
    """An attempt that was let through before waits too: the freeze is for what has not begun."""
    return errors.Frozen(redemption.frozen) if redemption.frozen is not None else None


def not_revoked(approval: "Approval", redemption: Redemption) -> errors.Refusal | None:
    """The approver has thought better of it."""
    if approval.status is Status.REVOKED and approval.ending is not None:
        return errors.Revoked(approval.reply_id, approval.ending)
    return None


def not_used(approval: "Approval", redemption: Redemption) -> errors.Refusal | None:
    """Once: neither redeemed before, nor acted on without."""
    if approval.redeemed is not None or approval.outcome is not None:
        return errors.AlreadyRedeemed(approval.reply_id, approval.used_at)
    return None


def in_time(approval: "Approval", redemption: Redemption) -> errors.Refusal | None:
    """A permit is never renewed; later the engine asks the next run."""
    if approval.permit is None or approval.permit.is_expired(redemption.at):
        return errors.PermitExpired(approval.reply_id)
    return None


EACH_TIME: tuple[Rule, ...] = (the_approved_action, nothing_is_frozen)
"""Also for an attempt that was let through before, whose answer may have been lost."""
AT_FIRST: tuple[Rule, ...] = (not_revoked, not_used, in_time)


def first_refusal(
    rules: tuple[Rule, ...], approval: "Approval", redemption: Redemption
) -> errors.Refusal | None:
    """What the first rule that objects has to say, or None."""
    return next((no for rule in rules if (no := rule(approval, redemption)) is not None), None)


def refusal_to_revoke(approval: "Approval", at: datetime) -> errors.Refusal | None:
    """Why it is too late to take back an approval; None while it is not."""
    if approval.status is Status.REVOKED and approval.ending is not None:
        return errors.AlreadyDecided(approval.reply_id, approval.ending)
    if approval.status is not Status.APPROVED:
        return errors.NotApproved(approval.reply_id)
    if approval.redeemed is not None:
        return errors.TooLateToRevoke(approval.reply_id, "its permit was redeemed")
    if approval.outcome is not None:
        return errors.TooLateToRevoke(approval.reply_id, "its outcome was reported")
    if approval.permit is None or approval.permit.is_expired(at):
        return errors.TooLateToRevoke(approval.reply_id, "its permit has expired")
    return None
