"""The pages of members over HTTP: what they show, to whom, and what a pressed button does."""

import asyncio
import hashlib
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from aiohttp import FormData

from domain.approval import Approval
from domain.errors import Refusal
from tests.conftest import StartService
from tests.service import Clock, Service
from tests.visitor import APPROVE, IN_WECOM, OUTSIDE, REJECT, Form, Page, Visitor
from web import keys
from web.errors import STATUS
from web.sessions import COOKIE
from web.timeline import WORDS

UNKNOWN = "/wechat/a/00000000-0000-0000-0000-000000000000/"
MARKUP = "<script>alert(1)</script> \"'><img src=x onerror=alert(2)> &amp; {{ 7*7 }} </textarea>"
LONG = "替换" * 1000
Json = dict[str, Any]


def page_of(approval: Json) -> str:
    return f"/wechat/a/{approval['approval_id']}/"


async def visitor(service: Service, userid: str) -> Visitor:
    somebody = Visitor(service)
    await somebody.log_in(userid)
    return somebody


async def opened(service: Service, userid: str, approval: Json) -> tuple[Visitor, Form]:
    """A member before the page of an approval, and its form."""
    somebody = await visitor(service, userid)
    return somebody, (await somebody.get(page_of(approval))).form


async def types(service: Service, approval: Json) -> list[str]:
    return [event["type"] for event in await service.events(approval["approval_id"])]


async def decided(service: Service, approval: Json) -> list[tuple[str, str | None]]:
    """How it ended and by whom: at most one."""
    return [
        (decision["data"]["status"], decision["data"]["decided_by"])
        for decision in await service.decisions()
        if decision["data"]["approval_id"] == approval["approval_id"]
    ]


async def position(service: Service) -> int:
    return await service.app[keys.READING].last_position()


def shown_ids(page: Page) -> list[str]:
    """Reply ids in the list, from the top."""
    words = page.text.split()
    return [words[i + 1].split("，")[0] for i, word in enumerate(words) if word == "编号"]


# 待办.


async def test_the_list_shows_what_waits_for_its_reader_most_urgent_first(
    service: Service,
) -> None:
    await service.ask("1_1", expires_in=1200, approvers=["zhangsan"])
    await service.ask("2_1", expires_in=60, approvers=["ZhangSan", "lisi"])
    await service.ask("3_1", expires_in=600, approvers=["lisi"])
    await service.ask("4_1", expires_in=30, approvers=["lisi", "zhangsan"], requested_by="zhangsan")
    await service.ask("5_1", expires_in=90000, approvers=["zhangsan"])
    assert shown_ids(await Visitor(service).log_in("zhangsan")) == ["2_1", "1_1", "5_1"]
    assert shown_ids(await Visitor(service).log_in("lisi")) == ["4_1", "2_1", "3_1"]
    # The super approver may decide all of them.
    everything = ["4_1", "2_1", "3_1", "1_1", "5_1"]
    assert shown_ids(await Visitor(service).log_in("wangwu")) == everything


async def test_a_super_approver_does_not_see_what_they_requested(service: Service) -> None:
    await service.ask("1_1", approvers=["zhangsan"], requested_by="WangWu")
    assert shown_ids(await Visitor(service).log_in("wangwu")) == []


async def test_what_has_ended_or_is_overdue_waits_for_nobody(
    service: Service, clock: Clock
) -> None:
    first = await service.ask("1_1", expires_in=60)
    await service.ask("2_1", expires_in=61)
    await service.ask("3_1")
    zhangsan = await visitor(service, "zhangsan")
    await service.api("POST", f"/approvals/{first['approval_id']}/cancel", json={"reason": "好了"})
    assert shown_ids(await zhangsan.get("/wechat/todo/")) == ["2_1", "3_1"]
    clock.advance(seconds=61)  # and no timer has run
    page = await zhangsan.get("/wechat/todo/")
    assert shown_ids(page) == ["3_1"]
    assert "剩余 18 分钟" in page.text


async def test_an_empty_list_says_so(service: Service) -> None:
    page = await Visitor(service).log_in("zhangsan")
    assert "没有待审批的事项" in page.text and page.forms == []


async def test_who_became_a_super_approver_later_sees_what_was_asked_before(
    start: StartService,
) -> None:
    service = await start(super_approvers="")
    approval = await service.ask("1_1", approvers=["zhangsan"])
    assert shown_ids(await Visitor(service).log_in("lisi")) == []
    await service.stop()
    service = await start(super_approvers="lisi")
    lisi = Visitor(service)
    page = await lisi.log_in("lisi")
    assert shown_ids(page) == ["1_1"]
    assert (await lisi.press(page.form, APPROVE)).status == 303
    assert (await service.look(approval["approval_id"]))["capacity"] == "super-approver"


async def test_who_is_no_longer_a_super_approver_sees_and_decides_nothing(
    start: StartService,
) -> None:
    service = await start(super_approvers="wangwu")
    approval = await service.ask("1_1", approvers=["zhangsan"])
    wangwu, form = await opened(service, "wangwu", approval)
    await service.stop()
    wangwu.service = service = await start(super_approvers="")
    assert shown_ids(await wangwu.get("/wechat/todo/")) == []
    assert (await wangwu.get(page_of(approval))).status == 404
    assert (await wangwu.press(form, APPROVE)).status == 404
    assert await decided(service, approval) == []


