"""Connections to SQLite files: durable, patient, and closed only when nobody uses them."""

import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from eventsourcing.persistence import ConnectionPoolClosedError, InterfaceError, OperationalError
from eventsourcing.sqlite import (
    SQLITE3_DEFAULT_LOCK_TIMEOUT,
    SQLiteConnection,
    SQLiteConnectionPool,
    SQLiteCursor,
    SQLiteDatastore,
    SQLiteTransaction,
)

CLOSES_WITHIN_S = 15.0
TRY_AGAIN_AFTER_S = 0.02


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
        plain = self._opened()._sqlite_conn
        plain.execute(f"PRAGMA synchronous={self.synchronous}")
        return _DurableConnection(plain, self.max_age)

    def _opened(self) -> SQLiteConnection:
        """Open, and switch to WAL; SQLite does not wait by itself while another one switches."""
        give_up_at = time.monotonic() + (self.lock_timeout or SQLITE3_DEFAULT_LOCK_TIMEOUT)
        while True:
            try:
                return super()._create_connection()
            except (InterfaceError, sqlite3.OperationalError):
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(TRY_AGAIN_AFTER_S)

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
        self.listeners = _listeners.setdefault(Path(db_name).resolve(), Listeners())


class Follower(Protocol):
    """Somebody who wants to know of every commit."""

    def wake(self) -> None: ...


class Listeners:
    """The followers in this process of one database file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._followers: weakref.WeakSet[Follower] = weakref.WeakSet()

    def add(self, follower: Follower) -> None:
        with self._lock:
            self._followers.add(follower)

    def wake(self) -> None:
        with self._lock:
            for follower in self._followers:
                follower.wake()


_listeners: dict[Path, Listeners] = {}
