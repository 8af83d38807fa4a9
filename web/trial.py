"""`fta-approval doctor --send`: a test approval that the running service sends to a member."""

import asyncio
import secrets
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from eventsourcing.persistence import PersistenceError

from adapters.store.event_store import EventStore, open_event_store, sqlite_path
from adapters.store.schema import NewerStore
from adapters.store.writer import StoreUnavailable, Writer
from domain.approval import Approval
from domain.commands import RequestApproval
from domain.identity import approval_stream, same_person
from domain.notifications import Delivery
from projections.directory import Directory
from web.findings import Finding, fail, ok
from web.settings import Settings

# No engine can have this name: no name of a token holds a blank.
ENGINE = "fta-approval doctor"
MESSAGE = "【测试】这是一条测试审批，无论如何回复都不会执行任何操作"
EXPIRES_IN_S = 600
CANNOT_BE_USED = (StoreUnavailable, PersistenceError, NewerStore, sqlite3.Error)
LOOK_EVERY_S = 0.25
WAIT_S = 30.0

Sleep = Callable[[float], Awaitable[None]]


@dataclass
class Trial:
    """Asks through the event store, as an engine would; another process does the sending."""

    settings: Settings
    clock: Callable[[], datetime]
    sleep: Sleep = asyncio.sleep
    wait_s: float = WAIT_S

    async def run(self, userid: str) -> Finding:
        """What became of the message."""
        path = sqlite_path(self.settings.database).absolute()
        if not path.exists():
            return fail(
                "send",
                f"there is no event store at {path}",
                "start fta-approval serve first, or correct FTA_APPROVAL_DATABASE",
            )
        try:
            async with _opened(self.settings) as (store, writer):
                approval, _ = await writer.execute(self._request(userid))
                delivery = await self._delivery(store, approval.reply_id, userid)
        except CANNOT_BE_USED as error:
            return fail(
                "send",
                f"the event store at {path} cannot be used ({error})",
                "correct FTA_APPROVAL_DATABASE, and run this as the user that serves",
            )
        return self._said(approval.reply_id, delivery)

    def _request(self, userid: str) -> RequestApproval:
        at = self.clock()
        return RequestApproval(
            at=at,
            engine=ENGINE,
            obj_id=f"doctor:{at:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}",
            message=MESSAGE,
            approvers=[userid],
            expires_in=EXPIRES_IN_S,
            test=True,
        )

    async def _delivery(self, store: EventStore, reply_id: str, userid: str) -> Delivery:
        """As soon as it is known; still pending when we no longer wait."""
        waited_s = 0.0
        while True:
            approval = await asyncio.to_thread(store.load, Approval, approval_stream(reply_id))
            assert approval is not None  # noqa: S101  # we have just asked for it
            delivery = approval.deliveries[same_person(userid)]
            if delivery.state != "pending" or waited_s >= self.wait_s:
                return delivery
            await self.sleep(LOOK_EVERY_S)
            waited_s += LOOK_EVERY_S

    def _said(self, reply_id: str, delivery: Delivery) -> Finding:
        userid = delivery.userid
        if delivery.state == "sent":
            others = [u for u in self.settings.super_approvers if not _is_same(u, userid)]
            also = f" (and, like every approval, {', '.join(others)})" if others else ""
            return ok(
                "send",
                f"WeCom took {reply_id} for {userid}{also}; answer TY {reply_id} or BH {reply_id} "
                f"in the chat within {EXPIRES_IN_S // 60} minutes and look for the answer; nothing "
                "is executed",
            )
        if delivery.state == "unreachable":
            return fail(
                "send",
                f"{userid} cannot be reached ({delivery.detail})",
                "correct the userid, or add the member under 应用 → 可见范围",
            )
        if delivery.state == "failed":
            return fail(
                "send",
                f"WeCom refused the message to {userid} ({delivery.detail})",
                "compare the settings of fta-approval serve with these and restart it",
            )
        return fail(
            "send",
            f"nothing has become of {reply_id} to {userid} within {self.wait_s:g} s",
            f"fta-approval serve has to run on this database "
            f"({sqlite_path(self.settings.database).absolute()}); if it does, its /readyz says "
            "what is wrong with WeCom",
        )


def _is_same(one: str, other: str) -> bool:
    return same_person(one) == same_person(other)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[EventStore, Writer]]:
    """The store to read and a writer beside that of the service; versions keep them apart."""
    store = open_event_store(settings.database)
    writer = Writer(store.another(), _no_directory, lambda: settings.super_approvers)
    writer.start()
    try:
        yield store, writer
    finally:
        await asyncio.to_thread(writer.stop)
        writer.store.close()
        store.close()


def _no_directory(position: int) -> Directory:
    """Asking for an approval looks nothing up in the read models, which are the service's."""
    raise TimeoutError("the read models belong to the service")
