"""`fta-approval restore` on files: what it refuses, what it moves, and what a kill leaves."""

import os
import pty
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

from adapters.store.copies import DamagedCopy
from adapters.store.event_store import BeingRestored, open_event_store, restoring_lease
from adapters.store.lease import FileLease
from adapters.store.schema import SCHEMA_VERSION, NewerStore
from domain.configuration import Configuration, Via
from domain.installation import Installation
from projections.outbox import all_messages
from projections.runner import ALL
from tests.crash_points import copied, put_back, store_in
from tests.process import SCRIPT
from tests.scenario import NOON
from tests.stores import everything, open_read_models
from tests.test_backup import add, crashed, damaged, founded, rows
from web.backup import NO_LINKS
from web.in_force import Secrets
from web.key_rotation import rotate_secret_key
from web.parts import build_parts, opened_vault
from web.rebuilding import rebuild_read_models
from web.restoring import NotRestored, restore
from web.restoring_files import StoreInUse, put_in_place
from web.secret_key import key_path
from web.vault import Vault, WrongSecretKey

Restored = Installation.Restored


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store that has gone on since it was copied."""
    home = tmp_path / "home"
    home.mkdir()
    with closing(founded(home)) as store:
        copied(home)
        add(store, "later_1")
    return home


def database(folder: Path) -> Path:
    return folder / "fta-approval.db"


def state(folder: Path) -> dict[str, bytes]:
    """Every file and what is in it, but for locks."""
    locks = (".lease", ".restoring")
    files = [path for path in folder.iterdir() if path.suffix not in locks]
    return {path.name: path.read_bytes() for path in files}


def restored(folder: Path) -> bool:
    """Whether a copy made harmless stands there; else it is the old store, whole."""
    with closing(sqlite3.connect(database(folder))) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        topics = [topic for (topic,) in store.execute("SELECT topic FROM stored_events")]
    if Restored.TOPIC not in topics:
        assert topics.count("approval.requested") == 4
        assert "approval.cancelled" not in topics
        return False
    assert topics.count("approval.requested") == topics.count("approval.cancelled") == 3
    assert "installation.secret-made" in topics[topics.index(Restored.TOPIC) :]
    return True


def refused(folder: Path) -> str:
    """Why it was, with nothing changed."""
    before, copy = rows(database(folder)), (folder / "copy.db").read_bytes()
    with pytest.raises((NotRestored, StoreInUse, DamagedCopy, NewerStore, WrongSecretKey)) as why:
        restore(store_in(folder), folder / "copy.db", NOON, print)
    assert rows(database(folder)) == before
    assert (folder / "copy.db").read_bytes() == copy
    assert not list(folder.glob("*.replaced-*"))
    assert not list(folder.glob("*.restored*"))
    return str(why.value)


# What is refused.


def test_on_a_terminal_it_is_asked_before_a_store_is_moved(folder: Path) -> None:
    before = rows(database(folder))
    for answer, status in (("n", 1), ("y", 0)):
        assert typed_on_a_terminal(folder, answer) == status
        assert bool(list(folder.glob("*.replaced-*"))) is (answer == "y")
        assert (rows(database(folder)) == before) is (answer == "n")


def typed_on_a_terminal(folder: Path, answer: str) -> int:
    """The status of a restore to whose question somebody types that."""
    words = [str(SCRIPT), "restore", str(folder / "copy.db")]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        words,
        env={"FTA_APPROVAL_DATABASE": store_in(folder).database},
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    while b"Go on?" not in shown:
        shown += os.read(ours, 1024)
    os.write(ours, f"{answer}\n".encode())
    while True:
        with suppress(OSError):  # the terminal ends with the process
            if os.read(ours, 1024):
                continue
        break
    os.close(ours)
    return process.wait()


def test_it_is_refused_while_the_service_runs(folder: Path) -> None:
    held = FileLease(folder / "fta-approval.db.lease")
    assert held.try_take()
    assert refused(folder) == "the service runs: stop it, in every process, then repeat this"
    held.release()


def test_it_is_refused_while_another_process_has_the_store_open(folder: Path) -> None:
    with closing(open_event_store(store_in(folder).database)) as store:
        store.last_position()
        assert "is in use by another process" in refused(folder)
    put_back(folder)


def test_who_has_it_open_is_told_before_the_work_begins(folder: Path) -> None:
    damaged(folder / "copy.db", "UPDATE stored_events SET state = x'00' WHERE position = ASKED")
    with closing(open_event_store(store_in(folder).database)) as store:
        store.last_position()
        assert "is in use by another process" in refused(folder)


def test_who_opened_it_meanwhile_keeps_it_in_place(folder: Path) -> None:
    fresh = folder / "fresh"
    fresh.write_text("fresh")
    with closing(open_event_store(store_in(folder).database)) as store:
        store.last_position()
        with pytest.raises(StoreInUse):
            put_in_place(fresh, database(folder), NOON)
    assert not restored(folder)
    assert fresh.exists()


def test_nobody_opens_a_store_while_it_is_restored(folder: Path) -> None:
    held = restoring_lease(database(folder))
    assert held.try_take()
    with pytest.raises(BeingRestored):
        open_event_store(store_in(folder).database)
    done = subprocess.run(
        [SCRIPT, "serve", "--listen", "127.0.0.1:0"],
        env={"FTA_APPROVAL_DATABASE": store_in(folder).database},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "is being restored: start when that has ended" in done.stderr
    assert "another restore is under way" in refused(folder)
    held.release()
    open_event_store(store_in(folder).database).close()


def test_a_copy_that_is_not_whole_moves_nothing(folder: Path) -> None:
    damaged(folder / "copy.db", "UPDATE stored_events SET state = x'00' WHERE position = ASKED")
    said = refused(folder)
    assert said.startswith(f"{folder / 'copy.db'}: ") and "cannot be read" in said
    (folder / "copy.db").write_text("no database at all, though it is long enough for a header" * 9)
    assert refused(folder).startswith(f"{folder / 'copy.db'}: it cannot be read: ")


def test_a_newer_copy_moves_nothing(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "copy.db")) as copy:
        copy.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    assert "use the version that wrote it" in refused(folder)


def test_a_copy_sealed_with_another_key_moves_nothing(folder: Path) -> None:
    rotate_secret_key(store_in(folder), NOON, print)
    assert "put back the key with which the service ran before" in refused(folder)


def test_a_setting_that_the_key_does_not_open_moves_nothing(folder: Path) -> None:
    configuration = Configuration()
    sealed = Secrets(Vault(bytes(32)), b"").change_of({"wecom_secret": "a"})
    configuration.change(sealed, 0, "wangwu", Via.PAGE, NOON)
    (folder / "copy.db").unlink()
    with closing(open_event_store(store_in(folder).database)) as store:
        store.save(configuration.collect_events())
    copied(folder)
    assert "the stored setting wecom_secret cannot be opened" in refused(folder)


def test_without_its_key_nothing_is_restored_and_no_key_is_made(folder: Path) -> None:
    key_path(store_in(folder)).unlink()
    assert "put back the key of the time of the copy first" in refused(folder)
    assert not key_path(store_in(folder)).exists()


def test_the_store_itself_is_no_copy(folder: Path) -> None:
    (folder / "copy.db").unlink()
    (folder / "copy.db").hardlink_to(database(folder))
    assert "is the event store itself" in refused(folder)


def test_a_file_with_a_log_beside_it_is_no_copy(folder: Path) -> None:
    (folder / "copy.db-wal").touch()
    assert "copy.db-wal belongs to it" in refused(folder)


def test_a_store_that_nothing_ran_on_is_no_copy(folder: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    open_event_store(f"sqlite:///{empty}").close()
    shutil.copy(empty, folder / "copy.db")
    done = subprocess.run(
        [SCRIPT, "restore", folder / "copy.db"],
        env={"FTA_APPROVAL_DATABASE": store_in(folder).database},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "no service has run on this store yet" in done.stderr
    assert not restored(folder)


# What is moved.


def test_a_copy_is_put_where_nothing_stands(folder: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    for name in ("copy.db", "fta-approval.db.key"):
        shutil.copy(folder / name, fresh)
    before = (fresh / "copy.db").read_bytes()
    restore(store_in(fresh), fresh / "copy.db", NOON, print)
    assert restored(fresh)
    assert database(fresh).stat().st_mode & 0o777 == 0o600
    assert (fresh / "copy.db").read_bytes() == before


def test_the_old_store_stands_aside_with_all_it_had(folder: Path) -> None:
    before, mode = rows(database(folder)), 0o640
    database(folder).chmod(mode)
    put_back(folder)
    (aside,) = folder.glob("fta-approval.db.replaced-*")
    assert rows(aside) == before
    assert database(folder).stat().st_mode & 0o777 == mode
    put_back(folder)
    assert len(list(folder.glob("fta-approval.db.replaced-*"))) == 2


def test_what_was_not_in_the_file_yet_goes_aside_with_it(folder: Path) -> None:
    """A service that was killed leaves a part of its store in the `-wal`."""
    adding = (
        "import os, sys; from adapters.store.event_store import open_event_store; "
        "from tests.test_backup import add; store = open_event_store(sys.argv[1]); "
        "add(store, 'in_the_log_1'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", adding, store_in(folder).database], check=True)
    assert (folder / "fta-approval.db-wal").stat().st_size > 0
    put_back(folder)
    (aside,) = folder.glob("fta-approval.db.replaced-*")
    assert "approval-in_the_log_1" in {row[1] for row in rows(aside)}
    assert restored(folder)


def test_a_log_that_is_left_alone_is_never_read_into_the_restored_store(folder: Path) -> None:
    with closing(open_event_store(store_in(folder).database)) as store:
        add(store, "in_the_log_1")
        kept = (folder / "fta-approval.db-wal").read_bytes()
    assert kept
    database(folder).unlink()
    (folder / "fta-approval.db-wal").write_bytes(kept)
    put_back(folder)
    assert restored(folder)
    (aside,) = folder.glob("fta-approval.db.replaced-*-wal")
    assert aside.read_bytes() == kept


def test_a_store_behind_a_link_is_put_back_where_it_is(folder: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    with closing(open_event_store(store_in(folder).database)):
        pass
    shutil.move(database(folder), disk / "store.db")
    database(folder).symlink_to(disk / "store.db")
    before = rows(disk / "store.db")
    put_back(folder)
    assert database(folder).is_symlink()
    assert restored(folder)
    (aside,) = disk.glob("store.db.replaced-*")
    assert rows(aside) == before
    assert sorted(path.name for path in disk.iterdir()) == ["store.db", aside.name]


def test_a_store_that_sqlite_cannot_read_is_moved_as_it_is(folder: Path) -> None:
    words = b"no database at all, and longer than a header of SQLite would be" * 20
    database(folder).write_bytes(words)
    put_back(folder)
    (aside,) = folder.glob("fta-approval.db.replaced-*")
    assert aside.read_bytes() == words
    assert restored(folder)


def test_where_files_have_one_name_only_it_is_copied(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*args: object) -> None:
        raise OSError(NO_LINKS[0], "no hard links here")

    monkeypatch.setattr(os, "link", no_links)
    before = rows(database(folder))
    put_back(folder)
    (aside,) = folder.glob("fta-approval.db.replaced-*")
    assert rows(aside) == before
    assert restored(folder)
    (folder / "copy.db").unlink()
    copied(folder)


def test_read_models_of_the_old_store_are_gone_and_those_of_the_new_one_stand(
    folder: Path,
) -> None:
    settings = store_in(folder)
    with closing(open_event_store(settings.database)) as store:
        opened_vault(settings, store, lambda: NOON)
    rebuild_read_models(settings, None)
    put_back(folder)
    with closing(open_event_store(settings.database)) as store:
        feed_id = store.found(NOON).feed_id
    views = folder / "fta-approval.db-views"
    with closing(open_read_models(views, feed_id)) as tables:
        made = everything(tables)
        assert all_messages(tables) == []
    assert len(made["approvals"]) == 3
    assert {row["status"] for row in made["approvals"]} == {"cancelled"}
    rebuild_read_models(settings, None)
    with closing(open_read_models(views, feed_id)) as tables:
        assert everything(tables) == made
    assert len(ALL) == len(made) - 1


# Kills.


def test_killed_at_any_step_it_leaves_the_old_store_or_the_restored_one(folder: Path) -> None:
    before, folders = rows(database(folder)), crashed("restore", folder)
    came_back = [restored(one) for one in folders]
    assert came_back == sorted(came_back), "once restored, it stays so"
    assert 0 < came_back.count(True) < len(folders)
    for one, is_back in zip(folders, came_back, strict=True):
        if is_back:
            (aside,) = one.glob("fta-approval.db.replaced-*")
            assert rows(aside) == before
        put_back(one)
        assert restored(one)
        assert not list(one.glob("*.restored*"))
        names = [database(one), *one.glob("fta-approval.db.replaced-*")]
        assert [path.stat().st_nlink for path in names] == [1] * len(names)


def test_what_a_kill_left_behind_does_not_keep_a_service_from_starting(folder: Path) -> None:
    for one in crashed("restore", folder)[::7]:
        parts = build_parts(store_in(one), lambda: NOON)
        parts.runner.catch_up()
        assert parts.runner.position == parts.store.last_position()
        for store in (parts.writer.store, parts.runner.source, parts.store):
            store.close()
        parts.read_models.close()
