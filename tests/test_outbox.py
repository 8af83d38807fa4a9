"""The outbox: which events call for which messages, and that nothing stays in it for ever."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.aggregate import Event
from domain.approval import Approval
from domain.commands import RecordDelivery, ReportOutcome
from domain.configuration import Configuration
from domain.decision import Channel, Outcome
from domain.identity import APPROVAL_STREAM, approval_stream, inbox_stream, same_person
from domain.inbox import NOT_TEXT, Inbox
from domain.notifications import Way
from projections.outbox import (
    MOOT_AFTER_THE_END,
    Kind,
    Lane,
    kind_of,
    messages_for,
    size,
    waiting_lanes,
)
from projections.projection import ENDS
from tests.histories import (
    OUTCOMES,
    RANDOM,
    History,
    delivery,
    histories,
    live,
    revokes,
    with_a_permit_key,
)
from tests.scenario import (
    APPROVE,
    DEADLINE,
    NODE,
    NOON,
    REJECT,
    after,
    ask,
    cancels,
    clock,
    comes,
    leaves,
    presses,
    reached,
    reminds,
    says,
    taps,
)
from tests.stores import House, everything, opened

OTHER = "67890_1"
APPROVAL = approval_stream(NODE)
SOON, LATER = after(seconds=1), after(minutes=16)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """wangwu is a super approver; zhangsan and lisi are asked, if nothing else is said."""
    with opened(tmp_path, super_approvers=["wangwu"]) as house:
        yield house


def only(some: Sequence[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    """The one row that has these values."""
    (row,) = [row for row in some if wanted.items() <= row.items()]
    return row


def notices(house: House) -> list[tuple[str, str, str]]:
    """What is to be sent: stream, notice, to whom."""
    return sorted((r["stream"], r["notice"], r["userid"]) for r in house.rows("outbox"))


def called_for(house: House, reply_id: str = NODE) -> list[str]:
    """The notices about one approval."""
    stream = approval_stream(reply_id)
    return [notice for about, notice, _ in notices(house) if about == stream]


def lanes_of(house: House) -> dict[str, str]:
    return {row["notice"]: row["lane"] for row in house.rows("outbox")}


def fails(to: str, reply_id: str = NODE, **fields: Any) -> RecordDelivery:
    return reached(to, reply_id, problem="userid not found", unreachable=True, **fields)


def arrived(*way_of: tuple[str, Way], at: datetime = SOON) -> list[RecordDelivery]:
    """The message that asks reached each of them in that way; a card came with its code."""
    codes = {Way.CARD: "code", Way.BOTH: "code"}
    return [reached(to, at=at, way=way, response_code=codes.get(way)) for to, way in way_of]


# By whom and how it ended, a minute after noon at the earliest.
BY_TEXT = says("zhangsan", APPROVE)
ENDINGS = [
    pytest.param(BY_TEXT, id="by text"),
    pytest.param(taps("zhangsan", REJECT), id="by card"),
    pytest.param(presses("zhangsan", APPROVE), id="on a page"),
    pytest.param(clock(DEADLINE), id="expired"),
    pytest.param(cancels(), id="cancelled"),
    pytest.param(ask(after(minutes=1), run=2), id="superseded"),
]
BY_OTHERS = ENDINGS[3:]


# Asking.

ASK = [(APPROVAL, "ask/wangwu", "wangwu"), (APPROVAL, "ask/zhangsan", "ZhangSan")]


def test_a_request_calls_for_a_message_to_each_who_is_asked(house: House) -> None:
    house.do(ask(approvers=["ZhangSan", "lisi"], requested_by="lisi"))
    assert notices(house) == ASK
    row = only(house.rows("outbox"), userid="ZhangSan")
    assert (row["member"], row["position"], row["payload"]) == ("zhangsan", 1, "null")
    assert size(house.read_models) == 2


@pytest.mark.parametrize("delivered", [reached("ZhangSan", cut=True), fails("zhangsan")])
def test_a_message_goes_when_it_is_known_what_became_of_it(house: House, delivered: Any) -> None:
    house.do(ask(approvers=["ZhangSan", "lisi"]), ask(obj_id=OTHER), delivered)
    assert called_for(house) == ["ask/lisi", "ask/wangwu"]
    assert called_for(house, OTHER) == ["ask/lisi", "ask/wangwu", "ask/zhangsan"]


@pytest.mark.parametrize("end", ENDINGS)
def test_nobody_is_asked_about_what_has_ended(house: House, end: Any) -> None:
    house.do(ask(), ask(obj_id=OTHER), end)
    kinds = {kind_of(notice) for notice in called_for(house)}
    assert kinds.isdisjoint(MOOT_AFTER_THE_END)
    assert called_for(house, OTHER) == ["ask/lisi", "ask/wangwu", "ask/zhangsan"]


def test_the_next_run_is_asked_when_it_supersedes_the_last(house: House) -> None:
    house.do(ask(), ask(run=2))
    assert (called_for(house), len(called_for(house, f"{NODE}.2"))) == ([], 3)


# Answering.


@pytest.mark.parametrize("channel", list(Channel))
def test_a_message_is_answered_by_a_message(house: House, channel: Channel) -> None:
    """What is pressed on a page is answered there, what is tapped by the card that changes."""
    house.do(ask(), says("zhangsan", APPROVE, channel=channel))
    answers = [r for r in house.rows("outbox") if r["notice"].startswith("answer/")]
    if channel is not Channel.TEXT:
        assert answers == []
        return
    (answer,) = answers
    assert (answer["notice"], answer["member"], answer["position"]) == ("answer/2", "zhangsan", 2)
    replied = msgspec.json.decode(answer["payload"], type=Approval.Replied)
    assert replied == house.store.events_of(APPROVAL)[1][1]


def test_an_answer_stays_although_the_approval_ends(house: House) -> None:
    house.do(ask(), says("lisi", APPROVE, doubt="question"), says("sunqi", APPROVE), cancels())
    assert called_for(house) == ["answer/2", "answer/3"]


def test_a_tap_that_came_to_nothing_is_answered_by_a_message(house: House) -> None:
    house.do(ask(), taps("zhangsan", APPROVE, doubt="stale"), taps("sunqi", APPROVE))
    answers = [notice for notice in called_for(house) if notice.startswith("answer/")]
    assert answers == ["answer/2", "answer/3"]


def test_a_tap_that_names_nothing_is_answered_by_a_message(house: House) -> None:
    house.do(says("zhangsan", None, None, channel=Channel.CARD, doubt="unreadable"))
    assert notices(house) == [(inbox_stream("zhangsan", NOON), "answer/1", "zhangsan")]


def test_a_press_that_came_to_nothing_is_answered_on_its_page(house: House) -> None:
    house.do(ask(), presses("sunqi", APPROVE))
    assert called_for(house) == ["ask/lisi", "ask/wangwu", "ask/zhangsan"]


def test_a_reply_that_names_nothing_is_answered_once(house: House) -> None:
    unreadable = says("zhangsan", None, None)
    house.do(unreadable, unreadable, says("zhangsan", None, None, at=after(minutes=2)))
    stream = inbox_stream("zhangsan", NOON)
    assert notices(house) == [
        (stream, "answer/1", "zhangsan"),
        (stream, "answer/2", "zhangsan"),
    ]
    payload = only(house.rows("outbox"), notice="answer/1")["payload"]
    assert msgspec.json.decode(payload, type=Inbox.Received).words == unreadable.words
    house.do(to_inbox("answer/1"))
    assert [notice for _, notice, _ in notices(house)] == ["answer/2"]


def to_inbox(notice: str, **fields: Any) -> RecordDelivery:
    return RecordDelivery(
        at=after(minutes=2),
        stream=inbox_stream("zhangsan", NOON),
        notice=notice,
        to="zhangsan",
        **fields,
    )


def test_a_picture_is_answered_once_a_day(house: House) -> None:
    for minute in range(3):
        key = f"picture {minute}"
        at = after(minutes=minute)
        house.do(says("zhangsan", None, None, at, doubt=NOT_TEXT, delivery_key=key))
    assert [notice for _, notice, _ in notices(house)] == ["answer/1"]


def test_an_answer_goes_when_it_was_delivered(house: House) -> None:
    house.do(ask(), BY_TEXT, reached("zhangsan", notice="answer/2", at=after(minutes=3)))
    assert notices(house) == []


@pytest.mark.parametrize("outcome", [{}, {"problem": "no", "unreachable": True}])
def test_who_comes_is_greeted_at_once(house: House, outcome: dict[str, Any]) -> None:
    house.do(ask(obj_id=OTHER), says("zhangsan", None, None, at=NOON), comes("ZhangSan"))
    stream = inbox_stream("zhangsan", NOON)
    row = only(house.rows("outbox"), stream=stream, notice="greet/2")
    assert (row["userid"], row["member"], row["lane"]) == ("ZhangSan", "zhangsan", Lane.ANSWERS)
    assert row["payload"] == "null"
    house.do(to_inbox("greet/2", **outcome))
    assert [notice for about, notice, _ in notices(house) if about == stream] == ["answer/1"]


# Reminding, and asking for help.


def test_a_reminder_goes_to_everybody_whom_the_message_reached(house: House) -> None:
    house.do(ask(), *arrived(("ZhangSan", Way.CARD), ("wangwu", Way.DIGEST)))
    house.do(reminds(after(minutes=15)))
    assert called_for(house) == ["ask/lisi", "remind/wangwu", "remind/zhangsan"]
    house.do(*arrived(("lisi", Way.TEXT), at=LATER))
    assert called_for(house) == ["remind/wangwu", "remind/zhangsan"]


@pytest.mark.parametrize("gone", [fails("zhangsan"), leaves("zhangsan")])
def test_who_is_out_of_reach_is_not_reminded(house: House, gone: Any) -> None:
    house.do(ask(), gone, *arrived(("lisi", Way.TEXT)), reminds(after(minutes=15)))
    reminded = [notice for notice in called_for(house) if notice.startswith("remind/")]
    assert reminded == ["remind/lisi"]


@pytest.mark.parametrize("end", ENDINGS)
def test_nobody_is_reminded_of_what_has_ended(house: House, end: Any) -> None:
    house.do(ask(), *arrived(("lisi", Way.TEXT)), reminds(after(minutes=15)), end)
    assert "remind/lisi" not in called_for(house)
    house.do(reached("lisi", notice="remind/lisi", at=DEADLINE))  # it was on its way
    assert "remind/lisi" not in called_for(house)


def test_when_nobody_is_reached_the_super_approvers_hear_of_it(house: House) -> None:
    house.super_approvers = ["WangWu", "zhaoliu"]
    house.do(ask(), *arrived(("wangwu", Way.TEXT)), fails("zhangsan"), fails("lisi"))
    assert called_for(house) == ["alarm/wangwu", "alarm/zhaoliu", "ask/zhaoliu"]
    assert only(house.rows("outbox"), notice="alarm/wangwu")["userid"] == "WangWu"


def test_only_those_of_them_who_can_be_told_and_are_no_approvers(house: House) -> None:
    """Those of the time of the request: the others may decide it and were never asked."""
    house.super_approvers = ["LiSi", "wangwu", "zhaoliu"]
    house.do(ask(), fails("zhaoliu"), fails("lisi"))
    house.super_approvers = ["sunqi"]
    house.do(leaves("zhangsan"))
    assert called_for(house) == ["alarm/wangwu", "ask/wangwu", "ask/zhangsan"]


@pytest.mark.parametrize("end", BY_OTHERS)
def test_nobody_is_asked_for_help_with_what_has_ended(house: House, end: Any) -> None:
    house.do(ask(), fails("zhangsan"), fails("lisi"), end)
    assert called_for(house) == []


def test_a_request_for_help_goes_when_it_was_delivered(house: House) -> None:
    house.do(ask(), *arrived(("wangwu", Way.TEXT)), fails("zhangsan"), fails("lisi"))
    house.do(reached("wangwu", notice="alarm/wangwu"))
    assert called_for(house) == []


# Telling of the end.


def test_an_end_before_anything_arrived_is_told_to_nobody(house: House) -> None:
    house.do(ask(), cancels())
    assert called_for(house) == []


WAYS = [
    (Way.TEXT, ["end"]),
    (Way.DIGEST, ["end"]),
    (Way.CARD, ["card"]),
    (Way.BOTH, ["card", "end"]),
    (Way.UNKNOWN, []),  # an older version asked
]


@pytest.mark.parametrize("on_its_way", [False, True])
@pytest.mark.parametrize("end", BY_OTHERS)
@pytest.mark.parametrize(("way", "kinds"), WAYS)
def test_everybody_hears_of_the_end_as_they_were_asked(
    house: House, end: Any, way: Way, kinds: list[str], on_its_way: bool
) -> None:
    """Also when the message was on its way at that moment."""
    asked = arrived(("ZhangSan", way), ("wangwu", way), at=DEADLINE if on_its_way else NOON)
    house.do(ask(), *([end, *asked] if on_its_way else [*asked, end]))
    told = sorted(f"{kind}/{who}" for kind in kinds for who in ("wangwu", "zhangsan"))
    assert called_for(house) == told
    for row in house.rows("outbox"):
        if row["stream"] == APPROVAL:
            house.do(delivery(DEADLINE, row, {"way": Way.TEXT}))
    assert called_for(house) == []


@pytest.mark.parametrize("on_its_way", [False, True])
@pytest.mark.parametrize(
    ("decides", "hears"),
    [
        # By the channel: what who decided hears, who was asked by text and by card.
        (says("ZHANGSAN", REJECT), ["answer/{}", "card/zhangsan"]),
        (taps("ZHANGSAN", REJECT), ["card/zhangsan"]),
        (presses("ZHANGSAN", REJECT), ["card/zhangsan", "end/zhangsan"]),
    ],
)
def test_who_decided_in_the_chat_is_told_there_and_everybody_else_by_message(
    house: House, decides: Any, hears: list[str], on_its_way: bool
) -> None:
    """On a page it may have been somebody else: whose name it bears hears of it."""
    asked = arrived(("zhangsan", Way.BOTH), ("lisi", Way.BOTH))
    house.do(ask(), *([decides, *asked] if on_its_way else [*asked, decides]))
    own = [notice.format(2 if on_its_way else 4) for notice in hears]
    assert called_for(house) == sorted([*own, "card/lisi", "end/lisi"])


def test_a_super_approver_who_decides_in_the_chat_is_not_told_again(house: House) -> None:
    house.do(ask(), *arrived(("wangwu", Way.TEXT), ("lisi", Way.TEXT)), says("wangwu", APPROVE))
    assert called_for(house) == ["answer/4", "end/lisi"]


def test_who_was_never_asked_hears_of_their_own_decision_only(house: House) -> None:
    house.do(ask())
    house.super_approvers = ["sunqi"]
    house.do(says("sunqi", APPROVE))
    assert called_for(house) == ["answer/2"]


@pytest.mark.parametrize("gone", [fails("lisi"), leaves("lisi")])
def test_whom_the_message_did_not_reach_hears_of_no_end(house: House, gone: Any) -> None:
    house.do(ask(), gone, *arrived(("zhangsan", Way.TEXT)), cancels(at=after(minutes=2)))
    assert called_for(house) == ["end/zhangsan"]


def test_whom_it_does_not_reach_after_the_end_neither(house: House) -> None:
    house.do(ask(), cancels(), fails("lisi", at=after(minutes=2)))
    assert called_for(house) == []


def test_who_left_hears_of_the_end_as_they_were_asked(house: House) -> None:
    """They may be back before it matters; what asks must not stand there alive."""
    house.do(ask(), *arrived(("lisi", Way.BOTH)), leaves("lisi"), cancels(at=after(minutes=2)))
    assert called_for(house) == ["card/lisi", "end/lisi"]


def test_another_message_that_arrives_after_the_end_tells_of_no_end(house: House) -> None:
    house.do(ask(), *arrived(("lisi", Way.BOTH)), reminds(after(minutes=15)), cancels(at=LATER))
    before = called_for(house)
    for notice in ("remind/lisi", "alarm/lisi", "answer/9"):
        house.do(reached("lisi", notice=notice, way=Way.TEXT, at=LATER))
    assert called_for(house) == before == ["card/lisi", "end/lisi"]


# Cards that are tapped.


def test_a_tap_changes_no_card_while_nothing_has_ended(house: House) -> None:
    house.do(ask(), *arrived(("lisi", Way.CARD)), taps("lisi", APPROVE, doubt="stale"))
    assert called_for(house) == ["answer/3", "ask/wangwu", "ask/zhangsan"]
    house.do(cancels(at=LATER))
    assert called_for(house) == ["answer/3", "card/lisi"]


def test_a_late_tap_changes_the_card_again_and_is_answered(house: House) -> None:
    house.do(ask(), *arrived(("LiSi", Way.CARD)), cancels())
    house.do(reached("lisi", notice="card/lisi", way=Way.CARD, at=LATER))
    for minute in (17, 18):
        house.do(taps("LISI", APPROVE, at=after(minutes=minute)))
    assert called_for(house) == ["answer/5", "answer/6", "card/lisi/5", "card/lisi/6"]
    assert only(house.rows("outbox"), notice="card/lisi/5")["userid"] == "LISI"
    house.do(reached("LISI", notice="card/lisi/5", way=Way.CARD, at=after(minutes=19)))
    assert called_for(house) == ["answer/5", "answer/6", "card/lisi/6"]


def test_who_taps_once_more_what_they_decided_has_the_card_changed_and_no_answer(
    house: House,
) -> None:
    house.do(ask(), *arrived(("lisi", Way.CARD)), taps("lisi", APPROVE))
    house.do(taps("lisi", APPROVE, at=after(minutes=2)))
    assert called_for(house) == ["card/lisi", "card/lisi/5"]


def test_a_late_tap_that_brought_no_code_changes_nothing(house: House) -> None:
    house.do(ask(), *arrived(("lisi", Way.TEXT)), cancels())
    house.do(taps("lisi", APPROVE, at=LATER, response_code=None))
    assert called_for(house) == ["answer/4", "end/lisi"]


QUICKER = {
    "decides": [taps("zhangsan", APPROVE)],
    "is refused, and it ends": [
        taps("zhangsan", APPROVE, doubt="stale"),
        cancels(at=after(minutes=2)),
    ],
    "comes after the end": [cancels(), taps("zhangsan", APPROVE, at=after(minutes=2))],
}


@pytest.mark.parametrize("is_changed", [False, True])
@pytest.mark.parametrize("way", [Way.CARD, Way.BOTH])
@pytest.mark.parametrize("what", QUICKER.values(), ids=QUICKER)
def test_a_tap_that_is_quicker_than_the_record_of_its_card_changes_it_once(
    house: House, what: list[Any], way: Way, is_changed: bool
) -> None:
    """Were it called for twice, the read models would stand still, or the row stay for ever."""
    house.do(ask(), *what)
    card = only(house.rows("outbox"), lane=Lane.CARDS)
    changed = delivery(after(minutes=3), card, {"way": Way.CARD})
    if is_changed:
        house.do(changed)
    house.do(*arrived(("zhangsan", way), at=after(minutes=4)))
    cards = [row for row in house.rows("outbox") if row["lane"] == Lane.CARDS]
    assert cards == ([] if is_changed else [card])
    decided = what[0].doubt is None if hasattr(what[0], "doubt") else False
    assert ("end/zhangsan" in called_for(house)) is (way is Way.BOTH and not decided)
    house.do(changed)
    assert [row for row in house.rows("outbox") if row["lane"] == Lane.CARDS] == []


# Telling who requested.


@pytest.mark.parametrize("end", ENDINGS)
def test_who_requested_hears_the_result(house: House, end: Any) -> None:
    if hasattr(end, "approvers"):
        end = ask(end.at, run=2, requested_by="ZhaoLiu")
    house.do(ask(requested_by="ZhaoLiu"), end)
    row = only(house.rows("outbox"), stream=APPROVAL, notice="result/zhaoliu")
    assert (row["userid"], row["member"], row["lane"]) == ("ZhaoLiu", "zhaoliu", Lane.NOTICES)
    house.do(reached("ZhaoLiu", notice="result/zhaoliu", at=DEADLINE))
    assert "result/zhaoliu" not in called_for(house)


@pytest.mark.parametrize("requested_by", [None, "sys", "自愈引擎", ""])
def test_who_can_be_no_member_hears_nothing(house: House, requested_by: str | None) -> None:
    house.do(ask(requested_by=requested_by), cancels())
    assert called_for(house) == []


@pytest.mark.parametrize("requested_by", ["LiSi", "WangWu"])
def test_a_requester_among_those_who_could_be_asked_hears_the_result_alone(
    house: House, requested_by: str
) -> None:
    house.do(ask(requested_by=requested_by), *arrived(("zhangsan", Way.TEXT)), cancels())
    assert called_for(house) == ["end/zhangsan", f"result/{requested_by.lower()}"]


def test_an_end_is_told_once_whatever_comes_later(house: House) -> None:
    house.do(ask(requested_by="zhaoliu"), *arrived(("zhangsan", Way.BOTH)), BY_TEXT)
    before = called_for(house)
    house.do(clock(DEADLINE), cancels(at=DEADLINE), says("lisi", APPROVE, at=DEADLINE))
    assert [notice for notice in called_for(house) if notice not in before] == ["answer/5"]


def reports(by: str, **fields: Any) -> list[Any]:
    """That member has approved, and the engine says what became of it."""
    outcome = ReportOutcome(
        at=after(minutes=2), engine="fta", reply_id=NODE, outcome=Outcome.SUCCEEDED
    )
    return [ask(**fields), says(by, APPROVE), outcome]


def test_the_outcome_is_told_to_the_approvers_and_to_who_decided_in_their_stead(
    house: House,
) -> None:
    house.super_approvers = ["wangwu", "auditor"]
    house.do(*reports("WangWu"))
    told = [notice for notice in called_for(house) if notice.startswith("outcome/")]
    assert told == ["outcome/lisi", "outcome/wangwu", "outcome/zhangsan"]


def test_of_a_revocation_hears_whoever_was_asked_and_who_approved_without_being_asked(
    house: House,
) -> None:
    """auditor became a super approver after the message had gone out."""
    house.store.change_installation(with_a_permit_key)
    house.do(ask(requested_by="zhaoliu"))
    house.super_approvers = ["wangwu", "auditor"]
    house.do(says("Auditor", APPROVE), revokes(after(minutes=2), "zhangsan", NODE))
    told = [notice for notice in called_for(house) if notice.startswith("revoked/")]
    who = ["auditor", "lisi", "wangwu", "zhangsan", "zhaoliu"]
    assert told == [f"revoked/{userid}" for userid in who]


def test_a_requester_who_is_an_approver_hears_of_the_outcome_once(house: House) -> None:
    house.do(*reports("zhangsan", requested_by="LiSi"))
    told = [notice for notice in called_for(house) if notice.startswith("outcome/")]
    assert told == ["outcome/lisi", "outcome/zhangsan"]


def test_a_test_approval_is_told_of_like_any_other(house: House) -> None:
    """It is there to try the way to a member, and the member's way back."""
    house.do(ask(test=True, requested_by="zhaoliu"), *arrived(("zhangsan", Way.TEXT)))
    assert called_for(house) == ["ask/lisi", "ask/wangwu"]
    house.do(reminds(after(minutes=15)), clock(DEADLINE))
    assert called_for(house) == ["end/zhangsan", "result/zhaoliu"]


