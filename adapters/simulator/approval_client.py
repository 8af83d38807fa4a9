"""How an engine speaks with the approval service: ask, look up, follow the decisions."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp

from adapters.simulator.event_stream import EventStream

Json = dict[str, Any]
# The service writes a comment at least every 15 s; three missed ones mean that nobody is there.
SILENCE_S = 45.0
TRANSIENT = (408, 429, 500, 502, 503, 504)


class Unreachable(Exception):
    """No answer, or one that says to come again."""


class Refused(Exception):
    """The service answered, and the same request will not do better."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        self.status = status
        self.code = code
        super().__init__(detail)


class ApprovalClient:
    def __init__(self, service_url: str, token: str, session: aiohttp.ClientSession) -> None:
        """`service_url` is that of the service with its prefix, without a last slash."""
        self._base = f"{service_url.rstrip('/')}/api/v1"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._session = session
        self.position = 0
        self._last_event_id = ""

    async def ask(self, request: Json) -> Json:
        """
        Ask for an approval; the same request again gives the same approval.

        Raises:
            Unreachable: Try again; it may or may not have been recorded.
            Refused: `conflicting-request` and the like.
        """
        return await self._call("POST", "/approvals", json=request)

    async def approval(self, approval_id: str) -> Json:
        return await self._call("GET", f"/approvals/{approval_id}")

    async def runs_of(self, obj_id: str) -> list[int]:
        """The runs that are known of an obj_id, as far as this engine may see them."""
        found = await self._call("GET", "/approvals", params={"obj_id": obj_id, "limit": "100"})
        return [approval["run"] for approval in found["approvals"]]

    async def decisions(self) -> AsyncGenerator[Json | None, None]:
        """
        Every decision after the last one seen; None once, when the stream stands.

        Ends when the connection does; called again, it goes on where it was. Where the service
        does not know our position any more (it was restored), it begins at the beginning.

        Raises:
            Unreachable, Refused
        """
        headers = dict(self._headers)
        if self._last_event_id:
            headers["Last-Event-ID"] = self._last_event_id
        try:
            async with self._session.get(
                f"{self._base}/decisions/stream",
                params={"after": str(self.position)},
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=SILENCE_S),
            ) as answer:
                if answer.status == 409:
                    self.position, self._last_event_id = 0, ""
                await _check(answer)
                yield None
                stream = EventStream(self._last_event_id)
                async for piece in answer.content.iter_any():
                    for event in stream.feed(piece):
                        self._last_event_id = event.id
                        self.position = int(event.id) if event.id.isdecimal() else self.position
                        yield json.loads(event.data)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Unreachable(str(error) or type(error).__name__) from error

    async def _call(self, method: str, path: str, **how: Any) -> Json:
        try:
            async with self._session.request(
                method,
                self._base + path,
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(total=10),
                **how,
            ) as answer:
                await _check(answer)
                body: Json = await answer.json()
                return body
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Unreachable(str(error) or type(error).__name__) from error


async def _check(answer: aiohttp.ClientResponse) -> None:
    if answer.status < 400:
        return
    if answer.status in TRANSIENT:
        raise Unreachable(f"HTTP {answer.status}")
    try:
        problem = await answer.json(content_type=None)
        code, detail = str(problem["code"]), str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        code, detail = "", f"HTTP {answer.status}"
    raise Refused(answer.status, code, detail)
