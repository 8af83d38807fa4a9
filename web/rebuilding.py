"""`fta-approval projections rebuild`: read models dropped and made anew from the events."""

from datetime import UTC, datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from adapters.store.event_store import open_event_store
from projections.runner import ALL, ProjectionRunner
from web.parts import check_store_exists, open_read_models
from web.settings import Settings


class UnknownProjection(Exception):
    """No read model has that name."""


def rebuild_read_models(settings: Settings, name: str | None) -> None:
    """
    Empty one read model, or all, and take in every event again, with a progress bar.

    Raises:
        UnknownProjection: There is none of that name.
        FileNotFoundError: There is no event store; one that is mistyped is not made anew.
    """
    chosen = [p.name for p in ALL if name in (None, p.name)]
    if not chosen:
        raise UnknownProjection(f"{name!r} is none of {', '.join(p.name for p in ALL)}")
    check_store_exists(settings)
    store = open_event_store(settings.database)
    read_models = open_read_models(settings, store, store.found(datetime.now(UTC)).feed_id)
    try:
        runner = ProjectionRunner(store, read_models)
        with progress_bar() as bar:
            task = bar.add_task(name or "read models", total=store.last_position())
            runner.rebuild(chosen, lambda position: bar.update(task, completed=position))
    finally:
        read_models.close()
        store.close()


def progress_bar() -> Progress:
    """Of positions, on stderr."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
