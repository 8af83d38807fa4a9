"""/metrics: figures that are right, under the names that docs/metrics.md lists, about nobody."""

import asyncio
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from eventsourcing.persistence import OperationalError
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

from adapters.simulator.wecom import SimulatedWeCom
from adapters.wecom.client import MOST_ERRCODES, WeComRefused
from projections.outbox import Kind
from tests.conftest import StartService
from tests.service import WITHIN_S, Service
from web import keys, tally

MANUAL = Path(__file__).parent.parent / "docs" / "metrics.md"
ROW = re.compile(r"\| `(fta_approval_\w+)` \| (\w+) \|([^|]*)\|( ●)?[^|]+\|[^|]*\|")


async def scraped(service: Service, accept: str = "") -> tuple[str, str]:
    """Content type and body."""
    headers = {"Accept": accept}
    async with service.http.get(f"{service.url}/metrics", headers=headers) as response:
        assert response.status == 200
        return response.headers["Content-Type"], await response.text()


async def families(service: Service) -> dict[str, Metric]:
    """By the name that one asks Prometheus for: a counter's ends in `_total`."""
    _, body = await scraped(service)
    found = list(text_string_to_metric_families(body))
    return {f.name + "_total" * (f.type == "counter"): f for f in found}


async def figures(service: Service) -> dict[str, float]:
    """Every sample, its labels in braces; without the common beginning of the name."""
    found: dict[str, float] = {}
    for family in (await families(service)).values():
        for sample in family.samples:
            labels = ",".join(sample.labels.values())
            name = sample.name.removeprefix("fta_approval_") + (f"{{{labels}}}" if labels else "")
            assert name not in found
            found[name] = sample.value
    return found


def rows() -> list[re.Match[str]]:
    lines = MANUAL.read_text(encoding="utf-8").splitlines()
    return [row for row in map(ROW.match, lines) if row]


def listed() -> dict[str, tuple[str, dict[str, list[str]]]]:
    """What docs/metrics.md says: type, and labels with the values that it names."""
    found = {}
    for row in rows():
        labels = [re.findall(r"`([^`]+)`", part) for part in row[3].split("; ")]
        found[row[1]] = (row[2], {words[0]: words[1:] for words in labels if words})
    return found


async def test_the_manual_lists_exactly_what_there_is(service: Service) -> None:
    approval = await service.ask()
    await service.notified(approval["approval_id"])
    there_is = await families(service)
    manual = listed()
    assert set(there_is) == set(manual)
    for name, family in there_is.items():
        kind, labels = manual[name]
        assert (family.type, bool(family.documentation)) == (kind, True)
        assert {label for sample in family.samples for label in sample.labels} == labels.keys()


def test_the_manual_lists_the_words_that_labels_may_hold() -> None:
    manual = listed()
    assert manual["fta_approval_callbacks_total"][1] == {
        "kind": list(get_args(tally.CallbackKind)),
        "outcome": list(get_args(tally.CallbackOutcome)),
    }
    assert manual["fta_approval_messages_total"][1] == {
        "kind": [kind.value for kind in Kind],
        "outcome": list(get_args(tally.MessageOutcome)),
    }


async def test_figures_follow_what_happens(start: StartService) -> None:
    service = await start(super_approvers="")
    before = await figures(service)
    first = await service.ask("1_1", approvers=["zhangsan"])
    await service.ask("2_1", approvers=["zhangsan"])
    await service.notified(first["approval_id"])
    await service.says("zhangsan", "TY 1_1")
    last = await service.quiet()
    now = await figures(service)
    changed = {name: now[name] - before.get(name, 0) for name in now}
    assert now["last_position"] == now["read_models_position"] == last
    # asked twice, told twice, a reply and its end, its answer
    assert changed["writer_events_total"] == changed["last_position"] == 7
    assert changed["writer_commands_total"] == 6
    assert 1 <= changed["writer_commits_total"] <= 6
    assert now["writer_alive"] == 1
    assert now["approvals_pending"] == 1
    assert now["callbacks_total{text,taken}"] == 1
    assert now["callbacks_total{verification,taken}"] == 1
    assert now["wecom_calls_total{0}"] == 4  # a token, two messages that ask, an answer
    for nothing in (
        "read_models_lag",
        "read_models_failing",
        "outbox_messages",
        "writer_waiting_commands",
        "writer_failures_total",
        "writer_conflicts_total",
        "wecom_problem",
        "agent_closed",
        "replies_not_kept_total",
        "nobody_reached_total",
    ):
        assert now[nothing] == 0


async def test_what_cannot_be_sent_is_seen(start: StartService, wecom: SimulatedWeCom) -> None:
    service = await start(super_approvers="")
    wecom.knobs.outage = "busy"
    await service.ask()
    async with asyncio.timeout(WITHIN_S):
        while (now := await figures(service))["wecom_problem"] == 0:
            await asyncio.sleep(0.01)
    assert now["outbox_messages"] == 2
    assert now["wecom_calls_total{-1}"] >= 1
    wecom.knobs.outage = "http-500"
    async with asyncio.timeout(WITHIN_S):
        while (await figures(service)).get("wecom_calls_total{none}", 0) == 0:
            await asyncio.sleep(0.01)
    wecom.knobs.outage = "none"
    await service.quiet()
    now = await figures(service)
    assert (now["outbox_messages"], now["wecom_problem"]) == (0, 0)


