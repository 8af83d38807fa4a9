"""Webhooks: what arrives, in which order, when it is tried again, and who waits (contract 4.4)."""

import asyncio
import json
import re
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cloudevents.v1.http import from_http
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from structlog.testing import capture_logs

from adapters.engine.signature import secret_text
from adapters.store.writer import StoreUnavailable, Writer
from domain.commands import Revoke
from domain.webhooks import RETRY_AFTER
from tests import confidential
from tests.conftest import StartService
from tests.documented import DOCUMENT, STRICT, documented, wrongs
from tests.nginx import make_certificate
from tests.pushing import OF_OTHER, Pushed, names
from tests.receiver import Got, Receiver
from tests.service import OTHER_TOKEN, READER_TOKEN, TOKEN, WITHIN_S, Clock
from tests.test_sending import Pauses, until
from tests.visitor import Visitor
from web import keys
from web import pushing as pushing_module
from web.pushing import Letterhead
from web.rebuilding import rebuild_read_models
from web.webhook_secrets import WebhookSecrets

SECRET = "whsec_" + "b25lIHNlY3JldCBmb3IgYWxsIG9mIHRoZW0u"
NEW_SECRET = "whsec_" + "YW5vdGhlciBzZWNyZXQgZm9yIGFsbCBvZiBpdA=="
FTA_SECRET = "whsec_" + "dGhlIHNlY3JldCBvZiBmdGEgYW5kIG5vYm9keQ=="
GIVEN_UP_AFTER = sum(RETRY_AFTER, timedelta())

StartReceiver = Callable[..., Awaitable[Receiver]]
StartPushing = Callable[..., Awaitable[Pushed]]


@pytest.fixture
def clock() -> Clock:
    """Whoever verifies a signature compares its time with the clock of the machine."""
    return Clock(datetime.now(UTC).replace(microsecond=0))


@pytest.fixture
def sleep() -> Pauses:
    return Pauses()


@pytest.fixture
async def receivers(clock: Clock) -> AsyncIterator[StartReceiver]:
    async with AsyncExitStack() as stack:

        async def start(trusted: ssl.SSLContext | None = None) -> Receiver:
            receiver = await Receiver(clock, trusted).start()
            stack.push_async_callback(receiver.stop)
            return receiver

        yield start


@pytest.fixture
async def receiver(receivers: StartReceiver) -> Receiver:
    return await receivers()


@pytest.fixture
def pushing(start: StartService, sleep: Pauses) -> StartPushing:
    async def begin(**settings: str) -> Pushed:
        return Pushed(await start(**settings), sleep)

    return begin


@pytest.fixture
async def pushed(pushing: StartPushing) -> Pushed:
    return await pushing(webhook_secret=SECRET)


# What arrives.


async def test_a_decision_arrives_as_it_stands_in_the_feed_and_is_signed(
    pushed: Pushed, receiver: Receiver
) -> None:
    await pushed.decides("12345_2", receiver, "/decisions?key=1")
    await pushed.settled()
    (got,), (decision,) = receiver.got, await pushed.service.decisions()
    assert (got.path, got.event) == ("/decisions?key=1", decision)
    assert got.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert Webhook(SECRET).verify(got.body, got.headers) == decision
    event = from_http(got.headers, got.body)
    assert (event["id"], event["type"]) == (decision["id"], "fta.approval.cancelled")
    assert (event["source"], event["subject"]) == ("/fta-approval", "12345_2")
    assert event.data == decision["data"]
    feed_id = pushed.service.app[keys.FEED].feed_id
    assert got.headers["webhook-id"] == f"{feed_id}-{decision['id']}"
    assert got.headers["webhook-timestamp"] == str(int(pushed.service.clock().timestamp()))
    assert "cookie" not in got.headers and "authorization" not in got.headers


@pytest.mark.parametrize("ending", ["approved", "rejected", "expired", "cancelled"])
async def test_every_kind_of_end_is_pushed(pushed: Pushed, receiver: Receiver, ending: str) -> None:
    service = pushed.service
    approval = await service.ask("1_1", callback_url=receiver.url(), expires_in=60)
    if ending == "expired":
        service.clock.advance(seconds=60)
        await service.expire()
    elif ending == "cancelled":
        url = f"/approvals/{approval['approval_id']}/cancel"
        await service.api("POST", url, json={"reason": "x"})
    else:
        await service.says("zhangsan", {"approved": "TY", "rejected": "BH"}[ending] + " 1_1")
    await pushed.settled()
    assert [got.event["type"] for got in receiver.got] == [f"fta.approval.{ending}"]


