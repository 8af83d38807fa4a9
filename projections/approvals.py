"""Every approval: how to find it by uuid, by node, by engine, by state."""

from domain.approval import Approval
from domain.identity import same_person
from projections.database import Tables
from projections.projection import DECISIONS, Fact, Projection, milliseconds


class ApprovalList(Projection):
    name = "approvals"
    schema = """
        CREATE TABLE approvals (
            approval_id TEXT PRIMARY KEY,
            reply_id TEXT NOT NULL,
            reply_id_folded TEXT NOT NULL,
            number BIGINT NOT NULL,
            obj_id TEXT NOT NULL,
            run BIGINT NOT NULL,
            engine TEXT NOT NULL,
            requester TEXT,
            biz_id TEXT,
            risk TEXT NOT NULL,
            status TEXT NOT NULL,
            requested_at BIGINT NOT NULL,
            expires_at BIGINT NOT NULL,
            nobody_reached BIGINT NOT NULL);
        CREATE UNIQUE INDEX approvals_by_number ON approvals (number);
        CREATE INDEX approvals_by_engine ON approvals (engine, number);
        CREATE INDEX approvals_by_folded_reply_id ON approvals (reply_id_folded);
        CREATE INDEX approvals_by_obj_id ON approvals (obj_id, number);
        CREATE INDEX approvals_by_status ON approvals (status, number);
        CREATE INDEX approvals_waiting ON approvals
            (expires_at, number, risk, requester, reply_id) WHERE status = 'pending';
        CREATE INDEX approvals_unreached ON approvals (number) WHERE nobody_reached = 1
    """

    def project(self, fact: Fact, tables: Tables) -> None:
        if fact.approval is None:
            return
        if fact.event.originator_version == 1:
            self._add(fact, tables)
            return
        key = {"approval_id": fact.approval.approval_id}
        if isinstance(fact.event, DECISIONS):
            tables.update(self.name, key, {"status": fact.approval.status.value})
        elif isinstance(fact.event, Approval.NobodyReached):
            tables.update(self.name, key, {"nobody_reached": 1})

    def _add(self, fact: Fact, tables: Tables) -> None:
        approval = fact.approval
        assert approval is not None  # noqa: S101  # asked by the caller
        asked = approval.requested
        requester = same_person(asked.requested_by) if asked.requested_by is not None else None
        tables.insert(
            self.name,
            {
                "approval_id": approval.approval_id,
                "reply_id": approval.reply_id,
                "reply_id_folded": approval.reply_id.casefold(),
                "number": fact.position,
                "obj_id": asked.obj_id,
                "run": asked.run,
                "engine": asked.engine,
                "requester": requester,
                "biz_id": asked.biz_id,
                "risk": asked.risk,
                "status": approval.status.value,
                "requested_at": milliseconds(asked.timestamp),
                "expires_at": milliseconds(asked.expires_at),
                "nobody_reached": 0,
            },
        )
