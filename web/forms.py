"""Forms: tokens that nobody else can make, and a strict reading of what was sent."""

import hashlib
import hmac

from aiohttp import web

FORM = "application/x-www-form-urlencoded"


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
        # A cookie may hold bytes that are no UTF-8; they reach us as surrogates.
        return hmac.new(
            self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256
        ).hexdigest()

    def fits(self, token: str, purpose: str, *parts: str) -> bool:
        """Whether the token was made for exactly this."""
        expected = self.make(purpose, *parts)
        return hmac.compare_digest(expected.encode(), token.encode(errors="replace"))


async def read_form(request: web.Request) -> dict[str, str] | None:
    """
    The fields of a form of ours; None for anything else.

    Ours are URL-encoded UTF-8 and name each field once: of two decisions in one form nobody could
    say which was meant.
    """
    if request.content_type != FORM:
        return None
    try:
        fields = await request.post()
    except (UnicodeDecodeError, LookupError, ValueError):
        return None
    form = {name: value for name, value in fields.items() if isinstance(value, str)}
    return form if len(form) == len(fields) else None
