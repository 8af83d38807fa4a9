"""Whatever is altered in the event store is found, and named."""
# ruff: noqa: S608  # the statements are made of our own numbers

import base64
import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from eventsourcing.persistence import StoredEvent

from adapters.evidence.logs import RESTORED, Logs
from adapters.store.event_store import open_event_store
from adapters.store.snapshot import opened_snapshot
from domain import catalogue
from domain.installation import Installation
from tests.scenario import NOON
from tests.tampering import VAULT, Evidence, Tamperer, events, grower, tail_removed
from web.backup import back_up
from web.keyring import make_tree_key
from web.restoring import NotRestored, restore
from web.settings import read_settings

TRIES, EVENTS = 100, 2_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return Evidence.made(tmp_path_factory.mktemp("made"), EVENTS)


@pytest.fixture
def evidence(made: Evidence, tmp_path: Path) -> Evidence:
    return made.copied(tmp_path / "copy")


def _try(evidence: Evidence, seed: int) -> None:
    tamperer = Tamperer(evidence, random.Random(seed))  # noqa: S311  # a test has to be repeatable
    ways: list[Callable[[], tuple[int, str]]] = [
        tamperer.flip,
        tamperer.delete,
        tamperer.swap,
        tamperer.insert,
    ]
    position, kind = ways[seed % len(ways)]()
    problem = evidence.verify().problem
    assert problem is not None, (position, kind)
    assert (problem.position, problem.kind) == (position, kind), problem


def test_a_store_untouched_verifies(evidence: Evidence) -> None:
    found = evidence.verify()
    assert found.problem is None
    assert found.tree_size == found.covered >= EVENTS
    assert found.heads >= 20 and found.outside == 0
    assert found.root_hash == evidence.heads()[-1].root_hash


@pytest.mark.parametrize("seed", range(TRIES))
def test_each_of_random_alterations_is_found_and_named(evidence: Evidence, seed: int) -> None:
    _try(evidence, seed)


@pytest.mark.slow
def test_200_alterations_of_100_000_events_are_found_and_named(tmp_path: Path) -> None:
    made = Evidence.made(tmp_path, 100_000, heads=100)
    assert made.verify().problem is None
    for seed in range(200):
        _try(made.copied(tmp_path / "copy"), seed)


def test_a_removed_tail_is_found_by_a_head_from_outside(evidence: Evidence) -> None:
    heads = evidence.heads()
    tail_removed(evidence, heads[-3].tree_size)
    assert evidence.verify().problem is None  # that is what only a head from outside can tell
    found = evidence.verify(heads[-3])
    assert found.problem is None and found.newest_outside == heads[-3]
    problem = evidence.verify(*heads).problem
    assert problem is not None and problem.kind == "removed"
    assert problem.position == heads[-3].position + 1
    assert "a head from outside" in problem.sentence


def test_a_tail_removed_without_care_is_found_by_the_last_position(evidence: Evidence) -> None:
    heads = evidence.heads()
    tail_removed(evidence, heads[-3].tree_size)
    last = heads[-1].position
    evidence.alter(f"UPDATE sqlite_sequence SET seq = {last} WHERE name = 'stored_events'")
    problem = evidence.verify().problem
    assert problem is not None and problem.kind == "removed"
    assert problem.position == heads[-3].position + 1


def test_an_event_altered_together_with_its_leaf_lies_between_two_heads(
    evidence: Evidence,
) -> None:
    before, after = evidence.heads()[4:6]
    position = before.position + 5
    leaf = "zeroblob(32)"
    evidence.alter(
        f"UPDATE stored_events SET state = CAST(state || ' ' AS BLOB) WHERE position = {position}"
    )
    problem = evidence.verify().problem
    assert problem is not None and (problem.kind, problem.position) == ("changed", position)
    evidence.alter(f"UPDATE tree_leaves SET leaf_hash = {leaf} WHERE position = {position}")
    problem = evidence.verify().problem
    assert problem is not None
    assert problem.position == position
    assert problem.between == (before.tree_size, after.tree_size)
    assert "leaves were altered too" in problem.sentence


def test_the_store_goes_on_after_a_look(evidence: Evidence) -> None:
    """The look itself changes nothing."""
    before = evidence.path.read_bytes()
    evidence.verify()
    assert evidence.path.read_bytes() == before
    open_event_store(evidence.url).close()
    assert evidence.verify().problem is None


