"""Permits as text: a JWS in compact form, signed with Ed25519 (RFC 7515, RFC 8037)."""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ALGORITHM = "EdDSA"
# Far from what a permit takes; what is longer is not looked at.
MAX_LENGTH = 4096


class BadPermit(Exception):
    """The text is no permit that one of these keys signed."""


def public_text(key: Ed25519PrivateKey) -> str:
    """The public half, as it stands in a JWK: base64url of 32 bytes, without padding."""
    return _base64url(key.public_key().public_bytes_raw())


def key_id(public: str) -> str:
    """The name of a key: its JWK thumbprint (RFC 7638)."""
    members = {"crv": "Ed25519", "kty": "OKP", "x": public}
    text = json.dumps(members, separators=(",", ":"), sort_keys=True)
    return _base64url(hashlib.sha256(text.encode()).digest())


def public_jwk(name: str, public: str) -> dict[str, str]:
    """One key of the JWKS."""
    key = {"kty": "OKP", "crv": "Ed25519", "x": public}
    return {**key, "kid": name, "use": "sig", "alg": ALGORITHM}


def sign(claims: Mapping[str, Any], name: str, key: Ed25519PrivateKey) -> str:
    """The permit; for the same claims and key the same text, for Ed25519 draws no lots."""
    return jwt.encode(dict(claims), key, algorithm=ALGORITHM, headers={"kid": name, "typ": "JWT"})


def verified(text: str, keys: Mapping[str, Mapping[str, str]]) -> tuple[str, dict[str, Any]]:
    """
    The name of the key and the claims of a permit that one of these keys signed.

    Whether it still counts, and for whom, is not looked at here.

    Args:
        keys: JWKs by name.

    Raises:
        BadPermit: It is none, or was changed.
    """
    if len(text) > MAX_LENGTH or not text.isascii():
        raise BadPermit
    unlimited: Any = {f"verify_{name}": False for name in ("exp", "iat", "nbf", "aud", "iss")}
    try:
        name = str(jwt.get_unverified_header(text).get("kid"))
        key = jwt.PyJWK(dict(keys[name]), algorithm=ALGORITHM)
        return name, jwt.decode(text, key, algorithms=[ALGORITHM], options=unlimited)
    except (jwt.InvalidTokenError, jwt.PyJWKError, KeyError, TypeError, ValueError):
        raise BadPermit from None


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
