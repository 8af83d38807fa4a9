"""WeCom's API: one access token, kept and refreshed once when refused; messages; who logs in.

Facts: wecom-protocol 0, 4, 5, 6.2. Business errors are HTTP 200 with `errcode`; the `errmsg` is
not stable, so only the code decides.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from adapters.wecom.errcodes import WINDOW_S, Remedy, remedy_of

TIMEOUT_S = 10
# A token is renewed this long before it ends, so that none ends on the way.
RENEW_BEFORE_S = 300
# After an error in the configuration nothing is asked for this long: many calls with a wrong
# secret ban the caller's address for an hour (wecom-protocol 4.1).
PAUSE_AFTER_MISCONFIGURATION_S = 300
ERRCODE = re.compile(r"-?[0-9]{1,9}")
MOST_ERRCODES = 100  # counted apart; whatever answers in WeCom's place must not fill the figures
GETTOKEN = "gettoken"
# More messages at once than this wait for each other; WeCom refuses too many calls (45033).
MESSAGES_AT_ONCE = 50
AGAIN = (Remedy.LATER, Remedy.RENEW, Remedy.WINDOW)
# WeCom's are much longer; what is shorter is a slip of the pen, and part of ordinary words.
SHORTEST_SECRET = 8


class WeComError(Exception):
    """WeCom did not do what it was asked."""


class WeComAway(WeComError):
    """No answer, or one that asks to come again: the same call may succeed later."""

    def __init__(
        self, detail: str, retry_after_s: float = 0.0, *, may_have_arrived: bool = False
    ) -> None:
        self.may_have_arrived = may_have_arrived
        """WeCom may have done what it was asked; we have not heard."""
        self.retry_after_s = retry_after_s
        """Not before so long; 0: soon, and then less and less often."""
        super().__init__(detail)


class WeComMisconfigured(WeComError):
    """Trying again is useless, and dangerous, until an administrator mends something."""

    def __init__(
        self, errcode: int, detail: str, *, is_about_one_kind_of_call: bool = False
    ) -> None:
        self.errcode = errcode
        self.is_about_one_kind_of_call = is_about_one_kind_of_call
        """Whether other calls, such as sending a text instead of a card, may well succeed."""
        super().__init__(detail)


class WeComRefused(WeComError):
    """This very request will never succeed."""

    def __init__(self, errcode: int, detail: str) -> None:
        self.errcode = errcode
        super().__init__(detail)


class Unreachable(WeComError):
    """The member cannot be reached: unknown, outside the visible range, or without a licence."""


@dataclass(frozen=True, slots=True)
class WeComAccount:
    """Which application of which corp; the secret stays out of every text."""

    corp_id: str
    agent_id: int
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class _Token:
    """Compared by identity: WeCom may give the same text again, and that is another try."""

    text: str = field(repr=False)
    renew_at: float


class WeComClient:
    """
    Calls to WeCom's API for one application.

    Args:
        monotonic: Seconds that only grow, for the life of the token.
        proxy: Outbound proxy, if any.
        timeout_s: For one exchange, from the connection to the last byte of the answer.
        pause_s: How long an error of the configuration stops every call.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        api_url: str,
        account: WeComAccount,
        monotonic: Callable[[], float],
        proxy: str | None = None,
        timeout_s: float = TIMEOUT_S,
        pause_s: float = PAUSE_AFTER_MISCONFIGURATION_S,
    ) -> None:
        self._session = session
        self._api_url = api_url
        self._account = account
        self._monotonic = monotonic
        self._proxy = proxy
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._pause_s = pause_s
        self._token: _Token | None = None
        self._refreshing = asyncio.Lock()
        self._places = asyncio.Semaphore(MESSAGES_AT_ONCE)
        self._fetches = 0
        self._fetch_failed: str | None = None
        self._paused_until = 0.0
        self._limits: dict[str, tuple[float, str]] = {}
        self.problem: str | None = None
        """What is wrong with WeCom or the configuration, while it is; for the operator."""
        self.calls: Counter[str] = Counter()
        """How many calls were answered with which errcode; `none` is no answer of WeCom's API."""
        self.date: str | None = None
        """The `Date` of WeCom's last answer, as it came: its clock."""

    async def fetch_token(self) -> None:
        """
        Have a token, from WeCom if there is none; every call does so by itself.

        Raises:
            WeComAway, WeComMisconfigured: There is none to be had.
        """
        await self._access_token(refused=None)

    async def send_text(self, userid: str, content: str, *, once: bool) -> None:
        """
        Send one text to one member.

        Args:
            once: WeCom leaves out the same text to the same member within half an hour, and says
                nothing. Right where the text names what it is about, wrong for an answer: who
                asks the same twice would be answered once.

        Raises:
            Unreachable, WeComRefused: Never for this member or message.
            WeComAway, WeComMisconfigured: Not now.
        """
        body: dict[str, Any] = {
            "touser": userid,
            "msgtype": "text",
            "agentid": self._account.agent_id,
            "text": {"content": content},
        }
        if once:
            body |= {"enable_duplicate_check": 1, "duplicate_check_interval": 1800}
        _check_reached(await self.call("message/send", body=body))

    async def send_card(self, userid: str, card: Mapping[str, Any]) -> str | None:
        """
        Send one template card to one member.

        Its `task_id` is used once, for ever: the same card again is refused with 42014.

        Returns:
            The response code that changes this card once, within 72 hours; None if WeCom gave none.

        Raises:
            Unreachable, WeComRefused: Never for this member or card.
            WeComAway, WeComMisconfigured: Not now; 43012 is about cards only.
        """
        body = {
            "touser": userid,
            "msgtype": "template_card",
            "agentid": self._account.agent_id,
            "template_card": card,
        }
        answer = await self.call("message/send", body=body)
        _check_reached(answer)
        return str(answer.get("response_code") or "") or None

    async def update_card(self, userid: str, response_code: str, card: Mapping[str, Any]) -> None:
        """
        Change the card of one member to another.

        Raises:
            WeComRefused: 60140 where the code was used, or is older than 72 hours.
            Unreachable: The member is no longer visible, or never had the card.
            WeComAway, WeComMisconfigured: Not now.
        """
        body = {
            "userids": [userid],
            "agentid": self._account.agent_id,
            "response_code": response_code,
            "template_card": card,
        }
        _check_reached(await self.call("message/update_template_card", body=body))

    async def member_of(self, code: str) -> str | None:
        """
        Who logged in with that code, or None for somebody who is no member of the corp.

        Raises:
            WeComRefused: The code is wrong, used or old (40029).
        """
        answer = await self.call("auth/getuserinfo", query={"code": code})
        userid = answer.get("userid") or answer.get("UserId")
        return str(userid) if userid else None

    async def call(
        self, path: str, query: Mapping[str, str] | None = None, body: Any = None
    ) -> dict[str, Any]:
        """
        One call of the API, its token renewed and the call repeated once if the token is refused.

        Args:
            path: Below `/cgi-bin/`, such as `menu/get`.
            body: Plain JSON to be posted; None: a GET.

        Raises:
            WeComError: One of its kinds, for everything but errcode 0.
        """
        token = await self._access_token(refused=None)
        answer = await self._request(path, {**(query or {}), "access_token": token.text}, body)
        if remedy_of(answer["errcode"]) is Remedy.RENEW:
            token = await self._access_token(refused=token)
            answer = await self._request(path, {**(query or {}), "access_token": token.text}, body)
        self._check(path, answer)
        self.problem = None
        return answer

    async def _access_token(self, refused: _Token | None) -> _Token:
        """
        The current token; a new one if it ends soon or is the one that was refused.

        One fetch at a time: whoever waits meanwhile has its token, or its failure.
        """
        fetches = self._fetches
        async with self._refreshing:
            if self._paused_until > self._monotonic():
                raise WeComMisconfigured(0, self.problem or "WeCom refuses this configuration")
            token = self._token
            if token is not None and token is not refused and self._monotonic() < token.renew_at:
                return token
            if self._fetches != fetches and self._fetch_failed:
                raise WeComAway(self._fetch_failed)
            self._token = await self._fetch_token()
            return self._token

    async def _fetch_token(self) -> _Token:
        """
        Whatever WeCom refuses here is no fault of a message or a member, and asking again and
        again is what it bans addresses for.
        """
        try:
            answer = await self._request(
                GETTOKEN,
                {"corpid": self._account.corp_id, "corpsecret": self._account.secret},
                None,
            )
            self._check(GETTOKEN, answer)
            if not answer.get("access_token"):
                raise self._away(f"{GETTOKEN}: an answer without a token")
        except WeComAway as error:
            self._fetch_failed = str(error)
            raise
        finally:
            self._fetches += 1
        self._fetch_failed = None
        lifetime = float(answer.get("expires_in", 7200))
        renew_at = self._monotonic() + max(lifetime - RENEW_BEFORE_S, lifetime / 2)
        return _Token(str(answer["access_token"]), renew_at)

    async def _request(self, path: str, query: Mapping[str, str], body: Any) -> dict[str, Any]:
        """
        One HTTP exchange. Addresses stay out of every error text: the query holds the token.

        Raises:
            WeComAway: No answer, an HTTP error, or an answer that is not WeCom's JSON; or nothing
                was asked, because the limit of this call is still reached.
        """
        until, why = self._limits.get(path, (0.0, ""))
        if self._monotonic() < until:
            raise WeComAway(why, until - self._monotonic())
        try:
            async with (
                self._place_for(path),
                self._session.request(
                    "GET" if body is None else "POST",
                    f"{self._api_url}/cgi-bin/{path}",
                    params=query,
                    data=None if body is None else json.dumps(body, ensure_ascii=False).encode(),
                    headers={"Content-Type": "application/json"} if body is not None else None,
                    proxy=self._proxy,
                    timeout=self._timeout,
                    allow_redirects=False,
                ) as response,
            ):
                text = await response.text(errors="replace")
                status = response.status
                date = response.headers.get("Date")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._count("none")
            raise self._away(f"{path}: {type(error).__name__}", _is_unknown(path, error)) from None
        answer = _json_object(text)
        code = None if answer is None else _errcode(answer.get("errcode", 0))
        if status != 200 or answer is None or code is None:
            self._count("none")
            why = f"{path}: HTTP {status} that is not an answer of WeCom's API"
            raise self._away(why, may_have_arrived=path != GETTOKEN)
        self._count(str(code))
        self.date = date
        return {**answer, "errcode": code}

    def _count(self, errcode: str) -> None:
        is_known = errcode in self.calls or len(self.calls) < MOST_ERRCODES
        self.calls[errcode if is_known else "other"] += 1

    def _place_for(self, path: str) -> AbstractAsyncContextManager[Any]:
        """Messages wait for each other; who logs in waits for no messages."""
        return self._places if path.startswith("message/") else nullcontext()

    def _away(self, why: str, may_have_arrived: bool = False) -> WeComAway:
        self.problem = f"WeCom does not answer ({why})"
        return WeComAway(self.problem, may_have_arrived=may_have_arrived)

    def _check(self, path: str, answer: Mapping[str, Any]) -> None:
        code = answer["errcode"]
        remedy = remedy_of(code)
        if remedy is Remedy.NONE:
            return
        if path == GETTOKEN and remedy not in AGAIN:
            remedy = Remedy.MEND
        # The tail of errmsg names the address that WeCom saw, which 60020 is about.
        detail = f"errcode {code}: {self._without_secrets(str(answer.get('errmsg', '')))[:300]}"
        match remedy:
            case Remedy.UNREACHABLE:
                raise Unreachable(detail)
            case Remedy.LATER | Remedy.RENEW:
                self.problem = detail
                raise WeComAway(detail)
            case Remedy.WINDOW:
                self.problem = detail
                self._limits[path] = (self._monotonic() + WINDOW_S, detail)
                raise WeComAway(detail, WINDOW_S)
            case Remedy.MEND | Remedy.MEND_KIND:
                self.problem = detail
                if remedy is Remedy.MEND:
                    self._paused_until = self._monotonic() + self._pause_s
                raise WeComMisconfigured(
                    code, detail, is_about_one_kind_of_call=remedy is Remedy.MEND_KIND
                )
            case _:
                raise WeComRefused(code, detail)

    def _without_secrets(self, errmsg: str) -> str:
        """What answers in WeCom's place, such as a proxy, might quote what was asked."""
        for secret in (self._account.secret, self._token.text if self._token else ""):
            if len(secret) >= SHORTEST_SECRET:
                errmsg = errmsg.replace(secret, "***")
        return errmsg


def _check_reached(answer: Mapping[str, Any]) -> None:
    """Errcode 0 with the member in a list of those who were not reached is no success."""
    # A string with `|` after a send, an array after an update (wecom-protocol 5.2, 3.2).
    if answer.get("invaliduser"):
        raise Unreachable("WeCom does not know the member, or they are outside the visible range")
    if answer.get("unlicenseduser"):
        raise Unreachable("the member has no licence for this application")


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _is_unknown(path: str, error: Exception) -> bool:
    """Whether what was asked may have been done all the same: the question was out."""
    return path != GETTOKEN and not isinstance(error, aiohttp.ClientConnectorError)


def _errcode(given: Any) -> int | None:
    """
    The code of an answer; None for what WeCom never writes.

    Digits in quotation marks count: whoever rewrites answers on the way must not turn a refused
    secret into a bad moment, after which it is tried again.
    """
    if isinstance(given, str) and ERRCODE.fullmatch(given):
        return int(given)
    return given if type(given) is int else None
