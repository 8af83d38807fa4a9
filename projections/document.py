"""An approval as programs see it (contract 4.1)."""

from datetime import UTC, datetime
from typing import Any

from domain.approval import Approval
from domain.decision import Channel


def document(approval: Approval) -> dict[str, Any]:
    """The approval as it is at this moment of its life; plain JSON."""
    asked, ending = approval.requested, approval.ending
    return {
        "approval_id": approval.approval_id,
        "number": approval.number,
        "obj_id": asked.obj_id,
        "run": asked.run,
        "reply_id": approval.reply_id,
        "kind": asked.kind,
        "message": asked.message,
        "risk": asked.risk,
        "biz_id": asked.biz_id,
        "requested_by": asked.requested_by,
        "engine": asked.engine,
        "approvers": asked.approvers,
        "action_digest": asked.action_digest,
        "details": asked.details,
        "status": approval.status.value,
        "requested_at": timestamp(asked.timestamp),
        "expires_at": timestamp(asked.expires_at),
        "decided_at": timestamp(ending.at) if ending else None,
        "decided_by": ending.by if ending else None,
        "decided_via": decided_via(ending.via) if ending else None,
        "capacity": ending.capacity.value if ending and ending.capacity else None,
        "reason": ending.reason if ending else None,
        "notifications": [
            {"userid": to.userid, "state": to.state, "detail": to.detail}
            for to in approval.deliveries.values()
        ],
    }


def timestamp(at: datetime) -> str:
    """UTC with milliseconds and a Z."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def decided_via(channel: Channel) -> str:
    """The contract has a closed list, and for what is cancelled one word (contract 4.1); that a
    restore did it is said by the reason, and by `decided_by`, which is empty then."""
    return (Channel.API if channel is Channel.SHELL else channel).value
