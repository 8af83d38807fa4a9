"""What a wrong id may have meant: suggested to whom it waits for, decided by nobody."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.wecom.near_misses import named_within, near_miss

ONE = ["12345_2"]

# fmt: off
CLOSE = [
    # other separators, zeros, a word in front
    ("12345-2", ONE, "12345_2"), ("12345:2", ONE, "12345_2"), ("123452", ONE, "12345_2"),
    ("12345_02", ONE, "12345_2"), ("_12345_2", ONE, "12345_2"), ("12345_2:", ONE, "12345_2"),
    ("12345__2", ONE, "12345_2"), ("TY12345_2", ONE, "12345_2"), ("no12345-2", ONE, "12345_2"),
    ("TY1_2", ["1_2"], "1_2"), ("Host-a-1", ["host-A_1"], "host-A_1"),
    # a digit more, less, other
    ("12345_3", ONE, "12345_2"), ("1234_2", ONE, "12345_2"), ("12354_2", ONE, "12345_2"),
    ("12345", ONE, "12345_2"),
    # the run
    ("12345_2", ["12345_2.2"], "12345_2.2"), ("12345_2.3", ["12345_2.2"], "12345_2.2"),
    ("12345_2.2", ONE, "12345_2"), ("12345-2", ["12345_2.7"], "12345_2.7"),
    # more behind it
    ("12345_2:disk", ONE, "12345_2"), ("12345_2-disk-full", ONE, "12345_2"),
    # the closest of several
    ("12345-2", ["12345_3", "12345_2", "12345_4"], "12345_2"),
    ("12345_2.3", ["12345_3", "12345_2.2"], "12345_2.2"),
    ("123456_1", ["123456_2", "12345_9"], "123456_2"),
]
FAR = [
    ("9_9", ONE), ("1_3", ["1_2"]), ("1", ONE), ("2", ONE), ("hello", ONE), ("0", ["0_0"]),
    ("12345_2", []), ("_", ["0", ":"]), ("TY", ONE), ("12345_2disk", ["12345"]),
    # as close as each other
    ("12345_4", ["12345_2", "12345_3"]), ("123452", ["12345_2", "1234_52"]),
    ("12345_2.4", ["12345_2.2", "12345_2.3"]), ("Ab_1", ["ab_1", "AB_1"]),
]
WITHIN = [
    ("12345_2 TY", ONE, "12345_2"), ("好的，１２３４５＿２", ONE, "12345_2"),
    ("同意请回复: TY 12345_2", ONE, "12345_2"), ("TY: 12345-2", ONE, "12345_2"),
    ("同意了 12345_2", ["12346_1", "12345_2"], "12345_2"), ("ok alpha", ["alpha"], "alpha"),
    ("TY 12345_2.02", ONE, "12345_2"), ("TY 12345_2.x", ONE, "12345_2"),
    ("12345_2.2 好", ["12345_2.2", "12345_2"], "12345_2.2"),
    ("12345_2 和 12346_1", ["12345_2", "12346_1"], None), ("99", ONE, None),
    ("112345_2", ONE, None), ("同意了", ONE, None), ("", ONE, None), ("12345_2", [], None),
]
# fmt: on


@pytest.mark.parametrize(("typed", "waiting", "meant"), CLOSE)
def test_this_one_may_have_been_meant(typed: str, waiting: list[str], meant: str) -> None:
    assert near_miss(typed, waiting) == meant


@pytest.mark.parametrize(("typed", "waiting"), FAR)
def test_none_is_close_or_no_one_is_the_closest(typed: str, waiting: list[str]) -> None:
    assert near_miss(typed, waiting) is None


@pytest.mark.parametrize(("words", "waiting", "meant"), WITHIN)
def test_an_id_is_found_among_other_words(words: str, waiting: list[str], meant: str) -> None:
    assert named_within(words, waiting) == meant


NAMES = st.from_regex(r"[A-Za-z0-9_:-]{1,6}(\.[2-9])?", fullmatch=True)


@settings(deadline=None)
@given(st.text() | NAMES, st.lists(NAMES, unique=True))
def test_only_what_waits_is_ever_named(typed: str, waiting: list[str]) -> None:
    assert near_miss(typed, waiting) in (None, *waiting)
    assert named_within(typed, waiting) in (None, *waiting)


def test_however_much_waits_and_however_long_the_words_are_it_takes_a_blink() -> None:
    waiting = [f"{number}_{number % 7}:{'x' * 40}" for number in range(5000)]
    started = time.process_time()
    near_miss("12345_2" * 9, waiting)
    named_within("12345_3 " * 250, waiting)
    assert time.process_time() - started < 1.0
