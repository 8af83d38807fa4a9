"""A real Chromium: what a page complained of, what it looks like, whether it can be read."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from adapters.simulator import login_pages
from tests import confidential
from tests.service import WITHIN_S
from tests.visitor import IN_WECOM

SCREENSHOTS = Path(__file__).parent.parent / "build" / "screenshots"
PHONE, SMALL_PHONE, DESKTOP = (390, 844), (360, 780), (1280, 800)
expect.set_options(timeout=WITHIN_S * 1000)
QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]


def chromium_here() -> str:
    """
    Chromium of this machine. On a developer's machine its absence is said; in CI it is an error.
    """
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is not None:
        return found
    if os.environ.get("CI"):
        pytest.fail("there is no Chromium, so nobody has seen the pages; install chromium")
    pytest.skip("NO CHROMIUM: the pages were not seen in a browser; install chromium")


@dataclass
class Seen:
    """A browser, and everything in it that should not have happened."""

    browser: Browser
    trouble: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def phone(
        self,
        size: tuple[int, int] = PHONE,
        scheme: str = "light",
        scripts: bool = True,
        agent: str = IN_WECOM,
        scale: float = 1,
        language: str = "zh-CN",
    ) -> AsyncIterator[Page]:
        """A browser profile of its own with one page; `scale` is how fine its pictures are."""
        context = await self.browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,  # type: ignore[arg-type]  # "light" or "dark"
            java_script_enabled=scripts,
            user_agent=agent,
            device_scale_factor=scale,
            locale=language,
            timezone_id="Asia/Shanghai",
        )
        context.set_default_timeout(WITHIN_S * 1000)
        self._watch(context)
        try:
            yield await context.new_page()
        finally:
            for cookie in await context.cookies():
                # Not the simulated WeCom's own, which says who holds the phone.
                if cookie["name"] != login_pages.PHONE:
                    confidential.note("cookie", cookie["value"])
            await context.close()

    def _watch(self, context: BrowserContext) -> None:
        def said(message: Any) -> None:
            if message.type in ("error", "warning"):
                self.trouble.append(f"console: {message.text}")

        context.on("console", said)
        context.on("weberror", lambda error: self.trouble.append(f"script: {error.error}"))
        context.on(
            "response",
            lambda answer: (
                self.trouble.append(f"{answer.status} {answer.url}")
                if answer.status >= 400
                else None
            ),
        )


@asynccontextmanager
async def chromium() -> AsyncIterator[Seen]:
    """Chromium; whatever it complained of fails the test."""
    path = chromium_here()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=QUIET)
        found = Seen(browser)
        yield found
        await browser.close()
    assert found.trouble == []


async def picture(page: Page, name: str, *, full_page: bool = True) -> None:
    """For people to look at."""
    await page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=full_page)


# What stands beyond the screen, or beyond what it stands in and so could be hidden there.
OVERFLOW = """() => [...document.querySelectorAll("html, main *:not(svg *)")]
  .filter((e) => e.clientWidth && e.scrollWidth > e.clientWidth).map((e) => e.outerHTML)"""
SMALL_TARGETS = """() => [...document.querySelectorAll("button, .button, summary, .back, .reload")]
  .filter((e) => e.getClientRects().length && e.getBoundingClientRect().height < 44)
  .map((e) => e.textContent)"""
# Every text against the first background behind it that is not transparent.
CONTRASTS = """() => {
  const parts = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = (c) => { const [r, g, b] = parts(c).map((v) => {
    v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (e) => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor; if ((parts(c)[3] ?? 1) > 0) return c; }
    return "rgb(255, 255, 255)"; };
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement, words = walker.currentNode.textContent.trim();
    if (!words || e.closest("head")) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) found.push(words);
  }
  return found; }"""


async def look(page: Page, name: str) -> None:
    """Take its picture; it fits the screen, can be tapped, and can be read."""
    await picture(page, name)
    for what in (OVERFLOW, SMALL_TARGETS, CONTRASTS):
        found = await page.evaluate(what)
        assert found == [], f"{name}: {found}"
