"""Answers in the chat that need no service: what fits, what is named, what is said in doubt."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adapters.wecom.messages import DOUBTS, FAILURE, NAMELESS, Clockface, answer_to_inbox
from adapters.wecom.waiting import todo_list
from domain.approval import Approval
from domain.commands import RequestApproval
from domain.decision import Risk
from domain.inbox import Inbox
from tests.service import NOON

LINK = "https://fta.example.com/o/bk_fta_solutions/wechat/todo/"
HOW = "同意请回复: TY 编号，驳回请回复: BH 编号"
CLOCKFACE = Clockface(ZoneInfo("Asia/Shanghai"))


def waits(obj_id: str = "12345_2", message: str = "替换故障机", run: int = 1) -> Approval:
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


def received(refusal: str, words: str, minutes: int = 1, **fields: Any) -> Inbox.Received:
    """Words of zhangsan's some minutes after the request, and why they decided nothing."""
    return Inbox.Received(
        originator_id="inbox-zhangsan-2026-01-05",
        originator_version=1,
        timestamp=NOON + timedelta(minutes=minutes),
        by="zhangsan",
        words=words,
        channel="wecom-text",
        refusal=refusal,
        **fields,
    )


def answered(received: Inbox.Received, waiting: list[Approval], link: str | None = None) -> str:
    names = [approval.reply_id for approval in waiting]
    return answer_to_inbox(received, names, waiting[:5], CLOCKFACE, link)


@pytest.mark.parametrize("character", ["x", "清", "<", "👍"])
def test_the_longest_list_fits_a_text(character: str) -> None:
    longest = [waits("a" * 63 + str(n), character * 2000, 10**17) for n in range(7)]
    text = todo_list(7, longest, lambda at: f"{at:%m-%d %H:%M}", LINK)
    assert len(text.encode()) <= 2048
    assert text.count("\n") == 8
    assert text.endswith(f"\n另有 2 项截止较晚\n{HOW} 原因\n全部待办: {LINK}")


def test_the_address_of_the_page_stands_under_the_list_if_it_is_given() -> None:
    todo = received("todo", "待办")
    lines = ["【故障自愈】等待您审批的有 1 项:", "12345_2 替换故障机（高风险，20:20 截止）"]
    assert answered(todo, [waits()]).split("\n") == [*lines, f"{HOW} 原因"]
    assert answered(todo, [waits()], LINK).endswith(f"\n全部待办: {LINK}")
    assert answered(todo, [], LINK) == "【故障自愈】目前没有等待您审批的事项"


@pytest.mark.parametrize("refusal", [*DOUBTS, *NAMELESS, "unknown-approval", "of-a-later-version"])
@pytest.mark.parametrize("many", [0, 1, 2, 7])
def test_every_answer_says_what_waits_or_what_to_type(refusal: str, many: int) -> None:
    waiting = [waits(f"{n}_1") for n in range(many)]
    told = answered(received(refusal, "好的"), waiting)
    assert told.startswith(FAILURE)
    assert ("目前没有等待您审批的事项" in told) == (many == 0)
    assert ("0_1" in told) == (many > 0)
    assert "None" not in told
    assert "{" not in told


def test_words_that_came_too_late_are_to_be_typed_again() -> None:
    told = answered(received("stale", "TY"), [waits()])
    both = "同意请回复: TY 12345_2，驳回请回复: BH 12345_2"
    assert told == f"{FAILURE}您的回复到达时间异常，未作决定，{both}"
