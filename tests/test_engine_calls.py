"""The client when the service has a bad day: what it repeats, refuses to use, and never says."""

import logging
import traceback
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from adapters.engine import errors
from adapters.engine.client import EngineClient
from adapters.engine.documents import Identity, Outcome, Permit, Status, action_digest
from adapters.engine.errors import OtherApproval, Refused, UnexpectedAnswer, Unreachable
from adapters.engine.pauses import asked_pause_s, pause_s
from tests.scripted import (
    ACTION,
    APPROVAL_ID,
    TOKEN,
    Scripted,
    Time,
    approval,
    approved,
    client_of,
    hangs,
    hangs_up,
    problem,
    says,
    scripted_service,
)

OURS = Identity(APPROVAL_ID, "12345_2", 1, "fta", action_digest(ACTION))
PERMIT = Permit("header.claims.signature", OURS)


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


async def ask(client: EngineClient, **more: Any) -> Any:
    return await client.ask("12345_2", "替换故障机", ["zhangsan"], action=ACTION, **more)


CALLS = pytest.mark.parametrize(
    ("call", "path"),
    [
        (lambda client: ask(client), "/approvals"),
        (lambda client: client.look(APPROVAL_ID), f"/approvals/{APPROVAL_ID}"),
        (lambda client: client.cancel(APPROVAL_ID, "why"), f"/approvals/{APPROVAL_ID}/cancel"),
        (lambda client: client.redeem(PERMIT, ACTION, "attempt-1"), "/permits/redeem"),
        (
            lambda client: client.report(APPROVAL_ID, Outcome.SUCCEEDED, "done"),
            f"/approvals/{APPROVAL_ID}/outcome",
        ),
    ],
    ids=["ask", "look", "cancel", "redeem", "report"],
)


# Again.


@CALLS
@pytest.mark.parametrize(
    "trouble",
    [
        hangs_up,
        problem(429, "too-many-requests"),
        problem(500, "internal-error"),
        problem(502, "x"),
        problem(503, "overloaded"),
        problem(504, "x"),
    ],
    ids=["hangs up", "429", "500", "502", "503", "504"],
)
async def test_every_call_is_repeated_with_the_same_words(
    client: EngineClient, scripted: Scripted, time: Time, call: Any, path: str, trouble: Any
) -> None:
    scripted.then(trouble, trouble, says(approved()))
    assert (await call(client)).approval_id == APPROVAL_ID
    assert [request.path for request in scripted.requests] == [path] * 3
    first, *others = [(request.method, request.body) for request in scripted.requests]
    assert others == [first, first]
    # aiohttp itself repeats a GET once whose kept connection turns out to be closed.
    by_aiohttp = trouble is hangs_up and first[0] == "GET"
    assert time.pauses == ([0.2] if by_aiohttp else [0.2, 0.4])


async def test_a_try_that_takes_too_long_is_repeated(scripted: Scripted, time: Time) -> None:
    scripted.then(hangs, says(approval()))
    async with client_of(scripted, time, try_s=0.05) as client:
        await ask(client)
    assert len(scripted.requests) >= 2


async def test_patience_ends(client: EngineClient, scripted: Scripted, time: Time) -> None:
    scripted.then(problem(503, "overloaded", "come again"))
    with pytest.raises(Unreachable, match="503 overloaded: come again"):
        await ask(client)
    assert 45 < time.now <= 60
    assert len(scripted.requests) == len(time.pauses) + 1


async def test_without_patience_there_is_one_try(scripted: Scripted, time: Time) -> None:
    scripted.then(problem(503, "overloaded"))
    async with client_of(scripted, time, call_s=0) as client:
        with pytest.raises(Unreachable):
            await ask(client)
    assert len(scripted.requests) == 1


