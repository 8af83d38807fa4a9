"""What members do without writing, and what WeCom reports: the table of events, end to end."""

import json

import pytest

from adapters.simulator.callbacks import Field
from adapters.wecom.events import MEANINGS, Meaning
from tests.conftest import StartService
from tests.service import Clock, Service
from tests.visitor import Visitor
from web import keys

THE_CARD = "the card that asks zhangsan about 12345_2"
TAP: list[Field] = [
    ("EventKey", "approve/12345_2"),
    ("TaskId", THE_CARD),
    ("CardType", "button_interaction"),
    ("ResponseCode", "a-code"),
]

# What comes of an event: status of 12345_2, which waits for zhangsan; events stored; how what he is
# told begins; what /readyz says of WeCom.
Outcome = tuple[str, list[str], list[str], str]
WAITS = "【故障自愈】您有 1 项待审批，最紧急的是 12345_2（替换故障机 10.0.0.1），20:20 到期。"
LIST = "【故障自愈】等待您审批的有 1 项:\n12345_2 替换故障机 10.0.0.1（20:20 截止）"
CLOSED = "WeCom has switched the application off"
LOST = ["approval.became-unreachable", "approval.nobody-reached"]
DECIDED = ["approval.replied", "approval.approved"]
ALARM_SENT = END_TOLD = "approval.notified"
TAPPED = "【故障自愈】12345_2（替换故障机 10.0.0.1） 您已于 20:00 通过卡片同意，无需再处理"
SILENT: Outcome = ("pending", [], [], "ok")
# Every kind of wecom-protocol 2.2 and 2.3, by whom, with which fields.
TABLE: dict[tuple[str, str], tuple[list[Field], Outcome]] = {
    ("subscribe", "zhangsan"): (
        [("EventKey", "")],
        ("pending", ["inbox.greeted", "inbox.answered"], [WAITS], "ok"),
    ),
    ("enter_agent", "zhangsan"): (
        [("EventKey", "")],
        ("pending", ["inbox.greeted", "inbox.answered"], [WAITS], "ok"),
    ),
    ("unsubscribe", "zhangsan"): (
        [("EventKey", "")],
        ("pending", [*LOST, ALARM_SENT], [], "ok"),
    ),
    ("click", "zhangsan"): (
        [("EventKey", "MY_PENDING")],
        ("pending", ["inbox.received", "inbox.answered"], [LIST], "ok"),
    ),
    ("template_card_event", "zhangsan"): (
        TAP,
        # The code of this event is an invented one: the card cannot be changed, so a line tells.
        ("approved", [*DECIDED, END_TOLD, END_TOLD], [TAPPED], "ok"),
    ),
    ("close_inactive_agent", "sys"): ([], ("pending", [], [], CLOSED)),
    ("reopen_inactive_agent", "sys"): ([], SILENT),
    ("active_restored", "sys"): ([], SILENT),
    ("inactive_alert", "sys"): ([("EffectTime", 1767700800)], SILENT),
    ("low_active_alert", "sys"): ([("EffectTime", 1767700800)], SILENT),
    ("low_active", "sys"): ([], SILENT),
    ("view", "zhangsan"): ([("EventKey", "https://approve.example.com/m")], SILENT),
    ("view_miniprogram", "zhangsan"): ([("EventKey", "pages/index")], SILENT),
    ("LOCATION", "zhangsan"): (
        [("Latitude", "22.5"), ("Longitude", "113.9"), ("Precision", "65"), ("AppType", "wxwork")],
        SILENT,
    ),
    ("scancode_push", "zhangsan"): ([("EventKey", "TY 12345_2")], SILENT),
    ("scancode_waitmsg", "zhangsan"): ([("EventKey", "TY 12345_2")], SILENT),
    ("pic_sysphoto", "zhangsan"): ([("EventKey", "k")], SILENT),
    ("pic_photo_or_album", "zhangsan"): ([("EventKey", "k")], SILENT),
    ("pic_weixin", "zhangsan"): ([("EventKey", "k")], SILENT),
    ("location_select", "zhangsan"): ([("EventKey", "k")], SILENT),
    ("template_card_menu_event", "zhangsan"): (TAP, SILENT),
    ("taskcard_click", "zhangsan"): ([("EventKey", "approve"), ("TaskId", "12345_2")], SILENT),
    ("share_agent_change", "sys"): ([], SILENT),
    ("share_chain_change", "sys"): ([], SILENT),
    ("batch_job_result", "sys"): ([], SILENT),
    ("change_contact", "sys"): ([("ChangeType", "delete_user"), ("UserID", "zhangsan")], SILENT),
    ("open_approval_change", "sys"): ([], SILENT),
    ("an_event_of_next_year", "zhangsan"): ([("EventKey", "approve/12345_2")], SILENT),
}


