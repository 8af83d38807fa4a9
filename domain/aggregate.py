"""What events and aggregates have in common, on the protocols of the `eventsourcing` library.

The library's declarative aggregates read well but cost 57 µs to build an event and 28 µs to replay
one; frozen msgspec structs cost 11 µs and under 1 µs (docs/decisions/0002-events-are-structs.md).
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar, Self, TypeVar

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """
    A fact, stored for ever. `TOPIC` is its stored name.

    Fields hold plain JSON and aware UTC datetimes. Add fields with a default; never rename or
    remove one. A change that a default cannot express raises `class_version` and brings a static
    method `upcast_v1_v2(state: dict) -> None`, as the library does it.
    """

    TOPIC: ClassVar[str] = ""
    class_version: ClassVar[int] = 1

    originator_id: str
    originator_version: int
    timestamp: datetime


E = TypeVar("E", bound=Event)
A = TypeVar("A")
Applier = Callable[[A, E], None]


def applies(event_class: type[E]) -> Callable[[Applier[A, E]], Applier[A, E]]:
    """Mark the method that takes one kind of event into the aggregate's state."""

    def mark(method: Applier[A, E]) -> Applier[A, E]:
        method.applies = event_class  # type: ignore[attr-defined]  # read in __init_subclass__
        return method

    return mark


class Aggregate:
    """
    State that follows from events, and events that wait to be saved.

    A subclass lists its events, decides in commands, and assigns (never checks) in methods marked
    `@applies(EventClass)`: those run again on every load, under every later rule.
    """

    _appliers: ClassVar[dict[type[Event], Callable[[Any, Any], None]]]

    def __init_subclass__(cls) -> None:
        methods = [method for method in vars(cls).values() if hasattr(method, "applies")]
        cls._appliers = {method.applies: method for method in methods}

    def __init__(self, stream: str) -> None:
        self.id = stream
        self.version = 0
        self.number: int | None = None
        """Position of its first event in the one sequence; the store tells."""
        self.modified_at: datetime | None = None
        self._pending: list[Event] = []

    @classmethod
    def event_classes(cls) -> list[type[Event]]:
        """The kinds of event that happen to it."""
        return list(cls._appliers)

    @classmethod
    def replay(cls, stream: str, events: Iterable[Event]) -> Self:
        """Rebuild the aggregate from its stored events, in order of version."""
        aggregate = cls(stream)
        for event in events:
            aggregate.apply(event)
        return aggregate

    def apply(self, event: Event) -> None:
        """Take one event into the state; used for new and for stored events alike."""
        if event.originator_version != self.version + 1:
            raise ValueError(f"{self.id}: version {event.originator_version} after {self.version}")
        self._appliers[type(event)](self, event)
        self.version = event.originator_version
        self.modified_at = event.timestamp

    def trigger(self, event_class: type[E], at: datetime, **fields: Any) -> E:
        """Record a new fact; within one aggregate time never goes back."""
        if self.modified_at is not None and at < self.modified_at:
            at = self.modified_at
        event = event_class(
            originator_id=self.id, originator_version=self.version + 1, timestamp=at, **fields
        )
        self.apply(event)
        self._pending.append(event)
        return event

    def collect_events(self) -> Sequence[Event]:
        """Hand over what was triggered since the last call, for saving."""
        pending, self._pending = self._pending, []
        return pending
