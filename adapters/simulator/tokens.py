"""Access tokens: one per application secret, and a ban for callers who keep guessing."""

import hmac
import secrets
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapters.simulator.corp import Clock, CorpSettings
from adapters.simulator.knobs import Knobs
from adapters.simulator.refusals import ApiError

BAN = timedelta(hours=1)


@dataclass
class Issued:
    agent_id: int
    until: datetime


class Tokens:
    """Source: wecom-protocol 4.1 and the table of section 10."""

    def __init__(self, settings: CorpSettings, clock: Clock) -> None:
        self._corp_id = settings.corp_id
        self._clock = clock
        self.agents = {settings.secret: settings.agent_id, **settings.other_apps}
        self.given: dict[str, Issued] = {}
        self._wrong: Counter[str] = Counter()
        self._banned_until: dict[str, datetime] = {}

    def issue(self, corp_id: str, secret: str, ip: str, knobs: Knobs) -> tuple[str, int]:
        """Returns the token and the seconds that it lives."""
        if not secret:
            raise ApiError(41004)
        if not corp_id:
            raise ApiError(41002)
        now = self._clock()
        if now < self._banned_until.get(ip, now):
            raise ApiError(45009, "too many calls with a wrong secret")
        if corp_id != self._corp_id:
            raise ApiError(40013)
        agent_id = self._agent_of(secret)
        if agent_id is None:
            self._count_wrong_secret(ip, now, knobs)
            raise ApiError(40001)
        return self._token_for(agent_id, now, knobs)

    def check(self, token: str | None, ip: str, knobs: Knobs) -> int:
        """Returns the id of the application that the token was given to."""
        if not token:
            raise ApiError(41001)
        issued = self.given.get(token)
        if issued is None:
            raise ApiError(40014)
        if self._clock() >= issued.until:
            raise ApiError(knobs.expired_token_code)
        if knobs.trusted_ips is not None and ip not in knobs.trusted_ips:
            raise ApiError(60020)
        return issued.agent_id

    def expire(self) -> None:
        """Every token given so far is void from now on."""
        for issued in self.given.values():
            issued.until = self._clock()

    def _agent_of(self, secret: str) -> int | None:
        return next(
            (
                agent_id
                for known, agent_id in self.agents.items()
                if hmac.compare_digest(known.encode(), secret.encode())
            ),
            None,
        )

    def _count_wrong_secret(self, ip: str, now: datetime, knobs: Knobs) -> None:
        self._wrong[ip] += 1
        if self._wrong[ip] >= knobs.wrong_secrets_before_ban:
            self._banned_until[ip] = now + BAN
            del self._wrong[ip]

    def _token_for(self, agent_id: int, now: datetime, knobs: Knobs) -> tuple[str, int]:
        if knobs.same_token_while_valid:
            for token, issued in self.given.items():
                if issued.agent_id == agent_id and now < issued.until:
                    return token, int((issued.until - now).total_seconds())
        token = secrets.token_urlsafe(96)
        self.given[token] = Issued(agent_id, now + timedelta(seconds=knobs.token_lifetime_s))
        return token, int(knobs.token_lifetime_s)
