"""Whatever is altered in the event store is found, and named."""
# ruff: noqa: S608  # the statements are made of our own numbers

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.store.event_store import open_event_store
from tests.tampering import Evidence, Tamperer, tail_removed

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
    assert found.heads >= 20 and not found.outside
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
    assert found.problem is None and found.outside == [heads[-3]]
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
