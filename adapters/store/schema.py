"""The tables of the event store on SQLite, which only ever grow."""

SCHEMA_VERSION = 1
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

CREATE = [CREATE_EVENTS, FORBID_UPDATE, FORBID_DELETE, FORBID_REPLACE, CREATE_DELIVERY_KEYS]


class NewerStore(Exception):
    """The store was written by a newer version of this program."""