async def test_a_revocation_is_pushed_after_the_approval_that_it_takes_back(
    pushed: Pushed, receiver: Receiver
) -> None:
    service = pushed.service
    approval = await service.ask("1_1", callback_url=receiver.url(), expires_in=60)
    await service.says("zhangsan", "TY 1_1")
    await pushed.settled()
    writer, now = service.app[keys.WRITER], service.clock()
    await writer.execute(Revoke(at=now, by="zhangsan", reply_id="1_1"))
    await pushed.settled()
    approved, revoked = receiver.got
    kinds = [got.event["type"] for got in (approved, revoked)]
    assert kinds == ["fta.approval.approved", "fta.approval.revoked"]
    assert approved.headers["webhook-id"] != revoked.headers["webhook-id"]
    assert (await service.look(approval["approval_id"]))["status"] == "revoked"


async def test_the_permit_of_an_approval_arrives_over_https_and_never_over_http(
    pushing: StartPushing,
    receivers: StartReceiver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "fullchain.pem"))
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(tmp_path / "fullchain.pem", tmp_path / "privkey.pem")
    plain, secret = await receivers(), await receivers(serving)
    pushed = await pushing()
    service = pushed.service
    await service.ask("1_1", callback_url=f"https://localhost:{secret.port}/")
    await service.ask("2_1", callback_url=plain.url())
    for obj_id in ("1_1", "2_1"):
        await service.says("zhangsan", f"TY {obj_id}")
    await until(lambda: plain.got and secret.got)
    first, second = await service.decisions()
    assert first["data"]["permit"] and second["data"]["permit"]
    assert secret.got[0].event == first
    del second["data"]["permit"]
    assert plain.got[0].event == second
    confidential.note("permit", first["data"]["permit"])
    await pushed.settled()


async def test_without_an_address_nothing_is_pushed(pushed: Pushed, receiver: Receiver) -> None:
    approval = await pushed.service.ask("1_1")
    url = f"/approvals/{approval['approval_id']}/cancel"
    await pushed.service.api("POST", url, json={"reason": "x"})
    await pushed.decides("2_1", receiver)
    await pushed.settled()
    assert receiver.subjects() == ["2_1"]
    assert await pushed.webhooks() == []


async def test_each_try_has_the_same_id_and_body_and_its_own_time_and_signature(
    pushed: Pushed, receiver: Receiver
) -> None:
    receiver.answers(503)
    await pushed.decides("1_1", receiver)
    await pushed.settled()
    receiver.answers(200)
    await pushed.after(5)
    first, second = receiver.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    times = [int(one.headers["webhook-timestamp"]) for one in (first, second)]
    assert times[1] - times[0] == 5
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    for one in (first, second):
        Webhook(SECRET).verify(one.body, one.headers)


# Whose secret.


