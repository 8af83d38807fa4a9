"""Who did what, when, through which channel: one row for each event."""

from typing import Any

from projections.database import Tables
from projections.projection import Fact, Projection, milliseconds


class AuditTrail(Projection):
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
        CREATE INDEX audit_trail_by_stream ON audit_trail (stream, position);
        CREATE INDEX audit_trail_by_who ON audit_trail (who, position);
        CREATE INDEX audit_trail_by_time ON audit_trail (at)
    """

    def project(self, fact: Fact, tables: Tables) -> None:
        event: Any = fact.event
        tables.insert(
            self.name,
            {
                "position": fact.position,
                "at": milliseconds(event.timestamp),
                "stream": event.originator_id,
                "type": event.TOPIC,
                "who": who(event),
                "via": getattr(event, "channel", None),
                "refusal": getattr(event, "refusal", None),
            },
        )


def who(event: Any) -> str | None:
    """Whom an event is about: who acted, else whom a message went to."""
    return (
        getattr(event, "by", None) or getattr(event, "engine", None) or getattr(event, "to", None)
    )
