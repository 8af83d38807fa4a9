"""What members do without writing, and what WeCom reports by itself: events to commands, pure.

Source: wecom-protocol 2.2, 2.3. Every kind that is described there stands in MEANINGS.
"""

from datetime import datetime
from enum import Enum

from adapters.wecom import cards
from adapters.wecom.inbound import Event, OtherMessage
from adapters.wecom.replies import MAX_WORDS, is_fresh, time_of
from domain.commands import Greet, RecordLeaving, Reply
from domain.decision import Channel, Verdict
from domain.inbox import NOT_TEXT


class Meaning(Enum):
    """What an event is to us."""

    TAP = "a button of a card"
    CAME = "the member is told what waits for them"
    LEFT = "the member can no longer be reached"
    ASKS_TODO = "an entry of the menu that opens no page: what waits is told"
    CLOSED = "WeCom has switched the application off"
    CLOSING = "WeCom may switch the application off"
    REOPENED = "the application works again"
    NOTHING = "nothing that concerns approvals"


MEANINGS: dict[str, Meaning] = {
    "template_card_event": Meaning.TAP,
    "subscribe": Meaning.CAME,
    "enter_agent": Meaning.CAME,
    "unsubscribe": Meaning.LEFT,
    "click": Meaning.ASKS_TODO,
    "close_inactive_agent": Meaning.CLOSED,
    "inactive_alert": Meaning.CLOSING,
    "low_active_alert": Meaning.CLOSING,
    "low_active": Meaning.CLOSING,
    "reopen_inactive_agent": Meaning.REOPENED,
    "active_restored": Meaning.REOPENED,
    **dict.fromkeys(
        [
            "view",  # opens the page by itself
            "view_miniprogram",
            "location",
            "scancode_push",
            "scancode_waitmsg",
            "pic_sysphoto",
            "pic_photo_or_album",
            "pic_weixin",
            "location_select",
            "template_card_menu_event",  # our cards have no menu
            "taskcard_click",  # the retired kind of card, which we never sent
            "share_agent_change",
            "share_chain_change",
            "batch_job_result",
            "change_contact",
            "open_approval_change",
        ],
        Meaning.NOTHING,
    ),
}


# Kinds of message that members send and nobody here reads.
NOT_TEXTS = ("image", "voice", "video", "shortvideo", "location", "link", "file")


def meaning_of(event: Event) -> Meaning | None:
    """What it is to us; None for a kind that nobody has described."""
    return MEANINGS.get(event.event)


def to_command(
    event: Event, received_at: datetime, timestamp: str
) -> Reply | Greet | RecordLeaving | None:
    """
    Translate what a member did; None where nothing follows from it.

    Args:
        received_at: When it reached us (UTC): the moment that every rule judges by.
        timestamp: Of the callback's address, in unix seconds: one older than an hour, or ahead by
            ten minutes, has no effect; a tap is kept all the same.
    """
    fresh = is_fresh(timestamp, received_at)
    match meaning_of(event):
        case Meaning.TAP:
            return _tap(event, received_at, fresh)
        case Meaning.ASKS_TODO:
            return _reply(event, received_at, words=event.event_key, doubt="todo")
        case Meaning.CAME if fresh:
            return Greet(at=received_at, by=event.from_user, delivery_key=event.delivery_key)
        case Meaning.LEFT if fresh:
            return RecordLeaving(
                at=received_at, by=event.from_user, delivery_key=event.delivery_key
            )
        case _:
            return None


def of_other(message: OtherMessage, received_at: datetime) -> Reply | None:
    """A picture, a voice message …: kept, answered once a day, never a decision."""
    if message.msg_type not in NOT_TEXTS:
        return None
    return _reply(message, received_at, words=f"[{message.msg_type}]", doubt=NOT_TEXT)


def _tap(event: Event, received_at: datetime, fresh: bool) -> Reply:
    tapped = cards.read_tap(event.event_key)
    verdict, reply_id = tapped or (None, None)
    doubt = None if tapped else "unreadable"
    return _reply(
        event,
        received_at,
        words=event.event_key,
        doubt=doubt if fresh else "stale",
        channel=Channel.CARD,
        verdict=verdict,
        reply_id=reply_id,
        card=event.task_id,
        response_code=event.response_code or None,
    )


def _reply(
    message: Event | OtherMessage,
    received_at: datetime,
    *,
    words: str,
    doubt: str | None,
    channel: Channel = Channel.TEXT,
    verdict: Verdict | None = None,
    reply_id: str | None = None,
    card: str | None = None,
    response_code: str | None = None,
) -> Reply:
    return Reply(
        at=received_at,
        by=message.from_user,
        words=words[:MAX_WORDS],
        delivery_key=message.delivery_key,
        channel=channel,
        verdict=verdict,
        reply_id=reply_id,
        doubt=doubt,
        sent_at=time_of(message.created),
        card=card,
        response_code=response_code,
    )
