"""审批记录: who may look back at what, newest first, by which filters, page by page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.approval import Approval
from domain.identity import same_person
from projections.projection import milliseconds
from projections.search import Cursor, Sought, search
from tests.conftest import StartService
from tests.histories import PEOPLE, RANDOM, histories
from tests.scenario import APPROVE, DEADLINE, REJECT, after, ask, cancels, clock, presses
from tests.service import Clock, Service
from tests.stores import House, logged, opened
from tests.test_projections import lived
from tests.visitor import Page, Visitor

__all__ = ["logged"]
HISTORY = "/wechat/history/"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path, super_approvers=["wangwu"]) as house:
        yield house


def found(house: House, reader: str | None = None, limit: int = 100, **wanted: Any) -> str:
    house.catch_up()
    return " ".join(search(house.read_models, Sought(reader=reader, **wanted), limit).reply_ids)


def pages(house: House, wanted: Sought, limit: int, most: int = 1000) -> list[list[str]]:
    """Every page, from the newest to where there is no more."""
    some, cursor = [], wanted.after
    while True:
        page = search(
            house.read_models,
            Sought(reader=wanted.reader, words=wanted.words, status=wanted.status, after=cursor),
            limit,
            most,
        )
        some.append(list(page.reply_ids))
        cursor = page.older
        if cursor is None:
            return some


def test_a_member_looks_back_at_what_they_are_an_approver_of_newest_first(house: House) -> None:
    house.do(
        ask(obj_id="1_1", approvers=["ZhangSan"]),
        ask(obj_id="2_1", approvers=["lisi"], at=after(minutes=1)),
        ask(obj_id="3_1", approvers=["lisi", "zhangsan"], requested_by="zhangsan"),
        ask(obj_id="4_1", approvers=["zhangsan"], at=after(minutes=2)),
    )
    assert found(house, "zhangSAN") == "4_1 3_1 1_1"
    assert found(house, "lisi") == "2_1 3_1"
    assert found(house, "wangwu") == ""  # asked as a super approver, which is for settings to say
    assert found(house) == "4_1 2_1 3_1 1_1"


def test_it_is_filtered_by_status_business_day_and_words(house: House) -> None:
    house.do(
        ask(obj_id="1_1", message="重启 Nginx", biz_id="2"),
        ask(obj_id="2_1", message="重启 50% 的 redis", details={"业务": "支付"}, biz_id="3"),
        ask(obj_id="3_1", message="替换 redis_a", at=after(hours=3)),
        ask(obj_id="4_1", message="替换 redisXa", at=after(hours=4), biz_id="2"),
        presses("zhangsan", APPROVE, "1_1"),
        presses("zhangsan", REJECT, "2_1"),
        cancels(reply_id="4_1", at=after(hours=4)),
        clock(DEADLINE.replace(hour=18), "3_1"),
    )
    for reader in (None, "lisi"):
        by_status = {
            status: found(house, reader, status=status)
            for status in ("pending", "approved", "rejected", "expired", "cancelled", "revoked")
        }
        assert by_status == {
            "pending": "",
            "approved": "1_1",
            "rejected": "2_1",
            "expired": "3_1",
            "cancelled": "4_1",
            "revoked": "",
        }
        assert found(house, reader, business="2") == "4_1 1_1"
        assert found(house, reader, business="支付") == "2_1"
        assert found(house, reader, business="3") == ""
        assert found(house, reader, business="2", status="approved") == "1_1"
        three = milliseconds(after(hours=3))
        assert found(house, reader, since=three) == "4_1 3_1"
        assert found(house, reader, before=three) == "2_1 1_1"
        assert found(house, reader, words=["REDIS", "重启"]) == "2_1"
        assert found(house, reader, words=["50%"]) == "2_1"
        assert found(house, reader, words=["0%的"]) == ""
        assert found(house, reader, words=["redis_a"]) == "3_1"
        assert found(house, reader, words=["4_1"]) == "4_1"


def test_pages_follow_each_other_without_a_gap_also_where_many_were_asked_at_once(
    house: House,
) -> None:
    house.do(*(ask(obj_id=f"{number}_1") for number in range(7)))
    house.catch_up()
    expected = [["6_1", "5_1", "4_1"], ["3_1", "2_1", "1_1"], ["0_1"]]
    for reader in (None, "zhangsan"):
        assert pages(house, Sought(reader=reader), 3) == expected
    house.do(ask(obj_id="7_1"), ask(obj_id="8_1"))
    house.catch_up()
    assert [len(page) for page in pages(house, Sought(), 3)] == [3, 3, 3]


def test_a_search_for_words_says_where_it_stopped_and_goes_on_from_there(house: House) -> None:
    house.do(*(ask(obj_id=f"{n}_1", message="红" if n % 4 == 0 else "蓝") for n in range(9)))
    house.catch_up()
    for reader in (None, "zhangsan"):
        assert pages(house, Sought(reader=reader, words=["红"]), 30, most=3) == [
            ["8_1"],
            ["4_1"],
            ["0_1"],
        ]
        assert pages(house, Sought(reader=reader, words=["蓝"]), 2, most=4) == [
            ["7_1", "6_1"],
            ["5_1", "3_1"],
            ["2_1", "1_1"],
        ]
        house.catch_up()
        cut = search(house.read_models, Sought(reader=reader, words=["绿"]), 30, most_searched=4)
        assert (cut.reply_ids, cut.is_cut) == ([], True) and cut.older is not None
        whole = search(house.read_models, Sought(reader=reader, words=["绿"]), 30)
        assert (whole.reply_ids, whole.older, whole.is_cut) == ([], None, False)


@settings(RANDOM, max_examples=15)
@given(history=histories(3, 24), limit=st.integers(1, 4))
def test_the_history_says_what_the_approvals_say(
    history: list[tuple[int, Any]], limit: int
) -> None:
    with lived(history) as (house, _):
        streams = {str(event.originator_id) for event in house.store.read_after(0, 1000)}
        approvals = list(
            house.store.load_all(
                Approval, [stream for stream in streams if stream.startswith("approval-")]
            ).values()
        )
        approvals.sort(key=lambda a: (a.requested.timestamp, a.number), reverse=True)
        for reader in (None, *PEOPLE):
            for status in (None, "pending", "approved", "rejected", "expired", "revoked"):
                true = [
                    a.reply_id
                    for a in approvals
                    if reader is None or same_person(reader) in map(same_person, a.approvers)
                    if status in (None, a.status.value)
                ]
                told = pages(house, Sought(reader=reader, status=status), limit)
                assert [one for page in told for one in page] == true


@pytest.mark.parametrize("reader", [None, "zhangsan"])
@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"status": "rejected"},
        {"business": "2"},
        {"business": "2", "status": "rejected"},
        {"since": 1, "before": 2},
        {"after": Cursor(5, 5)},
        {"words": ["x"]},
    ],
    ids=str,
)
def test_every_question_is_answered_by_an_index(
    house: House, reader: str | None, wanted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sorted and no table is read through, however many approvals there are."""
    asked: list[tuple[str, Any]] = []
    query = house.read_models.query

    def noting(statement: str, values: Any = ()) -> Any:
        asked.append((statement, values))
        return query(statement, values)

    monkeypatch.setattr(house.read_models, "query", noting)
    search(house.read_models, Sought(reader=reader, **wanted), 30)
    for statement, values in asked:
        plan = [row["detail"] for row in query(f"EXPLAIN QUERY PLAN {statement}", values)]
        assert not [step for step in plan if "B-TREE" in step], plan
        assert all("USING" in step for step in plan), plan
        if wanted.get("business"):
            assert "by_business" in plan[0], plan