# One approval: for whom.


async def test_the_page_says_what_why_who_and_until_when(service: Service) -> None:
    approval = await service.ask(
        "12345_2",
        run=2,
        message="替换故障机 10.0.0.1",
        risk="high",
        kind="convergence",
        biz_id="100",
        requested_by="lisi",
        approvers=["zhangsan", "lisi"],
        details={"业务": "支付", "告警类型": "PING 不可达"},
        action={"do": "replace", "ip": "10.0.0.1"},
    )
    page = await Visitor(service).log_in("zhangsan", page_of(approval))
    for words in (
        "替换故障机 10.0.0.1",
        "高风险",
        "待审批",
        "剩余 20 分钟",
        "12345_2.2",
        "第 2 次",
        "异常防御",
        "fta，lisi",
        "业务编号100",
        "20:20（Asia/Shanghai）",
        "审批人zhangsan、lisi",
        "业务支付",
        "告警类型PING 不可达",
        '"ip": "10.0.0.1"',
        approval["action_digest"],
        "TY 12345_2.2",
        "fta 发起审批",
    ):
        assert words in page.text, words


@pytest.mark.parametrize(
    ("settings", "userid", "sees", "decides"),
    [
        ({}, "zhangsan", True, True),
        ({"super_approvers": "lisi"}, "lisi", True, True),
        ({"admins": "lisi"}, "lisi", True, False),
        ({"auditors": "LiSi"}, "lisi", True, False),
        ({}, "lisi", False, False),
    ],
)
async def test_who_may_see_and_who_has_buttons(
    start: StartService, settings: dict[str, str], userid: str, sees: bool, decides: bool
) -> None:
    service = await start(**{"super_approvers": "wangwu", **settings})
    approval = await service.ask(approvers=["zhangsan"])
    page = await Visitor(service).log_in(userid, page_of(approval))
    assert (page.status == 200) is sees
    assert bool(page.forms) is decides
    assert ("TY 12345_2" in page.text) is decides


async def test_a_stranger_to_it_gets_the_very_answer_of_an_unknown_id(service: Service) -> None:
    approval = await service.ask(approvers=["zhangsan"])
    lisi = await visitor(service, "lisi")
    answers = [
        await lisi.get(page_of(approval)),
        await lisi.get(UNKNOWN),
        await lisi.get(page_of(approval).upper().replace("/WECHAT/A", "/wechat/a")),
        await lisi.get("/wechat/a/12345_2/"),
        await lisi.get("/wechat/nothing/"),
        await lisi.post(f"{page_of(approval)}decision", {"decision": APPROVE}),
        await lisi.post(f"{UNKNOWN}decision", {"decision": APPROVE}),
    ]
    assert [page.status for page in answers[:5]] == [404] * 5
    assert {page.body for page in answers[:5]} == {answers[0].body}
    assert answers[5].body == answers[6].body and answers[5].status == answers[6].status == 404
    ours = [{k: v for k, v in page.headers.items() if k != "Date"} for page in answers]
    assert ours[0] == ours[1] and ours[5] == ours[6]
    assert "12345_2" not in answers[0].html


async def test_who_is_not_logged_in_learns_nothing_either(service: Service) -> None:
    approval = await service.ask()
    known, unknown = [await Visitor(service).get(path) for path in (page_of(approval), UNKNOWN)]
    assert known.status == unknown.status == 303
    assert known.body == unknown.body == b""


async def test_the_requester_may_look_and_not_decide(service: Service) -> None:
    approval = await service.ask(approvers=["zhangsan", "lisi"], requested_by="ZhangSan")
    _, form = await opened(service, "lisi", approval)
    zhangsan = Visitor(service)
    page = await zhangsan.log_in("zhangsan", page_of(approval))
    assert page.forms == [] and "由您发起" in page.text
    form.fields["token"] = token(service, zhangsan, approval, "page")
    refused = await zhangsan.press(form, APPROVE)
    assert refused.status == 403 and "不能由您审批" in refused.text
    assert await decided(service, approval) == []


async def test_every_path_works_with_and_without_its_last_slash(service: Service) -> None:
    approval = await service.ask()
    zhangsan = await visitor(service, "zhangsan")
    for path in ("/wechat/todo", "/wechat/todo/", page_of(approval), page_of(approval)[:-1]):
        assert (await zhangsan.get(path)).status == 200
    form = (await zhangsan.get(page_of(approval))).form
    form.action += "/"
    assert (await zhangsan.press(form, APPROVE)).status == 303


# Pressing a button.


