"""A service whose every answer a test writes down, for what the real one does only on bad days."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from adapters.engine.client import EngineClient
from adapters.engine.documents import action_digest
from adapters.engine.pauses import Patience

Json = dict[str, Any]
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
TOKEN = "token-of-the-engine-fta"
PREFIX = "/o/bk_fta_solutions"
ACTION = {"do": "replace-machine", "ip": "10.0.0.1"}
APPROVAL_ID = "8d7f3f5e-0c6f-5e1c-9a55-3f3a0c9f2b11"


@dataclass
class Time:
    """Waiting takes none: it is written down, and the seconds move."""

    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    def patience(self, chance: float = 1.0, **limits: float) -> Patience:
        return Patience(
            sleep=self.sleep, monotonic=lambda: self.now, chance=lambda: chance, **limits
        )


@dataclass(frozen=True)
class Request:
    """One that arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


@dataclass
class Scripted:
    """Answers in the order in which they were written; the last one stays."""

    answers: list[Answer] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    transports: list[asyncio.Transport] = field(default_factory=list)
    """Of each request, in their order."""
    url: str = ""

    def then(self, *answers: Answer) -> None:
        self.answers += answers

    async def answer(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        self.transports.append(request.transport)
        text = await request.text()
        path = request.path.removeprefix(f"{PREFIX}/api/v1")
        self.requests.append(
            Request(
                request.method,
                path,
                dict(request.query),
                dict(request.headers),
                json.loads(text) if text else None,
            )
        )
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(request)


@asynccontextmanager
async def scripted_service() -> AsyncIterator[Scripted]:
    scripted = Scripted()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", scripted.answer)
    async with TestServer(app) as server:
        scripted.url = str(server.make_url(PREFIX))
        yield scripted


@asynccontextmanager
async def client_of(scripted: Scripted, time: Time, **limits: float) -> AsyncIterator[EngineClient]:
    async with EngineClient(scripted.url, TOKEN, patience=time.patience(**limits)) as client:
        yield client


# What it may say.


def approval(**changes: Any) -> Json:
    """An approval of ACTION as the service shows it."""
    return {
        "approval_id": APPROVAL_ID,
        "number": 3,
        "obj_id": "12345_2",
        "run": 1,
        "reply_id": "12345_2",
        "kind": "solution",
        "message": "替换故障机 10.0.0.1",
        "risk": "medium",
        "biz_id": None,
        "requested_by": None,
        "engine": "fta",
        "approvers": ["zhangsan", "lisi"],
        "action_digest": action_digest(ACTION),
        "details": {"IP": "10.0.0.1"},
        "status": "pending",
        "requested_at": "2026-01-05T12:00:00.000Z",
        "expires_at": "2026-01-05T12:20:00.000Z",
        "decided_at": None,
        "decided_by": None,
        "decided_via": None,
        "capacity": None,
        "reason": None,
        "notifications": [{"userid": "zhangsan", "state": "sent", "detail": None}],
    } | changes


def approved(**changes: Any) -> Json:
    how = {"status": "approved", "decided_at": "2026-01-05T12:03:00.000Z"}
    who = {"decided_by": "zhangsan", "decided_via": "wecom-text", "capacity": "approver"}
    return approval(**{**how, **who, **changes})


def decision(position: int, data: Json | None = None, **changes: Any) -> Json:
    data = approved() if data is None else data
    return {
        "specversion": "1.0",
        "id": str(position),
        "source": "/fta-approval",
        "type": f"fta.approval.{data['status']}",
        "subject": data["reply_id"],
        "time": "2026-01-05T12:03:00.000Z",
        "datacontenttype": "application/json",
        "data": data,
    } | changes


def says(body: Any, status: int = 200, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return answer


def problem(status: int, code: str, detail: str = "why", /, **more: Any) -> Answer:
    return says({"code": code, "detail": detail, **more}, status)


def streams(
    *parts: Json | str, ends: bool = True, feed_id: str | None = "feed-1", broken: bool = False
) -> Answer:
    """
    A decision stream with these decisions, or text as it stands.

    Args:
        ends: Else it stays open, in silence.
        broken: It ends by a reset of the connection.
    """

    async def answer(request: web.Request) -> web.StreamResponse:
        headers = {"Content-Type": "text/event-stream"}
        response = web.StreamResponse(headers=headers | ({"Feed-Id": feed_id} if feed_id else {}))
        await response.prepare(request)
        for part in parts:
            await response.write((part if isinstance(part, str) else frame(part)).encode())
        if broken and request.transport is not None:
            request.transport.abort()
        if not ends:
            await asyncio.Event().wait()
        return response

    return answer


def frame(event: Json) -> str:
    data = json.dumps(event, ensure_ascii=False)
    return f"id: {event['id']}\r\nevent: {event['type']}\r\ndata: {data}\r\n\r\n"


async def hangs(request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def hangs_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()
