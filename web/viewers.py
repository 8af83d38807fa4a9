"""Whoever has a list open is told that something on it has changed: read once for all of them."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog
from eventsourcing.persistence import PersistenceError

from domain.approval import Approval
from domain.identity import same_person
from web.reading import Reading

MOST_EVENTS = 500

log = structlog.get_logger()


class Viewer:
    """One open list, or the open page of one approval."""

    def __init__(self, member: str, is_super: bool, reply_id: str | None = None) -> None:
        self.member = same_person(member)
        self._is_super = is_super
        self._reply_id = reply_id
        self.told = 0
        """How often something was said to have changed."""
        self._news = asyncio.Event()

    def tell(self) -> None:
        self.told += 1
        self._news.set()

    def is_concerned(self, people: set[str], changed: set[str]) -> bool:
        """Whether it shows otherwise for what happened to these approvals of these people."""
        if self._reply_id is not None:
            return self._reply_id in changed
        return bool(changed) and (self._is_super or self.member in people)

    async def news(self) -> None:
        """Wait until something has changed since the last time."""
        await self._news.wait()
        self._news.clear()


class Viewers:
    """
    Everybody who has a list open.

    Where it is not certain whom something concerns, everybody is told: to look in vain is cheap.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._viewers: set[Viewer] = set()
        self.closing = False
        self.reached = reading.progress.position
        """Up to where everybody has been told of everything."""
        self.reads = 0
        """How often events were read for all of them."""

    def of(self, member: str) -> list[Viewer]:
        """The lists and pages that this member has open."""
        return [viewer for viewer in self._viewers if viewer.member == same_person(member)]

    @contextmanager
    def watching(
        self, member: str, is_super: bool, reply_id: str | None = None
    ) -> Iterator[Viewer]:
        """A viewer, for as long as the list is open; it hears of what comes from now on."""
        viewer = Viewer(member, is_super, reply_id)
        self._viewers.add(viewer)
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)

    async def run(self) -> None:
        """For ever."""
        progress = self._reading.progress
        while True:
            position = progress.position
            if position == self.reached:
                await progress.next()
                continue
            try:
                if self._viewers:
                    await self._tell_of(self.reached, position)
            except PersistenceError as error:
                log.error("changes of open lists cannot be read", why=str(error))
                self._tell_everybody()
            except Exception:
                log.exception("changes of open lists cannot be read")
                self._tell_everybody()
            self.reached = position

    async def _tell_of(self, before: int, seen: int) -> None:
        self.reads += 1
        changed = await self._reading.changed_between(before, seen, MOST_EVENTS)
        if changed is None:
            self._tell_everybody()
            return
        people, names = _concerned(changed), {approval.reply_id for approval in changed}
        for viewer in tuple(self._viewers):
            if viewer.is_concerned(people, names):
                viewer.tell()

    def _tell_everybody(self) -> None:
        for viewer in tuple(self._viewers):
            viewer.tell()

    def close(self) -> None:
        """Let everybody go: the service ends."""
        self.closing = True
        self._tell_everybody()


def _concerned(changed: Sequence[Approval]) -> set[str]:
    """Who may decide one of them or has; super approvers are concerned by all."""
    people = {userid for approval in changed for userid in approval.approvers}
    people |= {approval.approved_by or "" for approval in changed}
    people |= {(approval.ending.by if approval.ending else "") or "" for approval in changed}
    return {same_person(userid) for userid in people}
