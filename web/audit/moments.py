"""A moment as somebody types it."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

NOW = "now"
# Times are shown to the millisecond: one that was copied means all of that millisecond.
REST_OF_A_MILLISECOND = timedelta(microseconds=999)


class WrongTime(ValueError):
    """It is none."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text!r} is no time; write 2026-05-04, 2026-05-04T20:00:00 or with a zone, "
            "2026-05-04T12:00:00Z, or now"
        )


def moment(text: str, zone: ZoneInfo, now: datetime) -> datetime:
    """
    The moment that is meant; a date alone is its beginning.

    Args:
        text: ISO 8601, or `now`.
        zone: Of a time that names none.

    Raises:
        WrongTime: It is none.
    """
    if text == NOW:
        return now
    try:
        at = _read(text)
        if at.tzinfo is None:
            at = at.replace(tzinfo=zone)
        at.astimezone(now.tzinfo)  # the first and the last day of all have no other zones
    except (ValueError, OverflowError):
        raise WrongTime(text) from None
    return at + REST_OF_A_MILLISECOND if at.microsecond % 1000 == 0 else at


def _read(text: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(text), time())
    except ValueError:
        return datetime.fromisoformat(text)
