"""`fta-approval doctor`: a configuration checked against WeCom, one line for each check."""

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime

import aiohttp

from adapters.wecom.verification import WAIT_S
from web.account_checks import AccountChecks, check_settings
from web.addresses import public_addresses
from web.findings import Finding, Outcome, skip
from web.outside import outgoing_session, wecom_client
from web.settings import Settings
from web.site_checks import SiteChecks
from web.trial import Trial


@dataclass
class Doctor:
    """
    The checks in the order in which one mends what they find.

    Args:
        trial: Sends the test approval; None takes one with the same settings and clock.
        wait_s: How long the answer of our own callback is waited for.
    """

    settings: Settings
    clock: Callable[[], datetime]
    trial: Trial | None = None
    wait_s: float = WAIT_S

    async def run(self, send_to: str | None = None) -> AsyncIterator[Finding]:
        """What each check finds, as soon as it is known."""
        for finding in check_settings(self.settings):
            yield finding
        addresses = public_addresses(self.settings, self.settings.listen)
        async with (
            outgoing_session(self.settings) as outgoing,
            aiohttp.ClientSession(trust_env=False) as public,
        ):
            wecom = wecom_client(self.settings, outgoing, time.monotonic, pause_s=0)
            account = AccountChecks(self.settings, wecom, addresses, self.clock)
            async for finding in account.run():
                yield finding
            site = SiteChecks(self.settings, addresses, self.clock, public, outgoing, self.wait_s)
            async for finding in site.run():
                yield finding
        if send_to is None:
            return
        if account.usable:
            yield await (self.trial or Trial(self.settings, self.clock)).run(send_to)
        else:
            yield skip("send", "needs a working token and application; mend those first")


async def run_doctor(doctor: Doctor, send_to: str | None, say: Callable[[Finding], None]) -> bool:
    """Say every finding; True if nothing has to be mended."""
    fine = True
    async for finding in doctor.run(send_to):
        say(finding)
        fine = fine and finding.outcome is not Outcome.FAIL
    return fine
