"""The approval: for each command what is done, refused and repeated; and the rules behind it."""

from datetime import timedelta
from typing import Any

import pytest

from domain import errors
from domain.approval import Approval
from domain.approvers import Answer
from domain.decision import Capacity, Channel, Ending, Kind, Risk, Status
from domain.notifications import Delivery, Way
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
    ask_next,
    cancels,
    clock,
    event,
    given,
    opens,
    presses,
    reached,
    says,
)

RUN_2 = "12345_2.2"
LONG = "重" * 800  # 2400 bytes: no text shows it whole
CARD_LONG = "重" * 161  # a text shows it, a card does not

REPLIED = event(Approval.Replied, refusal=None, repeated=False)
REPEATED = event(Approval.Replied, refusal=None, repeated=True)
APPROVED = event(Approval.Approved)
OPENED = event(Approval.Opened)
REJECTED = event(Approval.Rejected)
EXPIRED = event(Approval.Expired)

# Every way to end it, by somebody who may, a minute after noon; and how it then stands.
ENDS = [
    pytest.param([says("zhangsan", APPROVE)], Status.APPROVED, "zhangsan", id="approved"),
    pytest.param([says("zhangsan", REJECT)], Status.REJECTED, "zhangsan", id="rejected"),
    pytest.param([clock(DEADLINE)], Status.EXPIRED, None, id="expired"),
    pytest.param([cancels()], Status.CANCELLED, "fta", id="cancelled"),
    pytest.param([ask(run=2)], Status.CANCELLED, "fta", id="superseded"),
]


def turned_down(code: str, by: str) -> Expected:
    """The reply is kept, with why it decided nothing."""
    return event(Approval.Replied, by=by, refusal=code, repeated=False)


# Asking.


def test_a_request_opens_an_approval_that_waits_until_its_deadline() -> None:
    scenario = given().when(ask(biz_id="2", risk=Risk.LOW, kind=Kind.CONVERGENCE))
    scenario.then(
        event(
            Approval.Requested,
            originator_id="approval-12345_2",
            originator_version=1,
            timestamp=NOON,
            channel="api",
            engine="fta",
            obj_id="12345_2",
            run=1,
            message="重启 10.0.0.1 的 nginx",
            approvers=["zhangsan", "lisi"],
            asked=["zhangsan", "lisi"],
            kind="convergence",
            risk="low",
            expires_in=1200,
            expires_at=DEADLINE,
            biz_id="2",
            requested_by=None,
        )
    )
    approval, new = scenario.answer
    assert (approval.reply_id, approval.status, new) == ("12345_2", Status.PENDING, True)


def test_doubled_approvers_are_one_person_as_first_spelled() -> None:
    given().when(ask(approvers=["ZhangSan", "lisi", "zhangsan", "LISI"])).then(
        event(Approval.Requested, approvers=["ZhangSan", "lisi"], asked=["ZhangSan", "lisi"])
    )


def test_super_approvers_are_asked_too_but_once() -> None:
    given(super_approvers=["wangwu", "ZHANGSAN"]).when(ask()).then(
        event(
            Approval.Requested,
            approvers=["zhangsan", "lisi"],
            asked=["zhangsan", "lisi", "wangwu"],
        )
    )


def test_the_requester_is_not_asked_as_whatever() -> None:
    given(super_approvers=["Zhangsan"]).when(ask(requested_by="ZhangSan")).then(
        event(Approval.Requested, approvers=["zhangsan", "lisi"], asked=["lisi"])
    )
    given().when(ask(approvers=["ZhangSan", "lisi"], requested_by="zhangsan")).then(
        event(Approval.Requested, asked=["lisi"])
    )


@pytest.mark.parametrize("approvers", [["zhangsan"], ["ZhangSan", "zhangsan"]])
def test_a_request_that_only_its_requester_could_decide_is_refused(approvers: list[str]) -> None:
    """A super approver does not help: whoever is one may change between this and the reply."""
    given(ask(), super_approvers=["wangwu"]).when(
        ask(run=2, approvers=approvers, requested_by="ZHANGSAN")
    ).then_refused(errors.NobodyCanDecide, match="ZHANGSAN requests and cannot decide")


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(ask(), id="to the letter"),
        pytest.param(ask(at=after(minutes=5)), id="later"),
        pytest.param(ask(approvers=["lisi", "zhangsan"]), id="approvers in another order"),
        pytest.param(ask(approvers=["LiSi", "ZHANGSAN", "lisi"]), id="spelled otherwise"),
        pytest.param(
            ask(run=1, kind=Kind.SOLUTION, risk=Risk.MEDIUM, expires_in=1200, details={}),
            id="the defaults written out",
        ),
    ],
)
def test_the_same_request_again_finds_the_approval_and_changes_nothing(again: Any) -> None:
    scenario = given(ask()).when(again).then_nothing()
    approval, new = scenario.answer
    assert (approval.reply_id, approval.expires_at, new) == (NODE, DEADLINE, False)


