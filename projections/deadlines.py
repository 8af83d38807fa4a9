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
        key = {"reply_id": fact.approval.reply_id}
        if isinstance(fact.event, Approval.Requested):
            tables.insert(self.name, {**key, "expires_at": milliseconds(fact.event.expires_at)})
        elif isinstance(fact.event, ENDS):
            tables.delete(self.name, key)
