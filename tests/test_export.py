"""What is taken out of the history: all that is wanted, once, in order, as of one position."""

import csv
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.approval import Approval
from domain.commands import ChangeSettings
from domain.configuration import Change, Via
from domain.identity import approval_stream
from projections.document import document
from projections.search import Sought, search
from tests.histories import RANDOM, histories, with_a_permit_key
from tests.scenario import APPROVE, NOON, REJECT, after, ask, presses, reached, says
from tests.stores import House, logged, opened
from tests.test_search import QUESTIONS, lived
from web.audit import export
from web.audit.export import Extract, Form, What, off_the_loop, written
from web.audit.filters import Filters
from web.audit.pseudonyms import Pseudonyms
from web.audit.spreadsheet import harmless, rows_of_cells

__all__ = ["logged"]
NAMES = Pseudonyms(b"k" * 32)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path, super_approvers=["wangwu"]) as house:
        yield house


@pytest.fixture(autouse=True, params=[2, 500])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is read at once, the file is the same."""
    monkeypatch.setattr(export, "CHUNK", request.param)


def taken(house: House, last: int | None = None, **extract: Any) -> bytes:
    position = house.store.last_position() if last is None else last
    return b"".join(written(house.store, Extract(**extract), position))


def lines(house: House, last: int | None = None, **extract: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in taken(house, last, **extract).splitlines()]


def cells(house: House, **extract: Any) -> list[list[str]]:
    text = taken(house, form=Form.CSV, **extract).decode()
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def some(house: House) -> None:
    house.store.change_installation(with_a_permit_key)
    house.do(
        ask(obj_id="1_1", approvers=["zhangsan", "lisi"], biz_id="支付", message="重启 Redis"),
        ask(obj_id="2_1", approvers=["lisi"], engine="自愈", biz_id="支付"),
        reached("zhangsan", "1_1", response_code="code"),
        says("sunqi", APPROVE, "1_1"),
        presses("lisi", REJECT, "1_1"),
        says("lisi", APPROVE, "7_7"),
    )


def test_every_event_is_taken_once_with_what_was_stored_of_it(house: House) -> None:
    some(house)
    found = lines(house)
    assert [row["position"] for row in found] == list(range(1, house.store.last_position() + 1))
    rejected = next(row for row in found if row["type"] == "approval.rejected")
    assert rejected == {
        "position": rejected["position"],
        "at": "2026-05-04T12:01:00.000Z",
        "stream": "approval-1_1",
        "version": rejected["version"],
        "type": "approval.rejected",
        "by": "lisi",
        "via": "web",
        "data": {
            "by": "lisi",
            "channel": "web",
            "capacity": "approver",
            "reason": None,
            "batch": None,
        },
    }
    assert {"inbox.received", "installation.secret-made"} <= {row["type"] for row in found}


def test_no_secret_goes_out_and_no_code_of_a_card(house: House) -> None:
    some(house)
    change = Change(sealed={"wecom_secret": "c2VhbGVk"}, fingerprints={"wecom_secret": "00ff"})
    house.do(ChangeSettings(at=NOON, by="lisi", via=Via.PAGE, change=change, revision=0))
    found = lines(house)
    assert not [row for row in found if "response_code" in row["data"]]
    sealed = [row["data"]["sealed"] for row in found if "sealed" in row["data"]]
    assert sealed == ["sealed", {"wecom_secret": "sealed"}]
    assert b"c2VhbGVk" not in taken(house, form=Form.CSV)


def test_what_happens_meanwhile_is_not_in_it(house: House) -> None:
    house.do(ask(obj_id="1_1"))
    before, last = house.store.load(Approval, approval_stream("1_1")), house.store.last_position()
    assert before is not None
    everything = taken(house)
    house.do(presses("zhangsan", APPROVE, "1_1"), ask(obj_id="2_1"))
    assert taken(house, last) == everything
    assert lines(house, last, what=What.APPROVALS) == [document(before)]
    assert lines(house, last, filters=Filters(status="approved")) == []
    assert lines(house, last, what=What.APPROVALS, filters=Filters(status="approved")) == []


def test_events_are_those_of_the_approvals_that_are_wanted(house: House) -> None:
    some(house)

    def streams(**filters: Any) -> set[str]:
        return {row["stream"] for row in lines(house, filters=Filters(**filters))}

    assert streams(business="支付") == {"approval-1_1", "approval-2_1"}
    assert streams(business="支付", engine="fta") == {"approval-1_1"}
    assert streams(status="rejected") == streams(words=("redis",)) == {"approval-1_1"}
    replied = lines(house, filters=Filters(status="rejected", member="SunQi"))
    assert [row["type"] for row in replied] == ["approval.replied"]


def test_events_are_taken_by_kind_by_whom_through_what_and_when(house: House) -> None:
    some(house)

    def types(**filters: Any) -> list[str]:
        return [row["type"] for row in lines(house, filters=Filters(**filters))]

    assert types(kinds=("approval.rejected", "inbox.received")) == [
        "approval.rejected",
        "inbox.received",
    ]
    assert types(member="zhangsan") == ["approval.notified"]
    assert types(channel="web") == ["approval.replied", "approval.rejected"]
    assert types(stream="approval-2_1") == ["approval.requested"]
    assert types(since=after(hours=1)) == []
    assert len(types(before=after(hours=1))) == house.store.last_position()


@settings(RANDOM, max_examples=10)
@given(history=histories(3, 24), questions=st.lists(QUESTIONS, min_size=1, max_size=5))
def test_the_approvals_taken_are_those_that_a_search_finds(
    history: Any, questions: list[dict[str, Any]]
) -> None:
    with lived(history) as house:
        for asked in questions:
            wanted = {name: asked[name] for name in asked.keys() - {"reader", "since", "before"}}
            wanted["words"] = tuple(wanted.get("words", ()))
            found = search(house.read_models, Sought(**wanted), 1000).reply_ids
            told = lines(house, what=What.APPROVALS, filters=Filters(**wanted))
            assert sorted(row["reply_id"] for row in told) == sorted(found)
            assert told == sorted(told, key=lambda row: int(row["number"]))
            loaded = house.store.load_all(Approval, [approval_stream(it) for it in found])
            assert all(row == document(loaded[approval_stream(row["reply_id"])]) for row in told)


# As a spreadsheet.


def test_a_csv_has_a_head_and_what_is_nested_stands_as_json_in_one_cell(house: House) -> None:
    some(house)
    head, *rows = cells(house)
    assert head == ["position", "at", "stream", "version", "type", "by", "via", "data"]
    assert [json.loads(row[-1]) for row in rows] == [row["data"] for row in lines(house)]
    head, first, _ = cells(house, what=What.APPROVALS)
    shown = lines(house, what=What.APPROVALS)[0]
    assert head == list(shown)
    assert dict(zip(head, first, strict=True))["approvers"] == '["zhangsan","lisi"]'
    assert dict(zip(head, first, strict=True))["requested_by"] == ""


def test_a_csv_keeps_to_rfc_4180(house: House) -> None:
    house.do(ask(obj_id="1_1", message='重启 "a", b'))
    text = taken(house, what=What.APPROVALS, form=Form.CSV)
    assert text.endswith(b"\r\n") and text.count(b"\r\n") == text.count(b"\n") == 2
    assert '"重启 ""a"", b"'.encode() in text
    assert taken(house, form=Form.CSV, bom=True) == b"\xef\xbb\xbf" + taken(house, form=Form.CSV)


FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "  =1",
    '"=1',
    "'=1",
    "\u201c=1",
    "\u3000=1",
    "\u200b=1",
    "\uff1d1",
    "\uff0b1",
    "\uff0d1",
    "\uff201",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_spreadsheet_computes_nothing_of_it(text: str) -> None:
    assert harmless(text).startswith("'") and harmless(text)[1:].endswith(text[-2:])
    assert rows_of_cells([[text]]).decode().lstrip('"').startswith("'")


@pytest.mark.parametrize("text", ["重启 nginx=1", "a-b", "1", "", "x@example.com", '{"a":"=1"}'])
def test_what_is_no_formula_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text


@pytest.mark.parametrize("end", [";", "\t", "\n", "\r\n"])
def test_nor_where_a_spreadsheet_sees_the_end_of_a_cell(end: str) -> None:
    assert harmless(f"a{end}=1").endswith("'=1")


def test_foreign_text_begins_no_formula_in_the_file(house: House) -> None:
    house.do(ask(obj_id="-1_1", engine="=cmd", message="=HYPERLINK(1)"))
    (row,) = cells(house, what=What.APPROVALS)[1:]
    assert {"'-1_1", "'=cmd", "'=HYPERLINK(1)"} <= set(row)


# For terminals, for others' eyes, for whoever shares the event loop.


def test_a_line_of_json_breaks_nothing_and_reads_as_it_was(house: House) -> None:
    text = "a\u2028b\x9bc\u202ed"
    house.do(says("zhangsan", APPROVE, "9_9", reason=text))
    raw = taken(house)
    assert b"\\u2028" in raw and b"\\u009b" in raw and b"\\u202e" in raw
    assert text in lines(house)[-1]["data"]["words"]


@pytest.mark.parametrize("what", list(What))
@pytest.mark.parametrize("form", list(Form))
def test_under_other_names_nobody_is_named(house: House, what: What, form: Form) -> None:
    some(house)
    text = taken(house, what=what, form=form, names=NAMES).decode().casefold()
    assert not [one for one in ("zhangsan", "lisi", "wangwu", "sunqi") if one in text]
    assert NAMES.of("lisi") in text


async def test_it_is_made_off_the_event_loop() -> None:
    threads = set()

    def pieces() -> Iterator[bytes]:
        for piece in (b"a", b"", b"b"):
            threads.add(threading.get_ident())
            yield piece

    assert [piece async for piece in off_the_loop(pieces())] == [b"a", b"", b"b"]
    assert threading.get_ident() not in threads