def test_details_are_the_same_in_any_order() -> None:
    first = ask(details={"业务": "蓝鲸", "IP": "10.0.0.1"})
    given(first).when(ask(details={"IP": "10.0.0.1", "业务": "蓝鲸"})).then_nothing()


@pytest.mark.parametrize(("end", "status", "by"), ENDS)
def test_the_same_request_finds_an_approval_that_has_ended(
    end: list[Any], status: Status, by: str | None
) -> None:
    scenario = given(ask(), *end).when(ask(at=after(hours=1))).then_nothing()
    approval, new = scenario.answer
    assert (approval.status, new) == (status, False)


def test_the_same_request_finds_it_also_after_the_settings_have_changed() -> None:
    given(ask(), super_approvers=["wangwu"]).under().when(ask()).then_nothing()


@pytest.mark.parametrize(
    "difference",
    [
        {"engine": "other"},
        {"message": "重启 10.0.0.2 的 nginx"},
        {"approvers": ["zhangsan"]},
        {"approvers": ["zhangsan", "lisi", "wangwu"]},
        {"approvers": ["zhangsan", "wangwu"]},
        {"kind": Kind.CONVERGENCE},
        {"risk": Risk.HIGH},
        {"risk": Risk.LOW},
        {"expires_in": 1201},
        {"biz_id": "2"},
        {"requested_by": "wangwu"},
        {"action": '{"ip":"10.0.0.1"}'},
        {"action_digest": "sha256:" + "0" * 64},
        {"details": {"IP": "10.0.0.1"}},
        {"callback_url": "https://engine.example/decisions"},
        {"test": True},
    ],
    ids=str,
)
def test_another_request_of_that_name_is_refused(difference: dict[str, Any]) -> None:
    given(ask()).when(ask(**difference)).then_refused(
        errors.ConflictingRequest, match="12345_2 was asked before"
    )


# Superseding.


def test_the_next_run_cancels_the_lower_ones_that_wait() -> None:
    given(ask(), ask(run=2, obj_id="12345_3")).when(ask(run=3, at=after(minutes=2))).then(
        event(
            Approval.Cancelled,
            originator_id="approval-12345_2",
            timestamp=after(minutes=2),
            by="fta",
            channel="api",
            reason="superseded by run 3",
        ),
        event(Approval.Requested, run=3),
    )


def test_a_run_supersedes_neither_higher_runs_nor_another_engines() -> None:
    scenario = given(ask(run=3), ask(run=1, engine="other")).when(ask(run=2))
    scenario.then(event(Approval.Requested, run=2))
    assert scenario.approval("12345_2.3").status is Status.PENDING
    assert scenario.approval("12345_2").status is Status.PENDING


def test_a_lower_run_whose_deadline_has_passed_expired_and_was_not_cancelled() -> None:
    given(ask()).when(ask(run=2, at=DEADLINE)).then(
        event(Approval.Expired, originator_id="approval-12345_2", timestamp=DEADLINE),
        event(Approval.Requested, run=2),
    )


@pytest.mark.parametrize(("end", "status", "by"), ENDS[:4])
def test_superseding_changes_no_end(end: list[Any], status: Status, by: str | None) -> None:
    scenario = given(ask(), *end).when(ask(run=2, at=after(hours=1)))
    scenario.then(event(Approval.Requested, run=2))
    assert scenario.approval().status is status


def test_a_refused_next_run_supersedes_nothing() -> None:
    scenario = given(ask()).when(ask(run=2, requested_by="lisi", approvers=["lisi"]))
    scenario.then_refused(errors.NobodyCanDecide)
    assert scenario.approval().status is Status.PENDING


def test_a_reply_to_run_1_never_decides_run_2() -> None:
    scenario = given(ask(), ask(run=2)).when(says("zhangsan", APPROVE, NODE))
    scenario.then_refused(
        errors.AlreadyDecided,
        event(Approval.Replied, originator_id="approval-12345_2", refusal="already-decided"),
        match="12345_2 was cancelled by fta via api",
    )
    assert scenario.approval(RUN_2).status is Status.PENDING


def test_an_approval_of_run_1_leaves_run_2_to_be_decided() -> None:
    scenario = given(ask(), says("zhangsan", APPROVE), ask(run=2, at=after(minutes=2)))
    assert scenario.approval(RUN_2).status is Status.PENDING


