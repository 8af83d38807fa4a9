"""`fta-approval freeze` and `thaw`: approving stopped, and let go on, beside a running service."""

from collections.abc import Callable

from domain.commands import FreezeApprovals, ThawApprovals
from domain.freeze import Freeze
from web.app import utc_now
from web.parts import build_parts, check_store_exists
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
    check_store_exists(settings)
    parts = build_parts(settings, utc_now)
    async with parts.running():
        done: Freeze = await parts.writer.execute(command)
    return done