@pytest.mark.parametrize(("decision", "status"), [(APPROVE, "approved"), (REJECT, "rejected")])
@pytest.mark.parametrize("path", ["/wechat/todo/", "page"])
async def test_a_pressed_button_decides_once_and_leads_to_the_page(
    service: Service, clock: Clock, path: str, decision: str, status: str
) -> None:
    other = await service.ask("99_1")
    approval = await service.ask(approvers=["zhangsan"])
    zhangsan = await visitor(service, "zhangsan")
    form = (await zhangsan.get(page_of(approval) if path == "page" else path)).form_of(approval)
    clock.advance(minutes=1)
    pressed = await zhangsan.press(form, decision, "看过了")
    assert pressed.status == 303
    assert pressed.location == zhangsan.prefix + page_of(approval)
    after = await service.look(approval["approval_id"])
    assert (after["status"], after["decided_by"], after["decided_via"]) == (
        status,
        "zhangsan",
        "web",
    )
    assert (after["capacity"], after["reason"]) == ("approver", "看过了")
    assert after["decided_at"] == "2026-01-05T12:01:00.000Z"
    assert (await service.look(other["approval_id"]))["status"] == "pending"
    page = await zhangsan.get(pressed.location)
    assert page.forms == []
    assert f"您 于 20:01 通过页面{'同意' if decision == APPROVE else '驳回'}" in page.text
    assert "看过了" in page.text
    assert shown_ids(await zhangsan.get("/wechat/todo/")) == ["99_1"]


async def test_the_same_button_twice_is_one_decision(service: Service) -> None:
    approval = await service.ask()
    zhangsan, form = await opened(service, "zhangsan", approval)
    pressed = await asyncio.gather(*(zhangsan.press(form, APPROVE) for _ in range(5)))
    pressed.append(await zhangsan.press(form, APPROVE, "再按一次"))
    assert [page.status for page in pressed] == [303] * 6
    assert await decided(service, approval) == [("approved", "zhangsan")]
    assert (await types(service, approval)).count("approval.approved") == 1
    other = await zhangsan.press(form, REJECT)
    assert other.status == 409 and "您 于 20:00 通过页面同意" in other.text


async def test_of_many_who_press_at_once_one_decides_and_the_others_hear_who(
    service: Service,
) -> None:
    approval = await service.ask()
    people = [
        (name, *(await opened(service, name, approval)), decision)
        for name in ("zhangsan", "lisi", "wangwu")
        for decision in (APPROVE, REJECT)
    ]
    pages = await asyncio.gather(
        *(somebody.press(form, decision) for _, somebody, form, decision in people)
    )
    assert sorted(page.status for page in pages) == [303] + [409] * 5
    ((status, first),) = await decided(service, approval)
    assert (await types(service, approval)).count(f"approval.{status}") == 1
    for (name, *_), page in zip(people, pages, strict=True):
        if page.status == 409:
            title = "（审批管理员）" if first == "wangwu" else ""
            who = "您" if name == first else f"{first}{title}"
            assert f"{who} 于 20:00 通过页面" in page.text
            assert "您刚才的操作没有生效" in page.text and page.forms == []


async def test_a_page_left_open_after_the_end_gets_told_who_was_first(
    service: Service, clock: Clock
) -> None:
    approval = await service.ask()
    zhangsan, form = await opened(service, "zhangsan", approval)
    lisi, first = await opened(service, "lisi", approval)
    clock.advance(minutes=3)
    await lisi.press(first, REJECT, "先不动")
    late = await zhangsan.press(form, APPROVE)
    assert late.status == 409
    for words in ("您刚才的操作没有生效", "lisi 于 20:03 通过页面驳回", "先不动", "已驳回"):
        assert words in late.text
    assert await decided(service, approval) == [("rejected", "lisi")]


async def test_after_the_deadline_a_button_decides_nothing(service: Service, clock: Clock) -> None:
    approval = await service.ask(expires_in=60)
    zhangsan, form = await opened(service, "zhangsan", approval)
    clock.advance(seconds=60)  # and no timer has run
    page = await zhangsan.get(page_of(approval))
    assert page.forms == [] and "已超时" in page.text and "20:01 到期" in page.text
    late = await zhangsan.press(form, APPROVE)
    assert late.status == 409 and "20:01 到期，无人作出决定" in late.text
    assert await decided(service, approval) == [("expired", None)]


async def test_a_click_counts_when_it_has_arrived_whole(service: Service, clock: Clock) -> None:
    """Else a form begun in time could be finished whenever somebody likes."""
    approval = await service.ask(expires_in=60)
    zhangsan, form = await opened(service, "zhangsan", approval)
    body = urlencode(form.pressed(APPROVE)).encode()
    host, _, port = service.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"POST {form.action} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n"
        f"Cookie: {COOKIE}={zhangsan.cookies[COOKIE]}\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    )
    writer.write(head.encode())
    assert b"100 Continue" in await reader.readline()  # it has begun
    clock.advance(seconds=60)
    writer.write(body)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert b"HTTP/1.1 409 " in answer
    assert await decided(service, approval) == [("expired", None)]


async def test_a_form_of_one_run_never_decides_the_next(service: Service) -> None:
    first = await service.ask("1_1", message="替换 10.0.0.1")
    zhangsan, form = await opened(service, "zhangsan", first)
    second = await service.ask("1_1", run=2, message="替换 10.0.0.2")
    late = await zhangsan.press(form, APPROVE)
    assert late.status == 409 and "已由第 2 次执行取代" in late.text
    form.action = form.action.replace(first["approval_id"], second["approval_id"])
    assert (await zhangsan.press(form, APPROVE)).status == 403
    assert await decided(service, first) == [("cancelled", "fta")]
    assert await decided(service, second) == []


