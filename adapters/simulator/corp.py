"""The simulated company: its members, its one application, and how the application is set up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from urllib.parse import urlsplit

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Member:
    """Somebody in the address book; WeCom compares userids without case."""

    userid: str
    name: str
    position: str = ""
    departments: tuple[int, ...] = (1,)
    licensed: bool = True
    status: int = 1
    """1 active, 2 disabled, 4 not activated, 5 left."""

    @property
    def key(self) -> str:
        return self.userid.casefold()


@dataclass(frozen=True)
class CorpSettings:
    """
    What an administrator of WeCom has entered.

    The callback address may still be empty here: the service that answers there often starts
    later, see `SimulatedWeCom.save_callback`.
    """

    corp_id: str = "ww0123456789abcdef"
    secret: str = "simulated-application-secret"  # noqa: S105 - of a company that does not exist
    agent_id: int = 1000002
    app_name: str = "故障自愈"
    token: str = "FTAToken"  # noqa: S105 - the default of the original manual
    encoding_aes_key: str = "FTAEncodingAESKeyFTAEncodingAESKey923456781"
    callback_url: str = ""
    trusted_hosts: frozenset[str] = frozenset()
    members: tuple[Member, ...] = field(default_factory=lambda: demo_members())
    visible: frozenset[str] | None = None
    """Userids in the application's visible range; None: everybody."""
    other_apps: Mapping[str, int] = field(default_factory=dict)
    """Secrets of the company's other applications, with their agent ids."""
    loopback_only: bool = True
    """Refuse to call back anywhere but this machine."""

    def __post_init__(self) -> None:
        if self.callback_url and self.loopback_only and not is_loopback(self.callback_url):
            raise ValueError(f"{self.callback_url} is not on this machine")


def demo_members() -> tuple[Member, ...]:
    """The three people of every example: two approvers and a super approver."""
    return (
        Member("zhangsan", "张三", "审批人"),
        Member("lisi", "李四", "审批人"),
        Member("wangwu", "王五", "审批管理员"),
    )


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
