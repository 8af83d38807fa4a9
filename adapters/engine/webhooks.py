"""Pushing one decision to an address that an engine gave: carefully, once (contract 4.4)."""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from adapters.engine.names import JudgedNames, LookUp, look_up
from adapters.engine.reachable import Reachable, Refused

ANSWER_WITHIN_S = 10.0
MOST_READ_BYTES = 64 * 1024
READ_AT_ONCE_BYTES = 8 * 1024
NO_ADDRESS = "nothing was sent: the address is none that a webhook can be sent to"
CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one try."""

    problem: str | None = None
    """None: it was taken. Else what is wrong, in a sentence that quotes nothing of the answer."""
    down: bool = False
    """No connection, no answer in time, or an answer that says that the whole service is away."""


class WebhookClient:
    """
    An HTTP client that is told where to go by somebody else, and so does little of what it is told.

    A new connection for each try, to an address that was judged for this very try; no proxy, no
    cookies, no redirects, nothing of the environment; certificates are verified.

    Args:
        trusted: Whose certificates are good; default: the system's authorities.
        timeout_s: From looking up the name to the status of the answer.
    """

    def __init__(
        self,
        reachable: Reachable,
        trusted: ssl.SSLContext | None = None,
        timeout_s: float = ANSWER_WITHIN_S,
        look_up: LookUp = look_up,
    ) -> None:
        self._reachable = reachable
        self._trusted = trusted
        self._look_up = look_up
        self.timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            resolver=JudgedNames(self._reachable.check, self._look_up),
            socket_factory=self._judged_socket,
            ssl=self._trusted or ssl.create_default_context(),
            use_dns_cache=False,
            force_close=True,
            limit=0,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            read_bufsize=READ_AT_ONCE_BYTES,
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"User-Agent": "fta-approval", "Accept": "*/*", "Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._session is not None  # noqa: S101  # it was entered
        await self._session.close()

    async def push(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """
        Post a decision. Never raises for what is wrong over there; a 2xx means that it was taken.

        Args:
            headers: The signature's (adapters/engine/signature.py).
            body: A CloudEvent in JSON.
        """
        try:
            target = URL(url)
            self._reachable.check_url(target)
            return await self._post(target, {**headers, "Content-Type": CONTENT_TYPE}, body)
        except Refused as refused:
            return Outcome(f"nothing was sent: {refused}")
        except TimeoutError:
            return Outcome(f"no answer within {self.timeout_s:g} seconds", down=True)
        except aiohttp.InvalidURL:
            return Outcome(NO_ADDRESS)
        except (aiohttp.ClientError, OSError) as error:
            return Outcome(_no_answer(error), down=True)
        except ValueError:
            return Outcome(NO_ADDRESS)

    async def _post(self, url: URL, headers: Mapping[str, str], body: bytes) -> Outcome:
        assert self._session is not None  # noqa: S101  # used inside `async with`
        until = asyncio.get_running_loop().time() + self.timeout_s
        async with asyncio.timeout_at(until):
            response = await self._session.post(
                url, headers=headers, data=body, allow_redirects=False
            )
        try:
            await _read_some(response, until)
        finally:
            response.close()
        return _judged(response.status)

    def _judged_socket(self, info: Any) -> socket.socket:
        """The last look before a connection: whatever came before, no socket goes elsewhere."""
        family, kind, protocol, _, address = info
        try:
            self._reachable.check_address(ip_address(address[0]), address[1])
        except Refused as refused:
            raise PermissionError(str(refused)) from None
        return socket.socket(family, kind, protocol)


async def _read_some(response: aiohttp.ClientResponse, until: float) -> None:
    """
    As much of the answer as is polite; nothing in it matters, so what is wrong with it does not.

    The status has come: that the rest is too long, too slow or cut off changes nothing of it.
    """
    left = MOST_READ_BYTES
    with suppress(aiohttp.ClientError, OSError):  # of which TimeoutError is one
        async with asyncio.timeout_at(until):
            while left > 0 and (some := await response.content.read(min(left, READ_AT_ONCE_BYTES))):
                left -= len(some)


def _judged(status: int) -> Outcome:
    if 200 <= status < 300:
        return Outcome()
    redirected = " (redirects are not followed)" if 300 <= status < 400 else ""
    down = status >= 500 or status == HTTPStatus.TOO_MANY_REQUESTS
    return Outcome(f"answered {status}{redirected}", down=down)


def _no_answer(error: Exception) -> str:
    """By the kind of error alone: its own words may quote the address or the answer."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name cannot be found"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "the certificate is not trusted"
    if isinstance(error, aiohttp.ClientSSLError):
        return "no TLS connection"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "no connection"
    if isinstance(error, aiohttp.ClientConnectionError | OSError):
        return "the connection was closed without an answer"
    return "no answer that is HTTP"
