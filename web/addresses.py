"""The public addresses of this service: from the settings, never from a request's headers."""

from dataclasses import dataclass

from yarl import URL

from web.settings import Settings

ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # turned into loopback here
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where people find us. `app_url` ends in `/wechat/`."""

    app_url: str
    prefix: str
    own_url: str
    """The address that this process listens on, for who opens it on the same machine."""

    def is_ours(self, origin: str) -> bool:
        """Whether an `Origin` is that of our own pages; `null` never is."""
        own = [self.own_url] if URL(self.own_url).host in LOOPBACK else []
        return origin in [origin_of(url) for url in (self.app_url, *own)]

    @property
    def is_https(self) -> bool:
        return self.app_url.startswith("https://")

    @property
    def login(self) -> str:
        return f"{self.app_url}accounts/login/"

    @property
    def callback(self) -> str:
        """What is saved in WeCom under 接收消息."""
        return f"{self.app_url}entry/"

    @property
    def todo(self) -> str:
        """待办, which the menu opens."""
        return f"{self.app_url}todo/"

    def page_of(self, approval_id: str) -> str:
        """The detail page of an approval, for a message."""
        return f"{self.app_url}a/{approval_id}/"

    def cookie(self, name: str) -> str:
        """A cookie's name: browsers take `__Secure-` over https only."""
        return f"__Secure-{name}" if self.is_https else name

    @property
    def cookie_path(self) -> str:
        return self.prefix or "/"


def public_addresses(settings: Settings, listening_on: str) -> Addresses:
    """By `APP_URL`; without one, the address that this process listens on."""
    host, _, port = listening_on.rpartition(":")
    host = host.strip("[]")
    own = URL.build(scheme="http", host=ANY_ADDRESS.get(host, host), port=int(port))
    own_url = f"{own.origin()}{settings.url_prefix}/wechat/"
    return Addresses(settings.app_url or own_url, settings.url_prefix, own_url)


def origin_of(url: str) -> str:
    """As a browser writes it: lower case, no port where it is the scheme's own."""
    return str(URL(url).origin())
