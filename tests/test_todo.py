"""待办 over HTTP: its pages and counts, reasons ready to be chosen, what one decided lately."""

from typing import Any

import pytest

from tests.conftest import StartService
from tests.service import NOON, Clock, Service
from tests.visitor import APPROVE, REJECT, Page, Visitor
from web.listed import PAGE_SIZE

TODO = "/wechat/todo/"
Json = dict[str, Any]


async def visitor(service: Service, userid: str) -> Visitor:
    somebody = Visitor(service)
    await somebody.log_in(userid)
    return somebody


def shown_ids(page: Page) -> list[str]:
    """Reply ids of what waits, from the top."""
    words = page.text.split()
    return [words[i + 1].split("，")[0] for i, word in enumerate(words) if word == "编号"]


async def ask_many(service: Service, count: int, **fields: Any) -> list[Json]:
    """`1_1` is the most urgent."""
    return [
        await service.ask(f"{n}_1", expires_in=1000 + n, approvers=["zhangsan"], **fields)
        for n in range(1, count + 1)
    ]


# Pages.


@pytest.mark.parametrize("userid", ["zhangsan", "wangwu"])
async def test_thirty_stand_on_a_page_and_the_next_page_has_the_rest(
    service: Service, userid: str
) -> None:
    """An approver's list and a super approver's are read from different tables."""
    await ask_many(service, PAGE_SIZE + 5)
    somebody = await visitor(service, userid)
    first, second = await somebody.get(TODO), await somebody.get(f"{TODO}?page=2")
    assert shown_ids(first) == [f"{n}_1" for n in range(1, PAGE_SIZE + 1)]
    assert shown_ids(second) == [f"{n}_1" for n in range(PAGE_SIZE + 1, PAGE_SIZE + 6)]
    for page in (first, second):
        assert "待我审批 35 " in page.text and "共 2 页" in page.text
    assert [link for link in first.links if "page=" in link] == [f"{somebody.prefix}{TODO}?page=2"]
    assert [link for link in second.links if "page=" in link] == [f"{somebody.prefix}{TODO}?page=1"]
    # Beyond the last there is the last: what stood there may have been decided meanwhile.
    assert shown_ids(await somebody.get(f"{TODO}?page=9")) == shown_ids(second)


@pytest.mark.parametrize("page", ["0", "-1", "x", "", "%EF%BC%91", "9" * 5000, "1.5"])
async def test_a_page_that_makes_no_sense_is_the_first(service: Service, page: str) -> None:
    await ask_many(service, PAGE_SIZE + 1)
    zhangsan = await visitor(service, "zhangsan")
    shown = await zhangsan.get(f"{TODO}?page={page}")
    assert shown.status == 200 and shown_ids(shown)[0] == "1_1"


async def test_what_waits_is_counted_by_risk_the_highest_first(
    service: Service, clock: Clock
) -> None:
    await service.ask("1_1", risk="low")
    await service.ask("2_1", risk="high")
    await service.ask("3_1", risk="low")
    await service.ask("4_1", expires_in=60)  # medium, and soon overdue
    assert "高风险 1中风险 1低风险 2" in (await Visitor(service).log_in("zhangsan")).text
    clock.advance(seconds=60)
    for userid in ("zhangsan", "wangwu"):
        page = await Visitor(service).log_in(userid)
        assert "高风险 1低风险 2" in page.text and "待我审批 3 " in page.text


async def test_only_the_last_minutes_are_marked(service: Service) -> None:
    await service.ask("1_1", expires_in=299)
    await service.ask("2_1", expires_in=300)
    page = await Visitor(service).log_in("zhangsan")
    assert page.html.count('class="left urgent"') == 1 and "剩余 4 分钟" in page.text


async def test_an_empty_list_reassures_and_says_when_it_was_made(service: Service) -> None:
    page = await Visitor(service).log_in("zhangsan")
    assert "都处理完了" in page.text and "更新于 20:00（Asia/Shanghai）" in page.text


async def test_there_is_nothing_to_pick_where_there_is_only_one_or_a_high_risk(
    service: Service,
) -> None:
    low = await service.ask("1_1", risk="low")
    await service.ask("2_1", risk="high")
    zhangsan = await visitor(service, "zhangsan")
    page = await zhangsan.get(TODO)
    assert page.picks == [low["approval_id"]]
    assert "一起审批所选" not in page.text
    await service.ask("3_1")
    assert "一起审批所选" in (await zhangsan.get(TODO)).text


# Reasons.


@pytest.mark.parametrize(
    ("ready", "own", "kept"),
    [
        ("peak", "", "业务高峰"),
        ("unclear", " 没有集群 ", "信息不足，没有集群"),
        ("duplicate", "", "重复告警"),
        ("handled", "昨晚", "已人工处理，昨晚"),
        ("", "先观察", "先观察"),
        ("", "", None),
    ],
)
@pytest.mark.parametrize("on", ["list", "page"])
async def test_a_reason_is_chosen_or_written_or_both(
    service: Service, on: str, ready: str, own: str, kept: str | None
) -> None:
    approval = await service.ask()
    zhangsan = await visitor(service, "zhangsan")
    form = (
        await zhangsan.get(TODO if on == "list" else f"/wechat/a/{approval['approval_id']}/")
    ).form
    form.fields["ready"] = ready
    assert (await zhangsan.press(form, REJECT, own)).status == 303
    assert (await service.look(approval["approval_id"]))["reason"] == kept


