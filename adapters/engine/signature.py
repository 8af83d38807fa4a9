"""Signatures by the Standard Webhooks scheme (github.com/standard-webhooks/standard-webhooks, spec/
standard-webhooks.md): HMAC-SHA256 over id, timestamp and body."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime

SECRET_PREFIX = "whsec_"  # noqa: S105  # what stands before each secret
LEAST_BYTES, MOST_BYTES = 24, 64


def secret_of(text: str) -> bytes:
    """
    The secret that `whsec_` + base64 holds.

    Raises:
        ValueError: It is none; without the text, which may be one with a typing mistake.
    """
    try:
        secret = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not text.startswith(SECRET_PREFIX) or not LEAST_BYTES <= len(secret) <= MOST_BYTES:
        raise ValueError("must be whsec_ and 24-64 bytes in base64")
    return secret


def secret_text(secret: bytes) -> str:
    """As it is given to who receives."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def signed_headers(
    webhook_id: str, at: datetime, body: bytes, secrets: Iterable[bytes]
) -> dict[str, str]:
    """The three headers; a signature for each secret, so that one can be replaced by another."""
    timestamp = str(int(at.timestamp()))
    content = b".".join([webhook_id.encode(), timestamp.encode(), body])
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(content, secret) for secret in secrets),
    }


def _signature(content: bytes, secret: bytes) -> str:
    digest = hmac.new(secret, content, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"
