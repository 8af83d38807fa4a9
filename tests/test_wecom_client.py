"""The client of WeCom's API alone, against the simulated one and against answers of nobody's."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
import structlog
from aiohttp import web

from adapters.simulator.corp import CorpSettings, Member, demo_members
from adapters.simulator.run import serve, start_simulator
from adapters.simulator.wecom import SimulatedWeCom
from adapters.wecom.client import (
    MESSAGES_AT_ONCE,
    Unreachable,
    WeComAccount,
    WeComAway,
    WeComClient,
    WeComError,
    WeComMisconfigured,
    WeComRefused,
)
from tests import confidential
from tests.service import Clock

SECRET = "simulated-application-secret"
NewClient = Callable[..., WeComClient]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def new_client(
    session: aiohttp.ClientSession, wecom: SimulatedWeCom, clock: Clock
) -> Callable[..., WeComClient]:
    """A client of the simulated WeCom, or one that differs."""

    def new(
        url: str | None = None,
        secret: str = SECRET,
        corp_id: str = wecom.settings.corp_id,
        agent_id: int = wecom.settings.agent_id,
        **more: Any,
    ) -> WeComClient:
        own: str = wecom.url  # type: ignore[attr-defined]  # set by the fixture
        account = WeComAccount(corp_id, agent_id, confidential.note("application secret", secret))
        return WeComClient(session, url or own, account, clock.monotonic, **more)

    return new


@pytest.fixture
def client(new_client: NewClient) -> WeComClient:
    return new_client()


def calls(wecom: SimulatedWeCom, path: str) -> int:
    return sum(call.path == path for call in wecom.calls)


def texts(wecom: SimulatedWeCom, userid: str = "zhangsan") -> list[str]:
    return [message.text for message in wecom.inbox(userid)]


# Texts.


async def test_a_text_reaches_its_member_and_nobody_else(
    client: WeComClient, wecom: SimulatedWeCom
) -> None:
    await client.send_text("ZhangSan", "第一行\n第二行 < & \U0001f600", once=True)
    assert texts(wecom) == ["第一行\n第二行 < & \U0001f600"]
    assert texts(wecom, "lisi") == []
    assert client.problem is None
    call = wecom.calls[-1].payload
    assert (call["touser"], call["msgtype"], call["agentid"]) == ("ZhangSan", "text", 1000002)


async def test_what_is_sent_once_is_left_out_the_second_time_and_an_answer_never(
    client: WeComClient, wecom: SimulatedWeCom
) -> None:
    for _ in range(2):
        await client.send_text("zhangsan", "请审核", once=True)
        await client.send_text("zhangsan", "您已同意", once=False)
    assert texts(wecom) == ["请审核", "您已同意", "您已同意"]


@pytest.mark.parametrize("userid", ["zhaoliu", "lisi"])
async def test_a_member_who_is_unknown_or_outside_the_visible_range_is_unreachable(
    client: WeComClient, wecom: SimulatedWeCom, userid: str
) -> None:
    wecom.show_only_to({"zhangsan"})
    with pytest.raises(Unreachable):
        await client.send_text(userid, "请审核", once=True)


async def test_a_member_without_a_licence_is_unreachable(new_client: NewClient) -> None:
    members = (*demo_members()[:2], Member("wangwu", "王五", licensed=False))
    corp = SimulatedWeCom(CorpSettings(members=members))
    running = await start_simulator(corp)
    try:
        with pytest.raises(Unreachable):
            await new_client(running.url).send_text("wangwu", "请审核", once=True)
    finally:
        await running.stop()


# Errors; each code apart stands in test_errcodes.py.


async def test_the_address_that_wecom_saw_is_told(
    client: WeComClient, wecom: SimulatedWeCom
) -> None:
    """60020 is mended by entering it, so whoever reads the problem has to know it."""
    wecom.knobs.trusted_ips = frozenset()
    with pytest.raises(WeComMisconfigured, match=r"from ip: 127\.0\.0\.1"):
        await client.send_text("zhangsan", "请审核", once=True)
    assert client.problem is not None
    assert "127.0.0.1" in client.problem


@pytest.mark.parametrize("outage", ["refuse", "http-500", "html", "busy", "lost-answer"])
@pytest.mark.parametrize("path", ["gettoken", "message/send"])
async def test_wecom_away_is_told_and_forgotten_when_it_is_back(
    client: WeComClient, wecom: SimulatedWeCom, outage: Any, path: str
) -> None:
    wecom.knobs.outage, wecom.knobs.outage_on = outage, path
    with pytest.raises(WeComAway):
        await client.send_text("zhangsan", "请审核", once=True)
    assert client.problem is not None
    wecom.knobs.outage = "none"
    await client.send_text("zhangsan", "请审核", once=True)
    assert client.problem is None
    assert texts(wecom) == ["请审核"]


async def test_an_answer_that_takes_too_long_is_no_answer(
    new_client: NewClient, wecom: SimulatedWeCom
) -> None:
    wecom.knobs.outage, wecom.knobs.slow_s = "slow", 30
    with pytest.raises(WeComAway, match="TimeoutError"):
        await new_client(timeout_s=0.1).send_text("zhangsan", "请审核", once=True)


async def test_nobody_listening_is_away(new_client: NewClient) -> None:
    with pytest.raises(WeComAway):
        await new_client("http://127.0.0.1:1").send_text("zhangsan", "请审核", once=True)


# Answers that are not WeCom's.


@dataclass
class Answers:
    """A server that answers everything with the same."""

    response: Callable[[], web.Response]
    seen: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.seen.append(str(request.url))
        return self.response()


@pytest.fixture
async def answering() -> AsyncIterator[Callable[[Answers], Awaitable[str]]]:
    running = []

    async def start(answers: Answers) -> str:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answers.answer)
        running.append(await serve(app, 0))
        return running[-1].url

    yield start
    for server in running:
        await server.stop()


ODD: dict[str, Callable[[], web.Response]] = {
    "HTML with 200": lambda: web.Response(text="<html>login</html>", content_type="text/html"),
    "HTML with an unknown charset": lambda: web.Response(
        body=b"<html>\xff", headers={"Content-Type": "text/html; charset=klingon"}
    ),
    "empty": lambda: web.Response(text=""),
    "JSON that is a list": lambda: web.json_response([0]),
    "JSON that is a number": lambda: web.json_response(0),
    "JSON too deep to read": lambda: web.Response(text="[" * 100_000),
    "an errcode that is no number": lambda: web.json_response({"errcode": [], "access_token": "t"}),
    "no token": lambda: web.json_response({"errcode": 0, "errmsg": "ok"}),
    "an empty token": lambda: web.json_response({"errcode": 0, "access_token": ""}),
    "HTTP 503": lambda: web.json_response({"errcode": 0, "access_token": "t"}, status=503),
    "HTTP 404": lambda: web.Response(status=404),
    "bad bytes": lambda: web.Response(body=b"\xff\xfe\xfd"),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
async def test_what_is_no_answer_of_wecom_is_away(
    new_client: NewClient,
    answering: Callable[[Answers], Awaitable[str]],
    odd: Callable[[], web.Response],
) -> None:
    client = new_client(await answering(Answers(odd)))
    with pytest.raises(WeComAway):
        await client.send_text("zhangsan", "请审核", once=True)


async def test_a_redirect_is_not_followed(
    new_client: NewClient, answering: Callable[[Answers], Awaitable[str]]
) -> None:
    """It would carry the secret in its query to wherever it leads."""
    elsewhere = Answers(lambda: web.json_response({"errcode": 0}))
    target = await answering(elsewhere)
    client = new_client(
        await answering(Answers(lambda: web.Response(status=302, headers={"Location": target})))
    )
    with pytest.raises(WeComAway, match="302"):
        await client.send_text("zhangsan", "请审核", once=True)
    assert elsewhere.seen == []


async def test_the_proxy_of_the_settings_is_used_and_no_other(
    new_client: NewClient,
    answering: Callable[[Answers], Awaitable[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    proxy = Answers(lambda: web.json_response({"errcode": 0, "access_token": "t"}))
    client = new_client("http://wecom.invalid", proxy=await answering(proxy))
    await client.send_text("zhangsan", "请审核", once=True)
    assert [url.partition("?")[0] for url in proxy.seen] == [
        "http://wecom.invalid/cgi-bin/gettoken",
        "http://wecom.invalid/cgi-bin/message/send",
    ]


# The access token.


async def test_one_token_serves_many_sends_and_is_renewed_before_it_ends(
    client: WeComClient, wecom: SimulatedWeCom, clock: Clock
) -> None:
    wecom.knobs.same_token_while_valid = False
    for number in range(3):
        await client.send_text("zhangsan", f"第 {number} 条", once=True)
    assert calls(wecom, "gettoken") == 1
    clock.advance(seconds=7200 - 301)
    await client.send_text("zhangsan", "快到期", once=True)
    assert calls(wecom, "gettoken") == 1
    clock.advance(seconds=1)
    await client.send_text("zhangsan", "到期前", once=True)
    assert calls(wecom, "gettoken") == 2
    assert calls(wecom, "message/send") == 5


@pytest.mark.parametrize("code", [40014, 42001])
async def test_fifty_sends_whose_token_is_refused_fetch_one_new_token(
    client: WeComClient, wecom: SimulatedWeCom, code: Any
) -> None:
    wecom.knobs.expired_token_code = code
    wecom.knobs.per_member_a_minute = 100
    await client.send_text("zhangsan", "先", once=True)
    wecom.expire_tokens()
    wecom.calls.clear()
    await asyncio.gather(
        *(client.send_text("zhangsan", f"第 {number} 条", once=True) for number in range(50))
    )
    assert calls(wecom, "gettoken") == 1
    assert len(texts(wecom)) == 51


async def test_fifty_sends_fetch_one_new_token_also_when_its_text_is_the_old_one(
    client: WeComClient, wecom: SimulatedWeCom
) -> None:
    wecom.knobs.per_member_a_minute = 100
    await client.send_text("zhangsan", "先", once=True)
    wecom.calls.clear()
    wecom.script("message/send", *[40014] * 50)
    await asyncio.gather(
        *(client.send_text("zhangsan", f"第 {number} 条", once=True) for number in range(50))
    )
    assert calls(wecom, "gettoken") == 1
    assert calls(wecom, "message/send") == 100


async def test_fifty_sends_at_the_start_fetch_one_token(
    client: WeComClient, wecom: SimulatedWeCom
) -> None:
    await asyncio.gather(
        *(client.send_text("zhangsan", f"第 {number} 条", once=True) for number in range(50))
    )
    assert calls(wecom, "gettoken") == 1


async def test_fifty_sends_that_wait_for_a_token_share_its_failure(
    client: WeComClient, wecom: SimulatedWeCom
) -> None:
    """One after the other would wait for its own: fifty times the timeout."""
    wecom.knobs.outage, wecom.knobs.outage_on = "http-500", "gettoken"
    told = await asyncio.gather(
        *(client.send_text("zhangsan", "请审核", once=True) for _ in range(50)),
        return_exceptions=True,
    )
    assert {type(error) for error in told} == {WeComAway}
    assert calls(wecom, "gettoken") == 1
    wecom.knobs.outage = "none"
    await client.send_text("zhangsan", "请审核", once=True)
    assert texts(wecom) == ["请审核"]


# An error in the configuration.


@pytest.mark.parametrize(
    ("differs", "code"), [({"secret": "wrong"}, "40001"), ({"corp_id": "ww0"}, "40013")]
)
async def test_a_wrong_account_asks_once_in_five_minutes(
    new_client: NewClient, wecom: SimulatedWeCom, clock: Clock, differs: Any, code: str
) -> None:
    """Wrong secrets in a row ban the caller's address for an hour."""
    client = new_client(**differs)
    for _ in range(100):
        with pytest.raises(WeComMisconfigured, match=code):
            await client.send_text("zhangsan", "请审核", once=True)
    assert len(wecom.calls) == 1
    clock.advance(seconds=299.9)
    with pytest.raises(WeComMisconfigured, match=code):
        await client.send_text("zhangsan", "请审核", once=True)
    assert len(wecom.calls) == 1
    clock.advance(seconds=0.2)
    with pytest.raises(WeComMisconfigured, match=code):
        await client.send_text("zhangsan", "请审核", once=True)
    assert len(wecom.calls) == 2


