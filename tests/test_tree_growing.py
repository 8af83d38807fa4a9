"""The tree grows after the events: whole after a kill, once for two processes, and outside too."""

import asyncio
import base64
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from eventsourcing.persistence import IntegrityError, OperationalError
from structlog.testing import capture_logs

from adapters.evidence import growing
from adapters.evidence.growing import Grower, TreeDamaged
from adapters.evidence.head_file import append_heads, last_size, read_heads
from adapters.evidence.heads import BadHead, TreeHead, read_head
from adapters.evidence.merkle import Frontier
from adapters.store.event_store import EventStore, open_event_store
from adapters.store.lease import FileLease
from adapters.store.schema import SCHEMA_VERSION
from tests.scenario import NOON
from tests.stores import SOON_S
from tests.tampering import VAULT, Evidence, events, grower, make_what_is_missing_at_first
from web.evidence_growing import TreeKeeper
from web.keyring import Keyring, make_tree_key
from web.vault import Vault, WrongSecretKey


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    return Evidence(tmp_path / "events.db")


@pytest.fixture
def store(evidence: Evidence) -> Iterator[EventStore]:
    with closing(open_event_store(evidence.url)) as store:
        make_what_is_missing_at_first(store)
        yield store


def all_of(grows: Grower) -> list[TreeHead]:
    heads = []
    while (head := grows.grow()) is not None:
        heads.append(head)
    return heads


# Growing.


def test_each_portion_of_events_ends_in_a_signed_head(
    store: EventStore, evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing, "AT_ONCE", 7)
    store.save(list(events(30)))
    heads = all_of(grower(store))
    last = store.last_position()
    assert [head.tree_size for head in heads] == [*range(7, last, 7), last]
    assert heads[-1].position == last and heads[-1].timestamp == "2026-05-04T12:00:00.000Z"
    assert evidence.heads() == heads
    assert evidence.verify().problem is None
    assert grower(store).grow() is None and not grower(store).is_behind()


def test_it_goes_on_where_another_one_ended(store: EventStore, evidence: Evidence) -> None:
    one, other = grower(store), grower(store)
    for portion in range(6):
        store.save(list(islice(events(60), portion * 10, portion * 10 + 10)))
        assert (one, other)[portion % 2].grow() is not None
    assert evidence.verify().problem is None


def test_of_two_at_the_same_moment_one_grows_it(store: EventStore, evidence: Evidence) -> None:
    store.save(list(events(3000)))
    barrier, conflicts = threading.Barrier(2, timeout=SOON_S), []

    def grow() -> None:
        with closing(store.another()) as own:
            grows = grower(own)
            barrier.wait()
            while grows.is_behind():
                try:
                    grows.grow()
                except IntegrityError as error:
                    conflicts.append(error)

    threads = [threading.Thread(target=grow) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON_S)
    found = evidence.verify()
    assert found.problem is None and found.covered == found.tree_size


def test_without_its_shortcut_it_begins_with_the_leaves(
    store: EventStore, evidence: Evidence
) -> None:
    all_of(grower(store))
    more = events(60)
    for damage in ("DELETE FROM tree_frontier", "UPDATE tree_frontier SET roots = zeroblob(32)"):
        store.save(list(islice(more, 10)))
        evidence.alter(damage)
        assert grower(store).grow() is not None
    assert evidence.verify().problem is None


def test_no_head_is_signed_upon_one_that_this_store_did_not_sign(
    store: EventStore, evidence: Evidence
) -> None:
    """Else whoever has the database alone would have what they made of it vouched for."""
    store.save(list(events(20)))
    last = all_of(grower(store))[-1]
    evidence.alter("UPDATE tree_leaves SET leaf_hash = zeroblob(32) WHERE leaf_index = 3")
    made_up = Frontier()
    made_up.extend([leaf for _, leaf in store.recorder.tree.leaf_hashes(0, last.tree_size)])
    root = base64.b64encode(made_up.root()).decode()
    evidence.alter(
        "DELETE FROM tree_frontier",
        "DELETE FROM tree_heads",
        f"INSERT INTO tree_heads VALUES ({last.tree_size}, "  # noqa: S608  # a head of our own
        f"'{replace(last, root_hash=root).text()}')",
    )
    store.save(list(islice(events(40), 20, 40)))
    with pytest.raises(BadHead, match="signature"):
        grower(store).grow()


