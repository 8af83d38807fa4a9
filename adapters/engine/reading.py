"""JSON of the service into values (contract 4.1, 4.3).

Fields that are not known are left aside, so that an older client reads a newer service; those that
are needed must be there and of their kind.
"""

from datetime import datetime
from typing import Any, TypeVar

from adapters.engine.documents import Approval, Decision, Identity, Notification, Permit, Status
from adapters.engine.errors import UnexpectedAnswer

Json = dict[str, Any]
T = TypeVar("T")
DECISION = "fta.approval."
OPTIONAL = (
    *("decided_by", "decided_via", "capacity", "reason"),
    *("kind", "risk", "biz_id", "requested_by"),
)


def read_approval(body: Any) -> Approval:
    """
    An approval from its JSON.

    Raises:
        UnexpectedAnswer: A field that is needed is missing or is not of its kind.
    """
    body = _kind(body, dict, "an approval")
    status = Status(_need(body, "status", str))
    identity = Identity(
        _need(body, "approval_id", str),
        _need(body, "obj_id", str),
        _whole(body, "run"),
        _need(body, "engine", str),
        _may(body, "action_digest", str, needed=True),
    )
    return Approval(
        approval_id=identity.approval_id,
        number=_whole(body, "number"),
        obj_id=identity.obj_id,
        run=identity.run,
        reply_id=_need(body, "reply_id", str),
        message=_need(body, "message", str),
        engine=identity.engine,
        approvers=_texts(body, "approvers"),
        action_digest=identity.action_digest,
        status=status,
        requested_at=_moment(body, "requested_at"),
        expires_at=_moment(body, "expires_at"),
        decided_at=_moment(body, "decided_at") if body.get("decided_at") is not None else None,
        **{name: _may(body, name, str) for name in OPTIONAL},
        details=dict(_may(body, "details", dict) or {}),
        notifications=_notifications(body),
        permit=_permit(body, status, identity),
    )


def read_decision(body: Any, position: str, feed_id: str | None) -> Decision:
    """
    A decision from its CloudEvent.

    Args:
        position: The `id` of the server-sent event, which must say the same.

    Raises:
        UnexpectedAnswer: As `read_approval`; or the parts of the event contradict each other.
    """
    body = _kind(body, dict, "a decision")
    kind, approval = _need(body, "type", str), read_approval(body.get("data"))
    if not position.isdecimal() or body.get("id") != position:
        raise UnexpectedAnswer("a decision whose position is not certain")
    if body.get("subject") != approval.reply_id or not approval.has_ended:
        raise UnexpectedAnswer(f"the decision at {position} is not the end of its approval")
    if Status(kind.removeprefix(DECISION)) is not approval.status:
        raise UnexpectedAnswer(f"the decision at {position} says {kind} and {approval.status}")
    return Decision(int(position), kind, _moment(body, "time"), approval, feed_id)


def _permit(body: Json, status: Status, identity: Identity) -> Permit | None:
    text = _may(body, "permit", str)
    return Permit(text, identity) if text and status is Status.APPROVED else None


def _notifications(body: Json) -> tuple[Notification, ...]:
    found = [_kind(one, dict, "a notification") for one in _may(body, "notifications", list) or []]
    return tuple(
        Notification(_need(one, "userid", str), _need(one, "state", str), _may(one, "detail", str))
        for one in found
    )


def _texts(body: Json, name: str) -> tuple[str, ...]:
    return tuple(_kind(one, str, name) for one in _need(body, name, list))


def _moment(body: Json, name: str) -> datetime:
    try:
        at = datetime.fromisoformat(_need(body, name, str))
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise UnexpectedAnswer(f"{name} is not a time in a time zone")
    return at


def _whole(body: Json, name: str) -> int:
    value = _need(body, name, int)
    if isinstance(value, bool):
        raise UnexpectedAnswer(f"{name} is not an int")
    return value


def _may(body: Json, name: str, kind: type[T], *, needed: bool = False) -> T | None:
    """What may be null; `needed`: but may not be missing."""
    if body.get(name) is None and not (needed and name not in body):
        return None
    return _need(body, name, kind)


def _need(body: Json, name: str, kind: type[T]) -> T:
    return _kind(body.get(name), kind, name)


def _kind(value: Any, kind: type[T], name: str) -> T:
    if not isinstance(value, kind):
        raise UnexpectedAnswer(f"{name} is missing, or not a {kind.__name__}")
    return value
