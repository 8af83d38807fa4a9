"""Public keys of tree heads: their names, and how they are written down."""

import base64
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_BYTES = 32


class BadKey(Exception):
    """There is no public key of Ed25519 in it."""


def public_text(key: Ed25519PrivateKey | Ed25519PublicKey) -> str:
    """Base64 of the 32 bytes."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    return base64.b64encode(public.public_bytes_raw()).decode()


def key_id(public: str) -> str:
    """The name of a key: its JWK thumbprint (RFC 7638, RFC 8037)."""
    members = {"crv": "Ed25519", "kty": "OKP", "x": _url_form(_raw(public))}
    text = json.dumps(members, separators=(",", ":"), sort_keys=True)
    return _url_form(hashlib.sha256(text.encode()).digest())


def public_keys(texts: Iterable[str]) -> dict[str, Ed25519PublicKey]:
    """
    Keys by name.

    Raises:
        BadKey
    """
    return {key_id(text): Ed25519PublicKey.from_public_bytes(_raw(text)) for text in texts}


def given_keys(given: str) -> dict[str, Ed25519PublicKey]:
    """
    Keys that somebody hands over: base64, or a file of lines that begin with it (`audit key`).

    Raises:
        BadKey
        OSError: A file of that name cannot be read.
    """
    try:
        return public_keys([given])
    except BadKey:
        if not Path(given).exists():
            raise BadKey(
                f"{given!r} is neither a public key (base64 of 32 bytes) nor a file of them"
            ) from None
    text = Path(given).read_text(encoding="utf-8", errors="replace")
    lines = [line.split() for line in text.splitlines()]
    if not (texts := [words[0] for words in lines if words and not words[0].startswith("#")]):
        raise BadKey(f"{given} holds no key")
    try:
        return public_keys(texts)
    except BadKey:
        raise BadKey(f"{given} holds a line that begins with no public key") from None


def _raw(text: str) -> bytes:
    """Of base64, standard or for URLs, with or without its padding."""
    padded = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        raw = base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
    except ValueError:
        raw = b""
    if len(raw) != KEY_BYTES:
        raise BadKey(f"{text!r} is not a public key: base64 of 32 bytes")
    return raw


def _url_form(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
