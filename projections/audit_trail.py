"""Who did what, when, through which channel: one row for each event."""

from typing import Any

from domain.approval import Approval
from domain.decision import Channel
from domain.identity import same_person
from projections.database import Tables
from projections.projection import Fact, Projection, milliseconds


class AuditTrail(Projection):
    """`who` without case, as members are compared."""

    name = "audit_trail"
    schema = """
        CREATE TABLE audit_trail (
            position BIGINT PRIMARY KEY,
            at BIGINT NOT NULL,
            stream TEXT NOT NULL,
            type TEXT NOT NULL,
            who TEXT,
            via TEXT,
            refusal TEXT);
        CREATE INDEX audit_trail_newest ON audit_trail (at, position);
        CREATE INDEX audit_trail_by_stream ON audit_trail (stream, at, position);
        CREATE INDEX audit_trail_by_type ON audit_trail (type, at, position);
        CREATE INDEX audit_trail_by_who ON audit_trail (who, at, position)
            WHERE who IS NOT NULL;
        CREATE INDEX audit_trail_by_via ON audit_trail (via, at, position)
            WHERE via IS NOT NULL
    """

    def project(self, fact: Fact, tables: Tables) -> None:
        event: Any = fact.event
        by = who(event)
        tables.insert(
            self.name,
            {
                "position": fact.position,
                "at": milliseconds(event.timestamp),
                "stream": event.originator_id,
                "type": event.TOPIC,
                "who": by and same_person(by),
                "via": via(event),
                "refusal": getattr(event, "refusal", None),
            },
        )


def who(event: Any) -> str | None:
    """Whom an event is about: who acted, else whom a message went to."""
    return (
        getattr(event, "by", None) or getattr(event, "engine", None) or getattr(event, "to", None)
    )


def via(event: Any) -> str | None:
    """Through what it came; the clock where a deadline passed, None where nobody did it."""
    if isinstance(event, Approval.Expired):
        return Channel.CLOCK.value
    return getattr(event, "channel", None) or getattr(event, "via", None)
