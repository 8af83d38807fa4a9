"""Members under other names, where a reader of the history wants it so."""

import asyncio
from collections.abc import Callable, Sequence

from aiohttp import web

from domain.aggregate import Event
from domain.approval import Approval
from web import keys
from web.audit.pages_reader import Reader
from web.audit.pseudonyms import Pseudonyms

Named = Callable[[Event], Event]
"""An event as it is shown; never to be stored."""


async def names_for(request: web.Request, reader: Reader) -> Named:
    """How events are shown to this reader: as they are, or with other names in them."""
    if not reader.are_names_hidden:
        return _as_it_is
    pseudonyms = await asyncio.to_thread(Pseudonyms.of_store, request.app[keys.KEYRING])
    return pseudonyms.event


def _as_it_is(event: Event) -> Event:
    return event


async def with_names(
    request: web.Request, reader: Reader, approvals: Sequence[Approval]
) -> list[Approval]:
    """These approvals as they are shown to this reader, to be read and never to be decided on."""
    if not reader.are_names_hidden:
        return list(approvals)
    named, reading = await names_for(request, reader), request.app[keys.READING]
    shown = []
    for approval in approvals:
        events = [named(event) for _, event in await reading.events_of(approval.id)]
        shown.append(Approval.replay(approval.id, events))
    return shown
