"""
A finished store put where the service looks for it, and the one that stood there moved aside.

At every moment the whole old store stands there, or the whole new one: the old file is given a
second name, then the new file takes over the first.
"""

import glob
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

from adapters.store.copies import side_files, sync
from web.backup import NO_LINKS, name_finally

IN_USE = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class StoreInUse(Exception):
    """Another process has the store open."""


def standing(database: Path) -> list[Path]:
    """What stands where the store is to be; a `-wal` alone would be read into the new store."""
    return [one for one in (database, *side_files(database)) if one.exists()]


def put_in_place(fresh: Path, database: Path, at: datetime) -> Path | None:
    """
    Let a finished store, closed and on disk, take over the name; where the old one is now.

    Raises:
        StoreInUse: Nothing was moved.
        FileExistsError: There was no store, and by now there is one, which stays.
    """
    sync(fresh)
    if not standing(database):
        name_finally(fresh, database)
        return None
    settle(database)
    aside = _free_name(database, at)
    for old in standing(database):
        _second_name(old, aside.with_name(aside.name + old.name.removeprefix(database.name)))
    sync(database.parent)
    for beside in side_files(database):
        beside.unlink()  # of a store that could not be settled; it has its second name
    fresh.replace(database)
    sync(database.parent)
    return aside


def forget_second_names(database: Path) -> None:
    """
    What a kill left between the second name of the old store and the new one in its place.

    A store that is opened by two names at once is damaged: SQLite looks for its `-wal` by each.
    """
    if database.exists():
        for aside in database.parent.glob(f"{glob.escape(database.name)}.replaced-*"):
            if aside.samefile(database):
                aside.unlink()


def replace_read_models(fresh: Path, views: Path) -> None:
    """Those of the old store go: they follow from its events. What goes wrong here harms nothing:
    read models that are not of the store beside them begin anew."""
    with suppress(OSError):
        for old in (*side_files(views), views):
            old.unlink(missing_ok=True)
        fresh.replace(views)


def settle(database: Path) -> None:
    """
    Have a store in one file, which SQLite does only if nobody else has it open.

    One that SQLite cannot read is left as it is: it is moved with what stands beside it.

    Raises:
        StoreInUse: Somebody has.
    """
    if not database.exists():
        return
    try:
        with closing(sqlite3.connect(database, isolation_level=None, timeout=0)) as old:
            (mode,) = old.execute("PRAGMA journal_mode=DELETE").fetchone()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) in IN_USE:
            raise StoreInUse(f"{database} is in use by another process: stop it") from None
        return
    if mode != "delete":
        raise StoreInUse(f"{database} is in use by another process: stop it")


def _free_name(database: Path, at: datetime) -> Path:
    return next(name for name in _names(database, at) if not standing(name))


def _names(database: Path, at: datetime) -> Iterator[Path]:
    name, number = f"{database.name}.replaced-{at:%Y%m%dT%H%M%SZ}", 1
    while True:
        yield database.with_name(name if number == 1 else f"{name}-{number}")
        number += 1


def _second_name(old: Path, name: Path) -> None:
    try:
        os.link(old, name)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        shutil.copy2(old, name)
        sync(name)
