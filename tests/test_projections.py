"""The read models: what each event does to them, and that they follow from the events alone."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.store.event_store import EventStore
from adapters.store.read_models import ReadModelDatabase
from domain.approval import Approval
from domain.commands import EndSession, OpenSession, RecordDelivery
from domain.decision import Channel, Outcome
from domain.identity import APPROVAL_STREAM, approval_id, approval_stream, inbox_stream
from domain.session import Session
from projections import runner as runner_module
from projections.decision_feed import decisions_after
from projections.directory import Directory
from projections.document import document
from projections.projection import Fact, Projection, milliseconds
from projections.runner import ALL, Fold, ProjectionRunner
from tests.histories import (
    NODES,
    PEOPLE,
    RANDOM,
    freezes,
    histories,
    live,
    redeem,
    reports,
    revokes,
    thaws,
    with_a_permit_key,
)
from tests.scenario import (
    APPROVE,
    DEADLINE,
    MILLISECOND,
    NODE,
    NOON,
    REJECT,
    MemoryDirectory,
    after,
    ask,
    cancels,
    clock,
    comes,
    leaves,
    opens,
    presses,
    reached,
    reminds,
    says,
)
from tests.stores import (
    SOON_S,
    TABLES,
    House,
    everything,
    logged,
    open_read_models,
    opened,
    position_of,
    rows,
)

__all__ = ["logged"]
pytestmark = pytest.mark.usefixtures("logged")

OTHER = "67890_1"
LONG = "重" * 800  # no text shows it whole


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path, super_approvers=["wangwu"]) as house:
        yield house


def only(some: Sequence[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    """The one row that has these values."""
    (row,) = [row for row in some if wanted.items() <= row.items()]
    return row


# Everything that can happen, by the events that come of it. Each leaves an approval of zhangsan
# and lisi, asked for twenty minutes at noon; wangwu is a super approver.

ASKED = ask(requested_by="LiSi")
NOTIFIED = reached("ZhangSan", cut=True)
FAILED = reached("zhangsan", problem="userid not found", unreachable=True)
OPENED = opens("zhangsan")
DOUBTED = says("zhangsan", APPROVE, doubt="question")
STRANGE = says("sunqi", APPROVE)
BY_CARD = says("zhangsan", APPROVE, channel=Channel.CARD)
UNREADABLE = says("zhangsan", None, reply_id=None)
ANSWERED = RecordDelivery(
    at=after(minutes=2),
    stream=inbox_stream("zhangsan", NOON),
    notice="answer/1",
    to="zhangsan",
)
LOGIN = OpenSession(at=NOON, session="ab12", by="zhangsan", expires_at=after(hours=8))
LOGOUT = EndSession(at=after(hours=1), session="ab12")

ENDINGS = {
    "approved": presses("zhangsan", APPROVE, reason="可以"),
    "rejected": presses("zhangsan", REJECT),
    "expired": clock(DEADLINE),
    "cancelled": cancels(),
}
ENDED = [pytest.param(command, status, id=status) for status, command in ENDINGS.items()]
NOT_ENDING = [
    pytest.param(commands, id=name)
    for name, commands in {
        "notified": [NOTIFIED],
        "notification-failed": [FAILED],
        "opened": [ask(obj_id="1_1", message=LONG), opens("zhangsan", "1_1")],
        "replied": [DOUBTED],
        "inbox": [UNREADABLE, ANSWERED],
        "session": [LOGIN, LOGOUT],
    }.items()
]


def of_node(some: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in some if row["reply_id"] == NODE]


# Approvals.


def test_a_request_is_listed(house: House) -> None:
    house.store.found(NOON)
    house.do(ask(run=3, requested_by="LiSi", biz_id="2", engine="自愈"))
    assert house.rows("approvals") == [
        {
            "approval_id": approval_id("approval-12345_2.3"),
            "reply_id": "12345_2.3",
            "reply_id_folded": "12345_2.3",
            "number": 2,
            "obj_id": "12345_2",
            "run": 3,
            "engine": "自愈",
            "requester": "lisi",
            "biz_id": "2",
            "risk": "medium",
            "status": "pending",
            "requested_at": milliseconds(NOON),
            "nobody_reached": 0,
            "expires_at": milliseconds(DEADLINE),
        }
    ]


@pytest.mark.parametrize(("command", "status"), ENDED)
def test_an_end_changes_the_status_in_the_list(house: House, command: Any, status: str) -> None:
    house.do(ask(), ask(obj_id=OTHER))
    before = house.rows("approvals")
    house.do(command)
    for row in before:
        row["status"] = status if row["reply_id"] == NODE else "pending"
    assert house.rows("approvals") == before


@pytest.mark.parametrize("commands", NOT_ENDING)
@pytest.mark.parametrize("table", ["approvals", "todo", "deadlines", "decision_feed"])
def test_what_ends_nothing_changes_none_of_them(
    house: House, commands: list[Any], table: str
) -> None:
    house.do(*[c for c in [ask(), *commands] if c.__class__ is type(ask())])
    before = house.rows(table)
    house.do(*commands)
    assert house.rows(table) == before
    assert position_of(house.read_models, table) == house.store.last_position()


# Todo.


def test_a_request_stands_on_the_list_of_each_who_was_asked(house: House) -> None:
    house.do(ask(approvers=["ZhangSan", "lisi"], requested_by="lisi"))
    common = {
        "reply_id": NODE,
        "number": 1,
        "risk": "medium",
        "asked_at": milliseconds(NOON),
        "expires_at": milliseconds(DEADLINE),
        "ended_at": None,
    }
    assert sorted(house.rows("todo"), key=lambda row: row["member"]) == [
        {"member": "wangwu", "is_approver": 0, **common},
        {"member": "zhangsan", "is_approver": 1, **common},
    ]


@pytest.mark.parametrize(("command", "status"), ENDED)
def test_an_end_takes_it_from_every_list(house: House, command: Any, status: str) -> None:
    house.do(ask(), ask(obj_id=OTHER), command)
    todo = house.rows("todo")
    ended_at = milliseconds(command.at)
    assert [row["ended_at"] for row in of_node(todo)] == [ended_at] * 3
    assert [row["ended_at"] for row in todo if row["reply_id"] == OTHER] == [None] * 3


# Deadlines.


@pytest.mark.parametrize(("command", "status"), ENDED)
def test_a_deadline_stands_until_the_end(house: House, command: Any, status: str) -> None:
    house.do(ask(), ask(obj_id=OTHER, expires_in=60))
    assert house.rows("deadlines") == [
        {
            "reply_id": NODE,
            "expires_at": milliseconds(DEADLINE),
            "remind_at": milliseconds(after(minutes=15)),
        },
        {"reply_id": OTHER, "expires_at": milliseconds(after(minutes=1)), "remind_at": None},
    ]
    house.do(command)
    assert [row["reply_id"] for row in house.rows("deadlines")] == [OTHER]


def test_a_reminder_that_was_made_is_not_due_again(house: House) -> None:
    house.do(ask(), ask(obj_id=OTHER), reminds(after(minutes=15)))
    told = {row["reply_id"]: row for row in house.rows("deadlines")}
    assert (told[NODE]["remind_at"], told[NODE]["expires_at"]) == (None, milliseconds(DEADLINE))
    assert told[OTHER]["remind_at"] == milliseconds(after(minutes=15))


# Nobody reached.


def test_an_approval_of_which_nobody_can_be_told_is_marked_for_ever(house: House) -> None:
    house.do(ask(), ask(obj_id=OTHER), reached("zhangsan", problem="no"))
    assert house.directory().nobody_reached() == 0
    house.do(reached("lisi", problem="no"), reached("lisi", OTHER, problem="no"))
    for status in ("pending", "cancelled"):
        marks = {row["reply_id"]: row["nobody_reached"] for row in house.rows("approvals")}
        assert marks == {NODE: 1, OTHER: 0}
        assert [row["status"] for row in of_node(house.rows("approvals"))] == [status]
        assert house.directory().nobody_reached() == 1
        house.do(cancels())


# The decision feed.


@pytest.mark.parametrize(("command", "status"), ENDED)
def test_an_end_is_a_decision_at_its_position(house: House, command: Any, status: str) -> None:
    house.do(ask(), NOTIFIED, command)
    approval = house.store.load(Approval, approval_stream(NODE))
    assert approval is not None
    (row,) = house.rows("decision_feed")
    assert row["position"] == house.store.last_position()
    assert (row["engine"], row["type"]) == ("fta", f"fta.approval.{status}")
    event = json.loads(row["cloud_event"])
    data = event.pop("data")
    assert event == {
        "specversion": "1.0",
        "id": str(row["position"]),
        "source": "/fta-approval",
        "type": f"fta.approval.{status}",
        "subject": NODE,
        "time": command.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
    }
    assert data == document(approval)
    assert (data["status"], data["number"]) == (status, 1)


@pytest.mark.parametrize(("command", "status"), ENDED)
def test_the_end_of_a_test_approval_is_no_decision(house: House, command: Any, status: str) -> None:
    house.do(ask(test=True), NOTIFIED, command)
    assert [row["status"] for row in house.rows("approvals")] == [status]
    assert house.rows("decision_feed") == []


def test_what_a_position_says_never_changes(house: House) -> None:
    """What became known after the end, such as a late delivery, stands elsewhere."""
    house.do(ask(), reached("zhangsan"), presses("zhangsan", APPROVE))
    before = house.rows("decision_feed")
    data = json.loads(before[0]["cloud_event"])["data"]
    assert [n["state"] for n in data["notifications"]] == ["sent", "pending", "pending"]
    house.do(
        reached("lisi", at=after(minutes=5)),
        reached("wangwu", at=after(minutes=5), problem="no"),
        presses("lisi", REJECT, at=after(minutes=6)),
        clock(DEADLINE),
        cancels(at=after(hours=1)),
    )
    assert house.rows("decision_feed") == before
    house.runner.rebuild(["decision_feed"])
    assert house.rows("decision_feed") == before


def test_decisions_are_read_in_order_and_by_engine(house: House) -> None:
    for number in range(6):
        engine = "one" if number % 2 else "two"
        house.do(
            ask(obj_id=f"{number}_1", engine=engine), presses("zhangsan", APPROVE, f"{number}_1")
        )
    house.catch_up()

    def positions(after: int, limit: int, engine: str | None = None) -> list[int]:
        found = decisions_after(house.read_models, after, limit, engine).rows
        return [row["position"] for row in found]

    assert positions(0, 100) == [3, 6, 9, 12, 15, 18]
    assert positions(3, 2) == [6, 9]
    assert positions(0, 100, "one") == [6, 12, 18]
    assert positions(6, 1, "one") == [12]
    assert positions(18, 100) == positions(0, 100, "three") == []


# Sessions.


def test_a_login_is_listed_until_it_ends(house: House) -> None:
    again = OpenSession(at=after(hours=2), session="cd34", by="ZhangSan", expires_at=after(hours=3))
    house.do(LOGIN, again)
    assert house.rows("sessions") == [
        {"session": "ab12", "member": "zhangsan", "expires_at": milliseconds(after(hours=8))},
        {"session": "cd34", "member": "zhangsan", "expires_at": milliseconds(after(hours=3))},
    ]
    house.do(LOGOUT, LOGOUT)
    assert [row["session"] for row in house.rows("sessions")] == ["cd34"]


def test_what_is_no_login_changes_nothing_among_them(house: House) -> None:
    house.store.found(NOON)
    house.do(LOGIN)
    before = house.rows("sessions")
    house.do(ask(), NOTIFIED, UNREADABLE, ANSWERED, *ENDINGS.values())
    assert house.rows("sessions") == before
    assert position_of(house.read_models, "sessions") == house.store.last_position()


# The audit trail.

SOON = after(minutes=2)


def test_every_event_stands_in_the_audit_trail(house: House) -> None:
    house.store.change_installation(with_a_permit_key)
    house.do(ask(obj_id="8_1"), says("zhangsan", APPROVE, "8_1"), revokes(SOON, "lisi", "8_1"))
    house.do(ask(obj_id="9_1"), says("zhangsan", APPROVE, "9_1"))
    for attempt in ("a", "b"):
        house.do(redeem(house, SOON, "9_1", attempt, is_same=True))
    house.do(reports(SOON, "9_1", "fta", Outcome.FAILED), freezes(SOON, "停电"), thaws(SOON))
    house.do(LOGIN, ask(message=LONG), reached("zhangsan"), reached("lisi", problem="no"), OPENED)
    house.do(STRANGE, BY_CARD, UNREADABLE, ANSWERED, LOGOUT)
    house.do(ask(obj_id=OTHER), comes("lisi"), reminds(after(minutes=15), OTHER))
    house.do(leaves("zhangsan", after(minutes=16)), reached("lisi", OTHER, problem="no"))
    endings: list[Any] = [says("lisi", REJECT), clock(DEADLINE), cancels()]
    for number, command in enumerate(endings):
        house.do(ask(obj_id=f"{number}_1"), replace(command, reply_id=f"{number}_1"))
    trail = sorted(house.rows("audit_trail"), key=lambda row: row["position"])
    assert [row["position"] for row in trail] == list(range(1, house.store.last_position() + 1))
    told = {row["type"]: (row["who"], row["via"], row["refusal"]) for row in trail}
    assert told == {
        "installation.founded": (None, None, None),
        "installation.secret-made": (None, None, None),
        "freeze.began": ("shell:root", None, None),
        "freeze.ended": ("shell:root", None, None),
        "approval.revoked": ("lisi", "web", None),
        "approval.redeemed": ("fta", "api", None),
        "approval.redemption-refused": ("fta", "api", "already-redeemed"),
        "approval.outcome-reported": ("fta", "api", None),
        "session.opened": ("zhangsan", None, None),
        "session.ended": (None, None, None),
        "approval.requested": ("fta", "api", None),
        "approval.notified": ("zhangsan", None, None),
        "approval.notification-failed": ("lisi", None, None),
        "approval.opened": ("zhangsan", None, None),
        "approval.replied": ("lisi", "wecom-text", None),
        "approval.approved": ("zhangsan", "wecom-card", None),
        "approval.rejected": ("lisi", "wecom-text", None),
        "approval.expired": (None, "clock", None),
        "approval.cancelled": ("fta", "api", None),
        "approval.reminded": (None, None, None),
        "approval.became-unreachable": ("zhangsan", None, None),
        "approval.nobody-reached": (None, None, None),
        "inbox.greeted": ("lisi", None, None),
        "inbox.received": ("zhangsan", "wecom-text", "unreadable"),
        "inbox.answered": ("zhangsan", None, None),
    }
    refused = only(trail, who="sunqi")
    assert refused["refusal"] == "not-an-approver"
    assert refused["at"] == milliseconds(STRANGE.at)
    assert refused["stream"] == approval_stream(NODE)


# Rebuilding.


def test_nobody_sees_half_a_rebuild(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message between its request and its delivery would be sent again."""
    monkeypatch.setattr(runner_module, "CHUNK", 1)
    house.do(ask(), reached("zhangsan"), ask(obj_id=OTHER), says("zhangsan", APPROVE))
    house.catch_up()
    before = everything(house.read_models)
    seen: list[bool] = []
    house.runner.rebuild(
        TABLES, lambda position: seen.append(everything(house.read_models) == before)
    )
    assert seen == [True] * house.store.last_position()
    assert everything(house.read_models) == before


