"""Few statements instead of many.

sqlite3 lets other threads run at every row it steps through, and takes up to a switch interval to
get on again while they are busy. Here many rows go in by one statement, and come out as one array
(docs/decisions/0003-one-writer.md).
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec
from eventsourcing.persistence import OperationalError
from eventsourcing.sqlite import SQLiteCursor, SQLiteDatastore

MAX_VARIABLES = 30_000  # SQLite takes 32,766 in one statement


def read_json(datastore: SQLiteDatastore, statement: str, values: Sequence[Any]) -> Any:
    """What a statement answers whose answer is one JSON array."""
    with datastore.get_connection(commit=False) as connection:
        cursor = connection.cursor()
        with cursor:
            try:
                cursor.execute(statement, values)
                return msgspec.json.decode(cursor.fetchone()[0])
            except sqlite3.Error as error:
                raise OperationalError(error) from error


def insert_rows(
    cursor: SQLiteCursor, insert: str, rows: Sequence[Sequence[Any]], or_else: str = ""
) -> None:
    """Many rows by few statements; `insert` is all that stands before VALUES, `or_else` after."""
    if not rows:
        return
    at_once = MAX_VARIABLES // len(rows[0])
    for begin in range(0, len(rows), at_once):
        some = rows[begin : begin + at_once]
        cursor.execute(
            f"{insert} VALUES {row_marks(some)}{or_else}", [v for row in some for v in row]
        )


def row_marks(rows: Sequence[Sequence[object]]) -> str:
    """`(?,?),(?,?)` for rows of one length."""
    return ",".join([f"({marks(rows[0])})"] * len(rows))


def marks(values: Sequence[object]) -> str:
    """`?,?,?`"""
    return ",".join("?" * len(values))
