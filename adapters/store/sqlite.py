"""The event store on SQLite: the library's recorder, made durable, ordered and followable.

What the library's own (eventsourcing 9.5.6) does not do, and this does:

- `synchronous=FULL`: an acknowledged commit survives a power cut;
- transactions that write begin immediate: they wait for the lock instead of failing at once;
- positions are AUTOINCREMENT: the number of a deleted last row is never given again;
- `subscribe()`: followers are woken in-process by a commit, across processes by `data_version`;
- events cannot be changed, replaced or deleted through SQL, short of dropping the triggers;
- a table of delivery keys, written in the transaction of the events that they led to.

`Factory` is what `PERSISTENCE_MODULE` of the library names.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from eventsourcing.persistence import IntegrityError, Notification, StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteCursor, SQLiteFactory

from adapters.store.connections import DurableDatastore
from adapters.store.schema import CREATE, SCHEMA_VERSION, NewerStore
from adapters.store.statements import insert_rows, marks, read_json, row_marks
from adapters.store.subscription import EventSubscription
from adapters.store.tree import Tree

DeliveryKey = tuple[str, str, datetime]
"""Member, key and time of receipt of one message from WeCom."""


class EventRecorder(SQLiteApplicationRecorder):
    """Events in one sequence of positions, and the keys of the messages that led to them."""

    datastore: DurableDatastore

    @cached_property
    def tree(self) -> Tree:
        """The tree over the events, in the same database."""
        return Tree(self.datastore)

    def construct_create_table_statements(self) -> list[str]:
        return list(CREATE)

    def create_table(self) -> None:
        """Create what is missing; refuse a store that a newer program wrote."""
        with self.datastore.transaction(commit=True) as cursor:
            cursor.execute("PRAGMA user_version")
            found = cursor.fetchone()[0]
            if found > SCHEMA_VERSION:
                raise NewerStore(
                    f"{self.datastore.pool.db_name} has schema {found}, "
                    f"this program knows {SCHEMA_VERSION}: use the version that wrote it"
                )
            self._create_table(cursor)
            cursor.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        """
        Store events, and `delivery_keys` with them, then wake every follower of this file.

        Raises:
            IntegrityError: Also if a stream of `unmoved` is not at the version given there.
        """
        positions = super().insert_events(stored_events, **kwargs)
        self.datastore.listeners.wake()
        return positions

    def _insert_events(
        self,
        c: SQLiteCursor,
        stored_events: Sequence[StoredEvent],
        *,
        delivery_keys: Iterable[DeliveryKey] = (),
        unmoved: Mapping[str, int] | None = None,
        **_: Any,
    ) -> Sequence[int] | None:
        if unmoved:
            self._check_unmoved(c, unmoved)
        c.execute("SELECT seq FROM sqlite_sequence WHERE name = 'stored_events'")
        last = c.fetchone()
        first = (last[0] if last else 0) + 1
        positions = list(range(first, first + len(stored_events)))
        insert_rows(
            c,
            "INSERT INTO stored_events",
            [
                (position, _text(e.originator_id), e.originator_version, e.topic, e.state)
                for position, e in zip(positions, stored_events, strict=True)
            ],
        )
        insert_rows(
            c,
            "INSERT INTO delivery_keys",
            [(member, key, _milliseconds(at)) for member, key, at in delivery_keys],
        )
        return positions

    def _check_unmoved(self, c: SQLiteCursor, versions: Mapping[str, int]) -> None:
        """Inside the transaction that stores: nobody else writes any more until it ends."""
        for stream, version in versions.items():
            c.execute(
                "SELECT 1 FROM stored_events WHERE originator_id = ? AND originator_version = ?",
                (stream, version + 1),
            )
            if c.fetchone() is not None:
                raise IntegrityError(f"{stream} has moved on from version {version}")

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        first = 0 if start is None else start if inclusive_of_start else start + 1
        condition, values = "position >= ?", list[Any]([first])
        if stop is not None:
            condition += " AND position <= ?"
            values.append(stop)
        if topics:
            condition += f" AND topic IN ({marks(topics)})"
            values.extend(topics)
        return self._notifications(f"{condition} ORDER BY position LIMIT ?", [*values, limit])

    def _max_notification_id(self, c: SQLiteCursor) -> Any:
        c.execute("SELECT MAX(position) FROM stored_events")
        return c.fetchone()[0]

    def select_streams(self, streams: Sequence[str]) -> Sequence[Notification]:
        """All events of several streams, by position, which within a stream is by version."""
        if not streams:
            return []
        return self._notifications(f"originator_id IN ({marks(streams)})", streams)

    def select_newest_verification(self) -> Notification | None:
        """By an index of its own (adapters/store/schema.py)."""
        wanted = "topic = 'audit.verified' ORDER BY position DESC LIMIT 1"
        return next(iter(self._notifications(wanted, [])), None)

    def select_positions(self, positions: Sequence[int]) -> Sequence[Notification]:
        """The events at these positions, in order of position."""
        if not positions:
            return []
        return self._notifications(f"position IN ({marks(positions)})", positions)

    def select_stream_names(self, ranges: Sequence[tuple[str, str]]) -> Sequence[str]:
        """Names of the streams in any of these ranges, from the first, not including the last."""
        if not ranges:
            return []
        found: list[str] = read_json(
            self.datastore,
            f"WITH wanted (first, before) AS (VALUES {row_marks(ranges)}) "  # noqa: S608
            "SELECT json_group_array(originator_id) FROM wanted JOIN stored_events "
            "ON originator_id >= first AND originator_id < before AND originator_version = 1",
            [value for one in ranges for value in one],
        )
        return found

    def select_delivery_keys(self, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which of these (member, key) have come before."""
        if not keys:
            return set()
        found: list[list[str]] = read_json(
            self.datastore,
            f"WITH wanted (m, k) AS (VALUES {row_marks(keys)}) "  # noqa: S608
            "SELECT json_group_array(json_array(m, k)) FROM wanted JOIN delivery_keys "
            "ON member = m AND delivery_key = k",
            [value for key in keys for value in key],
        )
        return {(member, key) for member, key in found}

    def delete_delivery_keys(self, before: datetime) -> None:
        """Forget the keys of messages received before then; no event is touched."""
        with self.datastore.transaction(commit=True) as c:
            c.execute("DELETE FROM delivery_keys WHERE received_at < ?", [_milliseconds(before)])

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> EventSubscription:
        """Follow the sequence from after position `gt`, blocking where it ends for now."""
        return EventSubscription(self, gt=gt, topics=topics)

    def _notifications(self, condition: str, values: Sequence[Any]) -> list[Notification]:
        one = "json_array(position, originator_id, originator_version, topic, hex(state))"
        wanted = f"SELECT * FROM stored_events WHERE {condition}"  # noqa: S608  # ours
        statement = f"SELECT json_group_array({one}) FROM ({wanted})"  # noqa: S608
        rows: list[tuple[int, str, int, str, str]] = read_json(self.datastore, statement, values)
        found = [
            Notification(
                id=position,
                originator_id=self.convert_originator_id(originator_id),
                originator_version=version,
                topic=topic,
                state=bytes.fromhex(state),
            )
            for position, originator_id, version, topic, state in rows
        ]
        return sorted(found, key=lambda notification: notification.id)


class Factory(SQLiteFactory):
    """Builds the above where the library asks for a persistence module."""

    application_recorder_class = EventRecorder

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        plain = self.datastore
        self.datastore = DurableDatastore(
            plain.pool.db_name,
            lock_timeout=plain.pool.lock_timeout,
            single_row_tracking=plain.single_row_tracking,
            originator_id_type=plain.originator_id_type,
        )
        plain.close()


def _text(originator_id: UUID | str) -> str:
    return originator_id.hex if isinstance(originator_id, UUID) else originator_id


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