def test_a_rebuild_that_fails_leaves_everything_as_it_was(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "CHUNK", 1)
    house.do(ask(), says("zhangsan", APPROVE), UNREADABLE)
    house.catch_up()
    before = everything(house.read_models)

    def interrupted(position: int) -> None:
        if position == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        house.runner.rebuild(TABLES, interrupted)
    assert everything(house.read_models) == before
    house.do(ask(obj_id=OTHER))
    assert len(house.rows("approvals")) == 2


# Resuming.


class Stumbling(Projection):
    """A projection with a bug at one event, until it is mended."""

    name = "stumbling"
    schema = "CREATE TABLE stumbling (position BIGINT PRIMARY KEY)"

    def __init__(self, at: int) -> None:
        self.at = at
        self.mended = False
        self.stumbled = threading.Semaphore(0)

    def project(self, fact: Fact, tables: Any) -> None:
        if fact.position == self.at and not self.mended:
            self.stumbled.release()
            raise RuntimeError("a bug")
        tables.insert(self.name, {"position": fact.position})


@contextmanager
def stumbling(house: House, path: Path, at: int) -> Iterator[tuple[Stumbling, ReadModelDatabase]]:
    """Read models of the same store with such a projection among them."""
    bug = Stumbling(at)
    with closing(open_read_models(path / "with-a-bug.db", projections=[*ALL, bug])) as views:
        yield bug, views