async def test_fifty_sends_with_a_wrong_secret_ask_once(
    new_client: NewClient, wecom: SimulatedWeCom
) -> None:
    client = new_client(secret="wrong")
    told = await asyncio.gather(
        *(client.send_text("zhangsan", "请审核", once=True) for _ in range(50)),
        return_exceptions=True,
    )
    assert {type(error) for error in told} == {WeComMisconfigured}
    assert len(wecom.calls) == 1


async def test_after_five_minutes_a_mended_configuration_works(
    client: WeComClient, wecom: SimulatedWeCom, clock: Clock
) -> None:
    wecom.script("message/send", 60020)
    with pytest.raises(WeComMisconfigured):
        await client.send_text("zhangsan", "请审核", once=True)
    clock.advance(minutes=5)
    await client.send_text("zhangsan", "请审核", once=True)
    assert texts(wecom) == ["请审核"]
    assert client.problem is None


async def test_a_login_from_a_domain_that_is_not_trusted_does_not_stop_messages(
    client: WeComClient, wecom: SimulatedWeCom
) -> None:
    wecom.script("auth/getuserinfo", 50001)
    with pytest.raises(WeComMisconfigured):
        await client.member_of("some-code")
    await client.send_text("zhangsan", "请审核", once=True)
    assert texts(wecom) == ["请审核"]


