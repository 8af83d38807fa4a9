"""What a read model needs of a database; adapters/store/read_models.py has it on SQLite.

Changes are gathered and written at the end of the transaction, so a projection never reads what
it writes. Questions are plain SQL with `?` for values, so that another database can take them too.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Row = Mapping[str, Any]


class Tables(Protocol):
    """The tables inside one transaction."""

    def insert(self, table: str, row: Mapping[str, Any]) -> None:
        """A new row."""

    def insert_once(self, table: str, row: Mapping[str, Any]) -> None:
        """A new row, unless there is one with its key."""

    def update(self, table: str, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Change the row with that key, if it is there."""

    def delete(self, table: str, key: Mapping[str, Any]) -> None:
        """Remove the row with that key, if it is there; the key never comes back."""

    def finish(self) -> None:
        """Write what was gathered so far; at the latest the end of the transaction does it."""


class Database(Protocol):
    """Where the read models live."""

    def transaction(self) -> AbstractContextManager[Tables]:
        """All that is written inside is kept, or nothing."""

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Read what has been committed."""

    def query_at(
        self, name: str, statement: str, values: Sequence[Any] = ()
    ) -> tuple[int, list[Row]]:
        """The same, and how far that projection was at that very moment."""

    def positions(self, tables: Tables, names: Sequence[str]) -> dict[str, int]:
        """How far each projection has come; 0 where it has not begun."""

    def set_positions(self, tables: Tables, positions: Mapping[str, int]) -> None:
        """How far they are when this transaction commits."""

    def reset(self, tables: Tables, schemas: Mapping[str, str]) -> None:
        """Empty some projections (names and schemas), so that they begin again."""
