"""Many members reply at once: encrypted callbacks over kept connections, one at a time on each."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

from adapters.wecom.crypto import CallbackCrypto
from adapters.wecom.envelope import seal_post
from benchmarks.fill import approver
from benchmarks.settings import AES_KEY, AGENT_ID, CORP_ID, TOKEN

PATH = "/o/bk_fta_solutions/wechat/entry/"


@dataclass(frozen=True)
class Latencies:
    """What the callers saw."""

    requests: int
    seconds: float
    sorted_ms: list[float]

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    def percentile(self, share: float) -> float:
        """Milliseconds within which that share was answered."""
        return self.sorted_ms[min(int(len(self.sorted_ms) * share), len(self.sorted_ms) - 1)]


def callbacks(first: int, count: int) -> list[bytes]:
    """Ready HTTP requests: each approver agrees to one approval."""
    crypto = CallbackCrypto(TOKEN, AES_KEY, CORP_ID)
    now = int(time.time())
    return [_request(crypto, number, now) for number in range(first, first + count)]


def _request(crypto: CallbackCrypto, number: int, now: int) -> bytes:
    inner = (
        f"<xml><ToUserName><![CDATA[{CORP_ID}]]></ToUserName>"
        f"<FromUserName><![CDATA[{approver(number)}]]></FromUserName>"
        f"<CreateTime>{now}</CreateTime><MsgType><![CDATA[text]]></MsgType>"
        f"<Content><![CDATA[TY {number}_1]]></Content>"
        f"<MsgId>{7_300_000_000_000_000_000 + number}</MsgId><AgentID>{AGENT_ID}</AgentID></xml>"
    )
    nonce = str(number)
    body, signature = seal_post(
        crypto,
        inner.encode(),
        to_user=CORP_ID,
        agent_id=AGENT_ID,
        timestamp=str(now),
        nonce=nonce,
    )
    query = f"msg_signature={signature}&timestamp={now}&nonce={nonce}"
    head = (
        f"POST {PATH}?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/xml\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def run(address: str, requests: list[bytes], connections: int) -> Latencies:
    """Send them all, each connection one after the other."""
    host, _, port = address.rpartition(":")
    waiting, times = iter(requests), list[float]()
    began = time.perf_counter()
    await asyncio.gather(
        *(_connection(host, int(port), waiting, times) for _ in range(connections))
    )
    return Latencies(len(requests), time.perf_counter() - began, sorted(times))


async def _connection(host: str, port: int, waiting: Iterator[bytes], times: list[float]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    for request in waiting:
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        times.append((time.perf_counter() - began) * 1000)
        if not head.startswith(b"HTTP/1.1 200") or b"Content-Length: 0" not in head:
            raise RuntimeError(head.decode(errors="replace"))
    writer.close()
    await writer.wait_closed()
