"""Going back in time does no harm (contract 6.8): what a restore voids, cancels, withholds."""

import asyncio
import base64
import re
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import aclosing, closing
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from adapters.engine.client import EngineClient
from adapters.engine.errors import BadPermit, FeedChanged
from adapters.simulator.wecom import SimulatedWeCom
from adapters.store.event_store import open_event_store
from domain.approval import Approval
from domain.commands import FreezeApprovals, ThawApprovals
from domain.configuration import CONFIGURATION_STREAM, Configuration
from domain.identity import approval_stream
from domain.installation import STREAM, Installation
from tests import confidential
from tests.configuring import set_here
from tests.conftest import StartService
from tests.process import SCRIPT, ServiceProcess
from tests.putting_back import Shelf, database_of, settings_of, shelf
from tests.receiver import Receiver
from tests.scenario import ask
from tests.service import NOON, TOKEN, WITHIN_S, Clock, Service
from tests.test_configuration_page import FREE, link_in, used
from tests.test_crash import (
    PREFIX_PATH,
    Load,
    environment,
    free_port,
    patient_wecom,
    whole_feed,
)
from tests.test_permits_over_http import ACTION, approved, code, public_keys, redeem
from tests.visitor import Visitor
from web import keys
from web.backup import back_up
from web.parts import opened_vault
from web.restoring import restore
from web.restoring_events import WITHHELD
from web.secret_key import secret_key
from web.settings import PREFIX, read_settings

__all__ = ["patient_wecom"]

ENDED_WITHIN_S = 120.0
MEMBERS = ("zhangsan", "lisi", "wangwu")

Back = Callable[..., Awaitable[Service]]


@pytest.fixture
def copies(tmp_path: Path) -> Shelf:
    return shelf(tmp_path)


@pytest.fixture
def back(start: StartService, copies: Shelf) -> Back:
    """Restore a copy and start the service again."""

    async def back(service: Service, copy: Path, **settings: str) -> Service:
        await copies.restore(service, copy)
        return await start(**settings)

    return back


# What waits.


async def test_what_waited_is_cancelled_and_nobody_of_the_engine_did_it(
    service: Service, copies: Shelf, back: Back
) -> None:
    decided, waits = await service.ask("1_1"), await service.ask("2_1", callback_url=None)
    assert await service.says("zhangsan", "TY 1_1") == 200
    service = await back(service, copies.back_up(service))
    again = await service.look(waits["approval_id"])
    assert (again["status"], again["reason"]) == ("cancelled", "restored")
    assert (again["decided_by"], again["decided_via"]) == (None, "api")
    assert (await service.look(decided["approval_id"]))["status"] == "approved"
    events = await service.events(waits["approval_id"])
    (end,) = [event for event in events if event["type"] == "approval.cancelled"]
    assert end["via"] == "shell"
    assert end["by"].startswith("shell:")
    answer = await service.api(
        "POST", f"/approvals/{waits['approval_id']}/cancel", json={"reason": "x"}
    )
    assert code(answer) == (409, "already-decided")
    assert answer[1]["decision"]["decided_via"] == "api"


async def test_it_is_cancelled_although_its_time_is_over_by_now(
    service: Service, copies: Shelf, back: Back, clock: Clock
) -> None:
    """Somebody may have decided after the copy was taken."""
    waits = await service.ask("2_1", expires_in=10)
    copy = copies.back_up(service)
    clock.advance(hours=1)
    service = await back(service, copy)
    assert (await service.look(waits["approval_id"]))["status"] == "cancelled"


