"""
`fta-approval demo` as a process, seen in a real Chromium: cards, digests, reminders, answers.

The README's pictures are those in build/screenshots/readme. Anew, with the ports that it names:
    DEMO_PORT=8000 .venv/bin/python -m pytest tests/test_demo.py
    cp build/screenshots/readme/*.png docs/pictures/
"""

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from tests import confidential
from tests.browser import CONTRASTS, OVERFLOW, Seen, chromium, picture
from tests.process import SCRIPT, STARTS_WITHIN_S
from tests.visitor import OUTSIDE

DESK = (1280, 900)
TALL = (390, 1160)
"""Room for a card that ended, one that waits and what was said between them."""
FINE = 2.0
"""Of the pictures: two dots for each of the page's."""
LONG_MS = 30_000
TIME = r"\d\d:\d\d:\d\d"


@dataclass(frozen=True)
class Demo:
    """What it prints when it is ready, and the process."""

    service: str
    phones: str
    engine: str
    said: str
    process: asyncio.subprocess.Process

    def chat(self, userid: str) -> str:
        return f"{self.phones}/chat/{userid}"


@asynccontextmanager
async def demo(folder: Path, *arguments: str) -> AsyncIterator[Demo]:
    """The demo; whatever happens, it has ended afterwards."""
    port = os.environ.get("DEMO_PORT", "0")
    confidential.logs.append(folder / "demo.log")
    with (folder / "demo.log").open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            SCRIPT,
            *("demo", "--port", port, *arguments),
            cwd=folder,
            env={"PATH": os.environ["PATH"], "FTA_APPROVAL_LOG_LEVEL": "debug"},
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(STARTS_WITHIN_S):
            said = (await process.stdout.readuntil(b"Ctrl-C stops all of it.")).decode()
        found = re.findall(r"(?:listening on|自愈测试|企业微信) +(http://[\d.:]+)", said)
        assert len(found) == 3, said
        service, engine, phones = found
        confidential.note("API token", re.findall(r"Bearer ([\w-]+)", said)[0])
        yield Demo(service, phones, engine, said, process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
    log = (folder / "demo.log").read_text().splitlines()
    assert [line for line in log if not re.search('"level": "(info|debug)"', line)] == []


@pytest.fixture
async def seen() -> AsyncIterator[Seen]:
    async with chromium() as found:
        yield found


def card(page: Page, reply_id: str) -> Locator:
    return page.locator("article.card", has=page.get_by_text(reply_id, exact=True))


def live_cards(page: Page) -> Locator:
    return page.locator("article.card", has=page.get_by_role("button", name="同意"))


def minutes_between(earlier: str, later: str) -> float:
    """Of one day, or across midnight."""
    begin, end = (datetime.strptime(time, "%H:%M:%S") for time in (earlier, later))  # noqa: DTZ007
    return (end - begin) % timedelta(days=1) / timedelta(minutes=1)


async def push(desk: Page, count: str = "1") -> None:
    await desk.get_by_label(count, exact=True).check()
    await desk.get_by_role("button", name="推送告警").click()


async def answer(phone: Page, words: str) -> None:
    await phone.get_by_label("回复", exact=True).fill(words)
    await phone.get_by_role("button", name="发送").click()


async def look(page: Page, name: str) -> None:
    """Take its picture as the screen shows it; nothing is cut off, and it can be read."""
    await picture(page, name, full_page=False)
    assert await page.evaluate(OVERFLOW) == [], name
    assert await page.evaluate(CONTRASTS) == [], name


async def test_an_alarm_a_tap_and_a_reply(seen: Seen, tmp_path: Path) -> None:
    async with (
        demo(tmp_path) as shown,
        seen.phone(DESK, agent=OUTSIDE) as desk,
        seen.phone(TALL, scale=FINE) as phone,
        seen.phone() as lisi,
    ):
        await desk.goto(shown.engine)
        await push(desk)
        await lisi.goto(shown.chat("lisi"))
        await phone.goto(shown.chat("zhangsan"))
        await expect(phone.get_by_role("button", name="TY 1_1")).to_be_visible()

        await push(desk)
        await expect(card(phone, "2_1")).to_be_visible()
        await phone.get_by_role("button", name="BH 2_1").click()
        await answer(phone, "BH 2_1 先不动")
        await expect(phone.locator(".messages")).to_contain_text("审批成功：您已驳回 2_1")
        await expect(card(phone, "2_1").locator(".done")).to_contain_text("已驳回 zhangsan")
        await expect(card(lisi, "2_1").locator(".done")).to_contain_text("已驳回 zhangsan")
        await expect(desk.locator("#alarm-2")).to_contain_text("驳回（微信回复）：先不动")

        await push(desk)
        await expect(card(phone, "3_1").get_by_role("button", name="同意")).to_be_visible()
        await expect(card(lisi, "3_1").get_by_role("button", name="同意")).to_be_visible()
        await expect(desk.locator("#alarm-3")).to_contain_text("等待 zhangsan、lisi 审批")

        # Last, for what came of it is told too: a fourth notice of this minute, which would hold
        # the third card back for a digest.
        await card(phone, "1_1").get_by_role("button", name="同意").click()
        for page in (phone, lisi):
            ended = card(page, "1_1")
            await expect(ended.locator(".done")).to_have_text(
                re.compile(r"^已同意 zhangsan \d\d:\d\d$")
            )
            await expect(ended).to_contain_text(re.compile(r"zhangsan 于 \d\d:\d\d 通过卡片同意"))
            await expect(ended.get_by_role("button")).to_have_count(0)
        alarm = desk.locator("#alarm-1")
        await expect(alarm).to_contain_text("自愈成功")
        await expect(alarm).to_contain_text(re.compile(r"zhangsan 于 [\d:]+ 同意（微信卡片）"))
        await expect(alarm).to_contain_text("2. 替换故障机 成功")

        await look(desk, "readme/engine")
        # The offered answers came after the card, and took room from it.
        await expect(phone.get_by_role("button", name="TY 3_1")).to_be_visible()
        await expect(card(phone, "3_1").get_by_role("button", name="同意")).to_be_in_viewport(
            ratio=1
        )
        await look(phone, "readme/chat")

        await lisi.get_by_role("button", name="审批列表").click()
        await expect(lisi.get_by_role("heading", name="待我审批")).to_contain_text("1")


async def test_ten_alarms_at_once_are_three_cards_and_a_digest(seen: Seen, tmp_path: Path) -> None:
    """The digest comes half a minute after the last card: three seconds, so hurried."""
    async with (
        demo(tmp_path, "--speed", "10") as shown,
        seen.phone(DESK, agent=OUTSIDE) as desk,
        seen.phone(scale=FINE) as phone,
    ):
        assert "10 times as fast" in shown.said
        await phone.goto(shown.chat("zhangsan"))
        await desk.goto(shown.engine)
        await push(desk, "10")
        digest = phone.locator(".bubble", has_text="您有 10 项待审批")
        await expect(digest).to_be_visible()
        await expect(live_cards(phone)).to_have_count(3)
        await look(phone, "readme/digest")

        await digest.get_by_role("link", name=f"{shown.service}/o/").click()
        await expect(phone.get_by_role("heading", name="待我审批")).to_contain_text("10")
        await look(phone, "readme/todo")


async def test_a_reminder_comes_while_there_is_time_and_an_end_when_there_is_none(
    seen: Seen, tmp_path: Path
) -> None:
    """Fifteen of twenty minutes, in fifteen seconds."""
    async with (
        demo(tmp_path, "--speed", "60") as shown,
        seen.phone(DESK, agent=OUTSIDE) as desk,
        seen.phone(scale=FINE) as phone,
    ):
        await phone.goto(shown.chat("zhangsan"))
        await desk.goto(shown.engine)
        await push(desk)
        reminder = phone.locator(".bubble", has_text="分钟超时")
        await expect(reminder).to_contain_text("同意请回复: TY 1_1", timeout=LONG_MS)
        await expect(live_cards(phone)).to_have_count(1)
        await look(phone, "readme/reminder")
        await expect(card(phone, "1_1").locator(".done")).to_contain_text("已超时")
        await expect(phone.get_by_role("button", name="TY 1_1")).to_have_count(0)
        alarm = desk.locator("#alarm-1")
        await expect(alarm).to_contain_text("到期无人审批")
        # Each by the same clock: WeCom, which notes a pause, and the engine.
        await expect(phone.locator(".pause")).to_have_count(2)
        asked, ended = re.findall(TIME, await alarm.locator(".steps time").first.inner_text())
        assert 19 <= minutes_between(asked, ended) <= 40


# The command.


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_stops_when_it_is_told_to(tmp_path: Path, number: signal.Signals) -> None:
    async with demo(tmp_path) as shown:
        assert "times as fast" not in shown.said
        shown.process.send_signal(number)
        async with asyncio.timeout(STARTS_WITHIN_S):
            assert await shown.process.wait() == 0


@pytest.mark.parametrize(("arguments", "passed"), [([], "demo"), (["SPEED=10"], "demo --speed 10")])
def test_make_passes_the_speed_on(arguments: list[str], passed: str) -> None:
    told = subprocess.run(
        ["make", "--dry-run", "demo", *arguments],
        cwd=Path(__file__).parent.parent,
        # Not that of a make that runs the tests: it would hand its own variables down.
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    (command,) = [line for line in told.stdout.splitlines() if "/fta-approval demo" in line]
    assert command.split("/fta-approval ")[1].strip() == passed


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--speed", "61"], "1<=x<=60"),
        (["--speed", "0"], "1<=x<=60"),
        (["--speed", "2", "--folder", "kept"], "--speed above 1 and --folder do not go together"),
    ],
)
def test_what_the_command_refuses(tmp_path: Path, arguments: list[str], why: str) -> None:
    told = subprocess.run(
        [SCRIPT, "demo", "--port", "0", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=STARTS_WITHIN_S,
        check=False,
    )
    assert told.returncode == 2
    assert why in told.stderr
    assert list(tmp_path.iterdir()) == []
