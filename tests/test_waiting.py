"""The list of what waits, as it stands in the chat."""

import pytest

from adapters.wecom.waiting import todo_list
from domain.approval import Approval
from domain.commands import RequestApproval
from domain.decision import Risk
from tests.service import NOON

LINK = "https://fta.example.com/o/bk_fta_solutions/wechat/todo/"


def waits(obj_id: str, message: str, run: int = 1) -> Approval:
    request = RequestApproval(
        at=NOON,
        engine="fta",
        obj_id=obj_id,
        run=run,
        message=message,
        approvers=["zhangsan"],
        risk=Risk.HIGH,
    )
    return Approval.request(request, [])


@pytest.mark.parametrize("character", ["x", "清", "<", "👍"])
def test_the_longest_list_fits_a_text(character: str) -> None:
    longest = [waits("a" * 63 + str(n), character * 2000, 10**17) for n in range(7)]
    text = todo_list(longest, lambda at: f"{at:%m-%d %H:%M}", LINK)
    assert len(text.encode()) <= 2048
    assert text.count("\n") == 8
    assert text.endswith(
        f"\n另有 2 项截止较晚\n同意请回复: TY 编号，驳回请回复: BH 编号 原因\n全部待办: {LINK}"
    )


def test_nothing_waits() -> None:
    assert todo_list([], str, LINK) == "【故障自愈】目前没有等待您审批的事项"
