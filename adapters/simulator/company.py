"""The simulated company as it stands: members, settings, messages; and its administrator."""

import dataclasses
import ssl
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp

from adapters.simulator.address_book import AddressBook
from adapters.simulator.callbacks import Caller, Verification
from adapters.simulator.cards import Cards
from adapters.simulator.corp import Clock, CorpSettings, utc_now
from adapters.simulator.inbox import Inboxes
from adapters.simulator.knobs import Knobs
from adapters.simulator.live import Changes
from adapters.simulator.logins import Logins
from adapters.simulator.tokens import Tokens

Json = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One call of the API, for tests that count or read them."""

    path: str
    at: datetime
    payload: Json
    errcode: int | None
    """None where the connection was closed or no JSON was answered."""


class Company:
    """
    What the application, the members and the administrator share; lives in memory.

    Args:
        trust: Whose certificates it believes when it calls back; None: whose this machine does.
    """

    def __init__(
        self,
        settings: CorpSettings | None = None,
        *,
        clock: Clock = utc_now,
        knobs: Knobs | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self.settings = settings or CorpSettings()
        self.clock = clock
        self.knobs = knobs or Knobs()
        self.book = AddressBook(self.settings)
        self.trusted_hosts = set(self.settings.trusted_hosts)
        self.callback_verified = False
        self.menu: list[Json] | None = None
        self.tokens = Tokens(self.settings, clock)
        self.inboxes = Inboxes()
        self.cards = Cards(self.inboxes)
        self.logins = Logins()
        self.changes = Changes()
        self.calls: deque[Call] = deque(maxlen=10_000)
        self.under_way = 0
        """How many calls have arrived and are not dealt with yet."""
        self._scripted: dict[str, list[int | None]] = defaultdict(list)
        self._session: aiohttp.ClientSession | None = None
        self.trust = trust
        self._caller = self._new_caller()

    async def close(self) -> None:
        self.changes.close()
        if self._session is not None:
            await self._session.close()
            self._session = None

    def secrets(self) -> Iterator[tuple[str, str]]:
        """
        Kind and text of what it has given out or been told, and no log may hold: for who searches.
        """
        for secret in self.tokens.agents:
            yield "application secret", secret
        yield "Token of the callback", self.settings.token
        yield "EncodingAESKey", self.settings.encoding_aes_key
        for token in self.tokens.given:
            yield "access token", token
        for code, login in self.logins.given.items():
            yield "login code", code
            yield "login state", login.state
        for code in self.cards.codes:
            yield "response code", code
        for words in self.inboxes.words():
            yield "words of a member", words

    # The administrator's console.

    async def save_callback(
        self, url: str, *, token: str | None = None, encoding_aes_key: str | None = None
    ) -> Verification:
        """
        设置API接收: keep the address and verify it at once, as the button Save does.

        Raises:
            ValueError: The address leaves this machine, which `loopback_only` forbids.
        """
        self.settings = dataclasses.replace(
            self.settings,
            callback_url=url,
            token=token or self.settings.token,
            encoding_aes_key=encoding_aes_key or self.settings.encoding_aes_key,
        )
        self._caller = self._new_caller()
        return await self.verify_url()

    async def verify_url(self) -> Verification:
        result = await self._caller.verify_url(self.knobs)
        self.callback_verified = result.ok
        return result

    def show_only_to(self, userids: set[str]) -> None:
        """Change the application's visible range; tells nobody, see `send_event`."""
        self.book.visible = {userid.casefold() for userid in userids}

    def expire_tokens(self) -> None:
        self.tokens.expire()

    def script(self, path: str, *errcodes: int | None) -> None:
        """
        The next calls of this path, such as `message/send`, fail with these codes in turn; None
        lets one work.
        """
        self._scripted[path.strip("/")] += errcodes

    def scripted(self, path: str) -> int | None:
        waiting = self._scripted[path]
        return waiting.pop(0) if waiting else None

    def _new_caller(self) -> Caller:
        return Caller(self.settings, self.clock, self._http)

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=self.trust or True),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session
