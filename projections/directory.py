"""Finding approvals: what a reply may mean, what waits for a member, what is listed."""

from collections.abc import Sequence
from datetime import datetime

from domain.identity import same_person
from projections.database import Database
from projections.projection import milliseconds


class Directory:
    """Questions to the read models; answers are as of the last event that they have seen."""

    def __init__(self, database: Database, super_approvers: Sequence[str] = ()) -> None:
        self._database = database
        self._super_approvers = {same_person(userid) for userid in super_approvers}

    def same_but_for_case(self, reply_id: str) -> Sequence[str]:
        rows = self._database.query(
            "SELECT reply_id FROM approvals WHERE reply_id_folded = ? ORDER BY number",
            [reply_id.casefold()],
        )
        return [row["reply_id"] for row in rows]

    def waiting_for(self, userid: str) -> Sequence[str]:
        """A super approver may decide all that waits, an approver what they were asked; nobody
        what they requested. Most urgent first."""
        if same_person(userid) in self._super_approvers:
            rows = self._database.query(
                "SELECT reply_id FROM approvals WHERE status = 'pending' "
                "AND (requester IS NULL OR requester <> ?) ORDER BY expires_at, number",
                [same_person(userid)],
            )
        else:
            rows = self._database.query(
                "SELECT reply_id FROM todo WHERE member = ? AND is_approver = 1 "
                "AND ended_at IS NULL ORDER BY expires_at, number",
                [same_person(userid)],
            )
        return [row["reply_id"] for row in rows]

    def lately_asked_or_ended(self, userid: str, since: datetime) -> Sequence[str]:
        at = milliseconds(since)
        rows = self._database.query(
            "SELECT reply_id FROM todo WHERE member = ? AND asked_at >= ? "
            "UNION SELECT reply_id FROM todo WHERE member = ? AND ended_at >= ?",
            [same_person(userid), at, same_person(userid), at],
        )
        return [row["reply_id"] for row in rows]

    def reply_id_of(self, approval_id: str) -> str | None:
        """The name of the approval with that uuid."""
        rows = self._database.query(
            "SELECT reply_id FROM approvals WHERE approval_id = ?", [approval_id]
        )
        return rows[0]["reply_id"] if rows else None

    def pending(self) -> int:
        """How many approvals nothing has ended."""
        rows = self._database.query(
            "SELECT COUNT(*) AS pending FROM approvals WHERE status = 'pending'"
        )
        return int(rows[0]["pending"])

    def deadlines_until(self, at: datetime, limit: int) -> Sequence[str]:
        """Pending approvals whose deadline has come, earliest first."""
        rows = self._database.query(
            "SELECT reply_id FROM deadlines WHERE expires_at <= ? ORDER BY expires_at LIMIT ?",
            [milliseconds(at), limit],
        )
        return [row["reply_id"] for row in rows]

    def matching(
        self, filters: dict[str, object], after: int, limit: int, engine: str | None
    ) -> Sequence[tuple[int, str]]:
        """
        Number and reply id of approvals, by number.

        Args:
            filters: Any of `obj_id`, `run`, `status`, `biz_id`.
            engine: Only what this engine asked; None for all.
        """
        wanted = {**filters, **({"engine": engine} if engine is not None else {})}
        conditions = "".join(f" AND {column} = ?" for column in wanted)
        rows = self._database.query(
            f"SELECT number, reply_id FROM approvals WHERE number > ?{conditions} "  # noqa: S608
            "ORDER BY number LIMIT ?",
            [after, *wanted.values(), limit],
        )
        return [(row["number"], row["reply_id"]) for row in rows]
