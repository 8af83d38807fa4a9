"""The runs of one node: how often it asked, the latest first."""

from collections.abc import Sequence

from projections.database import Database


def runs_of(database: Database, obj_id: str, limit: int) -> Sequence[str]:
    """Reply ids of the approvals of that node; a run is asked once, and later ones have higher
    numbers."""
    rows = database.query(
        "SELECT reply_id FROM approvals WHERE obj_id = ? ORDER BY number DESC LIMIT ?",
        [obj_id, limit],
    )
    return [row["reply_id"] for row in rows]
