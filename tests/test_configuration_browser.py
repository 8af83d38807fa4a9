"""The configuration page in a real Chromium: first start, checks as one types, the looks."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser import DESKTOP, PHONE, chromium, look
from tests.conftest import StartService
from tests.test_configuration_page import FREE, PAGE, link_in
from web import keys


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_first_configuration_with_checks_as_one_types(
    start: StartService, tmp_path: Path, scheme: str
) -> None:
    service = await start(
        **FREE,
        wecom_corp_id="",
        wecom_token="",
        wecom_encoding_aes_key="",
        wecom_api_url="https://wecom.invalid",
    )
    async with chromium() as seen, seen.phone(PHONE, scheme) as page:
        await page.goto(link_in(tmp_path))
        await look(page, f"settings-link-{scheme}")
        await page.get_by_role("button", name="开始配置").click()
        await look(page, f"settings-phone-{scheme}")
        await page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
        await look(page, f"settings-desktop-{scheme}")
        key = page.get_by_label("EncodingAESKey")
        await key.fill("short")
        await page.get_by_label("CorpID").focus()
        await expect(page.locator("#check-wecom_encoding_aes_key")).to_have_text(
            "必须是 43 位字母或数字"
        )
        await page.get_by_role("link", name="生成新的 TOKEN 和 EncodingAESKey").click()
        made = await page.get_by_label("EncodingAESKey").input_value()
        await page.get_by_role("button", name="保存").first.click()
        await expect(page.get_by_text("已保存并生效")).to_be_visible()
        await look(page, f"settings-saved-{scheme}")
    assert service.app[keys.SETTINGS].wecom_encoding_aes_key.get_secret_value() == made


async def test_the_page_works_without_scripts_and_in_english(
    start: StartService, tmp_path: Path
) -> None:
    service = await start(**FREE)
    async with chromium() as seen, seen.phone(PHONE, scripts=False) as page:
        await page.goto(link_in(tmp_path))
        await page.get_by_role("button", name="开始配置").click()
        await page.get_by_role("button", name="English").click()
        assert page.url.endswith(PAGE)
        await page.get_by_label("Time zone").fill("UTC")
        form = page.locator("#messages")
        await form.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("Saved and in force")).to_be_visible()
        await look(page, "settings-english")
        words = await page.locator("main").inner_text()
    assert "时区" not in words
    assert service.app[keys.SETTINGS].time_zone == "UTC"
