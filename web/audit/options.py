"""Options that search and export share, and what they mean."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from domain.decision import Status

if TYPE_CHECKING:
    from web.audit.filters import Filters
    from web.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

TIMES = "A day, a time in the zone of the settings, or with its own zone."
FILTERS = (
    click.option("--from", "since", metavar="TIME", help=f"That day or later. {TIMES}"),
    click.option("--to", "until", metavar="TIME", help="That day, or moment, or earlier."),
    click.option("--member", metavar="USERID", help="With any part in it; of events, by or to."),
    click.option("--business", metavar="NAME", help="业务 of the details, else biz_id."),
    click.option("--engine", metavar="NAME", help="The one that asked."),
    click.option("--status", type=click.Choice([one.value for one in Status])),
    click.option("--channel", metavar="NAME", help="By which it ended; of events, came."),
    click.option("--words", metavar="TEXT", multiple=True, help="In id, message or reason; all."),
    click.option("--events", "kinds", metavar="KIND", multiple=True, help="Events of that kind."),
)


def filters(command: F) -> F:
    """The options of what is looked for, in this order."""
    for option in reversed(FILTERS):
        command = option(command)
    return command


def read_filters(settings: "Settings", given: dict[str, Any], *, of_events: bool) -> "Filters":
    """
    What was typed, as filters.

    Raises:
        click.BadParameter: One of them means nothing: left out, it would show too much.
    """
    from zoneinfo import ZoneInfo

    from web.audit.filters import Filters, first_after, first_moment

    zone = ZoneInfo(settings.time_zone)
    since = _read("--from", given["since"], lambda text: first_moment(text, zone))
    before = _read("--to", given["until"], lambda text: first_after(text, zone))
    if since is not None and before is not None and before <= since:
        raise click.BadParameter("is before --from", param_hint="--to")
    return Filters(
        since=since,
        before=before,
        member=given["member"],
        business=given["business"],
        engine=given["engine"],
        status=given["status"],
        channel=_read("--channel", given["channel"], _channel_of_event if of_events else _channel),
        words=given["words"],
        kinds=_read("--events", given["kinds"], _topics) or (),
    )


T = TypeVar("T")


def _read(option: str, given: Any, read: Callable[[Any], T]) -> T | None:
    if not given:
        return None
    try:
        return read(given)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from None


def _topics(names: tuple[str, ...]) -> tuple[str, ...]:
    from web.audit.kinds import topics

    return topics(names)


def _channel(name: str) -> str:
    from web.audit.kinds import CHANNELS_OF_ENDS

    return _one_of(CHANNELS_OF_ENDS, name)


def _channel_of_event(name: str) -> str:
    from web.audit.kinds import CHANNELS

    return _one_of(CHANNELS, name)


def _one_of(known: tuple[str, ...], name: str) -> str:
    if name not in known:
        raise ValueError(f"{name!r} is none of {', '.join(known)}")
    return name
