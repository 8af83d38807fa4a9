"""The unit of work: aggregates loaded once for a batch of commands, and what they leave to save."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from adapters.store.event_store import EventStore
from adapters.store.sqlite import DeliveryKey
from domain.aggregate import Aggregate, Event
from domain.approval import Approval
from domain.audit import Audit
from domain.commands import (
    Command,
    Decide,
    Greet,
    RecordLeaving,
    Redeem,
    Reply,
    RequestApproval,
    RequestNextRun,
)
from domain.configuration import CONFIGURATION_STREAM, Configuration
from domain.freeze import FREEZE_STREAM, Freeze
from domain.identity import (
    APPROVAL_STREAM,
    approval_stream,
    audit_stream,
    inbox_stream,
    reply_id,
    same_person,
)
from domain.inbox import Inbox
from domain.installation import STREAM as INSTALLATION_STREAM
from domain.installation import Installation, SecretKind
from domain.permit import PermitRules, PermitTerms
from domain.session import Session, session_stream
from domain.unit import Directory

T = TypeVar("T", bound=Aggregate)

ASKING = (RequestApproval, RequestNextRun)
MAY_APPROVE = (Reply, Decide, Redeem)
FROM_CALLBACKS = (Reply, Greet, RecordLeaving)


class NeedsDirectory(Exception):
    """The command asks the read models, which have to be caught up first; run it again alone."""


class UnitOfWork:
    """
    What the commands of one transaction share: two commands for one approval see each other.

    Forget it after a conflict or a crash: its aggregates hold changes that were not saved.
    """

    def __init__(
        self,
        store: EventStore,
        super_approvers: list[str] | None,
        directory: Callable[[], Directory] | None = None,
        permit_rules: Callable[[], PermitRules] = PermitRules,
    ) -> None:
        self._given_super_approvers = super_approvers
        self._permit_rules = permit_rules
        self._unmoved: dict[str, int] = {}
        self._store = store
        self._directory = directory
        self._aggregates: dict[str, Aggregate | None] = {}
        self._touched: dict[str, Aggregate] = {}
        self._events: list[Event] = []
        self._runs: dict[str, list[str]] = {}
        self._known_deliveries: dict[tuple[str, str], bool] = {}
        self._delivery_keys: dict[tuple[str, str], datetime] = {}
        self._received_at: datetime | None = None

    def prefetch(self, commands: Sequence[Command]) -> None:
        """Load in a few queries what the commands name; the rest is loaded when it is asked for."""
        nodes = dict.fromkeys(c.obj_id for c in commands if isinstance(c, ASKING))
        self._runs = self._store.runs_of(list(nodes)) if nodes else {}
        streams = [s for c in commands for s in _named_streams(c)]
        streams += [stream for runs in self._runs.values() for stream in runs]
        if any(isinstance(c, MAY_APPROVE) for c in commands):
            streams += [FREEZE_STREAM, INSTALLATION_STREAM]
        found = self._store.load_each(_kind_of, list(dict.fromkeys(streams)))
        self._aggregates = {stream: found.get(stream) for stream in streams}
        keys = [_delivery(c.by, c.delivery_key) for c in commands if isinstance(c, FROM_CALLBACKS)]
        known = self._store.recorder.select_delivery_keys(list(dict.fromkeys(keys)))
        self._known_deliveries = {key: key in known for key in keys}

    def approval(self, reply_id: str) -> Approval | None:
        return self._get(Approval, approval_stream(reply_id))

    def runs(self, obj_id: str) -> list[Approval]:
        stored = self._runs.get(obj_id) or self._store.runs_of([obj_id])[obj_id]
        fresh = [s for s in self._aggregates if s.startswith(approval_stream(obj_id) + ".")]
        found = (self._get(Approval, stream) for stream in {*stored, *fresh})
        return sorted((run for run in found if run), key=lambda run: run.requested.run)

    def by_stream(self, stream: str) -> Approval | Inbox | Configuration | None:
        if stream == CONFIGURATION_STREAM:
            return self._get(Configuration, stream)
        if stream.startswith(APPROVAL_STREAM):
            return self._get(Approval, stream)
        return self._get(Inbox, stream)

    def inbox(self, userid: str, at: datetime) -> Inbox:
        stream = inbox_stream(userid, at)
        inbox = self._get(Inbox, stream)
        if inbox is None:
            inbox = Inbox(stream)
            self.add(inbox)
        return inbox

    def audit(self, who: str, at: datetime) -> Audit:
        stream = audit_stream(who, at)
        audit = self._get(Audit, stream)
        if audit is None:
            audit = Audit(stream)
            self.add(audit)
        return audit

    def session(self, session: str) -> Session | None:
        return self._get(Session, session_stream(session))

    def freeze(self) -> Freeze:
        freeze = self._get(Freeze, FREEZE_STREAM) or Freeze()
        self._unmoved.setdefault(FREEZE_STREAM, freeze.version)
        return freeze

    def configuration(self) -> Configuration:
        configuration = self._get(Configuration, CONFIGURATION_STREAM) or Configuration()
        self._unmoved.setdefault(CONFIGURATION_STREAM, configuration.version)
        return configuration

    @property
    def super_approvers(self) -> list[str]:
        """Those of the environment; where it names none, those that are stored at this moment."""
        if self._given_super_approvers is not None:
            return self._given_super_approvers
        return self.configuration().super_approvers()

    def permit_terms(self) -> PermitTerms | None:
        installation = self._get(Installation, INSTALLATION_STREAM)
        keys = installation.trusted(SecretKind.PERMIT_KEY) if installation else []
        rules = self._permit_rules()
        return PermitTerms(keys[-1].key_id, rules.issuer, rules.ttl) if keys else None

    def add(self, aggregate: Aggregate) -> None:
        self._aggregates[aggregate.id] = self._touched[aggregate.id] = aggregate

    def is_repeated_delivery(self, userid: str, delivery_key: str) -> bool:
        key = _delivery(userid, delivery_key)
        if key in self._delivery_keys or self._is_known(key):
            return True
        assert self._received_at is not None  # noqa: S101  # begin() was called
        self._delivery_keys[key] = self._received_at
        return False

    def directory(self) -> Directory:
        if self._directory is None:
            raise NeedsDirectory
        return self._directory()

    def begin(self, received_at: datetime) -> int:
        """Start one command; the answer tells `forget_deliveries` where it started."""
        self._received_at = received_at
        return len(self._delivery_keys)

    def end(self) -> None:
        """End one command: what it triggered stands after what came before it."""
        for aggregate in self._touched.values():
            self._events.extend(aggregate.collect_events())
        self._touched.clear()

    def forget_deliveries(self, after: int) -> None:
        """The command that began there is not carried out in this unit after all."""
        for key in list(self._delivery_keys)[after:]:
            del self._delivery_keys[key]

    def collect(self) -> tuple[list[Event], list[DeliveryKey]]:
        """Everything to be saved, in the order of the commands."""
        keys = [(member, key, at) for (member, key), at in self._delivery_keys.items()]
        return self._events, keys

    @property
    def unmoved(self) -> dict[str, int]:
        """Streams and versions: if one has moved on, what was decided here may be wrong."""
        return self._unmoved

    def number(self, positions: dict[str, int]) -> None:
        """Tell new aggregates the positions at which they began."""
        for stream, position in positions.items():
            aggregate = self._aggregates.get(stream)
            if aggregate is not None:
                aggregate.number = position

    def _is_known(self, key: tuple[str, str]) -> bool:
        if key not in self._known_deliveries:
            self._known_deliveries[key] = key in self._store.recorder.select_delivery_keys([key])
        return self._known_deliveries[key]

    def _get(self, kind: type[T], stream: str) -> T | None:
        if stream not in self._aggregates:
            self._aggregates[stream] = self._store.load(kind, stream)
        aggregate = self._aggregates[stream]
        assert aggregate is None or isinstance(aggregate, kind)  # noqa: S101  # names say the kind
        if aggregate is not None:
            self._touched[stream] = aggregate
        return aggregate


def _named_streams(command: Command) -> list[str]:
    if isinstance(command, RequestApproval):
        return [approval_stream(reply_id(command.obj_id, command.run))]
    name = getattr(command, "reply_id", None)
    if name is not None:
        return [approval_stream(name)]
    stream = getattr(command, "stream", "")
    return [stream] if stream.startswith(APPROVAL_STREAM) else []


def _kind_of(stream: str) -> type[Aggregate]:
    """Of those that are loaded beforehand."""
    named: dict[str, type[Aggregate]] = {FREEZE_STREAM: Freeze, INSTALLATION_STREAM: Installation}
    return named.get(stream, Approval)


def _delivery(userid: str, delivery_key: str) -> tuple[str, str]:
    return same_person(userid), delivery_key
