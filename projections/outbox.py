"""What is still to be sent to members, and to whom.

A row appears with the event that calls for a message and goes with the event that records what
became of it. Nothing else is kept here: when to try again is the sender's own affair, so the
outbox follows from the events alone and a rebuild sends nothing twice.

Each row has a name, its notice: `ask/zhangsan`, `answer/7`, `end/zhangsan` …; what is to be said
follows from the approval as it is when it is sent.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import msgspec

from domain.aggregate import Event
from domain.approval import Approval
from domain.configuration import Configuration
from domain.decision import Channel, Status
from domain.identity import merged, same_person
from domain.inbox import Inbox
from projections.database import Database, Row, Tables
from projections.projection import ENDS, Fact, Projection, milliseconds

DELIVERED = (
    Approval.Notified,
    Approval.NotificationFailed,
    Inbox.Answered,
    Configuration.Told,
)
REPLIES = (Approval.Replied, Inbox.Received)
BY_MESSAGE = (Channel.TEXT.value, Channel.CARD.value)


class Lane(StrEnum):
    """What one member's messages queue for: nothing in one lane keeps back another."""

    ANSWERS = "answers"
    """To the member's own words or doings: at once, and each by itself."""
    NOTICES = "notices"
    """What others did: many of them in a short time are gathered."""
    CARDS = "cards"
    """Changes of what stands on the member's phone already."""


class Kind(StrEnum):
    """What a notice is about: the first part of its name."""

    ASK = "ask"
    REMIND = "remind"
    ALARM = "alarm"
    """To super approvers: none of the approvers can be reached."""
    END = "end"
    RESULT = "result"
    """To who requested."""
    REVOKED = "revoked"
    """An approval was taken back."""
    OUTCOME = "outcome"
    """What became of the action that was approved."""
    ANSWER = "answer"
    GREET = "greet"
    CARD = "card"
    SETTINGS = "settings"
    """To super approvers: who decides, who configures or who asks was changed."""


LANE_OF = {
    Kind.ANSWER: Lane.ANSWERS,
    Kind.GREET: Lane.ANSWERS,
    Kind.CARD: Lane.CARDS,
    Kind.SETTINGS: Lane.ANSWERS,  # it is about no approval, and is not gathered with any
}
MOOT_AFTER_THE_END = (Kind.ASK, Kind.REMIND, Kind.ALARM)
MOOT_AFTER_REVOCATION = (Kind.END, Kind.RESULT)


class Outbox(Projection):
    name = "outbox"
    schema = """
        CREATE TABLE outbox (
            stream TEXT NOT NULL,
            notice TEXT NOT NULL,
            member TEXT NOT NULL,
            lane TEXT NOT NULL,
            userid TEXT NOT NULL,
            position BIGINT NOT NULL,
            expires_at BIGINT,
            payload TEXT NOT NULL,
            PRIMARY KEY (stream, notice));
        CREATE INDEX outbox_by_member ON outbox (member, lane, position)
    """

    def project(self, fact: Fact, tables: Tables) -> None:
        event: Any = fact.event
        if isinstance(event, DELIVERED):
            _remove(tables, fact, event.notice)
        if fact.approval is not None:
            for notice, userid in _called_for(event, fact.approval):
                _add(tables, fact, notice, userid)
        if isinstance(event, ENDS) and fact.approval is not None:
            for notice in _moot_by_the_end(fact.approval):
                _remove(tables, fact, notice)
        elif isinstance(event, Approval.Revoked) and fact.approval is not None:
            for notice in _overtaken_by_the_revocation(fact.approval):
                _remove(tables, fact, notice)
        elif isinstance(event, REPLIES) and _is_answered(event):
            _add(tables, fact, f"{Kind.ANSWER}/{event.originator_version}", event.by, event)
        elif isinstance(event, Inbox.Greeted):
            _add(tables, fact, f"{Kind.GREET}/{event.originator_version}", event.by)
        elif isinstance(event, Configuration.Changed):
            for userid in event.told:
                notice = f"{Kind.SETTINGS}/{event.originator_version}/{same_person(userid)}"
                _add(tables, fact, notice, userid, event)


def _called_for(event: Any, approval: Approval) -> Iterable[tuple[str, str]]:
    """Notice and member of each message that this event calls for, answers left aside."""
    asked = approval.requested.asked
    if isinstance(event, Approval.Requested):
        return _to(Kind.ASK, asked)
    if isinstance(event, Approval.Reminded):
        return _to(Kind.REMIND, approval.notifications.reached())
    if isinstance(event, Approval.NobodyReached):
        return _to(Kind.ALARM, _who_can_still_be_told(approval))
    if isinstance(event, ENDS):
        told = [notice for userid in asked for notice in _of_the_end(approval, userid)]
        return [*told, *_to(Kind.RESULT, _requester(approval))]
    if isinstance(event, Approval.Revoked):
        return _to(
            Kind.REVOKED, [*merged([*asked, *_approved_by(approval)]), *_requester(approval)]
        )
    if isinstance(event, Approval.OutcomeReported):
        return _to(Kind.OUTCOME, [*_who_answers_for_it(approval), *_requester(approval)])
    if approval.ending is None:
        return ()
    if isinstance(event, Approval.Notified) and event.notice == _notice(Kind.ASK, event.to):
        # It was on its way when the approval ended. A tap that was quicker than its record has
        # called for the change of the card already.
        known = approval.notifications.has_tapped(event.to)
        return _of_the_end(approval, event.to, is_card_known=known)
    if isinstance(event, Approval.Replied) and event.response_code is not None:
        return [(f"{Kind.CARD}/{same_person(event.by)}/{event.originator_version}", event.by)]
    return ()


