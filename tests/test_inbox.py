"""The inbox: who is greeted and when, and how often it is said that only texts are read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from domain import errors
from domain.identity import inbox_stream
from domain.inbox import NOT_TEXT, Inbox
from tests.scenario import (
    APPROVE,
    DEADLINE,
    MILLISECOND,
    NOON,
    Expected,
    after,
    ask,
    cancels,
    comes,
    event,
    given,
    says,
)
from tests.stores import in_one_batch, opened, pausing, writing

__all__ = ["pausing"]

HOUR = timedelta(hours=1)
MIDNIGHT = datetime(2026, 5, 5, tzinfo=UTC)
GREETED = event(Inbox.Greeted)
LONG = ask(expires_in=2592000)  # it waits all the while


def greeted(by: str, at: datetime) -> Expected:
    return event(Inbox.Greeted, by=by, timestamp=at, originator_id=inbox_stream(by, at))


def sends_a_picture(at: datetime = NOON, by: str = "zhangsan", **fields: Any) -> Any:
    key = f"picture {at.isoformat()}"
    return says(by, None, None, at, **{"doubt": NOT_TEXT, "delivery_key": key, **fields})


def not_text(*, unanswered: bool) -> Expected:
    return event(Inbox.Received, refusal=NOT_TEXT, unanswered=unanswered)


# Greeting.


def test_who_comes_while_something_waits_is_greeted() -> None:
    given(LONG).when(comes("ZhangSan", after(minutes=1))).then(
        greeted("ZhangSan", after(minutes=1))
    )


@pytest.mark.parametrize(
    "before",
    [
        [],
        [ask(approvers=["lisi"])],
        [ask(), says("lisi", APPROVE)],
        [ask(), cancels()],
        [ask(approvers=["zhangsan", "lisi"], requested_by="zhangsan")],
    ],
    ids=["nothing", "for another", "decided", "cancelled", "their own"],
)
def test_who_comes_while_nothing_waits_for_them_is_not(before: list[Any]) -> None:
    scenario = given(*before).when(comes("zhangsan", after(minutes=2))).then_nothing()
    assert scenario.unit.events_of(inbox_stream("zhangsan", NOON)) == []


def test_who_came_for_nothing_is_greeted_as_soon_as_something_waits() -> None:
    given(comes("zhangsan", NOON), LONG).when(comes("zhangsan")).then(GREETED)


def test_a_super_approver_of_now_is_greeted_for_what_they_may_decide() -> None:
    given(LONG).under("wangwu").when(comes("wangwu")).then(GREETED)
    given(LONG, super_approvers=["wangwu"]).under().when(comes("wangwu")).then_nothing()


@pytest.mark.parametrize("since", [MILLISECOND, HOUR - MILLISECOND])
@pytest.mark.parametrize("first", [NOON, MIDNIGHT - MILLISECOND, MIDNIGHT - timedelta(minutes=30)])
def test_nobody_is_greeted_twice_within_an_hour(first: datetime, since: timedelta) -> None:
    """Also when the two stand in the streams of two days."""
    given(LONG, comes("zhangsan", first)).when(comes("ZhangSan", first + since)).then_nothing()


@pytest.mark.parametrize("first", [NOON, MIDNIGHT - HOUR, MIDNIGHT - timedelta(minutes=30)])
def test_after_an_hour_they_are_again(first: datetime) -> None:
    scenario = given(LONG, comes("zhangsan", first))
    scenario.when(comes("zhangsan", first + HOUR)).then(greeted("zhangsan", first + HOUR))
    scenario.when(comes("zhangsan", first + 2 * HOUR - MILLISECOND)).then_nothing()


@pytest.mark.parametrize("first", [after(seconds=1), MIDNIGHT])
def test_a_clock_that_was_set_back_greets_nobody_again(first: datetime) -> None:
    scenario = given(LONG, comes("zhangsan", first))
    scenario.when(comes("zhangsan", first - timedelta(seconds=1))).then_nothing()


def test_a_greeting_of_one_says_nothing_to_another() -> None:
    given(LONG, comes("zhangsan")).when(comes("lisi")).then(event(Inbox.Greeted, by="lisi"))


def test_a_message_of_theirs_is_no_greeting() -> None:
    scenario = given(LONG)
    scenario.when(says("zhangsan", None, None, at=NOON)).then_refused(
        errors.NothingDecided, event(Inbox.Received)
    )
    scenario.when(comes("zhangsan")).then(GREETED)


def test_a_repeated_delivery_greets_nobody() -> None:
    """Not even an hour later, or when nothing came of it the first time."""
    scenario = given(LONG, comes("zhangsan", NOON, delivery_key="same"))
    scenario.when(comes("ZhangSan", after(hours=2), delivery_key="same")).then_nothing()
    scenario = given(comes("zhangsan", NOON, delivery_key="same"), LONG)
    scenario.when(comes("zhangsan", after(minutes=1), delivery_key="same")).then_nothing()


@pytest.mark.usefixtures("pausing")
async def test_of_many_who_come_in_one_batch_each_is_greeted_once(tmp_path: Path) -> None:
    came = [comes(name, DEADLINE, delivery_key=str(n)) for n in range(3) for name in ("lisi", "zs")]
    with writing(tmp_path) as writer, opened(tmp_path) as house:
        await writer.execute(ask(approvers=["lisi", "zs"], expires_in=86400))
        await in_one_batch(writer, *came, *came)
        for name in ("lisi", "zs"):
            events = [event for _, event in house.store.events_of(inbox_stream(name, NOON))]
            assert [type(event) for event in events] == [Inbox.Greeted]


@pytest.mark.usefixtures("pausing")
@pytest.mark.parametrize("asked_first", [True, False])
async def test_who_comes_in_one_batch_with_an_end_is_greeted_for_what_is_left(
    tmp_path: Path, asked_first: bool
) -> None:
    """The read models that are asked have seen the whole batch."""
    commands = [comes("zhangsan", NOON), cancels()]
    with writing(tmp_path) as writer, opened(tmp_path) as house:
        await writer.execute(ask())
        await in_one_batch(writer, *(commands if asked_first else reversed(commands)))
        assert house.store.events_of(inbox_stream("zhangsan", NOON)) == []


# Only texts are read: said once a UTC day.


def test_that_only_texts_are_read_is_said_once_a_day() -> None:
    scenario = given()
    scenario.when(sends_a_picture(NOON))
    scenario.then_refused(errors.NothingDecided, not_text(unanswered=False))
    for at in (NOON + MILLISECOND, MIDNIGHT - MILLISECOND):
        scenario.when(sends_a_picture(at, "ZhangSan"))
        scenario.then_refused(errors.NothingDecided, not_text(unanswered=True))
    scenario.when(sends_a_picture(MIDNIGHT))
    scenario.then_refused(errors.NothingDecided, not_text(unanswered=False))
    scenario.when(sends_a_picture(MIDNIGHT, "lisi"))
    scenario.then_refused(errors.NothingDecided, not_text(unanswered=False))


def test_a_picture_that_is_delivered_again_is_not_kept_again() -> None:
    scenario = given().when(sends_a_picture())
    scenario.when(sends_a_picture()).then_nothing()


def test_every_text_is_answered_before_and_after_a_picture() -> None:
    scenario = given()
    for minute in range(3):
        scenario.when(says("zhangsan", None, None, after(minutes=minute)))
        scenario.then_refused(errors.NothingDecided, event(Inbox.Received, unanswered=False))
        scenario.when(sends_a_picture(after(minutes=minute)))
        scenario.then_refused(errors.NothingDecided, not_text(unanswered=minute > 0))


def test_what_was_said_before_does_not_say_that_only_texts_are_read() -> None:
    scenario = given(LONG, comes("zhangsan", NOON))
    scenario.when(says("zhangsan", None, None, NOON))
    scenario.when(sends_a_picture(after(minutes=1)))
    scenario.then_refused(errors.NothingDecided, not_text(unanswered=False))
