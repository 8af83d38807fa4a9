"""What each member decided, so that they find it again."""

from domain.approval import Approval
from domain.identity import same_person
from projections.database import Tables
from projections.projection import Fact, Projection

BY_PEOPLE = (Approval.Approved, Approval.Rejected, Approval.Revoked)


class DecidedList(Projection):
    """
    One row for each approval and member who decided it.

    Who takes back what they approved themselves has one row of it, as old as the approval.
    """

    name = "decided"
    schema = """
        CREATE TABLE decided (
            position BIGINT PRIMARY KEY, member TEXT NOT NULL, reply_id TEXT NOT NULL);
        CREATE INDEX decided_by_member ON decided (member, position, reply_id)
    """

    def project(self, fact: Fact, tables: Tables) -> None:
        event, approval = fact.event, fact.approval
        if not isinstance(event, BY_PEOPLE) or approval is None:
            return
        approved_by = same_person(approval.approved_by or "")
        if isinstance(event, Approval.Revoked) and approved_by == same_person(event.by):
            return
        row = {"member": same_person(event.by), "reply_id": approval.reply_id}
        tables.insert(self.name, {"position": fact.position, **row})
