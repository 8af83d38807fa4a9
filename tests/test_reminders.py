"""One reminder, when a quarter of the time is left and at least two minutes; none after an end."""

import pytest

from adapters.simulator.wecom import SimulatedWeCom
from tests.conftest import StartService
from tests.service import Clock, Service
from tests.timing import SimulatedTime


@pytest.fixture
def sleep(clock: Clock) -> SimulatedTime:
    return SimulatedTime(clock)


def reminders(service: Service, userid: str) -> list[str]:
    sent = [message.text for message in service.wecom.inbox(userid)]
    return [text for text in sent if "分钟超时" in text]


async def test_whoever_was_asked_is_reminded_when_a_quarter_of_the_time_is_left(
    service: Service, clock: Clock
) -> None:
    approval = await service.ask(expires_in=1200)
    await service.quiet()
    clock.advance(seconds=899.999)
    await service.expire()
    await service.quiet()
    assert reminders(service, "zhangsan") == []
    clock.advance(milliseconds=1)
    await service.expire()
    await service.quiet()
    for userid in ("zhangsan", "lisi", "wangwu"):
        assert reminders(service, userid) == [
            (
                "【故障自愈】12345_2 还有 5 分钟超时（20:20）: 替换故障机 10.0.0.1\n"
                "同意请回复: TY 12345_2\n驳回请回复: BH 12345_2"
            )
        ]
    kinds = [event["type"] for event in await service.events(approval["approval_id"])]
    assert kinds.count("approval.reminded") == 1


async def test_it_comes_once_whatever_happens(start: StartService, clock: Clock) -> None:
    service = await start(super_approvers="")
    await service.ask(expires_in=1200)
    await service.quiet()
    for _ in range(4):
        clock.advance(seconds=240)
        await service.expire()
        await service.quiet()
    await service.stop()
    service = await start(super_approvers="")
    await service.expire()
    await service.quiet()
    assert len(reminders(service, "zhangsan")) == 1


@pytest.mark.parametrize(("expires_in", "count"), [(479, 0), (480, 1)])
async def test_a_reminder_leaves_at_least_two_minutes(
    service: Service, clock: Clock, expires_in: int, count: int
) -> None:
    await service.ask(expires_in=expires_in)
    await service.quiet()
    clock.advance(seconds=expires_in * 3 / 4 - 0.1)
    for _ in range(3):
        await service.expire()
        clock.advance(seconds=0.5)  # as often as the clock looks
    await service.quiet()
    assert len(reminders(service, "zhangsan")) == count


async def test_who_comes_too_late_reminds_nobody(start: StartService, clock: Clock) -> None:
    """The process was down when it was due, and less than two minutes are left."""
    service = await start(super_approvers="")
    await service.ask(expires_in=1200)
    await service.quiet()
    clock.advance(seconds=1090.001)
    await service.expire()
    await service.quiet()
    assert reminders(service, "zhangsan") == []


async def test_after_an_end_nobody_is_reminded(service: Service, clock: Clock) -> None:
    approval = await service.ask()
    await service.quiet()
    await service.says("lisi", "TY 12345_2")
    clock.advance(seconds=900)
    await service.expire()
    await service.quiet()
    assert reminders(service, "zhangsan") == []
    kinds = [event["type"] for event in await service.events(approval["approval_id"])]
    assert "approval.reminded" not in kinds


async def test_a_reminder_that_waits_is_dropped_by_the_end(
    start: StartService, wecom: SimulatedWeCom, clock: Clock, sleep: SimulatedTime
) -> None:
    service = await start(super_approvers="")
    await service.ask()
    await sleep.pass_(service, seconds=1)
    wecom.knobs.outage = "refuse"
    await sleep.pass_(service, seconds=900)
    await service.says("lisi", "TY 12345_2")
    wecom.knobs.outage = "none"
    await sleep.pass_(service, minutes=2)
    assert reminders(service, "zhangsan") == []


async def test_who_could_not_be_reached_is_not_reminded(
    service: Service, wecom: SimulatedWeCom, clock: Clock
) -> None:
    wecom.show_only_to({"lisi", "wangwu"})
    await service.ask()
    await service.quiet()
    wecom.show_only_to({"zhangsan", "lisi", "wangwu"})
    clock.advance(seconds=900)
    await service.expire()
    await service.quiet()
    assert reminders(service, "zhangsan") == []
    assert len(reminders(service, "lisi")) == 1


async def test_a_long_message_is_shortened_in_a_reminder(service: Service, clock: Clock) -> None:
    await service.ask(message="清" * 2000)
    await service.quiet()
    clock.advance(seconds=900)
    await service.expire()
    await service.quiet()
    (reminder,) = reminders(service, "zhangsan")
    assert f": {'清' * 300}…\n" in reminder
    assert len(reminder.encode()) < 2048


async def test_a_reminder_says_about_how_much_is_left(service: Service, clock: Clock) -> None:
    await service.ask(expires_in=1200)
    await service.quiet()
    clock.advance(seconds=1081)
    await service.expire()
    await service.quiet()
    (reminder,) = reminders(service, "lisi")
    assert "还有 2 分钟超时" in reminder
