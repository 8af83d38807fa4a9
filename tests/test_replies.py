"""Replies: which approval they mean, when they decide nothing, and that none is lost."""

from datetime import timedelta
from typing import Any

import pytest

from domain import errors
from domain.approval import Approval
from domain.commands import RecordDelivery
from domain.decision import Risk, Status
from domain.inbox import Inbox
from tests.scenario import (
    APPROVE,
    DEADLINE,
    MILLISECOND,
    NOON,
    REJECT,
    Expected,
    Scenario,
    after,
    ask,
    cancels,
    event,
    given,
    reached,
    says,
)

QUIET = timedelta(minutes=10)
LATER = after(minutes=15)  # the approval of noon has been quiet for long enough, and still waits
OTHER = "54321_1"

DECIDED = (
    event(Approval.Replied, originator_id="approval-12345_2", refusal=None),
    event(Approval.Approved, originator_id="approval-12345_2"),
)


def kept(refusal: str, **fields: Any) -> Expected:
    """The reply is in the member's inbox."""
    return event(Inbox.Received, refusal=refusal, **fields)


def kept_on(reply_id: str, refusal: str, **fields: Any) -> Expected:
    """The reply is on the approval that it names."""
    return event(Approval.Replied, originator_id=f"approval-{reply_id}", refusal=refusal, **fields)


# With an id.


def test_an_id_is_matched_exactly() -> None:
    scenario = given(ask(obj_id="ab_1"), ask(obj_id="AB_1"))
    scenario.when(says("zhangsan", APPROVE, "AB_1")).then(
        event(Approval.Replied, originator_id="approval-AB_1"),
        event(Approval.Approved, originator_id="approval-AB_1"),
    )
    assert scenario.approval("ab_1").status is Status.PENDING


def test_an_id_in_another_case_counts_if_exactly_one_fits() -> None:
    given(ask(obj_id="host-A_1")).when(says("zhangsan", APPROVE, "HOST-a_1")).then(
        event(Approval.Replied, originator_id="approval-host-A_1"),
        event(Approval.Approved, originator_id="approval-host-A_1"),
    )


def test_an_id_in_another_case_names_its_run() -> None:
    scenario = given(ask(obj_id="a_1"), ask(obj_id="a_1", run=2))
    scenario.when(says("zhangsan", APPROVE, "A_1.2")).then(
        event(Approval.Replied, originator_id="approval-a_1.2"),
        event(Approval.Approved, originator_id="approval-a_1.2"),
    )


@pytest.mark.parametrize("ended", [[], [cancels(reply_id="ab_1")]], ids=["waits", "ended"])
def test_an_id_that_fits_two_but_for_case_decides_neither(ended: list[Any]) -> None:
    """Also when one of them has ended: the member may not know that."""
    scenario = given(ask(obj_id="ab_1"), ask(obj_id="AB_1"), *ended)
    scenario.when(says("zhangsan", APPROVE, "Ab_1")).then_refused(
        errors.UnknownApproval, kept("unknown-approval", reply_id="Ab_1")
    )
    assert scenario.approval("AB_1").status is Status.PENDING


def test_the_id_of_run_1_means_run_1_only() -> None:
    scenario = given(ask(run=2)).when(says("zhangsan", APPROVE, "12345_2"))
    scenario.then_refused(
        errors.UnknownApproval, kept("unknown-approval", suggestions=["12345_2.2"])
    )
    assert scenario.approval("12345_2.2").status is Status.PENDING


@pytest.mark.parametrize("reply_id", ["12345_2.1", "12345", "12345_22", "1"])
def test_an_id_that_is_nearly_right_is_wrong(reply_id: str) -> None:
    """A number too: no reply is looked up by the position of a request."""
    given(ask()).when(says("zhangsan", APPROVE, reply_id)).then_refused(
        errors.UnknownApproval, kept("unknown-approval", reply_id=reply_id)
    )


def test_an_unknown_id_is_kept_in_the_members_inbox_of_that_day() -> None:
    reply = says("ZhangSan", REJECT, "9_9", reason="别动", sent_at=NOON)
    scenario = given(ask()).when(reply)
    scenario.then_refused(
        errors.UnknownApproval,
        event(
            Inbox.Received,
            originator_id="inbox-zhangsan-2026-05-04",
            timestamp=after(minutes=1),
            by="ZhangSan",
            words="BH 9_9 别动",
            channel="wecom-text",
            refusal="unknown-approval",
            verdict="reject",
            reply_id="9_9",
            suggestions=["12345_2"],
            delivery_key=reply.delivery_key,
            sent_at=NOON,
        ),
        match="there is no approval 9_9",
    )


