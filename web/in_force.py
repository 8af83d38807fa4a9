"""The settings in force: environment first, then what is stored as events, then the default.

They are swapped as a whole, and with them everything that is made of them. Handlers go on asking
`app[keys.SETTINGS]` and the like, which always is what is in force at that moment.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, cast

import structlog
from pydantic import SecretStr

from adapters.store.event_store import EventStore
from domain.configuration import CONFIGURATION_STREAM, Change, Configuration, Stored
from web.reading import Progress
from web.settings import Settings, WrongSettings, overlaid, parse_api_tokens
from web.vault import Vault

# The environment's alone: they say where the store is, how this very process runs, or where what
# testifies against the store is kept.
NOT_STORED = frozenset(
    (
        "database",
        "listen",
        "url_prefix",
        "secret_key",
        "secret_key_file",
        "log_level",
        "tree_heads",
        "wecom_ca_file",
        "wecom_verify_file",
    )
)
EDITABLE = tuple(name for name in Settings.model_fields if name not in NOT_STORED)
SECRET = frozenset(
    ("api_tokens", "wecom_token", "wecom_encoding_aes_key", "wecom_secret", "webhook_secret")
)
FINGERPRINT_CHARACTERS = 16
LOOK_AT_MOST_EVERY_S = 0.5

T = TypeVar("T")

log = structlog.get_logger()


class InForce(Generic[T]):
    """Stands for something that is made of the settings, and is replaced when they change."""

    def __init__(self, now: T) -> None:
        self.now = now

    def __getattr__(self, name: str) -> Any:
        return getattr(self.now, name)


class Secrets:
    """How secret settings are kept: sealed, with a fingerprint by which they are told apart."""

    def __init__(self, vault: Vault, fingerprint_key: bytes) -> None:
        self._vault = vault
        self._key = fingerprint_key

    def seal(self, name: str, text: str) -> str:
        return self._vault.seal(f"setting {name}", text.encode())

    def open(self, name: str, sealed: str) -> str:
        """
        Raises:
            WrongSecretKey: It was sealed with another key.
        """
        return self._vault.open(f"setting {name}", sealed).decode()

    def fingerprint(self, name: str, text: str) -> str:
        """The same for the same secret, under any secret key; nobody finds the secret by it."""
        digest = hmac.new(self._key, f"{name}\0{text}".encode(), hashlib.sha256)
        return digest.hexdigest()[:FINGERPRINT_CHARACTERS]

    def text_of(self, name: str, stored: Stored) -> str:
        """What it is set to."""
        return stored.value or "" if stored.sealed is None else self.open(name, stored.sealed)

    def change_of(self, texts: dict[str, str | None]) -> Change:
        """A change of these settings; None or nothing: no longer set."""
        public = {name: text or None for name, text in texts.items() if name not in SECRET}
        secret = {name: text or None for name, text in texts.items() if name in SECRET}
        return Change(
            public,
            {name: self.seal(name, text) for name, text in secret.items() if text},
            {name: self.fingerprint(name, t) if t else None for name, t in secret.items()},
            names_in(secret),
        )


def names_in(secrets: Mapping[str, str | None]) -> dict[str, list[str]]:
    """What an access review may show of secrets: whose the tokens of engines are."""
    tokens = secrets.get("api_tokens")
    if not tokens:
        return {}
    return {"api_tokens": list(dict.fromkeys(name for name, _ in parse_api_tokens(tokens)))}


def environment_of(given: Settings, secrets: Secrets) -> Change:
    """What of the editable settings the environment sets; of secrets the fingerprint alone."""
    names = sorted(given.model_fields_set.intersection(EDITABLE))
    texts = {name: text_of(getattr(given, name)) for name in names}
    secret = {name: text for name, text in texts.items() if name in SECRET}
    return Change(
        {name: text for name, text in texts.items() if name not in SECRET},
        {},
        {name: secrets.fingerprint(name, text) for name, text in secret.items()},
        names_in(secret),
    )


def text_of(value: Any) -> str:
    """A setting as one writes it in the environment; nothing where it is not set."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, list):
        return ",".join(value)
    return "" if value is None else str(value)


