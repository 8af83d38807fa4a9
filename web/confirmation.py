"""Confirming who one is before a high risk is approved: what its page says of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from aiohttp import web

from domain.aggregate import Event
from domain.approval import Approval
from domain.approvers import is_fresh
from domain.decision import Risk
from domain.errors import LoginTooOld
from domain.identity import same_person
from web import keys
from web.sessions import path_of_login
from web.shown import path_of


def confirmation(
    request: web.Request, approval: Approval, member: str, events: Sequence[Event], now: datetime
) -> dict[str, Any] | None:
    """
    What a member who may decide it has to know about their login, or None for nothing.

    `login` leads to it, None while it is fresh; `pressed` is when they pressed 同意 in vain, whose
    `reason` they need not write again.
    """
    if approval.risk is not Risk.HIGH:
        return None
    fresh, pressed = is_fresh(now - request[keys.LOGGED_IN_AT]), _pressed_in_vain(events, member)
    if fresh and pressed is None:
        return None
    page = path_of(request, approval.approval_id)
    return {
        "login": None if fresh else path_of_login(request, page),
        "pressed": pressed and request.app[keys.CLOCKFACE].show(pressed.timestamp, now),
        "reason": pressed.reason or "" if pressed else "",
    }


def _pressed_in_vain(events: Sequence[Event], member: str) -> Approval.Replied | None:
    """The member's last word, if all that it wanted was a fresh login."""
    replies = [e for e in events if isinstance(e, Approval.Replied)]
    last = next((r for r in reversed(replies) if same_person(r.by) == same_person(member)), None)
    return last if last is not None and last.refusal == LoginTooOld.code else None