async def test_two_secrets_sign_while_one_replaces_the_other(
    pushing: StartPushing, receiver: Receiver
) -> None:
    pushed = await pushing(webhook_secret=f"{NEW_SECRET},{SECRET}")
    await pushed.decides("1_1", receiver)
    await pushed.settled()
    (got,) = receiver.got
    for secret in (NEW_SECRET, SECRET):
        Webhook(secret).verify(got.body, got.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(FTA_SECRET).verify(got.body, got.headers)


async def test_an_engine_with_a_secret_of_its_own_gets_no_signature_by_that_of_the_others(
    pushing: StartPushing, receiver: Receiver
) -> None:
    pushed = await pushing(webhook_secret=f"{SECRET},fta:{FTA_SECRET}")
    await pushed.decides("1_1", receiver)
    await pushed.decides("2_1", receiver, **OF_OTHER)
    await until(lambda: len(receiver.got) == 2)
    own, other = sorted(receiver.got, key=lambda got: got.subject)
    Webhook(FTA_SECRET).verify(own.body, own.headers)
    Webhook(SECRET).verify(other.body, other.headers)
    for got, secret in ((own, SECRET), (other, FTA_SECRET)):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(got.body, got.headers)


async def test_without_a_secret_in_the_settings_a_made_one_signs(
    pushing: StartPushing, receiver: Receiver
) -> None:
    pushed = await pushing()
    await pushed.decides("1_1", receiver)
    await pushed.settled()
    keyring = pushed.service.app[keys.KEYRING]
    (made,) = keyring.webhook_secrets(pushed.service.clock())
    (got,) = receiver.got
    Webhook(secret_text(made)).verify(got.body, got.headers)


async def test_what_the_manual_tells_receivers_to_do_works(
    pushed: Pushed, receiver: Receiver
) -> None:
    manual = (Path(__file__).parent.parent / "docs" / "webhooks.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", manual, re.DOTALL)
    told: dict[str, Any] = {}
    exec(code, told)  # noqa: S102  # our own manual
    await pushed.decides("1_1", receiver)
    await pushed.settled()
    (got,), seen = receiver.got, set[str]()
    assert told["receive"](SECRET, got.headers, got.body, seen) == got.event
    assert told["receive"](SECRET, got.headers, got.body, seen) is None
    with pytest.raises(WebhookVerificationError):
        told["receive"](SECRET, got.headers, got.body.replace(b"1_1", b"2_1"), seen)


@pytest.mark.parametrize(
    ("url", "carries"),
    [("https://h/", True), ("HTTPS://h/", True), ("http://h/", False), ("http://https:1/", False)],
)
def test_a_permit_goes_over_https_only(url: str, carries: bool) -> None:
    about = {"position": 7, "engine": "fta", "type": "fta.approval.approved"}
    row = {**about, "cloud_event": '{"id":"7","data":{"obj_id":"1_1"}}'}
    secrets = WebhookSecrets({}, lambda now: [])
    body = json.loads(Letterhead("feed", secrets, lambda row: "permit").body(row, url))
    assert body["data"] == {"obj_id": "1_1", **({"permit": "permit"} if carries else {})}
    without = Letterhead("feed", secrets).body(row, url)
    assert without == str(row["cloud_event"]).encode()


# When it is tried again.


async def test_it_is_tried_again_by_the_schedule_and_at_the_end_given_up(
    pushed: Pushed, receiver: Receiver
) -> None:
    receiver.answers(400)
    await pushed.decides("1_1", receiver)
    await pushed.settled()
    for number, delay in enumerate(RETRY_AFTER, 1):
        await pushed.after(delay.total_seconds() - 0.001)
        assert len(receiver.got) == number, "too early"
        await pushed.after(0.001)
        assert len(receiver.got) == number + 1
    await pushed.passes(200_000, step_s=50_000)
    assert len(receiver.got) == 8
    (row,) = await pushed.webhooks("?state=undelivered")
    assert (row["state"], row["attempts"], row["problem"]) == ("undelivered", 8, "answered 400")
    assert (row["next_attempt_at"], await pushed.webhooks("?state=waiting")) == (None, [])


async def test_down_for_an_hour_it_gets_everything_afterwards_in_order_and_nobody_else_waits(
    pushed: Pushed, receivers: StartReceiver
) -> None:
    away, here = await receivers(), await receivers()
    start = pushed.service.clock()
    await pushed.decides("1_1", away)
    await pushed.settled()
    await away.stop()
    sent_at = []
    # A decision for each of the two every five minutes.
    for number in range(2, 14):
        await pushed.decides(f"{number}_1", away)
        await pushed.decides(f"{number}_2", here)
        sent_at.append(pushed.service.clock())
        await pushed.settled()
        await pushed.passes(300)
    assert pushed.service.clock() - start == timedelta(hours=1)
    # The other one: each at the very moment when it was decided.
    assert here.subjects() == [f"{number}_2" for number in range(2, 14)]
    assert [got.at for got in here.got] == sent_at
    assert away.subjects() == ["1_1"]
    waiting = await pushed.webhooks()
    assert [row["reply_id"] for row in waiting] == [f"{number}_1" for number in range(2, 14)]
    # Only the oldest was tried.
    assert [row["attempts"] for row in waiting] == [5] + [0] * 11
    await away.start()
    await pushed.passes(900)
    assert away.subjects() == [f"{number}_1" for number in range(1, 14)]
    assert await pushed.webhooks() == []
    # All of it at the moment when the oldest got through.
    assert len({got.at for got in away.got[1:]}) == 1


async def test_a_restart_changes_nothing_of_the_schedule_and_sends_nothing_twice(
    pushing: StartPushing, receiver: Receiver
) -> None:
    pushed = await pushing()
    await pushed.decides("1_1", receiver)
    await pushed.settled()
    receiver.answers(500)
    for name in names(4, first=2):
        await pushed.decides(name, receiver)
    await pushed.settled()
    await pushed.passes(40, step_s=5)  # tried at 0, 5 and 35 seconds; next at 155
    assert Counter(receiver.subjects()) == {"1_1": 1, "2_1": 3}
    await pushed.service.stop()
    pushed = await pushing()
    await pushed.settled()
    await pushed.after(114)
    assert receiver.subjects()[1:] == ["2_1"] * 3
    receiver.answers(200)
    await pushed.after(1)
    assert receiver.subjects()[4:] == [*names(4, first=2)]


async def test_a_rebuild_of_the_read_models_sends_nothing_twice_and_forgets_no_schedule(
    pushing: StartPushing, receiver: Receiver
) -> None:
    pushed = await pushing()
    await pushed.decides("1_1", receiver)
    await pushed.settled()
    receiver.answers(500)
    await pushed.decides("2_1", receiver)
    await pushed.settled()
    await pushed.after(5)
    before = await pushed.webhooks()
    await pushed.service.stop()
    rebuild_read_models(pushed.service.app[keys.SETTINGS], None)
    pushed = await pushing()
    await pushed.settled()
    assert await pushed.webhooks() == before
    assert receiver.subjects() == ["1_1", "2_1", "2_1"]
    await pushed.after(30)
    assert receiver.subjects() == ["1_1", "2_1", "2_1", "2_1"]


async def test_who_never_answers_keeps_nobody_else_waiting(
    pushed: Pushed, receivers: StartReceiver
) -> None:
    silent, here = await receivers(), await receivers()
    over = asyncio.Event()

    async def behave(got: Got, writer: asyncio.StreamWriter) -> None:
        await over.wait()

    silent.behave = behave
    client = pushed.service.app[keys.OUTSIDE].webhooks
    assert client is not None
    client.timeout_s = 3600
    await pushed.decides("1_1", silent)
    await until(lambda: silent.subjects() == ["1_1"])
    for name in names(3, first=2):
        await pushed.decides(name, here)
    await until(lambda: here.subjects() == [*names(3, first=2)])
    assert len(silent.got) == 1
    over.set()
    await pushed.settled()


async def test_who_has_too_many_silent_receivers_waits_and_no_other_engine_does(
    pushed: Pushed, receivers: StartReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushing_module, "MOST_UNDER_WAY", 1)
    silent, here = await receivers(), await receivers()
    over = asyncio.Event()

    async def behave(got: Got, writer: asyncio.StreamWriter) -> None:
        await over.wait()

    silent.behave = behave
    client = pushed.service.app[keys.OUTSIDE].webhooks
    assert client is not None
    client.timeout_s = 3600
    await pushed.decides("1_1", silent)
    await until(lambda: silent.subjects() == ["1_1"])
    await pushed.decides("2_1", here)
    await pushed.decides("3_1", here, **OF_OTHER)
    await until(lambda: here.subjects() == ["3_1"])
    over.set()
    await until(lambda: here.subjects() == ["3_1", "2_1"])
    await pushed.settled()


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599, 429])
async def test_an_answer_that_says_that_the_destination_is_away_makes_the_rest_wait(
    pushed: Pushed, receiver: Receiver, status: int
) -> None:
    receiver.answers(status)
    await pushed.decides("1_1", receiver)
    await pushed.decides("2_1", receiver)
    await pushed.settled()
    assert receiver.subjects() == ["1_1"]
    first, second = await pushed.webhooks()
    assert (first["destination_down"], first["problem"]) == (True, f"answered {status}")
    assert (second["attempts"], second["problem"]) == (0, None)


