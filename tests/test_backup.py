"""`fta-approval backup`: a whole copy while others write, or none."""

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.simulator.wecom import SimulatedWeCom
from adapters.store import copies
from adapters.store.copies import DamagedCopy, copy_online, examine
from adapters.store.event_store import EventStore, open_event_store
from adapters.store.lease import FileLease
from adapters.store.schema import SCHEMA_VERSION, NewerStore
from domain.approval import Approval
from tests import confidential
from tests.crash_points import copied, store_in
from tests.process import SCRIPT, ServiceProcess
from tests.scenario import NOON, ask
from tests.tampering import Evidence
from tests.test_crash import (
    PREFIX_PATH,
    Load,
    environment,
    free_port,
    patient_wecom,
)
from web.backup import NotBackedUp, back_up, name_finally
from web.parts import opened_vault
from web.secret_key import key_path, secret_key

__all__ = ["patient_wecom"]

ENDED_WITHIN_S = 120.0
NAMED = {
    "LAST": "(SELECT MAX(position) FROM stored_events)",
    "ASKED": "(SELECT MIN(position) FROM stored_events WHERE topic = 'approval.requested')",
}
"""Positions that statements of the tests name."""


def founded(folder: Path, approvals: int = 3) -> EventStore:
    """A store with its key, on which a service could run, open."""
    settings = store_in(folder)
    secret_key(settings)
    confidential.note("secret key", key_path(settings).read_text().strip())
    store = open_event_store(settings.database)
    opened_vault(settings, store, lambda: NOON)
    add(store, *(f"{number}_1" for number in range(approvals)))
    return store


def add(store: EventStore, *obj_ids: str) -> None:
    asked = (Approval.request(ask(obj_id=obj_id), []) for obj_id in obj_ids)
    store.save([event for approval in asked for event in approval.collect_events()])


def rows(path: Path, up_to: int | None = None) -> list[Any]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store:
        found = store.execute("SELECT * FROM stored_events ORDER BY position").fetchall()
    return found if up_to is None else found[:up_to]


def passing(done: int, of: int) -> None:
    """Nobody looks at the bar."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with closing(founded(tmp_path)) as store:
        yield store


def backed_up(folder: Path) -> list[str]:
    said: list[str] = []
    back_up(store_in(folder), folder / "copy.db", said.append)
    return said


# A copy.


def test_a_copy_is_one_file_for_us_alone_and_holds_every_event(
    store: EventStore, tmp_path: Path
) -> None:
    said = backed_up(tmp_path)
    copy = tmp_path / "copy.db"
    assert rows(copy) == rows(tmp_path / "fta-approval.db")
    assert copy.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.glob("copy*")) == ["copy.db"]
    last, size = store.last_position(), copy.stat().st_size
    held = f"{last} events up to position {last}, 3 approvals; {size:,} bytes"
    assert said == [
        f"{copy}: {held}, {size // 3:,} for each approval",
        f"not in it: the secret key ({tmp_path / 'fta-approval.db.key'}), environment",
    ]
    key = key_path(store_in(tmp_path)).read_bytes().strip()
    assert key not in copy.read_bytes()


def test_a_copy_can_be_looked_through_where_nothing_may_be_written(
    store: EventStore, tmp_path: Path
) -> None:
    backed_up(tmp_path)
    kept = tmp_path / "kept"
    kept.mkdir()
    shutil.copy(tmp_path / "copy.db", kept)
    (kept / "copy.db").chmod(0o400)
    kept.chmod(0o500)
    before = (kept / "copy.db").read_bytes()
    assert examine(kept / "copy.db", passing).position == store.last_position()
    assert (kept / "copy.db").read_bytes() == before
    assert [path.name for path in kept.iterdir()] == ["copy.db"]


def test_what_exists_is_not_overwritten(store: EventStore, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("of yesterday")
    with pytest.raises(NotBackedUp, match="exists, and is not overwritten"):
        backed_up(tmp_path)
    assert (tmp_path / "copy.db").read_text() == "of yesterday"
    assert not (tmp_path / "copy.db.part").exists()


def test_two_backups_to_one_file_do_not_disturb_each_other(
    store: EventStore, tmp_path: Path
) -> None:
    lease = FileLease(tmp_path / "copy.db.part")
    assert lease.try_take()
    with pytest.raises(NotBackedUp, match="another backup"):
        copied(tmp_path)
    lease.release()
    backed_up(tmp_path)


def test_a_mistyped_database_is_not_made(tmp_path: Path) -> None:
    done = subprocess.run(
        [SCRIPT, "backup", tmp_path / "copy.db"],
        env={"FTA_APPROVAL_DATABASE": f"sqlite:///{tmp_path}/none.db"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
    assert done.stderr == f"fta-approval: there is no event store at {tmp_path}/none.db\n"


def test_writers_do_not_keep_a_backup_from_ending_and_it_is_of_one_moment(
    store: EventStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's own backup begins anew whenever another connection has written."""
    monkeypatch.setattr(copies, "PAGES_AT_ONCE", 1)
    add(store, *(f"more-{number}" for number in range(200)))
    before, target, steps = store.last_position(), tmp_path / "copy.db", 0
    target.touch()

    def write(done: int, of: int) -> None:
        nonlocal steps
        steps += 1
        assert steps < 1000, "it begins again and again"
        add(store, f"meanwhile-{steps}")

    copy_online(tmp_path / "fta-approval.db", target, write)
    assert steps > 10
    assert examine(target, passing).position == before
    assert rows(target) == rows(tmp_path / "fta-approval.db", before)


