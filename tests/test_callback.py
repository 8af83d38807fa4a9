"""WeCom's callback over real HTTP: what is turned away, what has no effect, what is kept."""

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.simulator.wecom import SimulatedWeCom
from adapters.wecom.crypto import CallbackCrypto
from adapters.wecom.envelope import seal_post
from tests import confidential
from tests.conftest import StartService
from tests.service import Service
from web import keys
from web.settings import PUBLIC_AES_KEY, PUBLIC_TOKEN

OTHER_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
OWN_TOKEN, OWN_KEY = "TokenOfOurOwn", "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
REAL_WECOM = "https://qyapi.weixin.qq.com"
NONCE = "1372623149"
TEXT = """<xml><ToUserName>{to}</ToUserName><FromUserName>{by}</FromUserName>\
<CreateTime>1767614400</CreateTime><MsgType>{kind}</MsgType><Content>{words}</Content>\
<MsgId>{msg_id}</MsgId><AgentID>{agent}</AgentID></xml>"""


def text(**differs: Any) -> bytes:
    """zhangsan approves 12345_2, unless it says otherwise."""
    fields: dict[str, Any] = {
        "to": "ww0123456789abcdef",
        "by": "zhangsan",
        "kind": "text",
        "words": "TY 12345_2",
        "msg_id": 7300000000000000001,
        "agent": 1000002,
    }
    return TEXT.format(**{**fields, **differs}).encode()


def crypto_of(wecom: SimulatedWeCom, **differs: str) -> CallbackCrypto:
    settings = wecom.settings
    return CallbackCrypto(
        differs.get("token", settings.token),
        differs.get("aes_key", settings.encoding_aes_key),
        differs.get("corp_id", settings.corp_id),
    )


def sealed(service: Service, inner: bytes, **differs: str) -> tuple[dict[str, str], bytes]:
    """Query and body of a genuine POST, or of one that differs in a secret."""
    confidential.note("decrypted message", inner.decode(errors="replace"))
    timestamp = differs.pop("timestamp", str(int(service.clock().timestamp())))
    body, signature = seal_post(
        crypto_of(service.wecom, **differs),
        inner,
        to_user=service.wecom.settings.corp_id,
        agent_id=str(service.wecom.settings.agent_id),
        timestamp=timestamp,
        nonce=NONCE,
    )
    return {"msg_signature": signature, "timestamp": timestamp, "nonce": NONCE}, body


async def post(service: Service, query: dict[str, str], body: bytes) -> tuple[int, bytes]:
    url = f"{service.base}/wechat/entry/"
    async with service.http.post(url, params=query, data=body) as answer:
        return answer.status, await answer.read()


async def is_pending(service: Service, approval: Any) -> bool:
    now = await service.look(approval["approval_id"])
    return bool(now["status"] == "pending")


async def replies(service: Service, approval: Any) -> list[Any]:
    events = await service.events(approval["approval_id"])
    return [event for event in events if event["type"] == "approval.replied"]


async def ends(service: Service, approval: Any) -> list[str]:
    ended = ("approval.approved", "approval.rejected", "approval.expired", "approval.cancelled")
    events = await service.events(approval["approval_id"])
    return [event["type"] for event in events if event["type"] in ended]


# URL verification.


async def test_the_url_is_verified_by_the_bare_text(service: Service) -> None:
    echo = "1616140317555161061"
    encrypted = crypto_of(service.wecom).encrypt(echo.encode())
    signature = crypto_of(service.wecom).signature("1409659589", NONCE, encrypted)
    query = {"msg_signature": signature, "timestamp": "1409659589", "nonce": NONCE}
    url = f"{service.base}/wechat/entry/"
    async with service.http.get(url, params={**query, "echostr": encrypted}) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/plain"
        assert await answer.read() == echo.encode()


