"""Searching the history: what is found is what a plain look at every event finds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.aggregate import Event
from domain.approval import Approval
from domain.commands import RecordExport, RecordSearch
from domain.identity import approval_stream, same_person
from projections.document import document
from projections.plain_look import is_sought, is_wanted
from projections.projection import DECISIONS, milliseconds
from projections.search import Cursor, Happened, Sought, happened, search
from tests.histories import PEOPLE, RANDOM, freezes, histories, live, revokes, with_a_permit_key
from tests.scenario import APPROVE, NOON, REJECT, after, ask, cancels, clock, presses, says
from tests.stores import House, logged, opened

__all__ = ["logged"]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path, super_approvers=["wangwu"]) as house:
        yield house


def found(house: House, limit: int = 100, **sought: Any) -> str:
    house.catch_up()
    return " ".join(search(house.read_models, Sought(**sought), limit).reply_ids)


def all_pages(question: Any, database: Any, sought: Any, limit: int, most: int) -> list[Any]:
    """Every page, from the newest to where there is no more."""
    page = question(database, sought, limit, most)
    if page.older is None:
        return [page]
    older = replace(sought, after=page.older)
    return [page, *all_pages(question, database, older, limit, most)]


def test_a_member_is_found_by_any_part_they_had(house: House) -> None:
    house.do(
        ask(obj_id="1_1", approvers=["ZhangSan"]),
        ask(obj_id="2_1", approvers=["lisi"], requested_by="zhangsan"),
        ask(obj_id="3_1", approvers=["lisi"]),
        says("zhangsan", APPROVE, "3_1"),  # a stranger; refused and kept
        says("zhangsan", APPROVE, "3_1"),
        ask(obj_id="4_1", approvers=["lisi"]),
        presses("wangwu", APPROVE, "4_1"),
    )
    assert found(house, member="ZHANGSAN") == "3_1 2_1 1_1"
    assert found(house, member="lisi") == "4_1 3_1 2_1"
    assert found(house, member="wangwu") == "4_1 3_1 2_1 1_1"  # asked as a super approver
    assert found(house, member="wangwu", channel="web") == "4_1"
    assert found(house, member="sunqi") == ""
    assert found(house, member="zhangsan", reader="lisi") == "3_1 2_1"


def test_approvals_are_found_by_engine_and_by_the_channel_that_ended_them(house: House) -> None:
    house.store.change_installation(with_a_permit_key)
    house.do(
        ask(obj_id="1_1", engine="fta"),
        ask(obj_id="2_1", engine="自愈"),
        ask(obj_id="3_1", engine="自愈"),
        ask(obj_id="4_1", engine="fta", expires_in=10),
        ask(obj_id="5_1", engine="fta"),
        presses("zhangsan", APPROVE, "1_1"),
        says("zhangsan", REJECT, "2_1"),
        cancels(reply_id="3_1"),
        clock(after(minutes=1), "4_1"),
    )
    assert found(house, engine="自愈") == "3_1 2_1"
    channels = {it: found(house, channel=it) for it in ("web", "wecom-text", "clock", "wecom-card")}
    assert channels == {"web": "1_1", "wecom-text": "2_1", "clock": "4_1", "wecom-card": ""}
    assert found(house, engine="fta", channel="web", status="approved") == "1_1"
    assert found(house, engine="自愈", channel="web") == ""
    house.do(revokes(after(minutes=1), "lisi", "1_1"))
    assert found(house, channel="web", status="revoked") == "1_1"


def test_words_are_found_in_every_reason_that_was_given(house: House) -> None:
    house.store.change_installation(with_a_permit_key)
    house.do(
        ask(obj_id="1_1"),
        ask(obj_id="2_1"),
        presses("zhangsan", APPROVE, "1_1", reason="已与 DBA 确认"),
        presses("zhangsan", REJECT, "2_1", reason="先不要"),
    )
    assert found(house, words=["dba"]) == "1_1"
    assert found(house, words=["先不要", "2_1"]) == "2_1"
    house.do(revokes(after(minutes=1), "lisi", "1_1"))
    assert found(house, words=["dba"]) == "1_1"  # also after it was taken back


# What a plain look at every event finds.


@contextmanager
def lived(history: Any) -> Iterator[House]:
    """A house in which that happened."""
    with TemporaryDirectory() as directory, opened(Path(directory), ["wangwu"]) as house:
        live(house, history)
        house.catch_up()
        yield house


def history_of(house: House) -> list[tuple[Approval, list[Event]]]:
    """Every approval and its events, newest first."""
    stored = [house.store.event(one) for one in house.store.read_after(0, 10_000)]
    streams: dict[str, list[Event]] = {}
    for event in stored:
        if event.originator_id.startswith("approval-"):
            streams.setdefault(event.originator_id, []).append(event)
    loaded = house.store.load_all(Approval, list(streams))
    together = [(loaded[stream], events) for stream, events in streams.items()]
    together.sort(key=lambda it: (it[0].requested.timestamp, it[0].number), reverse=True)
    return together


def seems_sought(approval: Approval, events: list[Event], sought: dict[str, Any]) -> bool:
    shown = document(approval)
    asked = approval.requested
    people = {*asked.approvers, *asked.asked, asked.requested_by or ""}
    answers = (Approval.Replied, Approval.Approved, Approval.Rejected, Approval.Revoked)
    people |= {event.by for event in events if isinstance(event, answers)}
    reasons = [
        getattr(event, "reason", "") or "" for event in events if isinstance(event, DECISIONS)
    ]
    text = "\n".join([shown["reply_id"], shown["message"], *reasons]).casefold()
    tests: dict[str, Callable[[Any], bool]] = {
        "reader": lambda it: same_person(it) in map(same_person, asked.approvers),
        "member": lambda it: same_person(it) in map(same_person, people),
        "business": lambda it: asked.details.get("业务", asked.biz_id or "") == it,
        "engine": lambda it: shown["engine"] == it,
        "status": lambda it: shown["status"] == it,
        "channel": lambda it: shown["decided_via"] == it,
        "since": lambda it: milliseconds(asked.timestamp) >= it,
        "before": lambda it: milliseconds(asked.timestamp) < it,
        "words": lambda it: all(word.casefold() in text for word in it),
    }
    return all(tests[name](value) for name, value in sought.items())


def some_of(filters: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """At most three at once: more of them find nothing."""
    names = st.lists(st.sampled_from(sorted(filters)), max_size=3, unique=True)
    return names.flatmap(lambda some: st.fixed_dictionaries({n: filters[n] for n in some}))


MOMENTS = st.integers(0, 2000).map(lambda s: milliseconds(NOON) + 1000 * s)
QUESTIONS = some_of(
    {
        "reader": st.sampled_from(PEOPLE),
        "member": st.sampled_from([*PEOPLE, "somebody"]),
        "business": st.sampled_from(["", "2"]),
        "engine": st.sampled_from(["fta", "自愈"]),
        "status": st.sampled_from(["pending", "approved", "rejected", "expired", "cancelled"]),
        "channel": st.sampled_from(["web", "wecom-text", "wecom-card", "clock", "api"]),
        "since": MOMENTS,
        "before": MOMENTS,
        "words": st.lists(st.sampled_from(["重启", "1_1", "A_2", "_", "恢复"]), max_size=2),
    },
)


@settings(RANDOM, max_examples=25)
@given(
    history=histories(3, 24),
    questions=st.lists(QUESTIONS, min_size=1, max_size=8),
    limit=st.integers(1, 4),
    most=st.integers(1, 30),
)
def test_searching_finds_what_a_plain_look_at_every_event_finds(
    history: Any, questions: list[dict[str, Any]], limit: int, most: int
) -> None:
    with lived(history) as house:
        approvals = history_of(house)
        for sought in questions:
            pages = all_pages(search, house.read_models, Sought(**sought), limit, most)
            told = [one for page in pages for one in page.reply_ids]
            assert told == [
                a.reply_id for a, events in approvals if seems_sought(a, events, sought)
            ]
            plainly = [a for a, events in approvals if is_sought(a, events, Sought(**sought))]
            assert told == [a.reply_id for a in plainly]
            assert all(len(page.reply_ids) <= limit for page in pages)


def events_newest_first(house: House) -> list[tuple[int, Event]]:
    stored = [(one.id, house.store.event(one)) for one in house.store.read_after(0, 10_000)]
    return sorted(stored, key=lambda it: (it[1].timestamp, it[0]), reverse=True)


def seems_wanted(event: Any, wanted: dict[str, Any]) -> bool:
    by = getattr(event, "by", None) or getattr(event, "engine", None) or getattr(event, "to", None)
    via = getattr(event, "channel", None) or getattr(event, "via", None)
    if isinstance(event, Approval.Expired):
        via = "clock"
    tests: dict[str, Callable[[Any], bool]] = {
        "kinds": lambda it: not it or event.TOPIC in it,
        "by": lambda it: by is not None and same_person(by) == same_person(it),
        "via": lambda it: via == it,
        "stream": lambda it: event.originator_id == it,
        "since": lambda it: milliseconds(event.timestamp) >= it,
        "before": lambda it: milliseconds(event.timestamp) < it,
    }
    return all(tests[name](value) for name, value in wanted.items())


KINDS = st.sampled_from(
    ["approval.requested", "approval.replied", "approval.notified", "session.opened", "nothing"]
)
WANTED = some_of(
    {
        "kinds": st.lists(KINDS, max_size=3, unique=True),
        "by": st.sampled_from([*PEOPLE, "fta"]),
        "via": st.sampled_from(["web", "wecom-text", "api", "clock", "shell"]),
        "stream": st.sampled_from([approval_stream("1_1"), approval_stream("A_2"), "freeze"]),
        "since": MOMENTS,
        "before": MOMENTS,
    },
)


@settings(RANDOM, max_examples=25)
@given(
    history=histories(2, 24),
    questions=st.lists(WANTED, min_size=1, max_size=8),
    limit=st.integers(1, 5),
    most=st.integers(1, 40),
)
def test_events_of_every_kind_are_found_as_a_plain_look_finds_them(
    history: Any, questions: list[dict[str, Any]], limit: int, most: int
) -> None:
    with lived(history) as house:
        house.do(RecordSearch(at=NOON, by="LiSi", via="shell", wanted={}))
        house.do(
            RecordExport(at=NOON, by="lisi", via="shell", what="events", wanted={}, form="csv")
        )
        house.catch_up()
        events = events_newest_first(house)
        for wanted in questions:
            pages = all_pages(happened, house.read_models, Happened(**wanted), limit, most)
            told = [one for page in pages for one in page.positions]
            assert told == [position for position, event in events if seems_wanted(event, wanted)]
            assert told == [at for at, event in events if is_wanted(event, Happened(**wanted))]


def test_who_looked_and_who_took_is_found_by_whom_through_what_and_kind(house: House) -> None:
    look = RecordSearch(at=NOON, by="LiSi", via="shell", wanted={})
    taken = RecordExport(at=NOON, by="lisi", via="page", what="events", wanted={}, form="csv")
    house.do(look, taken, freezes(NOON, "停电"))
    house.catch_up()

    def positions(**wanted: Any) -> list[int]:
        return list(happened(house.read_models, Happened(**wanted), 9).positions)

    assert positions() == [3, 2, 1]
    assert positions(by="LISI") == [2, 1]
    assert positions(by="lisi", via="shell") == [1]
    assert positions(via="page") == positions(kinds=["audit.exported"]) == [2]
    assert positions(kinds=["audit.exported", "freeze.began", "freeze.ended"]) == [3, 2]
    assert positions(by="shell:root") == [3]


@pytest.mark.parametrize("most", [1, 2, 3, 100])
def test_no_event_is_lost_where_it_was_looked_no_further(house: House, most: int) -> None:
    for number in range(6):
        house.do(ask(obj_id=f"{number}_1"), presses("zhangsan", APPROVE, f"{number}_1"))
        house.do(says("lisi", REJECT, f"{number}_1"))
    house.catch_up()
    kinds = ["approval.replied", "approval.requested", "approval.approved"]
    for wanted in (
        {"kinds": kinds, "via": "web"},
        {"kinds": kinds, "by": "lisi"},
        {"kinds": kinds},
    ):
        pages = all_pages(happened, house.read_models, Happened(**wanted), 2, most)
        told = [one for page in pages for one in page.positions]
        events = events_newest_first(house)
        assert told == [position for position, event in events if seems_wanted(event, wanted)]


# How it is found.


@pytest.fixture
def plans(house: House, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """How SQLite answers every question that is asked from now on."""
    seen: list[list[str]] = []
    query = house.read_models.query

    def noting(statement: str, values: Any = ()) -> Any:
        plan = query(f"EXPLAIN QUERY PLAN {statement}", values)
        seen.append([row["detail"] for row in plan])
        return query(statement, values)

    monkeypatch.setattr(house.read_models, "query", noting)
    return seen


@pytest.mark.parametrize("among", [{}, {"since": 1, "before": 9}, {"after": Cursor(5, 5)}], ids=str)
@pytest.mark.parametrize(
    ("sought", "index"),
    [
        ({}, "history_newest"),
        ({"member": "lisi"}, "sqlite_autoindex_history_members_1"),
        ({"member": "lisi", "reader": "lisi"}, "history_readers_newest"),
        (
            {"member": "lisi", "business": "2", "engine": "fta"},
            "sqlite_autoindex_history_members_1",
        ),
        ({"business": "2"}, "history_by_business"),
        ({"business": "2", "status": "approved", "channel": "web"}, "history_by_business"),
        ({"engine": "fta"}, "history_by_engine"),
        ({"engine": "fta", "status": "approved"}, "history_by_engine"),
        ({"channel": "web"}, "history_by_channel"),
        ({"status": "pending"}, "history_by_status"),
        ({"words": ["x"]}, "history_newest"),
        ({"engine": "fta", "words": ["x"]}, "history_by_engine"),
    ],
    ids=str,
)
def test_approvals_are_looked_through_along_one_index(
    house: House, plans: list[list[str]], sought: dict[str, Any], index: str, among: dict[str, Any]
) -> None:
    search(house.read_models, Sought(**sought, **among), 30)
    assert plans
    for plan in plans:
        assert f"USING COVERING INDEX {index}" in plan[0], plan
        assert not [step for step in plan if "B-TREE" in step], plan
        assert all("USING" in step or "SUBQUERY" in step for step in plan), plan


@pytest.mark.parametrize("among", [{}, {"since": 1, "before": 9}, {"after": Cursor(5, 5)}], ids=str)
@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ({}, "audit_trail_newest"),
        ({"kinds": ["session.opened"]}, "audit_trail_by_type"),
        ({"kinds": ["session.opened"], "via": "web"}, "audit_trail_by_type"),
        ({"by": "lisi"}, "audit_trail_by_who"),
        ({"by": "lisi", "kinds": ["session.opened", "session.ended"]}, "audit_trail_by_who"),
        ({"via": "shell"}, "audit_trail_by_via"),
        ({"stream": "freeze"}, "audit_trail_by_stream"),
        ({"stream": "freeze", "by": "lisi"}, "audit_trail_by_stream"),
    ],
    ids=str,
)
def test_events_are_looked_through_along_one_index(
    house: House, plans: list[list[str]], wanted: dict[str, Any], index: str, among: dict[str, Any]
) -> None:
    happened(house.read_models, Happened(**wanted, **among), 30)
    assert plans
    for plan in plans:
        assert f"USING COVERING INDEX {index}" in plan[0], plan
        assert not [step for step in plan if "B-TREE" in step], plan
        assert all("USING" in step for step in plan), plan


def test_several_kinds_are_merged_from_an_index_each(house: House, plans: list[list[str]]) -> None:
    kinds = ["session.opened", "session.ended", "audit.exported"]
    for via in (None, "web"):
        happened(house.read_models, Happened(kinds=kinds, via=via), 30)
    for plan in plans:
        by_type = [step for step in plan if "COVERING INDEX audit_trail_by_type" in step]
        assert len(by_type) == len(kinds), plan
        assert not [step for step in plan if step.startswith("SCAN audit_trail")], plan
