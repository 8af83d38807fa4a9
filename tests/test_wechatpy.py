"""wechatpy as an independent counterpart, both ways: its encryption, and how it reads a message.

It knows WeCom as it was when cards were new; where it reads less than we do, that is said here.
"""

import json
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import pytest
from aiohttp import web
from defusedxml.ElementTree import fromstring

from adapters.simulator.callbacks import Delivery
from adapters.simulator.knobs import XML_FORMS, XmlForm
from adapters.simulator.run import serve
from adapters.simulator.wecom import SimulatedWeCom
from adapters.wecom.crypto import CallbackCrypto
from adapters.wecom.events import MEANINGS, NOT_TEXTS
from adapters.wecom.inbound import Event, OtherMessage, TextMessage, parse
from tests import confidential
from tests.service import Service

FILE = json.loads((Path(__file__).parent / "wecom-vectors.json").read_text("utf-8"))
MESSAGES = [
    pytest.param(vector, id=vector["id"])
    for vector in FILE["vectors"]
    if vector["kind"] in ("message_post", "event_post")
]

TOKEN = "SimToken0123456789"
KEY = "FwaiPBEkVOIwwMTSxq3nnJ1ddRDEA6FAeIoVATeAN68"
CORP = "ww0123456789abcdef"
OURS = CallbackCrypto(TOKEN, KEY, CORP)
NONCE = "VHh7ymSeb0jc4lSb"

# Its limits: kinds that were not there yet, or that it gives no class. It reads their XML all the
# same; what is in it we ask of its reader.
NO_CLASS = {
    "file",
    *("template_card_event", "template_card_menu_event", "taskcard_click"),
    *("view_miniprogram", "change_contact", "open_approval_change"),
    *("share_agent_change", "share_chain_change"),
    *("close_inactive_agent", "inactive_alert", "low_active_alert", "low_active"),
    *("reopen_inactive_agent", "active_restored"),
}
NO_AGENT = NO_CLASS | {"batch_job_result"}
KEY_OF = {"click": "key", "view": "url", "subscribe": "key"}  # what it calls the EventKey


@dataclass(frozen=True)
class Wechatpy:
    """What the tests use of it."""

    crypto: Callable[[str, str, str], Any]
    parse_message: Callable[[str], Any]


@pytest.fixture(scope="module")
def wechatpy() -> Wechatpy:
    with warnings.catch_warnings():
        # Unmaintained, it imports what newer Pythons deprecate; that is its concern, not ours.
        warnings.simplefilter("ignore", DeprecationWarning)
        import wechatpy.replies  # noqa: F401 - else encrypt_message imports it outside this block
        from wechatpy.enterprise import parse_message
        from wechatpy.enterprise.crypto import WeChatCrypto
    return Wechatpy(WeChatCrypto, parse_message)


@pytest.fixture
def theirs(wechatpy: Wechatpy) -> Any:
    return wechatpy.crypto(TOKEN, KEY, CORP)


# The encryption alone.


@pytest.mark.parametrize("text", ["hello", "同意 100_2 👍", "x" * 5000, " <&]]> \n"])
def test_wechatpy_reads_what_we_encrypt(theirs: Any, text: str) -> None:
    encrypted = OURS.encrypt(text.encode())
    signature = OURS.signature("1700000000", "abc", encrypted)
    message = {"Encrypt": encrypted}

    assert theirs.decrypt_message(message, signature, "1700000000", "abc") == text
    assert theirs.check_signature(signature, "1700000000", "abc", encrypted) == text


@pytest.mark.parametrize("text", ["hello", "同意 100_2 👍", "x" * 5000, " <&]]> \n"])
def test_we_read_what_wechatpy_encrypts(theirs: Any, text: str) -> None:
    sealed = fromstring(theirs.encrypt_message(text, "abc", "1700000000"))
    encrypted = sealed.findtext("Encrypt")

    OURS.verify(sealed.findtext("MsgSignature"), "1700000000", "abc", encrypted)
    assert OURS.decrypt(encrypted).decode() == text


@pytest.mark.parametrize(
    "vector", [pytest.param(vector, id=vector["id"]) for vector in FILE["vectors"]]
)
def test_wechatpy_opens_every_vector(wechatpy: Wechatpy, vector: dict[str, Any]) -> None:
    crypto = wechatpy.crypto(vector["token"], vector["encoding_aes_key"], vector["receiveid"])
    given = (vector["msg_signature"], vector["timestamp"], vector["nonce"], vector["encrypt"])
    assert crypto.check_signature(*given) == vector["expected_plaintext"]


