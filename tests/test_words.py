"""The reply grammar: what decides, what is asked again, what is kept as the reason."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.wecom.words import Doubt, Words, read
from domain.decision import Verdict

APPROVE, REJECT = Verdict.APPROVE, Verdict.REJECT
RUN_ONE = "12345_2"

DECIDED = [
    # the words, with an id
    ("TY 12345_2", APPROVE, RUN_ONE, None),
    ("同意 12345_2", APPROVE, RUN_ONE, None),
    ("批准 12345_2", APPROVE, RUN_ONE, None),
    ("通过 12345_2", APPROVE, RUN_ONE, None),
    ("ok 12345_2", APPROVE, RUN_ONE, None),
    ("yes 12345_2", APPROVE, RUN_ONE, None),
    ("y 12345_2", APPROVE, RUN_ONE, None),
    ("BH 12345_2", REJECT, RUN_ONE, None),
    ("驳回 12345_2", REJECT, RUN_ONE, None),
    ("拒绝 12345_2", REJECT, RUN_ONE, None),
    ("不同意 12345_2", REJECT, RUN_ONE, None),
    ("no 12345_2", REJECT, RUN_ONE, None),
    ("n 12345_2", REJECT, RUN_ONE, None),
    # the words that suffice alone
    ("TY", APPROVE, None, None),
    ("ty", APPROVE, None, None),
    ("同意", APPROVE, None, None),
    ("批准", APPROVE, None, None),
    ("BH", REJECT, None, None),
    ("驳回", REJECT, None, None),
    ("拒绝", REJECT, None, None),
    ("同意。", APPROVE, None, None),
    ("同意！！", APPROVE, None, None),
    (" TY ~ ", APPROVE, None, None),
    ("bh.", REJECT, None, None),
    # case, width, blanks, lines
    ("tY 12345_2", APPROVE, RUN_ONE, None),
    ("No 12345_2", REJECT, RUN_ONE, None),
    ("ＴＹ　１２３４５＿２", APPROVE, RUN_ONE, None),
    ("ｂｈ　１２３４５＿２．３", REJECT, "12345_2.3", None),
    ("  TY   12345_2  ", APPROVE, RUN_ONE, None),
    ("\tTY\t12345_2\n", APPROVE, RUN_ONE, None),
    ("TY\r\n12345_2", APPROVE, RUN_ONE, None),
    ("TY\u00a012345_2", APPROVE, RUN_ONE, None),
    ("TY\u200212345_2\u2028", APPROVE, RUN_ONE, None),
    ("\x08TY\x1d12345_2\x00", APPROVE, RUN_ONE, None),
    ("\ufeffTY 12345_2\u200b", APPROVE, RUN_ONE, None),
    ("TY 12\u200b345\u2060_2", APPROVE, RUN_ONE, None),
    ("\u2066TY 12345_2\u2069", APPROVE, RUN_ONE, None),
    ("TY \u202d12345_2\u202c", APPROVE, RUN_ONE, None),
    ("不\u200b同意 12345_2", REJECT, RUN_ONE, None),
    # after a Chinese word the id may follow at once
    ("同意12345_2", APPROVE, RUN_ONE, None),
    ("同意１２３４５＿２。", APPROVE, RUN_ONE, None),
    ("批准12345_2", APPROVE, RUN_ONE, None),
    ("不同意12345_2", REJECT, RUN_ONE, None),
    ("驳回12345_2磁盘没满", REJECT, RUN_ONE, "磁盘没满"),
    # ids
    ("TY abc", APPROVE, "abc", None),
    ("TY Ab:c-D_9", APPROVE, "Ab:c-D_9", None),
    ("TY 7", APPROVE, "7", None),
    ("TY " + "a" * 64, APPROVE, "a" * 64, None),
    ("TY 12345_2.2", APPROVE, "12345_2.2", None),
    ("TY 12345_2.10", APPROVE, "12345_2.10", None),
    ("TY 12345_2.2.", APPROVE, "12345_2.2", None),
    ("TY 12345_2.", APPROVE, RUN_ONE, None),
    ("TY 12345_2。", APPROVE, RUN_ONE, None),
    ("TY 12345_2!", APPROVE, RUN_ONE, None),
    ("TY 12345_2！", APPROVE, RUN_ONE, None),
    ("TY 12345_2~", APPROVE, RUN_ONE, None),
    ("TY 12345_2...", APPROVE, RUN_ONE, None),
    ("BH no", REJECT, "no", None),
    # reasons of approvals
    ("TY 12345_2 已确认", APPROVE, RUN_ONE, "已确认"),
    ("TY 12345_2已确认", APPROVE, RUN_ONE, "已确认"),
    ("TY 12345_2，已确认", APPROVE, RUN_ONE, "已确认"),
    ("TY 12345_2. checked", APPROVE, RUN_ONE, "checked"),
    ("TY 12345_2,checked", APPROVE, RUN_ONE, "checked"),
    ("TY 12345_2 ——已确认，", APPROVE, RUN_ONE, "已确认"),
    ("TY 12345_2 可以执行。", APPROVE, RUN_ONE, "可以执行。"),
    ("TY 12345_2 👍", APPROVE, RUN_ONE, "👍"),
    ("TY 12345_2 👨\u200d👩\u200d👧 好", APPROVE, RUN_ONE, "👨\u200d👩\u200d👧 好"),
    ("TY 12345_2\n已确认\n执行吧", APPROVE, RUN_ONE, "已确认 执行吧"),
    ("TY 12345_2 node known", APPROVE, RUN_ONE, "node known"),
    ("TY 12345_2 nginx bhutan", APPROVE, RUN_ONE, "nginx bhutan"),
    ("TY 12345_2 want it", APPROVE, RUN_ONE, "want it"),
    # reasons of rejections: whatever they say
    ("BH 12345_2 磁盘没满", REJECT, RUN_ONE, "磁盘没满"),
    ("BH 12345_2 为什么要重启？", REJECT, RUN_ONE, "为什么要重启？"),
    ("BH 12345_2?", REJECT, RUN_ONE, "?"),
    ("BH 12345_2 same as 12346_1", REJECT, RUN_ONE, "same as 12346_1"),
    ("BH 12345_2 不要，stop, don't", REJECT, RUN_ONE, "不要，stop, don't"),
    ("BH 12345_2: x", REJECT, "12345_2:", "x"),
    ("BH 12345_2（磁盘没满）", REJECT, RUN_ONE, "（磁盘没满）"),
    # a colon: an id may hold one, and a reason may begin with one
    ("BH 12345_2：磁盘没满", REJECT, RUN_ONE, "磁盘没满"),
    ("BH 12345_2：", REJECT, RUN_ONE, None),
    ("BH 12345_2： disk", REJECT, RUN_ONE, "disk"),
    ("BH 12345_2：：磁盘", REJECT, RUN_ONE, "磁盘"),
    ("BH 12345_2 ：disk", REJECT, RUN_ONE, "disk"),
    ("TY 12345_2：已确认", APPROVE, RUN_ONE, "已确认"),
    ("TY 12345_2.2：已确认", APPROVE, "12345_2.2", "已确认"),
    ("BH 12345_2：disk", REJECT, "12345_2:disk", None),
    ("BH 12345_2：：disk", REJECT, "12345_2::disk", None),
    ("TY web：db", APPROVE, "web:db", None),
    ("TY :12345_2", APPROVE, ":12345_2", None),
    ("ＢＨ　１２３４５＿２　磁盘 ＯＫ", REJECT, RUN_ONE, "磁盘 ＯＫ"),
    ("BH 12345_2 a\x00b\u202e", REJECT, RUN_ONE, "a b"),
    ("BH 12345_2 \u200b", REJECT, RUN_ONE, None),
    ("BH 12345_2 \u200b磁盘\u200b", REJECT, RUN_ONE, "磁盘"),
    ("BH 12\u200b345_2 磁盘", REJECT, RUN_ONE, "磁盘"),
    ("BH 12345_2 。。。", REJECT, RUN_ONE, None),
    ("no 12345_2 \ud800 late", REJECT, RUN_ONE, "late"),
]

# fmt: off
DOUBTED = {
    Doubt.NEEDS_ID: [
        "通过", "ok", "OK!", "yes", "y", "no", "n.", "不同意",
    ],
    Doubt.QUESTION: [
        "TY?", "同意？", "同意吗", "TY 可以吗", "BH 呢", "通过?", "TY 12345_2?", "TY 12345_2 ？",
        "TY 12345_2吗", "TY 12345_2 是嗎", "TY 12345_2 磁盘呢", "TY 12345_2 ❓",
        "TY 12345_2 不是 12346_1 吗",
    ],
    Doubt.SEVERAL: [
        "TY 12345_2 12346_1", "TY 12345_2\nTY 12346_1", "TY 12345_2, 12346_1",
        "TY 12345_2、12346_1", "TY 12345_2和１２３４６", "TY 12345_2 P1", "TY 12345_2 a_b",
        "TY 12345_2 and web-db", "TY 12345_2 and web:db", "TY 12345 _2", "TY 12345_2 BH 12345_2",
    ],
    Doubt.HESITATION: [
        "TY 12345_2 不", "TY 12345_2不行", "TY 12345_2 \uf967行", "TY 12345_2 先别动",
        "TY 12345_2 勿动", "TY 12345_2 暂停", "TY 12345_2 等一下", "TY 12345_2 驳回",
        "TY 12345_2 拒绝", "TY 12345_2 駁回", "TY 12345_2 no", "TY 12345_2 NO!", "TY 12345_2 ｎｏ",
        "TY 12345_2 n\u200bo", "TY 12345_2 now not", "TY 12345_2 Don't", "TY 12345_2 dont",
        "TY 12345_2 don’t", "TY 12345_2 can't say", "TY 12345_2 cannot say", "TY 12345_2 stop",
        "TY 12345_2 wait", "TY 12345_2 never", "TY 12345_2 n", "TY 12345_2 bh", "TY 12345_2 ❌",
        "ok no", "TY not now", "同意bh",
    ],
    Doubt.UNREADABLE: [
        # ids that are none
        "TY 12345_2.2.3", "TY 12345_2.02", "TY 12345_2.0", "TY 12345_2.x", "TY 12345_2.2x",
        "TY 12345_2..2", "BH 12345_2..x", "BH 12345_2。2", "BH 12345_2 .2", "BH 12345/2",
        "BH 12345_2." + "9" * 19, "TY " + "a" * 65, "TY 12345_2👍", "TY １２３४५_2",
        "\u200fTY 12345_2", "TY \u202e2_54321",
        # words that are none
        "TY12345_2", "no12345_2", "TY_1", "TY:12345_2", "not 12345_2", "typo", "o\u212a 12345_2",
        "不 同意", "不 同意 12345_2", "我不同意 12345_2", "别 TY 12345_2", "同意驳回 12345_2",
        "同意不同意", "同意请回复: TY 12345_2", "12345_2 TY",
        # words alone, with more behind them
        "同意：", "TY：", "TY：12345_2", "同意： 12345_2",
        "同意 重启", "同意，但是", "同意……", "同意👍", "通过了",
        # no word at all
        "12345_2", "1", "好的", "", "   ", "。", "请帮助", "我的待办", "help me", "待办 1",
        "可以", "行", "同意了", "已同意", "收到", "👌", "hello",
    ],
}
# fmt: on


@pytest.mark.parametrize(("text", "verdict", "reply_id", "reason"), DECIDED)
def test_these_words_decide(
    text: str, verdict: Verdict, reply_id: str | None, reason: str | None
) -> None:
    assert read(text) == Words(verdict, reply_id, reason)
    assert read(text).decides


@pytest.mark.parametrize(
    ("text", "doubt"), [(text, doubt) for doubt, texts in DOUBTED.items() for text in texts]
)
def test_these_words_decide_nothing_and_say_why(text: str, doubt: Doubt) -> None:
    words = read(text)

    assert (words.doubt, words.decides, words.reason) == (doubt, False, None)


@pytest.mark.parametrize("text", ["?", "？", "帮助", "help", "HELP", " help! ", "ｈｅｌｐ", "??"])
def test_help_can_be_asked_for(text: str) -> None:
    assert read(text) == Words(asks_help=True)


@pytest.mark.parametrize("text", ["待办", "todo", "ToDo", " 待办。", "ｔｏｄｏ"])
def test_the_todo_list_can_be_asked_for(text: str) -> None:
    assert read(text) == Words(asks_todo=True)


def test_a_doubted_approval_still_names_what_was_nearly_said() -> None:
    assert read("TY 12345_2 吗") == Words(APPROVE, RUN_ONE, doubt=Doubt.QUESTION)
    assert read("通过") == Words(APPROVE, doubt=Doubt.NEEDS_ID)
    assert read("12345_2 吧") == Words(doubt=Doubt.UNREADABLE)
    assert read("12345_2.3") == Words(reply_id="12345_2.3", doubt=Doubt.UNREADABLE)


ANY_TEXT = st.text()
APPROVALS = st.sampled_from(["TY ", "同意", "批准 ", "通过", "ok ", "YES ", "y  ", "ＴＹ　"])
REPLY_IDS = st.from_regex(r"[A-Za-z0-9_:-]{1,64}(\.[1-9][0-9]{0,3})?", fullmatch=True)
# Half of it stuff that replies are made of: pure noise seldom comes near a rule.
REPLY_LIKE = st.lists(
    st.sampled_from(
        [
            "TY",
            "同意",
            "BH",
            "不",
            "不同意",
            "no",
            " ",
            "　",
            "1_2",
            ".",
            "2",
            "?",
            "吗",
            "，",
            "\n",
        ]
    )
    | st.text(max_size=3)
).map("".join)


@settings(deadline=None)
@given(ANY_TEXT | REPLY_LIKE)
def test_a_text_that_begins_with_butongyi_never_approves(rest: str) -> None:
    assert read("不同意" + rest).verdict is not APPROVE


@settings(deadline=None)
@given(REPLY_LIKE, st.sampled_from("不别勿"))
def test_a_text_that_begins_with_a_negation_never_approves(rest: str, negation: str) -> None:
    assert read(negation + rest).verdict is not APPROVE


@settings(deadline=None)
@given(APPROVALS, REPLY_IDS, REPLY_LIKE, st.sampled_from("?？吗呢"))
def test_an_approval_with_a_question_after_it_never_decides(
    word: str, reply_id: str, rest: str, question: str
) -> None:
    assert not read(f"{word}{reply_id}{rest}{question}").decides


@settings(deadline=None)
@given(
    APPROVALS,
    REPLY_IDS,
    REPLY_LIKE,
    st.sampled_from(
        ["不", "别", "停", "等", "驳回", " no", " Stop ", " don't", " 9_1", " P1", " n"]
    ),
    REPLY_LIKE,
)
def test_an_approval_with_an_objection_or_another_id_in_it_never_decides(
    word: str, reply_id: str, before: str, objection: str, after: str
) -> None:
    # A letter may join the objection into another word; nothing else may hide it.
    after = f" {after}" if after[:1].isascii() else after

    assert not read(f"{word}{reply_id} {before}{objection}{after}").decides


@settings(deadline=None)
@given(APPROVALS, REPLY_IDS)
def test_an_approval_names_exactly_the_id_that_was_typed(word: str, reply_id: str) -> None:
    words = read(word + reply_id)

    assert words.reply_id == reply_id
    assert words.doubt in (None, Doubt.HESITATION)


@settings(deadline=None)
@given(st.from_regex(r"\A\s*[A-Za-z0-9_:.-]*\s*\Z"))
def test_a_bare_number_or_id_never_decides_unless_it_is_the_word_itself(text: str) -> None:
    assert not read(text).decides or text.strip().lower().rstrip(".") in ("ty", "bh")


@settings(deadline=None)
@given(ANY_TEXT | REPLY_LIKE)
def test_nothing_that_is_typed_breaks_the_reader(text: str) -> None:
    words = read(text)

    assert (words.reason is None) or words.decides
    assert (words.asks_help or words.asks_todo) <= (words.verdict is None)


@settings(deadline=None)
@given(REPLY_LIKE)
def test_case_and_width_of_what_is_typed_make_no_difference(text: str) -> None:
    # All but the colon, which is punctuation when it is wide.
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" and c != ":" else c for c in text)

    assert read(wide).verdict == read(text).verdict
    assert read(wide).doubt == read(text).doubt
    assert read(text.replace("TY", "tY").replace("no", "NO")).doubt == read(text).doubt


@pytest.mark.parametrize(
    "text",
    [
        "TY " + "a" * 100_000,
        " " * 100_000 + "x",
        "TY" + " " * 100_000 + "。x",
        "?" * 100_000 + "x",
        "待办" + "." * 100_000 + "x",
        "TY 1" + "." * 100_000 + "x",
        "TY 1 " + " .。" * 30_000,
        "TY 1 " + "n" * 100_000,
        "TY 1 " + "a-" * 50_000,
        "BH 1 " + " ,\u200b" * 30_000 + "x",
        "\u200b" * 100_000 + "TY",
        "：" * 100_000,
        "BH 1" + "：" * 100_000 + "。x",
    ],
    ids=lambda text: text.strip()[:6],
)
def test_a_very_long_text_is_read_in_a_blink(text: str) -> None:
    started = time.process_time()
    read(text)

    assert time.process_time() - started < 1.0