async def test_members_who_were_asked_are_told_and_nobody_can_decide_it(
    service: Service, copies: Shelf, back: Back
) -> None:
    waits = await service.ask("2_1")
    await service.notified(waits["approval_id"])
    await service.quiet()
    service = await back(service, copies.back_up(service))
    told = (await service.inbox("zhangsan", 2))[-1]
    assert re.search(r"2_1（.*） 已于 \d\d:\d\d 因服务已从备份恢复而撤销，无需再处理", told), told
    heard = await service.heard("zhangsan", "TY 2_1")
    assert heard.startswith("【故障自愈】审批失败：2_1 已于")
    assert (await service.look(waits["approval_id"]))["status"] == "cancelled"
    visitor = Visitor(service)
    await visitor.log_in("zhangsan")
    page = await visitor.get(f"/wechat/a/{waits['approval_id']}/")
    assert "因服务从备份恢复而撤销" in page.text
    assert (await visitor.get("/wechat/todo/")).text.count("2_1") == 0


def test_several_thousand_that_wait_are_cancelled(tmp_path: Path, copies: Shelf) -> None:
    given = read_settings({f"{PREFIX}DATABASE": f"sqlite:///{tmp_path}/fta-approval.db"})
    confidential.note("secret key", base64.b64encode(secret_key(given)).decode())
    with closing(open_event_store(given.database)) as store:
        opened_vault(given, store, lambda: NOON)
        asked = (Approval.request(ask(obj_id=f"{n}_1"), []) for n in range(3000))
        store.save([event for approval in asked for event in approval.collect_events()])
    back_up(given, tmp_path / "copy.db", copies.said.append)
    restore(given, tmp_path / "copy.db", NOON, copies.said.append, replace=True)
    with closing(open_event_store(given.database)) as store:
        ends = [store.event(stored) for stored in store.read_after(3000, 20_000)]
    cancelled = [event for event in ends if isinstance(event, Approval.Cancelled)]
    assert len({event.originator_id for event in cancelled}) == 3000


# Engines.


async def test_an_engine_ahead_of_the_restored_store_is_told_at_once(
    service: Service, copies: Shelf, back: Back
) -> None:
    await approved(service, "1_1")
    copy = copies.back_up(service)
    for number in range(2, 9):
        await approved(service, f"{number}_1")
    _, before = await service.api("GET", "/decisions?after=0")
    service = await back(service, copy)
    assert code(await service.api("GET", f"/decisions?after={before['next']}&wait=10")) == (
        409,
        "position-unknown",
    )
    _, after = await service.api("GET", "/decisions?after=0")
    assert after["feed_id"] != before["feed_id"]
    assert [d["subject"] for d in after["decisions"]] == ["1_1"]


async def test_the_client_for_engines_sees_the_change_and_gives_nothing_of_the_other_feed(
    service: Service, copies: Shelf, back: Back
) -> None:
    await approved(service, "1_1")
    feed_id = service.app[keys.FEED].feed_id
    position = int((await service.decisions())[-1]["id"])
    waits = await service.ask("2_1")
    copy = copies.back_up(service)
    service = await back(service, copy)
    async with EngineClient(service.base, TOKEN) as client, asyncio.timeout(WITHIN_S):
        found = await client.look(waits["approval_id"])
        assert (found.status, found.reason, found.decided_by) == ("cancelled", "restored", None)
        async with aclosing(client.decisions(position, feed_id)) as decisions:
            with pytest.raises(FeedChanged):
                await anext(decisions)
        async with aclosing(client.decisions(0)) as decisions:
            assert (await anext(decisions)).position == position


async def test_permits_of_before_are_void_and_new_ones_count(
    service: Service, copies: Shelf, back: Back
) -> None:
    kept = await approved(service, "1_1")
    copy = copies.back_up(service)
    lost = await approved(service, "2_1")
    old = await public_keys(service)
    service = await back(service, copy)
    assert code(await redeem(service, kept)) == (401, "bad-permit")
    assert code(await redeem(service, lost)) == (401, "bad-permit")
    (new,) = await public_keys(service)
    assert new["kid"] not in {key["kid"] for key in old}
    assert (await redeem(service, await approved(service, "3_1")))[0] == 200


