"""The ways out: to WeCom, for the service and for the commands of an administrator; to engines."""

import ssl
from collections.abc import Callable

import aiohttp

from adapters.engine.reachable import Own, Reachable
from adapters.wecom.client import PAUSE_AFTER_MISCONFIGURATION_S, WeComAccount, WeComClient
from web.settings import Settings


def outgoing_session(settings: Settings) -> aiohttp.ClientSession:
    """
    Connections to WeCom. The settings alone say by which proxy, never the environment's.

    Certificates are always verified: against the system's authorities, and beside them those of
    `WECOM_CA_FILE`, which an intercepting proxy needs.
    """
    trusted = ssl.create_default_context()
    if settings.wecom_ca_file:
        trusted.load_verify_locations(settings.wecom_ca_file)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted), trust_env=False)


def wecom_client(
    settings: Settings,
    session: aiohttp.ClientSession,
    monotonic: Callable[[], float],
    pause_s: float = PAUSE_AFTER_MISCONFIGURATION_S,
) -> WeComClient | None:
    """
    The client of our application; None while WeCom is not configured.

    Args:
        pause_s: How long an error of the configuration stops every call. A command that asks each
            thing once, and nothing after a refused secret, needs no pause.
    """
    if not settings.wecom_is_configured:
        return None
    assert settings.wecom_corp_id and settings.wecom_secret  # noqa: S101  # just asked
    assert settings.wecom_agent_id is not None  # noqa: S101
    account = WeComAccount(
        settings.wecom_corp_id,
        settings.wecom_agent_id,
        settings.wecom_secret.get_secret_value(),
    )
    return WeComClient(
        session,
        settings.wecom_api_url,
        account,
        monotonic,
        settings.wecom_proxy,
        pause_s=pause_s,
    )


def account_of(settings: Settings) -> tuple[object, ...]:
    """All that the client is made of: while it stays the same, so does what the client knows."""
    secret = settings.wecom_secret.get_secret_value() if settings.wecom_secret else None
    account = (settings.wecom_corp_id, settings.wecom_agent_id, secret)
    return (*account, settings.wecom_api_url, settings.wecom_proxy)


def reachable(settings: Settings, listening_on: str) -> Reachable:
    """
    Where webhooks may go.

    Args:
        listening_on: `HOST:PORT` of this very process.
    """
    host, _, port = listening_on.rpartition(":")
    url = settings.app_url.removesuffix("wechat/") if settings.app_url else None
    return Reachable(Own(host.strip("[]"), int(port), url), settings.callback_hosts)