# The page.


def listed(page: Page) -> list[str]:
    """Reply ids on the page, from the top."""
    words = page.text.split()
    return [words[i + 1] for i, word in enumerate(words) if word == "编号"]


async def visitor(service: Service, userid: str) -> Visitor:
    somebody = Visitor(service)
    await somebody.log_in(userid)
    return somebody


async def test_the_page_says_who_decided_when_how_why_and_what_came_of_it(
    service: Service, clock: Clock
) -> None:
    approval = await service.ask("1_1", approvers=["zhangsan"])
    rejected = await service.ask("2_1", approvers=["zhangsan", "lisi"])
    zhangsan = await visitor(service, "zhangsan")
    path = f"/wechat/a/{approval['approval_id']}/"
    await zhangsan.press((await zhangsan.get(path)).form, APPROVE)
    await service.says("lisi", "BH 2_1 <b>先等等</b>")
    await service.answers("lisi", 1)
    clock.advance(minutes=3)
    status, _ = await service.api(
        "POST", f"/approvals/{approval['approval_id']}/outcome", json={"outcome": "succeeded"}
    )
    assert status == 200
    page = await zhangsan.get(HISTORY)
    assert page.status == 200
    assert listed(page) == ["2_1", "1_1"]
    assert "您 于 20:00 通过页面同意" in page.text
    assert "lisi 于 20:00 通过" in page.text and "驳回，意见: <b>先等等</b>" in page.text
    assert "<b>先等等</b>" not in page.html
    assert "执行成功，20:03 报告" in page.text
    assert "2026-01-05 20:00" in page.text
    for one in (approval, rejected):
        link = f"{zhangsan.prefix}/wechat/a/{one['approval_id']}/"
        assert link in page.links
        assert (await zhangsan.get(link)).status == 200