# What is recorded of the events.


@pytest.mark.parametrize("seed", range(TRIES))
def test_each_of_random_alterations_of_the_record_is_found(evidence: Evidence, seed: int) -> None:
    """The events are fine, and it is said so."""
    chance = random.Random(seed)  # noqa: S311  # a test has to be repeatable
    heads = evidence.heads()
    index, head = chance.randrange(heads[-1].tree_size), chance.choice(heads)
    bit, place = 1 << chance.randrange(7), chance.randrange(len(head.text()))
    flipped = head.text().encode()
    flipped = flipped[:place] + bytes([flipped[place] ^ bit]) + flipped[place + 1 :]
    there = f"WHERE tree_size = {head.tree_size}"
    ways = {
        "leaf": [
            f"UPDATE tree_leaves SET leaf_hash = zeroblob(32) WHERE leaf_index = {index}",
            f"UPDATE tree_leaves SET position = position + 100000 WHERE leaf_index = {index}",
            f"UPDATE tree_leaves SET position = 'x' WHERE leaf_index = {index}",
            f"UPDATE tree_leaves SET leaf_index = -5 WHERE leaf_index = {index}",
            f"DELETE FROM tree_leaves WHERE leaf_index = {index}",
            f"DELETE FROM tree_leaves WHERE leaf_index >= {index}",
            f"DELETE FROM tree_heads WHERE tree_size = {heads[-1].tree_size}",
            "INSERT INTO tree_leaves VALUES (100000, 100000, zeroblob(32))",
        ],
        "head": [
            f"UPDATE tree_heads SET head = CAST(x'{flipped.hex()}' AS TEXT) {there}",
            f"UPDATE tree_heads SET tree_size = -3 {there}",
            f"INSERT INTO tree_heads SELECT tree_size - 1, head FROM tree_heads {there}",
            f"INSERT INTO tree_heads VALUES (100000, '{head.text()}')",
        ],
    }
    kind = chance.choice(list(ways))
    way = chance.choice(ways[kind])
    evidence.alter(way)
    problem = evidence.verify().problem
    assert problem is not None, way
    assert problem.kind in (kind, *(["removed"] if kind == "head" else [])), (way, problem)
    if "WHERE leaf_index =" in way and "-5" not in way:
        assert problem.position == index + 1
        assert "themselves are as the head" in problem.sentence


def test_an_event_of_the_last_second_is_not_covered(evidence: Evidence) -> None:
    with closing(open_event_store(evidence.url)) as store:
        make_tree_key(store, VAULT, NOON, "shell:lisi")
        found = evidence.verify()
        assert found.problem is None and found.covered == found.tree_size - 1
    evidence.alter("UPDATE stored_events SET state = x'78' WHERE position = "
                   "(SELECT MAX(position) FROM stored_events)")  # fmt: skip
    problem = evidence.verify().problem
    assert problem is not None and problem.kind == "unreadable"


def test_a_stream_that_does_not_go_on_is_found_where_no_head_tells(tmp_path: Path) -> None:
    evidence = Evidence.made(tmp_path, 300)
    ((position, version),) = evidence.rows(
        "SELECT position, originator_version FROM stored_events WHERE position = 100"
    )
    evidence.alter(
        "DELETE FROM tree_heads",
        "DELETE FROM tree_leaves",
        "DELETE FROM tree_frontier",
        "DELETE FROM stored_events WHERE originator_id = "
        "(SELECT originator_id FROM stored_events WHERE originator_version = 3) "
        "AND originator_version = 2",
    )
    problem = evidence.verify().problem
    assert problem is not None and (problem.kind, problem.version) == ("stream", 2)
    assert position == 100 and version


