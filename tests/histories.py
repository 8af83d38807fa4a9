"""Random histories: whole commands, with the seconds between them, and what the sender may learn.

live(house, history)   # what st.lists of these says, one command after the other
"""

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from domain.approval import Approval
from domain.commands import (
    EndSession,
    EndSessionsOf,
    FreezeApprovals,
    OpenSession,
    RecordDelivery,
    RecordWebhook,
    Redeem,
    RedeliverWebhook,
    ReportOutcome,
    Revoke,
    ThawApprovals,
)
from domain.decision import Outcome
from domain.identity import approval_stream
from domain.installation import Installation, SecretKind
from domain.notifications import Way
from tests.histories_aimed import (
    AIMED,
    AT_SOMETHING,
    NUMBERS,
    SENDS_BESIDE,
    TELLS,
    decides,
    gives_up,
    reminds_in_time,
    takes_back,
)
from tests.histories_beside import BESIDE, CONFIGURES, IN_THE_HOUSE, RESEALS, made
from tests.scenario import (
    APPROVE,
    NOON,
    REJECT,
    ask,
    ask_next,
    cancels,
    clock,
    comes,
    leaves,
    opens,
    presses,
    pushes,
    reached,
    redelivers,
    reminds,
    says,
    taps,
)
from tests.stores import House

RANDOM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

History = Sequence[tuple[int, Any]]

LONG = "重" * 800  # no text shows it whole
PEOPLE = ["zhangsan", "ZhangSan", "lisi", "wangwu"]
NODES = ["1_1", "A_2", "a_2"]
people = st.sampled_from(PEOPLE)
reply_ids = st.sampled_from([*NODES, *NODES, *NODES, "1_1.2", "A_2.2", "nowhere"])
verdicts = st.sampled_from([APPROVE, REJECT])

# What the sender records of one message, leaving aside which.
OUTCOMES = st.sampled_from(
    [
        {"way": Way.TEXT},
        {"way": Way.TEXT, "cut": True},
        {"way": Way.CARD, "response_code": "code"},
        {"way": Way.CARD, "response_code": "code", "cut": True},
        {"way": Way.CARD},
        {"way": Way.BOTH, "response_code": "code"},
        {"way": Way.DIGEST},
        {"way": Way.UNKNOWN},
        {"problem": "no"},
        {"problem": "userid not found", "unreachable": True},
    ]
)


PUSHED = st.sampled_from(
    [{}, {"problem": "answered 404"}, {"problem": "answered 503", "down": True}]
)


def delivery(at: datetime, row: dict[str, Any], outcome: dict[str, Any]) -> RecordDelivery:
    """What became of the message that stands in this row of the outbox."""
    return RecordDelivery(
        at=at, stream=row["stream"], notice=row["notice"], to=row["userid"], **outcome
    )


def send(house: House, at: datetime, number: int, outcome: dict[str, Any]) -> RecordDelivery | None:
    """One of the messages that stand in the outbox is sent; None if there is none."""
    waiting = house.rows("outbox")
    return delivery(at, waiting[number % len(waiting)], outcome) if waiting else None


def arrive(at: datetime, to: str, reply_id: str, outcome: dict[str, Any]) -> RecordDelivery:
    """The message that asks was on its way, whatever stands in the outbox."""
    return reached(to, reply_id, at, **outcome)


def push(house: House, at: datetime, number: int, came: dict[str, Any]) -> RecordWebhook | None:
    """One of the decisions that wait to be pushed is tried, and perhaps lets go of others."""
    rows = house.rows("webhooks")
    if not rows:
        return None
    row = rows[number % len(rows)]
    held = [one["position"] for one in rows if one["down_at"] > one["up_at"] and one is not row]
    about = {"reply_id": row["reply_id"], "delivery": row["position"]}
    released = [] if came.get("down") else held
    return pushes(at, row["attempts"] + 1, released=released, **about, **came)


