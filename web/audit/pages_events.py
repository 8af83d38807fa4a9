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
from projections.audit_trail import who
from projections.search import happened
from web import keys
from web.audit.pages_filters import EVENTS, Typed, read_filters
from web.audit.pages_kinds import KINDS, kind_of
from web.audit.pages_list import NOTHING, Found, list_of
from web.audit.pages_names import Named, names_for
from web.audit.pages_reader import Reader, auditor_of, record_search
from web.audit.pages_shown import moments, page_of, way_of
from web.happenings import settings_before
from web.pages import render
from web.sessions import NotLoggedIn, login_first
from web.timeline import in_words
from web.translation import gettext

routes = web.RouteTableDef()

PAGE_SIZE = 50
Before = Mapping[int, dict[str, str | None]]


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
    typed = read_filters(request.query, request.app[keys.CLOCKFACE].zone, EVENTS)
    found = NOTHING if typed.wrong else await _find(request, reader, typed)
    kinds = [(kind, gettext(words)) for kind, (words, _) in KINDS.items()]
    context = await list_of(request, reader, EVENTS, typed, found)
    return render(
        request, "audit_events.html", {"kinds": kinds, **context}, 400 if typed.wrong else 200
    )


async def _find(request: web.Request, reader: Reader, typed: Typed) -> Found:
    await record_search(request, reader, typed.recorded)
    reading = request.app[keys.READING]
    await reading.caught_up()
    wanted = typed.meant.happened(typed.after)
    page = await reading.of_read_models(partial(happened, wanted=wanted, limit=PAGE_SIZE))
    named = await names_for(request, reader)
    stored = await reading.of_store(partial(_events_at, positions=page.positions))
    found = [(position, named(event)) for position, event in stored]
    events = [event for _, event in found]
    before, members = await _before(request, events, named), await _members(request, events, named)
    items = [_item(request, reader, position, event, before, members) for position, event in found]
    return Found(items, page.older, page.is_cut)


def _events_at(store: EventStore, positions: Sequence[int]) -> list[tuple[int, Event]]:
    return [(position, store.event(stored)) for position, stored in store.events_at(positions)]


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


async def _members(
    request: web.Request, events: Iterable[Event], named: Named
) -> dict[str, str | None]:
    """Whose the logins were that ended, by their streams: the event itself does not say."""
    reading, ended = request.app[keys.READING], {e.originator_id for e in events if _is_end(e)}
    logins = {stream: await reading.events_of(stream) for stream in ended}
    return {stream: who(named(login[0][1])) for stream, login in logins.items()}


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
    members: Mapping[str, str | None],
) -> dict[str, Any]:
    kind = kind_of(event.TOPIC)
    by = members.get(event.originator_id) if _is_end(event) else who(event)
    words = in_words(event, before.get(event.originator_version) if _is_change(event) else None)
    return {
        "position": position,
        "at": moments(request)(event.timestamp),
        "kind": gettext(KINDS[kind][0]) if kind else event.TOPIC,
        "who": by if by and by not in words else "",
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
