"""The client follows decisions through every break: each once, in order, without a gap."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from adapters.engine.client import EngineClient
from adapters.engine.documents import Decision, Status
from adapters.engine.errors import (
    FeedChanged,
    OtherApproval,
    Refused,
    StillPending,
    Unauthorized,
    UnexpectedAnswer,
)
from adapters.engine.reading import read_approval, read_decision
from tests.scripted import (
    Answer,
    Json,
    Scripted,
    Time,
    approval,
    approved,
    client_of,
    decision,
    frame,
    hangs,
    hangs_up,
    problem,
    says,
    scripted_service,
    streams,
)

WITHIN_S = 20


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    async with scripted_service() as found:
        yield found


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def client(scripted: Scripted, time: Time) -> AsyncIterator[EngineClient]:
    async with client_of(scripted, time) as found:
        yield found


async def first(
    count: int, client: EngineClient, *where: Any, into: list[Decision] | None = None
) -> list[Decision]:
    """The next so many decisions; `into`: kept there whatever happens."""
    found: list[Decision] = [] if into is None else into
    async with asyncio.timeout(WITHIN_S), aclosing(client.decisions(*where)) as decisions:
        async for one in decisions:
            found.append(one)
            if len(found) == count:
                break
    return found


def positions(found: list[Decision]) -> list[int]:
    return [one.position for one in found]


# Once, in order.


@pytest.mark.parametrize(
    "trouble",
    [
        hangs_up,
        streams(broken=True),
        streams(decision(3), broken=True),
        streams(frame(decision(4))[:200]),
        streams(frame(decision(4)).removesuffix("\r\n")),
        problem(429, "x"),
        problem(500, "internal-error"),
        problem(502, "x"),
        problem(503, "unavailable"),
    ],
    ids=["hangs up", "reset", "a repeat", "half", "unfinished", "429", "500", "502", "503"],
)
async def test_a_break_loses_nothing_and_repeats_nothing(
    client: EngineClient, scripted: Scripted, time: Time, trouble: Answer
) -> None:
    scripted.then(
        streams(decision(1), decision(3)), trouble, streams(decision(4), decision(9), ends=False)
    )
    assert positions(await first(4, client)) == [1, 3, 4, 9]
    sent = [request.headers["Last-Event-ID"] for request in scripted.requests]
    assert [sent[0], sent[-1]] == ["0", "3"]
    assert {request.query["after"] for request in scripted.requests} == set(sent)


async def test_what_was_given_before_is_left_out(client: EngineClient, scripted: Scripted) -> None:
    scripted.then(
        streams(decision(1), decision(2)),
        streams(decision(1), decision(2), decision(2), decision(3), decision(2)),
        streams(decision(4), ends=False),
    )
    assert positions(await first(4, client)) == [1, 2, 3, 4]


async def test_a_reader_goes_on_where_it_was(client: EngineClient, scripted: Scripted) -> None:
    scripted.then(streams(decision(41), ends=False))
    (found,) = await first(1, client, 40, "feed-1")
    assert (found.position, found.feed_id) == (41, "feed-1")
    assert scripted.requests[0].headers["Last-Event-ID"] == "40"


async def test_a_service_without_a_heartbeat_is_dead(scripted: Scripted, time: Time) -> None:
    again = streams(decision(1), decision(2), ends=False)
    scripted.then(streams(decision(1), ends=False), again)
    async with client_of(scripted, time, silence_s=0.1) as client:
        assert positions(await first(2, client)) == [1, 2]


async def test_a_service_that_never_answers_is_dead(scripted: Scripted, time: Time) -> None:
    scripted.then(hangs, streams(decision(1), ends=False))
    async with client_of(scripted, time, silence_s=0.1) as client:
        assert positions(await first(1, client)) == [1]


async def test_pauses_grow_until_something_is_heard(
    client: EngineClient, scripted: Scripted, time: Time
) -> None:
    scripted.then(
        *([hangs_up] * 8), streams(": hello\n\n"), streams(), streams(decision(1), ends=False)
    )
    await first(1, client)
    # aiohttp itself repeats a GET once whose kept connection turns out to be closed.
    assert time.pauses[:3] == [0.2, 0.4, 0.8]
    assert time.pauses[-2:] == [0.2, 0.4]
    assert max(time.pauses) <= 10


async def test_a_reader_comes_back_when_the_service_wants_it_but_within_a_minute(
    client: EngineClient, scripted: Scripted, time: Time
) -> None:
    scripted.then(
        says({}, 503, **{"Retry-After": "7"}),
        says({}, 503, **{"Retry-After": "99999"}),
        streams(decision(1), ends=False),
    )
    await first(1, client)
    assert time.pauses == [7.2, 60.4]


async def test_whoever_wants_to_know_hears_whether_the_stream_stands(
    scripted: Scripted, time: Time
) -> None:
    heard: list[str | None] = []
    scripted.then(problem(502, "x", "away"), streams(), streams(decision(1), ends=False))
    async with EngineClient(
        scripted.url, "token", patience=time.patience(), trouble=heard.append
    ) as client:
        await first(1, client)
    assert heard == ["HTTP 502 x: away", None, "the service ended it", None]


# Another feed.


@pytest.mark.parametrize(
    ("where", "answers"),
    [
        ((7, "feed-1"), [streams(decision(8), feed_id="feed-2")]),
        ((7, "feed-1"), [streams(decision(8), feed_id=None)]),
        ((0, "feed-1"), [streams(decision(8), feed_id="feed-2")]),
        ((0,), [streams(decision(7)), streams(decision(8), feed_id="feed-2")]),
        ((7,), [problem(409, "position-unknown")]),
        ((0,), [streams(decision(7)), hangs_up, problem(409, "position-unknown")]),
    ],
    ids=["at first", "unnamed", "from 0", "later", "unknown", "unknown later"],
)
async def test_another_feed_is_said_and_never_begun(
    client: EngineClient, scripted: Scripted, where: tuple[Any, ...], answers: list[Answer]
) -> None:
    scripted.then(*answers, streams(decision(1), ends=False))
    given: list[Decision] = []
    with pytest.raises(FeedChanged) as caught:
        await first(9, client, *where, into=given)
    assert positions(given) == [7] * (len(answers) > 1)
    assert caught.value.after in (0, 7)
    assert len(scripted.requests) == len(answers)


async def test_a_service_that_does_not_name_its_feed_is_read_all_the_same(
    client: EngineClient, scripted: Scripted
) -> None:
    scripted.then(streams(decision(1), feed_id=None), streams(decision(2), feed_id=None))
    assert [one.feed_id for one in await first(2, client)] == [None, None]


# What no later try mends.


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (problem(401, "unauthorized"), Unauthorized),
        (problem(503, "no-api-token-configured"), Unauthorized),
        (problem(404, "not-found"), Refused),
        (says({}, 302), UnexpectedAnswer),
        (says({"decisions": []}), UnexpectedAnswer),
    ],
)
async def test_what_is_permanent_is_raised_at_once(
    client: EngineClient, scripted: Scripted, time: Time, answer: Answer, kind: type[Exception]
) -> None:
    scripted.then(answer)
    with pytest.raises(kind):
        await first(1, client)
    assert (len(scripted.requests), time.pauses) == (1, [])


async def test_a_token_that_ends_meanwhile_ends_the_reading(
    client: EngineClient, scripted: Scripted
) -> None:
    scripted.then(streams(decision(1)), problem(401, "unauthorized"))
    with pytest.raises(Unauthorized):
        await first(2, client)


WRONG = {
    "not JSON": "id: 2\ndata: {\n\n",
    "no object": "id: 2\ndata: []\n\n",
    "no position": frame(decision(2)).replace("id: 2", "id: x"),
    "two positions": frame(decision(2)).replace("id: 2", "id: 3"),
    "no approval": frame(decision(2) | {"data": None}),
    "of another approval": frame(decision(2, subject="1_1")),
    "says approved of a rejected one": frame(
        decision(2, approved(status="rejected"), type="fta.approval.approved")
    ),
    "of one that waits": frame(decision(2, approval())),
    "without a time": frame(decision(2, time=None)),
    "with a time of nowhere": frame(decision(2, time="2026-01-05T12:03:00.000")),
    "whose run is a truth": frame(decision(2, approved(run=True))),
}


@pytest.mark.parametrize("words", WRONG.values(), ids=WRONG)
async def test_a_decision_that_cannot_be_read_is_neither_given_nor_skipped(
    client: EngineClient, scripted: Scripted, words: str
) -> None:
    scripted.then(streams(decision(1), words, decision(3), ends=False))
    given: list[Decision] = []
    with pytest.raises(UnexpectedAnswer):
        await first(9, client, into=given)
    assert positions(given) == [1]


def test_a_position_is_never_negative() -> None:
    with pytest.raises(ValueError, match="never negative"):
        EngineClient("http://127.0.0.1", "token").decisions(-1)


# Old and new.


async def test_a_newer_service_is_read_by_an_older_client(
    client: EngineClient, scripted: Scripted
) -> None:
    newer = approved(status="escalated", quorum={"of": 2}, decided_via="phone")
    scripted.then(
        streams(
            frame({"id": "1", "type": "fta.feed.note", "hello": 1}),
            decision(2, newer, more=1),
            decision(3),
            ends=False,
        )
    )
    strange, known = await first(2, client)
    assert (strange.position, strange.type) == (2, "fta.approval.escalated")
    assert (strange.approval.status, strange.approval.decided_via) == (Status.UNKNOWN, "phone")
    assert known.approval.status is Status.APPROVED


@pytest.mark.parametrize("status", ["rejected", "revoked", "expired", "escalated"])
def test_a_permit_counts_beside_an_approval_only(status: str) -> None:
    event = decision(2, approved(status=status, permit="h.c.s"))
    assert read_decision(event, "2", None).permit is None


def test_a_permit_is_shown_to_nobody() -> None:
    found = read_decision(decision(2, approved(permit="h.c.s")), "2", None)
    assert found.permit is not None
    assert found.permit.text == "h.c.s"
    assert found.permit.of == found.approval.identity
    assert "h.c.s" not in repr(found) + str(found)


@pytest.mark.parametrize(
    "field",
    [
        *("approval_id", "number", "obj_id", "run", "reply_id", "message", "engine", "approvers"),
        *("action_digest", "status", "requested_at", "expires_at"),
    ],
)
def test_what_is_needed_must_be_there(field: str) -> None:
    body = approval()
    del body[field]
    with pytest.raises(UnexpectedAnswer, match=field):
        read_approval(body)


def test_what_is_not_needed_may_be_missing() -> None:
    needed = re.findall(
        r"\w+",
        "approval_id number obj_id run reply_id message engine approvers action_digest status "
        "requested_at expires_at",
    )
    body: Json = {name: approval()[name] for name in needed}
    found = read_approval(body)
    assert (found.reason, found.details, found.notifications, found.permit) == (None, {}, (), None)


# Waiting for one.


async def test_waiting_brings_the_end_of_that_approval_with_its_permit(
    client: EngineClient, scripted: Scripted
) -> None:
    other = approved(approval_id="another", reply_id="1_1", obj_id="1_1")
    ours = approved(permit="h.c.s")
    scripted.then(
        says(approval()),
        streams(decision(4, other)),
        streams(decision(5, ours), ends=False),
    )
    asked = await client.look(approval()["approval_id"])
    ended = await client.wait(asked)
    assert ended.status is Status.APPROVED
    assert ended.permit is not None
    # From the request on: nothing before it can be its end.
    assert [request.query.get("after") for request in scripted.requests] == [None, "3", "4"]


async def test_waiting_by_id_looks_first(client: EngineClient, scripted: Scripted) -> None:
    scripted.then(says(approval()), streams(decision(5), ends=False))
    assert (await client.wait(approval()["approval_id"])).has_ended


async def test_the_end_of_the_same_id_for_another_run_is_not_used(
    client: EngineClient, scripted: Scripted
) -> None:
    scripted.then(says(approval()), streams(decision(5, approved(run=2)), ends=False))
    with pytest.raises(OtherApproval):
        await client.wait(approval()["approval_id"])


async def test_whoever_waits_for_so_long_only_is_told_that_nothing_is_decided(
    client: EngineClient, scripted: Scripted
) -> None:
    scripted.then(says(approval()), streams(ends=False))
    with pytest.raises(StillPending, match="nobody has decided 12345_2 yet"):
        await client.wait(approval()["approval_id"], timeout=0.05)
    with pytest.raises(TimeoutError):
        await client.wait(read_approval(approval()), timeout=0.05)


async def test_whoever_waits_hears_that_the_service_was_restored(
    client: EngineClient, scripted: Scripted
) -> None:
    scripted.then(problem(409, "position-unknown"))
    with pytest.raises(FeedChanged):
        await client.wait(read_approval(approval()))