# What is found out.


def damaged(copy: Path, *statements: str) -> None:
    """As somebody with a SQLite shell does it, and puts the triggers back."""
    with closing(sqlite3.connect(copy)) as store:
        triggers = store.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
        kept = triggers.fetchall()
        for name, _ in kept:
            store.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            for name, position in NAMED.items():
                statement = statement.replace(name, position)
            store.execute(statement)
        for _, sql in kept:
            store.execute(sql)
        store.commit()


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("DELETE FROM stored_events WHERE position = 2", "has not all of its events"),
        ("DELETE FROM stored_events WHERE position = LAST", "after position .* are missing"),
        ("UPDATE stored_events SET state = x'00' WHERE position = ASKED", "cannot be read"),
        ("UPDATE stored_events SET topic = 'a.b' WHERE position = ASKED", "of an unknown kind"),
        (
            "UPDATE stored_events SET originator_version = 9 WHERE position = ASKED",
            "says that it is another event",
        ),
        ("UPDATE stored_events SET state = 7 WHERE position = ASKED", "cannot be read"),
        ("DROP TABLE stored_events", "is no event store"),
    ],
)
def test_what_is_not_whole_is_found(
    store: EventStore, tmp_path: Path, statement: str, found: str
) -> None:
    backed_up(tmp_path)
    if statement.startswith("DROP"):
        with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
            copy.execute(statement)
    else:
        damaged(tmp_path / "copy.db", statement)
    with pytest.raises(DamagedCopy, match=found):
        examine(tmp_path / "copy.db", passing)


def test_a_store_whose_events_may_be_changed_is_not_taken_for_one(
    store: EventStore, tmp_path: Path
) -> None:
    backed_up(tmp_path)
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        copy.execute("DROP TRIGGER events_are_never_changed")
    with pytest.raises(DamagedCopy, match="has no events_are_never_changed"):
        examine(tmp_path / "copy.db", passing)


def test_a_damaged_page_is_found_whatever_it_holds(store: EventStore, tmp_path: Path) -> None:
    backed_up(tmp_path)
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(copy)) as opened:
        (size,) = opened.execute("PRAGMA page_size").fetchone()
        (page,) = opened.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'delivery_keys'"
        ).fetchone()
    raw = bytearray(copy.read_bytes())
    raw[(page - 1) * size : page * size] = bytes(size)
    copy.write_bytes(raw)
    with pytest.raises(DamagedCopy, match="SQLite finds it damaged"):
        examine(copy, passing)


def test_a_file_that_came_meanwhile_keeps_its_name(tmp_path: Path) -> None:
    part, target = tmp_path / "copy.db.part", tmp_path / "copy.db"
    part.write_text("fresh")
    target.write_text("of somebody else")
    with pytest.raises(FileExistsError):
        name_finally(part, target)
    assert target.read_text() == "of somebody else"


def test_damaged_pages_and_what_is_no_database_are_found(store: EventStore, tmp_path: Path) -> None:
    add(store, *(f"more-{number}" for number in range(200)))
    backed_up(tmp_path)
    copy = tmp_path / "copy.db"
    raw = bytearray(copy.read_bytes())
    raw[-8192:] = bytes(8192)
    copy.write_bytes(raw)
    with pytest.raises(DamagedCopy):
        examine(copy, passing)
    copy.write_text("no database at all, and longer than a header of SQLite would be" * 20)
    with pytest.raises(DamagedCopy, match="cannot be read"):
        examine(copy, passing)


