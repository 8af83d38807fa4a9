"""Everything that happened to one approval, for who looks back at it. Nothing can be pressed."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from aiohttp import web

from adapters.wecom.notices import OUTCOMES
from domain.aggregate import Event
from domain.approval import Approval
from domain.text import one_line
from projections.runs import runs_of
from projections.webhooks import shown_url
from web import keys
from web.audit.pages_filters import address, names_switch
from web.audit.pages_names import names_for
from web.audit.pages_reader import Reader, reader_of, record_look
from web.audit.pages_shown import Moment, moments, page_of, way_of
from web.detail import DELIVERY, visible_approval
from web.pages import render
from web.sessions import NotLoggedIn, login_first, logout_token, may_see
from web.shown import KIND, LONG_MESSAGE, RISK, STATUS, status_at
from web.timeline import how_it_ended, in_words
from web.translation import gettext
from web.vocabulary import NOT_REDEEMED, REFUSED, people, why

routes = web.RouteTableDef()

RUNS = 30
At = Callable[[datetime], Moment]
Happened = Sequence[tuple[int, Event]]


@routes.get("/audit/a/{approval_id}/")
async def approval_page(request: web.Request) -> web.StreamResponse:
    """
    The request, the answers, what was refused, who was told, what was done with it.

    Query: `names=hidden` shows members under other names.
    """
    try:
        reader = await reader_of(request)
    except NotLoggedIn:
        return login_first(request)
    approval = await visible_approval(request, reader.member)
    await record_look(request, reader, approval.reply_id)
    named = await names_for(request, reader)
    events = await request.app[keys.READING].events_of(approval.id)
    stored = [(position, named(event)) for position, event in events]
    return render(request, "audit_approval.html", await _context(request, reader, approval, stored))


async def _context(
    request: web.Request, reader: Reader, approval: Approval, stored: Happened
) -> dict[str, Any]:
    now, at = request.app[keys.CLOCK](), moments(request)
    # As of what is listed, and of what the names in it are: nothing is read twice.
    shown = Approval.replay(approval.id, [event for _, event in stored])
    return {
        "me": reader.member,
        "logout": logout_token(request),
        "zone": request.app[keys.SETTINGS].time_zone,
        "opened_at": at(now),
        "back": address(f"{request.app[keys.ADDRESSES].prefix}/audit/", reader, {}),
        "names": names_switch(request.path, reader, {}),
        "it": _headed(request, shown, now, lambda when: at(when).words),
        "asked": _asked(shown, at),
        "timeline": [_entry(position, event, at) for position, event in stored],
        "refused": [_refused(position, it, at) for position, it in stored if _is_refused(it)],
        "deliveries": _deliveries(shown, at),
        "permit": _permit(shown, stored, at),
        "outcome": _outcome(shown, at),
        "runs": await _other_runs(request, approval, reader, at),
    }


def _headed(
    request: web.Request, approval: Approval, now: datetime, show: Callable[[datetime], str]
) -> dict[str, Any]:
    status, ending = status_at(approval, now), approval.ending
    return {
        "id": approval.approval_id,
        "reply_id": approval.reply_id,
        "message": approval.requested.message,
        "is_long": len(approval.requested.message) > LONG_MESSAGE,
        "status": status.value,
        "status_words": gettext(STATUS[status]),
        "risk": approval.risk.value,
        "risk_words": gettext(RISK[approval.risk]),
        # Nobody is 您 here: it may be printed, and read by others.
        "ending": how_it_ended(approval, "", show),
        "reason": why(ending.reason) if ending else "",
    }


def _asked(approval: Approval, at: At) -> dict[str, Any]:
    """The request as it was sent."""
    asked = approval.requested
    names = {approver.casefold() for approver in asked.approvers}
    return {
        "engine": asked.engine,
        "way": way_of(asked),
        "requested_by": asked.requested_by,
        "biz_id": asked.biz_id,
        "kind": gettext(KIND[approval.kind]),
        "run": asked.run,
        "at": at(asked.timestamp),
        "until": at(asked.expires_at),
        "approvers": people(asked.approvers),
        "also_asked": people(it for it in asked.asked if it.casefold() not in names),
        "callback": asked.callback_url and shown_url(asked.callback_url),
        "details": list(asked.details.items()),
        "action": asked.action and _pretty(asked.action),
        "digest": asked.action_digest,
        "is_test": asked.test,
    }


def _entry(position: int, event: Event, at: At) -> dict[str, Any]:
    return {
        "position": position,
        "at": at(event.timestamp),
        "way": way_of(event),
        "words": in_words(event),
        "is_refused": _is_refused(event) or isinstance(event, Approval.RedemptionRefused),
    }


def _is_refused(event: Event) -> bool:
    return isinstance(event, Approval.Replied) and event.refusal is not None


def _refused(position: int, event: Any, at: At) -> dict[str, Any]:
    return {
        "position": position,
        "at": at(event.timestamp),
        "by": event.by,
        "way": way_of(event),
        "words": one_line(event.words),
        "reason": why(event.reason),
        "because": gettext(REFUSED.get(event.refusal, event.refusal)),
    }


def _deliveries(approval: Approval, at: At) -> list[dict[str, Any]]:
    return [
        {
            "to": to.userid,
            "state": to.state,
            "words": gettext(DELIVERY[to.state]),
            "why": to.detail,
            "at": to.at and at(to.at),
        }
        for to in approval.deliveries.values()
    ]


def _permit(approval: Approval, stored: Happened, at: At) -> dict[str, Any] | None:
    """What was issued with the approval and what became of it; None where there is none."""
    permit, redeemed = approval.permit, approval.redeemed
    refused = [event for _, event in stored if isinstance(event, Approval.RedemptionRefused)]
    if permit is None and redeemed is None and not refused:
        return None
    return {
        "at": permit and at(permit.issued_at),
        "until": permit and at(permit.expires_at),
        "key": permit and permit.key_id,
        "redeemed": redeemed and _attempt(redeemed, at),
        "refused": [
            {
                **_attempt(it, at),
                "because": gettext(NOT_REDEEMED.get(it.refusal, it.refusal)),
            }
            for it in refused
        ],
    }


def _attempt(event: Any, at: At) -> dict[str, Any]:
    return {"by": event.by, "attempt": one_line(event.attempt), "at": at(event.timestamp)}


def _outcome(approval: Approval, at: At) -> dict[str, Any] | None:
    if (outcome := approval.outcome) is None:
        return None
    return {
        "words": gettext(OUTCOMES[outcome.outcome]),
        "is_fine": outcome.outcome == "succeeded",
        "by": outcome.by,
        "at": at(outcome.timestamp),
        "detail": one_line(outcome.detail or ""),
    }


async def _other_runs(
    request: web.Request, approval: Approval, reader: Reader, at: At
) -> list[dict[str, Any]]:
    """Other executions of this node, the latest first, as far as they are this reader's to see."""
    reading, obj_id = request.app[keys.READING], approval.requested.obj_id
    names = await reading.of_read_models(lambda database: runs_of(database, obj_id, RUNS))
    runs = await reading.approvals([name for name in names if name != approval.reply_id])
    now = request.app[keys.CLOCK]()
    return [
        {
            "path": page_of(request, reader, run.approval_id),
            "reply_id": run.reply_id,
            "status": (status := status_at(run, now)).value,
            "status_words": gettext(STATUS[status]),
            "at": at(run.requested.timestamp),
        }
        for run in runs
        if may_see(request, run, reader.member)
    ]


def _pretty(action: str) -> str:
    return json.dumps(json.loads(action), ensure_ascii=False, indent=2)