# FTA's old API.


def test_the_old_api_opens_the_first_run() -> None:
    scenario = given().when(ask_next()).then(event(Approval.Requested, run=1, channel="fta"))
    assert scenario.answer.reply_id == NODE


def test_the_old_api_finds_the_same_request_while_it_waits() -> None:
    again = ask_next(at=after(minutes=5), approvers=["LISI", "zhangsan"])
    scenario = given(ask_next()).when(again).then_nothing()
    assert scenario.answer.reply_id == NODE
    assert scenario.answer.number == 1


@pytest.mark.parametrize(
    "difference",
    [
        {"message": "重启 10.0.0.2 的 nginx"},
        {"approvers": ["zhangsan"]},
        {"approvers": ["zhangsan", "wangwu"]},
        {"engine": "other"},
    ],
    ids=str,
)
def test_the_old_api_refuses_something_else_while_one_waits(difference: dict[str, Any]) -> None:
    given(ask_next()).when(ask_next(**difference)).then_refused(errors.ConflictingRequest)


@pytest.mark.parametrize(("end", "status", "by"), ENDS[:4])
def test_the_old_api_opens_the_next_run_once_the_last_has_ended(
    end: list[Any], status: Status, by: str | None
) -> None:
    scenario = given(ask_next(), *end).when(ask_next(at=after(hours=1)))
    scenario.then(event(Approval.Requested, run=2, obj_id="12345_2"))
    assert scenario.answer.status is Status.PENDING
    assert scenario.approval().status is status


def test_the_old_api_asks_anew_when_the_deadline_passed_unnoticed() -> None:
    given(ask_next()).when(ask_next(at=DEADLINE)).then(
        event(Approval.Expired, originator_id="approval-12345_2"),
        event(Approval.Requested, run=2),
    )


def test_the_old_api_counts_the_runs_of_every_api() -> None:
    given(ask(run=7), says("lisi", REJECT, "12345_2.7")).when(ask_next()).then(
        event(Approval.Requested, run=8)
    )


def test_the_old_api_finds_a_pending_run_that_another_api_asked() -> None:
    scenario = given(ask(run=2)).when(ask_next()).then_nothing()
    assert scenario.answer.reply_id == RUN_2


# Deciding.


@pytest.mark.parametrize(
    ("verdict", "kind", "status"),
    [
        (APPROVE, Approval.Approved, Status.APPROVED),
        (REJECT, Approval.Rejected, Status.REJECTED),
    ],
)
def test_an_approver_settles_it_by_a_reply(verdict: Any, kind: Any, status: Status) -> None:
    scenario = given(ask()).when(
        says("zhangsan", verdict, at=after(minutes=3), reason="已确认", sent_at=after(minutes=2))
    )
    scenario.then(
        event(
            Approval.Replied,
            timestamp=after(minutes=3),
            by="zhangsan",
            channel="wecom-text",
            verdict=verdict.value,
            reason="已确认",
            refusal=None,
            repeated=False,
            sent_at=after(minutes=2),
        ),
        event(
            kind,
            timestamp=after(minutes=3),
            by="zhangsan",
            channel="wecom-text",
            capacity="approver",
            reason="已确认",
        ),
    )
    assert scenario.approval().ending == Ending(
        status, after(minutes=3), Channel.TEXT, "zhangsan", Capacity.APPROVER, "已确认"
    )


def test_an_approver_settles_it_on_its_page() -> None:
    scenario = given(ask()).when(presses("lisi", REJECT, reason="等变更窗口"))
    scenario.then(
        event(Approval.Replied, by="lisi", channel="web", words="reject", refusal=None),
        event(Approval.Rejected, by="lisi", channel="web", reason="等变更窗口"),
    )
    assert scenario.answer.status is Status.REJECTED


def test_a_card_decides_too() -> None:
    given(ask()).when(says("lisi", APPROVE, channel=Channel.CARD)).then(
        REPLIED, event(Approval.Approved, by="lisi", channel="wecom-card")
    )


def test_userids_are_compared_without_case_and_recorded_as_wecom_spelled_them() -> None:
    given(ask(approvers=["zhangsan"])).when(says("ZhangSan", APPROVE)).then(
        REPLIED, event(Approval.Approved, by="ZhangSan", capacity="approver")
    )


@pytest.mark.parametrize("answers", [says, presses])
def test_a_super_approver_decides_as_one(answers: Any) -> None:
    given(ask()).under("WangWu").when(answers("wangwu", APPROVE)).then(
        REPLIED, event(Approval.Approved, by="wangwu", capacity="super-approver")
    )


