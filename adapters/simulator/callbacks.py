"""How WeCom calls the application: sealed XML, five seconds, and again when nobody answered."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from xml.sax.saxutils import escape

import aiohttp
from defusedxml.ElementTree import fromstring

from adapters.simulator.corp import Clock, CorpSettings
from adapters.simulator.knobs import Knobs, XmlForm
from adapters.wecom.crypto import CallbackCrypto

Field = tuple[str, "str | int | list[Field]"]


@dataclass(frozen=True)
class Attempt:
    """One POST: what came back, or why nothing did."""

    status: int | None = None
    body: str = ""
    error: str | None = None


@dataclass(frozen=True)
class Delivery:
    """All attempts of one callback; none where it was dropped or is still held back."""

    attempts: tuple[Attempt, ...] = ()
    inner: bytes = b""

    @property
    def status(self) -> int | None:
        return self.attempts[-1].status if self.attempts else None

    @property
    def answered(self) -> bool:
        return self.status == 200


@dataclass(frozen=True)
class Verification:
    ok: bool
    why: str = ""


class Caller:
    """Source: wecom-protocol 1.5-1.8; the knobs cover what it leaves open."""

    def __init__(
        self, settings: CorpSettings, clock: Clock, session: Callable[[], aiohttp.ClientSession]
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._session = session
        self._crypto = CallbackCrypto(settings.token, settings.encoding_aes_key, settings.corp_id)
        self._turn = 0
        self._held: list[Callable[[], Awaitable[Delivery]]] = []

    async def deliver(self, fields: list[Field], knobs: Knobs) -> Delivery:
        """Write the message in the next of the XML forms, seal it and send it."""
        form = knobs.xml_forms[self._turn % len(knobs.xml_forms)]
        self._turn += 1
        return await self.deliver_inner(write_xml(fields, form), knobs, form)

    async def deliver_inner(self, inner: bytes, knobs: Knobs, form: XmlForm = "cdata") -> Delivery:
        if not self._settings.callback_url:
            return Delivery((Attempt(error="no callback address is set"),), inner)
        if knobs.drop_callbacks > 0:
            knobs.drop_callbacks -= 1
            return Delivery(inner=inner)
        if knobs.hold_callbacks:
            self._held.append(lambda: self._send(inner, knobs, form))
            return Delivery(inner=inner)
        return await self._send(inner, knobs, form)

    async def release(self, *, reverse: bool = False) -> list[Delivery]:
        """Send what was held back, one after the other."""
        held, self._held = self._held, []
        return [await send() for send in (reversed(held) if reverse else held)]

    async def verify_url(self, knobs: Knobs) -> Verification:
        """What the administrator's Save does: the answer must be exactly the decrypted text."""
        echo = "".join(secrets.choice("123456789") for _ in range(19))
        encrypted = self._crypto.encrypt(echo.encode())
        query = self._query(encrypted) | {"echostr": encrypted}
        attempt = await self._attempt("GET", query, None, knobs.verify_timeout_s)
        if attempt.error is not None:
            return Verification(False, f"openapi回调地址请求不通过: {attempt.error}")
        if attempt.status != 200:
            return Verification(False, f"openapi回调地址请求不通过: HTTP {attempt.status}")
        if attempt.body != echo:
            return Verification(False, "请检查 echostr 是否正确解密并原样返回明文")
        return Verification(True)

    def open_reply(self, body: str) -> dict[str, str] | None:
        """
        The passive reply in an answer, flat, or None where there is none.

        A plaintext reply, or one that is wrongly sealed, has no effect, as with WeCom.
        """
        if not body.lstrip().startswith("<"):
            return None
        try:
            outer = {
                element.tag: element.text or "" for element in fromstring(body, forbid_dtd=True)
            }
            sealed = outer["Encrypt"]
            expected = self._crypto.signature(outer["TimeStamp"], outer["Nonce"], sealed)
            if outer["MsgSignature"] != expected:
                return None
            inner = fromstring(self._crypto.decrypt(sealed), forbid_dtd=True)
        except Exception:  # whatever is wrong with a reply, the member sees nothing of it
            return None
        return {element.tag: element.text or "" for element in inner.iter()}

    async def _send(self, inner: bytes, knobs: Knobs, form: XmlForm) -> Delivery:
        attempts: list[Attempt] = []
        for _ in range(1 + knobs.duplicates):
            attempts += await self._until_answered(inner, knobs, form)
        return Delivery(tuple(attempts), inner)

    async def _until_answered(self, inner: bytes, knobs: Knobs, form: XmlForm) -> list[Attempt]:
        attempts: list[Attempt] = []
        query, body = self._seal(inner, form)
        for again in range(1 + knobs.retries):
            if again:
                await asyncio.sleep(knobs.retry_spacing_s)
                if knobs.retry_encrypts_anew:
                    query, body = self._seal(inner, form)
            attempt = await self._attempt("POST", query, body, knobs.callback_timeout_s)
            attempts.append(attempt)
            failed = attempt.error is not None
            if not failed and not (knobs.retry_non_200 and attempt.status != 200):
                break
        return attempts

    async def _attempt(
        self, method: str, query: dict[str, str], body: bytes | None, timeout_s: float
    ) -> Attempt:
        try:
            async with self._session().request(
                method,
                self._settings.callback_url,
                params=query,
                data=body,
                headers={"Content-Type": "text/xml"} if body is not None else {},
                timeout=aiohttp.ClientTimeout(total=timeout_s),
                allow_redirects=False,
            ) as answer:
                return Attempt(answer.status, (await answer.read()).decode(errors="replace"))
        except TimeoutError:
            return Attempt(error=f"no answer within {timeout_s:g} s")
        except aiohttp.ClientError as error:
            return Attempt(error=f"{type(error).__name__}: {error}")

    def _seal(self, inner: bytes, form: XmlForm) -> tuple[dict[str, str], bytes]:
        encrypted = self._crypto.encrypt(inner)
        fields: list[Field] = [
            ("ToUserName", self._settings.corp_id),
            ("AgentID", str(self._settings.agent_id)),
            ("Encrypt", encrypted),
        ]
        if form in ("cdata-agent-last", "plain-newlines"):
            fields[1], fields[2] = fields[2], fields[1]
        return self._query(encrypted), write_xml(fields, form)

    def _query(self, encrypted: str) -> dict[str, str]:
        timestamp = str(int(self._clock().timestamp()))
        nonce = str(secrets.randbelow(9 * 10**9) + 10**9)
        signature = self._crypto.signature(timestamp, nonce, encrypted)
        return {"msg_signature": signature, "timestamp": timestamp, "nonce": nonce}


def write_xml(fields: Iterable[Field], form: XmlForm) -> bytes:
    between = "\n" if form in ("cdata-agent-last", "plain-newlines") else ""
    cdata = form.startswith("cdata")
    return f"<xml>{between}{_elements(fields, cdata, between)}</xml>".encode(errors="surrogatepass")


def _elements(fields: Iterable[Field], cdata: bool, between: str) -> str:
    return "".join(f"<{name}>{_value(value, cdata)}</{name}>{between}" for name, value in fields)


def _value(value: "str | int | list[Field]", cdata: bool) -> str:
    if isinstance(value, list):
        return _elements(value, cdata, "")
    if isinstance(value, int):
        return str(value)
    if cdata:
        return f"<![CDATA[{value.replace(']]>', ']]]]><![CDATA[>')}]]>"
    return escape(value)
