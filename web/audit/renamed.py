"""One approval's events under other names, where the store is only read."""

import msgspec

from adapters.store.stored_history import Stored, StoredHistory
from domain.installation import STREAM, Installation
from web.audit.pseudonyms import names_of
from web.settings import Settings


def renamed(given: Settings, history: StoredHistory, events: list[Stored]) -> list[Stored]:
    """
    The same events, in which nobody stands by their own name.

    Raises:
        NoNames: There are no pseudonyms of this store here.
    """
    made = [one.event for one in history.events_of(STREAM)]
    names = names_of(given, Installation.replay(STREAM, made))
    return [
        Stored(
            one.position,
            names.event(one.event),
            msgspec.json.encode(names.in_event(msgspec.json.decode(one.state))),
        )
        for one in events
    ]