def test_a_super_approver_who_is_an_approver_decides_as_approver() -> None:
    given(ask(), super_approvers=["zhangsan"]).when(presses("zhangsan", APPROVE)).then(
        REPLIED, event(Approval.Approved, capacity="approver")
    )


def test_a_super_approver_of_yesterday_decides_nothing() -> None:
    """The settings in force at the reply count, not those at the request."""
    given(ask(), super_approvers=["wangwu"]).under().when(says("wangwu", APPROVE)).then_refused(
        errors.NotAnApprover, turned_down("not-an-approver", "wangwu")
    )


@pytest.mark.parametrize("answers", [says, presses])
def test_a_stranger_decides_nothing_and_is_recorded(answers: Any) -> None:
    scenario = given(ask()).when(answers("wangwu", APPROVE))
    scenario.then_refused(
        errors.NotAnApprover,
        turned_down("not-an-approver", "wangwu"),
        match="wangwu is not among the approvers of 12345_2",
    )
    assert scenario.approval().status is Status.PENDING


@pytest.mark.parametrize("answers", [says, presses])
@pytest.mark.parametrize("by", ["lisi", "LiSi"])
@pytest.mark.parametrize("super_approvers", [[], ["lisi"]])
def test_the_requester_never_decides(answers: Any, by: str, super_approvers: list[str]) -> None:
    given(ask(requested_by="Lisi"), super_approvers=super_approvers).when(
        answers(by, APPROVE)
    ).then_refused(errors.OwnRequest, turned_down("own-request", by))


def test_a_requester_who_is_only_a_super_approver_does_not_decide_either() -> None:
    given(ask(requested_by="wangwu"), super_approvers=["wangwu"]).when(
        presses("WANGWU", REJECT)
    ).then_refused(errors.OwnRequest, turned_down("own-request", "WANGWU"))


@pytest.mark.parametrize("answers", [says, presses])
def test_an_unknown_approval_is_not_decided(answers: Any) -> None:
    scenario = given(ask()).when(answers("zhangsan", APPROVE, RUN_2))
    assert isinstance(scenario.refusal, errors.UnknownApproval)
    assert scenario.approval().status is Status.PENDING


# The first end stands.


@pytest.mark.parametrize(("end", "status", "by"), ENDS)
@pytest.mark.parametrize(
    "late",
    [says("lisi", APPROVE), says("lisi", REJECT), presses("lisi", APPROVE)],
    ids=["approve", "reject", "page"],
)
def test_who_answers_later_is_told_how_it_ended(
    end: list[Any], status: Status, by: str | None, late: Any
) -> None:
    scenario = given(ask(), *end).when(late)
    told = f"12345_2 was {status} by {by} via" if by else f"12345_2 was {status} via clock"
    scenario.then_refused(errors.AlreadyDecided, turned_down("already-decided", "lisi"), match=told)
    ending = scenario.approval().ending
    assert isinstance(scenario.refusal, errors.AlreadyDecided)
    assert ending is not None
    assert scenario.refusal.first == ending
    assert (ending.status, ending.by) == (status, by)


def test_who_changes_their_mind_is_told_what_they_chose_first() -> None:
    scenario = given(ask(), says("zhangsan", APPROVE)).when(says("zhangsan", REJECT))
    scenario.then_refused(
        errors.AlreadyDecided,
        turned_down("already-decided", "zhangsan"),
        match="12345_2 was approved by zhangsan via wecom-text at 2026-05-04T12:01",
    )


@pytest.mark.parametrize("verdict", [APPROVE, REJECT])
@pytest.mark.parametrize("at", [after(minutes=2), DEADLINE, after(days=2)])
def test_the_same_answer_again_by_the_same_person_changes_nothing(verdict: Any, at: Any) -> None:
    given(ask(), says("zhangsan", verdict)).when(says("ZhangSan", verdict, at=at)).then(
        event(Approval.Replied, by="ZhangSan", refusal=None, repeated=True)
    )


def test_the_same_answer_by_another_person_is_no_repetition() -> None:
    given(ask(), says("zhangsan", APPROVE)).when(says("lisi", APPROVE)).then_refused(
        errors.AlreadyDecided, turned_down("already-decided", "lisi"), match="by zhangsan"
    )


def test_who_decided_as_super_approver_may_repeat_it_when_no_longer_one() -> None:
    """It decides nothing, so no right is asked for; to change their mind they would need it."""
    scenario = given(ask(), super_approvers=["wangwu"]).and_(says("wangwu", APPROVE)).under()
    scenario.when(says("wangwu", APPROVE, at=after(minutes=2))).then(REPEATED)
    scenario.when(says("wangwu", REJECT, at=after(minutes=3))).then_refused(
        errors.NotAnApprover, turned_down("not-an-approver", "wangwu")
    )