def test_no_head_is_signed_upon_leaves_that_were_altered(
    store: EventStore, evidence: Evidence
) -> None:
    store.save(list(events(20)))
    all_of(grower(store))
    store.save(list(islice(events(40), 20, 40)))
    evidence.alter(
        "UPDATE tree_leaves SET leaf_hash = zeroblob(32) WHERE leaf_index = 3",
        "DELETE FROM tree_frontier",
    )
    with pytest.raises(TreeDamaged, match="audit verify"):
        grower(store).grow()
    assert evidence.heads()[-1].position < store.last_position()


def test_without_its_key_nothing_is_signed(store: EventStore, evidence: Evidence) -> None:
    keyring = Keyring(lambda: store.found(NOON), Vault(bytes([1]) * 32))
    grows = Grower(store, "log", keyring.tree_key, lambda: NOON)
    with pytest.raises(WrongSecretKey):
        grows.grow()
    assert evidence.heads() == [] and evidence.rows("SELECT * FROM tree_leaves") == []
    keeper = TreeKeeper(grows, lambda head: None)
    with capture_logs() as logs:
        assert asyncio.run(keeper.look()) is False
    assert keeper.problem is not None and "secret key" in keeper.problem
    assert [log["log_level"] for log in logs] == ["error"]


def test_heads_of_an_earlier_key_stay_good(store: EventStore, evidence: Evidence) -> None:
    (first,) = all_of(grower(store))
    name = make_tree_key(store, VAULT, NOON, "shell:lisi")
    (second,) = all_of(grower(store))
    assert second.key_id == name != first.key_id
    assert evidence.verify().heads == 2
    assert evidence.verify(first, second).outside == 2


def test_what_is_stored_of_the_tree_cannot_be_changed(
    store: EventStore, evidence: Evidence
) -> None:
    all_of(grower(store))
    with closing(sqlite3.connect(evidence.path)) as connection:
        for table, column in (("tree_leaves", "leaf_hash"), ("tree_heads", "head")):
            for statement in (
                f"UPDATE {table} SET {column} = 'x'",  # noqa: S608
                f"DELETE FROM {table}",  # noqa: S608
                f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}",  # noqa: S608
            ):
                with pytest.raises(sqlite3.IntegrityError, match="never"):
                    connection.execute(statement)


def test_a_store_of_version_1_is_taken_over(store: EventStore, evidence: Evidence) -> None:
    store.save(list(events(5000)))
    store.close()
    with closing(sqlite3.connect(evidence.path, isolation_level=None)) as connection:
        for newer in ("TABLE tree_leaves", "TABLE tree_heads", "TABLE tree_frontier"):
            connection.execute(f"DROP {newer}")
        connection.execute("DROP INDEX verifications")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = evidence.path.read_bytes()
    found = evidence.verify()  # says what it can, and changes nothing
    assert found.problem is None and found.covered == 0 < found.tree_size
    assert evidence.path.read_bytes() == before
    with closing(open_event_store(evidence.url)) as taken_over:
        heads = all_of(grower(taken_over))
    assert len(heads) == 3
    assert evidence.rows("PRAGMA user_version") == [(SCHEMA_VERSION,)]
    found = evidence.verify()
    assert found.problem is None and found.covered == found.tree_size > 5000


GROW = """
import os, signal, sys, threading
from adapters.store.event_store import open_event_store
from adapters.evidence import growing
from tests.tampering import grower

growing.AT_ONCE = 3
store = open_event_store(sys.argv[1])
grows = grower(store)
kill = threading.Timer(float(sys.argv[2]), os.kill, (os.getpid(), signal.SIGKILL))
kill.start()
while grows.grow() is not None:
    pass
kill.join()
"""


def test_killed_at_any_moment_it_loses_and_doubles_nothing(
    store: EventStore, evidence: Evidence
) -> None:
    store.save(list(events(300)))
    chance = random.Random(1)  # noqa: S311  # a test has to be repeatable
    for _ in range(500):
        ended = subprocess.run(
            [sys.executable, "-c", GROW, evidence.url, str(chance.uniform(0.01, 0.15))],
            cwd=Path(__file__).parent.parent,
            check=False,
        )
        assert ended.returncode == -signal.SIGKILL
        found = evidence.verify()
        assert found.problem is None and found.covered == len(evidence.rows(ALL_LEAVES))
        if found.covered == found.tree_size:
            return
    raise AssertionError("it never got to the end")


ALL_LEAVES = "SELECT leaf_index FROM tree_leaves"


# The file outside.


