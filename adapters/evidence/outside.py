"""Heads from outside, put in order of size without holding them all in memory."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from adapters.evidence.heads import TreeHead, read_head


class OrderedHeads:
    """One head after the other; `head` is the next one, None after the last."""

    def __init__(self, heads: Iterator[TreeHead]) -> None:
        self._heads = heads
        self.head = next(heads, None)

    @property
    def size(self) -> int | None:
        return None if self.head is None else self.head.tree_size

    def advance(self) -> None:
        self.head = next(self._heads, None)


@contextmanager
def in_order(heads: Iterable[TreeHead]) -> Iterator[OrderedHeads]:
    """The same heads by size, each text once; kept in a temporary file where they are many."""
    connection = sqlite3.connect("", isolation_level=None)
    try:
        connection.execute("CREATE TABLE heads (tree_size INTEGER, head TEXT UNIQUE)")
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT OR IGNORE INTO heads VALUES (?, ?)",
            ((head.tree_size, head.text()) for head in heads),
        )
        rows = connection.execute("SELECT head FROM heads ORDER BY tree_size, head")
        yield OrderedHeads(read_head(text) for (text,) in rows)
    finally:
        connection.close()
