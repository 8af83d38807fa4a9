"""The environment, read into one frozen object; every mistake in it said in one line."""

import base64
import re
import ssl
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)

from adapters.engine.reachable import name_of, network_of
from adapters.store.event_store import sqlite_path
from domain.identity import USERID, merged
from domain.permit import LONGEST_TTL, PermitRules
from web.webhook_secrets import EVERYBODY, parse_webhook_secrets

PREFIX = "FTA_APPROVAL_"
PUBLIC_TOKEN = "FTAToken"  # noqa: S105  # public: the default that FTA's manual prints
PUBLIC_AES_KEY = "FTAEncodingAESKeyFTAEncodingAESKey923456781"
VERIFY_FILE = re.compile(r"WW_verify_[A-Za-z0-9]{1,64}\.txt", re.ASCII)
MAX_VERIFY_FILE_BYTES = 1024


class WrongSettings(Exception):
    """One line for each mistake."""

    def __init__(self, mistakes: list[str]) -> None:
        self.mistakes = mistakes
        super().__init__("; ".join(mistakes))


def _split(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.split(",") if part.strip()]


def _userids(values: list[str]) -> list[str]:
    for userid in values:
        if not USERID.fullmatch(userid):
            raise ValueError(f"{userid!r} is not a userid (1-64 of A-Z a-z 0-9 _ - @ .)")
    return merged(values)