async def test_the_client_hears_that_its_permit_is_void(
    service: Service, copies: Shelf, back: Back
) -> None:
    async with EngineClient(service.base, TOKEN) as client:
        asked = await client.ask("1_1", "替换故障机", ["zhangsan"], action=ACTION)
        assert await service.says("zhangsan", "TY 1_1") == 200
        decision = await client.wait(asked)
    service = await back(service, copies.back_up(service))
    async with EngineClient(service.base, TOKEN) as client:
        assert decision.permit is not None
        with pytest.raises(BadPermit):
            await client.redeem(decision.permit, ACTION, "a-1")


# People.


async def test_a_login_that_ended_after_the_copy_was_taken_is_not_alive_again(
    service: Service, copies: Shelf, back: Back
) -> None:
    visitor, other = Visitor(service), Visitor(service)
    page = await visitor.log_in("zhangsan")
    await other.log_in("lisi")
    copy, cookies = copies.back_up(service), visitor.cookies
    kept = dict(cookies)
    await visitor.log_out(page)
    service = await back(service, copy)
    for cookie in (kept, dict(other.cookies)):
        again = Visitor(service, cookies=cookie)
        assert (await again.get("/wechat/todo/")).status in (302, 303)
    assert any(", 2 logins ended" in line for line in copies.said), copies.said


async def test_a_one_time_link_that_was_used_after_the_copy_is_spent(
    start: StartService, copies: Shelf, back: Back, tmp_path: Path
) -> None:
    service = await start(**FREE)
    link = link_in(tmp_path)
    copy = copies.back_up(service)
    service = await back(service, copy, **FREE)
    assert link_in(tmp_path) != link
    assert (await used(Visitor(service), link)).status == 410
    assert (await used(Visitor(service), link_in(tmp_path))).status == 303
    events = await service.app[keys.READING].events_of(CONFIGURATION_STREAM)
    assert any(isinstance(e, Configuration.LinkWithdrawn) for _, e in events)


async def test_a_freeze_that_stood_stands_and_one_that_began_later_is_said_to_be_lost(
    service: Service, copies: Shelf, back: Back
) -> None:
    thawed = copies.back_up(service)
    freeze = FreezeApprovals(at=service.clock(), by="shell:root", why="网络变更")
    await service.app[keys.WRITER].execute(freeze)
    frozen = copies.back_up(service, "frozen.db")
    await service.app[keys.WRITER].execute(ThawApprovals(at=service.clock(), by="shell:root"))
    service = await back(service, frozen)
    assert "approving stays frozen, by shell:root: 网络变更" in copies.said
    asked = await service.ask("1_1")
    assert "审批已冻结" in await service.heard("zhangsan", "TY 1_1")
    assert (await service.look(asked["approval_id"]))["status"] == "pending"
    await back(service, thawed)
    assert any(line.startswith("no freeze stood then") for line in copies.said)


async def test_settings_are_those_of_the_time_of_the_copy_and_it_is_said(
    start: StartService, copies: Shelf, back: Back
) -> None:
    service = await start(**FREE)
    await set_here(service, text_link="1")
    copy = copies.back_up(service)
    await set_here(service, text_link="0")
    service = await back(service, copy, **FREE)
    assert service.app[keys.SETTINGS].text_link
    assert any(line.startswith("settings, tokens and who may do what") for line in copies.said)


# What is sent.


async def test_what_was_still_to_be_sent_is_not_sent_except_what_tells_of_the_end(
    service: Service, copies: Shelf, back: Back
) -> None:
    for obj_id in ("1_1", "3_1"):
        await service.notified((await service.ask(obj_id))["approval_id"])
    await service.quiet()
    before = {userid: len(service.wecom.inbox(userid)) for userid in MEMBERS}
    knobs = service.wecom.knobs
    service.wecom.knobs = replace(knobs, outage="refuse", outage_on="message/send")
    waits = await service.ask("2_1")
    assert await service.says("lisi", "TY 1_1") == 200
    assert await service.says("zhangsan", "你好") == 200
    copy = copies.back_up(service)
    await service.stop()
    service.wecom.knobs = knobs
    service = await back(service, copy)
    await service.quiet()
    for userid, count in before.items():
        (new,) = [message.text for message in service.wecom.inbox(userid)[count:]]
        assert new.startswith("【故障自愈】3_1（"), new
    detail = {n["detail"] for n in (await service.look(waits["approval_id"]))["notifications"]}
    assert detail == {WITHHELD}
    assert any(line.startswith("7 messages and 0 webhooks") for line in copies.said), copies.said


