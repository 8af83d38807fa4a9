"""`fta-approval settings`, as an administrator types it, beside a running service or alone."""

import asyncio
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.store.event_store import open_event_store
from adapters.store.lease import FileLease
from domain.configuration import CONFIGURATION_STREAM, Configuration
from tests import confidential
from tests.configuring import changes, set_here
from tests.conftest import StartService
from tests.process import SCRIPT
from tests.service import NOON, TOKEN, WITHIN_S, Service
from tests.test_configuration_page import FREE, used
from tests.visitor import Visitor
from web import key_rotation, keys
from web.parts import opened_vault
from web.secret_key import key_in, new_key_path, secret_key
from web.settings import Settings
from web.vault import Vault, WrongSecretKey

ENDED_WITHIN_S = 30.0
SECRET = "typed-on-standard-input"


async def run(database: str, *words: str, typed: str = "", **more: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        SCRIPT,
        *words,
        env={"FTA_APPROVAL_DATABASE": database, "PATH": "/usr/bin:/bin", **more},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(typed.encode()), ENDED_WITHIN_S)
    assert process.returncode is not None
    return process.returncode, out.decode(), confidential.note_said(words[0], err.decode())


def database(service: Service) -> str:
    return service.app[keys.SETTINGS].database


@pytest.fixture
async def service(start: StartService) -> Service:
    return await start(**FREE)


async def test_what_is_set_in_the_shell_is_in_force_where_the_service_runs(
    service: Service,
) -> None:
    status, said, _ = await run(database(service), "settings", "set", "text_link", "1")
    assert (status, said) == (0, "TEXT_LINK is set\n")
    async with asyncio.timeout(WITHIN_S):
        while not service.app[keys.SETTINGS].text_link:
            await asyncio.sleep(0.01)
    last = (await changes(service))[-1]
    assert last.by.startswith("shell:")
    assert last.via == "shell"


async def test_a_secret_is_read_from_standard_input_and_shown_as_a_fingerprint(
    service: Service,
) -> None:
    confidential.note("application secret", SECRET)
    words = ("settings", "set", "FTA_APPROVAL_API_TOKENS", "-")
    assert (await run(database(service), *words, typed=f"fta:{SECRET}\n"))[0] == 0
    status, said, _ = await run(database(service), "settings", "show", "--json")
    rows = {row["name"]: row for row in map(json.loads, said.splitlines())}
    assert status == 0
    assert SECRET not in said
    assert rows["API_TOKENS"]["fingerprint"]
    assert (rows["API_TOKENS"]["from"], rows["TIME_ZONE"]["from"]) == ("stored", "default")
    status, said, _ = await run(database(service), "settings", "show")
    assert SECRET not in said
    assert "TIME_ZONE=Asia/Shanghai  [default]" in said


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("api_readers", "unknown", "unknown is no name in API_TOKENS"),
        ("time_zone", "Mars", "must be the name of a time zone"),
        ("database", "sqlite:///x.db", "set FTA_APPROVAL_DATABASE in the environment"),
        ("nonsense", "1", "is not stored"),
        ("admins", "lisi", "the environment sets FTA_APPROVAL_ADMINS"),
    ],
)
async def test_what_cannot_be_set_is_said(
    service: Service, key: str, value: str, said: str
) -> None:
    words = ("settings", "set", key, value)
    status, _, err = await run(database(service), *words, FTA_APPROVAL_ADMINS="wangwu")
    assert status == 1
    assert said in err
    assert [event.via for event in await changes(service)] == ["environment"]


async def test_it_is_said_that_the_environment_of_the_service_goes_first(
    start: StartService,
) -> None:
    service = await start(time_zone="UTC")
    _, said, _ = await run(database(service), "settings", "set", "time_zone", "Asia/Tokyo")
    assert "the environment of the service sets it too, and goes first" in said
    assert service.app[keys.SETTINGS].time_zone == "UTC"


async def test_a_link_of_the_shell_leads_to_the_page(start: StartService) -> None:
    service = await start(**FREE, admins="wangwu")
    status, said, _ = await run(database(service), "settings", "link")
    assert status == 0
    link = confidential.note("one-time link", said.strip())
    assert (await used(Visitor(service), link)).status == 303


async def test_what_is_stored_counts_for_doctor(service: Service) -> None:
    await set_here(service, super_approvers="wangwu")
    _, said, _ = await run(database(service), "doctor")
    assert "no super approver" not in said
    await set_here(service, super_approvers=None)
    assert "no super approver" in (await run(database(service), "doctor"))[1]


async def test_without_a_store_nothing_is_made(tmp_path: Path) -> None:
    for words in (["show"], ["set", "time_zone", "UTC"], ["link"], ["rotate-key"]):
        status, _, err = await run(f"sqlite:///{tmp_path}/misspelt.db", "settings", *words)
        assert status == 1
        assert "there is no event store" in err
    assert not list(tmp_path.iterdir())  # noqa: ASYNC240  # nothing else runs