# High risk.


async def test_high_risk_is_decided_on_its_own_page_only(service: Service) -> None:
    approval = await service.ask(risk="high")
    zhangsan = await visitor(service, "zhangsan")
    listed = await zhangsan.get("/wechat/todo/")
    assert listed.forms == [] and zhangsan.prefix + page_of(approval) in listed.links
    assert "查看后审批" in listed.text
    form = (await zhangsan.get(page_of(approval))).form
    assert (await zhangsan.press(form, APPROVE)).status == 303
    assert await decided(service, approval) == [("approved", "zhangsan")]


async def test_a_forged_list_form_does_not_decide_a_high_risk(service: Service) -> None:
    approval = await service.ask(risk="high")
    zhangsan, form = await opened(service, "zhangsan", approval)
    listed = Form(form.action, "post", {**form.fields, "view": "list"}, form.buttons)
    assert (await zhangsan.press(listed, APPROVE)).status == 403
    listed.fields["token"] = token(service, zhangsan, approval, "list")
    for decision in (APPROVE, REJECT):
        refused = await zhangsan.press(listed, decision)
        assert refused.status == 409 and "请先查看" in refused.text
        assert refused.links == [zhangsan.prefix + page_of(approval)]
    assert await decided(service, approval) == []


LOGIN = "/wechat/accounts/login/"


async def in_vain(service: Service, clock: Clock, reason: str = "") -> tuple[Json, Visitor, Page]:
    """zhangsan presses 同意 on a high risk, ten minutes after having logged in."""
    approval = await service.ask(risk="high")
    zhangsan, form = await opened(service, "zhangsan", approval)
    clock.advance(minutes=10)
    pressed = await zhangsan.press(form, APPROVE, reason)
    assert pressed.status == 303
    return approval, zhangsan, pressed


async def log_in_again(somebody: Visitor, sent: Page, userid: str) -> Page:
    """From the login to WeCom and back, to the page to which that leads."""
    back = await somebody.through_wecom(await somebody.get(sent.location), userid)
    arrived = await somebody.get(back)
    assert arrived.status == 303, arrived.html
    return await somebody.get(arrived.location)


async def test_a_high_risk_is_approved_within_five_minutes_of_the_login(
    service: Service, clock: Clock
) -> None:
    in_time, late = await service.ask("1_1", risk="high"), await service.ask("2_1", risk="high")
    zhangsan, form = await opened(service, "zhangsan", in_time)
    form_late = (await zhangsan.get(page_of(late))).form
    clock.advance(minutes=5)
    pressed = await zhangsan.press(form, APPROVE)
    assert (pressed.status, pressed.location) == (303, zhangsan.prefix + page_of(in_time))
    clock.advance(milliseconds=1)
    pressed = await zhangsan.press(form_late, APPROVE)
    assert (pressed.status, pressed.location) == (
        303,
        f"{zhangsan.prefix}{LOGIN}?next={quote(zhangsan.prefix + page_of(late), safe='')}",
    )
    assert await decided(service, in_time) == [("approved", "zhangsan")]
    assert await decided(service, late) == []


@pytest.mark.parametrize("agent", [IN_WECOM, OUTSIDE])
async def test_after_an_older_login_one_logs_in_again_and_presses_again(
    service: Service, clock: Clock, agent: str
) -> None:
    approval, zhangsan, pressed = await in_vain(service, clock, "备库</textarea>已核对")
    assert (await types(service, approval))[-1] == "approval.replied"
    zhangsan.agent = agent
    page = await log_in_again(zhangsan, pressed, "zhangsan")
    # Coming back decides nothing: the button does.
    assert await decided(service, approval) == []
    assert "身份已重新确认。您 20:10 按下的“同意”尚未生效" in page.text
    assert "备库&lt;/textarea&gt;已核对</textarea>" in page.html
    assert "zhangsan 通过页面同意（未生效: 高风险操作需重新确认身份）" in page.text
    assert LOGIN not in "".join(page.links)
    assert (await zhangsan.press(page.form, APPROVE)).status == 303
    assert await decided(service, approval) == [("approved", "zhangsan")]
    ended = await zhangsan.get(page_of(approval))
    assert "身份已重新确认" not in ended.text


async def test_rejecting_and_reading_need_no_fresh_login_and_no_wecom(
    service: Service, clock: Clock
) -> None:
    approval = await service.ask(risk="high", message=LONG)
    zhangsan = await visitor(service, "zhangsan")
    clock.advance(minutes=10)
    service.wecom.knobs.outage = "http-500"
    page = await zhangsan.get(page_of(approval))
    assert page.status == 200 and "同意前需重新确认身份" in page.text
    assert f"{zhangsan.prefix}{LOGIN}?next=" in "".join(page.links)
    assert (await zhangsan.press(page.form, REJECT)).status == 303
    assert await decided(service, approval) == [("rejected", "zhangsan")]


