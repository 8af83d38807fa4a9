"""Secrets that the store made for itself: sealed, opened, replaced, and declared void."""

import base64
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.store.event_store import EventStore, open_event_store
from domain.installation import Installation, SecretKind
from domain.permit import LONGEST_TTL
from tests.service import NOON
from web.keyring import (
    OLD_WEBHOOK_SECRET_SIGNS_FOR,
    Keyring,
    make_permit_key,
    make_webhook_secret,
    make_what_is_missing,
)
from web.parts import build_parts
from web.secret_key import KeyIsGone, key_path, secret_key
from web.settings import read_settings
from web.vault import Vault, WrongSecretKey

VAULT = Vault(bytes(32))
ADMINISTRATOR = "shell:lisi"
SOON_S = 10.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with closing(open_event_store(f"sqlite:///{tmp_path}/events.db")) as store:
        store.found(NOON)
        make_what_is_missing(store, VAULT, NOON)
        yield store


def keyring(store: EventStore, vault: Vault = VAULT) -> Keyring:
    return Keyring(lambda: store.found(NOON), vault)


def names(keys: list[dict[str, str]]) -> list[str]:
    return [key["kid"] for key in keys]


# Vault.


def test_what_was_sealed_opens_under_its_name() -> None:
    sealed = VAULT.seal("a", b"words")
    assert VAULT.open("a", sealed) == b"words"
    assert sealed != VAULT.seal("a", b"words")
    assert b"words" not in base64.b64decode(sealed)


@pytest.mark.parametrize("name", ["b", "", "A"])
def test_it_does_not_open_under_another_name(name: str) -> None:
    with pytest.raises(WrongSecretKey):
        VAULT.open(name, VAULT.seal("a", b"words"))


def test_it_does_not_open_with_another_key() -> None:
    with pytest.raises(WrongSecretKey, match="put back the key"):
        Vault(b"\1" * 32).open("a", VAULT.seal("a", b"words"))


def test_whatever_was_changed_does_not_open() -> None:
    raw = base64.b64decode(VAULT.seal("a", b"words"))
    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        with pytest.raises(WrongSecretKey):
            VAULT.open("a", base64.b64encode(changed).decode())
    for text in ("", "====", "c2hvcnQ=", "秘密"):
        with pytest.raises(WrongSecretKey):
            VAULT.open("a", text)


# First start.


def test_the_first_start_makes_a_permit_key_and_a_webhook_secret(store: EventStore) -> None:
    installation = store.found(NOON)
    assert [len(installation.made(kind)) for kind in SecretKind] == [1, 1, 1, 1]
    assert len(keyring(store).webhook_secrets(NOON)) == 1


def test_the_next_start_makes_nothing(store: EventStore) -> None:
    before = store.last_position()
    make_what_is_missing(store, VAULT, NOON)
    assert store.last_position() == before


def test_processes_that_start_together_end_with_one_value(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/events.db"
    barrier = threading.Barrier(4, timeout=SOON_S)
    made: list[Installation] = []

    def start() -> None:
        with closing(open_event_store(url)) as store:
            store.found(NOON)
            barrier.wait()
            made.append(make_what_is_missing(store, VAULT, NOON))

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON_S)
    assert len(made) == 4
    assert len({tuple(one.made(kind)) for one in made for kind in SecretKind}) == 4


def test_a_wrong_secret_key_shows_at_the_start(store: EventStore) -> None:
    keyring(store).check()
    with pytest.raises(WrongSecretKey, match="put back the key"):
        keyring(store, Vault(b"\1" * 32)).check()


def test_a_key_that_is_gone_is_not_made_anew_beside_its_store(tmp_path: Path) -> None:
    """A new one would open nothing, and what is sealed with it would open nothing else."""
    settings = read_settings({"FTA_APPROVAL_DATABASE": f"sqlite:///{tmp_path}/events.db"})
    made = secret_key(settings)
    with closing(open_event_store(settings.database)):
        pass
    assert secret_key(settings) == made
    key_path(settings).unlink()
    with pytest.raises(KeyIsGone, match=r"events\.db\.key is missing.*put it back"):
        secret_key(settings)
    with pytest.raises(KeyIsGone):
        build_parts(settings, lambda: NOON)
    assert [path.name for path in tmp_path.glob("*key*")] == []


