"""Which approval somebody means who names one: by reply id, node or uuid; from the events alone."""

import re
import sqlite3
from pathlib import Path

from adapters.store.event_store import sqlite_path
from adapters.store.stored_history import StoredHistory, WrittenMeanwhile, opened_read_only
from domain.identity import APPROVAL_STREAM, approval_id, approval_stream
from web.settings import Settings

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
NAMED = 5


class UnknownApproval(Exception):
    """There is none of that name; says what there is instead."""

    def __init__(self, name: str, near: list[str]) -> None:
        instead = f"; there is {', '.join(near)}" if near else ""
        super().__init__(f"there is no approval {name}{instead}")


class NotYet(Exception):
    """At that moment it had not been asked for."""

    def __init__(self, reply_id: str, asked_at: str) -> None:
        super().__init__(f"{reply_id} had not been asked for; it was at {asked_at}")


def stream_of(history: StoredHistory, settings: Settings, name: str) -> str:
    """
    The approval that is meant.

    A reply id names one for ever, so it comes first: `12345_2` is run 1 of that node, if there ever
    was one. Else the name is that of a node, and its latest run is meant.

    Raises:
        UnknownApproval: None is.
    """
    if UUID.fullmatch(name.lower()):
        found = _by_uuid(history, settings, name.lower())
        if found is None:
            raise UnknownApproval(name, [])
        return found
    if history.has(exact := approval_stream(name)):
        return exact
    if runs := history.runs_of(name):
        return runs[-1]
    near = [reply_id_of(stream) for stream in history.same_but_for_case(name)]
    raise UnknownApproval(name, near[:NAMED])


def reply_id_of(stream: str) -> str:
    return stream.removeprefix(APPROVAL_STREAM)


def _by_uuid(history: StoredHistory, settings: Settings, uuid: str) -> str | None:
    """By the read models where there are some, which are believed in nothing; else by looking."""
    views = sqlite_path(settings.database)
    stream = _by_read_models(views.with_name(f"{views.name}-views"), uuid)
    if stream is not None and approval_id(stream) == uuid and history.has(stream):
        return stream
    return history.approval_of_uuid(uuid)


def _by_read_models(path: Path, uuid: str) -> str | None:
    try:
        with opened_read_only(path) as connection:
            found = connection.execute(
                "SELECT reply_id FROM approvals WHERE approval_id = ?", [uuid]
            ).fetchone()
    except (OSError, sqlite3.Error, WrittenMeanwhile):
        return None
    return approval_stream(found[0]) if found else None
