"""The timeline's words: one line for every event, whatever the event was about."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from eventsourcing.persistence import JSONTranscoder

from adapters.store.mapper import EventMapper
from domain.approval import Approval
from domain.catalogue import EVENTS
from domain.notifications import Way
from domain.webhooks import RETRY_AFTER
from projections.outbox import Kind
from tests.golden_events import GOLDEN, Golden, stored
from tests.scenario import (
    APPROVE,
    NOON,
    after,
    ask,
    cancels,
    given,
    leaves,
    pushes,
    reached,
    redelivers,
    reminds,
    says,
)
from web import happenings
from web.timeline import WORDS, in_words
from web.translation import ENGLISH, LANGUAGE
from web.vocabulary import ABOUT, DELIVERED, REFUSED


def words(*commands: Any) -> list[str]:
    """What the last command has in the timeline, after the others."""
    *before, last = commands
    asked = ask(callback_url="https://engine.example/decisions?key=1")
    return [in_words(event) for event in given(asked, *before).when(last).happened]


def test_every_event_that_is_ever_stored_has_words_and_in_one_place() -> None:
    assert set(WORDS) == set(Approval.event_classes())
    assert {*WORDS, *happenings.WORDS} == set(EVENTS.values())
    assert set(WORDS).isdisjoint(happenings.WORDS)


@pytest.mark.parametrize("one", GOLDEN, ids=[f"{o.topic}-{n}" for n, o in enumerate(GOLDEN)])
def test_every_stored_event_is_told_in_both_languages(one: Golden) -> None:
    event = EventMapper(JSONTranscoder()).to_domain_event(stored(one.topic, one.state))
    chinese = in_words(event)
    token = LANGUAGE.set(ENGLISH)
    english = in_words(event)
    LANGUAGE.reset(token)
    assert chinese != english
    assert re.search("[\u4e00-\u9fff]", chinese) and not re.search("[（）：；]", english)
    assert "\n" not in chinese + english
    assert "c2VhbGVk" not in chinese + english  # what is sealed in them


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


def test_what_became_of_pushing_a_decision() -> None:
    before = [cancels(at=NOON), *(pushes(at, n, "answered 500") for n, at in each_try())]
    first, *_, last = [words(*before[: number + 1]) for number in range(1, len(before))]
    assert first == ["结论推送失败（第 1 次）: answered 500"]
    assert last == ["结论推送失败（第 8 次）: answered 500；不再重试，可手动重新推送"]
    later = after(days=3)
    assert words(*before, redelivers(later)) == ["fta 要求重新推送结论"]
    delivered = words(*before, redelivers(later), pushes(later, 9))
    assert delivered == ["结论已推送到回调地址（第 9 次）"]


def each_try() -> Iterator[tuple[int, datetime]]:
    """Number and moment of every try of one schedule."""
    at = NOON
    for number, delay in enumerate([timedelta(), *RETRY_AFTER], 1):
        at += delay
        yield number, at


def test_no_kind_of_message_is_without_words() -> None:
    assert set(DELIVERED) == set(ABOUT) == set(Kind)


@pytest.mark.parametrize("code", sorted(REFUSED))
def test_why_a_reply_decided_nothing_is_told_in_chinese(code: str) -> None:
    replied = given(ask()).when(says("zhangsan", APPROVE, doubt=code)).happened
    assert [in_words(event) for event in replied] == [
        f"zhangsan 通过回复同意: “TY 12345_2”（未生效: {REFUSED[code]}）"
    ]


def test_a_push_that_a_restore_withheld_counts_as_no_try() -> None:
    event = Approval.WebhookFailed(
        originator_id="approval-12345_2",
        originator_version=5,
        timestamp=NOON,
        delivery=4,
        attempt=0,
        problem="withheld",
        failures=0,
        retry_at=None,
    )
    assert in_words(event) == "结论未推送: withheld；不再重试，可手动重新推送"
