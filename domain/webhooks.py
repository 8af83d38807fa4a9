"""Pushing a decision to its engine: when it is tried again, and when it is given up (contract 4.4).

A delivery is named by the position of the decision that it carries: an approval may have several
decisions, each of which is pushed by itself.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

RETRY_AFTER = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(hours=24),
)
"""After each failure of a schedule; one more, and it is given up."""


@dataclass
class Webhook:
    """One delivery, as far as it has come."""

    attempts: int = 0
    """Tries ever; numbers them."""
    failures: int = 0
    """Of the schedule that runs."""
    due_at: datetime | None = None
    """When it is tried next; None: at once."""
    tried_at: datetime | None = None
    problem: str | None = None
    """Of the last try."""
    is_delivered: bool = False
    is_undelivered: bool = False
    """Given up: only somebody who asks for it has it tried again."""

    def after_failure(self, at: datetime) -> tuple[int, datetime | None]:
        """
        How many failures count then, and when the next try is due; None if that was the last.

        A try before its time, because its destination seemed to be back, costs nothing.
        """
        if self.due_at is not None and at < self.due_at:
            return self.failures, self.due_at
        retries = self.failures < len(RETRY_AFTER)
        return self.failures + 1, at + RETRY_AFTER[self.failures] if retries else None


@dataclass
class Webhooks:
    """What became of each delivery of one approval, by the position of its decision."""

    of: dict[int, Webhook] = field(default_factory=dict)

    def at(self, delivery: int) -> Webhook:
        """How far it has come; one of which nothing is known yet has not been tried."""
        return self.of.get(delivery, Webhook())

    def tried(self, delivery: int, attempt: int, at: datetime) -> Webhook:
        """The delivery after one more try; what came of that is for the caller to assign. Where
        that try is known, it is withheld, and was not tried again."""
        webhook = self.of.setdefault(delivery, Webhook())
        if attempt > webhook.attempts:
            webhook.attempts, webhook.tried_at = attempt, at
        return webhook
