"""The freeze: while it lasts nothing is approved and no permit redeemed (contract 1)."""

from dataclasses import dataclass
from datetime import datetime

from domain.aggregate import Aggregate, Event, applies

FREEZE_STREAM = "freeze"


@dataclass(frozen=True, slots=True)
class Frozen:
    """Since when, by whom and why."""

    at: datetime
    by: str
    why: str


class Freeze(Aggregate):
    """Whether approving is stopped for everybody. Rejecting, cancelling and expiry go on."""

    class Began(Event, frozen=True, kw_only=True):
        TOPIC = "freeze.began"
        by: str
        why: str

    class Ended(Event, frozen=True, kw_only=True):
        TOPIC = "freeze.ended"
        by: str

    def __init__(self, stream: str = FREEZE_STREAM) -> None:
        super().__init__(stream)
        self.in_force: Frozen | None = None
        """None while approving goes on."""
        self.last: Frozen | None = None
        """The one that lasts, or the one before."""

    def freeze(self, by: str, why: str, at: datetime) -> None:
        """Stop approving. While it is stopped for the same reason already, nothing happens."""
        if self.in_force is None or self.in_force.why != why:
            self.trigger(self.Began, at, by=by, why=why)

    def thaw(self, by: str, at: datetime) -> None:
        """Let approving go on. If it does, nothing happens."""
        if self.in_force is not None:
            self.trigger(self.Ended, at, by=by)

    @applies(Began)
    def _began(self, event: Began) -> None:
        self.in_force = self.last = Frozen(event.timestamp, event.by, event.why)

    @applies(Ended)
    def _ended(self, event: Ended) -> None:
        self.in_force = None
