"""The bytes of stored events, one file for each kind and version, that are read for ever.

    golden/approval.approved.v1.jsonl

holds `state` as the store has it, one to a line: the fullest first, and last the one without
whatever has a default. A line is never edited and no file removed; a new field, or a new version,
brings a line or a file.
"""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from eventsourcing.persistence import StoredEvent

FOLDER = Path(__file__).parent / "golden"
NAME = re.compile(r"(?P<topic>[a-z.-]+)\.v(?P<version>[0-9]+)\.jsonl")


class Golden(NamedTuple):
    """One event as it was stored."""

    topic: str
    version: int
    state: bytes


def file_name(topic: str, version: int) -> str:
    return f"{topic}.v{version}.jsonl"


def _read() -> list[Golden]:
    found: list[Golden] = []
    for path in sorted(FOLDER.iterdir()):
        name = NAME.fullmatch(path.name)
        assert name is not None, f"{path.name} is no name of an event and its version"
        lines = path.read_bytes().splitlines()
        found += [Golden(name["topic"], int(name["version"]), line) for line in lines]
    return found


def stored(topic: str, state: bytes, **key: Any) -> StoredEvent:
    """The row of an event, under the key that its own bytes name."""
    says = json.loads(state)
    told: dict[str, Any] = {name: says[name] for name in ("originator_id", "originator_version")}
    return StoredEvent(topic=topic, state=state, **{**told, **key})


GOLDEN = _read()
FULLEST = {one.topic: one.state for one in reversed(GOLDEN)}
SHORTEST = {one.topic: one.state for one in GOLDEN}
