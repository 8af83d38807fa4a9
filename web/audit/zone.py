"""Times as an auditor reads them: in the zone of the settings, which is named, and in UTC."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from domain.aggregate import Event
from domain.configuration import Configuration, Via
from web.settings import Settings

NAME = "time_zone"


def zone_in_force(given: Settings, events: Iterable[Event]) -> ZoneInfo:
    """
    What the environment says, else what is stored, else the default.

    Args:
        events: Of the configuration; a store that cannot be unsealed here has its zone too.
    """
    if NAME in given.model_fields_set:
        return ZoneInfo(given.time_zone)
    stored = given.time_zone
    for event in events:
        if isinstance(event, Configuration.Changed) and event.via != Via.ENVIRONMENT:
            stored = event.values.get(NAME, stored) or Settings.model_fields[NAME].default
    return ZoneInfo(stored)


@dataclass(frozen=True, slots=True)
class Zone:
    """Shows moments in one zone."""

    zone: ZoneInfo

    def full(self, at: datetime) -> str:
        """`2026-05-04 20:00:00.123`"""
        return self._local(at).isoformat(" ", "milliseconds")

    def clock(self, at: datetime) -> str:
        """`20:00:00.123`"""
        return self._local(at).time().isoformat("milliseconds")

    def day(self, at: datetime) -> str:
        """`2026-05-05 Asia/Shanghai, 2026-05-04 UTC`: which day it is, here and there."""
        return f"{self._local(at):%Y-%m-%d} {self.zone.key}, {at.astimezone(UTC):%Y-%m-%d} UTC"

    def _local(self, at: datetime) -> datetime:
        return at.astimezone(self.zone).replace(tzinfo=None)
