"""The text that asks, byte for byte: people and programs know it by heart."""

from hypothesis import example, given
from hypothesis import strategies as st

from domain.wording import CUT_MARK, TEXT_LIMIT_BYTES, asking_text, bytes_left, fits_a_card

MARK = "…（未显示完，请在待办中查看后审批）"
LINK = "https://approval.example/o/bk_fta_solutions/wechat/a/e50e2ff1-ae80-5e1a-a99b-9efab369f2dc/"

# What the API lets in: one line, no half of a surrogate pair.
messages = st.text(
    st.one_of(
        st.sampled_from("<重a😀"), st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp"))
    ),
    min_size=1,
    max_size=50,
).flatmap(lambda piece: st.integers(1, 2000 // len(piece)).map(lambda times: piece * times))
reply_ids = st.from_regex(r"[A-Za-z0-9_:-]{1,64}(\.[1-9][0-9]{0,9})?", fullmatch=True)
links = st.one_of(st.none(), st.just(LINK))


def test_the_text_to_the_byte() -> None:
    text, cut = asking_text("重启 10.0.0.1 的 nginx", "12345_2")
    assert not cut
    assert text.encode() == (
        b"\xe3\x80\x90\xe6\x95\x85\xe9\x9a\x9c\xe8\x87\xaa\xe6\x84\x88\xe3\x80\x91"  # 【故障自愈】
        b"\xe5\x8d\xb3\xe5\xb0\x86\xe6\x89\xa7\xe8\xa1\x8c "  # 即将执行, blank
        b"\xe9\x87\x8d\xe5\x90\xaf 10.0.0.1 \xe7\x9a\x84 nginx"  # the message
        b",\xe8\xaf\xb7\xe5\xae\xa1\xe6\xa0\xb8\xef\xbc\x81\n"  # comma, 请审核！
        b"\xe5\x90\x8c\xe6\x84\x8f\xe8\xaf\xb7\xe5\x9b\x9e\xe5\xa4\x8d: TY 12345_2\n"
        b"\xe9\xa9\xb3\xe5\x9b\x9e\xe8\xaf\xb7\xe5\x9b\x9e\xe5\xa4\x8d: BH 12345_2"
    )


def test_a_later_run_is_asked_by_its_own_name() -> None:
    assert asking_text("清理磁盘", "12345_2.3")[0].splitlines() == [
        "【故障自愈】即将执行 清理磁盘,请审核！",
        "同意请回复: TY 12345_2.3",
        "驳回请回复: BH 12345_2.3",
    ]


def test_the_link_is_a_fourth_line() -> None:
    plain, _ = asking_text("清理磁盘", "12345_2")
    assert asking_text("清理磁盘", "12345_2", LINK) == (f"{plain}\n详情: {LINK}", False)


def test_a_tag_in_the_message_is_no_tag() -> None:
    text, _ = asking_text('<a href="https://x.example">点我</a>', "12345_2")
    assert "<" not in text
    assert '即将执行 ＜a href="https://x.example">点我＜/a>,请审核！' in text


def test_a_text_of_exactly_the_limit_is_not_cut() -> None:
    room = TEXT_LIMIT_BYTES - len(asking_text("", "12345_2")[0].encode())
    text, cut = asking_text("a" * room, "12345_2")
    assert (len(text.encode()), cut) == (2048, False)
    assert bytes_left("a" * room, "12345_2") == 0
    text, cut = asking_text("a" * (room + 1), "12345_2")
    assert (len(text.encode()), cut) == (2048, True)
    assert bytes_left("a" * (room + 1), "12345_2") == -1


def test_a_card_shows_160_characters() -> None:
    assert fits_a_card("重" * 160)
    assert not fits_a_card("重" * 161)


def test_a_tag_makes_it_longer() -> None:
    """`＜` takes three bytes where `<` took one; the limit is about what is sent."""
    room = TEXT_LIMIT_BYTES - len(asking_text("", "12345_2")[0].encode())
    assert bytes_left("<" * room, "12345_2") == -2 * room


def test_it_may_fit_without_its_link_only() -> None:
    room = TEXT_LIMIT_BYTES - len(asking_text("", "12345_2")[0].encode())
    assert not asking_text("a" * room, "12345_2")[1]
    assert asking_text("a" * room, "12345_2", LINK)[1]


def test_a_cut_text_says_so_and_keeps_its_instructions() -> None:
    text, cut = asking_text("重" * 2000, "12345_2")
    assert cut
    assert CUT_MARK == MARK
    assert text.startswith("【故障自愈】即将执行 重重重")
    assert text.endswith(f"重{MARK},请审核！\n同意请回复: TY 12345_2\n驳回请回复: BH 12345_2")


@given(messages, reply_ids, links)
@example("😀" * 2000, "12345_2", LINK)
@example("a" + "重" * 1999, "12345_2", None)
@example("<" * 2000, "Z" * 64 + ".9999999999", LINK)
def test_whatever_the_message_the_text_fits_and_tells_how_to_answer(
    message: str, reply_id: str, link: str | None
) -> None:
    text, cut = asking_text(message, reply_id, link)
    head = "【故障自愈】即将执行 "
    tail = f",请审核！\n同意请回复: TY {reply_id}\n驳回请回复: BH {reply_id}"
    tail += f"\n详情: {link}" if link else ""
    shown = message.replace("<", "＜")
    assert cut == (len((head + shown + tail).encode()) > 2048)
    assert len(text.encode()) <= 2048
    assert text.startswith(head)
    assert text.endswith(tail)
    told = text.removeprefix(head).removesuffix(tail)
    if not cut:
        assert told == shown
        return
    kept = told.removesuffix(MARK)
    assert told == kept + MARK
    assert shown.startswith(kept)
    one_more = kept + shown[len(kept)] + MARK
    assert len((head + one_more + tail).encode()) > 2048, "a character more had fitted"
