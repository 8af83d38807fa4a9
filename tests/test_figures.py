"""审批统计: the figures are those of the events, by day, business and member."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.approval import Approval
from domain.identity import same_person
from projections.business import business_of
from projections.figures import DECIDED, EVERYBODY, Day, Figured, Tally, figures_of
from projections.projection import DECISIONS, milliseconds
from tests.conftest import StartService
from tests.histories import PEOPLE, RANDOM, histories
from tests.scenario import APPROVE, NOON, REJECT, after, ask, clock, presses, says
from tests.service import Clock, Service
from tests.stores import House, logged, opened
from tests.test_history import visitor
from tests.test_projections import lived
from tests.visitor import Page, Visitor
from web.charts import beside, columns
from web.figures import duration

__all__ = ["logged"]
FIGURES = "/wechat/figures/"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path, super_approvers=["wangwu"]) as house:
        yield house


def some_days(first: datetime, count: int, hours: int = 24) -> list[Day]:
    edges = [milliseconds(first + timedelta(hours=hours * n)) for n in range(count + 1)]
    return [Day(*pair) for pair in pairwise(edges)]


def figures(house: House, reader: str = EVERYBODY, days: Sequence[Day] = ()) -> Figured:
    house.catch_up()
    return figures_of(house.read_models, reader, days or some_days(NOON, 2))


def test_requests_count_when_asked_and_results_when_they_came(house: House) -> None:
    day = timedelta(days=1)
    house.do(
        ask(obj_id="1_1", expires_in=200_000),
        ask(obj_id="2_1"),
        presses("zhangsan", APPROVE, "1_1", at=NOON + day),
        clock(NOON + timedelta(minutes=20), "2_1"),
    )
    first, second = figures(house).days
    assert first.counts == {"requested": 2, "expired": 1}
    assert second.counts == {"approved": 1}
    assert (first.median, second.median, second.percentile_95) == (None, 86400, 86400)


def test_a_fact_is_of_the_day_that_begins_with_it_and_not_of_the_one_before(house: House) -> None:
    millisecond = timedelta(milliseconds=1)
    house.do(
        ask(obj_id="1_1", at=NOON + timedelta(days=1) - millisecond),
        ask(obj_id="2_1", at=NOON + timedelta(days=1)),
        ask(obj_id="3_1", at=NOON + timedelta(days=2)),
        ask(obj_id="4_1", at=NOON - millisecond),
    )
    assert [day.counts["requested"] for day in figures(house).days] == [1, 1]
    assert figures(house).total.counts["requested"] == 2


def test_median_and_95th_percentile_are_exact(house: House) -> None:
    for number in range(1, 21):
        at = NOON + timedelta(seconds=number, milliseconds=number)
        house.do(ask(obj_id=f"{number}_1"), presses("zhangsan", APPROVE, f"{number}_1", at=at))
    assert (figures(house).total.median, figures(house).total.percentile_95) == (10, 19)
    house.do(ask(obj_id="21_1"), presses("lisi", REJECT, "21_1", at=after(minutes=10)))
    found = figures(house)
    assert (found.total.median, found.total.percentile_95) == (11, 20)
    assert (found.approvers["lisi"].median, found.approvers["zhangsan"].median) == (600, 10)
    assert found.total.decided == 21


def test_who_decided_is_one_person_however_they_are_spelled(house: House) -> None:
    house.do(
        *(ask(obj_id=f"{number}_1") for number in range(3)),
        presses("zhangsan", APPROVE, "0_1"),
        presses("ZhangSan", REJECT, "1_1"),
        says("wangwu", APPROVE, "2_1"),
    )
    found = figures(house)
    assert {name: tally.counts for name, tally in found.approvers.items()} == {
        "zhangsan": {"approved": 1, "rejected": 1},
        "wangwu": {"approved": 1},
    }
    assert found.approvers["zhangsan"].spelled == "zhangsan"
    assert set(found.addressed) == {"zhangsan", "lisi"}
    assert found.addressed["lisi"].counts == {"requested": 3, "approved": 2, "rejected": 1}


def test_a_business_is_its_name_else_its_id(house: House) -> None:
    house.do(
        ask(obj_id="1_1", biz_id="2", details={"业务": " 支付 "}),
        ask(obj_id="2_1", biz_id="2"),
        ask(obj_id="3_1"),
        presses("lisi", REJECT, "2_1"),
    )
    found = {name: dict(tally.counts) for name, tally in figures(house).businesses.items()}
    assert found == {
        "支付": {"requested": 1},
        "2": {"requested": 1, "rejected": 1},
        "": {"requested": 1},
    }


def test_a_revocation_counts_and_takes_nothing_back(house: House) -> None:
    house.do(ask(), presses("zhangsan", APPROVE))
    approval = house.store.load(Approval, "approval-12345_2")
    assert approval is not None
    approval.trigger(
        Approval.Revoked, after(minutes=2), by="lisi", channel="web", capacity="approver"
    )
    house.store.save(approval.collect_events(), [], {})
    found = figures(house)
    assert found.total.counts == {"requested": 1, "approved": 1, "revoked": 1}
    assert found.approvers["lisi"].counts == {"revoked": 1}
    assert found.total.median == 60


def test_a_test_approval_counts_for_nothing(house: House) -> None:
    house.do(ask(test=True), presses("zhangsan", APPROVE))
    assert house.rows("figures") == []


def test_a_member_counts_what_was_addressed_to_them(house: House) -> None:
    house.do(
        ask(obj_id="1_1", approvers=["ZhangSan", "lisi"]),
        ask(obj_id="2_1", approvers=["lisi"]),
        presses("lisi", APPROVE, "1_1"),
        presses("lisi", REJECT, "2_1"),
    )
    mine = figures(house, "zhangSAN")
    assert mine.total.counts == {"requested": 1, "approved": 1}
    assert {name: tally.counts for name, tally in mine.approvers.items()} == {
        "lisi": {"approved": 1}
    }
    assert mine.addressed == {}
    assert figures(house, "wangwu").total.counts == {}


class Expected:
    """The same figures, added up from the events."""

    def __init__(self, house: House, reader: str, days: Sequence[Day]) -> None:
        self.days = [self.empty() for _ in days]
        self.total = self.empty()
        self.businesses: dict[str, Any] = {}
        self.approvers: dict[str, Any] = {}
        self.addressed: dict[str, Any] = {}
        asked: dict[str, Approval.Requested] = {}
        for stored in house.store.read_after(0, 1000):
            event: Any = house.store.event(stored)
            if isinstance(event, Approval.Requested):
                asked[str(event.originator_id)] = event
            if isinstance(event, (Approval.Requested, *DECISIONS)):
                self._take(event, asked[str(event.originator_id)], reader, days)

    @staticmethod
    def empty() -> tuple[Counter[str], list[int]]:
        return Counter(), []

    def _take(
        self, event: Any, asked: Approval.Requested, reader: str, days: Sequence[Day]
    ) -> None:
        members = {same_person(userid) for userid in asked.approvers}
        at = milliseconds(event.timestamp)
        number = next((n for n, day in enumerate(days) if day.since <= at < day.before), None)
        if asked.test or number is None or reader not in (EVERYBODY, *members):
            return
        what = event.TOPIC.removeprefix("approval.")
        took = int((event.timestamp - asked.timestamp).total_seconds())
        tallies = [self.total, self.days[number]]
        tallies.append(self.businesses.setdefault(business_of(asked), self.empty()))
        if what in (*DECIDED, "revoked"):
            tallies.append(self.approvers.setdefault(same_person(event.by), self.empty()))
        if reader == EVERYBODY:
            for member in members:
                self.addressed.setdefault(member, self.empty())[0][what] += 1
        for counts, seconds in tallies:
            counts[what] += 1
            if what in DECIDED:
                seconds.append(took)


def said(tally: Tally) -> Any:
    return dict(tally.counts), tally.median, tally.percentile_95


def true(one: tuple[Counter[str], list[int]]) -> Any:
    """Counts, median and 95th percentile by looking them up in the sorted list."""
    counts, seconds = one[0], sorted(one[1])
    if not seconds:
        return dict(counts), None, None
    ranks = [-(-len(seconds) * percent // 100) for percent in (50, 95)]
    return dict(counts), *(seconds[rank - 1] for rank in ranks)


@settings(RANDOM, max_examples=25)
@given(
    history=histories(3, 30),
    begin=st.integers(-90, 30),
    days=st.integers(1, 5),
    hours=st.sampled_from([1, 24]),
)
def test_the_figures_are_those_of_the_events(
    history: list[tuple[int, Any]], begin: int, days: int, hours: int
) -> None:
    with lived(history) as (house, _):
        some = some_days(NOON + timedelta(minutes=begin), days, hours)
        for reader in (EVERYBODY, *{same_person(userid) for userid in PEOPLE}):
            told = figures_of(house.read_models, reader, some)
            expected = Expected(house, reader, some)
            assert said(told.total) == true(expected.total)
            assert [said(day) for day in told.days] == [true(day) for day in expected.days]
            for part in ("businesses", "approvers", "addressed"):
                found = {name: said(tally) for name, tally in getattr(told, part).items()}
                assert found == {n: true(one) for n, one in getattr(expected, part).items()}, part


# Charts.


def test_columns_stand_on_each_other_and_fill_the_height() -> None:
    chart = columns(["a", "b"], [[("good", 3), ("bad", 1)], [("good", 0), ("bad", 2)]])
    assert chart.most == 4
    good, bad, other = chart.bars
    assert (good.kind, bad.kind, other.kind) == ("good", "bad", "bad")
    assert round(bad.y + bad.height, 2) == good.y and good.height == 3 * bad.height
    assert (bad.y, other.height) == (10, 2 * bad.height)
    assert good.x == bad.x < other.x < other.x + other.width <= 340


def test_nothing_is_no_bar_and_little_is_one_that_can_be_seen() -> None:
    chart = beside(["a", "b", "c"], [[("slow", None)], [("slow", 1)], [("slow", 100_000)]])
    assert [bar.height for bar in chart.bars] == [1.0, 118.0]
    assert columns([], []).bars == []
    assert columns(["a"], [[("good", 0)]]).bars == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "–"), (0, "0:00"), (45, "0:45"), (725, "12:05"), (12_000, "3:20:00")],
)
def test_a_duration_is_minutes_and_seconds(seconds: int | None, words: str) -> None:
    assert duration(seconds) == words


# The page.


def words_of(page: Page) -> str:
    """What one reads, each cell of a table apart from the next."""
    return " ".join(re.sub(r"<[^>]*>", " ", page.html.partition("<body>")[2]).split())


def numbers(page: Page) -> dict[str, str]:
    """The large ones, by their names."""
    words = words_of(page).partition("按结束日。")[2].split()
    return dict(zip(words[:14:2], words[1:15:2], strict=True))


async def test_the_page_shows_the_figures_of_who_may_see_them(
    start: StartService, clock: Clock
) -> None:
    service = await start()
    await service.ask("1_1", approvers=["zhangsan"], biz_id="支付", expires_in=5000)
    await service.ask("2_1", approvers=["lisi"], details={"业务": "<b>订单</b>"})
    clock.advance(seconds=75)
    zhangsan = await visitor(service, "zhangsan")
    await zhangsan.press((await zhangsan.get("/wechat/todo/")).form, APPROVE)
    clock.advance(hours=1)
    await service.expire()
    page = await zhangsan.get(FIGURES)
    assert page.status == 200
    assert numbers(page) == {
        "发起": "1",
        "已同意": "1",
        "已驳回": "0",
        "超时": "0",
        "撤销": "0",
        "已撤销同意": "0",
        "用时中位数": "1:15",
    }
    assert "您是审批人的审批" in page.text and "订单" not in page.text and "lisi" not in page.text
    page = await (await visitor(service, "wangwu")).get(FIGURES)
    assert (numbers(page)["发起"], numbers(page)["超时"]) == ("2", "1")
    assert "<b>订单</b>" in page.text and "<b>订单</b>" not in page.html
    assert "zhangsan 1 1 0 0 1:15 1:15" in words_of(page)
    assert "lisi 1 0 0 1 – –" in words_of(page)


async def test_the_range_is_chosen_and_days_are_those_of_the_settings(
    start: StartService, clock: Clock
) -> None:
    service = await start(time_zone="Asia/Kathmandu")  # five hours and three quarters ahead
    clock.now = datetime(2026, 1, 5, 18, 14, 59, tzinfo=UTC)
    await service.ask("1_1", expires_in=10)
    clock.advance(seconds=1)
    await service.ask("2_1", expires_in=10)
    wangwu = await visitor(service, "wangwu")
    for days, chosen in (("7", 7), ("30", 30), ("90", 90), ("", 30), ("8", 30), ("x", 30)):
        page = await wangwu.get(f"{FIGURES}?days={days}")
        assert page.status == 200
        rows = words_of(page)
        assert "01-06 1 0 0 0 0 01-05 1 0 0 0 0 01-04 0" in rows
        assert len([tag for tag, given in page.tags if given.get("scope") == "row"]) >= 2 * chosen
        assert [
            given["href"] for tag, given in page.tags if given.get("aria-current") == "page"
        ] == [f"{wangwu.prefix}{FIGURES}?days={chosen}"]
    clock.advance(days=7)
    wangwu = await visitor(service, "wangwu")
    assert numbers(await wangwu.get(f"{FIGURES}?days=7"))["发起"] == "0"
    assert numbers(await wangwu.get(f"{FIGURES}?days=30"))["发起"] == "2"


async def test_every_bar_has_its_number_in_the_table_beside_it(service: Service) -> None:
    await service.ask("1_1")
    wangwu = await visitor(service, "wangwu")
    await wangwu.press((await wangwu.get("/wechat/todo/")).form, REJECT)
    page = await wangwu.get(f"{FIGURES}?days=7")
    charts = [given for tag, given in page.tags if tag == "svg" and given.get("role") == "img"]
    assert len(charts) == 2
    ids = {given["id"] for _, given in page.tags if "id" in given}
    assert all(set(given["aria-labelledby"].split()) <= ids for given in charts)
    assert "style" not in {name for _, given in page.tags for name in given}
    assert "01-05 1 0 1 0 0" in words_of(page) and "01-05 1 0:00 0:00" in words_of(page)


async def test_the_name_of_a_business_leads_to_its_approvals(service: Service) -> None:
    await service.ask("1_1", details={"业务": "支付 & 订单?"})
    await service.ask("2_1")
    zhangsan = await visitor(service, "zhangsan")
    page = await zhangsan.get(FIGURES)
    (link,) = [link for link in page.links if "business=" in link]
    there = await zhangsan.get(link)
    assert "编号 1_1" in there.text and "编号 2_1" not in there.text


async def test_the_pages_are_in_english_too(service: Service) -> None:
    await service.ask("1_1")
    zhangsan = await visitor(service, "zhangsan")
    english = {"Accept-Language": "en"}
    page = await zhangsan.get(FIGURES, headers=english)
    assert "Time to decide, by day" in page.text and "审批" not in page.text.replace(
        "(zhangsan)", ""
    )
    page = await zhangsan.get("/wechat/history/", headers=english)
    assert "Newest first" in page.text or "newest first" in page.text


async def test_who_is_not_logged_in_sees_no_figures(service: Service) -> None:
    assert (await Visitor(service).get(FIGURES)).status == 303