async def test_the_page_says_beforehand_that_the_login_will_be_confirmed(
    start: StartService, clock: Clock
) -> None:
    service = await start(auditors="wangwu", super_approvers="")
    high = await service.ask("1_1", risk="high", expires_in=86400)
    medium = await service.ask("2_1", expires_in=86400)
    zhangsan, wangwu = await visitor(service, "zhangsan"), await visitor(service, "wangwu")
    words = "同意前需重新确认身份"
    assert words not in (await zhangsan.get(page_of(high))).text
    clock.advance(minutes=5, milliseconds=1)
    assert words in (await zhangsan.get(page_of(high))).text
    assert words not in (await zhangsan.get(page_of(medium))).text
    assert words not in (await wangwu.get(page_of(high))).text  # who decides nothing
    # By the link one confirms it before, and then presses once.
    (link,) = [link for link in (await zhangsan.get(page_of(high))).links if LOGIN in link]
    back = await zhangsan.through_wecom(await zhangsan.get(link), "zhangsan")
    arrived = await zhangsan.get((await zhangsan.get(back)).location)
    assert words not in arrived.text and "尚未生效" not in arrived.text
    assert (await zhangsan.press(arrived.form, APPROVE)).status == 303
    assert await decided(service, high) == [("approved", "zhangsan")]


async def test_who_does_not_log_in_again_is_where_they_were(service: Service, clock: Clock) -> None:
    approval, zhangsan, pressed = await in_vain(service, clock, "备库已核对")
    sent = await zhangsan.get(pressed.location)
    service.wecom.knobs.outage = "http-500"
    away = await zhangsan.get(await zhangsan.through_wecom(sent, "zhangsan"))
    assert away.status == 503 and "企业微信没有应答" in away.text
    assert away.links == [zhangsan.prefix + page_of(approval)]
    page = await zhangsan.get(away.links[0])
    assert "同意前需重新确认身份" in page.text and ">备库已核对</textarea>" in page.html
    assert (await zhangsan.press(page.form, APPROVE)).location == pressed.location
    assert await decided(service, approval) == []


async def test_without_wecom_the_login_says_what_to_set(start: StartService, clock: Clock) -> None:
    service = await start()
    approval = await service.ask(risk="high")
    zhangsan, form = await opened(service, "zhangsan", approval)
    await service.stop()
    zhangsan.service = service = await start(wecom_secret="")
    clock.advance(minutes=10)
    pressed = await zhangsan.press(form, APPROVE)
    assert pressed.status == 303
    page = await zhangsan.get(pressed.location)
    assert page.status == 503 and "CorpID" in page.text
    assert (await zhangsan.press(form, REJECT)).status == 303
    assert await decided(service, approval) == [("rejected", "zhangsan")]


async def test_who_logs_in_instead_is_told_nothing_of_anothers_press(
    service: Service, clock: Clock
) -> None:
    """The QR code may be scanned by whoever stands there."""
    approval, browser, pressed = await in_vain(service, clock, "备库已核对")
    page = await log_in_again(browser, pressed, "lisi")
    assert "身份已重新确认" not in page.text and ">备库已核对<" not in page.html
    assert (await browser.press(page.form, APPROVE)).status == 303
    assert await decided(service, approval) == [("approved", "lisi")]


async def test_a_later_word_makes_the_earlier_press_forgotten(
    service: Service, clock: Clock
) -> None:
    approval, zhangsan, pressed = await in_vain(service, clock, "备库已核对")
    await service.says("zhangsan", "TY 12345_2 吗？")
    page = await log_in_again(zhangsan, pressed, "zhangsan")
    assert "尚未生效" not in page.text and ">备库已核对<" not in page.html
    assert await decided(service, approval) == []


async def test_a_press_too_late_is_told_so_and_not_sent_to_the_login(
    service: Service, clock: Clock
) -> None:
    approval = await service.ask(risk="high", expires_in=60)
    zhangsan, form = await opened(service, "zhangsan", approval)
    clock.advance(minutes=10)
    late = await zhangsan.press(form, APPROVE)
    assert late.status == 409 and "到期，无人作出决定" in late.text
    assert await decided(service, approval) == [("expired", None)]


# What is written beside it.


async def test_a_reason_is_kept_on_one_line(service: Service) -> None:
    approval = await service.ask()
    zhangsan, form = await opened(service, "zhangsan", approval)
    words = " 磁盘\r\n已换\u202e好\u2028，<b>不用</b>替换 🙂 "
    await zhangsan.press(form, REJECT, words)
    reason = (await service.look(approval["approval_id"]))["reason"]
    assert reason == "磁盘 已换 好 ，<b>不用</b>替换 🙂"
    assert reason in (await zhangsan.get(page_of(approval))).text


@pytest.mark.parametrize("reason", ["字" * 500, "\r\n".join(["字" * 99] * 5) + " ", "   ", ""])
async def test_a_reason_may_have_five_hundred_characters(service: Service, reason: str) -> None:
    approval = await service.ask()
    zhangsan, form = await opened(service, "zhangsan", approval)
    assert (await zhangsan.press(form, REJECT, reason)).status == 303
    kept = reason.replace("\r\n", " ").strip() or None
    assert (await service.look(approval["approval_id"]))["reason"] == kept


