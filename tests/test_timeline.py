"""The timeline's words: one line for every event, whatever the event was about."""

from typing import Any

import pytest

from domain.approval import Approval
from domain.catalogue import EVENTS
from domain.notifications import Way
from projections.outbox import Kind
from tests.scenario import APPROVE, after, ask, given, leaves, reached, reminds, says
from web.timeline import ABOUT, DELIVERED, REFUSED, WORDS, in_words


def words(*commands: Any) -> list[str]:
    """What the last command has in the timeline, after the others."""
    *before, last = commands
    return [in_words(event) for event in given(ask(), *before).when(last).happened]


def test_every_event_of_an_approval_that_is_ever_stored_has_words() -> None:
    stored = {kind for topic, kind in EVENTS.items() if topic.startswith("approval.")}
    assert set(WORDS) == stored == set(Approval.event_classes())


def test_a_reminder() -> None:
    assert words(reminds(after(minutes=15))) == ["时间已过大半，提醒审批人"]


def test_a_member_who_left_and_that_nobody_is_left() -> None:
    failed = reached("lisi", problem="81013", unreachable=True)
    assert words(failed) == ["无法送达 lisi: 81013"]
    assert words(failed, leaves("ZHANGSAN")) == [
        "zhangsan 已离开应用的可见范围，无法再收到消息",
        "审批人均无法收到消息，已告知审批管理员",
    ]


@pytest.mark.parametrize(
    ("way", "cut", "line"),
    [
        (Way.TEXT, False, "已发送给 zhangsan"),
        (Way.UNKNOWN, False, "已发送给 zhangsan"),
        (Way.TEXT, True, "已发送给 zhangsan（内容较长，未显示完）"),
        (Way.CARD, False, "已发送给 zhangsan（卡片）"),
        (Way.BOTH, True, "已发送给 zhangsan（卡片）（内容较长，未显示完）"),
        (Way.DIGEST, False, "已发送给 zhangsan（汇总消息）"),
    ],
)
def test_as_what_somebody_was_asked(way: Way, cut: bool, line: str) -> None:
    assert words(reached("zhangsan", way=way, cut=cut)) == [line]


@pytest.mark.parametrize(
    ("notice", "sent", "failed"),
    [
        ("ask/zhangsan", "已发送给 zhangsan", "发送失败 zhangsan: 不行"),
        ("remind/zhangsan", "已提醒 zhangsan", "提醒发送失败 zhangsan: 不行"),
        ("alarm/zhangsan", "已请求协助 zhangsan", "协助请求发送失败 zhangsan: 不行"),
        ("end/zhangsan", "已告知结果 zhangsan", "结果发送失败 zhangsan: 不行"),
        ("result/zhangsan", "已告知发起人结果 zhangsan", "结果发送失败 zhangsan: 不行"),
        ("answer/7", "已答复 zhangsan", "答复发送失败 zhangsan: 不行"),
        ("card/zhangsan", "已更新卡片 zhangsan", "卡片更新发送失败 zhangsan: 不行"),
        ("card/zhangsan/7", "已更新卡片 zhangsan", "卡片更新发送失败 zhangsan: 不行"),
    ],
)
def test_what_became_of_each_kind_of_message(notice: str, sent: str, failed: str) -> None:
    assert words(reached("zhangsan", notice=notice)) == [sent]
    assert words(reached("zhangsan", notice=notice, problem="不行")) == [failed]


def test_no_kind_of_message_is_without_words() -> None:
    assert set(DELIVERED) == set(ABOUT) == set(Kind)


@pytest.mark.parametrize("code", sorted(REFUSED))
def test_why_a_reply_decided_nothing_is_told_in_chinese(code: str) -> None:
    replied = given(ask()).when(says("zhangsan", APPROVE, doubt=code)).happened
    assert [in_words(event) for event in replied] == [
        f"zhangsan 通过回复同意: “TY 12345_2”（未生效: {REFUSED[code]}）"
    ]
