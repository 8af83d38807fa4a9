"""Pages that follow: a counter that moves when something changed, and its stream to browsers."""

import asyncio
import contextlib

from aiohttp import web

COMMENT_EVERY_S = 15.0


class Changes:
    def __init__(self) -> None:
        self.version = 0
        self.closed = False
        self._moved = asyncio.Event()

    def bump(self) -> None:
        self.version += 1
        self._wake()

    def close(self) -> None:
        """End every stream: a server that stops waits for its handlers."""
        self.closed = True
        self._wake()

    async def beyond(self, version: int, wait_s: float) -> int:
        """Returns as soon as the version is higher, or after `wait_s`."""
        if self.version <= version and not self.closed:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), wait_s)
        return self.version

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()


async def follow(request: web.Request, changes: Changes) -> web.StreamResponse:
    """Server-Sent Events that say only that there is something new; the page then asks for it."""
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
    )
    await response.prepare(request)
    seen = -1
    try:
        while not changes.closed:
            now = changes.version
            line = f"data: {now}\n\n" if now > seen else ": still here\n\n"
            await response.write(line.encode())
            seen = now
            await changes.beyond(seen, COMMENT_EVERY_S)
    except ConnectionResetError:
        pass  # the browser went away
    return response
