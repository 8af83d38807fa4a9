"""What the two lists of the history have in common: a page of what was found, and around it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from projections.search import Cursor
from web import keys
from web.audit.pages_export import copy_of
from web.audit.pages_filters import Typed, names_switch, turns
from web.audit.pages_reader import Reader
from web.audit.pages_shown import moments
from web.audit.pages_state import state_of_the_log
from web.sessions import logout_token


@dataclass(frozen=True, slots=True)
class Found:
    """One page."""

    items: Sequence[dict[str, Any]]
    older: Cursor | None
    """Where the next page begins; None: there is no more."""
    is_cut: bool
    """It was not looked any further than `older`, where there may be more."""


NOTHING = Found((), None, is_cut=False)


async def list_of(
    request: web.Request, reader: Reader, what: str, typed: Typed, found: Found
) -> dict[str, Any]:
    """What the template needs, but for the choices of its filters."""
    return {
        "me": reader.member,
        "logout": logout_token(request),
        "reader": reader,
        "log": await state_of_the_log(request) if reader.is_auditor else None,
        "given": typed.given,
        "wrong": typed.wrong,
        "filters": typed.in_words,
        "names": names_switch(request.path, reader, typed.used),
        "copy": None if typed.wrong else copy_of(request, reader, what, typed.used),
        "zone": request.app[keys.CLOCKFACE].zone.key,
        "opened_at": moments(request)(request.app[keys.CLOCK]()),
        "items": found.items,
        "is_cut": found.is_cut,
        **turns(request.path, reader, typed, found.older),
    }
