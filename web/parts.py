"""The event store and what works on it: built together, started and closed in the right order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import structlog
from aiohttp import web

from adapters.evidence.growing import Grower
from adapters.store.event_store import EventStore, open_event_store, sqlite_path
from adapters.store.lease import FileLease
from adapters.store.read_models import ReadModelDatabase
from adapters.store.writer import Writer
from domain.configuration import SUPER_APPROVERS
from projections.directory import Directory
from projections.runner import ALL, ProjectionRunner
from web.evidence import NewestHead
from web.evidence_growing import TreeKeeper
from web.in_force import Secrets, SettingsInForce
from web.keyring import Keyring, make_what_is_missing
from web.reading import Progress, Reading
from web.secret_key import finish_rotation, secret_key
from web.settings import Settings
from web.vault import Vault, WrongSecretKey

DIRECTORY_WITHIN_S = 2.0

log = structlog.get_logger()


def beside_database(settings: Settings, ending: str) -> Path:
    """A file beside the event store: `fta-approval.db` has `fta-approval.db-views`."""
    path = sqlite_path(settings.database)
    return path.with_name(path.name + ending)


def check_store_exists(settings: Settings) -> None:
    """
    For commands that work on what is there.

    Raises:
        FileNotFoundError: There is no event store; one that is mistyped is not made anew.
    """
    if not (path := sqlite_path(settings.database)).exists():
        raise FileNotFoundError(f"there is no event store at {path}")


@contextmanager
def opened_store(settings: Settings) -> Iterator[EventStore]:
    """The event store alone, for as long as it is needed."""
    with closing(open_event_store(settings.database)) as store:
        yield store


def open_read_models(settings: Settings, store: EventStore, feed_id: str) -> ReadModelDatabase:
    """The read models of that store, empty if they are new or of another one."""
    schemas = {projection.name: projection.schema for projection in ALL}
    return ReadModelDatabase(beside_database(settings, "-views"), feed_id, schemas)


@dataclass(frozen=True)
class Parts:
    """What has threads and files, to be started and closed in the right order."""

    feed_id: str
    in_force: SettingsInForce
    keyring: Keyring
    store: EventStore
    read_models: ReadModelDatabase
    runner: ProjectionRunner
    writer: Writer
    reading: Reading
    lease: FileLease
    newest_head: NewestHead
    tree: TreeKeeper

    async def run(self, app: web.Application) -> AsyncIterator[None]:
        """For as long as the service runs."""
        async with self.running():
            yield

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The projections start before the writer and stop after it, at the end of a chunk."""
        loop, progress = asyncio.get_running_loop(), self.reading.progress
        self.runner.on_progress = lambda position: _in_loop(loop, progress, position)
        self.runner.start()
        self.writer.start()
        try:
            yield
        finally:
            await asyncio.to_thread(self.writer.stop)
            await asyncio.to_thread(self.tree.finish, self.lease)
            await asyncio.to_thread(self.runner.stop)
            self.reading.close()
            for store in (self.writer.store, self.runner.source, self.store):
                store.close()
            self.read_models.close()
            self.lease.release()


def _in_loop(loop: asyncio.AbstractEventLoop, progress: Progress, position: int) -> None:
    with suppress(RuntimeError):  # the loop has ended; so has everybody who waited
        loop.call_soon_threadsafe(progress.move, position)


def opened_vault(settings: Settings, store: EventStore, clock: Callable[[], datetime]) -> Vault:
    """
    The vault of that store, with everything in it that is made at a first start.

    Raises:
        WrongSecretKey: The store was sealed with another key.
    """
    if (finished := finish_rotation(settings, partial(_opens, store, clock))) is not None:
        log.warning("an interrupted rotation of the secret key is finished", file=str(finished))
    vault = Vault(secret_key(settings))
    Keyring(lambda: store.found(clock()), vault).check()
    make_what_is_missing(store, vault, clock())
    return vault


def _opens(store: EventStore, clock: Callable[[], datetime], key: bytes) -> bool:
    """Whether that key is the one with which the store is sealed."""
    try:
        Keyring(lambda: store.found(clock()), Vault(key)).check()
    except WrongSecretKey:
        return False
    return True


def _runner(store: EventStore, read_models: ReadModelDatabase) -> ProjectionRunner:
    """From where the read models are; from the beginning where that has not happened."""
    runner = ProjectionRunner(store.another(), read_models)
    if runner.position <= store.last_position():
        return runner
    log.warning("read models are ahead of the events and begin anew")
    with read_models.transaction() as tables:
        read_models.reset(tables, {projection.name: projection.schema for projection in ALL})
    return ProjectionRunner(runner.source, read_models)


def build_parts(settings: Settings, clock: Callable[[], datetime]) -> Parts:
    """
    Open the store and its read models, with nothing running yet.

    Args:
        settings: Of the environment; what else is in force is stored.

    Raises:
        NewerStore, EventSourcingError, OSError: The store cannot be used.
        WrongSettings: What is stored does not fit to what the environment sets.
        ValueError: Its secrets cannot be opened with this secret key.
    """
    secret_key(settings)  # made before the store that it belongs to
    store = open_event_store(settings.database)
    feed_id = store.found(clock()).feed_id
    vault = opened_vault(settings, store, clock)
    keyring = Keyring(lambda: store.found(clock()), vault)
    in_force = SettingsInForce(settings, store, Secrets(vault, keyring.fingerprint_key()))
    read_models = open_read_models(settings, store, feed_id)
    runner = _runner(store, read_models)

    def directory_at(position: int) -> Directory:
        if runner.failure is not None:
            raise TimeoutError(f"read models stand still: {runner.failure}")
        runner.wait_for(position, DIRECTORY_WITHIN_S)
        return Directory(read_models, in_force.now.super_approvers)

    writer = Writer(
        store.another(),
        directory_at,
        lambda: settings.super_approvers if in_force.is_locked(SUPER_APPROVERS) else None,
        permit_rules=lambda: in_force.now.permit_rules,
    )
    progress = Progress(runner.position)
    directory = in_force.following(lambda now: Directory(read_models, now.super_approvers))
    reading = Reading(store, read_models, writer, progress, directory)
    lease = FileLease(beside_database(settings, ".lease"))
    newest_head = NewestHead(reading)
    heads = Path(settings.tree_heads) if settings.tree_heads else None
    grower = Grower(store.another(), feed_id, keyring.tree_key, clock, heads)
    return Parts(
        feed_id,
        in_force,
        keyring,
        store,
        read_models,
        runner,
        writer,
        reading,
        lease,
        newest_head,
        TreeKeeper(grower, newest_head.take),
    )
