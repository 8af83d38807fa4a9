"""The decision feed over real HTTP: polling, long polling, Server-Sent Events (contract 4.3)."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from tests.conftest import StartService
from tests.service import OTHER_TOKEN, READER_TOKEN, TOKEN, WITHIN_S, Service
from web import keys
from web.event_stream import HEARTBEAT_S


@dataclass
class Event:
    """One event of a stream; a comment has its words only."""

    id: str | None = None
    type: str | None = None
    data: str | None = None
    comment: str | None = None


class Stream:
    """A reader of Server-Sent Events, strict about what stands on a line."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self) -> Event | None:
        """The next event or comment; None at the end."""
        async with asyncio.timeout(WITHIN_S):
            lines: list[str] = []
            while line := (await self.response.content.readline()).decode("utf-8"):
                if line in ("\n", "\r\n"):
                    return _event(lines)
                lines.append(line.rstrip("\r\n"))
        assert lines == [], "cut in the middle of an event"
        return None

    async def decisions(self, count: int) -> list[Event]:
        """The next so many events, comments left out."""
        found: list[Event] = []
        while len(found) < count:
            event = await self.next()
            assert event is not None, "the stream has ended"
            if event.comment is None:
                found.append(event)
        return found


def _event(lines: list[str]) -> Event:
    if lines[0].startswith(":"):
        assert len(lines) == 1
        return Event(comment=lines[0])
    names = [line.partition(": ")[0] for line in lines]
    assert names == ["id", "event", "data"]
    return Event(*(line.partition(": ")[2] for line in lines))


@asynccontextmanager
async def stream(
    service: Service, query: str = "", token: str = TOKEN, **headers: str
) -> AsyncIterator[Stream]:
    """An open stream."""
    url = f"{service.base}/api/v1/decisions/stream{query}"
    headers = {"Authorization": f"Bearer {token}", **headers}
    async with service.http.get(url, headers=headers) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "text/event-stream"
        yield Stream(response)


async def poll(service: Service, query: str = "", token: str = TOKEN) -> Any:
    status, body = await service.api("GET", f"/decisions{query}", token)
    assert status == 200, body
    assert set(body) == {"decisions", "next", "feed_id", "tree_head"}
    return body


async def decide(service: Service, *obj_ids: str, **fields: Any) -> list[int]:
    """Ask and have zhangsan approve, one after another: the positions of the decisions."""
    for obj_id in obj_ids:
        await service.ask(obj_id, **fields)
        await service.says("zhangsan", f"TY {obj_id}")
    return [int(decision["id"]) for decision in await service.decisions()][-len(obj_ids) :]


# What a decision is.


async def test_a_decision_is_a_cloud_event_with_the_approval_as_it_ended(
    service: Service,
) -> None:
    asked = await service.ask("12345_2", run=2, approvers=["zhangsan"])
    await service.notified(asked["approval_id"])
    service.clock.advance(seconds=5)
    await service.says("zhangsan", "BH 12345_2.2 太忙")
    (decision,) = await service.decisions()
    (ending,) = [
        event
        for event in await service.events(asked["approval_id"])
        if event["type"] == "approval.rejected"
    ]
    assert decision == {
        "specversion": "1.0",
        "id": str(ending["position"]),
        "source": "/fta-approval",
        "type": "fta.approval.rejected",
        "subject": "12345_2.2",
        "time": "2026-01-05T12:00:05.000Z",
        "datacontenttype": "application/json",
        "data": await service.look(asked["approval_id"]),
    }
    assert decision["data"]["status"] == "rejected"
    assert decision["data"]["reason"] == "太忙"