# Lanes.


def test_messages_stand_in_the_order_in_which_they_were_called_for(house: House) -> None:
    house.do(ask(), ask(obj_id=OTHER), says("ZhangSan", None), says("lisi", None))
    house.catch_up()
    assert sorted(waiting_lanes(house.read_models)) == [
        ("lisi", Lane.ANSWERS),
        ("lisi", Lane.NOTICES),
        ("wangwu", Lane.NOTICES),
        ("zhangsan", Lane.ANSWERS),
        ("zhangsan", Lane.NOTICES),
    ]
    notices = messages_for(house.read_models, "zhangsan", Lane.NOTICES, 10)
    assert [(row["position"], row["notice"]) for row in notices] == [
        (1, "ask/zhangsan"),
        (2, "ask/zhangsan"),
    ]
    (answer,) = messages_for(house.read_models, "zhangsan", Lane.ANSWERS, 10)
    assert (answer["position"], answer["notice"]) == (3, "answer/2")
    assert len(messages_for(house.read_models, "zhangsan", Lane.NOTICES, 1)) == 1


def test_each_kind_has_its_lane(house: House) -> None:
    house.do(ask(obj_id="1_1"), comes("zhangsan"))
    lanes = lanes_of(house)
    house.do(ask(obj_id="2_1"), fails("zhangsan", "2_1"), fails("lisi", "2_1"))
    lanes |= lanes_of(house)
    house.do(ask(requested_by="zhaoliu"), *arrived(("lisi", Way.BOTH)), reminds(after(minutes=15)))
    lanes |= lanes_of(house)
    house.do(says("zhangsan", APPROVE, at=LATER))
    lanes |= lanes_of(house)
    assert {kind_of(notice): lane for notice, lane in lanes.items()} == {
        Kind.ASK: Lane.NOTICES,
        Kind.REMIND: Lane.NOTICES,
        Kind.ALARM: Lane.NOTICES,
        Kind.END: Lane.NOTICES,
        Kind.RESULT: Lane.NOTICES,
        Kind.ANSWER: Lane.ANSWERS,
        Kind.GREET: Lane.ANSWERS,
        Kind.CARD: Lane.CARDS,
    }


