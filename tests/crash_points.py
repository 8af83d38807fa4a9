"""
A command killed at each of its steps on files, one after the other: `python -m tests.crash_points`.

    python -m tests.crash_points WHAT FOLDER...

In the first folder it is killed before the first file that it opens, names or removes there, in the
second before the second, and so on, until one is not killed any more. Each time by SIGKILL, in a
process of its own. Prints in how many folders it was killed.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from tests.service import NOON
from web.backup import back_up
from web.restoring import restore
from web.settings import PREFIX, Settings, read_settings

STEPS = {
    "open",
    "os.chmod",
    "os.link",
    "os.remove",
    "os.rename",
    "os.truncate",
    "shutil.copyfile",
    "sqlite3.connect",
}


def store_in(folder: Path) -> Settings:
    return read_settings({f"{PREFIX}DATABASE": f"sqlite:///{folder / 'fta-approval.db'}"})


def put_back(folder: Path) -> None:
    restore(store_in(folder), folder / "copy.db", NOON, lambda line: None, replace=True)


def copied(folder: Path) -> None:
    back_up(store_in(folder), folder / "copy.db", lambda line: None)


WHAT: dict[str, Callable[[Path], None]] = {"restore": put_back, "backup": copied}


def die_before(step: int, folder: Path) -> None:
    """From now on."""
    left = step

    def count(name: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if name not in STEPS or not any(str(folder) in str(a) for a in arguments[:2]):
            return
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    sys.addaudithook(count)


def main(what: str, folders: list[str]) -> None:
    killed = 0
    for step, folder in enumerate(map(Path, folders)):
        child = os.fork()
        if child == 0:
            die_before(step, folder)
            WHAT[what](folder)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            assert status == 0, status
            break
        killed += 1
    sys.stdout.write(f"{killed}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
