"""Wiring: the only file that knows every part."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog
from aiohttp import web

from adapters.engine.reachable import Reachable
from adapters.engine.webhooks import WebhookClient
from adapters.store.event_store import sqlite_path
from adapters.store.lease import FileLease
from adapters.wecom.client import WeComClient
from adapters.wecom.crypto import CallbackCrypto
from adapters.wecom.messages import Clockface
from domain.commands import FindEnvironment
from web import (
    admin_link,
    api,
    api_docs,
    batch,
    callback,
    changes,
    configuration,
    decision,
    detail,
    feed_api,
    figures,
    health,
    history,
    keys,
    languages,
    login,
    logout,
    metrics,
    open_page,
    permits,
    revocation,
    todo,
    update,
    webhooks,
)
from web.addresses import public_addresses
from web.audit import pages, pages_approval, pages_events, pages_export
from web.background import GRACE, Timekeeper
from web.engines import Engines
from web.entrance import let_in
from web.errors import Handler, api_errors, page_errors
from web.event_stream import Readers
from web.evidence_checking import DailyCheck
from web.feed import Feed
from web.forms import FormTokens
from web.fta import create_approve
from web.in_force import environment_of
from web.issuing import Permits
from web.languages import in_readers_language
from web.letters import Letters, Style
from web.outside import account_of, outgoing_session, reachable, wecom_client
from web.pace import Pace
from web.pages import allow_logins_at, set_up_templates
from web.parts import Parts, build_parts
from web.pushing import Letterhead, Pusher
from web.quota import ReplyQuota
from web.rate import RateLimit
from web.request_ids import label, with_request_id
from web.secret_key import derived_key, secret_key
from web.sending import Sender
from web.settings import Settings
from web.static_files import add_static_files, add_verify_file
from web.tally import Tally
from web.viewers import Viewers
from web.webhook_secrets import WebhookSecrets

MAX_BODY_BYTES = 256 * 1024
TAKE_OVER_EVERY_S = 1.0

Layer = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]

log = structlog.get_logger()


def utc_now() -> datetime:
    """The service's clock: UTC, to the millisecond that everybody is shown."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def create_app(
    settings: Settings,
    listening_on: str,
    clock: Callable[[], datetime] = utc_now,
    monotonic: Callable[[], float] = time.monotonic,
    clockwork: bool = True,
    sending: bool = True,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> web.Application:
    """
    The service, its parts built and not yet started.

    Args:
        listening_on: `HOST:PORT`, for links while no public address is set.
        clockwork: False leaves out the timer that ends what is overdue, and reminds; rules do not
            need it.
        sending: False leaves messages in the outbox.
        sleep: How the sender pauses before it tries again.
    """
    parts = build_parts(settings, clock)
    settings, in_force = parts.in_force.now, parts.in_force
    app = web.Application(middlewares=[_edges], client_max_size=MAX_BODY_BYTES)
    _put_in(app, parts, clock)
    app[keys.RATE_LIMIT] = in_force.following(
        lambda now: RateLimit(now.api_rate, len(now.engines), monotonic)
    )
    app[keys.ADDRESSES] = in_force.following(lambda now: public_addresses(now, listening_on))
    _add_routes(app, settings)
    set_up_templates(
        app,
        settings.static_url or settings.static_path,
        settings.url_prefix,
        (settings.wecom_oauth_url, settings.wecom_login_url),
    )
    in_force.on_change(lambda now: allow_logins_at(app, (now.wecom_oauth_url, now.wecom_login_url)))
    app.cleanup_ctx.append(parts.run)
    app.cleanup_ctx.append(_follow_the_feed)
    app.cleanup_ctx.append(partial(_talk_to_wecom, monotonic=monotonic))
    to_receivers = in_force.following(lambda now: reachable(now, listening_on))
    app.cleanup_ctx.append(partial(_talk_to_receivers, reachable=to_receivers))
    app.cleanup_ctx.append(_follow_the_settings)
    app.cleanup_ctx.append(lambda app: _reaction(parts.lease, parts.tree.run))
    if sending:
        app.cleanup_ctx.append(lambda app: _reaction(parts.lease, sender_of(app, sleep).run))
        app.cleanup_ctx.append(lambda app: _reaction(parts.lease, pusher_of(app, sleep).run))
    if clockwork:
        app.cleanup_ctx.append(lambda app: _reaction(parts.lease, daily_check_of(app).run))
        app.cleanup_ctx.append(lambda app: _reaction(parts.lease, timekeeper_of(app).run))
    app.on_response_prepare.append(label)
    app.on_shutdown.append(_let_readers_go)
    return app