def test_what_fails_leaves_rows_and_positions_as_they_were(house: House, tmp_path: Path) -> None:
    house.do(ask(), reached("zhangsan"), presses("zhangsan", APPROVE), ask(obj_id=OTHER))
    with stumbling(house, tmp_path, at=4) as (bug, views):
        runner = ProjectionRunner(house.store, views, [*ALL, bug])
        runner.take(house.store.read_after(0, 2))
        before = everything(views)
        with pytest.raises(RuntimeError, match="a bug"):
            runner.take(house.store.read_after(2, 3))
        assert everything(views) == before
        assert runner.position == position_of(views, "todo") == 2
        bug.mended = True
        runner.catch_up()
        house.catch_up()
        assert {t: rows(views, t) for t in TABLES} == {
            t: rows(house.read_models, t) for t in TABLES
        }
        assert [row["position"] for row in rows(views, "stumbling")] == [1, 2, 3, 4, 5]


def test_the_runner_says_why_it_stands_and_goes_on_when_it_can(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "RETRY_AFTER_S", 0.01)
    with (
        stumbling(house, tmp_path, at=2) as (bug, views),
        following(house.store, views, [*ALL, bug]) as runner,
    ):
        house.do(ask(), reached("zhangsan"), reached("lisi"))
        for _ in range(2):  # the second failure comes after the first was told
            assert bug.stumbled.acquire(timeout=SOON_S)
        assert runner.failure == "RuntimeError: a bug"
        with pytest.raises(TimeoutError, match="not at 3"):
            runner.wait_for(3, 0.01)
        bug.mended = True
        runner.wait_for(3, SOON_S)
        house.do(ask(obj_id=OTHER))
        runner.wait_for(4, SOON_S)
        assert runner.failure is None
        assert [row["position"] for row in rows(views, "stumbling")] == [1, 2, 3, 4]


