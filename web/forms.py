"""Tokens in forms and in the login's way round, signed so that nobody else can make them."""

import hashlib
import hmac


class FormTokens:
    """
    HMAC tokens bound to a purpose and its parts, such as a session and an approval.

    Args:
        key: 32 bytes, derived from the service's secret key.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, purpose: str, *parts: str) -> str:
        """A token that fits exactly this purpose and these parts."""
        # Parts are joined by a byte that none of them can hold.
        text = "\0".join([purpose, *parts])
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()

    def fits(self, token: str, purpose: str, *parts: str) -> bool:
        """Whether the token was made for exactly this."""
        expected = self.make(purpose, *parts)
        return hmac.compare_digest(expected.encode(), token.encode(errors="replace"))
