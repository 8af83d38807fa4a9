"""The two guides to WeCom say the same, name settings that exist, and link to files that exist."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from web.settings import PREFIX, Settings, read_settings

DOCS = Path(__file__).parent.parent / "docs"
CHINESE, ENGLISH = DOCS / "wecom-setup.zh-CN.md", DOCS / "wecom-setup.md"
GUIDES = pytest.mark.parametrize("guide", [CHINESE, ENGLISH], ids=["zh-CN", "en"])
SETTING = re.compile(rf"{PREFIX}([A-Z_]+)")
BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def sections(guide: Path) -> list[tuple[int, str]]:
    """Number and text of each."""
    parts = re.split(r"^## (\d+)\. ", guide.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [(int(number), text) for number, text in zip(parts[1::2], parts[2::2], strict=True)]


def rows(text: str) -> list[int]:
    """How many columns each line of each table has."""
    return [line.count("|") for line in text.splitlines() if line.startswith("|")]


def numbers(text: str) -> set[str]:
    """WeCom's codes, HTTP statuses, ports, times: what both languages write alike."""
    return set(re.findall(r"(?<![\w.])-?\d{2,}(?![\w.]*\w)", text))


def test_both_guides_have_the_same_sections_in_the_same_order() -> None:
    chinese, english = sections(CHINESE), sections(ENGLISH)
    assert [number for number, _ in chinese] == list(range(1, 19))
    assert [number for number, _ in english] == list(range(1, 19))
    assert not any("\n## " in text for _, text in chinese + english), "a section without a number"


@pytest.mark.parametrize("number", range(1, 19))
def test_a_section_says_the_same_in_both_languages(number: int) -> None:
    chinese, english = dict(sections(CHINESE))[number], dict(sections(ENGLISH))[number]
    assert BLOCK.findall(chinese) == BLOCK.findall(english)
    assert set(SETTING.findall(chinese)) == set(SETTING.findall(english))
    assert rows(chinese) == rows(english)
    assert chinese.count("\n- ") == english.count("\n- ")
    assert numbers(chinese) == numbers(english)
    assert chinese.count("不确定") == english.count("not certain")


@GUIDES
def test_every_setting_that_a_guide_names_exists(guide: Path) -> None:
    named = set(SETTING.findall(guide.read_text(encoding="utf-8")))
    known = {name.upper() for name in Settings.model_fields}
    assert named <= known
    assert {"APP_URL", "WECOM_TOKEN", "WECOM_CORP_ID", "SUPER_APPROVERS"} <= named


@GUIDES
def test_every_file_that_a_guide_links_to_exists(guide: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", guide.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert local
    for link in local:
        assert (guide.parent / link).is_file(), link


@GUIDES
def test_the_environment_file_of_a_guide_is_accepted_once_the_token_is_in_it(guide: Path) -> None:
    (given,) = re.findall(r"```sh\n(.*?DATABASE.*?)```", dict(sections(guide))[4], re.DOTALL)
    pairs = [line.split("=", 1) for line in given.splitlines()]
    example = {name: value.replace("...", "0" * 48) for name, value in pairs}
    settings = read_settings(example)
    assert settings.super_approvers == ["wangwu"]
    assert settings.app_url == "https://example.com/o/bk_fta_solutions/wechat/"
    # Forgotten, the placeholder is refused.
    with pytest.raises(Exception, match="API_TOKENS"):
        read_settings(dict(pairs))


@GUIDES
def test_the_old_page_with_its_eight_settings_is_moved_over_whole(guide: Path) -> None:
    table = re.findall(r"^\| .+? \| `(WECHAT_\w+)` \|", dict(sections(guide))[17], re.MULTILINE)
    assert table == [
        *("WECHAT_APP_URL", "WECHAT_STATIC_URL", "WECHAT_TOKEN", "WECHAT_ENCODING_AES_KEY"),
        *("WECHAT_CORPID", "WECHAT_SECRET", "WECHAT_AGENT_ID", "WECHAT_SUPER_APPROVER"),
    ]


@GUIDES
def test_what_must_come_first_stands_first(guide: Path) -> None:
    """The callback before what WeCom allows only after it: trusted addresses, cards."""
    text = guide.read_text(encoding="utf-8")
    order = [
        "企业ID",
        "创建应用",
        "设置API接收",
        "企业可信IP → 配置",
        "设置可信域名",
        "menu publish",
        "MESSAGE_STYLE`",
        "--send zhangsan",
    ]
    # The table of section 1 names everything beforehand.
    places = [text.index(what, text.index("## 2.")) for what in order]
    assert all(before < after for before, after in pairwise(places)), order
