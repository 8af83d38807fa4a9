"""What members are sent, in which words, in which order, and what happens while WeCom is away."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from adapters.simulator.wecom import SimulatedWeCom
from domain.commands import OpenPage
from projections.outbox import Lane
from tests.conftest import StartService
from tests.service import WITHIN_S, Service
from web import keys

SUCCESS, FAILURE = "【故障自愈】审批成功：", "【故障自愈】审批失败："
BOTH_WAYS = "同意请回复: TY 编号，驳回请回复: BH 编号 原因"
CUT_MARK = "…（未显示完，请在待办中查看后审批）"


class Pauses:
    """The sender's back-off in the test's hand: each pause is noted and lasts until it is over."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._asleep: list[asyncio.Event] = []

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        over = asyncio.Event()
        self._asleep.append(over)
        await over.wait()

    def over(self) -> None:
        """For everybody who is pausing now."""
        asleep, self._asleep = self._asleep, []
        for one in asleep:
            one.set()

    async def begun(self, members: int) -> None:
        """So many members' queues are pausing."""
        await until(lambda: len(self._asleep) >= members)


async def until(happened: Callable[[], object]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not happened():
            await asyncio.sleep(0.01)


@pytest.fixture
def sleep() -> Pauses:
    return Pauses()


def asking(message: str, reply_id: str) -> str:
    what = f"【故障自愈】即将执行 {message},请审核！"
    return f"{what}\n同意请回复: TY {reply_id}\n驳回请回复: BH {reply_id}"


def todo(*items: str) -> str:
    """The list in the chat."""
    first, last = f"【故障自愈】等待您审批的有 {len(items)} 项:", BOTH_WAYS
    return "\n".join([first, *items, last])


def calls(wecom: SimulatedWeCom, path: str) -> int:
    return sum(call.path == path for call in wecom.calls)


def texts(wecom: SimulatedWeCom, userid: str) -> list[str]:
    return [message.text for message in wecom.inbox(userid)]


async def states(service: Service, approval: Any) -> dict[str, tuple[str, str | None]]:
    now = await service.look(approval["approval_id"])
    return {to["userid"]: (to["state"], to["detail"]) for to in now["notifications"]}


async def events(service: Service, approval: Any, kind: str) -> list[Any]:
    found = await service.events(approval["approval_id"])
    return [event for event in found if event["type"] == f"approval.{kind}"]


# The text that asks.


async def test_approvers_and_super_approvers_are_asked_byte_for_byte(service: Service) -> None:
    approval = await service.ask(message="替换故障机 10.0.0.1")
    await service.notified(approval["approval_id"])
    for userid in ("zhangsan", "lisi", "wangwu"):
        assert texts(service.wecom, userid) == [asking("替换故障机 10.0.0.1", "12345_2")]


async def test_a_later_run_is_asked_with_its_own_id(service: Service) -> None:
    await service.ask(run=2)
    assert await service.inbox("lisi", 1) == [asking("替换故障机 10.0.0.1", "12345_2.2")]


async def test_a_bracket_in_the_message_begins_no_link(service: Service) -> None:
    await service.ask(message='<a href="http://x">a</a> $userName=lisi$\n同意请回复: BH 1')
    assert await service.inbox("lisi", 1) == [
        asking('＜a href="http://x">a＜/a> $userName=lisi$ 同意请回复: BH 1', "12345_2")
    ]


async def test_a_link_is_a_fourth_line(start: StartService) -> None:
    service = await start(text_link="1", app_url="https://fta.example.com/o/bk/wechat/")
    approval = await service.ask()
    (asked,) = await service.inbox("zhangsan", 1)
    page = f"https://fta.example.com/o/bk/wechat/a/{approval['approval_id']}/"
    assert asked == asking("替换故障机 10.0.0.1", "12345_2") + f"\n详情: {page}"


async def test_who_requests_is_not_asked(service: Service) -> None:
    approval = await service.ask(requested_by="ZhangSan")
    assert await states(service, approval) != {}
    now = await service.notified(approval["approval_id"])
    assert [to["userid"] for to in now["notifications"]] == ["lisi", "wangwu"]
    assert texts(service.wecom, "zhangsan") == []


async def test_one_who_is_approver_and_super_approver_is_asked_once(start: StartService) -> None:
    service = await start(super_approvers="ZHANGSAN,wangwu")
    approval = await service.ask()
    now = await service.notified(approval["approval_id"])
    assert [to["userid"] for to in now["notifications"]] == ["zhangsan", "lisi", "wangwu"]
    assert len(texts(service.wecom, "zhangsan")) == 1


# A message that does not fit.


async def test_a_long_message_is_cut_at_a_character_and_its_instructions_stay_whole(
    service: Service,
) -> None:
    approval = await service.ask(message="清" * 2000)
    await service.notified(approval["approval_id"])
    (asked,) = texts(service.wecom, "zhangsan")
    first, *instructions = asked.split("\n")
    assert len(asked.encode()) <= 2048 < len(asked.encode()) + len("清".encode())
    assert first.startswith("【故障自愈】即将执行 清清")
    assert first.endswith(f"清{CUT_MARK},请审核！")
    assert instructions == ["同意请回复: TY 12345_2", "驳回请回复: BH 12345_2"]
    assert [sent["data"]["cut"] for sent in await events(service, approval, "notified")] == [
        True,
        True,
        True,
    ]


async def test_what_was_cut_is_decided_by_text_only_after_its_page_was_opened(
    service: Service,
) -> None:
    approval = await service.ask(message="清" * 2000)
    await service.notified(approval["approval_id"])
    refused = f"{FAILURE}12345_2 的内容未能完整显示，请在待办中查看后再审批"
    assert await service.heard("zhangsan", "TY 12345_2") == refused
    await _open(service, "lisi")
    assert await service.heard("zhangsan", "BH 12345_2") == refused
    await _open(service, "ZhangSan")
    assert await service.heard("zhangsan", "TY 12345_2") == f"{SUCCESS}您已同意 12345_2"
    assert [kept["data"]["refusal"] for kept in await events(service, approval, "replied")] == [
        "open-it-first",
        "open-it-first",
        None,
    ]


async def test_what_was_cut_for_its_link_alone_has_to_be_opened_too(start: StartService) -> None:
    service = await start(text_link="1")
    fitting = "清" * ((2048 - len(asking("", "12345_2").encode())) // 3)
    approval = await service.ask(message=fitting)
    await service.notified(approval["approval_id"])
    assert CUT_MARK in texts(service.wecom, "zhangsan")[0]
    assert "未能完整显示" in await service.heard("zhangsan", "TY 12345_2")
    await _open(service, "zhangsan")
    assert await service.heard("zhangsan", "TY 12345_2") == f"{SUCCESS}您已同意 12345_2"


async def _open(service: Service, userid: str) -> None:
    command = OpenPage(at=service.clock(), by=userid, reply_id="12345_2")
    await service.app[keys.WRITER].execute(command)


# What became of a message.


async def test_each_member_has_a_state_of_their_own(service: Service, sleep: Pauses) -> None:
    service.wecom.show_only_to({"zhangsan", "lisi"})
    approval = await service.ask()
    await service.notified(approval["approval_id"])
    found = await states(service, approval)
    assert found["zhangsan"] == found["lisi"] == ("sent", None)
    assert found["wangwu"][0] == "unreachable"
    assert "visible range" in str(found["wangwu"][1]) or "81013" in str(found["wangwu"][1])
    assert {sent["data"]["to"] for sent in await events(service, approval, "notified")} == {
        "zhangsan",
        "lisi",
    }
    (failed,) = await events(service, approval, "notification-failed")
    assert (failed["data"]["to"], failed["data"]["unreachable"]) == ("wangwu", True)
    assert sleep.asked == []


async def test_what_wecom_refuses_for_good_failed_and_says_why(
    start: StartService, wecom: SimulatedWeCom
) -> None:
    service = await start(super_approvers="")
    wecom.script("message/send", 45002, 45002)
    approval = await service.ask(approvers=["zhangsan"])
    await service.notified(approval["approval_id"])
    state, detail = (await states(service, approval))["zhangsan"]
    assert state == "failed"
    assert "45002" in str(detail)
    assert calls(wecom, "message/send") == 2  # also without a word from elsewhere


async def test_without_wecom_a_notification_failed_and_the_approval_waits(
    start: StartService,
) -> None:
    service = await start(wecom_secret="")
    approval = await service.ask()
    now = await service.notified(approval["approval_id"])
    assert now["status"] == "pending"
    assert set((await states(service, approval)).values()) == {
        ("failed", "WeCom is not configured")
    }


# Queues.


async def test_a_member_who_cannot_be_sent_to_delays_nobody_else_and_keeps_the_order(
    start: StartService, wecom: SimulatedWeCom, sleep: Pauses
) -> None:
    service = await start(super_approvers="")
    wecom.script("message/send", -1)
    first = await service.ask("1_1", approvers=["zhangsan"])
    await sleep.begun(1)
    second = await service.ask("2_1", approvers=["lisi", "zhangsan"])
    third = await service.ask("3_1", approvers=["lisi"])
    await service.notified(third["approval_id"])
    assert len(texts(wecom, "lisi")) == 2
    assert await states(service, first) == {"zhangsan": ("pending", None)}
    assert await states(service, second) == {
        "lisi": ("sent", None),
        "zhangsan": ("pending", None),
    }
    sleep.over()
    await service.quiet()
    assert [text.split("TY ")[1].split()[0] for text in texts(wecom, "zhangsan")] == ["1_1", "2_1"]


async def test_everything_asked_together_is_sent_once_and_in_order(service: Service) -> None:
    service.hurry()
    approvals = await asyncio.gather(*(service.ask(f"{n}_1") for n in range(60)))
    await service.quiet()
    in_order = [a["reply_id"] for a in sorted(approvals, key=lambda a: a["number"])]
    for userid in ("zhangsan", "lisi", "wangwu"):
        sent = [text.split("TY ")[1].split()[0] for text in texts(service.wecom, userid)]
        assert sent == in_order
    assert calls(service.wecom, "message/send") == 180


async def test_no_message_is_forgotten_when_it_comes_as_its_queue_ends(
    start: StartService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await start(super_approvers="")
    reading = service.app[keys.READING]
    read, told = asyncio.Event(), asyncio.Event()
    at_once = reading.messages_for

    async def late(member: str, lane: Lane, limit: int) -> list[Any]:
        """The same answer; that there is nothing takes its time."""
        rows = await at_once(member, lane, limit)
        if not rows:
            read.set()
            await told.wait()
        return rows

    monkeypatch.setattr(reading, "messages_for", late)
    await service.ask("1_1", approvers=["zhangsan"])
    await read.wait()
    await service.ask("2_1", approvers=["zhangsan"])
    await reading.caught_up()
    for _ in range(5):  # meanwhile the sender looks, and finds the queue still there
        await reading.waiting_lanes()
    told.set()
    assert len(await service.inbox("zhangsan", 2)) == 2


# WeCom is away, and comes back.


@pytest.mark.parametrize("outage", ["refuse", "http-500", "html", "busy", "lost-answer"])
async def test_what_could_not_be_sent_is_sent_in_order_when_wecom_is_back(
    start: StartService, wecom: SimulatedWeCom, sleep: Pauses, outage: Any
) -> None:
    service = await start(super_approvers="")
    wecom.knobs.outage = outage
    for number in range(3):
        approval = await service.ask(f"{number}_1")
    for _ in range(3):
        await sleep.begun(2)
        sleep.over()
    await sleep.begun(2)
    assert {state for state, _ in (await states(service, approval)).values()} == {"pending"}
    wecom.knobs.outage = "none"
    sleep.over()
    await service.quiet()
    for userid in ("zhangsan", "lisi"):
        sent = [text.split("TY ")[1].split()[0] for text in texts(wecom, userid)]
        assert sent == ["0_1", "1_1", "2_1"]


async def test_pauses_grow_and_are_never_longer_than_half_a_minute(
    start: StartService, wecom: SimulatedWeCom, sleep: Pauses
) -> None:
    service = await start(super_approvers="")
    wecom.knobs.outage = "refuse"
    await service.ask(approvers=["zhangsan"])
    for _ in range(8):
        await sleep.begun(1)
        sleep.over()
    await sleep.begun(1)
    assert sleep.asked == [1, 2, 4, 8, 16, 30, 30, 30, 30]


async def test_a_refused_token_is_replaced_without_a_pause(service: Service, sleep: Pauses) -> None:
    approval = await service.ask("1_1")
    await service.notified(approval["approval_id"])
    service.wecom.expire_tokens()
    approval = await service.ask("2_1")
    await service.notified(approval["approval_id"])
    assert calls(service.wecom, "gettoken") == 2
    assert sleep.asked == []


async def test_a_wrong_secret_is_tried_once_in_five_minutes_and_works_once_it_is_right(
    start: StartService, wecom: SimulatedWeCom, sleep: Pauses
) -> None:
    service = await start(wecom_secret="not-yet-the-secret")
    approval = await service.ask()
    for _ in range(20):
        await sleep.begun(3)
        sleep.over()
    await sleep.begun(3)
    assert [call.path for call in wecom.calls] == ["gettoken"]
    service.clock.advance(minutes=5)
    sleep.over()
    await sleep.begun(3)
    assert calls(wecom, "gettoken") == 2
    assert {state for state, _ in (await states(service, approval)).values()} == {"pending"}
    wecom.tokens.agents["not-yet-the-secret"] = wecom.settings.agent_id
    service.clock.advance(minutes=5)
    sleep.over()
    await service.notified(approval["approval_id"])
    assert {state for state, _ in (await states(service, approval)).values()} == {"sent"}


async def test_what_has_ended_meanwhile_is_not_announced(
    start: StartService, wecom: SimulatedWeCom, sleep: Pauses
) -> None:
    service = await start(super_approvers="")
    wecom.knobs.outage = "refuse"
    decided, cancelled = await service.ask("1_1"), await service.ask("2_1")
    await service.ask("3_1", expires_in=10)
    await sleep.begun(2)
    await service.says("lisi", "TY 1_1")
    await service.api(
        "POST", f"/approvals/{cancelled['approval_id']}/cancel", json={"reason": "已恢复"}
    )
    service.clock.advance(seconds=10)
    await service.expire()
    await sleep.begun(3)  # the answer to lisi waits too
    wecom.knobs.outage = "none"
    sleep.over()
    await service.quiet()
    assert texts(wecom, "zhangsan") == []
    assert texts(wecom, "lisi") == [f"{SUCCESS}您已同意 1_1"]
    assert {state for state, _ in (await states(service, decided)).values()} == {"pending"}


async def test_what_is_overdue_and_not_yet_expired_is_not_announced_and_holds_nothing_up(
    start: StartService, wecom: SimulatedWeCom, sleep: Pauses
) -> None:
    service = await start(super_approvers="")
    wecom.knobs.outage = "refuse"
    await service.ask("1_1", approvers=["zhangsan"], expires_in=10)
    await sleep.begun(1)
    service.clock.advance(seconds=10)
    wecom.knobs.outage = "none"
    sleep.over()
    await service.ask("2_1", approvers=["zhangsan"])
    assert await service.inbox("zhangsan", 1) == [asking("替换故障机 10.0.0.1", "2_1")]
    await service.expire()
    await service.quiet()
    assert len(texts(wecom, "zhangsan")) == 1
    assert len(sleep.asked) == 1


async def test_after_a_restart_the_rest_is_sent_and_nothing_twice(
    start: StartService, wecom: SimulatedWeCom, sleep: Pauses
) -> None:
    first = await start()
    sent = await first.ask("1_1")
    await first.says("zhangsan", "TY 9_9")
    await first.quiet()
    wecom.knobs.outage = "refuse"
    await first.ask("2_1")
    await first.says("zhangsan", "待办")
    await sleep.begun(3)
    await first.stop()
    wecom.knobs.outage = "none"
    wecom.calls.clear()
    second = await start()
    await second.quiet()
    assert len(texts(wecom, "zhangsan")) == 4
    # An answer and what asks go in lanes of their own: neither waits for the other.
    assert sorted(texts(wecom, "zhangsan")[2:]) == sorted(
        [
            asking("替换故障机 10.0.0.1", "2_1"),
            todo("1_1 替换故障机 10.0.0.1（20:20 截止）", "2_1 替换故障机 10.0.0.1（20:20 截止）"),
        ]
    )
    assert calls(wecom, "message/send") == 4
    assert {state for state, _ in (await states(second, sent)).values()} == {"sent"}


async def test_while_the_read_models_stand_still_nothing_is_sent_twice(
    start: StartService, wecom: SimulatedWeCom, sleep: Pauses, tmp_path: Path
) -> None:
    wecom.knobs.outage = "refuse"
    before = await start(super_approvers="")
    await before.says("zhangsan", "帮助")
    await sleep.begun(1)
    approval = await before.ask(approvers=["zhangsan"])
    await before.stop()
    service = await start(super_approvers="")
    await sleep.begun(2)  # the queue has read both
    await service.ask("2_1", approvers=["zhangsan"])
    await service.app[keys.READING].caught_up()
    wecom.knobs.outage = "none"
    wecom.calls.clear()
    views = tmp_path / "fta-approval.db-views"
    with closing(sqlite3.connect(views, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        sleep.over()
        await sleep.begun(1)  # what was recorded does not leave the outbox
        sleep.over()
        await service.inbox("zhangsan", 3)
        other.execute("ROLLBACK")
    await service.quiet()
    assert calls(wecom, "message/send") == 3
    assert len(await events(service, approval, "notified")) == 1


# Answers.


async def test_the_one_who_decides_is_told_so(service: Service) -> None:
    for number in range(3):
        await service.ask(f"{number}_1")
    await service.quiet()
    assert await service.heard("zhangsan", "TY 0_1") == f"{SUCCESS}您已同意 0_1"
    assert await service.heard("lisi", "BH 1_1 磁盘没满") == f"{SUCCESS}您已驳回 1_1"
    assert await service.heard("wangwu", "ｏｋ　２＿１ 已确认") == f"{SUCCESS}您已同意 2_1"


WAITING = "等待您审批的有: 1_1、8_1.2"
LATER = "；新一次执行仍待审批，同意请回复: TY 8_1.2，驳回请回复: BH 8_1.2"
HELP = "【故障自愈】同意请回复: TY 编号，驳回请回复: BH 编号 原因，查看待办请回复: 待办"
ANSWERS = [
    # Words that name what waits for the member, and decide nothing.
    ("zhangsan", "TY 1_1 吗？", "看起来您在提问，1_1 未作决定，同意请只回复: TY 1_1"),
    ("zhangsan", "同意 1_1，不要吧", "看起来您还有疑虑，1_1 未作决定，同意请只回复: TY 1_1"),
    ("zhangsan", "TY 1_1 2_1", "一次只能审批一个编号，1_1 未作决定，同意请只回复: TY 1_1"),
    (
        "zhangsan",
        "1_1",
        "未能理解您的回复，1_1 未作决定，同意请回复: TY 1_1，驳回请回复: BH 1_1",
    ),
    # What has ended: who, when, how, why.
    ("zhangsan", "BH 2_1", "2_1 已由 lisi 于 20:00 通过回复同意，本次回复未生效"),
    ("zhangsan", "TY 2_1", "2_1 已由 lisi 于 20:00 通过回复同意，本次回复未生效"),
    (
        "zhangsan",
        "TY 3_1",
        "3_1 已由 lisi 于 20:00 通过回复驳回（磁盘＜没满），本次回复未生效",
    ),
    (
        "zhangsan",
        "TY 4_1",
        "4_1 已由 fta 于 20:00 通过接口撤销（告警已恢复），本次回复未生效",
    ),
    ("zhangsan", "TY 5_1", "5_1 已于 20:01 超时，本次回复未生效"),
    (
        "zhangsan",
        "TY 2_1 吗？",
        "看起来您在提问，2_1 已由 lisi 于 20:00 通过回复同意，本次回复未生效",
    ),
    # A decision of their own, repeated or regretted, while a later run waits.
    ("lisi", "ty 2_1", "+2_1 您已于 20:00 同意"),
    ("lisi", "BH 3_1", "+3_1 您已于 20:00 驳回"),
    ("zhangsan", "TY 8_1", "+8_1 您已于 20:00 同意" + LATER),
    (
        "zhangsan",
        "BH 8_1",
        "8_1 已由 zhangsan 于 20:00 通过回复同意，本次回复未生效" + LATER,
    ),
    # Somebody else's.
    ("zhangsan", "TY 6_1", "您不是 6_1 的审批人，本次回复未生效"),
    ("zhangsan", "TY 6_1 吗？", "看起来您在提问，6_1 未作决定"),
    ("zhangsan", "6_1", "未能理解您的回复，6_1 未作决定"),
    ("zhangsan", "TY 7_1", "7_1 由您发起，不能由您审批，本次回复未生效"),
    ("wangwu", "TY 1_1", "您不是 1_1 的审批人，本次回复未生效"),
    ("wangwu", "TY 2_1", "您不是 2_1 的审批人，本次回复未生效"),
    ("wangwu", "TY 2_1 吗？", "看起来您在提问，2_1 未作决定"),
    # No id, or one that there is not: only what waits for that very member is named.
    ("zhangsan", "TY 9_9", f"没有编号为 9_9 的审批，{WAITING}"),
    ("lisi", "TY 9_9", "没有编号为 9_9 的审批，等待您审批的有: 1_1、6_1、7_1"),
    ("wangwu", "TY 9_9", "没有编号为 9_9 的审批，目前没有等待您审批的事项"),
    ("zhangsan", "TY", f"请写明编号，{WAITING}"),
    ("zhangsan", "驳回", f"请写明编号，{WAITING}"),
    ("wangwu", "TY", "本次回复未生效，目前没有等待您审批的事项"),
    ("zhangsan", "ok", f"请在同意或驳回后写明编号，{WAITING}"),
    ("zhangsan", "同意吗？", f"看起来您在提问，未作决定，{WAITING}"),
    (
        "zhangsan",
        "你好",
        "未能理解您的回复，未作决定，同意请回复: TY 编号，驳回请回复: BH 编号，" + WAITING,
    ),
    # What is no decision at all.
    ("zhangsan", "？", HELP),
    ("zhangsan", "帮助", HELP),
    (
        "zhangsan",
        "待办",
        todo("1_1 替换故障机 10.0.0.1（20:20 截止）", "8_1.2 替换故障机 10.0.0.1（20:20 截止）"),
    ),
    ("wangwu", "todo", "【故障自愈】目前没有等待您审批的事项"),
]


async def test_every_reply_is_answered_by_what_happened_or_what_to_type(
    start: StartService, wecom: SimulatedWeCom
) -> None:
    service = await start(super_approvers="")
    service.hurry()
    await _a_busy_day(service)
    answers = [(by, words, await service.heard(by, words)) for by, words, _ in ANSWERS]
    assert answers == [(by, words, _whole(answer)) for by, words, answer in ANSWERS]
    waiting = (await service.api("GET", "/approvals?status=pending"))[1]["approvals"]
    assert [approval["reply_id"] for approval in waiting] == ["1_1", "6_1", "7_1", "8_1.2"]


async def _a_busy_day(service: Service) -> None:
    for number in (1, 2, 3, 4):
        last = await service.ask(f"{number}_1")
    await service.ask("5_1", expires_in=10)
    await service.ask("6_1", approvers=["lisi"])
    await service.ask("7_1", requested_by="zhangsan")
    await service.ask("8_1", approvers=["zhangsan"])
    await service.says("lisi", "TY 2_1")
    await service.says("lisi", "BH 3_1 磁盘<没满")
    await service.says("zhangsan", "TY 8_1")
    await service.api(
        "POST", f"/approvals/{last['approval_id']}/cancel", json={"reason": "告警已恢复"}
    )
    await service.ask("8_1", run=2, approvers=["zhangsan"])
    service.clock.advance(minutes=1)
    await service.expire()
    await service.quiet()


def _whole(answer: str) -> str:
    """`+` stands for the words of success; otherwise, unless it has them, those of failure."""
    if answer.startswith("+"):
        return SUCCESS + answer[1:]
    return answer if answer.startswith("【") else FAILURE + answer


async def test_a_late_reply_is_told_that_it_was_too_late(service: Service) -> None:
    await service.ask(expires_in=60)
    await service.quiet()
    service.clock.advance(seconds=60)
    told = await service.heard("zhangsan", "TY 12345_2")
    assert told == f"{FAILURE}12345_2 已于 20:01 超时，本次回复未生效"


async def test_a_reply_that_was_long_on_its_way_is_told_so(service: Service) -> None:
    await service.ask()
    await service.quiet()
    service.wecom.knobs.hold_callbacks = True
    await service.says("zhangsan", "TY 12345_2")
    service.wecom.knobs.hold_callbacks = False
    (sent,) = texts(service.wecom, "zhangsan")
    await service.wecom.release_callbacks()
    assert (await service.inbox("zhangsan", 2))[1] == f"{SUCCESS}您已同意 12345_2"
    assert sent == asking("替换故障机 10.0.0.1", "12345_2")


async def test_what_happened_on_another_day_is_told_with_the_day(service: Service) -> None:
    await service.ask(expires_in=3 * 86_400)
    await service.says("zhangsan", "TY 12345_2")
    await service.quiet()
    service.clock.advance(days=1)
    told = await service.heard("zhangsan", "同意 12345_2")
    assert told == f"{SUCCESS}12345_2 您已于 01-05 20:00 同意"


async def test_times_are_told_in_the_time_zone_of_the_settings(start: StartService) -> None:
    service = await start(time_zone="UTC")
    await service.ask()
    await service.says("zhangsan", "TY 12345_2")
    await service.quiet()
    assert (await service.heard("lisi", "TY 12345_2")).startswith(
        f"{FAILURE}12345_2 已由 zhangsan 于 12:00 通过回复同意"
    )


async def test_an_answer_names_five_of_many(service: Service) -> None:
    service.hurry()
    for number in range(7):
        await service.ask(f"{number}_1")
    await service.quiet()
    told = await service.heard("zhangsan", "TY 9_9")
    assert told.endswith("等待您审批的有: 0_1、1_1、2_1、3_1、4_1 等 7 项")


async def test_the_todo_list_in_the_chat_names_the_five_most_urgent(service: Service) -> None:
    service.hurry()
    await service.ask("0_1", expires_in=3 * 86_400, message="<重启>" + "长" * 60)
    for number in range(1, 6):
        await service.ask(f"{number}_1", message=f"重启 {number}", expires_in=600)
    await service.ask("6_1", message="格式化 </dev/sda>", risk="high", expires_in=300)
    await service.quiet()
    assert (await service.heard("zhangsan", "待办")).split("\n") == [
        "【故障自愈】等待您审批的有 7 项:",
        "6_1 格式化 ＜/dev/sda>（高风险，20:05 截止）",
        *(f"{number}_1 重启 {number}（20:10 截止）" for number in range(1, 5)),
        "另有 2 项截止较晚",
        "同意请回复: TY 编号，驳回请回复: BH 编号 原因",
    ]
    service.clock.advance(seconds=600)
    assert (await service.heard("zhangsan", "todo")).split("\n")[:2] == [
        "【故障自愈】等待您审批的有 1 项:",  # nothing overdue, though the clock has ended nothing
        f"0_1 ＜重启>{'长' * 36}…（01-08 20:00 截止）",
    ]


@pytest.mark.parametrize("words", ["TY 12345-2", "TY", "好的", "TY 12345_2吗 12346_1", "待办"])
async def test_what_is_overdue_is_suggested_to_nobody(service: Service, words: str) -> None:
    """Whether or not the clock has ended it."""
    await service.ask("12345_2", expires_in=60)
    await service.quiet()
    service.clock.advance(seconds=60)
    assert "TY 12345_2" not in await service.heard("zhangsan", words)


async def test_the_same_question_twice_is_answered_twice(service: Service) -> None:
    assert await service.heard("zhangsan", "帮助") == HELP
    assert await service.heard("zhangsan", "帮助") == HELP
    await service.quiet()
    assert texts(service.wecom, "zhangsan") == [HELP, HELP]


async def test_however_long_the_reason_was_an_answer_fits_a_text(service: Service) -> None:
    await service.ask()
    await service.says("lisi", "BH 12345_2 " + "满" * 600)
    await service.quiet()
    told = await service.heard("zhangsan", "TY 12345_2")
    assert told.startswith(f"{FAILURE}12345_2 已由 lisi 于 20:00 通过回复驳回（满满")
    assert told.endswith("满…），本次回复未生效")
    assert len(told.encode()) < 2048


async def test_a_stranger_to_the_corp_who_is_answered_hears_nothing_and_stops_nobody(
    service: Service, sleep: Pauses
) -> None:
    service.wecom.show_only_to({"lisi"})
    assert await service.says("zhangsan", "TY 9_9") == 200
    await service.quiet()
    assert len(await service.kept_of("zhangsan")) == 1
    assert sleep.asked == []
