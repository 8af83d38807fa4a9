"""`fta-approval restore`: a copy of the event store put back, so that going back does no harm."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from adapters.store.copies import DamagedCopy, side_files
from adapters.store.event_store import SQLITE_URL, restoring_lease, sqlite_path
from adapters.store.lease import FileLease
from adapters.store.schema import NewerStore
from adapters.store.snapshot import opened_snapshot
from web.backup_check import altered, checked_copy, progress_bars, sizes
from web.parts import beside_database
from web.restoring_events import Restored, Restoring, make_harmless
from web.restoring_files import (
    forget_second_names,
    put_in_place,
    replace_read_models,
    settle,
    standing,
)
from web.secret_key import key_in, key_path, secret_key
from web.settings import Settings
from web.shell_account import shell_account
from web.vault import Vault

Say = Callable[[str], None]


class NotRestored(Exception):
    """What stood there stands there; says why."""


def restore(settings: Settings, copy: Path, at: datetime, say: Say) -> None:
    """
    Put a copy where the event store is, once it was found whole and made harmless.

    All of that is done under another name beside it: a crash at any moment leaves the old store in
    its place, or the whole new one.

    A store that stands there is moved aside, and nothing of it is lost.

    Raises:
        NotRestored, StoreInUse, DamagedCopy, NewerStore, WrongSecretKey: Nothing was moved.
        OSError: A file could not be written.
    """
    database = sqlite_path(settings.database)
    database.parent.mkdir(parents=True, exist_ok=True)
    with _alone(settings, database):
        place = database.resolve()  # where SQLite keeps what belongs to it, if this is a link
        forget_second_names(place)
        _check_what_stands(place, copy)
        vault = Vault(_key_that_is_there(settings))
        part = place.with_name(f"{place.name}.restored")
        views = beside_database(settings, ".restored-views")
        try:
            _remove(part, views)
            restoring, done = _prepared(copy, part, views, vault, at)
            _let_belong_to_whom_it_did(part, place)
            aside = put_in_place(part, place, at)
            replace_read_models(views, beside_database(settings, "-views"))
        except (DamagedCopy, NewerStore) as error:
            raise type(error)(f"{copy}: {error}") from error
        except sqlite3.Error as error:
            raise NotRestored(f"the copy cannot be put back: {error}") from error
        finally:
            _remove(part, views)
    for line in report(settings, copy, restoring, done, aside):
        say(line)


def what_stands(settings: Settings) -> Path | None:
    """The event store that a restore would move aside, if there is one."""
    database = sqlite_path(settings.database)
    return database if standing(database) else None


def report(
    settings: Settings, copy: Path, restoring: Restoring, done: Restored, aside: Path | None
) -> list[str]:
    """What was done, and what a person has to look at."""
    zone = ZoneInfo(settings.time_zone)

    def show(at: datetime) -> str:
        return f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S} ({zone.key})"

    time = show(restoring.as_of)
    moved = [f"the store that stood there is {aside} now, sealed with the key of its time"]
    frozen = "no freeze stood then; one that began later is lost: fta-approval freeze"
    if done.frozen is not None:
        frozen = f"approving stays frozen, by {done.frozen.by}: {done.frozen.why}"
    ended = f"{done.cancelled} approvals that waited are cancelled (restored)"
    feed = f"the decision feed is {done.feed_id} now, and no longer {done.earlier_feed_id}"
    rights = (
        f"settings, tokens and who may do what are those of {time}, where the environment does "
        "not set them: who lost a right since has it again"
    )
    return [
        f"restored from {copy}: {sizes(restoring.inventory)}; as of {time}",
        *(moved if aside is not None else []),
        f"{ended}, {done.logins} logins ended; every permit and one-time link of before is void",
        f"{done.messages} messages and {done.webhooks} webhooks of that time are withheld",
        *restoring.altered,
        f"{feed}: engines are told so, and have to look up what they wait for",
        frozen,
        rights,
        "look at fta-approval settings show before you start the service",
    ]


@contextmanager
def _alone(settings: Settings, database: Path) -> Iterator[None]:
    """While no service runs, and none starts."""
    restoring, lease = restoring_lease(database), FileLease(beside_database(settings, ".lease"))
    if not restoring.try_take():
        raise NotRestored("another restore is under way")
    try:
        if not lease.try_take():
            raise NotRestored("the service runs: stop it, in every process, then repeat this")
        yield
    finally:
        lease.release()
        restoring.release()


def _check_what_stands(database: Path, copy: Path) -> None:
    if not copy.is_file():
        raise NotRestored(f"there is no copy at {copy}")
    if database.exists() and copy.samefile(database):
        raise NotRestored(f"{copy} is the event store itself")
    if beside := side_files(copy):
        raise NotRestored(f"{copy} was not made by backup: {beside[0].name} belongs to it")
    if standing(database):
        settle(database)  # before the work, so that who has it open is told at once


def _key_that_is_there(settings: Settings) -> bytes:
    """Never a new one: it would open nothing."""
    path = key_path(settings)
    if settings.secret_key is None and not path.exists():
        raise NotRestored(f"{path} is missing: put back the key of the time of the copy first")
    return key_in(path) if settings.secret_key is None else secret_key(settings)


def _prepared(
    copy: Path, part: Path, views: Path, vault: Vault, at: datetime
) -> tuple[Restoring, Restored]:
    with progress_bars() as task:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as target, copy.open("rb") as source:
            shutil.copyfileobj(source, target, 1 << 20)
        inventory = checked_copy(part, task)
        _check_triggers(part)
        restoring = Restoring(part, inventory, shell_account(), at, altered(part, task))
        return restoring, make_harmless(restoring, views, vault, task("read models"))


def _check_triggers(part: Path) -> None:
    """A strange one may swallow what makes the copy harmless, and nobody would be told."""
    with opened_snapshot(f"{SQLITE_URL}{part.absolute()}") as snapshot:
        if (name := snapshot.foreign_trigger()) is not None:
            raise NotRestored(
                f"the copy has a trigger {name} that is not of this program: "
                "look what it does, and drop it from a copy of the copy"
            )


def _let_belong_to_whom_it_did(part: Path, database: Path) -> None:
    """The service may run under another account than whoever restores."""
    if database.exists():
        was = database.stat()
        part.chmod(was.st_mode & 0o777)
        if os.geteuid() == 0:
            os.chown(part, was.st_uid, was.st_gid)


def _remove(part: Path, views: Path) -> None:
    """What is left over, of this restore or of one that was killed."""
    for path in (part, views):
        for one in (*side_files(path), path):
            one.unlink(missing_ok=True)
