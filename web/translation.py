"""
Chinese texts of pages, and the same in English for who prefers it.

Chinese is the source: `gettext("待办")` stands in the code, web/locale/en.po has the English. What
has none stays Chinese.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from babel.messages.pofile import read_po

CHINESE, ENGLISH = "zh", "en"
NAMES = {CHINESE: "中文", ENGLISH: "English"}
TAGS = {CHINESE: "zh-CN", ENGLISH: "en"}
"""Of HTML's `lang`."""
CATALOG = Path(__file__).parent / "locale" / "en.po"

LANGUAGE: ContextVar[str] = ContextVar("language", default=CHINESE)
"""Of the page that is being written."""


def gettext(text: str) -> str:
    """The text in the language of this page."""
    return english().get(text, text) if LANGUAGE.get() == ENGLISH else text


def ngettext(one: str, many: str, number: int) -> str:
    """By number: Chinese knows one form only, and names the English ones by it."""
    return gettext(one if number == 1 else many)


@cache
def english() -> Mapping[str, str]:
    """English by Chinese."""
    with CATALOG.open("rb") as file:
        return {str(one.id): str(one.string) for one in read_po(file) if one.id and one.string}


def preferred(accepted: str) -> str:
    """
    The language that a browser asks for by its Accept-Language (RFC 9110 12.5.4).

    Chinese, unless English is asked for before any Chinese: who asks for neither is most likely in
    WeCom, and Chinese is what the other messages there are.
    """
    wanted = sorted(map(_weighed, accepted.split(",")), key=lambda one: -one[0])
    for weight, language in wanted:
        if weight > 0 and language in NAMES:
            return language
    return CHINESE


def _weighed(part: str) -> tuple[float, str]:
    tag, _, parameters = part.partition(";")
    name, _, value = parameters.strip().partition("=")
    try:
        weight = float(value) if name.strip() == "q" else 1.0
    except ValueError:
        weight = 0.0
    return weight, tag.strip().lower().partition("-")[0]
