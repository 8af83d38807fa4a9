"""The ordered feed of decisions that engines follow. What a position says never changes."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from domain.approval import Approval
from domain.decision import Status
from projections.database import Database, Row, Tables
from projections.document import document, timestamp
from projections.projection import DECISIONS, Fact, Projection

SOURCE = "/fta-approval"
# What one read takes at most, for whatever limit: a decision has up to 300,000.
MOST_CHARACTERS = 8 * 1024 * 1024


class Batch(NamedTuple):
    """Some decisions, oldest first."""

    rows: Sequence[Row]
    is_all: bool
    """Nothing of what was asked for was left out."""
    reached: int
    """Up to there every decision was in the feed when this was read; less than before while
    somebody makes the read models anew."""


class DecisionFeed(Projection):
    """
    One CloudEvent for each end of an approval, at the position of the event that ended it; and one
    more where it was revoked after that.

    What a permit says stands beside its decision, unsigned: only the engine that asked is given it.

    A test approval (contract 1, `doctor --send`) ends like any other and is no decision.
    """

    name = "decision_feed"
    schema = """
        CREATE TABLE decision_feed (
            position BIGINT PRIMARY KEY,
            engine TEXT NOT NULL,
            type TEXT NOT NULL,
            cloud_event TEXT NOT NULL,
            permit_key TEXT,
            permit_claims TEXT);
        CREATE INDEX decision_feed_by_engine ON decision_feed (engine, position)
    """

    def project(self, fact: Fact, tables: Tables) -> None:
        if not is_decision(fact) or fact.approval is None:
            return
        kind = event_type(fact.approval.status)
        event = cloud_event(fact.position, kind, fact.approval)
        approved = isinstance(fact.event, Approval.Approved)
        permit = fact.approval.permit if approved else None
        tables.insert(
            self.name,
            {
                "position": fact.position,
                "engine": fact.approval.requested.engine,
                "type": kind,
                "cloud_event": msgspec.json.encode(event).decode(),
                "permit_key": permit.key_id if permit else None,
                "permit_claims": msgspec.json.encode(permit.claims()).decode() if permit else None,
            },
        )


def is_decision(fact: Fact) -> bool:
    """Whether engines hear of it: an end, unless it is that of a test approval."""
    if fact.approval is None or fact.approval.requested.test:
        return False
    return isinstance(fact.event, DECISIONS)


def event_type(status: Status) -> str:
    """The `type` of a decision, such as `fta.approval.approved`."""
    return f"fta.approval.{status.value}"


def cloud_event(position: int, kind: str, approval: Approval) -> dict[str, object]:
    """The decision as a CloudEvents 1.0 JSON object (contract 4.3)."""
    assert approval.ending is not None  # noqa: S101  # it is a decision
    return {
        "specversion": "1.0",
        "id": str(position),
        "source": SOURCE,
        "type": kind,
        "subject": approval.reply_id,
        "time": timestamp(approval.ending.at),
        "datacontenttype": "application/json",
        "data": document(approval),
    }


def decision_at(database: Database, position: int) -> Row | None:
    """The decision at that position, if there is one."""
    rows = database.query("SELECT * FROM decision_feed WHERE position = ?", [position])
    return rows[0] if rows else None


def decisions_after(
    database: Database,
    position: int,
    limit: int,
    engine: str | None = None,
    most_characters: int = MOST_CHARACTERS,
) -> Batch:
    """The next decisions after a position; of one engine, or of all."""
    return _batch(database, position, limit, engine, most_characters, order="ASC")


def newest_decisions(
    database: Database, position: int, limit: int, most_characters: int = MOST_CHARACTERS
) -> Batch:
    """Of the decisions after a position, of whichever engine, the newest."""
    return _batch(database, position, limit, None, most_characters, order="DESC")


def _batch(
    database: Database,
    position: int,
    limit: int,
    engine: str | None,
    most_characters: int,
    order: str,
) -> Batch:
    """From that end; at least one if there is any, the last one may go beyond the characters."""
    of_engine, values = ("", []) if engine is None else (" AND engine = ?", [engine])
    reached, rows = database.query_at(
        DecisionFeed.name,
        f"""SELECT position, engine, type, cloud_event, permit_key, permit_claims, found FROM (
            SELECT some.*, COUNT(*) OVER () AS found,
                SUM(LENGTH(cloud_event)) OVER (ORDER BY position {order}) AS total
            FROM (SELECT * FROM decision_feed WHERE position > ?{of_engine}
                ORDER BY position {order} LIMIT ?) AS some
        ) AS counted WHERE total - LENGTH(cloud_event) < ? ORDER BY position""",  # noqa: S608
        [position, *values, limit, most_characters],
    )
    found = rows[0]["found"] if rows else 0
    return Batch(rows, is_all=found < limit and len(rows) == found, reached=reached)
