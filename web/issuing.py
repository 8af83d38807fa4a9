"""Gives out permits, and recognises them (contract 4.5)."""

import hmac
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from adapters.engine import permits
from domain.errors import BadPermit
from web.keyring import Keyring


class Permits:
    """Permits of this store, signed whenever they are asked for."""

    def __init__(self, keyring: Keyring, clock: Callable[[], datetime]) -> None:
        self._keyring = keyring
        self._clock = clock

    def of(self, decision: Mapping[str, Any]) -> str | None:
        """
        The permit of a decision, the same each time; None where it is none to act on.

        Args:
            decision: Its row of the decision feed.
        """
        if decision["permit_key"] is None:
            return None
        return self._signed(json.loads(decision["permit_claims"]), decision["permit_key"])

    def claims(self, text: str) -> dict[str, Any]:
        """
        What a permit of ours says; whether it still counts is for the aggregate to say.

        Raises:
            BadPermit: It is none, its key is void, or a bit of it was changed.
        """
        trusted = {key["kid"]: key for key in self.public_keys()}
        try:
            name, claims = permits.verified(text, trusted)
        except permits.BadPermit:
            raise BadPermit from None
        # Base64 has bits that decoders may overlook; what we gave out has one spelling only.
        if not hmac.compare_digest(self._signed(claims, name).encode(), text.encode()):
            raise BadPermit
        return claims

    def public_keys(self) -> list[dict[str, str]]:
        """JWKs of all keys with which a permit that still counts may be signed."""
        return self._keyring.trusted_permit_keys(self._clock())

    def _signed(self, claims: Mapping[str, Any], key_id: str) -> str:
        return permits.sign(claims, key_id, self._keyring.permit_key(key_id))
