"""
What work on a long history costs: `python -m benchmarks.audit --events 1000000`.

One line a figure: name, events, seconds, events a second, peak memory of a process of its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import evidencing, finding, replaying
from benchmarks.lives import fill_with_lives
from web.app import utc_now
from web.settings import PREFIX, Settings, read_settings

Figure = Callable[[Settings, Path], None]


FIGURES: dict[str, Figure] = {
    "tree, from nothing": evidencing.grow_tree,
    "verify": evidencing.verify,
    "prove": evidencing.prove,
    "export, json": finding.events_as_json,
    "export, csv": finding.events_as_csv,
    "export, other names": finding.events_under_other_names,
    "export, approvals": finding.approvals_as_csv,
    "rebuild": replaying.rebuild,
    "compare": replaying.compare,
    "replay": replaying.replay_all,
    "replay, json": replaying.replay_as_json,
    "replay, diff": replaying.replay_a_day,
    "show, 1000 of them": replaying.show_a_thousand,
    "show, 10 by uuid": replaying.show_by_uuid,
}


def backup(settings: Settings, folder: Path) -> None:
    """Copied, and every event of the copy read."""
    from web.backup import back_up

    back_up(settings, folder / "copy.db", _said)


def restore(settings: Settings, folder: Path) -> None:
    """Looked through, made harmless, its read models made, put in place; after `backup`."""
    from web import restoring

    restoring.restore(settings, folder / "copy.db", utc_now(), _said, replace=True)


FIGURES: dict[str, Figure] = {"backup": backup, "restore": restore}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--only", choices=FIGURES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        _measure(given.only, given.folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        approvals = fill_with_lives(_store_in(Path(folder)), given.events)
        size = (Path(folder) / "store.db").stat().st_size
        _say(f"{given.events} events, {approvals} approvals, {size // approvals} bytes for each")
        for name in FIGURES:
            _say(_line(name, given.events, Path(folder)))


def _line(name: str, events: int, folder: Path) -> str:
    words = [sys.executable, "-m", "benchmarks.audit", "--only", name, "--folder", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    seconds, peak_mib = json.loads(done.stdout)
    return f"{name:<20} {events:>9} {seconds:>8.1f} s {events / seconds:>9.0f}/s {peak_mib:>6} MiB"


def _measure(name: str, folder: Path) -> None:
    begun = time.monotonic()
    FIGURES[name](_store_in(folder), folder)
    seconds = time.monotonic() - begun
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    _say(json.dumps([seconds, peak_mib]))


def _store_in(folder: Path) -> Settings:
    return read_settings({f"{PREFIX}DATABASE": f"sqlite:///{folder / 'store.db'}"})


def _said(line: str) -> None:
    """Nobody reads it."""


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
