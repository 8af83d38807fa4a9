"""Every page in a real Chromium, judged by axe, in each size, language and scheme; kept current."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from tests.accessibility import violations
from tests.browser import DESKTOP, PHONE, SMALL_PHONE, Seen, chromium, look, picture
from tests.conftest import StartService
from tests.service import WITHIN_S, Clock, Service
from tests.test_browser import history
from tests.visitor import IN_WECOM
from web import keys

Json = dict[str, Any]
ADMIN = {"admins": "zhangsan"}
SIZES = pytest.mark.parametrize("size", [PHONE, SMALL_PHONE, DESKTOP], ids=lambda s: str(s[0]))


@pytest.fixture
async def seen() -> AsyncIterator[Seen]:
    async with chromium() as found:
        yield found


def path_of(approval: Json) -> str:
    return f"/wechat/a/{approval['approval_id']}/"


async def enter(page: Page, service: Service, userid: str, path: str = "/wechat/todo/") -> None:
    """Log in by the simulated WeCom, whose phone this is, and go there."""
    chat: str = service.wecom.url  # type: ignore[attr-defined]  # set by the fixture
    await page.goto(f"{chat}/chat/{userid}")
    await page.goto(service.base + path)


async def morning(service: Service, clock: Clock) -> dict[str, str]:
    """Every kind of page, by name: where it stands, for zhangsan."""
    of = await history(service, clock)
    await service.ask("16_1", message="重启支付网关", expires_in=7200)
    rejected = await service.ask("13_1", message="下线 10.0.0.8", kind="convergence")
    await service.says("lisi", "BH 13_1 先不动")
    cancelled = await service.ask("14_1", message="重启 10.0.0.7")
    reason = {"reason": "告警已恢复"}
    await service.api("POST", f"/approvals/{cancelled['approval_id']}/cancel", json=reason)
    mine = await service.ask("15_1", message="迁移 10.0.0.6", requested_by="zhangsan")
    touching = await service.ask(
        "16_1",
        run=2,
        message="重启支付网关",
        details={"业务": "支付", "影响范围": "支付主链路，预计 20 秒内 5% 请求重试"},
    )
    pick = f"pick={mine['approval_id']}&pick={touching['approval_id']}"
    paths = {f"detail-{name}": path_of(one) for name, one in of.items()}
    more = {"rejected": rejected, "cancelled": cancelled, "mine": mine, "blast": touching}
    return {
        "list": "/wechat/todo/",
        "history": "/wechat/history/",
        "figures": "/wechat/figures/",
        "configuration": "/doc/wechat_config/",
        "batch": f"/wechat/todo/batch/?{pick}",
        **paths,
        **{f"detail-{name}": path_of(one) for name, one in more.items()},
        "unknown": "/wechat/nothing/",
        "login-refused": "/wechat/accounts/login/?state=cancelled",
        "login-expired": "/wechat/accounts/login/?code=x&state=y",
    }


@SIZES
@pytest.mark.parametrize("language", ["zh-CN", "en-US"])
async def test_every_page_is_legible_and_accessible(
    start: StartService, clock: Clock, seen: Seen, size: tuple[int, int], language: str
) -> None:
    service = await start(**ADMIN)
    pages, broken = await morning(service, clock), list[str]()
    for scheme in ("light", "dark"):
        async with seen.phone(size, scheme, language=language) as page:
            await enter(page, service, "zhangsan")
            for name, path in pages.items():
                await page.goto(service.base + path)
                shot = f"{name}-{size[0]}-{language[:2]}-{scheme}"
                await look(page, shot)
                await picture(page, f"{shot}-top", full_page=False)
                broken += [f"{shot} {rule}" for rule in await violations(page)]
        async with seen.phone(size, scheme, language=language) as page:
            await enter(page, service, "nobody")
            await look(page, f"list-empty-{size[0]}-{language[:2]}-{scheme}")
            broken += await violations(page)
    assert broken == []
    # Chromium notes the statuses of the last three kinds of page itself; nothing else happened.
    said = ("404", "403", "400")
    assert [line for line in seen.trouble if not any(code in line for code in said)] == []
    seen.trouble.clear()


async def test_every_page_is_legible_without_scripts_and_with_large_type(
    start: StartService, clock: Clock, seen: Seen
) -> None:
    service = await start(**ADMIN)
    pages = await morning(service, clock)
    async with seen.phone(scripts=False) as page:
        await enter(page, service, "zhangsan")
        for name, path in pages.items():
            await page.goto(service.base + path)
            await look(page, f"{name}-without-scripts")
    # 200 %: as many CSS pixels as half the screen has.
    async with seen.phone((DESKTOP[0] // 2, DESKTOP[1] // 2), scale=2) as page:
        await enter(page, service, "zhangsan")
        for name, path in pages.items():
            await page.goto(service.base + path)
            await look(page, f"{name}-zoomed")
    seen.trouble.clear()


# The page of an approval that stays open.


async def listening(service: Service, count: int) -> None:
    """Wait until that many pages are open and listen."""
    await service.app[keys.READING].caught_up()
    readers = service.app[keys.LIST_READERS]
    async with asyncio.timeout(WITHIN_S):
        while readers.open < count:
            await asyncio.sleep(0.01)


async def test_two_open_pages_see_each_others_decision(service: Service, seen: Seen) -> None:
    approval = await service.ask()
    async with seen.phone() as mine, seen.phone(DESKTOP) as theirs:
        await enter(mine, service, "zhangsan", path_of(approval))
        await enter(theirs, service, "lisi", path_of(approval))
        await listening(service, 2)
        await theirs.get_by_role("button", name="同意").click()
        await expect(mine.get_by_role("status")).to_contain_text("lisi 于 20:00 通过页面同意")
        await expect(mine.get_by_role("button", name="驳回")).to_have_count(0)
        await expect(mine.locator("#meta")).to_contain_text("已同意")
        await expect(mine.locator(".timeline")).to_contain_text("由 lisi（审批人）决定")
        # What came by itself can be pressed like everything else.
        await mine.get_by_role("textbox").fill("再等等")
        await mine.get_by_role("button", name="撤销同意").click()
        await expect(theirs.locator("#end")).to_contain_text("zhangsan 于 20:00 通过页面撤销同意")
        await expect(theirs.locator("#end")).to_contain_text("再等等")
        await expect(theirs.get_by_role("button", name="撤销同意")).to_have_count(0)


async def test_what_one_is_writing_stays_while_it_can_be_sent(
    service: Service, clock: Clock, seen: Seen
) -> None:
    approval = await service.ask()
    async with seen.phone() as page:
        await enter(page, service, "zhangsan", path_of(approval))
        await listening(service, 1)
        await page.get_by_role("textbox").press_sequentially("先看")
        async with page.expect_response(lambda answer: "/update/" in answer.url):
            await page.locator("#live").dispatch_event("due")
        await page.get_by_role("textbox").press_sequentially("日志")
        await expect(page.get_by_role("textbox")).to_have_value("先看日志")


async def test_a_page_left_open_beyond_the_deadline_has_nothing_to_press(
    service: Service, clock: Clock, seen: Seen
) -> None:
    approval = await service.ask(expires_in=900)
    async with seen.phone() as page:
        await page.clock.install()
        await enter(page, service, "zhangsan", path_of(approval))
        # The browser's clock runs on meanwhile, however long that took.
        await expect(page.locator(".left")).to_have_text(re.compile(r"剩余 1[45]:[0-5]\d"))
        clock.advance(seconds=61)
        await page.clock.run_for(61_000)
        await expect(page.locator(".left")).to_have_text(re.compile(r"剩余 13:[0-5]\d"))
        await page.context.set_offline(True)
        await page.clock.fast_forward("08:00:00")
        # Even where the service cannot be asked.
        await expect(page.get_by_role("button", name="同意")).to_be_hidden()
        await expect(page.get_by_text("已到期，不能再审批")).to_be_visible()
        await picture(page, "detail-overnight-offline")
        clock.advance(hours=8)
        await page.context.set_offline(False)
        # The network may be back a moment later than it was switched on.
        for _ in range(20):
            if await page.locator("#live").count():
                await page.locator("#live").dispatch_event("due")
            if "无人作出决定" in await page.locator("#end").inner_text():
                break
            await page.wait_for_timeout(250)
        await expect(page.locator("#end")).to_contain_text("到期，无人作出决定")
        await expect(page.get_by_role("button", name="同意")).to_have_count(0)
        await expect(page.get_by_text("已到期，不能再审批")).to_be_hidden()
    seen.trouble.clear()  # of being offline


async def test_an_answer_that_lay_in_a_sleeping_phone_brings_no_time_back(
    service: Service, clock: Clock, seen: Seen
) -> None:
    approval = await service.ask(expires_in=900)
    answered, awake = asyncio.Event(), asyncio.Event()

    async def sleep(route: Route) -> None:
        if answered.is_set():
            await route.abort()
            return
        answer = await route.fetch()
        answered.set()
        await awake.wait()
        await route.fulfill(response=answer)

    async with seen.phone() as page:
        await page.clock.install()
        await enter(page, service, "zhangsan", path_of(approval))
        await page.route("**/update/**", sleep)
        await page.locator("#live").dispatch_event("due")
        await answered.wait()
        await page.locator("#meta").evaluate("it => it.dataset.asleep = 'yes'")
        await page.clock.fast_forward("08:00:00")
        await expect(page.get_by_role("button", name="同意")).to_be_hidden()
        awake.set()
        await expect(page.locator("[data-asleep]")).to_have_count(0)
        await expect(page.locator(".left")).to_have_text("已到期")
        await expect(page.get_by_role("button", name="同意")).to_be_hidden()
    seen.trouble.clear()  # of what was held back


async def test_a_page_of_a_login_that_has_ended_has_nothing_to_press(
    service: Service, clock: Clock, seen: Seen
) -> None:
    approval = await service.ask(expires_in=90_000)
    async with seen.phone(agent=IN_WECOM) as page:
        await enter(page, service, "zhangsan", path_of(approval))
        clock.advance(hours=13)
        await page.locator("#live").dispatch_event("due")
        await expect(page.get_by_role("heading", name="登录已失效")).to_be_visible()
        await expect(page.get_by_role("button", name="同意")).to_have_count(0)
        await page.get_by_role("link", name="重新打开").click()
        await expect(page.get_by_role("button", name="同意")).to_be_visible()
    seen.trouble.clear()
