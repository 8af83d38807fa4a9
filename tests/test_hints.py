"""What the simulated chat offers to be tapped: answers to what waits, by the service's words."""

import asyncio

import pytest

from adapters.simulator.hints import hints
from tests.conftest import StartService
from tests.service import WITHIN_S, Clock, Service


def offered(service: Service, userid: str) -> list[str]:
    return hints(service.wecom.inboxes.conversation(userid))


async def until_offered(service: Service, userid: str, expected: list[str]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while offered(service, userid) != expected:
            await asyncio.sleep(0.01)


STYLES = pytest.mark.parametrize("style", ["text", "card", "both"])


@STYLES
async def test_the_newest_that_waits_is_offered_until_it_ended(
    start: StartService, style: str
) -> None:
    service = await start(message_style=style)
    service.hurry()
    assert offered(service, "zhangsan") == []
    for obj_id in ("1_1", "2_1"):
        await service.ask(obj_id)
        await until_offered(service, "zhangsan", [f"TY {obj_id}", f"BH {obj_id}"])
    await service.quiet()
    await service.heard("zhangsan", "TY 2_1")
    for userid in ("zhangsan", "lisi", "wangwu"):
        await until_offered(service, userid, ["TY 1_1", "BH 1_1"])
    await service.heard("lisi", "BH 1_1 先不动")
    for userid in ("zhangsan", "lisi", "wangwu"):
        await until_offered(service, userid, [])


@STYLES
async def test_what_expired_is_offered_no_more_and_its_next_run_is(
    start: StartService, clock: Clock, style: str
) -> None:
    service = await start(message_style=style)
    service.hurry()
    await service.ask("1_1", expires_in=60)
    await service.quiet()
    clock.advance(seconds=60)
    await service.expire()
    await until_offered(service, "lisi", [])
    await service.ask("1_1", run=2)
    await until_offered(service, "lisi", ["TY 1_1.2", "BH 1_1.2"])


async def test_a_card_that_changed_ends_what_its_reminder_asked(
    start: StartService, clock: Clock
) -> None:
    service = await start(message_style="card")
    await service.ask("1_1", expires_in=1200)
    await service.quiet()
    clock.advance(seconds=900)
    await service.expire()
    assert "分钟超时" in (await service.inbox("lisi", 2))[-1]
    clock.advance(seconds=300)
    await service.expire()
    await until_offered(service, "lisi", [])


async def test_a_question_about_it_leaves_it_offered(service: Service) -> None:
    await service.ask("1_1")
    await service.quiet()
    await service.heard("zhangsan", "TY 1_1 吗")
    assert offered(service, "zhangsan") == ["TY 1_1", "BH 1_1"]


async def test_a_digest_tells_what_is_over_and_what_is_not(
    start: StartService, clock: Clock
) -> None:
    service = await start(super_approvers="")
    for obj_id, expires_in in (("3_1", 1200), ("1_1", 30), ("2_1", 30)):
        await service.ask(obj_id, expires_in=expires_in)
        await service.quiet()
    assert offered(service, "zhangsan") == ["TY 2_1", "BH 2_1"]
    clock.advance(seconds=30)
    await service.expire()
    digest = (await service.inbox("zhangsan", 4))[-1]
    assert "最紧急的是 3_1" in digest
    assert "1_1 已超时、2_1 已超时" in digest
    assert offered(service, "zhangsan") == ["TY 3_1", "BH 3_1"]