async def test_each_end_is_one_decision_of_its_type_in_the_order_recorded(
    service: Service,
) -> None:
    for number in range(5):
        await service.ask(f"{number}_1")
    await service.says("zhangsan", "TY 3_1")
    await service.says("lisi", "BH 1_1")
    await service.ask("0_1", run=2)
    service.clock.advance(hours=1)
    await service.says("zhangsan", "TY 2_1")
    await service.expire()
    found = await service.decisions()
    assert [(d["subject"], d["type"], d["data"]["decided_by"]) for d in found[:4]] == [
        ("3_1", "fta.approval.approved", "zhangsan"),
        ("1_1", "fta.approval.rejected", "lisi"),
        ("0_1", "fta.approval.cancelled", "fta"),
        ("2_1", "fta.approval.expired", None),
    ]
    assert sorted(d["subject"] for d in found[4:]) == ["0_1.2", "4_1"]
    positions = [int(decision["id"]) for decision in found]
    assert positions == sorted(set(positions))


async def test_what_a_position_says_never_changes(start: StartService) -> None:
    # WeCom takes its time over the one message that asks, and the decision comes in between.
    service = await start(super_approvers="")
    service.wecom.knobs.outage, service.wecom.knobs.outage_on = "slow", "message/send"
    service.wecom.knobs.slow_s = 1.0
    asked = await service.ask("12345_2", approvers=["zhangsan"])
    async with asyncio.timeout(WITHIN_S):
        while not [call for call in service.wecom.calls if "gettoken" in call.path]:
            await asyncio.sleep(0.01)
    await service.says("zhangsan", "TY 12345_2")
    before = await service.decisions()
    assert {to["state"] for to in before[0]["data"]["notifications"]} == {"pending"}
    delivered = await service.notified(asked["approval_id"])
    assert {to["state"] for to in delivered["notifications"]} == {"sent"}
    assert await service.decisions() == before
    async with stream(service) as reader:
        (event,) = await reader.decisions(1)
    assert json.loads(event.data or "") == before[0]


# Polling.


async def test_polling_goes_on_after_a_position(service: Service) -> None:
    empty = await poll(service)
    assert (empty["decisions"], empty["next"]) == ([], 0)
    first, second, third = await decide(service, "1_1", "2_1", "3_1")
    page = await poll(service, "?limit=2")
    assert [d["subject"] for d in page["decisions"]] == ["1_1", "2_1"]
    assert page["next"] == second
    page = await poll(service, f"?after={page['next']}&limit=2")
    assert [d["subject"] for d in page["decisions"]] == ["3_1"]
    assert page["next"] == third
    assert (await poll(service, f"?after={third}"))["next"] == third
    # A position between decisions is one too.
    between = await poll(service, f"?after={first + 1}")
    assert [d["subject"] for d in between["decisions"]] == ["2_1", "3_1"]
    assert page["feed_id"] == empty["feed_id"] == service.app[keys.FEED].feed_id


async def test_a_decision_is_in_the_feed_as_soon_as_it_was_answered(service: Service) -> None:
    for number in range(40):
        await service.ask(f"{number}_1")
        await service.says("zhangsan", f"TY {number}_1")
        assert (await service.decisions())[-1]["subject"] == f"{number}_1"


async def test_a_long_poll_answers_when_a_decision_comes(service: Service) -> None:
    await service.ask("12345_2")
    waiting = asyncio.create_task(poll(service, "?wait=60"))
    other = asyncio.create_task(poll(service, "?wait=60&limit=1"))
    await asyncio.sleep(0)
    await service.says("zhangsan", "TY 12345_2")
    async with asyncio.timeout(WITHIN_S):
        for found in await asyncio.gather(waiting, other):
            assert [d["subject"] for d in found["decisions"]] == ["12345_2"]
            assert found["next"] == int(found["decisions"][0]["id"])


async def test_a_long_poll_that_already_waits_is_woken(service: Service) -> None:
    """Everything before the wait is over: the read models have nothing left to take in."""
    asked = await service.notified((await service.ask("12345_2"))["approval_id"])
    last = (await service.events(asked["approval_id"]))[-1]["position"]
    waiting = asyncio.create_task(poll(service, f"?after={last}&wait=60"))
    # A request answered after it on the same loop has let it come to its wait.
    for _ in range(5):
        await service.look(asked["approval_id"])
    assert not waiting.done()
    await service.says("zhangsan", "TY 12345_2")
    async with asyncio.timeout(WITHIN_S):
        assert len((await waiting)["decisions"]) == 1


