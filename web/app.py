"""Wiring: the only file that knows every part."""

import asyncio
import base64
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import aiohttp
from aiohttp import web
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from adapters.store.event_store import EventStore, open_event_store, sqlite_path
from adapters.store.read_models import ReadModelDatabase
from adapters.store.writer import Writer
from adapters.wecom.client import WeComAccount, WeComClient
from adapters.wecom.crypto import CallbackCrypto
from adapters.wecom.messages import Clockface
from projections.directory import Directory
from projections.runner import ALL, ProjectionRunner
from web import api, callback, decision, detail, health, keys, login, todo
from web.addresses import public_addresses
from web.background import Expiry
from web.engines import Engines
from web.errors import Handler, api_errors, page_errors
from web.feed import Feed
from web.forms import FormTokens
from web.fta import create_approve
from web.pages import set_up_templates
from web.quota import ReplyQuota
from web.reading import Progress, Reading
from web.sending import Sender
from web.settings import Settings, decoded_key
from web.static_files import add_static_files

MAX_BODY_BYTES = 256 * 1024
DIRECTORY_WITHIN_S = 2.0


def utc_now() -> datetime:
    """The service's clock: UTC, to the millisecond that everybody is shown."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def read_models_path(settings: Settings) -> Path:
    """Beside the event store: `fta-approval.db` has `fta-approval.db-views`."""
    path = sqlite_path(settings.database)
    return path.with_name(path.name + "-views")


def open_read_models(settings: Settings, store: EventStore, feed_id: str) -> ReadModelDatabase:
    """The read models of that store, empty if they are new or of another one."""
    schemas = {projection.name: projection.schema for projection in ALL}
    return ReadModelDatabase(read_models_path(settings), feed_id, schemas)


def secret_key(settings: Settings) -> bytes:
    """
    The 32 bytes from which every other key is derived: given, or made at the first start.

    Raises:
        ValueError: The file does not hold such a key.
    """
    if settings.secret_key is not None:
        return decoded_key(settings.secret_key.get_secret_value()) or b""
    database = sqlite_path(settings.database)
    path = Path(settings.secret_key_file or database.with_name(database.name + ".key"))
    if not path.exists() and settings.secret_key_file is None:
        _make_key_file(path)
    key = decoded_key(path.read_text())
    if key is None or len(key) != 32:
        raise ValueError(f"{path} must hold 32 bytes in base64")
    return key


def _make_key_file(path: Path) -> None:
    """Readable by us only, and whole: of two processes that start together one key wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(base64.b64encode(os.urandom(32)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):
        os.link(fresh, path)
    fresh.unlink()


def derived_key(secret: bytes, purpose: str) -> bytes:
    """A key for one purpose only."""
    return HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(secret)


def create_app(
    settings: Settings,
    listening_on: str,
    clock: Callable[[], datetime] = utc_now,
    monotonic: Callable[[], float] = time.monotonic,
    expiry: bool = True,
    sending: bool = True,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> web.Application:
    """
    The service, its parts built and not yet started.

    Args:
        listening_on: `HOST:PORT`, for links while no public address is set.
        expiry: False leaves out the timer that ends what is overdue; rules do not need it.
        sending: False leaves messages in the outbox.
        sleep: How the sender pauses before it tries again.
    """
    store = open_event_store(settings.database)
    installation = store.found(clock())
    read_models = open_read_models(settings, store, installation.feed_id)
    runner = ProjectionRunner(store.another(), read_models)

    def directory_at(position: int) -> Directory:
        runner.wait_for(position, DIRECTORY_WITHIN_S)
        return Directory(read_models, settings.super_approvers)

    writer = Writer(store.another(), directory_at, lambda: settings.super_approvers)
    progress = Progress(runner.position)
    reading = Reading(store, read_models, writer, progress, settings.super_approvers)
    form_key = derived_key(secret_key(settings), "form-tokens")

    app = web.Application(middlewares=[_edges], client_max_size=MAX_BODY_BYTES)
    app[keys.SETTINGS] = settings
    app[keys.ADDRESSES] = public_addresses(settings, listening_on)
    app[keys.CLOCK] = clock
    app[keys.CLOCKFACE] = Clockface(ZoneInfo(settings.time_zone))
    app[keys.WRITER] = writer
    app[keys.RUNNER] = runner
    app[keys.READING] = reading
    app[keys.FEED] = Feed(reading, installation.feed_id)
    app[keys.ENGINES] = Engines(settings.engines, settings.api_readers)
    app[keys.CALLBACK_CRYPTO] = CallbackCrypto(
        settings.wecom_token.get_secret_value(),
        settings.wecom_encoding_aes_key.get_secret_value(),
        settings.wecom_corp_id,
    )
    app[keys.REPLY_QUOTA] = ReplyQuota()
    app[keys.FORM_TOKENS] = FormTokens(form_key)
    app[api.STREAMS] = set()
    app[keys.OUTSIDE] = keys.Outside()
    _add_routes(app, settings)
    set_up_templates(app, settings.static_url or settings.static_path, settings.url_prefix)
    parts = _Parts(store, read_models, runner, writer, reading)
    app.cleanup_ctx.append(parts.run)
    app.cleanup_ctx.append(partial(_talk_to_wecom, monotonic=monotonic))
    if sending:
        app.cleanup_ctx.append(lambda app: _in_background(sender_of(app, sleep).run))
    if expiry:
        app.cleanup_ctx.append(lambda app: _in_background(expiry_of(app).run))
    app.on_shutdown.append(_let_readers_go)
    return app


def _wecom_client(
    settings: Settings, session: aiohttp.ClientSession, monotonic: Callable[[], float]
) -> WeComClient | None:
    if not settings.wecom_is_configured:
        return None
    assert settings.wecom_corp_id and settings.wecom_secret  # noqa: S101  # just asked
    assert settings.wecom_agent_id is not None  # noqa: S101
    account = WeComAccount(
        settings.wecom_corp_id,
        settings.wecom_agent_id,
        settings.wecom_secret.get_secret_value(),
    )
    return WeComClient(session, settings.wecom_api_url, account, monotonic, settings.wecom_proxy)


def _add_routes(app: web.Application, settings: Settings) -> None:
    """Every path with and without its last slash, never by redirect (contract 3)."""
    prefix = settings.url_prefix
    for parts, below in (
        (callback.routes, prefix),
        (login.routes, prefix),
        (todo.routes, prefix),
        (detail.routes, prefix),
        (decision.routes, prefix),
        (api.routes, f"{prefix}/api/v1"),
    ):
        for route in _definitions(parts):
            _add(app, route.method, below + route.path, route.handler)
    _add(app, "POST", f"{prefix}/wechat/create_approve/", create_approve)
    _add(app, "GET", "/healthz", health.healthz)
    _add(app, "GET", "/readyz", health.readyz)
    add_static_files(app, settings.static_path)


def _definitions(routes: web.RouteTableDef) -> Iterable[web.RouteDef]:
    return (route for route in routes if isinstance(route, web.RouteDef))


def _add(app: web.Application, method: str, path: str, handler: object) -> None:
    bare = path.rstrip("/")
    for one in (bare, bare + "/"):
        app.router.add_route(method, one, handler)  # type: ignore[arg-type]  # aiohttp's own type


@web.middleware
async def _edges(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Problem documents for engines, pages for people, silence for WeCom."""
    prefix = request.app[keys.SETTINGS].url_prefix
    if request.path.startswith(f"{prefix}/api/"):

        async def authenticated(request: web.Request) -> web.StreamResponse:
            return await api.authentication(request, handler)

        return await api_errors(request, authenticated)
    if request.path.startswith(f"{prefix}/wechat/entry"):
        return await handler(request)
    return await page_errors(request, handler)


@dataclass(frozen=True)
class _Parts:
    """What has threads and files, to be started and closed in the right order."""

    store: EventStore
    read_models: ReadModelDatabase
    runner: ProjectionRunner
    writer: Writer
    reading: Reading

    async def run(self, app: web.Application) -> AsyncIterator[None]:
        """The projections before the writer, and after it until everything is taken in."""
        loop, progress = asyncio.get_running_loop(), self.reading.progress
        self.runner.on_progress = lambda position: _in_loop(loop, progress, position)
        self.runner.start()
        self.writer.start()
        yield
        await asyncio.to_thread(self.writer.stop)
        await asyncio.to_thread(self.runner.stop)
        self.reading.close()
        for store in (self.writer.store, self.runner.source, self.store):
            store.close()
        self.read_models.close()


def _in_loop(loop: asyncio.AbstractEventLoop, progress: Progress, position: int) -> None:
    with suppress(RuntimeError):  # the loop has ended; so has everybody who waited
        loop.call_soon_threadsafe(progress.move, position)


async def _talk_to_wecom(
    app: web.Application, monotonic: Callable[[], float]
) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(trust_env=False) as session:
        app[keys.OUTSIDE].wecom = _wecom_client(app[keys.SETTINGS], session, monotonic)
        yield


async def _in_background(work: Callable[[], Coroutine[None, None, None]]) -> AsyncIterator[None]:
    task = asyncio.create_task(work())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def sender_of(app: web.Application, sleep: Callable[[float], Awaitable[None]]) -> Sender:
    """What sends the messages of that service."""
    addresses = app[keys.ADDRESSES]
    return Sender(
        app[keys.READING],
        app[keys.WRITER],
        app[keys.OUTSIDE].wecom,
        app[keys.CLOCK],
        app[keys.CLOCKFACE],
        addresses.page_of if app[keys.SETTINGS].text_link else None,
        sleep,
    )


def expiry_of(app: web.Application) -> Expiry:
    """What ends the overdue approvals of that service."""
    return Expiry(app[keys.READING], app[keys.WRITER], app[keys.CLOCK])


async def _let_readers_go(app: web.Application) -> None:
    app[keys.FEED].close()
    await api.end_streams(app)