async def test_a_longer_reason_decides_nothing(service: Service) -> None:
    approval = await service.ask()
    zhangsan, form = await opened(service, "zhangsan", approval)
    refused = await zhangsan.press(form, REJECT, "字" * 501)
    assert refused.status == 422 and "最多 500 个字" in refused.text
    assert await decided(service, approval) == []


async def test_nobody_can_put_markup_into_a_page(service: Service) -> None:
    approval = await service.ask(
        message=MARKUP,
        requested_by=MARKUP,
        biz_id=MARKUP,
        details={MARKUP: MARKUP, "业务": MARKUP},
        action={MARKUP: MARKUP},
    )
    zhangsan, form = await opened(service, "zhangsan", approval)
    lisi = await visitor(service, "lisi")
    pages = [await zhangsan.get("/wechat/todo/"), await zhangsan.get(page_of(approval))]
    await service.says("zhangsan", f"BH 12345_2x {MARKUP}")
    await service.says("zhangsan", f"TY 12345_2 吗 {MARKUP}")
    await zhangsan.press(form, REJECT, MARKUP)
    pages += [await lisi.get(page_of(approval)), await zhangsan.press(form, APPROVE)]
    assert pages[-1].status == 409
    for page in pages:
        check_safe(service, page)
        assert " ".join(MARKUP.split()) in page.text
        assert not any(tag == "img" for tag, _ in page.tags)


# Who presses: this session, this approval, this place.


def token(service: Service, somebody: Visitor, approval: Json, view: str) -> str:
    """A good token, as only the service can make it."""
    hashed = hashlib.sha256(somebody.cookies[COOKIE].encode()).hexdigest()
    return service.app[keys.FORM_TOKENS].make("decide", hashed, approval["approval_id"], view)


async def test_a_token_fits_one_session_one_approval_one_place(service: Service) -> None:
    approval, other = await service.ask("1_1"), await service.ask("2_1")
    zhangsan, form = await opened(service, "zhangsan", approval)
    _, form_of_again = await opened(service, "zhangsan", approval)
    _, form_of_lisi = await opened(service, "lisi", approval)
    form_of_other = (await zhangsan.get(page_of(other))).form
    in_list = (await zhangsan.get("/wechat/todo/")).form_of(approval)
    tokens = [
        f.fields["token"] for f in (form, form_of_again, form_of_lisi, form_of_other, in_list)
    ]
    assert len(set(tokens)) == 5
    for wrong in [*tokens[1:], "", "x", tokens[0][:-1], tokens[0] + "0", tokens[0].upper()]:
        form.fields["token"] = wrong
        refused = await zhangsan.press(form, APPROVE)
        assert refused.status == 403 and "没有作任何决定" in refused.text, wrong
    for view in ("list", "", "PAGE", "other"):
        form.fields |= {"token": tokens[0], "view": view}
        assert (await zhangsan.press(form, APPROVE)).status == 403
    del form.fields["token"]
    form.fields["view"] = "page"
    assert (await zhangsan.press(form, APPROVE)).status == 403
    assert await service.decisions() == []
    form.fields["token"] = tokens[0]
    assert (await zhangsan.press(form, APPROVE)).status == 303


async def test_after_a_new_login_the_forms_of_the_old_session_are_stale(service: Service) -> None:
    """Whoever logs in on this browser next does not press what another had before them."""
    approval = await service.ask()
    browser, form = await opened(service, "zhangsan", approval)
    browser.forget()
    await browser.log_in("lisi")
    assert (await browser.press(form, APPROVE)).status == 403
    assert await decided(service, approval) == []


@pytest.mark.parametrize(
    "origin",
    ["null", "", "https://evil.example", "http://127.0.0.1", "http://127.0.0.1:1", "file://", "*"],
)
async def test_a_form_from_another_site_decides_nothing(service: Service, origin: str) -> None:
    approval = await service.ask()
    zhangsan, form = await opened(service, "zhangsan", approval)
    refused = await zhangsan.press(form, APPROVE, headers={"Origin": origin})
    assert refused.status == 403 and "没有作任何决定" in refused.text
    assert await decided(service, approval) == []


async def test_a_browser_that_sends_no_origin_needs_its_token(service: Service) -> None:
    approval = await service.ask()
    zhangsan, form = await opened(service, "zhangsan", approval)
    fields = form.pressed(APPROVE)
    assert (await zhangsan.post(form.action, {**fields, "token": "x"})).status == 403
    assert (await zhangsan.post(form.action, fields)).status == 303


async def test_without_a_session_a_button_asks_to_log_in_again(
    service: Service, clock: Clock
) -> None:
    approval = await service.ask(expires_in=90000)
    zhangsan, form = await opened(service, "zhangsan", approval)
    clock.advance(hours=12)
    expired = await zhangsan.press(form, APPROVE)
    zhangsan.forget()
    nobody = await zhangsan.press(form, APPROVE)
    for page in (expired, nobody):
        assert page.status == 401 and "重新登录" in page.text
        assert page.links == [zhangsan.prefix + page_of(approval)]
    assert await decided(service, approval) == []