def test_a_rebuild_brings_back_nothing_that_was_delivered(house: House) -> None:
    house.do(ask(), reached("zhangsan"), reached("lisi", problem="no"), says("lisi", None))
    house.do(RecordDelivery(at=after(minutes=3), stream=APPROVAL, notice="answer/4", to="lisi"))
    assert notices(house) == [(APPROVAL, "ask/wangwu", "wangwu")]
    house.runner.rebuild(["outbox"])
    assert notices(house) == [(APPROVAL, "ask/wangwu", "wangwu")]


# Whatever happens, in whatever order.

# A message that asks may have been on its way at the end, which is then told; one that failed may
# be the last, and super approvers asked for help.
MOST_ROUNDS = 4
LONG_AFTER = after(days=60)


def sent_until_quiet(house: House, outcomes: Iterator[dict[str, Any]]) -> None:
    """The sender at work, until nothing is left to be sent."""
    for _ in range(MOST_ROUNDS):
        waiting = house.rows("outbox")
        for row in waiting:
            house.do(delivery(NOON, row, next(outcomes)))
    assert house.rows("outbox") == []


def everything_that_happened(house: House) -> list[Event]:
    return [house.store.event(stored) for stored in house.store.read_after(0, 10_000)]


def by_stream(events: Iterable[Event]) -> dict[str, list[Any]]:
    streams: dict[str, list[Any]] = {}
    for event in events:
        streams.setdefault(event.originator_id, []).append(event)
    return streams


