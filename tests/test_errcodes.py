"""WeCom's table of error codes, whole, over real HTTP: what follows from each of them.

The table is written down here once more, from WeCom's documentation and not from our own.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import aiohttp
import pytest
from aiohttp import web

from adapters.simulator.refusals import WORDS
from adapters.simulator.run import serve
from adapters.simulator.tokens import Tokens
from adapters.simulator.wecom import SimulatedWeCom
from adapters.wecom.client import (
    Unreachable,
    WeComAccount,
    WeComAway,
    WeComClient,
    WeComError,
    WeComMisconfigured,
    WeComRefused,
)
from adapters.wecom.errcodes import REMEDIES
from tests.conftest import StartService
from tests.service import Clock, Service
from tests.test_sending import Pauses, calls, texts
from web import keys

FIVE_MINUTES_S = 300.0
Then = Literal["renewed", "again", "mended", "failed", "unreachable"]


@dataclass(frozen=True)
class Follows:
    """What follows from a code that WeCom answers a send with, once."""

    error: type[WeComError] | None
    """What the client raises; None: nothing, the second try was right."""
    then: Then
    """What becomes of the message."""
    retry_after_s: float = 0.0
    pauses: bool = False
    """No call of any kind for five minutes."""
    sends: int = 1
    """Calls of message/send until it is known what becomes of the message."""
    tokens: int = 1


RENEWED = Follows(None, "renewed", sends=2, tokens=2)
SOON = Follows(WeComAway, "again", sends=2)
IN_A_MINUTE = Follows(WeComAway, "again", retry_after_s=60.0, sends=2)
# An administrator has to mend something; until then …
STOPPED = Follows(WeComMisconfigured, "mended", pauses=True, sends=2)
STOPPED_HERE = Follows(WeComMisconfigured, "again", sends=2)
# Once in the words of the approval, once without a word from elsewhere.
NEVER = Follows(WeComRefused, "failed", sends=2)
NOT_THEM = Follows(Unreachable, "unreachable")

TABLE: dict[int, Follows] = {
    -1: SOON,
    6000: SOON,
    40001: STOPPED,
    40003: NOT_THEM,
    40008: NEVER,
    40013: STOPPED,
    40014: RENEWED,
    **dict.fromkeys(range(40016, 40028), NEVER),
    40029: NEVER,
    **dict.fromkeys([40031, 40032, 40033, 40035], NEVER),
    40056: STOPPED,
    40057: STOPPED,
    40058: NEVER,
    **dict.fromkeys([41001, 41002, 41004, 41008, 41016], NEVER),
    42001: RENEWED,
    42003: NEVER,
    42014: NEVER,
    **dict.fromkeys([42015, 42016, 42017], NEVER),
    **dict.fromkeys([42018, 42019, 42020], NEVER),
    42022: NEVER,
    **dict.fromkeys(range(42027, 42051), NEVER),
    43012: STOPPED_HERE,
    44004: NEVER,
    45002: NEVER,
    45009: IN_A_MINUTE,
    45033: SOON,
    46003: NEVER,  # success only for who asks for the menu
    46004: NOT_THEM,
    48002: STOPPED_HERE,
    50001: STOPPED_HERE,
    50003: STOPPED,
    60011: NOT_THEM,
    60020: STOPPED,
    60111: NOT_THEM,
    60140: NEVER,
    81012: NEVER,
    81013: NOT_THEM,
    82001: NEVER,
    82002: NEVER,
    82003: NEVER,
    82004: NEVER,
    85002: NEVER,
    85004: STOPPED_HERE,
    85005: STOPPED_HERE,
    301002: STOPPED,
}
UNKNOWN = [-2, 1, 40002, 99999, 2**31]
ALL = {**TABLE, **dict.fromkeys(UNKNOWN, NEVER)}
EVERY_CODE = pytest.mark.parametrize(
    ("code", "follows"),
    [pytest.param(code, follows, id=str(code)) for code, follows in ALL.items()],
)


@pytest.fixture
async def client(wecom: SimulatedWeCom, clock: Clock) -> AsyncIterator[WeComClient]:
    corp = wecom.settings
    account = WeComAccount(corp.corp_id, corp.agent_id, corp.secret)
    async with aiohttp.ClientSession() as session:
        yield WeComClient(session, wecom.url, account, clock.monotonic)  # type: ignore[attr-defined]  # set by the fixture


async def send(client: WeComClient, words: str = "请审核") -> WeComError | None:
    try:
        await client.send_text("zhangsan", words, once=False)
    except WeComError as error:
        return error
    return None


def test_the_table_is_whole_here_in_the_service_and_in_the_simulated_wecom() -> None:
    assert set(REMEDIES) == {0, *TABLE}
    assert set(WORDS) == set(TABLE)


# What the client makes of it.


@EVERY_CODE
async def test_what_the_client_raises_and_what_it_does_next(
    client: WeComClient, wecom: SimulatedWeCom, clock: Clock, code: int, follows: Follows
) -> None:
    wecom.script("message/send", code)
    error = await send(client)
    if follows.error is None:
        assert error is None
        assert texts(wecom, "zhangsan") == ["请审核"]
    else:
        assert type(error) is follows.error
        assert str(error).startswith(f"errcode {code}: ")
        assert _leaves_other_calls(error) is (follows is STOPPED_HERE)
        assert texts(wecom, "zhangsan") == []
    assert getattr(error, "retry_after_s", 0.0) == follows.retry_after_s
    assert calls(wecom, "gettoken") == follows.tokens
    await _the_next_call(client, wecom, clock, code, follows)


def _leaves_other_calls(error: WeComError | None) -> bool:
    """Whether a text may do where a card does not."""
    return isinstance(error, WeComMisconfigured) and error.is_about_one_kind_of_call


async def _the_next_call(
    client: WeComClient, wecom: SimulatedWeCom, clock: Clock, code: int, follows: Follows
) -> None:
    before = len(wecom.calls)
    if follows.pauses:
        clock.advance(seconds=FIVE_MINUTES_S - 0.1)
        assert type(await send(client, "第二条")) is WeComMisconfigured
        with pytest.raises(WeComMisconfigured):
            await client.call("menu/get", query={"agentid": "1000002"})
        assert len(wecom.calls) == before
        clock.advance(seconds=0.2)
    if follows.retry_after_s:
        clock.advance(seconds=follows.retry_after_s - 0.1)
        second = await send(client, "第二条")
        assert type(second) is WeComAway
        assert str(second).startswith(f"errcode {code}: ")
        assert round(second.retry_after_s, 3) == 0.1
        assert len(wecom.calls) == before
        clock.advance(seconds=0.2)
    assert await send(client, "第二条") is None
    assert len(wecom.calls) == before + 1
    assert texts(wecom, "zhangsan")[-1] == "第二条"
    assert client.problem is None


@EVERY_CODE
async def test_without_a_token_no_member_and_no_message_is_given_up(
    client: WeComClient, wecom: SimulatedWeCom, code: int, follows: Follows
) -> None:
    """Whatever the code says: at gettoken it is WeCom's trouble, or the configuration's."""
    wecom.script("gettoken", code)
    error = await send(client)
    may_come_back = follows in (SOON, IN_A_MINUTE, RENEWED)
    assert type(error) is (WeComAway if may_come_back else WeComMisconfigured)
    assert [call.path for call in wecom.calls] == ["gettoken"]
    assert not _leaves_other_calls(error)
    second = await send(client)
    asks_again = follows in (SOON, RENEWED)
    assert (second is None) is asks_again
    assert calls(wecom, "gettoken") == 1 + asks_again


async def test_the_limit_of_one_call_stops_no_other(
    client: WeComClient, wecom: SimulatedWeCom
) -> None:
    """WeCom counts each API apart."""
    wecom.script("message/send", 45009)
    assert type(await send(client)) is WeComAway
    await client.call("user/get", query={"userid": "zhangsan"})


@pytest.mark.parametrize("code", [40014, 42001])
async def test_a_token_that_is_refused_twice_is_renewed_once(
    client: WeComClient, wecom: SimulatedWeCom, code: int
) -> None:
    wecom.script("message/send", code, code, code, code)
    for tries in (1, 2):
        assert type(await send(client)) is WeComAway
        assert (calls(wecom, "message/send"), calls(wecom, "gettoken")) == (2 * tries, 1 + tries)


# Codes that are not written as WeCom writes them.


@dataclass
class Scripted:
    """A server in WeCom's place: a token, and then one body for every send."""

    body: dict[str, Any]
    sends: int = 0
    tokens: int = 0

    async def gettoken(self, request: web.Request) -> web.Response:
        self.tokens += 1
        return web.json_response({"access_token": "t", "expires_in": 7200, **self.body})

    async def send(self, request: web.Request) -> web.Response:
        self.sends += 1
        return web.json_response(self.body)


