"""The process: listens, serves until it is told to stop, finishes what it has begun."""

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime

import structlog
from aiohttp import web

from web import keys
from web.app import create_app, utc_now
from web.errors import Handler
from web.open_files import raise_limit
from web.settings import Settings

FINISH_WITHIN_S = 10
CLOSE_WITHIN_S = 5
# How long a thread may keep the interpreter while another waits: the writer asks for it after every
# statement, and the default of 5 ms is longer than a commit (docs/decisions/0003-one-writer.md).
SWITCH_INTERVAL_S = 0.001
BACKLOG = 1024

log = structlog.get_logger()


class CannotListen(Exception):
    """The address is taken, or not ours."""


class UnderWay:
    """
    Knows the requests under way, so that at the end all of them are finished.

    aiohttp by itself ignores what still arrives once it is told to end: the rest of a body that
    comes in a packet of its own would never be read.
    """

    def __init__(self) -> None:
        self._count = 0
        self._ending = False
        self._none = asyncio.Event()
        self._none.set()

    @web.middleware
    async def counted(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Around every other middleware. Towards the end each answer is its connection's last."""
        self._count += 1
        self._none.clear()
        try:
            response = await handler(request)
        finally:
            self._count -= 1
            if self._count == 0:
                self._none.set()
        if self._ending:
            response.force_close()
        return response

    async def finished(self, timeout_s: float) -> None:
        """Wait until nothing is under way, or that long."""
        self._ending = True
        with suppress(TimeoutError):
            await asyncio.wait_for(self._none.wait(), timeout_s)


def bound_socket(host: str, port: int) -> socket.socket:
    """
    A listening socket, so that the port is known before anything is built.

    Raises:
        CannotListen: In one line, why.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except (OSError, UnicodeError) as error:
        listening.close()
        why = getattr(error, "strerror", None) or "that is no name of a host"
        raise CannotListen(f"cannot listen on {host}:{port}: {why}") from None
    return listening


def address_of(listening: socket.socket) -> str:
    """`HOST:PORT` as one would type it."""
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def serve(
    settings: Settings,
    listening: socket.socket,
    say: Callable[[str], None],
    stop: asyncio.Event | None = None,
    clock: Callable[[], datetime] = utc_now,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """
    Serve until SIGTERM or SIGINT, or until `stop` is set.

    Then no new request is taken, those under way are finished, and what was accepted is on disk.
    `clock`, `monotonic` and `sleep` are those of `create_app`.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    raise_limit()
    stop = stop or _stop_on_signals()
    app = create_app(settings, address_of(listening), clock, monotonic, sleep=sleep)
    under_way = UnderWay()
    app.middlewares.insert(0, under_way.counted)
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=CLOSE_WITHIN_S, handle_signals=False
    )
    await runner.setup()
    try:
        site = web.SockSite(runner, listening, backlog=BACKLOG)
        await site.start()
        _warn_of_public_secrets(app[keys.SETTINGS])
        say(f"listening on http://{address_of(listening)}{settings.url_prefix}")
        await stop.wait()
        await site.stop()
        await runner.shutdown()
        await under_way.finished(FINISH_WITHIN_S)
    finally:
        await runner.cleanup()


def _stop_on_signals() -> asyncio.Event:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _warn_of_public_secrets(settings: Settings) -> None:
    if settings.callback_is_public_knowledge:
        log.warning(
            "Token or EncodingAESKey of the callback is the public default: "
            "messages from members are ignored until both are changed"
        )
