"""Following the event sequence on SQLite, which the library's own recorder cannot."""

import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from eventsourcing.persistence import ListenNotifySubscription, Notification

if TYPE_CHECKING:
    from adapters.store.sqlite import EventRecorder

DATA_VERSION_POLL_S = 0.1


class EventSubscription(ListenNotifySubscription["EventRecorder"]):
    """The library's subscription, woken by commits of this process at once and of others soon."""

    def __init__(
        self, recorder: "EventRecorder", gt: int | None = None, topics: Sequence[str] = ()
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