async def test_webhooks_of_that_time_are_withheld_and_cancellations_are_pushed(
    service: Service, copies: Shelf, back: Back, clock: Clock
) -> None:
    """Whoever was told to go ahead must not be told again under another name."""
    receiver = await Receiver(clock).start()
    receiver.answers(500)
    feed_id = service.app[keys.FEED].feed_id
    for obj_id in ("1_1", "2_1"):
        await service.ask(obj_id, callback_url=receiver.url())
    assert await service.says("zhangsan", "TY 1_1") == 200
    await tried(service)
    copy = copies.back_up(service)
    receiver.got.clear()
    receiver.behave = None
    service = await back(service, copy)
    async with asyncio.timeout(WITHIN_S):
        while not receiver.got:
            await asyncio.sleep(0.01)
    await service.quiet()
    (pushed,) = receiver.got
    assert (pushed.subject, pushed.event["data"]["reason"]) == ("2_1", "restored")
    _, body = await service.api("GET", "/webhooks?state=undelivered")
    (withheld,) = body["webhooks"]
    assert (withheld["reply_id"], withheld["problem"]) == ("1_1", WITHHELD)
    status, _ = await service.api("POST", f"/webhooks/{withheld['id']}/redeliver")
    assert status == 200
    async with asyncio.timeout(WITHIN_S):
        while len(receiver.got) < 2:
            await asyncio.sleep(0.01)
    assert receiver.subjects() == ["2_1", "1_1"]
    assert not receiver.got[1].headers["webhook-id"].startswith(feed_id)
    await receiver.stop()


