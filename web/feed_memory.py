"""The latest decisions, kept ready to be sent to however many readers."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec

from projections.database import Row

# About 35 MiB if every decision is as long as can be, 2 MiB as they usually are.
MOST_DECISIONS = 1000
MOST_CHARACTERS = 4 * 1024 * 1024

PermitOf = Callable[[Row], str | None]
"""The permit of a decision (contract 4.5), by its row of the feed; None if it has none."""


def no_permit(row: Row) -> None:
    """No decision has one."""


@dataclass(frozen=True, slots=True)
class Reader:
    """An engine, and whether it may see what it did not ask for."""

    engine: str
    everything: bool = False

    @property
    def scope(self) -> str | None:
        """The engine whose decisions it sees; None: of all."""
        return None if self.everything else self.engine


@dataclass(frozen=True, slots=True)
class Encoded:
    """A decision as the bytes of one Server-Sent Event."""

    frame: bytes
    json_from: int

    @property
    def json(self) -> bytes:
        """The CloudEvent alone."""
        return self.frame[self.json_from : -2]


class Decision:
    """
    One decision, encoded once for the engine that asked and once for everybody else.

    Only the first may hold a permit. Both are made when they are first wanted, so `permit_of` is
    called at most once, and never for readers whose decision it is not.
    """

    def __init__(self, row: Row, permit_of: PermitOf) -> None:
        self.position: int = row["position"]
        self.engine: str = row["engine"]
        self.size = len(row["cloud_event"])
        self._row = row
        self._permit_of = permit_of

    def for_(self, reader: Reader) -> Encoded:
        return self._for_its_engine if reader.engine == self.engine else self._for_others

    @cached_property
    def _for_others(self) -> Encoded:
        return self._encoded(self._row["cloud_event"].encode())

    @cached_property
    def _for_its_engine(self) -> Encoded:
        permit = self._permit_of(self._row)
        if permit is None:
            return self._for_others
        event = msgspec.json.decode(self._row["cloud_event"])
        event["data"]["permit"] = permit
        return self._encoded(msgspec.json.encode(event))

    def _encoded(self, cloud_event: bytes) -> Encoded:
        head = f"id: {self.position}\nevent: {self._row['type']}\ndata: ".encode()
        return Encoded(head + cloud_event + b"\n\n", len(head))


@dataclass(frozen=True, slots=True)
class Portion:
    """What a reader gets next: everything for it up to a position."""

    decisions: Sequence[Decision]
    seen: int
    """From here it goes on; further than the last decision where what follows is not for it."""


class FeedMemory:
    """
    Every decision of a stretch of the feed, the latest one.

    Whoever has seen everything up to `start` or further can go on from here without a gap.
    """

    def __init__(self, most: int = MOST_DECISIONS, most_characters: int = MOST_CHARACTERS) -> None:
        self.start = 0
        self.reached = 0
        self._most, self._most_characters = most, most_characters
        self._decisions: list[Decision] = []
        self._positions: list[int] = []
        self._characters = 0

    @property
    def last(self) -> int:
        """Position of the last decision; where the stretch begins if it holds none."""
        return self._positions[-1] if self._positions else self.start

    def take(self, newer: Sequence[Decision], reached: int, *, is_all: bool) -> None:
        """
        What follows `reached`, in order; where that is not all of it, the stretch begins with it.

        Args:
            reached: Up to there everything is known, as far as the read models told.
        """
        if not is_all:
            self._forget(len(self._decisions))
            self.start = newer[0].position - 1
        self._decisions += newer
        self._positions += [decision.position for decision in newer]
        self._characters += sum(decision.size for decision in newer)
        self.reached = max(self.reached, reached, *self._positions[-1:])
        self._forget(self._too_many())

    def holds_all_after(self, position: int) -> bool:
        return position >= self.start

    def after(self, position: int, reader: Reader, limit: int, most_characters: int) -> Portion:
        """The next ones for that reader, of which the last may go beyond the characters."""
        found: list[Decision] = []
        room = most_characters
        for index in range(bisect_right(self._positions, position), len(self._positions)):
            decision = self._decisions[index]
            if not reader.everything and decision.engine != reader.engine:
                continue
            found.append(decision)
            room -= decision.size
            if len(found) == limit or room <= 0:
                return Portion(found, decision.position)
        return Portion(found, max(position, self.reached))

    def _too_many(self) -> int:
        """How many of the oldest have to go; the newest one stays, whatever its size."""
        count, characters = 0, self._characters
        while len(self._decisions) - count > 1 and (
            len(self._decisions) - count > self._most or characters > self._most_characters
        ):
            characters -= self._decisions[count].size
            count += 1
        return count

    def _forget(self, count: int) -> None:
        if count:
            self.start = self._positions[count - 1]
            self._characters -= sum(decision.size for decision in self._decisions[:count])
            del self._decisions[:count], self._positions[:count]