def test_an_inbox_ends_with_the_utc_day() -> None:
    scenario = given(ask(at=after(hours=11.9)))
    for at, day in [(after(hours=12) - MILLISECOND, "04"), (after(hours=12), "05")]:
        scenario.when(says("zhangsan", APPROVE, "9_9", at)).then_refused(
            errors.UnknownApproval,
            kept("unknown-approval", originator_id=f"inbox-zhangsan-2026-05-{day}"),
        )


def test_suggestions_name_only_what_waits_for_that_very_member() -> None:
    scenario = given(
        ask(),
        ask(obj_id="mine-1_1", approvers=["LISI"]),
        ask(obj_id="not-mine_1", approvers=["zhangsan"]),
        ask(obj_id="my-own_1", requested_by="lisi"),
        ask(obj_id="ended_1"),
        cancels(reply_id="ended_1"),
    )
    scenario.when(says("lisi", APPROVE, "9_9")).then_refused(
        errors.UnknownApproval, kept("unknown-approval", suggestions=["12345_2", "mine-1_1"])
    )
    assert isinstance(scenario.refusal, errors.UnknownApproval)
    assert scenario.refusal.suggestions == ["12345_2", "mine-1_1"]


def test_a_stranger_is_suggested_nothing() -> None:
    given(ask()).when(says("wangwu", APPROVE, "9_9")).then_refused(
        errors.UnknownApproval, kept("unknown-approval", by="wangwu", suggestions=[])
    )


def test_a_super_approver_is_suggested_everything_but_their_own() -> None:
    given(ask(), ask(obj_id="my-own_1", requested_by="wangwu"), super_approvers=["wangwu"]).when(
        says("wangwu", APPROVE, "9_9")
    ).then_refused(errors.UnknownApproval, kept("unknown-approval", suggestions=["12345_2"]))


# Without an id.


def quiet() -> Scenario:
    """One approval waits for zhangsan and lisi, and its message has reached both."""
    return given(ask(), reached("zhangsan"), reached("lisi"))


def nameless(by: str = "zhangsan", at: Any = LATER, **fields: Any) -> Any:
    return says(by, APPROVE, None, at, **fields)


def unclear(*suggestions: str) -> Expected:
    return kept("unclear-which", reply_id=None, verdict="approve", suggestions=list(suggestions))


@pytest.mark.parametrize("by", ["zhangsan", "ZhangSan"])
def test_without_an_id_it_counts_if_only_one_can_be_meant(by: str) -> None:
    quiet().when(nameless(by)).then(*DECIDED)


def test_a_young_approval_alone_may_be_meant_as_well() -> None:
    quiet().when(nameless(at=after(seconds=5))).then(*DECIDED)


def test_without_an_id_a_rejection_counts_alike() -> None:
    quiet().when(says("lisi", REJECT, None, LATER)).then(
        event(Approval.Replied, refusal=None), event(Approval.Rejected, by="lisi")
    )


def test_nothing_waits() -> None:
    given().when(nameless()).then_refused(errors.UnclearWhich, unclear())


def test_nothing_waits_for_this_member() -> None:
    quiet().when(nameless("wangwu")).then_refused(errors.UnclearWhich, unclear())


def test_what_ended_is_not_meant() -> None:
    quiet().and_(cancels()).when(nameless()).then_refused(errors.UnclearWhich, unclear())


def test_two_wait() -> None:
    scenario = quiet().and_(ask(obj_id=OTHER), reached("zhangsan", OTHER))
    scenario.when(nameless()).then_refused(errors.UnclearWhich, unclear("12345_2", OTHER))
    assert scenario.approval().status is Status.PENDING
    assert scenario.approval(OTHER).status is Status.PENDING


def test_what_waits_for_others_does_not_matter() -> None:
    quiet().and_(ask(at=LATER, obj_id=OTHER, approvers=["lisi"])).when(nameless()).then(*DECIDED)


def test_the_message_has_not_reached_wecom_yet() -> None:
    given(ask()).when(nameless()).then_refused(errors.UnclearWhich, unclear("12345_2"))


def test_the_message_reached_only_somebody_else() -> None:
    given(ask(), reached("lisi")).when(nameless()).then_refused(
        errors.UnclearWhich, unclear("12345_2")
    )


@pytest.mark.parametrize("unreachable", [True, False])
def test_the_message_failed(unreachable: bool) -> None:
    failed = reached("zhangsan", problem="不在可见范围", unreachable=unreachable)
    given(ask(), failed).when(nameless()).then_refused(errors.UnclearWhich, unclear("12345_2"))


@pytest.mark.parametrize("at", [LATER, LATER + MILLISECOND])
def test_the_message_reached_wecom_only_after_the_reply_came(at: Any) -> None:
    given(ask(), reached("zhangsan", at=at)).when(nameless()).then_refused(
        errors.UnclearWhich, unclear("12345_2")
    )


