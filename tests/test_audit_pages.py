"""`/audit/`: who sees what of the history, and that it is kept who did; nothing can be changed."""

from typing import Any

import pytest

from domain.aggregate import Event
from domain.audit import Audit
from tests.conftest import StartService
from tests.service import Clock, Service
from tests.visitor import Page, Visitor
from web import keys

Json = dict[str, Any]
AUDITOR = {"auditors": "wangwu", "super_approvers": ""}
ACTION = {"do": "restart", "host": "10.0.0.3"}


@pytest.fixture
async def audited(start: StartService) -> Service:
    return await start(**AUDITOR)


async def visitor(service: Service, userid: str = "wangwu") -> Visitor:
    somebody = Visitor(service)
    await somebody.log_in(userid)
    return somebody


def path_of(approval: Json) -> str:
    return f"/audit/a/{approval['approval_id']}/"


async def kept(service: Service) -> list[Event]:
    """What was recorded of readers of the history, oldest first."""
    last = await service.app[keys.READING].last_position()
    store = service.app[keys.WRITER].store
    stored = store.read_after(0, last)
    return [store.event(one) for one in stored if one.topic.startswith("audit.")]


# One approval.


async def lived(service: Service, clock: Clock) -> Json:
    """An approval to which everything happened."""
    approval: Json = await service.ask(
        "7_3", approvers=["ZhangSan", "lisi"], action=ACTION, requested_by="zhangsan", biz_id="2"
    )
    await service.notified(approval["approval_id"])
    await service.says("zhangsan", "TY 7_3")
    await service.says("wangwu", "BH 7_3 <b>不行</b>")
    await service.says("lisi", "TY 7_3 已确认吗？")
    clock.advance(seconds=65)
    await service.says("lisi", "TY 7_3 已确认备机可用")
    permit = (await service.decisions())[-1]["data"]["permit"]
    for attempt, action in (("a-1", {"do": "stop"}), ("a-2", ACTION), ("a-3", ACTION)):
        body = {"permit": permit, "action": action, "attempt": attempt}
        await service.api("POST", "/permits/redeem", json=body)
    clock.advance(seconds=30)
    outcome = {"outcome": "failed", "detail": "无法连接"}
    await service.api("POST", f"/approvals/{approval['approval_id']}/outcome", json=outcome)
    return approval


async def test_one_page_says_everything_that_happened_to_an_approval(
    audited: Service, clock: Clock
) -> None:
    approval = await lived(audited, clock)
    page = await (await visitor(audited)).get(path_of(approval))
    assert page.status == 200
    for said in (
        "替换故障机 10.0.0.1",
        '"host": "10.0.0.3"',
        approval["action_digest"],
        "ZhangSan、lisi",
        "lisi 于 2026-01-05 20:01:05 通过回复同意",
        "未生效的回复（3）",
        "zhangsan 发起人不能审批",
        "BH 7_3 <b>不行</b>",
        "像是在提问",
        "已送达企业微信",
        "有效至 2026-01-05 20:16:05",
        "已领取 fta",
        "拒绝领取 要执行的操作与批准的不同",
        "拒绝领取 许可已被另一次执行领取",
        "执行失败 fta 无法连接",
        "2026-01-05 20:01:35",
        "时间均为 Asia/Shanghai",
    ):
        assert said in page.text, said
    assert "<b>不行</b>" not in page.html
    events = await audited.events(approval["approval_id"])
    for event in events:
        assert f"#{event['position']} " in page.text
