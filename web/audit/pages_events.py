"""`/audit/events/`: what happened beside the approvals, from settings to who looked."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from aiohttp import web

from adapters.store.event_store import EventStore
from domain.aggregate import Event
from domain.configuration import CONFIGURATION_STREAM, Configuration
from domain.identity import APPROVAL_STREAM, approval_id, approval_stream
from domain.session import Session
from projections.search import Happened, happened
from web import keys
from web.audit.pages_export import copy_of
from web.audit.pages_filters import OF_EVENTS, Filters, names_switch, read_filters, turns
from web.audit.pages_kinds import KINDS, kind_of, topics_of
from web.audit.pages_names import Named, names_for
from web.audit.pages_reader import Reader, auditor_of, record_search
from web.audit.pages_shown import moments, page_of, way_of, whose
from web.audit.pages_state import state_of_the_log
from web.happenings import settings_before
from web.pages import render
from web.sessions import NotLoggedIn, login_first, logout_token
from web.timeline import in_words
from web.translation import gettext

routes = web.RouteTableDef()

PAGE_SIZE = 50
Before = Mapping[int, dict[str, str | None]]
NOTHING: dict[str, Any] = {"items": [], "older": None, "is_cut": False}
KNOWN = {"kind": list(KINDS)}


@routes.get("/audit/events/")
async def events(request: web.Request) -> web.StreamResponse:
    """
    Newest first, fifty to a page, for auditors and admins; what is shown is recorded before it is.

    Query: `kind`, `by`, `from`, `to` (days, both included), `after`, and `names=hidden`.
    """
    try:
        reader = await auditor_of(request)
    except NotLoggedIn:
        return login_first(request)
    zone = request.app[keys.CLOCKFACE].zone
    filters = read_filters(request.query, zone, OF_EVENTS, KNOWN)
    found = NOTHING if filters.wrong else await _find(request, reader, filters)
    context = {
        "me": reader.member,
        "logout": logout_token(request),
        "reader": reader,
        "log": await state_of_the_log(request),
        "given": filters.given,
        "wrong": filters.wrong,
        "kinds": [(kind, gettext(words)) for kind, (words, _) in KINDS.items()],
        "names": names_switch(request.path, reader, filters.used),
        "copy": None if filters.wrong else copy_of(request, reader, "events", filters),
        "zone": zone.key,
        "opened_at": moments(request)(request.app[keys.CLOCK]()),
        **found,
        **turns(request.path, reader, filters, found["older"]),
    }
    return render(request, "audit_events.html", context, 400 if filters.wrong else 200)


async def _find(request: web.Request, reader: Reader, filters: Filters) -> dict[str, Any]:
    await record_search(request, reader, "events", filters.recorded)
    reading = request.app[keys.READING]
    await reading.caught_up()
    wanted = happened_by(filters)
    page = await reading.of_read_models(partial(happened, wanted=wanted, limit=PAGE_SIZE))
    at_positions = partial(_events_at, positions=page.positions)
    named = await names_for(request, reader)
    found = [(at, named(event)) for at, event in await reading.of_store(at_positions)]
    events = [event for _, event in found]
    before, members = await _before(request, events, named), await _members(request, events, named)
    return {
        "items": [
            _item(request, reader, position, event, before, members) for position, event in found
        ],
        "older": page.older,
        "is_cut": page.is_cut,
    }


def _events_at(store: EventStore, positions: Sequence[int]) -> list[tuple[int, Event]]:
    """Those events with their positions, in the order asked."""
    found = [one for position in positions for one in store.read_after(position - 1, 1)]
    return [(one.id, store.event(one)) for one in found if one.id in positions]


def happened_by(filters: Filters) -> Happened:
    """The question to the read model."""
    return Happened(
        kinds=list(topics_of(filters.get("kind"))),
        by=filters.get("by"),
        since=filters.since,
        before=filters.before,
        after=filters.after,
    )


async def _before(request: web.Request, events: Iterable[Event], named: Named) -> Before:
    """What the settings were before each change among these, by its version."""
    wanted = {event.originator_version for event in events if _is_change(event)}
    if not wanted:
        return {}
    then, found = Configuration(CONFIGURATION_STREAM), {}
    stored = await request.app[keys.READING].events_of(CONFIGURATION_STREAM)
    for event in (named(event) for _, event in stored):
        if isinstance(event, Configuration.Changed) and event.originator_version in wanted:
            found[event.originator_version] = settings_before(event, then)
        then.apply(event)
    return found


async def _members(request: web.Request, events: Iterable[Event], named: Named) -> dict[str, str]:
    """Whose the logins were that ended, by their streams: the event itself does not say."""
    reading, ended = request.app[keys.READING], {e.originator_id for e in events if _is_end(e)}
    opened = {stream: await reading.events_of(stream) for stream in ended}
    return {stream: whose(named(happened[0][1])) for stream, happened in opened.items()}


def _is_change(event: Event) -> bool:
    return isinstance(event, Configuration.Changed)


def _is_end(event: Event) -> bool:
    return isinstance(event, Session.Ended)


def _item(
    request: web.Request,
    reader: Reader,
    position: int,
    event: Event,
    before: Before,
    members: Mapping[str, str],
) -> dict[str, Any]:
    kind = kind_of(event.TOPIC)
    who = members.get(event.originator_id) if _is_end(event) else whose(event)
    words = in_words(event, before.get(event.originator_version) if _is_change(event) else None)
    return {
        "position": position,
        "at": moments(request)(event.timestamp),
        "kind": gettext(KINDS[kind][0]) if kind else event.TOPIC,
        "who": who if who and who not in words else "",
        "way": way_of(event),
        "words": words,
        "path": _approval_of(request, reader, event),
    }


def _approval_of(request: web.Request, reader: Reader, event: Event) -> str | None:
    """Where the approval stands that an event is about."""
    stream = event.originator_id
    if event.TOPIC == "audit.opened":
        stream = approval_stream(getattr(event, "reply_id", ""))
    if not stream.startswith(APPROVAL_STREAM):
        return None
    return page_of(request, reader, approval_id(stream))
