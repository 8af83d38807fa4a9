"""Somebody at a shell looks into the history, or takes something away: kept before they have it."""

import asyncio

from adapters.store.event_store import EventStore
from adapters.store.writer import Writer
from domain.commands import RecordExport, RecordSearch
from domain.unit import Directory


async def recorded(store: EventStore, command: RecordSearch | RecordExport) -> None:
    """
    Keep it, beside a running service; the read models are not needed for it.

    Raises:
        StoreUnavailable: It could not be stored: nothing may be shown.
    """
    writer = Writer(store.another(), _without_read_models, list)
    writer.start()
    try:
        await writer.execute(command)
    finally:
        await asyncio.to_thread(writer.stop)
        writer.store.close()


def _without_read_models(position: int) -> Directory:
    raise TimeoutError("nothing here asks the read models")
