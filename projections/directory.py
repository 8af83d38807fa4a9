"""Finding approvals: what a reply may mean, what waits for a member, what is listed; and logins."""

from collections.abc import Sequence
from datetime import datetime

from domain.approval import TOO_LATE_TO_REMIND
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
        source, values = self._waiting(userid)
        rows = self._database.query(f"SELECT reply_id {source} ORDER BY expires_at, number", values)
        return [row["reply_id"] for row in rows]

    def still_waiting_for(self, userid: str, at: datetime) -> Sequence[str]:
        """The same without what is overdue, whether or not the clock has ended it."""
        source, values = self._waiting(userid)
        rows = self._database.query(
            f"SELECT reply_id {source} AND expires_at > ? ORDER BY expires_at, number",
            [*values, milliseconds(at)],
        )
        return [row["reply_id"] for row in rows]

    def most_urgent(self, userid: str, at: datetime, limit: int) -> tuple[int, Sequence[str]]:
        """How many wait for the member whose deadline is still to come, and the first of them."""
        source, values = self._waiting(userid)
        still, now = f"{source} AND expires_at > ?", [*values, milliseconds(at)]
        (count,) = self._database.query(f"SELECT count(*) AS waiting {still}", now)
        rows = self._database.query(
            f"SELECT reply_id {still} ORDER BY expires_at, number LIMIT ?", [*now, limit]
        )
        return count["waiting"], [row["reply_id"] for row in rows]

    def addressed_to(self, userid: str, limit: int) -> Sequence[str]:
        rows = self._database.query(
            "SELECT reply_id FROM todo WHERE member = ? AND ended_at IS NULL "
            "ORDER BY is_approver DESC, number LIMIT ?",
            [same_person(userid), limit],
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

    def sessions_of(self, userid: str, at: datetime) -> Sequence[str]:
        rows = self._database.query(
            "SELECT session FROM sessions WHERE member = ? AND expires_at > ? "
            "ORDER BY expires_at, session",
            [same_person(userid), milliseconds(at)],
        )
        return [row["session"] for row in rows]

    def reply_id_of(self, approval_id: str) -> str | None:
        """The name of the approval with that uuid."""
        rows = self._database.query(
            "SELECT reply_id FROM approvals WHERE approval_id = ?", [approval_id]
        )
        return rows[0]["reply_id"] if rows else None

    def nobody_reached(self) -> int:
        """Of how many approvals, ever, no approver could be told."""
        (found,) = self._database.query(
            "SELECT count(*) AS approvals FROM approvals WHERE nobody_reached = 1"
        )
        return int(found["approvals"])

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

    def reminders_due(self, at: datetime, limit: int) -> Sequence[str]:
        """Pending approvals of which most of the time is over, and enough is left."""
        rows = self._database.query(
            "SELECT reply_id FROM deadlines WHERE remind_at <= ? AND expires_at >= ? "
            "ORDER BY remind_at LIMIT ?",
            [milliseconds(at), milliseconds(at + TOO_LATE_TO_REMIND), limit],
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

    def _waiting(self, userid: str) -> tuple[str, list[object]]:
        return waiting_rows(userid, same_person(userid) in self._super_approvers)


def waiting_rows(userid: str, is_super: bool) -> tuple[str, list[object]]:
    """Where what waits for a member stands: the rest of a query, and its values."""
    if is_super:
        return (
            "FROM approvals WHERE status = 'pending' AND (requester IS NULL OR requester <> ?)",
            [same_person(userid)],
        )
    return (
        "FROM todo WHERE member = ? AND is_approver = 1 AND ended_at IS NULL",
        [same_person(userid)],
    )
