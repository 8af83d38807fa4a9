"""异常防御需审批, FTA's mechanism A: its own words in the text, on the card and on the page."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.simulator.rules import read_card
from adapters.wecom import cards
from adapters.wecom.messages import Clockface
from domain.approval import Approval
from domain.decision import Channel, Kind
from domain.notifications import Notifications, Way
from domain.wording import LINK_BYTES, Alarm, alarm_of, asking_text, bytes_left, fits_a_card
from tests import scenario
from tests.conftest import StartService
from tests.service import NOON, Service
from tests.test_wording import LINK, MARK, links, messages, reply_ids
from tests.visitor import Visitor

TODO = "https://approval.example/o/bk_fta_solutions/wechat/todo/"
SHANGHAI = Clockface(ZoneInfo("Asia/Shanghai"))
DETAILS = {"业务": "支付", "告警类型": "PING 不可达", "IP": "10.0.0.1"}
values = st.one_of(st.none(), st.text(st.sampled_from("<重a😀"), min_size=1, max_size=1000))


def test_the_text_is_ftas_with_what_will_be_executed_and_how_to_answer() -> None:
    text, cut = asking_text("重启 nginx", "12345_-1", None, Alarm("支付", "PING 不可达"), TODO)
    assert not cut
    assert text == (
        "【故障自愈】【待审批】\n"
        "业务：支付\n"
        "告警类型：PING 不可达\n"
        "即将执行 重启 nginx,请审核！\n"
        "网页：请到故障自愈APP审批或操作\n"
        f"微信：{TODO}\n"
        "同意请回复: TY 12345_-1\n"
        "驳回请回复: BH 12345_-1"
    )


def test_the_link_comes_last() -> None:
    alarm = Alarm("支付", "ping")
    plain, _ = asking_text("重启", "1_1", None, alarm, TODO)
    assert asking_text("重启", "1_1", LINK, alarm, TODO) == (f"{plain}\n详情: {LINK}", False)


@pytest.mark.parametrize(
    ("details", "lines"),
    [
        ({}, []),
        ({"业务": "支付"}, ["业务：支付"]),
        ({"告警类型": "ping"}, ["告警类型：ping"]),
        ({"业务": " ", "告警类型": ""}, []),
        ({"IP": "10.0.0.1"}, []),
        ({"业务": "<支付"}, ["业务：＜支付"]),
    ],
)
def test_what_is_not_known_has_no_line(details: dict[str, str], lines: list[str]) -> None:
    alarm = alarm_of(Kind.CONVERGENCE, details)
    text, _ = asking_text("重启", "1_1", None, alarm, TODO)
    assert text.splitlines()[1:-5] == lines


def test_a_solution_has_no_alarm_whatever_its_details() -> None:
    assert alarm_of(Kind.SOLUTION, DETAILS) is None


def test_a_long_line_is_cut_and_so_the_text_is() -> None:
    whole, _ = asking_text("重启", "1_1", None, Alarm("支" * 80, None), TODO)
    assert f"\n业务：{'支' * 80}\n" in whole
    assert bytes_left("重启", "1_1", Alarm("支" * 80, None)) >= LINK_BYTES
    text, cut = asking_text("重启", "1_1", None, Alarm("支" * 81, None), TODO)
    assert cut
    assert f"\n业务：{'支' * 79}…\n" in text
    assert bytes_left("重启", "1_1", Alarm("支" * 81, None)) < 0


@given(messages, reply_ids, links, values, values)
@example("😀" * 2000, "Z" * 64 + ".9999999999", LINK, "😀" * 1000, "<" * 1000)
def test_whatever_it_says_the_text_fits_and_tells_how_to_answer(
    message: str, reply_id: str, link: str | None, business: str | None, alarm_type: str | None
) -> None:
    alarm = Alarm(business, alarm_type)
    text, cut = asking_text(message, reply_id, link, alarm, TODO)
    tail = f"\n微信：{TODO}\n同意请回复: TY {reply_id}\n驳回请回复: BH {reply_id}"
    assert text.endswith(tail + (f"\n详情: {link}" if link else ""))
    assert len(text.encode()) <= 2048
    assert "<" not in text
    is_whole = f"\n即将执行 {message.replace('<', '＜')},请审核！\n" in text
    assert cut == (not is_whole or not alarm.fits_a_text)
    assert is_whole != (MARK in text)
    # What fits by the rule fits with any address of these lengths.
    if bytes_left(message, reply_id, alarm) >= LINK_BYTES:
        assert not cut


def test_what_fits_by_the_rule_fits_with_the_longest_addresses() -> None:
    alarm, room = Alarm("支付", "ping"), bytes_left("", "1_1", Alarm("支付", "ping")) - LINK_BYTES
    todo = "x" * LINK_BYTES
    link = "x" * (LINK_BYTES - len("\n详情: ".encode()))
    assert not asking_text("a" * room, "1_1", link, alarm, todo)[1]
    assert asking_text("a" * (room + 20), "1_1", link, alarm, todo)[1]


def test_an_address_that_is_too_long_has_no_line() -> None:
    longest = TODO + "x" * (LINK_BYTES - len(TODO))
    assert f"\n微信：{longest}\n" in asking_text("重启", "1_1", None, Alarm(), longest)[0]
    assert "微信" not in asking_text("重启", "1_1", None, Alarm(), longest + "x")[0]


# Who has seen it whole.


@pytest.mark.parametrize(("length", "is_seen"), [(80, True), (81, False)])
def test_whoever_was_shown_a_cut_line_has_not_seen_everything(length: int, is_seen: bool) -> None:
    told = Notifications(["zhangsan"], "重启", "1_1", Alarm("支" * length, None))
    told.sent("ask/zhangsan", "zhangsan", NOON, cut=length > 80, way=Way.TEXT, code=None)
    assert told.has_seen_whole("zhangsan", Channel.TEXT) is is_seen
    assert told.does_opening_matter("zhangsan") is not is_seen
    told.opened("zhangsan")
    assert told.has_seen_whole("zhangsan", Channel.TEXT)


@pytest.mark.parametrize(("length", "is_seen"), [(30, True), (31, False)])
def test_before_any_message_arrived_a_card_must_have_room_for_it(
    length: int, is_seen: bool
) -> None:
    told = Notifications(["zhangsan"], "重启", "1_1", Alarm(None, "支" * length))
    assert told.has_seen_whole("zhangsan", Channel.CARD) is is_seen
    assert told.has_seen_whole("zhangsan", Channel.TEXT)


async def test_what_was_cut_is_decided_only_by_who_has_opened_its_page(service: Service) -> None:
    approval = await service.ask(
        "12345_-1", kind="convergence", details={"业务": "支" * 81}, approvers=["zhangsan"]
    )
    await service.notified(approval["approval_id"])
    heard = await service.heard("zhangsan", "TY 12345_-1")
    assert "内容未能完整显示" in heard
    await Visitor(service).log_in("zhangsan", f"/wechat/a/{approval['approval_id']}/")
    assert "您已同意 12345_-1" in await service.heard("zhangsan", "TY 12345_-1")


async def test_the_text_arrives_and_its_reply_decides(service: Service) -> None:
    approval = await service.ask("12345_-1", kind="convergence", details=DETAILS, message="重启")
    (text,) = await service.inbox("zhangsan", 1)
    assert text.startswith(
        "【故障自愈】【待审批】\n业务：支付\n告警类型：PING 不可达\n即将执行 重启,"
    )
    assert f"\n微信：{service.base}/wechat/todo/\n" in text
    await service.notified(approval["approval_id"])
    assert "您已驳回 12345_-1" in await service.heard("zhangsan", "BH 12345_-1")


# The card.


def convergence(**request: Any) -> Approval:
    asked = scenario.ask(kind=Kind.CONVERGENCE, **request)
    (approval,) = scenario.given(asked).unit.approvals()
    return approval


def test_a_card_names_business_and_type_each_by_itself() -> None:
    card = cards.asking_card(convergence(details=DETAILS), "zhangsan", TODO, SHANGHAI, NOON)
    assert card["main_title"]["title"] == "中风险异常防御待您审批"
    shown = {row["keyname"]: row["value"] for row in card["horizontal_content_list"]}
    assert (shown["业务"], shown["告警类型"]) == ("支付", "PING 不可达")
    assert read_card(card) == card


def test_a_card_that_cuts_a_fact_says_so_beside_the_message() -> None:
    approval = convergence(message="重启", details={"业务": "支" * 31, "告警类型": "x"})
    card = cards.asking_card(approval, "zhangsan", TODO, SHANGHAI, NOON)
    assert card["sub_title_text"] == "重启…（未显示完，请打开详情查看后审批）"
    assert not fits_a_card("重启", approval.alarm)
    assert read_card(card) == card


async def test_a_cut_card_is_decided_only_by_who_has_opened_its_page(start: StartService) -> None:
    service = await start(message_style="card")
    approval = await service.ask(
        "12345_-1", kind="convergence", details={"业务": "支" * 31}, approvers=["zhangsan"]
    )
    await service.notified(approval["approval_id"])
    (card,) = await service.messages("zhangsan", 1)
    assert card.task_id is not None
    await service.wecom.tap("zhangsan", card.task_id, "approve/12345_-1")
    found = await service.look(approval["approval_id"])
    assert found["status"] == "pending"
    refusals = [
        event["data"].get("refusal") for event in await service.events(found["approval_id"])
    ]
    assert "open-it-first" in refusals


# The page.


@pytest.mark.parametrize("path", ["/wechat/todo/", "/wechat/a/{approval_id}/"])
async def test_the_buttons_say_what_they_said_in_fta(service: Service, path: str) -> None:
    approval = await service.ask("12345_-1", kind="convergence", details=DETAILS)
    page = await Visitor(service).log_in("zhangsan", path.format(**approval))
    assert ">准许执行自愈套餐</button>" in page.html
    assert ">拒绝执行</button>" in page.html
    assert ">同意</button>" not in page.html
