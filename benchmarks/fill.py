"""A store filled with approvals that wait, written in bulk."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

from adapters.store.event_store import open_event_store
from domain.aggregate import Event
from domain.approval import Approval
from domain.commands import RecordDelivery, RequestApproval
from web.secret_key import secret_key
from web.settings import Settings

CHUNK = 2000
# Enough of them that nobody replies more than sixty times a minute.
MEMBERS = 1000


def approver(number: int) -> str:
    """Who decides approval number so and so."""
    return f"approver{number % MEMBERS}"


def fill(settings: Settings, count: int) -> None:
    """Approvals `1_1` to `{count}_1`, each asked of one approver whom the message reached."""
    save(settings, _events(count))


def save(settings: Settings, events: Iterator[Event]) -> None:
    """In a new store, with the key that belongs to it, so that the service takes it for its own."""
    secret_key(settings)
    store = open_event_store(settings.database)
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
