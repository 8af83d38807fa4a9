"""An engine's receiver of webhooks: a real server on loopback that may misbehave as it likes."""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

TAKEN = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Got:
    """One request."""

    at: datetime | None
    """By the test's clock."""
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def event(self) -> Any:
        return json.loads(self.body)

    @property
    def subject(self) -> str:
        return str(self.event["subject"])


Behave = Callable[[Got, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Receiver:
    """Takes everything until told otherwise; remembers everything that came whole."""

    clock: Callable[[], datetime] | None = None
    trusted: ssl.SSLContext | None = None
    """Its certificate, where it speaks TLS."""
    host: str = "127.0.0.1"
    port: int = 0
    got: list[Got] = field(default_factory=list)
    connections: int = 0
    behave: Behave | None = None
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def url(self, path: str = "/") -> str:
        return f"{'https' if self.trusted else 'http'}://{self.host}:{self.port}{path}"

    def subjects(self, path: str | None = None) -> list[str]:
        """What each delivery was about, in the order in which they came."""
        return [one.subject for one in self.got if path in (None, one.path)]

    def answers(self, status: int, headers: str = "") -> None:
        """From now on, to everything."""
        self.behave = answering(status, headers)

    async def start(self) -> Self:
        """Again at the same port."""
        server = await asyncio.start_server(self._serve, self.host, self.port, ssl=self.trusted)
        self._server, self.port = server, server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """From now on nobody can connect."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._open):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            got = await self._read(reader)
            self.got.append(got)
            if self.behave is not None:
                await self.behave(got, writer)
            else:
                writer.write(TAKEN)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader) -> Got:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = [line.split(": ", 1) for line in head[1:] if line]
        headers = {name.lower(): value for name, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        now = self.clock() if self.clock is not None else None
        return Got(now, head[0].split()[1], headers, body)


def answering(status: int, headers: str = "") -> Behave:
    """Always the same status."""

    async def answer(got: Got, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status} Whatever\r\n{headers}Content-Length: 0\r\n\r\n"
        writer.write(head.encode())
        await writer.drain()

    return answer