AS_WRITTEN = {
    "missing": ({}, None),
    "0": ({"errcode": 0}, None),
    "'0'": ({"errcode": "0"}, None),
    "'40058'": ({"errcode": "40058"}, WeComRefused),
    "'-1'": ({"errcode": "-1"}, WeComAway),
    "'81013'": ({"errcode": "81013"}, Unreachable),
    "null": ({"errcode": None}, WeComAway),
    "true": ({"errcode": True}, WeComAway),
    "a fraction": ({"errcode": 0.0}, WeComAway),
    "words": ({"errcode": "ok"}, WeComAway),
    "an empty text": ({"errcode": ""}, WeComAway),
    "other digits": ({"errcode": "０"}, WeComAway),
    "more digits than Python reads": ({"errcode": "9" * 5000}, WeComAway),
}


@pytest.mark.parametrize(("body", "error"), AS_WRITTEN.values(), ids=AS_WRITTEN.keys())
async def test_a_code_counts_as_digits_or_as_a_number_and_a_missing_one_is_success(
    clock: Clock, body: dict[str, Any], error: type[WeComError] | None
) -> None:
    raised = await _answered_with(Scripted(body), clock, token="ours")
    assert type(raised) is (error or type(None))


async def test_a_refused_secret_in_quotation_marks_stops_everything_too(clock: Clock) -> None:
    server = Scripted({"errcode": "40001"})
    for _ in range(2):
        assert type(await _answered_with(server, clock)) is WeComMisconfigured
    assert (server.tokens, server.sends) == (2, 0)  # once for each client


