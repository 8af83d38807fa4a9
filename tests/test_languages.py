"""Pages in Chinese and English: chosen by the browser, and by a switch."""

import hashlib
import re
from pathlib import Path

import pytest

from tests.service import Service
from tests.visitor import Visitor
from web.translation import CATALOG, CHINESE, ENGLISH, LANGUAGE, english, gettext, preferred

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", CHINESE),
        ("zh-CN,zh;q=0.9", CHINESE),
        ("zh-TW", CHINESE),
        ("en-US,en;q=0.9", ENGLISH),
        ("en", ENGLISH),
        ("EN-gb", ENGLISH),
        ("en;q=0.5, zh;q=0.8", CHINESE),
        ("zh;q=0.5, en", ENGLISH),
        ("fr, en;q=0.1, zh;q=0.05", ENGLISH),
        ("fr, de", CHINESE),
        ("*", CHINESE),
        ("en;q=0", CHINESE),
        ("en;q=x, zh;q=0.1", CHINESE),
        ("zh, en", CHINESE),
        ("en, zh", ENGLISH),
        (",;,=;q", CHINESE),
    ],
)
def test_a_browser_says_which_language_it_wants(accepted: str, language: str) -> None:
    assert preferred(accepted) == language


def test_what_has_no_english_stays_as_it_is() -> None:
    LANGUAGE.set(ENGLISH)
    assert gettext("退出登录") == "Log out"
    assert gettext("没有译文") == "没有译文"
    LANGUAGE.set(CHINESE)
    assert gettext("退出登录") == "退出登录"


def test_english_keeps_every_placeholder() -> None:
    named = re.compile(r"%\(\w+\)s|%%")
    for chinese, words in english().items():
        assert sorted(named.findall(chinese)) == sorted(named.findall(words)), chinese


def test_the_catalog_holds_each_text_once() -> None:
    texts = re.findall(r'^msgid (".*")$', CATALOG.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(texts) == len(set(texts))
    kinds = re.findall(r"^(msgid|msgstr) ", CATALOG.read_text(encoding="utf-8"), re.MULTILINE)
    assert kinds == ["msgid", "msgstr"] * (len(texts))


async def test_a_page_is_in_the_language_of_the_browser(service: Service) -> None:
    visitor = Visitor(service)
    await visitor.log_in("zhangsan")
    for accepted, lang, words in (("zh-CN", "zh-CN", "退出登录"), ("en-US", "en", "Log out")):
        page = await visitor.get("/wechat/todo/", headers={"Accept-Language": accepted})
        assert f'<html lang="{lang}">' in page.html
        assert words in page.text


async def test_the_switch_outweighs_the_browser_and_leads_back(service: Service) -> None:
    visitor = Visitor(service)
    await visitor.log_in("zhangsan")
    page = await visitor.get("/wechat/todo/")
    switch = page.languages
    assert switch.buttons == [("language", "en")]
    chosen = {**switch.fields, "language": "en"}
    back = await visitor.post(switch.action, chosen, headers={"Origin": visitor.origin})
    assert (back.status, back.location) == (303, f"{visitor.prefix}/wechat/todo/")
    assert "Log out" in (await visitor.get("/wechat/todo/")).text
    chinese = {"Accept-Language": "zh-CN"}
    assert "Log out" in (await visitor.get("/wechat/todo/", headers=chinese)).text


@pytest.mark.parametrize(
    ("fields", "headers", "status"),
    [
        ({"language": "fr", "next": "/"}, {}, 403),
        ({"next": "/"}, {}, 403),
        ({"language": "en"}, {"Origin": "https://elsewhere.example"}, 403),
        ({"language": "en", "next": "https://elsewhere.example/"}, {}, 303),
        ({"language": "en", "next": "//elsewhere.example/"}, {}, 303),
    ],
)
async def test_the_switch_leads_nowhere_else(
    service: Service, fields: dict[str, str], headers: dict[str, str], status: int
) -> None:
    visitor = Visitor(service)
    answer = await visitor.post("/wechat/language/", fields, headers=headers)
    assert answer.status == status
    if status == 303:
        assert answer.location == f"{visitor.prefix}/wechat/todo/"
    assert (await visitor.get("/wechat/language/")).status == 405


async def test_a_page_that_was_posted_to_leads_to_one_that_can_be_opened(service: Service) -> None:
    visitor = Visitor(service)
    await visitor.log_in("zhangsan")
    refused = await visitor.post("/wechat/accounts/logout/", {"token": "x"})
    assert refused.languages.fields == {"next": ""}


async def test_what_was_copied_is_what_the_notice_says(service: Service) -> None:
    rows = re.findall(r"^\| (web/static/\S+) \|.*\| ([0-9a-f]{64}) \|$", _notice(), re.MULTILINE)
    assert len(rows) == 2
    for name, digest in rows:
        assert hashlib.sha256((ROOT / name).read_bytes()).hexdigest() == digest, name
        url = f"{service.base}/static/wechat/{Path(name).name}"
        async with service.http.get(url) as response:
            assert response.status == 200
            assert response.content_type in ("text/javascript", "application/javascript")


def _notice() -> str:
    return (ROOT / "NOTICE").read_text(encoding="utf-8")