async def test_nobody_there_is_unreachable(time: Time, unused_tcp_port: int) -> None:
    patience = time.patience(call_s=1)
    async with EngineClient(f"http://127.0.0.1:{unused_tcp_port}", TOKEN, patience=patience) as c:
        with pytest.raises(Unreachable, match="ClientConnectorError"):
            await ask(c)
    assert time.pauses == [0.2, 0.4]


async def test_the_service_is_not_asked_before_it_wants_to_be(
    client: EngineClient, scripted: Scripted, time: Time
) -> None:
    scripted.then(says({}, 503, **{"Retry-After": "7"}), says(approval()))
    await ask(client)
    assert time.pauses == [7.2]


async def test_a_service_that_wants_to_be_left_alone_for_longer_than_we_wait_is_left_alone(
    client: EngineClient, scripted: Scripted, time: Time
) -> None:
    scripted.then(says({}, 429, **{"Retry-After": "3600"}))
    with pytest.raises(Unreachable) as caught:
        await ask(client)
    assert (caught.value.retry_after_s, time.pauses) == (3600.0, [])


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "120"}, 120.0),
        (
            {
                "Retry-After": "Mon, 05 Jan 2026 12:00:30 GMT",
                "Date": "Mon, 05 Jan 2026 12:00:00 GMT",
            },
            30.0,
        ),
        (
            {
                "Retry-After": "Mon, 05 Jan 2026 11:00:00 GMT",
                "Date": "Mon, 05 Jan 2026 12:00:00 GMT",
            },
            0.0,
        ),
        ({"Retry-After": "Mon, 05 Jan 2026 12:00:30 GMT"}, 0.0),
        ({"Retry-After": "soon"}, 0.0),
        ({"Retry-After": "9" * 400}, 0.0),
        ({"Retry-After": "-1"}, 0.0),
        ({}, 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers: dict[str, str], seconds: float) -> None:
    assert asked_pause_s(headers) == seconds


def test_pauses_grow_to_a_limit_and_are_spread_between_half_and_whole() -> None:
    assert [pause_s(n, 1.0) for n in range(8)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert [pause_s(n, 0.0) for n in (0, 1, 10**6)] == [0.1, 0.2, 5.0]
    assert pause_s(0, 0.0, asked_s=30) == 30.1


# Refused.


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "unauthorized", errors.Unauthorized),
        (503, "no-api-token-configured", errors.Unauthorized),
        (404, "unknown-approval", errors.UnknownApproval),
        (409, "conflicting-request", errors.ConflictingRequest),
        (409, "already-decided", errors.AlreadyDecided),
        (409, "already-redeemed", errors.AlreadyRedeemed),
        (410, "permit-expired", errors.PermitExpired),
        (401, "bad-permit", errors.BadPermit),
        (422, "action-differs", errors.ActionDiffers),
        (409, "revoked", errors.Revoked),
        (409, "frozen", errors.Frozen),
        (409, "not-approved", errors.NotApproved),
        (409, "outcome-differs", errors.OutcomeDiffers),
        (422, "invalid-request", Refused),
        (418, "of-a-newer-service", Refused),
    ],
)
@CALLS
async def test_a_refusal_is_raised_at_once_and_by_its_name(
    client: EngineClient,
    scripted: Scripted,
    time: Time,
    call: Any,
    path: str,
    status: int,
    code: str,
    kind: type[Refused],
) -> None:
    scripted.then(problem(status, code, "say something else", errors=[]))
    with pytest.raises(Refused) as caught:
        await call(client)
    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.status) == (code, status)
    assert caught.value.detail == "say something else"
    assert (len(scripted.requests), time.pauses) == (1, [])


def test_every_refusal_of_its_own_name_has_a_code() -> None:
    named = {kind for kind in vars(errors).values() if isinstance(kind, type)}
    assert {kind for kind in named if issubclass(kind, Refused)} - {Refused} == set(
        errors.BY_CODE.values()
    )