@pytest.mark.parametrize("status", [301, 302, 307, 308, 304, 400, 401, 404, 409, 410, 422])
async def test_any_other_answer_is_of_that_delivery_alone(
    pushed: Pushed, receiver: Receiver, status: int
) -> None:
    async def judge(got: Got, writer: asyncio.StreamWriter) -> None:
        code = status if got.path == "/bad" else 200
        writer.write(f"HTTP/1.1 {code} So\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".encode())

    receiver.behave = judge
    await pushed.decides("1_1", receiver, "/bad")
    await pushed.decides("2_1", receiver)
    await pushed.settled()
    assert receiver.subjects() == ["1_1", "2_1"]
    (row,) = await pushed.webhooks()
    assert (row["reply_id"], row["destination_down"]) == ("1_1", False)
    assert row["problem"].startswith(f"answered {status}")
    await pushed.after(5)
    assert receiver.subjects() == ["1_1", "2_1", "1_1"]


async def test_one_engines_failing_path_never_delays_another_engine_at_the_same_host(
    pushed: Pushed, receiver: Receiver
) -> None:
    async def judge(got: Got, writer: asyncio.StreamWriter) -> None:
        status = 500 if got.path == "/fta" else 200
        writer.write(f"HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n".encode())

    receiver.behave = judge
    await pushed.decides("1_1", receiver, "/fta")
    await pushed.settled()
    await pushed.decides("2_1", receiver, "/other", **OF_OTHER)
    await pushed.decides("3_1", receiver, "/fta")
    await pushed.settled()
    assert sorted(receiver.subjects()) == ["1_1", "2_1"]


