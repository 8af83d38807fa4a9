"""Replies that name no approval: kept in a stream for each member and UTC day."""

from datetime import datetime
from typing import Any

from domain.aggregate import Aggregate, Event, applies
from domain.commands import RecordDelivery


class Inbox(Aggregate):
    """What one member wrote on one day that belongs to no approval, and what they were told."""

    class Received(Event, frozen=True, kw_only=True):
        TOPIC = "inbox.received"
        by: str
        words: str
        channel: str
        refusal: str
        verdict: str | None = None
        reply_id: str | None = None
        suggestions: list[str] = []  # noqa: RUF012  # msgspec copies an empty default
        delivery_key: str | None = None
        sent_at: datetime | None = None

    class Answered(Event, frozen=True, kw_only=True):
        TOPIC = "inbox.answered"
        notice: str
        to: str
        problem: str | None = None
        unreachable: bool = False

    def receive(self, at: datetime, **reply: Any) -> None:
        """Keep a reply, with why it decided nothing."""
        self.trigger(self.Received, at, **reply)

    def record_delivery(self, delivery: RecordDelivery) -> None:
        """Record what became of an answer. The same notice again changes nothing."""
        if delivery.notice not in self.answered:
            self.trigger(
                self.Answered,
                delivery.at,
                notice=delivery.notice,
                to=delivery.to,
                problem=delivery.problem,
                unreachable=delivery.unreachable,
            )

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.answered: set[str] = set()

    @applies(Received)
    def _received(self, event: Received) -> None:
        pass

    @applies(Answered)
    def _answered(self, event: Answered) -> None:
        self.answered.add(event.notice)
