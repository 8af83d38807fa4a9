"""待办: which approvals are addressed to a member, and which of them still wait."""

from domain.approval import Approval
from domain.identity import same_person
from projections.database import Tables
from projections.projection import ENDS, Fact, Projection, milliseconds


class TodoList(Projection):
    """
    One row for each member who was asked and approval; it waits while `ended_at` is empty.

    `is_approver` is 0 for those who were asked as super approvers only: whether they still are
    is for the settings in force to say.
    """

    name = "todo"
    schema = """
        CREATE TABLE todo (
            member TEXT NOT NULL,
            reply_id TEXT NOT NULL,
            number BIGINT NOT NULL,
            is_approver BIGINT NOT NULL,
            risk TEXT NOT NULL,
            asked_at BIGINT NOT NULL,
            expires_at BIGINT NOT NULL,
            ended_at BIGINT,
            PRIMARY KEY (member, reply_id));
        CREATE INDEX todo_waiting ON todo (member, is_approver, expires_at, number, risk, reply_id)
            WHERE ended_at IS NULL;
        CREATE INDEX todo_asked ON todo (member, asked_at);
        CREATE INDEX todo_ended ON todo (member, ended_at)
    """

    def project(self, fact: Fact, tables: Tables) -> None:
        if isinstance(fact.event, Approval.Requested):
            self._ask(fact.event, fact, tables)
        elif isinstance(fact.event, ENDS) and fact.approval is not None:
            ended_at = milliseconds(fact.event.timestamp)
            for userid in fact.approval.requested.asked:
                key = {"member": same_person(userid), "reply_id": fact.approval.reply_id}
                tables.update(self.name, key, {"ended_at": ended_at})

    def _ask(self, asked: Approval.Requested, fact: Fact, tables: Tables) -> None:
        assert fact.approval is not None  # noqa: S101  # it was requested
        approvers = {same_person(userid) for userid in asked.approvers}
        for userid in asked.asked:
            row = {
                "member": same_person(userid),
                "reply_id": fact.approval.reply_id,
                "number": fact.position,
                "is_approver": int(same_person(userid) in approvers),
                "risk": asked.risk,
                "asked_at": milliseconds(asked.timestamp),
                "expires_at": milliseconds(asked.expires_at),
                "ended_at": None,
            }
            tables.insert(self.name, row)
