"""Decisions that could not be pushed yet, for the engine that waits for them (contract 4.4)."""

import json
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from domain.commands import RedeliverWebhook
from domain.errors import UnknownWebhook
from projections.database import Row
from projections.decision_feed import decision_at
from projections.document import timestamp
from projections.webhooks import shown_url, webhook_at, webhooks_after
from web import keys
from web.ask import printable
from web.json_answers import json_answer
from web.pushing import webhook_id
from web.queries import DIGITS, WebhooksQuery, read_query
from web.reading import Reading

routes = web.RouteTableDef()

LARGEST_POSITION = 2**63 - 1


@routes.get("/webhooks")
async def list_webhooks(request: web.Request) -> web.Response:
    """What its engine has not taken yet, by position, a page at a time."""
    query = read_query(request, WebhooksQuery)
    undelivered = None if query.state is None else query.state == "undelivered"
    scope = request.app[keys.ENGINES].scope(request[keys.ENGINE])
    reading = request.app[keys.READING]
    await reading.caught_up()
    found = await reading.of_read_models(
        lambda tables: webhooks_after(tables, int(query.after), query.limit + 1, scope, undelivered)
    )
    page, feed_id = found[: query.limit], request.app[keys.FEED].feed_id
    return json_answer(
        {
            "webhooks": [webhook_document(row, feed_id) for row in page],
            "next": str(page[-1]["position"]) if len(found) > query.limit else None,
        }
    )


@routes.post("/webhooks/{id}/redeliver")
async def redeliver(request: web.Request) -> web.Response:
    """Have a decision pushed again that was given up; only for the engine that asked."""
    name, reading = request.match_info["id"], request.app[keys.READING]
    position = _position(name)
    await reading.caught_up()
    reply_id = await reply_id_of(reading, position)
    row = await reading.of_read_models(lambda tables: webhook_at(tables, position))
    engine = request[keys.ENGINE]
    wanted = RedeliverWebhook(
        at=request.app[keys.CLOCK](),
        by=engine,
        channel="api",
        reply_id=reply_id,
        delivery=position,
        engine=engine,
    )
    await request.app[keys.WRITER].execute(wanted)
    assert row is not None  # noqa: S101  # else it was delivered, and that refused
    again = {**row, "undelivered": 0, "due_at": None, "down_at": 0}
    return json_answer(webhook_document(again, request.app[keys.FEED].feed_id))


async def reply_id_of(reading: Reading, position: int) -> str:
    """
    Which approval the decision at a position is about.

    Raises:
        UnknownWebhook: There is no decision.
    """
    decision = await reading.of_read_models(lambda tables: decision_at(tables, position))
    if decision is None:
        raise UnknownWebhook(position)
    return str(json.loads(decision["cloud_event"])["subject"])


def webhook_document(row: Row, feed_id: str) -> dict[str, Any]:
    """One delivery as programs see it; of its address without the query."""
    return {
        "id": str(row["position"]),
        "webhook_id": webhook_id(feed_id, row["position"]),
        "approval_id": row["approval_id"],
        "reply_id": row["reply_id"],
        "engine": row["engine"],
        "url": shown_url(row["url"]),
        "state": "undelivered" if row["undelivered"] else "waiting",
        "attempts": row["attempts"],
        "problem": row["problem"],
        "destination_down": bool(row["down_at"] > row["up_at"]),
        "last_attempt_at": _time(row["tried_at"]),
        "next_attempt_at": _time(row["due_at"]),
    }


def _time(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    return timestamp(datetime.fromtimestamp(milliseconds / 1000, UTC))


def _position(name: str) -> int:
    if not DIGITS.fullmatch(name) or int(name) > LARGEST_POSITION:
        raise UnknownWebhook(printable(name))
    return int(name)
