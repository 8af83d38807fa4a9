"""The decision feed, followed through every break: each decision once, in order, without a gap."""

import json
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

import aiohttp

from adapters.engine.documents import Decision
from adapters.engine.errors import FeedChanged, Refused, UnexpectedAnswer, Unreachable
from adapters.engine.event_stream import EventStream, ServerSentEvent
from adapters.engine.exchange import Exchange
from adapters.engine.pauses import Patience, pause_s
from adapters.engine.reading import DECISION, read_decision

# Of a pause that the service asks for: a reader that is away for longer is of no use to anybody.
MOST_ASKED_S = 60.0
log = logging.getLogger(__name__)


@dataclass
class Place:
    """Where a reader stands."""

    after: int
    feed_id: str | None


@dataclass(frozen=True)
class Following:
    exchange: Exchange
    patience: Patience
    trouble: Callable[[str | None], None]

    async def decisions(self, place: Place) -> AsyncGenerator[Decision, None]:
        """
        Every decision after the place, for ever.

        Raises:
            FeedChanged: Before anything of another feed was given.
            Refused, UnexpectedAnswer: What no later try can mend.
        """
        failures = 0
        while True:
            asked_s = 0.0
            try:
                async with aclosing(self._connection(place)) as connection:
                    async for decision in connection:
                        failures = 0
                        if decision is not None:
                            yield decision
                why = "the service ended it"
            except Unreachable as error:
                why, asked_s = str(error), min(error.retry_after_s, MOST_ASKED_S)
            self.trouble(why)
            pause = pause_s(failures, self.patience.chance(), asked_s)
            failures += 1
            log.info("decision stream broke after %s: %s", place.after, why)
            await self.patience.sleep(pause)

    async def _connection(self, place: Place) -> AsyncGenerator[Decision | None, None]:
        """What one connection brings; None for a sign of life without a decision."""
        timeout = aiohttp.ClientTimeout(
            total=None, connect=self.patience.try_s, sock_read=self.patience.silence_s
        )
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(place.after)}
        opened = self.exchange.open(
            "GET", "/decisions/stream", timeout, headers, params={"after": str(place.after)}
        )
        try:
            async with opened as answer:
                _same_feed(answer, place)
                self.trouble(None)
                stream = EventStream(str(place.after))
                async for piece in answer.content.iter_any():
                    yield None
                    for event in stream.feed(piece):
                        if (decision := _decision(event, place)) is not None:
                            yield decision
        except Refused as refusal:
            if refusal.code == "position-unknown":
                raise FeedChanged(place.feed_id, None, place.after) from None
            raise


def _same_feed(answer: aiohttp.ClientResponse, place: Place) -> None:
    if answer.content_type != "text/event-stream":
        raise UnexpectedAnswer(f"the decision stream is {answer.content_type}")
    found = answer.headers.get("Feed-Id")
    if place.feed_id is not None and found != place.feed_id:
        raise FeedChanged(place.feed_id, found, place.after)
    place.feed_id = found


def _decision(event: ServerSentEvent, place: Place) -> Decision | None:
    """The decision of an event, and the place moved on; None for one that was seen before."""
    try:
        body = json.loads(event.data)
    except ValueError:
        body = None
    if isinstance(body, dict) and not str(body.get("type")).startswith(DECISION):
        return None  # something that a newer service says beside its decisions
    decision = read_decision(body, event.id, place.feed_id)
    if decision.position <= place.after:
        return None
    place.after = decision.position
    return decision
