"""
Signed tree heads: how many events there were at one moment, and the hash that covers them all.

A head is one line of canonical JSON (RFC 8785), signed with Ed25519 over the canonical JSON of all
its other fields. Whoever has kept one can tell whether what it covers is still the same.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from adapters.evidence.merkle import HASH_BYTES

TEXTS = ("log_id", "timestamp", "root_hash", "key_id", "signature")
NUMBERS = ("tree_size", "position")
# Far from what a head takes; what is longer is not looked at.
MAX_LENGTH = 2048


class BadHead(Exception):
    """It is no tree head, or none that one of these keys signed."""


@dataclass(frozen=True, slots=True)
class TreeHead:
    """What the tree was at one moment."""

    log_id: str
    """Which log it is of: the feed id of the store."""
    tree_size: int
    position: int
    """That of the last event covered."""
    timestamp: str
    """When it was signed: UTC, `Z`, milliseconds."""
    root_hash: str
    """Base64."""
    key_id: str
    signature: str = ""
    """Base64; empty before it is signed."""

    @classmethod
    def of(
        cls, log_id: str, tree_size: int, position: int, timestamp: str, root: bytes, key_id: str
    ) -> Self:
        """A head that is not signed yet."""
        text = base64.b64encode(root).decode()
        return cls(log_id, tree_size, position, timestamp, text, key_id)

    @property
    def root(self) -> bytes:
        return base64.b64decode(self.root_hash)

    def text(self) -> str:
        """The one line."""
        return rfc8785.dumps(asdict(self)).decode()

    def signed_bytes(self) -> bytes:
        """What the signature is over."""
        fields = asdict(self)
        del fields["signature"]
        return rfc8785.dumps(fields)


def signed(head: TreeHead, key: Ed25519PrivateKey) -> TreeHead:
    signature = base64.b64encode(key.sign(head.signed_bytes())).decode()
    return TreeHead(**{**asdict(head), "signature": signature})


def read_head(text: str | bytes) -> TreeHead:
    """
    A head from its line; nothing is said of its signature.

    Raises:
        BadHead: It is none. An answer of `GET /decisions` with a `tree_head` in it is taken too.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise BadHead("it is no JSON") from None
    return head_of(found)


def head_of(found: Any) -> TreeHead:
    """The same of JSON that was read."""
    if isinstance(found, dict) and isinstance(found.get("tree_head"), dict):
        found = found["tree_head"]
    if not isinstance(found, dict) or set(found) != {*TEXTS, *NUMBERS}:
        raise BadHead("it does not have the fields of a tree head")
    if not all(isinstance(found[name], str) for name in TEXTS):
        raise BadHead("a field of it that is a text is none")
    if not all(type(found[name]) is int and 0 < found[name] < 2**53 for name in NUMBERS):
        raise BadHead("a field of it that is a positive number is none")
    head = TreeHead(**found)
    if len(_decoded(head.root_hash)) != HASH_BYTES:
        raise BadHead("its root_hash is none")
    return head


def check_signature(head: TreeHead, keys: Mapping[str, Ed25519PublicKey]) -> None:
    """
    That one of these keys (by their names) signed it.

    Raises:
        BadHead
    """
    if (key := keys.get(head.key_id)) is None:
        raise BadHead(f"it is signed by {head.key_id!r}, which is none of the keys")
    try:
        key.verify(_decoded(head.signature), head.signed_bytes())
    except (InvalidSignature, ValueError, UnicodeError, rfc8785.CanonicalizationError):
        raise BadHead("its signature is not that of its contents") from None


def _decoded(text: str) -> bytes:
    """Of the one text that these bytes have: the last character of base64 has bits to spare."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raw = b""
    if not raw or base64.b64encode(raw).decode() != text:
        raise BadHead("a part of it is not base64")
    return raw
