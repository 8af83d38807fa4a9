"""Changes to tables, gathered and written by few statements.

Row by row, sqlite3 would let other threads run at each of them and wait to get on again
(adapters/store/statements.py). Gathered, rows are inserted, then updated, then deleted;
that is the order of their lives, so nothing changes as long as a deleted key never comes back.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from eventsourcing.sqlite import SQLiteCursor

from adapters.store.statements import MAX_VARIABLES, insert_rows, row_marks

Names = tuple[str, ...]


class TableChanges:
    """What is to be written into the tables of one transaction."""

    def __init__(self) -> None:
        self._start_over()

    def _start_over(self) -> None:
        self._inserted: dict[tuple[str, Names, str], list[Sequence[Any]]] = {}
        self._updated: dict[tuple[str, Names, Names], dict[Sequence[Any], Sequence[Any]]] = {}
        self._deleted: dict[tuple[str, Names], dict[Sequence[Any], None]] = {}

    def insert(self, table: str, row: Mapping[str, Any]) -> None:
        self._insert(table, row, "")

    def insert_once(self, table: str, row: Mapping[str, Any]) -> None:
        self._insert(table, row, " ON CONFLICT DO NOTHING")

    def update(self, table: str, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """The last one for a key wins."""
        changed = self._updated.setdefault((table, tuple(key), tuple(values)), {})
        changed[tuple(key.values())] = tuple(values.values())

    def delete(self, table: str, key: Mapping[str, Any]) -> None:
        self._deleted.setdefault((table, tuple(key)), {})[tuple(key.values())] = None

    def write(self, cursor: SQLiteCursor) -> None:
        """Write them, and start over."""
        for (table, columns, or_else), rows in self._inserted.items():
            insert_rows(cursor, f"INSERT INTO {table} ({', '.join(columns)})", rows, or_else)
        for (table, key, values), changed in self._updated.items():
            pairs = [(*k, *v) for k, v in changed.items()]
            for some in _portions(pairs):
                _execute(cursor, some, _update(table, key, values))
        for (table, key), gone in self._deleted.items():
            for some in _portions(list(gone)):
                _execute(cursor, some, _delete(table, key))
        self._start_over()

    def _insert(self, table: str, row: Mapping[str, Any], or_else: str) -> None:
        rows = self._inserted.setdefault((table, tuple(row), or_else), [])
        rows.append(tuple(row.values()))


def _portions(rows: Sequence[Sequence[Any]]) -> list[Sequence[Sequence[Any]]]:
    at_once = MAX_VARIABLES // len(rows[0])
    return [rows[begin : begin + at_once] for begin in range(0, len(rows), at_once)]


def _execute(cursor: SQLiteCursor, rows: Sequence[Sequence[Any]], statement: str) -> None:
    """`changes (c0, c1, …)` in the statement are these rows."""
    names = ", ".join(f"c{number}" for number in range(len(rows[0])))
    cursor.execute(
        f"WITH changes ({names}) AS (VALUES {row_marks(rows)}) {statement}",
        [value for row in rows for value in row],
    )


def _update(table: str, key: Names, values: Names) -> str:
    assigned = ", ".join(f"{name} = c{len(key) + n}" for n, name in enumerate(values))
    same = " AND ".join(f"{table}.{name} = c{n}" for n, name in enumerate(key))
    return f"UPDATE {table} SET {assigned} FROM changes WHERE {same}"  # noqa: S608  # our names


def _delete(table: str, key: Names) -> str:
    columns = ", ".join(f"c{n}" for n in range(len(key)))
    return f"DELETE FROM {table} WHERE ({', '.join(key)}) IN (SELECT {columns} FROM changes)"  # noqa: S608
