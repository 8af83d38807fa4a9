"""The two guides for administrators of FTA say the same, and what the drop-in and service are."""

import re
from pathlib import Path

import pytest

from tests.test_docs import BLOCK, SETTING, rows
from web.settings import Settings

ROOT = Path(__file__).parent.parent
DROP_IN = (ROOT / "examples" / "fta" / "wechat.py").read_text(encoding="utf-8")
CHINESE = ROOT / "docs" / "migrating-from-fta.zh-CN.md"
ENGLISH = ROOT / "docs" / "migrating-from-fta.md"
GUIDES = pytest.mark.parametrize("guide", [CHINESE, ENGLISH], ids=["zh-CN", "en"])
DEFECTS = [
    f"{kind}{n}" for kind, count in (("S", 10), ("L", 15), ("P", 8)) for n in range(1, count + 1)
]
CODE = re.compile(r"`([^`\n]+)`")


def sections(guide: Path) -> list[str]:
    parts = re.split(r"^## \d+\. ", guide.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return parts[1:]


def test_both_guides_have_the_same_sections() -> None:
    assert len(sections(CHINESE)) == len(sections(ENGLISH)) == 7


@pytest.mark.parametrize("number", range(7))
def test_a_section_says_the_same_in_both_languages(number: int) -> None:
    chinese, english = sections(CHINESE)[number], sections(ENGLISH)[number]
    assert BLOCK.findall(chinese) == BLOCK.findall(english)
    assert rows(chinese) == rows(english)
    assert chinese.count("\n- ") == english.count("\n- ")
    without_blocks = [BLOCK.sub("", text) for text in (chinese, english)]
    assert set(CODE.findall(without_blocks[0])) == set(CODE.findall(without_blocks[1]))


@GUIDES
def test_every_defect_of_the_old_system_has_its_row(guide: Path) -> None:
    assert re.findall(r"^\| ([SLP]\d+) \|", sections(guide)[6], re.MULTILINE) == DEFECTS


@GUIDES
def test_every_setting_is_one_of_the_service_or_of_the_drop_in(guide: Path) -> None:
    named = set(SETTING.findall(guide.read_text(encoding="utf-8")))
    of_service = {name.upper() for name in Settings.model_fields}
    of_drop_in = set(SETTING.findall(DROP_IN))
    assert named <= of_service | of_drop_in
    assert {"ADDRESS", "TOKEN", "NOTES", "EXPIRES_IN", "USERIDS"} <= named & of_drop_in


@GUIDES
def test_every_file_that_a_guide_links_to_exists(guide: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", guide.read_text(encoding="utf-8"))
    assert links
    for link in links:
        assert (guide.parent / link).is_file(), link


@GUIDES
def test_the_line_for_notice_py_is_the_one_that_the_drop_in_asks_for(guide: Path) -> None:
    line = "from project.utils.wechat import get_approve_result, wechat_approve"
    assert f"```python\n{line}\n```" in guide.read_text(encoding="utf-8")
    assert DROP_IN.count(line) == 2


@GUIDES
def test_what_a_guide_quotes_of_the_drop_in_stands_there(guide: Path) -> None:
    text = guide.read_text(encoding="utf-8")
    for words in ("上一次执行可能还在等待", "审批已用于另一次执行", "审批已同意，但许可已失效"):
        assert words in text
        assert words in DROP_IN
    for name in ("`get_approve_result`", "`outcome`", "`report_outcome("):
        assert name in text
        assert f"def {name.strip('`(')}(" in DROP_IN