async def test_however_many_errcodes_there_are_their_series_stay_few(
    service: Service, wecom: SimulatedWeCom
) -> None:
    client = service.app[keys.OUTSIDE].wecom
    assert client is not None
    codes = range(70_001, 70_121)
    wecom.script("message/send", *codes)
    for _ in codes:
        with pytest.raises(WeComRefused):
            await client.send_text("zhangsan", "请审核", once=False)
    counted = [name for name in await figures(service) if name.startswith("wecom_calls_total")]
    assert len(counted) == MOST_ERRCODES + 1
    assert (await figures(service))["wecom_calls_total{other}"] == 121 - MOST_ERRCODES


async def test_callbacks_are_counted_by_what_became_of_them(service: Service) -> None:
    entry = f"{service.base}/wechat/entry/"
    async with service.http.post(entry, data=b"no XML") as response:
        assert response.status == 403
    async with service.http.get(entry) as response:
        assert response.status == 403
    for number in range(61):
        assert await service.says("zhangsan", "TY 9_9", number + 1) == 200
    now = await figures(service)
    assert now["callbacks_total{unread,not-genuine}"] == 1
    assert now["callbacks_total{verification,not-genuine}"] == 1
    assert now["callbacks_total{text,taken}"] == 60
    assert now["callbacks_total{text,not-kept}"] == now["replies_not_kept_total"] == 1


async def test_what_reactions_count_is_shown(service: Service) -> None:
    counted = service.app[keys.TALLY]
    counted.message(Kind.ASK, "sent")
    counted.message(Kind.ASK, "sent")
    counted.message(Kind.ANSWER, "unreachable")
    now = await figures(service)
    assert now["messages_total{ask,sent}"] == 2
    assert now["messages_total{answer,unreachable}"] == 1
    assert now["messages_total{answer,failed}"] == 0


async def test_an_application_that_wecom_switched_off_is_a_figure_until_it_is_on_again(
    service: Service,
) -> None:
    await service.wecom.send_event("sys", "close_inactive_agent")
    now = await figures(service)
    assert (now["agent_closed"], now["wecom_problem"]) == (1, 1)
    await service.wecom.send_event("sys", "reopen_inactive_agent")
    now = await figures(service)
    assert (now["agent_closed"], now["wecom_problem"]) == (0, 0)


async def test_an_approval_of_which_nobody_can_be_told_is_a_figure(service: Service) -> None:
    service.wecom.show_only_to({"wangwu"})
    await service.ask("1_1", approvers=["zhangsan", "lisi"])
    await service.quiet()
    service.wecom.show_only_to({"wangwu", "lisi"})
    await service.ask("2_1", approvers=["zhangsan", "lisi"])
    await service.quiet()
    now = await figures(service)
    assert now["nobody_reached_total"] == 1
    assert now["messages_total{ask,unreachable}"] == 3
    assert now["messages_total{alarm,sent}"] == 1


async def test_nobody_and_nothing_is_named(service: Service) -> None:
    approval = await service.ask("12345_2", biz_id="business-7", details={"业务": "王者"})
    await service.notified(approval["approval_id"])
    await service.says("zhangsan", "TY 99999_1")
    await service.says("lisi", "BH 12345_2 磁盘没满")
    await service.quiet()
    for accept in ("", "application/openmetrics-text; version=1.0.0"):
        _, body = await scraped(service, accept)
        for name in ("zhangsan", "lisi", "wangwu", "12345", "99999", "business-7", "王者", "磁盘"):
            assert name not in body
        assert approval["approval_id"] not in body


async def test_without_wecom_it_says_so(start: StartService) -> None:
    service = await start(wecom_corp_id="", wecom_secret="", wecom_agent_id="")
    now = await figures(service)
    assert now["wecom_problem"] == 1
    assert not any(name.startswith("wecom_calls_total") for name in now)


async def test_a_writer_that_has_stopped_is_seen(service: Service) -> None:
    await asyncio.to_thread(service.app[keys.WRITER].stop)
    assert (await figures(service))["writer_alive"] == 0


async def test_what_the_database_does_not_tell_is_absent_and_the_rest_is_there(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def locked() -> Any:
        raise OperationalError("database is locked")

    monkeypatch.setattr(service.app[keys.READING], "backlog", locked)
    now = await figures(service)
    assert now["writer_alive"] == 1
    marked = {row[1] for row in rows() if row[4]}
    there_is = {f"fta_approval_{name.partition('{')[0]}" for name in now}
    assert len(marked) == 12
    assert marked.isdisjoint(there_is)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain"),
        ("text/html", "text/plain"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text"),
        ("application/openmetrics-text; version=one", "text/plain"),
        ("text/plain; version=x", "text/plain"),
    ],
)
async def test_the_scraper_chooses_the_format(
    service: Service, accept: str, content_type: str
) -> None:
    given, body = await scraped(service, accept)
    assert given.split(";")[0] == content_type
    parse = openmetrics_families if "openmetrics" in given else text_string_to_metric_families
    assert len(list(parse(body))) == len(listed())


async def test_it_stands_at_the_root_and_is_only_read(service: Service) -> None:
    async with service.http.get(f"{service.base}/metrics") as response:
        assert response.status == 404
    async with service.http.get(f"{service.url}/metrics/") as response:
        assert response.status == 200
    async with service.http.post(f"{service.url}/metrics") as response:
        assert response.status == 405
