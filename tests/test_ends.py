"""Who hears how an approval ended, in which words; who hears that nobody could be told."""

from typing import Any

import pytest

from adapters.simulator.wecom import SimulatedWeCom
from tests.conftest import StartService
from tests.service import Clock, Service
from tests.timing import SimulatedTime
from tests.visitor import Visitor

NAMED = "12345_2（替换故障机 10.0.0.1）"
HEAD, DONE = "【故障自愈】", "，无需再处理"


@pytest.fixture
def sleep(clock: Clock) -> SimulatedTime:
    return SimulatedTime(clock)


def told(service: Service, userid: str) -> list[str]:
    """What a member was sent beside the message that asks."""
    sent = [message.text for message in service.wecom.inbox(userid)]
    return [text for text in sent if "即将执行" not in text]


async def asked(service: Service, **fields: Any) -> Any:
    approval = await service.ask(**fields)
    await service.quiet()
    return approval


async def end(service: Service, approval: Any, how: str) -> None:
    match how:
        case "approved by text":
            await service.says("lisi", "TY 12345_2 已确认")
        case "rejected by text":
            await service.says("lisi", "BH 12345_2 磁盘<没满")
        case "approved by page":
            visitor = Visitor(service)
            page = await visitor.log_in("lisi")
            await visitor.press(page.form, "approve")
        case "cancelled":
            path = f"/approvals/{approval['approval_id']}/cancel"
            await service.api("POST", path, json={"reason": "告警已恢复"})
        case "superseded":
            await service.ask(run=2, approvers=["zhangsan-2"])
        case "expired":
            service.clock.advance(seconds=1200)
            await service.expire()
    await service.quiet()


HOW = {
    "approved by text": "已由 lisi 于 20:00 通过回复同意（已确认）",
    "rejected by text": "已由 lisi 于 20:00 通过回复驳回（磁盘＜没满）",
    "approved by page": "已由 lisi 于 20:00 通过页面同意",
    "cancelled": "已由 fta 于 20:00 通过接口撤销（告警已恢复）",
    "superseded": "已由 fta 于 20:00 通过接口撤销（已由第 2 次执行取代）",
    "expired": "已于 20:20 超时",
}


@pytest.mark.parametrize(("how", "line"), HOW.items())
async def test_everybody_who_was_asked_hears_in_one_line_how_it_ended(
    service: Service, how: str, line: str
) -> None:
    service.hurry()
    approval = await asked(service)
    await end(service, approval, how)
    for userid in ("zhangsan", "wangwu"):
        assert told(service, userid)[:1] == [f"{HEAD}{NAMED} {line}{DONE}"]


async def test_who_decided_in_the_chat_has_the_answer_and_no_line(service: Service) -> None:
    await end(service, await asked(service), "approved by text")
    assert told(service, "lisi") == [f"{HEAD}审批成功：您已同意 12345_2"]


async def test_who_decided_on_the_page_hears_it_in_the_chat_too(service: Service) -> None:
    """If it was somebody else with their browser, they learn of it."""
    await end(service, await asked(service), "approved by page")
    assert told(service, "lisi") == [f"{HEAD}{NAMED} 您已于 20:00 通过页面同意{DONE}"]


async def test_who_was_not_reached_hears_nothing(service: Service, wecom: SimulatedWeCom) -> None:
    wecom.show_only_to({"lisi", "wangwu"})
    await end(service, await asked(service), "expired")
    assert wecom.inbox("zhangsan") == []
    assert len(told(service, "wangwu")) == 1


async def test_who_was_never_asked_because_it_ended_first_hears_nothing(
    start: StartService, wecom: SimulatedWeCom, sleep: SimulatedTime
) -> None:
    service = await start(super_approvers="")
    wecom.knobs.outage = "refuse"
    approval = await service.ask()
    await sleep.settle(service)
    path = f"/approvals/{approval['approval_id']}/cancel"
    await service.api("POST", path, json={"reason": "告警已恢复"})
    wecom.knobs.outage = "none"
    await sleep.pass_(service, minutes=2)
    assert wecom.inbox("zhangsan") == wecom.inbox("lisi") == []


# Who requested.


async def test_who_requested_hears_the_result(service: Service) -> None:
    approval = await asked(service, requested_by="wangwu")
    await end(service, approval, "rejected by text")
    assert told(service, "wangwu") == [
        f"{HEAD}您发起的 {NAMED} 已由 lisi 于 20:00 通过回复驳回（磁盘＜没满）"
    ]


async def test_who_requested_hears_that_nobody_answered(service: Service) -> None:
    await end(service, await asked(service, requested_by="wangwu"), "expired")
    assert told(service, "wangwu") == [f"{HEAD}您发起的 {NAMED} 已于 20:20 超时"]


@pytest.mark.parametrize("program", ["自愈引擎", "fta engine", "sys", "@all", "a|b"])
async def test_a_program_that_requested_is_sent_nothing(service: Service, program: str) -> None:
    await end(service, await asked(service, requested_by=program), "expired")
    assert all("您发起的" not in str(call.payload) for call in service.wecom.calls)


async def test_a_requester_whom_wecom_does_not_know_changes_nothing(service: Service) -> None:
    approval = await asked(service, requested_by="nobody-here")
    await end(service, approval, "approved by text")
    events = await service.events(approval["approval_id"])
    (failed,) = [event for event in events if event["type"] == "approval.notification-failed"]
    assert (failed["data"]["notice"], failed["data"]["unreachable"]) == ("result/nobody-here", True)
    assert "approval.nobody-reached" not in [event["type"] for event in events]
    now = await service.look(approval["approval_id"])
    assert [to["userid"] for to in now["notifications"]] == ["zhangsan", "lisi", "wangwu"]


# Nobody can be told.


async def test_when_no_approver_can_be_reached_super_approvers_and_the_engine_know(
    service: Service, wecom: SimulatedWeCom
) -> None:
    wecom.show_only_to({"wangwu"})
    approval = await asked(service)
    assert told(service, "wangwu") == [
        (
            f"{HEAD}请注意: {NAMED} 的审批人 zhangsan、lisi 均无法收到消息，请您审批或联系他们\n"
            "同意请回复: TY 12345_2\n驳回请回复: BH 12345_2"
        )
    ]
    now = await service.look(approval["approval_id"])
    assert [to["state"] for to in now["notifications"]] == ["unreachable", "unreachable", "sent"]
    kinds = [event["type"] for event in await service.events(approval["approval_id"])]
    assert kinds.count("approval.nobody-reached") == 1


async def test_while_one_approver_can_be_reached_nobody_is_alarmed(
    service: Service, wecom: SimulatedWeCom
) -> None:
    wecom.show_only_to({"lisi", "wangwu"})
    await asked(service)
    assert told(service, "wangwu") == []


async def test_without_wecom_the_engine_sees_at_once_that_nobody_is_told(
    start: StartService,
) -> None:
    service = await start(wecom_secret="")
    approval = await service.ask()
    await service.notified(approval["approval_id"])
    kinds = [event["type"] for event in await service.events(approval["approval_id"])]
    assert "approval.nobody-reached" in kinds


async def test_an_approver_of_many_is_named_with_their_number(service: Service) -> None:
    await asked(service, approvers=[f"unknown-{n}" for n in range(7)])
    (alarm,) = told(service, "wangwu")
    names = "、".join(f"unknown-{n}" for n in range(5))
    assert f"的审批人 {names} 等 7 人 均无法收到消息" in alarm