def recorded(events: Iterable[Any]) -> list[str]:
    """The notices of which it is recorded what became of them."""
    return [event.notice for event in events if hasattr(event, "notice")]


def told_of_the_end(events: list[Any]) -> set[str]:
    """Which notices are due after the end of an approval, by its events alone."""
    requested, due = events[0], set()
    ways: dict[str, str] = {}
    tapped: set[str] = set()
    codes: set[str] = set()
    ended: Any = None
    is_revoked = False
    done: set[str] = set()
    requesters = [requested.requested_by] if requested.tells_requester else []

    def tell(member: str) -> None:
        if is_revoked:  # heard by a message of its own
            return
        in_chat = getattr(ended, "channel", None) in (Channel.TEXT, Channel.CARD)
        decided = in_chat and same_person(ended.by) == member
        if ways.get(member) in (Way.TEXT, Way.DIGEST, Way.BOTH) and not decided:
            due.add(f"end/{member}")

    for event in events:
        done |= {event.notice} if hasattr(event, "notice") else set()
        member = same_person(getattr(event, "to", None) or getattr(event, "by", None) or "")
        is_card = isinstance(event, Approval.Replied) or event.TOPIC == "approval.notified"
        asks = getattr(event, "notice", f"ask/{member}") == f"ask/{member}"
        if is_card and asks and event.response_code:
            codes.add(member)
        if getattr(event, "notice", "") == f"ask/{member}":
            ways[member] = getattr(event, "way", "")
            if ended and ways[member] in (Way.CARD, Way.BOTH) and member not in tapped:
                due.add(f"card/{member}")
            if ended:
                tell(member)
        elif isinstance(event, Approval.Replied) and event.response_code:
            tapped.add(member)
            if ended:
                due.add(f"card/{member}/{event.originator_version}")
        elif isinstance(event, ENDS):
            ended = event
            for asked in map(same_person, requested.asked):
                tell(asked)
                if ways.get(asked) in (Way.CARD, Way.BOTH) or asked in tapped | codes:
                    due.add(f"card/{asked}")
            due |= {f"result/{same_person(userid)}" for userid in requesters}
        elif isinstance(event, Approval.Revoked):
            is_revoked = True
            due -= {n for n in due - done if kind_of(n) in (Kind.END, Kind.RESULT)}
            due |= {f"revoked/{same_person(u)}" for u in [*requested.asked, *requesters]}
        elif isinstance(event, Approval.OutcomeReported):
            people = [*requested.approvers, *(e.by for e in events if type(e) is Approval.Approved)]
            told = {same_person(u) for u in people} - {same_person(requested.requested_by or "")}
            due |= {f"outcome/{u}" for u in told | set(map(same_person, requesters))}
    return due


