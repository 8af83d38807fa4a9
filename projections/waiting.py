"""The page of what waits for a member: how much there is, by risk, and a stretch of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.identity import same_person
from projections.database import Database
from projections.directory import waiting_rows
from projections.projection import milliseconds


@dataclass(frozen=True, slots=True)
class WaitingPage:
    """Some of what waits, the most urgent first, and how much there is of all."""

    by_risk: dict[str, int]
    """How many wait of each risk; a risk of which none waits is left out."""
    number: int
    """Which page it is, from 1 on: never one beyond the last."""
    reply_ids: Sequence[str]

    @property
    def total(self) -> int:
        return sum(self.by_risk.values())


def waiting_page(
    database: Database, userid: str, is_super: bool, at: datetime, number: int, size: int
) -> WaitingPage:
    """
    One page of what waits for a member and is not overdue, whether or not the clock has ended it.

    Args:
        is_super: A super approver may decide all that waits, but not what they requested.
    """
    source, values = waiting_rows(userid, is_super)
    source, values = f"{source} AND expires_at > ?", [*values, milliseconds(at)]
    rows = database.query(f"SELECT risk, count(*) AS waiting {source} GROUP BY risk", values)
    by_risk = {row["risk"]: row["waiting"] for row in rows}
    last = max(1, -(-sum(by_risk.values()) // size))
    number = min(number, last)
    found = database.query(
        f"SELECT reply_id {source} ORDER BY expires_at, number LIMIT ? OFFSET ?",
        [*values, size, (number - 1) * size],
    )
    return WaitingPage(by_risk, number, [row["reply_id"] for row in found])


def decided_by(database: Database, userid: str, limit: int) -> Sequence[str]:
    """What this member decided last, the latest first."""
    rows = database.query(
        "SELECT reply_id FROM decided WHERE member = ? ORDER BY position DESC LIMIT ?",
        [same_person(userid), limit],
    )
    return [row["reply_id"] for row in rows]


def names_of(database: Database, approval_ids: Sequence[str]) -> Sequence[str]:
    """Reply ids of the approvals with these uuids, in that order; of unknown ones none."""
    marks = ", ".join("?" * len(approval_ids))
    rows = database.query(
        f"SELECT approval_id, reply_id FROM approvals WHERE approval_id IN ({marks})",  # noqa: S608
        approval_ids,
    )
    found = {row["approval_id"]: row["reply_id"] for row in rows}
    return [found[one] for one in approval_ids if one in found]