def test_a_newer_store_is_left_to_newer_programs(store: EventStore, tmp_path: Path) -> None:
    backed_up(tmp_path)
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        copy.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(NewerStore):
        examine(tmp_path / "copy.db", passing)


def test_a_damaged_store_gives_no_copy(store: EventStore, tmp_path: Path) -> None:
    store.close()
    damaged(
        tmp_path / "fta-approval.db",
        "UPDATE stored_events SET state = x'00' WHERE position = ASKED",
    )
    with pytest.raises(NotBackedUp, match=r"of no use, and was removed: .* cannot be read"):
        backed_up(tmp_path)
    assert list(tmp_path.glob("copy*")) == []


# Kills and load.


def test_a_store_that_was_altered_is_copied_and_told_where_cron_hears_it(tmp_path: Path) -> None:
    evidence = Evidence.made(tmp_path / "store", 20, heads=2)
    evidence.alter(
        "UPDATE stored_events SET state = CAST(replace(state, '10.0', '10.1') AS BLOB) "
        "WHERE position = 9"
    )
    done = subprocess.run(
        [SCRIPT, "backup", tmp_path / "copy.db"],
        env={"FTA_APPROVAL_DATABASE": evidence.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("fta-approval: ALTERED, see fta-approval audit verify: ")
    assert "ALTERED" not in done.stdout and (tmp_path / "copy.db").exists()


def test_killed_at_any_step_it_leaves_a_whole_copy_or_none(tmp_path: Path) -> None:
    founded(tmp_path).close()
    folders = crashed("backup", tmp_path)
    finished = 0
    for folder in folders:
        copy = folder / "copy.db"
        if copy.exists():
            finished += 1
            assert examine(copy, passing).approvals == 3
        else:
            copied(folder)
        assert rows(copy) == rows(folder / "fta-approval.db")
        left = {path.name for path in folder.glob("copy*")} - {"copy.db"}
        assert left <= {"copy.db.part"}, left
    assert 0 < finished < len(folders)


def crashed(what: str, template: Path, at_most: int = 120) -> list[Path]:
    """Folders in which a command was killed, each time a step later, but for the last."""
    folders = []
    for number in range(at_most):
        folder = template.parent / f"{template.name}-{number}"
        shutil.copytree(template, folder)
        folders.append(folder)
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash_points", what, *folders],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    killed = int(done.stdout)
    assert 5 < killed < at_most
    return folders[: killed + 1]


async def test_copies_taken_under_load_are_each_a_beginning_of_the_sequence(
    tmp_path: Path, patient_wecom: tuple[SimulatedWeCom, str]
) -> None:
    wecom, url = patient_wecom
    port = free_port()
    settings = environment(tmp_path, wecom, url, port)
    base = f"http://127.0.0.1:{port}{PREFIX_PATH}"
    async with ServiceProcess(settings, tmp_path) as service, aiohttp.ClientSession() as http:
        assert (await wecom.save_callback(f"{base}/wechat/entry/")).ok
        load = Load(base, wecom, http)
        working = asyncio.create_task(load.run())
        taken = [(copy, known) async for copy, known in copies_of(load, tmp_path, settings)]
        assert not working.done(), working.exception()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        assert await service.terminate() == 0
    everything = rows(tmp_path / "fta-approval.db")
    positions = []
    for copy, known in taken:
        found = rows(copy)
        assert found == everything[: len(found)]
        assert known <= {row[1] for row in found}, "acknowledged before the copy was begun"
        positions.append(examine(copy, passing).position)
    assert positions == sorted(set(positions))


async def copies_of(
    load: Load, folder: Path, settings: dict[str, str], count: int = 4
) -> AsyncIterator[tuple[Path, set[str]]]:
    for number in range(count):
        begun = len(load.all)
        while len(load.all) < begun + 50:
            await asyncio.sleep(0.005)
        known = {f"approval-{one.obj_id}" for one in load.all if one.approval_id}
        copy = folder / f"copy-{number}.db"
        process = await asyncio.create_subprocess_exec(
            SCRIPT, "backup", copy, env=settings, stderr=asyncio.subprocess.PIPE
        )
        _, err = await asyncio.wait_for(process.communicate(), ENDED_WITHIN_S)
        assert process.returncode == 0, err
        yield copy, known
