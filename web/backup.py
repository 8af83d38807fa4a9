"""`fta-approval backup`: a copy of the event store, while the service runs, checked before use."""

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from adapters.store.copies import DamagedCopy, copy_online, side_files, sync
from adapters.store.event_store import sqlite_path
from adapters.store.lease import FileLease
from web.backup_check import altered, checked_copy, progress_bars, sizes
from web.parts import check_store_exists
from web.secret_key import key_path
from web.settings import PREFIX, Settings

NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
"""How a file system says that it knows no second name of a file."""


class NotBackedUp(Exception):
    """No copy was made; says why."""


def back_up(settings: Settings, target: Path, say: Callable[[str], None]) -> list[str]:
    """
    Copy the event store into a new file, mode 0600, that needs no other beside it.

    Until everything in it was read again it is called `FILE.part`; what a crash left under that
    name is written anew.

    Returns:
        Where the store is not as it was recorded, to be told as a mistake is; the copy is then as
        good as the store.

    Raises:
        NotBackedUp: There is such a file already, or the copy was found wanting.
        FileNotFoundError: There is no event store.
        NewerStore, OSError: It cannot be read or written.
    """
    check_store_exists(settings)
    part = target.with_name(target.name + ".part")
    lease = FileLease(part)
    if not lease.try_take():
        raise NotBackedUp(f"another backup writes {part} at this moment")
    try:
        if target.exists():
            raise NotBackedUp(f"{target} exists, and is not overwritten")
        found = _write(sqlite_path(settings.database), part, target, say)
    finally:
        part.unlink(missing_ok=True)
        lease.release()
    say(f"not in it: {_kept_apart(settings)}")
    return found


def _write(source: Path, part: Path, target: Path, say: Callable[[str], None]) -> list[str]:
    """What is wrong with the store itself."""
    for left_over in side_files(part):
        left_over.unlink()
    os.truncate(part, 0)
    part.chmod(0o600)
    try:
        with progress_bars() as task:
            copy_online(source, part, task("copying"))
            inventory = checked_copy(part, task)
            found = altered(part, task)
    except sqlite3.Error as error:
        raise NotBackedUp(f"the event store cannot be copied: {error}") from error
    except DamagedCopy as error:
        raise NotBackedUp(f"the copy is of no use, and was removed: {error}") from error
    name_finally(part, target)
    say(f"{target}: {sizes(inventory)}")
    return found


def name_finally(part: Path, target: Path) -> None:
    """
    Give a finished file its name, on disk when this returns.

    Raises:
        FileExistsError: Another file has that name by now, and keeps it.
    """
    try:
        os.link(part, target)
    except OSError as error:
        if error.errno not in NO_LINKS or target.exists():
            raise
        part.rename(target)
    part.unlink(missing_ok=True)
    sync(target.parent)


def _kept_apart(settings: Settings) -> str:
    """What else a restore needs or an auditor wants, and where it is."""
    key = f"{PREFIX}SECRET_KEY" if settings.secret_key is not None else str(key_path(settings))
    heads = [settings.tree_heads] if settings.tree_heads else []
    return ", ".join([f"the secret key ({key})", *heads, "environment"])