async def test_a_long_poll_ends_after_its_wait(service: Service) -> None:
    (position,) = await decide(service, "12345_2")
    loop = asyncio.get_running_loop()
    began = loop.time()
    found = await poll(service, f"?after={position}&wait=1")
    assert loop.time() - began >= 0.99
    assert (found["decisions"], found["next"]) == ([], position)


async def test_another_engines_decision_does_not_end_a_long_poll(service: Service) -> None:
    await service.ask("1_1", token=OTHER_TOKEN)
    await service.ask("2_1")
    waiting = asyncio.create_task(poll(service, "?wait=60"))
    await service.says("zhangsan", "TY 1_1")
    assert len(await service.decisions(token=OTHER_TOKEN)) == 1
    assert not waiting.done()
    await service.says("zhangsan", "TY 2_1")
    async with asyncio.timeout(WITHIN_S):
        assert [d["subject"] for d in (await waiting)["decisions"]] == ["2_1"]


async def test_engines_follow_their_own_decisions_and_readers_all(service: Service) -> None:
    await decide(service, "1_1", token=OTHER_TOKEN)
    await decide(service, "2_1")
    for token, expected in (
        (TOKEN, ["2_1"]),
        (OTHER_TOKEN, ["1_1"]),
        (READER_TOKEN, ["1_1", "2_1"]),
    ):
        found = await service.decisions(token=token)
        assert [decision["subject"] for decision in found] == expected


@pytest.mark.parametrize("address", ["/decisions", "/decisions/stream"])
async def test_a_position_that_no_event_has_is_unknown_at_once(
    service: Service, address: str
) -> None:
    (position,) = await decide(service, "12345_2")
    last = service.app[keys.WRITER].last_position
    assert last >= position
    wait = "&wait=60" if address == "/decisions" else ""
    for beyond in (last + 100, 10**18, 10**30):
        status, problem = await service.api("GET", f"{address}?after={beyond}{wait}")
        assert (status, problem["code"]) == (409, "position-unknown")
    beyond_header = {"Last-Event-ID": str(last + 100)}
    status, problem = await service.api("GET", "/decisions/stream", headers=beyond_header)
    assert (status, problem["code"]) == (409, "position-unknown")


async def test_bad_parameters_are_named(service: Service) -> None:
    for field, values in {
        "after": ["-1", "x", "", "1.0", "%2B1", "1_0", "%D9%A1", "0x1"],
        "limit": ["0", "-1", "x", "", "1001", "1.5"],
        "wait": ["-1", "x", "", "61", "0.5", "1e1"],
    }.items():
        for value in values:
            status, problem = await service.api("GET", f"/decisions?{field}={value}")
            assert status == 422, (field, value)
            assert [error["field"] for error in problem["errors"]] == [field]
    for value in ("x", "-1", "1.0"):
        status, problem = await service.api("GET", f"/decisions/stream?after={value}")
        assert (status, problem["errors"][0]["field"]) == (422, "after")
        status, problem = await service.api(
            "GET", "/decisions/stream?after=0", headers={"Last-Event-ID": value}
        )
        assert (status, problem["errors"][0]["field"]) == (422, "Last-Event-ID")


# Server-Sent Events.


async def test_a_stream_tells_what_was_and_then_what_comes(service: Service) -> None:
    (first,) = await decide(service, "1_1")
    async with stream(service) as reader:
        (was,) = await reader.decisions(1)
        (second,) = await decide(service, "2_1")
        (comes,) = await reader.decisions(1)
    assert [(e.id, e.type) for e in (was, comes)] == [
        (str(first), "fta.approval.approved"),
        (str(second), "fta.approval.approved"),
    ]
    assert [json.loads(e.data or "") for e in (was, comes)] == await service.decisions()


