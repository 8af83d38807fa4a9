"""A reader of the decision stream that is cheap to have a thousand of, or that does not read."""

import asyncio
import re
import socket
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

from tests.service import TOKEN, WITHIN_S

ID = re.compile(rb"^id: (\d+)\n", re.MULTILINE)
END = b"\r\n0\r\n\r\n"


class RawReader:
    """
    One connection; keeps what came as it came, chunks of HTTP included.

    Args:
        takes_bytes: What the kernel holds for it while it does not read.
    """

    def __init__(self, base: str, token: str = TOKEN, after: int = 0) -> None:
        self._address = urlsplit(base)
        self._token = token
        self._after = after
        self.came = bytearray()
        self.ended = False

    async def connect(self, takes_bytes: int | None = None) -> Self:
        """Ask for the stream; returns once it stands."""
        host, port = self._address.hostname, self._address.port
        connection = socket.socket()
        connection.setblocking(False)
        if takes_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, takes_bytes)
        await asyncio.get_running_loop().sock_connect(connection, (host, port))
        self._reader, self._writer = await asyncio.open_connection(sock=connection, limit=2**16)
        path = f"{self._address.path}/api/v1/decisions/stream?after={self._after}"
        self._writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n"
            f"Authorization: Bearer {self._token}\r\n\r\n".encode()
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        return self

    @property
    def positions(self) -> list[int]:
        """Of everything that came whole."""
        whole, _, _ = bytes(self.came).rpartition(b"\n\n")
        return [int(position) for position in ID.findall(whole)]

    async def read_until(self, count: int, within_s: float = WITHIN_S) -> list[int]:
        """The positions, once there are so many."""
        async with asyncio.timeout(within_s):
            while self.came.count(b"\ndata: ") < count or len(self.positions) < count:
                await self._more()
        return self.positions

    async def read_to_end(self, within_s: float = WITHIN_S) -> bool:
        """Whether it ended as it should: the last chunk of HTTP, and then the end."""
        async with asyncio.timeout(within_s):
            while not self.ended:
                await self._more()
        return self.came.endswith(END)

    async def _more(self) -> None:
        try:
            piece = await self._reader.read(2**16)
        except ConnectionError:
            piece = b""
        self.came += piece
        self.ended = not piece
        if self.ended and not self.came.endswith(END):
            raise ConnectionResetError

    async def close(self) -> None:
        """Without a word."""
        self._writer.transport.abort()
        with suppress(ConnectionError):
            await self._writer.wait_closed()
