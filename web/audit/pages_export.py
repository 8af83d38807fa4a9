"""A copy of what was found, to take away: what stands on the page for it, and what is sent."""

from typing import Any

from aiohttp import web

from web import keys
from web.audit.pages_filters import Filters
from web.audit.pages_reader import HIDDEN, Reader
from web.sessions import session_hash

PURPOSE = "audit-export"


def copy_of(
    request: web.Request, reader: Reader, what: str, filters: Filters
) -> dict[str, Any] | None:
    """What the form holds that takes a copy of these; None for who may not."""
    if not reader.is_auditor:
        return None
    hidden = {"names": HIDDEN} if reader.are_names_hidden else {}
    token = request.app[keys.FORM_TOKENS].make(PURPOSE, session_hash(request))
    return {"token": token, "fields": {"what": what, **filters.used, **hidden}}
