"""`fta-approval sessions end`: a member's logins ended from outside, such as for a lost phone."""

import asyncio
from collections.abc import Callable

from domain.commands import EndSessionsOf
from web.app import utc_now
from web.parts import build_parts, check_store_exists
from web.settings import Settings

# The first process with new read models makes them from every event there is.
CAUGHT_UP_WITHIN_S = 60.0


async def end_sessions(settings: Settings, userid: str, say: Callable[[str], None]) -> None:
    """
    End every open session of that member and say how many; the service may go on meanwhile.

    Raises:
        StoreUnavailable, TimeoutError: It could not be done.
        FileNotFoundError: There is no event store; one that is mistyped is not made anew.
    """
    check_store_exists(settings)
    parts = build_parts(settings, utc_now)
    async with parts.running():
        last = await asyncio.to_thread(parts.store.last_position)
        await asyncio.to_thread(parts.runner.wait_for, last, CAUGHT_UP_WITHIN_S)
        command = EndSessionsOf(at=utc_now(), by=userid, why="ended-by-administrator")
        ended = await parts.writer.execute(command)
    say(f"ended {ended} session{'' if ended == 1 else 's'} of {userid}")