async def true(service: Service, fields: list[Field]) -> list[Field]:
    """With the card's real name."""
    approval = await service.app[keys.READING].approval("12345_2")
    assert approval is not None
    card = approval.card_name("zhangsan")
    return [(name, card if value == THE_CARD else value) for name, value in fields]


def test_every_kind_that_has_a_meaning_stands_in_the_table() -> None:
    assert {name.lower() for name, _ in TABLE} - {"an_event_of_next_year"} == set(MEANINGS)
    assert set(MEANINGS.values()) == set(Meaning)


@pytest.mark.parametrize(("event", "by"), TABLE, ids=[name for name, _ in TABLE])
async def test_every_kind_of_event_has_a_considered_answer(
    start: StartService, event: str, by: str
) -> None:
    service = await start(super_approvers="wangwu")
    approval = await service.ask(approvers=["zhangsan"])
    before = await service.quiet()
    told_before = len(service.wecom.inbox("zhangsan"))
    fields, (status, stored, told, problem) = TABLE[event, by]
    delivery = await service.wecom.send_event(by, event, await true(service, fields))
    assert (delivery.status, delivery.attempts[0].body, len(delivery.attempts)) == (200, "", 1)
    await service.quiet()
    kinds = [event.topic for event in service.app[keys.RUNNER].source.read_after(before, 100)]
    assert sorted(kinds) == sorted(stored)
    assert (await service.look(approval["approval_id"]))["status"] == status
    now_told = [message.text for message in service.wecom.inbox("zhangsan")][told_before:]
    assert [text[: len(begin)] for text, begin in zip(now_told, told, strict=True)] == told
    async with service.http.get(f"{service.url}/readyz") as answer:
        assert (answer.status, (await answer.json())["wecom"]) == (200, problem)


# Coming and going.


async def greetings(service: Service, userid: str) -> int:
    await service.quiet()
    return sum("您有" in message.text for message in service.wecom.inbox(userid))


async def test_who_comes_and_has_nothing_waiting_is_told_nothing(service: Service) -> None:
    before = await service.quiet()
    await service.wecom.enter_agent("zhangsan")
    assert await service.quiet() == before
    assert service.wecom.inbox("zhangsan") == []


async def test_who_comes_is_greeted_once_an_hour_over_midnight_and_restarts(
    start: StartService, clock: Clock
) -> None:
    clock.now = clock.now.replace(hour=23, minute=30)
    service = await start(super_approvers="")
    await service.ask(approvers=["zhangsan"], expires_in=86_400)
    await service.wecom.enter_agent("zhangsan")
    assert await greetings(service, "zhangsan") == 1
    clock.advance(minutes=59)
    await service.wecom.enter_agent("ZhangSan")
    assert await greetings(service, "zhangsan") == 1
    await service.stop()
    service = await start(super_approvers="")
    await service.wecom.enter_agent("zhangsan")
    assert await greetings(service, "zhangsan") == 1
    clock.advance(minutes=1)
    await service.wecom.enter_agent("zhangsan")
    assert await greetings(service, "zhangsan") == 2


