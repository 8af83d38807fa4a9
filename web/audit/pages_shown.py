"""How pages of the history write times, ways and members."""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from aiohttp import web

from domain.aggregate import Event
from domain.approval import Approval
from web import keys
from web.audit.pages_filters import address
from web.audit.pages_reader import Reader
from web.translation import gettext

# By every name under which a way is stored.
WAYS = {
    "wecom-text": "回复",
    "wecom-card": "卡片",
    "web": "页面",
    "page": "页面",
    "clock": "系统",
    "service": "系统",
    "api": "接口",
    "fta": "FTA 旧接口",
    "shell": "命令行",
    "environment": "环境变量",
}


class Moment(NamedTuple):
    """A time: as people read it in the zone of the settings, and exactly."""

    words: str
    exactly: str


def moments(request: web.Request) -> Callable[[datetime], Moment]:
    """
    To the second, with its day and year: who reads this may look far back, or at paper.

    Two things of one second are told apart by their positions.
    """
    zone = request.app[keys.CLOCKFACE].zone

    def moment(at: datetime) -> Moment:
        return Moment(f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}", at.isoformat())

    return moment


def page_of(request: web.Request, reader: Reader, approval_id: str) -> str:
    """The page with everything that happened to that approval."""
    path = f"{request.app[keys.ADDRESSES].prefix}/audit/a/{approval_id}/"
    return address(path, reader, {})


def way_of(event: Event) -> str:
    """By which way it came, in words; empty where the service itself did it."""
    if isinstance(event, Approval.Expired):
        return gettext(WAYS["clock"])
    stored = getattr(event, "channel", None) or getattr(event, "via", None) or ""
    return gettext(WAYS.get(stored, stored))
