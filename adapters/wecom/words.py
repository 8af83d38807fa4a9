"""The reply grammar: a member's words to a verdict, an id, a reason; in doubt to none of them."""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from domain.decision import Verdict

VERDICTS = {
    **dict.fromkeys(["ty", "同意", "批准", "通过", "ok", "yes", "y"], Verdict.APPROVE),
    **dict.fromkeys(["bh", "驳回", "拒绝", "不同意", "no", "n"], Verdict.REJECT),
}
ENOUGH_ALONE = {"ty", "bh", "同意", "驳回", "批准", "拒绝"}

ID = "[A-Za-z0-9_:-]"
# The whole word or none: `TYPO` is no `TY`. 不同意 stands first: no word may hide in a longer one.
WORD = f"(?P<word>不同意|同意|批准|通过|驳回|拒绝|(?:ty|ok|yes|y|bh|no|n)(?!{ID}))"
HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
SENTENCE_MARKS = ",.;!?~()、。：〈-】〔-〟“”‘’–—…·"
# An id may hold colons, and Chinese puts one before a reason: `BH 12345_2：磁盘没满`. So a
# full-width one is punctuation, unless it leads on to more of an id: `BH 12345_2：disk`.
COLONS_IN_ID = re.compile(f"(?<!：)：++(?={ID})")

# ASCII: without it, case-blindness would let the Kelvin sign pass for a K.
ANY_CASE = re.IGNORECASE | re.ASCII
OPENING = re.compile(f" *{WORD}", ANY_CASE)
BARE_ID = re.compile(rf" *(?P<id>{ID}{{1,64}}(?:\.[1-9][0-9]{{0,17}})?) *", ANY_CASE)
NAMED = re.compile(
    # After a Latin word the blank is there, or it would not have been the whole word.
    rf" *{WORD} *(?P<id>{ID}{{1,64}}(?:\.[1-9][0-9]{{0,17}})?)"
    rf"(?=\Z|[ {HAN}{SENTENCE_MARKS}])"
    # `12345_2.02`, `12345_2.x`, `12345_2。2`: meant as a run, and no run we know.
    rf"(?!\.+{ID}| *[.。]+[0-9])",
    ANY_CASE,
)
HELP = re.compile(r" *(?:\?|帮助|help)[ .!?~。]*", ANY_CASE)
TODO = re.compile(r" *(?:待办|todo)[ .!~。]*", ANY_CASE)
NOTHING_MORE = re.compile(r"[ .!~。〜]*")

# How the rest after an approval raises doubt. Each may match too much: then the member is asked
# again. Variants in writing (嗎 for 吗, ❓ for ?) count as the sign itself.
QUESTION = re.compile("[?？﹖︖⁇⁈⁉❓❔؟吗嗎呢]")
ANOTHER_ID = re.compile(r"[\d_]|[a-z][:-][a-z]", re.IGNORECASE)
REFUSAL = re.compile(
    "[不\uf967别別勿停等👎❌🚫🛑⛔🙅]|驳回|駁回|拒绝|拒絕"
    "|(?<![a-z])(?:no|not|cannot|dont|stop|wait|never|n|bh)(?![a-z])"
    "|n['’‘ʼ´`]t(?![a-z])",
    re.IGNORECASE,
)

# Seen by nobody, pasted by many: zero-width characters and left-to-right marks. Right-to-left
# marks are not among them: under their spell the member may have seen `2_1` where we read `1_2`.
UNSEEN = frozenset("\u00ad\u200b\u200c\u200d\u200e\u2060\ufeff\u202a\u202c\u202d\u2066\u2068\u2069")
BLANKS = frozenset(["Cc", "Cs", "Zs", "Zl", "Zp"])
DIRECTION_MARKS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
BEFORE_REASON = " ,.;:!~-–—、，。．；：！～〜…·" + "".join(UNSEEN)
AFTER_REASON = " ,;:、，；：" + "".join(UNSEEN)


