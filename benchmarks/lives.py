"""A store filled with whole lives: asked, told, answered, redeemed, done, everybody told of it."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count, islice

from adapters.store.event_store import open_event_store
from benchmarks.fill import CHUNK, approver
from domain.aggregate import Event
from domain.approval import Approval
from domain.approvers import Answer
from domain.commands import RecordDelivery, RequestApproval
from domain.decision import Channel, Outcome, Verdict
from domain.notifications import Way
from domain.permit import PermitTerms
from domain.redeeming import Redemption
from web.parts import opened_vault
from web.secret_key import secret_key
from web.settings import Settings

ENGINE = "bench"
FIRST = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
TERMS = PermitTerms("key-of-the-benchmark", "fta-approval", timedelta(minutes=15))


def fill_with_lives(settings: Settings, events: int) -> int:
    """That many events, or a few less; how many approvals that is."""
    secret_key(settings)
    with closing(open_event_store(settings.database)) as store:
        opened_vault(settings, store, lambda: FIRST)
        coming, approvals = _events(), 0
        left = events - store.last_position()
        while left > 0 and (chunk := list(islice(coming, min(CHUNK, left)))):
            store.save(chunk)
            left -= len(chunk)
            approvals += sum(isinstance(event, Approval.Requested) for event in chunk)
    return approvals


def _events() -> Iterator[Event]:
    for number in count(1):
        yield from _life(number).collect_events()


def _life(number: int) -> Approval:
    """Asked of two, answered by one of them, carried out: eleven events."""
    at, first, second = FIRST + timedelta(seconds=number), approver(number), approver(number + 1)
    approval = Approval.request(_request(number, at, [first, second]), [])
    for userid in (first, second):
        _tell(approval, f"ask/{userid}", userid, at)
    at += timedelta(minutes=2)
    approval.answer(_yes(first, approval.reply_id), at, delivery_key=f"{number}")
    _tell(approval, f"answer/{approval.version - 1}", first, at)
    _tell(approval, f"end/{second}", second, at)
    digest = approval.requested.action_digest
    approval.redeem(Redemption(at=at, by=ENGINE, attempt="1", action_digest=digest, frozen=None))
    at += timedelta(minutes=1)
    approval.report(ENGINE, Outcome.SUCCEEDED, "3 of 3 hosts", at)
    for userid in (first, second):
        _tell(approval, f"outcome/{userid}", userid, at)
    return approval


def _request(number: int, at: datetime, approvers: list[str]) -> RequestApproval:
    return RequestApproval(
        at=at,
        engine=ENGINE,
        obj_id=f"{number}_1",
        message=f"替换故障机 10.0.{number // 250 % 250}.{number % 250}",
        approvers=approvers,
        biz_id="2",
        action='{"ip":"10.0.0.1","job":"replace"}',
        action_digest=f"sha256:{number:064x}",
        details={"业务": "bench", "告警类型": "ping", "集群": "set-1", "模块": "web"},
    )


def _yes(userid: str, reply_id: str) -> Answer:
    return Answer(
        by=userid,
        verdict=Verdict.APPROVE,
        channel=Channel.TEXT,
        words=f"TY {reply_id}",
        terms=TERMS,
    )


def _tell(approval: Approval, notice: str, userid: str, at: datetime) -> None:
    approval.record_delivery(
        RecordDelivery(at=at, stream=approval.id, notice=notice, to=userid, way=Way.TEXT)
    )
