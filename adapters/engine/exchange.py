"""One request and its answer, with the token and without surprises."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from adapters.engine.errors import EngineError, UnexpectedAnswer, Unreachable, refused
from adapters.engine.pauses import asked_pause_s

# Of the service and of what may stand in front of it; every request of this client may be repeated.
AGAIN = (408, 429, 500, 502, 503, 504)
# A 503 that the same request never gets over: an administrator has to act.
NO_USE = "no-api-token-configured"
MOST_SHOWN = 500


@dataclass(frozen=True, slots=True)
class Exchange:
    """
    Requests to one service for one engine.

    Redirects are not followed: the token is for this service and no other.
    """

    service_url: str
    token: str = field(repr=False)
    session: aiohttp.ClientSession = field(repr=False)

    async def once(
        self,
        method: str,
        path: str,
        timeout_s: float,
        body: bytes | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Any:
        """
        The JSON that a request is answered with.

        Raises:
            Unreachable: The same request may do better.
            Refused, UnexpectedAnswer
        """
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        headers = {} if body is None else {"Content-Type": "application/json"}
        async with self.open(method, path, timeout, headers, params=params, data=body) as answer:
            return _json(await answer.read())

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        timeout: aiohttp.ClientTimeout,
        headers: Mapping[str, str],
        **more: Any,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """
        A good answer, for as long as it is read; what breaks meanwhile is `Unreachable` too.

        Raises:
            Unreachable, Refused, UnexpectedAnswer
        """
        trouble: EngineError
        try:
            async with self.session.request(
                method,
                f"{self.service_url}/api/v1{path}",
                headers={"Authorization": f"Bearer {self.token}", **headers},
                timeout=timeout,
                allow_redirects=False,
                raise_for_status=False,
                **more,
            ) as answer:
                if answer.status != 200 and answer.status != 201:
                    raise _problem(answer, await answer.read())
                yield answer
                return
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            trouble = Unreachable(_words(error))
        # Raised out here: aiohttp's errors hold the request's headers, and so the token.
        raise trouble


def checked_url(service_url: str) -> str:
    """
    The address of the service with its prefix, without a last slash.

    Raises:
        ValueError
    """
    parts = urlsplit(service_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("the service's address must begin with http:// or https:// and a host")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("the service's address holds more than host, port and prefix")
    return service_url.rstrip("/")


def checked_token(token: str) -> str:
    """
    The token, if it can stand in a header.

    Raises:
        ValueError: Without the token in it.
    """
    if not token or not all("!" <= character <= "~" for character in token):
        raise ValueError("the token is empty, or holds a character that no token has")
    return token


def _problem(answer: aiohttp.ClientResponse, body: bytes) -> EngineError:
    status, document = answer.status, _document(body)
    code = str(document.get("code") or f"http-{status}")
    detail = str(document.get("detail") or answer.reason or "")[:MOST_SHOWN]
    if status in AGAIN and code != NO_USE:
        return Unreachable(f"HTTP {status} {code}: {detail}", asked_pause_s(answer.headers))
    if status < 400:
        return UnexpectedAnswer(
            f"HTTP {status}: only 200 and 201 are read; redirects are not followed"
        )
    return refused(code, status, detail, document)


def _document(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        pass
    raise UnexpectedAnswer("the answer is not JSON")


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error)[:MOST_SHOWN]}".removesuffix(": ")
