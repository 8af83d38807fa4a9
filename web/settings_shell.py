"""`fta-approval settings`: what is in force and from where, changed in the shell; the way in."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from adapters.store.event_store import EventStore, open_event_store
from adapters.store.writer import Writer
from domain.commands import ChangeSettings
from domain.configuration import Via
from domain.errors import SettingsMoved
from projections.directory import Directory
from web.addresses import public_addresses
from web.admin_link import address_of_link, offer_link
from web.app import utc_now
from web.findings import visible
from web.in_force import EDITABLE, SECRET, Secrets, SettingsInForce, StoredSettings
from web.keyring import Keyring
from web.parts import check_store_exists, opened_vault
from web.settings import PREFIX, Settings, WrongSettings
from web.shell_account import shell_account

TRIES = 5

Say = Callable[[str], None]


class NotSet(Exception):
    """Nothing was changed; says why."""


@asynccontextmanager
async def opened(given: Settings) -> AsyncIterator[tuple[EventStore, Writer, Secrets]]:
    """
    The store beside a running service.

    Raises:
        FileNotFoundError: There is none; one that is mistyped is not made anew.
        WrongSecretKey: Its secrets cannot be opened.
    """
    check_store_exists(given)
    store = open_event_store(given.database)
    writer = Writer(store.another(), _no_directory, list)
    try:
        vault = opened_vault(given, store, utc_now)
        keyring = Keyring(lambda: store.found(utc_now()), vault)
        writer.start()
        yield store, writer, Secrets(vault, keyring.fingerprint_key())
    finally:
        if writer.alive:
            await asyncio.to_thread(writer.stop)
        writer.store.close()
        store.close()


def _no_directory(position: int) -> Directory:
    """Settings look nothing up in the read models, which are the service's."""
    raise TimeoutError("the read models belong to the service")


async def stored_over(given: Settings) -> Settings:
    """
    What is in force, for commands that only read; without a store what the environment gives.

    Raises:
        WrongSettings, WrongSecretKey: What is stored cannot be used.
    """
    try:
        check_store_exists(given)
    except FileNotFoundError:
        return given
    async with opened(given) as (store, _, secrets):
        return SettingsInForce(given, store, secrets).now


async def show(given: Settings, say: Say, *, as_json: bool) -> None:
    """Every setting with where it comes from; of secrets the fingerprint."""
    async with opened(given) as (store, _, secrets):
        known = StoredSettings(given, store, secrets)
        rows = [_row(name, known) for name in EDITABLE]
    for row in rows:
        say(json.dumps(row, ensure_ascii=False) if as_json else _line(row))


def _row(name: str, known: StoredSettings) -> dict[str, Any]:
    stored, is_given = known.configuration.stored.get(name), known.is_locked(name)
    text = known.text_of(name)
    is_secret = name in SECRET and bool(text)
    return {
        "name": name.upper(),
        "value": None if is_secret else text,
        "fingerprint": known.secrets.fingerprint(name, text) if is_secret else None,
        "from": "environment" if is_given else "stored" if stored else "default",
        "by": stored.by if stored and not is_given else None,
        "at": stored.at.isoformat() if stored and not is_given else None,
    }


def _line(row: dict[str, Any]) -> str:
    shown = f"(secret, fingerprint {row['fingerprint']})" if row["fingerprint"] else row["value"]
    by = f", {row['by']} {row['at']}" if row["by"] else ""
    return visible(f"{row['name']}={shown}  [{row['from']}{by}]")


async def set_one(given: Settings, name: str, text: str, say: Say) -> None:
    """
    Set one setting; nothing: no longer set. In force within a second wherever the service runs.

    Raises:
        NotSet: It cannot be, or somebody else keeps changing the settings.
    """
    if name not in EDITABLE:
        raise NotSet(f"{name.upper()} is not stored: set {PREFIX}{name.upper()} in the environment")
    if name in given.model_fields_set:
        raise NotSet(f"the environment sets {PREFIX}{name.upper()}: change or remove it there")
    async with opened(given) as (store, writer, secrets):
        for _ in range(TRIES):
            known = StoredSettings(given, store, secrets)
            try:
                known.settings_with({name: text or None})
            except WrongSettings as wrong:
                raise NotSet("\n".join(wrong.mistakes)) from None
            command = ChangeSettings(
                at=utc_now(),
                by=shell_account(),
                via=Via.SHELL,
                revision=known.configuration.revision,
                change=secrets.change_of({name: text or None}),
            )
            try:
                await writer.execute(command)
            except SettingsMoved:
                continue
            say(_done(name, known, text))
            return
    raise NotSet("somebody else keeps changing the settings; nothing was changed")


def _done(name: str, known: StoredSettings, text: str) -> str:
    done = f"{name.upper()} is set" if text else f"{name.upper()} is no longer set"
    if name in (known.configuration.environment or {}):
        return f"{done}; but the environment of the service sets it too, and goes first"
    return done if name != "static_url" else f"{done}; it takes effect at the next start"


async def link(given: Settings, say: Say) -> None:
    """A new one-time link to the configuration page; the one before works no more."""
    async with opened(given) as (store, writer, secrets):
        known = StoredSettings(given, store, secrets)
        settings = known.settings_with({})
        secret = await offer_link(writer, utc_now(), shell_account())
    assert secret is not None  # noqa: S101  # offered whether or not an admin is set
    say(address_of_link(public_addresses(settings, settings.listen).app_url, secret))