async def _answered_with(
    server: Scripted, clock: Clock, token: str | None = None
) -> WeComError | None:
    """What comes of two sends; with a token, gettoken is always right."""
    app = web.Application()
    app.router.add_post("/cgi-bin/message/send", server.send)
    own = Scripted({"access_token": token}) if token else server
    app.router.add_get("/cgi-bin/gettoken", own.gettoken)
    running = await serve(app, 0)
    async with aiohttp.ClientSession() as session:
        account = WeComAccount("ww0", 1, "s")
        client = WeComClient(session, running.url, account, clock.monotonic)
        errors = [await send(client), await send(client)]
    await running.stop()
    assert type(errors[0]) is type(errors[1])
    return errors[0]


# What becomes of a message, end to end.


@pytest.fixture
def sleep() -> Pauses:
    return Pauses()


@pytest.fixture
async def service(start: StartService) -> Service:
    """With one member who is asked."""
    return await start(super_approvers="")


@EVERY_CODE
async def test_what_becomes_of_the_message_that_asks(
    service: Service, wecom: SimulatedWeCom, sleep: Pauses, code: int, follows: Follows
) -> None:
    wecom.script("message/send", *[code] * (2 if follows is NEVER else 1))
    asked = await service.ask(approvers=["zhangsan"])
    if follows.then in ("again", "mended"):
        await sleep.begun(1)
        assert await _state(service, asked) == "pending"
        assert sleep.asked == [follows.retry_after_s or 1.0]
        if follows.then == "mended":
            sleep.over()  # too early: nothing is asked of WeCom
            await sleep.begun(1)
            assert calls(wecom, "message/send") == 1
            service.clock.advance(seconds=FIVE_MINUTES_S)
        service.clock.advance(seconds=follows.retry_after_s)
        sleep.over()
    told = (await service.notified(asked["approval_id"]))["notifications"]
    state = follows.then if follows.then in ("failed", "unreachable") else "sent"
    assert [to["state"] for to in told] == [state]
    assert (told[0]["detail"] or "").startswith("" if state == "sent" else f"errcode {code}: ")
    assert calls(wecom, "message/send") == follows.sends
    assert calls(wecom, "gettoken") == follows.tokens
    assert len(texts(wecom, "zhangsan")) == (state == "sent")


async def _state(service: Service, asked: Any) -> str:
    (told,) = (await service.look(asked["approval_id"]))["notifications"]
    return str(told["state"])


@pytest.mark.parametrize("code", [40001, 40013])
async def test_an_hour_with_a_wrong_account_gets_nobody_banned(
    start: StartService, wecom: SimulatedWeCom, clock: Clock, sleep: Pauses, code: int
) -> None:
    """Every queue goes on trying, and so do members who log in."""
    wecom.knobs.wrong_secrets_before_ban = 14
    if code == 40001:
        service = await start(wecom_secret="not-the-secret")
    else:
        service = await start()
        another_corp = replace(wecom.settings, corp_id="ww00000000000000ff")
        wecom.tokens = Tokens(another_corp, clock)
    asked = await service.ask(expires_in=7200)
    await sleep.begun(3)
    for _ in range(120):
        service.clock.advance(seconds=30)
        sleep.over()
        await sleep.begun(3)
        assert type(await _logs_in(service)) is WeComMisconfigured
    assert calls(wecom, "gettoken") == 13 == len(wecom.calls)
    assert {call.errcode for call in wecom.calls} == {code}
    now = await service.look(asked["approval_id"])
    assert [to["state"] for to in now["notifications"]] == ["pending"] * 3
    if code == 40001:  # nobody else at this address has to wait for an hour
        corp = wecom.settings
        assert wecom.tokens.issue(corp.corp_id, corp.secret, "127.0.0.1", wecom.knobs)


async def _logs_in(service: Service) -> WeComError | None:
    client = service.app[keys.OUTSIDE].wecom
    assert client is not None
    try:
        await client.member_of("some-login-code")
    except WeComError as error:
        return error
    return None


async def test_fifty_members_whose_limit_is_reached_ask_once_a_minute(
    start: StartService, wecom: SimulatedWeCom, sleep: Pauses
) -> None:
    """Each queue that asked for itself would make of one limit fifty calls, again and again."""
    service = await start(super_approvers="")
    wecom.script("gettoken", *[45009] * 1000)
    await asyncio.gather(
        *(service.ask(f"{n}_1", approvers=[f"member-{n}"], expires_in=7200) for n in range(50))
    )
    await sleep.begun(50)
    for _ in range(10):
        service.clock.advance(seconds=60)
        sleep.over()
        await sleep.begun(50)
    assert calls(wecom, "gettoken") == 11 == len(wecom.calls)