def push_again(house: House, at: datetime, number: int) -> RedeliverWebhook | None:
    """One of them is asked for, given up or not."""
    rows = house.rows("webhooks")
    if not rows:
        return None
    row = rows[number % len(rows)]
    return redelivers(at, reply_id=row["reply_id"], delivery=row["position"], engine=None)


COOKIES = itertools.count()


def _log_in(at: datetime, by: str, minutes: int) -> OpenSession:
    session = f"{by} {next(COOKIES)}"  # random, so that none comes twice
    return OpenSession(at=at, session=session, by=by, expires_at=at + timedelta(minutes=minutes))


def log_out(house: House, at: datetime, number: int) -> EndSession | None:
    """One of the sessions that are open ends; None if there is none."""
    sessions = house.rows("sessions")
    session = sessions[number % len(sessions)]["session"] if sessions else None
    return session and EndSession(at=at, session=session)


def _all_out(at: datetime, by: str) -> EndSessionsOf:
    return EndSessionsOf(at=at, by=by, why="ended-by-administrator")


def redeem_some(
    house: House, at: datetime, number: int, attempt: str, is_same: bool
) -> Redeem | None:
    """One of those that are approved."""
    rows = [row for row in house.rows("approvals") if row["status"] == "approved"]
    if not rows:
        return None
    return redeem(house, at, rows[number % len(rows)]["reply_id"], attempt, is_same)


def redeem(house: House, at: datetime, reply_id: str, attempt: str, is_same: bool) -> Redeem | None:
    """An engine shows the permit of an approval; None if it has none."""
    approval = house.store.load(Approval, approval_stream(reply_id))
    if approval is None or approval.permit is None:
        return None
    permit = approval.permit
    digest = permit.action_digest if is_same else "sha256:another"
    return Redeem(
        at=at,
        engine=permit.engine,
        reply_id=reply_id,
        permit=permit.claims(),
        attempt=attempt,
        action_digest=digest,
    )


def revokes(at: datetime, by: str, reply_id: str) -> Revoke:
    return Revoke(at=at, by=by, reply_id=reply_id)


def reports(at: datetime, reply_id: str, engine: str, outcome: Outcome) -> ReportOutcome:
    return ReportOutcome(at=at, engine=engine, reply_id=reply_id, outcome=outcome)


def freezes(at: datetime, why: str) -> FreezeApprovals:
    return FreezeApprovals(at=at, by="shell:root", why=why)


def thaws(at: datetime) -> ThawApprovals:
    return ThawApprovals(at=at, by="shell:root")


