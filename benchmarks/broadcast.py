"""The limit for streams: the same bytes to the same readers, with nothing decided and stored.

    python -m benchmarks.broadcast BYTES

A bare aiohttp application: each POST goes out at once as one Server-Sent Event of that many bytes.
"""

import asyncio
import json
import sys

import uvloop
from aiohttp import web

from benchmarks.stream import STREAM
from web.open_files import raise_limit
from web.serving import BACKLOG, address_of, bound_socket

PATH = "/decide"


class Broadcast:
    """Everybody who reads, and what is sent to them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._sent = 0
        self._readers: set[web.StreamResponse] = set()
        self._end = asyncio.Event()

    async def read(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        self._readers.add(response)
        await self._end.wait()
        return response

    async def decide(self, request: web.Request) -> web.Response:
        await request.read()
        self._sent += 1
        data = "x" * self._size
        frame = f"id: {self._sent}\nevent: fta.approval.approved\ndata: {data}\n\n".encode()
        for reader in self._readers:
            await reader.write(frame)
        return web.Response()


async def main(size: int) -> None:
    raise_limit()
    listening = bound_socket("127.0.0.1", 0)
    broadcast, app = Broadcast(size), web.Application()
    app.router.add_get(STREAM, broadcast.read)
    app.router.add_post(PATH, broadcast.decide)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.SockSite(runner, listening, backlog=BACKLOG).start()
    print(json.dumps({"address": address_of(listening)}), flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    await lines.read()
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
