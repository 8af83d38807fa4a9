"""WeCom is away for an hour: deciding goes on, and afterwards everybody hears what they have to.

Each kind of outage, with each way of asking, and with a restart of the service in the midst of it.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import aiohttp
import pytest

from adapters.simulator.inbox import Delivered
from adapters.simulator.knobs import Outage
from adapters.simulator.wecom import SimulatedWeCom
from tests.conftest import StartService
from tests.service import Service
from tests.test_sending import SUCCESS, Pauses, until
from tests.visitor import APPROVE, REJECT, Visitor
from web import keys
from web.pace import Limits

OUTAGES: tuple[Outage, ...] = ("refuse", "http-500", "html", "busy", "slow", "lost-answer")
# Of these the service hears nothing, and yet the member has what was sent.
UNHEARD = ("slow", "lost-answer")
STYLES = ("text", "card", "both")
ALL_THREE = ["zhangsan", "lisi", "wangwu"]
STEP_S = 300


@pytest.fixture
def sleep() -> Pauses:
    return Pauses()


@dataclass
class Day:
    """An outage of WeCom as the test lives through it."""

    start: StartService
    wecom: SimulatedWeCom
    sleep: Pauses
    style: str
    service: Service
    visitors: dict[str, Visitor]
    asked: dict[str, Any] = field(default_factory=dict)
    ended_at: dict[str, datetime] = field(default_factory=dict)

    async def ask(self, reply_id: str, **fields: Any) -> None:
        """By the engine, for as long as a day."""
        self.asked[reply_id] = await self.service.ask(reply_id, expires_in=86_400, **fields)

    async def goes_out(self, outage: Outage) -> None:
        self.wecom.knobs.outage, self.wecom.knobs.slow_s = outage, 0.1
        self._answers_within(0.05)
        await self._begins_to_wait()

    async def passes(self, steps: int) -> None:
        """Time, by five minutes and more tries each."""
        await self._begins_to_wait()
        for _ in range(steps):
            self.service.clock.advance(seconds=STEP_S)
            await self.service.expire()
            self.sleep.over()
            await self._begins_to_wait()

    async def restart(self) -> None:
        await self.service.stop()
        self.service = await started(self.start, self.style)
        self._answers_within(0.05)
        for visitor in self.visitors.values():
            visitor.service = self.service
        await self._begins_to_wait()

    async def comes_back(self) -> None:
        self.wecom.knobs.outage = "none"
        self._answers_within(10)
        self.sleep.over()
        await self.service.quiet()

    async def decides(self, userid: str, reply_id: str, decision: str) -> None:
        """On the page of what waits."""
        visitor = self.visitors[userid]
        page = await visitor.get("/wechat/todo/")
        assert page.status == 200
        done = await visitor.press(page.form_of(self.asked[reply_id]), decision)
        assert done.status == 303, done.text
        await self.has_ended(reply_id, {APPROVE: "approved", REJECT: "rejected"}[decision])

    async def has_ended(self, reply_id: str, status: str) -> None:
        """At once, whatever WeCom does."""
        now = await self.service.look(self.asked[reply_id]["approval_id"])
        assert now["status"] == status
        self.ended_at[reply_id] = self.service.clock()

    async def states(self, reply_id: str) -> dict[str, str]:
        now = await self.service.look(self.asked[reply_id]["approval_id"])
        return {to["userid"]: to["state"] for to in now["notifications"]}

    def _answers_within(self, timeout_s: float) -> None:
        """What is slow must be slower than that, and nobody wants to wait for it."""
        client = self.service.app[keys.OUTSIDE].wecom
        assert client is not None
        client._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def _begins_to_wait(self) -> None:
        """Every queue that there is."""
        await self.service.app[keys.READING].caught_up()
        lanes = await self.service.app[keys.READING].waiting_lanes()
        await self.sleep.begun(len(lanes))
        # What is slow happens all the same, and does so before the clock goes on.
        await until(lambda: not self.wecom.under_way)


async def started(start: StartService, style: str) -> Service:
    service = await start(message_style=style)
    service.hurry()
    return service


NewDay = Callable[[str], Awaitable[Day]]


@pytest.fixture
async def new_day(start: StartService, wecom: SimulatedWeCom, sleep: Pauses) -> NewDay:
    async def begin(style: str) -> Day:
        service = await started(start, style)
        visitors = {userid: Visitor(service) for userid in ALL_THREE}
        for userid, visitor in visitors.items():
            await visitor.log_in(userid)
        return Day(start, wecom, sleep, style, service, visitors)

    return begin


# What stands on a phone.


def cards(wecom: SimulatedWeCom, userid: str, reply_id: str) -> list[Delivered]:
    found = [message for message in wecom.inbox(userid) if message.kind == "template_card"]
    return [m for m in found if _approves(m).endswith(f"/{reply_id}")]


def _approves(message: Delivered) -> str:
    return str(message.content["button_list"][0]["key"])


def asks(wecom: SimulatedWeCom, userid: str) -> Iterator[tuple[str, datetime]]:
    """What each message asks about, and when it came."""
    for message in wecom.inbox(userid):
        if message.kind == "template_card":
            yield _approves(message).partition("/")[2], message.at
        elif "即将执行" in message.text:
            yield message.text.split("TY ")[1].split()[0], message.at


def in_order(wecom: SimulatedWeCom, userid: str) -> list[str]:
    """Each approval where it was asked for the first time."""
    return list(dict.fromkeys(reply_id for reply_id, _ in asks(wecom, userid)))


def ends(wecom: SimulatedWeCom, userid: str) -> list[str]:
    """Of which approvals a text or a changed card tells that it is over."""
    found = set()
    for message in wecom.inbox(userid):
        if message.button_caption is not None:
            found.add(_approves(message).partition("/")[2])
        if message.text.endswith("无需再处理"):
            found.add(message.text.removeprefix("【故障自愈】").partition("（")[0])
    return sorted(found)


def live(wecom: SimulatedWeCom, userid: str) -> list[str]:
    """Cards with buttons that still look as if there was something to decide."""
    found = [message for message in wecom.inbox(userid) if message.kind == "template_card"]
    return [_approves(m).partition("/")[2] for m in found if m.button_caption is None]


@pytest.mark.parametrize("restart", [False, True], ids=["no restart", "restart"])
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("outage", OUTAGES)
async def test_an_hour_without_wecom(
    new_day: NewDay, wecom: SimulatedWeCom, outage: Outage, style: str, restart: bool
) -> None:
    day = await new_day(style)
    for reply_id in ("1_1", "2_1", "3_1"):
        await day.ask(reply_id)
    await day.service.quiet()
    await day.goes_out(outage)

    # Asked while nobody can be told: by the page and by a reply it can be decided all the same.
    for reply_id in ("4_1", "5_1", "6_1", "7_1", "8_1", "9_1"):
        await day.ask(reply_id)
    await day.decides("zhangsan", "1_1", APPROVE)
    await day.decides("lisi", "4_1", REJECT)
    await day.passes(3)
    assert await day.service.says("lisi", "TY 2_1") == 200
    await day.has_ended("2_1", "approved")
    assert await day.service.says("wangwu", "BH 5_1 磁盘没满") == 200
    await day.has_ended("5_1", "rejected")
    await day.passes(3)
    if restart:
        await day.restart()
    await tap(day, "zhangsan", "3_1")
    await day.passes(3)
    await day.decides("wangwu", "6_1", APPROVE)
    await cancel(day, "7_1")
    await day.passes(3)
    assert set((await day.states("8_1")).values()) == {"pending"}
    await day.comes_back()

    for userid in ALL_THREE:
        assert_asked_rightly(day, userid, outage)
        told = ends(wecom, userid)
        # What the member was asked before; unless they decided it by a reply, which is answered.
        known = {"1_1", "2_1", "3_1"}
        answered = {"lisi": {"2_1"}, "zhangsan": {"3_1"} if style == "text" else set()}
        spoken = answered.get(userid, set()) if style == "text" else set()
        assert set(told) & known == known - spoken
        if outage not in UNHEARD:
            assert set(told) == known - spoken
            assert live(wecom, userid) == ([] if style == "text" else ["8_1", "9_1"])
    for reply_id in ("8_1", "9_1"):
        assert await day.states(reply_id) == dict.fromkeys(ALL_THREE, "sent")
    assert_answered(day)
    await the_rest_is_decided(day, outage)


async def tap(day: Day, userid: str, reply_id: str) -> None:
    """On the card that came before; where there is none, the same in words."""
    if day.style == "text":
        assert await day.service.says(userid, f"BH {reply_id}") == 200
    else:
        (card,) = cards(day.wecom, userid, reply_id)
        done = await day.wecom.tap(userid, str(card.task_id), f"reject/{reply_id}")
        assert done is not None
        assert done.status == 200
    await day.has_ended(reply_id, "rejected")


async def cancel(day: Day, reply_id: str) -> None:
    path = f"/approvals/{day.asked[reply_id]['approval_id']}/cancel"
    status, _ = await day.service.api("POST", path, json={"reason": "已恢复"})
    assert status == 200
    await day.has_ended(reply_id, "cancelled")


def assert_asked_rightly(day: Day, userid: str, outage: Outage) -> None:
    """In order, everything that waits, and nothing after its end."""
    asked = in_order(day.wecom, userid)
    assert asked == sorted(asked)
    assert {"1_1", "2_1", "3_1", "8_1", "9_1"} <= set(asked)
    if outage not in UNHEARD:
        assert asked == ["1_1", "2_1", "3_1", "8_1", "9_1"]
    for reply_id, at in asks(day.wecom, userid):
        assert reply_id not in day.ended_at or at <= day.ended_at[reply_id]


def assert_answered(day: Day) -> None:
    texts = {u: [m.text for m in day.wecom.inbox(u)] for u in ALL_THREE}
    assert f"{SUCCESS}您已同意 2_1" in texts["lisi"]
    assert f"{SUCCESS}您已驳回 5_1" in texts["wangwu"]
    if day.style == "text":
        assert f"{SUCCESS}您已驳回 3_1" in texts["zhangsan"]


async def the_rest_is_decided(day: Day, outage: Outage) -> None:
    """What was asked after the outage ends for everybody as what was asked before it."""
    await day.decides("zhangsan", "8_1", APPROVE)
    await day.service.quiet()
    for userid in ALL_THREE:
        assert "8_1" in ends(day.wecom, userid)
        if outage not in UNHEARD:
            assert live(day.wecom, userid) == ([] if day.style == "text" else ["9_1"])


# What WeCom took although we did not hear.


@pytest.mark.parametrize("style", ["card", "both"])
async def test_a_card_that_was_taken_unheard_is_asked_again_as_a_text_and_its_end_is_told(
    new_day: NewDay, wecom: SimulatedWeCom, style: str
) -> None:
    """Its task_id is used up, and the code that would change it is lost until it is tapped."""
    day = await new_day(style)
    await day.goes_out("lost-answer")
    await day.ask("1_1", approvers=["zhangsan"])
    await day.passes(2)
    await day.comes_back()
    assert live(wecom, "zhangsan") == ["1_1"]
    assert [message.kind for message in wecom.inbox("zhangsan")] == ["template_card", "text"]
    assert (await day.states("1_1"))["zhangsan"] == "sent"
    await day.decides("wangwu", "1_1", REJECT)
    await day.service.quiet()
    assert ends(wecom, "zhangsan") == ["1_1"]
    (card,) = cards(wecom, "zhangsan", "1_1")
    assert card.button_caption is None
    await wecom.tap("zhangsan", str(card.task_id), "approve/1_1")
    await day.service.quiet()
    (card,) = cards(wecom, "zhangsan", "1_1")
    assert card.button_caption is not None
    assert "已驳回" in card.button_caption
    await day.has_ended("1_1", "rejected")


async def test_a_card_whose_text_beside_it_came_too_late_is_told_of_the_end(
    new_day: NewDay, wecom: SimulatedWeCom
) -> None:
    day = await new_day("both")
    wecom.script("message/send", None, -1)
    await day.ask("1_1", approvers=["wangwu"])
    await day.sleep.begun(1)
    assert live(wecom, "wangwu") == ["1_1"]
    await cancel(day, "1_1")
    await day.comes_back()
    await until(lambda: not live(wecom, "wangwu"))
    await day.service.quiet()
    assert [message.kind for message in wecom.inbox("wangwu")] == ["template_card"]
    assert (live(wecom, "wangwu"), ends(wecom, "wangwu")) == ([], ["1_1"])


async def test_an_answer_whose_arrival_is_not_heard_of_does_not_come_a_hundred_times(
    new_day: NewDay, wecom: SimulatedWeCom
) -> None:
    day = await new_day("text")
    await day.goes_out("lost-answer")
    assert await day.service.says("zhangsan", "帮助") == 200
    await day.passes(12)
    await day.comes_back()
    # The first one, and then no more than WeCom lets through: one in half an hour.
    assert len(wecom.inbox("zhangsan")) == 1 + 60 // 30


async def test_a_digest_whose_arrival_is_not_heard_of_does_not_come_a_hundred_times(
    new_day: NewDay, wecom: SimulatedWeCom
) -> None:
    day = await new_day("text")
    day.service.app[keys.PACE].limits = Limits()
    for number in range(6):
        await day.ask(f"{number}_1", approvers=["wangwu"])
    await day.sleep.begun(1)  # three have been sent, the others are to be gathered
    await day.goes_out("lost-answer")
    day.service.clock.advance(seconds=30)
    for _ in range(10):
        day.sleep.over()
        await day.sleep.begun(1)
    day.wecom.knobs.outage = "none"
    day.sleep.over()
    await day.service.quiet()
    gathered = [m.text for m in wecom.inbox("wangwu") if "项待审批" in m.text]
    assert len(gathered) == 2
    assert (await day.states("5_1"))["wangwu"] == "sent"


async def test_two_questions_during_an_outage_have_two_answers(
    new_day: NewDay, wecom: SimulatedWeCom
) -> None:
    day = await new_day("text")
    await day.goes_out("refuse")
    assert await day.service.says("zhangsan", "帮助") == 200
    assert await day.service.says("zhangsan", "帮助") == 200
    await day.passes(2)
    await day.comes_back()
    assert len(wecom.inbox("zhangsan")) == 2