async def test_a_plus_that_a_proxy_left_bare_is_repaired(service: Service) -> None:
    crypto = crypto_of(service.wecom)
    encrypted = next(e for e in (crypto.encrypt(b"12345") for _ in range(1000)) if "+" in e)
    signature = crypto.signature("1409659589", NONCE, encrypted)
    bare = encrypted.replace("/", "%2F").replace("=", "%3D")
    assert "+" in bare
    query = f"msg_signature={signature}&timestamp=1409659589&nonce={NONCE}&echostr={bare}"
    status, body = await raw_get(service, f"/o/bk_fta_solutions/wechat/entry/?{query}")
    assert (status, body) == (200, b"12345")


async def raw_get(service: Service, target: str) -> tuple[int, bytes]:
    """Byte for byte as written: a client library would mend the query."""
    host, _, port = service.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"GET {target} HTTP/1.1\r\nHost: {service.address}\r\nConnection: close\r\n\r\n".encode()
    )
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return int(head.split()[1]), body


async def test_the_url_is_verified_before_the_corp_id_is_known(
    start: StartService, wecom: SimulatedWeCom
) -> None:
    service = await start(wecom_corp_id="", wecom_secret="", wecom_agent_id="")
    verification = await wecom.save_callback(f"{service.base}/wechat/entry/")
    assert verification.ok, verification.why


async def test_the_path_without_its_last_slash_is_the_same(service: Service) -> None:
    wecom = service.wecom
    assert (await wecom.save_callback(f"{service.base}/wechat/entry")).ok
    await service.ask()
    assert await service.says("zhangsan", "TY 12345_2") == 200
    assert [d["type"] for d in await service.decisions()] == ["fta.approval.approved"]


@pytest.mark.parametrize("missing", ["msg_signature", "timestamp", "nonce", "echostr"])
async def test_a_verification_that_is_not_whole_is_turned_away(
    service: Service, missing: str
) -> None:
    encrypted = crypto_of(service.wecom).encrypt(b"12345")
    signature = crypto_of(service.wecom).signature("1", NONCE, encrypted)
    query = {"msg_signature": signature, "timestamp": "1", "nonce": NONCE, "echostr": encrypted}
    del query[missing]
    async with service.http.get(f"{service.base}/wechat/entry/", params=query) as answer:
        assert 400 <= answer.status < 500
        assert await answer.read() == b""


async def test_a_verification_that_is_not_genuine_is_turned_away(service: Service) -> None:
    for differs in ({"token": "AnotherToken"}, {"aes_key": OTHER_KEY}, {"corp_id": "ww0"}):
        crypto = crypto_of(service.wecom, **differs)
        encrypted = crypto.encrypt(b"12345")
        query = {"timestamp": "1", "nonce": NONCE, "echostr": encrypted}
        query["msg_signature"] = crypto.signature("1", NONCE, encrypted)
        async with service.http.get(f"{service.base}/wechat/entry/", params=query) as answer:
            assert 400 <= answer.status < 500, differs
            assert await answer.read() == b""


# What is not genuine: 4xx, an empty body, no effect.


def _bomb() -> bytes:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    dtd = f'<!DOCTYPE x [<!ENTITY e0 "ha">{entities}]>'
    return f"{dtd}<xml><Encrypt>&e9;</Encrypt></xml>".encode()