async def test_whoever_comes_too_late_is_told_how_it_ended(
    client: EngineClient, scripted: Scripted
) -> None:
    first = {"status": "approved", "decided_by": "zhangsan"}
    scripted.then(problem(409, "already-decided", "too late", decision=first))
    with pytest.raises(errors.AlreadyDecided) as caught:
        await client.cancel(APPROVAL_ID, "why")
    assert caught.value.decision == first


async def test_an_error_page_of_something_in_between_is_a_refusal_too(
    client: EngineClient, scripted: Scripted
) -> None:
    async def page(request: web.Request) -> web.StreamResponse:
        return web.Response(text="<h1>Forbidden</h1>", status=403, content_type="text/html")

    scripted.then(page)
    with pytest.raises(Refused) as caught:
        await ask(client)
    assert (caught.value.code, caught.value.status) == ("http-403", 403)


# What must not be used.


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_the_token_is_never_taken_along_by_a_redirect(
    client: EngineClient, scripted: Scripted, status: int
) -> None:
    scripted.then(says({}, status, Location="/elsewhere"), says(approval()))
    with pytest.raises(UnexpectedAnswer, match="redirects are not followed"):
        await ask(client)
    assert len(scripted.requests) == 1


@CALLS
@pytest.mark.parametrize(
    "change",
    [
        {"approval_id": "another"},
        {"obj_id": "12345_3"},
        {"run": 2},
        {"action_digest": action_digest({"do": "format"})},
        {"action_digest": None},
        {"engine": "another"},
    ],
    ids=lambda change: f"{change}"[:30],
)
async def test_an_answer_about_another_approval_is_not_used(
    client: EngineClient, scripted: Scripted, call: Any, path: str, change: dict[str, Any]
) -> None:
    scripted.then(says(approved(**change)))
    about_one = path != "/approvals" and path != "/permits/redeem"
    known = {"approval_id"} if about_one else {"obj_id", "run", "action_digest"}
    if path == "/permits/redeem" or change.keys() & known:
        with pytest.raises(OtherApproval):
            await call(client)
    else:
        await call(client)  # by its id alone no more can be told


@pytest.mark.parametrize("what", ["look", "cancel", "report"])
@pytest.mark.parametrize("change", [{"run": 2}, {"engine": "another"}, {"action_digest": None}])
async def test_with_the_approval_itself_everything_is_compared(
    client: EngineClient, scripted: Scripted, what: str, change: dict[str, Any]
) -> None:
    scripted.then(says(approval()), says(approval(**change)))
    asked = await ask(client)
    with pytest.raises(OtherApproval):
        await {
            "look": lambda: client.look(asked),
            "cancel": lambda: client.cancel(asked, "why"),
            "report": lambda: client.report(asked, "failed"),
        }[what]()


async def test_redeeming_for_another_action_than_was_approved_is_no_success_whoever_says_so(
    client: EngineClient, scripted: Scripted
) -> None:
    scripted.then(says(approved()))
    with pytest.raises(OtherApproval):
        await client.redeem(PERMIT, {**ACTION, "ip": "10.0.0.2"}, "attempt-1")


@pytest.mark.parametrize("status", ["pending", "rejected", "revoked", "of-a-newer-service"])
async def test_what_was_redeemed_and_is_not_approved_is_no_success(
    client: EngineClient, scripted: Scripted, status: str
) -> None:
    scripted.then(says(approved(status=status)))
    with pytest.raises(OtherApproval):
        await client.redeem(PERMIT, ACTION, "attempt-1")


async def test_a_find_that_brings_something_else_is_not_used(
    client: EngineClient, scripted: Scripted
) -> None:
    scripted.then(says({"approvals": [approval(obj_id="1_1")], "next": None}))
    with pytest.raises(OtherApproval):
        await client.find("12345_2")