def test_an_answer_that_reached_them_is_not_the_message_that_asks() -> None:
    given(ask(), reached("zhangsan", notice="answer/2")).when(nameless()).then_refused(
        errors.UnclearWhich, unclear("12345_2")
    )


def test_a_high_risk_is_never_meant_without_its_id() -> None:
    scenario = given(ask(risk=Risk.HIGH), reached("zhangsan")).when(nameless())
    scenario.then_refused(errors.UnclearWhich, unclear("12345_2"))
    assert scenario.approval().status is Status.PENDING


@pytest.mark.parametrize("ago", [timedelta(0), timedelta(minutes=9), QUIET])
def test_another_ended_within_ten_minutes(ago: timedelta) -> None:
    """Whoever answers the one that is gone would decide the one that is left."""
    end = cancels(reply_id=OTHER, at=LATER - ago)
    quiet().and_(ask(obj_id=OTHER), end).when(nameless()).then_refused(
        errors.UnclearWhich, unclear("12345_2")
    )


def test_another_ended_longer_ago() -> None:
    end = cancels(reply_id=OTHER, at=LATER - QUIET - MILLISECOND)
    quiet().and_(ask(obj_id=OTHER), end).when(nameless()).then(*DECIDED)


def test_another_was_asked_and_decided_within_ten_minutes() -> None:
    scenario = quiet().and_(ask(obj_id=OTHER, at=after(minutes=14)))
    scenario.and_(says("zhangsan", REJECT, OTHER, at=after(minutes=14)))
    scenario.when(nameless()).then_refused(errors.UnclearWhich, unclear("12345_2"))


def test_the_run_before_was_superseded_within_ten_minutes() -> None:
    """The worst bug there is: an answer meant for run 1 decides run 2."""
    scenario = quiet().and_(
        ask(run=2, at=LATER - timedelta(seconds=2)),
        reached("zhangsan", "12345_2.2", at=LATER - timedelta(seconds=1)),
    )
    scenario.when(nameless()).then_refused(errors.UnclearWhich, unclear("12345_2.2"))
    assert scenario.approval("12345_2.2").status is Status.PENDING


def test_what_lately_ended_for_others_does_not_matter() -> None:
    others = ask(obj_id=OTHER, approvers=["lisi"])
    quiet().and_(others, cancels(reply_id=OTHER, at=LATER)).when(nameless()).then(*DECIDED)


def test_a_super_approver_means_the_only_one_that_waits_if_they_were_asked() -> None:
    scenario = given(ask(), reached("wangwu"), super_approvers=["wangwu"])
    scenario.when(nameless("wangwu")).then(
        event(Approval.Replied), event(Approval.Approved, capacity="super-approver")
    )


def test_a_super_approver_since_then_was_not_asked() -> None:
    quiet().under("wangwu").when(nameless("wangwu")).then_refused(
        errors.UnclearWhich, unclear("12345_2")
    )


def test_without_an_id_after_the_deadline_it_is_late() -> None:
    quiet().when(nameless(at=DEADLINE)).then_refused(
        errors.AlreadyDecided,
        event(Approval.Expired),
        kept_on("12345_2", "already-decided"),
    )


# Doubt, and words that are no answer.


@pytest.mark.parametrize("verdict", [APPROVE, REJECT, None])
@pytest.mark.parametrize("by", ["zhangsan", "wangwu"])
def test_a_doubt_about_a_named_approval_is_kept_on_it(verdict: Any, by: str) -> None:
    scenario = given(ask()).when(says(by, verdict, doubt="question", reason="可以吗？"))
    scenario.then_refused(
        errors.NothingDecided,
        kept_on(
            "12345_2",
            "question",
            by=by,
            verdict=verdict.value if verdict else None,
            reason="可以吗？",
            repeated=False,
        ),
    )
    assert isinstance(scenario.refusal, errors.NothingDecided)
    assert scenario.refusal.code == "question"
    assert scenario.approval().status is Status.PENDING


def test_a_name_without_a_verdict_decides_nothing() -> None:
    given(ask()).when(says("zhangsan", None)).then_refused(
        errors.NothingDecided, kept_on("12345_2", "unreadable", verdict=None)
    )


def test_a_doubt_about_an_id_in_another_case_is_kept_on_the_approval_too() -> None:
    given(ask(obj_id="a_1")).when(says("zhangsan", APPROVE, "A_1", doubt="question")).then_refused(
        errors.NothingDecided, kept_on("a_1", "question")
    )


def test_a_doubt_after_the_end_is_kept_and_changes_nothing() -> None:
    scenario = given(ask(), says("zhangsan", REJECT))
    scenario.when(says("zhangsan", APPROVE, doubt="question")).then_refused(
        errors.NothingDecided, kept_on("12345_2", "question")
    )
    assert scenario.approval().status is Status.REJECTED