def test_a_damaged_file_is_a_finding(evidence: Evidence) -> None:
    pages = evidence.path.stat().st_size // 4096
    raw = bytearray(evidence.path.read_bytes())
    raw[4096 * (pages // 2) : 4096 * (pages // 2 + 1)] = bytes(4096)
    evidence.path.write_bytes(raw)
    problem = evidence.verify().problem
    assert problem is not None and problem.kind in ("database", "removed", "changed", "leaf")


def test_an_index_that_hides_an_event_is_found(evidence: Evidence) -> None:
    """The service loads streams by their index: who alters it alters what the service sees."""
    ((page,),) = evidence.rows(
        "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_stored_events_1'"
    )
    ((other,),) = evidence.rows("SELECT rootpage FROM sqlite_master WHERE name = 'verifications'")
    raw = bytearray(evidence.path.read_bytes())
    empty = raw[4096 * (int(str(other)) - 1) : 4096 * int(str(other))]
    raw[4096 * (int(str(page)) - 1) : 4096 * int(str(page))] = empty
    evidence.path.write_bytes(raw)
    problem = evidence.verify().problem
    assert problem is not None and problem.kind == "database"


@pytest.mark.parametrize("public", ['"!!', '7,"was":"'])
def test_an_event_that_names_no_key_any_more_is_found_as_every_other(
    evidence: Evidence, public: str
) -> None:
    evidence.alter(
        f"""UPDATE stored_events SET state = CAST(replace(CAST(state AS TEXT), '"public":"',
        '"public":{public}') AS BLOB) WHERE topic = 'installation.secret-made'"""
    )
    problem = evidence.verify().problem
    assert problem is not None
    assert (problem.kind, problem.stream) == ("changed", "installation")


STREAM_AT_100 = "(SELECT originator_id FROM stored_events WHERE position = 100)"


@pytest.mark.parametrize(
    ("column", "kind", "which"),
    [
        ("originator_id", "BLOB", f"originator_id = {STREAM_AT_100}"),
        ("topic", "BLOB", "position = 100"),
        ("state", "TEXT", "position = 100"),
    ],
)
def test_an_event_that_nobody_finds_any_more_by_its_name_is_found(
    evidence: Evidence, column: str, kind: str, which: str
) -> None:
    """The bytes are the same; SQLite takes no text for equal to bytes."""
    ((stream,),) = evidence.rows("SELECT originator_id FROM stored_events WHERE position = 100")
    evidence.alter(f"UPDATE stored_events SET {column} = CAST({column} AS {kind}) WHERE {which}")
    problem = evidence.verify().problem
    assert problem is not None
    assert (problem.kind, problem.stream) == ("changed", stream)
    assert "stored as bytes" in problem.sentence


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE tree_leaves SET leaf_hash = CAST(leaf_hash AS TEXT) WHERE leaf_index = 9", "leaf"),
        ("UPDATE tree_heads SET head = CAST(head AS BLOB)", "head"),
    ],
)
def test_a_record_that_is_stored_as_something_else_is_found(
    evidence: Evidence, statement: str, kind: str
) -> None:
    evidence.alter(statement)
    problem = evidence.verify().problem
    assert problem is not None and problem.kind == kind


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE sqlite_sequence SET seq = NULL WHERE name = 'stored_events'",
        "UPDATE sqlite_sequence SET seq = 'many' WHERE name = 'stored_events'",
        "INSERT INTO sqlite_sequence VALUES ('stored_events', 999999)",
        "DELETE FROM sqlite_sequence",
    ],
)
def test_a_last_position_that_is_no_number_is_a_finding(evidence: Evidence, statement: str) -> None:
    evidence.alter(statement)
    problem = evidence.verify().problem
    assert problem is not None and problem.kind == "database"
    assert "the last position given" in problem.sentence


@pytest.mark.parametrize("name", ["sieve", "events_are_never_changed"])
def test_a_trigger_that_keeps_events_from_the_store_is_found(evidence: Evidence, name: str) -> None:
    """A refusal that is ignored so is told to nobody, and leaves nothing in the store."""
    evidence.alter()
    with closing(sqlite3.connect(evidence.path)) as connection:
        connection.execute(f"DROP TRIGGER IF EXISTS {name}")
        connection.execute(
            f"CREATE TRIGGER {name} BEFORE INSERT ON stored_events "
            "WHEN NEW.topic = 'approval.rejected' BEGIN SELECT RAISE(IGNORE); END"
        )
    problem = evidence.verify().problem
    assert problem is not None and problem.kind == "database"
    assert name in problem.sentence


