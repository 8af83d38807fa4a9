"""
What is written into a store that is put back, so that it does no harm (contract 6.8).

It remembers a time that has passed: what was decided, sent, opened and taken back since is not in
it. So nothing of that time goes on: permits are void, what waits is cancelled, logins end, and
what was still to be sent then is not sent now, for most of it was.
"""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from adapters.store.copies import Inventory, unended
from adapters.store.event_store import SQLITE_URL, EventStore, open_event_store
from adapters.store.read_models import ReadModelDatabase
from domain.aggregate import Aggregate, Event
from domain.approval import RESTORED, Approval
from domain.commands import RecordDelivery
from domain.configuration import CONFIGURATION_STREAM, Configuration
from domain.freeze import FREEZE_STREAM, Freeze, Frozen
from domain.identity import APPROVAL_STREAM, approval_stream
from domain.inbox import Inbox
from domain.installation import STREAM, Installation
from domain.session import Session
from projections.outbox import all_messages
from projections.projection import ENDS
from projections.runner import ALL, ProjectionRunner
from projections.webhooks import all_waiting
from web.backup_check import Advance
from web.in_force import Secrets
from web.keyring import Keyring, add_permit_key
from web.vault import Vault

WITHHELD = "withheld: the store was restored from a copy, and this may have been sent before"
AT_ONCE = 500
ENDED = [event.TOPIC for event in ENDS]

T = TypeVar("T", bound=Aggregate)


class StillHarmful(Exception):
    """A mistake of ours: something of the time of the copy would go on."""


@dataclass(frozen=True, slots=True)
class Restoring:
    """Which copy is made a store of its own, by whom and when."""

    path: Path
    inventory: Inventory
    by: str
    at: datetime

    @property
    def as_of(self) -> datetime:
        return self.inventory.as_of or self.at


@dataclass(slots=True)
class Restored:
    """What was written, for whoever restores."""

    feed_id: str
    earlier_feed_id: str
    frozen: Frozen | None
    """A freeze that stood at the time of the copy; it stands."""
    cancelled: int = 0
    logins: int = 0
    messages: int = 0
    webhooks: int = 0


class Changes:
    """Aggregates of the copy, each loaded once, with what is to be written of them."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._loaded: dict[str, Aggregate] = {}

    def every(self, kind: type[T], streams: Sequence[str]) -> Iterator[T]:
        """Those that exist, in that order."""
        for begin in range(0, len(streams), AT_ONCE):
            some = streams[begin : begin + AT_ONCE]
            found = self._store.load_all(kind, [s for s in some if s not in self._loaded])
            self._loaded.update(found)
            for stream in some:
                one = self._loaded.get(stream)
                if isinstance(one, kind):
                    yield one

    def events(self) -> list[Event]:
        """Everything that was triggered, aggregate by aggregate in the order of their loading."""
        return [event for one in self._loaded.values() for event in one.collect_events()]


def make_harmless(restoring: Restoring, views: Path, vault: Vault, bar: Advance) -> Restored:
    """
    Write all of it in one transaction, and make the read models of the store as it is then.

    Args:
        views: Where the read models are made.

    Raises:
        WrongSecretKey: The copy was sealed with another key.
        StillHarmful: It must not be used.
    """
    feed_id, last = uuid.uuid4().hex, restoring.inventory.position
    schemas = {projection.name: projection.schema for projection in ALL}
    with (
        closing(open_event_store(f"{SQLITE_URL}{restoring.path.absolute()}")) as store,
        closing(ReadModelDatabase(views, feed_id, schemas)) as tables,
    ):
        changes = Changes(store)
        earlier = _renewed(changes, restoring, feed_id, vault)
        runner = ProjectionRunner(store, tables)
        runner.catch_up(lambda position: bar(position, last))
        freeze = store.load(Freeze, FREEZE_STREAM)
        done = Restored(feed_id, earlier, freeze.in_force if freeze else None)
        done.logins = _end_logins(changes, restoring)
        done.cancelled = _cancel(changes, restoring)
        done.messages = _withhold_messages(changes, tables, restoring)
        done.webhooks = _withhold_webhooks(changes, tables, restoring)
        store.save(changes.events())
        runner.catch_up()
        _check(restoring, tables)
    return done


def _renewed(changes: Changes, restoring: Restoring, feed_id: str, vault: Vault) -> str:
    """Another feed, another key for permits, no link to the settings; the feed that it was."""
    found = list(changes.every(Installation, [STREAM]))
    if not found:
        raise StillHarmful("no service has run on this store yet: there is nothing to restore")
    (installation,), by, at = found, restoring.by, restoring.at
    earlier = installation.feed_id
    position = restoring.inventory.position
    installation.restore(feed_id, by, at, position=position, as_of=restoring.as_of)
    add_permit_key(installation, vault, at, by, voids_earlier=True)
    secrets = Secrets(vault, Keyring(lambda: installation, vault).fingerprint_key())
    for configuration in changes.every(Configuration, [CONFIGURATION_STREAM]):
        for name, stored in configuration.stored.items():
            secrets.text_of(name, stored)  # opened once: a wrong key shows now
        configuration.withdraw_link(by, at)
    return earlier


def _end_logins(changes: Changes, restoring: Restoring) -> int:
    """Those that were open at the time of the copy, and by the clock of now still would be."""
    streams = unended(restoring.path, Session.Opened.TOPIC, [Session.Ended.TOPIC])
    moment, ended = min(restoring.at, restoring.as_of), 0
    for session in changes.every(Session, streams):
        if session.member(moment) is not None:
            session.end(restoring.at, RESTORED)
            ended += 1
    return ended


def _cancel(changes: Changes, restoring: Restoring) -> int:
    pending = unended(restoring.path, Approval.Requested.TOPIC, ENDED)
    for approval in changes.every(Approval, pending):
        approval.cancel_restored(restoring.by, restoring.at)
    return len(pending)


def _withhold_messages(changes: Changes, tables: ReadModelDatabase, restoring: Restoring) -> int:
    """Of what the sender would have sent next, each is recorded as not sent."""
    rows = all_messages(tables)
    for row in rows:
        for about in changes.every(_kind_of(row["stream"]), [row["stream"]]):
            about.record_delivery(
                RecordDelivery(
                    at=restoring.at,
                    stream=row["stream"],
                    notice=row["notice"],
                    to=row["userid"],
                    problem=WITHHELD,
                )
            )
    return len(rows)


def _withhold_webhooks(changes: Changes, tables: ReadModelDatabase, restoring: Restoring) -> int:
    """An engine that was told to go ahead must not be told so again; a person may have it sent."""
    rows = all_waiting(tables)
    for row in rows:
        for approval in changes.every(Approval, [approval_stream(row["reply_id"])]):
            approval.withhold_webhook(row["position"], WITHHELD, restoring.at)
    return len(rows)


def _kind_of(stream: str) -> type[Approval | Configuration | Inbox]:
    if stream == CONFIGURATION_STREAM:
        return Configuration
    return Approval if stream.startswith(APPROVAL_STREAM) else Inbox


def _check(restoring: Restoring, tables: ReadModelDatabase) -> None:
    """By what was written, and by what the service would do next."""
    position = restoring.inventory.position
    rows = [*all_messages(tables), *all_waiting(tables)]
    if unended(restoring.path, Approval.Requested.TOPIC, ENDED):
        raise StillHarmful("an approval would still wait: nothing was put in place")
    if any(row["position"] <= position for row in rows):
        raise StillHarmful("something old would still be sent: nothing was put in place")
