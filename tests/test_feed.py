"""The feed of one process, on real read models: read once for all, without a gap or a repeat."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from projections.database import Row
from projections.decision_feed import DecisionFeed
from tests.service import NOON, WITHIN_S
from web import feed as feed_module
from web.feed import Feed
from web.feed_memory import Decision, FeedMemory, Reader, no_permit
from web.parts import Parts, build_parts
from web.reading import Behind
from web.settings import PREFIX, read_settings

ENGINES = ("one", "two", "three")
EVERYTHING = Reader("auditor", everything=True)
MANY = 10**9


def row(position: int, engine: str = "one", size: int = 0) -> dict[str, Any]:
    """A decision as it stands in the table; `size` more characters in its message."""
    event = f'{{"id":"{position}","data":{{"message":"{"审" * size}"}}}}'
    kind = "fta.approval.approved"
    return {"position": position, "engine": engine, "type": kind, "cloud_event": event}


def decision(position: int, engine: str = "one", size: int = 0) -> Decision:
    return Decision(row(position, engine, size), no_permit)


class House:
    """A feed over a real database, into which a test puts decisions by hand."""

    def __init__(self, folder: Path) -> None:
        database = f"sqlite:///{folder / 'fta-approval.db'}"
        self.parts: Parts = build_parts(
            read_settings({f"{PREFIX}DATABASE": database}), lambda: NOON
        )
        self.feed = Feed(self.parts.reading, "feed")
        self.rows: list[Row] = []

    def decide(self, *rows: dict[str, Any]) -> None:
        """Committed, and not told yet."""
        with self.parts.read_models.transaction() as tables:
            for one in rows:
                tables.insert("decision_feed", one)
            self._set_position(tables, rows[-1]["position"])
        self.rows += rows

    def told(self, position: int | None = None) -> None:
        """The read models say how far they are; by default at the last decision."""
        reached = position or self.rows[-1]["position"]
        with self.parts.read_models.transaction() as tables:
            self._set_position(tables, reached)
        self.parts.reading.progress.move(reached)

    def _set_position(self, tables: Any, position: int) -> None:
        self.parts.read_models.set_positions(tables, {DecisionFeed.name: position})

    def lost(self) -> None:
        """Another program makes the read models anew, and has not begun to fill them."""
        with self.parts.read_models.transaction() as tables:
            self.parts.read_models.reset(tables, {DecisionFeed.name: DecisionFeed.schema})

    async def taken_in(self) -> None:
        async with asyncio.timeout(WITHIN_S):
            while self.feed.memory.reached < self.parts.reading.progress.position:
                await asyncio.sleep(0.001)

    def close(self) -> None:
        self.parts.reading.close()
        for store in (self.parts.writer.store, self.parts.runner.source, self.parts.store):
            store.close()
        self.parts.read_models.close()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """The tail runs."""
    built = House(tmp_path)
    tail = asyncio.create_task(built.feed.run())
    yield built
    tail.cancel()
    with suppress(asyncio.CancelledError):
        await tail
    built.close()


async def follow(
    feed: Feed, reader: Reader, after: int, until: int, limit: int = 100, characters: int = MANY
) -> list[int]:
    """Every position that a reader is given, until one that it is given."""
    found: list[int] = []
    with feed.followed():
        async with asyncio.timeout(3 * WITHIN_S):
            while not found or found[-1] < until:
                portion = await feed.next_after(after, reader, limit, characters)
                found += [one.position for one in portion.decisions]
                after = portion.seen
    return found


# The memory.


def test_the_memory_holds_the_latest_and_says_from_where_on() -> None:
    memory = FeedMemory(most=3)
    memory.take([decision(p) for p in (2, 4, 6)], 7, is_all=True)
    assert (memory.start, memory.reached, memory.last) == (0, 7, 6)
    memory.take([decision(9), decision(11)], 9, is_all=True)
    assert (memory.start, memory.reached, memory.last) == (4, 11, 11)
    assert [memory.holds_all_after(p) for p in (3, 4)] == [False, True]
    assert [d.position for d in memory.after(4, EVERYTHING, 10, MANY).decisions] == [6, 9, 11]


def test_where_not_all_was_read_the_memory_begins_anew() -> None:
    memory = FeedMemory()
    memory.take([decision(2)], 2, is_all=True)
    memory.take([decision(90), decision(95)], 99, is_all=False)
    assert (memory.start, memory.reached) == (89, 99)
    assert [d.position for d in memory.after(89, EVERYTHING, 10, MANY).decisions] == [90, 95]


def test_the_memory_is_bounded_in_characters_and_the_newest_always_fits() -> None:
    memory = FeedMemory(most_characters=1000)
    for position in range(1, 50):
        memory.take([decision(position, size=300)], position, is_all=True)
        assert len(memory.after(0, EVERYTHING, 100, MANY).decisions) <= 3
    memory.take([decision(50, size=5000)], 50, is_all=True)
    assert (memory.start, memory.last) == (49, 50)
    memory.take([decision(51)], 51, is_all=True)
    assert (memory.start, memory.last) == (50, 51)


def test_a_portion_goes_on_after_what_is_not_for_its_reader() -> None:
    memory = FeedMemory()
    memory.take([decision(2), decision(4, "two"), decision(6), decision(8, "two")], 9, is_all=True)
    mine = memory.after(0, Reader("one"), 10, MANY)
    assert ([d.position for d in mine.decisions], mine.seen) == ([2, 6], 9)
    first = memory.after(0, Reader("one"), 1, MANY)
    assert ([d.position for d in first.decisions], first.seen) == ([2], 2)
    assert memory.after(8, Reader("one"), 10, MANY).seen == 9
    assert memory.after(50, Reader("one"), 10, MANY).seen == 50


def test_a_portion_is_bounded_and_never_empty_while_there_is_something() -> None:
    memory = FeedMemory()
    memory.take([decision(p, size=400) for p in range(1, 10)], 9, is_all=True)
    portion = memory.after(0, EVERYTHING, 10, 1000)
    assert ([d.position for d in portion.decisions], portion.seen) == ([1, 2, 3], 3)
    portion = memory.after(3, EVERYTHING, 10, 1)
    assert ([d.position for d in portion.decisions], portion.seen) == ([4], 4)


# A decision.


def test_a_permit_is_asked_for_once_and_only_for_the_engine_that_asked() -> None:
    asked: list[Row] = []

    def permit_of(row: Row) -> str:
        asked.append(row)
        return "a.permit.x"

    made = Decision(row(7, "one"), permit_of)
    for reader in (EVERYTHING, Reader("two"), Reader("two", everything=True)):
        assert b"permit" not in made.for_(reader).frame
    assert asked == []
    for reader in (Reader("one"), Reader("one", everything=True), Reader("one")):
        assert made.for_(reader).json == b'{"id":"7","data":{"message":"","permit":"a.permit.x"}}'
    assert asked == [row(7, "one")]


def test_a_frame_is_encoded_once_for_all() -> None:
    made = decision(7)
    assert made.for_(Reader("one")) is made.for_(EVERYTHING)
    assert made.for_(EVERYTHING).frame == (
        b'id: 7\nevent: fta.approval.approved\ndata: {"id":"7","data":{"message":""}}\n\n'
    )


# The tail.


async def test_without_a_reader_nothing_is_read(house: House) -> None:
    house.decide(row(1))
    house.told()
    for _ in range(20):
        await asyncio.sleep(0)
    assert (house.feed.reads_for_all, house.feed.reads_for_one) == (0, 0)
    assert await follow(house.feed, EVERYTHING, 0, until=1) == [1]
    assert (house.feed.reads_for_all, house.feed.reads_for_one) == (1, 0)


async def test_one_read_serves_all_readers(house: House) -> None:
    readers = [Reader("one")] * 50 + [EVERYTHING] * 50
    all_follow = [asyncio.create_task(follow(house.feed, r, 0, until=20)) for r in readers]
    with house.feed.followed():
        for position in range(1, 21):
            house.decide(row(position))
            house.told()
            await house.taken_in()
    assert await asyncio.gather(*all_follow) == [list(range(1, 21))] * 100
    assert (house.feed.reads_for_all, house.feed.reads_for_one) == (20, 0)


async def test_who_comes_back_after_a_restart_costs_no_read_of_its_own(house: House) -> None:
    house.decide(*(row(position) for position in range(1, 901)))
    house.told()
    found = await asyncio.gather(
        *(follow(house.feed, EVERYTHING, after, until=900) for after in range(0, 900, 9))
    )
    assert [positions[0] for positions in found] == [after + 1 for after in range(0, 900, 9)]
    assert (house.feed.reads_for_all, house.feed.reads_for_one) == (1, 0)


async def test_who_is_far_behind_reads_until_memory_has_the_rest(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "MOST_DECISIONS", 10)
    house.feed.memory = FeedMemory(most=10)
    house.decide(*(row(position) for position in range(1, 101)))
    house.told()
    assert await follow(house.feed, EVERYTHING, 0, until=100, limit=30) == list(range(1, 101))
    assert house.feed.reads_for_all == 1
    assert 3 <= house.feed.reads_for_one <= 4


async def test_one_who_waits_while_others_are_told_does_not_fall_behind(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand decisions of other engines go by; then comes one for it, from memory."""
    house.feed.memory = FeedMemory(most=3)
    quiet = asyncio.create_task(follow(house.feed, Reader("two"), 0, until=51))
    with house.feed.followed():
        for position in range(1, 51):
            house.decide(row(position))
            house.told()
            await house.taken_in()
        house.decide(row(51, "two"))
        house.told()
        assert await asyncio.wait_for(quiet, WITHIN_S) == [51]
    assert house.feed.reads_for_one == 0