async def test_who_leaves_is_logged_out_and_seen_as_beyond_reach(service: Service) -> None:
    approval = await service.ask(approvers=["zhangsan", "lisi"])
    await service.notified(approval["approval_id"])
    visitor = Visitor(service)
    await visitor.log_in("zhangsan")
    await service.wecom.send_event("zhangsan", "unsubscribe", [("EventKey", "")])
    assert (await visitor.get("/wechat/todo/")).status == 303
    now = await service.look(approval["approval_id"])
    assert [to["state"] for to in now["notifications"]] == ["unreachable", "sent", "sent"]
    kinds = [event["type"] for event in await service.events(approval["approval_id"])]
    assert "approval.nobody-reached" not in kinds


async def test_when_the_last_approver_leaves_super_approvers_are_told(service: Service) -> None:
    approval = await service.ask(approvers=["zhangsan", "lisi"])
    await service.notified(approval["approval_id"])
    for userid in ("zhangsan", "lisi"):
        await service.wecom.send_event(userid, "unsubscribe", [("EventKey", "")])
    await service.quiet()
    assert service.wecom.inbox("wangwu")[-1].text == (
        "【故障自愈】请注意: 12345_2（替换故障机 10.0.0.1） 的审批人 zhangsan、lisi "
        "均无法收到消息，请您审批或联系他们\n同意请回复: TY 12345_2\n驳回请回复: BH 12345_2"
    )
    assert await service.heard("wangwu", "TY 12345_2") == "【故障自愈】审批成功：您已同意 12345_2"


async def test_an_old_event_that_is_sent_again_logs_nobody_out(
    service: Service, clock: Clock
) -> None:
    service.wecom.knobs.hold_callbacks = True
    await service.wecom.send_event("zhangsan", "unsubscribe", [("EventKey", "")])
    visitor = Visitor(service)
    await visitor.log_in("zhangsan")
    service.wecom.knobs.hold_callbacks = False
    (first,) = await service.wecom.release_callbacks()
    assert (await visitor.get("/wechat/todo/")).status == 303
    await visitor.log_in("zhangsan")
    await service.wecom.send_inner(first.inner)  # WeCom repeats it
    assert (await visitor.get("/wechat/todo/")).status == 200


# Pictures, voices.


@pytest.mark.parametrize("kind", ["image", "voice", "video", "location", "link"])
async def test_what_is_no_text_is_kept_and_decides_nothing(service: Service, kind: str) -> None:
    approval = await service.ask()
    await service.quiet()
    delivery = await service.wecom.send_message("zhangsan", kind, [("MediaId", "TY 12345_2")])
    assert (delivery.status, delivery.attempts[0].body) == (200, "")
    (kept,) = await service.kept_of("zhangsan")
    assert (kept.words, kept.refusal) == (f"[{kind}]", "not-text")
    (told,) = await service.answers("zhangsan", 1)
    assert told.startswith("【故障自愈】审批失败：只能处理文字和卡片，图片、语音等未作决定")
    assert (await service.look(approval["approval_id"]))["status"] == "pending"


async def test_that_only_texts_count_is_said_once_a_day(service: Service, clock: Clock) -> None:
    for _ in range(3):
        await service.wecom.send_message("zhangsan", "image", [("MediaId", "m")])
    await service.quiet()
    assert len(await service.answers("zhangsan", 1)) == 1
    assert len(await service.kept_of("zhangsan")) == 3
    clock.advance(days=1)
    await service.wecom.send_message("zhangsan", "image", [("MediaId", "m")])
    await service.quiet()
    assert len(await service.answers("zhangsan", 2)) == 2


# Taps that cannot be believed.


@pytest.mark.parametrize(
    "changed",
    [
        {"EventKey": "approve"},
        {"EventKey": "approve/"},
        {"EventKey": "TY 12345_2"},
        {"EventKey": ""},
    ],
    ids=str,
)
async def test_a_tap_on_no_button_of_ours_decides_nothing(
    service: Service, changed: dict[str, str]
) -> None:
    approval = await service.ask()
    await service.quiet()
    fields = [(n, changed.get(n, v)) for n, v in await true(service, TAP)]
    await service.wecom.send_event("zhangsan", "template_card_event", fields)
    (kept,) = await service.kept_of("zhangsan")
    assert (kept.refusal, kept.channel) == ("unreadable", "wecom-card")
    assert (await service.look(approval["approval_id"]))["status"] == "pending"
    await service.quiet()
    (told,) = await service.answers("zhangsan", 1)
    assert "未能理解" in told


