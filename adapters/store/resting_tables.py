"""Read models at rest: a copy of a database in use, as of one moment, to be read and compared."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from adapters.store.read_models import TRACKED, tracked_name
from adapters.store.stored_history import opened_read_only


class RestingTables:
    """Every table of one file of SQLite; names of tables and columns are our own."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def columns(self) -> Mapping[str, Sequence[str]]:
        """Of each table, those of its primary key first."""
        return {table: names for table, (names, _) in self._shapes.items()}

    def keys(self) -> Mapping[str, int]:
        """How many of them are the primary key; all, where there is none."""
        return {table: key for table, (_, key) in self._shapes.items()}

    def rows(self, table: str) -> Iterator[tuple[Any, ...]]:
        """In order of all these columns, one after the other out of the file."""
        names = ", ".join(f'"{name}"' for name in self.columns()[table])
        wanted = f'SELECT {names} FROM "{table}" ORDER BY {names}'  # noqa: S608
        yield from self._connection.execute(wanted)

    def positions(self) -> dict[str, int]:
        """How far each projection had come, by its name."""
        rows = self._connection.execute("SELECT application_name, notification_id FROM tracking")
        return {tracked_name(name): at for name, at in rows if name.startswith(TRACKED)}

    @cached_property
    def _shapes(self) -> dict[str, tuple[list[str], int]]:
        found = self._connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        )
        return {name: self._shape(name) for (name,) in found.fetchall()}

    def _shape(self, table: str) -> tuple[list[str], int]:
        columns = self._connection.execute(f'PRAGMA table_info("{table}")').fetchall()
        key = [name for _, name, _, _, _, place in sorted(columns, key=lambda c: c[5]) if place]
        rest = [name for _, name, _, _, _, place in columns if not place]
        return [*key, *rest], len(key) or len(rest)


@contextmanager
def resting(path: Path) -> Iterator[RestingTables]:
    """What nobody writes to any more."""
    with closing(sqlite3.connect(path)) as connection:
        yield RestingTables(connection)


def copy_of(path: Path, copy: Path) -> None:
    """
    A copy as of one moment, whoever reads and writes meanwhile.

    Raises:
        WrittenMeanwhile: The file rested, and somebody began to write to it.
    """
    with opened_read_only(path) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