async def tried(service: Service) -> None:
    """A push has failed, and that is recorded."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            _, body = await service.api("GET", "/webhooks")
            if any(row["attempts"] for row in body["webhooks"]):
                return
            await asyncio.sleep(0.01)


# What was lost, asked again.


async def test_what_is_asked_again_in_the_same_words_reaches_its_approvers(
    service: Service, copies: Shelf, back: Back, clock: Clock
) -> None:
    """WeCom drops the same words to the same member within half an hour, and says nothing."""
    copy = copies.back_up(service)
    lost = await service.ask("1_1")
    await service.notified(lost["approval_id"])
    clock.advance(seconds=1)
    service = await back(service, copy)
    again = await service.ask("1_1")
    assert again["number"] != lost["number"] or again["requested_at"] != lost["requested_at"]
    asks = [text for text in await service.inbox("zhangsan", 2) if "即将执行" in text]
    assert len(asks) == 2
    assert asks[0] == asks[1]


async def test_a_card_of_a_lost_approval_decides_nothing_of_the_one_asked_again(
    start: StartService, copies: Shelf, back: Back, clock: Clock
) -> None:
    service = await start(message_style="card", super_approvers="")
    copy = copies.back_up(service)
    lost = await service.ask("1_1")
    await service.notified(lost["approval_id"])
    (card,) = await service.messages("zhangsan", 1)
    clock.advance(milliseconds=1)
    service = await back(service, copy, message_style="card", super_approvers="")
    again = await service.ask("1_1")
    await service.messages("zhangsan", 2)
    assert card.task_id is not None
    await service.wecom.tap("zhangsan", card.task_id, "approve/1_1")
    await service.answers("zhangsan", 1)
    assert (await service.look(again["approval_id"]))["status"] == "pending"
    replied = [e for e in await service.events(again["approval_id"]) if "replied" in e["type"]]
    assert [e["data"]["refusal"] for e in replied] == ["another-card"]


# The record.


async def test_the_restore_stands_in_the_history(
    service: Service, copies: Shelf, back: Back, clock: Clock
) -> None:
    await service.ask("1_1")
    feed_id = service.app[keys.FEED].feed_id
    await service.quiet()
    last = await service.app[keys.READING].last_position()
    service = await back(service, copies.back_up(service))
    with closing(open_event_store(settings_of(service).database)) as store:
        events = [event for _, event in store.events_of(STREAM)]
    (restored,) = [e for e in events if isinstance(e, Installation.Restored)]
    assert (restored.earlier_feed_id, restored.position) == (feed_id, last)
    assert restored.feed_id == service.app[keys.FEED].feed_id
    assert restored.by.startswith("shell:")
    assert restored.as_of == clock()


async def test_the_store_that_stood_there_keeps_every_event_under_another_name(
    service: Service, copies: Shelf, back: Back
) -> None:
    copy = copies.back_up(service)
    lost = await service.ask("1_1")
    await service.quiet()
    database = database_of(service)
    await back(service, copy)
    (aside,) = database.parent.glob("fta-approval.db.replaced-*")
    with closing(open_event_store(f"sqlite:///{aside}")) as store:
        assert store.events_of(approval_stream(lost["reply_id"]))
    assert copy.stat().st_mode & 0o777 == 0o600


# With real processes.


async def command(settings: dict[str, str], *words: str | Path) -> tuple[int, str]:
    """What an administrator types: exit status, and what it said."""
    process = await asyncio.create_subprocess_exec(
        SCRIPT,
        *words,
        env=settings,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), ENDED_WITHIN_S)
    assert process.returncode is not None
    return process.returncode, out.decode() + confidential.note_said(str(words[0]), err.decode())


async def test_a_killed_service_is_put_back_and_goes_on(
    tmp_path: Path, patient_wecom: tuple[SimulatedWeCom, str]
) -> None:
    wecom, url = patient_wecom
    port = free_port()
    settings = environment(tmp_path, wecom, url, port)
    base, copy = f"http://127.0.0.1:{port}{PREFIX_PATH}", tmp_path / "copy.db"
    service = ServiceProcess(settings, tmp_path)
    async with aiohttp.ClientSession() as http:
        load = Load(base, wecom, http)
        async with service:
            assert (await wecom.save_callback(f"{base}/wechat/entry/")).ok
            working = asyncio.create_task(load.run())
            await asked_at_least(load, 100)
            known = {one.obj_id for one in load.all if one.answered}
            assert (await command(settings, "backup", copy))[0] == 0
            await asked_at_least(load, len(load.all) + 100)
            status, said = await command(settings, "restore", copy, "--replace")
            assert (status, "the service runs" in said) == (1, True), said
            await service.kill()
            await asyncio.gather(working, return_exceptions=True)
        lost = {one.obj_id for one in load.all} - subjects(copy)
        assert lost
        assert (await command(settings, "restore", copy, "--replace"))[0] == 0
        async with service:
            feed = await whole_feed(load)
            ends = {decision["subject"]: decision["type"] for decision in feed}
            assert set(ends) == subjects(copy)
            approved = {name for name, end in ends.items() if end == "fta.approval.approved"}
            assert known <= approved, "acknowledged before the copy was begun"
            rest = [d["data"]["reason"] for d in feed if d["subject"] not in approved]
            assert rest == ["restored"] * len(rest)
            again = next(one for one in load.all if one.obj_id in lost)
            again.approval_id, again.answered, again.msg_id = None, False, again.msg_id + 10**6
            await load.finish(again)
            assert (await whole_feed(load))[-1]["subject"] == again.obj_id
            assert await service.terminate() == 0


async def asked_at_least(load: Load, count: int) -> None:
    async with asyncio.timeout(ENDED_WITHIN_S):
        while len(load.all) < count:
            await asyncio.sleep(0.005)


def subjects(copy: Path) -> set[str]:
    """Of every request in it."""
    with closing(sqlite3.connect(f"file:{copy}?mode=ro", uri=True)) as store:
        found = store.execute(
            "SELECT originator_id FROM stored_events WHERE topic = 'approval.requested'"
        )
        return {stream.removeprefix("approval-") for (stream,) in found}
