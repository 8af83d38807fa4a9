"""Feeds stored events to every projection, from where each stopped."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog
from eventsourcing.persistence import Notification, PersistenceError

from domain.aggregate import Event
from domain.approval import Approval
from domain.identity import APPROVAL_STREAM
from projections.approvals import ApprovalList
from projections.audit_trail import AuditTrail
from projections.database import Database, Tables
from projections.deadlines import Deadlines
from projections.decided import DecidedList
from projections.decision_feed import DecisionFeed
from projections.figures import Figures
from projections.history import History, HistoryMembers, HistoryReaders
from projections.outbox import Outbox
from projections.projection import Fact, Projection
from projections.sessions import SessionList
from projections.todo import TodoList
from projections.webhooks import WebhookQueue

ALL: tuple[Projection, ...] = (
    ApprovalList(),
    TodoList(),
    DecisionFeed(),
    AuditTrail(),
    Deadlines(),
    Outbox(),
    SessionList(),
    WebhookQueue(),
    DecidedList(),
    History(),
    HistoryReaders(),
    HistoryMembers(),
    Figures(),
)

CHUNK = 500
MAX_REMEMBERED_APPROVALS = 10_000
RETRY_AFTER_S = 1.0

log = structlog.get_logger()


class Subscription(Protocol):
    """Stored events in order, waited for."""

    def next_chunk(self) -> Sequence[Notification]: ...
    def stop(self) -> None: ...
    def __enter__(self) -> "Subscription": ...
    def __exit__(self, *args: object) -> None: ...


class EventSource(Protocol):
    """The event store, as far as projections read it."""

    def event(self, stored: Notification) -> Event: ...
    def last_position(self) -> int: ...
    def read_after(self, position: int, limit: int) -> Sequence[Notification]: ...
    def follow(self, position: int) -> Subscription: ...
    def load_as_of(self, kind: type[Approval], stream: str, version: int) -> Approval: ...
    def close(self) -> None: ...


class Rewound(Exception):
    """A projection is not where it was left: somebody reset it to rebuild it."""

    def __init__(self, position: int) -> None:
        self.position = position
        super().__init__(f"begin again after {position}")


class Fold:
    """Approvals as they were just after each event; the latest ones are remembered."""

    def __init__(self, source: EventSource) -> None:
        self._source = source
        self._approvals: OrderedDict[str, Approval] = OrderedDict()

    def take(self, stored: Notification) -> Fact:
        """The event as a fact; within a stream, events come in order."""
        event = self._source.event(stored)
        stream = event.originator_id
        if not stream.startswith(APPROVAL_STREAM):
            return Fact(stored.id, event, None)
        approval = self._approvals.pop(stream, None)
        if event.originator_version == 1:
            approval = Approval(stream)
            approval.number = stored.id
        elif approval is None or approval.version != event.originator_version - 1:
            approval = self._source.load_as_of(Approval, stream, event.originator_version - 1)
        approval.apply(event)
        self._approvals[stream] = approval
        if len(self._approvals) > MAX_REMEMBERED_APPROVALS:
            self._approvals.popitem(last=False)
        return Fact(stored.id, event, approval)

    def forget(self) -> None:
        """Start from the store again: what was taken in may not have been kept."""
        self._approvals.clear()


class ProjectionRunner:
    """
    Keeps the read models up with the event sequence, on a thread of its own.

    A chunk of events, the rows that follow from it and the positions are one transaction: after
    a crash each projection goes on where it stopped, without a gap or a repeat.
    """

    def __init__(
        self,
        source: EventSource,
        database: Database,
        projections: Sequence[Projection] = ALL,
        on_progress: Callable[[int], None] = lambda position: None,
    ) -> None:
        self.source = source
        self._database = database
        self._projections = {projection.name: projection for projection in projections}
        self.on_progress = on_progress
        self._fold = Fold(source)
        self._moved = threading.Condition()
        self._stopping = threading.Event()
        self._subscription: Subscription | None = None
        self._thread = threading.Thread(target=self._run, name="projections", daemon=True)
        self.failure: str | None = None
        """What keeps the read models from going on, while it does."""
        self.position = self._stored_position()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Finish the chunk under way, then end."""
        self._stopping.set()
        if self._subscription is not None:
            self._subscription.stop()
        if self._thread.is_alive():
            self._thread.join()

    def wait_for(self, position: int, timeout_s: float) -> None:
        """
        Block until everything up to that position has been taken in.

        Raises:
            TimeoutError: It has not, after that time.
        """
        with self._moved:
            if not self._moved.wait_for(lambda: self.position >= position, timeout_s):
                raise TimeoutError(f"read models are at {self.position}, not at {position}")

    def catch_up(self, on_chunk: Callable[[int], None] = lambda position: None) -> None:
        """Take in everything there is, on the caller's thread."""
        while chunk := self.source.read_after(self.position, CHUNK):
            try:
                self.take(chunk)
            except Rewound as rewound:
                self._begin_after(rewound.position)
            on_chunk(self.position)

    def rebuild(
        self, names: Sequence[str], on_chunk: Callable[[int], None] = lambda position: None
    ) -> None:
        """
        Empty some projections and take in everything again, on the caller's thread.

        One transaction: until it ends, and if it fails, everybody sees the old rows. Half an
        outbox would have messages sent again, half a todo list make a reply mean something else.
        """
        self._fold.forget()
        last = 0
        with self._database.transaction() as tables:
            self._database.reset(tables, {n: self._projections[n].schema for n in names})
            while chunk := self.source.read_after(last, CHUNK):
                last = self._project(chunk, tables)
                on_chunk(last)
        self._move_to(last)

    def take(self, chunk: Sequence[Notification]) -> None:
        """One transaction."""
        with self._database.transaction() as tables:
            reached = min(self._database.positions(tables, list(self._projections)).values())
            if reached != self.position:
                raise Rewound(reached)
            last = self._project(chunk, tables)
        self._move_to(last)

    def _project(self, chunk: Sequence[Notification], tables: Tables) -> int:
        """Rows and positions that follow from some events; how far that is."""
        seen = self._database.positions(tables, list(self._projections))
        for stored in chunk:
            fact = self._fold.take(stored)
            for name, projection in self._projections.items():
                if seen[name] < fact.position:
                    projection.project(fact, tables)
        tables.finish()
        last = chunk[-1].id
        self._database.set_positions(tables, {name: max(at, last) for name, at in seen.items()})
        return last

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except Rewound as rewound:
                log.warning("read models moved by somebody else", position=rewound.position)
            except PersistenceError as error:
                self._fail(str(error))
            except Exception as error:
                log.exception("projection failed")
                self._fail(f"{type(error).__name__}: {error}")

    def _follow(self) -> None:
        self._begin_after(self._stored_position())
        if self.position >= self.source.last_position():
            self.failure = None  # somebody else, such as a rebuild, has taken in the rest
        with self.source.follow(self.position) as subscription:
            self._subscription = subscription
            while not self._stopping.is_set() and (chunk := subscription.next_chunk()):
                self.take(chunk)
                self.failure = None

    def _fail(self, why: str) -> None:
        log.error("read models stand still", why=why, position=self.position)
        self.failure = why
        self._stopping.wait(RETRY_AFTER_S)

    def _begin_after(self, position: int) -> None:
        self._fold.forget()
        self._move_to(position)

    def _move_to(self, position: int) -> None:
        with self._moved:
            self.position = position
            self._moved.notify_all()
        self.on_progress(position)

    def _stored_position(self) -> int:
        with self._database.transaction() as tables:
            return min(self._database.positions(tables, list(self._projections)).values())
