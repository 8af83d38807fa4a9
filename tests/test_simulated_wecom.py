"""The stand-in for WeCom: each rule that the service's tests lean on. Source: wecom-protocol 10."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from adapters.simulator.app import create_wecom_app
from adapters.simulator.callbacks import write_xml
from adapters.simulator.corp import CorpSettings, Member, demo_members
from adapters.simulator.engine import EngineSettings
from adapters.simulator.knobs import XML_FORMS, Knobs
from adapters.simulator.run import start_engine, start_simulator
from adapters.simulator.wecom import SimulatedWeCom
from adapters.wecom.crypto import CallbackCrypto
from adapters.wecom.envelope import flat_elements, open_echo, open_post

NOON = datetime(2026, 1, 31, 4, 0, tzinfo=UTC)
Client = TestClient[web.Request, web.Application]
Json = dict[str, Any]
AGENT = 1000002


@dataclass
class FixedClock:
    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **how_long: float) -> None:
        self.now += timedelta(**how_long)


@dataclass
class Callback:
    """An application that opens what WeCom sends, and answers as a test wishes."""

    crypto: CallbackCrypto
    received: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    silent: int = 0
    """So many requests are cut off without an answer."""
    echo: Callable[[str], str] = str
    reply: str = ""

    async def verify(self, request: web.Request) -> web.Response:
        query = request.query
        echo = open_echo(
            self.crypto,
            query["msg_signature"],
            query["timestamp"],
            query["nonce"],
            query["echostr"],
        )
        return web.Response(text=self.echo(echo.decode()))

    async def receive(self, request: web.Request) -> web.Response:
        query, body = request.query, await request.read()
        inner = open_post(
            self.crypto, body, query["msg_signature"], query["timestamp"], query["nonce"]
        )
        self.received.append(inner.decode())
        self.bodies.append(body)
        if self.silent:
            self.silent -= 1
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200, text=self.reply)

    @property
    def last(self) -> dict[str, str]:
        return flat_elements(self.received[-1])


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
async def wecom(clock: FixedClock) -> SimulatedWeCom:
    settings = CorpSettings(
        trusted_hosts=frozenset({"approve.example.com"}),
        other_apps={"secret-of-another-app": 1000009},
    )
    return SimulatedWeCom(settings, clock=clock, knobs=Knobs(retry_spacing_s=0))


@pytest.fixture
async def api(wecom: SimulatedWeCom) -> AsyncIterator[Client]:
    server = TestServer(create_wecom_app(wecom))
    await server.start_server(access_log=None)  # it would hold secrets and tokens
    async with TestClient(server) as client:
        yield client


@pytest.fixture
async def callback(wecom: SimulatedWeCom, api: Client) -> AsyncIterator[Callback]:
    settings = wecom.settings
    crypto = CallbackCrypto(settings.token, settings.encoding_aes_key, settings.corp_id)
    callback = Callback(crypto)
    app = web.Application()
    app.router.add_get("/entry/", callback.verify)
    app.router.add_post("/entry/", callback.receive)
    async with TestServer(app) as server:
        assert (await wecom.save_callback(str(server.make_url("/entry/")))).ok
        yield callback


async def token(api: Client, secret: str = CorpSettings.secret) -> str:
    answer = await get(api, "gettoken", corpid=CorpSettings.corp_id, corpsecret=secret)
    return str(answer["access_token"])


async def get(api: Client, path: str, **query: str) -> Json:
    async with api.get(f"/cgi-bin/{path}", params=query) as answer:
        body: Json = await answer.json()
    return body


async def post(api: Client, path: str, body: Any, **query: str) -> Json:
    query.setdefault("access_token", await token(api))
    async with api.post(f"/cgi-bin/{path}", json=body, params=query) as answer:
        assert answer.status == 200
        told: Json = await answer.json()
    return told


def text(to: str, content: str = "hello", **more: Any) -> Json:
    return {
        "touser": to,
        "msgtype": "text",
        "agentid": AGENT,
        "text": {"content": content},
    } | more


def card(to: str, task_id: str = "t1", **changes: Any) -> Json:
    content = {
        "card_type": "button_interaction",
        "main_title": {"title": "替换故障机"},
        "task_id": task_id,
        "button_list": [
            {"text": "同意", "style": 1, "key": "approve"},
            {"text": "驳回", "style": 4, "key": "reject"},
        ],
    } | changes
    return {
        "touser": to,
        "msgtype": "template_card",
        "agentid": AGENT,
        "template_card": content,
    }


# Tokens.


@pytest.mark.parametrize(
    ("query", "errcode"),
    [
        ({}, 41004),
        ({"corpid": "ww0"}, 41004),
        ({"corpsecret": "x"}, 41002),
        ({"corpid": "ww0", "corpsecret": "x"}, 40013),
        ({"corpid": CorpSettings.corp_id, "corpsecret": "x"}, 40001),
    ],
)
async def test_gettoken_complains_in_this_order(
    api: Client, query: dict[str, str], errcode: int
) -> None:
    assert (await get(api, "gettoken", **query))["errcode"] == errcode


async def test_errors_are_http_200_with_a_tail_and_headers(api: Client) -> None:
    async with api.get("/cgi-bin/gettoken") as answer:
        body = await answer.json()
        assert answer.status == 200
        assert answer.headers["Error-Code"] == "41004"
        assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert "from ip: 127.0.0.1, more info at https://" in body["errmsg"]
    assert ", hint: [" in body["errmsg"]


async def test_an_unknown_path_is_404(api: Client) -> None:
    async with api.get("/cgi-bin/nonsense") as answer:
        assert answer.status == 404


async def test_many_wrong_secrets_ban_the_address_for_an_hour(
    api: Client, wecom: SimulatedWeCom, clock: FixedClock
) -> None:
    wecom.knobs.wrong_secrets_before_ban = 3
    wrong = {"corpid": CorpSettings.corp_id, "corpsecret": "wrong"}
    right = {"corpid": CorpSettings.corp_id, "corpsecret": CorpSettings.secret}
    codes = [(await get(api, "gettoken", **wrong))["errcode"] for _ in range(4)]
    assert codes == [40001, 40001, 40001, 45009]
    assert (await get(api, "gettoken", **right))["errcode"] == 45009
    clock.advance(hours=1)
    assert (await get(api, "gettoken", **right))["errcode"] == 0


async def test_a_token_goes_in_the_query_and_nowhere_else(api: Client) -> None:
    given = await token(api)
    async with api.post(
        "/cgi-bin/message/send",
        json=text("zhangsan", access_token=given),
        headers={"Authorization": f"Bearer {given}"},
    ) as answer:
        assert (await answer.json())["errcode"] == 41001
    assert (await post(api, "message/send", text("zhangsan"), access_token="no"))[
        "errcode"
    ] == 40014


async def test_a_token_lives_two_hours_and_is_the_same_meanwhile(
    api: Client, clock: FixedClock, wecom: SimulatedWeCom
) -> None:
    first = await token(api)
    assert await token(api) == first
    clock.advance(seconds=7199)
    assert (await post(api, "message/send", text("lisi"), access_token=first))["errcode"] == 0
    clock.advance(seconds=1)
    assert (await post(api, "message/send", text("lisi"), access_token=first))["errcode"] == 40014
    wecom.knobs.expired_token_code = 42001
    assert (await post(api, "message/send", text("lisi"), access_token=first))["errcode"] == 42001
    assert await token(api) != first


async def test_expired_early(api: Client, wecom: SimulatedWeCom) -> None:
    first = await token(api)
    wecom.expire_tokens()
    assert (await post(api, "message/send", text("lisi"), access_token=first))["errcode"] == 40014


async def test_the_token_of_another_application(api: Client) -> None:
    other = await token(api, "secret-of-another-app")
    assert (await post(api, "message/send", text("lisi"), access_token=other))["errcode"] == 301002
    assert (await post(api, "message/send", text("lisi", agentid=7)))["errcode"] == 40056


async def test_a_caller_outside_the_trusted_addresses(api: Client, wecom: SimulatedWeCom) -> None:
    wecom.knobs.trusted_ips = frozenset({"10.0.0.1"})
    answer = await post(api, "message/send", text("lisi"))
    assert answer["errcode"] == 60020
    assert "from ip: 127.0.0.1" in answer["errmsg"]


async def test_address_lists_stay_lists_when_refused(api: Client) -> None:
    assert (await get(api, "getcallbackip", access_token=await token(api)))["ip_list"]
    refused = await get(api, "get_api_domain_ip", access_token="no")
    assert (refused["errcode"], refused["ip_list"]) == (40014, [])


# Sending.


async def test_a_text_reaches_the_phone(api: Client, wecom: SimulatedWeCom) -> None:
    answer = await post(api, "message/send", text("zhangsan|LISI"))
    assert answer["errcode"] == 0
    assert answer["msgid"]
    assert "response_code" not in answer
    assert [m.text for m in wecom.inbox("zhangsan")] == ["hello"]
    assert [m.text for m in wecom.inbox("lisi")] == ["hello"]
    assert wecom.inbox("wangwu") == []


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        ("no object", 40058),
        (text("zhangsan", agentid=str(AGENT)), 40058),
        (text("zhangsan", agentid=None), 40058),
        (text(""), 82001),
        (text("|".join(f"u{n}" for n in range(1001))), 40032),
        (text("", toparty="|".join("1" * 101)), 82002),
        (text("", totag="|".join("1" * 101)), 82003),
        (text("zhangsan", msgtype="telegram"), 40008),
        (text("zhangsan", content=""), 44004),
        (text("zhangsan", msgtype="textcard"), 40058),
        (text("zhangsan", msgtype="textcard", textcard={"url": "http://x"}), 41016),
        (text("zhangsan", msgtype="markdown", markdown={"content": "x" * 2049}), 45002),
    ],
)
async def test_what_send_refuses(api: Client, body: Any, errcode: int) -> None:
    assert (await post(api, "message/send", body))["errcode"] == errcode


async def test_json_with_a_broken_syntax(api: Client) -> None:
    query = {"access_token": await token(api)}
    async with api.post("/cgi-bin/message/send", data=b"{", params=query) as answer:
        assert (await answer.json())["errcode"] == 40058


async def test_an_agent_id_as_text_where_the_knob_allows_it(
    api: Client, wecom: SimulatedWeCom
) -> None:
    wecom.knobs.agent_id_may_be_text = True
    assert (await post(api, "message/send", text("lisi", agentid=str(AGENT))))["errcode"] == 0


async def test_some_recipients_are_invalid(api: Client, wecom: SimulatedWeCom) -> None:
    wecom.show_only_to({"zhangsan"})
    answer = await post(api, "message/send", text("zhangsan|LiSi|Nobody", toparty="7", totag="3"))
    assert answer["errcode"] == 0
    assert answer["invaliduser"] == "lisi|nobody"
    assert (answer["invalidparty"], answer["invalidtag"]) == ("7", "3")


async def test_all_recipients_are_invalid(api: Client, wecom: SimulatedWeCom) -> None:
    wecom.show_only_to(set())
    answer = await post(api, "message/send", text("ZhangSan"))
    assert (answer["errcode"], answer["invaliduser"]) == (81013, "zhangsan")


async def test_everybody_and_departments_are_cut_to_the_visible_range(
    api: Client, wecom: SimulatedWeCom
) -> None:
    wecom.show_only_to({"zhangsan", "lisi"})
    await post(api, "message/send", text("@all"))
    await post(api, "message/send", text("", toparty="1"))
    assert [len(wecom.inbox(userid)) for userid in ("zhangsan", "lisi", "wangwu")] == [2, 2, 0]


async def test_a_member_without_a_licence(clock: FixedClock) -> None:
    members = (*demo_members()[:2], Member("wangwu", "王五", licensed=False))
    wecom = SimulatedWeCom(CorpSettings(members=members), clock=clock)
    answer = wecom.send(text("zhangsan|wangwu"), AGENT)
    assert answer["unlicenseduser"] == "wangwu"
    assert wecom.inbox("wangwu") == []


async def test_a_text_is_cut_at_2048_bytes(api: Client, wecom: SimulatedWeCom) -> None:
    assert (await post(api, "message/send", text("lisi", "审" * 700)))["errcode"] == 0
    shown = wecom.inbox("lisi")[0].text
    assert shown == "审" * 682 + "�"
    await post(api, "message/send", text("lisi", "x" * 2049))
    assert wecom.inbox("lisi")[1].text == "x" * 2048


async def test_the_31st_message_of_a_minute_is_dropped_silently(
    api: Client, wecom: SimulatedWeCom, clock: FixedClock
) -> None:
    for number in range(31):
        answer = await post(api, "message/send", text("lisi", str(number)))
        assert answer["errcode"] == 0
    assert len(wecom.inbox("lisi")) == 30
    assert [message.text for message in wecom.inboxes.dropped] == ["30"]
    clock.advance(seconds=60)
    await post(api, "message/send", text("lisi", "later"))
    assert wecom.inbox("lisi")[-1].text == "later"


async def test_more_than_a_thousand_an_hour_are_dropped(clock: FixedClock) -> None:
    wecom = SimulatedWeCom(clock=clock)
    for number in range(1001):
        wecom.send(text("lisi", str(number)), AGENT)
        clock.advance(seconds=2.1)
    assert len(wecom.inbox("lisi")) == 1000
    clock.advance(hours=1)
    wecom.send(text("lisi", "later"), AGENT)
    assert len(wecom.inbox("lisi")) == 1001


async def test_the_duplicate_check(api: Client, wecom: SimulatedWeCom, clock: FixedClock) -> None:
    checked: Json = {"enable_duplicate_check": 1, "duplicate_check_interval": 60}
    for _ in range(2):
        answer = await post(api, "message/send", text("lisi", **checked))
        assert answer["errcode"] == 0
        assert answer["msgid"]
    assert len(wecom.inbox("lisi")) == 1
    await post(api, "message/send", text("lisi", "another", **checked))
    await post(api, "message/send", text("lisi"))
    await post(api, "message/send", text("lisi"))
    assert len(wecom.inbox("lisi")) == 4
    clock.advance(seconds=60)
    await post(api, "message/send", text("lisi", **checked))
    assert len(wecom.inbox("lisi")) == 5


async def test_recall(api: Client, wecom: SimulatedWeCom, clock: FixedClock) -> None:
    first = await post(api, "message/send", text("lisi"))
    second = await post(api, "message/send", text("lisi"))
    assert (await post(api, "message/recall", {"msgid": first["msgid"]}))["errcode"] == 0
    assert [message.recalled for message in wecom.inbox("lisi")] == [True, False]
    clock.advance(hours=25)
    assert (await post(api, "message/recall", {"msgid": second["msgid"]}))["errcode"] == 40058
    assert (await post(api, "message/recall", {"msgid": "unknown"}))["errcode"] == 40058


# Cards.


async def test_a_card_needs_a_verified_callback(api: Client) -> None:
    assert (await post(api, "message/send", card("lisi")))["errcode"] == 43012


@pytest.mark.parametrize(
    ("changes", "errcode"),
    [
        ({"card_type": "pancake"}, 42031),
        ({"main_title": {}}, 41016),
        ({"task_id": ""}, 42014),
        ({"task_id": "不行"}, 42014),
        ({"task_id": "x" * 129}, 42014),
        ({"button_list": []}, 40058),
        ({"button_list": [{"text": "x", "key": str(n)} for n in range(7)]}, 40058),
        ({"button_list": [{"text": "x", "key": "a"}, {"text": "y", "key": "a"}]}, 42039),
        ({"button_list": [{"text": "x"}]}, 42039),
        ({"button_list": [{"key": "a"}]}, 42038),
        ({"horizontal_content_list": [{"keyname": "a"}] * 7}, 42035),
        ({"card_type": "text_notice"}, 42045),
        ({"action_menu": {"action_list": []}}, 40058),
        ({"button_selection": {"option_list": [{"id": "1"}]}}, 42043),
    ],
)
async def test_what_a_card_must_have(
    api: Client, callback: Callback, changes: Json, errcode: int
) -> None:
    assert (await post(api, "message/send", card("lisi", **changes)))["errcode"] == errcode


async def test_a_task_id_is_used_once(api: Client, callback: Callback) -> None:
    assert (await post(api, "message/send", card("lisi")))["errcode"] == 0
    assert (await post(api, "message/send", card("zhangsan")))["errcode"] == 42014
    assert (await post(api, "message/send", card("zhangsan", "t1@2")))["errcode"] == 0


async def test_a_wrong_button_style_becomes_one(
    api: Client, callback: Callback, wecom: SimulatedWeCom
) -> None:
    buttons = [{"text": "同意", "style": 9, "key": "approve"}]
    await post(api, "message/send", card("lisi", button_list=buttons))
    assert wecom.inbox("lisi")[0].content["button_list"][0]["style"] == 1


async def test_a_response_code_updates_once(
    api: Client, callback: Callback, wecom: SimulatedWeCom
) -> None:
    code = (await post(api, "message/send", card("zhangsan|lisi")))["response_code"]
    update = {
        "agentid": AGENT,
        "userids": ["ZhangSan", "WangWu"],
        "response_code": code,
        "button": {"replace_name": "已同意"},
    }
    answer = await post(api, "message/update_template_card", update)
    assert (answer["errcode"], answer["invaliduser"]) == (0, ["wangwu"])
    assert wecom.inbox("zhangsan")[0].button_caption == "已同意"
    assert wecom.inbox("lisi")[0].button_caption is None
    assert (await post(api, "message/update_template_card", update))["errcode"] == 60140


async def test_a_response_code_lives_72_hours(
    api: Client, callback: Callback, clock: FixedClock
) -> None:
    sent = [await post(api, "message/send", card("lisi", task_id)) for task_id in ("a", "b")]
    clock.advance(hours=72, seconds=-1)
    update = {"agentid": AGENT, "atall": 1, "button": {"replace_name": "x"}}
    codes = []
    for answer in sent:
        body = update | {"response_code": answer["response_code"]}
        codes.append((await post(api, "message/update_template_card", body))["errcode"])
        clock.advance(seconds=1)
    assert codes == [0, 60140]


async def test_an_update_replaces_the_whole_card_for_all(
    api: Client, callback: Callback, wecom: SimulatedWeCom
) -> None:
    code = (await post(api, "message/send", card("zhangsan|lisi")))["response_code"]
    new = {
        "card_type": "text_notice",
        "main_title": {"title": "已同意"},
        "card_action": {"type": 1, "url": "https://approve.example.com/"},
        "replace_text": "张三已同意",
    }
    body = {"agentid": AGENT, "atall": 1, "response_code": code, "template_card": new}
    assert (await post(api, "message/update_template_card", body))["errcode"] == 0
    shown = [wecom.inbox(userid)[0] for userid in ("zhangsan", "lisi")]
    assert [m.text for m in shown] == ["已同意", "已同意"]
    assert [m.button_caption for m in shown] == ["张三已同意", "张三已同意"]


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        ({"userids": "zhangsan|lisi", "button": {"replace_name": "x"}}, 40058),
        ({"atall": 1}, 40058),
        ({"atall": 1, "button": {"replace_name": "x"}, "response_code": "unknown"}, 60140),
        ({"atall": 1, "button": {"replace_name": "x"}, "agentid": "1000002"}, 40058),
        ({"userids": ["u"] * 1001, "button": {"replace_name": "x"}}, 40032),
        ({"partyids": ["1"], "button": {"replace_name": "x"}}, 40058),
        ({"partyids": [1] * 101, "button": {"replace_name": "x"}}, 82002),
        ({"tagids": [1] * 101, "button": {"replace_name": "x"}}, 82003),
    ],
)
async def test_what_an_update_must_have(
    api: Client, callback: Callback, body: Json, errcode: int
) -> None:
    whole = {"agentid": AGENT, "response_code": "unknown"} | body
    assert (await post(api, "message/update_template_card", whole))["errcode"] == errcode


async def test_a_tap_reports_the_button_with_a_fresh_code(
    api: Client, callback: Callback, wecom: SimulatedWeCom
) -> None:
    await post(api, "message/send", card("zhangsan|lisi", "approve_1_1@1"))
    delivery = await wecom.tap("zhangsan", "approve_1_1@1", "approve")
    assert delivery is not None
    assert delivery.answered
    event = callback.last
    assert (event["Event"], event["FromUserName"]) == ("template_card_event", "zhangsan")
    assert (event["EventKey"], event["TaskId"]) == ("approve", "approve_1_1@1")
    assert event["CardType"] == "button_interaction"
    assert "MsgId" not in event
    update = {
        "agentid": AGENT,
        "atall": 1,
        "response_code": event["ResponseCode"],
        "button": {"replace_name": "已同意"},
    }
    assert (await post(api, "message/update_template_card", update))["errcode"] == 0
    seen = len(callback.received)
    assert await wecom.tap("lisi", "approve_1_1@1", "reject") is None
    assert len(callback.received) == seen


async def test_the_code_of_the_message_and_those_of_the_taps_work_once_each(
    api: Client, callback: Callback, wecom: SimulatedWeCom
) -> None:
    codes = [(await post(api, "message/send", card("zhangsan")))["response_code"]]
    for _ in range(2):  # nothing has changed the card, so its buttons are still there
        await wecom.tap("zhangsan", "t1", "approve")
        codes.append(callback.last["ResponseCode"])
    assert len(set(codes)) == 3
    for code in codes:
        body = {"agentid": AGENT, "atall": 1, "button": {"replace_name": code[:4]}}
        answers = [
            await post(api, "message/update_template_card", body | {"response_code": code})
            for _ in range(2)
        ]
        assert [answer["errcode"] for answer in answers] == [0, 60140]
        assert wecom.inbox("zhangsan")[0].button_caption == code[:4]


async def test_the_code_of_a_tap_lives_72_hours_however_old_the_card_is(
    api: Client, callback: Callback, wecom: SimulatedWeCom, clock: FixedClock
) -> None:
    sent = (await post(api, "message/send", card("zhangsan")))["response_code"]
    clock.advance(hours=100)
    await wecom.tap("zhangsan", "t1", "approve")
    tapped = callback.last["ResponseCode"]
    clock.advance(hours=71)
    body = {"agentid": AGENT, "atall": 1, "button": {"replace_name": "已同意"}}
    codes = [
        (await post(api, "message/update_template_card", body | {"response_code": code}))["errcode"]
        for code in (sent, tapped)
    ]
    assert codes == [60140, 0]


async def test_an_update_that_is_refused_uses_no_code_up(
    api: Client, callback: Callback, wecom: SimulatedWeCom
) -> None:
    code = (await post(api, "message/send", card("zhangsan", "t1")))["response_code"]
    await post(api, "message/send", card("zhangsan", "t2"))
    body = {"agentid": AGENT, "atall": 1, "response_code": code}
    wrong = body | {"template_card": card("zhangsan", "t2")["template_card"]}
    assert (await post(api, "message/update_template_card", wrong))["errcode"] == 42014
    right = body | {"template_card": card("zhangsan", "t1", replace_text="x")["template_card"]}
    assert (await post(api, "message/update_template_card", right))["errcode"] == 0


async def test_an_update_may_name_departments(
    api: Client, callback: Callback, wecom: SimulatedWeCom
) -> None:
    sent = [await post(api, "message/send", card("zhangsan|lisi", t)) for t in ("a", "b")]
    body = {"agentid": AGENT, "button": {"replace_name": "x"}, "tagids": [3]}
    captions = []
    for answer, party in zip(sent, (2, 1), strict=True):
        body |= {"response_code": answer["response_code"], "partyids": [party]}
        assert (await post(api, "message/update_template_card", body))["invaliduser"] == []
        captions.append([m.button_caption for m in wecom.inbox("lisi")])
    assert captions == [[None, None], [None, "x"]]


async def test_a_tapped_card_looks_dead_until_an_update_comes_and_is_not(
    api: Client, callback: Callback, wecom: SimulatedWeCom
) -> None:
    code = (await post(api, "message/send", card("lisi")))["response_code"]
    await wecom.tap("lisi", "t1", "approve")
    shown = wecom.inbox("lisi")[0]
    assert (shown.tapped, shown.button_caption) == ("approve", None)
    async with api.get("/chat/lisi/messages") as answer:
        page = await answer.text()
    assert page.count(" disabled") == 2
    assert 'value="approve" disabled aria-busy="true"' in page
    assert await wecom.tap("lisi", "t1", "reject") is not None
    body = {"agentid": AGENT, "atall": 1, "button": {"replace_name": "已同意"}}
    await post(api, "message/update_template_card", body | {"response_code": code})
    assert (shown.tapped, shown.button_caption) == (None, "已同意")
    assert await wecom.tap("lisi", "t1", "reject") is None


async def test_a_tapped_card_that_no_update_comes_for_lives_again(
    api: Client, callback: Callback, wecom: SimulatedWeCom
) -> None:
    wecom.knobs.card_waits_s = 0.01
    await post(api, "message/send", card("lisi"))
    await wecom.tap("lisi", "t1", "approve")
    seen = wecom.changes.version
    async with asyncio.timeout(5):
        while wecom.inbox("lisi")[0].tapped is not None:
            await asyncio.sleep(0.01)
    assert wecom.changes.version > seen
    async with api.get("/chat/lisi/messages") as answer:
        assert " disabled" not in await answer.text()


async def test_a_tap_with_a_selection(
    api: Client, callback: Callback, wecom: SimulatedWeCom
) -> None:
    await post(api, "message/send", card("lisi"))
    await wecom.tap("lisi", "t1", "reject", {"reason": ["r1"]})
    assert "r1" in callback.received[-1]
    assert "<QuestionKey>" in callback.received[-1]


async def test_taps_that_cannot_be(api: Client, callback: Callback, wecom: SimulatedWeCom) -> None:
    await post(api, "message/send", card("lisi"))
    with pytest.raises(LookupError, match="no button"):
        await wecom.tap("lisi", "t1", "explode")
    with pytest.raises(LookupError, match="no card"):
        await wecom.tap("zhangsan", "t1", "approve")


@pytest.mark.parametrize(("knob", "caption"), [("honoured", "已同意"), ("ignored", None)])
async def test_a_passive_update_of_the_card(
    api: Client, callback: Callback, wecom: SimulatedWeCom, knob: Any, caption: str | None
) -> None:
    wecom.knobs.passive_card_reply = knob
    await post(api, "message/send", card("lisi"))
    callback.reply = sealed(
        callback.crypto,
        "<xml><MsgType>update_button</MsgType>"
        "<Button><ReplaceName><![CDATA[已同意]]></ReplaceName></Button></xml>",
    )
    await wecom.tap("lisi", "t1", "approve")
    assert wecom.inbox("lisi")[0].button_caption == caption


def sealed(crypto: CallbackCrypto, inner: str) -> str:
    encrypted = crypto.encrypt(inner.encode())
    signature = crypto.signature("1700000001", "n", encrypted)
    return (
        f"<xml><Encrypt>{encrypted}</Encrypt><MsgSignature>{signature}</MsgSignature>"
        "<TimeStamp>1700000001</TimeStamp><Nonce>n</Nonce></xml>"
    )


# Calling back.


async def test_a_member_writes(callback: Callback, wecom: SimulatedWeCom) -> None:
    delivery = await wecom.send_text("ZhangSan", "TY 1_1 ]]> <&", 7300000000000000001)
    assert [attempt.status for attempt in delivery.attempts] == [200]
    message = callback.last
    assert message["MsgType"] == "text"
    assert message["FromUserName"] == "ZhangSan"
    assert message["Content"] == "TY 1_1 ]]> <&"
    assert message["MsgId"] == "7300000000000000001"
    assert message["CreateTime"] == str(int(NOON.timestamp()))
    assert message["AgentID"] == str(AGENT)


async def test_message_ids_differ(callback: Callback, wecom: SimulatedWeCom) -> None:
    await wecom.send_text("lisi", "a")
    first = callback.last["MsgId"]
    await wecom.send_text("lisi", "b")
    assert callback.last["MsgId"] != first


async def test_callbacks_take_turns_in_how_their_xml_is_written(
    callback: Callback, wecom: SimulatedWeCom
) -> None:
    for _ in XML_FORMS:
        await wecom.send_text("lisi", "a & b")
    outer = [body.decode() for body in callback.bodies]
    assert [("CDATA" in xml, "\n" in xml) for xml in outer] == [
        (True, False),
        (False, False),
        (True, True),
        (False, True),
    ]
    assert [xml.index("AgentID") < xml.index("Encrypt") for xml in outer] == [
        True,
        True,
        False,
        False,
    ]
    assert {flat_elements(inner)["Content"] for inner in callback.received} == {"a & b"}


async def test_no_answer_is_tried_again_and_a_wrong_answer_is_not(
    callback: Callback, wecom: SimulatedWeCom
) -> None:
    callback.silent = 2
    delivery = await wecom.send_text("lisi", "TY 1_1")
    assert [attempt.status for attempt in delivery.attempts] == [None, None, 200]
    assert len(set(callback.bodies)) == 1
    callback.statuses = [500]
    delivery = await wecom.send_text("lisi", "TY 1_1")
    assert [attempt.status for attempt in delivery.attempts] == [500]
    assert not delivery.answered


async def test_retries_by_the_knobs(callback: Callback, wecom: SimulatedWeCom) -> None:
    wecom.knobs.retry_non_200 = True
    wecom.knobs.retry_encrypts_anew = True
    wecom.knobs.retries = 2
    callback.statuses = [500, 500, 500, 500]
    delivery = await wecom.send_text("lisi", "TY 1_1")
    assert [attempt.status for attempt in delivery.attempts] == [500, 500, 500]
    assert len(set(callback.bodies)) == 3
    assert len(set(callback.received)) == 1


async def test_an_answer_that_takes_too_long_is_tried_again(
    wecom: SimulatedWeCom, api: Client
) -> None:
    released = asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    app = web.Application()
    app.router.add_post("/", hang)
    wecom.knobs.callback_timeout_s = 0.01
    async with TestServer(app) as server:
        await wecom.save_callback(str(server.make_url("/")))
        delivery = await wecom.send_text("lisi", "TY 1_1")
        released.set()
    assert [attempt.error for attempt in delivery.attempts] == ["no answer within 0.01 s"] * 4


async def test_nobody_there_is_tried_four_times(
    wecom: SimulatedWeCom, api: Client, unused_tcp_port: int
) -> None:
    verification = await wecom.save_callback(f"http://127.0.0.1:{unused_tcp_port}/")
    assert not verification.ok
    delivery = await wecom.send_text("lisi", "TY 1_1")
    assert [attempt.status for attempt in delivery.attempts] == [None] * 4


async def test_duplicates_drops_and_another_order(
    callback: Callback, wecom: SimulatedWeCom
) -> None:
    wecom.knobs.duplicates = 1
    await wecom.send_text("lisi", "twice")
    assert len(callback.received) == 2
    wecom.knobs.duplicates = 0
    wecom.knobs.drop_callbacks = 1
    assert (await wecom.send_text("lisi", "lost")).attempts == ()
    wecom.knobs.hold_callbacks = True
    await wecom.send_text("lisi", "first")
    await wecom.send_text("lisi", "second")
    wecom.knobs.hold_callbacks = False
    assert len(await wecom.release_callbacks(reverse=True)) == 2
    contents = [flat_elements(inner)["Content"] for inner in callback.received]
    assert contents == ["twice", "twice", "second", "first"]


async def test_the_last_callback_again(callback: Callback, wecom: SimulatedWeCom) -> None:
    await wecom.send_text("lisi", "TY 1_1")
    await wecom.repeat_last()
    assert callback.received[0] == callback.received[1]
    assert callback.bodies[0] != callback.bodies[1]


async def test_a_passive_text_reply_reaches_the_member(
    callback: Callback, wecom: SimulatedWeCom
) -> None:
    inner = "<xml><MsgType>text</MsgType><Content><![CDATA[收到]]></Content></xml>"
    callback.reply = sealed(callback.crypto, inner)
    await wecom.send_text("lisi", "hello")
    assert [message.text for message in wecom.inbox("lisi")] == ["收到"]
    callback.reply = inner
    await wecom.send_text("lisi", "hello")
    assert len(wecom.inbox("lisi")) == 1


async def test_events(callback: Callback, wecom: SimulatedWeCom) -> None:
    await wecom.enter_agent("lisi")
    assert (callback.last["Event"], callback.last["EventKey"]) == ("enter_agent", "")
    await wecom.send_event("lisi", "subscribe")
    assert (callback.last["Event"], "EventKey" in callback.last) == ("subscribe", False)


@pytest.mark.parametrize(
    ("spoiled", "ok"),
    [
        (str, True),
        (lambda echo: f'"{echo}"', False),
        (lambda echo: echo + "\n", False),
        (lambda echo: "", False),
    ],
)
async def test_verification_compares_the_exact_body(
    callback: Callback, wecom: SimulatedWeCom, spoiled: Callable[[str], str], ok: bool
) -> None:
    callback.echo = spoiled
    assert (await wecom.verify_url()).ok is ok
    assert wecom.callback_verified is ok


async def test_it_never_calls_another_machine(wecom: SimulatedWeCom) -> None:
    with pytest.raises(ValueError, match="not on this machine"):
        await wecom.save_callback("https://approve.example.com/entry/")


# Menu.


def leaf(name: str = "审批列表", **more: Any) -> Json:
    return {"type": "view", "name": name, "url": "https://approve.example.com/todo/"} | more


@pytest.mark.parametrize(
    "button",
    [
        [],
        [leaf()] * 4,
        [leaf("审批列表六字")],
        [leaf(url="x" * 1025)],
        [leaf(type="click")],
        [leaf(type="click", key="x" * 129)],
        [leaf(type="dance")],
        [{"name": "更多", "sub_button": [leaf()] * 6}],
        [{"name": "更多", "type": "view", "sub_button": [leaf()]}],
        [{"name": "更多", "sub_button": [{"name": "x", "sub_button": [leaf()]}]}],
        [{"name": "更多", "sub_button": [leaf("x" * 41)]}],
    ],
)
async def test_menus_that_are_refused(api: Client, button: list[Json]) -> None:
    answer = await post(api, "menu/create", {"button": button}, agentid=str(AGENT))
    assert answer["errcode"] == 40058


async def test_a_menu_is_published_read_tapped_and_deleted(
    api: Client, wecom: SimulatedWeCom, callback: Callback
) -> None:
    query = {"access_token": await token(api), "agentid": str(AGENT)}
    assert (await get(api, "menu/get", **query))["errcode"] == 46003
    more = {"name": "更多", "sub_button": [leaf("我的待办", type="click", key="MINE")]}
    created = await post(api, "menu/create", {"button": [leaf(sub_button=[]), more]}, **query)
    assert created["errcode"] == 0
    shown = await get(api, "menu/get", **query)
    assert [button["name"] for button in shown["button"]] == ["审批列表", "更多"]
    await wecom.click_menu("lisi", "审批列表")
    assert callback.last["Event"] == "view"
    assert callback.last["EventKey"] == "https://approve.example.com/todo/"
    await wecom.click_menu("lisi", "MINE")
    assert (callback.last["Event"], callback.last["EventKey"]) == ("click", "MINE")
    assert (await get(api, "menu/delete", **query))["errcode"] == 0
    with pytest.raises(LookupError):
        await wecom.click_menu("lisi", "审批列表")


# Login.

AUTHORIZE = {
    "appid": CorpSettings.corp_id,
    "redirect_uri": "https://approve.example.com/cb?x=1&y=%2F",
    "response_type": "code",
    "scope": "snsapi_base",
    "state": "abc123",
    "agentid": str(AGENT),
}


async def sent_back(api: Client, path: str, query: dict[str, str]) -> str:
    async with api.get(path, params=query, allow_redirects=False) as answer:
        assert answer.status == 302
        return answer.headers["Location"]


async def logged_in(api: Client, **query: str) -> str:
    location = await sent_back(api, "/connect/oauth2/authorize", AUTHORIZE | query)
    return parse_qs(urlsplit(location).query)["code"][0]


async def test_login_sends_back_with_code_and_state(api: Client) -> None:
    location = await sent_back(api, "/connect/oauth2/authorize", AUTHORIZE | {"userid": "zhangsan"})
    assert location.startswith("https://approve.example.com/cb?x=1&y=%2F&code=")
    assert location.endswith("&state=abc123")
    code = parse_qs(urlsplit(location).query)["code"][0]
    query = {"access_token": await token(api), "code": code}
    assert (await get(api, "auth/getuserinfo", **query))["userid"] == "zhangsan"


async def test_a_code_works_once_and_for_five_minutes(api: Client, clock: FixedClock) -> None:
    query = {"access_token": await token(api), "code": await logged_in(api, userid="lisi")}
    assert (await get(api, "user/getuserinfo", **query))["UserId"] == "lisi"
    assert (await get(api, "auth/getuserinfo", **query))["errcode"] == 40029
    query["code"] = await logged_in(api, userid="lisi")
    clock.advance(minutes=5)
    assert (await get(api, "auth/getuserinfo", **query))["errcode"] == 40029


async def test_a_stranger_has_an_openid_and_no_userid(api: Client) -> None:
    query = {"access_token": await token(api), "code": await logged_in(api, userid="@outside")}
    answer = await get(api, "auth/getuserinfo", **query)
    assert answer["errcode"] == 0
    assert answer["openid"]
    assert "userid" not in answer


async def test_a_member_out_of_sight_logs_in_inside_wecom_only(
    api: Client, wecom: SimulatedWeCom
) -> None:
    wecom.show_only_to(set())
    query = {"access_token": await token(api), "code": await logged_in(api, userid="lisi")}
    assert (await get(api, "auth/getuserinfo", **query))["userid"] == "lisi"
    sso = {k: v for k, v in AUTHORIZE.items() if k not in ("response_type", "scope")}
    sso |= {"login_type": "CorpApp", "userid": "lisi"}
    async with api.get("/wwlogin/sso/login", params=sso) as answer:
        assert "没有权限" in await answer.text()


async def test_a_domain_that_is_no_longer_trusted(api: Client, wecom: SimulatedWeCom) -> None:
    query = {"access_token": await token(api), "code": await logged_in(api, userid="lisi")}
    wecom.trusted_hosts.clear()
    assert (await get(api, "auth/getuserinfo", **query))["errcode"] == 50001


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"appid": "ww0"}, "appid"),
        ({"scope": "all"}, "scope"),
        ({"response_type": "token"}, "response_type"),
        ({"redirect_uri": ""}, "redirect_uri"),
        ({"redirect_uri": "https://evil.example.com/cb"}, "redirect_uri参数错误"),
        ({"redirect_uri": "https://approve.example.com:8443/cb"}, "redirect_uri参数错误"),
        ({"state": "a-b"}, "state"),
    ],
)
async def test_logins_that_are_refused(api: Client, change: Json, words: str) -> None:
    query = AUTHORIZE | {"userid": "lisi"} | change
    async with api.get("/connect/oauth2/authorize", params=query) as answer:
        assert answer.status == 400
        assert words in (await answer.text()).replace(" 参数", "参数")


async def test_outside_wecom_any_state_comes_back_unchanged(api: Client) -> None:
    query = {
        "login_type": "CorpApp",
        "appid": CorpSettings.corp_id,
        "agentid": str(AGENT),
        "redirect_uri": "https://approve.example.com/cb",
        "state": "a+b/c=&d 测",
        "userid": "lisi",
    }
    location = await sent_back(api, "/wwlogin/sso/login", query)
    assert parse_qs(urlsplit(location).query)["state"] == ["a+b/c=&d 测"]
    del query["state"]
    assert (await sent_back(api, "/wwlogin/sso/login", query)).endswith("&state=")


async def test_without_a_phone_one_is_asked_and_with_one_not(api: Client) -> None:
    async with api.get("/connect/oauth2/authorize", params=AUTHORIZE) as answer:
        page = await answer.text()
    assert "张三" in page
    assert "userid=lisi" in page
    async with api.get("/chat/lisi") as answer:
        assert answer.status == 200
    query = {"access_token": await token(api), "code": await logged_in(api)}
    assert (await get(api, "auth/getuserinfo", **query))["userid"] == "lisi"


async def test_user_get(api: Client, wecom: SimulatedWeCom) -> None:
    query = {"access_token": await token(api)}
    assert (await get(api, "user/get", **query, userid="ZhangSan"))["name"] == "张三"
    assert (await get(api, "user/get", **query, userid="nobody"))["errcode"] == 60111
    wecom.show_only_to(set())
    assert (await get(api, "user/get", **query, userid="lisi"))["errcode"] == 60011


def test_user_get_tells_who_is_active() -> None:
    waiting = Member("lisi", "李四", status=4)
    assert SimulatedWeCom(CorpSettings(members=(waiting,))).user("lisi")["status"] == 4
    assert SimulatedWeCom().user("lisi")["status"] == 1


async def test_answers_bear_the_date_of_the_simulated_clock(api: Client, clock: FixedClock) -> None:
    clock.now = datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)
    for path in ("gettoken", "menu/get"):
        async with api.get(f"/cgi-bin/{path}") as answer:
            assert answer.headers.getall("Date") == ["Sat, 28 Feb 2026 23:59:59 GMT"]


# Bad days.


async def test_outages(api: Client, wecom: SimulatedWeCom) -> None:
    given = await token(api)

    async def send() -> aiohttp.ClientResponse:
        return await api.post(
            "/cgi-bin/message/send", json=text("lisi"), params={"access_token": given}
        )

    wecom.knobs.outage = "http-500"
    assert (await send()).status == 500
    wecom.knobs.outage = "html"
    assert (await send()).content_type == "text/html"
    wecom.knobs.outage = "busy"
    assert (await (await send()).json())["errcode"] == -1
    wecom.knobs.outage = "refuse"
    with pytest.raises(aiohttp.ClientConnectionError):
        await send()
    assert wecom.inbox("lisi") == []
    wecom.knobs.outage = "lost-answer"
    with pytest.raises(aiohttp.ClientConnectionError):
        await send()
    assert len(wecom.inbox("lisi")) == 1
    wecom.knobs.outage, wecom.knobs.slow_s = "slow", 0
    assert (await (await send()).json())["errcode"] == 0


async def test_an_outage_of_one_path_that_heals(api: Client, wecom: SimulatedWeCom) -> None:
    wecom.knobs = dataclasses.replace(
        wecom.knobs, outage="busy", outage_on="message/send", outage_calls=1
    )
    codes = [(await post(api, "message/send", text("lisi")))["errcode"] for _ in range(2)]
    assert codes == [-1, 0]


async def test_scripted_errors_and_the_record_of_calls(api: Client, wecom: SimulatedWeCom) -> None:
    wecom.script("message/send", 45009, -1)
    codes = [(await post(api, "message/send", text("lisi")))["errcode"] for _ in range(3)]
    assert codes == [45009, -1, 0]
    assert [call.errcode for call in wecom.calls if call.path == "message/send"] == codes
    assert wecom.calls[-1].payload["touser"] == "lisi"


# The same over HTTP, and the pages.


async def pull(api: Client, lever: str, **body: Any) -> tuple[int, Json]:
    async with api.post(f"/control/{lever}", json=body) as answer:
        return answer.status, await answer.json()


async def test_control_over_http(api: Client, wecom: SimulatedWeCom, callback: Callback) -> None:
    status, told = await pull(api, "send_text", userid="lisi", content="TY 1_1", msg_id=7)
    assert (status, told["status"], callback.last["MsgId"]) == (200, 200, "7")
    await post(api, "message/send", card("lisi"))
    async with api.get("/control/inbox/lisi") as answer:
        messages = (await answer.json())["messages"]
    assert [(m["kind"], m["task_id"], m["text"]) for m in messages] == [
        ("template_card", "t1", "替换故障机")
    ]
    _, told = await pull(api, "tap", userid="lisi", task_id="t1", key="approve")
    assert told["status"] == 200
    status, told = await pull(api, "knobs", outage="busy", trusted_ips=["127.0.0.1"])
    assert (status, told["outage"]) == (200, "busy")
    assert wecom.knobs.trusted_ips == frozenset({"127.0.0.1"})
    assert (await pull(api, "knobs", outage="none"))[1]["trusted_ips"] == ["127.0.0.1"]
    assert (await pull(api, "visible", userids=["lisi"]))[1] == {"userids": ["lisi"]}


@pytest.mark.parametrize(
    ("lever", "body"),
    [
        ("knobs", {"no_such_knob": 1}),
        ("knobs", {"retries": "many"}),
        ("send_text", {"userid": "lisi"}),
        ("tap", {"userid": "lisi", "task_id": "unknown", "key": "approve"}),
        ("callback", {"url": "https://approve.example.com/"}),
    ],
)
async def test_wrong_control_requests_say_what_is_wrong(
    api: Client, lever: str, body: Json
) -> None:
    status, told = await pull(api, lever, **body)
    assert status == 400
    assert told["error"]


async def test_the_chat_shows_words_as_words(
    api: Client, wecom: SimulatedWeCom, callback: Callback
) -> None:
    await post(api, "message/send", text("lisi", "<script>alert(1)</script> http://x.test/a?b=1"))
    await post(api, "message/send", card("lisi"))
    async with api.post("/chat/lisi/say", data={"content": "TY 1_1"}) as answer:
        page = await answer.text()
        assert "script-src" not in answer.headers["Content-Security-Policy"]
    assert callback.last["Content"] == "TY 1_1"
    assert "&lt;script&gt;" in page
    assert 'href="/chat/lisi/open?url=http%3A%2F%2Fx.test%2Fa%3Fb%3D1"' in page
    assert 'value="approve"' in page
    async with api.get("/") as answer:
        assert "李四" in await answer.text()


async def test_the_menu_opens_its_page_as_the_member(
    api: Client, wecom: SimulatedWeCom, callback: Callback
) -> None:
    wecom.create_menu({"button": [leaf()]}, AGENT, AGENT)
    form = {"entry": "审批列表"}
    async with api.post("/chat/wangwu/menu", data=form, allow_redirects=False) as answer:
        assert answer.headers["Location"] == "https://approve.example.com/todo/"
        assert answer.cookies["phone"].value == "wangwu"
    assert callback.last["Event"] == "view"


async def test_the_pages_say_who_holds_the_phone(api: Client) -> None:
    async with api.get("/") as answer:
        assert "你拿着" not in await answer.text()
    async with api.get("/chat/lisi") as answer:
        assert "你拿着李四的手机" in await answer.text()
    async with api.get("/") as answer:
        (row,) = [li for li in (await answer.text()).split("<li>") if "你拿着" in li]
    assert "李四" in row


async def test_another_sites_page_may_not_post(api: Client) -> None:
    headers = {"Origin": "https://evil.example.com"}
    async with api.post("/control/expire_tokens", headers=headers) as answer:
        assert answer.status == 403


async def test_pages_hear_of_changes(api: Client, wecom: SimulatedWeCom) -> None:
    async with api.get("/stream") as answer:
        first = await answer.content.readline()
        wecom.send(text("lisi"), AGENT)
        assert await answer.content.readline() == b"\n"
        second = await answer.content.readline()
    assert (first, second) == (b"data: 0\n", b"data: 1\n")


def test_xml_is_written_in_four_ways() -> None:
    assert write_xml([("A", "a]]>&"), ("B", 1)], "cdata") == (
        b"<xml><A><![CDATA[a]]]]><![CDATA[>&]]></A><B>1</B></xml>"
    )
    assert write_xml([("A", "a&"), ("B", [("C", 1)])], "plain-newlines") == (
        b"<xml>\n<A>a&amp;</A>\n<B><C>1</C></B>\n</xml>"
    )


async def test_both_start_on_a_real_socket_and_stop(wecom: SimulatedWeCom) -> None:
    simulator = await start_simulator(wecom)
    engine = await start_engine(EngineSettings(simulator.url, "an-engine-token-of-this-test"))
    async with aiohttp.ClientSession() as session:
        for url in (f"{simulator.url}/", f"{engine.url}/alarms"):
            async with session.get(url) as answer:
                assert answer.status == 200
    with pytest.raises(OSError, match="address already in use"):
        await start_simulator(wecom, urlsplit(engine.url).port or 0)
    await engine.stop()
    await simulator.stop()
