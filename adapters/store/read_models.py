"""Where the read models live: a SQLite file beside the event store's.

A file of its own, because its transactions must not keep the event writer waiting for the lock,
and because what can be rebuilt need not be forced to disk at every commit
(docs/decisions/0004-read-models-beside-the-events.md).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eventsourcing.persistence import IntegrityError
from eventsourcing.sqlite import SQLiteCursor, SQLiteTrackingRecorder

from adapters.store.connections import DurableDatastore
from adapters.store.table_changes import TableChanges

APPLICATION = "approvals"
TRACKED = f"{APPLICATION}>"
"""What stands in front of a projection's name where its position is kept."""


class SQLiteTables(TableChanges):
    """The tables inside one transaction."""

    def __init__(self, cursor: SQLiteCursor) -> None:
        super().__init__()
        self._cursor = cursor

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Mapping[str, Any]]:
        """Run one statement; its rows, if it has any."""
        self._cursor.execute(statement, values)
        return list(self._cursor.fetchall())

    def finish(self) -> None:
        """Write what was gathered."""
        self.write(self._cursor)


class ReadModelDatabase:
    """
    The read models' tables and positions. Positions are kept in the library's tracking table.

    Args:
        store: Which event store the read models belong to (its feed id).
        schemas: Names of projections to the statements that make their tables. Read models of
            another store or with other tables are dropped and begin again: they follow from
            the events.
    """

    def __init__(self, path: Path, store: str, schemas: Mapping[str, str]) -> None:
        self._datastore = DurableDatastore(str(path), synchronous="NORMAL", lock_timeout=10)
        _make_tracking_table(self._datastore)
        with self.transaction() as tables:
            self._prepare(tables, store, schemas)

    @contextmanager
    def transaction(self) -> Iterator[SQLiteTables]:
        with self._datastore.transaction(commit=True) as cursor:
            tables = SQLiteTables(cursor)
            yield tables
            tables.finish()

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[Mapping[str, Any]]:
        with self._datastore.transaction(commit=False) as cursor:
            return SQLiteTables(cursor).execute(statement, values)

    def query_at(
        self, name: str, statement: str, values: Sequence[Any] = ()
    ) -> tuple[int, list[Mapping[str, Any]]]:
        with self._datastore.transaction(commit=False) as cursor:  # one snapshot for both
            tables = SQLiteTables(cursor)
            position = self.positions(tables, [name])[name]
            return position, tables.execute(statement, values)

    def positions(self, tables: Any, names: Sequence[str]) -> dict[str, int]:
        rows = tables.execute("SELECT application_name, notification_id FROM tracking")
        found = {row["application_name"]: row["notification_id"] for row in rows}
        return {name: found.get(_tracked(name), 0) for name in names}

    def set_positions(self, tables: Any, positions: Mapping[str, int]) -> None:
        marks = ", ".join(["(?, ?)"] * len(positions))
        tables.execute(
            f"INSERT INTO tracking VALUES {marks} "  # noqa: S608
            "ON CONFLICT (application_name) DO UPDATE "
            "SET notification_id = max(notification_id, excluded.notification_id)",
            [value for name, at in positions.items() for value in (_tracked(name), at)],
        )

    def reset(self, tables: Any, schemas: Mapping[str, str]) -> None:
        """Empty some projections (names and schemas), so that they begin again."""
        for name, schema in schemas.items():
            _create(tables, name, schema)
            tables.execute("DELETE FROM tracking WHERE application_name = ?", [_tracked(name)])

    def close(self) -> None:
        self._datastore.close()

    def _prepare(self, tables: SQLiteTables, store: str, schemas: Mapping[str, str]) -> None:
        wanted = store + "\n" + "\n".join(f"{name}:{sql}" for name, sql in schemas.items())
        tables.execute("CREATE TABLE IF NOT EXISTS read_models (made_for TEXT)")
        made_for = [row["made_for"] for row in tables.execute("SELECT made_for FROM read_models")]
        if made_for == [wanted]:
            return
        for name, schema in schemas.items():
            _create(tables, name, schema)
        tables.execute("DELETE FROM tracking WHERE application_name LIKE ?", [_tracked("%")])
        tables.execute("DELETE FROM read_models")
        tables.execute("INSERT INTO read_models VALUES (?)", [wanted])


def _make_tracking_table(datastore: DurableDatastore) -> None:
    """The library looks for the table before the transaction that makes it: of processes that
    start together all but the first are refused, and find it when they look again."""
    try:
        SQLiteTrackingRecorder(datastore).create_table()
    except IntegrityError:
        SQLiteTrackingRecorder(datastore).create_table()


def _create(tables: SQLiteTables, table: str, statements: str) -> None:
    tables.execute(f"DROP TABLE IF EXISTS {table}")
    for statement in statements.split(";"):
        tables.execute(statement)


def tracked_name(tracked: str) -> str:
    """The projection whose position is kept under that name."""
    return tracked.removeprefix(TRACKED)


def _tracked(projection: str) -> str:
    return TRACKED + projection