@settings(RANDOM, max_examples=60)
@given(history=histories(2, 30), outcomes=st.lists(OUTCOMES, min_size=1, max_size=12))
def test_when_everything_was_sent_nothing_stays_and_nothing_was_sent_twice(
    history: History, outcomes: list[dict[str, Any]]
) -> None:
    """Whatever became of each message; while approvals wait, and when all of them have ended."""

    def again() -> Iterator[dict[str, Any]]:
        while True:
            yield from outcomes

    with TemporaryDirectory() as directory, opened(Path(directory), ["wangwu"]) as house:
        live(house, history)
        house.runner.rebuild(["outbox"])
        sent_until_quiet(house, again())
        for row in house.rows("deadlines"):
            house.do(clock(LONG_AFTER, row["reply_id"]))
        sent_until_quiet(house, again())
        before = everything(house.read_models)
        house.runner.rebuild(["outbox"])
        assert everything(house.read_models) == before
        for stream, events in by_stream(everything_that_happened(house)).items():
            told = Counter(recorded(events))
            assert set(told.values()) <= {1}, stream
            if stream.startswith(APPROVAL_STREAM):
                about_the_end = (Kind.END, Kind.CARD, Kind.RESULT, Kind.REVOKED, Kind.OUTCOME)
                of_the_end = {notice for notice in told if kind_of(notice) in about_the_end}
                assert of_the_end == told_of_the_end(events), stream


