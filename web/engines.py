"""Which engine holds which token, and what it may read."""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Holder(NamedTuple):
    """Who holds a token."""

    engine: str
    token: int
    """Which of all the tokens, counted from 0: an engine may have two."""


class Engines:
    """Tokens are kept as hashes and compared in constant time, all of them each time."""

    def __init__(self, tokens: Iterable[tuple[str, str]], readers: Sequence[str]) -> None:
        self._known = [(name, _hashed(token)) for name, token in tokens]
        self._readers = frozenset(readers)
        self.edition = object()
        """Another one whenever tokens or readers were changed."""

    @property
    def any(self) -> bool:
        return bool(self._known)

    @property
    def tokens(self) -> int:
        """How many there are."""
        return len(self._known)

    def holder(self, token: str | None) -> Holder | None:
        """Whose token that is, or None."""
        hashed, found = _hashed(token or ""), None
        for number, (name, known) in enumerate(self._known):
            if hmac.compare_digest(hashed, known):
                found = Holder(name, number)
        return found if token else None

    def named(self, token: str | None) -> str | None:
        """The engine whose token that is, or None."""
        held = self.holder(token)
        return held.engine if held else None

    def scope(self, engine: str) -> str | None:
        """What to filter by: the engine's own name, or None for one that may read everything."""
        return None if engine in self._readers else engine

    def may_read(self, engine: str, owner: str) -> bool:
        return self.scope(engine) in (None, owner)


def _hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()