async def test_a_stream_resumes_and_its_last_event_id_wins_over_after(service: Service) -> None:
    first, second, third = await decide(service, "1_1", "2_1", "3_1")
    for query, headers, expected in (
        ("", {}, [first, second, third]),
        (f"?after={first}", {}, [second, third]),
        ("", {"Last-Event-ID": str(second)}, [third]),
        ("?after=0", {"Last-Event-ID": str(second)}, [third]),
        (f"?after={third}", {"Last-Event-ID": "0"}, [first, second, third]),
        ("?after=x", {"Last-Event-ID": str(second)}, [third]),
    ):
        async with stream(service, query, **headers) as reader:
            found = await reader.decisions(len(expected))
        assert [event.id for event in found] == [str(position) for position in expected]


async def test_a_reader_who_comes_back_has_seen_everything_once(service: Service) -> None:
    wanted = [str(p) for p in await decide(service, *(f"{n}_1" for n in range(6)))]
    seen: list[str | None] = []
    for _ in wanted:
        headers = {"Last-Event-ID": str(seen[-1])} if seen else {}
        async with stream(service, **headers) as reader:
            seen += [event.id for event in await reader.decisions(1)]
    assert seen == wanted


async def test_a_silent_stream_says_that_it_lives(service: Service) -> None:
    assert HEARTBEAT_S <= 15
    service.app[keys.READERS].heartbeat_s = 0.02
    async with stream(service) as reader:
        for _ in range(3):
            event = await reader.next()
            assert event is not None
            assert event.comment is not None
        await service.ask("12345_2")
        await service.says("zhangsan", "TY 12345_2")
        assert len(await reader.decisions(1)) == 1


async def test_readers_of_several_engines_each_get_their_own(service: Service) -> None:
    async with (
        stream(service) as ours,
        stream(service) as ours_too,
        stream(service, token=OTHER_TOKEN) as others,
        stream(service, token=READER_TOKEN) as everything,
    ):
        await decide(service, "1_1")
        await decide(service, "2_1", token=OTHER_TOKEN)
        await decide(service, "3_1")
        for reader, expected in (
            (ours, ["1_1", "3_1"]),
            (ours_too, ["1_1", "3_1"]),
            (others, ["2_1"]),
            (everything, ["1_1", "2_1", "3_1"]),
        ):
            events = await reader.decisions(len(expected))
            assert [json.loads(e.data or "")["subject"] for e in events] == expected


async def test_many_decisions_reach_a_reader_in_order(service: Service) -> None:
    async with stream(service) as reader:
        for number in range(60):
            await service.ask(f"{number}_1")
        paths = [
            f"/approvals/{approval['approval_id']}/cancel"
            for approval in (await service.api("GET", "/approvals"))[1]["approvals"]
        ]
        await asyncio.gather(*(service.api("POST", path, json={"reason": "x"}) for path in paths))
        events = await reader.decisions(60)
    assert [json.loads(e.data or "") for e in events] == await service.decisions()


async def test_a_reader_that_goes_away_is_forgotten(service: Service) -> None:
    readers = service.app[keys.READERS]
    readers.heartbeat_s = 0.02
    async with stream(service) as reader:
        await reader.next()
        assert readers.open == 1
    async with asyncio.timeout(WITHIN_S):
        while readers.open:
            await asyncio.sleep(0.01)
    assert len(await decide(service, "12345_2")) == 1


async def test_readers_are_let_go_when_the_service_stops(service: Service) -> None:
    (position,) = await decide(service, "12345_2")
    session = aiohttp.ClientSession()
    headers = {"Authorization": f"Bearer {TOKEN}"}
    address = f"{service.base}/api/v1/decisions"
    async with session, session.get(f"{address}/stream", headers=headers) as response:
        reader = Stream(response)
        await reader.decisions(1)

        async def long_poll() -> Any:
            url = f"{address}?after={position}&wait=60"
            async with session.get(url, headers=headers) as answer:
                return answer.status, await answer.json()

        waiting = asyncio.create_task(long_poll())
        for _ in range(5):
            await service.decisions()
        async with asyncio.timeout(WITHIN_S):
            stopping = asyncio.create_task(service.stop())
            status, body = await waiting
            while await reader.next() is not None:
                pass
            await stopping
        assert status == 200
        assert (body["decisions"], body["next"]) == ([], position)
