"""English is complete: no text of a page stands beside the catalog, and none is without English."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.wecom.messages import HOW
from adapters.wecom.notices import OUTCOMES
from web import translation
from web.translation import ENGLISH, LANGUAGE, english, gettext

WEB = Path(translation.__file__).parent
TEMPLATES = sorted((WEB / "templates").glob("*.html"))
CHINESE = re.compile(r"[\u2e80-\u9fff\uff00-\uffef\u3000-\u303f]")
TRANSLATED = re.compile(r"""\b_\(\s*("(?:[^"\\]|\\.)*")""")
COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
# What is Chinese in these is no text of a page for members: it is written to a terminal, sent to
# WeCom, or an example of the API's description.
ELSEWHERE = {
    "account_checks.py",
    "demo.py",
    "described_approvals.py",
    "described_permits.py",
    "doctor.py",
    "examples.py",
    "findings.py",
    "fta.py",
    "letters.py",
    "menu_publishing.py",
    "options.py",
    "problems.py",
    "remedies.py",
    "site_checks.py",
    "spreadsheet.py",
    "trial.py",
    "translation.py",
}
# Names by which engines give details, and reasons as they are kept: Chinese in every language.
DATA = {"业务", "影响范围", "影响", "爆炸半径", "中文", "[,，\n]"}
MODULES = sorted(
    path for path in (*WEB.glob("*.py"), *WEB.glob("audit/*.py")) if path.name not in ELSEWHERE
)


def in_templates(text: str) -> tuple[set[str], str]:
    """Texts that a template has translated, and whatever else stands in it."""
    text = COMMENT.sub("", text)
    texts = {ast.literal_eval(quoted) for quoted in TRANSLATED.findall(text)}
    return texts, TRANSLATED.sub("", text)


def in_code(source: str) -> Iterator[tuple[str, bool]]:
    """Chinese strings of a module that are no docstrings, and whether each is part of an f-string,
    which nothing can translate."""
    tree = ast.parse(source)
    pieces = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            continue
        if CHINESE.search(node.value) and id(node) not in alone:
            yield node.value, id(node) in pieces


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_whatever_a_template_says_is_translated(path: Path) -> None:
    texts, rest = in_templates(path.read_text(encoding="utf-8"))
    assert CHINESE.findall(rest) == []
    assert sorted(texts - set(english())) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_whatever_a_module_says_on_pages_is_translated(path: Path) -> None:
    said = list(in_code(path.read_text(encoding="utf-8")))
    assert [text for text, is_piece in said if is_piece] == []
    assert sorted({text for text, _ in said} - set(english()) - DATA) == []


def test_the_words_of_messages_that_pages_show_are_translated() -> None:
    assert {*HOW.values(), *OUTCOMES.values()} <= set(english())


# What stands in WeCom's admin site, and what the original's manual calls a setting: in English it
# is looked for by these very names.
NAMES = re.compile(
    "同意|驳回|接收消息|设置API接收|应用管理|我的企业|企业信息|企业ID|通讯录同步|通讯录"
    "|微信端地址|微信端静态资源地址"
)


def test_no_english_is_chinese_or_without_its_chinese() -> None:
    for chinese, words in english().items():
        assert not CHINESE.search(NAMES.sub("", words)), chinese
        assert CHINESE.search(chinese), chinese


def test_what_is_not_translated_is_noticed() -> None:
    texts, rest = in_templates('<p>{# 注 #}{{ _("甲 %(n)s", n=1) }}乙</p>')
    assert texts == {"甲 %(n)s"} and CHINESE.findall(rest) == ["乙"]
    source = '"""文档"""\nA = "甲"\nB = f"乙{A}"\n'
    assert list(in_code(source)) == [("甲", False), ("乙", True)]


def test_a_sentence_keeps_its_parts_in_english() -> None:
    token = LANGUAGE.set(ENGLISH)
    said = gettext("%(who)s 于 %(at)s 通过%(how)s同意") % {"who": "a", "at": "b", "how": "c"}
    LANGUAGE.reset(token)
    assert said == "a approved via c at b"
