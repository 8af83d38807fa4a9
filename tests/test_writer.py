"""The one writer: what shares a transaction, what does not hurt its neighbours, and rivals."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.store import writer as writer_module
from adapters.store.event_store import EventStore
from adapters.store.writer import Overloaded, StoreUnavailable, Writer
from domain import errors
from domain.approval import Approval
from domain.commands import Decide, Reply
from domain.decision import Status
from domain.handling import HANDLERS
from domain.identity import approval_stream, inbox_stream
from domain.inbox import Inbox
from domain.unit import Directory
from projections.projection import ENDS
from tests.scenario import (
    APPROVE,
    DEADLINE,
    NODE,
    NOON,
    REJECT,
    after,
    ask,
    ask_next,
    cancels,
    clock,
    opens,
    presses,
    reached,
    says,
)
from tests.stores import (
    SOON_S,
    Busy,
    events_of,
    in_one_batch,
    logged,
    open_store,
    pausing,
    writing,
)

__all__ = ["logged", "pausing"]
pytestmark = pytest.mark.usefixtures("logged", "pausing")

OTHER = "67890_1"


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    with writing(tmp_path) as writer:
        yield writer


@pytest.fixture
def store(tmp_path: Path, writer: Writer) -> Iterator[EventStore]:
    """The same store, as another process has it open."""
    with closing(open_store(tmp_path / "events.db")) as store:
        yield store


def kinds(store: EventStore, reply_id: str = NODE) -> list[str]:
    """What was stored of one approval, in words."""
    return [event.TOPIC.removeprefix("approval.") for event in events_of(store, reply_id)]


def refusals(store: EventStore, reply_id: str = NODE) -> list[str | None]:
    return [e.refusal for e in events_of(store, reply_id) if isinstance(e, Approval.Replied)]


def received(store: EventStore, userid: str) -> list[Inbox.Received]:
    """What a member wrote at NOON's day that belongs to no approval."""
    events = [event for _, event in store.events_of(inbox_stream(userid, NOON))]
    return [event for event in events if isinstance(event, Inbox.Received)]


def stored(store: EventStore, reply_id: str) -> Approval:
    approval = store.load(Approval, approval_stream(reply_id))
    assert approval is not None, f"{reply_id} is not stored"
    return approval


def ends(store: EventStore, reply_id: str = NODE) -> list[Any]:
    return [event for event in events_of(store, reply_id) if isinstance(event, ENDS)]


# One transaction for all that waits.


async def test_what_waits_is_committed_together(writer: Writer, store: EventStore) -> None:
    requests = [ask(obj_id=f"{number}_1") for number in range(1000)]
    answers = await in_one_batch(writer, *requests)
    assert [new for _, new in answers] == [True] * 1000
    figures = writer.figures
    assert (figures.commits, figures.largest_batch, figures.conflicts) == (5, 200, 0)
    assert (figures.commands, figures.events) == (1001, 1000)
    assert store.last_position() == 1000


async def test_alone_a_command_is_committed_at_once(writer: Writer, store: EventStore) -> None:
    for number in range(3):
        await writer.execute(ask(obj_id=f"{number}_1"))
        assert store.last_position() == number + 1
        assert writer.last_position == number + 1
    assert writer.figures.commits == 3


async def test_what_stores_nothing_commits_nothing(writer: Writer, store: EventStore) -> None:
    await writer.execute(ask())
    await in_one_batch(writer, ask(), clock(after(minutes=1)), opens("zhangsan"))
    assert kinds(store) == ["requested"]
    assert writer.figures.commits == 1


async def test_numbers_are_positions(writer: Writer, store: EventStore) -> None:
    requests = [ask(obj_id=f"{number}_1") for number in range(20)]
    noise = [says("zhangsan", None, reply_id=f"nowhere_{number}") for number in range(20)]
    mixed = [command for pair in zip(requests, noise, strict=True) for command in pair]
    answers = [a for a in await in_one_batch(writer, *mixed) if isinstance(a, tuple)]
    assert len(answers) == 20
    for approval, _ in answers:
        assert approval.number == store.events_of(approval.id)[0][0]
    again, new = await writer.execute(requests[7])
    assert (again.number, new) == (answers[7][0].number, False)


