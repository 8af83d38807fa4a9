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
                _add(tables, fact, f"ask/{same_person(userid)}", userid, None)
        elif isinstance(event, DELIVERED):
            tables.execute(
                "DELETE FROM outbox WHERE stream = ? AND notice = ?",
                [event.originator_id, event.notice],
            )
        elif isinstance(event, ENDS):
            # Nobody is asked any more about what has ended.
            tables.execute(
                "DELETE FROM outbox WHERE stream = ? AND notice LIKE 'ask/%'",
                [event.originator_id],
            )
        elif isinstance(event, REPLIES) and event.channel in ANSWERED_BY_MESSAGE:
            _add(tables, fact, f"answer/{event.originator_version}", event.by, event)


def _add(tables: Tables, fact: Fact, notice: str, userid: str, payload: Event | None) -> None:
    tables.execute(
        "INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?)",
        [
            fact.event.originator_id,
            notice,
            same_person(userid),
            userid,
            fact.position,
            msgspec.json.encode(payload).decode(),
        ],
    )


def waiting_members(database: Database) -> list[str]:
    """Members (folded userids) for whom there is something to send."""
    return [row["member"] for row in database.query("SELECT DISTINCT member FROM outbox")]


def messages_for(database: Database, member: str, limit: int) -> list[Row]:
    """What is to be sent to one member, in the order in which it was called for."""
    return database.query(
        "SELECT * FROM outbox WHERE member = ? ORDER BY position, notice LIMIT ?", [member, limit]
    )