def _put_in(app: web.Application, parts: Parts, clock: Callable[[], datetime]) -> None:
    """What handlers reach by web.keys."""
    in_force, following = parts.in_force, parts.in_force.following
    app[keys.IN_FORCE] = in_force
    app[keys.SETTINGS] = following(lambda now: now)
    app[keys.CLOCK] = clock
    app[keys.CLOCKFACE] = following(lambda now: Clockface(ZoneInfo(now.time_zone)))
    app[keys.WRITER] = parts.writer
    app[keys.RUNNER] = parts.runner
    app[keys.READING] = parts.reading
    app[keys.NEWEST_HEAD] = parts.newest_head
    app[keys.TREE] = parts.tree
    app[keys.KEYRING] = parts.keyring
    app[keys.PERMITS] = Permits(parts.keyring, clock)
    app[keys.RESTORED_AT] = parts.store.found(clock()).restored_at
    app[keys.FEED] = Feed(parts.reading, parts.feed_id, app[keys.PERMITS].of)
    app[keys.ENGINES] = following(lambda now: Engines(now.engines, now.api_readers))
    app[keys.CALLBACK_CRYPTO] = following(_callback_crypto)
    app[keys.TALLY] = Tally()
    app[keys.REPLY_QUOTA] = ReplyQuota()
    app[keys.COUNTING] = asyncio.Lock()
    app[keys.PACE] = Pace(clock)
    app[keys.FORM_TOKENS] = FormTokens(derived_key(secret_key(in_force.given), "form-tokens"))
    app[keys.READERS] = Readers()
    app[keys.VIEWERS] = Viewers(parts.reading)
    app[keys.LIST_READERS] = Readers()
    app[keys.OUTSIDE] = keys.Outside()


def _callback_crypto(settings: Settings) -> CallbackCrypto:
    return CallbackCrypto(
        settings.wecom_token.get_secret_value(),
        settings.wecom_encoding_aes_key.get_secret_value(),
        settings.wecom_corp_id,
    )


def _add_routes(app: web.Application, settings: Settings) -> None:
    """Every path with and without its last slash, never by redirect (contract 3)."""
    prefix = settings.url_prefix
    for parts, below in (
        (callback.routes, prefix),
        (login.routes, prefix),
        (logout.routes, prefix),
        (languages.routes, prefix),
        (todo.routes, prefix),
        (update.routes, prefix),
        (changes.routes, prefix),
        (batch.routes, prefix),
        (configuration.routes, prefix),
        (admin_link.routes, prefix),
        (history.routes, prefix),
        (figures.routes, prefix),
        (detail.routes, prefix),
        (open_page.routes, prefix),
        (decision.routes, prefix),
        (revocation.routes, prefix),
        (pages.routes, prefix),
        (pages_events.routes, prefix),
        (pages_approval.routes, prefix),
        (pages_export.routes, prefix),
        (api.routes, f"{prefix}/api/v1"),
        (permits.routes, f"{prefix}/api/v1"),
        (feed_api.routes, f"{prefix}/api/v1"),
        (api_docs.routes, f"{prefix}/api/v1"),
        (webhooks.routes, f"{prefix}/api/v1"),
    ):
        for route in _definitions(parts):
            _add(app, route.method, below + route.path, route.handler)
    _add(app, "POST", f"{prefix}/wechat/create_approve/", create_approve)
    _add(app, "GET", "/healthz", health.healthz)
    _add(app, "GET", "/readyz", health.readyz)
    _add(app, "GET", "/metrics", metrics.metrics)
    if settings.wecom_verify_file:
        add_verify_file(app, Path(settings.wecom_verify_file))
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
        layers: tuple[Layer, ...] = (with_request_id, api_errors, let_in)
    elif request.path.startswith(f"{prefix}/wechat/create_approve"):
        layers = (with_request_id, page_errors)
    elif request.path.startswith(f"{prefix}/wechat/entry"):
        layers = ()
    else:
        layers = (in_readers_language, page_errors)
    for layer in reversed(layers):
        handler = _within(layer, handler)
    return await handler(request)


def _within(layer: Layer, handler: Handler) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await layer(request, handler)

    return handle


async def _follow_the_settings(app: web.Application) -> AsyncIterator[None]:
    """What the environment sets is recorded before anybody is let in."""
    in_force, feed = app[keys.IN_FORCE], app[keys.FEED]
    found = environment_of(in_force.given, in_force.secrets)
    await app[keys.WRITER].execute(FindEnvironment(at=app[keys.CLOCK](), found=found))
    await in_force.refresh()
    await _offer_a_link(app)
    # Whose token was removed, or may no longer read everything, is let go at once.
    in_force.on_change(lambda settings: feed.look_up())
    following = asyncio.create_task(in_force.follow(app[keys.READING].progress))
    yield
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def _offer_a_link(app: web.Application) -> None:
    """While no admin is set (contract 2)."""
    in_force = app[keys.IN_FORCE]
    if in_force.now.admins:
        return
    by = admin_link.OF_THE_SERVICE
    secret = await admin_link.offer_link(app[keys.WRITER], app[keys.CLOCK](), by, first=True)
    if secret is not None:
        address = admin_link.address_of_link(app[keys.ADDRESSES].app_url, secret)
        beside = sqlite_path(in_force.given.database).parent
        await asyncio.to_thread(admin_link.hand_over, address, beside)