@pytest.mark.parametrize("value", ["", "Approve", "approved", "同意", "TY", "1", "approve "])
async def test_neither_approve_nor_reject_decides_nothing(service: Service, value: str) -> None:
    approval = await service.ask()
    zhangsan, form = await opened(service, "zhangsan", approval)
    refused = await zhangsan.post(form.action, {**form.pressed(APPROVE), "decision": value})
    assert refused.status == 422 and "没有作任何决定" in refused.text
    assert await decided(service, approval) == []


async def test_what_is_no_form_of_ours_decides_nothing(service: Service) -> None:
    approval = await service.ask()
    zhangsan, form = await opened(service, "zhangsan", approval)
    fields = form.pressed(APPROVE)
    encoded = urlencode(fields).encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    multipart = FormData(fields, default_to_multipart=True)
    for data, headers in [
        (encoded + b"&decision=reject", kind),
        (encoded + b"&decision=approve", kind),
        (encoded + b"&token=x", kind),
        (encoded + b"&x=\xff", kind),
        (encoded, {"Content-Type": "application/x-www-form-urlencoded; charset=no-such"}),
        (encoded, {"Content-Type": "text/plain"}),
        (encoded, {"Content-Type": "application/json"}),
        (b'{"decision": "approve"}', {"Content-Type": "application/json"}),
        (multipart, {}),
        (b"", kind),
    ]:
        page = await zhangsan.post(form.action, data, headers=headers)
        assert page.status == 403, (data, page.status)
    too_long = {**fields, "reason": "x" * 300_000}
    assert (await zhangsan.post(form.action, too_long)).status == 413
    assert await decided(service, approval) == []


async def test_no_get_changes_anything(service: Service) -> None:
    approval = await service.ask()
    await service.notified(approval["approval_id"])
    zhangsan, form = await opened(service, "zhangsan", approval)
    before, query = await position(service), urlencode(form.pressed(APPROVE))
    for path in ("/wechat/todo/", page_of(approval), UNKNOWN):
        assert (await zhangsan.get(f"{path}?{query}")).status in (200, 404)
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"):
        page = await zhangsan.send(method, f"{form.action}?{query}")
        assert page.status == 405 and page.headers["Allow"] == "POST"
    assert (await zhangsan.send("POST", f"{form.action}?{query}")).status == 403
    assert await position(service) == before


# A message that did not fit.


async def test_opening_the_page_of_a_cut_message_lets_one_decide_by_text(service: Service) -> None:
    approval = await service.ask(message=LONG)
    await service.notified(approval["approval_id"])
    await service.says("zhangsan", "TY 12345_2")
    assert await decided(service, approval) == []
    zhangsan = await visitor(service, "zhangsan")
    await zhangsan.get("/wechat/todo/")  # a list is not its page
    assert "approval.opened" not in await types(service, approval)
    for _ in range(3):
        page = await zhangsan.get(page_of(approval))
        assert LONG in page.text
    assert (await types(service, approval)).count("approval.opened") == 1
    assert "zhangsan 打开了详情" in page.text
    await service.says("lisi", "TY 12345_2")  # who has not opened it
    assert await decided(service, approval) == []
    await service.says("zhangsan", "TY 12345_2")
    assert await decided(service, approval) == [("approved", "zhangsan")]


async def test_a_cut_message_is_decided_on_the_page_itself_too(service: Service) -> None:
    approval = await service.ask(message=LONG)
    zhangsan, form = await opened(service, "zhangsan", approval)
    assert (await zhangsan.press(form, REJECT)).status == 303
    assert await decided(service, approval) == [("rejected", "zhangsan")]


async def test_opening_is_recorded_only_where_it_matters(start: StartService, clock: Clock) -> None:
    service = await start(auditors="lisi", super_approvers="wangwu")
    short = await service.ask("1_1", approvers=["zhangsan"])
    mine = await service.ask("2_1", message=LONG, approvers=["zhangsan", "lisi"])
    requested = await service.ask(
        "3_1", message=LONG, approvers=["wangwu", "zhangsan"], requested_by="zhangsan"
    )
    ended = await service.ask("4_1", message=LONG, approvers=["zhangsan"])
    await service.api("POST", f"/approvals/{ended['approval_id']}/cancel", json={"reason": "好了"})
    overdue = await service.ask("5_1", message=LONG, approvers=["zhangsan"], expires_in=10)
    audited = await service.ask("6_1", message=LONG, approvers=["zhangsan"])
    zhangsan, lisi = await visitor(service, "zhangsan"), await visitor(service, "lisi")
    clock.advance(seconds=10)
    for approval in (short, requested, ended, overdue):
        assert (await zhangsan.get(page_of(approval))).status == 200
        assert "approval.opened" not in await types(service, approval)
    assert (await lisi.get(page_of(audited))).status == 200
    assert (await zhangsan.send("HEAD", zhangsan.prefix + page_of(mine))).status == 405
    assert (await Visitor(service).get(page_of(mine))).status == 303
    for approval in (audited, mine):
        assert "approval.opened" not in await types(service, approval)
    assert (await zhangsan.get(page_of(mine)[:-1])).status == 200
    assert (await types(service, mine)).count("approval.opened") == 1


