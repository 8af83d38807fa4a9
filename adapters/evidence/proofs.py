"""
Proofs that stand by themselves: a file, a public key and a head are all that a check needs.

An inclusion proof holds the events of one approval as they are stored, with the way of each to the
root of a signed head. A consistency proof shows that a later head only adds to an earlier one.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from adapters.evidence.heads import BadHead, TreeHead, check_signature, head_of
from adapters.evidence.leaf import StoredRow, leaf_data
from adapters.evidence.merkle import (
    NoProof,
    Prover,
    check_consistency,
    leaf_hash,
    root_by_inclusion,
)
from adapters.store.snapshot import Row, Snapshot
from domain.identity import APPROVAL_STREAM

INCLUSION = "fta-approval inclusion proof 1"
CONSISTENCY = "fta-approval consistency proof 1"


class BadProof(Exception):
    """It proves nothing; says why."""


class CannotProve(Exception):
    """The store does not give such a proof; says why."""


@dataclass(frozen=True)
class Included:
    """What an inclusion proof has shown."""

    stream: str
    events: list[StoredRow]
    head: TreeHead


@dataclass(frozen=True)
class Consistent:
    """What a consistency proof has shown."""

    earlier: TreeHead
    later: TreeHead


def inclusion_proof(snapshot: Snapshot, stream: str, head: TreeHead) -> dict[str, Any]:
    """
    Of every event of a stream that a head covers.

    Raises:
        CannotProve
    """
    rows = snapshot.of_stream(stream)
    if not rows:
        raise CannotProve(f"there is no approval {stream.removeprefix(APPROVAL_STREAM)}")
    covered = [(index, row) for index, row in rows if index is not None and index < head.tree_size]
    if not covered:
        raise CannotProve(f"no event of {stream} is covered by that head yet")
    prover = _prover(snapshot, head)
    for index, row in covered:
        if [leaf_hash(leaf_data(StoredRow(*row)))] != snapshot.leaf_hashes(index, index + 1):
            raise CannotProve(f"the event at position {row[0]} was altered: see audit verify")
    return {
        "format": INCLUSION,
        "stream": stream,
        "head": asdict(head),
        "events": [
            _included(row, index, prover.inclusion(index, head.tree_size)) for index, row in covered
        ],
        "not_covered": len(rows) - len(covered),
    }


def consistency_proof(snapshot: Snapshot, earlier: TreeHead, later: TreeHead) -> dict[str, Any]:
    """
    That the later head only adds to the earlier one.

    Raises:
        CannotProve
    """
    if earlier.tree_size > later.tree_size:
        raise CannotProve("the head that it should lead to is the smaller one")
    prover = _prover(snapshot, later)
    if prover.root(0, earlier.tree_size) != earlier.root:
        raise CannotProve(
            f"the store does not agree with the head of size {earlier.tree_size}: see audit verify"
        )
    path = prover.consistency(earlier.tree_size, later.tree_size)
    return {
        "format": CONSISTENCY,
        "from": asdict(earlier),
        "to": asdict(later),
        "path": [_text(step) for step in path],
    }


def check_proof(
    text: str | bytes, keys: Mapping[str, Ed25519PublicKey], heads: Sequence[TreeHead] = ()
) -> Included | Consistent:
    """
    What a proof shows, by nothing but itself, public keys, and heads that one has kept.

    Args:
        heads: Where some are given, the proof has to lead to one of them.

    Raises:
        BadProof
    """
    try:
        found = json.loads(text)
        kind = found["format"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadProof("it is no proof of this program") from None
    try:
        if kind == INCLUSION:
            return _check_inclusion(found, keys, heads)
        if kind == CONSISTENCY:
            return _check_consistency(found, keys, heads)
    except (BadHead, NoProof) as error:
        raise BadProof(str(error)) from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        raise BadProof("a part of it is missing, or not what it should be") from None
    raise BadProof(f"its format {kind!r} is unknown to this program")


def _check_inclusion(
    found: Any, keys: Mapping[str, Ed25519PublicKey], heads: Sequence[TreeHead]
) -> Included:
    head, stream = head_of(found["head"]), found["stream"]
    check_signature(head, keys)
    _check_kept(head, heads)
    rows = []
    for event in found["events"]:
        row = _row(event)
        path = [_bytes(step) for step in event["path"]]
        leaf = leaf_hash(leaf_data(row))
        index = _whole(event["leaf_index"], least=0)
        if root_by_inclusion(leaf, index, head.tree_size, path) != head.root:
            raise NoProof(f"the event at position {row.position} is not in the tree of that head")
        rows.append(row)
    _check_whole(rows, stream)
    return Included(stream, rows, head)


def _check_whole(rows: Sequence[StoredRow], stream: str) -> None:
    """All of one stream, from its first on, none left out, in the order in which they happened."""
    if not rows:
        raise NoProof("there is no event in it")
    if [row.version for row in rows] != list(range(1, len(rows) + 1)):
        raise NoProof("an event of the approval is left out")
    if any(row.stream != stream.encode() for row in rows):
        raise NoProof("an event in it is of another approval")
    for row in rows:
        said = json.loads(row.state)
        if (said["originator_id"], said["originator_version"]) != (stream, row.version):
            raise NoProof(f"the event at position {row.position} says that it is another one")


def _check_consistency(
    found: Any, keys: Mapping[str, Ed25519PublicKey], heads: Sequence[TreeHead]
) -> Consistent:
    earlier, later = head_of(found["from"]), head_of(found["to"])
    for head in (earlier, later):
        check_signature(head, keys)
    kept = [head for head in (earlier, later) if _is_kept(head, heads)]
    if heads and not kept:
        raise NoProof("neither of its heads is one of those given")
    path = [_bytes(step) for step in found["path"]]
    check_consistency(earlier.tree_size, later.tree_size, earlier.root, later.root, path)
    if earlier.log_id != later.log_id:
        raise NoProof("the heads are of two logs")
    return Consistent(earlier, later)


def _check_kept(head: TreeHead, heads: Sequence[TreeHead]) -> None:
    if heads and not _is_kept(head, heads):
        raise NoProof(
            f"it leads to the head of size {head.tree_size}, which is none of those given: have it "
            "made with `audit prove --head` and the head that you have"
        )


def _is_kept(head: TreeHead, heads: Sequence[TreeHead]) -> bool:
    """
    Whether one has kept that head oneself.

    Raises:
        NoProof: One has kept another of the same size.
    """
    same = [one for one in heads if one.log_id == head.log_id and one.tree_size == head.tree_size]
    if any(one.root_hash != head.root_hash for one in same):
        raise NoProof(f"the head of size {head.tree_size} is not the one that was kept")
    return bool(same)


def _prover(snapshot: Snapshot, head: TreeHead) -> Prover:
    """Over leaves that give that head, else whatever was proved would be worth nothing."""
    prover = Prover(snapshot.leaf_hashes)
    if snapshot.leaf_count() < head.tree_size or prover.root(0, head.tree_size) != head.root:
        raise CannotProve(
            f"the store does not agree with the head of size {head.tree_size}: see audit verify"
        )
    return prover


def _included(row: Row, index: int, path: Sequence[bytes]) -> dict[str, Any]:
    position, stream, version, topic, state = row
    return {
        "position": position,
        "stream": stream.decode(),
        "version": version,
        "topic": topic.decode(),
        "state": state.decode(),
        "leaf_index": index,
        "path": [_text(step) for step in path],
    }


def _row(event: Any) -> StoredRow:
    return StoredRow(
        _whole(event["position"]),
        event["stream"].encode(),
        _whole(event["version"]),
        event["topic"].encode(),
        event["state"].encode(),
    )


def _whole(value: Any, least: int = 1) -> int:
    if type(value) is not int or not least <= value < 2**63:
        raise ValueError
    return value


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: Any) -> bytes:
    raw = base64.b64decode(text, validate=True)
    if len(raw) != 32:
        raise ValueError
    return raw