async def test_commands_of_one_batch_see_each_other(writer: Writer, store: EventStore) -> None:
    asked, asked_again, decided, late = await in_one_batch(
        writer, ask(), ask(), presses("zhangsan", APPROVE), presses("lisi", REJECT)
    )
    assert (asked[1], asked_again[1]) == (True, False)
    assert asked_again[0].number == asked[0].number == 1
    assert decided.status is Status.APPROVED
    assert isinstance(late, errors.AlreadyDecided)
    assert late.first.by == "zhangsan"
    assert kinds(store) == ["requested", "replied", "approved", "replied"]
    assert writer.figures.commits == 1


async def test_the_first_of_a_batch_wins(writer: Writer, store: EventStore) -> None:
    await writer.execute(ask())
    decided, cancelled, expired = await in_one_batch(
        writer, presses("zhangsan", REJECT), cancels(), clock(DEADLINE)
    )
    assert decided.status is Status.REJECTED
    assert isinstance(cancelled, errors.AlreadyDecided)
    assert expired is None
    assert [type(end) for end in ends(store)] == [Approval.Rejected]


async def test_runs_of_one_batch_see_each_other(writer: Writer, store: EventStore) -> None:
    """Each next run ends the one before, also those that are not stored yet."""
    *_, third = await in_one_batch(
        writer, ask(), ask(run=2), cancels(reply_id=f"{NODE}.2"), ask_next(), ask_next()
    )
    assert third.reply_id == f"{NODE}.3"
    assert [stored(store, f"{NODE}{run}").status for run in ("", ".2", ".3")] == [
        Status.CANCELLED,
        Status.CANCELLED,
        Status.PENDING,
    ]


# Neighbours.


async def test_the_refused_do_not_hurt_their_neighbours(writer: Writer, store: EventStore) -> None:
    asked, conflicting, nobody, stranger, unknown, decided = await in_one_batch(
        writer,
        ask(),
        ask(message="另一件事"),
        ask(obj_id=OTHER, approvers=["lisi"], requested_by="lisi"),
        says("wangwu", APPROVE),
        says("wangwu", APPROVE, reply_id="nowhere_1"),
        says("lisi", APPROVE),
    )
    assert asked[1]
    assert isinstance(conflicting, errors.ConflictingRequest)
    assert isinstance(nobody, errors.NobodyCanDecide)
    assert isinstance(stranger, errors.NotAnApprover)
    assert isinstance(unknown, errors.UnknownApproval)
    assert decided is None
    assert kinds(store) == ["requested", "replied", "replied", "approved"]
    assert refusals(store) == ["not-an-approver", None]
    assert kinds(store, OTHER) == []
    assert [one.refusal for one in received(store, "wangwu")] == ["unknown-approval"]


@dataclass(frozen=True)
class Crash:
    """A command whose handler changes things and then meets a bug."""

    at: Any = NOON
    reply_id: str = NODE


def crash(command: Crash, unit: Any) -> None:
    approval = unit.approval(command.reply_id)
    if approval is not None:
        approval.trigger(Approval.Opened, command.at, by="zhangsan")
    unit.add(Approval.request(ask(obj_id="9_9"), []))
    assert not unit.is_repeated_delivery("zhangsan", "of the crash")
    raise RuntimeError("a bug")


