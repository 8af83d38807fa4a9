"""
What the tree holds of one event: the canonical bytes of position, stream, version, topic, state.

`fta-approval event 1` and a line feed; position, version, and how many bytes stream, topic and
state have, each as eight bytes, big-endian; then stream, topic (UTF-8) and state as stored. No two
events have the same bytes. This never changes; another form would have another first line.
"""

import hashlib
from collections.abc import Iterable
from struct import Struct
from typing import NamedTuple

from adapters.evidence.merkle import LEAF

FORM = b"fta-approval event 1\n"
NUMBERS = Struct(">5q")
_BEGIN = LEAF + FORM


class StoredRow(NamedTuple):
    """One event as it is stored, texts as their bytes."""

    position: int
    stream: bytes
    version: int
    topic: bytes
    state: bytes


def leaf_data(row: StoredRow) -> bytes:
    """The canonical bytes."""
    position, stream, version, topic, state = row
    numbers = NUMBERS.pack(position, version, len(stream), len(topic), len(state))
    return b"".join((FORM, numbers, stream, topic, state))


def leaf_hashes(rows: Iterable[tuple[int, bytes, int, bytes, bytes]]) -> list[bytes]:
    """
    Hashes of the leaves of some rows, `leaf_hash(leaf_data(row))` of each.

    Raises:
        struct.error, TypeError: What should be a number or bytes is neither.
    """
    sha256, pack, begin = hashlib.sha256, NUMBERS.pack, _BEGIN
    return [
        sha256(
            begin
            + pack(position, version, len(stream), len(topic), len(state))
            + stream
            + topic
            + state
        ).digest()
        for position, stream, version, topic, state in rows
    ]
