"""A store filled with approvals that wait, written in bulk."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

from adapters.store.event_store import EventStore, open_event_store
from domain.aggregate import Event
from domain.approval import Approval
from domain.commands import RecordDelivery, RequestApproval
from web.settings import Settings

CHUNK = 2000
# Enough of them that nobody replies more than sixty times a minute.
MEMBERS = 1000


def approver(number: int) -> str:
    """Who decides approval number so and so."""
    return f"approver{number % MEMBERS}"


def fill(settings: Settings, count: int) -> None:
    """Approvals `1_1` to `{count}_1`, each asked of one approver whom the message reached."""
    store: EventStore = open_event_store(settings.database)
    events = _events(count)
    while chunk := list(islice(events, CHUNK)):
        store.save(chunk)
    store.close()


def _events(count: int) -> Iterator[Event]:
    now = datetime.now(UTC)
    for number in range(1, count + 1):
        approval = Approval.request(
            RequestApproval(
                at=now,
                engine="bench",
                obj_id=f"{number}_1",
                message=f"替换故障机 10.0.{number // 250 % 250}.{number % 250}",
                approvers=[approver(number)],
                expires_in=86_400,
                details={"业务": "bench", "告警类型": "ping"},
            ),
            [],
        )
        ask = f"ask/{approver(number)}"
        approval.record_delivery(
            RecordDelivery(at=now, stream=approval.id, notice=ask, to=approver(number))
        )
        yield from approval.collect_events()