@pytest.mark.parametrize("position", [0, -5])
def test_an_event_before_all_others_is_found(evidence: Evidence, position: int) -> None:
    """Followers never see it, and who loads its stream does."""
    evidence.alter(
        f"INSERT INTO stored_events SELECT {position}, originator_id || 'x', originator_version, "
        "topic, state FROM stored_events WHERE position = 9"
    )
    problem = evidence.verify().problem
    assert problem is not None and (problem.kind, problem.position) == ("inserted", position)


def test_a_head_has_to_stand_there_to_the_letter(evidence: Evidence) -> None:
    head = evidence.heads()[3]
    last = head.signature[85]
    spare = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = spare[spare.index(last) ^ 1]  # the same bytes in another text
    for before, after in (
        (head.signature, f"{head.signature[:85]}{other}=="),
        ('","', '", "'),
        ("Z", "+00:00"),
    ):
        altered = head.text().replace(before, after)
        there = f"WHERE tree_size = {head.tree_size}"
        evidence.alter(f"UPDATE tree_heads SET head = '{altered}' {there}")
        problem = evidence.verify().problem
        assert problem is not None and problem.kind == "head", after


# Heads from outside.


def test_a_head_that_was_kept_tells_from_a_log_made_anew(
    evidence: Evidence, tmp_path: Path
) -> None:
    """By somebody with the key: everything fits together, and not to what was kept."""
    kept = evidence.heads()[3]
    evidence.alter(
        "UPDATE stored_events SET state = replace(state, '不再需要', '不再需求') "
        "WHERE position < 60",
        "DELETE FROM tree_heads",
        "DELETE FROM tree_leaves",
        "DELETE FROM tree_frontier",
    )
    evidence.alter("UPDATE stored_events SET state = CAST(state AS BLOB)")
    with closing(open_event_store(evidence.url)) as store:
        while grower(store).grow() is not None:
            pass
    assert evidence.verify().problem is None
    problem = evidence.verify(kept).problem
    assert problem is not None and problem.kind == "altered"
    assert problem.between == (0, kept.tree_size) and "from outside" in problem.sentence


def test_a_head_that_was_kept_is_not_left_aside_because_the_log_has_another_name(
    evidence: Evidence,
) -> None:
    kept = evidence.heads()[3]
    evidence.alter(
        f"UPDATE stored_events SET state = CAST(replace(state, '{kept.log_id}', "
        f"'{'0' * len(kept.log_id)}') AS BLOB) WHERE originator_id = 'installation'",
        "DELETE FROM tree_heads",
        "DELETE FROM tree_leaves",
        "DELETE FROM tree_frontier",
    )
    with closing(open_event_store(evidence.url)) as store:
        while grower(store).grow() is not None:
            pass
    assert evidence.verify().problem is None
    newer = evidence.heads()[0]  # signed after it
    for outside in ([kept], [kept, newer]):
        problem = evidence.verify(*outside).problem
        assert problem is not None and "a log that it does not know" in problem.sentence


def test_heads_of_between_two_restores_are_left_aside(tmp_path: Path) -> None:
    evidence = Evidence.made(tmp_path / "store", 100, heads=5)
    key = base64.b64encode(bytes(32)).decode()  # that of the vault it was made with
    evidence.path.with_name("events.db.key").write_text(key)
    settings = read_settings({"FTA_APPROVAL_DATABASE": evidence.url})
    back_up(settings, tmp_path / "copy.db", lambda line: None)
    kept = evidence.heads()
    restore(settings, tmp_path / "copy.db", NOON, lambda line: None)
    with closing(open_event_store(evidence.url)) as store:
        between = grower(store).grow()
    assert between is not None
    restore(settings, tmp_path / "copy.db", NOON, lambda line: None)
    found = evidence.verify(*kept, between)
    assert found.problem is None
    assert (found.foreign, found.outside) == (1, len(kept))
    problem = evidence.verify(between).problem
    assert problem is not None and "another copy of the store" in problem.sentence


def test_a_head_that_nobody_signed_is_not_believed(evidence: Evidence) -> None:
    head = evidence.heads()[3]
    forged = replace(head, root_hash=evidence.heads()[2].root_hash)
    problem = evidence.verify(forged).problem
    assert problem is not None and "its signature is not that of its contents" in problem.sentence
    assert evidence.verify(replace(head, log_id="another")).foreign == 1


