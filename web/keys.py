"""What handlers may reach: typed keys into the application, and nothing else of its wiring."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from aiohttp import web

from adapters.engine.webhooks import WebhookClient
from adapters.store.writer import Writer
from adapters.wecom.client import WeComClient
from adapters.wecom.crypto import CallbackCrypto
from adapters.wecom.messages import Clockface
from projections.runner import ProjectionRunner
from web.addresses import Addresses
from web.engines import Engines
from web.event_stream import Readers
from web.evidence import NewestHead
from web.evidence_growing import TreeKeeper
from web.feed import Feed
from web.forms import FormTokens
from web.in_force import SettingsInForce
from web.issuing import Permits
from web.keyring import Keyring
from web.pace import Pace
from web.quota import ReplyQuota
from web.rate import RateLimit
from web.reading import Progress, Reading
from web.settings import Settings
from web.tally import Tally
from web.viewers import Viewers

Clock = Callable[[], datetime]


@dataclass
class Outside:
    """What exists only while the service runs, because it holds connections."""

    wecom: WeComClient | None = None
    """None while WeCom is not configured."""
    webhooks: WebhookClient | None = None
    """None before the service runs."""
    replaced: Progress = field(default_factory=lambda: Progress(0))
    """Moves when the settings name another account."""
    application_closed: bool = False
    """WeCom said that it has switched the application off."""


IN_FORCE = web.AppKey("in_force", SettingsInForce)
SETTINGS = web.AppKey("settings", Settings)
"""What is in force at the moment: never keep an answer longer than a request."""
CLOCK: web.AppKey[Clock] = web.AppKey("clock")
WRITER = web.AppKey("writer", Writer)
READING = web.AppKey("reading", Reading)
ADDRESSES = web.AppKey("addresses", Addresses)
FEED = web.AppKey("feed", Feed)
RESTORED_AT: web.AppKey[datetime | None] = web.AppKey("restored_at")
READERS = web.AppKey("readers", Readers)
VIEWERS = web.AppKey("viewers", Viewers)
LIST_READERS = web.AppKey("list_readers", Readers)
"""Streams of open lists, beside those of engines."""
ENGINES = web.AppKey("engines", Engines)
NEWEST_HEAD = web.AppKey("newest_head", NewestHead)
TREE = web.AppKey("tree", TreeKeeper)
KEYRING = web.AppKey("keyring", Keyring)
PERMITS = web.AppKey("permits", Permits)
CALLBACK_CRYPTO = web.AppKey("callback_crypto", CallbackCrypto)
TALLY = web.AppKey("tally", Tally)
REPLY_QUOTA = web.AppKey("reply_quota", ReplyQuota)
PACE = web.AppKey("pace", Pace)
OUTSIDE = web.AppKey("outside", Outside)
RUNNER = web.AppKey("runner", ProjectionRunner)
FORM_TOKENS = web.AppKey("form_tokens", FormTokens)
CLOCKFACE = web.AppKey("clockface", Clockface)
RATE_LIMIT = web.AppKey("rate_limit", RateLimit)
COUNTING = web.AppKey("counting", asyncio.Lock)
"""Who counts many facts holds this: whoever only looks something up must not wait for threads."""

LET_IN_BY = web.RequestKey("let_in_by", object)
"""Under which edition of the tokens that was."""
ENGINE = web.RequestKey("engine", str)
"""Which engine asks; set once its token was found good."""
REQUEST_ID = web.RequestKey("request_id", str)
"""What the engine calls this request, or we do."""
LOGGED_IN_AT = web.RequestKey("logged_in_at", datetime)
"""When the member who asks logged in; set once their session was found good."""