def forged(service: Service) -> Iterator[tuple[str, dict[str, str], bytes]]:
    query, body = sealed(service, text())
    yield "no query at all", {}, body
    for name in query:
        yield f"without {name}", {n: v for n, v in query.items() if n != name}, body
    yield "wrong signature", {**query, "msg_signature": "0" * 40}, body
    yield "signature of nothing", {**query, "msg_signature": ""}, body
    yield "other timestamp", {**query, "timestamp": "1767614401"}, body
    yield "other nonce", {**query, "nonce": "1"}, body
    yield "half a character", {**query, "nonce": "\N{PILE OF POO}"}, body
    yield "empty body", query, b""
    yield "not XML", query, b"hello"
    yield "not UTF-8", query, b"<xml><Encrypt>\xff</Encrypt></xml>"
    yield "no Encrypt", query, b"<xml><ToUserName>x</ToUserName></xml>"
    yield "two Encrypts", query, body.replace(b"</xml>", b"<Encrypt>x</Encrypt></xml>")
    yield "DOCTYPE", query, b"<!DOCTYPE xml>" + body
    yield "entity bomb", query, _bomb()
    yield "JSON", query, b'{"encrypt": "x"}'
    yield "another token", *sealed(service, text(), token="AnotherToken")
    yield "another key", *sealed(service, text(), aes_key=OTHER_KEY)
    yield "another receiver", *sealed(service, text(), corp_id="ww00000000000000ff")
    yield "no receiver", *sealed(service, text(), corp_id="")
    yield "no cipher", *_signed(service, "bm90IHdob2xlIGJsb2Nrcw==")
    yield "no base64", *_signed(service, "!!!!")
    yield "larger than 64 KiB", *sealed(service, text(words="TY 12345_2" + " " * 49_200))
    yield "larger than any request", query, b"x" * 300_000


def _signed(service: Service, encrypted: str) -> tuple[dict[str, str], bytes]:
    signature = crypto_of(service.wecom).signature("1767614400", NONCE, encrypted)
    query = {"msg_signature": signature, "timestamp": "1767614400", "nonce": NONCE}
    return query, f"<xml><Encrypt>{encrypted}</Encrypt></xml>".encode()


async def test_what_is_not_genuine_is_turned_away_without_a_word(service: Service) -> None:
    approval = await service.ask()
    before = await service.quiet()
    for why, query, body in forged(service):
        status, said = await post(service, query, body)
        assert 400 <= status < 500, (why, status)
        assert said == b"", why
    assert await service.quiet() == before
    assert await is_pending(service, approval)


async def test_a_genuine_body_of_just_64_kib_is_taken(service: Service) -> None:
    approval = await service.ask()
    _, shortest = sealed(service, text())
    room = (64 * 1024 - len(shortest)) * 3 // 4 - 64
    query, body = sealed(service, text(words="TY 12345_2" + " " * room))
    assert 64 * 1024 - 300 < len(body) <= 64 * 1024
    assert await post(service, query, body) == (200, b"")
    assert await ends(service, approval) == ["approval.approved"]


# What is genuine and has no effect: 200, an empty body.


WITHOUT_EFFECT = {
    "not XML": b"hello",
    "nothing": b"",
    "not UTF-8": b"<xml>\xff</xml>",
    "DOCTYPE": b"<!DOCTYPE xml>" + text(),
    "entity": b'<!DOCTYPE x [<!ENTITY e "TY 12345_2">]>' + text(words="&e;"),
    "repeated element": text().replace(b"</xml>", b"<Content>BH 12345_2</Content></xml>"),
    "another application": text(agent=1000003),
    "no application": text(agent=""),
    "another corp": text(to="ww00000000000000ff"),
    "no corp": text(to=""),
    "sys": text(by="sys"),
    "SYS": text(by="SYS"),
    "nobody": text(by=""),
    "a sender that is no userid": text(by="zhangsan|lisi"),
    "everybody": text(by="@all"),
    "unknown kind": text(kind="hologram"),
    "no kind": text(kind=""),
}


async def test_what_is_no_text_to_this_application_has_no_effect(service: Service) -> None:
    approval = await service.ask()
    before = await service.quiet()
    for why, inner in WITHOUT_EFFECT.items():
        assert await post(service, *sealed(service, inner)) == (200, b""), why
    assert await service.quiet() == before
    assert await is_pending(service, approval)


