"""The URL verification that WeCom does when the callback is saved, done by ourselves.

Source: wecom-protocol 1.5. The same request, and the same judgement: exactly the text, in a second.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import aiohttp

from adapters.wecom.crypto import CallbackCrypto

VERIFIED_WITHIN_S = 1.0
# WeCom has given up by then; we wait, to tell slow from dead.
WAIT_S = 10.0
ECHO_DIGITS = 19
MAX_ANSWER_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one verification."""

    echo: bytes
    """What should come back."""
    status: int
    body: bytes
    location: str
    took_s: float


async def ask_for_echo(
    session: aiohttp.ClientSession,
    crypto: CallbackCrypto,
    url: str,
    at: datetime,
    wait_s: float = WAIT_S,
) -> Answer:
    """
    Send the GET and read the answer; redirects are not followed, WeCom does not either.

    Raises:
        aiohttp.ClientError, TimeoutError, OSError: There was no answer.
    """
    echo = "".join(secrets.choice("123456789") for _ in range(ECHO_DIGITS)).encode()
    timer: Callable[[], float] = asyncio.get_running_loop().time
    started = timer()
    async with session.get(
        url,
        params=_query(crypto, echo, at),
        timeout=aiohttp.ClientTimeout(total=wait_s),
        allow_redirects=False,
    ) as response:
        body = await response.content.read(MAX_ANSWER_BYTES)
        while len(body) < MAX_ANSWER_BYTES and (more := await response.content.read(1024)):
            body += more
        took_s = timer() - started
        return Answer(echo, response.status, body, response.headers.get("Location", ""), took_s)


def _query(crypto: CallbackCrypto, echo: bytes, at: datetime) -> dict[str, str]:
    timestamp, nonce = str(int(at.timestamp())), str(secrets.randbelow(9 * 10**9) + 10**9)
    echostr = crypto.encrypt(echo)
    return {
        "msg_signature": crypto.signature(timestamp, nonce, echostr),
        "timestamp": timestamp,
        "nonce": nonce,
        "echostr": echostr,
    }
