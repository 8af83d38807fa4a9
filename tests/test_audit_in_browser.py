"""The pages of the history in a real Chromium: on a phone, a desk and paper, without JavaScript."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from playwright.async_api import Page, expect

from tests.accessibility import violations
from tests.browser import DESKTOP, PHONE, SCREENSHOTS, Seen, chromium, look
from tests.service import Clock, Service
from tests.test_audit_pages import AUDIT, EVENTS, audited, busy_day, lived, path_of, verified

__all__ = ["audited"]

BROKEN = "event 17 of approval-7_3 is not as it was recorded"


@pytest.fixture
async def seen() -> AsyncIterator[Seen]:
    async with chromium() as found:
        yield found


async def enter(page: Page, service: Service, userid: str, path: str) -> None:
    chat: str = service.wecom.url  # type: ignore[attr-defined]  # set by the fixture
    await page.goto(f"{chat}/chat/{userid}")
    await page.goto(service.base + path)


async def fill(service: Service, clock: Clock) -> dict[str, str]:
    """A day of the history: where each page of it stands, by name."""
    service.hurry()
    approval = await lived(service, clock)
    await service.ask("7_3", run=2, approvers=["lisi"])
    long = "清理日志 /data/logs/" + "a" * 300
    await service.ask("10_" + "x" * 61, message=long, details={"业务": "支付" * 30})
    await service.ask("8_1", message="重启 payment-api 第 3 节点", risk="high")
    await service.says("lisi", "BH 8_1 先观察一会儿")
    await busy_day(service)
    return {"approvals": AUDIT, "events": EVENTS, "approval": path_of(approval)}


SIZES = pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@SIZES
async def test_the_pages_of_the_history_fit_and_can_be_read(
    audited: Service, clock: Clock, seen: Seen, size: tuple[int, int], scheme: str
) -> None:
    paths = await fill(audited, clock)
    name = f"{size[0]}-{scheme}"
    async with seen.phone(size, scheme, scripts=False) as page:
        await enter(page, audited, "wangwu", AUDIT)
        for what, path in paths.items():
            await page.goto(audited.base + path)
            await look(page, f"audit-{what}-{name}")
        await page.goto(audited.base + AUDIT)
        await page.get_by_label("状态").select_option("rejected")
        await page.get_by_role("button", name="查找").click()
        await expect(page.get_by_role("article")).to_have_count(1)
        await page.get_by_role("link", name="其他事件").click()
        await page.get_by_label("类型").select_option("freezes")
        await page.get_by_role("button", name="查找").click()
        await expect(page.get_by_text("冻结了审批")).to_have_count(1)


@pytest.mark.parametrize("language", ["zh-CN", "en"])
@SIZES
async def test_axe_has_nothing_against_them(
    audited: Service, clock: Clock, seen: Seen, size: tuple[int, int], language: str
) -> None:
    paths = await fill(audited, clock)
    async with seen.phone(size, language=language) as page:
        await enter(page, audited, "wangwu", AUDIT)
        for what, path in paths.items():
            await page.goto(audited.base + path)
            assert await violations(page) == [], what
            await look(page, f"audit-{what}-{size[0]}-{language}")
        await page.goto(f"{audited.base}{AUDIT}?words=nothing-like-that")
        assert await violations(page) == []
        await look(page, f"audit-nothing-{size[0]}-{language}")


@SIZES
async def test_a_problem_of_the_history_is_loud_and_a_clean_check_is_said(
    audited: Service, clock: Clock, seen: Seen, size: tuple[int, int]
) -> None:
    async with seen.phone(size) as page:
        await enter(page, audited, "wangwu", AUDIT)
        await expect(page.get_by_text("还没有核验过")).to_be_visible()
        await verified(audited, BROKEN)
        for path in (AUDIT, EVENTS):
            await page.goto(audited.base + path)
            await expect(page.get_by_role("alert")).to_contain_text(BROKEN)
        await look(page, f"audit-problem-{size[0]}")
        assert await violations(page) == []
        clock.now += timedelta(minutes=1)
        await verified(audited, None)
        await page.goto(audited.base + AUDIT)
        await expect(page.get_by_role("alert")).to_have_count(0)
        await expect(page.get_by_text("没有发现改动")).to_be_visible()
        await look(page, f"audit-verified-{size[0]}")


async def test_on_paper_nothing_can_be_pressed_and_it_says_who_printed_it_when(
    audited: Service, clock: Clock, seen: Seen
) -> None:
    paths = await fill(audited, clock)
    async with seen.phone(DESKTOP) as page:
        await enter(page, audited, "wangwu", AUDIT)
        for what, path in paths.items():
            await page.goto(audited.base + path)
            printed = page.get_by_text("由 wangwu 于 2026-01-05 20:01:35（Asia/Shanghai）打印")
            await expect(printed).to_be_hidden()
            await page.emulate_media(media="print")
            await expect(printed).to_be_visible()
            await expect(page.get_by_role("button")).to_have_count(0)
            await expect(page.get_by_role("textbox")).to_have_count(0)
            await page.screenshot(path=SCREENSHOTS / f"audit-{what}-paper.png", full_page=True)
            await page.pdf(path=SCREENSHOTS / f"audit-{what}.pdf", format="A4")
            await page.emulate_media(media="screen")
