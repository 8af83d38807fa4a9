"""The engine API's part for following decisions: polling and Server-Sent Events (contract 4.3)."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import msgspec
from aiohttp import web

from web import keys
from web.entrance import is_still_let_in
from web.errors import unauthorized
from web.event_stream import EventStream
from web.feed import Feed
from web.feed_memory import Portion, Reader
from web.queries import DecisionsQuery, StreamQuery, read_position, read_query

routes = web.RouteTableDef()

# What one reader gets at a time; a poll says itself how many decisions.
STREAM_DECISIONS = 100
STREAM_CHARACTERS = 64 * 1024
POLL_CHARACTERS = 4 * 1024 * 1024


@routes.get("/decisions")
async def decisions(request: web.Request) -> web.Response:
    """The next decisions after a position, waited for if the caller wants."""
    query = read_query(request, DecisionsQuery)
    feed, reader = request.app[keys.FEED], _reader(request)
    may = partial(_may_still_read, request, reader)
    await feed.check(query.after)
    with feed.followed():
        await feed.caught_up()
        found = await feed.after(query.after, reader, query.limit, POLL_CHARACTERS)
        if not found.decisions and query.wait:
            waited = feed.next_after(found.seen, reader, query.limit, POLL_CHARACTERS, may)
            with suppress(TimeoutError):
                found = await asyncio.wait_for(waited, query.wait)
    if not may():
        raise unauthorized()
    return _page(feed, reader, found, query.after, request.app[keys.NEWEST_HEAD].json)


def _page(feed: Feed, reader: Reader, found: Portion, after: int, tree_head: bytes) -> web.Response:
    """Decisions are put in as they are, encoded before."""
    body = {
        "decisions": [msgspec.Raw(decision.for_(reader).json) for decision in found.decisions],
        "next": found.decisions[-1].position if found.decisions else after,
        "feed_id": feed.feed_id,
        "tree_head": msgspec.Raw(tree_head),
    }
    return web.Response(
        body=msgspec.json.encode(body), content_type="application/json", charset="utf-8"
    )


@routes.get("/decisions/stream")
async def stream(request: web.Request) -> web.StreamResponse:
    """Decisions as Server-Sent Events, resumed after `Last-Event-ID` or `after`."""
    after = _read_start(request)
    feed, reader = request.app[keys.FEED], _reader(request)
    await feed.check(after)
    with (
        feed.followed(),
        request.app[keys.READERS].reading({"Feed-Id": feed.feed_id}) as response,
    ):
        await response.open(request)
        await _tell(feed, reader, after, response, partial(_may_still_read, request, reader))
        await response.write_eof()
    return response


async def _tell(
    feed: Feed, reader: Reader, seen: int, response: EventStream, may: Callable[[], bool]
) -> None:
    """
    Every decision for that reader in order, until the service ends, the reader is gone, or its
    token is (contract 4.3).
    """
    now = asyncio.get_running_loop().time
    while not feed.closing:
        found = await feed.after(seen, reader, STREAM_DECISIONS, STREAM_CHARACTERS)
        if not may():
            return
        if found.decisions:
            await response.send(b"".join(one.for_(reader).frame for one in found.decisions))
        elif now() >= response.beat_at:
            await response.beat()
        seen = found.seen
        with suppress(TimeoutError):
            async with asyncio.timeout_at(response.beat_at):
                await feed.news_after(seen)


def _reader(request: web.Request) -> Reader:
    engine = request[keys.ENGINE]
    return Reader(engine, everything=request.app[keys.ENGINES].scope(engine) is None)


def _may_still_read(request: web.Request, reader: Reader) -> bool:
    """Whether who asked has the token still, and may read as much as when they asked."""
    return is_still_let_in(request) and _reader(request) == reader


def _read_start(request: web.Request) -> int:
    last_seen = request.headers.get("Last-Event-ID")
    if last_seen is None:
        return read_query(request, StreamQuery).after
    return read_position("Last-Event-ID", last_seen)