def test_a_doubt_without_an_id_goes_to_the_inbox_even_if_only_one_waits() -> None:
    scenario = quiet().when(nameless(doubt="several-ids"))
    scenario.then_refused(errors.NothingDecided, kept("several-ids", reply_id=None))
    assert scenario.approval().status is Status.PENDING


def test_unreadable_words_go_to_the_inbox() -> None:
    quiet().when(says("zhangsan", None, None, words="早上好")).then_refused(
        errors.NothingDecided, kept("unreadable", words="早上好", verdict=None)
    )


def test_a_doubt_about_an_unknown_id_goes_to_the_inbox() -> None:
    given(ask()).when(says("zhangsan", APPROVE, "9_9", doubt="question")).then_refused(
        errors.UnknownApproval, kept("unknown-approval", reply_id="9_9")
    )


# Repeated deliveries.

EVERY_KIND = [
    pytest.param(says("zhangsan", APPROVE), id="decided"),
    pytest.param(says("wangwu", APPROVE), id="a stranger"),
    pytest.param(says("zhangsan", APPROVE, "9_9"), id="unknown id"),
    pytest.param(says("zhangsan", APPROVE, doubt="question"), id="doubt"),
    pytest.param(says("zhangsan", APPROVE, None), id="no id"),
    pytest.param(says("zhangsan", APPROVE, at=DEADLINE), id="late"),
]


@pytest.mark.parametrize("reply", EVERY_KIND)
def test_a_repeated_delivery_does_nothing_at_all(reply: Any) -> None:
    """Not even where the first was refused and the world has changed since."""
    scenario = given(ask()).when(reply)
    assert scenario.happened
    scenario.when(reply).then_nothing()
    scenario.and_(ask(obj_id="9_9"), reached("zhangsan", at=NOON)).under("wangwu")
    later = says(
        reply.by,
        reply.verdict,
        reply.reply_id,
        after(hours=1),
        delivery_key=reply.delivery_key,
        words=reply.words,
    )
    scenario.when(later).then_nothing()
    assert scenario.answer is None


def test_a_repeated_delivery_is_the_same_member_however_spelled() -> None:
    reply = says("zhangsan", APPROVE, delivery_key="7")
    given(ask(), reply).when(says("ZhangSan", REJECT, delivery_key="7")).then_nothing()


def test_the_same_key_of_another_member_is_another_delivery() -> None:
    given(ask(), says("zhangsan", APPROVE, delivery_key="7")).when(
        says("lisi", APPROVE, delivery_key="7")
    ).then_refused(errors.AlreadyDecided, kept_on("12345_2", "already-decided", by="lisi"))


def test_the_same_words_in_a_new_message_are_a_new_reply() -> None:
    given(ask(), says("zhangsan", APPROVE)).when(
        says("zhangsan", APPROVE, at=after(minutes=2))
    ).then(event(Approval.Replied, refusal=None, repeated=True))


# Answers that were sent back.


def answered(notice: str = "answer/1", problem: str | None = None) -> RecordDelivery:
    """What became of the answer to what zhangsan wrote."""
    stream = "inbox-zhangsan-2026-05-04"
    return RecordDelivery(
        at=after(minutes=2), stream=stream, notice=notice, to="zhangsan", problem=problem
    )


def inbox() -> Scenario:
    """Zhangsan wrote something, to which the answer is on its way."""
    scenario = given().when(says("zhangsan", None, None))
    scenario.then_refused(errors.NothingDecided, kept("unreadable"))
    return scenario


@pytest.mark.parametrize("problem", [None, "WeCom is not configured"])
def test_what_became_of_an_answer_is_recorded_once(problem: str | None) -> None:
    scenario = inbox().when(answered(problem=problem))
    scenario.then(event(Inbox.Answered, notice="answer/1", to="zhangsan", problem=problem))
    scenario.when(answered()).then_nothing()
    scenario.when(answered(notice="answer/2")).then(event(Inbox.Answered))


def test_an_answer_to_no_known_inbox_is_refused() -> None:
    given().when(answered()).then_refused(errors.UnknownApproval)


def test_an_approval_whose_reason_names_another_approval_decides_neither() -> None:
    scenario = given(ask(obj_id="alpha"), ask(obj_id="beta"))
    scenario.when(says("zhangsan", APPROVE, "alpha", reason="and beta")).then_refused(
        errors.NothingDecided, kept_on("alpha", "several-ids")
    )
    assert scenario.approval("alpha").status is Status.PENDING
    assert scenario.approval("beta").status is Status.PENDING


def test_a_rejection_may_name_another_approval_in_its_reason() -> None:
    scenario = given(ask(obj_id="alpha"), ask(obj_id="beta"))
    scenario.when(says("zhangsan", REJECT, "alpha", reason="see beta"))
    assert scenario.approval("alpha").status is Status.REJECTED
    assert scenario.approval("beta").status is Status.PENDING
