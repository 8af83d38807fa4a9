"""What `fta-approval doctor` finds in the settings and asks of WeCom's API."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from adapters.wecom import menu as menus
from adapters.wecom.client import Unreachable, WeComClient, WeComError, WeComRefused
from domain.identity import merged
from web.addresses import Addresses
from web.findings import Finding, fail, ok, skip, warn
from web.menu_publishing import ENTRY
from web.remedies import errcode_of, remedy
from web.settings import PREFIX, PUBLIC_AES_KEY, PUBLIC_TOKEN, Settings

CLOCK_MAY_DIFFER_S = 60
# What is wrong with one kind of call; everything else would be refused for the same reason.
OF_ONE_CALL = (301002, 40056, 48002)
NEEDS_A_TOKEN = "needs a token; mend that first"  # noqa: S105  # a sentence
OF_ONE_MEMBER = (Unreachable, WeComRefused)
ACTIVE = "1"
STATUS = {
    "2": ("is disabled", "enable the member under 通讯录"),
    "4": ("has not activated WeCom", "invite the member under 通讯录"),
    "5": ("has left the company", "take the userid out of the settings"),
}


def check_settings(settings: Settings) -> Iterator[Finding]:
    """What has to be set, and must not be what everybody knows."""
    found = [*_missing(settings), *_public(settings)]
    yield from found or [
        ok("settings", "CorpID, Secret, AgentId, Token and EncodingAESKey are set")
    ]


def _missing(settings: Settings) -> Iterator[Finding]:
    for name, where in (
        ("corp_id", "copy the 企业ID from 我的企业 → 企业信息"),
        ("secret", "copy the Secret from 应用管理 → the application"),
        ("agent_id", "copy the AgentId from 应用管理 → the application"),
    ):
        if getattr(settings, f"wecom_{name}") in (None, ""):
            yield fail("settings", f"{PREFIX}WECOM_{name.upper()} is not set", where)


def _public(settings: Settings) -> Iterator[Finding]:
    if settings.wecom_is_on_loopback:
        return  # a simulated WeCom: nobody else can forge its callbacks
    for name, value, default in (
        ("WECOM_TOKEN", settings.wecom_token, PUBLIC_TOKEN),
        ("WECOM_ENCODING_AES_KEY", settings.wecom_encoding_aes_key, PUBLIC_AES_KEY),
    ):
        if value.get_secret_value() == default:
            yield fail(
                "settings",
                f"{PREFIX}{name} is the public default and every message of a member is ignored",
                "have 接收消息 → 设置API接收 make a new one (随机获取) and set it in both places",
            )


@dataclass
class AccountChecks:
    """
    Asks WeCom each thing once. Nothing more is asked after a refused secret, because WeCom bans
    addresses that keep trying.
    """

    settings: Settings
    wecom: WeComClient | None
    addresses: Addresses
    clock: Callable[[], datetime]
    usable: bool = False
    """Whether the API can be asked further things: there is a token, and no call was refused for
    what every call would be refused for."""

    async def run(self) -> AsyncIterator[Finding]:
        """One after the other: what comes later depends on what was found."""
        yield await self._token()
        yield self._clock()
        menu: list[menus.Button] | None = None
        try:
            menu = await self._menu() if self.usable else None
            yield self._application(menu)
        except WeComError as error:
            self._look_further(error)
            yield fail("application", str(error), remedy(error))
        async for finding in self._members():
            yield finding
        yield self._entry(menu)

    async def _token(self) -> Finding:
        if self.wecom is None:
            return skip("token", "needs CorpID, Secret and AgentId; set them first")
        try:
            await self.wecom.fetch_token()
        except WeComError as error:
            return fail("token", str(error), remedy(error))
        self.usable = True
        return ok("token", f"{self.settings.wecom_api_url} knows CorpID and Secret")

    def _clock(self) -> Finding:
        """By the answer that came just now; an answer that gives no token has a date too."""
        theirs = _instant(self.wecom.date if self.wecom else None)
        if theirs is None:
            return skip("clock", "needs an answer of WeCom with a Date; mend the token first")
        ahead_s = round((self.clock() - theirs).total_seconds())
        if abs(ahead_s) <= CLOCK_MAY_DIFFER_S:
            return ok("clock", f"differs from WeCom's by {abs(ahead_s)} s")
        return fail(
            "clock",
            f"this machine is {abs(ahead_s)} s {'fast' if ahead_s > 0 else 'slow'}",
            "let NTP set it (chrony, systemd-timesyncd): replies that seem older than an hour or "
            "more than ten minutes ahead are refused",
        )

    async def _menu(self) -> list[menus.Button]:
        assert self.wecom is not None  # noqa: S101  # there is a token
        assert self.settings.wecom_agent_id is not None  # noqa: S101
        return await menus.read_menu(self.wecom, self.settings.wecom_agent_id)

    def _application(self, menu: list[menus.Button] | None) -> Finding:
        if menu is None:
            return skip("application", NEEDS_A_TOKEN)
        return ok("application", f"AgentId {self.settings.wecom_agent_id} belongs to the Secret")

    async def _members(self) -> AsyncIterator[Finding]:
        settings = self.settings
        if not settings.super_approvers:
            yield warn(
                "visible range",
                f"no super approver (审批管理员); {PREFIX}SUPER_APPROVERS names those who may "
                "decide when an approver is away",
            )
        userids = merged([*settings.super_approvers, *settings.admins, *settings.auditors])
        if not userids:
            return
        if not self.usable:
            yield skip("visible range", "needs a working token and application; mend those first")
            return
        fine = []
        for userid in userids:
            try:
                wrong = await self._wrong_with(userid)
            except WeComError as error:
                self._look_further(error)
                yield fail("visible range", f"{userid}: {error}", remedy(error))
                if not isinstance(error, OF_ONE_MEMBER):
                    return
                continue
            if wrong is None:
                fine.append(userid)
            else:
                yield fail("visible range", *wrong)
        if fine:
            yield ok("visible range", f"{', '.join(fine)} can be reached")

    async def _wrong_with(self, userid: str) -> tuple[str, str] | None:
        """What is wrong with a member whom the application sees, and what to do."""
        assert self.wecom is not None  # noqa: S101  # there is a token
        answer = await self.wecom.call("user/get", query={"userid": userid})
        # A status that is missing says nothing; being visible has to be enough then.
        status = str(answer.get("status", ACTIVE))
        if status == ACTIVE:
            return None
        wrong, mend = STATUS.get(status, (f"has the status {status}", "look at 通讯录"))
        return f"{userid} {wrong}", mend

    def _look_further(self, error: WeComError) -> None:
        """Stop asking where every further call would be refused, or get no answer."""
        is_of_one_call = isinstance(error, OF_ONE_MEMBER) or errcode_of(error) in OF_ONE_CALL
        self.usable = self.usable and is_of_one_call

    def _entry(self, menu: list[menus.Button] | None) -> Finding:
        if menu is None:
            return skip("menu", "needs a working token and application; mend those first")
        url = self.addresses.todo
        if menus.opens(menu, url):
            return ok("menu", f"opens {url}")
        old = menus.named(menu, ENTRY)
        wrong = f"{ENTRY} opens {old.get('url')}, not {url}" if old else f"no entry opens {url}"
        return fail("menu", wrong, "run fta-approval menu publish")


def _instant(date: str | None) -> datetime | None:
    """A `Date` header as UTC; None where there is none, or none that can be read."""
    try:
        at = parsedate_to_datetime(date or "")
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