def test_nothing_secret_stands_in_the_store(store: EventStore) -> None:
    secret = keyring(store).webhook_secrets(NOON)[0]
    [key_id] = names(keyring(store).trusted_permit_keys(NOON))
    private = keyring(store).permit_key(key_id).private_bytes_raw()
    for stored in store.recorder.select_streams(["installation"]):
        for raw in (secret, private):
            assert raw not in stored.state
            assert base64.b64encode(raw) not in stored.state
            assert raw.hex().encode() not in stored.state


# Permit keys.


def test_a_retired_permit_key_is_published_until_no_permit_of_it_counts(store: EventStore) -> None:
    [first] = names(keyring(store).trusted_permit_keys(NOON))
    later = NOON + timedelta(hours=1)
    second = make_permit_key(store, VAULT, later, ADMINISTRATOR)
    retires = later + LONGEST_TTL
    almost = retires - timedelta(milliseconds=1)
    assert names(keyring(store).trusted_permit_keys(almost)) == [first, second]
    assert names(keyring(store).trusted_permit_keys(retires)) == [second]


def test_a_permit_key_that_got_out_is_published_no_more(store: EventStore) -> None:
    second = make_permit_key(store, VAULT, NOON, ADMINISTRATOR, voids_earlier=True)
    third = make_permit_key(store, VAULT, NOON, ADMINISTRATOR)
    assert names(keyring(store).trusted_permit_keys(NOON)) == [second, third]


def test_a_key_that_another_process_made_is_found(store: EventStore) -> None:
    ours = keyring(store)
    [first] = names(ours.trusted_permit_keys(NOON))
    kept = ours.permit_key(first)
    second = make_permit_key(store, VAULT, NOON, ADMINISTRATOR, voids_earlier=True)
    fresh = ours.permit_key(second)
    assert fresh.private_bytes_raw() != kept.private_bytes_raw()
    assert ours.permit_key(first).private_bytes_raw() == kept.private_bytes_raw()
    with pytest.raises(KeyError):
        ours.permit_key("unknown")


def test_who_made_a_key_is_recorded(store: EventStore) -> None:
    make_permit_key(store, VAULT, NOON, ADMINISTRATOR)
    made = [e for _, e in store.events_of("installation") if isinstance(e, Installation.SecretMade)]
    assert [event.by for event in made] == [None, None, None, None, ADMINISTRATOR]


# Webhook secrets.


def test_the_secret_before_signs_along_for_a_day(store: EventStore) -> None:
    [first] = keyring(store).webhook_secrets(NOON)
    second = make_webhook_secret(store, VAULT, NOON, ADMINISTRATOR)
    ends = NOON + OLD_WEBHOOK_SECRET_SIGNS_FOR
    assert keyring(store).webhook_secrets(ends - timedelta(milliseconds=1)) == [second, first]
    assert keyring(store).webhook_secrets(ends) == [second]
    third = make_webhook_secret(store, VAULT, NOON, ADMINISTRATOR)
    assert keyring(store).webhook_secrets(NOON) == [third, second]


# Another secret key.


def test_with_another_secret_key_nothing_is_made_beside_what_is_there(store: EventStore) -> None:
    other = Vault(b"\1" * 32)
    with pytest.raises(WrongSecretKey):
        make_permit_key(store, other, NOON, ADMINISTRATOR)
    with pytest.raises(WrongSecretKey):
        make_permit_key(store, other, NOON, ADMINISTRATOR, voids_earlier=True)
    with pytest.raises(WrongSecretKey):
        make_webhook_secret(store, other, NOON, ADMINISTRATOR)
    keyring(store).check()
    assert len(store.found(NOON).made(SecretKind.PERMIT_KEY)) == 1
    assert len(store.found(NOON).made(SecretKind.WEBHOOK_SECRET)) == 1


def test_neither_is_what_is_missing(tmp_path: Path) -> None:
    """A store of before webhooks, whose key of permits is there already."""
    with closing(open_event_store(f"sqlite:///{tmp_path}/events.db")) as store:
        store.found(NOON)
        make_permit_key(store, VAULT, NOON, ADMINISTRATOR)
        with pytest.raises(WrongSecretKey):
            make_what_is_missing(store, Vault(b"\1" * 32), NOON)
        make_what_is_missing(store, VAULT, NOON)
        keyring(store).check()
