"""Many approvals for one member at once: few messages, nothing lost, nobody else delayed."""

import re
from datetime import timedelta
from typing import Any

import pytest

from adapters.simulator.refusals import ApiError
from adapters.simulator.wecom import SimulatedWeCom
from tests.conftest import StartService
from tests.service import Clock, Service
from tests.timing import SimulatedTime
from tests.visitor import Visitor
from web import keys
from web.pace import Limits

UNLIMITED = Limits(singles_a_minute=10**9, most_a_minute=10**9)
ONE_OF_500 = timedelta(seconds=60) / 500


@pytest.fixture
def sleep(clock: Clock) -> SimulatedTime:
    return SimulatedTime(clock)


def texts(service: Service, userid: str) -> list[str]:
    return [message.text for message in service.wecom.inbox(userid)]


def is_digest(text: str) -> bool:
    return "请打开待办查看" in text


async def states(service: Service) -> dict[str, str]:
    """What became of the messages to zhangsan, by approval."""
    found, after = {}, 0
    while True:
        _, body = await service.api("GET", f"/approvals?limit=1000&after={after}")
        for approval in body["approvals"]:
            for to in approval["notifications"]:
                if to["userid"] == "zhangsan":
                    found[approval["reply_id"]] = to["state"]
        if body["next"] is None:
            return found
        after = body["next"]


async def test_500_requests_in_60_seconds_are_five_messages_and_delay_nobody_else(
    start: StartService, clock: Clock, sleep: SimulatedTime
) -> None:
    service = await start(super_approvers="")
    for number in range(500):
        clock.now += ONE_OF_500 if number else timedelta()
        await service.ask(f"{number}_1", approvers=["zhangsan"], expires_in=86_400)
        if number % 10 == 9:
            await sleep.pass_(service)
        if number == 250:
            other = await service.ask("lisi_1", approvers=["lisi"])
            await sleep.settle(service)
            assert len(texts(service, "lisi")) == 1
            assert (await service.look(other["approval_id"]))["notifications"][0]["state"] == "sent"
    await sleep.pass_(service, minutes=10)
    sent = texts(service, "zhangsan")
    assert len(sent) <= 5
    assert [is_digest(text) for text in sent] == [False] * 3 + [True] * (len(sent) - 3)
    assert "您有 500 项待审批，最紧急的是 0_1（替换故障机 10.0.0.1）" in sent[-1]
    assert set((await states(service)).values()) == {"sent"}
    assert service.wecom.inboxes.dropped == []


async def test_every_one_of_a_storm_can_be_decided_by_text_card_list_or_page(
    start: StartService, sleep: SimulatedTime
) -> None:
    service = await start(super_approvers="")
    for number in range(8):
        await service.ask(f"{number}_1", approvers=["zhangsan"])
    await sleep.pass_(service, minutes=1)
    assert len(texts(service, "zhangsan")) == 4
    assert await service.says("zhangsan", "TY 6_1") == 200
    page = await Visitor(service).log_in("zhangsan")
    assert all(f"{number}_1" in page.text for number in (0, 1, 2, 3, 4, 5, 7))
    (approval,) = (await service.api("GET", "/approvals?obj_id=6_1"))[1]["approvals"]
    assert approval["status"] == "approved"


async def test_a_digest_says_how_many_the_most_urgent_and_where(
    start: StartService, sleep: SimulatedTime
) -> None:
    service = await start(super_approvers="", app_url="https://fta.example.com/o/bk/wechat/")
    for number in range(3):
        await service.ask(f"{number}_1", approvers=["zhangsan"])
    await service.ask("9_1", message="重启 <b>", approvers=["zhangsan"], expires_in=600)
    await service.ask("8_1", approvers=["zhangsan"])
    await sleep.pass_(service, seconds=30)
    (told,) = texts(service, "zhangsan")[3:]
    assert told == (
        "【故障自愈】截至 20:00，您有 5 项待审批，最紧急的是 9_1（重启 ＜b>），20:10 到期。"
        "请打开待办查看: https://fta.example.com/o/bk/wechat/todo/"
    )


