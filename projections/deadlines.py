"""What ends next if nobody answers, and when its approvers are reminded."""

from domain.approval import Approval
from projections.database import Tables
from projections.projection import ENDS, Fact, Projection, milliseconds


class Deadlines(Projection):
    name = "deadlines"
    schema = """
        CREATE TABLE deadlines (
            reply_id TEXT PRIMARY KEY, expires_at BIGINT NOT NULL, remind_at BIGINT);
        CREATE INDEX deadlines_next ON deadlines (expires_at);
        CREATE INDEX deadlines_next_reminder ON deadlines (remind_at) WHERE remind_at IS NOT NULL
    """

    def project(self, fact: Fact, tables: Tables) -> None:
        if fact.approval is None:
            return
        key = {"reply_id": fact.approval.reply_id}
        if isinstance(fact.event, Approval.Requested):
            remind_at = fact.approval.remind_at
            row = {
                "expires_at": milliseconds(fact.event.expires_at),
                "remind_at": None if remind_at is None else milliseconds(remind_at),
            }
            tables.insert(self.name, {**key, **row})
        elif isinstance(fact.event, Approval.Reminded):
            tables.update(self.name, key, {"remind_at": None})
        elif isinstance(fact.event, ENDS):
            tables.delete(self.name, key)