# What an older version recorded.

NEW_KINDS: tuple[type[Event], ...] = (
    Approval.Reminded,
    Approval.NobodyReached,
    Approval.BecameUnreachable,
    Approval.Revoked,
    Approval.Redeemed,
    Approval.RedemptionRefused,
    Approval.OutcomeReported,
    Inbox.Greeted,
    *Configuration.event_classes(),
)
NEW_FIELDS = {
    "way": "",
    "response_code": None,
    "tells_requester": False,
    "unanswered": False,
    "permit_key": None,
    "permit_issuer": None,
    "permit_expires_at": None,
}


def as_the_first_version_wrote(events: Iterable[Any]) -> Iterator[Event]:
    """The same history without what that version did not know: it asked, by text, and answered."""
    versions: dict[tuple[str, int], int] = {}
    counts: Counter[str] = Counter()
    for event in events:
        stream = event.originator_id
        kind, _, number = getattr(event, "notice", "answer/0").partition("/")
        if isinstance(event, NEW_KINDS) or kind not in (Kind.ASK, Kind.ANSWER):
            continue
        counts[stream] += 1
        versions[stream, event.originator_version] = counts[stream]
        changes = {name: old for name, old in NEW_FIELDS.items() if hasattr(event, name)}
        if hasattr(event, "notice") and kind == Kind.ANSWER:
            changes["notice"] = f"answer/{versions[stream, int(number)]}"
        yield msgspec.structs.replace(event, originator_version=counts[stream], **changes)


