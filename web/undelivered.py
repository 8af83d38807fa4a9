"""`fta-approval webhooks`: what could not be pushed, pushed again; the secret that signs."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from adapters.engine.signature import secret_text
from domain.commands import RedeliverWebhook
from domain.errors import Refusal
from projections.webhooks import webhooks_after
from web.app import utc_now
from web.keyring import make_webhook_secret
from web.parts import Parts, build_parts, check_store_exists
from web.secret_key import secret_key
from web.settings import Settings
from web.shell_account import shell_account
from web.vault import Vault
from web.webhook_secrets import EVERYBODY, WebhookSecrets
from web.webhooks import reply_id_of, webhook_document

# The first process with new read models makes them from every event there is.
CAUGHT_UP_WITHIN_S = 60.0
EVERYTHING = 2**31

Say = Callable[[str], None]


class SetElsewhere(Exception):
    """The environment sets the secrets, so they are replaced there."""


class UnknownEngine(Exception):
    """No engine has that name, so its webhooks are not signed with anything."""


@asynccontextmanager
async def _beside_the_service(settings: Settings) -> AsyncIterator[Parts]:
    """
    The store and what works on it; the service may go on meanwhile.

    Raises:
        FileNotFoundError: There is no event store; one that is mistyped is not made anew.
    """
    check_store_exists(settings)
    parts = build_parts(settings, utc_now)
    async with parts.running():
        yield parts


async def _caught_up(parts: Parts) -> None:
    last = await asyncio.to_thread(parts.store.last_position)
    await asyncio.to_thread(parts.runner.wait_for, last, CAUGHT_UP_WITHIN_S)


async def list_webhooks(settings: Settings, say: Say, *, as_json: bool, everything: bool) -> None:
    """One line for each that was given up, or for everything that its engine has not taken."""
    async with _beside_the_service(settings) as parts:
        await _caught_up(parts)
        wanted = None if everything else True
        rows = await parts.reading.of_read_models(
            lambda tables: webhooks_after(tables, 0, EVERYTHING, undelivered=wanted)
        )
        found = [webhook_document(row, parts.feed_id) for row in rows]
    for one in found:
        say(json.dumps(one) if as_json else _line(one))
    if not found and not as_json:
        say("nothing waits" if everything else "nothing is undelivered")


def _line(one: dict[str, object]) -> str:
    then = f", next {one['next_attempt_at']}" if one["next_attempt_at"] else ""
    why = f": {one['problem']}" if one["problem"] else ""
    about = f"{one['id']} {one['state']} {one['engine']} {one['reply_id']} {one['url']}"
    return f"{about} after {one['attempts']} attempts{then}{why}"


async def redeliver(settings: Settings, ids: Sequence[int], say: Say) -> bool:
    """
    Have these pushed again, or without any all that were given up; False if one could not be.

    Raises:
        StoreUnavailable, TimeoutError: It could not be done.
    """
    async with _beside_the_service(settings) as parts:
        await _caught_up(parts)
        if not ids:
            rows = await parts.reading.of_read_models(
                lambda tables: webhooks_after(tables, 0, EVERYTHING, undelivered=True)
            )
            ids = [row["position"] for row in rows]
            if not ids:
                say("nothing is undelivered")
        return all([await _redeliver_one(parts, position, say) for position in ids])


async def _redeliver_one(parts: Parts, position: int, say: Say) -> bool:
    try:
        reply_id = await reply_id_of(parts.reading, position)
        wanted = RedeliverWebhook(
            at=utc_now(),
            by=shell_account(),
            channel="shell",
            reply_id=reply_id,
            delivery=position,
        )
        await parts.writer.execute(wanted)
    except Refusal as refusal:
        say(str(refusal))
        return False
    say(f"webhook {position} of {reply_id} is sent again")
    return True


async def show_secrets(settings: Settings, engine: str, say: Say) -> None:
    """
    What the receivers of an engine verify with, the newest first.

    Raises:
        UnknownEngine: A mistyped name gets nobody's secret.
    """
    if engine != EVERYBODY and engine not in {name for name, _ in settings.engines}:
        raise UnknownEngine(f"{engine!r} is no engine of FTA_APPROVAL_API_TOKENS")
    async with _beside_the_service(settings) as parts:
        secrets = WebhookSecrets(parts.in_force.now.webhook_secrets, parts.keyring.webhook_secrets)
        for secret in secrets.of(engine, utc_now()):
            say(secret_text(secret))


async def rotate_secret(settings: Settings, say: Say) -> None:
    """
    Make a new secret and say it; the one before signs along for a day.

    Raises:
        SetElsewhere: The environment sets it.
    """
    async with _beside_the_service(settings) as parts:
        if EVERYBODY in parts.in_force.now.webhook_secrets:
            raise SetElsewhere(
                "FTA_APPROVAL_WEBHOOK_SECRET sets the secret: put a new one before it there"
            )
        vault = Vault(secret_key(settings))
        made = make_webhook_secret(parts.store, vault, utc_now(), shell_account())
    say(secret_text(made))
