"""The stored events as an auditor reads them: one file, opened so that nothing in it can change.

Neither the file nor anything beside it is written: a copy on a medium that cannot be written to is
read as well as the store of a running service.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventsourcing.persistence import JSONTranscoder, Notification

from adapters.store.mapper import EventMapper
from adapters.store.schema import SCHEMA_VERSION, NewerStore
from domain.aggregate import Event
from domain.identity import APPROVAL_STREAM, approval_id, approval_stream

CHUNK = 2000
LOCK_TIMEOUT_S = 10
COLUMNS = "position, originator_id, originator_version, topic, state"
APPROVALS = (APPROVAL_STREAM, f"{APPROVAL_STREAM[:-1]}.")
"""Every stream of an approval has a name from the first up to before the second: `.` is next to
`-`."""


class WrittenMeanwhile(Exception):
    """Somebody began to write to the file while it was read as one that rests."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} was written to while it was read; run this again")


@dataclass(frozen=True, slots=True)
class Stored:
    """One event, where it stands, and the very bytes of it."""

    position: int
    event: Event
    state: bytes


class StoredHistory:
    """The events of one store, up to the last one at the moment when it was opened."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._mapper = EventMapper(JSONTranscoder())  # which it does not use
        found = connection.execute("SELECT MAX(position) FROM stored_events").fetchone()
        self.last_position: int = found[0] or 0

    def events_of(self, stream: str) -> list[Stored]:
        """Every event of one stream, oldest first; none if there is no such stream."""
        return [self.stored(row) for row in self._select("originator_id = ?", [stream])]

    def streams(self, first: str = "", before: str | None = None) -> Iterator[list[Notification]]:
        """
        The rows of each stream, not decoded yet, in order of the streams' names.

        A chunk of events and one stream are all that is held at once, and no transaction is open
        between two chunks.

        Args:
            first, before: Only streams with names from the first up to before the second.
        """
        gathered: list[Notification] = []
        for row in self._in_order(first, before):
            if gathered and gathered[0].originator_id != row.originator_id:
                yield gathered
                gathered = []
            gathered.append(row)
        if gathered:
            yield gathered

    def stored(self, row: Notification) -> Stored:
        """
        Raises:
            UnreadableEvent: It is damaged, or a newer program wrote it.
        """
        event: Event = self._mapper.to_domain_event(row)
        return Stored(row.id, event, row.state)

    def has(self, stream: str) -> bool:
        return bool(self._select("originator_id = ?", [stream], limit=1))

    def runs_of(self, obj_id: str) -> list[str]:
        """Streams of all runs of a node, which are called `obj_id` and `obj_id.RUN`."""
        node = approval_stream(obj_id)
        later = self._names(f"{node}.", f"{node}/")
        found = [node, *sorted(later, key=_run)] if self.has(node) else sorted(later, key=_run)
        return list(found)

    def approval_of_uuid(self, uuid: str) -> str | None:
        """The stream with that `approval_id`, by looking at the name of every approval."""
        return next((name for name in self._names(*APPROVALS) if approval_id(name) == uuid), None)

    def same_but_for_case(self, reply_id: str) -> list[str]:
        """Streams of approvals that differ from this name in case at most."""
        wanted = approval_stream(reply_id).lower()
        return sorted(self._names(*APPROVALS, " AND lower(originator_id) = ?", [wanted]))

    def _in_order(self, first: str, before: str | None) -> Iterator[Notification]:
        condition = "(originator_id, originator_version) > (?, ?)"
        bound = [] if before is None else [before]
        condition += " AND originator_id < ?" if bound else ""
        after: list[Any] = [first, 0]
        while rows := self._select(condition, [*after, *bound], limit=CHUNK):
            yield from rows
            after = [rows[-1].originator_id, rows[-1].originator_version]

    def _select(self, condition: str, values: Sequence[Any], limit: int = -1) -> list[Notification]:
        wanted = f"SELECT {COLUMNS} FROM stored_events WHERE {condition}"  # noqa: S608  # ours
        rows = self._connection.execute(
            f"{wanted} AND position <= ? ORDER BY originator_id, originator_version LIMIT ?",
            [*values, self.last_position, limit],
        )
        return [
            Notification(stream, version, topic, state, position)
            for position, stream, version, topic, state in rows.fetchall()
        ]

    def _names(
        self, first: str, before: str, also: str = "", values: Sequence[Any] = ()
    ) -> Iterator[str]:
        first_events = "SELECT originator_id FROM stored_events WHERE originator_version = 1"
        rows = self._connection.execute(
            f"{first_events} AND originator_id >= ? AND originator_id < ? AND position <= ?{also}",
            [first, before, self.last_position, *values],
        )
        return (name for (name,) in rows)


@contextmanager
def opened_history(path: Path) -> Iterator[StoredHistory]:
    """
    The history in that file, for as long as it is needed.

    Raises:
        FileNotFoundError: There is none.
        NewerStore: A newer program wrote it.
        WrittenMeanwhile: At the end: what was read may not fit together.
        sqlite3.Error: It is no event store, or cannot be read.
    """
    with opened_read_only(path) as connection:
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found > SCHEMA_VERSION:
            raise NewerStore(
                f"{path} has schema {found}, this program knows {SCHEMA_VERSION}: "
                "use the version that wrote it"
            )
        yield StoredHistory(connection)


@contextmanager
def opened_read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """
    A file of SQLite, read and nothing else.

    While nobody has it open there is no `-wal` beside it. SQLite would make one to read it, and
    leave it behind for whoever runs this; so then the file is read as one that does not change,
    and that it did not is looked at in the end.

    Raises:
        FileNotFoundError, WrittenMeanwhile, sqlite3.Error: See `opened_history`.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no event store at {path}")
    wal = path.with_name(f"{path.name}-wal")
    rests, before = not wal.exists(), _state_of(path)
    how = "immutable=1" if rests else "mode=ro"
    address = f"{path.resolve().as_uri()}?{how}"
    with closing(sqlite3.connect(address, uri=True, timeout=LOCK_TIMEOUT_S)) as connection:
        yield connection
    if rests and (wal.exists() or _state_of(path) != before):
        raise WrittenMeanwhile(path)


def _state_of(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def _run(stream: str) -> int:
    return int(stream.rpartition(".")[2])