def left_by_the_first_version(events: list[Any]) -> Iterator[str]:
    """What that version had not sent yet: who is to be asked, and answers."""
    done = recorded(events)
    if not any(isinstance(event, ENDS) for event in events):
        for userid in getattr(events[0], "asked", []):
            if f"ask/{same_person(userid)}" not in done:
                yield f"ask/{same_person(userid)}"
    for event in events:
        channel, notice = getattr(event, "channel", None), f"answer/{event.originator_version}"
        is_reply = isinstance(event, Approval.Replied | Inbox.Received) and notice not in done
        if is_reply and (channel == Channel.TEXT or (channel == Channel.CARD and event.refusal)):
            yield notice


@settings(RANDOM, max_examples=40)
@given(history=histories(2, 30))
def test_what_an_older_version_recorded_calls_for_nothing_that_it_did_not_send(
    history: History,
) -> None:
    """A rebuild or an upgrade floods nobody, nor do the ends of what was pending then."""
    with TemporaryDirectory() as directory, opened(Path(directory), ["wangwu"]) as house:
        live(house, history)
        old = list(as_the_first_version_wrote(everything_that_happened(house)))
    with TemporaryDirectory() as directory, opened(Path(directory), ["wangwu"]) as house:
        house.store.save(old)
        waiting = {(row["stream"], row["notice"]) for row in house.rows("outbox")}
        assert {kind_of(notice) for _, notice in waiting} <= {Kind.ASK, Kind.ANSWER}
        assert waiting == {
            (stream, notice)
            for stream, events in by_stream(old).items()
            for notice in left_by_the_first_version(events)
        }
        for row in house.rows("deadlines"):
            if row["remind_at"] is not None:
                due = datetime.fromtimestamp(row["remind_at"] / 1000, UTC)
                house.do(reminds(due, row["reply_id"]))
        assert {(row["stream"], row["notice"]) for row in house.rows("outbox")} == waiting
        for row in house.rows("deadlines"):
            house.do(clock(LONG_AFTER, row["reply_id"]))
        assert {(row["stream"], row["notice"]) for row in house.rows("outbox")} == {
            (stream, notice) for stream, notice in waiting if kind_of(notice) is Kind.ANSWER
        }
