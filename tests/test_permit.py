"""An approval authorises one action, once: permit, redeeming, revoking, outcome, freeze."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain import errors
from domain.approval import Approval
from domain.commands import FreezeApprovals, Redeem, ReportOutcome, Revoke, ThawApprovals
from domain.decision import Capacity, Channel, Outcome, Status
from domain.freeze import Freeze
from tests.scenario import (
    APPROVE,
    DEADLINE,
    MILLISECOND,
    NODE,
    NOON,
    REJECT,
    TERMS,
    Scenario,
    after,
    ask,
    cancels,
    clock,
    event,
    given,
    presses,
    says,
    taps,
)

DIGEST, OTHER_DIGEST = "sha256:" + "a" * 64, "sha256:" + "b" * 64
APPROVED_AT = after(minutes=1)
EXPIRES_AT = APPROVED_AT + TERMS.ttl
WANGWU = ("wangwu",)
AT_TWO, AT_THREE = after(minutes=2), after(minutes=3)


def approved(**fields: Any) -> Scenario:
    """zhangsan has approved, one minute after noon."""
    asked = {"action": "{}", "action_digest": DIGEST, **fields}
    return given(ask(**asked), says("zhangsan", APPROVE), super_approvers=WANGWU)


def redeems(scenario: Scenario, attempt: str = "a-1", at: Any = AT_TWO, **fields: Any) -> Redeem:
    """The engine is about to do what was approved, with the permit of that approval."""
    permit = scenario.approval().permit
    usual: dict[str, Any] = {
        "engine": "fta",
        "reply_id": NODE,
        "permit": permit.claims() if permit else {},
        "action_digest": DIGEST,
    }
    return Redeem(at=at, attempt=attempt, **{**usual, **fields})


def revokes(by: str, at: Any = AT_TWO, reason: str | None = None) -> Revoke:
    return Revoke(at=at, by=by, reply_id=NODE, reason=reason)


def reports(
    outcome: Outcome, detail: str | None = None, at: Any = AT_THREE, **fields: Any
) -> ReportOutcome:
    usual: dict[str, Any] = {"engine": "fta", "reply_id": NODE}
    return ReportOutcome(at=at, outcome=outcome, detail=detail, **{**usual, **fields})


FREEZES = FreezeApprovals(at=after(seconds=30), by="shell:root", why="网络变更")
THAWS = ThawApprovals(at=after(seconds=90), by="shell:root")


# What a permit says.


def test_an_approval_carries_a_permit_for_this_engine_run_and_action() -> None:
    scenario = approved(run=1)
    permit = scenario.approval().permit
    assert permit is not None
    assert permit.key_id == TERMS.key_id
    assert permit.claims() == {
        "iss": "fta-approval",
        "aud": "fta",
        "sub": NODE,
        "obj_id": NODE,
        "run": 1,
        "jti": scenario.approval().approval_id,
        "act": DIGEST,
        "by": "zhangsan",
        "iat": int(APPROVED_AT.timestamp()),
        "exp": int(EXPIRES_AT.timestamp()),
    }


def test_its_times_are_whole_seconds_and_it_never_lasts_longer_than_it_says() -> None:
    at = after(minutes=1, milliseconds=999)
    permit = given(ask(), says("lisi", APPROVE, at=at)).approval().permit
    assert permit is not None
    assert permit.expires_at == EXPIRES_AT
    assert permit.claims()["exp"] - permit.claims()["iat"] == TERMS.ttl.total_seconds()


def test_an_approval_without_an_action_has_a_permit_for_none() -> None:
    scenario = approved(action=None, action_digest=None)
    permit = scenario.approval().permit
    assert permit is not None
    assert permit.claims()["act"] is None
    scenario.when(redeems(scenario, action_digest=DIGEST)).then_refused(
        errors.ActionDiffers, event(Approval.RedemptionRefused)
    )
    scenario.when(redeems(scenario, action_digest=None)).then(event(Approval.Redeemed))


@pytest.mark.parametrize("end", [says("lisi", REJECT), cancels(), clock(DEADLINE)])
def test_no_other_end_carries_a_permit(end: Any) -> None:
    assert given(ask(), end).approval().permit is None


def test_a_test_approval_authorises_nothing() -> None:
    scenario = approved(test=True)
    assert scenario.approval().status is Status.APPROVED
    assert scenario.approval().permit is None


def test_what_was_approved_before_there_were_permits_has_none() -> None:
    scenario = approved()
    stored = scenario.unit.events_of("approval-12345_2")
    old = [
        replace_fields(one, permit_key=None, permit_issuer=None, permit_expires_at=None)
        if isinstance(one, Approval.Approved)
        else one
        for one in stored
    ]
    approval = Approval.replay("approval-12345_2", old)
    assert (approval.status, approval.permit) == (Status.APPROVED, None)


def replace_fields(event: Any, **fields: Any) -> Any:
    named = {name: getattr(event, name) for name in event.__struct_fields__}
    return type(event)(**{**named, **fields})


# Redeeming.


def test_it_is_redeemed_once() -> None:
    scenario = approved()
    scenario.when(redeems(scenario)).then(
        event(Approval.Redeemed, by="fta", attempt="a-1", channel="api", timestamp=after(minutes=2))
    )
    assert scenario.approval().status is Status.APPROVED
    scenario.when(redeems(scenario, "a-2")).then_refused(
        errors.AlreadyRedeemed,
        event(Approval.RedemptionRefused, attempt="a-2", refusal="already-redeemed"),
        match="by another attempt",
    )


@pytest.mark.parametrize("later", [after(minutes=2), EXPIRES_AT, after(days=3)])
def test_the_same_attempt_may_ask_again_for_its_answer_may_have_been_lost(later: Any) -> None:
    scenario = approved()
    scenario.and_(redeems(scenario))
    scenario.when(redeems(scenario, at=later)).then_nothing()
    scenario.and_(reports(Outcome.FAILED, at=later))
    scenario.when(redeems(scenario, at=later)).then_nothing()


def test_a_refused_attempt_is_recorded_once() -> None:
    scenario = approved()
    scenario.and_(redeems(scenario))
    again = redeems(scenario, "a-2")
    scenario.when(again).then_refused(errors.AlreadyRedeemed, event(Approval.RedemptionRefused))
    scenario.when(again).then_refused(errors.AlreadyRedeemed)
    for number in range(100):
        scenario.when(redeems(scenario, f"b-{number}"))
    events = scenario.unit.events_of("approval-12345_2")
    assert sum(isinstance(one, Approval.RedemptionRefused) for one in events) == 20


@pytest.mark.parametrize("digest", [OTHER_DIGEST, None])
def test_another_action_is_refused(digest: str | None) -> None:
    scenario = approved()
    scenario.when(redeems(scenario, action_digest=digest)).then_refused(
        errors.ActionDiffers, event(Approval.RedemptionRefused, refusal="action-differs")
    )
    scenario.when(redeems(scenario)).then(event(Approval.Redeemed))
    scenario.when(redeems(scenario, action_digest=digest)).then_refused(errors.ActionDiffers)


def test_it_is_good_until_just_before_it_expires() -> None:
    scenario = approved()
    late = redeems(scenario, "a-0", at=EXPIRES_AT)
    scenario.when(late).then_refused(errors.PermitExpired, event(Approval.RedemptionRefused))
    scenario.when(redeems(scenario, at=EXPIRES_AT - MILLISECOND)).then(event(Approval.Redeemed))


def test_who_reported_an_outcome_without_redeeming_has_used_it() -> None:
    scenario = approved().and_(reports(Outcome.SUCCEEDED))
    scenario.when(redeems(scenario, at=after(minutes=4))).then_refused(
        errors.AlreadyRedeemed, event(Approval.RedemptionRefused)
    )


def test_another_engine_is_refused() -> None:
    scenario = approved()
    scenario.when(redeems(scenario, engine="other")).then_refused(errors.BadPermit)


@pytest.mark.parametrize(
    "change",
    [
        *[{"aud": "other"}, {"sub": "1_1"}, {"obj_id": "1_1"}, {"run": 2}, {"jti": "x"}],
        *[{"act": OTHER_DIGEST}, {"by": "lisi"}, {"iat": 1}, {"exp": 2**40}, {"iss": "x"}],
        {"more": 1},
    ],
)
def test_a_permit_that_says_anything_else_is_none(change: dict[str, Any]) -> None:
    scenario = approved()
    command = redeems(scenario)
    changed = replace(command, permit={**command.permit, **change})
    scenario.when(changed).then_refused(errors.BadPermit)


@pytest.mark.parametrize("name", ["nothing_1", "12345_2.2"])
def test_a_permit_for_what_was_never_approved_is_none(name: str) -> None:
    scenario = approved().and_(ask(run=2, at=after(minutes=2)))
    command = redeems(scenario)
    scenario.when(replace(command, reply_id=name)).then_refused(errors.BadPermit)


def test_the_permit_of_one_run_is_none_for_another() -> None:
    scenario = approved().and_(ask(run=2, at=after(minutes=2), action_digest=DIGEST, action="{}"))
    scenario.and_(says("zhangsan", APPROVE, f"{NODE}.2", at=after(minutes=3)))
    first = redeems(scenario, at=after(minutes=4))
    scenario.when(replace(first, reply_id=f"{NODE}.2")).then_refused(errors.BadPermit)


# Revoking.


def test_an_approver_takes_an_approval_back() -> None:
    scenario = approved()
    scenario.when(revokes("lisi", reason="看错了机器")).then(
        event(
            Approval.Revoked,
            by="lisi",
            channel="web",
            capacity="approver",
            reason="看错了机器",
            timestamp=after(minutes=2),
        )
    )
    approval = scenario.approval()
    assert approval.status is Status.REVOKED
    assert approval.ending is not None
    assert (approval.ending.by, approval.ending.via) == ("lisi", Channel.WEB)
    scenario.when(redeems(scenario)).then_refused(
        errors.Revoked, event(Approval.RedemptionRefused, refusal="revoked"), match="lisi"
    )


def test_a_super_approver_does_too_in_that_capacity() -> None:
    scenario = approved().when(revokes("wangwu"))
    scenario.then(event(Approval.Revoked, capacity=Capacity.SUPER_APPROVER.value))


def test_pressing_again_revokes_once() -> None:
    scenario = approved().and_(revokes("lisi"))
    scenario.when(revokes("LiSi", at=after(days=1))).then_nothing()
    scenario.when(revokes("zhangsan")).then_refused(errors.AlreadyDecided, match="lisi")


def test_neither_a_stranger_nor_the_requester_revokes() -> None:
    scenario = approved(approvers=["zhangsan"], requested_by="wangwu")
    scenario.when(revokes("lisi")).then_refused(errors.NotAnApprover)
    scenario.when(revokes("wangwu")).then_refused(errors.OwnRequest)


def test_a_super_approver_of_yesterday_does_not_revoke() -> None:
    scenario = approved().under()
    scenario.when(revokes("wangwu")).then_refused(errors.NotAnApprover)


@pytest.mark.parametrize("end", [None, says("zhangsan", REJECT), cancels(), clock(DEADLINE)])
def test_only_what_was_approved_is_revoked(end: Any) -> None:
    scenario = given(ask(), *([end] if end else []))
    scenario.when(revokes("lisi", at=DEADLINE)).then_refused(errors.NotApproved)


def test_it_is_too_late_once_it_was_redeemed_reported_or_has_expired() -> None:
    redeemed = approved()
    redeemed.and_(redeems(redeemed))
    for scenario, at in (
        (redeemed, after(minutes=2)),
        (approved().and_(reports(Outcome.SKIPPED)), after(minutes=4)),
        (approved(), EXPIRES_AT),
    ):
        scenario.when(revokes("zhangsan", at=at)).then_refused(errors.TooLateToRevoke)
        assert scenario.approval().status is Status.APPROVED
    approved().when(revokes("zhangsan", at=EXPIRES_AT - MILLISECOND)).then(event(Approval.Revoked))


def test_who_approved_and_revoked_is_not_told_that_they_approved() -> None:
    scenario = approved().and_(revokes("zhangsan"))
    scenario.when(says("zhangsan", APPROVE, at=after(minutes=3))).then_refused(
        errors.AlreadyDecided,
        event(Approval.Replied, repeated=False, refusal="already-decided"),
        match="revoked",
    )


# Outcome.


def test_an_outcome_is_reported_once() -> None:
    scenario = approved()
    scenario.and_(redeems(scenario))
    said = reports(Outcome.FAILED, "没有备机")
    scenario.when(said).then(
        event(Approval.OutcomeReported, by="fta", outcome="failed", detail="没有备机")
    )
    scenario.when(replace(said, at=after(days=1))).then_nothing()
    for other in (reports(Outcome.SUCCEEDED, "没有备机"), reports(Outcome.FAILED)):
        scenario.when(other).then_refused(errors.OutcomeDiffers, match="failed")


@pytest.mark.parametrize("end", [None, says("zhangsan", REJECT), cancels(), clock(DEADLINE)])
def test_only_what_was_approved_has_an_outcome(end: Any) -> None:
    scenario = given(ask(), *([end] if end else []))
    scenario.when(reports(Outcome.SUCCEEDED)).then_refused(errors.NotApproved)


def test_what_was_revoked_may_have_begun_and_have_an_outcome() -> None:
    scenario = approved().and_(revokes("lisi"))
    scenario.when(reports(Outcome.SUCCEEDED)).then(event(Approval.OutcomeReported))
    assert scenario.approval().status is Status.REVOKED


def test_another_engine_hears_that_there_is_no_such_approval() -> None:
    scenario = approved().when(reports(Outcome.SUCCEEDED, engine="other"))
    scenario.then_refused(errors.UnknownApproval)


# Freeze.


@pytest.mark.parametrize(
    "answer", [says("zhangsan", APPROVE), taps("zhangsan", APPROVE), presses("zhangsan", APPROVE)]
)
def test_while_frozen_nobody_approves_and_the_try_is_kept(answer: Any) -> None:
    scenario = given(ask(), FREEZES, super_approvers=WANGWU).when(answer)
    scenario.then_refused(
        errors.Frozen, event(Approval.Replied, refusal="frozen"), match="网络变更"
    )
    assert scenario.approval().status is Status.PENDING
    scenario.and_(THAWS)
    later = replace(answer, at=after(minutes=2))
    if hasattr(later, "delivery_key"):
        later = replace(later, delivery_key="later")
    else:
        later = replace(later, logged_in_at=after(minutes=2))
    scenario.and_(later)
    assert scenario.approval().status is Status.APPROVED


def test_a_super_approver_does_not_approve_while_frozen() -> None:
    scenario = given(ask(), FREEZES, super_approvers=WANGWU)
    scenario.when(presses("wangwu", APPROVE)).then_refused(errors.Frozen, event(Approval.Replied))


def test_while_frozen_one_can_reject_cancel_and_ask() -> None:
    given(ask(), FREEZES).and_(presses("zhangsan", REJECT))
    given(ask(), FREEZES).and_(cancels())
    given(FREEZES).and_(ask())


def test_while_frozen_nothing_is_redeemed_not_even_by_an_attempt_that_was() -> None:
    scenario = approved()
    command = redeems(scenario)
    scenario.and_(replace(FREEZES, at=after(minutes=1, seconds=30)))
    scenario.when(command).then_refused(errors.Frozen, event(Approval.RedemptionRefused))
    scenario.and_(replace(THAWS, at=after(minutes=1, seconds=40)), command)
    scenario.and_(replace(FREEZES, at=after(minutes=3), why="再次冻结"))
    scenario.when(redeems(scenario, at=after(minutes=4))).then_refused(
        errors.Frozen, match="再次冻结"
    )
    scenario.and_(replace(THAWS, at=after(minutes=5)))
    scenario.when(redeems(scenario, at=after(minutes=6))).then_nothing()


def test_while_frozen_one_can_revoke_and_report() -> None:
    approved().and_(replace(FREEZES, at=after(minutes=2)), revokes("zhangsan"))
    approved().and_(replace(FREEZES, at=after(minutes=2)), reports(Outcome.SKIPPED))


def test_freezing_again_for_the_same_reason_changes_nothing_and_for_another_tells_it() -> None:
    scenario = given(FREEZES)
    scenario.when(replace(FREEZES, at=after(minutes=1))).then_nothing()
    scenario.when(replace(FREEZES, why="停电")).then(event(Freeze.Began, why="停电"))
    scenario.when(THAWS).then(event(Freeze.Ended, by="shell:root"))
    scenario.when(THAWS).then_nothing()
    scenario.when(FREEZES).then(event(Freeze.Began, why="网络变更"))


def test_a_repetition_of_what_was_decided_is_answered_while_frozen() -> None:
    scenario = approved().and_(replace(FREEZES, at=after(minutes=2)))
    scenario.when(says("zhangsan", APPROVE, at=after(minutes=3))).then(
        event(Approval.Replied, repeated=True, refusal=None)
    )


def test_what_the_clock_says_at_noon_is_when_it_was_frozen() -> None:
    freeze = given(FREEZES).unit.replayed(Freeze, "freeze")
    assert freeze is not None
    assert freeze.in_force is not None
    assert (freeze.in_force.at, freeze.in_force.by) == (NOON + timedelta(seconds=30), "shell:root")