# Its envelopes, to our running service.


def of_corp(wechatpy: Wechatpy, wecom: SimulatedWeCom) -> Any:
    corp = wecom.settings
    return wechatpy.crypto(corp.token, corp.encoding_aes_key, corp.corp_id)


def sealed_by(theirs: Any, service: Service, inner: str) -> tuple[dict[str, str], str, str]:
    """Query, and body both as wechatpy writes it and as WeCom does."""
    confidential.note("decrypted message", inner)
    timestamp = str(int(service.clock().timestamp()))
    whole = theirs.encrypt_message(inner, NONCE, timestamp)
    read = fromstring(whole)
    query = {
        "msg_signature": read.findtext("MsgSignature"),
        "timestamp": timestamp,
        "nonce": NONCE,
    }
    as_wecom = (
        f"<xml><ToUserName><![CDATA[{CORP}]]></ToUserName><AgentID><![CDATA[1000002]]></AgentID>"
        f"<Encrypt><![CDATA[{read.findtext('Encrypt')}]]></Encrypt></xml>"
    )
    return query, whole, as_wecom


def said(words: str, msg_id: int, service: Service) -> str:
    return (
        f"<xml><ToUserName><![CDATA[{CORP}]]></ToUserName>"
        "<FromUserName><![CDATA[zhangsan]]></FromUserName>"
        f"<CreateTime>{int(service.clock().timestamp())}</CreateTime>"
        f"<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{words}]]></Content>"
        f"<MsgId>{msg_id}</MsgId><AgentID>1000002</AgentID></xml>"
    )


async def post(service: Service, query: dict[str, str], body: str) -> tuple[int, bytes]:
    url = f"{service.base}/wechat/entry/"
    async with service.http.post(url, params=query, data=body.encode()) as answer:
        return answer.status, await answer.read()


async def test_replies_that_wechatpy_sealed_decide(service: Service, wechatpy: Wechatpy) -> None:
    theirs = of_corp(wechatpy, service.wecom)
    approved, rejected = await service.ask("1_1"), await service.ask("2_1")
    query, whole, _ = sealed_by(theirs, service, said("TY 1_1", 1, service))
    assert await post(service, query, whole) == (200, b"")
    query, _, as_wecom = sealed_by(theirs, service, said("BH 2_1 磁盘没满 👍 <&>", 2, service))
    assert await post(service, query, as_wecom) == (200, b"")
    first = await service.look(approved["approval_id"])
    second = await service.look(rejected["approval_id"])
    assert (first["status"], first["decided_by"]) == ("approved", "zhangsan")
    assert (second["status"], second["reason"]) == ("rejected", "磁盘没满 👍 <&>")


@pytest.mark.parametrize("differs", ["token", "key", "corp"])
async def test_what_wechatpy_sealed_with_another_secret_is_turned_away(
    service: Service, wechatpy: Wechatpy, differs: str
) -> None:
    corp = service.wecom.settings
    secrets = {"token": corp.token, "key": corp.encoding_aes_key, "corp": corp.corp_id}
    others = {"token": TOKEN, "key": KEY, "corp": "ww00000000000000ff"}
    theirs = wechatpy.crypto(*{**secrets, differs: others[differs]}.values())
    asked = await service.ask("1_1")
    query, _, body = sealed_by(theirs, service, said("TY 1_1", 1, service))
    assert await post(service, query, body) == (403, b"")
    assert (await service.look(asked["approval_id"]))["status"] == "pending"


async def test_an_address_that_wechatpy_verifies_is_verified(
    service: Service, wechatpy: Wechatpy
) -> None:
    theirs = of_corp(wechatpy, service.wecom)
    for echo in ("1616140317555161061", "12345678901234567890123", "9" * 25):  # pads of every kind
        read = fromstring(theirs.encrypt_message(echo, NONCE, "1409659589"))
        query = {
            "msg_signature": read.findtext("MsgSignature"),
            "timestamp": "1409659589",
            "nonce": NONCE,
            "echostr": read.findtext("Encrypt"),
        }
        url = f"{service.base}/wechat/entry/"
        async with service.http.get(url, params=query) as answer:
            assert (answer.status, await answer.text()) == (200, echo)


# The simulated WeCom's envelopes, to an application that is written with wechatpy.