# A new secret key.


async def stopped(service: Service) -> Settings:
    """Its settings, once it has stopped; a secret is stored."""
    await set_here(service, api_tokens=f"fta:{TOKEN}", time_zone="UTC")
    settings = service.app[keys.IN_FORCE].given
    await service.stop()
    return settings


async def test_while_the_service_runs_the_key_stays(service: Service, tmp_path: Path) -> None:
    key = key_in(tmp_path / "fta-approval.db.key")
    async with asyncio.timeout(WITHIN_S):
        while (lease := FileLease(tmp_path / "fta-approval.db.lease")).try_take():
            lease.release()  # the service takes it a moment after its start
            await asyncio.sleep(0.01)
    status, _, err = await run(database(service), "settings", "rotate-key")
    assert (status, "stop it" in err) == (1, True)
    assert key_in(tmp_path / "fta-approval.db.key") == key


async def test_after_a_rotation_everything_opens_with_the_new_key_alone(
    start: StartService, service: Service, tmp_path: Path
) -> None:
    settings = await stopped(service)
    old = key_in(tmp_path / "fta-approval.db.key")
    status, said, err = await run(settings.database, "settings", "rotate-key")
    assert (status, err) == (0, "")
    assert "sealed with a new key" in said
    new = key_in(tmp_path / "fta-approval.db.key")
    confidential.note_key_beside(tmp_path / "fta-approval.db")
    assert new != old
    assert not new_key_path(settings).exists()
    with closing(open_event_store(settings.database)) as store:
        configuration: Any = store.load(Configuration, CONFIGURATION_STREAM)
    sealed = configuration.stored["api_tokens"].sealed
    with pytest.raises(WrongSecretKey):
        Vault(old).open("setting api_tokens", sealed)
    again = await start(**FREE)
    assert (await again.api("GET", "/approvals"))[0] == 200


async def test_the_environment_of_the_next_start_does_not_seem_to_differ(
    start: StartService, service: Service
) -> None:
    """Fingerprints of its secrets outlive the key."""
    settings = await stopped(service)
    await run(settings.database, "settings", "rotate-key")
    again = await start(**FREE)
    assert [event.via for event in await changes(again)] == ["environment", "shell"]


@pytest.mark.parametrize("crash", ["reseal_store", "put_in_place"])
async def test_a_crash_in_a_rotation_leaves_a_key_that_opens_what_is_stored(
    start: StartService, service: Service, monkeypatch: pytest.MonkeyPatch, crash: str
) -> None:
    settings = await stopped(service)

    def crashes(*words: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(key_rotation, crash, crashes)
    with pytest.raises(KeyboardInterrupt):
        key_rotation.rotate_secret_key(settings, NOON, lambda line: None)
    assert new_key_path(settings).exists()
    again = await start(**FREE)
    assert (await again.api("GET", "/approvals"))[0] == 200


async def test_a_rotation_after_one_that_crashed_loses_nothing(
    start: StartService, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key beside the old one is then the only one that opens the store."""
    settings = await stopped(service)

    def crashes(*words: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(key_rotation, "put_in_place", crashes)
        key_rotation.rotate_secret_key(settings, NOON, lambda line: None)
    key_rotation.rotate_secret_key(settings, NOON, lambda line: None)
    again = await start(**FREE)
    assert (await again.api("GET", "/approvals"))[0] == 200


async def test_a_key_of_the_environment_is_replaced_there(
    start: StartService, tmp_path: Path
) -> None:
    old = "b2xk" * 10 + "b2w="
    service = await start(**FREE, secret_key=old)
    settings = await stopped(service)
    said: list[str] = []
    key_rotation.rotate_secret_key(settings, NOON, said.append)
    fresh = new_key_path(settings)
    assert str(fresh) in said[0]
    with pytest.raises(WrongSecretKey):
        await start(**FREE, secret_key=old)
    with pytest.raises(WrongSecretKey):
        key_rotation.rotate_secret_key(settings, NOON, said.append)
    new = confidential.note("secret key", fresh.read_text().strip())
    again = await start(**FREE, secret_key=new)
    assert (await again.api("GET", "/approvals"))[0] == 200


def test_the_vault_of_a_store_is_that_of_its_key(tmp_path: Path) -> None:
    settings = Settings(database=f"sqlite:///{tmp_path}/a.db")
    secret_key(settings)
    with closing(open_event_store(settings.database)) as store:
        store.found(NOON)
        opened_vault(settings, store, lambda: NOON)
        other = settings.model_copy(update={"secret_key": SecretStr("b2xk" * 10 + "b2w=")})
        with pytest.raises(WrongSecretKey):
            opened_vault(other, store, lambda: NOON)
