"""`fta-approval audit search`: approvals, or events of every kind, beside a running service."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol
from zoneinfo import ZoneInfo

from domain.commands import RecordSearch
from domain.decision import Capacity, Status
from projections.document import document
from projections.search import Cursor, happened, search
from web.app import utc_now
from web.audit.export import Row, event_row
from web.audit.filters import Filters
from web.audit.json_line import json_line
from web.audit.pseudonyms import Pseudonyms
from web.parts import Parts, build_parts, check_store_exists
from web.settings import Settings
from web.shell_account import shell_account

PAGE = 200
# The first process with new read models makes them from every event there is.
CAUGHT_UP_WITHIN_S = 60.0
MORE = "there are older ones: ask for more with --limit, or for less with a filter"


class Say(Protocol):
    """`web.findings.say`"""

    def __call__(self, line: object, *, err: bool = False) -> None: ...


class Behind(Exception):
    """The read models have not seen everything."""

    def __init__(self, position: int, last: int, why: str | None) -> None:
        because = f" ({why})" if why else ""
        super().__init__(
            f"the read models are at position {position} of {last}{because}: "
            "wait for them, or run fta-approval projections rebuild"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is looked for, and how it is shown."""

    filters: Filters
    events: bool
    """Events of the kinds in the filters, not approvals."""
    limit: int
    as_json: bool
    pseudonyms: bool


async def look_for(settings: Settings, question: Question, say: Say) -> None:
    """
    Record who looks for what, then print what is found, a line each, newest first.

    Raises:
        StoreUnavailable: It could not be recorded; nothing is shown.
        Behind: The read models have not seen everything.
        FileNotFoundError: There is no event store; one that is mistyped is not made anew.
    """
    check_store_exists(settings)
    parts = build_parts(settings, utc_now)
    async with parts.running():
        wanted = {**question.filters.recorded(), **({"what": "events"} if question.events else {})}
        command = RecordSearch(at=utc_now(), by=shell_account(), via="shell", wanted=wanted)
        await parts.writer.execute(command)
        await _caught_up(parts)
        await _Answer(parts, question, say).give()


async def _caught_up(parts: Parts) -> None:
    last = await asyncio.to_thread(parts.store.last_position)
    try:
        await asyncio.to_thread(parts.runner.wait_for, last, CAUGHT_UP_WITHIN_S)
    except TimeoutError:
        raise Behind(parts.runner.position, last, parts.runner.failure) from None


class _Answer:
    """What is found, as it is printed."""

    def __init__(self, parts: Parts, question: Question, say: Say) -> None:
        self._parts, self._question, self._say = parts, question, say
        self._zone = ZoneInfo(parts.in_force.now.time_zone)
        self._names = Pseudonyms.of_store(parts.keyring) if question.pseudonyms else None

    async def give(self) -> None:
        found, after = 0, None
        is_as_json, limit = self._question.as_json, self._question.limit
        if not is_as_json:
            self._say(f"times are {self._zone.key}", err=True)
        while found < limit:
            rows, after = await self._page(after, min(PAGE, limit - found))
            found += len(rows)
            for row in rows:
                self._say(json_line(row) if is_as_json else self._line(row))
            if after is None:
                break
        if found == 0 or after is not None:
            self._say("nothing was found" if found == 0 else MORE, err=True)

    async def _page(self, after: Cursor | None, limit: int) -> tuple[list[Row], Cursor | None]:
        ask, filters = self._parts.reading.of_read_models, self._question.filters
        if self._question.events:
            events = await ask(partial(happened, wanted=filters.happened(after), limit=limit))
            return await asyncio.to_thread(self._events_at, events.positions), events.older
        page = await ask(partial(search, sought=filters.sought(after), limit=limit))
        shown = [document(one) for one in await self._parts.reading.approvals(page.reply_ids)]
        return [self._names.in_approval(it) if self._names else it for it in shown], page.older

    def _events_at(self, positions: Sequence[int]) -> list[Row]:
        store = self._parts.store
        found = store.events_at(positions)
        return [event_row(at, stored, store.event(stored), self._names) for at, stored in found]

    def _line(self, row: Row) -> str:
        return self._line_of_event(row) if self._question.events else self._line_of_approval(row)

    def _line_of_event(self, row: Row) -> str:
        """`17  2026-05-04 20:00:00  freeze.began  shell:root  freeze  {"why":"网络变更"}`"""
        by = " via ".join(filter(None, (row["by"], row["via"]))) or "-"
        told = {n: v for n, v in row["data"].items() if n not in ("by", "via", "channel")}
        parts = (row["position"], self._shown(row["at"]), row["type"], by, row["stream"])
        return "  ".join([*map(str, parts), json_line(told)])

    def _line_of_approval(self, row: Row) -> str:
        """`2026-05-04 20:00:00  12345_2  approved by lisi via web at …  重启 nginx`"""
        asked = self._shown(row["requested_at"])
        return "  ".join([asked, row["reply_id"], self._ending(row), row["message"]])

    def _ending(self, row: Row) -> str:
        status = row["status"]
        if status == Status.PENDING:
            return f"{status} until {self._shown(row['expires_at'])}"
        by = f" by {row['decided_by']}" if row["decided_by"] else ""
        capacity = " as super approver" if row["capacity"] == Capacity.SUPER_APPROVER else ""
        via = f" via {row['decided_via']}" if by else ""
        return f"{status}{by}{capacity}{via} at {self._shown(row['decided_at'])}"

    def _shown(self, at: str) -> str:
        return f"{datetime.fromisoformat(at).astimezone(self._zone):%Y-%m-%d %H:%M:%S}"