def _listen(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("must be HOST:PORT, such as 127.0.0.1:8000")
    return value


def _url_prefix(value: str) -> str:
    if value and not re.fullmatch(r"(/[A-Za-z0-9_.~-]+)+", value):
        raise ValueError("must be empty or a path such as /o/bk_fta_solutions, no slash at its end")
    return value


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise ValueError("must be an http or https address")
    return value.rstrip("/")


def _app_url(value: str) -> str:
    _http_url(value)
    if not value.endswith("/wechat/"):
        raise ValueError("must be the public address up to and including wechat/")
    return value


def _static_url(value: str) -> str:
    if not value.startswith("/"):
        _http_url(value)
    if not value.endswith("/"):
        raise ValueError("must end in a slash")
    return value


def _database(value: str) -> str:
    if value.startswith(("postgresql://", "postgres://")):
        raise ValueError("PostgreSQL is not part of this version; use sqlite:///PATH")
    sqlite_path(value)
    return value


def _aes_key(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[A-Za-z0-9]{43}", value.get_secret_value()):
        raise ValueError("must be 43 letters and digits")
    return value


def _secret_key(value: SecretStr) -> SecretStr:
    if len(decoded_key(value.get_secret_value()) or b"") != 32:
        raise ValueError("must be 32 bytes in base64")
    return value


def _secret_key_file(value: str) -> str:
    try:
        text = Path(value).read_text(encoding="ascii")
    except OSError as error:
        raise ValueError(f"{value} cannot be read: {error.strerror}") from None
    except UnicodeError:
        text = ""
    if len(decoded_key(text) or b"") != 32:
        raise ValueError(f"{value} must hold 32 bytes in base64")
    return value


def _ca_file(value: str) -> str:
    try:
        ssl.create_default_context().load_verify_locations(value)
    except ssl.SSLError:
        raise ValueError(f"{value} must hold certificates in PEM") from None
    except OSError as error:
        raise ValueError(f"{value} cannot be read: {error.strerror}") from None
    return value


def _verify_file(value: str) -> str:
    if not VERIFY_FILE.fullmatch(Path(value).name):
        raise ValueError(f"{value} must be named as WeCom named it: WW_verify_….txt")
    try:
        with Path(value).open("rb") as file:
            size = len(file.read(MAX_VERIFY_FILE_BYTES + 1))
    except OSError as error:
        raise ValueError(f"{value} cannot be read: {error.strerror}") from None
    if not 0 < size <= MAX_VERIFY_FILE_BYTES:
        raise ValueError(f"{value} must hold 1-1024 bytes, exactly as downloaded from WeCom")
    return value


def _tree_heads(value: str) -> str:
    path = Path(value)
    if path.is_dir() or not path.parent.is_dir():
        raise ValueError(f"{value} must be a file, or the name of one in a folder that is there")
    return value


def _token(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[A-Za-z0-9]{1,32}", value.get_secret_value()):
        raise ValueError("must be 1-32 letters and digits")
    return value


def _webhook_secret(value: SecretStr) -> SecretStr:
    parse_webhook_secrets(value.get_secret_value())
    return value


def _callback_hosts(values: list[str]) -> list[str]:
    for one in values:
        if network_of(one) is None:
            name_of(one)
    return values


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError("must be the name of a time zone, such as Asia/Shanghai") from None
    return value


def _api_tokens(value: SecretStr) -> SecretStr:
    parse_api_tokens(value.get_secret_value())
    return value


def parse_api_tokens(text: str) -> list[tuple[str, str]]:
    """`name:token,name:token` as pairs; a name may have two tokens, while one is replaced."""
    pairs = []
    for number, part in enumerate(filter(None, (p.strip() for p in text.split(","))), 1):
        name, colon, token = part.partition(":")
        if not colon or not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
            raise ValueError(f"entry {number} must be name:token")
        if len(token) < 16 or not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError(f"the token of {name} must be at least 16 characters, without blanks")
        pairs.append((name, token))
    tokens = [token for _, token in pairs]
    if len(set(tokens)) != len(tokens):
        raise ValueError("the same token stands twice")
    for name in {name for name, _ in pairs}:
        if sum(1 for other, _ in pairs if other == name) > 2:
            raise ValueError(f"{name} has more than two tokens")
    return pairs


def decoded_key(text: str) -> bytes | None:
    """A key in base64, standard or for URLs."""
    try:
        return base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    except ValueError:
        return None


Userids = Annotated[list[str], BeforeValidator(_split), AfterValidator(_userids)]
Names = Annotated[list[str], BeforeValidator(_split)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]


class Settings(BaseModel):
    """Contract section 2, from whatever `read_settings` is given; nothing here looks around."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database: Annotated[str, AfterValidator(_database)] = "sqlite:///var/fta-approval.db"
    listen: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:8000"
    # "May be empty": an empty variable is a value here, elsewhere it counts as not set.
    url_prefix: Annotated[str, AfterValidator(_url_prefix)] = "/o/bk_fta_solutions"
    secret_key: Annotated[SecretStr, AfterValidator(_secret_key)] | None = None
    secret_key_file: Annotated[str, AfterValidator(_secret_key_file)] | None = None
    api_tokens: Annotated[SecretStr, AfterValidator(_api_tokens)] = SecretStr("")
    api_readers: Names = Field(default_factory=list)
    api_rate: int = Field(default=1000, ge=0)
    app_url: Annotated[str, AfterValidator(_app_url)] | None = None
    static_url: Annotated[str, AfterValidator(_static_url)] | None = None
    wecom_token: Annotated[SecretStr, AfterValidator(_token)] = SecretStr(PUBLIC_TOKEN)
    wecom_encoding_aes_key: Annotated[SecretStr, AfterValidator(_aes_key)] = SecretStr(
        PUBLIC_AES_KEY
    )
    wecom_corp_id: str | None = None
    wecom_secret: SecretStr | None = None
    wecom_agent_id: int | None = None
    super_approvers: Userids = Field(default_factory=list)
    admins: Userids = Field(default_factory=list)
    auditors: Userids = Field(default_factory=list)
    tree_heads: Annotated[str, AfterValidator(_tree_heads)] | None = None
    permit_ttl: int = Field(default=900, ge=10, le=int(LONGEST_TTL.total_seconds()))
    message_style: Literal["text", "card", "both"] = "text"
    text_link: bool = False
    webhook_secret: Annotated[SecretStr, AfterValidator(_webhook_secret)] = SecretStr("")
    callback_hosts: Annotated[Names, AfterValidator(_callback_hosts)] = Field(default_factory=list)
    log_level: Literal["debug", "info", "warning"] = "info"
    time_zone: Annotated[str, AfterValidator(_time_zone)] = "Asia/Shanghai"
    wecom_api_url: HttpUrl = "https://qyapi.weixin.qq.com"
    wecom_oauth_url: HttpUrl = "https://open.weixin.qq.com"
    wecom_login_url: HttpUrl = "https://login.work.weixin.qq.com"
    wecom_proxy: HttpUrl | None = None
    wecom_ca_file: Annotated[str, AfterValidator(_ca_file)] | None = None
    wecom_verify_file: Annotated[str, AfterValidator(_verify_file)] | None = None

    @property
    def wecom_is_configured(self) -> bool:
        """Whether messages can be sent and members can log in."""
        return bool(self.wecom_corp_id and self.wecom_secret and self.wecom_agent_id is not None)

    @property
    def callback_is_public_knowledge(self) -> bool:
        """Whether anybody could forge a callback: a default secret, and a WeCom not on loopback."""
        is_default = (
            self.wecom_token.get_secret_value() == PUBLIC_TOKEN
            or self.wecom_encoding_aes_key.get_secret_value() == PUBLIC_AES_KEY
        )
        return is_default and not self.wecom_is_on_loopback

    @property
    def wecom_is_on_loopback(self) -> bool:
        """Whether it is a WeCom of this machine alone: a simulated one."""
        return _is_loopback(self.wecom_api_url)

    @property
    def engines(self) -> list[tuple[str, str]]:
        """Name and token of every engine."""
        return parse_api_tokens(self.api_tokens.get_secret_value())

    @property
    def permit_rules(self) -> PermitRules:
        """Who issues permits, and for how long (contract 4.5)."""
        ttl = timedelta(seconds=self.permit_ttl)
        return PermitRules(ttl=ttl) if self.app_url is None else PermitRules(self.app_url, ttl)

    @property
    def webhook_secrets(self) -> dict[str, list[bytes]]:
        """What signs webhooks, by the engine's name; see `parse_webhook_secrets`."""
        return parse_webhook_secrets(self.webhook_secret.get_secret_value())

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def static_path(self) -> str:
        """Path under which the service serves its static files itself."""
        default = f"{self.url_prefix}/static/wechat/"
        return self.static_url if self.static_url and self.static_url[0] == "/" else default


def read_settings(environ: Mapping[str, str], **overrides: Any) -> Settings:
    """
    The settings of the environment.

    Raises:
        WrongSettings: With one line for each mistake, and no value of a secret in any.
    """
    given = {
        name: environ[PREFIX + name.upper()]
        for name in Settings.model_fields
        if environ.get(PREFIX + name.upper())
        or (name == "url_prefix" and PREFIX + "URL_PREFIX" in environ)
    }
    try:
        settings = Settings.model_validate({**given, **overrides})
    except ValidationError as error:
        raise WrongSettings([_mistake(found) for found in error.errors()]) from None
    if unknown := _unknown_names(settings):
        raise WrongSettings(unknown)
    return settings


def overlaid(given: Settings, stored: Mapping[str, str]) -> Settings:
    """
    The settings in force: what the environment gives first, then what is stored, then the default.

    Raises:
        WrongSettings: What is stored does not fit, by itself or to what the environment gives.
    """
    own = {name: getattr(given, name) for name in given.model_fields_set}
    try:
        settings = Settings.model_validate({**stored, **own})
    except ValidationError as error:
        raise WrongSettings([_mistake(found) for found in error.errors()]) from None
    # What the environment sets stays told apart from what is stored.
    settings.model_fields_set.intersection_update(own)
    if unknown := _unknown_names(settings):
        raise WrongSettings(unknown)
    return settings


def _unknown_names(settings: Settings) -> list[str]:
    """Engines that are named somewhere and have no token."""
    known = {name for name, _ in settings.engines}
    named = {"API_READERS": settings.api_readers, "WEBHOOK_SECRET": settings.webhook_secrets}
    return [
        f"{PREFIX}{variable}: {name} is no name in API_TOKENS"
        for variable, names in named.items()
        for name in names
        if name not in known and name != EVERYBODY
    ]


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Variables with our prefix that mean nothing: most likely misspelt."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in known)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _mistake(found: Any) -> str:
    name = PREFIX + str(found["loc"][0]).upper() if found["loc"] else PREFIX.rstrip("_")
    return f"{name}: {found['msg'].removeprefix('Value error, ')}"