class Doubt(StrEnum):
    """Why words that may have been meant as a decision are none."""

    UNREADABLE = "unreadable"
    QUESTION = "question"
    HESITATION = "hesitation"
    """A word of refusal after an approval."""
    SEVERAL = "several-ids"
    NEEDS_ID = "needs-id"
    """A word that counts only with an id, alone."""


@dataclass(frozen=True)
class Words:
    """
    What a text says. With a doubt it decides nothing, ever.

    Verdict and id may stand beside a doubt, so that the answer can name what was nearly said.
    """

    verdict: Verdict | None = None
    reply_id: str | None = None
    reason: str | None = None
    doubt: Doubt | None = None
    asks_help: bool = False
    asks_todo: bool = False

    @property
    def decides(self) -> bool:
        return self.verdict is not None and self.doubt is None


def read(text: str) -> Words:
    """
    Read one text message. The id is as typed, in half-width characters; a half-width colon
    always belongs to it, because an id may end in one.

    An id of letters alone cannot be told from a word, so `TY abc and def` names `abc`: whoever
    looks ids up may know better.
    """
    folded, places = _fold(text)
    if HELP.fullmatch(folded):
        return Words(asks_help=True)
    if TODO.fullmatch(folded):
        return Words(asks_todo=True)
    if named := NAMED.match(folded):
        # `places` leads from the folded text back to the member's own words.
        own_words = text[places[named.end()] :] if named.end() < len(folded) else ""
        return _with_id(named, folded[named.end() :], own_words)
    if opening := OPENING.match(folded):
        return _without_id(opening["word"].lower(), folded[opening.end() :])
    bare = BARE_ID.fullmatch(folded)
    return Words(reply_id=bare["id"] if bare else None, doubt=Doubt.UNREADABLE)


def _with_id(named: re.Match[str], rest: str, own_words: str) -> Words:
    verdict, reply_id = VERDICTS[named["word"].lower()], named["id"]
    doubt = _doubt_about_approval(reply_id, rest) if verdict is Verdict.APPROVE else None
    return Words(verdict, reply_id, None if doubt else _reason(own_words), doubt)


def _doubt_about_approval(reply_id: str, rest: str) -> Doubt | None:
    if QUESTION.search(rest):
        return Doubt.QUESTION
    if ANOTHER_ID.search(rest):
        return Doubt.SEVERAL
    # `ok no`, `TY not now`: grammar takes the refusal for an id.
    if REFUSAL.search(rest) or REFUSAL.fullmatch(reply_id):
        return Doubt.HESITATION
    return None


def _without_id(word: str, rest: str) -> Words:
    verdict = VERDICTS[word]
    if QUESTION.search(rest):
        return Words(verdict, doubt=Doubt.QUESTION)
    if not NOTHING_MORE.fullmatch(rest):
        return Words(doubt=Doubt.UNREADABLE)
    return Words(verdict, doubt=None if word in ENOUGH_ALONE else Doubt.NEEDS_ID)


def _reason(own_words: str) -> str | None:
    shown = DIRECTION_MARKS.sub("", own_words)
    blanked = "".join(" " if unicodedata.category(c) in BLANKS else c for c in shown)
    return blanked.lstrip(BEFORE_REASON).rstrip(AFTER_REASON) or None


def _fold(text: str) -> tuple[str, list[int]]:
    """Half-width text, and for each of its characters the place in `text` where it came from."""
    places = [place for place, character in enumerate(text) if character not in UNSEEN]
    folded = "".join(_half_width(text[place]) for place in places)
    return COLONS_IN_ID.sub(lambda colons: ":" * len(colons[0]), folded), places


def _half_width(character: str) -> str:
    if "\uff01" <= character <= "\uff5e" and character != "：":
        return chr(ord(character) - 0xFEE0)
    return " " if unicodedata.category(character) in BLANKS else character
