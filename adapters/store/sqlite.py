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

import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from eventsourcing.persistence import (
    ConnectionPoolClosedError,
    ListenNotifySubscription,
    Notification,
    OperationalError,
    StoredEvent,
)
from eventsourcing.sqlite import (
    SQLiteApplicationRecorder,
    SQLiteConnection,
    SQLiteConnectionPool,
    SQLiteCursor,
    SQLiteDatastore,
    SQLiteFactory,
    SQLiteTransaction,
)

SCHEMA_VERSION = 1
DATA_VERSION_POLL_S = 0.1
CLOSES_WITHIN_S = 15.0
MAX_VARIABLES = 30_000  # SQLite takes 32,766 in one statement

_CREATE_EVENTS = """
CREATE TABLE IF NOT EXISTS stored_events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    originator_id TEXT NOT NULL,
    originator_version INTEGER NOT NULL,
    topic TEXT NOT NULL,
    state BLOB NOT NULL,
    UNIQUE (originator_id, originator_version))
"""
_FORBID_UPDATE = """
CREATE TRIGGER IF NOT EXISTS events_are_never_changed BEFORE UPDATE ON stored_events
BEGIN SELECT RAISE(ABORT, 'events are never changed'); END
"""
_FORBID_DELETE = """
CREATE TRIGGER IF NOT EXISTS events_are_never_deleted BEFORE DELETE ON stored_events
BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END
"""
# INSERT OR REPLACE deletes what stands in its way without firing the trigger above.
_FORBID_REPLACE = """
CREATE TRIGGER IF NOT EXISTS events_are_never_replaced BEFORE INSERT ON stored_events
WHEN EXISTS (SELECT 1 FROM stored_events WHERE position = NEW.position)
OR EXISTS (SELECT 1 FROM stored_events WHERE originator_id = NEW.originator_id
           AND originator_version = NEW.originator_version)
BEGIN SELECT RAISE(ABORT, 'events are never replaced'); END
"""
_CREATE_DELIVERY_KEYS = """
CREATE TABLE IF NOT EXISTS delivery_keys (
    member TEXT NOT NULL,
    delivery_key TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (member, delivery_key)) WITHOUT ROWID
"""

DeliveryKey = tuple[str, str, datetime]
"""Member, key and time of receipt of one message from WeCom."""


class NewerStore(Exception):
    """The store was written by a newer version of this program."""


class _ImmediateTransaction(SQLiteTransaction):
    def __enter__(self) -> SQLiteCursor:
        cursor = self.connection.cursor()
        try:
            cursor.execute("BEGIN IMMEDIATE" if self.commit else "BEGIN")
        except sqlite3.Error as error:
            raise OperationalError(error) from error
        return cursor


class _DurableConnection(SQLiteConnection):
    @contextmanager
    def transaction(self, *, commit: bool) -> Iterator[SQLiteCursor]:
        with _ImmediateTransaction(self, commit=commit) as cursor, cursor:
            yield cursor


class _Pool(SQLiteConnectionPool):
    synchronous = "FULL"
    _ending = False

    def _create_connection(self) -> SQLiteConnection:
        plain = super()._create_connection()._sqlite_conn
        plain.execute(f"PRAGMA synchronous={self.synchronous}")
        return _DurableConnection(plain, self.max_age)

    def get_connection(
        self, timeout: float | None = None, *, is_writer: bool | None = None
    ) -> SQLiteConnection:
        if self._ending:
            raise ConnectionPoolClosedError
        return super().get_connection(timeout, is_writer=is_writer)

    def close(self) -> None:
        """Close, once what is under way has ended: SQLite crashes the process otherwise."""
        with self._put_condition:
            self._ending = True
            self._put_condition.wait_for(lambda: not self._in_use, CLOSES_WITHIN_S)
        super().close()


class DurableDatastore(SQLiteDatastore):
    """One pool of connections. Readers and the writer have one each: a writer that waits in the
    library's pool keeps readers waiting behind it."""

    def __init__(self, db_name: str, synchronous: str = "FULL", **settings: Any) -> None:
        super().__init__(db_name, **settings)
        self.pool.close()
        self.pool = pool = _Pool(db_name=db_name, lock_timeout=settings.get("lock_timeout"))
        pool.synchronous = synchronous
        self.listeners = _listeners.setdefault(Path(db_name).resolve(), _Listeners())