def test_every_head_is_added_to_the_file(store: EventStore, tmp_path: Path) -> None:
    file = tmp_path / "heads"
    grows = grower(store, file)
    grows.file_heads()
    assert not file.exists()
    first = all_of(grows)
    grows.file_heads()
    store.save(list(events(20)))
    second = all_of(grows)
    grows.file_heads()
    grows.file_heads()
    assert [read_head(line) for line in file.read_text().splitlines()] == [*first, *second]


def test_what_could_not_be_added_is_added_later_in_order(
    store: EventStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "heads"
    grows = grower(store, file)
    heads = all_of(grows)
    grows.file_heads()
    really = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: _full(really, descriptor, data))
    for portion in range(3):
        store.save(list(islice(events(60), portion * 10, portion * 10 + 10)))
        heads += all_of(grows)
        with capture_logs() as logs:
            grows.file_heads()
        assert grows.file_problem == f"{file}: No space left on device"
        assert [log["log_level"] for log in logs] == ([] if portion else ["error"])
    monkeypatch.undo()
    assert file.read_bytes()[-1:] != b"\n"
    grows.file_heads()
    assert grows.file_problem is None
    found = read_heads(file)
    assert found.heads == heads and found.unreadable == [2]


def _full(really: Callable[[int, bytes], int], descriptor: int, data: bytes) -> int:
    """A disk that takes half a line, once, and nothing more."""
    if os.fstat(descriptor).st_size % 1000 > 600:
        raise OSError(28, "No space left on device")
    return really(descriptor, data[: 601 - os.fstat(descriptor).st_size % 1000])


def test_another_process_goes_on_with_the_file(store: EventStore, tmp_path: Path) -> None:
    file = tmp_path / "heads"
    grows = grower(store, file)
    heads = all_of(grows)
    grows.file_heads()
    with file.open("ab") as half:
        half.write(b'{"key_id":"')
    store.save(list(events(20)))
    another = grower(store, file)
    heads += all_of(another)
    another.file_heads()
    assert read_heads(file).heads == heads and read_heads(file).unreadable == [2]


def test_the_last_head_of_a_log_is_found_in_a_long_file_of_others(
    store: EventStore, tmp_path: Path
) -> None:
    file = tmp_path / "heads"
    (head,) = all_of(grower(store))
    others = [TreeHead.of("other", n, n, head.timestamp, bytes(32), "k") for n in range(1, 600)]
    append_heads(file, [head.text()])
    append_heads(file, [one.text() for one in others])
    assert last_size(file, head.log_id) == head.tree_size
    assert last_size(file, "other") == 599
    assert last_size(file, "none") == last_size(tmp_path / "no file", "none") == 0


# At the end of the service.


def test_at_the_end_everything_is_covered(
    store: EventStore, evidence: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing, "AT_ONCE", 50)
    store.save(list(events(100)))
    lease = FileLease(tmp_path / "lease")
    TreeKeeper(grower(store.another(), tmp_path / "heads"), lambda head: None).finish(lease)
    lease.release()
    found = evidence.verify(*read_heads(tmp_path / "heads").heads)
    assert found.covered == found.tree_size > 100 and found.outside == 3


async def test_what_fails_is_said_once_and_tried_again(
    store: EventStore, evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    grows, heads = grower(store), list[TreeHead]()
    keeper = TreeKeeper(grows, heads.append)

    def fail() -> None:
        raise OperationalError("disk I/O error")

    with monkeypatch.context() as failing, capture_logs() as logs:
        failing.setattr(grows, "file_heads", fail)
        failing.setattr(grows, "grow", fail)
        for _ in range(3):
            assert await keeper.look() is False
    assert [log["log_level"] for log in logs] == ["error", "error"]
    assert (keeper.problem, keeper.file_problem) == ("disk I/O error", "disk I/O error")
    with capture_logs() as logs:
        await keeper.look()
    assert (keeper.problem, keeper.file_problem) == (None, None)
    assert [log["log_level"] for log in logs] == ["warning"]
    assert heads == evidence.heads() != []


def test_another_process_that_holds_the_lease_is_not_disturbed(
    store: EventStore, evidence: Evidence, tmp_path: Path
) -> None:
    held, ours = FileLease(tmp_path / "lease"), FileLease(tmp_path / "lease")
    assert held.try_take()
    TreeKeeper(grower(store.another()), lambda head: None).finish(ours)
    held.release()
    assert evidence.heads() == []