def _requester(approval: Approval) -> list[str]:
    """Who requested, if that is a member."""
    asked = approval.requested
    return [asked.requested_by] if asked.tells_requester and asked.requested_by else []


def _who_answers_for_it(approval: Approval) -> list[str]:
    """The approvers, and the super approver who decided in their stead."""
    people = [*approval.approvers, *_approved_by(approval)]
    return [userid for userid in merged(people) if not approval.is_requester(userid)]


def _approved_by(approval: Approval) -> list[str]:
    """Perhaps a super approver who was none yet when it was asked."""
    return [approval.approved_by] if approval.approved_by is not None else []


def _overtaken_by_the_revocation(approval: Approval) -> Iterable[str]:
    """Who has not heard yet of the approval hears of its revocation only."""
    told, recorded = approval.notifications, approval.notifications.recorded
    asked = [userid for userid in approval.requested.asked if told.was_asked_by_text(userid)]
    ends = [_notice(Kind.END, userid) for userid in asked]
    results = [_notice(Kind.RESULT, userid) for userid in _requester(approval)]
    return [notice for notice in (*ends, *results) if notice not in recorded]


def _moot_by_the_end(approval: Approval) -> Iterable[str]:
    """Nobody is asked any more about what has ended. Only what may still stand here."""
    called_for = {
        Kind.ASK: True,
        Kind.REMIND: approval.reminded,
        Kind.ALARM: approval.nobody_reached,
    }
    kinds = [kind for kind in MOOT_AFTER_THE_END if called_for[kind]]
    notices = (_notice(kind, userid) for userid in approval.requested.asked for kind in kinds)
    return [notice for notice in notices if notice not in approval.notifications.recorded]


def _of_the_end(
    approval: Approval, userid: str, *, is_card_known: bool = False
) -> Iterable[tuple[str, str]]:
    """How a member who was asked hears of the end: as they were asked."""
    if approval.notifications.has_card(userid) and not is_card_known:
        yield f"{Kind.CARD}/{same_person(userid)}", userid
    # Of what was revoked everybody hears by a message of its own.
    hears = approval.notifications.was_asked_by_text(userid) and approval.status != Status.REVOKED
    if hears and not approval.was_ended_in_chat_by(userid):
        yield _notice(Kind.END, userid), userid


def _who_can_still_be_told(approval: Approval) -> list[str]:
    """
    Super approvers of the time of the request whose own message did not fail: every approver is
    out of reach when this is asked.
    """
    told = approval.notifications
    return [userid for userid in approval.requested.asked if not told.is_beyond_reach(userid)]


def _is_answered(event: Any) -> bool:
    """A tap that did something is answered by its card, which changes."""
    if event.channel not in BY_MESSAGE or getattr(event, "unanswered", False):
        return False
    return event.channel == Channel.TEXT.value or event.refusal is not None


def _to(kind: Kind, userids: Iterable[str]) -> list[tuple[str, str]]:
    return [(_notice(kind, userid), userid) for userid in userids]


def _notice(kind: Kind, userid: str) -> str:
    return f"{kind}/{same_person(userid)}"


def kind_of(notice: str) -> Kind:
    """What a row is about."""
    return Kind(notice.partition("/")[0])


def _remove(tables: Tables, fact: Fact, notice: str) -> None:
    tables.delete(Outbox.name, {"stream": fact.event.originator_id, "notice": notice})


def _add(
    tables: Tables, fact: Fact, notice: str, userid: str, payload: Event | None = None
) -> None:
    tables.insert(
        Outbox.name,
        {
            "stream": fact.event.originator_id,
            "notice": notice,
            "member": same_person(userid),
            "lane": LANE_OF.get(kind_of(notice), Lane.NOTICES).value,
            "userid": userid,
            "position": fact.position,
            "expires_at": _deadline(notice, fact),
            "payload": msgspec.json.encode(payload).decode(),
        },
    )


def _deadline(notice: str, fact: Fact) -> int | None:
    """Until when the message is of use, where it asks for something."""
    if fact.approval is None or kind_of(notice) not in MOOT_AFTER_THE_END:
        return None
    return milliseconds(fact.approval.expires_at)


def waiting_lanes(database: Database) -> list[tuple[str, Lane]]:
    """Members (folded userids) for whom there is something to send, and in which lane."""
    rows = database.query("SELECT DISTINCT member, lane FROM outbox")
    return [(row["member"], Lane(row["lane"])) for row in rows]


def size(database: Database) -> int:
    """How many messages are to be sent."""
    return int(database.query("SELECT COUNT(*) AS messages FROM outbox")[0]["messages"])


def all_messages(database: Database) -> list[Row]:
    """Everything that is to be sent."""
    return database.query("SELECT * FROM outbox ORDER BY position, notice")


def messages_for(database: Database, member: str, lane: Lane, limit: int) -> list[Row]:
    """What is to be sent to one member, in the order in which it was called for."""
    return database.query(
        "SELECT * FROM outbox WHERE member = ? AND lane = ? ORDER BY position, notice LIMIT ?",
        [member, lane.value, limit],
    )