async def test_what_is_committed_before_it_is_told_is_given_once(house: House) -> None:
    """The tail may see further than the read models have said, and further than a reader's read."""
    house.decide(row(1))
    house.told()
    house.decide(row(3), row(5))
    reader = asyncio.create_task(follow(house.feed, EVERYTHING, 0, until=7))
    await house.taken_in()
    assert house.feed.memory.reached == 5
    house.told(4)
    house.told(6)
    house.decide(row(7))
    house.told()
    assert await asyncio.wait_for(reader, WITHIN_S) == [1, 3, 5, 7]


async def test_read_models_that_begin_anew_say_nothing_twice(house: House) -> None:
    house.decide(row(1), row(2))
    house.told()
    reader = asyncio.create_task(follow(house.feed, EVERYTHING, 0, until=3))
    await house.taken_in()
    house.parts.reading.progress.move(0)
    house.parts.reading.progress.move(1)
    house.told()
    house.decide(row(3))
    house.told()
    assert await asyncio.wait_for(reader, WITHIN_S) == [1, 2, 3]


async def test_a_read_that_fails_is_tried_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "TRY_AGAIN_AFTER_S", 0.001)
    house.decide(row(1))
    with house.parts.read_models.transaction() as tables:
        tables.execute("ALTER TABLE decision_feed RENAME TO elsewhere")
    reader = asyncio.create_task(follow(house.feed, EVERYTHING, 0, until=1))
    house.told()
    async with asyncio.timeout(WITHIN_S):
        while house.feed.reads_for_all < 3:
            await asyncio.sleep(0.001)
    assert not reader.done()
    with house.parts.read_models.transaction() as tables:
        tables.execute("ALTER TABLE elsewhere RENAME TO decision_feed")
    assert await asyncio.wait_for(reader, WITHIN_S) == [1]


