"""What became of each message: who was reached and how, who has read what, what changes a card."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from domain import errors, wording
from domain.approval import Approval
from domain.commands import OpenSession
from domain.decision import Channel, Status
from domain.inbox import Inbox
from domain.notifications import Delivery, Notifications, Way
from domain.session import Session
from tests.scenario import (
    APPROVE,
    DEADLINE,
    MILLISECOND,
    NODE,
    NOON,
    REJECT,
    Expected,
    Scenario,
    after,
    ask,
    cancels,
    clock,
    event,
    given,
    leaves,
    opens,
    presses,
    reached,
    reminds,
    says,
    taps,
)
from tests.stores import events_of, in_one_batch, opened, pausing, writing

__all__ = ["pausing"]

OTHER = "54321_1"
QUIET = timedelta(minutes=10)
TWO_MINUTES = timedelta(minutes=2)

NO_TEXT = "重" * 800  # no text shows it whole
NO_LINK = "x" * (wording.bytes_left("", NODE) - 255)  # a text does, without the address of a page
FULL_TEXT = "x" * wording.bytes_left("", NODE)  # a text just does
NO_CARD = "重" * 161  # a card does not

REPLIED = event(Approval.Replied, refusal=None)
APPROVED = event(Approval.Approved)
REMINDED = event(Approval.Reminded)
NOBODY = event(Approval.NobodyReached)

ENDS = [
    pytest.param(says("zhangsan", APPROVE), id="by text"),
    pytest.param(taps("zhangsan", REJECT), id="by card"),
    pytest.param(presses("zhangsan", APPROVE), id="on a page"),
    pytest.param(cancels(), id="cancelled"),
    pytest.param(ask(after(minutes=1), run=2), id="superseded"),
    pytest.param(clock(DEADLINE), id="expired"),
]


def unread(by: str) -> Expected:
    return event(Approval.Replied, by=by, refusal="open-it-first")


def lost(to: str) -> Expected:
    return event(Approval.BecameUnreachable, to=to)


def fails(to: str, at: datetime = NOON + timedelta(seconds=1), **fields: Any) -> Any:
    return reached(to, at=at, problem="userid not found", unreachable=True, **fields)


def notifications(scenario: Scenario) -> Notifications:
    return scenario.approval().notifications


def test_the_message_without_room_for_a_link_has_just_room_enough_without() -> None:
    assert 0 <= wording.bytes_left(NO_LINK, NODE) == wording.LINK_BYTES - 1


# Reminding: once, when a quarter of the time is left, and at least two minutes.


# The clock looks a moment after it is due; ten seconds are more than that.
TOO_LATE = DEADLINE - TWO_MINUTES + timedelta(seconds=10)


@pytest.mark.parametrize("at", [after(minutes=15), after(minutes=17), TOO_LATE])
def test_a_reminder_comes_while_a_quarter_or_less_is_left_and_about_two_minutes(at: Any) -> None:
    scenario = given(ask()).when(reminds(at)).then(event(Approval.Reminded, timestamp=at))
    assert scenario.approval().status is Status.PENDING


@pytest.mark.parametrize(
    "at", [NOON, after(minutes=15) - MILLISECOND, TOO_LATE + MILLISECOND, DEADLINE]
)
def test_neither_earlier_nor_later(at: Any) -> None:
    given(ask()).when(reminds(at)).then_nothing()


@pytest.mark.parametrize("at", [after(minutes=15), after(minutes=16)])
def test_nobody_is_reminded_twice(at: Any) -> None:
    given(ask(), reminds(after(minutes=15))).when(reminds(at)).then_nothing()


@pytest.mark.parametrize("expires_in", [10, 60, 479])
def test_where_a_quarter_is_less_than_two_minutes_nobody_is_reminded(expires_in: int) -> None:
    scenario = given(ask(expires_in=expires_in))
    assert scenario.approval().remind_at is None
    for seconds in range(0, expires_in + 1, 1 if expires_in == 479 else 10):
        scenario.when(reminds(after(seconds=seconds))).then_nothing()


def test_where_a_quarter_is_two_minutes_the_clock_has_ten_seconds_for_it() -> None:
    scenario = given(ask(expires_in=480))
    assert scenario.approval().remind_at == after(minutes=6)
    scenario.when(reminds(after(minutes=6) - MILLISECOND)).then_nothing()
    scenario.when(reminds(after(minutes=6, seconds=10) + MILLISECOND)).then_nothing()
    scenario.when(reminds(after(minutes=6))).then(REMINDED)


@pytest.mark.parametrize("end", ENDS)
def test_nobody_is_reminded_of_what_has_ended(end: Any) -> None:
    given(ask(), end).when(reminds(after(minutes=15))).then_nothing()


def test_a_reminder_ends_nothing() -> None:
    """Who is asked once more may still answer, and so may the clock."""
    given(ask(), reminds(after(minutes=15))).when(clock(DEADLINE)).then(event(Approval.Expired))


def test_nobody_is_reminded_of_what_is_unknown() -> None:
    given(ask()).when(reminds(after(minutes=15), OTHER)).then_refused(errors.UnknownApproval)


@pytest.mark.usefixtures("pausing")
@pytest.mark.parametrize("end", ENDS[:4])
async def test_a_reminder_after_an_end_in_the_same_batch_is_none(tmp_path: Path, end: Any) -> None:
    reminder = reminds(after(minutes=15))
    with writing(tmp_path) as writer, opened(tmp_path) as house:
        await writer.execute(ask())
        await in_one_batch(writer, end, reminder, reminder)
        assert Approval.Reminded not in map(type, events_of(house.store))


@pytest.mark.usefixtures("pausing")
async def test_of_many_reminders_in_one_batch_one_is_recorded(tmp_path: Path) -> None:
    reminder = reminds(after(minutes=15))
    with writing(tmp_path) as writer, opened(tmp_path) as house:
        await writer.execute(ask())
        await in_one_batch(writer, reminder, reminder, cancels(), reminder)
        kinds = [type(event) for event in events_of(house.store)]
        assert kinds == [Approval.Requested, Approval.Reminded, Approval.Cancelled]


# Nobody can be reached.


@pytest.mark.parametrize("unreachable", [True, False])
def test_when_the_last_message_to_an_approver_has_failed_nobody_is_reached(
    unreachable: bool,
) -> None:
    last = reached("lisi", problem="no", unreachable=unreachable, at=after(seconds=2))
    scenario = given(ask(), fails("zhangsan")).when(last)
    scenario.then(
        event(Approval.NotificationFailed, to="lisi"),
        event(Approval.NobodyReached, timestamp=after(seconds=2)),
    )
    assert scenario.approval().nobody_reached


@pytest.mark.parametrize(
    "other", [[], [reached("lisi")], [reached("lisi", way=Way.DIGEST)]], ids=len
)
def test_while_one_may_still_be_reached_it_is_not_said(other: list[Any]) -> None:
    scenario = given(ask(), *other).when(fails("zhangsan"))
    scenario.then(event(Approval.NotificationFailed))
    assert not scenario.approval().nobody_reached


def test_super_approvers_and_the_requester_do_not_count_as_approvers() -> None:
    """Neither who may decide without being asked as an approver, nor who may not decide at all."""
    request = ask(approvers=["zhangsan", "lisi"], requested_by="LiSi")
    scenario = given(request, super_approvers=["wangwu"]).and_(reached("wangwu"))
    scenario.when(fails("zhangsan")).then(event(Approval.NotificationFailed), NOBODY)


def test_the_failure_of_a_super_approvers_message_says_nothing_about_approvers() -> None:
    scenario = given(ask(), super_approvers=["wangwu"]).and_(fails("zhangsan"))
    scenario.when(fails("wangwu")).then(event(Approval.NotificationFailed))


def test_it_is_said_once() -> None:
    scenario = given(ask(), fails("zhangsan"), fails("lisi"))
    for again in (
        fails("lisi"),
        fails("zhangsan", notice="answer/4"),
        fails("zhangsan", notice="remind/zhangsan"),
    ):
        scenario.when(again)
        assert NOBODY.kind not in map(type, scenario.happened)


def test_another_message_that_fails_makes_nobody_unreachable() -> None:
    """Only the message that asks says whether a member knows of it."""
    scenario = given(ask(approvers=["zhangsan"]), reached("zhangsan"))
    for notice in ("remind/zhangsan", "answer/3", "card/zhangsan", "end/zhangsan"):
        scenario.when(fails("zhangsan", notice=notice)).then(event(Approval.NotificationFailed))
    assert notifications(scenario).reached() == ["zhangsan"]


@pytest.mark.parametrize("end", ENDS)
def test_after_an_end_nobody_needs_to_be_reached(end: Any) -> None:
    scenario = given(ask(), fails("zhangsan"), end)
    scenario.when(fails("lisi", at=DEADLINE)).then(event(Approval.NotificationFailed))


@pytest.mark.usefixtures("pausing")
@pytest.mark.parametrize("end", ENDS[2:4])
async def test_a_last_failure_in_one_batch_with_an_end(tmp_path: Path, end: Any) -> None:
    one, two = fails("zhangsan"), fails("lisi")
    with writing(tmp_path) as writer, opened(tmp_path) as house:
        await writer.execute(ask())
        await in_one_batch(writer, one, end, two)
        assert Approval.NobodyReached not in map(type, events_of(house.store))
        await writer.execute(ask(obj_id=OTHER))
        await in_one_batch(writer, *(fails(name, reply_id=OTHER) for name in ("zhangsan", "lisi")))
        kinds = [type(event) for event in events_of(house.store, OTHER)]
        assert kinds.count(Approval.NobodyReached) == 1


# A member leaves.


def test_who_leaves_is_out_of_reach_of_everything_that_waits_for_them() -> None:
    scenario = given(
        ask(),
        ask(obj_id="1_1", approvers=["ZhangSan", "lisi"]),
        ask(obj_id="2_1", approvers=["lisi"]),
        ask(obj_id="3_1"),
        cancels(reply_id="3_1"),
        reached("zhangsan"),
    ).when(leaves("zhangSAN", after(minutes=2)))
    left = "the member has left the application's visible range"
    at = after(minutes=2)
    kind = Approval.BecameUnreachable
    scenario.then(
        event(kind, originator_id=f"approval-{NODE}", to="zhangsan", problem=left, timestamp=at),
        event(kind, originator_id="approval-1_1", to="ZhangSan", problem=left, timestamp=at),
    )
    delivery = scenario.approval().deliveries["zhangsan"]
    # What they were shown stays shown.
    assert delivery == Delivery("zhangsan", "unreachable", left, after(seconds=1), way=Way.TEXT)
    assert notifications(scenario).is_beyond_reach("ZhangSan")
    assert notifications(scenario).reached() == []


def test_who_has_left_has_read_no_message_and_got_no_answer_counted_by_it() -> None:
    """A reply without an id means the message that stands on the phone; there is none any more."""
    scenario = given(ask(), reached("zhangsan"), leaves("zhangsan"))
    scenario.when(says("zhangsan", APPROVE, None, after(minutes=15)))
    scenario.then_refused(errors.UnclearWhich, event(Inbox.Received))
    scenario.when(says("zhangsan", APPROVE, NODE, after(minutes=15))).then(REPLIED, APPROVED)


def test_when_the_last_approver_leaves_nobody_is_reached() -> None:
    scenario = given(ask(), reached("zhangsan"), fails("lisi"))
    scenario.when(leaves("zhangsan")).then(lost("zhangsan"), NOBODY)


def test_when_a_super_approver_leaves_the_approvers_are_still_there() -> None:
    scenario = given(ask(), super_approvers=["wangwu"])
    scenario.when(leaves("wangwu")).then(lost("wangwu"))


def test_a_super_approver_of_now_who_was_not_asked_is_not_lost() -> None:
    given(ask()).under("wangwu").when(leaves("wangwu")).then_nothing()


@pytest.mark.parametrize("before", [fails("zhangsan"), leaves("zhangsan", after(seconds=30))])
def test_who_is_out_of_reach_already_is_not_lost_again(before: Any) -> None:
    given(ask(), before).when(leaves("ZhangSan")).then_nothing()


def test_a_repeated_delivery_of_the_leaving_does_nothing() -> None:
    """Not even to what was asked since: who was asked again may have come back."""
    scenario = given(ask(), leaves("zhangsan"), ask(after(minutes=1), obj_id=OTHER))
    scenario.when(leaves("ZhangSan")).then_nothing()
    again = leaves("zhangsan", after(minutes=2))
    scenario.when(again).then(event(Approval.BecameUnreachable, originator_id=f"approval-{OTHER}"))


@pytest.mark.parametrize("end", ENDS)
def test_who_leaves_after_the_end_is_not_lost_to_it(end: Any) -> None:
    scenario = given(ask(), end).when(leaves("lisi", DEADLINE))
    assert {new.originator_id for new in scenario.happened} <= {f"approval-{NODE}.2"}


@pytest.mark.parametrize(
    ("before", "userid"), [([], "wangwu"), ([cancels()], "zhangsan")], ids=["not asked", "ended"]
)
def test_an_approval_judges_by_itself_whom_it_loses(before: list[Any], userid: str) -> None:
    """The read models that say what concerns a member may be behind."""
    approval = given(ask(), *before).approval()
    approval.lose_member(userid, after(minutes=2))
    assert approval.collect_events() == []


def test_a_message_that_arrives_after_all_is_believed() -> None:
    """It was on its way when WeCom said that the member left; or they have come back."""
    scenario = given(ask(), leaves("zhangsan"), leaves("lisi"))
    scenario.when(reached("zhangsan", at=after(minutes=2))).then(event(Approval.Notified))
    assert notifications(scenario).reached() == ["zhangsan"]
    assert scenario.approval().nobody_reached  # it was so, and has been said


def test_who_leaves_is_logged_out_everywhere() -> None:
    def logs_in(by: str, session: str) -> OpenSession:
        return OpenSession(at=NOON, session=session, by=by, expires_at=after(hours=12))

    scenario = given(
        logs_in("zhangsan", "a"), logs_in("ZhangSan", "b"), logs_in("lisi", "c"), ask()
    )
    scenario.when(leaves("zhangsan"))
    ended = [new for new in scenario.happened if isinstance(new, Session.Ended)]
    assert [(new.originator_id, new.why) for new in ended] == [
        ("session-a", "left-visible-range"),
        ("session-b", "left-visible-range"),
    ]


@pytest.mark.usefixtures("pausing")
@pytest.mark.parametrize("end", ENDS[:4])
async def test_who_leaves_in_one_batch_with_an_end_is_not_lost_to_it(
    tmp_path: Path, end: Any
) -> None:
    """The writer asks read models that have seen the whole batch."""
    with writing(tmp_path) as writer, opened(tmp_path) as house:
        await writer.execute(ask())
        await in_one_batch(writer, leaves("zhangsan"), end, leaves("zhangsan"))
        assert Approval.BecameUnreachable not in map(type, events_of(house.store))
        await writer.execute(ask(after(minutes=2), obj_id=OTHER))
        left = leaves("zhangsan", after(minutes=3)), leaves("lisi", after(minutes=3))
        await in_one_batch(writer, *left, *left)
        kinds = [type(event) for event in events_of(house.store, OTHER)]
        assert kinds.count(Approval.BecameUnreachable) == 2
        assert kinds.count(Approval.NobodyReached) == 1


# Ways, and what they show.


@pytest.mark.parametrize("way", list(Way))
def test_as_what_a_message_was_sent_is_recorded(way: Way) -> None:
    scenario = given(ask()).when(reached("zhangsan", way=way, response_code="code"))
    scenario.then(event(Approval.Notified, way=way.value, response_code="code"))
    delivery = Delivery("zhangsan", "sent", None, after(seconds=1), False, way)
    assert scenario.approval().deliveries["zhangsan"] == delivery


@pytest.mark.parametrize("way", [Way.TEXT, Way.CARD, Way.BOTH, Way.UNKNOWN])
def test_without_an_id_it_counts_for_whom_the_very_message_reached(way: Way) -> None:
    scenario = given(ask(), reached("zhangsan", way=way))
    scenario.when(says("zhangsan", APPROVE, None, after(seconds=2))).then(REPLIED, APPROVED)


def test_without_an_id_it_never_counts_for_who_got_only_a_digest() -> None:
    scenario = given(ask(), reached("zhangsan", way=Way.DIGEST), reached("lisi"))
    scenario.when(says("zhangsan", APPROVE, None, after(minutes=15)))
    scenario.then_refused(errors.UnclearWhich, event(Inbox.Received))
    scenario.when(says("lisi", APPROVE, None, after(minutes=15))).then(REPLIED, APPROVED)


DECIDING = {"text": says, "card": taps}


@pytest.mark.parametrize(
    ("message", "how", "by", "refused"),
    [
        # Whatever is known of a message to this member, its own words say how much it showed.
        ("short", "text", [reached("zhangsan")], False),
        ("short", "card", [reached("zhangsan", way=Way.CARD)], False),
        ("short", "text", [reached("zhangsan", cut=True)], True),
        ("short", "card", [reached("zhangsan", way=Way.CARD, cut=True)], True),
        (NO_LINK, "text", [reached("zhangsan")], False),
        (NO_LINK, "text", [reached("zhangsan", cut=True)], True),
        (FULL_TEXT, "text", [reached("zhangsan")], False),
        (FULL_TEXT + "x", "text", [reached("zhangsan", way=Way.UNKNOWN)], True),
        (NO_CARD, "card", [reached("zhangsan", way=Way.CARD, cut=True)], True),
        (NO_CARD, "card", [reached("zhangsan", way=Way.BOTH)], False),
        (NO_CARD, "text", [reached("zhangsan", way=Way.CARD, cut=True)], True),
        (NO_TEXT, "text", [reached("zhangsan", cut=True)], True),
        (NO_TEXT, "text", [reached("zhangsan", way=Way.UNKNOWN)], True),
        # Without one, as much has to fit as the narrowest message of that channel shows.
        ("short", "text", [], False),
        ("short", "card", [], False),
        (NO_LINK, "text", [], True),
        (NO_LINK[:-1], "text", [], False),
        (NO_CARD, "text", [], False),
        (NO_CARD, "card", [], True),
        (NO_CARD[:-1], "card", [], False),
        (NO_TEXT, "text", [], True),
        # A digest shows nothing of it, and forbids nothing where the message fits.
        ("short", "text", [reached("zhangsan", way=Way.DIGEST)], False),
        ("short", "card", [reached("zhangsan", way=Way.DIGEST)], False),
        (NO_LINK, "text", [reached("zhangsan", way=Way.DIGEST)], True),
        (NO_CARD, "card", [reached("zhangsan", way=Way.DIGEST)], True),
        (NO_TEXT, "text", [reached("zhangsan", way=Way.DIGEST)], True),
        # A message that failed showed nothing either.
        (NO_LINK, "text", [fails("zhangsan")], True),
        ("short", "text", [fails("zhangsan")], False),
        # Who leaves and comes back has seen as much as before.
        (NO_LINK, "text", [reached("zhangsan"), leaves("zhangsan", after(seconds=2))], False),
        ("short", "text", [reached("zhangsan", cut=True), leaves("zhangsan")], True),
        # Nor does what another was sent, or another kind of message.
        (NO_LINK, "text", [reached("lisi")], True),
        (NO_LINK, "text", [reached("zhangsan", notice="remind/zhangsan")], True),
    ],
)
def test_who_cannot_have_read_it_whole_opens_the_page_first(
    message: str, how: str, by: list[Any], refused: bool
) -> None:
    scenario = given(ask(message=message), *by)
    answer = DECIDING[how]("zhangsan", APPROVE, at=after(minutes=2))
    if refused:
        scenario.when(answer).then_refused(errors.OpenItFirst, unread("zhangsan"))
        scenario.when(opens("ZhangSan", at=after(minutes=3))).then(event(Approval.Opened))
        answer = DECIDING[how]("zhangsan", APPROVE, at=after(minutes=4))
    scenario.when(answer).then(REPLIED, APPROVED)


@pytest.mark.parametrize(
    ("message", "by", "matters"),
    [
        ("short", [], False),
        ("short", [reached("zhangsan", cut=True)], True),
        (NO_CARD, [], True),
        (NO_CARD, [reached("zhangsan")], False),
        (NO_LINK, [], True),
        (NO_LINK[:160], [], False),
        (NO_TEXT, [reached("zhangsan", way=Way.DIGEST)], True),
    ],
)
def test_opening_the_page_is_recorded_where_that_makes_a_difference(
    message: str, by: list[Any], matters: bool
) -> None:
    scenario = given(ask(message=message), *by).when(opens("zhangsan", at=after(minutes=2)))
    scenario.then(*([event(Approval.Opened, by="zhangsan")] if matters else []))
    scenario.when(opens("ZhangSan", at=after(minutes=3))).then_nothing()


@pytest.mark.parametrize(
    ("way", "by_text", "has_card"),
    [
        (Way.TEXT, True, False),
        (Way.CARD, False, True),
        (Way.BOTH, True, True),
        (Way.DIGEST, True, False),
        (Way.UNKNOWN, False, False),
    ],
)
def test_as_what_a_member_was_asked_they_hear_of_the_end(
    way: Way, by_text: bool, has_card: bool
) -> None:
    told = notifications(given(ask(), reached("ZhangSan", way=way)))
    assert told.was_asked_by_text("zhangsan") is told.was_asked_by_text("ZHANGSAN") is by_text
    assert told.has_card("zhangsan") is told.has_card("ZHANGSAN") is has_card
    assert not told.was_asked_by_text("lisi") and not told.has_card("lisi")
    assert not told.was_asked_by_text("wangwu") and not told.has_card("wangwu")


def test_who_was_not_reached_was_not_asked() -> None:
    told = notifications(given(ask(), fails("zhangsan")))
    assert not told.was_asked_by_text("zhangsan") and not told.has_card("zhangsan")
    assert told.is_beyond_reach("zhangsan") and not told.is_beyond_reach("lisi")


@pytest.mark.parametrize(
    ("way", "by_text", "by_card"),
    [(Way.TEXT, True, False), (Way.CARD, False, True), (Way.BOTH, True, True)],
)
def test_who_leaves_was_asked_all_the_same(way: Way, by_text: bool, by_card: bool) -> None:
    """Who comes back reads how it ended."""
    told = notifications(given(ask(), reached("zhangsan", way=way), leaves("zhangsan")))
    assert told.was_asked_by_text("zhangsan") is by_text
    assert told.has_card("zhangsan") is by_card
    assert told.is_beyond_reach("zhangsan")


def test_who_was_reached_is_known_in_the_order_and_spelling_of_the_request() -> None:
    scenario = given(ask(approvers=["ZhangSan", "lisi", "wangwu"]))
    scenario.and_(reached("wangwu", way=Way.CARD), reached("zhangsan", way=Way.DIGEST))
    scenario.and_(fails("lisi"))
    assert [name.lower() for name in notifications(scenario).reached()] == ["zhangsan", "wangwu"]


def test_whom_an_older_version_asked_is_not_reminded() -> None:
    """Or an upgrade would remind everybody of everything at once."""
    scenario = given(ask(), reached("zhangsan", way=Way.UNKNOWN), reached("lisi"))
    assert notifications(scenario).reached() == ["lisi"]


# Response codes.

SENT_AT = after(seconds=1)
HOURS_71 = timedelta(hours=71)


def code_of(scenario: Scenario, userid: str = "zhangsan", now: datetime = NOON) -> str | None:
    return notifications(scenario).code_for(userid, now)


def with_card(**fields: Any) -> Any:
    return reached("zhangsan", way=Way.CARD, response_code="sent", **fields)


def test_a_card_is_changed_by_the_code_that_came_with_it() -> None:
    scenario = given(ask(), with_card())
    assert code_of(scenario) == code_of(scenario, "ZhangSan") == "sent"
    assert code_of(scenario, "lisi") is None


def test_a_code_is_good_for_71_hours() -> None:
    """WeCom takes it for 72; what is nearly as old is not tried."""
    scenario = given(ask(expires_in=2592000), with_card())
    assert code_of(scenario, now=SENT_AT + HOURS_71 - MILLISECOND) == "sent"
    assert code_of(scenario, now=SENT_AT + HOURS_71) is None


def test_a_tap_brings_a_newer_code_that_is_good_for_71_hours_more() -> None:
    scenario = given(ask(expires_in=2592000), with_card())
    tap = taps("ZhangSan", APPROVE, doubt="question", response_code="tapped", at=after(hours=70))
    scenario.when(tap).then_refused(
        errors.NothingDecided, event(Approval.Replied, response_code="tapped")
    )
    assert code_of(scenario, now=after(hours=140)) == "tapped"
    assert code_of(scenario, now=after(hours=70) + HOURS_71) is None


@pytest.mark.parametrize(
    ("answer", "kept_on"),
    [
        (taps("zhangsan", APPROVE, response_code="tapped"), "decided"),
        (taps("wangwu", APPROVE, response_code="tapped"), "not-an-approver"),
        (taps("zhangsan", APPROVE, response_code="tapped", doubt="stale"), "stale"),
        (taps("zhangsan", None, response_code="tapped", doubt="unreadable"), "unreadable"),
        (taps("zhangsan", APPROVE, response_code="tapped", at=DEADLINE), "already-decided"),
    ],
    ids=lambda param: param if isinstance(param, str) else "",
)
def test_whatever_a_tap_decides_its_code_is_kept(answer: Any, kept_on: str) -> None:
    scenario = given(ask()).when(answer)
    replied = [new for new in scenario.happened if isinstance(new, Approval.Replied)]
    assert [(new.response_code, new.refusal or "decided") for new in replied] == [
        ("tapped", kept_on)
    ]
    assert code_of(scenario, answer.by, after(hours=1)) == "tapped"
    assert notifications(scenario).has_card(answer.by)


def test_a_reply_that_brings_no_code_leaves_the_one_there_is() -> None:
    scenario = given(ask(), with_card()).when(taps("zhangsan", APPROVE, response_code=None))
    assert code_of(scenario, now=after(hours=1)) == "sent"


@pytest.mark.parametrize("tapped_first", [True, False])
def test_the_newest_code_counts_whichever_is_recorded_first(tapped_first: bool) -> None:
    """A tap may be quicker than the record of the card that was tapped."""
    tap = taps("ZhangSan", APPROVE, doubt="question", response_code="tapped")
    both = [with_card(), tap]
    scenario = given(ask())
    for command in reversed(both) if tapped_first else both:
        scenario.when(command)
    assert code_of(scenario) == "tapped"


def test_a_member_has_a_card_once_they_tapped_it_although_nothing_says_that_it_arrived() -> None:
    scenario = given(ask())
    assert not notifications(scenario).has_tapped("zhangsan")
    scenario.when(taps("zhangsan", APPROVE))
    assert notifications(scenario).has_card("ZhangSan")
    assert notifications(scenario).has_tapped("ZHANGSAN")
    assert not notifications(scenario).has_tapped("lisi")


@pytest.mark.parametrize("notice", ["card/zhangsan", "card/zhangsan/4"])
@pytest.mark.parametrize("problem", [None, "code used"])
def test_a_code_is_used_once_whatever_came_of_it(notice: str, problem: str | None) -> None:
    scenario = given(ask(), with_card(), cancels())
    tried: dict[str, Any] = {"problem": problem, "response_code": "sent", "at": after(minutes=2)}
    scenario.when(reached("ZhangSan", notice=notice, **tried))
    assert code_of(scenario) is None
    assert scenario.approval().deliveries["zhangsan"].state == "sent"
    scenario.when(taps("zhangsan", APPROVE, at=after(minutes=3), response_code="tapped"))
    assert code_of(scenario) == "tapped"


@pytest.mark.parametrize("problem", [None, "code used"])
def test_the_code_of_a_tap_meanwhile_is_not_used_up_with_an_older_one(problem: str | None) -> None:
    scenario = given(ask(), with_card(), cancels())
    scenario.when(taps("zhangsan", APPROVE, at=after(minutes=2), response_code="tapped"))
    tried: dict[str, Any] = {"problem": problem, "response_code": "sent", "at": after(minutes=3)}
    scenario.when(reached("zhangsan", notice="card/zhangsan", **tried))
    assert code_of(scenario) == "tapped"


def test_another_message_uses_up_no_code_and_nobody_elses_card_does() -> None:
    scenario = given(ask(), with_card(), cancels())
    for notice in ("end/zhangsan", "answer/3", "remind/zhangsan"):
        scenario.and_(reached("zhangsan", notice=notice, at=after(minutes=2)))
    scenario.and_(reached("lisi", notice="card/lisi", at=after(minutes=2)))
    assert code_of(scenario) == "sent"


def test_a_code_is_not_shown() -> None:
    """What prints an approval does not print what changes its cards."""
    assert "sent" not in repr(vars(notifications(given(ask(), with_card())))["_codes"])


def test_two_that_know_the_same_are_equal_and_no_others() -> None:
    """By which the state machine sees that the events carry the state."""
    one = notifications(given(ask(), with_card()))
    assert one == notifications(given(ask(), with_card()))
    assert one != notifications(given(ask()))
    assert one != notifications(given(ask(), with_card(), opens("lisi"), reached("lisi")))
    assert one != vars(one)


# Who hears of the end, and who knows it.


@pytest.mark.parametrize(
    ("end", "knows"),
    [
        (says("zhangsan", APPROVE), True),
        (says("ZHANGSAN", REJECT), True),
        (taps("zhangsan", APPROVE), True),
        (presses("zhangsan", APPROVE), False),
        (clock(DEADLINE), False),
        (cancels("zhangsan"), False),
    ],
)
def test_who_decided_it_in_the_chat_has_their_answer(end: Any, knows: bool) -> None:
    """Whoever pressed the button on the page may have been somebody else: they are told."""
    scenario = given(ask(engine="zhangsan"))
    assert not scenario.approval().was_ended_in_chat_by("zhangsan")
    scenario.and_(end)
    approval = scenario.approval()
    assert (
        approval.was_ended_in_chat_by("zhangsan")
        is approval.was_ended_in_chat_by("ZhangSan")
        is knows
    )
    assert not approval.was_ended_in_chat_by("lisi") and not approval.was_ended_in_chat_by("")


@pytest.mark.parametrize(
    ("requested_by", "tells"),
    [
        (None, False),
        ("wangwu", True),
        ("lisi", True),
        ("a@example.com", True),
        ("", False),
        ("SYS", False),
        ("自愈引擎", False),
        ("-fta", False),
        ("x" * 64, True),
        ("x" * 65, False),
    ],
)
def test_who_requested_is_told_if_they_could_be_a_member(
    requested_by: str | None, tells: bool
) -> None:
    given().when(ask(requested_by=requested_by)).then(
        event(Approval.Requested, tells_requester=tells)
    )


def test_channels_are_all_known() -> None:
    """A new one has to say whether it is the chat (Approval.was_ended_in_chat_by)."""
    assert set(Channel) == {
        Channel.TEXT,
        Channel.CARD,
        Channel.WEB,
        Channel.CLOCK,
        Channel.API,
        Channel.SHELL,
    }
