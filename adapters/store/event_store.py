"""The event store as the rest of the house sees it: load streams, save what was triggered."""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from eventsourcing.application import Application
from eventsourcing.persistence import (
    IntegrityError,
    Notification,
    OperationalError,
    StoredEvent,
)
from eventsourcing.utils import EnvType

from adapters.store.lease import FileLease
from adapters.store.sqlite import DeliveryKey, EventRecorder
from adapters.store.subscription import EventSubscription
from domain import installation
from domain.aggregate import Aggregate, Event
from domain.identity import APPROVAL_STREAM
from domain.installation import Installation

T = TypeVar("T", bound=Aggregate)

SQLITE_URL = "sqlite:///"


class BeingRestored(OperationalError):
    """Another store is about to take the place of this one: what is written here would be lost."""


class Approvals(Application[str]):
    """The library's application: its environment chooses recorder, mapper and tables."""

    name = "approvals"
    recorder: EventRecorder


class EventStore:
    """
    One store of events, opened.

    Each instance has connections of its own: the writer takes one, readers another, so that a
    transaction under way never keeps a reader waiting.
    """

    def __init__(self, application: Approvals, environment: EnvType) -> None:
        self._application = application
        self._environment = environment
        self.mapper = application.mapper
        self.recorder = application.recorder
        self.saved_to = 0
        """The last position that was saved through this instance."""

    def another(self) -> "EventStore":
        """The same store through connections of its own."""
        return EventStore(Approvals(self._environment), self._environment)

    def load(self, kind: type[T], stream: str) -> T | None:
        """The aggregate as of now, or None."""
        return self.load_all(kind, [stream]).get(stream)

    def load_all(self, kind: type[T], streams: Sequence[str]) -> dict[str, T]:
        """Those that exist, in one query."""
        return self.load_each(lambda stream: kind, streams)

    def load_each(self, kind_of: Callable[[str], type[T]], streams: Sequence[str]) -> dict[str, T]:
        """Those that exist, of whichever kind their stream is, in one query."""
        events: dict[str, list[Notification]] = {}
        for stored in self.recorder.select_streams(streams):
            events.setdefault(str(stored.originator_id), []).append(stored)
        return {s: self._replay(kind_of(s), s, rows) for s, rows in events.items()}

    def load_as_of(self, kind: type[T], stream: str, version: int) -> T:
        """The aggregate as it was after that many events."""
        rows = [
            n for n in self.recorder.select_streams([stream]) if n.originator_version <= version
        ]
        return self._replay(kind, stream, rows)

    def events_of(self, stream: str) -> list[tuple[int, Event]]:
        """Every event of one stream with its position, oldest first."""
        return [
            (stored.id, self.event(stored)) for stored in self.recorder.select_streams([stream])
        ]

    def event(self, stored: StoredEvent) -> Event:
        """The domain event that was stored so."""
        event: Event = self.mapper.to_domain_event(stored)  # type: ignore[assignment]  # ours
        return event

    def read_after(self, position: int, limit: int) -> Sequence[Notification]:
        """The next stored events, in order of position."""
        return self.recorder.select_notifications(position, limit, inclusive_of_start=False)

    def read_up_to(
        self, last: int, after: int, limit: int, topics: Sequence[str] = ()
    ) -> Sequence[Notification]:
        """The next stored events until a position, of some kinds or all, in order of position."""
        return self.recorder.select_notifications(
            after, limit, last, topics, inclusive_of_start=False
        )

    def histories(self, streams: Sequence[str], last: int) -> dict[str, list[tuple[int, Event]]]:
        """The events of several streams until a position, with theirs, oldest first."""
        found: dict[str, list[tuple[int, Event]]] = {}
        for stored in self.recorder.select_streams(streams):
            if stored.id <= last:
                events = found.setdefault(str(stored.originator_id), [])
                events.append((stored.id, self.event(stored)))
        return found

    def events_at(self, positions: Sequence[int]) -> list[tuple[int, StoredEvent]]:
        """What stands at these positions, in the order asked."""
        found = {stored.id: stored for stored in self.recorder.select_positions(positions)}
        return [(position, found[position]) for position in positions if position in found]

    def follow(self, position: int) -> EventSubscription:
        """Stored events from after a position on, waited for where they end."""
        return self.recorder.subscribe(gt=position)

    def newest_verification(self) -> Event | None:
        """The last record that everything was verified."""
        found = self.recorder.select_newest_verification()
        return None if found is None else self.event(found)

    def runs_of(self, obj_ids: Sequence[str]) -> dict[str, list[str]]:
        """
        Streams of all runs of some nodes.

        A later run is called `obj_id.RUN`. `.` cannot stand in an obj_id and `/` comes after it,
        so the range of names is exact.
        """
        nodes = {APPROVAL_STREAM + obj_id: [APPROVAL_STREAM + obj_id] for obj_id in obj_ids}
        later = self.recorder.select_stream_names([(f"{n}.", f"{n}/") for n in nodes])
        for stream in later:
            nodes[stream.rpartition(".")[0]].append(stream)
        return {node.removeprefix(APPROVAL_STREAM): streams for node, streams in nodes.items()}

    def last_position(self) -> int:
        """The position of the last event, 0 for an empty store."""
        return self.recorder.max_notification_id() or 0

    def save(
        self,
        events: Sequence[Event],
        delivery_keys: Iterable[DeliveryKey] = (),
        unmoved: Mapping[str, int] | None = None,
    ) -> dict[str, int]:
        """
        Store events in one transaction, on disk when this returns.

        Args:
            unmoved: Streams and the versions at which they must still be.

        Returns:
            The positions of first events of streams, by stream.

        Raises:
            IntegrityError: Another process was first with one of these versions or delivery
                keys, or one of those streams has moved; nothing was stored.
        """
        stored = [self.mapper.to_stored_event(event) for event in events]
        also: dict[str, Any] = {"delivery_keys": list(delivery_keys), "unmoved": unmoved or {}}
        positions = self.recorder.insert_events(stored, **also) or []
        self.saved_to = positions[-1] if positions else self.saved_to
        return {
            str(event.originator_id): position
            for event, position in zip(stored, positions, strict=True)
            if event.originator_version == 1
        }

    def found(self, at: datetime) -> Installation:
        """This store's installation, made if it is new; processes that start together agree."""
        return self.change_installation(lambda one: one.found(feed_id=uuid.uuid4().hex, at=at))

    def change_installation(self, change: Callable[[Installation], None]) -> Installation:
        """
        The installation after a change, saved if the change brought an event.

        Args:
            change: Runs again, on what is stored then, where another process was first.
        """
        known = self.load(Installation, installation.STREAM)
        changed = known or Installation(installation.STREAM)
        change(changed)
        try:
            if fresh := changed.collect_events():
                self.save(fresh)
        except IntegrityError:
            return self.change_installation(change)
        return changed

    def close(self) -> None:
        self._application.close()

    def _replay(self, kind: type[T], stream: str, rows: Sequence[Notification]) -> T:
        aggregate = kind.replay(stream, map(self.event, rows))
        aggregate.number = rows[0].id
        return aggregate