ASKING = made(
    ask,
    obj_id=st.sampled_from(NODES),
    run=st.sampled_from([1, 1, 2]),
    approvers=st.lists(people, min_size=2, max_size=3),
    requested_by=st.sampled_from([None, None, "lisi", "wangwu", "somebody"]),
    engine=st.sampled_from(["fta", "fta", "自愈"]),
    message=st.sampled_from(["重启", "重启", LONG]),
    expires_in=st.sampled_from([60, 1200, 86400]),
    test=st.sampled_from([False, False, True]),
    callback_url=st.sampled_from([None, "http://a.example/", "http://b.example:1/?c", "http://["]),
)
DECIDING = st.one_of(
    made(
        says,
        by=people,
        verdict=st.sampled_from([APPROVE, REJECT, None]),
        reply_id=st.none() | reply_ids,
    ),
    made(
        taps,
        by=people,
        verdict=verdicts,
        reply_id=reply_ids,
        response_code=st.sampled_from(["tapped", "tapped", None]),
        doubt=st.sampled_from([None, None, "stale"]),
    ),
    made(presses, by=people, verdict=verdicts, reply_id=reply_ids, from_list=st.booleans()),
)
DELIVERING = st.one_of(
    made(arrive, to=people, reply_id=st.sampled_from(NODES), outcome=OUTCOMES),
    made(send, number=st.integers(0, 20), outcome=OUTCOMES),
)
THE_REST = st.one_of(
    made(ask_next, obj_id=st.sampled_from(NODES), approvers=st.lists(people, min_size=1)),
    made(cancels, reply_id=reply_ids),
    made(clock, reply_id=reply_ids),
    made(reminds, reply_id=reply_ids),
    made(opens, by=people, reply_id=reply_ids),
    made(comes, by=people),
    made(leaves, by=people),
    made(_log_in, by=people, minutes=st.integers(0, 20)),
    made(log_out, number=st.integers(0, 20)),
    made(_all_out, by=people),
    made(push, number=st.integers(0, 20), came=PUSHED),
    made(push_again, number=st.integers(0, 20)),
)
USING = st.one_of(
    made(redeem, reply_id=reply_ids, attempt=st.sampled_from(["a", "b"]), is_same=st.booleans()),
    made(revokes, by=people, reply_id=reply_ids),
    made(
        reports,
        reply_id=reply_ids,
        engine=st.sampled_from(["fta", "fta", "自愈"]),
        outcome=st.sampled_from(list(Outcome)),
    ),
    made(freezes, why=st.sampled_from(["停电", "变更"])),
    made(thaws),
)
COMMANDS = st.one_of(ASKING, DECIDING, DELIVERING, USING, THE_REST, BESIDE, AIMED)
NEEDS_HOUSE = {
    *(send, log_out, redeem, redeem_some, push, push_again),
    *IN_THE_HOUSE,
    *AT_SOMETHING,
}
# Nine hundred: when a quarter of the usual twenty minutes is left.
SECONDS = st.sampled_from([0, 0, 1, 61, 601, 900])
# What hardly ever follows one another by chance.
APPROVES = made(decides, number=NUMBERS, verdict=st.just(APPROVE))
REDEEMS = made(
    redeem_some,
    number=NUMBERS,
    attempt=st.sampled_from(["a", "b"]),
    is_same=st.sampled_from([True, True, False]),
)
STRETCHES = st.one_of(
    st.tuples(APPROVES, made(takes_back, number=NUMBERS)),
    st.tuples(APPROVES, REDEEMS, REDEEMS, TELLS),
    st.tuples(made(gives_up, number=NUMBERS), made(push_again, number=NUMBERS)),
    st.tuples(made(push, number=NUMBERS, came=st.just({})), REDEEMS),
    st.tuples(ASKING, made(reminds_in_time, number=NUMBERS)),
    st.tuples(CONFIGURES, RESEALS, SENDS_BESIDE),
    st.tuples(made(thaws), APPROVES, REDEEMS),
)


def histories(asked: int, longest: int) -> st.SearchStrategy[list[tuple[int, Any]]]:
    """Something is asked first, then anything happens; with the seconds since what came before."""
    beginning = st.lists(st.tuples(SECONDS, ASKING), min_size=asked, max_size=asked)
    one = COMMANDS.map(lambda command: (command,))
    few = st.tuples(SECONDS, st.one_of(one, one, one, STRETCHES)).map(_in_a_row)
    then = st.lists(few, min_size=longest // 2, max_size=longest).map(itertools.chain.from_iterable)
    return st.builds(lambda first, rest: [*first, *rest], beginning, then)


def _in_a_row(few: tuple[int, tuple[Any, ...]]) -> list[tuple[int, Any]]:
    seconds, commands = few
    return [(seconds if number == 0 else 0, command) for number, command in enumerate(commands)]


def with_a_permit_key(installation: Installation) -> None:
    installation.found(feed_id="feed", at=NOON)
    if not installation.made(SecretKind.PERMIT_KEY):
        installation.make_secret(SecretKind.PERMIT_KEY, "key-1", "sealed", NOON, public="public")


def live(house: House, history: History, at: datetime = NOON) -> datetime:
    """Let it happen from that moment on; the moment at which it was over."""
    house.store.change_installation(with_a_permit_key)
    for seconds, (kind, fields) in history:
        at += timedelta(seconds=seconds)
        if kind in NEEDS_HOUSE:
            fields = {**fields, "house": house}
        done = kind(at=at, **fields)
        if isinstance(done, datetime):  # a deed that took its time
            at = done
        elif done is not None:
            house.do(done)
            at = max(at, done.at)
    return at
