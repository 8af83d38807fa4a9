"""How fast one member is written to, so that WeCom drops nothing and nobody is flooded.

WeCom drops without a word what goes beyond 30 messages a minute to one member (wecom-protocol 5.6).
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

MINUTE = timedelta(minutes=1)
REMEMBERED_MEMBERS = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What one member is spared."""

    singles_a_minute: int = 3
    gather_every: timedelta = timedelta(seconds=30)
    most_a_minute: int = 25


@dataclass(slots=True)
class _Member:
    sent: deque[datetime] = field(default_factory=deque)
    """Of every message of the last minute."""
    notices: deque[datetime] = field(default_factory=deque)
    """Of those that were no answers to the member."""
    gathered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """What a member's next notice does: goes out singly, waits, or is gathered with the others."""

    wait_s: float = 0.0
    gather: bool = False
    may_hurry: bool = False
    """It waits to be gathered, and could be at once if a deadline wants it."""


class Pace:
    """
    Counts what was sent to each member; kept in memory.

    A process that has just taken over knows nothing of the last minute: it may send three more
    singly, which with what went before stays below WeCom's limit.
    """

    def __init__(self, clock: Callable[[], datetime], limits: Limits | None = None) -> None:
        self._clock = clock
        self.limits = limits or Limits()
        self._members: dict[str, _Member] = {}

    def answer_waits_s(self, member: str) -> float:
        """How long an answer to the member's own words has to wait: nearly always not at all."""
        now = self._clock()
        known = self._recent(member, now)
        if len(known.sent) < self.limits.most_a_minute:
            return 0.0
        return _seconds(known.sent[-self.limits.most_a_minute] + MINUTE - now)

    def notice(self, member: str) -> Turn:
        """
        What a notice to that member may do now.

        The first three of a minute go out singly; what comes after them is gathered until half a
        minute has passed since the last one, and so on until a minute passes without gathering.
        """
        now = self._clock()
        known = self._recent(member, now)
        if wait_s := self.answer_waits_s(member):
            return Turn(wait_s=wait_s)
        gathering = known.gathered_at is not None and now - known.gathered_at < MINUTE
        if len(known.notices) < self.limits.singles_a_minute and not gathering:
            return Turn()
        last = max([*known.notices, *([known.gathered_at] if known.gathered_at else [])])
        if now - last < self.limits.gather_every:
            since = now - known.gathered_at if known.gathered_at else self.limits.gather_every
            return Turn(
                wait_s=_seconds(last + self.limits.gather_every - now),
                may_hurry=since >= self.limits.gather_every,
            )
        return Turn(gather=True)

    def sent(self, member: str, *, answer: bool = False, gathered: bool = False) -> None:
        """One message went out."""
        now = self._clock()
        known = self._recent(member, now)
        known.sent.append(now)
        if not answer:
            known.notices.append(now)
        if gathered:
            known.gathered_at = now

    def _recent(self, member: str, now: datetime) -> _Member:
        known = self._members.setdefault(member, _Member())
        ahead = known.sent and known.sent[-1] > now
        if ahead or (known.gathered_at is not None and known.gathered_at > now):
            # The clock was set back: better twice as many as nothing for so long.
            known = self._members[member] = _Member()
        for times in (known.sent, known.notices):
            while times and now - times[0] >= MINUTE:
                times.popleft()
        if len(self._members) > REMEMBERED_MEMBERS:
            self._forget_quiet_ones(now)
        return known

    def _forget_quiet_ones(self, now: datetime) -> None:
        self._members = {
            name: known
            for name, known in self._members.items()
            if (known.sent and now - known.sent[-1] < MINUTE)
            or (known.gathered_at is not None and now - known.gathered_at < MINUTE)
        }


def _seconds(left: timedelta) -> float:
    return max(left.total_seconds(), 0.001)
