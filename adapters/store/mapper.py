"""Domain events to stored events and back: JSON by msgspec, legible to an auditor."""

from functools import cache
from typing import Any

import msgspec
from eventsourcing.persistence import Mapper, StoredEvent

from domain.aggregate import Event
from domain.catalogue import EVENTS


class UnreadableEvent(Exception):
    """A stored event that this program cannot read: damaged, or written by a newer one."""


class EventMapper(Mapper[str]):
    """
    The library's mapper for events that are msgspec structs.

    The whole event is stored, its stream and version included, so that a row whose key was
    altered contradicts its own contents. An event of an older `class_version` is upcast by the
    class's `upcast_vN_vM` methods, as the library does it.
    """

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        state = msgspec.json.encode(domain_event)
        if domain_event.class_version > 1:
            state = b'{"class_version":%d,%b' % (domain_event.class_version, state[1:])
        return StoredEvent(
            originator_id=domain_event.originator_id,
            originator_version=domain_event.originator_version,
            topic=domain_event.TOPIC,
            state=state,
        )

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        event_class = EVENTS.get(stored_event.topic)
        if event_class is None:
            raise UnreadableEvent(f"{_name(stored_event)} is of an unknown kind")
        try:
            if event_class.class_version > 1 or b'"class_version"' in stored_event.state[:20]:
                event = _upcast(event_class, stored_event.state)
            else:
                event = _decoder(event_class).decode(stored_event.state)
        except (msgspec.MsgspecError, UnicodeDecodeError, LookupError, TypeError) as error:
            raise UnreadableEvent(f"{_name(stored_event)} cannot be read: {error}") from error
        if (event.originator_id, event.originator_version) != (
            stored_event.originator_id,
            stored_event.originator_version,
        ):
            raise UnreadableEvent(f"{_name(stored_event)} says that it is another event")
        return event


@cache
def _decoder(event_class: type[Event]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(event_class)


def _upcast(event_class: type[Event], state: bytes) -> Event:
    fields = msgspec.json.decode(state, type=dict[str, Any])
    version = msgspec.convert(fields.pop("class_version", 1), int)
    if not 1 <= version <= event_class.class_version:
        raise msgspec.ValidationError(f"its version {version} is unknown to this program")
    while version < event_class.class_version:
        getattr(event_class, f"upcast_v{version}_v{version + 1}")(fields)
        version += 1
    return msgspec.convert(fields, event_class)


def _name(stored: StoredEvent) -> str:
    return f"event {stored.originator_version} of {stored.originator_id}"
