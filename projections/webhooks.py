"""Decisions that are still to be pushed to their engines, and those that were given up.

A row appears with a decision and goes when the engine took it. When each is tried next stands in
the events, so a process that starts goes on where another one ended, and a rebuild sends nothing
twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from domain.approval import Approval
from projections.database import Database, Row, Tables
from projections.decision_feed import is_decision
from projections.projection import Fact, Projection, milliseconds

TRIED = (Approval.WebhookDelivered, Approval.WebhookFailed)
OF_SCHEME = {"http": 80, "https": 443}


class WebhookQueue(Projection):
    """
    One row for each delivery that its engine has not taken, named by its decision's position.

    `due_at`: when it is tried next, empty for at once. `down_at`: the position of its failure, if
    its destination was to blame; `up_at`: where that destination was back after that, so that a row
    with a smaller `down_at` need not wait for its time. `changed`: where something happened last.
    """

    name = "webhooks"
    schema = """
        CREATE TABLE webhooks (
            position BIGINT PRIMARY KEY,
            engine TEXT NOT NULL,
            reply_id TEXT NOT NULL,
            approval_id TEXT NOT NULL,
            url TEXT NOT NULL,
            destination TEXT NOT NULL,
            attempts BIGINT NOT NULL,
            tried_at BIGINT,
            due_at BIGINT,
            problem TEXT,
            down_at BIGINT NOT NULL,
            up_at BIGINT NOT NULL,
            undelivered BIGINT NOT NULL,
            changed BIGINT NOT NULL);
        CREATE INDEX webhooks_by_destination ON webhooks (destination, undelivered, position);
        CREATE INDEX webhooks_down ON webhooks (destination) WHERE down_at > 0;
        CREATE INDEX webhooks_changed ON webhooks (changed)
    """

    def project(self, fact: Fact, tables: Tables) -> None:
        event: Any = fact.event
        approval = fact.approval
        if approval is None:
            return
        if is_decision(fact) and approval.requested.callback_url is not None:
            self._add(fact.position, approval, approval.requested.callback_url, tables)
        elif isinstance(event, Approval.WebhookDelivered):
            tables.delete(self.name, {"position": event.delivery})
        elif isinstance(event, Approval.WebhookFailed | Approval.WebhookRequeued):
            self._change(fact.position, event, approval, tables)
        for delivery in event.released if isinstance(event, TRIED) else ():
            tables.update(self.name, {"position": delivery}, {"up_at": fact.position})

    def _add(self, position: int, approval: Approval, url: str, tables: Tables) -> None:
        tables.insert(
            self.name,
            {
                "position": position,
                "engine": approval.requested.engine,
                "reply_id": approval.reply_id,
                "approval_id": approval.approval_id,
                "url": url,
                "destination": destination(approval.requested.engine, url),
                "attempts": 0,
                "tried_at": None,
                "due_at": None,
                "problem": None,
                "down_at": 0,
                "up_at": 0,
                "undelivered": 0,
                "changed": position,
            },
        )

    def _change(self, position: int, event: Any, approval: Approval, tables: Tables) -> None:
        """The same columns each time: of several changes to a row, the last one has to win."""
        webhook = approval.webhooks.at(event.delivery)
        values = {
            "attempts": webhook.attempts,
            "tried_at": _stored(webhook.tried_at),
            "due_at": _stored(webhook.due_at),
            "problem": webhook.problem,
            "down_at": position if getattr(event, "down", False) else 0,
            "undelivered": int(webhook.is_undelivered),
            "changed": position,
        }
        tables.update(self.name, {"position": event.delivery}, values)


def destination(engine: str, url: str) -> str:
    """
    What is up or down as a whole: scheme, host and port, for one engine.

    An engine whose paths fail must not keep another engine's decisions from the same host.
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port or OF_SCHEME[parts.scheme]
    except (ValueError, KeyError):
        return f"{engine} nowhere"  # it is refused when it is tried
    return f"{engine} {parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def shown_url(url: str) -> str:
    """Scheme, host and path: secrets often stand in a query."""
    return url.partition("#")[0].partition("?")[0]


