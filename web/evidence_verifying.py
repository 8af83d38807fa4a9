"""
`fta-approval audit verify`: everything computed anew from the stored events, told and recorded.

Reads the event store's file alone: no secret key, no read models, no running service.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from adapters.evidence.head_file import heads_in, only_head
from adapters.evidence.heads import TreeHead
from adapters.evidence.keys import given_keys, public_keys
from adapters.evidence.logs import made_keys
from adapters.evidence.outside import in_order
from adapters.evidence.verification import Verification, Verifier
from adapters.store.event_store import SQLITE_URL, open_event_store
from adapters.store.snapshot import Snapshot, opened_snapshot
from adapters.store.writer import Writer
from domain.commands import RecordVerification
from domain.unit import Directory
from web.rebuilding import progress_bar
from web.settings import Settings
from web.shell_account import shell_account

IN_ITSELF = (
    "consistent in itself. Without a head from outside this does not show that nobody with the "
    "database made all of it anew and had it signed, or took away the newest events and their "
    "heads: give --heads what an engine or another machine has kept (docs/audit.md)"
)
OWN_KEY = "the heads are signed with keys that the store itself names: --key takes yours instead"


@dataclass(frozen=True)
class Report:
    """What a verification found, and by what it was measured."""

    found: Verification
    unreadable: list[int]
    """Lines of the file of heads that hold none."""
    own_keys: bool
    seconds: float

    @property
    def is_good(self) -> bool:
        return self.found.problem is None

    @property
    def verdict(self) -> str:
        """One sentence, the first thing that is wrong if something is."""
        if self.found.problem is not None:
            return f"NOT as it was recorded: {self.found.problem.sentence}"
        if (last := self.found.newest_outside) is None:
            return IN_ITSELF
        return (
            f"agrees with {_many(self.found.outside, 'head')} from outside, the last of size "
            f"{last.tree_size} at {last.timestamp}; what came later is consistent in itself"
        )

    def lines(self) -> list[str]:
        found = self.found
        what = f"{_many(found.tree_size, 'event')} up to position {found.position}"
        said = [f"{what} in {self.seconds:.1f} s; {_many(found.heads, 'signed head')} in the store"]
        if found.problem is None and found.tree_size > found.covered:
            rest = found.tree_size - found.covered
            said.append(
                f"the last {_many(rest, 'event')} no head covers yet: nothing is shown of them"
            )
        if self.unreadable:
            numbers = ", ".join(map(str, self.unreadable[:10]))
            said.append(f"lines of the file of heads that are unfinished or no heads: {numbers}")
        if found.foreign:
            said.append(
                f"{_many(found.foreign, 'head')} from outside "
                f"{'is' if found.foreign == 1 else 'are'} of another log: left aside"
            )
        if found.not_here:
            said.append(
                f"{_many(found.not_here, 'event')} that were recorded before a restore are not in "
                "this store: it was put back from an older copy"
            )
        if self.own_keys:
            said.append(OWN_KEY)
        return [*said, self.verdict]

    def as_json(self) -> dict[str, Any]:
        found = self.found
        return {
            "ok": self.is_good,
            "verdict": self.verdict,
            "problem": None if found.problem is None else found.problem.as_json(),
            "events": found.tree_size,
            "position": found.position,
            "root_hash": found.root_hash,
            "covered": found.covered,
            "heads": found.heads,
            "heads_from_outside": found.outside,
            "last_head_from_outside": found.newest_outside and asdict(found.newest_outside),
            "heads_of_other_logs": found.foreign,
            "unreadable_lines": self.unreadable,
            "events_lost_by_restore": found.not_here,
            "keys_from_outside": not self.own_keys,
            "seconds": round(self.seconds, 3),
        }


def verify(
    settings: Settings,
    heads: str | None = None,
    key: str | None = None,
) -> Report:
    """
    Compute everything anew and compare.

    Args:
        heads: A file of heads that were kept outside; by default that of the settings, if there.
        key: The public key, or a file of keys, instead of those that the store names.

    Raises:
        FileNotFoundError: There is no event store, or no file of heads where one was named.
        BadHead: The file that was named holds none.
        BadKey, OSError, sqlite3.Error, NewerStore
    """
    begun, unreadable = time.monotonic(), list[int]()
    file = heads_file(settings) if heads is None else Path(heads)
    outside = () if file is None else _outside(file, unreadable, is_named=heads is not None)
    with (
        opened_snapshot(settings.database) as snapshot,
        in_order(outside) as ordered,
        progress_bar() as bar,
    ):
        task = bar.add_task("verifying", total=snapshot.count())
        verifier = Verifier(
            snapshot,
            _keys(snapshot, key),
            ordered,
            lambda count: bar.update(task, completed=count),
        )
        found = verifier.run()
    return Report(found, unreadable, key is None, time.monotonic() - begun)


def first_alteration(path: Path, told: Callable[[int, int], None]) -> str | None:
    """The first thing in a copy of a store that is not as it was recorded; None: there is none."""
    with opened_snapshot(f"{SQLITE_URL}{path.absolute()}") as snapshot:
        count = snapshot.count()
        verifier = Verifier(snapshot, _keys(snapshot, None), None, lambda done: told(done, count))
        problem = verifier.run().problem
    return None if problem is None else problem.sentence


async def record(settings: Settings, report: Report, at: datetime) -> None:
    """
    Keep in the history that it was verified, and with what result.

    Raises:
        StoreUnavailable, EventSourcingError, OSError: It is not recorded.
    """
    with closing(open_event_store(settings.database)) as store:
        writer = Writer(store, _without_read_models, list)
        writer.start()
        try:
            command = recorded(report.found, shell_account(), "shell", at)
            await writer.execute(command)
        finally:
            await asyncio.to_thread(writer.stop)


def recorded(found: Verification, by: str, via: str, at: datetime) -> RecordVerification:
    return RecordVerification(
        at=at,
        by=by,
        via=via,
        tree_size=found.tree_size,
        position=found.position,
        root_hash=found.root_hash,
        problem=None if found.problem is None else found.problem.sentence,
    )


def _outside(file: Path, unreadable: list[int], *, is_named: bool) -> Iterator[TreeHead]:
    """
    The heads of a file. One that somebody named holds some: without, they would read that all is
    well and not notice that nothing was asked.

    Raises:
        BadHead, OSError
    """
    head = None
    for head in heads_in(file, unreadable):
        yield head
    if head is None and is_named:
        yield only_head(file)
        unreadable.clear()


def heads_file(settings: Settings) -> Path | None:
    """The file of heads that the settings name, if there is one yet."""
    own = Path(settings.tree_heads) if settings.tree_heads else None
    return own if own is not None and own.exists() else None


def _keys(snapshot: Snapshot, given: str | None) -> Mapping[str, Ed25519PublicKey]:
    if given is not None:
        return given_keys(given)
    return public_keys(made.public for made in made_keys(snapshot))


def _without_read_models(position: int) -> Directory:
    raise TimeoutError("nothing here asks the read models")


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
