"""Which secrets sign what is pushed to an engine."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from adapters.engine.signature import secret_of

MOST_AT_ONCE = 2
EVERYBODY = ""
NAMED = re.compile(r"(?:([A-Za-z0-9_.-]{1,64}):)?(.*)", re.ASCII | re.DOTALL)


def parse_webhook_secrets(text: str) -> dict[str, list[bytes]]:
    """
    `whsec_…,fta:whsec_…` by the name of the engine; those for everybody else under `EVERYBODY`.

    Of two for the same engine the first is the new one, and both sign while receivers change over.

    Raises:
        ValueError: In one line, without a secret.
    """
    found: dict[str, list[bytes]] = {}
    for number, part in enumerate(filter(None, (p.strip() for p in text.split(","))), 1):
        matched = NAMED.fullmatch(part)
        name, secret = matched.groups() if matched else (None, "")
        try:
            found.setdefault(name or EVERYBODY, []).append(secret_of(secret))
        except ValueError as error:
            raise ValueError(f"entry {number} {error}, or a name, a colon and that") from None
    for name, secrets in found.items():
        if len(secrets) > MOST_AT_ONCE:
            raise ValueError(f"{name or 'everybody'} has more than {MOST_AT_ONCE} secrets")
        if len(set(secrets)) != len(secrets):
            raise ValueError(f"the same secret stands twice for {name or 'everybody'}")
    return found


class WebhookSecrets:
    """
    An engine's own secrets; else those for everybody; else those that this store made for itself.

    Args:
        made: The made ones at a moment, the newest first. Reads the store.
    """

    def __init__(
        self, given: Mapping[str, Sequence[bytes]], made: Callable[[datetime], Sequence[bytes]]
    ) -> None:
        self._given = given
        self._made = made

    def of(self, engine: str, now: datetime) -> Sequence[bytes]:
        """All that are valid now, the newest first."""
        return self._given.get(engine) or self._given.get(EVERYBODY) or self._made(now)
