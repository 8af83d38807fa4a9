"""`fta-approval audit show`: one approval with everything that happened, from the events alone."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from adapters.store.event_store import sqlite_path
from adapters.store.stored_history import Stored, StoredHistory, opened_history
from domain.approval import Approval
from domain.configuration import CONFIGURATION_STREAM
from projections.audit_trail import who
from projections.document import timestamp
from web.audit.finding import stream_of
from web.audit.json_line import json_line
from web.audit.renamed import renamed
from web.audit.told import told
from web.audit.zone import Zone, zone_in_force
from web.settings import Settings

Say = Callable[[str], None]


def show(
    given: Settings, name: str, now: datetime, say: Say, *, as_json: bool, pseudonyms: bool = False
) -> None:
    """
    Print it; nothing is written, not even that somebody looked.

    Raises:
        NoNames: There are no pseudonyms of this store here.
        UnknownApproval: There is none.
        UnreadableEvent, NewerStore: A newer program wrote it, or it is damaged.
        FileNotFoundError, WrittenMeanwhile, sqlite3.Error: The store cannot be read.
    """
    with opened_history(sqlite_path(given.database)) as history:
        stream = stream_of(history, given, name)
        events = history.events_of(stream)
        if pseudonyms:
            events = renamed(given, history, events)
        others = [one for one in _runs(history, events) if one != stream]
        zone = zone_of(given, history)
        lines = map(as_line, events) if as_json else told(events, others, now, zone)
        for line in lines:
            say(line)


def zone_of(given: Settings, history: StoredHistory) -> Zone:
    """Of what this history says of the settings, and of the environment."""
    events = history.events_of(CONFIGURATION_STREAM)
    return Zone(zone_in_force(given, [one.event for one in events]))


def as_line(one: Stored) -> str:
    """An event as JSON; `data` is what is stored, as it is but for what a terminal would obey."""
    event: Any = one.event
    row = {
        "position": one.position,
        "stream": event.originator_id,
        "version": event.originator_version,
        "type": event.TOPIC,
        "at": timestamp(event.timestamp),
        "by": who(event),
        "via": getattr(event, "channel", None) or getattr(event, "via", None),
        "data": msgspec.Raw(one.state),
    }
    return json_line(row)


def _runs(history: StoredHistory, events: list[Stored]) -> list[str]:
    first = events[0].event
    return history.runs_of(first.obj_id) if isinstance(first, Approval.Requested) else []
