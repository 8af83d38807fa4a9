"""What is still to be sent to members, and to whom.

A row appears with the event that calls for a message and goes with the event that records what
became of it. Nothing else is kept here: when to try again is the sender's own affair, so the
outbox follows from the events alone and a rebuild sends nothing twice.
"""

from typing import Any

import msgspec

from domain.aggregate import Event
from domain.approval import Approval
from domain.decision import Channel
from domain.identity import same_person
from domain.inbox import Inbox
from projections.database import Database, Row, Tables
from projections.projection import ENDS, Fact, Projection

DELIVERED = (Approval.Notified, Approval.NotificationFailed, Inbox.Answered)
REPLIES = (Approval.Replied, Inbox.Received)
ANSWERED_BY_MESSAGE = (Channel.TEXT.value, Channel.CARD.value)


class Outbox(Projection):
    name = "outbox"
    schema = """
        CREATE TABLE outbox (
            stream TEXT NOT NULL,
            notice TEXT NOT NULL,
            member TEXT NOT NULL,
            userid TEXT NOT NULL,
            position BIGINT NOT NULL,
            payload TEXT NOT NULL,
            PRIMARY KEY (stream, notice));
        CREATE INDEX outbox_by_member ON outbox (member, position)
    """

    def project(self, fact: Fact, tables: Tables) -> None:
        event: Any = fact.event
        if isinstance(event, Approval.Requested):
            for userid in event.asked:
                _add(tables, fact, _ask_of(userid), userid, None)
        elif isinstance(event, DELIVERED):
            _remove(tables, fact, event.notice)
        elif isinstance(event, ENDS) and fact.approval is not None:
            # Nobody is asked any more about what has ended.
            for userid in fact.approval.requested.asked:
                _remove(tables, fact, _ask_of(userid))
        elif isinstance(event, REPLIES) and event.channel in ANSWERED_BY_MESSAGE:
            _add(tables, fact, f"answer/{event.originator_version}", event.by, event)


def _ask_of(userid: str) -> str:
    return f"ask/{same_person(userid)}"


def _remove(tables: Tables, fact: Fact, notice: str) -> None:
    tables.delete(Outbox.name, {"stream": fact.event.originator_id, "notice": notice})


def _add(tables: Tables, fact: Fact, notice: str, userid: str, payload: Event | None) -> None:
    tables.insert(
        Outbox.name,
        {
            "stream": fact.event.originator_id,
            "notice": notice,
            "member": same_person(userid),
            "userid": userid,
            "position": fact.position,
            "payload": msgspec.json.encode(payload).decode(),
        },
    )


def waiting_members(database: Database) -> list[str]:
    """Members (folded userids) for whom there is something to send."""
    return [row["member"] for row in database.query("SELECT DISTINCT member FROM outbox")]


def size(database: Database) -> int:
    """How many messages are to be sent."""
    return int(database.query("SELECT COUNT(*) AS messages FROM outbox")[0]["messages"])


def messages_for(database: Database, member: str, limit: int) -> list[Row]:
    """What is to be sent to one member, in the order in which it was called for."""
    return database.query(
        "SELECT * FROM outbox WHERE member = ? ORDER BY position, notice LIMIT ?", [member, limit]
    )
