"""Replies that name no approval: kept in a stream for each member and UTC day."""

from datetime import datetime
from typing import Any

from domain.aggregate import Aggregate, Event, applies
from domain.commands import RecordDelivery

NOT_TEXT = "not-text"
"""The refusal of a picture, a voice message …: only texts and cards are read."""


class Inbox(Aggregate):
    """What one member wrote or did on one day that belongs to no approval, and what they heard."""

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
        unanswered: bool = False

    class Greeted(Event, frozen=True, kw_only=True):
        TOPIC = "inbox.greeted"
        by: str

    class Answered(Event, frozen=True, kw_only=True):
        TOPIC = "inbox.answered"
        notice: str
        to: str
        problem: str | None = None
        unreachable: bool = False

    def receive(self, at: datetime, **reply: Any) -> None:
        """Keep a reply, with why it decided nothing; that only texts count is said once a day."""
        unanswered = reply["refusal"] == NOT_TEXT and self.was_told_text_only
        self.trigger(self.Received, at, unanswered=unanswered, **reply)

    def greet(self, by: str, at: datetime) -> None:
        """The member came, and something waits for them."""
        self.trigger(self.Greeted, at, by=by)

    def was_greeted_after(self, at: datetime) -> bool:
        return self.greeted_at is not None and self.greeted_at > at

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
        self.was_told_text_only = False
        self.greeted_at: datetime | None = None

    @applies(Received)
    def _received(self, event: Received) -> None:
        self.was_told_text_only |= event.refusal == NOT_TEXT

    @applies(Greeted)
    def _greeted(self, event: Greeted) -> None:
        self.greeted_at = event.timestamp

    @applies(Answered)
    def _answered(self, event: Answered) -> None:
        self.answered.add(event.notice)
