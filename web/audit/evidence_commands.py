"""What `fta-approval audit verify`, `prove`, `check` and `key` do."""

import json
import sqlite3
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from eventsourcing.domain import EventSourcingError

from adapters.evidence.head_file import only_head, read_heads
from adapters.evidence.heads import BadHead, TreeHead, read_head
from adapters.evidence.keys import BadKey, given_keys
from adapters.evidence.logs import MadeKey, made_keys
from adapters.evidence.proofs import (
    BadProof,
    CannotProve,
    Consistent,
    Included,
    check_proof,
    consistency_proof,
    inclusion_proof,
)
from adapters.store.mapper import UnreadableEvent
from adapters.store.schema import NewerStore
from adapters.store.snapshot import Snapshot, opened_snapshot
from adapters.store.stored_history import WrittenMeanwhile
from adapters.store.writer import StoreUnavailable
from domain.identity import APPROVAL_STREAM, approval_id, approval_stream
from web.audit.comparing import tell_differences
from web.findings import say
from web.settings import Settings

ONLY_SIGNED = (
    "Not proved: that others were shown the same head. Who holds the key can sign two; compare it "
    "with one that was kept elsewhere (--head)."
)
NOT_MORE = "Not proved: that nothing happened to it later, or that what it says is true."
CANNOT_READ = (OSError, sqlite3.Error, NewerStore, BadKey, BadHead, CannotProve, UnicodeError)


class Unusable(click.ClickException):
    """What was given, or the store, cannot be read."""

    def __init__(self, error: Exception) -> None:
        if isinstance(error, OSError) and error.filename is not None:
            super().__init__(f"{error.filename}: {error.strerror}")
        else:
            super().__init__(str(error))


def verify(
    settings: Settings, heads: str | None, key: str | None, *, as_json: bool, is_recorded: bool
) -> bool:
    """Whether everything is as it was recorded; told, and recorded too where that is wanted."""
    from web import evidence_verifying
    from web.app import utc_now
    from web.shell import run

    try:
        report = evidence_verifying.verify(settings, heads, key)
    except CANNOT_READ as error:
        raise Unusable(error) from None
    if as_json:
        click.echo(json.dumps(report.as_json(), ensure_ascii=False))
    else:
        for line in report.lines():
            say(line)
    if is_recorded:
        try:
            run(evidence_verifying.record(settings, report, utc_now()))
        except (StoreUnavailable, EventSourcingError, OSError, sqlite3.Error) as error:
            say(f"fta-approval: not recorded in the history: {error}", err=True)
    return report.is_good


def verify_projections(settings: Settings, *, as_json: bool) -> bool:
    """Whether the read models are what follows from the events; told."""
    try:
        return tell_differences(settings, say, as_json=as_json)
    except (*CANNOT_READ, EventSourcingError, UnreadableEvent, WrittenMeanwhile) as error:
        raise Unusable(error) from None


def prove(settings: Settings, wanted: str, head_file: str | None) -> dict[str, Any]:
    """An inclusion proof of an approval, by its reply_id or its uuid."""
    try:
        with opened_snapshot(settings.database) as snapshot:
            head = _newest(snapshot) if head_file is None else head_in(head_file)
            return inclusion_proof(snapshot, _stream(snapshot, wanted), head)
    except CANNOT_READ as error:
        raise Unusable(error) from None


def prove_consistency(settings: Settings, from_file: str, to_file: str | None) -> dict[str, Any]:
    """A consistency proof between two heads; the second is the store's newest by default."""
    try:
        with opened_snapshot(settings.database) as snapshot:
            later = _newest(snapshot) if to_file is None else head_in(to_file)
            return consistency_proof(snapshot, head_in(from_file), later)
    except CANNOT_READ as error:
        raise Unusable(error) from None


def write(proof: dict[str, Any], output: str | None) -> None:
    """To a file, or to standard output."""
    text = json.dumps(proof, ensure_ascii=False, indent=1)
    try:
        if output is None:
            click.echo(text)
        else:
            Path(output).write_text(text + "\n", encoding="utf-8")
    except BrokenPipeError:  # whoever read our output has enough; click ends quietly, status 1
        raise
    except OSError as error:
        raise Unusable(error) from None
    if proof.get("not_covered"):
        say(
            f"not in the proof: the newest {proof['not_covered']} of its events, which that head "
            "does not cover",
            err=True,
        )


def check(file: str, key: str, head_file: str | None) -> bool:
    """Whether a proof proves something; says what, and what not. Needs no store and no settings."""
    try:
        keys, text = given_keys(key), Path(file).read_bytes()
        heads = [] if head_file is None else heads_in(head_file)
    except CANNOT_READ as error:
        raise Unusable(error) from None
    try:
        shown = check_proof(text, keys, heads)
    except BadProof as error:
        say(f"NOT proved: {error}")
        return False
    lines = _included(shown) if isinstance(shown, Included) else _consistent(shown)
    for line in (*lines, *([] if heads else [ONLY_SIGNED])):
        say(line)
    return True


def _included(shown: Included) -> list[str]:
    head, name = shown.head, shown.stream.removeprefix(APPROVAL_STREAM)
    said = [_event(row.version, row.topic, row.state) for row in shown.events]
    proved = (
        f"Proved: these {len(said)} events of {name} stand in log {head.log_id} as shown, within "
        f"its first {head.tree_size} events, by the head that {head.key_id} signed at "
        f"{head.timestamp}:"
    )
    return [proved, *said, NOT_MORE]


def _event(version: int, topic: bytes, state: bytes) -> str:
    said = json.loads(state)
    by = said.get("by") or said.get("engine") or said.get("to")
    return f"  {version}. {said.get('timestamp')} {topic.decode()}{f' ({by})' if by else ''}"


def _consistent(shown: Consistent) -> list[str]:
    earlier, later = shown.earlier, shown.later
    proved = (
        f"Proved: log {later.log_id} as signed at {later.timestamp} ({later.tree_size} events) "
        f"begins with all {earlier.tree_size} events as signed at {earlier.timestamp}, unaltered."
    )
    return [proved, "Not proved: anything about what came later."]


def keys_of(settings: Settings) -> list[MadeKey]:
    """Public keys of tree heads, the one in use last."""
    try:
        with opened_snapshot(settings.database) as snapshot:
            return made_keys(snapshot)
    except CANNOT_READ as error:
        raise Unusable(error) from None


def heads_in(file: str) -> list[TreeHead]:
    """
    Of a file: lines with heads, or one head, or one answer of `GET /decisions`.

    Raises:
        BadHead: There is none in it.
    """
    return read_heads(Path(file)).heads or [only_head(Path(file))]


def head_in(file: str) -> TreeHead:
    """The last one."""
    return heads_in(file)[-1]


def _newest(snapshot: Snapshot) -> TreeHead:
    if (text := snapshot.newest_head()) is None:
        raise CannotProve("no head was signed yet: start the service once")
    return read_head(text)


def _stream(snapshot: Snapshot, wanted: str) -> str:
    try:
        asked = str(uuid.UUID(wanted))
    except ValueError:
        return approval_stream(wanted)
    found: Sequence[str] = [
        stream for stream in snapshot.streams(APPROVAL_STREAM) if approval_id(stream) == asked
    ]
    return found[0] if found else approval_stream(wanted)
