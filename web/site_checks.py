"""What `fta-approval doctor` asks of our own public address, as WeCom and members will."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import aiohttp
from yarl import URL

from adapters.wecom.crypto import CallbackCrypto
from adapters.wecom.verification import VERIFIED_WITHIN_S, Answer, ask_for_echo
from web.addresses import Addresses
from web.findings import Finding, fail, ok, skip, warn
from web.remedies import unreached, why_not_connected, why_not_trusted
from web.settings import MAX_VERIFY_FILE_BYTES, PREFIX, Settings

WAIT = aiohttp.ClientTimeout(total=10)
NO_ANSWER = (aiohttp.ClientError, TimeoutError, OSError)
MAX_PAGE_BYTES = 64 * 1024
SHOWN_BYTES = 40
NOT_TEXT = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE)
# The codes are those of the login panel; whether the page itself shows them, and how the page of a
# login that would work can be told, is UNCONFIRMED (wecom-protocol 6.3). So the lack of these words
# proves nothing, and only what the simulated WeCom says for certain is taken as proof.
NOT_TRUSTED = re.compile(r"-31020|-31039|redirect_uri")
LOGIN_OFFERED = "扫码登录"


@dataclass
class SiteChecks:
    """
    Args:
        public: Connections to our own address, without the proxy that leads out to WeCom.
        outgoing: Connections to WeCom.
        wait_s: How long the answer to a verification is waited for.
    """

    settings: Settings
    addresses: Addresses
    clock: Callable[[], datetime]
    public: aiohttp.ClientSession
    outgoing: aiohttp.ClientSession
    wait_s: float

    async def run(self) -> AsyncIterator[Finding]:
        yield await self._callback()
        yield self._address()
        if self.settings.wecom_verify_file:
            yield await self._verify_file(Path(self.settings.wecom_verify_file))
        yield await self._trusted_domain()

    async def _callback(self) -> Finding:
        settings, url = self.settings, self.addresses.callback
        if settings.app_url is None and settings.address[1] == 0:
            return skip("callback", f"no address is known; set {PREFIX}APP_URL")
        crypto = CallbackCrypto(
            settings.wecom_token.get_secret_value(),
            settings.wecom_encoding_aes_key.get_secret_value(),
            settings.wecom_corp_id,
        )
        try:
            answer = await ask_for_echo(self.public, crypto, url, self.clock(), self.wait_s)
        except NO_ANSWER as error:
            return fail(
                "callback",
                f"{url} does not answer ({_why(error)})",
                "start fta-approval serve, and let nginx and firewall pass it on; if only this "
                "machine cannot reach its own public address, run this elsewhere",
            )
        return judged(url, answer)

    def _address(self) -> Finding:
        url = self.addresses.app_url
        if self.settings.app_url is None and self.settings.wecom_is_on_loopback:
            return ok("address", f"{url}, for a WeCom on this machine")
        if self.settings.app_url is None:
            return fail(
                "address",
                f"{PREFIX}APP_URL is not set and members are sent to {url}",
                "set it to the public address up to and including wechat/",
            )
        if not self.addresses.is_https and not self.settings.wecom_is_on_loopback:
            return warn("address", f"{url} is not https: whoever is on the way can read along")
        return ok("address", url)

    async def _verify_file(self, file: Path) -> Finding:
        """WeCom looks at the root of the host, which often belongs to somebody else's program."""
        url = URL(self.addresses.app_url).origin() / file.name
        pass_on = f"let nginx pass {url.path}, at the root of the host, on to this service"
        try:
            async with self.public.get(url, timeout=WAIT, allow_redirects=False) as response:
                content = await _start_of(response, MAX_VERIFY_FILE_BYTES + 1)
                status = response.status
        except NO_ANSWER as error:
            return fail("verify file", f"{url} does not answer ({_why(error)})", pass_on)
        if status != 200:
            return fail("verify file", f"{url} answers HTTP {status}", pass_on)
        if content != await asyncio.to_thread(file.read_bytes):
            return fail("verify file", f"{url} answers something else than {file}", pass_on)
        return ok("verify file", f"{url} answers what WeCom wants to see")

    async def _trusted_domain(self) -> Finding:
        settings = self.settings
        host = URL(self.addresses.app_url).authority
        if not settings.wecom_is_configured:
            return skip("trusted domain", "needs CorpID, Secret and AgentId; set them first")
        try:
            async with self.outgoing.get(
                URL(self._login_page(), encoded=True),
                proxy=settings.wecom_proxy,
                timeout=WAIT,
                allow_redirects=False,
            ) as response:
                page = (await _start_of(response, MAX_PAGE_BYTES)).decode(errors="replace")
                status = response.status
        except NO_ANSWER as error:
            return fail(
                "trusted domain", f"{settings.wecom_login_url}: no answer", unreached(error)
            )
        shown = NOT_TEXT.sub(" ", page)
        if NOT_TRUSTED.search(shown):
            return fail(
                "trusted domain",
                f"WeCom does not let members log in at {host}",
                f"enter {host} under 应用管理 → the application → 企业微信授权登录 → 授权回调域 "
                "and under 网页授权及JS-SDK → 可信域名",
            )
        if status == 200 and LOGIN_OFFERED in shown:
            return ok("trusted domain", f"WeCom lets members log in at {host}")
        return skip(
            "trusted domain",
            f"not proved (WeCom's login page answers HTTP {status}, without saying): open "
            f"{self.addresses.todo} in WeCom and in a browser; where WeCom shows an error, enter "
            f"{host} as 可信域名 and 授权回调域",
        )

    def _login_page(self) -> str:
        """What a browser outside WeCom is sent to; nobody comes back with this state."""
        corp, back = (
            quote(text, safe="")
            for text in (self.settings.wecom_corp_id or "", self.addresses.login)
        )
        return (
            f"{self.settings.wecom_login_url}/wwlogin/sso/login?login_type=CorpApp&appid={corp}"
            f"&agentid={self.settings.wecom_agent_id}&redirect_uri={back}"
            f"&state={secrets.token_hex(16)}&lang=zh"
        )


