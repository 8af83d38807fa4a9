"""What may be recorded about pushing a decision, and what follows from it."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.approval import Approval
from domain.errors import (
    AlreadyDelivered,
    NotUndelivered,
    Refusal,
    UnknownApproval,
    UnknownWebhook,
)
from domain.webhooks import RETRY_AFTER
from tests.scenario import (
    NOON,
    Scenario,
    after,
    ask,
    cancels,
    event,
    given,
    pushes,
    redelivers,
)

DECIDED = after(minutes=1)
URL = "https://engine.example/decisions"


def decided(*commands: Any, **asked: Any) -> Scenario:
    """An approval with an address that has ended, and what was recorded of pushing that."""
    return given(ask(**{"callback_url": URL, **asked}), cancels(at=DECIDED), *commands)


def failures(count: int, begin: datetime = DECIDED, first: int = 1) -> list[Any]:
    """So many tries, each when it is due."""
    found, at = [], begin
    for number in range(count):
        found.append(pushes(at, first + number, "answered 500"))
        if number < len(RETRY_AFTER):
            at += RETRY_AFTER[number]
    return found


def test_it_was_taken() -> None:
    decided().when(pushes(DECIDED)).then(
        event(Approval.WebhookDelivered, delivery=7, attempt=1, released=[])
    )


@pytest.mark.parametrize("number", range(len(RETRY_AFTER)))
def test_each_failure_says_when_it_is_tried_again(number: int) -> None:
    *before, last = failures(number + 1)
    decided(*before).when(last).then(
        event(
            Approval.WebhookFailed,
            attempt=number + 1,
            failures=number + 1,
            problem="answered 500",
            retry_at=last.at + RETRY_AFTER[number],
        )
    )


def test_the_schedule_is_that_of_the_contract() -> None:
    seconds = [delay.total_seconds() for delay in RETRY_AFTER]
    assert seconds == [5, 30, 120, 600, 3600, 21_600, 86_400]


def test_the_eighth_failure_is_the_last() -> None:
    *before, last = failures(8)
    scenario = decided(*before).when(last)
    scenario.then(event(Approval.WebhookFailed, attempt=8, failures=8, retry_at=None))
    assert scenario.approval().webhooks.at(7).is_undelivered


@pytest.mark.parametrize("attempt", [0, 1, 3])
def test_a_try_that_is_recorded_again_or_out_of_turn_changes_nothing(attempt: int) -> None:
    (first,) = failures(1)
    decided(first).when(pushes(after(minutes=2), attempt, "answered 500")).then_nothing()
    decided(first).when(pushes(after(minutes=2), attempt)).then_nothing()


def test_what_was_taken_is_taken() -> None:
    taken = decided(pushes(DECIDED))
    taken.when(pushes(after(minutes=2), 2, "answered 500")).then_nothing()
    taken.when(pushes(after(minutes=2), 2)).then_nothing()


def test_a_try_before_its_time_costs_nothing() -> None:
    """Its destination seemed to be back, and was not."""
    first, second = failures(2)
    early = pushes(first.at + timedelta(seconds=2), 2, "answered 503", down=True)
    decided(first).when(early).then(
        event(Approval.WebhookFailed, attempt=2, failures=1, retry_at=second.at)
    )
    in_time = pushes(second.at, 3, "answered 503")
    decided(first, early).when(in_time).then(
        event(Approval.WebhookFailed, failures=2, retry_at=second.at + RETRY_AFTER[1])
    )


def test_each_decision_of_an_approval_has_a_schedule_of_its_own() -> None:
    first, second = failures(2)
    other = pushes(second.at, 1, "answered 500", delivery=9)
    decided(first, second).when(other).then(
        event(Approval.WebhookFailed, delivery=9, failures=1, retry_at=second.at + RETRY_AFTER[0])
    )


def test_what_was_given_up_begins_anew() -> None:
    tried = failures(8)
    again = after(days=3)
    decided(*tried).when(redelivers(again)).then(
        event(Approval.WebhookRequeued, delivery=7, by="fta", channel="api")
    )
    decided(*tried, redelivers(again)).when(pushes(again, 9, "answered 500")).then(
        event(Approval.WebhookFailed, attempt=9, failures=1, retry_at=again + RETRY_AFTER[0])
    )
    decided(*tried, redelivers(again)).when(pushes(again, 9)).then(
        event(Approval.WebhookDelivered, attempt=9)
    )


@pytest.mark.parametrize(
    ("before", "refusal"),
    [
        ([], NotUndelivered),
        (failures(1), NotUndelivered),
        (failures(7), NotUndelivered),
        ([*failures(8), redelivers(after(days=3))], NotUndelivered),
        ([pushes(DECIDED)], AlreadyDelivered),
        ([*failures(8), redelivers(after(days=3)), pushes(after(days=3), 9)], AlreadyDelivered),
    ],
    ids=["not tried", "waits", "waits for its last try", "requeued", "taken", "taken later"],
)
def test_what_was_not_given_up_is_not_sent_again(before: list[Any], refusal: type[Refusal]) -> None:
    decided(*before).when(redelivers(after(days=4))).then_refused(refusal)


def test_an_administrator_may_have_it_sent_again_and_another_engine_not() -> None:
    tried = failures(8)
    administrator = redelivers(after(days=3), by="shell:lisi", channel="shell", engine=None)
    decided(*tried).when(administrator).then(
        event(Approval.WebhookRequeued, by="shell:lisi", channel="shell")
    )
    other = redelivers(after(days=3), by="other", engine="other")
    decided(*tried).when(other).then_refused(UnknownWebhook)


def test_what_has_no_address_or_has_not_ended_is_no_webhook() -> None:
    given(ask(callback_url=URL)).when(redelivers(DECIDED)).then_refused(UnknownWebhook)
    decided(callback_url=None).when(redelivers(DECIDED)).then_refused(UnknownWebhook)
    decided(test=True).when(redelivers(DECIDED)).then_refused(UnknownWebhook)
    given().when(redelivers(NOON)).then_refused(UnknownWebhook)
    given().when(pushes(NOON)).then_refused(UnknownApproval)


def test_what_becomes_of_a_delivery_changes_nothing_of_the_approval() -> None:
    before = decided().approval()
    scenario = decided(*failures(8), redelivers(after(days=3)), pushes(after(days=3), 9))
    assert scenario.approval().ending == before.ending
    assert scenario.approval().notifications.of == before.notifications.of
