"""Alive, and able to serve: for the operator's probes. WeCom's troubles never make us unready."""

import asyncio
import time
from typing import Any

from aiohttp import web
from eventsourcing.persistence import PersistenceError

from projections.document import timestamp
from web import keys
from web.json_answers import json_answer

LAG_LIMIT_S = 10.0
FAILURE_COUNTS_S = 30.0


async def healthz(request: web.Request) -> web.Response:
    """The process answers."""
    return json_answer({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """The database, the writer and the read models work."""
    checks = {
        "database": await _database(request),
        "writer": _writer(request),
        "read_models": request.app[keys.RUNNER].failure or await _lag(request),
    }
    ready = not any(checks.values())
    body: dict[str, Any] = {
        "status": "ready" if ready else "not ready",
        "checks": {name: problem or "ok" for name, problem in checks.items()},
        "wecom": wecom_trouble(request.app) or "ok",
        "approving": "ok" if checks["database"] else await _approving(request),
    }
    return json_answer(body, status=200 if ready else 503)


async def _database(request: web.Request) -> str | None:
    try:
        async with asyncio.timeout(LAG_LIMIT_S):
            await request.app[keys.READING].last_position()
    except (PersistenceError, TimeoutError) as error:
        return f"the event store cannot be read ({type(error).__name__})"
    return None


async def _approving(request: web.Request) -> str:
    frozen = (await request.app[keys.READING].freeze()).in_force
    return "ok" if frozen is None else f"frozen since {timestamp(frozen.at)}: {frozen.why}"


def _writer(request: web.Request) -> str | None:
    """A failure counts for half a minute: where nothing is asked, nothing could disprove it."""
    writer = request.app[keys.WRITER]
    if not writer.alive:
        return "the writer has stopped"
    failed_at = writer.failed_at
    if failed_at is not None and time.monotonic() - failed_at < FAILURE_COUNTS_S:
        return "the store does not take what is written"
    return None


async def _lag(request: web.Request) -> str | None:
    reading = request.app[keys.READING]
    try:
        await reading.progress.reach(request.app[keys.WRITER].last_position, LAG_LIMIT_S)
    except TimeoutError:
        return f"more than {LAG_LIMIT_S:.0f} s behind"
    return None


def wecom_trouble(app: web.Application) -> str | None:
    """What is wrong with WeCom or with how it is set up, in a sentence for the operator."""
    if app[keys.SETTINGS].callback_is_public_knowledge:
        return "the callback's Token or EncodingAESKey is the public default: callbacks are ignored"
    outside = app[keys.OUTSIDE]
    if outside.wecom is None:
        return "WeCom is not configured"
    if outside.application_closed:
        return "WeCom has switched the application off"
    return outside.wecom.problem
