"""The clock of a demo that hurries: everything on it runs alike."""

from datetime import timedelta

import pytest

from adapters.simulator.fast_clock import FastClock
from tests.service import NOON, Clock


def fast(clock: Clock, speed: int, slept: list[float]) -> FastClock:
    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    return FastClock(speed, clock, clock.monotonic, sleep)


@pytest.mark.parametrize("speed", [1, 10, 60])
async def test_time_passes_so_many_times_as_fast_from_where_it_began(
    clock: Clock, speed: int
) -> None:
    slept: list[float] = []
    hurried = fast(clock, speed, slept)
    began = hurried.monotonic()
    assert hurried() == NOON
    clock.advance(seconds=6)
    assert hurried() == NOON + timedelta(seconds=6 * speed)
    assert hurried.monotonic() - began == 6 * speed
    await hurried.sleep(60)
    assert slept == [60 / speed]


def test_at_one_it_is_set_when_the_machine_is(clock: Clock) -> None:
    """By the time server, or after the machine slept: then as in real life."""
    plain = fast(clock, 1, [])
    clock.advance(hours=-2)
    assert plain() == clock()
