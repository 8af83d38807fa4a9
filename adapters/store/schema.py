"""
The tables of the event store on SQLite, which only ever grow.

Version 2 added the tree over the events (adapters/store/tree.py); older stores are given its empty
tables when they are opened.
"""

SCHEMA_VERSION = 2
CREATE_EVENTS = """
CREATE TABLE IF NOT EXISTS stored_events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    originator_id TEXT NOT NULL,
    originator_version INTEGER NOT NULL,
    topic TEXT NOT NULL,
    state BLOB NOT NULL,
    UNIQUE (originator_id, originator_version))
"""
FORBID_UPDATE = """
CREATE TRIGGER IF NOT EXISTS events_are_never_changed BEFORE UPDATE ON stored_events
BEGIN SELECT RAISE(ABORT, 'events are never changed'); END
"""
FORBID_DELETE = """
CREATE TRIGGER IF NOT EXISTS events_are_never_deleted BEFORE DELETE ON stored_events
BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END
"""
# INSERT OR REPLACE deletes what stands in its way without firing the trigger above.
FORBID_REPLACE = """
CREATE TRIGGER IF NOT EXISTS events_are_never_replaced BEFORE INSERT ON stored_events
WHEN EXISTS (SELECT 1 FROM stored_events WHERE position = NEW.position)
OR EXISTS (SELECT 1 FROM stored_events WHERE originator_id = NEW.originator_id
           AND originator_version = NEW.originator_version)
BEGIN SELECT RAISE(ABORT, 'events are never replaced'); END
"""
CREATE_DELIVERY_KEYS = """
CREATE TABLE IF NOT EXISTS delivery_keys (
    member TEXT NOT NULL,
    delivery_key TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (member, delivery_key)) WITHOUT ROWID
"""
# The newest of a kind that is asked for all the time and happens once a day.
CREATE_VERIFICATIONS = """
CREATE INDEX IF NOT EXISTS verifications ON stored_events (position)
WHERE topic = 'audit.verified'
"""
CREATE_LEAVES = """
CREATE TABLE IF NOT EXISTS tree_leaves (
    leaf_index INTEGER PRIMARY KEY,
    position INTEGER NOT NULL UNIQUE,
    leaf_hash BLOB NOT NULL)
"""
CREATE_HEADS = """
CREATE TABLE IF NOT EXISTS tree_heads (
    tree_size INTEGER PRIMARY KEY,
    head TEXT NOT NULL)
"""
# One row: what has to be known to append, so that nothing is computed twice. It follows from the
# leaves and proves nothing.
CREATE_FRONTIER = """
CREATE TABLE IF NOT EXISTS tree_frontier (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    tree_size INTEGER NOT NULL,
    roots BLOB NOT NULL)
"""


def _forbid(table: str, what: str, taken: str) -> list[str]:
    """Triggers, as for the events."""
    never = f"CREATE TRIGGER IF NOT EXISTS {what}_are_never"
    says = f"BEGIN SELECT RAISE(ABORT, '{what} are never"
    exists = f"EXISTS (SELECT 1 FROM {table} WHERE {taken})"  # noqa: S608  # ours
    return [
        f"{never}_changed BEFORE UPDATE ON {table} {says} changed'); END",
        f"{never}_deleted BEFORE DELETE ON {table} {says} deleted'); END",
        f"{never}_replaced BEFORE INSERT ON {table} WHEN {exists} {says} replaced'); END",
    ]


CREATE = [
    *(CREATE_EVENTS, FORBID_UPDATE, FORBID_DELETE, FORBID_REPLACE, CREATE_DELIVERY_KEYS),
    *(CREATE_VERIFICATIONS, CREATE_LEAVES, CREATE_HEADS, CREATE_FRONTIER),
    *_forbid("tree_leaves", "leaves", "leaf_index = NEW.leaf_index OR position = NEW.position"),
    *_forbid("tree_heads", "heads", "tree_size = NEW.tree_size"),
]
NEW_TRIGGER = "CREATE TRIGGER IF NOT EXISTS "
TRIGGERS = {
    statement.split()[5]: statement.strip().replace(" IF NOT EXISTS", "", 1)
    for statement in CREATE
    if statement.strip().startswith(NEW_TRIGGER)
}
"""By name, as SQLite keeps them."""


class NewerStore(Exception):
    """The store was written by a newer version of this program."""
