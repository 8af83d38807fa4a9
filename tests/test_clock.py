"""The clock of the service: what it asks for, when, and that no rule waits for it."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.service import Clock, Service
from web import keys
from web.app import timekeeper_of
from web.background import AT_ONCE, GRACE


async def kinds(service: Service, approval: Any) -> list[str]:
    events = await service.events(approval["approval_id"])
    return [event["type"].removeprefix("approval.") for event in events]


@pytest.mark.parametrize(("late_ms", "expired"), [(499, False), (500, True), (2000, True)])
async def test_it_acts_half_a_second_after_a_deadline(
    service: Service, clock: Clock, late_ms: int, expired: bool
) -> None:
    approval = await service.ask(expires_in=60)
    await service.quiet()
    clock.advance(seconds=60, milliseconds=late_ms)
    await timekeeper_of(service.app).look()
    assert ("expired" in await kinds(service, approval)) == expired


def test_that_leaves_time_to_record_it_within_two_seconds() -> None:
    assert timedelta(0) < GRACE <= timedelta(seconds=1)


async def test_who_comes_in_that_half_second_is_late_all_the_same(
    service: Service, clock: Clock
) -> None:
    approval = await service.ask(expires_in=60)
    await service.quiet()
    clock.advance(seconds=60)
    await timekeeper_of(service.app).look()
    await service.says("zhangsan", "TY 12345_2")
    assert (await service.look(approval["approval_id"]))["status"] == "expired"


async def test_it_reminds_and_expires_many_in_one_look(service: Service, clock: Clock) -> None:
    service.hurry()
    for number in range(50):
        await service.ask(f"{number}_1", expires_in=1200 if number % 2 else 600)
    await service.quiet()
    clock.advance(seconds=901)
    await timekeeper_of(service.app).look()
    _, body = await service.api("GET", "/approvals?status=expired&limit=1000")
    assert len(body["approvals"]) == 25
    reminded = 0
    _, waiting = await service.api("GET", "/approvals?status=pending&limit=1000")
    for approval in waiting["approvals"]:
        reminded += "reminded" in await kinds(service, approval)
    assert reminded == 25


async def test_more_than_a_look_takes_are_ended_in_one_go(service: Service, clock: Clock) -> None:
    service.hurry()
    await asyncio.gather(
        *(service.ask(f"{n}_1", approvers=["zhangsan"], expires_in=10) for n in range(AT_ONCE + 20))
    )
    await service.app[keys.READING].caught_up()
    clock.advance(seconds=11)
    keeper = timekeeper_of(service.app)
    assert await keeper.expire()  # there is more
    assert not await keeper.expire()
    _, body = await service.api("GET", "/approvals?status=pending")
    assert body["approvals"] == []