def test_the_runner_survives_read_models_that_cannot_be_reached(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even its own position."""
    monkeypatch.setattr(runner_module, "RETRY_AFTER_S", 0.01)
    asked = threading.Semaphore(0)

    class Unreachable(ReadModelDatabase):
        away = False

        def positions(self, tables: Any, names: Sequence[str]) -> dict[str, int]:
            if self.away:
                asked.release()
                tables.execute("SELECT * FROM nowhere")
            return super().positions(tables, names)

    schemas = {projection.name: projection.schema for projection in ALL}
    with closing(Unreachable(tmp_path / "away.db", "feed", schemas)) as views:
        with following(house.store, views) as runner:
            views.away = True
            house.do(ask())
            for _ in range(3):
                assert asked.acquire(timeout=SOON_S)
            assert runner.failure is not None
            assert "nowhere" in runner.failure
            views.away = False
            runner.wait_for(1, SOON_S)
        assert len(rows(views, "approvals")) == 1


@contextmanager
def following(
    store: EventStore, views: ReadModelDatabase, projections: Sequence[Projection] = ALL
) -> Iterator[ProjectionRunner]:
    """A runner at work on its own thread."""
    with closing(store.another()) as source:
        runner = ProjectionRunner(source, views, projections)
        runner.start()
        try:
            yield runner
        finally:
            runner.stop()


def test_the_runner_begins_where_it_stopped(house: House) -> None:
    moved: list[int] = []
    for number in range(3):
        with following(house.store, house.read_models) as runner:
            assert runner.position == number * 2
            runner.on_progress = moved.append
            house.do(ask(obj_id=f"{number}_1"), reached("zhangsan", f"{number}_1"))
            runner.wait_for(number * 2 + 2, SOON_S)
    assert set(moved) >= {2, 4, 6}
    assert moved == sorted(moved)
    assert len(rows(house.read_models, "audit_trail")) == 6


def test_a_runner_that_has_stopped_leaves_no_thread(house: House) -> None:
    before = set(threading.enumerate())
    with following(house.store, house.read_models):
        pass
    ProjectionRunner(house.store, house.read_models).stop()
    assert set(threading.enumerate()) == before


def test_waiting_for_what_does_not_come_times_out(house: House) -> None:
    house.do(ask())
    with following(house.store, house.read_models) as runner:
        runner.wait_for(1, SOON_S)
        with pytest.raises(TimeoutError, match="at 1, not at 2"):
            runner.wait_for(2, 0.01)


def test_a_projection_that_somebody_reset_begins_again_beside_the_others(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "CHUNK", 1)
    with following(house.store, house.read_models) as runner:
        house.do(ask(), reached("zhangsan"), presses("lisi", REJECT))
        runner.wait_for(4, SOON_S)
        before = everything(house.read_models)
        with house.read_models.transaction() as tables:
            house.read_models.reset(
                tables, {p.name: p.schema for p in ALL if p.name in ("todo", "outbox")}
            )
        assert rows(house.read_models, "todo") == []
        assert position_of(house.read_models, "todo") == 0
        assert position_of(house.read_models, "approvals") == 4
        house.do(ask(obj_id=OTHER))
        runner.wait_for(5, SOON_S)
        wait_for_rows(runner, house.read_models, "todo")
        assert len(rows(house.read_models, "todo")) == len(before["todo"]) + 3
        assert of_node(rows(house.read_models, "todo")) == before["todo"]
        assert len(rows(house.read_models, "audit_trail")) == 5


def wait_for_rows(runner: ProjectionRunner, database: ReadModelDatabase, name: str) -> None:
    """Until that projection is where the others are, which `wait_for` alone cannot tell: the
    runner learns of a reset with the next event."""
    moved = threading.Event()
    runner.on_progress = lambda position: moved.set()
    while position_of(database, name) < position_of(database, "audit_trail"):
        assert moved.wait(SOON_S)
        moved.clear()


def test_a_rebuild_by_another_process_is_noticed(house: House) -> None:
    with following(house.store, house.read_models) as runner:
        house.do(ask(), presses("zhangsan", APPROVE))
        runner.wait_for(3, SOON_S)
        before = everything(house.read_models)
        another = ProjectionRunner(house.store, house.read_models)
        another.rebuild(["todo"])
        assert everything(house.read_models) == before
        house.do(ask(obj_id=OTHER))
        runner.wait_for(4, SOON_S)
        # And one that goes further than the runner had come.
        runner.stop()
        house.do(ask(obj_id="1_1"))
        another.rebuild(TABLES)
        house.do(ask(obj_id="2_1"))
    with following(house.store, house.read_models) as runner:
        runner.wait_for(6, SOON_S)
    assert len(rows(house.read_models, "approvals")) == 4
    assert len(rows(house.read_models, "audit_trail")) == 6


def test_two_runners_on_the_same_read_models_take_each_event_once(
    house: House, tmp_path: Path
) -> None:
    with (
        closing(open_read_models(tmp_path / "views.db")) as again,
        following(house.store, house.read_models) as one,
        following(house.store, again) as two,
    ):
        for number in range(20):
            house.do(ask(obj_id=f"{number}_1"), presses("zhangsan", APPROVE, f"{number}_1"))
        for runner in (one, two):
            runner.wait_for(60, SOON_S)
        assert len(rows(again, "audit_trail")) == 60
        assert len(rows(again, "decision_feed")) == 20


def test_approvals_that_are_not_remembered_are_read_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "MAX_REMEMBERED_APPROVALS", 1)
    house.do(ask(), ask(obj_id=OTHER), reached("zhangsan"), reached("zhangsan", OTHER))
    house.do(presses("lisi", APPROVE), presses("lisi", REJECT, OTHER))
    data = {
        event["subject"]: event["data"]
        for row in house.rows("decision_feed")
        if (event := json.loads(row["cloud_event"]))
    }
    assert {name: (d["status"], d["number"]) for name, d in data.items()} == {
        NODE: ("approved", 1),
        OTHER: ("rejected", 2),
    }


def test_a_fact_knows_the_approval_as_it_was_just_after_it(house: House) -> None:
    house.do(ask(), reached("zhangsan"), presses("zhangsan", APPROVE), UNREADABLE)
    fold, versions = Fold(house.store), []
    for stored in house.store.read_after(0, 100):
        fact = fold.take(stored)
        versions.append(fact.approval.version if fact.approval else None)
    assert versions == [1, 2, 3, 4, None]


# The directory.


def test_what_waits_is_what_a_member_may_decide(house: House) -> None:
    house.do(
        ask(obj_id="1_1", approvers=["ZhangSan"], expires_in=600),
        ask(obj_id="2_1", approvers=["zhangsan", "lisi"], expires_in=60),
        ask(obj_id="3_1", approvers=["lisi"]),
        ask(obj_id="4_1", approvers=["zhangsan", "wangwu"], requested_by="ZhangSan"),
        ask(obj_id="5_1", approvers=["zhangsan"]),
        presses("zhangsan", APPROVE, "5_1"),
    )
    directory = house.directory()
    assert directory.waiting_for("zhangSAN") == ["2_1", "1_1"]
    assert directory.waiting_for("lisi") == ["2_1", "3_1"]
    assert directory.waiting_for("sunqi") == []


def test_who_is_a_super_approver_is_asked_of_the_settings_in_force(house: House) -> None:
    """Not of those at the time of the request; and nobody decides what they requested."""
    house.do(
        ask(obj_id="1_1", approvers=["lisi"]),
        ask(obj_id="2_1", approvers=["lisi"], requested_by="ZhangSan"),
        ask(obj_id="3_1", approvers=["wangwu"]),
        ask(obj_id="4_1", approvers=["lisi"]),
        clock(DEADLINE, "4_1"),
    )
    house.catch_up()
    without = Directory(house.read_models)
    assert without.waiting_for("wangwu") == ["3_1"]
    promoted = Directory(house.read_models, ["ZhangSan", "wangwu"])
    assert promoted.waiting_for("zhangsan") == ["1_1", "3_1"]
    assert promoted.waiting_for("WangWu") == ["1_1", "2_1", "3_1"]


def test_names_are_found_whatever_their_case(house: House) -> None:
    house.do(ask(obj_id="Ab_1"), ask(obj_id="aB_1"), ask(obj_id="ab_1", run=2))
    directory = house.directory()
    assert directory.same_but_for_case("AB_1") == ["Ab_1", "aB_1"]
    assert directory.same_but_for_case("AB_1.2") == ["ab_1.2"]
    assert directory.same_but_for_case("ab_11") == directory.same_but_for_case("%") == []


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (NOON, {"1_1", "2_1", "3_1"}),
        (NOON + MILLISECOND, {"2_1", "3_1"}),
        (after(minutes=4), {"2_1", "3_1"}),
        (after(minutes=4) + MILLISECOND, {"3_1"}),
        (after(minutes=5), {"3_1"}),
        (after(minutes=5) + MILLISECOND, set()),
    ],
)
def test_lately_means_asked_or_ended_at_that_moment_or_after(
    house: House, since: datetime, expected: set[str]
) -> None:
    house.do(
        ask(obj_id="1_1"),
        ask(obj_id="2_1", at=NOON - timedelta(hours=1), expires_in=86400),
        ask(obj_id="3_1", at=after(minutes=5)),
        cancels(reply_id="2_1", at=after(minutes=4)),
        ask(obj_id="4_1", approvers=["lisi"]),
        ask(obj_id="5_1", approvers=["lisi", "zhangsan"], requested_by="zhangsan"),
    )
    lately = house.directory().lately_asked_or_ended("ZhangSan", since)
    assert sorted(lately) == sorted(expected)


def test_deadlines_come_up_when_they_have_passed_earliest_first(house: House) -> None:
    for number, seconds in enumerate([30, 10, 20, 40]):
        house.do(ask(obj_id=f"{number}_1", expires_in=seconds))
    house.do(cancels(reply_id="2_1"))
    directory = house.directory()
    assert directory.deadlines_until(after(seconds=30), 10) == ["1_1", "0_1"]
    assert directory.deadlines_until(after(seconds=30) - MILLISECOND, 10) == ["1_1"]
    assert directory.deadlines_until(after(seconds=60), 2) == ["1_1", "0_1"]


def test_reminders_come_up_while_they_are_of_use_earliest_first(house: House) -> None:
    """From when a quarter is left until about two minutes are."""
    for number, minutes in enumerate([20, 16, 24, 40, 7]):
        house.do(ask(obj_id=f"{number}_1", expires_in=minutes * 60))
    house.do(reminds(after(minutes=30), "3_1"), ask(obj_id="5_1"), cancels(reply_id="5_1"))
    directory = house.directory()
    assert directory.reminders_due(after(minutes=12) - MILLISECOND, 10) == []
    assert directory.reminders_due(after(minutes=12), 10) == ["1_1"]
    assert directory.reminders_due(after(minutes=14, seconds=10), 10) == ["1_1"]
    assert directory.reminders_due(after(minutes=14, seconds=10) + MILLISECOND, 10) == []
    assert directory.reminders_due(after(minutes=18, seconds=10), 10) == ["0_1", "2_1"]
    assert directory.reminders_due(after(minutes=18), 1) == ["0_1"]
    assert directory.reminders_due(after(minutes=18, seconds=10) + MILLISECOND, 10) == ["2_1"]
    assert directory.reminders_due(after(minutes=39), 10) == []


@pytest.mark.parametrize("member", ["zhangsan", "wangwu"])
def test_the_most_urgent_comes_first_of_what_can_still_be_decided(
    house: House, member: str
) -> None:
    for number, minutes in enumerate([20, 10, 30]):
        house.do(ask(obj_id=f"{number}_1", expires_in=minutes * 60, approvers=["ZhangSan"]))
    house.do(ask(obj_id="3_1"), cancels(reply_id="3_1"), ask(obj_id="4_1", requested_by="wangwu"))
    house.do(says("lisi", APPROVE, "4_1"))
    directory, userid = house.directory(), member.upper()
    assert directory.most_urgent(userid, NOON, 2) == (3, ["1_1", "0_1"])
    assert directory.most_urgent(userid, NOON, 9) == (3, ["1_1", "0_1", "2_1"])
    assert directory.most_urgent(userid, after(minutes=10) - MILLISECOND, 1) == (3, ["1_1"])
    assert directory.most_urgent(userid, after(minutes=10), 1) == (2, ["0_1"])
    assert directory.most_urgent(userid, after(minutes=30), 1) == (0, [])
    assert directory.most_urgent("sunqi", NOON, 1) == (0, [])


def test_addressed_to_a_member_is_what_they_were_asked_and_nothing_has_ended(house: House) -> None:
    house.do(
        ask(obj_id="1_1", approvers=["ZhangSan"]),
        ask(obj_id="2_1", approvers=["zhangsan", "lisi"], expires_in=60),
        ask(obj_id="3_1", approvers=["lisi"]),
        ask(obj_id="4_1", approvers=["zhangsan", "lisi"], requested_by="zhangsan"),
        ask(obj_id="5_1"),
        cancels(reply_id="5_1"),
    )
    directory = house.directory()
    assert directory.addressed_to("zhangSAN", 10) == ["1_1", "2_1"]
    assert directory.addressed_to("wangwu", 10) == ["1_1", "2_1", "3_1", "4_1"]
    house.do(ask(obj_id="9_1", approvers=["wangwu"]))
    assert house.directory().addressed_to("wangwu", 2) == ["9_1", "1_1"]
    assert directory.addressed_to("sunqi", 10) == []
    unasked = Directory(house.read_models, ["sunqi"])
    assert unasked.addressed_to("sunqi", 10) == []


def test_approvals_are_listed_by_number_from_a_cursor(house: House) -> None:
    for number in range(6):
        engine = "one" if number % 2 else "two"
        biz_id = "9" if number < 3 else None
        house.do(ask(obj_id=f"{number}_1", engine=engine, biz_id=biz_id))
    house.do(presses("zhangsan", APPROVE, "0_1"), ask(obj_id="0_1", run=2, engine="two"))
    directory = house.directory()

    def listed(after: int = 0, limit: int = 100, engine: str | None = None, **filters: Any) -> str:
        found = directory.matching(filters, after, limit, engine)
        assert [number for number, _ in found] == sorted(number for number, _ in found)
        return " ".join(reply_id for _, reply_id in found)

    assert listed() == "0_1 1_1 2_1 3_1 4_1 5_1 0_1.2"
    assert listed(limit=2) == "0_1 1_1"
    assert listed(after=2, limit=2) == "2_1 3_1"
    assert listed(engine="two") == "0_1 2_1 4_1 0_1.2"
    assert listed(engine="two", after=3, limit=1) == "4_1"
    assert listed(obj_id="0_1") == "0_1 0_1.2"
    assert listed(obj_id="0_1", run=2) == "0_1.2"
    assert listed(status="approved") == "0_1"
    assert listed(status="pending", biz_id="9") == "1_1 2_1"
    assert listed(biz_id="none") == listed(engine="three") == ""


def test_the_open_sessions_of_a_member_are_found_whatever_the_case(house: House) -> None:
    for number, (by, hours) in enumerate([("ZhangSan", 9), ("zhangsan", 8), ("lisi", 8)]):
        until = after(hours=hours)
        house.do(OpenSession(at=NOON, session=f"s{number}", by=by, expires_at=until))
    house.do(LOGIN, LOGOUT)
    directory = house.directory()
    assert directory.sessions_of("zhangSAN", NOON) == ["s1", "s0"]
    assert directory.sessions_of("zhangsan", after(hours=8) - MILLISECOND) == ["s1", "s0"]
    assert directory.sessions_of("zhangsan", after(hours=8)) == ["s0"]
    assert directory.sessions_of("sunqi", NOON) == directory.sessions_of("", NOON) == []


def test_an_approval_is_found_by_its_uuid(house: House) -> None:
    house.do(ask())
    assert house.directory().reply_id_of(approval_id(approval_stream(NODE))) == NODE
    assert house.directory().reply_id_of(approval_id("approval-other")) is None


# Whatever happens, in whatever order: the rows follow from the events.


@contextmanager
def lived(history: Sequence[tuple[int, Any]]) -> Iterator[tuple[House, Path]]:
    """A house in which that happened, its read models kept up all along on their own thread."""
    with TemporaryDirectory() as directory, opened(Path(directory), ["wangwu"]) as house:
        with following(house.store, house.read_models) as runner:
            house.runner, house.is_live = runner, True
            live(house, history)
            house.catch_up()
        house.is_live = False
        yield house, Path(directory)


@settings(RANDOM, max_examples=25)
@given(history=histories(3, 24), cuts=st.lists(st.integers(0, 60), max_size=4))
def test_rebuilt_read_models_are_the_same(history: list[tuple[int, Any]], cuts: list[int]) -> None:
    """Kept up live; rebuilt at once; in several goes, each with a runner that knows nothing."""
    with lived(history) as (house, path):
        expected = everything(house.read_models)
        with closing(open_read_models(path / "rebuilt.db")) as rebuilt:
            for cut in sorted(cuts):
                runner = ProjectionRunner(house.store, rebuilt)
                if some := house.store.read_after(runner.position, max(cut - runner.position, 0)):
                    runner.take(some)
            runner = ProjectionRunner(house.store, rebuilt)
            runner.catch_up()
            assert everything(rebuilt) == expected
            runner.rebuild(TABLES)
            assert everything(rebuilt) == expected


@settings(RANDOM, max_examples=8)
@given(history=histories(1, 8))
def test_read_models_go_on_from_every_position(history: list[tuple[int, Any]]) -> None:
    with lived(history) as (house, path):
        expected = everything(house.read_models)
        for position in range(1, house.store.last_position()):
            with closing(open_read_models(path / f"from-{position}.db")) as views:
                ProjectionRunner(house.store, views).take(house.store.read_after(0, position))
                ProjectionRunner(house.store, views).catch_up()
                assert everything(views) == expected


@settings(RANDOM, max_examples=25)
@given(history=histories(3, 24), seconds=st.integers(0, 2000))
def test_the_directory_says_what_the_approvals_say(
    history: list[tuple[int, Any]], seconds: int
) -> None:
    with lived(history) as (house, _):
        names = [row["reply_id"] for row in rows(house.read_models, "approvals")]
        streams = [approval_stream(name) for name in names]
        approvals = list(house.store.load_all(Approval, streams).values())
        everyone = {str(e.originator_id) for e in house.store.read_after(0, 1000)}
        logins = [stream for stream in everyone if stream.startswith("session-")]
        sessions = list(house.store.load_all(Session, logins).values())
        told, true = (
            Directory(house.read_models, ["wangwu"]),
            MemoryDirectory(approvals, ["wangwu"], sessions),
        )
        assert {s for s in everyone if s.startswith(APPROVAL_STREAM)} == set(streams)
        since = NOON + timedelta(seconds=seconds)
        for userid in [*PEOPLE, "sunqi"]:
            waiting = sorted(true.waiting_for(userid))
            assert sorted(told.waiting_for(userid)) == waiting
            assert sorted(told.addressed_to(userid, 100)) == sorted(true.addressed_to(userid, 100))
            still = [a.reply_id for a in approvals if a.expires_at > since]
            count, first = told.most_urgent(userid, since, 100)
            assert sorted(first) == sorted(set(still) & set(waiting))
            assert count == len(first)
            assert sorted(told.sessions_of(userid, since)) == sorted(
                true.sessions_of(userid, since)
            )
            assert sorted(told.lately_asked_or_ended(userid, since)) == sorted(
                true.lately_asked_or_ended(userid, since)
            )
        assert told.nobody_reached() == sum(a.nobody_reached for a in approvals)
        due = [a for a in approvals if a.ending is None and not a.reminded and a.remind_at]
        two_minutes_later = since + timedelta(minutes=2)
        assert sorted(told.reminders_due(since, 100)) == sorted(
            a.reply_id
            for a in due
            if a.remind_at and a.remind_at <= since and two_minutes_later <= a.expires_at
        )
        for name in [*NODES, "a_2.2"]:
            assert sorted(told.same_but_for_case(name)) == sorted(true.same_but_for_case(name))
