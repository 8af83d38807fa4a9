"""待办 in a real Chromium: it changes while one looks, and never under one's fingers."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser import DESKTOP, PHONE, Seen, chromium, look, picture
from tests.service import WITHIN_S, Clock, Service
from tests.test_browser import card_of, open_list
from tests.visitor import IN_WECOM, OUTSIDE
from web import keys

Json = dict[str, Any]


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


async def listening(service: Service, count: int) -> None:
    """Wait until that many lists are open and listen."""
    await service.app[keys.READING].caught_up()
    readers = service.app[keys.LIST_READERS]
    async with asyncio.timeout(WITHIN_S):
        while readers.open < count:
            await asyncio.sleep(0.01)


async def test_two_browsers_see_each_others_decisions_and_what_is_new(
    service: Service, menu: None, seen: Seen
) -> None:
    await service.ask("1_1", message="替换故障机 10.0.0.1")
    await service.ask("2_1", message="重启 10.0.0.2")
    async with seen.phone() as mine, seen.phone(DESKTOP, agent=OUTSIDE) as theirs:
        await open_list(mine, service, "zhangsan")
        await open_list(theirs, service, "lisi")
        await listening(service, 2)
        await card_of(theirs, "替换故障机").get_by_role("button", name="驳回").click()
        ended = card_of(mine, "替换故障机")
        await expect(ended).to_contain_text("lisi 于 20:00 通过页面驳回")
        await expect(ended.get_by_role("button")).to_have_count(0)
        await expect(ended.get_by_role("checkbox")).to_have_count(0)
        await expect(mine.locator("#total")).to_have_text("1")
        await service.ask("3_1", message="扩容 search-web", expires_in=300)
        await expect(mine.locator("article").first).to_contain_text("扩容 search-web")
        await expect(mine.locator("#total")).to_have_text("2")
        await picture(mine, "list-live")
        # What came by itself can be decided like everything else.
        await card_of(mine, "扩容 search-web").get_by_role("button", name="同意").click()
        await expect(mine.get_by_role("status")).to_contain_text("您 于 20:00 通过页面同意")


async def test_what_one_is_typing_stays_whatever_happens_around_it(
    service: Service, menu: None, seen: Seen
) -> None:
    await service.ask("1_1", message="替换故障机 10.0.0.1")
    await service.ask("2_1", message="重启 10.0.0.2", expires_in=600)
    async with seen.phone() as page:
        await open_list(page, service, "zhangsan")
        await listening(service, 1)
        mine = card_of(page, "替换故障机")
        await mine.get_by_role("checkbox").check()
        await mine.get_by_text("填写意见").click()
        await mine.get_by_text("信息不足").click()
        await mine.get_by_role("textbox").press_sequentially("先看")
        assert await service.says("lisi", "BH 2_1 已处理") == 200
        await service.ask("3_1", message="扩容 search-web", expires_in=300)
        await expect(card_of(page, "重启 10.0.0.2")).to_contain_text("已驳回")
        await expect(page.locator("article").first).to_contain_text("扩容 search-web")
        await expect(mine.get_by_role("textbox")).to_be_focused()
        await page.keyboard.type("日志")
        await expect(mine.get_by_role("textbox")).to_have_value("先看日志")
        await expect(mine.get_by_role("checkbox")).to_be_checked()
        # Even of what another has decided the words stay, to be copied; the buttons do not.
        assert await service.says("lisi", "TY 1_1") == 200
        await expect(mine).to_contain_text("lisi 于 20:00")
        await expect(mine.get_by_role("textbox")).to_have_value("先看日志")
        await expect(mine.get_by_role("button")).to_have_count(0)
        await picture(page, "list-typing")


async def test_a_page_left_open_overnight_has_nothing_live_left(
    service: Service, clock: Clock, menu: None, seen: Seen
) -> None:
    await service.ask("1_1", message="替换故障机 10.0.0.1")
    await service.ask("2_1", message="主从切换", risk="high")
    async with seen.phone() as page:
        await open_list(page, service, "zhangsan")
        await listening(service, 1)
        clock.advance(hours=1)
        await service.expire()
        await expect(card_of(page, "替换故障机")).to_contain_text("到期，无人作出决定")
        await expect(card_of(page, "主从切换")).to_contain_text("到期，无人作出决定")
        await expect(page.get_by_role("button", name="同意")).to_have_count(0)
        await expect(page.get_by_role("link", name="查看后审批")).to_have_count(0)
        await look(page, "list-overnight")
        clock.advance(hours=12)
        await service.ask("3_1")  # something happens, and the login is over
        await expect(page.get_by_role("heading", name="登录已失效")).to_be_visible()


@pytest.mark.parametrize(
    ("size", "scheme", "scripts"),
    [(PHONE, "light", False), (DESKTOP, "dark", True), (PHONE, "dark", True)],
    ids=["phone-no-scripts", "desktop", "phone-dark"],
)
async def test_several_are_ticked_shown_and_rejected_together(
    service: Service, menu: None, seen: Seen, size: tuple[int, int], scheme: str, scripts: bool
) -> None:
    asked = [
        await service.ask(
            f"{n}_1",
            message=f"替换故障机 10.0.0.{n}",
            risk=("low", "medium", "high")[n % 3],
            details={"业务": "payment-api", "告警类型": "PING 不可达", "IP": f"10.0.0.{n}"},
        )
        for n in range(1, 7)
    ]
    agent = IN_WECOM if size == PHONE else OUTSIDE
    async with seen.phone(size, scheme, scripts=scripts, agent=agent) as page:
        await open_list(page, service, "zhangsan")
        for number in (1, 3, 4):
            await card_of(page, f"10.0.0.{number}").get_by_role("checkbox").check()
        await expect(card_of(page, "10.0.0.2").get_by_role("checkbox")).to_have_count(0)
        await look(page, f"list-picked-{size[0]}-{scheme}")
        await page.get_by_role("button", name="一起审批所选").click()
        await expect(page.get_by_role("heading", name="一起审批")).to_contain_text("3")
        await page.get_by_text("业务高峰").click()
        await look(page, f"batch-{size[0]}-{scheme}")
        await page.get_by_role("button", name="全部：驳回").click()
        await expect(page.get_by_role("status")).to_contain_text("3 项全部生效")
        await look(page, f"batch-result-{size[0]}-{scheme}")
        await page.get_by_role("link", name="待办").click()
        await expect(page.get_by_role("heading", name="待我审批")).to_contain_text("3")
        await look(page, f"list-lately-{size[0]}-{scheme}")
    ends = [(await service.look(one["approval_id"]))["status"] for one in asked]
    assert ends == ["rejected", "pending", "rejected", "rejected", "pending", "pending"]


async def page_with_empty_list(page: Page, service: Service) -> None:
    await open_list(page, service, "zhangsan")
    await expect(page.get_by_role("heading", name="没有待审批的事项")).to_be_visible()


async def test_the_first_that_comes_to_an_empty_list_stands_there_by_itself(
    service: Service, menu: None, seen: Seen
) -> None:
    async with seen.phone() as page:
        await page_with_empty_list(page, service)
        await look(page, "list-empty")
        await listening(service, 1)
        await service.ask("1_1", message="替换故障机 10.0.0.1")
        await expect(card_of(page, "替换故障机").get_by_role("button", name="同意")).to_be_visible()
        await expect(page.get_by_role("heading", name="没有待审批的事项")).to_have_count(0)
