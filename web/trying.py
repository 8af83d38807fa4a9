"""The test buttons of the configuration page: what `fta-approval doctor` finds, piece by piece."""

import asyncio
import time
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from adapters.wecom.verification import WAIT_S
from web import keys
from web.account_checks import AccountChecks
from web.findings import Finding, Outcome, fail
from web.outside import outgoing_session, wecom_client
from web.site_checks import SiteChecks
from web.trial import Trial

TOKEN, CALLBACK, MENU, SEND = "token", "callback", "menu", "send"
WITHIN_S = 60.0


async def findings_of(request: web.Request, what: str, userid: str | None) -> list[Finding]:
    """
    What that test finds with the settings in force.

    Args:
        userid: To whom a test approval is sent.
    """
    found: list[Finding] = []
    try:
        async with asyncio.timeout(WITHIN_S):
            async for finding in _run(request, what, userid):
                found.append(finding)  # noqa: PERF401  # what was found stays when time is over
    except TimeoutError:
        found.append(fail(what, f"no answer within {WITHIN_S:g} s", "try again in a minute"))
    return found


async def _run(request: web.Request, what: str, userid: str | None) -> AsyncIterator[Finding]:
    settings, clock = request.app[keys.SETTINGS], request.app[keys.CLOCK]
    addresses = request.app[keys.ADDRESSES]
    if what == SEND and userid is not None:
        yield await Trial(settings, clock).run(userid)
        return
    async with (
        outgoing_session(settings) as outgoing,
        aiohttp.ClientSession(trust_env=False) as public,
    ):
        if what == CALLBACK:
            checks = SiteChecks(settings, addresses, clock, public, outgoing, WAIT_S)
            async for finding in checks.run():
                yield finding
            return
        wecom = wecom_client(settings, outgoing, time.monotonic, pause_s=0)
        async for finding in AccountChecks(settings, wecom, addresses, clock).run():
            if (finding.check == MENU) == (what == MENU) or finding.outcome is Outcome.FAIL:
                yield finding
