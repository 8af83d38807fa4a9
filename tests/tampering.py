"""A store with a signed tree, and somebody who alters it behind the service's back."""
# ruff: noqa: S608  # the statements are made of our own numbers and names

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path

from adapters.evidence.growing import Grower
from adapters.evidence.heads import TreeHead, read_head
from adapters.evidence.keys import public_keys
from adapters.evidence.logs import made_keys
from adapters.evidence.outside import in_order
from adapters.evidence.verification import Verification, Verifier
from adapters.store.event_store import EventStore, open_event_store
from adapters.store.snapshot import opened_snapshot
from domain.aggregate import Event
from domain.approval import Approval
from domain.commands import RecordDelivery, RequestApproval
from tests.scenario import NOON
from web.keyring import Keyring, make_what_is_missing
from web.vault import Vault

VAULT = Vault(bytes(32))
COLUMNS = ("originator_id", "originator_version", "topic", "state")
GUARDS = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"


def events(count: int, first: int = 0) -> Iterator[Event]:
    """Of approvals that were asked, delivered and cancelled, five of them under way at a time."""
    return islice(_events(first), count)


def _events(first: int) -> Iterator[Event]:
    while True:
        asked = [_approval(number) for number in range(first, first + 5)]
        for approval in asked:
            yield from approval.collect_events()
        for number, approval in enumerate(asked):
            delivery = RecordDelivery(
                at=NOON, stream=approval.id, notice="ask/zhangsan", to="zhangsan"
            )
            approval.record_delivery(delivery)
            yield from approval.collect_events()
            if number % 2:
                approval.cancel("fta", "不再需要", NOON)
                yield from approval.collect_events()
        first += 5


def _approval(number: int) -> Approval:
    request = RequestApproval(
        at=NOON,
        engine="fta",
        obj_id=f"{number}_1",
        message=f"替换故障机 10.0.{number // 250}.{number % 250}",
        approvers=["zhangsan"],
    )
    return Approval.request(request, [])


def grower(store: EventStore, file: Path | None = None) -> Grower:
    feed_id = store.found(NOON).feed_id
    keyring = Keyring(lambda: store.found(NOON), VAULT)
    return Grower(store, feed_id, keyring.tree_key, lambda: NOON, file)


@dataclass
class Evidence:
    """A store's file, as it was and as it is."""

    path: Path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    @classmethod
    def made(cls, folder: Path, count: int, heads: int = 20) -> "Evidence":
        """A store of about that many events, covered by that many heads or a few more."""
        folder.mkdir(exist_ok=True)
        made = cls(folder / "events.db")
        with closing(open_event_store(made.url)) as store:
            make_what_is_missing_at_first(store)
            grows, all_of_them = grower(store), events(count)
            grows.grow()
            while portion := list(islice(all_of_them, max(count // heads, 1))):
                store.save(portion)
                while grows.grow() is not None:
                    pass
        return made

    def verify(self, *outside: TreeHead) -> Verification:
        with opened_snapshot(self.url) as snapshot, in_order(outside) as heads:
            keys = public_keys(key.public for key in made_keys(snapshot))
            return Verifier(snapshot, keys, heads).run()

    def heads(self) -> list[TreeHead]:
        with opened_snapshot(self.url) as snapshot:
            return [read_head(text) for _, text in snapshot.heads()]

    def alter(self, *statements: str) -> None:
        """By a connection of one's own, with nothing in the way."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            guards = connection.execute(GUARDS).fetchall()
            connection.execute("BEGIN IMMEDIATE")
            for name, _ in guards:
                connection.execute(f"DROP TRIGGER {name}")
            for statement in (*statements, *(sql for _, sql in guards)):
                connection.execute(statement)
            connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(statement).fetchall()

    def copied(self, folder: Path) -> "Evidence":
        """Another file with the same in it."""
        self.alter()
        folder.mkdir(exist_ok=True)
        return Evidence(Path(shutil.copy(self.path, folder / self.path.name)))


def make_what_is_missing_at_first(store: EventStore) -> None:
    store.found(NOON - timedelta(days=1))
    make_what_is_missing(store, VAULT, NOON)


@dataclass
class Tamperer:
    """Alters one thing anywhere in the events."""

    evidence: Evidence
    chance: random.Random

    def flip(self) -> tuple[int, str]:
        """One bit of one byte in any column; a number becomes another one."""
        position, column = self._somewhere(), self.chance.choice(COLUMNS)
        ((before,),) = self.evidence.rows(
            f"SELECT CAST({column} AS BLOB) FROM stored_events WHERE position = {position}"
        )
        assert isinstance(before, bytes)
        place, bit = self.chance.randrange(len(before)), 1 << self.chance.randrange(7)
        after = before[:place] + bytes([before[place] ^ bit]) + before[place + 1 :]
        kind = "BLOB" if column == "state" else "TEXT"
        try:
            self._alter(
                f"UPDATE stored_events SET {column} = CAST(x'{after.hex()}' AS {kind}) "
                f"WHERE position = {position}"
            )
        except sqlite3.IntegrityError:  # that stream has such a version
            return self.flip()
        return position, "changed"

    def delete(self) -> tuple[int, str]:
        position = self._somewhere()
        self._alter(f"DELETE FROM stored_events WHERE position = {position}")
        return position, "removed"

    def swap(self) -> tuple[int, str]:
        """What stands at two positions."""
        one, other = sorted((self._somewhere(), self._somewhere()))
        if one == other:
            return self.swap()
        self._alter(
            f"UPDATE stored_events SET position = -1 WHERE position = {one}",
            f"UPDATE stored_events SET position = {one} WHERE position = {other}",
            f"UPDATE stored_events SET position = {other} WHERE position = -1",
        )
        return one, "moved"

    def insert(self) -> tuple[int, str]:
        """A copy of an event under another name, before another one; those after it move on."""
        position = self._somewhere()
        columns = "originator_version, topic, state"
        self._alter(
            f"UPDATE stored_events SET position = -position WHERE position >= {position}",
            "UPDATE stored_events SET position = 1 - position WHERE position < 0",
            f"INSERT INTO stored_events (position, originator_id, {columns}) "
            f"SELECT {position}, originator_id || 'x', {columns} FROM stored_events "
            f"WHERE position = {position + 1}",
        )
        return position, "inserted"

    def _somewhere(self) -> int:
        ((last,),) = self.evidence.rows("SELECT MAX(position) FROM stored_events")
        assert isinstance(last, int)
        return self.chance.randint(1, last)

    def _alter(self, *statements: str) -> None:
        self.evidence.alter(*statements)


def tail_removed(evidence: Evidence, size: int) -> None:
    """Everything after the first so many events, with every trace of it in the database."""
    ((position,),) = evidence.rows(
        f"SELECT position FROM tree_leaves WHERE leaf_index = {size - 1}"
    )
    evidence.alter(
        f"DELETE FROM stored_events WHERE position > {position}",
        f"DELETE FROM tree_leaves WHERE leaf_index >= {size}",
        f"DELETE FROM tree_heads WHERE tree_size > {size}",
        "DELETE FROM tree_frontier",
        f"UPDATE sqlite_sequence SET seq = {position} WHERE name = 'stored_events'",
    )
