"""Whatever happens, in whatever order: read models kept up and made anew are the same.

Read models are kept up event by event or in chunks, across restarts; made anew from zero, at once,
up to each position at which they stood. All tables are compared, all rows, all columns.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from eventsourcing.persistence import Notification
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.store.event_store import EventStore
from adapters.store.read_models import ReadModelDatabase
from domain.catalogue import EVENTS
from projections.runner import ProjectionRunner
from tests.histories import RANDOM, History, histories, live
from tests.stores import TABLES, logged, open_read_models, opened
from tests.whole_life import WHOLE_LIFE

__all__ = ["logged"]
pytestmark = pytest.mark.usefixtures("logged")

EVERYTHING = 10_000
# What is forced to disk thousands of times is kept in memory, where there is such a place.
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108

Contents = dict[str, list[tuple[Any, ...]]]
# How many events are taken in at a time, and whether by a runner that knows nothing of before.
STEPS = st.lists(
    st.tuples(st.sampled_from([1, 1, 1, 2, 7]), st.booleans()), min_size=1, max_size=40
)


class UpTo:
    """The event store as it was when its last event had a certain position."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self.end = 0

    def read_after(self, position: int, limit: int) -> Sequence[Notification]:
        return [one for one in self._store.read_after(position, limit) if one.id <= self.end]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def contents(database: ReadModelDatabase) -> Contents:
    """All rows of all read models, and how far they are."""
    return {
        table: sorted((tuple(row) for row in database.query(f"SELECT * FROM {table}")), key=repr)  # noqa: S608
        for table in (*TABLES, "tracking")
    }


@contextmanager
def lived(history: History) -> Iterator[tuple[EventStore, ReadModelDatabase, ReadModelDatabase]]:
    """A store in which that happened, and two sets of read models that know nothing of it."""
    with (
        TemporaryDirectory(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None) as folder,
        opened(Path(folder), ["wangwu"]) as house,
        closing(open_read_models(Path(folder) / "kept-up.db")) as kept_up,
        closing(open_read_models(Path(folder) / "made-anew.db")) as made_anew,
    ):
        live(house, history)
        yield house.store, kept_up, made_anew


def compare_at_every_position(history: History, steps: Sequence[tuple[int, bool]]) -> set[str]:
    """Which kinds of event there were."""
    with lived(history) as (store, kept_up, made_anew):
        source: Any = UpTo(store)
        keeper, maker = ProjectionRunner(store, kept_up), ProjectionRunner(source, made_anew)
        number = 0
        while chunk := store.read_after(keeper.position, steps[number % len(steps)][0]):
            keeper.take(chunk)
            source.end = keeper.position
            maker.rebuild(TABLES)
            assert contents(made_anew) == contents(kept_up), f"at {keeper.position}"
            if steps[number % len(steps)][1]:
                keeper = ProjectionRunner(store, kept_up)
            number += 1
        return {stored.topic for stored in store.read_after(0, EVERYTHING)}


def compare_at_the_end(history: History, steps: Sequence[tuple[int, bool]]) -> None:
    with lived(history) as (store, kept_up, made_anew):
        number, keeper = 0, ProjectionRunner(store, kept_up)
        while chunk := store.read_after(keeper.position, steps[number % len(steps)][0]):
            keeper.take(chunk)
            if steps[number % len(steps)][1]:
                keeper = ProjectionRunner(store, kept_up)
            number += 1
        ProjectionRunner(store, made_anew).rebuild(TABLES)
        assert contents(made_anew) == contents(kept_up)


@settings(RANDOM, max_examples=300)
@given(history=histories(2, 24), steps=STEPS)
def test_read_models_made_anew_are_the_same_at_every_position(
    history: History, steps: list[tuple[int, bool]]
) -> None:
    compare_at_every_position(history, steps)


@pytest.mark.parametrize("steps", [[(1, False)], [(1, True)], [(2, False), (7, True)]])
def test_so_they_are_after_every_kind_of_event(steps: list[tuple[int, bool]]) -> None:
    reached = compare_at_every_position(WHOLE_LIFE, steps)
    assert set(EVENTS) - reached == set(), "tests/whole_life.py does not come to these"


@pytest.mark.slow
@settings(RANDOM, max_examples=10_000)
@given(history=histories(2, 40), steps=STEPS)
def test_read_models_made_anew_are_the_same_after_ten_thousand_histories(
    history: History, steps: list[tuple[int, bool]]
) -> None:
    compare_at_the_end(history, steps)