def test_a_button_pressed_twice_decides_once() -> None:
    scenario = given(ask(), presses("zhangsan", APPROVE)).when(presses("zhangsan", APPROVE))
    scenario.then(REPEATED)
    assert scenario.answer.status is Status.APPROVED


def test_an_engine_of_the_members_name_is_not_the_member() -> None:
    given(ask(engine="zhangsan"), cancels("zhangsan")).when(says("zhangsan", REJECT)).then_refused(
        errors.AlreadyDecided, turned_down("already-decided", "zhangsan")
    )


# The deadline, judged at the moment of the command.


@pytest.mark.parametrize("answers", [says, presses])
def test_a_millisecond_before_the_deadline_is_in_time(answers: Any) -> None:
    given(ask()).when(answers("zhangsan", APPROVE, at=DEADLINE - MILLISECOND)).then(
        REPLIED, APPROVED
    )


@pytest.mark.parametrize("answers", [says, presses])
@pytest.mark.parametrize("at", [DEADLINE, DEADLINE + MILLISECOND, after(days=30)])
def test_at_the_deadline_is_late_and_records_the_expiry(answers: Any, at: Any) -> None:
    scenario = given(ask()).when(answers("zhangsan", APPROVE, at=at))
    scenario.then_refused(
        errors.AlreadyDecided,
        event(Approval.Expired, timestamp=at),
        turned_down("already-decided", "zhangsan"),
        match="12345_2 was expired via clock",
    )
    assert scenario.approval().ending == Ending(Status.EXPIRED, at, Channel.CLOCK)


def test_when_wecom_says_it_was_sent_decides_nothing() -> None:
    late = says("zhangsan", APPROVE, at=DEADLINE, sent_at=DEADLINE - timedelta(minutes=5))
    given(ask()).when(late).then_refused(
        errors.AlreadyDecided, EXPIRED, turned_down("already-decided", "zhangsan")
    )
    early = says("zhangsan", APPROVE, at=DEADLINE - MILLISECOND, sent_at=after(hours=9))
    given(ask()).when(early).then(REPLIED, APPROVED)


@pytest.mark.parametrize("at", [NOON, DEADLINE - MILLISECOND])
def test_the_clock_does_nothing_before_the_deadline(at: Any) -> None:
    given(ask()).when(clock(at)).then_nothing()


@pytest.mark.parametrize("at", [DEADLINE, DEADLINE + timedelta(seconds=2)])
def test_the_clock_ends_it_at_the_deadline(at: Any) -> None:
    given(ask()).when(clock(at)).then(event(Approval.Expired, timestamp=at))


@pytest.mark.parametrize(("end", "status", "by"), ENDS)
def test_the_clock_changes_no_end(end: list[Any], status: Status, by: str | None) -> None:
    given(ask(), *end).when(clock(after(days=1))).then_nothing()


def test_the_clock_knows_no_unknown_approval() -> None:
    given(ask()).when(clock(DEADLINE, RUN_2)).then_refused(errors.UnknownApproval)


# Cancelling.


def test_the_engine_that_asked_cancels() -> None:
    scenario = given(ask()).when(cancels(reason="告警已恢复"))
    scenario.then(
        event(
            Approval.Cancelled,
            timestamp=after(minutes=1),
            by="fta",
            channel="api",
            reason="告警已恢复",
        )
    )
    assert scenario.answer.status is Status.CANCELLED


@pytest.mark.parametrize("at", [after(minutes=2), after(days=1)])
def test_cancelling_again_changes_nothing_whatever_the_reason(at: Any) -> None:
    scenario = given(ask(), cancels()).when(cancels(at=at, reason="又一次")).then_nothing()
    assert scenario.answer.ending.reason == "告警已恢复"


@pytest.mark.parametrize(("end", "status", "by"), ENDS[:3])
def test_what_ended_otherwise_is_not_cancelled(
    end: list[Any], status: Status, by: str | None
) -> None:
    given(ask(), *end).when(cancels(at=after(minutes=2))).then_refused(
        errors.AlreadyDecided, match=f"12345_2 was {status}"
    )


def test_a_cancel_at_the_deadline_is_late() -> None:
    given(ask()).when(cancels(at=DEADLINE)).then_refused(errors.AlreadyDecided, EXPIRED)


def test_a_cancel_just_before_the_deadline_is_in_time() -> None:
    given(ask()).when(cancels(at=DEADLINE - MILLISECOND)).then(event(Approval.Cancelled))