def judged(url: str, answer: Answer) -> Finding:
    """Whether WeCom would save that address, and if not, why."""
    if 300 <= answer.status < 400:
        return fail(
            "callback",
            f"{url} redirects to {_without_query(answer.location)}, which WeCom does not follow",
            f"set {PREFIX}APP_URL to the address that answers itself, or mend the redirect",
        )
    if answer.status == 403:
        return fail(
            "callback",
            f"{url} answers 403: another Token, EncodingAESKey or CorpID is in use there",
            "restart fta-approval serve with these settings; if it has them, something in front "
            "of it forbids access",
        )
    if answer.status != 200:
        return fail(
            "callback",
            f"{url} answers HTTP {answer.status}",
            f"let nginx pass this path on to fta-approval serve; compare {PREFIX}APP_URL and "
            f"{PREFIX}URL_PREFIX",
        )
    if answer.body != answer.echo:
        begins = answer.body[:SHOWN_BYTES].decode(errors="replace")
        return fail(
            "callback",
            f"{url} answers {len(answer.body)} bytes instead of {len(answer.echo)}, beginning "
            f"{begins!r}",
            "keep proxy and gateway from adding to or replacing what is answered at this path",
        )
    if answer.took_s > VERIFIED_WITHIN_S:
        return fail(
            "callback",
            f"{url} took {answer.took_s:.1f} s, and WeCom gives up after {VERIFIED_WITHIN_S:g} s",
            "look for what is slow on the way: DNS, a proxy, a machine without memory",
        )
    return ok("callback", f"{url} answered in {answer.took_s * 1000:.0f} ms as WeCom wants it")


def _why(error: BaseException) -> str:
    """In a few words, without the address and what stood in its query."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name is not found"
    if isinstance(error, aiohttp.ClientSSLError):
        return f"its certificate is not trusted: {why_not_trusted(error)}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return why_not_connected(error)
    return "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__


def _without_query(location: str) -> str:
    return location.partition("?")[0] or "nowhere"


async def _start_of(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    content = b""
    while len(content) < most_bytes and (more := await response.content.read(most_bytes)):
        content += more
    return content[:most_bytes]
