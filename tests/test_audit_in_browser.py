"""The pages of the history in a real Chromium: on a phone, a desk and paper, without JavaScript."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import expect

from tests.browser import DESKTOP, PHONE, SCREENSHOTS, Seen, chromium, look
from tests.service import Clock, Service
from tests.test_audit_pages import audited, lived, path_of

__all__ = ["audited"]


@pytest.fixture
async def seen() -> AsyncIterator[Seen]:
    async with chromium() as found:
        yield found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_one_approval_fits_and_can_be_read(
    audited: Service, clock: Clock, seen: Seen, size: tuple[int, int], scheme: str
) -> None:
    approval = await lived(audited, clock)
    await audited.ask("7_3", run=2, approvers=["lisi"])
    chat: str = audited.wecom.url  # type: ignore[attr-defined]  # set by the fixture
    name = f"{'phone' if size == PHONE else 'desktop'}-{scheme}"
    async with seen.phone(size, scheme, scripts=False) as page:
        await page.goto(f"{chat}/chat/wangwu")
        await page.goto(audited.base + path_of(approval))
        await expect(page.get_by_role("heading", level=1)).to_have_text("审计 7_3")
        await look(page, f"audit-approval-{name}")
        if scheme == "light" and size == DESKTOP:
            await page.pdf(path=SCREENSHOTS / "audit-approval.pdf", format="A4")
            await page.emulate_media(media="print")
            await expect(page.get_by_text("打印")).to_be_visible()
            await expect(page.get_by_role("button")).to_have_count(0)
            await page.screenshot(path=SCREENSHOTS / "audit-approval-paper.png", full_page=True)