async def test_a_crash_hurts_itself_only_and_stores_nothing(
    writer: Writer, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(HANDLERS, Crash, crash)
    outcomes = await in_one_batch(
        writer, ask(), Crash(), presses("zhangsan", APPROVE), Crash(), ask(obj_id=OTHER), Crash()
    )
    assert [isinstance(o, StoreUnavailable) for o in outcomes] == [False, True] * 3
    assert kinds(store) == ["requested", "replied", "approved"]
    assert kinds(store, OTHER) == ["requested"]
    assert kinds(store, "9_9") == []
    # The crashed command's delivery was not taken, so it may come again.
    await writer.execute(says("zhangsan", APPROVE, delivery_key="of the crash"))
    assert kinds(store)[3:] == ["replied"]


async def test_a_whole_batch_may_crash(
    writer: Writer, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(HANDLERS, Crash, crash)
    outcomes = await in_one_batch(writer, *[Crash()] * 200)
    assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
    assert store.last_position() == 0
    assert (await writer.execute(ask()))[1]


async def test_what_cannot_be_encoded_is_not_answered_with_success(
    writer: Writer, store: EventStore
) -> None:
    """Half a surrogate is no text: that is found out while saving, after the handler is done."""
    with pytest.raises(StoreUnavailable):
        await writer.execute(ask(biz_id="\ud800"))
    outcomes = await in_one_batch(
        writer,
        ask(obj_id="1_1"),
        ask(obj_id="2_1", biz_id="\ud800"),
        ask(obj_id="3_1"),
        says("zhangsan", APPROVE, reply_id="1_1"),
        says("zhangsan", APPROVE, reply_id="\ud800"),
    )
    assert [isinstance(o, StoreUnavailable) for o in outcomes] == [False, True, False, False, True]
    assert kinds(store, "1_1") == ["requested", "replied", "approved"]
    assert kinds(store, "2_1") == []
    assert kinds(store, "3_1") == ["requested"]
    assert store.last_position() == 4


async def test_a_damaged_stream_hurts_only_who_asks_for_it(
    writer: Writer, store: EventStore, tmp_path: Path
) -> None:
    await in_one_batch(writer, ask(), ask(obj_id=OTHER))
    with closing(sqlite3.connect(tmp_path / "events.db")) as connection, connection:
        connection.execute("DROP TRIGGER events_are_never_changed")
        connection.execute("UPDATE stored_events SET state = x'7b' WHERE position = 1")
    damaged, decided = await in_one_batch(
        writer, presses("zhangsan", APPROVE), presses("zhangsan", APPROVE, OTHER)
    )
    assert isinstance(damaged, StoreUnavailable)
    assert decided.status is Status.APPROVED
    assert stored(store, OTHER).status is Status.APPROVED


async def test_what_the_database_did_not_take_is_not_answered_with_success(
    writer: Writer, store: EventStore, tmp_path: Path
) -> None:
    path = tmp_path / "events.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("ALTER TABLE delivery_keys RENAME TO elsewhere")
    outcomes = await in_one_batch(writer, ask(), says("zhangsan", APPROVE))
    assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
    assert store.last_position() == 0
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("ALTER TABLE elsewhere RENAME TO delivery_keys")
    await in_one_batch(writer, ask(), says("zhangsan", APPROVE))
    assert kinds(store) == ["requested", "replied", "approved"]


# Others who write at the same time.


class Rival:
    """Another process, which does something just before the writer saves what it decided."""

    def __init__(self, act: Callable[[], None], times: int = 1) -> None:
        self._act = act
        self._times = times
        self.met = 0

    def handle(self, handler: Callable[[Any, Any], Any], command: Any, unit: Any) -> Any:
        outcome, refusal = None, None
        try:
            outcome = handler(command, unit)
        except errors.Refusal as error:
            refusal = error
        if self.met < self._times:
            self.met += 1
            self._act()
        if refusal is not None:
            raise refusal
        return outcome


def meets(
    monkeypatch: pytest.MonkeyPatch,
    kind: type,
    rival: Rival,
    when: Callable[[Any], bool] = lambda command: True,
) -> None:
    """Have commands of one kind carried out as ever, with the rival acting before the save."""
    handler = HANDLERS[kind]

    def beside_a_rival(command: Any, unit: Any) -> Any:
        if when(command):
            return rival.handle(handler, command, unit)
        return handler(command, unit)

    monkeypatch.setitem(HANDLERS, kind, beside_a_rival)


def rejects_first(store: EventStore, by: str = "lisi") -> Callable[[], None]:
    def act() -> None:
        approval = stored(store, NODE)
        approval.trigger(
            Approval.Rejected, after(seconds=30), by=by, channel="web", capacity="approver"
        )
        store.save(approval.collect_events())

    return act


def only_replies(store: EventStore) -> Callable[[], None]:
    def act() -> None:
        approval = stored(store, NODE)
        refusal = errors.NothingDecided("unreadable")
        approval.refuse(refusal, NOON, by="lisi", words="?", channel="wecom-text")
        store.save(approval.collect_events())

    return act


async def test_who_was_beaten_hears_who_was_first(
    writer: Writer, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await writer.execute(ask())
    meets(monkeypatch, Decide, Rival(rejects_first(store)))
    with pytest.raises(errors.AlreadyDecided) as refused:
        await writer.execute(presses("zhangsan", APPROVE))
    assert (refused.value.first.status, refused.value.first.by) == (Status.REJECTED, "lisi")
    assert kinds(store) == ["requested", "rejected", "replied"]
    assert refusals(store) == ["already-decided"]
    assert writer.figures.conflicts == 1


async def test_neighbours_of_a_conflict_are_stored_once(
    writer: Writer, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await in_one_batch(writer, ask(), ask(obj_id=OTHER))
    meets(monkeypatch, Decide, Rival(rejects_first(store)))
    outcomes = await in_one_batch(
        writer,
        ask(obj_id="1_1"),
        says("lisi", REJECT, reply_id=OTHER),
        presses("zhangsan", APPROVE),
        says("wangwu", None, reply_id=None),
        ask(obj_id="2_1"),
    )
    assert isinstance(outcomes[2], errors.AlreadyDecided)
    assert kinds(store, OTHER) == ["requested", "replied", "rejected"]
    assert kinds(store) == ["requested", "rejected", "replied"]
    assert len(received(store, "wangwu")) == 1
    for obj_id in ("1_1", "2_1"):
        assert kinds(store, obj_id) == ["requested"]


async def test_the_same_request_at_two_processes_is_one_approval(
    writer: Writer, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asks_first() -> None:
        store.save(Approval.request(ask(), []).collect_events())

    request = type(ask())
    meets(monkeypatch, request, Rival(asks_first))
    approval, new = await writer.execute(ask())
    assert (approval.number, new) == (1, False)
    assert kinds(store) == ["requested"]


async def test_the_same_delivery_at_two_processes_is_one_reply(
    writer: Writer, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await writer.execute(ask())
    message = says("zhangsan", APPROVE)

    def hears_first() -> None:
        approval = stored(store, NODE)
        unreadable = errors.NothingDecided("unreadable")
        approval.refuse(unreadable, NOON, by="zhangsan", words="?", channel="wecom-text")
        key = ("zhangsan", message.delivery_key, message.at)
        store.save(approval.collect_events(), [key])

    meets(monkeypatch, Reply, Rival(hears_first))
    assert await writer.execute(message) is None
    assert kinds(store) == ["requested", "replied"]
    assert refusals(store) == ["unreadable"]


async def test_who_was_refused_before_a_conflict_may_decide_after_it(
    writer: Writer, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is answered is what was stored: the approval was not there, and then it was."""

    def asks_and_hears_something_else() -> None:
        inbox = Inbox(inbox_stream("zhangsan", NOON))
        inbox.receive(NOON, by="zhangsan", words="?", channel="wecom-text", refusal="unreadable")
        asked = Approval.request(ask(), [])
        store.save([*inbox.collect_events(), *asked.collect_events()])

    rival = Rival(asks_and_hears_something_else)
    meets(monkeypatch, Reply, rival)
    assert await writer.execute(says("zhangsan", APPROVE)) is None
    assert rival.met == 1
    assert kinds(store) == ["requested", "replied", "approved"]
    assert [one.refusal for one in received(store, "zhangsan")] == ["unreadable"]


async def test_who_is_always_beaten_gives_up_and_hurts_nobody(
    writer: Writer, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await in_one_batch(writer, ask(), ask(obj_id=OTHER))
    rival = Rival(only_replies(store), times=1000)
    meets(monkeypatch, Decide, rival, lambda command: command.reply_id == NODE)
    before, beaten, behind = await in_one_batch(
        writer,
        ask(obj_id="1_1"),
        presses("zhangsan", APPROVE),
        presses("zhangsan", APPROVE, OTHER),
    )
    assert before[1]
    assert isinstance(beaten, StoreUnavailable)
    assert behind.status is Status.APPROVED
    assert kinds(store, "1_1") == ["requested"]
    assert kinds(store, OTHER) == ["requested", "replied", "approved"]
    assert kinds(store) == ["requested"] + ["replied"] * rival.met
    assert ends(store) == []


async def test_of_three_hundred_decisions_exactly_one_ends_it(
    writer: Writer, store: EventStore, tmp_path: Path
) -> None:
    """At two processes, by text and on pages, for and against."""
    people = [f"zhangsan{number}" for number in range(300)]
    await writer.execute(ask(approvers=people))

    def no_directory(position: int) -> Directory:
        raise AssertionError("every reply names its approval")

    another = Writer(store.another(), no_directory, list)
    another.start()
    decisions = [
        (says if number % 2 else presses)(userid, APPROVE if number % 3 else REJECT)
        for number, userid in enumerate(people)
    ]
    try:
        outcomes = await asyncio.gather(
            *(
                (writer if number % 4 < 2 else another).execute(decision)
                for number, decision in enumerate(decisions)
            ),
            return_exceptions=True,
        )
    finally:
        another.stop()
        another.store.close()
    (end,) = ends(store)
    refused = [o for o in outcomes if isinstance(o, errors.AlreadyDecided)]
    assert len(refused) == 299
    assert {one.first.by for one in refused} == {end.by}
    winner = next(n for n, o in enumerate(outcomes) if not isinstance(o, errors.AlreadyDecided))
    assert end.by == people[winner]
    assert isinstance(end, Approval.Rejected if winner % 3 == 0 else Approval.Approved)
    replies = [e for e in events_of(store) if isinstance(e, Approval.Replied)]
    assert sorted(e.by for e in replies) == sorted(people)
    assert [e.by for e in replies if e.refusal is None] == [end.by]
    assert [e.refusal for e in replies if e.by != end.by] == ["already-decided"] * 299


# Replies that name no approval, and so need the read models.


async def test_a_reply_without_an_id_sees_what_its_neighbours_did(
    writer: Writer, store: EventStore
) -> None:
    await in_one_batch(writer, ask(), reached("zhangsan"), says("zhangsan", APPROVE, None))
    assert kinds(store) == ["requested", "notified", "replied", "approved"]


async def test_a_reply_without_an_id_that_two_could_mean_decides_nothing(
    writer: Writer, store: EventStore
) -> None:
    *_, unclear = await in_one_batch(
        writer, ask(), reached("zhangsan"), ask(obj_id=OTHER), says("zhangsan", APPROVE, None)
    )
    assert isinstance(unclear, errors.UnclearWhich)
    assert set(unclear.suggestions) == {NODE, OTHER}
    assert [one.refusal for one in received(store, "zhangsan")] == ["unclear-which"]
    assert ends(store) + ends(store, OTHER) == []


async def test_the_same_reply_without_an_id_twice_in_a_batch_is_kept_once(
    writer: Writer, store: EventStore
) -> None:
    message = says("zhangsan", APPROVE, None)
    first, second = await in_one_batch(writer, message, message)
    assert isinstance(first, errors.UnclearWhich)
    assert second is None
    assert len(received(store, "zhangsan")) == 1


async def test_nobody_waits_for_the_read_models_but_who_asks_them(tmp_path: Path) -> None:
    caught_up = threading.Event()

    def directory_at(position: int) -> Directory:
        assert caught_up.wait(SOON_S)
        raise TimeoutError("read models are at 0")

    with closing(open_store(tmp_path / "events.db")) as store:
        writer = Writer(store, directory_at, list)
        writer.start()
        async with Busy(writer) as busy:
            await busy.give(says("zhangsan", APPROVE, None), ask())
            busy.release()
            async with asyncio.timeout(SOON_S):
                assert (await busy.jobs[1])[1]
            assert not busy.jobs[0].done()
            caught_up.set()
        assert isinstance((await busy.outcomes())[0], StoreUnavailable)
        assert received(store, "zhangsan") == []
        writer.stop()


async def test_read_models_that_stand_still_keep_a_reply_for_its_next_delivery(
    tmp_path: Path,
) -> None:
    message = says("zhangsan", APPROVE, None)

    def directory_at(position: int) -> Directory:
        raise TimeoutError("read models are at 0")

    with closing(open_store(tmp_path / "events.db")) as store:
        stuck = Writer(store, directory_at, list)
        stuck.start()
        with pytest.raises(StoreUnavailable, match="read models are at 0"):
            await stuck.execute(message)
        assert (await stuck.execute(ask()))[1]
        stuck.stop()
    with writing(tmp_path) as writer:
        with pytest.raises(errors.UnclearWhich):
            await writer.execute(message)
        assert len(received(writer.store, "zhangsan")) == 1


# Repeated deliveries.


async def test_a_repeated_delivery_does_nothing(tmp_path: Path) -> None:
    """In the same batch, in a later one, after a restart, in whatever case the userid comes."""
    message = says("zhangsan", APPROVE, delivery_key="42")
    again = says("ZhangSan", REJECT, at=after(minutes=2), delivery_key="42")
    with writing(tmp_path) as writer:
        await writer.execute(ask())
        assert await in_one_batch(writer, message, message, again) == [None] * 3
        assert await writer.execute(message) is None
    with writing(tmp_path) as writer:
        assert await writer.execute(message) is None
        assert await writer.execute(again) is None
        assert kinds(writer.store) == ["requested", "replied", "approved"]


async def test_the_same_key_of_another_member_is_another_delivery(
    writer: Writer, store: EventStore
) -> None:
    await writer.execute(ask())
    _, second = await in_one_batch(
        writer,
        says("zhangsan", APPROVE, delivery_key="42"),
        says("lisi", REJECT, delivery_key="42"),
    )
    assert isinstance(second, errors.AlreadyDecided)
    assert kinds(store) == ["requested", "replied", "approved", "replied"]


async def test_a_delivery_is_recognised_for_a_day_and_then_forgotten(
    writer: Writer, store: EventStore
) -> None:
    message = says("zhangsan", None, delivery_key="42", at=NOON)
    later = says("zhangsan", None, delivery_key="43", at=after(hours=2))
    await in_one_batch(writer, ask(expires_in=2592000))
    for one in (message, later):
        with pytest.raises(errors.NothingDecided):
            await writer.execute(one)
    for hours in (1.5, 12, 23, 24):
        await writer.execute(clock(after(hours=hours)))
        assert await writer.execute(says("zhangsan", None, delivery_key="42", at=NOON)) is None
    for seconds in (0, 1):  # the first has it done after its answer, and before the second
        await writer.execute(clock(after(hours=25, minutes=1, seconds=seconds)))
    known = store.recorder.select_delivery_keys([("zhangsan", "42"), ("zhangsan", "43")])
    assert known == {("zhangsan", "43")}
    assert kinds(store) == ["requested", "replied", "replied"]


async def test_deliveries_that_cannot_be_forgotten_now_do_not_stop_the_writer(
    writer: Writer, store: EventStore, tmp_path: Path
) -> None:
    await in_one_batch(writer, ask(expires_in=2592000), says("zhangsan", APPROVE))
    with closing(sqlite3.connect(tmp_path / "events.db")) as connection, connection:
        connection.execute(
            "CREATE TRIGGER kept BEFORE DELETE ON delivery_keys "
            "BEGIN SELECT RAISE(ABORT, 'kept'); END"
        )
    async with asyncio.timeout(SOON_S):
        await writer.execute(clock(after(hours=48)))
        assert (await writer.execute(ask(obj_id=OTHER)))[1]
    assert writer.alive


# Too much, and the end.


async def test_a_full_queue_refuses_at_once_and_keeps_room_for_callbacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "RESERVE_FOR_CALLBACKS", 2)
    with writing(tmp_path, max_queue=3) as writer:
        async with Busy(writer) as busy:
            await busy.give(*(ask(obj_id=f"{number}_1") for number in range(3)))
            assert writer.waiting == 3
            with pytest.raises(Overloaded):
                await writer.execute(ask(obj_id="3_1"))
            callbacks = [says("zhangsan", APPROVE, reply_id=f"{number}_1") for number in range(2)]
            await busy.give(*callbacks, from_callback=True)
            for from_callback in (False, True):
                with pytest.raises(Overloaded):
                    await writer.execute(says("lisi", APPROVE), from_callback=from_callback)
        outcomes = await busy.outcomes()
        assert [bool(o) for o in outcomes] == [True] * 3 + [False] * 2
        assert kinds(writer.store, "3_1") == []
        assert kinds(writer.store, "1_1") == ["requested", "replied", "approved"]
        assert (await writer.execute(ask(obj_id="3_1")))[1]


async def test_stopping_finishes_what_was_accepted_and_takes_nothing_more(
    tmp_path: Path,
) -> None:
    with closing(open_store(tmp_path / "events.db")) as store:
        writer = Writer(store, lambda position: pytest.fail("nobody asks"), list)
        writer.start()
        async with Busy(writer) as busy:
            await busy.give(*(ask(obj_id=f"{number}_1") for number in range(500)))
            stopping = asyncio.create_task(asyncio.to_thread(writer.stop))
            with pytest.raises(StoreUnavailable, match="stopped"):
                async with asyncio.timeout(SOON_S):
                    while True:  # until stop() has begun; what came before it counts as well
                        await asyncio.sleep(0)
                        await _give_up(writer.execute(ask(obj_id="late_1")))
            assert writer.alive
        await stopping
        assert all(new for _, new in await busy.outcomes())
        assert not writer.alive
        assert len(store.load_all(Approval, [f"approval-{n}_1" for n in range(500)])) == 500
        with pytest.raises(StoreUnavailable, match="stopped"):
            await writer.execute(ask(obj_id="too-late_1"))


async def _give_up(execution: Any) -> None:
    """Run up to where it would wait, and wait no longer; what it raises before that is raised."""
    job = asyncio.ensure_future(execution)
    await asyncio.sleep(0)
    if job.done():
        job.result()
    job.cancel()


async def test_who_no_longer_waits_is_carried_out_all_the_same(
    writer: Writer, store: EventStore
) -> None:
    async with Busy(writer) as busy:
        await busy.give(ask(), ask(obj_id=OTHER))
        busy.jobs[0].cancel()
    assert isinstance((await busy.outcomes())[0], asyncio.CancelledError)
    assert kinds(store) == kinds(store, OTHER) == ["requested"]


async def test_events_of_one_batch_stand_in_the_order_of_their_commands(
    writer: Writer, store: EventStore
) -> None:
    """Whoever follows the sequence sees A decided before B if A was decided before B."""
    await in_one_batch(writer, ask(), ask(obj_id=OTHER))
    other_first = (
        says("zhangsan", None, reply_id=NODE),  # decides nothing, and meets this approval first
        says("zhangsan", APPROVE, reply_id=OTHER),
        says("zhangsan", APPROVE, reply_id=NODE),
    )
    await in_one_batch(writer, *other_first)
    decided = [
        position
        for name in (OTHER, NODE)
        for position, event in store.events_of(approval_stream(name))
        if isinstance(event, Approval.Approved)
    ]
    assert len(decided) == 2
    assert decided == sorted(decided)