async def test_whoever_answers_at_all_is_back_and_the_rest_follows_at_once(
    pushed: Pushed, receiver: Receiver
) -> None:
    """The oldest is refused for a reason of its own: it may hold nobody back."""
    receiver.answers(503)
    for name in names(3):
        await pushed.decides(name, receiver, "/bad" if name == "1_1" else "/")
    await pushed.settled()

    async def judge(got: Got, writer: asyncio.StreamWriter) -> None:
        status = 404 if got.path == "/bad" else 200
        writer.write(f"HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n".encode())

    receiver.behave = judge
    await pushed.after(5)
    assert receiver.subjects() == ["1_1", *names(3)]


async def two_failures(pushed: Pushed, receiver: Receiver) -> str:
    """1_1 was given up; then its destination went down with 2_1. The id of the first."""
    await given_up(pushed, receiver, "1_1")
    receiver.answers(503)
    await pushed.decides("2_1", receiver)
    await pushed.settled()
    receiver.answers(200)
    first, second = await pushed.webhooks()
    assert second["destination_down"]
    return str(first["id"])


@pytest.mark.parametrize("status", [200, 404])
async def test_what_failed_while_its_destination_was_down_does_not_wait_for_its_own_time(
    pushed: Pushed, receiver: Receiver, status: int
) -> None:
    """Whatever the oldest is answered: its destination is back."""
    first = await two_failures(pushed, receiver)
    receiver.answers(status)
    await pushed.redeliver(first)
    await pushed.settled()
    assert receiver.subjects()[-2:] == ["1_1", "2_1"]
    assert len(await pushed.webhooks()) == (0 if status == 200 else 2)