async def test_a_digest_is_recorded_as_one_on_each_of_them(
    start: StartService, sleep: SimulatedTime
) -> None:
    service = await start(super_approvers="")
    asked = [await service.ask(f"{n}_1", approvers=["zhangsan"]) for n in range(5)]
    await sleep.pass_(service, seconds=30)
    ways = [
        event["data"]["way"]
        for approval in asked
        for event in await service.events(approval["approval_id"])
        if event["type"] == "approval.notified"
    ]
    assert ways == ["text", "text", "text", "digest", "digest"]


async def test_without_an_id_a_digest_is_no_message_that_asks(
    start: StartService, clock: Clock, sleep: SimulatedTime
) -> None:
    service = await start(super_approvers="")
    for number in range(5):
        await service.ask(f"{number}_1", approvers=["zhangsan"], expires_in=3600)
    await sleep.pass_(service, seconds=30)
    for number in range(4):
        await service.says("zhangsan", f"TY {number}_1")
    await sleep.pass_(service, minutes=11)
    await service.says("zhangsan", "TY")
    (last,) = (await service.api("GET", "/approvals?obj_id=4_1"))[1]["approvals"]
    assert last["status"] == "pending"


async def test_what_has_ended_is_not_announced_as_waiting(
    start: StartService, sleep: SimulatedTime
) -> None:
    service = await start(super_approvers="")
    asked = [await service.ask(f"{n}_1", approvers=["zhangsan", "lisi"]) for n in range(6)]
    await sleep.settle(service)
    for approval in asked[3:5]:
        path = f"/approvals/{approval['approval_id']}/cancel"
        await service.api("POST", path, json={"reason": "告警已恢复"})
    await sleep.pass_(service, seconds=30)
    (last,) = texts(service, "zhangsan")[3:]
    # One is left, and so it is asked in its own words.
    assert last.startswith("【故障自愈】即将执行 替换故障机 10.0.0.1,请审核！\n同意请回复: TY 5_1")


async def test_ends_are_gathered_as_well_and_named(
    start: StartService, sleep: SimulatedTime
) -> None:
    service = await start(super_approvers="")
    for number in range(12):
        await service.ask(f"{number}_1", approvers=["zhangsan", "lisi"], expires_in=3600)
    await sleep.pass_(service, minutes=5)
    before = len(texts(service, "zhangsan"))
    for number in range(10):
        verdict = "TY" if number % 2 else "BH"
        await service.says("lisi", f"{verdict} {number}_1")
    await sleep.pass_(service, minutes=2)
    told = texts(service, "zhangsan")[before:]
    assert [is_digest(text) for text in told] == [False, False, False, True]
    assert all(text.endswith("，无需再处理") for text in told[:3])
    assert told[3].startswith("【故障自愈】截至 20:05，您有 2 项待审批，最紧急的是 10_1（")
    named = "3_1 已同意、4_1 已驳回、5_1 已同意、6_1 已驳回、7_1 已同意 等"
    assert f"；另有 7 项已结束，无需再处理: {named}。请打开待办查看: " in told[3]


async def test_answers_to_a_members_own_words_come_at_once_and_are_never_gathered(
    start: StartService, sleep: SimulatedTime
) -> None:
    service = await start(super_approvers="")
    for number in range(20):
        await service.ask(f"{number}_1", approvers=["zhangsan"])
    await sleep.settle(service)
    assert len(texts(service, "zhangsan")) == 3
    for number in range(10):
        heard = await service.heard("zhangsan", f"TY {number}_1")
        assert heard == f"【故障自愈】审批成功：您已同意 {number}_1"
    assert len(texts(service, "zhangsan")) == 13


async def test_of_all_together_at_most_25_a_minute_reach_a_member(
    start: StartService, clock: Clock, sleep: SimulatedTime
) -> None:
    service = await start(super_approvers="")
    began = clock.now
    for number in range(10):
        await service.ask(f"{number}_1", approvers=["zhangsan"])
    for _ in range(40):
        await service.says("zhangsan", "帮助")
    await sleep.pass_(service, minutes=5)
    sent = service.wecom.inbox("zhangsan")
    assert len([m for m in sent if "查看待办请回复" in m.text]) == 40
    for message in sent:
        minute = [m for m in sent if 0 <= (message.at - m.at).total_seconds() < 60]
        assert len(minute) <= 25
    assert (sent[-1].at - began).total_seconds() < 180
    assert service.wecom.inboxes.dropped == []


