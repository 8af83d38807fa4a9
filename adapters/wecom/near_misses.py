"""What a member may have meant by an id that there is not: one of what waits for them, or none.

For answers only: whatever is found here is suggested, and decides nothing.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher, get_close_matches

LIKE_ENOUGH = 0.8  # `12345_3` is like `12345_2`; of three characters, one makes another id
MAX_COMPARED = 200  # of what waits, the most urgent
MAX_IDS_READ = 20  # in one text, which has room for hundreds

ID = re.compile(r"[A-Za-z0-9_:-]{1,64}(?:\.[0-9]{1,18})?")
GLUED_WORD = re.compile("^(?:ty|ok|yes|y|bh|no|n)(?=[0-9])")
SEPARATORS = re.compile("[^a-z0-9]+")


def near_miss(reply_id: str, waiting: Sequence[str]) -> str | None:
    """The one of `waiting` that comes closest to an unknown id; None where two come as close."""
    for is_close in RULES:
        close = [name for name in waiting if is_close(reply_id, name)]
        if close:
            return close[0] if len(close) == 1 else None
    return _most_like(reply_id, waiting[:MAX_COMPARED])


def named_within(words: str, waiting: Sequence[str]) -> str | None:
    """The one of `waiting` whose id stands in words that were not understood: `12345_2 TY`."""
    typed = ID.findall(unicodedata.normalize("NFKC", words))[:MAX_IDS_READ]
    for is_close in (_is_written_otherwise, _is_another_run):
        named = [name for name in waiting if any(is_close(one, name) for one in typed)]
        if named:
            return named[0] if len(named) == 1 else None
    return None


def _is_written_otherwise(typed: str, name: str) -> bool:
    """`12345-2`, `123452`, `12345_02`, `TY12345_2` for `12345_2`."""
    return _bare(typed) == _bare(name) != ""


def _is_another_run(typed: str, name: str) -> bool:
    """`12345_2` or `12345_2.3` for `12345_2.2`: no obj_id has a dot."""
    return _is_written_otherwise(typed.partition(".")[0], name.partition(".")[0])


def _has_more_behind_it(typed: str, name: str) -> bool:
    """`12345_2:disk` for `12345_2`."""
    return typed.casefold().startswith((f"{name}:".casefold(), f"{name}-".casefold()))


RULES: tuple[Callable[[str, str], bool], ...] = (
    _is_written_otherwise,
    _is_another_run,
    _has_more_behind_it,
)


def _bare(reply_id: str) -> str:
    """Letters and digits alone, without a word that was typed in front, zeros, separators."""
    without_word = GLUED_WORD.sub("", reply_id.casefold())
    return "".join(part.lstrip("0") for part in SEPARATORS.split(without_word))


def _most_like(typed: str, waiting: Sequence[str]) -> str | None:
    close = get_close_matches(typed, waiting, n=2, cutoff=LIKE_ENOUGH)
    if len(close) == 2 and _likeness(close[0], typed) == _likeness(close[1], typed):
        return None
    return close[0] if close else None


def _likeness(name: str, typed: str) -> float:
    return SequenceMatcher(None, name, typed).ratio()  # in the order that get_close_matches has