def _stored(at: datetime | None) -> int | None:
    return None if at is None else milliseconds(at)


@dataclass(frozen=True, slots=True)
class Turn:
    """Whose turn it is at a destination."""

    row: Row
    wait_ms: int
    """How long until it is to be tried; 0: now."""
    is_down: bool
    """The destination is: this is its oldest delivery, and the others wait for it."""
    held: Sequence[int] = ()
    """Those of the others that failed because it is down."""


def next_turn(database: Database, destination: str, now: datetime) -> Turn | None:
    """What is to be sent next to a destination; None if nothing waits there."""
    at = milliseconds(now)
    waiting = "SELECT * FROM webhooks WHERE destination = ? AND undelivered = 0"
    # What failed by itself is out of the queue until its time: it holds nobody back.
    due = "(due_at IS NULL OR due_at <= ? OR down_at > 0)"
    first_due = f"{waiting} AND {due} ORDER BY position LIMIT 1"
    down = database.query(f"{waiting} AND down_at > 0 AND down_at > up_at", [destination])
    if down:
        (oldest,) = database.query(first_due, [destination, at])
        held = [row["position"] for row in down if row["position"] != oldest["position"]]
        return Turn(oldest, max((oldest["due_at"] or 0) - at, 0), is_down=True, held=held)
    found = database.query(first_due, [destination, at])
    if found:
        return Turn(found[0], 0, is_down=False)
    later = database.query(f"{waiting} ORDER BY due_at, position LIMIT 1", [destination])
    # What came in between these questions is due at once.
    return Turn(later[0], max((later[0]["due_at"] or 0) - at, 0), is_down=False) if later else None


def changed_after(database: Database, position: int) -> tuple[list[str], int]:
    """Destinations of which something changed after that position, and how far that is."""
    rows = database.query(
        "SELECT destination, MAX(changed) AS changed FROM webhooks WHERE changed > ? "
        "GROUP BY destination",
        [position],
    )
    return [row["destination"] for row in rows], max([position, *(r["changed"] for r in rows)])


def webhook_at(database: Database, position: int) -> Row | None:
    """The delivery of that decision, unless its engine took it."""
    rows = database.query("SELECT * FROM webhooks WHERE position = ?", [position])
    return rows[0] if rows else None


def webhooks_after(
    database: Database,
    position: int,
    limit: int,
    engine: str | None = None,
    undelivered: bool | None = None,
) -> list[Row]:
    """Deliveries after a position, oldest first: of one engine or all, given up or not or both."""
    statement, values = "SELECT * FROM webhooks WHERE position > ?", [position]
    for column, value in (("engine", engine), ("undelivered", undelivered)):
        if value is not None:
            statement += f" AND {column} = ?"
            values.append(value)  # type: ignore[arg-type]  # of either type
    return database.query(f"{statement} ORDER BY position LIMIT ?", [*values, limit])


def all_waiting(database: Database) -> list[Row]:
    """Everything that is to be pushed, oldest first."""
    return database.query("SELECT * FROM webhooks WHERE undelivered = 0 ORDER BY position")


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much is still to be pushed."""

    waiting: int
    undelivered: int
    destinations_down: int


def how_many_wait(database: Database) -> Waiting:
    (counted,) = database.query(
        "SELECT COALESCE(SUM(1 - undelivered), 0) AS waiting, "
        "COALESCE(SUM(undelivered), 0) AS undelivered, "
        "COUNT(DISTINCT CASE WHEN undelivered = 0 AND down_at > up_at THEN destination END) "
        "AS down FROM webhooks"
    )
    return Waiting(counted["waiting"], counted["undelivered"], counted["down"])
