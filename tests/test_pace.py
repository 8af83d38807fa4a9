"""How fast one member is written to."""

from datetime import timedelta

import pytest

from tests.service import Clock
from web.pace import REMEMBERED_MEMBERS, Pace, Turn

SINGLY, GATHERED = Turn(), Turn(gather=True)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(clock)


def test_the_first_three_of_a_minute_go_out_singly(pace: Pace, clock: Clock) -> None:
    for _ in range(3):
        assert pace.notice("zhangsan") == SINGLY
        pace.sent("zhangsan")
        clock.advance(seconds=1)
    assert pace.notice("zhangsan") == Turn(wait_s=29.0, may_hurry=True)


def test_what_comes_then_is_gathered_half_a_minute_after_the_last(pace: Pace, clock: Clock) -> None:
    for _ in range(3):
        pace.sent("zhangsan")
    clock.advance(seconds=29.999)
    assert pace.notice("zhangsan").wait_s == pytest.approx(0.001)
    clock.advance(seconds=0.001)
    assert pace.notice("zhangsan") == GATHERED


def test_gathering_goes_on_until_a_minute_has_passed_without(pace: Pace, clock: Clock) -> None:
    for _ in range(3):
        pace.sent("zhangsan")
    clock.advance(seconds=30)
    pace.sent("zhangsan", gathered=True)
    clock.advance(seconds=29)  # the three are nearly out of the minute
    assert pace.notice("zhangsan") == Turn(wait_s=1.0)
    clock.advance(seconds=1)
    assert pace.notice("zhangsan") == GATHERED
    clock.advance(seconds=29.999)
    assert pace.notice("zhangsan") == GATHERED
    clock.advance(seconds=0.001)
    assert pace.notice("zhangsan") == SINGLY


def test_the_fourth_goes_out_singly_once_the_first_is_a_minute_old(
    pace: Pace, clock: Clock
) -> None:
    pace.sent("zhangsan")
    clock.advance(seconds=40)
    pace.sent("zhangsan")
    pace.sent("zhangsan")
    assert pace.notice("zhangsan") == Turn(wait_s=30.0, may_hurry=True)
    clock.advance(seconds=20)
    assert pace.notice("zhangsan") == SINGLY


def test_no_two_digests_come_within_half_a_minute_whatever_the_hurry(
    pace: Pace, clock: Clock
) -> None:
    for _ in range(3):
        pace.sent("zhangsan")
    clock.advance(seconds=10)
    assert pace.notice("zhangsan").may_hurry
    pace.sent("zhangsan", gathered=True)
    clock.advance(seconds=29)
    assert not pace.notice("zhangsan").may_hurry
    clock.advance(seconds=1)
    assert pace.notice("zhangsan") == GATHERED


def test_answers_count_for_the_whole_and_hold_no_notice_back(pace: Pace) -> None:
    for _ in range(24):
        pace.sent("zhangsan", answer=True)
    assert pace.notice("zhangsan") == SINGLY
    assert pace.answer_waits_s("zhangsan") == 0


def test_no_more_than_25_a_minute_all_together(pace: Pace, clock: Clock) -> None:
    pace.sent("zhangsan", answer=True)
    clock.advance(seconds=10)
    for _ in range(24):
        pace.sent("zhangsan", answer=True)
    assert pace.answer_waits_s("zhangsan") == 50
    assert pace.notice("zhangsan") == Turn(wait_s=50.0)
    clock.advance(seconds=50)
    assert pace.answer_waits_s("zhangsan") == 0
    assert pace.notice("zhangsan") == SINGLY


def test_members_do_not_share_a_pace(pace: Pace) -> None:
    for _ in range(25):
        pace.sent("zhangsan")
    assert pace.notice("lisi") == SINGLY
    assert pace.answer_waits_s("lisi") == 0


def test_a_clock_that_is_set_back_holds_nobody_up_for_long(pace: Pace, clock: Clock) -> None:
    for _ in range(3):
        pace.sent("zhangsan")
    clock.advance(hours=-1)
    assert pace.notice("zhangsan").wait_s <= 30


def test_a_clock_that_is_set_back_after_a_digest_holds_nobody_up(pace: Pace, clock: Clock) -> None:
    pace.sent("zhangsan", gathered=True)
    clock.advance(seconds=70)
    pace.notice("zhangsan")
    clock.advance(hours=-3)
    assert pace.notice("zhangsan") == SINGLY


def test_members_of_another_day_are_forgotten(pace: Pace, clock: Clock) -> None:
    pace.sent("zhangsan")
    clock.advance(minutes=2)
    for number in range(REMEMBERED_MEMBERS + 5):
        pace.notice(f"lisi-{number}")
    assert len(pace._members) <= REMEMBERED_MEMBERS + 1


def test_a_pause_is_never_nothing(pace: Pace, clock: Clock) -> None:
    """Who waits for no time at all would ask again at once, for ever."""
    for _ in range(3):
        pace.sent("zhangsan")
    clock.now += timedelta(seconds=30) - timedelta(microseconds=1)
    assert pace.notice("zhangsan").wait_s > 0