def restored(evidence: Evidence, kept_up_to: int) -> None:
    """What a restore records, by the fields of its event that count here."""
    with closing(open_event_store(evidence.url)) as store:
        installation = store.found(NOON)
        event = {
            "originator_id": "installation",
            "originator_version": installation.version + 1,
            "timestamp": "2026-05-04T12:00:00Z",
            "by": "shell:lisi",
            "feed_id": "after-the-restore",
            "earlier_feed_id": installation.feed_id,
            "position": kept_up_to,
            "as_of": "2026-05-04T12:00:00Z",
        }
        state = json.dumps(event, separators=(",", ":")).encode()
        stored = StoredEvent("installation", installation.version + 1, RESTORED.decode(), state)
        store.recorder.insert_events([stored])


def test_heads_of_before_a_restore_have_to_agree_as_far_as_it_was_put_back(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        catalogue.EVENTS, RESTORED.decode(), Installation.Founded
    )  # whatever brings it
    heads = evidence.heads()
    tail_removed(evidence, heads[-3].tree_size)
    restored(evidence, heads[-3].position)
    with opened_snapshot(evidence.url) as snapshot:
        logs = Logs.of(snapshot)
    assert logs.current == "after-the-restore"
    assert logs.ended_at == {heads[0].log_id: heads[-3].tree_size}
    verifier = evidence.verify
    found = verifier(*heads)
    assert found.not_here == heads[-1].tree_size - heads[-3].tree_size
    assert found.outside == len(heads) - 2 and found.newest_outside == heads[-3]
    with closing(open_event_store(evidence.url)) as store:
        store.save(list(events(300, first=5_000)))  # now it is larger than it ever was
    again = verifier(*heads)
    assert again.problem is None and again.tree_size > heads[-1].tree_size
    assert (again.outside, again.not_here) == (found.outside, found.not_here)
    evidence.alter(
        "UPDATE stored_events SET state = CAST(replace(state, '10.0', '10.1') AS BLOB) "
        "WHERE position = 9"
    )
    problem = verifier(*heads).problem
    assert problem is not None and problem.position == 9


def test_after_a_real_restore_heads_of_before_agree_as_far_as_it_goes(tmp_path: Path) -> None:
    evidence = Evidence.made(tmp_path / "store", 100, heads=5)
    key = base64.b64encode(bytes(32)).decode()  # that of the vault it was made with
    evidence.path.with_name("events.db.key").write_text(key)
    settings = read_settings({"FTA_APPROVAL_DATABASE": evidence.url})
    back_up(settings, tmp_path / "copy.db", lambda line: None)
    with closing(open_event_store(evidence.url)) as store:
        store.save(list(events(100, first=500)))
        while grower(store).grow() is not None:
            pass
    kept = evidence.heads()
    restore(settings, tmp_path / "copy.db", NOON, lambda line: None)
    found = evidence.verify(*kept)
    assert found.problem is None and found.outside == len(kept) - 1
    assert found.not_here == 100
    with closing(open_event_store(evidence.url)) as store:
        store.save(list(events(200, first=900)))
        while (head := grower(store).grow()) is not None:
            kept.append(head)
    assert len({head.log_id for head in kept}) == 2
    found = evidence.verify(*kept)
    assert found.problem is None and found.covered == found.tree_size
    assert found.outside == len(kept) - 1 and found.not_here == 100


def test_a_copy_with_a_trigger_that_swallows_the_restore_is_not_put_back(tmp_path: Path) -> None:
    """The feed would be what it was, and permits of before would count."""
    evidence = Evidence.made(tmp_path / "store", 100, heads=5)
    evidence.path.with_name("events.db.key").write_text(base64.b64encode(bytes(32)).decode())
    settings = read_settings({"FTA_APPROVAL_DATABASE": evidence.url})
    copy = tmp_path / "copy.db"
    back_up(settings, copy, lambda line: None)
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute(
            "CREATE TRIGGER sieve BEFORE INSERT ON stored_events "
            "WHEN NEW.originator_id = 'installation' BEGIN SELECT RAISE(IGNORE); END"
        )
    before = evidence.rows("SELECT * FROM stored_events")
    with pytest.raises(NotRestored, match="sieve"):
        restore(settings, copy, NOON, lambda line: None)
    assert evidence.rows("SELECT * FROM stored_events") == before
