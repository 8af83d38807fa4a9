"""Secrets that are stored as events: sealed with a key derived from the service's secret key."""

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from web.secret_key import derived_key

PURPOSE = "stored-secrets"
NONCE_BYTES = 12


class WrongSecretKey(ValueError):
    """What is stored was sealed with another secret key, or is damaged."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the stored {what} cannot be opened with this secret key: "
            "put back the key with which the service ran before"
        )


class Vault:
    """
    Seals and opens (AES-256-GCM).

    Each secret has a name, which is sealed along: what was sealed as one thing does not open as
    another.
    """

    def __init__(self, secret_key: bytes) -> None:
        self._cipher = AESGCM(derived_key(secret_key, PURPOSE))

    def seal(self, name: str, secret: bytes) -> str:
        """Text to be stored; another one each time."""
        nonce = os.urandom(NONCE_BYTES)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, secret, name.encode())).decode()

    def open(self, name: str, sealed: str) -> bytes:
        """
        What was sealed under that name.

        Raises:
            WrongSecretKey: With another key, under another name, or changed since.
        """
        try:
            raw = base64.b64decode(sealed, validate=True)
            return self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], name.encode())
        except (InvalidTag, ValueError):
            raise WrongSecretKey(name) from None
