"""The event store on SQLite: the library's own test cases, and what this recorder adds to it."""

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar
from unittest import TestCase
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import (
    InfrastructureFactory,
    IntegrityError,
    OperationalError,
    StoredEvent,
    Tracking,
)
from eventsourcing.sqlite import (
    SQLiteAggregateRecorder,
    SQLiteProcessRecorder,
    SQLiteTrackingRecorder,
)
from eventsourcing.tests import persistence as library
from eventsourcing.tests import projection as library_projection
from eventsourcing.utils import Environment, get_topic

from adapters.store import subscription
from adapters.store.connections import DurableDatastore
from adapters.store.event_store import EventStore, open_event_store, sqlite_path
from adapters.store.schema import SCHEMA_VERSION, NewerStore
from adapters.store.sqlite import EventRecorder, Factory
from adapters.store.subscription import EventSubscription
from domain.approval import Approval
from domain.identity import approval_stream
from tests.scenario import APPROVE, NODE, NOON, ask, ask_next, cancels, presses
from tests.stores import SOON_S, open_read_models, open_store, opened

ROOT = Path(__file__).parent.parent


# The library's own test cases.


class OnFiles(TestCase):
    """Recorders on a real file, closed after the test."""

    originator_id_type = "text"

    @pytest.fixture(autouse=True)
    def _on_a_file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "events.db"

    def new_originator_id(self) -> UUID | str:
        return f"approval-{uuid4().hex}" if self.originator_id_type == "text" else uuid4()

    def datastore(self) -> DurableDatastore:
        datastore = DurableDatastore(
            str(self.path), lock_timeout=10, originator_id_type=self.originator_id_type
        )
        self.addCleanup(datastore.close)
        # One of the library's tests leaves its readers to themselves when it has seen enough.
        self.addCleanup(self.join_threads, set(threading.enumerate()))
        return datastore

    @staticmethod
    def join_threads(before: set[threading.Thread]) -> None:
        for thread in set(threading.enumerate()) - before:
            thread.join(SOON_S)

    def create_recorder(self) -> EventRecorder:
        recorder = EventRecorder(self.datastore())
        recorder.create_table()
        return recorder


class TestApplicationRecorder(
    OnFiles,
    library.ApplicationRecorderTestCase[EventRecorder],
):
    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestApplicationRecorderWithUUIDs(TestApplicationRecorder):
    originator_id_type = "uuid"


class PositionsUntold(EventRecorder):
    """The library asks of an aggregate's recorder that it tells no positions."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> None:
        super().insert_events(stored_events, **kwargs)


class TestAggregateRecorder(OnFiles, library.AggregateRecorderTestCase):
    def create_recorder(self) -> PositionsUntold:
        recorder = PositionsUntold(self.datastore())
        recorder.create_table()
        return recorder


class TestNonInterleavingPositions(OnFiles, library.NonInterleavingNotificationIDsBaseCase):
    pass


class SomeTrackingRecorder(SQLiteTrackingRecorder):
    pass


class TestFactory(OnFiles, library.InfrastructureFactoryTestCase[Factory]):
    def setUp(self) -> None:
        self.env = Environment()
        self.env[InfrastructureFactory.PERSISTENCE_MODULE] = get_topic(Factory)
        self.env[Factory.SQLITE_DBNAME] = str(self.path)
        super().setUp()

    def expected_factory_class(self) -> type[Factory]:
        return Factory

    def expected_aggregate_recorder_class(self) -> type[SQLiteAggregateRecorder]:
        return SQLiteAggregateRecorder

    def expected_application_recorder_class(self) -> type[EventRecorder]:
        return EventRecorder

    def expected_tracking_recorder_class(self) -> type[SQLiteTrackingRecorder]:
        return SQLiteTrackingRecorder

    def tracking_recorder_subclass(self) -> type[SQLiteTrackingRecorder]:
        return SomeTrackingRecorder

    def expected_process_recorder_class(self) -> type[SQLiteProcessRecorder]:
        return SQLiteProcessRecorder


class EventCounters(SQLiteTrackingRecorder, library_projection.EventCountersView):
    """The read model of the library's projection tests."""

    def construct_create_table_statements(self) -> list[str]:
        return [
            *super().construct_create_table_statements(),
            "CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, number INTEGER)",
        ]

    def get_created_event_counter(self) -> int:
        return self._number("created")

    def get_subsequent_event_counter(self) -> int:
        return self._number("subsequent")

    def incr_created_event_counter(self, tracking: Tracking) -> None:
        self._increase("created", tracking)

    def incr_subsequent_event_counter(self, tracking: Tracking) -> None:
        self._increase("subsequent", tracking)

    def _number(self, name: str) -> int:
        with self.datastore.transaction(commit=False) as cursor:
            cursor.execute("SELECT number FROM counters WHERE name = ?", [name])
            row = cursor.fetchone()
            return row["number"] if row else 0

    def _increase(self, name: str, tracking: Tracking) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(
                "INSERT INTO counters VALUES (?, 1) "
                "ON CONFLICT (name) DO UPDATE SET number = number + 1",
                [name],
            )


