"""The same in a real Chromium: from the chat to a decision, with and without JavaScript."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Page, expect

from adapters.simulator.engine import EngineSettings
from adapters.simulator.run import start_engine
from tests.browser import DESKTOP, PHONE, SMALL_PHONE, Seen, chromium, chromium_here, look, picture
from tests.service import TOKEN, Clock, Service
from tests.visitor import IN_WECOM, OUTSIDE

Json = dict[str, Any]


def test_ci_does_not_pass_without_chromium(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="install chromium"):
        chromium_here()
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="NO CHROMIUM"):
        chromium_here()


@pytest.fixture
async def seen() -> AsyncIterator[Seen]:
    async with chromium() as found:
        yield found


@pytest.fixture
def menu(service: Service) -> None:
    """As an administrator publishes it: 审批列表."""
    wecom = service.wecom
    todo = {"type": "view", "name": "审批列表", "url": f"{service.base}/wechat/todo/"}
    wecom.create_menu({"button": [todo]}, wecom.settings.agent_id, wecom.settings.agent_id)


async def open_list(page: Page, service: Service, userid: str) -> None:
    """From the chat: the menu's entry, WeCom's login, the list."""
    chat: str = service.wecom.url  # type: ignore[attr-defined]  # set by the fixture
    await page.goto(f"{chat}/chat/{userid}")
    await page.get_by_role("button", name="审批列表").click()
    # A browser carries the fragment of WeCom's address along all redirects.
    todo = f"{service.base}/wechat/todo/"
    await page.wait_for_url(lambda url: url.partition("#")[0] == todo)


def card_of(page: Page, message: str) -> Any:
    return page.locator("article", has=page.get_by_role("heading", name=message))


WORDS = {
    "zh-CN": {
        "waiting": "待我审批",
        "approve": "同意",
        "reject": "驳回",
        "comment": "填写意见",
        "open": "查看后审批",
        "list": "待办",
        "nothing": "没有待审批的事项",
        "approved": "您 于 20:00 通过页面同意",
    },
    "en-US": {
        "waiting": "To decide",
        "approve": "Approve",
        "reject": "Reject",
        "comment": "Comment",
        "open": "Open to decide",
        "list": "To do",
        "nothing": "Nothing waits for you",
        "approved": "You approved via page at 20:00",
    },
}


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", list(WORDS))
@pytest.mark.parametrize("size", [PHONE, SMALL_PHONE, DESKTOP], ids=lambda size: str(size[0]))
async def test_from_the_chat_to_three_decisions(
    service: Service,
    menu: None,
    seen: Seen,
    size: tuple[int, int],
    language: str,
    scheme: str,
    scripts: bool,
) -> None:
    approve = await service.ask("1_1", message="替换故障机 10.0.0.1", risk="low")
    reject = await service.ask("2_1", message="重启 10.0.0.2")
    high = await service.ask("3_1", message="主从切换", risk="high", expires_in=3600)
    agent, words = OUTSIDE if size == DESKTOP else IN_WECOM, WORDS[language]
    shot = f"{size[0]}-{language[:2]}-{scheme}{'' if scripts else '-without-scripts'}"
    async with seen.phone(size, scheme, scripts, agent, language=language) as page:
        await open_list(page, service, "zhangsan")
        assert "code=" not in page.url
        await expect(page.get_by_role("heading", name=words["waiting"])).to_contain_text("3")
        await look(page, f"loop-list-{shot}")

        first, second = card_of(page, "替换故障机 10.0.0.1"), card_of(page, "重启 10.0.0.2")
        await first.get_by_role("button", name=words["approve"]).click()
        await expect(page.get_by_role("status")).to_contain_text(words["approved"])
        await look(page, f"loop-approved-{shot}")
        await page.get_by_role("link", name=words["list"]).click()

        await second.get_by_text(words["comment"], exact=True).click()
        await second.get_by_role("textbox").fill("先观察\n再说")
        await second.get_by_role("button", name=words["reject"]).click()
        await expect(page.get_by_role("status")).to_contain_text("先观察 再说")
        await page.get_by_role("link", name=words["list"]).click()

        await expect(page.get_by_role("button", name=words["approve"])).to_have_count(0)
        await page.get_by_role("link", name=words["open"]).click()
        await page.get_by_role("button", name=words["approve"]).click()
        await expect(page.get_by_role("status")).to_contain_text(words["approved"])
        await page.get_by_role("link", name=words["list"]).click()
        await expect(page.get_by_role("heading", name=words["nothing"])).to_be_visible()
    ends = {d["data"]["approval_id"]: d["data"] for d in await service.decisions()}
    told = {key: (end["status"], end["decided_by"], end["reason"]) for key, end in ends.items()}
    assert told == {
        approve["approval_id"]: ("approved", "zhangsan", None),
        reject["approval_id"]: ("rejected", "zhangsan", "先观察 再说"),
        high["approval_id"]: ("approved", "zhangsan", None),
    }


@pytest.mark.parametrize(
    ("size", "scripts", "agent"),
    [(PHONE, False, IN_WECOM), (DESKTOP, True, OUTSIDE)],
    ids=["phone-no-scripts", "desktop"],
)
async def test_approving_a_high_risk_goes_by_way_of_the_login_when_it_is_old(
    service: Service,
    clock: Clock,
    menu: None,
    seen: Seen,
    size: tuple[int, int],
    scripts: bool,
    agent: str,
) -> None:
    """A form that leads through WeCom's site and back: browsers ask the page's policy each time."""
    approval = await service.ask("3_1", message="主从切换", risk="high")
    async with seen.phone(size, scripts=scripts, agent=agent) as page:
        await open_list(page, service, "zhangsan")
        clock.advance(minutes=6)
        await page.get_by_role("link", name="查看后审批").click()
        await expect(page.get_by_text("同意前需重新确认身份")).to_be_visible()
        await look(page, f"confirm-{size[0]}")
        await page.get_by_role("textbox").fill("备库已核对")
        await page.get_by_role("button", name="同意").click()
        await expect(page.get_by_role("status")).to_contain_text("身份已重新确认")
        assert "code=" not in page.url
        assert (await service.look(approval["approval_id"]))["status"] == "pending"
        await expect(page.get_by_role("textbox")).to_have_value("备库已核对")
        await look(page, f"confirmed-{size[0]}")
        await page.get_by_role("button", name="同意").click()
        await expect(page.get_by_role("status")).to_contain_text("您 于 20:06 通过页面同意")
    ended = await service.look(approval["approval_id"])
    assert (ended["decided_by"], ended["reason"]) == ("zhangsan", "备库已核对")


async def test_logging_out_and_in_again(service: Service, menu: None, seen: Seen) -> None:
    async with seen.phone() as page:
        await open_list(page, service, "zhangsan")
        await page.get_by_role("button", name="退出登录").click()
        await expect(page.get_by_role("heading", name="已退出登录")).to_be_visible()
        await look(page, "logged-out")
        await page.get_by_role("link", name="重新登录").click()
        await expect(page.get_by_role("heading", name="没有待审批的事项")).to_be_visible()


async def test_enter_in_the_reason_decides_nothing(
    service: Service, menu: None, seen: Seen
) -> None:
    """In a field of one line it would press the first button, whichever that is."""
    approval = await service.ask("1_1")
    async with seen.phone() as page:
        await open_list(page, service, "zhangsan")
        await page.get_by_role("link", name="替换故障机").click()
        await page.get_by_role("textbox").press_sequentially("原因")
        await page.get_by_role("textbox").press("Enter")
        await page.get_by_role("button", name="驳回").focus()
        await expect(page.get_by_role("button", name="驳回")).to_be_focused()
    assert (await service.look(approval["approval_id"]))["status"] == "pending"


async def test_going_back_to_a_list_left_open_tells_who_was_first(
    service: Service, menu: None, seen: Seen
) -> None:
    approval = await service.ask("1_1")
    async with seen.phone(scripts=False) as page:
        await open_list(page, service, "zhangsan")
        await service.says("lisi", "BH 1_1 先不动")
        await page.get_by_role("button", name="同意").click()
        await expect(page.get_by_role("alert")).to_contain_text("没有生效")
        await expect(page.get_by_role("status")).to_contain_text("lisi 于 20:00 通过回复驳回")
        await picture(page, "too-late")
    # Chromium notes the status of the page itself; nothing else happened.
    assert [line for line in seen.trouble if "409" not in line] == []
    seen.trouble.clear()
    assert (await service.look(approval["approval_id"]))["decided_by"] == "lisi"


# The demo's own pages.


@asynccontextmanager
async def engine_of(service: Service) -> AsyncIterator[str]:
    engine = await start_engine(EngineSettings(service.base, TOKEN))
    try:
        yield engine.url
    finally:
        await engine.stop()


async def test_the_demo_from_an_alarm_to_the_replaced_machine(
    service: Service, menu: None, seen: Seen
) -> None:
    chat: str = service.wecom.url  # type: ignore[attr-defined]  # set by the fixture
    async with (
        engine_of(service) as engine,
        seen.phone(DESKTOP, agent=OUTSIDE) as desk,
        seen.phone() as phone,
    ):
        await desk.goto(engine)
        await desk.get_by_role("button", name="推送告警").click()
        alarm = desk.locator("#alarm-1")
        await expect(alarm).to_contain_text("审批中")
        await phone.goto(f"{chat}/chat/zhangsan")
        messages = phone.locator(".messages")
        await expect(messages.get_by_text("同意请回复: TY 1_1")).to_be_visible()
        await phone.get_by_label("回复").fill("TY 1_1")
        await phone.get_by_role("button", name="发送").click()
        await expect(messages.get_by_text("审批成功：您已同意 1_1")).to_be_visible()
        await expect(alarm).to_contain_text("自愈成功")
        await expect(alarm).to_contain_text("2. 替换故障机 成功")
        await picture(desk, "demo-engine-approved")
        await picture(phone, "demo-chat-approved")


async def test_the_demo_to_a_rejection_on_the_page(
    service: Service, menu: None, seen: Seen
) -> None:
    async with (
        engine_of(service) as engine,
        seen.phone(DESKTOP, agent=OUTSIDE) as desk,
        seen.phone() as phone,
    ):
        await desk.goto(engine)
        await desk.get_by_label("风险").select_option("high")
        await desk.get_by_role("button", name="推送告警").click()
        alarm = desk.locator("#alarm-1")
        await expect(alarm).to_contain_text("等待 zhangsan、lisi 审批")
        await open_list(phone, service, "lisi")
        await phone.get_by_role("link", name="查看后审批").click()
        await phone.get_by_role("textbox").fill("这台机器在用")
        await phone.get_by_role("button", name="驳回").click()
        await expect(phone.get_by_role("status")).to_contain_text("这台机器在用")
        await expect(alarm).to_contain_text("自愈失败")
        await expect(alarm).to_contain_text("这台机器在用")
        await expect(alarm).to_contain_text("2. 替换故障机 未开始")
        await picture(desk, "demo-engine-rejected")


# What the pages look like.


async def history(service: Service, clock: Clock) -> dict[str, Json]:
    """A morning's approvals, in every state."""
    service.hurry()
    details = {"业务": "payment-api", "告警类型": "内存", "IP": "10.0.0.3", "集群": "pay-prod-2"}
    common: Json = {"details": details, "requested_by": "wangwu"}
    high = await service.ask(
        "7_3",
        run=2,
        message="重启 payment-api 第 3 节点",
        risk="high",
        expires_in=720,
        action={"do": "restart", "host": "10.0.0.3", "command": ["systemctl", "restart", "pay"]},
        **common,
    )
    await service.ask("8_1", message="order-db 主从切换到 order-db-2", expires_in=1620)
    await service.ask("9_2", message="扩容 search-web：6 → 10 副本", risk="low", expires_in=3300)
    long = await service.ask(
        "10_" + "x" * 61,
        message="清理日志 /data/logs/" + "a" * 300,
        expires_in=90000,
        details={"路径" * 20: "/data/logs/" + "b" * 300},
        action={"paths": ["/data/logs/" + "c" * 300]},
    )
    approved = await service.ask("11_1", message="替换故障机 10.0.0.1", **common)
    expired = await service.ask("12_1", message="重启 10.0.0.9", expires_in=60, **common)
    for approval in (high, approved, expired):
        await service.notified(approval["approval_id"])
    clock.advance(minutes=1)
    await service.expire()
    await service.says("lisi", "TY 11_1 吗？")
    await service.says("lisi", "TY 11_1 已确认备机可用")
    return {"high": high, "long": long, "approved": approved, "expired": expired}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_the_pages_fit_can_be_tapped_and_read(
    service: Service, clock: Clock, menu: None, seen: Seen, size: tuple[int, int], scheme: str
) -> None:
    approvals = await history(service, clock)

    def name(what: str) -> str:
        return f"{what}-{size[0]}-{scheme}"

    async with seen.phone(size, scheme) as page:
        await open_list(page, service, "zhangsan")
        await look(page, name("list"))
        await page.get_by_text("填写意见").first.click()
        await look(page, name("list-reason"))
        for what, approval in approvals.items():
            await page.goto(f"{service.base}/wechat/a/{approval['approval_id']}/")
            await look(page, name(f"detail-{what}"))
        await page.goto(f"{service.base}/wechat/accounts/login/?state=cancelled")
        await look(page, name("message"))
    # Chromium notes the status of that last page itself; nothing else happened.
    assert [line for line in seen.trouble if "403" not in line] == []
    seen.trouble.clear()


@pytest.mark.parametrize(
    ("size", "scheme"), [(PHONE, "light"), (PHONE, "dark"), (DESKTOP, "light")]
)
async def test_the_description_of_the_api_can_be_read_everywhere(
    service: Service, seen: Seen, size: tuple[int, int], scheme: str
) -> None:
    async with seen.phone(size, scheme, scripts=True, agent=OUTSIDE) as page:
        await page.goto(f"{service.base}/api/v1/docs")
        await look(page, f"api-docs-{size[0]}-{scheme}")
        await page.get_by_role("link", name="/permits/redeem").click()
        await expect(page.locator("#redeemPermit")).to_be_in_viewport()
        await page.locator("#redeemPermit summary").first.click()
        await expect(page.locator("#redeemPermit pre").first).to_be_visible()
    assert seen.trouble == []
