"""审批记录 and 审批统计 in a real Chromium: readable on a phone and a desk, without JavaScript."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import expect

from tests.browser import DESKTOP, PHONE, Seen, chromium, look
from tests.service import Clock, Service


@pytest.fixture
async def seen() -> AsyncIterator[Seen]:
    async with chromium() as found:
        yield found


async def fill(service: Service, clock: Clock) -> None:
    """Two days of a few approvals."""
    service.hurry()
    for number in range(9):
        business = {"业务": ["支付", "订单中心", "一个名字特别长的业务系统"][number % 3]}
        await service.ask(f"{number}_1", details=business, expires_in=600, risk="low")
        clock.advance(seconds=20 + 15 * number)
        if number % 3:
            words = f"TY {number}_1" if number % 2 else f"BH {number}_1 先观察"
            await service.says(["zhangsan", "lisi"][number % 2], words)
        clock.advance(hours=5)
        await service.expire()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_history_and_figures_fit_and_can_be_read(
    service: Service, clock: Clock, seen: Seen, size: tuple[int, int], scheme: str
) -> None:
    await fill(service, clock)
    chat: str = service.wecom.url  # type: ignore[attr-defined]  # set by the fixture
    name = f"{'phone' if size == PHONE else 'desktop'}-{scheme}"
    async with seen.phone(size, scheme, scripts=False) as page:
        await page.goto(f"{chat}/chat/wangwu")
        await page.goto(f"{service.base}/wechat/history/")
        await expect(page.get_by_role("article")).to_have_count(9)
        await look(page, f"history-{name}")
        await page.get_by_label("状态").select_option("rejected")
        await page.get_by_role("button", name="查找").click()
        await expect(page.get_by_role("article")).to_have_count(3)
        await page.goto(f"{service.base}/wechat/figures/?days=7")
        await expect(page.get_by_role("img", name="每天结束的审批")).to_be_visible()
        await look(page, f"figures-{name}")