@pytest.mark.parametrize(
    ("by", "event", "fields"),
    [
        ("zhangsan", "taskcard_click", [("EventKey", "approve"), ("TaskId", "12345_2")]),
        ("sys", "close_inactive_agent", []),
        ("zhangsan", "an_event_of_next_year", []),
    ],
)
async def test_events_have_no_effect(
    service: Service, by: str, event: str, fields: list[Any]
) -> None:
    await service.ask()
    before = await service.quiet()
    delivery = await service.wecom.send_event(by, event, fields)
    assert (delivery.status, delivery.attempts[0].body) == (200, "")
    assert await service.quiet() == before


async def test_without_a_corp_id_nothing_is_taken_from_anybody(
    start: StartService, wecom: SimulatedWeCom
) -> None:
    service = await start(wecom_corp_id="", wecom_secret="", wecom_agent_id="")
    await wecom.save_callback(f"{service.base}/wechat/entry/")
    approval = await service.ask()
    assert await service.says("zhangsan", "TY 12345_2") == 200
    assert await is_pending(service, approval)
    assert await replies(service, approval) == []


# The same message again.


@pytest.mark.parametrize("by", ["zhangsan", "ZhangSan"])
async def test_the_same_message_again_decides_nothing_and_is_kept_once(
    service: Service, by: str
) -> None:
    approval = await service.ask()
    await service.notified(approval["approval_id"])
    assert await service.says("zhangsan", "TY 12345_2", msg_id=4711) == 200
    before = await service.quiet()
    assert await service.says(by, "BH 12345_2", msg_id=4711) == 200
    assert await service.quiet() == before
    assert len(await replies(service, approval)) == 1


async def test_a_repeat_with_the_same_and_with_new_ciphertext_is_recognised(
    service: Service,
) -> None:
    approval = await service.ask()
    service.wecom.knobs.duplicates = 2
    delivery = await service.wecom.send_text("zhangsan", "BH 12345_2 磁盘没满")
    assert [attempt.status for attempt in delivery.attempts] == [200, 200, 200]
    service.wecom.knobs.duplicates = 0
    assert (await service.wecom.repeat_last()).answered
    assert len(await replies(service, approval)) == 1
    assert await ends(service, approval) == ["approval.rejected"]


async def test_a_repeat_is_recognised_after_a_restart(start: StartService) -> None:
    first = await start()
    kept = await first.ask()
    await first.quiet()
    assert await first.says("zhangsan", "TY 99999_9", msg_id=4711) == 200
    await first.quiet()
    await first.stop()
    second = await start()
    before = await second.quiet()  # a start has events of its own
    assert await second.says("zhangsan", "TY 12345_2", msg_id=4711) == 200
    assert await second.quiet() == before
    assert await is_pending(second, kept)


async def test_repeats_that_arrive_together_count_once(service: Service) -> None:
    approval = await service.ask()
    await service.notified(approval["approval_id"])
    said = await asyncio.gather(
        *(service.says("zhangsan", "TY 12345_2", msg_id=4711) for _ in range(20))
    )
    assert said == [200] * 20
    assert len(await replies(service, approval)) == 1


async def test_another_member_with_the_same_message_id_is_no_repeat(service: Service) -> None:
    approval = await service.ask()
    await service.says("zhangsan", "TY 12345_2 是吗？", msg_id=4711)
    await service.says("lisi", "TY 12345_2", msg_id=4711)
    assert (await service.look(approval["approval_id"]))["decided_by"] == "lisi"


# How old a callback may be.


@pytest.mark.parametrize("seconds", [-3600, -60, 0, 600])
async def test_a_timestamp_within_an_hour_and_ten_minutes_decides(
    service: Service, seconds: int
) -> None:
    approval = await service.ask()
    timestamp = str(int(service.clock().timestamp()) + seconds)
    assert await post(service, *sealed(service, text(), timestamp=timestamp)) == (200, b"")
    assert await ends(service, approval) == ["approval.approved"]