@pytest.mark.parametrize("card", ["lisi's", "the next run's", "another node's", "none"])
async def test_a_tap_whose_button_and_card_do_not_agree_decides_nothing(
    service: Service, card: str
) -> None:
    asked = [await service.ask(), await service.ask("12345_3")]
    await service.quiet()
    reading = service.app[keys.READING]
    one, other = await reading.approval("12345_2"), await reading.approval("12345_3")
    assert one is not None and other is not None
    task = {
        "lisi's": one.card_name("lisi"),
        "the next run's": one.card_name("zhangsan")[:-1] + "x",
        "another node's": other.card_name("zhangsan"),
        "none": "",
    }[card]
    fields: list[Field] = [(n, task if v == THE_CARD else v) for n, v in TAP]
    await service.wecom.send_event("zhangsan", "template_card_event", fields)
    for approval in asked:
        assert (await service.look(approval["approval_id"]))["status"] == "pending"
    (reply,) = [
        event
        for event in await service.events(asked[0]["approval_id"])
        if event["type"] == "approval.replied"
    ]
    assert reply["data"]["refusal"] == "another-card"
    (told,) = await service.answers("zhangsan", 1)
    assert "这张卡片不是当前的 12345_2" in told


async def test_a_tap_on_a_button_of_an_unknown_approval_is_kept(service: Service) -> None:
    """`ab_1` is not `AB_1`: nobody mistypes a button."""
    approval = await service.ask("ab_1")
    await service.quiet()
    fields: list[Field] = [("EventKey", "approve/AB_1"), ("TaskId", "t"), ("ResponseCode", "c")]
    await service.wecom.send_event("zhangsan", "template_card_event", fields)
    (kept,) = await service.kept_of("zhangsan")
    assert (kept.refusal, kept.reply_id) == ("unknown-approval", "AB_1")
    assert (await service.look(approval["approval_id"]))["status"] == "pending"


async def test_a_tap_that_was_long_on_its_way_decides_nothing(
    service: Service, clock: Clock
) -> None:
    approval = await service.ask(expires_in=86_400)
    await service.quiet()
    await _post_late(service, clock)
    (reply,) = [
        event
        for event in await service.events(approval["approval_id"])
        if event["type"] == "approval.replied"
    ]
    assert reply["data"]["refusal"] == "stale"
    assert (await service.look(approval["approval_id"]))["status"] == "pending"


async def _post_late(service: Service, clock: Clock) -> None:
    """The simulator stamps what it sends with its clock; the service's has gone on meanwhile."""
    sent_at = clock.now
    service.wecom._caller._clock = lambda: sent_at
    clock.advance(hours=1, seconds=1)
    await service.wecom.send_event("zhangsan", "template_card_event", await true(service, TAP))


async def test_the_same_tap_delivered_again_counts_once(service: Service) -> None:
    approval = await service.ask()
    await service.quiet()
    await service.wecom.send_event("zhangsan", "template_card_event", await true(service, TAP))
    await service.wecom.repeat_last()
    await service.quiet()
    kinds = [event["type"] for event in await service.events(approval["approval_id"])]
    assert kinds.count("approval.replied") == kinds.count("approval.approved") == 1


async def test_events_count_for_the_60_a_minute_too(service: Service) -> None:
    await service.ask(approvers=["lisi"])
    for number in range(61):
        await service.wecom.send_event("zhangsan", "click", [("EventKey", str(number))])
    assert len(await service.kept_of("zhangsan")) == 60


async def test_response_codes_are_nobodys_business(service: Service) -> None:
    approval = await service.ask()
    await service.wecom.send_event("zhangsan", "template_card_event", await true(service, TAP))
    assert "a-code" not in json.dumps(await service.events(approval["approval_id"]))