@pytest.mark.parametrize("before", [[], [cancels()], [says("zhangsan", APPROVE)]])
def test_another_engine_hears_that_there_is_no_such_approval(before: list[Any]) -> None:
    given(ask(), *before).when(cancels("other")).then_refused(
        errors.UnknownApproval, match=r"^there is no approval 12345_2$"
    )


def test_what_another_cancelled_is_not_cancelled_again() -> None:
    """Whoever may reach it, now or later: only a repetition by the same engine is silent."""
    approval = given(ask(), cancels()).approval()
    with pytest.raises(errors.AlreadyDecided, match="12345_2 was cancelled by fta"):
        approval.cancel("other", "告警已恢复", after(minutes=2))
    assert not approval.collect_events()


def test_an_unknown_approval_is_not_cancelled() -> None:
    given(ask()).when(cancels(reply_id=RUN_2)).then_refused(errors.UnknownApproval)


# High risk.


def test_a_high_risk_is_not_decided_from_the_list() -> None:
    scenario = given(ask(risk=Risk.HIGH)).when(presses("zhangsan", APPROVE, from_list=True))
    scenario.then_refused(errors.NotFromList, turned_down("high-risk-needs-its-page", "zhangsan"))
    assert scenario.approval().status is Status.PENDING


@pytest.mark.parametrize("verdict", [APPROVE, REJECT])
def test_a_high_risk_is_not_decided_together_with_others(verdict: Any) -> None:
    """Wherever the press came from, and however fresh the login is."""
    scenario = given(ask(risk=Risk.HIGH)).when(presses("zhangsan", verdict, batch="5f0c"))
    kept = event(Approval.Replied, refusal="high-risk-needs-its-page", batch="5f0c")
    scenario.then_refused(errors.NotFromList, kept)
    assert scenario.approval().status is Status.PENDING


def test_what_was_decided_together_says_so_in_each_event() -> None:
    together: dict[str, Any] = {"from_list": True, "batch": "5f0c"}
    given(ask()).when(presses("zhangsan", APPROVE, **together)).then(
        event(Approval.Replied, refusal=None, repeated=False, batch="5f0c"),
        event(Approval.Approved, batch="5f0c", capacity="approver"),
    )
    given(ask()).when(presses("lisi", REJECT, reason="业务高峰", **together)).then(
        event(Approval.Replied, refusal=None, repeated=False, batch="5f0c"),
        event(Approval.Rejected, batch="5f0c", capacity="approver", reason="业务高峰"),
    )
    given(ask()).when(presses("zhangsan", APPROVE)).then(
        event(Approval.Replied, batch=None), event(Approval.Approved, batch=None)
    )


def test_a_high_risk_is_not_decided_without_its_id() -> None:
    approval = given(ask(risk=Risk.HIGH)).approval()
    nameless = Answer(by="zhangsan", verdict=APPROVE, channel=Channel.TEXT, words="TY", named=False)
    with pytest.raises(errors.NotFromList):
        approval.answer(nameless, after(minutes=1))
    assert approval.ending is None


@pytest.mark.parametrize("answers", [says, presses])
def test_a_high_risk_is_decided_with_its_id_or_on_its_page(answers: Any) -> None:
    given(ask(risk=Risk.HIGH)).when(answers("zhangsan", APPROVE)).then(REPLIED, APPROVED)


FIVE_MINUTES = timedelta(minutes=5)


@pytest.mark.parametrize("age", [FIVE_MINUTES, timedelta(), -MILLISECOND])
def test_a_high_risk_is_approved_on_its_page_up_to_five_minutes_after_the_login(
    age: timedelta,
) -> None:
    at = after(minutes=10)
    press = presses("zhangsan", APPROVE, at=at, logged_in_at=at - age)
    given(ask(risk=Risk.HIGH)).when(press).then(REPLIED, APPROVED)


@pytest.mark.parametrize("userid", ["zhangsan", "wangwu"])
@pytest.mark.parametrize(
    "age", [FIVE_MINUTES + MILLISECOND, timedelta(hours=12), -timedelta(seconds=5) - MILLISECOND]
)
def test_after_an_older_login_it_is_not_and_the_reply_is_kept(userid: str, age: timedelta) -> None:
    at = after(minutes=10)
    press = presses(userid, APPROVE, at=at, logged_in_at=at - age, reason="可以")
    scenario = given(ask(risk=Risk.HIGH), super_approvers=["wangwu"]).when(press)
    scenario.then_refused(errors.LoginTooOld, turned_down("login-too-old", userid))
    (kept,) = scenario.happened
    assert isinstance(kept, Approval.Replied)
    assert (kept.words, kept.channel, kept.reason) == ("approve", "web", "可以")
    assert scenario.approval().status is Status.PENDING


