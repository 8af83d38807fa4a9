"""Server-Sent Events to readers who may be slow or dead: nobody is waited for."""

import asyncio
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import structlog
from aiohttp import web

HEARTBEAT_S = 10.0
TAKE_WITHIN_S = 10.0
END_WITHIN_S = 2.0
# A peer that has vanished acknowledges nothing: then the kernel ends the connection after that.
KERNEL_GIVES_UP_AFTER_S = 20.0
# For one reader the kernel keeps twice as much, and aiohttp at most 128 KiB and what was written
# last. By default the kernel would keep up to 4 MiB for each, before anybody notices.
KERNEL_KEEPS_BYTES = 64 * 1024
HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    # nginx would gather a buffer full of decisions before it passes them on.
    "X-Accel-Buffering": "no",
}
BEAT = b": still here\n\n"

log = structlog.get_logger()


class EventStream(web.StreamResponse):
    """
    One reader's answer; ready-made frames are written to it.

    Every method that writes raises ConnectionError once the reader is gone.

    Args:
        take_within_s: Who has not taken so much of what was written that there is room again
            after that time is cut off.
    """

    def __init__(
        self, headers: Mapping[str, str], take_within_s: float, heartbeat_s: float
    ) -> None:
        super().__init__(headers={**HEADERS, **headers})
        self._take_within_s = take_within_s
        self._heartbeat_s = heartbeat_s
        self._clock = asyncio.get_running_loop().time
        self._transport: asyncio.Transport | None = None
        self.beat_at = 0.0
        """When something has to be said again, in the loop's time."""
        self.was_cut_off = False

    async def open(self, request: web.Request) -> None:
        """Say that it stands."""
        self._transport = request.transport
        if self._transport is not None:
            bound(self._transport.get_extra_info("socket"))
        self.force_close()  # nobody asks for anything else on a connection treated like that
        await self.prepare(request)
        self.beat_at = self._clock() + self._heartbeat_s

    async def send(self, frames: bytes) -> None:
        """
        Write whole frames.

        Raises:
            ConnectionError: The reader is gone, or did not take it in time and was cut off.
        """
        try:
            async with asyncio.timeout(self._take_within_s):
                await self.write(frames)  # waits while more than 64 KiB are not taken
        except TimeoutError:
            self.cut_off()
            raise ConnectionAbortedError from None
        self.beat_at = self._clock() + self._heartbeat_s

    @property
    def unsent(self) -> int:
        """Bytes that were written and the kernel has not taken."""
        return self._transport.get_write_buffer_size() if self._transport else 0

    async def beat(self) -> None:
        """A comment: this is how a reader knows of us, and we of it."""
        await self.send(BEAT)

    def cut_off(self) -> None:
        """Without a word: what it has not taken would have to be taken first."""
        self.was_cut_off = True
        self.abort()

    def abort(self) -> None:
        """End the connection as it is; the reader comes back and resumes."""
        if self._transport is not None:
            self._transport.abort()


class Readers:
    """Who has a stream open; times may be changed for those who come later."""

    def __init__(self) -> None:
        self.heartbeat_s = HEARTBEAT_S
        self.take_within_s = TAKE_WITHIN_S
        self.end_within_s = END_WITHIN_S
        self.cut_off = 0
        self._open: set[EventStream] = set()
        self._nobody = asyncio.Event()
        self._nobody.set()

    @property
    def open(self) -> int:
        return len(self._open)

    def unsent(self) -> list[int]:
        """Bytes that this process holds for each."""
        return [stream.unsent for stream in self._open]

    @contextmanager
    def reading(self, headers: Mapping[str, str]) -> Iterator[EventStream]:
        """
        A stream for as long as somebody reads it; whoever goes or is cut off ends it.

        So does an error once it stands, without a word: nothing else can be answered on it any
        more, and a reader that was left alone would take silence for no news.
        """
        stream = EventStream(headers, self.take_within_s, self.heartbeat_s)
        self._open.add(stream)
        self._nobody.clear()
        try:
            with suppress(ConnectionError):
                yield stream
        except Exception:
            if not stream.prepared:
                raise
            log.exception("a stream of decisions failed")
            stream.abort()
        finally:
            self._open.discard(stream)
            self.cut_off += stream.was_cut_off
            if not self._open:
                self._nobody.set()

    async def leave(self) -> None:
        """Wait until everybody has taken the end of their stream; then cut off who has not."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._nobody.wait(), self.end_within_s)
        for stream in tuple(self._open):
            log.warning("a reader of decisions did not take the end of its stream")
            stream.cut_off()


def bound(connection: socket.socket | None) -> None:
    """Bound what the kernel keeps for this reader, and for how long."""
    if connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_KEEPS_BYTES)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        milliseconds = int(KERNEL_GIVES_UP_AFTER_S * 1000)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
