"""What ends next if nobody answers."""

from domain.approval import Approval
from projections.database import Tables
from projections.projection import ENDS, Fact, Projection, milliseconds


class Deadlines(Projection):
    name = "deadlines"
    schema = """
        CREATE TABLE deadlines (reply_id TEXT PRIMARY KEY, expires_at BIGINT NOT NULL);
        CREATE INDEX deadlines_next ON deadlines (expires_at)
    """

    def project(self, fact: Fact, tables: Tables) -> None:
        if fact.approval is None:
            return
        if isinstance(fact.event, Approval.Requested):
            tables.execute(
                "INSERT INTO deadlines VALUES (?, ?)",
                [fact.approval.reply_id, milliseconds(fact.event.expires_at)],
            )
        elif isinstance(fact.event, ENDS):
            tables.execute("DELETE FROM deadlines WHERE reply_id = ?", [fact.approval.reply_id])