# What every page has.


def check_safe(service: Service, page: Page) -> None:
    """No code and no styles in the page but files of ours, and nothing that would let any in."""
    static = f"{service.app[keys.SETTINGS].static_path}"
    for tag, given in page.tags:
        assert tag not in ("style", "iframe", "object", "base"), tag
        assert tag != "script" or given["src"].startswith(static), given
        assert not [name for name in given if name == "style" or name.startswith("on")], given
        for name in ("href", "action", "src"):
            assert given.get(name, "/").startswith("/"), given
        assert tag != "form" or given["method"] == "post" or given["id"] == "batch"
    assert page.headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; "
        f"form-action 'self' {service.app[keys.SETTINGS].wecom_oauth_url}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["X-Frame-Options"] == "DENY"
    assert page.headers["Cache-Control"] == "no-store"


async def test_every_page_is_safe_whatever_it_says(service: Service, clock: Clock) -> None:
    approval, high = await service.ask("1_1"), await service.ask("2_1", risk="high")
    zhangsan, form = await opened(service, "zhangsan", approval)
    wrong = Form(form.action, "post", {**form.fields, "token": "x"}, form.buttons)
    listed = Form(form.action.replace(approval["approval_id"], high["approval_id"]), "post")
    listed.fields = {"view": "list", "token": token(service, zhangsan, high, "list")}
    listed.buttons = form.buttons
    login = "/wechat/accounts/login/"
    pages = [
        await zhangsan.get("/wechat/todo/"),
        await zhangsan.get(page_of(approval)),
        await zhangsan.get(UNKNOWN),
        await zhangsan.get("/elsewhere"),
        await zhangsan.get(f"{login}?code=x&state=y"),
        await zhangsan.get(f"{login}?state=y"),
        await zhangsan.get(form.action),
        await zhangsan.press(wrong, APPROVE),
        await zhangsan.press(form, APPROVE, "字" * 501),
        await zhangsan.post(form.action, {**form.fields, "decision": "?"}),
        await zhangsan.post(form.action, {"reason": "x" * 300_000}),
        await zhangsan.press(listed, APPROVE),
        await zhangsan.press(form, APPROVE),
        await zhangsan.press(form, REJECT),
        await Visitor(service).post(form.action, form.pressed(APPROVE)),
        await Visitor(service).get("/wechat/todo/"),
        await Visitor(service).get(login),
    ]
    assert [page.status for page in pages] == [
        *(200, 200, 404, 404, 400, 403, 405, 403, 422, 422, 413, 409, 303, 409, 401, 303, 302)
    ]
    for page in pages:
        check_safe(service, page)


def test_every_refusal_has_a_status() -> None:
    assert set(STATUS) == set(Refusal.__subclasses__())


def test_every_event_of_an_approval_has_words() -> None:
    assert set(WORDS) == set(Approval.event_classes())


# Style sheet and icon.


async def test_browsers_may_keep_what_is_named_by_its_contents(service: Service) -> None:
    page = await Visitor(service).log_in("zhangsan")
    files = [given["href"] for tag, given in page.tags if tag == "link"]
    assert len(files) == 2
    for address in files:
        file = await Visitor(service).get(address)
        assert file.status == 200 and file.body
        assert file.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert file.headers["X-Content-Type-Options"] == "nosniff"
        bare = await Visitor(service).get(address.partition("?")[0])
        assert bare.headers["Cache-Control"] == "no-cache"
        same = await Visitor(service).get(address, headers={"If-None-Match": bare.headers["ETag"]})
        assert same.status == 304


@pytest.mark.parametrize(
    "path", ["", "nothing.css", "../pages.py", "%2e%2e/pages.py", "..%2fpages.py", "//etc/passwd"]
)
async def test_nothing_else_is_served_beside_them(service: Service, path: str) -> None:
    page = await Visitor(service).get(f"/o/bk_fta_solutions/static/wechat/{path}")
    assert page.status in (403, 404)
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    for leaked in ("def ", "root:", "icon.svg<"):
        assert leaked not in page.html


async def test_the_static_files_may_come_from_elsewhere(start: StartService) -> None:
    service = await start(static_url="https://cdn.example.com/fta/")
    page = await Visitor(service).log_in("zhangsan")
    assert 'href="https://cdn.example.com/fta/style.css?v=' in page.html
    policy = page.headers["Content-Security-Policy"]
    assert "style-src https://cdn.example.com/fta/; img-src https://cdn.example.com/fta/;" in policy


async def test_a_path_for_the_static_files_is_served_here(start: StartService) -> None:
    service = await start(static_url="/fta-static/")
    page = await Visitor(service).log_in("zhangsan")
    (style,) = [g["href"] for t, g in page.tags if t == "link" and g["rel"] == "stylesheet"]
    assert style.startswith("/fta-static/style.css?v=")
    assert (await Visitor(service).get(style)).status == 200
