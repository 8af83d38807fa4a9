"""A member's message to a command: pure translation; what it decides is the domain's business."""

from datetime import UTC, datetime, timedelta

from adapters.wecom import words
from adapters.wecom.inbound import TextMessage
from domain.commands import Reply

MAX_WORDS = 2000  # WeCom cuts texts at 2048 bytes; more than that would only fill the history
OLDEST, NEWEST = timedelta(hours=1), timedelta(minutes=10)


def to_command(message: TextMessage, received_at: datetime, timestamp: str) -> Reply:
    """
    Translate a chat reply such as `TY 12345_2`.

    Args:
        received_at: When it reached us (UTC): the moment that every rule judges by.
        timestamp: Of the callback's address, in unix seconds: one older than an hour, or ahead
            by ten minutes, decides nothing.
    """
    read = words.read(message.content)
    doubt: str | None = read.doubt
    if read.asks_help or read.asks_todo:
        doubt = "help" if read.asks_help else "todo"
    if not is_fresh(timestamp, received_at):
        doubt = "stale"
    return Reply(
        at=received_at,
        by=message.from_user,
        words=message.content[:MAX_WORDS],
        delivery_key=message.delivery_key,
        verdict=read.verdict,
        reply_id=read.reply_id,
        reason=read.reason,
        doubt=doubt,
        sent_at=time_of(message.created),
    )


def is_fresh(timestamp: str, now: datetime) -> bool:
    """Whether a callback's `timestamp`, in unix seconds, is near enough to be believed."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return False
    sent = time_of(int(timestamp))
    return sent is not None and now - OLDEST <= sent <= now + NEWEST


def time_of(seconds: int | None) -> datetime | None:
    """Unix seconds as a time; None for what is none."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
