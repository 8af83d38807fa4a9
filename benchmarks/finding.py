"""How soon a search is answered, whatever the size of the history.

    python -m benchmarks.finding [--events 1000000]

What exports cost stands in benchmarks/audit.py.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from adapters.store.event_store import open_event_store
from adapters.store.read_models import ReadModelDatabase
from benchmarks.fill import approver
from benchmarks.lives import FIRST, fill_with_lives
from benchmarks.settings import bench_settings
from projections.projection import milliseconds
from projections.runner import ProjectionRunner
from projections.search import Happened, Sought, happened, search
from web.audit.export import Extract, Form, What, written
from web.audit.pseudonyms import Pseudonyms
from web.parts import open_read_models
from web.settings import Settings

TIMES = 20
PAGE = 100
QUESTIONS: dict[str, Sought] = {
    "newest": Sought(),
    "of a member": Sought(member=approver(1)),
    "of a member, by words": Sought(member=approver(1), words=("10.0.3.",)),
    "of a business, and rejected": Sought(business="bench", status="rejected"),
    "by engine and channel": Sought(engine="bench", channel="wecom-text"),
    "by two filters that never meet": Sought(engine="bench", channel="web"),
    "by words that nobody said": Sought(words=("nobody said so",)),
    "of a day": Sought(since=milliseconds(FIRST), before=milliseconds(FIRST) + 86_400_000),
}
EVENTS: dict[str, Happened] = {
    "events, newest": Happened(),
    "events by a member": Happened(by=approver(1)),
    "events of three kinds": Happened(kinds=("freeze.began", "freeze.ended", "approval.replied")),
    "events of a rare kind": Happened(kinds=("installation.founded",)),
    "events of one approval": Happened(stream="approval-1_1"),
}


def events_as_json(settings: Settings, folder: Path) -> None:
    """Every event, as JSON Lines."""
    _take(settings, folder, Extract())


def events_as_csv(settings: Settings, folder: Path) -> None:
    """Every event, for a spreadsheet."""
    _take(settings, folder, Extract(form=Form.CSV))


def events_under_other_names(settings: Settings, folder: Path) -> None:
    """Every event, and nobody named."""
    _take(settings, folder, Extract(names=Pseudonyms(b"k" * 32)))


def approvals_as_csv(settings: Settings, folder: Path) -> None:
    """Every approval as it stands, for a spreadsheet."""
    _take(settings, folder, Extract(what=What.APPROVALS, form=Form.CSV))


def _take(settings: Settings, folder: Path, extract: Extract) -> None:
    with (
        closing(open_event_store(settings.database)) as store,
        (folder / "export").open("wb") as file,
    ):
        for piece in written(store, extract, store.last_position()):
            file.write(piece)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=50_000)
    count = parser.parse_args().events
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        settings = bench_settings(Path(folder))
        approvals = fill_with_lives(settings, count)
        with closing(open_event_store(settings.database)) as store:
            feed_id = store.found(FIRST).feed_id
            with closing(open_read_models(settings, store, feed_id)) as read_models:
                begun = time.monotonic()
                ProjectionRunner(store, read_models).catch_up()
                rate = count / (time.monotonic() - begun)
                console.print(f"{approvals} approvals; read models: {rate:.0f} events a second")
                console.print(_table(read_models))


def _table(read_models: ReadModelDatabase) -> Table:
    table = Table("question", "p50 ms", "worst ms", title=f"{PAGE} to a page")
    for name, sought in QUESTIONS.items():
        _add(table, name, partial(search, read_models, sought, PAGE))
    for name, wanted in EVENTS.items():
        _add(table, name, partial(happened, read_models, wanted, PAGE))
    return table


def _add(table: Table, name: str, question: Callable[[], Any]) -> None:
    took = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        question()
        took.append(1000 * (time.perf_counter() - begun))
    table.add_row(name, f"{statistics.median(took):.1f}", f"{max(took):.1f}")


if __name__ == "__main__":
    main()
