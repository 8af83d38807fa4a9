"""What came of each approval that was decided together with others."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from domain.approval import Approval
from domain.decision import Status, Verdict
from domain.errors import AlreadyDecided
from domain.identity import same_person
from web import keys
from web.listed import outcome
from web.shown import STATUS
from web.translation import gettext
from web.vocabulary import REFUSED

DONE = {Verdict.APPROVE: STATUS[Status.APPROVED], Verdict.REJECT: STATUS[Status.REJECTED]}


async def results(
    request: web.Request,
    approvals: Sequence[Approval],
    member: str,
    batch: str,
    verdict: Verdict,
) -> list[dict[str, Any]]:
    """
    One for each approval, in that order: what is shown of it, whether it was `done`, and `words`.

    Of what the member never pressed in this batch there is none; if the service could not take one
    of them, it says so, provided that it took another.
    """
    now = request.app[keys.CLOCK]()
    found = [
        (approval, await _replies(request, approval, member, batch, verdict))
        for approval in approvals
    ]
    if not any(replies for _, replies in found):
        return []
    return [
        {**(it := outcome(request, approval, member, now)), **_what_came(replies, it, verdict)}
        for approval, replies in found
    ]


async def _replies(
    request: web.Request, approval: Approval, member: str, batch: str, verdict: Verdict
) -> list[Approval.Replied]:
    """What the member's press left in the events of one approval."""
    stored = await request.app[keys.READING].events_of(approval.id)
    replies = [event for _, event in stored if isinstance(event, Approval.Replied)]
    return [
        reply
        for reply in replies
        if (reply.batch, reply.verdict) == (batch, verdict.value)
        and same_person(reply.by) == same_person(member)
    ]


def _what_came(
    replies: Sequence[Approval.Replied], it: dict[str, Any], verdict: Verdict
) -> dict[str, Any]:
    if not replies:
        return {"done": False, "words": gettext("系统繁忙，没有处理，没有作任何决定")}
    refusals = [reply.refusal for reply in replies]
    if None in refusals:
        return {"done": True, "words": gettext(DONE[verdict])}
    code = refusals[0] or ""
    first = it["ended"] if code == AlreadyDecided.code else gettext(REFUSED.get(code, code))
    return {"done": False, "words": gettext("没有生效: %(why)s") % {"why": first}}