@dataclass
class Application:
    """Verifies its address and opens what comes, as wechatpy's manual tells one to."""

    crypto: Any
    opened: list[str] = field(default_factory=list)

    async def verify(self, request: web.Request) -> web.Response:
        return web.Response(
            text=self.crypto.check_signature(*_signed(request), request.query["echostr"])
        )

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.text()
        self.opened.append(self.crypto.decrypt_message(body, *_signed(request)))
        return web.Response()


def _signed(request: web.Request) -> tuple[str, str, str]:
    query = request.query
    return query["msg_signature"], query["timestamp"], query["nonce"]


@pytest.fixture
async def application(wecom: SimulatedWeCom, wechatpy: Wechatpy) -> AsyncIterator[Application]:
    """The simulated WeCom has verified it."""
    running_one = Application(of_corp(wechatpy, wecom))
    app = web.Application()
    app.router.add_get("/entry", running_one.verify)
    app.router.add_post("/entry", running_one.receive)
    running = await serve(app, 0)
    verification = await wecom.save_callback(f"{running.url}/entry")
    assert verification.ok, verification.why
    yield running_one
    await running.stop()


Act = Callable[[SimulatedWeCom], Awaitable[Delivery | None]]
CARD = {
    "card_type": "button_interaction",
    "main_title": {"title": "待您审批"},
    "task_id": "approve_100_2@1",
    "button_list": [{"text": "同意", "style": 1, "key": "approve/100_2"}],
    "button_selection": {
        "question_key": "why",
        "option_list": [{"id": "r1", "text": "一"}, {"id": "r2", "text": "二"}],
    },
    "action_menu": {"desc": "更多", "action_list": [{"text": "静音", "key": "mute"}]},
}
MENU = [
    {"type": "view", "name": "审批列表", "url": "https://example.com/todo/?a=1&b=<2>"},
    {"type": "click", "name": "等待我的", "key": "MY_PENDING"},
]


def with_card(act: Act) -> Act:
    async def acted(wecom: SimulatedWeCom) -> Delivery | None:
        body = {"touser": "zhangsan", "msgtype": "template_card", "agentid": 1000002}
        wecom.send({**body, "template_card": CARD}, 1000002)
        return await act(wecom)

    return acted


def text(words: str) -> Act:
    return lambda wecom: wecom.send_text("zhangsan", words)


def event(kind: str, userid: str = "zhangsan") -> Act:
    return lambda wecom: wecom.send_event(userid, kind, [("EventKey", f"key of <{kind}>")])


def other(kind: str) -> Act:
    return lambda wecom: wecom.send_message("lisi", kind, [("MediaId", "m1")])


FROM_SYS = [kind for kind in MEANINGS if "active" in kind or kind.endswith("change")]
ACTS: dict[str, Act] = {
    "a text": text("TY 12345_2"),
    "Chinese": text("同意 １２３＿２ 👍 \u2028 末尾"),
    "mark-up": text("<xml>&amp;]]></Content><Content>TY 1_1"),
    "lines": text("第一行\n第二行\t末尾"),
    "a long text": text("清" * 680),
    "entering": lambda wecom: wecom.enter_agent("lisi"),
    "an entry that opens": lambda wecom: wecom.click_menu("wangwu", "审批列表"),
    "an entry that asks": lambda wecom: wecom.click_menu("wangwu", "MY_PENDING"),
    "a tap": with_card(lambda wecom: wecom.tap("zhangsan", "approve_100_2@1", "approve/100_2")),
    "a tap with a choice": with_card(
        lambda wecom: wecom.tap(
            "zhangsan", "approve_100_2@1", "approve/100_2", {"why": ["r1", "r2"]}
        )
    ),
    "a tap on the menu of a card": with_card(
        lambda wecom: wecom.tap("zhangsan", "approve_100_2@1", "mute", menu=True)
    ),
    **{kind: event(kind, "sys" if kind in FROM_SYS else "zhangsan") for kind in MEANINGS},
    "in capitals": event("CLICK"),
    **{f"{kind} message": other(kind) for kind in NOT_TEXTS},
}


@pytest.mark.parametrize("form", XML_FORMS)
@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS.keys())
async def test_wechatpy_opens_and_reads_what_the_simulated_wecom_sends_as_we_do(
    application: Application, wecom: SimulatedWeCom, wechatpy: Wechatpy, act: Act, form: XmlForm
) -> None:
    wecom.menu = MENU
    wecom.knobs.xml_forms = (form,)
    delivery = await act(wecom)
    assert delivery is not None
    assert (delivery.status, len(delivery.attempts)) == (200, 1)
    assert application.opened == [delivery.inner.decode()]
    both_read_the_same(wechatpy, delivery.inner)


