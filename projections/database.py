"""What a read model needs of a database; adapters/store/read_models.py has it on SQLite.

Statements are plain SQL with `?` for values, so that another database can take them too.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Row = Mapping[str, Any]


class Tables(Protocol):
    """The tables inside one transaction."""

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Run one statement; its rows, if it has any."""

    def execute_many(self, statement: str, values: Sequence[Sequence[Any]]) -> None:
        """Run one statement for each of several sets of values."""


class Database(Protocol):
    """Where the read models live."""

    def transaction(self) -> AbstractContextManager[Tables]:
        """All that is written inside is kept, or nothing."""

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Read what has been committed."""

    def positions(self, tables: Tables, names: Sequence[str]) -> dict[str, int]:
        """How far each projection has come; 0 where it has not begun."""

    def set_positions(self, tables: Tables, positions: Mapping[str, int]) -> None:
        """How far they are when this transaction commits."""

    def reset(self, tables: Tables, schemas: Mapping[str, str]) -> None:
        """Empty some projections (names and schemas), so that they begin again."""
