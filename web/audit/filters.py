"""What an auditor looks for or takes away, as it is typed, and as it is recorded."""

from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from projections.projection import milliseconds
from projections.search import Cursor, Happened, Sought

MILLISECOND = timedelta(milliseconds=1)


class WrongTime(ValueError):
    """It is none."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text!r} is no time: write 2026-05-04, 2026-05-04T20:00 or, with a zone, "
            "2026-05-04T12:00:00Z"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """
    Of approvals and of events. What is None or empty is left open.

    Of approvals, `since` and `before` are about when they were asked, `member` about any part in
    them, `channel` about how they ended. Of events they are about the event itself; `business`,
    `engine`, `status` and `words` are about the approval that it belongs to.
    """

    since: datetime | None = None
    before: datetime | None = None
    member: str | None = None
    business: str | None = None
    engine: str | None = None
    status: str | None = None
    channel: str | None = None
    words: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    """Stored names of events, any of them."""
    stream: str | None = None

    def sought(self, after: Cursor | None = None) -> Sought:
        """The approvals."""
        return Sought(
            member=self.member,
            business=self.business,
            engine=self.engine,
            status=self.status,
            channel=self.channel,
            since=_milliseconds(self.since),
            before=_milliseconds(self.before),
            words=self.words,
            after=after,
        )

    def happened(self, after: Cursor | None = None) -> Happened:
        """The events."""
        return Happened(
            kinds=self.kinds,
            by=self.member,
            via=self.channel,
            since=_milliseconds(self.since),
            before=_milliseconds(self.before),
            stream=self.stream,
            after=after,
        )

    @property
    def of_approval(self) -> Sought:
        """What the approval must be that an event belongs to."""
        return Sought(
            business=self.business, engine=self.engine, status=self.status, words=self.words
        )

    def recorded(self) -> dict[str, str]:
        """As it stands in the history: what was left open does not."""
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: _text(value) for name, value in given.items() if value}


def first_moment(text: str, zone: ZoneInfo) -> datetime:
    """
    From when on: a day from its beginning.

    Raises:
        WrongTime: It is no time.
    """
    return _read(text, zone)[0]


def first_after(text: str, zone: ZoneInfo) -> datetime:
    """
    Before when: a day and a millisecond are meant whole.

    Raises:
        WrongTime: It is no time.
    """
    return _read(text, zone)[1]


def _read(text: str, zone: ZoneInfo) -> tuple[datetime, datetime]:
    try:
        try:
            day = date.fromisoformat(text)
        except ValueError:
            at = datetime.fromisoformat(text)
            at = (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)
            return at, at.replace(microsecond=at.microsecond // 1000 * 1000) + MILLISECOND
        begins = (datetime.combine(one, time(), zone) for one in (day, day + timedelta(days=1)))
        first, after = (moment.astimezone(UTC) for moment in begins)
        return first, after
    except (ValueError, OverflowError):
        raise WrongTime(text) from None


def _milliseconds(at: datetime | None) -> int | None:
    return None if at is None else milliseconds(at)


def _text(value: datetime | str | tuple[str, ...]) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value if isinstance(value, str) else " ".join(value)