async def test_whoever_waits_is_let_go_when_the_service_ends(house: House) -> None:
    waiting = asyncio.create_task(house.feed.next_after(0, EVERYTHING, 1, MANY))
    await asyncio.sleep(0)
    house.feed.close()
    assert list((await asyncio.wait_for(waiting, WITHIN_S)).decisions) == []


@pytest.mark.parametrize("seed", range(12))
async def test_however_readers_come_and_decisions_fall_nobody_misses_or_repeats_one(
    house: House, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small memory, small portions, bursts: readers cross from database to memory and back."""
    chance = random.Random(seed)  # noqa: S311  # no secrets
    most = chance.choice([1, 3, 8])
    monkeypatch.setattr(feed_module, "MOST_DECISIONS", most)
    house.feed.memory = FeedMemory(most, chance.choice([60, MANY]))
    everything = [row(3 * n, chance.choice(ENGINES)) for n in range(1, 151)]
    everything += [row(1000 + n, engine) for n, engine in enumerate(ENGINES)]
    ends = {e["engine"]: e["position"] for e in everything}
    readers = [Reader(engine) for engine in ENGINES] + [EVERYTHING]
    waiting: list[tuple[asyncio.Task[list[int]], list[int]]] = []

    def start(feed: Feed, reader: Reader, after: int) -> None:
        until = ends.get(reader.engine, 1002)
        limit, characters = chance.choice([1, 2, 100]), chance.choice([1, 90, MANY])
        task = asyncio.create_task(follow(feed, reader, after, until, limit, characters))
        mine = [r for r in everything if reader.scope in (None, r["engine"])]
        waiting.append((task, [r["position"] for r in mine if r["position"] > after]))

    remaining = list(everything)
    while remaining:
        burst = chance.randint(1, 12)
        house.decide(*remaining[:burst])
        del remaining[:burst]
        if chance.random() < 0.7:
            house.told(house.rows[-1]["position"] - chance.choice([0, 0, 1, 2]))
        for _ in range(chance.randint(0, 3)):
            after = chance.randint(0, min(house.rows[-1]["position"], 450))
            start(house.feed, chance.choice(readers), after)
        for _ in range(chance.randint(0, 30)):
            await asyncio.sleep(0)
    for reader in readers:
        start(house.feed, reader, 0)
    house.told()
    async with asyncio.timeout(3 * WITHIN_S):
        for task, expected in waiting:
            assert await task == expected


# Read models that somebody else makes anew meanwhile.


async def test_what_is_not_refilled_yet_is_not_passed_over_by_a_reader_far_behind(
    house: House,
) -> None:
    house.decide(row(1), row(2))
    house.told()
    house.feed.memory.take([decision(2)], 2, is_all=False)
    house.lost()
    with pytest.raises(Behind):
        await house.feed.after(0, EVERYTHING, 10, MANY)
    house.decide(row(1), row(2))
    found = await house.feed.after(0, EVERYTHING, 10, MANY)
    assert [one.position for one in found.decisions] == [1, 2]


async def test_nor_by_the_tail(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "TRY_AGAIN_AFTER_S", 0.01)
    house.decide(row(1))
    house.told()
    with house.feed.followed():
        await house.taken_in()
        house.decide(row(2))
        house.lost()
        house.parts.reading.progress.move(2)
        async with asyncio.timeout(WITHIN_S):
            reads = house.feed.reads_for_all
            while house.feed.reads_for_all < reads + 3:
                await asyncio.sleep(0.01)
        assert house.feed.memory.reached == 1
        house.decide(row(1), row(2))
        await house.taken_in()
        found = await house.feed.after(1, EVERYTHING, 10, MANY)
    assert [one.position for one in found.decisions] == [2]