@pytest.mark.parametrize(
    ("risk", "verdict"), [(Risk.HIGH, REJECT), (Risk.MEDIUM, APPROVE), (Risk.LOW, APPROVE)]
)
def test_nothing_else_asks_for_a_fresh_login(risk: Risk, verdict: Any) -> None:
    press = presses("zhangsan", verdict, logged_in_at=NOON - timedelta(hours=11))
    given(ask(risk=risk)).when(press).then(REPLIED, APPROVED if verdict is APPROVE else REJECTED)


def test_a_press_of_which_nobody_knows_the_login_approves_no_high_risk() -> None:
    approval = given(ask(risk=Risk.HIGH)).approval()
    answer = Answer(by="zhangsan", verdict=APPROVE, channel=Channel.WEB, words="approve")
    with pytest.raises(errors.LoginTooOld):
        approval.answer(answer, after(minutes=1))


def test_of_two_reasons_to_turn_it_down_the_graver_is_told() -> None:
    """Nobody is sent to log in again for what they may not decide, or nobody can any more."""
    old: dict[str, Any] = {"logged_in_at": NOON - timedelta(hours=1)}
    asked = ask(risk=Risk.HIGH, requested_by="lisi")
    for scenario, press, no in [
        (given(asked), presses("lisi", APPROVE, **old), errors.OwnRequest),
        (given(asked), presses("sunqi", APPROVE, **old), errors.NotAnApprover),
        (given(asked, cancels()), presses("zhangsan", APPROVE, **old), errors.AlreadyDecided),
        (given(asked), presses("zhangsan", APPROVE, from_list=True, **old), errors.NotFromList),
    ]:
        assert type(scenario.when(press).refusal) is no
    press = presses("zhangsan", APPROVE)
    repeated = presses("zhangsan", APPROVE, at=after(hours=2), logged_in_at=NOON)
    given(asked, press).when(repeated).then(REPEATED)


@pytest.mark.parametrize("risk", [Risk.LOW, Risk.MEDIUM])
def test_a_lower_risk_is_decided_from_the_list(risk: Risk) -> None:
    given(ask(risk=risk)).when(presses("zhangsan", APPROVE, from_list=True)).then(REPLIED, APPROVED)


# A message that could not be read whole.


@pytest.mark.parametrize("channel", [Channel.TEXT, Channel.CARD])
@pytest.mark.parametrize("verdict", [APPROVE, REJECT])
def test_what_was_cut_is_not_decided_by_message(channel: Channel, verdict: Any) -> None:
    scenario = given(ask(message=LONG)).when(says("zhangsan", verdict, channel=channel))
    scenario.then_refused(errors.OpenItFirst, turned_down("open-it-first", "zhangsan"))
    assert scenario.approval().status is Status.PENDING


@pytest.mark.parametrize("channel", [Channel.TEXT, Channel.CARD])
def test_who_opened_the_page_decides_by_message(channel: Channel) -> None:
    given(ask(message=LONG), opens("ZhangSan")).when(
        says("zhangsan", APPROVE, channel=channel)
    ).then(REPLIED, APPROVED)


def test_who_did_not_open_the_page_does_not_decide_because_another_did() -> None:
    given(ask(message=LONG), opens("zhangsan")).when(says("lisi", APPROVE)).then_refused(
        errors.OpenItFirst, turned_down("open-it-first", "lisi")
    )


def test_a_super_approver_who_got_no_message_has_to_open_the_page_too() -> None:
    given(ask(message=LONG)).under("wangwu").when(says("wangwu", APPROVE)).then_refused(
        errors.OpenItFirst, turned_down("open-it-first", "wangwu")
    )


def test_the_page_itself_shows_everything() -> None:
    given(ask(message=LONG)).when(presses("zhangsan", APPROVE)).then(REPLIED, APPROVED)


def test_a_text_that_was_cut_for_its_link_counts_for_whom_it_was_sent_to() -> None:
    cut = given(ask(), reached("ZhangSan", cut=True), reached("lisi"))
    cut.when(says("zhangsan", APPROVE)).then_refused(
        errors.OpenItFirst, turned_down("open-it-first", "zhangsan")
    )
    cut.when(says("lisi", APPROVE)).then(REPLIED, event(Approval.Approved, by="lisi"))


def test_the_clock_comes_before_the_manner() -> None:
    given(ask(message=LONG, risk=Risk.HIGH)).when(
        says("zhangsan", APPROVE, at=DEADLINE)
    ).then_refused(errors.AlreadyDecided, EXPIRED, turned_down("already-decided", "zhangsan"))


# Opening the page.


