"""The public addresses of this service: from the settings, never from a request's headers."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from web.settings import Settings


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where people find us. `app_url` ends in `/wechat/`."""

    app_url: str
    prefix: str

    @property
    def origin(self) -> str:
        """What `Origin` must be on our own forms."""
        parts = urlsplit(self.app_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def is_https(self) -> bool:
        return self.app_url.startswith("https://")

    @property
    def login(self) -> str:
        return f"{self.app_url}accounts/login/"

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
    own = f"http://{listening_on}{settings.url_prefix}/wechat/"
    return Addresses(settings.app_url or own, settings.url_prefix)