# Logins.


async def test_a_code_of_nobody_is_refused(client: WeComClient) -> None:
    with pytest.raises(WeComRefused, match="40029"):
        await client.member_of("never-given")


@pytest.mark.parametrize(
    ("answer", "userid"),
    [
        ({"userid": "zhangsan"}, "zhangsan"),
        ({"UserId": "ZhangSan", "DeviceId": ""}, "ZhangSan"),
        ({"openid": "o1", "external_userid": "e1"}, None),
        ({"OpenId": "o1"}, None),
        ({"userid": ""}, None),
    ],
)
async def test_who_logged_in_is_a_member_or_nobody(
    new_client: NewClient,
    answering: Callable[[Answers], Awaitable[str]],
    answer: dict[str, str],
    userid: str | None,
) -> None:
    body = {"errcode": 0, "access_token": "t", **answer}
    client = new_client(await answering(Answers(lambda: web.json_response(body))))
    assert await client.member_of("code") == userid


# Secrets.


async def test_no_error_and_no_log_holds_a_secret_or_a_token(
    new_client: NewClient, wecom: SimulatedWeCom, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    with structlog.testing.capture_logs() as logs:
        client = new_client(timeout_s=0.2)
        for outage in ("refuse", "http-500", "html", "busy", "lost-answer", "slow"):
            wecom.knobs.outage = outage
            for path in ("gettoken", "message/send"):
                wecom.knobs.outage_on = path
                told += await _every_failure(client)
        wecom.knobs.outage = "none"
        for code in (40001, 40014, 42001, 60020, 81013, 45009, 40058):
            wecom.script("message/send", code, code)
            told += await _every_failure(client)
            clock.advance(minutes=5)
        told += await _every_failure(new_client(secret="wrong-but-still-a-secret"))
        told += await _every_failure(new_client("http://127.0.0.1:1"))
    given = list(wecom.tokens.given)
    assert len(told) > 15
    assert given
    for text in (*told, caplog.text, str(logs), repr(client._account), repr(client._token)):
        for secret in (SECRET, "wrong-but-still-a-secret", "some-login-code", *given):
            assert secret not in text
        assert "access_token=" not in text
        assert "corpsecret" not in text


async def _every_failure(client: WeComClient) -> list[str]:
    """Errors with their causes, as a log would write them."""
    told = []
    for call in (client.send_text("zhangsan", "x", once=True), client.member_of("some-login-code")):
        try:
            await call
        except WeComError as error:
            told.append(f"{error!r} {error} {error.__cause__!r} {error.__context__!r}")
            told.append(str(client.problem))
    return told


async def test_who_logs_in_waits_for_no_messages(
    new_client: NewClient, wecom: SimulatedWeCom
) -> None:
    client = new_client(wecom.url)  # type: ignore[attr-defined]  # set by the fixture
    await client.fetch_token()
    wecom.knobs.outage, wecom.knobs.outage_on = "slow", "message/send"
    wecom.knobs.slow_s = 1.0
    sending = [
        asyncio.create_task(client.send_text("zhangsan", str(number), once=False))
        for number in range(MESSAGES_AT_ONCE + 10)
    ]
    await asyncio.sleep(0)
    with pytest.raises(WeComRefused, match="40029"):
        await client.member_of("no-code")
    assert not any(task.done() for task in sending)
    await asyncio.gather(*sending)
