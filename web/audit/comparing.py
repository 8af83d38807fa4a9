"""Whether the read models of a store say what its events say; beside the running service."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from adapters.store.event_store import EventStore
from adapters.store.read_models import ReadModelDatabase
from adapters.store.resting_tables import copy_of, resting
from domain.installation import STREAM, Installation
from projections.comparison import Difference, differences, rebuild_up_to
from projections.runner import ALL
from web.parts import beside_database, check_store_exists, opened_store
from web.rebuilding import progress_bar
from web.settings import Settings


def compare_read_models(
    settings: Settings, on_progress: Callable[[int, int], None] = lambda done, of: None
) -> list[Difference]:
    """
    Copy the read models, make them anew from the events up to where they are, and compare.

    Needs room for two more copies of them beside the store, for as long as it takes.

    Args:
        on_progress: How far it is, and how far it goes, as positions of events.

    Returns:
        Of each table the first difference; nothing: they are the same, every row of every table.

    Raises:
        FileNotFoundError: There is no event store, or there are no read models.
        EventSourcingError, sqlite3.Error, UnreadableEvent: One of them cannot be read.
        WrittenMeanwhile: A service began to write to them: run it again.
    """
    check_store_exists(settings)
    views = beside_database(settings, "-views")
    if not views.exists():
        raise FileNotFoundError(f"there are no read models at {views}")
    with (
        TemporaryDirectory(dir=views.parent, prefix=f"{views.name}-compared-") as folder,
        opened_store(settings) as store,
    ):
        return _compare(views, Path(folder), store, on_progress)


def tell_differences(
    settings: Settings, say: Callable[[str], None], *, as_json: bool = False
) -> bool:
    """
    Compare with a progress bar, and say each difference, or that there is none.

    Returns:
        Whether they are the same.
    """
    with progress_bar() as bar:
        task = bar.add_task("read models", total=None)
        found = compare_read_models(
            settings, lambda done, end: bar.update(task, completed=done, total=end)
        )
    if as_json:
        differ = [str(difference) for difference in found]
        say(json.dumps({"ok": not found, "read_models": differ}))
        return not found
    for difference in found:
        say(f"read models differ: {difference}")
    if found:
        say("fta-approval projections rebuild makes them anew from the events")
        return False
    say("read models say what the events say")
    return True


def _compare(
    views: Path, folder: Path, store: EventStore, on_progress: Callable[[int, int], None]
) -> list[Difference]:
    copy_of(views, folder / "live")
    with resting(folder / "live") as live:
        positions = live.positions()
        end = max(positions.values(), default=0)
        installation = store.load(Installation, STREAM)
        feed_id = installation.feed_id if installation is not None else ""
        schemas = {projection.name: projection.schema for projection in ALL}
        with closing(ReadModelDatabase(folder / "rebuilt", feed_id, schemas)) as database:
            rebuild_up_to(store, database, positions, lambda at: on_progress(at, end))
        with resting(folder / "rebuilt") as rebuilt:
            return list(differences(live, rebuilt))