# One inner message, read by both.


@pytest.mark.parametrize("vector", MESSAGES)
def test_wechatpy_reads_every_vector_as_we_do(wechatpy: Wechatpy, vector: dict[str, Any]) -> None:
    both_read_the_same(wechatpy, vector["expected_plaintext"].encode())


def test_wechatpy_reads_a_tap_on_an_old_card_as_we_do(wechatpy: Wechatpy) -> None:
    """WeCom spells its AgentId otherwise than that of every other event."""
    inner = (
        f"<xml><ToUserName><![CDATA[{CORP}]]></ToUserName><FromUserName><![CDATA[lisi]]>"
        "</FromUserName><CreateTime>1700000000</CreateTime><MsgType><![CDATA[event]]></MsgType>"
        "<Event><![CDATA[taskcard_click]]></Event><EventKey><![CDATA[approve]]></EventKey>"
        "<TaskId><![CDATA[approve_100_2]]></TaskId><AgentId>1000002</AgentId></xml>"
    )
    both_read_the_same(wechatpy, inner.encode())


def both_read_the_same(wechatpy: Wechatpy, inner: bytes) -> None:
    ours, theirs = parse(inner), wechatpy.parse_message(inner.decode())
    raw = {name: value or "" for name, value in theirs._data.items()}
    assert (ours.from_user, ours.to_user) == (theirs.source, theirs.target)
    assert ours.created == theirs.time
    kind = ours.event if isinstance(ours, Event) else _kind(ours)
    assert (theirs.type == "unknown") is (kind in NO_CLASS), kind
    if kind in NO_AGENT:
        assert ours.agent_id == (raw.get("AgentID") or raw["AgentId"])
    else:
        assert ours.agent_id == str(theirs.agent)
    match ours:
        case TextMessage():
            assert theirs.type == "text"
            assert (ours.content.strip(), ours.msg_id) == (theirs.content, str(theirs.id))
        case OtherMessage():
            assert ours.msg_type == (raw["MsgType"] if kind in NO_CLASS else theirs.type)
            assert ours.msg_id == str(theirs.id)
        case Event():
            _the_same_event(ours, theirs, raw)


def _the_same_event(ours: Event, theirs: Any, raw: dict[str, Any]) -> None:
    assert ours.event == (raw["Event"].lower() if ours.event in NO_CLASS else theirs.event)
    name = KEY_OF.get(ours.event)
    assert ours.event_key == ((getattr(theirs, name) or "") if name else raw.get("EventKey", ""))
    assert ours.task_id == raw.get("TaskId", "")
    assert ours.card_type == raw.get("CardType", "")
    assert ours.response_code == raw.get("ResponseCode", "")


def _kind(message: TextMessage | OtherMessage) -> str:
    return "text" if isinstance(message, TextMessage) else message.msg_type


# Where wechatpy reads less.


def test_of_a_text_wechatpy_drops_the_blanks_around_it(wechatpy: Wechatpy, a_text: str) -> None:
    inner = a_text.replace("WORDS", "  TY 1_1\n ")
    ours, theirs = parse(inner.encode()), wechatpy.parse_message(inner)
    assert isinstance(ours, TextMessage)
    assert (ours.content, theirs.content) == ("  TY 1_1\n ", "TY 1_1")


def test_wechatpy_cannot_read_a_control_character_that_a_member_can_type(
    wechatpy: Wechatpy, a_text: str
) -> None:
    inner = a_text.replace("WORDS", "TY\x1d1_1")
    with pytest.raises(ExpatError):
        wechatpy.parse_message(inner)
    ours = parse(inner.encode())
    assert isinstance(ours, TextMessage)
    assert ours.content == "TY 1_1"


@pytest.fixture
def a_text() -> str:
    """A text of WORDS, as WeCom writes it."""
    return (
        f"<xml><ToUserName><![CDATA[{CORP}]]></ToUserName><FromUserName><![CDATA[lisi]]>"
        "</FromUserName><CreateTime>1700000000</CreateTime><MsgType><![CDATA[text]]></MsgType>"
        "<Content><![CDATA[WORDS]]></Content><MsgId>1</MsgId><AgentID>1000002</AgentID></xml>"
    )