async def _follow_the_feed(app: web.Application) -> AsyncIterator[None]:
    tails = [asyncio.create_task(app[key].run()) for key in (keys.FEED, keys.VIEWERS)]
    tails.append(asyncio.create_task(app[keys.NEWEST_HEAD].follow()))
    yield
    for tail in tails:
        tail.cancel()
    await asyncio.gather(*tails, return_exceptions=True)


async def _talk_to_wecom(
    app: web.Application, monotonic: Callable[[], float]
) -> AsyncIterator[None]:
    in_force, outside = app[keys.IN_FORCE], app[keys.OUTSIDE]
    async with outgoing_session(in_force.now) as session:
        outside.wecom = wecom_client(in_force.now, session, monotonic)
        account = account_of(in_force.now)

        def change(settings: Settings) -> None:
            nonlocal account
            if account != account_of(settings):
                # Another one only where something changed: it forgets that WeCom refused us.
                outside.wecom = wecom_client(settings, session, monotonic)
                account = account_of(settings)
                outside.replaced.move(0)

        in_force.on_change(change)
        yield


async def _talk_to_receivers(app: web.Application, reachable: Reachable) -> AsyncIterator[None]:
    async with WebhookClient(reachable) as client:
        app[keys.OUTSIDE].webhooks = client
        yield


async def _reaction(
    lease: FileLease, work: Callable[[], Coroutine[None, None, None]]
) -> AsyncIterator[None]:
    """Work that one process at a time does; the others wait to take over."""

    async def when_it_is_ours() -> None:
        await _taken(lease)
        await work()

    task = asyncio.create_task(when_it_is_ours())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _taken(lease: FileLease) -> None:
    """Wait until this process holds it; nothing tells us when another one ends."""
    waiting = False
    while True:
        try:
            if lease.try_take():
                return
            why = "another process does it"
        except OSError as error:
            why = str(error)
        if not waiting:
            log.warning("sending and expiry are left to others for now", why=why)
        waiting = True
        await asyncio.sleep(TAKE_OVER_EVERY_S)


def sender_of(app: web.Application, sleep: Callable[[float], Awaitable[None]]) -> Sender:
    """What sends the messages of that service."""
    reading, clock = app[keys.READING], app[keys.CLOCK]
    style = app[keys.IN_FORCE].following(_style)
    letters = Letters(
        reading, clock, app[keys.CLOCKFACE], app[keys.ADDRESSES], style, app[keys.RESTORED_AT]
    )
    outside, pace, tally = app[keys.OUTSIDE], app[keys.PACE], app[keys.TALLY]

    def wecom() -> WeComClient | None:
        return outside.wecom

    return Sender(
        reading,
        app[keys.WRITER],
        wecom,
        clock,
        letters,
        pace,
        sleep,
        tally.message,
        outside.replaced.next,
    )


def _style(settings: Settings) -> Style:
    return Style(
        card=settings.message_style in ("card", "both"),
        text=settings.message_style in ("text", "both"),
        link=settings.text_link,
    )


def pusher_of(app: web.Application, sleep: Callable[[float], Awaitable[None]]) -> Pusher:
    """What pushes the decisions of that service."""
    client = app[keys.OUTSIDE].webhooks
    assert client is not None  # noqa: S101  # the service runs
    made = app[keys.KEYRING].webhook_secrets
    following = app[keys.IN_FORCE].following
    secrets = following(lambda now: WebhookSecrets(now.webhook_secrets, made))
    feed = app[keys.FEED]
    letterhead = Letterhead(feed.feed_id, secrets, feed.permit_of)
    reading, writer, clock = app[keys.READING], app[keys.WRITER], app[keys.CLOCK]
    return Pusher(reading, writer, client, clock, letterhead, sleep, app[keys.TALLY].webhook)


def daily_check_of(app: web.Application) -> DailyCheck:
    """What verifies the history of that service once a day."""
    given = app[keys.IN_FORCE].given
    return DailyCheck(given, app[keys.READING], app[keys.WRITER], app[keys.CLOCK])


def timekeeper_of(app: web.Application, grace: timedelta = GRACE) -> Timekeeper:
    """What ends the overdue approvals of that service, and reminds."""
    return Timekeeper(app[keys.READING], app[keys.WRITER], app[keys.CLOCK], grace)


async def _let_readers_go(app: web.Application) -> None:
    app[keys.FEED].close()
    app[keys.VIEWERS].close()
    await asyncio.gather(app[keys.READERS].leave(), app[keys.LIST_READERS].leave())
