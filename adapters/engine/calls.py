"""A request, repeated until it is answered or patience ends."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.engine.errors import Unreachable
from adapters.engine.exchange import Exchange
from adapters.engine.pauses import Patience, pause_s


@dataclass(frozen=True)
class Calls:
    exchange: Exchange
    patience: Patience

    async def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Any:
        """
        What the request is answered with. It must mean the same however often it arrives.

        Raises:
            Unreachable: With what the last try met.
            Refused, UnexpectedAnswer: At once.
        """
        content = None if body is None else _encoded(body)
        until, failures = self.patience.monotonic() + self.patience.call_s, 0
        while True:
            try:
                return await self.exchange.once(method, path, self.patience.try_s, content, params)
            except Unreachable as trouble:
                pause = pause_s(failures, self.patience.chance(), trouble.retry_after_s)
                if self.patience.monotonic() + pause > until:
                    raise
            failures += 1
            await self.patience.sleep(pause)


def _encoded(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