@pytest.mark.parametrize("seconds", [-3601, 601, -10 * 365 * 86_400])
async def test_a_timestamp_beyond_that_is_kept_and_decides_nothing(
    service: Service, seconds: int
) -> None:
    approval = await service.ask()
    timestamp = str(int(service.clock().timestamp()) + seconds)
    assert await post(service, *sealed(service, text(), timestamp=timestamp)) == (200, b"")
    assert await ends(service, approval) == []
    (kept,) = await replies(service, approval)
    assert (kept["by"], kept["data"]["refusal"]) == ("zhangsan", "stale")
    assert kept["data"]["words"] == "TY 12345_2"


@pytest.mark.parametrize(
    "timestamp", ["", "soon", "-1", "１７６７６１４４００", "9" * 30, "1767614400.5"]
)
async def test_a_timestamp_that_is_no_time_is_kept_and_decides_nothing(
    service: Service, timestamp: str
) -> None:
    approval = await service.ask()
    assert await post(service, *sealed(service, text(), timestamp=timestamp)) == (200, b"")
    assert await ends(service, approval) == []
    assert [kept["data"]["refusal"] for kept in await replies(service, approval)] == ["stale"]


async def test_stale_words_without_an_id_are_kept_in_the_inbox(service: Service) -> None:
    timestamp = str(int(service.clock().timestamp()) - 3601)
    await post(service, *sealed(service, text(words="同意"), timestamp=timestamp))
    (kept,) = await service.kept_of("zhangsan")
    assert (kept.refusal, kept.words, kept.by) == ("stale", "同意", "zhangsan")


# Secrets that everybody knows.


@pytest.mark.parametrize(
    ("token", "aes_key"),
    [(PUBLIC_TOKEN, PUBLIC_AES_KEY), (OWN_TOKEN, PUBLIC_AES_KEY), (PUBLIC_TOKEN, OWN_KEY)],
)
async def test_with_a_public_secret_the_url_verifies_and_messages_change_nothing(
    start: StartService, wecom: SimulatedWeCom, token: str, aes_key: str
) -> None:
    # Without the application's secret, nothing is sent to the real WeCom from here.
    service = await start(
        wecom_api_url=REAL_WECOM, wecom_secret="", wecom_token=token, wecom_encoding_aes_key=aes_key
    )
    url = f"{service.base}/wechat/entry/"
    assert (await wecom.save_callback(url, token=token, encoding_aes_key=aes_key)).ok
    approval = await service.ask()
    before = await service.quiet()
    assert await service.says("zhangsan", "TY 12345_2") == 200
    assert await service.says("zhangsan", "TY 99999_9") == 200
    assert await service.quiet() == before
    assert await is_pending(service, approval)


async def test_with_secrets_of_our_own_the_real_wecom_is_heard(
    start: StartService, wecom: SimulatedWeCom
) -> None:
    service = await start(
        wecom_api_url=REAL_WECOM,
        wecom_secret="",
        wecom_token=OWN_TOKEN,
        wecom_encoding_aes_key=OWN_KEY,
    )
    url = f"{service.base}/wechat/entry/"
    assert (await wecom.save_callback(url, token=OWN_TOKEN, encoding_aes_key=OWN_KEY)).ok
    approval = await service.ask()
    assert await service.says("zhangsan", "TY 12345_2") == 200
    assert await ends(service, approval) == ["approval.approved"]


# One member who does not stop writing.


async def test_beyond_60_a_minute_from_one_member_is_acknowledged_only(service: Service) -> None:
    approval = await service.ask()
    said = await asyncio.gather(*(service.says("zhangsan", f"TY 9_{n}") for n in range(70)))
    assert said == [200] * 70
    assert len(await service.kept_of("zhangsan")) == 60
    assert await service.says("ZHANGSAN", "TY 12345_2") == 200
    assert await is_pending(service, approval)
    assert await service.says("lisi", "TY 9_1") == 200
    assert len(await service.kept_of("lisi")) == 1
    service.clock.advance(minutes=1)
    assert await service.says("zhangsan", "TY 12345_2") == 200
    assert await ends(service, approval) == ["approval.approved"]


