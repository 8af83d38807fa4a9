"""Cards: what they show, what a tap decides, what they become, and what happens without them."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adapters.simulator.callbacks import Field
from adapters.simulator.inbox import Delivered
from adapters.simulator.refusals import ApiError
from adapters.simulator.rules import read_card
from adapters.simulator.wecom import SimulatedWeCom
from adapters.wecom import cards
from adapters.wecom.messages import Clockface
from domain.decision import Channel, Risk, Verdict
from tests.conftest import StartService
from tests.scenario import APPROVE, NOON, ask, given, says
from tests.service import WITHIN_S, Clock, Service
from tests.timing import SimulatedTime
from tests.visitor import Visitor
from web import keys

SHANGHAI = Clockface(ZoneInfo("Asia/Shanghai"))
PAGE = "https://fta.example.com/o/bk/wechat/a/1/"
FAILURE = "【故障自愈】审批失败："


# What a card shows.


def card_for(userid: str = "zhangsan", **request: Any) -> dict[str, Any]:
    approval = given(ask(**request)).approval(request.get("name", "12345_2"))
    return cards.asking_card(approval, userid, PAGE, SHANGHAI, NOON)


def facts(card: dict[str, Any]) -> dict[str, str]:
    return {row["keyname"]: row["value"] for row in card["horizontal_content_list"]}


def test_a_card_shows_what_where_risk_deadline_who_else_and_what_to_type() -> None:
    card = card_for(risk=Risk.HIGH, details={"业务": "支付", "IP": "10.0.0.1", "告警类型": "ping"})
    assert card["sub_title_text"] == "重启 10.0.0.1 的 nginx"
    assert card["main_title"] == {
        "title": "高风险操作待您审批",
        "desc": "20:20 前有效（Asia/Shanghai）",
    }
    assert facts(card) == {
        "编号": "12345_2",
        "位置": "支付 / 10.0.0.1",
        "风险": "高风险",
        "类型": "自愈套餐",
        "还问了": "lisi",
    }
    assert card["quote_area"]["quote_text"] == "也可回复: TY 12345_2 或 BH 12345_2 原因"
    assert card["card_action"] == {"type": 1, "url": PAGE}
    assert [(b["text"], b["key"]) for b in card["button_list"]] == [
        ("同意", "approve/12345_2"),
        ("驳回", "reject/12345_2"),
    ]


def test_a_card_is_one_that_wecom_takes_whatever_the_request() -> None:
    for request in (
        {"obj_id": "a:" + "b" * 62, "message": "重" * 2000},
        {"details": dict.fromkeys(("业务", "IP", "集群", "模块"), "很长" * 100)},
        {"approvers": ["zhangsan"]},
        {"approvers": [f"lisi-{n}" for n in range(100)]},
        {"run": 3, "biz_id": "2"},
    ):
        scenario = given(ask(**request))
        (approval,) = scenario.unit.approvals()
        card = cards.asking_card(approval, "zhangsan", PAGE, SHANGHAI, NOON)
        assert read_card(card) == card
        assert len(card["sub_title_text"]) <= 160
        assert len(card["horizontal_content_list"]) <= 6
        shown = facts(card)
        assert shown.pop("编号").startswith(approval.reply_id)
        assert all(len(value) <= 30 for value in shown.values())


def test_a_long_message_is_cut_and_the_card_says_so() -> None:
    assert card_for(message="重" * 160)["sub_title_text"] == "重" * 160
    cut = card_for(message="重" * 161)["sub_title_text"]
    assert cut.endswith("重…（未显示完，请打开详情查看后审批）")
    assert len(cut) == 160


def test_a_card_has_a_name_for_each_request_and_member() -> None:
    requests: list[dict[str, Any]] = [
        {},
        {"run": 2},
        {"obj_id": "1_1"},
        {"message": "another"},
        {"action_digest": "sha256:00"},
        {"at": NOON + timedelta(milliseconds=1)},
    ]
    approvals = [given(ask(**request)).unit.approvals()[0] for request in requests]
    names = {a.card_name(userid) for a in approvals for userid in ("zhangsan", "lisi")}
    assert len(names) == 12
    assert approvals[0].card_name("ZhangSan") == approvals[0].card_name("zhangsan")


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("reply_id", ["1_1", "12345_2.17", "a:b-C_9", "x" * 64 + ".9999999999"])
def test_a_tap_says_what_and_which(verdict: Verdict, reply_id: str) -> None:
    assert cards.read_tap(f"{verdict}/{reply_id}") == (verdict, reply_id)
    assert cards.read_tap(f"{verdict}s/{reply_id}") is None
    assert cards.read_tap(f"{verdict}/{reply_id}/") is None
    assert cards.read_tap(f" {verdict}/{reply_id}") is None


def test_what_a_card_becomes_names_who_when_how_and_why() -> None:
    scenario = given(ask(), says("lisi", APPROVE, reason="已确认"))
    card = cards.outcome_card(scenario.approval(), "zhangsan", PAGE, SHANGHAI, NOON)
    assert read_card(card) == card
    assert card["main_title"] == {"title": "已同意", "desc": "lisi 于 20:01 通过回复同意"}
    assert card["replace_text"] == "已同意 lisi 20:01"
    assert facts(card)["意见"] == "已确认"


# End to end.


@pytest.fixture
def sleep(clock: Clock) -> SimulatedTime:
    return SimulatedTime(clock)


@pytest.fixture
async def by_card(start: StartService) -> Service:
    return await start(message_style="card", super_approvers="")


def card_of(service: Service, userid: str) -> Delivered:
    found = [m for m in service.wecom.inbox(userid) if m.kind == "template_card"]
    return found[-1]


def texts(service: Service, userid: str) -> list[str]:
    return [m.text for m in service.wecom.inbox(userid) if m.kind == "text"]


async def tap(service: Service, userid: str, verdict: str) -> Any:
    task = card_of(service, userid).task_id
    assert task is not None
    key = card_of(service, userid).content["button_list"][verdict == "reject"]["key"]
    return await service.wecom.tap(userid, task, key)


async def asked(service: Service, **fields: Any) -> Any:
    approval = await service.ask(**fields)
    await service.quiet()
    return approval


async def test_approvers_are_asked_by_card_each_by_one_of_their_own(by_card: Service) -> None:
    approval = await asked(by_card)
    for userid in ("zhangsan", "lisi"):
        (message,) = by_card.wecom.inbox(userid)
        stored = await by_card.app[keys.READING].approval("12345_2")
        assert stored is not None
        assert message.content["task_id"] == stored.card_name(userid)
    notified = [
        event["data"]
        for event in await by_card.events(approval["approval_id"])
        if event["type"] == "approval.notified"
    ]
    assert [(sent["way"], sent["cut"]) for sent in notified] == [("card", False)] * 2


@pytest.mark.parametrize(("verdict", "status"), [("approve", "approved"), ("reject", "rejected")])
async def test_a_tap_decides_and_every_card_says_so(
    by_card: Service, verdict: str, status: str
) -> None:
    approval = await asked(by_card)
    delivery = await tap(by_card, "zhangsan", verdict)
    assert (delivery.status, delivery.attempts[0].body) == (200, "")
    now = await by_card.look(approval["approval_id"])
    assert (now["status"], now["decided_by"], now["decided_via"]) == (
        status,
        "zhangsan",
        "wecom-card",
    )
    await by_card.quiet()
    word = {"approved": "已同意", "rejected": "已驳回"}[status]
    for userid in ("zhangsan", "lisi"):
        assert card_of(by_card, userid).button_caption == f"{word} zhangsan 20:00"
        assert await tap(by_card, userid, "approve") is None  # dead
        assert texts(by_card, userid) == []


@pytest.mark.parametrize("how", ["text", "page", "cancel", "expiry", "next run"])
async def test_every_other_end_changes_the_cards_too(by_card: Service, how: str) -> None:
    approval = await asked(by_card)
    match how:
        case "text":
            await by_card.says("lisi", "BH 12345_2 磁盘没满")
        case "page":
            visitor = Visitor(by_card)
            page = await visitor.log_in("lisi")
            await visitor.press(page.form, "approve")
        case "cancel":
            path = f"/approvals/{approval['approval_id']}/cancel"
            await by_card.api("POST", path, json={"reason": "告警已恢复"})
        case "expiry":
            by_card.clock.advance(seconds=1200)
            await by_card.expire()
        case "next run":
            await by_card.ask(run=2)
    await by_card.quiet()
    caption, why = {
        "text": ("已驳回 lisi 20:00", "磁盘没满"),
        "page": ("已同意 lisi 20:00", None),
        "cancel": ("已撤销 fta 20:00", "告警已恢复"),
        "expiry": ("已超时 20:20", None),
        "next run": ("已撤销 fta 20:00", "已由第 2 次执行取代"),
    }[how]
    for userid in ("zhangsan", "lisi"):
        first = next(m for m in by_card.wecom.inbox(userid) if m.kind == "template_card")
        assert first.button_caption == caption
        assert facts(first.content).get("意见") == why
    kept = [text for text in texts(by_card, "lisi") if not text.startswith("【故障自愈】审批成功")]
    assert kept == []  # the card says it


async def test_a_late_tap_gets_the_truth(by_card: Service) -> None:
    approval = await asked(by_card)
    by_card.wecom.script("message/update_template_card", *[60140] * 2)
    await by_card.says("lisi", "TY 12345_2")
    await by_card.quiet()
    # The change did not come through, so the member was told by a line, and the buttons live.
    assert texts(by_card, "zhangsan") == [
        "【故障自愈】12345_2（替换故障机 10.0.0.1） 已由 lisi 于 20:00 通过回复同意，无需再处理"
    ]
    await tap(by_card, "zhangsan", "reject")
    await by_card.quiet()
    assert (await by_card.look(approval["approval_id"]))["decided_by"] == "lisi"
    assert card_of(by_card, "zhangsan").button_caption == "已同意 lisi 20:00"
    assert texts(by_card, "zhangsan")[1:] == [
        f"{FAILURE}12345_2 已由 lisi 于 20:00 通过回复同意，本次回复未生效"
    ]


async def test_two_taps_at_once_are_one_decision(by_card: Service) -> None:
    approval = await asked(by_card)
    await asyncio.gather(
        tap(by_card, "zhangsan", "approve"),
        tap(by_card, "lisi", "reject"),
        tap(by_card, "zhangsan", "reject"),
    )
    await by_card.quiet()
    ends = [
        event["type"]
        for event in await by_card.events(approval["approval_id"])
        if event["type"] in ("approval.approved", "approval.rejected")
    ]
    assert len(ends) == 1
    captions = {card_of(by_card, userid).button_caption for userid in ("zhangsan", "lisi")}
    assert len(captions) == 1


async def test_a_tap_by_somebody_who_may_not_decide_is_refused(by_card: Service) -> None:
    approval = await asked(by_card, approvers=["lisi"])
    stored = await by_card.app[keys.READING].approval("12345_2")
    assert stored is not None
    event: list[Field] = [
        ("EventKey", "approve/12345_2"),
        ("TaskId", stored.card_name("wangwu")),
        ("ResponseCode", "a-code"),
    ]
    await by_card.wecom.send_event("wangwu", "template_card_event", event)
    await by_card.quiet()
    assert texts(by_card, "wangwu") == [f"{FAILURE}您不是 12345_2 的审批人，本次回复未生效"]
    assert (await by_card.look(approval["approval_id"]))["status"] == "pending"


async def test_what_a_card_does_not_show_whole_is_decided_after_its_page_was_opened(
    by_card: Service,
) -> None:
    approval = await asked(by_card, message="清" * 161)
    for words in ("tap", "TY 12345_2"):
        by_card.clock.advance(seconds=1)  # taps of one second are one
        if words == "tap":
            await tap(by_card, "zhangsan", "approve")
        else:
            await by_card.says("zhangsan", words)
        await by_card.quiet()
        assert texts(by_card, "zhangsan")[-1] == (
            f"{FAILURE}12345_2 的内容未能完整显示，请在待办中查看后再审批"
        )
    visitor = Visitor(by_card)
    await visitor.log_in("zhangsan", f"/wechat/a/{approval['approval_id']}/")
    by_card.clock.advance(seconds=1)
    await tap(by_card, "zhangsan", "approve")
    assert (await by_card.look(approval["approval_id"]))["status"] == "approved"


async def test_a_high_risk_is_decided_on_its_own_card(by_card: Service) -> None:
    approval = await asked(by_card, risk="high")
    assert card_of(by_card, "lisi").content["source"]["desc_color"] == 2
    await tap(by_card, "lisi", "approve")
    assert (await by_card.look(approval["approval_id"]))["status"] == "approved"


async def test_a_tap_after_the_deadline_is_late_and_the_card_says_so(by_card: Service) -> None:
    approval = await asked(by_card, expires_in=60)
    by_card.clock.advance(seconds=60)
    await tap(by_card, "zhangsan", "approve")
    await by_card.quiet()
    assert (await by_card.look(approval["approval_id"]))["status"] == "expired"
    assert card_of(by_card, "zhangsan").button_caption == "已超时 20:01"
    assert texts(by_card, "zhangsan") == [f"{FAILURE}12345_2 已于 20:01 超时，本次回复未生效"]


# Response codes.


async def test_a_response_code_is_used_once(by_card: Service) -> None:
    await asked(by_card)
    await tap(by_card, "zhangsan", "approve")
    await by_card.quiet()
    used = [
        (call.payload["response_code"], call.errcode)
        for call in by_card.wecom.calls
        if call.path == "message/update_template_card"
    ]
    assert len(used) == len(set(used)) == 2
    assert {errcode for _, errcode in used} == {0}


async def test_after_72_hours_no_code_is_tried_and_a_line_tells_the_end(
    by_card: Service,
) -> None:
    await asked(by_card, expires_in=100 * 3600)
    by_card.clock.advance(hours=72)
    await by_card.says("lisi", "TY 12345_2")
    await by_card.quiet()
    assert [c.path for c in by_card.wecom.calls].count("message/update_template_card") == 0
    (told,) = texts(by_card, "zhangsan")
    assert told.endswith("已由 lisi 于 20:00 通过回复同意，无需再处理")
    assert texts(by_card, "lisi") == ["【故障自愈】审批成功：您已同意 12345_2"]
    # A tap on the old card brings a fresh code with it.
    await tap(by_card, "zhangsan", "approve")
    await by_card.quiet()
    assert card_of(by_card, "zhangsan").button_caption is not None


async def test_codes_outlive_a_restart(start: StartService, wecom: SimulatedWeCom) -> None:
    first = await start(message_style="card", super_approvers="")
    await asked(first)
    await first.stop()
    second = await start(message_style="card", super_approvers="")
    await second.says("lisi", "TY 12345_2")
    await second.quiet()
    assert card_of(second, "zhangsan").button_caption == "已同意 lisi 20:00"


# Without cards.


@pytest.mark.parametrize("errcode", [43012, 40058, 42014, 42031, 42035, 42038, 48002, 1])
async def test_a_card_that_wecom_refuses_goes_out_as_a_text(by_card: Service, errcode: int) -> None:
    by_card.wecom.script("message/send", errcode)
    approval = await asked(by_card, approvers=["zhangsan"])
    assert [m.kind for m in by_card.wecom.inbox("zhangsan")] == ["text"]
    now = await by_card.look(approval["approval_id"])
    assert [to["state"] for to in now["notifications"]] == ["sent"]
    assert await by_card.heard("zhangsan", "TY 12345_2") == (
        "【故障自愈】审批成功：您已同意 12345_2"
    )


async def test_an_application_without_a_callback_sends_texts(
    by_card: Service, wecom: SimulatedWeCom
) -> None:
    wecom.callback_verified = False
    await asked(by_card)
    assert [m.kind for m in wecom.inbox("lisi")] == ["text"]


async def test_a_member_beyond_reach_gets_no_text_instead(
    by_card: Service, wecom: SimulatedWeCom
) -> None:
    wecom.show_only_to({"lisi"})
    approval = await asked(by_card)
    now = await by_card.look(approval["approval_id"])
    assert [to["state"] for to in now["notifications"]] == ["unreachable", "sent"]
    sends = [call for call in wecom.calls if call.path == "message/send"]
    assert len(sends) == 2


async def test_both_is_a_card_and_the_text_and_the_end_is_told_by_both(
    start: StartService,
) -> None:
    service = await start(message_style="both", super_approvers="")
    await asked(service)
    assert [m.kind for m in service.wecom.inbox("zhangsan")] == ["template_card", "text"]
    await service.says("lisi", "TY 12345_2")
    await service.quiet()
    assert card_of(service, "zhangsan").button_caption == "已同意 lisi 20:00"
    assert texts(service, "zhangsan")[1:] == [
        "【故障自愈】12345_2（替换故障机 10.0.0.1） 已由 lisi 于 20:00 通过回复同意，无需再处理"
    ]


async def test_with_both_a_tap_counts_for_what_the_text_shows_whole(start: StartService) -> None:
    service = await start(message_style="both", super_approvers="")
    approval = await asked(service, message="清" * 300)
    await tap(service, "zhangsan", "approve")
    assert (await service.look(approval["approval_id"]))["status"] == "approved"


async def test_what_wecom_took_of_both_is_not_sent_again(
    start: StartService, wecom: SimulatedWeCom, sleep: SimulatedTime
) -> None:
    service = await start(message_style="both", super_approvers="")
    taken = wecom.send

    def busy_at_the_first_text(payload: Any, token_agent_id: int) -> Any:
        if payload["msgtype"] == "text" and not texts(service, "zhangsan"):
            wecom.send = taken  # type: ignore[method-assign]
            raise ApiError(-1)
        return taken(payload, token_agent_id)

    wecom.send = busy_at_the_first_text  # type: ignore[method-assign]  # a WeCom of our own
    await service.ask(approvers=["zhangsan"])
    await sleep.pass_(service, seconds=5)
    sent = [c.payload["msgtype"] for c in wecom.calls if c.path == "message/send"]
    assert sent == ["template_card", "text", "text"]
    await service.says("zhangsan", "TY 12345_2")
    await sleep.settle(service)
    assert card_of(service, "zhangsan").button_caption == "已同意 zhangsan 20:00"


async def test_a_decision_by_card_is_kept_as_such(by_card: Service) -> None:
    approval = await asked(by_card)
    await tap(by_card, "lisi", "reject")
    events = await by_card.events(approval["approval_id"])
    assert {event["via"] for event in events if event["by"] == "lisi"} == {Channel.CARD.value}
    assert (await by_card.look(approval["approval_id"]))["reason"] is None


async def test_a_page_says_what_was_sent_as_what(by_card: Service) -> None:
    approval = await asked(by_card)
    await tap(by_card, "lisi", "approve")
    await by_card.quiet()
    page = await Visitor(by_card).log_in("zhangsan", f"/wechat/a/{approval['approval_id']}/")
    for words in ("已发送给 zhangsan（卡片）", "lisi 通过卡片同意", "已更新卡片 zhangsan"):
        assert words in page.text


def forget_everything(folder: Path) -> None:
    for file in folder.glob("fta-approval.db*"):
        file.unlink()


async def test_the_card_of_an_earlier_life_decides_nothing_in_this_one(
    by_card: Service, start: StartService, tmp_path: Path
) -> None:
    """A store was put back, and the engine asks something else under the same id."""
    await asked(by_card, message="清理日志")
    old = card_of(by_card, "zhangsan")
    await by_card.stop()
    forget_everything(tmp_path)
    by_card.clock.advance(seconds=1)
    service = await start(message_style="card", super_approvers="")
    approval = await asked(service, message="格式化磁盘")
    assert old.task_id is not None
    await service.wecom.tap("zhangsan", old.task_id, "approve/12345_2")
    assert (await service.look(approval["approval_id"]))["status"] == "pending"
    await service.quiet()
    assert texts(service, "zhangsan") == [
        f"{FAILURE}这张卡片不是当前的 12345_2，本次操作未生效，请在待办中查看后再审批"
    ]
    await tap(service, "zhangsan", "reject")
    await service.quiet()
    assert (await service.look(approval["approval_id"]))["status"] == "rejected"
    assert old.button_caption is None  # it shows another request


async def test_what_went_out_before_the_end_is_told_of_it(
    start: StartService, wecom: SimulatedWeCom, sleep: SimulatedTime
) -> None:
    """The card is out, its text is not, and then the approval ends."""
    service = await start(message_style="both", super_approvers="")
    taken = wecom.send

    def no_texts(payload: Any, token_agent_id: int) -> Any:
        if payload["msgtype"] == "text":
            raise ApiError(-1)
        return taken(payload, token_agent_id)

    wecom.send = no_texts  # type: ignore[method-assign]  # a WeCom of our own
    approval = await service.ask(approvers=["zhangsan"])
    await sleep.settle(service)
    path = f"/approvals/{approval['approval_id']}/cancel"
    await service.api("POST", path, json={"reason": "告警已恢复"})
    await sleep.pass_(service, seconds=5)
    async with asyncio.timeout(WITHIN_S):
        while (caption := card_of(service, "zhangsan").button_caption) is None:
            await asyncio.sleep(0.01)
    assert caption == "已撤销 fta 20:00"
    assert texts(service, "zhangsan") == []


@pytest.mark.parametrize("style", ["card", "both"])
@pytest.mark.parametrize("errcode", [60140, 48002])
async def test_who_decided_by_a_card_that_cannot_be_changed_is_told_by_a_line(
    start: StartService, wecom: SimulatedWeCom, style: str, errcode: int
) -> None:
    service = await start(message_style=style, super_approvers="")
    await asked(service, approvers=["zhangsan"])
    wecom.script("message/update_template_card", errcode)
    await tap(service, "zhangsan", "approve")
    await service.quiet()
    assert texts(service, "zhangsan")[-1] == (
        "【故障自愈】12345_2（替换故障机 10.0.0.1） 您已于 20:00 通过卡片同意，无需再处理"
    )


async def test_a_card_that_wecom_took_counts_although_its_text_is_refused(
    start: StartService, wecom: SimulatedWeCom
) -> None:
    service = await start(message_style="both", super_approvers="")
    wecom.script("message/send", None, 82004, 82004)
    approval = await asked(service, approvers=["zhangsan"])
    now = await service.look(approval["approval_id"])
    assert [to["state"] for to in now["notifications"]] == ["sent"]
    kinds = [event["type"] for event in await service.events(approval["approval_id"])]
    assert "approval.nobody-reached" not in kinds
    path = f"/approvals/{approval['approval_id']}/cancel"
    await service.api("POST", path, json={"reason": "告警已恢复"})
    await service.quiet()
    assert card_of(service, "zhangsan").button_caption == "已撤销 fta 20:00"


async def test_a_change_whose_answer_was_lost_is_done_and_nothing_is_said_twice(
    start: StartService, wecom: SimulatedWeCom, sleep: SimulatedTime
) -> None:
    service = await start(message_style="card", super_approvers="")
    approval = await service.ask(approvers=["zhangsan"])
    await sleep.settle(service)
    wecom.knobs.outage, wecom.knobs.outage_calls = "lost-answer", 1
    wecom.knobs.outage_on = "message/update_template_card"
    path = f"/approvals/{approval['approval_id']}/cancel"
    await service.api("POST", path, json={"reason": "告警已恢复"})
    await sleep.pass_(service, seconds=10)
    assert card_of(service, "zhangsan").button_caption == "已撤销 fta 20:00"
    assert texts(service, "zhangsan") == []
    (changed,) = [
        event["data"]
        for event in await service.events(approval["approval_id"])
        if event["type"] == "approval.notified" and event["data"]["notice"].startswith("card/")
    ]
    assert changed["way"] == "card"


async def test_who_leaves_and_comes_back_has_read_no_more_than_before(by_card: Service) -> None:
    """The end of the message is what the card has no room for."""
    approval = await asked(by_card, message="清" * 161)
    await by_card.says("zhangsan", "TY 12345_2")
    await by_card.wecom.send_event("zhangsan", "unsubscribe", [("EventKey", "")])
    await by_card.wecom.send_event("zhangsan", "subscribe", [("EventKey", "")])
    await by_card.says("zhangsan", "同意 12345_2")
    assert (await by_card.look(approval["approval_id"]))["status"] == "pending"
