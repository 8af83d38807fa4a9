"""The event store's file as of one moment, for who has to read all of it: read only, in portions.

Texts come as the bytes that are stored. A running service goes on meanwhile.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from adapters.store.event_store import sqlite_path
from adapters.store.schema import SCHEMA_VERSION, TRIGGERS, NewerStore

AT_ONCE = 2048
LEAST = -(2**63)

MISTYPED = (
    (
        "stored_events",
        "position",
        "typeof(originator_id) <> 'text' OR typeof(topic) <> 'text' OR typeof(state) <> 'blob'",
    ),
    ("tree_leaves", "leaf_index", "typeof(leaf_hash) <> 'blob'"),
    ("tree_heads", "tree_size", "typeof(head) <> 'text'"),
)
"""Table, what its rows are numbered by, and what no row is that this program stored."""

Row = tuple[int, bytes, int, bytes, bytes]
"""Position, stream, version, topic, state."""
Leaf = tuple[int, int, bytes]
"""Index, position, hash."""


class Gap(NamedTuple):
    """Where a stream does not go on as it should."""

    stream: str
    version: int
    """The one that should stand there."""
    position: int
    """Of the event that stands there instead."""
    before: int
    """Of the event before that one in the stream; 0: it is its first."""


class Snapshot:
    """
    What stands in the file.

    Raises (all questions):
        sqlite3.Error: The file is damaged in such a way that SQLite cannot read on.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.has_tree = bool(self._one("SELECT 1 FROM sqlite_master WHERE name = 'tree_leaves'"))

    def count(self) -> int:
        """How many events there are."""
        return int(self._one("SELECT COUNT(*) FROM stored_events")[0])

    def count_up_to(self, position: int) -> int:
        """How many events have that position or a smaller one."""
        wanted = "SELECT COUNT(*) FROM stored_events WHERE position <= ?"
        return int(self._one(wanted, [position])[0])

    def events(self, first: int = LEAST) -> Iterator[list[Row]]:
        """All of them from a position on, in order of position."""
        return self._portions(
            "SELECT position, originator_id, originator_version, topic, state "
            "FROM stored_events WHERE position >= ? ORDER BY position",
            [first],
        )

    def leaf_count(self) -> int:
        return int(self._one("SELECT COUNT(*) FROM tree_leaves")[0]) if self.has_tree else 0

    def leaves(self, first: int = LEAST) -> Iterator[list[Leaf]]:
        """All of them from an index on, in order of the index."""
        if not self.has_tree:
            return iter(())
        return self._portions(
            "SELECT leaf_index, position, leaf_hash FROM tree_leaves "
            "WHERE leaf_index >= ? ORDER BY leaf_index",
            [first],
        )

    def leaf_hashes(self, start: int, stop: int) -> list[bytes]:
        """Of some leaves; fewer where there are fewer."""
        found = self._all(
            "SELECT leaf_hash FROM tree_leaves WHERE leaf_index >= ? AND leaf_index < ? "
            "ORDER BY leaf_index",
            [start, stop],
        )
        return [leaf for (leaf,) in found]

    def heads(self, above: int = LEAST) -> Iterator[tuple[int, bytes]]:
        """Size and text of all heads of a larger size, in order of size."""
        if not self.has_tree:
            return
        for portion in self._portions(
            "SELECT tree_size, head FROM tree_heads WHERE tree_size > ? ORDER BY tree_size", [above]
        ):
            yield from portion

    def newest_head(self) -> str | None:
        found = self.has_tree and self._one(
            "SELECT head FROM tree_heads ORDER BY tree_size DESC LIMIT 1"
        )
        return found[0].decode() if found else None

    def of_stream(self, stream: str) -> list[tuple[int | None, Row]]:
        """The events of one stream with the indexes of their leaves, in order of version."""
        leaf = "(SELECT leaf_index FROM tree_leaves l WHERE l.position = e.position)"
        found = self._all(
            f"SELECT {leaf if self.has_tree else 'NULL'}, position, originator_id, "  # noqa: S608
            "originator_version, topic, state FROM stored_events e "
            "WHERE originator_id = ? ORDER BY originator_version",
            [stream],
        )
        return [(index, tuple(row)) for index, *row in found]

    def streams(self, beginning: str) -> Iterator[str]:
        """Names of the streams that begin so; ASCII."""
        for portion in self._portions(
            "SELECT originator_id FROM stored_events WHERE originator_id >= ? "
            "AND originator_id < ? AND originator_version = 1",
            [beginning, beginning[:-1] + chr(ord(beginning[-1]) + 1)],
        ):
            yield from (name.decode() for (name,) in portion)

    def last_given(self) -> int | None:
        """
        The last position that was ever given to an event, removed ones included; None: what SQLite
        remembers of it is no one number.
        """
        found = self._all("SELECT seq FROM sqlite_sequence WHERE name = 'stored_events'")
        if len(found) > 1 or (found and not isinstance(found[0][0], int)):
            return None
        return found[0][0] if found else 0

    def mistyped(self) -> tuple[str, int] | None:
        """
        A table, and the number of the first row in it with a text that is stored as bytes, or the
        other way round. The bytes are the same, and so is the leaf; but SQLite takes no text for
        equal to bytes, so whoever asks for the row by that text is not given it.
        """
        for table, number, wrong in MISTYPED if self.has_tree else MISTYPED[:1]:
            # In order of the numbers, so that the first one ends it.
            statement = f"SELECT {number} FROM {table} WHERE {wrong} ORDER BY {number} LIMIT 1"  # noqa: S608  # ours
            if (found := self._one(statement)) is not None:
                return table, found[0]
        return None

    def foreign_trigger(self) -> str | None:
        """The name of one that is not as this program makes it: it does things to what is added."""
        found = self._all("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY 1")
        there = ((_text(name), _text(sql)) for name, sql in found)
        return next((name for name, sql in there if TRIGGERS.get(name) != sql), None)

    def first_gap(self, after: int = 0, before: int = 2**63 - 1) -> Gap | None:
        """
        Where in order of position a stream first does not go on by one, or goes back.

        Args:
            after, before: Only gaps between these two positions.
        """
        found = self._one(
            "SELECT * FROM (SELECT originator_id, ROW_NUMBER() OVER w AS wanted, position, "
            "COALESCE(LAG(position) OVER w, 0) AS earlier, originator_version AS version, "
            "COALESCE(LAG(originator_version) OVER w, 0) + 1 AS next FROM stored_events "
            "WINDOW w AS (PARTITION BY originator_id ORDER BY originator_version)) "
            "WHERE (version <> next OR position <= earlier) AND position > ? AND earlier < ? "
            "ORDER BY position LIMIT 1",
            [after, before],
        )
        if found is None:
            return None
        stream, _, position, earlier, _, version = found
        return Gap(_text(stream), version, position, earlier)

    def damage(self) -> str | None:
        """What SQLite itself finds wrong with its file, indexes included; None: nothing."""
        found = self._one("PRAGMA integrity_check(1)")
        return None if found and found[0] == b"ok" else _text(found[0] if found else b"")

    def _portions(self, statement: str, values: Sequence[Any]) -> Iterator[list[Any]]:
        # Left to the connection to close: who does not read on may be another thread by then.
        cursor = self._connection.execute(statement, values)
        while portion := cursor.fetchmany(AT_ONCE):
            yield portion

    def _all(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        return self._connection.execute(statement, values).fetchall()

    def _one(self, statement: str, values: Sequence[Any] = ()) -> Any:
        with closing(self._connection.execute(statement, values)) as cursor:
            return cursor.fetchone()


@contextmanager
def opened_snapshot(database_url: str) -> Iterator[Snapshot]:
    """
    The store that the URL names, as of now. Nothing is written, not even where it is an older one.

    Raises:
        FileNotFoundError, sqlite3.Error
        NewerStore: A newer program wrote it.
    """
    path = sqlite_path(database_url)
    if not path.exists():
        raise FileNotFoundError(f"there is no event store at {path}")
    with closing(_connected(path)) as connection:
        connection.text_factory = bytes
        connection.execute("BEGIN")
        if (found := connection.execute("PRAGMA user_version").fetchone()[0]) > SCHEMA_VERSION:
            raise NewerStore(
                f"{path} has schema {found}, this program knows {SCHEMA_VERSION}: "
                "use the version that wrote it"
            )
        yield Snapshot(connection)


def _connected(path: Path) -> sqlite3.Connection:
    """A copy on a disk that cannot be written is opened without the files that SQLite wants beside
    it, if there is nothing in them that it needs."""
    address = f"file:{quote(str(path.absolute()))}"
    connection = sqlite3.connect(f"{address}?mode=ro", uri=True, isolation_level=None)
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        wal = path.with_name(path.name + "-wal")
        if wal.exists() and wal.stat().st_size:
            raise
        return sqlite3.connect(f"{address}?immutable=1", uri=True, isolation_level=None)
    return connection


def _text(stored: Any) -> str:
    return stored.decode(errors="backslashreplace") if isinstance(stored, bytes) else str(stored)
