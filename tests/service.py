"""The service under test: real HTTP, real files, a clock in the test's hand."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from adapters.simulator.inbox import Delivered
from adapters.simulator.wecom import SimulatedWeCom
from domain.identity import inbox_stream
from domain.inbox import Inbox
from tests import confidential
from web import keys
from web.app import create_app, timekeeper_of
from web.pace import Limits
from web.serving import address_of, bound_socket
from web.settings import PREFIX, read_settings

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
TOKEN = "token-of-the-engine-fta"
OTHER_TOKEN = "token-of-another-engine"
READER_TOKEN = "token-of-the-reader-0"
WITHIN_S = 10.0
# What is sent to members who have said nothing: it asks, reminds, tells of an end, or gathers.
UNASKED = re.compile(
    "即将执行|分钟超时|无需再处理|您发起的|请打开待办查看|均无法收到消息|审批配置已变更"
)

Sleep = Callable[[float], Awaitable[None]]


@dataclass
class Clock:
    """Stands still until it is moved."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **delta: float) -> None:
        self.now += timedelta(**delta)

    def monotonic(self) -> float:
        return self.now.timestamp()


@dataclass
class Service:
    """A running service and what a test does with it."""

    app: web.Application
    runner: web.AppRunner
    address: str
    wecom: SimulatedWeCom
    clock: Clock
    http: aiohttp.ClientSession
    stopped: bool = field(default=False)

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def base(self) -> str:
        """With the prefix."""
        return self.url + self.app[keys.SETTINGS].url_prefix

    async def api(
        self, method: str, path: str, token: str = TOKEN, **request: Any
    ) -> tuple[int, Any]:
        """One request to the engine API: status and JSON."""
        headers = {"Authorization": f"Bearer {token}", **request.pop("headers", {})}
        url = f"{self.base}/api/v1{path}"
        async with self.http.request(method, url, headers=headers, **request) as response:
            return response.status, await response.json(content_type=None)

    async def ask(self, obj_id: str = "12345_2", token: str = TOKEN, **fields: Any) -> Any:
        """Ask for an approval and expect it: the approval."""
        body = {"message": "替换故障机 10.0.0.1", "approvers": ["zhangsan", "lisi"], **fields}
        status, approval = await self.api(
            "POST", "/approvals", token, json={"obj_id": obj_id, **body}
        )
        assert status in (200, 201), approval
        return approval

    async def look(self, approval_id: str, token: str = TOKEN) -> Any:
        status, approval = await self.api("GET", f"/approvals/{approval_id}", token)
        assert status == 200, approval
        return approval

    async def events(self, approval_id: str) -> list[Any]:
        status, body = await self.api("GET", f"/approvals/{approval_id}/events")
        assert status == 200, body
        return list(body["events"])

    async def decisions(self, after: int = 0, token: str = TOKEN) -> list[Any]:
        status, body = await self.api("GET", f"/decisions?after={after}&limit=1000", token)
        assert status == 200, body
        return list(body["decisions"])

    async def says(self, userid: str, words: str, msg_id: int | None = None) -> int | None:
        """A member writes in the chat: the status that WeCom got."""
        return (await self.wecom.send_text(userid, words, msg_id)).status

    async def inbox(self, userid: str, count: int) -> list[str]:
        """The texts on a member's phone, once there are that many."""
        return [message.text for message in await self.messages(userid, count)]

    async def answers(self, userid: str, count: int) -> list[str]:
        """Of those, what was said to the member's own words, once there is so much of it."""
        async with asyncio.timeout(WITHIN_S):
            while len(found := self._answers(userid)) < count:
                await asyncio.sleep(0.01)
        return found

    def _answers(self, userid: str) -> list[str]:
        sent = [message.text for message in self.wecom.inbox(userid)]
        return [text for text in sent if not UNASKED.search(text)]

    async def heard(self, userid: str, words: str) -> str:
        """What a member is answered who writes that."""
        before = len(self._answers(userid))
        assert await self.says(userid, words) == 200
        return (await self.answers(userid, before + 1))[-1]

    def hurry(self) -> None:
        """Nothing is held back or gathered, however much one member gets."""
        without = Limits(singles_a_minute=10**9, most_a_minute=10**9)
        self.app[keys.PACE].limits = without
        self.wecom.knobs.per_member_a_minute = self.wecom.knobs.per_member_an_hour = 10**9

    async def messages(self, userid: str, count: int) -> list[Delivered]:
        async with asyncio.timeout(WITHIN_S):
            while len(found := self.wecom.inbox(userid)) < count:
                await asyncio.sleep(0.01)
        return found

    async def notified(self, approval_id: str) -> Any:
        """The approval, once no message that asks for it is still on its way."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                approval = await self.look(approval_id)
                if all(to["state"] != "pending" for to in approval["notifications"]):
                    return approval
                await asyncio.sleep(0.01)

    async def quiet(self) -> int:
        """The last position, once everything that there was to send is sent and recorded."""
        reading = self.app[keys.READING]
        async with asyncio.timeout(WITHIN_S):
            while True:
                await reading.caught_up()
                if not await reading.waiting_lanes():
                    return await reading.last_position()
                await asyncio.sleep(0.01)

    async def kept_of(self, userid: str) -> list[Any]:
        """What is kept of that member's words which belong to no approval; of the clock's day."""
        stream = inbox_stream(userid, self.clock())
        stored = await self.app[keys.READING].events_of(stream)
        return [event for _, event in stored if isinstance(event, Inbox.Received)]

    async def expire(self) -> None:
        """What the service does twice a second."""
        await self.app[keys.READING].caught_up()
        await timekeeper_of(self.app, timedelta()).look()

    async def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            await self.http.close()
            await self.runner.cleanup()


async def start_service(
    folder: Path,
    clock: Clock,
    wecom: SimulatedWeCom,
    settings: Mapping[str, str],
    sleep: Sleep = asyncio.sleep,
    at: str = "127.0.0.1:0",
) -> Service:
    """Start it, by default on a free port, and have the simulated WeCom verify its callback."""
    corp = wecom.settings
    host, _, port = at.rpartition(":")
    listening = bound_socket(host, int(port))
    address = address_of(listening)
    url: str = wecom.url  # type: ignore[attr-defined]  # set by the fixture
    environment = {
        "database": f"sqlite:///{folder / 'fta-approval.db'}",
        "api_tokens": f"fta:{TOKEN},other:{OTHER_TOKEN},reader:{READER_TOKEN}",
        "api_readers": "reader",
        # The clock stands still, so a bucket would never fill again; tests of the limit set it.
        "api_rate": "0",
        "super_approvers": "wangwu",
        "wecom_corp_id": corp.corp_id,
        "wecom_secret": corp.secret,
        "wecom_agent_id": str(corp.agent_id),
        "wecom_token": corp.token,
        "wecom_encoding_aes_key": corp.encoding_aes_key,
        "wecom_api_url": url,
        "wecom_oauth_url": url,
        "wecom_login_url": url,
        **settings,
    }
    confidential.note_settings(environment)
    read = read_settings({PREFIX + name.upper(): value for name, value in environment.items()})
    # Sending runs; expiry is driven by the test, so that no timer helps a rule along.
    try:
        app = create_app(read, address, clock, clock.monotonic, clockwork=False, sleep=sleep)
    except Exception:
        listening.close()
        raise
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
    await runner.setup()
    confidential.note_key_beside(folder / "fta-approval.db")
    await web.SockSite(runner, listening).start()
    wecom.trusted_hosts.add(urlsplit(f"http://{address}").netloc)
    service = Service(app, runner, address, wecom, clock, aiohttp.ClientSession())
    if read.wecom_is_configured:
        verification = await wecom.save_callback(f"{service.base}/wechat/entry/")
        assert verification.ok, verification.why
    return service