def open_event_store(database_url: str) -> EventStore:
    """
    Open the store that the URL names, making it if it is new.

    `sqlite:///relative.db`, `sqlite:////absolute.db`. PostgreSQL takes its place here: another
    persistence module and its settings.

    Raises:
        ValueError: No store of that kind.
        NewerStore: A newer program wrote it.
        BeingRestored: Not now.
    """
    path = sqlite_path(database_url)
    path.parent.mkdir(parents=True, exist_ok=True)
    if restoring_lease(path).is_held():
        raise BeingRestored(f"{path} is being restored: start when that has ended")
    environment: dict[str, Any] = {
        "PERSISTENCE_MODULE": "adapters.store.sqlite:Factory",
        "MAPPER_TOPIC": "adapters.store.mapper:EventMapper",
        "ORIGINATOR_ID_TYPE": "text",
        "SQLITE_DBNAME": str(path),
        "SQLITE_LOCK_TIMEOUT": "10",
    }
    return EventStore(Approvals(environment), environment)


def restoring_lease(path: Path) -> FileLease:
    """Whoever has it puts another store in the place of that one, which nobody opens meanwhile."""
    return FileLease(path.with_name(f"{path.name}.restoring"))


def sqlite_path(database_url: str) -> Path:
    """The file that a SQLite URL names: three slashes relative, four absolute."""
    if not database_url.startswith(SQLITE_URL) or len(database_url) == len(SQLITE_URL):
        raise ValueError("must be sqlite:///PATH")
    return Path(database_url.removeprefix(SQLITE_URL))