class EventRecorder(SQLiteApplicationRecorder):
    """Events in one sequence of positions, and the keys of the messages that led to them."""

    datastore: DurableDatastore

    def construct_create_table_statements(self) -> list[str]:
        return [
            _CREATE_EVENTS,
            _FORBID_UPDATE,
            _FORBID_DELETE,
            _FORBID_REPLACE,
            _CREATE_DELIVERY_KEYS,
        ]

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
        """Store events, and `delivery_keys` with them, then wake every follower of this file."""
        positions = super().insert_events(stored_events, **kwargs)
        self.datastore.listeners.wake()
        return positions

    def _insert_events(
        self,
        c: SQLiteCursor,
        stored_events: Sequence[StoredEvent],
        *,
        delivery_keys: Iterable[DeliveryKey] = (),
        **_: Any,
    ) -> Sequence[int] | None:
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
            condition += f" AND topic IN ({_marks(topics)})"
            values.extend(topics)
        return self._notifications(f"{condition} ORDER BY position LIMIT ?", [*values, limit])

    def _max_notification_id(self, c: SQLiteCursor) -> Any:
        c.execute("SELECT MAX(position) FROM stored_events")
        return c.fetchone()[0]

    def select_streams(self, streams: Sequence[str]) -> Sequence[Notification]:
        """All events of several streams, by position, which within a stream is by version."""
        if not streams:
            return []
        return self._notifications(f"originator_id IN ({_marks(streams)})", streams)

    def select_stream_names(self, ranges: Sequence[tuple[str, str]]) -> Sequence[str]:
        """Names of the streams in any of these ranges, from the first, not including the last."""
        if not ranges:
            return []
        found: list[str] = self._read_json(
            f"WITH wanted (first, before) AS (VALUES {_rows(ranges)}) "  # noqa: S608
            "SELECT json_group_array(originator_id) FROM wanted JOIN stored_events "
            "ON originator_id >= first AND originator_id < before AND originator_version = 1",
            [value for one in ranges for value in one],
        )
        return found

    def select_delivery_keys(self, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which of these (member, key) have come before."""
        if not keys:
            return set()
        found: list[list[str]] = self._read_json(
            f"WITH wanted (m, k) AS (VALUES {_rows(keys)}) "  # noqa: S608
            "SELECT json_group_array(json_array(m, k)) FROM wanted JOIN delivery_keys "
            "ON member = m AND delivery_key = k",
            [value for key in keys for value in key],
        )
        return {(member, key) for member, key in found}

    def delete_delivery_keys(self, before: datetime) -> None:
        """Forget the keys of messages received before then; no event is touched."""
        with self.datastore.transaction(commit=True) as c:
            c.execute("DELETE FROM delivery_keys WHERE received_at < ?", [_milliseconds(before)])

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> "EventSubscription":
        """Follow the sequence from after position `gt`, blocking where it ends for now."""
        return EventSubscription(self, gt=gt, topics=topics)

    def _notifications(self, condition: str, values: Sequence[Any]) -> list[Notification]:
        one = "json_array(position, originator_id, originator_version, topic, hex(state))"
        wanted = f"SELECT * FROM stored_events WHERE {condition}"  # noqa: S608  # ours
        statement = f"SELECT json_group_array({one}) FROM ({wanted})"  # noqa: S608
        rows: list[tuple[int, str, int, str, str]] = self._read_json(statement, values)
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

    def _read_json(self, statement: str, values: Sequence[Any]) -> Any:
        """
        One statement that answers one JSON array.

        sqlite3 lets other threads run at every row it fetches, and takes up to a switch interval
        to get on again while they are busy: many rows in one answer are many times as fast.
        """
        with self.datastore.get_connection(commit=False) as connection:
            cursor = connection.cursor()
            with cursor:
                try:
                    cursor.execute(statement, values)
                    return msgspec.json.decode(cursor.fetchone()[0])
                except sqlite3.Error as error:
                    raise OperationalError(error) from error


class EventSubscription(ListenNotifySubscription[EventRecorder]):
    """The library's subscription, woken by commits of this process at once and of others soon."""

    def __init__(
        self, recorder: EventRecorder, gt: int | None = None, topics: Sequence[str] = ()
    ) -> None:
        self._stopped = threading.Event()
        super().__init__(recorder, gt=gt, topics=topics)
        recorder.datastore.listeners.add(self)
        self._watch_thread = threading.Thread(target=self._watch_other_processes, daemon=True)
        self._watch_thread.start()

    def wake(self) -> None:
        """Have a look: something was committed."""
        self._has_been_notified.set()

    def next_chunk(self) -> Sequence[Notification]:
        """Wait for the next events, at most 500 at a time; empty when the subscription stopped."""
        try:
            return [next(self), *self._rest_of_chunk()]
        except StopIteration:
            return []

    def stop(self) -> None:
        super().stop()
        self._stopped.set()

    def __exit__(self, *args: object, **kwargs: Any) -> None:
        try:
            super().__exit__(*args, **kwargs)
        finally:
            self._watch_thread.join()

    def _rest_of_chunk(self) -> Sequence[Notification]:
        rest = self._notifications[self._notifications_index :]
        self._notifications_index = len(self._notifications)
        return rest

    def _watch_other_processes(self) -> None:
        """`data_version` changes when another connection has committed."""
        database, seen = self._recorder.datastore.pool.db_name, None
        try:
            with closing(sqlite3.connect(database, uri=True)) as connection:
                while not self._stopped.wait(DATA_VERSION_POLL_S):
                    now = connection.execute("PRAGMA data_version").fetchone()[0]
                    if now != seen:
                        seen = now
                        self.wake()
        except sqlite3.Error as error:
            self._thread_error = error
            self.stop()


class _Listeners:
    """The subscriptions of this process to one database file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: weakref.WeakSet[EventSubscription] = weakref.WeakSet()

    def add(self, subscription: EventSubscription) -> None:
        with self._lock:
            self._subscriptions.add(subscription)

    def wake(self) -> None:
        with self._lock:
            for subscription in self._subscriptions:
                subscription.wake()


_listeners: dict[Path, _Listeners] = {}


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


def insert_rows(cursor: SQLiteCursor, insert: str, rows: Sequence[Sequence[Any]]) -> None:
    """Many rows by few statements, for the reason given in `_read_json`."""
    if not rows:
        return
    at_once = MAX_VARIABLES // len(rows[0])
    for begin in range(0, len(rows), at_once):
        some = rows[begin : begin + at_once]
        cursor.execute(f"{insert} VALUES {_rows(some)}", [value for row in some for value in row])


def _rows(rows: Sequence[Sequence[object]]) -> str:
    return ",".join([f"({_marks(rows[0])})"] * len(rows))


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
