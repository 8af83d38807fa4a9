"""What somebody takes out of the history: rows as bytes, a chunk at a time, as of one position.

Read from the events alone, in their order; so it does not matter how far read models are, and what
happens meanwhile changes nothing. A chunk and a bounded memory of approvals are all that is held
at once, and no transaction is open between two chunks.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from eventsourcing.persistence import Notification, StoredEvent

from adapters.store.event_store import EventStore
from domain.aggregate import Event
from domain.approval import Approval
from domain.commands import RecordExport
from domain.identity import APPROVAL_STREAM
from projections.audit_trail import via, who
from projections.document import document, timestamp
from projections.plain_look import is_sought, is_wanted
from projections.search import Sought
from web.audit.filters import Filters
from web.audit.json_line import json_line
from web.audit.pseudonyms import Pseudonyms
from web.audit.spreadsheet import BOM, rows_of_cells

CHUNK = 500
MOST_REMEMBERED = 10_000
OF_EVENT = ("position", "at", "stream", "version", "type", "by", "via", "data")
OF_APPROVAL = (
    *("approval_id", "number", "obj_id", "run", "reply_id", "kind", "message", "risk", "biz_id"),
    *("requested_by", "engine", "approvers", "action_digest", "details", "status"),
    *("requested_at", "expires_at", "decided_at", "decided_by", "decided_via", "capacity"),
    *("reason", "notifications"),
)
# Of an event: what stands beside its data, and the code by which WeCom lets a card be changed.
NOT_DATA = ("originator_id", "originator_version", "timestamp", "response_code")
SEALED = "sealed"

Row = dict[str, Any]


class What(StrEnum):
    EVENTS = "events"
    """Everything that was stored, in order of position."""
    APPROVALS = "approvals"
    """Each as programs see it, by number."""


class Form(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extract:
    """What is taken out, and how it is written."""

    what: What = What.EVENTS
    form: Form = Form.JSONL
    filters: Filters = field(default_factory=Filters)
    names: Pseudonyms | None = None
    """By which members are called instead; None: by their own."""
    bom: bool = False
    """Before a CSV stands what tells a spreadsheet that it is UTF-8."""

    def record(self, by: str, through: str, at: datetime) -> RecordExport:
        """The command that keeps who takes this; nothing is given out before it is stored."""
        return RecordExport(
            at=at,
            by=by,
            via=through,
            what=self.what.value,
            wanted=self.filters.recorded(),
            form=self.form.value,
            pseudonyms=self.names is not None,
        )


def written(store: EventStore, extract: Extract, last: int) -> Iterator[bytes]:
    """
    The whole file, in pieces.

    Args:
        last: The position of the last event that counts.

    Raises:
        UnreadableEvent: One is damaged, or a newer program wrote it; what came before is right.
    """
    found = rows(store, extract, last)
    if extract.form is Form.JSONL:
        for some in found:
            yield "".join(json_line(row) + "\n" for row in some).encode("utf-8", "backslashreplace")
        return
    columns = OF_EVENT if extract.what is What.EVENTS else OF_APPROVAL
    yield (BOM if extract.bom else b"") + rows_of_cells([columns])
    for some in found:
        yield rows_of_cells([[row[column] for column in columns] for row in some])


def rows(store: EventStore, extract: Extract, last: int) -> Iterator[list[Row]]:
    """The same as plain JSON, some rows at a time; not every piece has one."""
    if extract.what is What.APPROVALS:
        yield from _approvals(store, extract, last)
    else:
        yield from _events(store, extract, last)


async def off_the_loop(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The same, each made on a thread, so that whoever shares the event loop is not held up."""
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece


def event_row(position: int, stored: StoredEvent, event: Event, names: Pseudonyms | None) -> Row:
    """One event; `data` is what is stored of it, of sealed secrets only that there are some."""
    data = msgspec.json.decode(stored.state)
    if names is not None:
        data, event = names.in_event(data), names.event(event)
    kept = {name: value for name, value in data.items() if name not in NOT_DATA}
    if SEALED in kept:
        sealed = kept[SEALED]
        kept[SEALED] = dict.fromkeys(sealed, SEALED) if isinstance(sealed, dict) else SEALED
    return {
        "position": position,
        "at": timestamp(event.timestamp),
        "stream": event.originator_id,
        "version": event.originator_version,
        "type": event.TOPIC,
        "by": who(event),
        "via": via(event),
        "data": kept,
    }


def _events(store: EventStore, extract: Extract, last: int) -> Iterator[list[Row]]:
    filters = extract.filters
    happened, of_approval = filters.happened(), filters.of_approval
    verdicts = None if of_approval == Sought() else _Verdicts(store, of_approval, last)
    for chunk in _chunks(store, last, filters.kinds):
        together = [(stored, store.event(stored)) for stored in chunk]
        wanted = [(stored, event) for stored, event in together if is_wanted(event, happened)]
        if verdicts is not None:
            streams = verdicts.sought_among([event.originator_id for _, event in wanted])
            wanted = [(s, event) for s, event in wanted if event.originator_id in streams]
        yield [event_row(stored.id, stored, event, extract.names) for stored, event in wanted]


def _approvals(store: EventStore, extract: Extract, last: int) -> Iterator[list[Row]]:
    sought = extract.filters.sought()
    for chunk in _chunks(store, last, [Approval.Requested.TOPIC]):
        found = _as_of(store, [str(stored.originator_id) for stored in chunk], last)
        shown = [document(one) for one, events in found if is_sought(one, events, sought)]
        yield shown if extract.names is None else list(map(extract.names.in_approval, shown))


def _chunks(
    store: EventStore, last: int, topics: Sequence[str]
) -> Iterator[Sequence[Notification]]:
    after = 0
    while chunk := store.read_up_to(last, after, CHUNK, topics):
        yield chunk
        after = chunk[-1].id


def _as_of(
    store: EventStore, streams: Sequence[str], last: int
) -> list[tuple[Approval, list[Event]]]:
    """Approvals as they were at a position, and what had happened to them, in the order asked."""
    histories = store.histories(streams, last)
    found = []
    for stream in streams:
        events = [event for _, event in histories[stream]]
        approval = Approval.replay(stream, events)
        approval.number = histories[stream][0][0]
        found.append((approval, events))
    return found


class _Verdicts:
    """Which approvals are sought; the latest ones are remembered."""

    def __init__(self, store: EventStore, sought: Sought, last: int) -> None:
        self._store, self._sought, self._last = store, sought, last
        self._known: OrderedDict[str, bool] = OrderedDict()

    def sought_among(self, streams: Iterable[str]) -> set[str]:
        named = {stream for stream in streams if stream.startswith(APPROVAL_STREAM)}
        unknown = sorted(named - self._known.keys())
        for approval, events in _as_of(self._store, unknown, self._last):
            self._known[approval.id] = is_sought(approval, events, self._sought)
        found = {stream for stream in named if self._known[stream]}
        while len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)
        return found