EVERYTHING = ["2_1", "1_1"]


@pytest.mark.parametrize(
    ("role", "seen"),
    [
        ("super_approvers", EVERYTHING),
        ("admins", EVERYTHING),
        ("auditors", EVERYTHING),
        ("nobody", []),
    ],
)
async def test_each_sees_theirs_and_super_approvers_admins_and_auditors_everything(
    start: StartService, role: str, seen: list[str]
) -> None:
    given = {"super_approvers": "", **({role: "WangWu"} if seen else {})}
    service = await start(**given)
    await service.ask("1_1", approvers=["zhangsan"])
    await service.ask("2_1", approvers=["lisi"])
    for userid, theirs in (("zhangsan", ["1_1"]), ("lisi", ["2_1"]), ("wangwu", seen)):
        assert listed(await (await visitor(service, userid)).get(HISTORY)) == theirs


async def test_what_others_were_asked_fills_nobodys_page(service: Service) -> None:
    await service.ask("0_1", approvers=["zhangsan"])
    for number in range(1, 32):
        await service.ask(f"{number}_1", approvers=["lisi"])
    page = await (await visitor(service, "zhangsan")).get(HISTORY)
    assert listed(page) == ["0_1"]


async def test_thirty_stand_on_a_page_and_a_link_leads_to_the_older_ones_with_the_same_filter(
    service: Service,
) -> None:
    for number in range(33):
        await service.ask(f"{number}_1", biz_id="支付 & 订单" if number else None)
    zhangsan = await visitor(service, "zhangsan")
    first = await zhangsan.get(f"{HISTORY}?business=%E6%94%AF%E4%BB%98+%26+%E8%AE%A2%E5%8D%95")
    assert listed(first) == [f"{number}_1" for number in range(32, 2, -1)]
    (older,) = [link for link in first.links if "after=" in link]
    second = await zhangsan.get(older)
    assert listed(second) == ["2_1", "1_1"]
    assert not [link for link in second.links if "after=" in link]
    (newest,) = [link for link in second.links if "business=" in link]
    assert listed(await zhangsan.get(newest)) == listed(first)


async def test_days_are_those_of_the_settings(service: Service, clock: Clock) -> None:
    await service.ask("1_1", expires_in=90000)  # 20:00 in Shanghai
    clock.advance(hours=4)
    await service.ask("2_1", expires_in=90000)  # 0:00 of the next day
    zhangsan = await visitor(service, "zhangsan")
    assert listed(await zhangsan.get(f"{HISTORY}?from=2026-01-05&to=2026-01-05")) == ["1_1"]
    assert listed(await zhangsan.get(f"{HISTORY}?from=2026-01-06")) == ["2_1"]
    assert listed(await zhangsan.get(f"{HISTORY}?to=2026-01-06")) == ["2_1", "1_1"]


@pytest.mark.parametrize(
    "query",
    [
        "status=done",
        "from=yesterday",
        "from=0001-01-01",
        "to=2026-02-30",
        "to=9999-12-31",
        "after=1",
        "after=1-x",
        "after=-1-1",
    ],
)
async def test_a_filter_that_means_nothing_lists_nothing_and_says_so(
    service: Service, query: str
) -> None:
    await service.ask("1_1")
    zhangsan = await visitor(service, "zhangsan")
    page = await zhangsan.get(f"{HISTORY}?{query}")
    assert (page.status, listed(page)) == (400, [])
    assert "没有看懂查找条件，什么也没有列出" in page.text


async def test_what_is_searched_for_is_escaped_and_found_nowhere_else(service: Service) -> None:
    await service.ask("1_1", message="重启 nginx")
    zhangsan = await visitor(service, "zhangsan")
    assert listed(await zhangsan.get(f"{HISTORY}?words=NGINX")) == ["1_1"]
    page = await zhangsan.get(f"{HISTORY}?words=%22%3E%3Cscript%3E&business=%27--")
    assert "<script>" not in page.html and listed(page) == []
    assert "没有找到审批" in page.text


async def test_who_is_not_logged_in_is_sent_to_the_login_and_back(service: Service) -> None:
    assert (await Visitor(service).get(HISTORY)).status == 303
    assert "审批记录" in (await Visitor(service).log_in("zhangsan", HISTORY)).text


async def test_the_list_of_what_waits_links_to_the_history_and_the_figures(
    service: Service,
) -> None:
    page = await Visitor(service).log_in("zhangsan")
    for path in (HISTORY, "/wechat/figures/"):
        assert Visitor(service).prefix + path in page.links