class StoredSettings:
    """
    What is given and what is stored, whether or not it fits together.

    Args:
        given: By the environment; `model_fields_set` says which.
        store: Where the rest is stored; read at once.
    """

    def __init__(self, given: Settings, store: EventStore, secrets: Secrets) -> None:
        self.given = given
        self.secrets = secrets
        self._store = store
        self.configuration = self.load()

    def is_locked(self, name: str) -> bool:
        """Whether the environment sets it."""
        return name in self.given.model_fields_set

    def load(self) -> Configuration:
        """What is stored at this moment, by whichever process. Blocks."""
        found = self._store.load(Configuration, CONFIGURATION_STREAM)
        return found or Configuration()

    def text_of(self, name: str) -> str:
        """What one setting is set to, as one writes it in the environment."""
        stored = self.configuration.stored.get(name)
        if stored is not None and not self.is_locked(name):
            return self.secrets.text_of(name, stored)
        return text_of(getattr(self.given, name))

    def settings_with(self, texts: dict[str, str | None]) -> Settings:
        """What would be in force with some settings changed; see `with_change`."""
        return self.with_change(self.configuration, texts)

    def with_change(self, configuration: Configuration, texts: dict[str, str | None]) -> Settings:
        """
        What would be in force with some settings changed.

        Raises:
            WrongSettings, WrongSecretKey: As above.
        """
        stored: dict[str, str | None] = {
            name: self.secrets.text_of(name, one)
            for name, one in configuration.stored.items()
            if name in EDITABLE
        }
        stored.update(texts)
        return overlaid(self.given, {name: text for name, text in stored.items() if text})


class SettingsInForce(StoredSettings):
    """
    The settings of this process, as they are now.

    Raises:
        WrongSettings: What is stored does not fit to what is given.
        WrongSecretKey: What is stored cannot be opened.
    """

    def __init__(self, given: Settings, store: EventStore, secrets: Secrets) -> None:
        super().__init__(given, store, secrets)
        self._followers: list[Callable[[Settings], Callable[[], None]]] = []
        self.now = self.settings_with({})

    def following(self, make: Callable[[Settings], T]) -> T:
        """Something made of the settings, and made anew whenever they change."""
        holder = InForce(make(self.now))

        def remade(settings: Settings) -> Callable[[], None]:
            fresh = make(settings)
            return lambda: setattr(holder, "now", fresh)

        self._followers.append(remade)
        # Whoever asks it for anything asks what is in force.
        return cast(T, holder)

    def on_change(self, act: Callable[[Settings], None]) -> None:
        """Have something done with the new settings, after what follows them has been swapped."""
        self._followers.append(lambda settings: lambda: act(settings))

    async def refresh(self) -> None:
        """
        Take over what is stored now. What cannot be in force here leaves all as it is, loudly.
        """
        self.take(await asyncio.to_thread(self.load))

    def take(self, configuration: Configuration) -> None:
        """Swap all at once, in the event loop."""
        if configuration.version <= self.configuration.version:
            return
        is_same = configuration.revision == self.configuration.revision
        if is_same:
            self.configuration = configuration
            return
        try:
            settings = self.with_change(configuration, {})
            swaps = [remade(settings) for remade in self._followers]
        except (WrongSettings, ValueError) as error:
            log.error("the stored settings cannot be in force here", why=str(error))
            return
        is_news = settings != self.now
        self.configuration, self.now = configuration, settings
        if is_news:
            for swap in swaps:
                swap()
            log.info("settings changed", revision=configuration.revision)

    async def follow(self, progress: Progress) -> None:
        """Notice what other processes change, for ever."""
        while True:
            seen = progress.position
            try:
                await self.refresh()
            except Exception:
                log.exception("the stored settings cannot be read")
            await asyncio.sleep(LOOK_AT_MOST_EVERY_S)
            if progress.position == seen:
                await progress.next()
