"""The tree over the events in the store's own database: its leaves, and the heads that were signed.

What is in it is for adapters/evidence to say; this is the SQL of it, and nothing else knows any.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eventsourcing.persistence import IntegrityError

from adapters.store.connections import DurableDatastore
from adapters.store.statements import insert_rows

HASH_BYTES = 32


@dataclass(frozen=True, slots=True)
class Standing:
    """The newest head, and the roots of complete subtrees that were kept with it."""

    head: str | None
    tree_size: int
    roots: tuple[bytes, ...]
    """The largest first."""


class Tree:
    """The tables of the tree."""

    def __init__(self, datastore: DurableDatastore) -> None:
        self._datastore = datastore

    def standing(self) -> Standing:
        """As of one moment."""
        ((head, size, roots),) = self._rows(
            "SELECT (SELECT head FROM tree_heads ORDER BY tree_size DESC LIMIT 1), "
            "(SELECT tree_size FROM tree_frontier), (SELECT roots FROM tree_frontier)"
        )
        roots = roots or b""
        split = (roots[n : n + HASH_BYTES] for n in range(0, len(roots), HASH_BYTES))
        return Standing(head, size or 0, tuple(split))

    def grow(
        self, first: int, leaves: Sequence[tuple[int, bytes]], head: str, roots: Sequence[bytes]
    ) -> None:
        """
        Append leaves (position and hash) and the head that covers them, all or nothing.

        Args:
            first: The index of the first of them.
            roots: Of the complete subtrees then.

        Raises:
            IntegrityError: Another process was first.
        """
        numbered = [(first + n, position, leaf) for n, (position, leaf) in enumerate(leaves)]
        size = first + len(numbered)
        with self._datastore.transaction(commit=True) as c:
            c.execute("SELECT COALESCE(MAX(leaf_index) + 1, 0) FROM tree_leaves")
            if c.fetchone()[0] != first:
                raise IntegrityError("another process has grown the tree")
            insert_rows(c, "INSERT INTO tree_leaves", numbered)
            insert_rows(c, "INSERT INTO tree_heads", [(size, head)])
            c.execute("DELETE FROM tree_frontier")
            insert_rows(c, "INSERT INTO tree_frontier", [(1, size, b"".join(roots))])

    def newest_head(self) -> str | None:
        """The text of the head of the largest size."""
        rows = self._rows("SELECT head FROM tree_heads ORDER BY tree_size DESC LIMIT 1")
        return rows[0][0] if rows else None

    def heads_after(self, tree_size: int, limit: int) -> list[tuple[int, str]]:
        """Sizes and texts of the next larger heads, in order."""
        rows = self._rows(
            "SELECT tree_size, head FROM tree_heads WHERE tree_size > ? ORDER BY tree_size LIMIT ?",
            [tree_size, limit],
        )
        return [(size, head) for size, head in rows]

    def leaf_hashes(self, start: int, limit: int) -> list[tuple[int, bytes]]:
        """Positions and hashes of leaves from an index on, in order."""
        rows = self._rows(
            "SELECT position, leaf_hash FROM tree_leaves WHERE leaf_index >= ? "
            "ORDER BY leaf_index LIMIT ?",
            [start, limit],
        )
        return [(position, leaf) for position, leaf in rows]

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._datastore.transaction(commit=False) as c:
            c.execute(statement, values)
            return list(map(tuple, c.fetchall()))