async def test_after_a_restart_a_destination_that_was_back_is_not_taken_for_down(
    pushing: StartPushing, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service ends between the record of the first success and what has to follow from it."""
    pushed = await pushing()
    first = await two_failures(pushed, receiver)
    recorded = asyncio.Event()
    execute = Writer.execute

    async def execute_and_hang(writer: Writer, command: Any) -> Any:
        done = await execute(writer, command)
        if type(command).__name__ == "RecordWebhook":
            recorded.set()
            await asyncio.Event().wait()
        return done

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "execute", execute_and_hang)
        await pushed.redeliver(first)
        async with asyncio.timeout(WITHIN_S):
            await recorded.wait()
        await pushed.service.stop()
    assert receiver.subjects()[-1] == "1_1"
    pushed = await pushing()
    await pushed.settled()
    assert receiver.subjects()[-2:] == ["1_1", "2_1"]
    assert await pushed.webhooks() == []


async def test_while_it_is_down_only_the_oldest_is_tried_whoever_failed_last(
    pushed: Pushed, receiver: Receiver
) -> None:
    status = {"/a": 404, "/": 503}

    async def judge(got: Got, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status[got.path]} So\r\nContent-Length: 0\r\n\r\n".encode())

    receiver.behave = judge
    await pushed.decides("1_1", receiver, "/a")  # fails by itself: next after 5, 30, 120 s …
    await pushed.settled()
    await pushed.after(5)
    await pushed.decides("2_1", receiver)  # and now the destination is down
    await pushed.decides("3_1", receiver)
    await pushed.settled()
    await pushed.after(5)
    assert receiver.subjects() == ["1_1", "1_1", "2_1", "2_1"]
    status.update({"/a": 200, "/": 200})
    await pushed.after(24)
    assert receiver.subjects() == ["1_1", "1_1", "2_1", "2_1"]
    await pushed.after(1)  # the time of 1_1, which is before that of 2_1
    assert receiver.subjects() == ["1_1", "1_1", "2_1", "2_1", "1_1", "2_1", "3_1"]


async def test_what_failed_by_itself_holds_nobody_back_when_its_destination_goes_down(
    pushed: Pushed, receiver: Receiver
) -> None:
    """An address that is gone for good, and a receiver that is restarted: seconds, not a day."""
    status = {"/gone": 404, "/": 200}

    async def judge(got: Got, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status[got.path]} So\r\nContent-Length: 0\r\n\r\n".encode())

    receiver.behave = judge
    await pushed.decides("1_1", receiver, "/gone")
    await pushed.settled()
    for delay in RETRY_AFTER[:-1]:
        await pushed.after(delay.total_seconds())
    tries = receiver.subjects().count("1_1")  # the next one is due in a day
    status["/"] = 503
    await pushed.decides("2_1", receiver)
    await pushed.settled()
    status["/"] = 200
    await pushed.after(5)
    assert receiver.subjects()[tries:] == ["2_1", "2_1"]
    assert [row["reply_id"] for row in await pushed.webhooks()] == ["1_1"]


async def test_what_cannot_be_recorded_is_recorded_later_and_not_sent_again(
    pushed: Pushed, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute, failures = Writer.execute, iter(range(3))

    async def failing(writer: Writer, command: Any) -> Any:
        if type(command).__name__ == "RecordWebhook" and next(failures, None) is not None:
            raise StoreUnavailable
        return await execute(writer, command)

    monkeypatch.setattr(Writer, "execute", failing)
    await pushed.decides("1_1", receiver)
    await pushed.settled()
    assert receiver.subjects() == ["1_1"]
    (event,) = await pushed.happened("1_1")
    assert event["type"] == "approval.webhook-delivered"


async def test_a_decision_that_comes_while_everything_else_waits_is_pushed_at_once(
    pushed: Pushed, receiver: Receiver
) -> None:
    receiver.answers(404)
    await pushed.decides("1_1", receiver)
    await pushed.settled()
    receiver.answers(200)
    await pushed.decides("2_1", receiver)
    # Nobody ends the pause in which the queue is.
    await until(lambda: receiver.subjects() == ["1_1", "2_1"])


# Given up, and once more.


async def given_up(pushed: Pushed, receiver: Receiver, *obj_ids: str) -> None:
    """Decisions of which each was tried to the end."""
    receiver.answers(404)
    for obj_id in obj_ids:
        await pushed.decides(obj_id, receiver, f"/{obj_id}?token=confidential")
    await pushed.settled()
    for delay in RETRY_AFTER:
        await pushed.after(delay.total_seconds())
    assert len(await pushed.webhooks("?state=undelivered")) == len(obj_ids)


async def test_what_was_given_up_can_be_sent_again_by_a_schedule_that_begins_anew(
    pushed: Pushed, receiver: Receiver
) -> None:
    await given_up(pushed, receiver, "1_1")
    (row,) = await pushed.webhooks()
    status, again = await pushed.redeliver(row["id"])
    assert (status, again["state"], again["next_attempt_at"]) == (200, "waiting", None)
    assert again == {**row, "state": "waiting"}
    await pushed.settled()
    assert len(receiver.got) == 9
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1
    await pushed.after(5)
    assert len(receiver.got) == 10
    receiver.answers(200)
    await pushed.after(30)
    assert await pushed.webhooks() == []
    events = await pushed.happened("1_1")
    kinds = [event["type"].removeprefix("approval.webhook-") for event in events]
    assert kinds == ["failed"] * 8 + ["requeued"] + ["failed"] * 2 + ["delivered"]
    assert [e["data"]["attempt"] for e in events if "attempt" in e["data"]] == [*range(1, 12)]
    requeued = events[8]
    assert (requeued["by"], requeued["via"]) == ("fta", "api")


async def test_every_answer_about_webhooks_and_every_push_is_documented(
    pushed: Pushed, receiver: Receiver
) -> None:
    await given_up(pushed, receiver, "1_1")
    status, page = await documented(pushed.service, "GET", "/webhooks?state=undelivered")
    name = page["webhooks"][0]["id"]
    path = "/webhooks/{id}/redeliver"
    for expected in (200, 409):
        status, _ = await documented(pushed.service, "POST", path, id=name)
        assert status == expected
    receiver.answers(200)
    await pushed.after(30)
    assert (await documented(pushed.service, "POST", path, id=name))[0] == 409
    (described,) = DOCUMENT["webhooks"]["decision"]["post"]["requestBody"]["content"].items()
    content_type, content = described
    for got in receiver.got:
        assert got.headers["content-type"].partition(";")[0] == content_type
        assert wrongs(STRICT, content["schema"], got.event) == []


async def test_only_what_was_given_up_is_sent_again(pushed: Pushed, receiver: Receiver) -> None:
    await pushed.decides("1_1", receiver)
    await pushed.settled()
    (delivered,) = await pushed.positions()
    receiver.answers(404)
    await pushed.decides("2_1", receiver)
    await pushed.settled()
    (waiting,) = await pushed.webhooks()
    for name, code in ((delivered, "already-delivered"), (waiting["id"], "not-undelivered")):
        status, problem = await pushed.redeliver(name)
        assert (status, problem["code"]) == (409, code)
    await pushed.settled()
    assert receiver.subjects() == ["1_1", "2_1"]


@pytest.mark.parametrize("name", ["1", "999", "0", "-1", "abc", "9" * 30, "1.5", "%20"])
async def test_what_is_no_webhook_is_unknown(pushed: Pushed, name: str) -> None:
    status, problem = await pushed.redeliver(name)
    assert (status, problem["code"]) == (404, "unknown-webhook")


async def test_a_decision_without_an_address_is_no_webhook(pushed: Pushed) -> None:
    approval = await pushed.service.ask("1_1")
    url = f"/approvals/{approval['approval_id']}/cancel"
    await pushed.service.api("POST", url, json={"reason": "x"})
    (position,) = await pushed.positions()
    status, problem = await pushed.redeliver(position)
    assert (status, problem["code"]) == (404, "unknown-webhook")


async def test_engines_see_and_touch_only_their_own_and_readers_see_all(
    pushed: Pushed, receiver: Receiver
) -> None:
    await given_up(pushed, receiver, "1_1")
    (row,) = await pushed.webhooks()
    assert await pushed.webhooks(token=OTHER_TOKEN) == []
    assert await pushed.webhooks(token=READER_TOKEN) == [row]
    for token in (OTHER_TOKEN, READER_TOKEN):
        status, problem = await pushed.redeliver(row["id"], token)
        assert (status, problem["code"]) == (404, "unknown-webhook")
    assert len(await pushed.webhooks("?state=undelivered")) == 1
    async with pushed.service.http.get(f"{pushed.service.base}/api/v1/webhooks") as response:
        assert response.status == 401


async def test_the_list_comes_a_page_at_a_time(pushed: Pushed, receiver: Receiver) -> None:
    receiver.answers(503)
    for name in names(5):
        await pushed.decides(name, receiver)
    await pushed.settled()
    found: list[str] = []
    after = "0"
    while after is not None:
        _, page = await pushed.service.api("GET", f"/webhooks?limit=2&after={after}")
        assert len(page["webhooks"]) <= 2
        found += [row["reply_id"] for row in page["webhooks"]]
        after = page["next"]
    assert found == [*names(5)]


@pytest.mark.parametrize(
    "query", ["state=lost", "limit=0", "limit=1001", "after=-1", "after=x", "status=waiting"]
)
async def test_what_the_list_does_not_know_is_said(pushed: Pushed, query: str) -> None:
    status, problem = await pushed.service.api("GET", f"/webhooks?{query}")
    assert (status, problem["code"]) == (422, "invalid-request")
    assert problem["errors"][0]["field"] == query.partition("=")[0]


# What is told.


async def test_no_page_no_document_and_no_log_holds_the_query_of_an_address(
    pushed: Pushed, receiver: Receiver
) -> None:
    with capture_logs() as logs:
        await given_up(pushed, receiver, "1_1")
    (row,) = await pushed.webhooks()
    assert row["url"] == receiver.url("/1_1")
    path = f"/approvals/{pushed.ids['1_1']}/events"
    _, read = await pushed.service.api("GET", path, READER_TOKEN)
    assert read["events"][0]["data"]["callback_url"] == receiver.url("/1_1")
    page = await visitor_page(pushed, "1_1")
    assert "结论推送失败" in page
    for told in (json.dumps(read), json.dumps(row), str(logs), page):
        assert "confidential" not in told
    assert receiver.url("/1_1") in str(logs)
    # Who gave the address may see it again.
    (requested, *_) = await pushed.service.events(pushed.ids["1_1"])
    assert requested["data"]["callback_url"] == receiver.url("/1_1?token=confidential")


async def visitor_page(pushed: Pushed, obj_id: str) -> str:
    """What an approver reads, once they have logged in."""
    visitor = Visitor(pushed.service)
    await visitor.log_in("zhangsan")
    return (await visitor.get(f"/wechat/a/{pushed.ids[obj_id]}/")).text


async def test_that_a_destination_is_down_is_said_once_and_that_it_is_back(
    pushed: Pushed, receiver: Receiver
) -> None:
    with capture_logs() as logs:
        receiver.answers(503)
        for name in names(3):
            await pushed.decides(name, receiver)
        await pushed.settled()
        await pushed.after(5)
        receiver.answers(200)
        await pushed.after(30)
    said = [(one["log_level"], one["event"]) for one in logs if "destination" in one["event"]]
    assert said == [
        ("error", "webhook destination is down"),
        ("warning", "webhook destination is back"),
    ]


async def test_what_is_given_up_is_said_loudly(pushed: Pushed, receiver: Receiver) -> None:
    with capture_logs() as logs:
        await given_up(pushed, receiver, "1_1")
    (said,) = [one for one in logs if "given up" in one["event"]]
    assert (said["log_level"], said["why"]) == ("error", "answered 404")


async def test_the_figures(pushed: Pushed, receiver: Receiver) -> None:
    await given_up(pushed, receiver, "1_1")
    receiver.answers(503)
    await pushed.decides("2_1", receiver)
    await pushed.decides("3_1", receiver)
    await pushed.settled()
    async with pushed.service.http.get(f"{pushed.service.url}/metrics") as response:
        body = await response.text()
    for line in (
        "webhooks_waiting 2.0",
        "webhooks_undelivered 1.0",
        "webhook_destinations_down 1.0",
        'webhook_tries_total{outcome="failed"} 7.0',
        'webhook_tries_total{outcome="given-up"} 1.0',
        'webhook_tries_total{outcome="down"} 1.0',
        'webhook_tries_total{outcome="delivered"} 0.0',
    ):
        assert f"\nfta_approval_{line}\n" in body
    assert "callback" in body and "/1_1" not in body


async def test_every_event_of_a_delivery_names_its_decision(
    pushed: Pushed, receiver: Receiver
) -> None:
    receiver.answers(503)
    await pushed.decides("1_1", receiver)
    await pushed.settled()
    receiver.answers(200)
    await pushed.after(5)
    (position,) = await pushed.positions()
    failed, delivered = await pushed.happened("1_1")
    assert {event["data"]["delivery"] for event in (failed, delivered)} == {int(position)}
    assert failed["data"]["down"]
    assert (failed["by"], failed["via"]) == (None, None)
    assert await pushed.service.decisions() == await pushed.service.decisions(token=TOKEN)
