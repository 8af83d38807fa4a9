"""How many requests a token may make: so many a second, and as many at once (contract 2)."""

from collections.abc import Callable

# A bucket that refills for exactly as long as a request takes must hold that request again.
ALMOST = 1 - 1e-6


class RateLimit:
    """
    A bucket for each token; a request takes one from it, and time puts them back.

    Args:
        a_second: What a bucket holds, and what flows into it each second; 0: no limit.
        tokens: How many tokens there are; nothing grows with the requests.
        monotonic: Seconds that never go back.
    """

    def __init__(self, a_second: int, tokens: int, monotonic: Callable[[], float]) -> None:
        self._a_second = a_second
        self._monotonic = monotonic
        self._left = [float(a_second)] * tokens
        self._seen_at = [monotonic()] * tokens

    def wait_s(self, token: int) -> float:
        """
        Count one request of that token; how long it has to wait instead, or 0 if it may go on.

        A request that has to wait is not counted: whoever keeps knocking is let in no later.
        """
        if not self._a_second:
            return 0.0
        now = self._monotonic()
        flown_in = max(now - self._seen_at[token], 0.0) * self._a_second
        left = min(self._left[token] + flown_in, float(self._a_second))
        self._seen_at[token] = now
        may_go_on = left >= ALMOST
        self._left[token] = left - 1 if may_go_on else left
        return 0.0 if may_go_on else (1 - left) / self._a_second
