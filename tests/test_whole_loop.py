"""From request to decision, over real HTTP, with the simulated WeCom on a socket."""

from tests.service import Service


async def test_an_engine_asks_an_approver_replies_and_the_engine_hears_of_it(
    service: Service,
) -> None:
    approval = await service.ask("12345_2", message="替换故障机 10.0.0.1")
    asked = await service.inbox("zhangsan", 1)
    assert asked[0].splitlines() == [
        "【故障自愈】即将执行 替换故障机 10.0.0.1,请审核！",
        "同意请回复: TY 12345_2",
        "驳回请回复: BH 12345_2",
    ]
    assert await service.says("zhangsan", "TY 12345_2") == 200
    decision = (await service.decisions())[0]
    assert decision["type"] == "fta.approval.approved"
    assert decision["subject"] == "12345_2"
    assert decision["data"]["approval_id"] == approval["approval_id"]
    assert decision["data"]["decided_by"] == "zhangsan"
    assert decision["data"]["decided_via"] == "wecom-text"
    assert (await service.inbox("zhangsan", 2))[1] == "【故障自愈】审批成功：您已同意 12345_2"
