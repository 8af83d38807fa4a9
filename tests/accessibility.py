"""What axe-core has against a page."""

from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = """async (tags) => {
  const found = await axe.run(document, {runOnly: {type: "tag", values: tags}});
  return [...found.violations].map((one) =>
    `${one.id}: ${one.help}: ${one.nodes.map((node) => node.html).join(" | ")}`);
}"""


async def violations(page: Page) -> list[str]:
    """One line for each rule that is broken: which, and by what."""
    await page.evaluate(Axe().axe_script)
    found: list[Any] = await page.evaluate(RUN, STANDARDS)
    return [str(one) for one in found]