async def test_a_storm_while_wecom_is_away_is_one_message_when_it_is_back(
    start: StartService, wecom: SimulatedWeCom, sleep: SimulatedTime
) -> None:
    service = await start(super_approvers="")
    wecom.knobs.outage = "refuse"
    for number in range(40):
        await service.ask(f"{number}_1", approvers=["zhangsan"], expires_in=86_400)
    await sleep.pass_(service, minutes=60)
    assert texts(service, "zhangsan") == []
    wecom.knobs.outage = "none"
    await sleep.pass_(service, minutes=3)
    sent = texts(service, "zhangsan")
    order = [match[1] for text in sent[:3] if (match := re.search(r"TY (\S+)", text))]
    assert order == ["0_1", "1_1", "2_1"]
    assert [is_digest(text) for text in sent[3:]] == [True]
    assert set((await states(service)).values()) == {"sent"}


async def test_a_digest_that_cannot_be_delivered_is_told_on_each_of_them(
    start: StartService, wecom: SimulatedWeCom, sleep: SimulatedTime
) -> None:
    service = await start(super_approvers="")
    for number in range(5):
        await service.ask(f"{number}_1", approvers=["zhangsan"])
    await sleep.settle(service)
    wecom.show_only_to({"lisi"})
    await sleep.pass_(service, seconds=30)
    assert list((await states(service)).values()) == ["sent"] * 3 + ["unreachable"] * 2


async def test_the_list_of_a_super_approver_counts_everything_that_waits(
    start: StartService, sleep: SimulatedTime
) -> None:
    service = await start()
    for number in range(5):
        await service.ask(f"{number}_1", approvers=["zhangsan"], requested_by="lisi")
    await service.ask("5_1", approvers=["zhangsan"], requested_by="wangwu")
    await sleep.pass_(service, seconds=30)
    assert "您有 5 项待审批" in texts(service, "wangwu")[-1]
    assert "您有 6 项待审批" in texts(service, "zhangsan")[-1]


def blocking(wecom: SimulatedWeCom, word: str) -> None:
    """A WeCom that refuses every text in which that word stands (82004)."""
    taken = wecom.send

    def send(payload: Any, token_agent_id: int) -> Any:
        if word in str(payload.get("text", "")):
            raise ApiError(82004)
        return taken(payload, token_agent_id)

    wecom.send = send  # type: ignore[method-assign]  # a WeCom of our own


async def test_words_that_wecom_blocks_keep_nobody_from_hearing_that_something_waits(
    start: StartService, wecom: SimulatedWeCom, sleep: SimulatedTime
) -> None:
    blocking(wecom, "违禁")
    service = await start(super_approvers="")
    for number in range(3):
        await service.ask(f"{number}_1", approvers=["zhangsan"])
    await service.ask("9_1", message="清理违禁词", approvers=["zhangsan"], expires_in=600)
    await service.ask("8_1", approvers=["zhangsan"])
    await sleep.pass_(service, seconds=30)
    (told,) = texts(service, "zhangsan")[3:]
    assert told.startswith("【故障自愈】您有 5 项待审批，0 项已结束。请打开待办查看: http")
    assert set((await states(service)).values()) == {"sent"}


async def test_a_single_request_whose_words_are_blocked_is_announced_without_them(
    start: StartService, wecom: SimulatedWeCom, sleep: SimulatedTime
) -> None:
    blocking(wecom, "违禁")
    service = await start(super_approvers="")
    approval = await service.ask(message="清理违禁词", approvers=["zhangsan"])
    await sleep.settle(service)
    (told,) = texts(service, "zhangsan")
    assert told.startswith("【故障自愈】12345_2 等待您审批，内容无法在此显示，请打开详情查看: http")
    assert told.endswith(f"/wechat/a/{approval['approval_id']}/")
    # They have not read what it is: an answer without the id does not count.
    await sleep.pass_(service, minutes=11)
    await service.says("zhangsan", "TY")
    assert (await service.look(approval["approval_id"]))["status"] == "pending"
    path = f"/approvals/{approval['approval_id']}/cancel"
    await service.api("POST", path, json={"reason": "违禁"})
    await sleep.pass_(service, minutes=1)
    assert texts(service, "zhangsan")[-1] == "【故障自愈】12345_2 已结束，无需再处理"


