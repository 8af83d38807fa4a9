"""Looking names up, so that one that takes its time keeps no other waiting."""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from adapters.engine.reachable import Address, Refused

AddressInfo = tuple[Any, ...]
LookUp = Callable[[str, int], list[AddressInfo]]
Check = Callable[[str, Address, int], None]


def look_up(host: str, port: int) -> list[AddressInfo]:
    """What the machine's own resolver says; blocks."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class JudgedNames(AbstractResolver):
    """
    Finds the addresses of a name and lets through what may be connected to.

    The connection goes to exactly these addresses: nothing looks the name up a second time.

    A thread for each name that is being looked up: event loops use a pool of a few threads, which
    is taken as soon as a few names of dead servers hang in it, and then nobody finds anybody.
    """

    def __init__(self, check: Check, look_up: LookUp = look_up) -> None:
        self._check = check
        self._look_up = look_up
        self._under_way: dict[tuple[str, int], asyncio.Future[list[AddressInfo]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """
        The addresses that may be connected to.

        Raises:
            OSError: The name has no address.
            Refused: It has none that may be connected to; why the first one may not.
        """
        found, refused = [], []
        for info in await self._addresses(host, port):
            try:
                self._check(host, ip_address(info[4][0]), port)
            except Refused as error:
                refused.append(error)
            else:
                found.append(_result(host, port, info))
        if not found and refused:
            raise refused[0]
        return found

    async def close(self) -> None:
        """A look-up cannot be stopped; its thread ends by itself and keeps nobody."""

    async def _addresses(self, host: str, port: int) -> list[AddressInfo]:
        """Who asks for a name that is being looked up waits for the same answer."""
        under_way = self._under_way.get((host, port))
        if under_way is None:
            under_way = self._begin(host, port)
        return await asyncio.shield(under_way)

    def _begin(self, host: str, port: int) -> "asyncio.Future[list[AddressInfo]]":
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[AddressInfo]] = loop.create_future()

        def found(result: list[AddressInfo] | BaseException) -> None:
            self._under_way.pop((host, port), None)
            if isinstance(result, BaseException):
                answer.set_exception(result)
                answer.exception()  # whoever waited may have gone
            else:
                answer.set_result(result)

        def work() -> None:
            result: list[AddressInfo] | BaseException
            try:
                result = self._look_up(host, port)
            except OSError as error:
                result = error
            except Exception as error:  # such as a name that is none: nobody may wait for ever
                result = OSError(str(error))
            with suppress(RuntimeError):  # the loop has ended, and with it everybody who waited
                loop.call_soon_threadsafe(found, result)

        self._under_way[host, port] = answer
        threading.Thread(target=work, name="look up", daemon=True).start()
        return answer


def _result(host: str, port: int, info: AddressInfo) -> ResolveResult:
    family, _, proto, _, address = info
    scope = address[3] if len(address) > 3 else 0
    numeric = f"{address[0]}%{scope}" if scope and "%" not in address[0] else address[0]
    return ResolveResult(
        hostname=host,
        host=numeric,
        port=port,
        family=family,
        proto=proto,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
