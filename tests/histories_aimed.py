"""What random histories would hardly ever reach by chance: decisions, and what comes after them.

Each command aims at something that is there: an approval that waits, a permit, a row that is due.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from domain.approval import Approval
from domain.commands import Decide, OpenPage, RecordDelivery, Remind, Reply, ReportOutcome, Revoke
from domain.decision import Outcome, Verdict
from domain.identity import APPROVAL_STREAM, approval_stream
from domain.webhooks import RETRY_AFTER
from tests.histories_beside import made
from tests.scenario import APPROVE, REJECT, opens, presses, pushes, reached, reminds, says
from tests.stores import House


def _some(house: House, status: str, number: int) -> Approval | None:
    """One of the approvals of that status."""
    rows = [row for row in house.rows("approvals") if row["status"] == status]
    if not rows:
        return None
    name = rows[number % len(rows)]["reply_id"]
    return house.store.load(Approval, approval_stream(name))


def _who_may(approval: Approval, number: int) -> str:
    asked = [*approval.approvers, "wangwu"]
    may = [userid for userid in asked if not approval.is_requester(userid)]
    return may[number % len(may)] if may else asked[0]


def decides(house: House, at: datetime, number: int, verdict: Verdict) -> Decide | None:
    """Somebody who may, on its page."""
    approval = _some(house, "pending", number)
    if approval is None:
        return None
    return presses(_who_may(approval, number), verdict, approval.reply_id, at)


def answers(house: House, at: datetime, number: int, verdict: Verdict) -> Reply | None:
    """Somebody who may, by text."""
    approval = _some(house, "pending", number)
    if approval is None:
        return None
    return says(_who_may(approval, number), verdict, approval.reply_id, at)


def looks_first(house: House, at: datetime, number: int) -> OpenPage | None:
    """Somebody who may decide opens its page, which counts where no message showed everything."""
    approval = _some(house, "pending", number)
    if approval is None:
        return None
    return opens(_who_may(approval, number), approval.reply_id, at)


def takes_back(house: House, at: datetime, number: int) -> Revoke | None:
    approval = _some(house, "approved", number)
    if approval is None:
        return None
    return Revoke(at=at, by=_who_may(approval, number), reply_id=approval.reply_id)


def tells(house: House, at: datetime, number: int, outcome: Outcome) -> ReportOutcome | None:
    """The engine tells what became of the action."""
    approval = _some(house, "approved", number)
    if approval is None:
        return None
    return ReportOutcome(
        at=at, engine=approval.requested.engine, reply_id=approval.reply_id, outcome=outcome
    )


def reminds_in_time(house: House, at: datetime, number: int) -> Remind | None:
    """The clock, at the moment when it is due."""
    approval = _some(house, "pending", number)
    if approval is None or approval.remind_at is None:
        return None
    return reminds(max(at, approval.remind_at), approval.reply_id)


def loses_everybody(house: House, at: datetime, number: int) -> None:
    """No message reaches an approver of it any more."""
    approval = _some(house, "pending", number)
    if approval is not None:
        for to in approval.approvers:
            failed = {"problem": "81013", "unreachable": True}
            house.do(reached(to, approval.reply_id, at, **failed))


def gives_up(house: House, at: datetime, number: int) -> datetime:
    """A decision is pushed in vain until nobody tries any more; when that is."""
    rows = house.rows("webhooks")
    if not rows:
        return at
    row = rows[number % len(rows)]
    about = {"reply_id": row["reply_id"], "delivery": row["position"]}
    tries: Sequence[timedelta] = (timedelta(), *RETRY_AFTER)
    for attempt, wait in enumerate(tries, row["attempts"] + 1):
        at += wait
        house.do(pushes(at, attempt, "answered 503", **about))
    return at


def sends_beside(
    house: House, at: datetime, number: int, outcome: dict[str, Any]
) -> RecordDelivery | None:
    """One of the messages that are about no approval is sent."""
    rows = [r for r in house.rows("outbox") if not r["stream"].startswith(APPROVAL_STREAM)]
    if not rows:
        return None
    row = rows[number % len(rows)]
    return RecordDelivery(
        at=at, stream=row["stream"], notice=row["notice"], to=row["userid"], **outcome
    )


NUMBERS = st.integers(0, 20)
VERDICTS = st.sampled_from([APPROVE, APPROVE, REJECT])
TELLS = made(tells, number=NUMBERS, outcome=st.sampled_from(list(Outcome)))
SENDS_BESIDE = made(sends_beside, number=NUMBERS, outcome=st.sampled_from([{}, {"problem": "no"}]))
DECIDES = made(decides, number=NUMBERS, verdict=VERDICTS)
AIMED = st.one_of(
    DECIDES,
    DECIDES,
    DECIDES,
    made(answers, number=NUMBERS, verdict=VERDICTS),
    made(answers, number=NUMBERS, verdict=VERDICTS),
    made(looks_first, number=NUMBERS),
    made(takes_back, number=NUMBERS),
    TELLS,
    made(reminds_in_time, number=NUMBERS),
    made(loses_everybody, number=NUMBERS),
    made(gives_up, number=NUMBERS),
    SENDS_BESIDE,
)
AT_SOMETHING = (
    decides,
    answers,
    looks_first,
    takes_back,
    tells,
    reminds_in_time,
    loses_everybody,
    gives_up,
    sends_beside,
)
