"""
Follow every decision of this engine, each exactly once, whatever is killed meanwhile.

The position is kept in the same transaction as what was done about the decision. Here that is one
row in a table of work; whoever carries the work out reads it from there.

    APPROVAL_URL=http://127.0.0.1:8000/o/bk_fta_solutions APPROVAL_TOKEN=... \
        python follow_decisions.py engine.db
"""

import asyncio
import os
import sqlite3
import sys
from contextlib import aclosing, closing

from adapters.engine.client import EngineClient
from adapters.engine.documents import Decision
from adapters.engine.errors import FeedChanged

TABLES = """
CREATE TABLE IF NOT EXISTS place (one INTEGER PRIMARY KEY CHECK (one = 1), position, feed_id);
CREATE TABLE IF NOT EXISTS work (number INTEGER PRIMARY KEY, position, approval_id, status, permit);
"""


async def follow(database: sqlite3.Connection, client: EngineClient) -> None:
    place = database.execute("SELECT position, feed_id FROM place").fetchone() or (0, None)
    async with aclosing(client.decisions(*place)) as decisions:
        async for decision in decisions:
            with database:  # one transaction: both rows, or neither
                keep(database, decision)


def keep(database: sqlite3.Connection, decision: Decision) -> None:
    permit = decision.permit.text if decision.permit else None
    database.execute(
        "INSERT INTO work (position, approval_id, status, permit) VALUES (?, ?, ?, ?)",
        (decision.position, decision.approval.approval_id, decision.approval.status, permit),
    )
    database.execute(
        "INSERT OR REPLACE INTO place VALUES (1, ?, ?)", (decision.position, decision.feed_id)
    )


async def main(path: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(TABLES)
        async with EngineClient(os.environ["APPROVAL_URL"], os.environ["APPROVAL_TOKEN"]) as client:
            await follow(database, client)


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1]))
    except FeedChanged as changed:
        # The service was restored from a backup, or is another one. Positions mean nothing any
        # more: look up what is still waited for, and begin with an empty table.
        sys.exit(f"stopped, and somebody has to look: {changed}")
    except KeyboardInterrupt:
        pass