class TestEventCountersView(OnFiles, library_projection.EventCountersViewTestCase):
    def construct_event_counters_view(self) -> EventCounters:
        view = EventCounters(self.datastore())
        view.create_table()
        return view


class TestProjection(OnFiles, library_projection.AggregateEventCountersProjectionTestCase):
    view_class = EventCounters
    env: ClassVar[dict[str, str]] = {}

    def setUp(self) -> None:
        self.env.update(
            {
                "PERSISTENCE_MODULE": "adapters.store.sqlite:Factory",
                "SQLITE_DBNAME": str(self.path),
            }
        )


# Positions, and what was stored.


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


@pytest.fixture
def store(path: Path) -> Iterator[EventStore]:
    with closing(open_store(path)) as store:
        yield store


@contextmanager
def sql(path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody at the file with another program; what they did is committed."""
    with closing(sqlite3.connect(path)) as connection, connection:
        yield connection


def stored(number: int, stream: str = "approval-1_1") -> StoredEvent:
    return StoredEvent(stream, number, "approval.replied", b"{}")


def contents(store: EventStore) -> list[tuple[int, str, int, bytes]]:
    return [
        (n.id, str(n.originator_id), n.originator_version, n.state)
        for n in store.read_after(0, 1000)
    ]


def test_a_position_is_never_given_twice(store: EventStore, path: Path) -> None:
    assert store.recorder.insert_events([stored(1), stored(2), stored(3)]) == [1, 2, 3]
    with sql(path) as connection:
        connection.execute("DROP TRIGGER events_are_never_deleted")
        connection.execute("DELETE FROM stored_events WHERE position = 3")
    assert store.recorder.insert_events([stored(3)]) == [4]
    assert store.last_position() == 4


def test_what_was_refused_takes_no_position(store: EventStore) -> None:
    store.recorder.insert_events([stored(1)])
    with pytest.raises(IntegrityError):
        store.recorder.insert_events([stored(2), stored(1)])
    assert store.recorder.insert_events([stored(2)]) == [2]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE stored_events SET state = x'00'",
        "UPDATE OR REPLACE stored_events SET position = 2 WHERE position = 1",
        "DELETE FROM stored_events WHERE position = 1",
        "DELETE FROM stored_events",
        "INSERT OR REPLACE INTO stored_events VALUES (2, 'approval-9_9', 1, 'x', x'00')",
        "INSERT OR REPLACE INTO stored_events VALUES (9, 'approval-1_1', 2, 'x', x'00')",
        "REPLACE INTO stored_events SELECT 9, originator_id, 2, topic, x'00' FROM stored_events",
        "INSERT INTO stored_events VALUES (2, 'x', 1, '', '') ON CONFLICT DO UPDATE SET topic = ''",
    ],
)
def test_no_sql_changes_or_deletes_an_event(store: EventStore, path: Path, statement: str) -> None:
    store.recorder.insert_events([stored(1), stored(2)])
    before = contents(store)
    with (
        pytest.raises(sqlite3.IntegrityError, match="events are never"),
        sql(path) as connection,
    ):
        connection.execute(statement)
    assert contents(store) == before


def test_events_and_delivery_keys_are_stored_together_or_not_at_all(store: EventStore) -> None:
    recorder = store.recorder
    recorder.insert_events([stored(1)], delivery_keys=[("zhangsan", "first", NOON)])
    with pytest.raises(IntegrityError):
        recorder.insert_events([stored(1)], delivery_keys=[("zhangsan", "second", NOON)])
    with pytest.raises(IntegrityError):
        recorder.insert_events([stored(2)], delivery_keys=[("zhangsan", "first", NOON)])
    known = recorder.select_delivery_keys(
        [("zhangsan", "first"), ("zhangsan", "second"), ("lisi", "first")]
    )
    assert known == {("zhangsan", "first")}
    assert store.last_position() == 1


def test_many_streams_are_read_in_one_go(store: EventStore) -> None:
    streams = [f"approval-{number}_1" for number in range(1234)]
    store.recorder.insert_events([stored(1, stream) for stream in streams])
    store.recorder.insert_events([stored(2, streams[700])])
    found = store.recorder.select_streams([*streams, "approval-nowhere"])
    assert len(found) == 1235
    assert [n.id for n in found if n.originator_id == streams[700]] == [701, 1235]


def test_the_runs_of_a_node_are_its_own_only(tmp_path: Path) -> None:
    """The next run of a node cancels its lower ones, and nothing whose name is like it."""
    others = ["1_10", "1_1-x", "1_1:2", "1", "1_1_2"]
    with opened(tmp_path) as house:
        house.do(*(ask(obj_id=obj_id, run=2) for obj_id in others), ask(obj_id="1_1", run=9))
        house.do(ask(obj_id="1_1", run=10))
        approvals = house.store.load_all(
            Approval, [approval_stream(f"{obj_id}.2") for obj_id in others]
        )
        assert [a.status for a in approvals.values()] == ["pending"] * len(others)
        superseded = house.store.load(Approval, approval_stream("1_1.9"))
        assert superseded is not None
        assert superseded.status == "cancelled"
        following = house.do(cancels(reply_id="1_1.10"), ask_next(obj_id="1_1"))
        assert following.reply_id == "1_1.11"


def test_an_aggregate_is_loaded_as_it_was(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        house.do(ask(), presses("zhangsan", APPROVE))
        then = house.store.load_as_of(Approval, approval_stream(NODE), 1)
        now = house.store.load(Approval, approval_stream(NODE))
        assert now is not None
        assert (then.status, then.version, then.number) == ("pending", 1, 1)
        assert (now.status, now.version, now.number) == ("approved", 3, 1)


def test_two_that_start_together_agree_on_the_installation(store: EventStore) -> None:
    with closing(store.another()) as other:
        barrier = threading.Barrier(2, timeout=SOON_S)
        found: list[str] = []

        def start(one: EventStore) -> None:
            barrier.wait()
            found.append(one.found(NOON).feed_id)

        threads = [threading.Thread(target=start, args=[one]) for one in (store, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SOON_S)
        assert found == [store.found(NOON).feed_id] * 2
        assert store.last_position() == 1


@pytest.mark.parametrize("url", ["", "sqlite:///", "postgresql://x/y", "sqlite://x", "/tmp/x"])  # noqa: S108
def test_what_names_no_sqlite_file_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="sqlite:///PATH"):
        sqlite_path(url)


def test_three_slashes_are_relative_and_four_absolute() -> None:
    assert sqlite_path("sqlite:///var/x.db") == Path("var/x.db")
    assert sqlite_path("sqlite:////var/x.db") == Path("/var/x.db")


# Durability.


def pragmas(datastore: DurableDatastore) -> list[tuple[str, int]]:
    """Journal mode and synchronous of several connections that are open at once."""
    with ExitStack() as open_connections:
        found = []
        for _ in range(4):
            connection = open_connections.enter_context(datastore.get_connection(commit=False))
            cursor = connection.cursor()
            cursor.execute("PRAGMA journal_mode")
            mode = cursor.fetchone()[0]
            cursor.execute("PRAGMA synchronous")
            found.append((mode, cursor.fetchone()[0]))
    return found


def test_every_connection_writes_ahead_and_forces_each_commit_to_disk(store: EventStore) -> None:
    full = 2
    with closing(store.another()) as other:
        for recorder in (store.recorder, other.recorder):
            assert pragmas(recorder.datastore) == [("wal", full)] * 4


def test_a_write_waits_for_the_lock(store: EventStore, path: Path) -> None:
    written = threading.Event()

    def write() -> None:
        store.recorder.insert_events([stored(1)])
        written.set()

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writer = threading.Thread(target=write)
        writer.start()
        assert not written.wait(0.3)
        assert store.last_position() == 0  # and nobody who reads waits with it
        other.execute("COMMIT")
    assert written.wait(SOON_S)
    writer.join(SOON_S)


def test_reading_first_does_not_make_a_write_fail(store: EventStore, path: Path) -> None:
    """Deferred, it would fail at once: another wrote since it read."""
    with store.recorder.datastore.transaction(commit=True) as cursor:
        cursor.execute("SELECT COUNT(*) FROM stored_events")
        assert cursor.fetchone()[0] == 0
        with (
            closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("INSERT INTO stored_events VALUES (1, 'approval-1_1', 1, 'x', x'00')")
        cursor.execute("INSERT INTO stored_events VALUES (1, 'approval-1_1', 1, 'x', x'00')")
    assert store.last_position() == 1


def test_a_store_of_a_newer_program_is_refused_and_left_alone(path: Path) -> None:
    with sql(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(NewerStore, match="use the version that wrote it"):
        open_store(path)
    with sql(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION + 1,)
        assert connection.execute("SELECT * FROM sqlite_master").fetchall() == []


def test_a_store_of_this_program_says_so(store: EventStore, path: Path) -> None:
    with sql(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_what_is_no_database_is_unavailable(path: Path) -> None:
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(Exception, match="not a database"):
        open_event_store(f"sqlite:///{path}")


# Following.


class Follower:
    """Takes what a subscription yields, on a thread of its own."""

    def __init__(self, subscription: EventSubscription) -> None:
        self._subscription = subscription
        self._arrived = threading.Condition()
        self.positions: list[int] = []
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._follow)

    def __enter__(self) -> "Follower":
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._subscription.stop()
        self._thread.join(SOON_S)
        assert not self._thread.is_alive()

    def has(self, number: int, timeout_s: float = SOON_S) -> bool:
        with self._arrived:
            return self._arrived.wait_for(lambda: len(self.positions) >= number, timeout_s)

    def has_failed(self) -> bool:
        with self._arrived:
            return self._arrived.wait_for(lambda: self.error is not None, SOON_S)

    def _follow(self) -> None:
        try:
            with self._subscription:
                while chunk := self._subscription.next_chunk():
                    with self._arrived:
                        self.positions.extend(n.id for n in chunk)
                        self._arrived.notify_all()
        except BaseException as error:
            with self._arrived:
                self.error = error
                self._arrived.notify_all()


def test_a_commit_of_this_process_wakes_every_follower_of_the_file(
    store: EventStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "DATA_VERSION_POLL_S", 3600)
    relative = Path(os.path.relpath(path))
    with (
        closing(store.another()) as other,
        closing(open_store(relative)) as third,
        Follower(other.follow(0)) as one,
        Follower(third.follow(0)) as two,
    ):
        for number in (1, 2, 3):
            store.recorder.insert_events([stored(number)])
            assert one.has(number)
            assert two.has(number)


def test_a_commit_of_another_process_wakes_a_follower_within_a_second(
    store: EventStore, path: Path
) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.stores import open_store\n"
        "from tests.test_sqlite_recorder import stored\n"
        "store = open_store(Path(sys.argv[1]))\n"
        "print('ready', flush=True)\n"
        "for number in (1, 2):\n"
        "    sys.stdin.readline()\n"
        "    store.recorder.insert_events([stored(number)])\n"
        "    print('stored', flush=True)\n"
        "store.close()\n"
    )
    with (
        Follower(store.follow(0)) as follower,
        subprocess.Popen(
            [sys.executable, "-c", script, str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for number in (1, 2):
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "stored\n"
            assert follower.has(number, timeout_s=1.0)
    assert process.returncode == 0


def test_a_follower_gets_each_event_once_and_in_order_from_where_it_begins(
    store: EventStore,
) -> None:
    """More than the library reads in one go, and written while it follows."""
    store.recorder.insert_events([stored(number) for number in range(1, 1302)])
    with Follower(store.follow(100)) as follower:
        for number in range(1302, 1402):
            store.recorder.insert_events([stored(number)])
        assert follower.has(1301)
        assert follower.positions == list(range(101, 1402))


def test_a_follower_hears_that_the_store_cannot_be_read(store: EventStore, path: Path) -> None:
    with Follower(store.follow(0)) as follower:
        store.recorder.insert_events([stored(1)])
        assert follower.has(1)
        with sql(path) as connection:
            connection.execute("ALTER TABLE stored_events RENAME TO elsewhere")
        assert follower.has_failed()
    assert isinstance(follower.error, OperationalError)


def test_a_subscription_that_has_ended_leaves_no_thread(store: EventStore) -> None:
    before = set(threading.enumerate())
    for _ in range(3):
        with Follower(store.follow(0)):
            assert len(set(threading.enumerate()) - before) == 3
    with store.follow(0):
        pass
    assert set(threading.enumerate()) == before


def open_files(directory: Path) -> set[str]:
    """Which files below the directory this process has open."""
    descriptors = Path("/proc/self/fd")
    links = (one.readlink() for one in descriptors.iterdir() if one.is_symlink())
    return {str(link) for link in links if link.is_relative_to(directory)}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="asks Linux")
def test_closing_everything_leaves_no_file_open(tmp_path: Path) -> None:
    with (
        opened(tmp_path) as house,
        closing(house.store.another()) as other,
        Follower(other.follow(0)) as follower,
    ):
        house.do(ask(), presses("zhangsan", APPROVE))
        assert follower.has(3)
        house.rows("todo")
        assert len(open_files(tmp_path)) > 2
    assert open_files(tmp_path) == set()
    # The last connection takes these along, so there was no other, in no process.
    assert not list(tmp_path.glob("*-wal")) + list(tmp_path.glob("*-shm"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="asks Linux")
def test_a_store_that_was_refused_leaves_no_file_open(tmp_path: Path, path: Path) -> None:
    with sql(path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(NewerStore):
        open_store(path)
    assert open_files(tmp_path) == set()


def test_read_models_write_ahead_and_need_not_force_each_commit(tmp_path: Path) -> None:
    normal = 1
    with closing(open_read_models(tmp_path / "views.db")) as read_models:
        assert pragmas(read_models._datastore) == [("wal", normal)] * 4
