"""The form that decides several at once: bound to the very approvals that it showed."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from domain.approval import Approval
from domain.decision import Verdict
from web import keys
from web.forms import read_form
from web.listed import seen_by
from web.pressed import NotPressed
from web.reasons import UnusableReason, reason_in, verdict_in
from web.sessions import NotLoggedIn, is_from_elsewhere, logged_in, session_hash

MOST = 50
NAME = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Batch:
    """What is decided by one press; every event of it bears the name."""

    name: str
    approvals: list[Approval]

    @property
    def ids(self) -> str:
        """The uuids in the order shown, as one field."""
        return " ".join(approval.approval_id for approval in self.approvals)


@dataclass(frozen=True, slots=True)
class Pressed:
    """The button under a batch, pressed by a logged-in member in a form of ours."""

    at: datetime
    """When the click had arrived whole."""
    member: str
    batch: Batch
    verdict: Verdict
    reason: str | None


def make_token(request: web.Request, batch: Batch) -> str:
    """For this session, this batch, and exactly what was shown of each approval."""
    return request.app[keys.FORM_TOKENS].make("batch", *_bound(request, batch))


def _bound(request: web.Request, batch: Batch) -> list[str]:
    return [session_hash(request), batch.name, *map(_what_was_shown, batch.approvals)]


def _what_was_shown(approval: Approval) -> str:
    """The very request: another one of the same name, in a store that was put back, differs."""
    asked = approval.requested
    parts = (
        approval.approval_id,
        asked.timestamp.isoformat(),
        asked.kind,
        asked.message,
        asked.action_digest or "",
    )
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


async def read_batch(request: web.Request) -> Pressed:
    """
    Who decided what.

    Raises:
        NotPressed: 403 for a form that is not ours or not about these approvals as they are, 401
            for somebody who is not logged in, 422 for no verdict or a reason that cannot be used.
    """
    if is_from_elsewhere(request):
        raise NotPressed("form-expired", 403)
    form = await read_form(request)
    at = request.app[keys.CLOCK]()
    try:
        member = await logged_in(request)
    except NotLoggedIn:
        raise NotPressed("login-needed", 401) from None
    batch = await _batch(request, form, member) if form is not None else None
    if form is None or batch is None:
        raise NotPressed("form-expired", 403)
    try:
        return Pressed(at, member, batch, verdict_in(form), reason_in(form))
    except UnusableReason as error:
        raise NotPressed(error.code, 422) from None


async def _batch(request: web.Request, form: dict[str, str], member: str) -> Batch | None:
    """The batch of that form, or None if its token was not made for exactly this."""
    ids, name = form.get("approvals", "").split(" "), form.get("batch", "")
    if len(ids) > MOST or not NAME.fullmatch(name):
        return None
    batch = Batch(name, await seen_by(request, ids, member))
    if batch.ids != form["approvals"] or len({it.kind for it in batch.approvals}) != 1:
        return None
    fits = request.app[keys.FORM_TOKENS].fits(
        form.get("token", ""), "batch", *_bound(request, batch)
    )
    return batch if fits else None


def batch_in(request: web.Request) -> tuple[str, Verdict]:
    """
    Which batch and which of its buttons an address names.

    Raises:
        HTTPNotFound: None that there could be.
    """
    name, decision = request.match_info["batch"], request.query.get("decision")
    if not NAME.fullmatch(name) or decision not in list(Verdict):
        raise web.HTTPNotFound
    return name, Verdict(decision)