async def test_approving_with_a_reason_to_reject_decides_nothing(service: Service) -> None:
    """Which of the two was meant nobody can say."""
    approval = await service.ask()
    zhangsan = await visitor(service, "zhangsan")
    form = (await zhangsan.get(TODO)).form
    form.fields["ready"] = "peak"
    refused = await zhangsan.press(form, APPROVE)
    assert refused.status == 422 and "按下的却是同意" in refused.text
    assert (await service.look(approval["approval_id"]))["status"] == "pending"
    form.fields["ready"] = "never offered"
    assert (await zhangsan.press(form, REJECT)).status == 422
    assert (await service.look(approval["approval_id"]))["status"] == "pending"


# What I decided lately.


async def test_the_last_ten_that_i_decided_stand_below_the_latest_first(
    service: Service, clock: Clock
) -> None:
    asked = await ask_many(service, 13)
    zhangsan, wangwu = await visitor(service, "zhangsan"), await visitor(service, "wangwu")
    for approval in asked[:11]:
        clock.advance(seconds=1)
        form = (await zhangsan.get(TODO)).form_of(approval)
        await zhangsan.press(form, APPROVE if approval is not asked[1] else REJECT)
    await wangwu.press((await wangwu.get(TODO)).form_of(asked[11]), APPROVE)
    await service.api("POST", f"/approvals/{asked[12]['approval_id']}/cancel", json={"reason": "x"})
    page = await zhangsan.get(TODO)
    mine = [given["value"] for _, given in page.tags if given.get("name") == "did"]
    assert mine == [asked[n]["approval_id"] for n in range(10, 0, -1)]
    assert "已驳回 您 于 20:00 通过页面驳回" in page.text
    theirs = [g["value"] for _, g in (await wangwu.get(TODO)).tags if g.get("name") == "did"]
    assert theirs == [asked[11]["approval_id"]]


async def test_what_was_decided_in_the_chat_stands_there_too(service: Service) -> None:
    await service.ask()
    assert "审批成功" in await service.heard("zhangsan", "TY 12345_2")
    page = await Visitor(service).log_in("zhangsan")
    assert "已同意 您 于 20:00" in page.text and page.revocation is not None


async def test_an_approval_is_taken_back_from_the_list_until_it_is_used(
    service: Service, clock: Clock
) -> None:
    first, second = await service.ask("1_1"), await service.ask("2_1")
    zhangsan = await visitor(service, "zhangsan")
    for approval in (first, second):
        await zhangsan.press((await zhangsan.get(TODO)).form_of(approval), APPROVE)
    ((_, used), _) = [
        (d["data"]["approval_id"], d["data"]["permit"]) for d in await service.decisions()
    ]
    redeem = {"permit": used, "attempt": "1"}
    assert (await service.api("POST", "/permits/redeem", json=redeem))[0] == 200
    page = await zhangsan.get(TODO)
    assert page.revocation is not None
    assert second["approval_id"] in page.revocation.action
    assert page.html.count("/revocation") == 1 and "领取执行许可" in page.text
    assert (await zhangsan.revoke(page.revocation, "改期")).status == 303
    assert (await service.look(second["approval_id"]))["status"] == "revoked"
    page = await zhangsan.get(TODO)
    assert page.revocation is None and "已撤销同意" in page.text
    # Deciding and taking back are two decisions about one approval: it stands there once.
    assert page.html.count(f'id="did-{second["approval_id"]}"') == 1


async def test_a_super_approver_who_took_it_back_finds_it_again(service: Service) -> None:
    approval = await service.ask(approvers=["zhangsan"])
    zhangsan, wangwu = await visitor(service, "zhangsan"), await visitor(service, "wangwu")
    await zhangsan.press((await zhangsan.get(TODO)).form, APPROVE)
    there = await wangwu.get(f"/wechat/a/{approval['approval_id']}/")
    await wangwu.revoke(there.revocation)
    for somebody in (zhangsan, wangwu):
        assert f'id="did-{approval["approval_id"]}"' in (await somebody.get(TODO)).html


async def test_after_the_permit_has_expired_nothing_can_be_taken_back(
    start: StartService, clock: Clock
) -> None:
    service = await start(permit_ttl="60")
    await service.ask()
    zhangsan = await visitor(service, "zhangsan")
    await zhangsan.press((await zhangsan.get(TODO)).form, APPROVE)
    assert (await zhangsan.get(TODO)).revocation is not None
    clock.advance(seconds=60)
    page = await zhangsan.get(TODO)
    assert page.revocation is None and "过期" in page.text
    assert clock.now > NOON


async def test_who_may_not_see_it_any_more_does_not_find_it(start: StartService) -> None:
    service = await start(super_approvers="wangwu")
    await service.ask(approvers=["zhangsan"])
    wangwu = await visitor(service, "wangwu")
    await wangwu.press((await wangwu.get(TODO)).form, APPROVE)
    assert "替换故障机" in (await wangwu.get(TODO)).text
    await service.stop()
    wangwu.service = await start(super_approvers="")
    assert "替换故障机" not in (await wangwu.get(TODO)).text


async def test_the_list_and_what_it_leads_to_are_in_english_for_who_asks_for_it(
    service: Service,
) -> None:
    english = {"headers": {"Accept-Language": "en"}}
    asked = await ask_many(service, PAGE_SIZE + 1)
    zhangsan = await visitor(service, "zhangsan")
    page = await zhangsan.get(TODO, **english)
    for words in ("To decide", "Decide selected", "Page 1 of 2", "Peak hours", "Medium risk"):
        assert words in page.text, words
    query = "&".join(f"pick={one['approval_id']}" for one in asked[:2])
    batch = await zhangsan.get(f"{TODO}batch/?{query}", **english)
    assert "These 2 will be decided together" in batch.text
    sent = await zhangsan.press(batch.batch, REJECT)
    assert "All 2 took effect." in (await zhangsan.get(sent.location, **english)).text