async def test_find_turns_every_page(client: EngineClient, scripted: Scripted) -> None:
    second = approval(run=2, number=9, reply_id="12345_2.2")
    scripted.then(
        says({"approvals": [approval()], "next": "3"}), says({"approvals": [second], "next": None})
    )
    found = await client.find("12345_2", status=Status.PENDING)
    assert [one.run for one in found] == [1, 2]
    assert [request.query.get("after") for request in scripted.requests] == [None, "3"]
    assert scripted.requests[1].query["status"] == "pending"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"null", b"\xff"])
async def test_an_answer_that_is_no_approval_is_not_used(
    client: EngineClient, scripted: Scripted, body: bytes
) -> None:
    async def nonsense(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body)

    scripted.then(nonsense)
    with pytest.raises(UnexpectedAnswer):
        await ask(client)


# What is said before anything is sent.


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:8000", "ftp://h", "http://", "http://a:b@h", "http://h?x=1", "http://h#x"],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="the service's address"):
        EngineClient(url, TOKEN)


@pytest.mark.parametrize("token", ["", "a secret\nX: y", "a secret", "密"])
def test_a_token_that_is_none_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(ValueError, match="the token is empty") as caught:
        EngineClient("http://127.0.0.1", token)
    assert not token or token not in str(caught.value)


async def test_a_client_that_was_not_opened_says_so() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await ask(EngineClient("http://127.0.0.1", TOKEN))


async def test_one_name_is_no_list_of_approvers(client: EngineClient) -> None:
    with pytest.raises(TypeError):
        await client.ask("1_1", "x", "zhangsan")


@pytest.mark.parametrize("action", [{"at": object()}, {1: "x"}, {"n": 2**53}, {"s": "\ud800"}])
async def test_an_action_that_two_programs_read_differently_is_not_sent(
    client: EngineClient, scripted: Scripted, action: Any
) -> None:
    with pytest.raises(ValueError):  # the words are the library's
        await client.ask("1_1", "x", ["zhangsan"], action=action)
    assert scripted.requests == []


# The token.


@CALLS
@pytest.mark.parametrize(
    "trouble",
    [hangs_up, says({}, 302), problem(401, "unauthorized"), says([]), says({}, 503)],
    ids=["hangs up", "302", "401", "nonsense", "503"],
)
async def test_neither_token_nor_permit_is_in_what_is_raised_or_logged(
    scripted: Scripted,
    time: Time,
    caplog: pytest.LogCaptureFixture,
    call: Any,
    path: str,
    trouble: Any,
) -> None:
    caplog.set_level(logging.DEBUG)
    scripted.then(trouble)
    async with client_of(scripted, time) as client:
        with pytest.raises(errors.EngineError) as caught:
            await call(client)
        shown = repr(client)
    error: BaseException | None = caught.value
    while error is not None:
        shown += repr(error) + str(error) + "".join(traceback.format_exception(error))
        shown += repr(vars(error))
        error = error.__cause__ or error.__context__
    for secret in (TOKEN, PERMIT.text):
        assert secret not in shown + repr(PERMIT) + caplog.text
    assert scripted.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"


async def test_what_is_not_http_at_all_shows_no_token(time: Time) -> None:
    """aiohttp's error for that holds the whole request, with its headers."""
    import asyncio

    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"garbage\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(garbage, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        patience = time.patience(call_s=0)
        async with EngineClient(f"http://127.0.0.1:{port}", TOKEN, patience=patience) as client:
            with pytest.raises(Unreachable) as caught:
                await client.look(APPROVAL_ID)
    error: BaseException | None = caught.value
    while error is not None:
        assert not isinstance(error, aiohttp.ClientError)
        assert TOKEN not in repr(error)
        error = error.__cause__ or error.__context__


async def test_a_session_that_was_lent_stays_open_and_its_own_manners_do_not_count(
    scripted: Scripted, time: Time
) -> None:
    scripted.then(problem(409, "conflicting-request"))
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        lent = EngineClient(scripted.url, TOKEN, session=session, patience=time.patience())
        async with lent as client:
            with pytest.raises(errors.ConflictingRequest):
                await ask(client)
        assert not session.closed