async def test_two_digests_that_read_the_same_are_two_messages_though_wecom_was_busy(
    start: StartService, wecom: SimulatedWeCom, sleep: SimulatedTime
) -> None:
    """WeCom leaves out what it has taken before, and it was never said that it should."""
    service = await start(super_approvers="")
    for number in range(5):
        await service.ask(f"{number}_1", approvers=["zhangsan", "lisi"], expires_in=3600)
    await sleep.settle(service)
    wecom.script("message/send", -1)
    await sleep.pass_(service, seconds=29)
    await sleep.pass_(service, seconds=3)
    for number in (3, 4):
        await service.says("zhangsan", f"TY {number}_1")
    for number in (5, 6):
        await service.ask(f"{number}_1", approvers=["zhangsan"], expires_in=3600)
    await sleep.settle(service)
    wecom.script("message/send", -1)
    await sleep.pass_(service, minutes=1)
    digests = [text for text in texts(service, "zhangsan") if is_digest(text)]
    assert len(digests) == 2
    payloads = [call.payload for call in wecom.calls if "请打开待办查看" in str(call.payload)]
    assert not any("enable_duplicate_check" in payload for payload in payloads)


async def test_what_may_have_arrived_is_not_said_again_within_half_an_hour(
    start: StartService, wecom: SimulatedWeCom, sleep: SimulatedTime
) -> None:
    service = await start(super_approvers="")
    wecom.knobs.outage, wecom.knobs.outage_calls = "lost-answer", 3
    wecom.knobs.outage_on = "message/send"
    await service.ask(approvers=["zhangsan"])
    await sleep.pass_(service, minutes=1)
    assert len(texts(service, "zhangsan")) == 1
    assert set((await states(service)).values()) == {"sent"}


async def test_short_deadlines_hurry_the_first_digest(
    start: StartService, sleep: SimulatedTime
) -> None:
    service = await start(super_approvers="")
    for number in range(3):
        await service.ask(f"{number}_1", approvers=["zhangsan"])
    await sleep.settle(service)
    await service.ask("3_1", approvers=["zhangsan"], expires_in=25)
    await service.ask("4_1", approvers=["zhangsan"], expires_in=29)
    await sleep.pass_(service, seconds=1)
    told = texts(service, "zhangsan")[3:]
    assert told
    announced = " ".join(told)
    assert "TY 3_1" in announced or "最紧急的是 3_1" in announced
    assert (await states(service))["3_1"] == "sent"


async def test_lines_instead_of_cards_keep_the_pace_too(
    start: StartService, wecom: SimulatedWeCom, clock: Clock, sleep: SimulatedTime
) -> None:
    """Sixty old cards whose codes are no good any more, all ended at once."""
    service = await start(super_approvers="", message_style="card")
    limits, service.app[keys.PACE].limits = service.app[keys.PACE].limits, UNLIMITED
    wecom.knobs.per_member_a_minute = 10**9
    asked = [
        await service.ask(f"{n}_1", approvers=["zhangsan"], expires_in=100 * 3600)
        for n in range(60)
    ]
    await sleep.settle(service)
    wecom.knobs.per_member_a_minute = 30
    service.app[keys.PACE].limits = limits
    clock.advance(hours=72)
    before = len(texts(service, "zhangsan"))
    for approval in asked:
        path = f"/approvals/{approval['approval_id']}/cancel"
        await service.api("POST", path, json={"reason": "告警已恢复"})
    await sleep.pass_(service, minutes=4)
    assert wecom.inboxes.dropped == []
    assert len(texts(service, "zhangsan")) == before + 60


async def test_a_storm_of_short_deadlines_is_no_more_messages_than_any_other(
    start: StartService, sleep: SimulatedTime
) -> None:
    service = await start(super_approvers="")
    for number in range(60):
        await service.ask(f"{number}_1", approvers=["zhangsan"], expires_in=20)
        await sleep.pass_(service, seconds=1)
    assert len(texts(service, "zhangsan")) <= 5
