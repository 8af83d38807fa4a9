"""Copies of an event store on SQLite: taken while others write, and looked through before use.

A copy is one file that needs no other beside it. It is taken inside one read transaction: SQLite's
backup by itself begins anew whenever another connection writes, and under load never ends
(docs/decisions/0022-backup-and-restore.md).
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from eventsourcing.persistence import JSONTranscoder, StoredEvent

from adapters.store.mapper import EventMapper, UnreadableEvent
from adapters.store.schema import SCHEMA_VERSION, NewerStore
from adapters.store.statements import marks
from domain.approval import Approval

PAGES_AT_ONCE = 1000
ROWS_AT_ONCE = 1000
SIDE_FILES = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database file, and reads together with it."""
TRIGGERS = ("changed", "deleted", "replaced")
TORN_STREAM = """
SELECT originator_id FROM stored_events GROUP BY originator_id
HAVING MIN(originator_version) <> 1 OR COUNT(*) <> MAX(originator_version) LIMIT 1
"""

Progress = Callable[[int, int], None]
"""How much is done, of how much."""


class DamagedCopy(Exception):
    """It is no event store of this program, or not a whole one; says what is wrong."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """What an event store holds."""

    events: int
    position: int
    """Of the last event."""
    as_of: datetime | None
    """When that was recorded; None without one."""
    approvals: int
    size: int
    """Bytes of the file."""


def copy_online(source: Path, target: Path, progress: Progress) -> None:
    """
    Copy a store as it is at this moment into an empty file, on disk when this returns.

    Nobody is kept waiting, and writers do not keep this from ending. What they write meanwhile
    stays in the `-wal` of the source until then.

    Raises:
        sqlite3.Error, OSError: It did not work; what stands in the target is of no use.
    """
    with closing(_opened(source, "mode=rw")) as live, closing(_opened(target, "mode=rw")) as copy:
        copy.execute("PRAGMA synchronous=OFF")  # on disk at the end, or of no use
        live.execute("BEGIN")
        live.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()  # from here on one snapshot
        live.backup(
            copy,
            pages=PAGES_AT_ONCE,
            progress=lambda status, left, all_: progress(all_ - left, all_),
        )
        live.execute("COMMIT")
        copy.execute("PRAGMA journal_mode=DELETE")
    sync(target)


def examine(path: Path, progress: Progress) -> Inventory:
    """
    Look through a whole store that nobody writes to: its pages, every event, every stream.

    The file is only read, and nothing beside it.

    Raises:
        NewerStore: A newer program wrote it.
        DamagedCopy: It is not whole.
    """
    try:
        with closing(_opened(path, "mode=ro&immutable=1")) as store:
            _check_kind(store)
            _check_pages(store)
            events, position, approvals, as_of = _read_everything(store, progress)
            _check_streams(store, position)
    except sqlite3.Error as error:
        raise DamagedCopy(f"it cannot be read: {error}") from error
    except UnreadableEvent as error:
        raise DamagedCopy(str(error)) from error
    return Inventory(events, position, as_of, approvals, path.stat().st_size)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def side_files(path: Path) -> list[Path]:
    """What stands beside a database file and belongs to it."""
    beside = (path.with_name(path.name + ending) for ending in SIDE_FILES)
    return [one for one in beside if one.exists()]


def _opened(path: Path, how: str) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?{how}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10)


def _check_kind(store: sqlite3.Connection) -> None:
    (schema,) = store.execute("PRAGMA user_version").fetchone()
    if schema > SCHEMA_VERSION:
        raise NewerStore(
            f"it has schema {schema}, this program knows {SCHEMA_VERSION}: "
            "use the version that wrote it"
        )
    names = {name for (name,) in store.execute("SELECT name FROM sqlite_schema")}
    wanted = {"stored_events", *(f"events_are_never_{done}" for done in TRIGGERS)}
    if missing := wanted - names:
        raise DamagedCopy(f"it is no event store: it has no {', '.join(sorted(missing))}")


def _check_pages(store: sqlite3.Connection) -> None:
    (found,) = store.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise DamagedCopy(f"SQLite finds it damaged: {found}")


def _read_everything(
    store: sqlite3.Connection, progress: Progress
) -> tuple[int, int, int, datetime | None]:
    """How many events, up to which position, how many approvals, the time of the last event."""
    (last,) = store.execute("SELECT MAX(position) FROM stored_events").fetchone()
    mapper, events, position, approvals, as_of = EventMapper(JSONTranscoder()), 0, 0, 0, None
    for position, stored in _stored_events(store):
        as_of = mapper.to_domain_event(stored).timestamp
        events += 1
        approvals += stored.topic == Approval.Requested.TOPIC
        if events % ROWS_AT_ONCE == 0 or position == last:
            progress(position, last)
    return events, position, approvals, as_of


def _stored_events(store: sqlite3.Connection) -> Iterator[tuple[int, StoredEvent]]:
    rows = store.execute(
        "SELECT position, originator_id, originator_version, topic, state FROM stored_events "
        "ORDER BY position"
    )
    rows.arraysize = ROWS_AT_ONCE
    while some := rows.fetchmany():
        for position, stream, version, topic, state in some:
            raw = state if isinstance(state, bytes) else str(state).encode()
            yield position, StoredEvent(stream, version, topic, raw)


def _check_streams(store: sqlite3.Connection, position: int) -> None:
    torn = store.execute(TORN_STREAM).fetchone()
    if torn is not None:
        raise DamagedCopy(f"{torn[0]} has not all of its events")
    given = store.execute("SELECT seq FROM sqlite_sequence WHERE name = 'stored_events'").fetchone()
    if position and (given is None or given[0] != position):
        raise DamagedCopy(f"events after position {position} are missing")


def unended(path: Path, begun: str, ends: Sequence[str]) -> list[str]:
    """Streams of a store that hold the one kind of event (its topic) and none of the others."""
    with closing(_opened(path, "mode=rw")) as store:
        rows = store.execute(
            "SELECT originator_id FROM stored_events WHERE topic = ? EXCEPT "  # noqa: S608  # marks
            f"SELECT originator_id FROM stored_events WHERE topic IN ({marks(ends)})",
            [begun, *ends],
        )
        return [stream for (stream,) in rows]