def test_opening_the_page_is_remembered_where_the_message_was_cut() -> None:
    given(ask(message=LONG)).when(opens("zhangsan")).then(event(Approval.Opened, by="zhangsan"))


def test_opening_it_again_changes_nothing() -> None:
    given(ask(message=LONG), opens("zhangsan")).when(opens("ZHANGSAN")).then_nothing()


def test_opening_it_before_the_message_came_is_remembered_where_a_card_would_be_cut() -> None:
    scenario = given(ask(message=CARD_LONG)).when(opens("zhangsan")).then(OPENED)
    scenario.and_(reached("zhangsan", cut=True, way=Way.CARD))
    scenario.when(says("zhangsan", APPROVE)).then(REPLIED, APPROVED)


def test_opening_what_was_shown_whole_leaves_no_trace() -> None:
    scenario = given(ask()).when(opens("zhangsan")).then_nothing()
    assert scenario.answer.reply_id == NODE


def test_opening_what_has_ended_leaves_no_trace() -> None:
    given(ask(message=LONG), cancels()).when(opens("zhangsan")).then_nothing()


def test_an_unknown_page_is_not_opened() -> None:
    given(ask()).when(opens("zhangsan", RUN_2)).then_refused(errors.UnknownApproval)


# What became of the messages.


def test_a_message_that_reached_wecom_is_recorded() -> None:
    scenario = given(ask()).when(reached("zhangsan", at=after(seconds=3), cut=True))
    scenario.then(
        event(
            Approval.Notified,
            timestamp=after(seconds=3),
            notice="ask/zhangsan",
            to="zhangsan",
            cut=True,
        )
    )
    assert deliveries(scenario) == {
        "zhangsan": Delivery("zhangsan", "sent", None, after(seconds=3), True, Way.TEXT),
        "lisi": Delivery("lisi"),
    }


@pytest.mark.parametrize(("unreachable", "state"), [(False, "failed"), (True, "unreachable")])
def test_a_message_that_did_not_is_recorded_with_why(unreachable: bool, state: str) -> None:
    scenario = given(ask()).when(reached("lisi", problem="不在可见范围", unreachable=unreachable))
    scenario.then(
        event(
            Approval.NotificationFailed,
            notice="ask/lisi",
            to="lisi",
            problem="不在可见范围",
            unreachable=unreachable,
        )
    )
    assert deliveries(scenario)["lisi"] == Delivery("lisi", state, "不在可见范围", after(seconds=1))
    assert scenario.approval().notifications.reached_at("lisi") is None


@pytest.mark.parametrize("again", [reached("zhangsan"), reached("zhangsan", problem="超时")])
def test_the_same_notice_again_changes_nothing(again: Any) -> None:
    given(ask(), reached("zhangsan")).when(again).then_nothing()


def test_an_answer_to_a_member_is_no_message_that_asks_them() -> None:
    scenario = given(ask()).when(reached("wangwu", notice="answer/2"))
    scenario.then(event(Approval.Notified, to="wangwu", notice="answer/2"))
    assert "wangwu" not in deliveries(scenario)


def test_what_became_of_a_message_is_recorded_after_the_end_too() -> None:
    scenario = given(ask(), says("zhangsan", APPROVE)).when(reached("lisi"))
    scenario.then(event(Approval.Notified, to="lisi"))
    assert scenario.approval().status is Status.APPROVED


def test_a_message_about_no_known_approval_is_refused() -> None:
    given(ask()).when(reached("zhangsan", RUN_2)).then_refused(errors.UnknownApproval)


# Time.


def test_time_never_goes_back_inside_one_approval() -> None:
    scenario = given(ask(), reached("zhangsan", at=after(minutes=5)))
    scenario.when(says("zhangsan", APPROVE, at=after(minutes=4))).then(
        event(Approval.Replied, timestamp=after(minutes=5)),
        event(Approval.Approved, timestamp=after(minutes=5)),
    )
    ending = scenario.approval().ending
    assert ending is not None
    assert ending.at == after(minutes=5)


def test_a_decision_received_in_time_stands_although_something_later_was_recorded_first() -> None:
    scenario = given(ask(), reached("zhangsan", at=DEADLINE + MILLISECOND))
    scenario.when(says("zhangsan", APPROVE, at=DEADLINE - MILLISECOND)).then(REPLIED, APPROVED)


def test_each_approval_has_its_own_time() -> None:
    given(ask(at=after(hours=1))).when(ask(obj_id="54321_1")).then(
        event(Approval.Requested, timestamp=NOON)
    )


def deliveries(scenario: Scenario) -> dict[str, Delivery]:
    return scenario.approval().deliveries