# What cannot be stored is not answered, and WeCom repeats it.


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The event store cannot be written meanwhile."""
    with closing(sqlite3.connect(folder / "fta-approval.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_what_a_locked_store_cannot_take_is_left_unanswered_and_decides_once_when_repeated(
    service: Service, tmp_path: Path
) -> None:
    approval = await service.ask()
    await service.quiet()
    service.wecom.knobs.retries = 0
    began = time.monotonic()
    with locked(tmp_path):
        delivery = await service.wecom.send_text("zhangsan", "TY 12345_2")
    assert 4.4 < time.monotonic() - began < 5
    assert delivery.status is None
    assert "Disconnected" in str(delivery.attempts[0].error)
    assert (await service.wecom.repeat_last()).answered
    await service.quiet()
    assert await ends(service, approval) == ["approval.approved"]
    assert [kept["data"]["repeated"] for kept in await replies(service, approval)] == [False]


async def test_a_store_that_is_free_again_in_time_takes_it_at_the_first_try(
    service: Service, tmp_path: Path
) -> None:
    approval = await service.ask()
    await service.quiet()
    assert service.runner.server is not None
    others = len(service.runner.server.connections)
    query, body = sealed(service, text())
    url = f"{service.base}/wechat/entry/"
    async with aiohttp.ClientSession() as afresh:
        with locked(tmp_path):
            posting = asyncio.create_task(afresh.post(url, params=query, data=body))
            while len(service.runner.server.connections) == others:
                await asyncio.sleep(0.01)
            assert not posting.done()
        assert (await posting).status == 200
    assert await ends(service, approval) == ["approval.approved"]


async def test_what_a_full_queue_cannot_take_is_left_unanswered_and_nothing_of_it_is_lost(
    service: Service,
) -> None:
    """Deliveries that were not stored do not count against the 60 a minute either."""
    approval = await service.ask()
    await service.quiet()
    service.wecom.knobs.retries = 0
    writer = service.app[keys.WRITER]
    room, writer.max_queue = writer.max_queue, -10_000
    words = ["TY 12345_2", *(f"TY 9_{n}" for n in range(59))]
    said = await asyncio.gather(
        *(service.says("zhangsan", words[n], msg_id=n + 1) for n in range(60))
    )
    assert said == [None] * 60
    writer.max_queue = room
    said = await asyncio.gather(
        *(service.says("zhangsan", words[n], msg_id=n + 1) for n in range(60))
    )
    assert said == [200] * 60
    assert await ends(service, approval) == ["approval.approved"]
    assert len(await service.kept_of("zhangsan")) == 59


async def test_callbacks_have_room_when_engines_have_filled_the_queue(service: Service) -> None:
    approval = await service.ask()
    await service.quiet()
    service.app[keys.WRITER].max_queue = 0
    status, _ = await service.api(
        "POST", "/approvals", json={"obj_id": "1_1", "message": "x", "approvers": ["lisi"]}
    )
    assert status == 503
    assert await service.says("zhangsan", "TY 12345_2") == 200
    assert await ends(service, approval) == ["approval.approved"]


async def test_the_moment_judged_is_when_the_whole_reply_was_there(service: Service) -> None:
    approval = await service.ask(expires_in=60)
    await service.quiet()
    query, body = sealed(service, text())
    begun = asyncio.Event()
    rest = asyncio.Event()

    async def slowly() -> Any:
        yield body[:100]
        begun.set()
        await rest.wait()
        yield body[100:]

    url = f"{service.base}/wechat/entry/"
    posting = asyncio.create_task(
        service.http.post(url, params=query, data=slowly(), expect100=True)
    )
    await begun.wait()  # the service has told us to go on: it is waiting for the body
    service.clock.advance(seconds=60)
    rest.set()
    assert (await posting).status == 200
    assert await ends(service, approval) == ["approval.expired"]
