"""`fta-approval freeze` and `thaw`: approving stopped, and let go on, beside a running service."""

import asyncio
from collections.abc import Callable

from adapters.store.writer import Writer
from domain.commands import FreezeApprovals, ThawApprovals
from domain.freeze import Freeze
from domain.unit import Directory
from web.app import utc_now
from web.parts import check_store_exists, opened_store
from web.settings import Settings
from web.shell_account import shell_account


async def freeze(settings: Settings, why: str, say: Callable[[str], None]) -> None:
    """
    Stop approving. When this returns nothing is approved or redeemed any more, in no process.

    Raises:
        StoreUnavailable: It could not be stored; nothing is known to be frozen.
        FileNotFoundError: There is no event store; one that is mistyped is not made anew.
    """
    await _execute(settings, FreezeApprovals(at=utc_now(), by=shell_account(), why=why))
    say("frozen: nothing is approved and no permit redeemed until fta-approval thaw")


async def thaw(settings: Settings, say: Callable[[str], None]) -> None:
    """
    Let approving go on.

    Raises:
        StoreUnavailable, FileNotFoundError: As above.
    """
    frozen = await _execute(settings, ThawApprovals(at=utc_now(), by=shell_account()))
    say("thawed" if frozen.last is not None else "nothing was frozen")


async def _execute(settings: Settings, command: FreezeApprovals | ThawApprovals) -> Freeze:
    """By the event store alone: an emergency stop waits neither for read models that somebody
    rebuilds, nor asks for the secret key."""
    check_store_exists(settings)
    with opened_store(settings) as store:
        writer = Writer(store, _without_read_models, list)
        writer.start()
        try:
            done: Freeze = await writer.execute(command)
        finally:
            await asyncio.to_thread(writer.stop)
    return done


def _without_read_models(position: int) -> Directory:
    raise TimeoutError("nothing here asks the read models")
