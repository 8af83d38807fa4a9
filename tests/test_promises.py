"""The promises that everything else rests on (contract 6.1-6.5), over real HTTP and real files."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartService
from tests.service import NOON, OTHER_TOKEN, UNASKED, Clock, Service
from web import keys

MEMBERS = ("zhangsan", "lisi", "wangwu")
ENDS = ("approval.approved", "approval.rejected", "approval.expired", "approval.cancelled")
MILLISECOND = timedelta(milliseconds=1)


@dataclass
class PassingClock(Clock):
    """Time that may pass by so much with every look at the clock."""

    each_look: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        self.now += self.each_look
        return self.now


@pytest.fixture
def clock() -> Iterator[PassingClock]:
    yield PassingClock()


async def events(service: Service, approval: Any, *kinds: str) -> list[Any]:
    found = await service.events(approval["approval_id"])
    return [event for event in found if not kinds or event["type"] in kinds]


async def replies(service: Service, approval: Any) -> list[Any]:
    return await events(service, approval, "approval.replied")


async def refusals(service: Service, approval: Any) -> list[str | None]:
    return [kept["data"]["refusal"] for kept in await replies(service, approval)]


async def ends(service: Service, approval: Any) -> list[str]:
    return [
        event["type"].removeprefix("approval.") for event in await events(service, approval, *ENDS)
    ]


async def sent(service: Service, *approvals: Any) -> None:
    """WeCom has taken what asks for them; ten quiet minutes have passed since."""
    for approval in approvals:
        await service.notified(approval["approval_id"])
    service.clock.advance(minutes=11)


# 6.1: one approval ends once.


async def test_of_300_replies_together_one_decides_and_the_others_hear_who_was_first(
    service: Service, clock: PassingClock
) -> None:
    service.hurry()
    approval = await service.ask(expires_in=86_400)
    await service.notified(approval["approval_id"])
    # Over the minutes in which they arrive, nobody writes more than 60 a minute.
    clock.each_look = timedelta(milliseconds=500)
    words = ("TY 12345_2", "BH 12345_2", "同意 12345_2 已确认")
    said = await asyncio.gather(
        *(service.says(MEMBERS[n % 3], words[n // 3 % 3]) for n in range(300))
    )
    clock.each_look = timedelta(0)
    assert said == [200] * 300
    kept = await replies(service, approval)
    (end,) = await events(service, approval, *ENDS)
    assert len(kept) == 300
    first = kept[0]["data"]
    assert (first["refusal"], first["repeated"]) == (None, False)
    assert end["type"] == f"approval.{'approved' if first['verdict'] == 'approve' else 'rejected'}"
    assert end["by"] == kept[0]["by"]
    for other in kept[1:]:
        same = (other["by"], other["data"]["verdict"]) == (end["by"], first["verdict"])
        assert other["data"]["repeated"] == same
        assert other["data"]["refusal"] == (None if same else "already-decided")
    await _all_heard_who_was_first(service, approval, end, kept)
    assert len(await service.decisions()) == 1


async def _all_heard_who_was_first(
    service: Service, approval: Any, end: Any, kept: list[Any]
) -> None:
    await service.quiet()
    told = [
        call.payload["text"]["content"]
        for call in service.wecom.calls
        if call.path == "message/send" and not UNASKED.search(call.payload["text"]["content"])
    ]
    assert len(told) == 300
    heard = Counter(text.partition("：")[0] for text in told)
    repeated = sum(other["data"]["repeated"] for other in kept)
    assert heard == {"【故障自愈】审批成功": 1 + repeated, "【故障自愈】审批失败": 299 - repeated}
    for text in told:
        if "失败" in text:
            assert f"12345_2 已由 {end['by']} 于 20:" in text


async def test_of_replies_cancels_and_clocks_together_one_ends_it(
    start: StartService, clock: PassingClock
) -> None:
    service = await start()
    for number in range(4):
        approval = await service.ask(f"{number}_1", expires_in=60)
        await service.quiet()
        deadline = clock.now + timedelta(seconds=60)
        # So near the deadline that it passes while they arrive.
        clock.now = deadline - timedelta(milliseconds=(1, 30, 100, 1000)[number])
        clock.each_look = MILLISECOND
        cancel = f"/approvals/{approval['approval_id']}/cancel"
        said, cancelled, _ = await asyncio.gather(
            asyncio.gather(*(service.says(MEMBERS[n % 3], f"TY {number}_1") for n in range(60))),
            asyncio.gather(
                *(service.api("POST", cancel, json={"reason": "已恢复"}) for _ in range(20))
            ),
            asyncio.gather(*(service.expire() for _ in range(5))),
        )
        clock.each_look = timedelta(0)
        await service.expire()
        assert said == [200] * 60
        (end,) = await events(service, approval, *ENDS)
        assert len(await replies(service, approval)) == 60
        at = datetime.fromisoformat(end["at"])
        assert (end["type"] == "approval.expired") == (at >= deadline)
        if end["type"] != "approval.cancelled":
            for status, problem in cancelled:
                assert (status, problem["code"]) == (409, "already-decided")
                assert problem["decision"]["status"] == end["type"].removeprefix("approval.")
        clock.now = deadline + timedelta(minutes=1)
    assert len(await service.decisions()) == 4


async def test_what_ended_stays_as_it_is(service: Service, clock: PassingClock) -> None:
    approval = await service.ask()
    await service.says("zhangsan", "TY 12345_2")
    before = (await service.decisions())[0]
    clock.advance(days=1)
    await service.says("lisi", "BH 12345_2")
    await service.expire()
    path = f"/approvals/{approval['approval_id']}/cancel"
    status, problem = await service.api("POST", path, json={"reason": "x"})
    assert (status, problem["code"]) == (409, "already-decided")
    assert await service.decisions() == [before]
    assert await ends(service, approval) == ["approved"]


# 6.3: the deadline, by the service's clock, at the moment of receipt.


@pytest.mark.parametrize(
    ("early_by", "ended"),
    [(MILLISECOND, "approved"), (timedelta(0), "expired"), (-MILLISECOND, "expired")],
)
async def test_the_deadline_is_judged_to_the_millisecond_while_no_timer_runs(
    service: Service, clock: PassingClock, early_by: timedelta, ended: str
) -> None:
    approval = await service.ask(expires_in=10)
    clock.now = NOON + timedelta(seconds=10) - early_by
    assert await service.says("zhangsan", "TY 12345_2") == 200
    assert await ends(service, approval) == [ended]
    (decision,) = await service.decisions()
    assert (
        decision["data"]["decided_at"]
        == f"{clock.now:%Y-%m-%dT%H:%M:%S}.{clock.now.microsecond // 1000:03d}Z"
    )
    assert await refusals(service, approval) == [None if ended == "approved" else "already-decided"]


@pytest.mark.parametrize("sent_at", [NOON - timedelta(days=1), NOON, NOON + timedelta(days=1)])
async def test_when_wecom_says_it_was_sent_decides_nothing(
    service: Service, clock: PassingClock, sent_at: datetime
) -> None:
    in_time, late = await service.ask("1_1"), await service.ask("2_1", expires_in=10)
    clock.advance(seconds=10)
    await service.wecom.send_text("zhangsan", "TY 1_1", at=sent_at)
    await service.wecom.send_text("zhangsan", "TY 2_1", at=sent_at)
    assert await ends(service, in_time) == ["approved"]
    assert await ends(service, late) == ["expired"]
    (kept,) = await replies(service, late)
    assert datetime.fromisoformat(kept["data"]["sent_at"]) == sent_at
    assert datetime.fromisoformat(kept["at"]) == clock.now


async def test_an_expiry_is_recorded_and_told_to_the_engine(
    service: Service, clock: PassingClock
) -> None:
    approval = await service.ask(expires_in=10)
    clock.now = NOON + timedelta(seconds=10) - MILLISECOND
    await service.expire()
    assert await ends(service, approval) == []
    clock.now += MILLISECOND
    await service.expire()
    await service.expire()
    (decision,) = await service.decisions()
    assert decision["type"] == "fta.approval.expired"
    assert (decision["data"]["decided_by"], decision["data"]["decided_via"]) == (None, "clock")
    assert decision["data"]["decided_at"] == decision["data"]["expires_at"]


async def test_hundreds_that_are_overdue_all_expire(service: Service, clock: PassingClock) -> None:
    await asyncio.gather(*(service.ask(f"{n}_1", expires_in=10 + n) for n in range(100)))
    clock.advance(seconds=60)
    await service.expire()
    assert len(await service.decisions()) == 51
    clock.advance(seconds=60)
    await service.expire()
    assert len(await service.decisions()) == 100


async def test_a_late_reply_records_the_expiry_and_is_told_so(
    service: Service, clock: PassingClock
) -> None:
    approval = await service.ask(expires_in=60)
    await service.quiet()
    clock.advance(seconds=61)
    assert await service.says("lisi", "BH 12345_2") == 200
    assert await ends(service, approval) == ["expired"]
    (told,) = await service.answers("lisi", 1)
    assert told == "【故障自愈】审批失败：12345_2 已于 20:01 超时，本次回复未生效"


async def test_within_one_approval_time_never_goes_back(
    service: Service, clock: PassingClock
) -> None:
    approval = await service.ask()
    await service.notified(approval["approval_id"])
    clock.advance(minutes=5)
    await service.says("zhangsan", "TY 12345_2 吗")
    clock.advance(minutes=-10)
    await service.says("zhangsan", "TY 12345_2")
    clock.advance(minutes=-10)
    await service.says("lisi", "BH 12345_2")
    await service.quiet()
    times = [event["at"] for event in await events(service, approval)]
    assert times == sorted(times)
    assert times[-1] == times[-2] == "2026-01-05T12:05:00.000Z"
    assert await ends(service, approval) == ["approved"]


# Runs.


async def test_a_reply_to_run_1_never_decides_run_2(service: Service) -> None:
    first = await service.ask()
    second = await service.ask(run=2)
    await sent(service, second)
    for userid, words in (
        ("zhangsan", "TY 12345_2"),
        ("lisi", "BH 12345_2"),
        ("wangwu", "TY 12345_2.1"),
    ):
        assert await service.says(userid, words) == 200
    assert await ends(service, first) == ["cancelled"]
    assert await ends(service, second) == []
    assert await replies(service, second) == []
    assert await refusals(service, first) == ["already-decided", "already-decided"]
    assert [kept.refusal for kept in await service.kept_of("wangwu")] == ["unknown-approval"]


async def test_a_reply_to_run_1_that_was_delayed_until_run_2_was_asked_decides_neither(
    service: Service,
) -> None:
    first = await service.ask()
    await service.notified(first["approval_id"])
    service.wecom.knobs.hold_callbacks = True
    await service.says("zhangsan", "TY 12345_2")
    await service.says("lisi", "TY")
    service.wecom.knobs.hold_callbacks = False
    second = await service.ask(run=2)
    await service.notified(second["approval_id"])
    assert [held.status for held in await service.wecom.release_callbacks()] == [200, 200]
    assert await ends(service, first) == ["cancelled"]
    assert await ends(service, second) == []
    assert await refusals(service, first) == ["already-decided"]
    assert [kept.refusal for kept in await service.kept_of("lisi")] == ["unclear-which"]


async def test_a_reply_to_run_2_decides_run_2_alone(service: Service) -> None:
    other = await service.ask("12345_2", run=1, token=OTHER_TOKEN)
    second = await service.ask("12345_2", run=2)
    assert await service.says("zhangsan", "TY 12345_2.2") == 200
    assert (await service.look(other["approval_id"], OTHER_TOKEN))["status"] == "pending"
    assert await ends(service, second) == ["approved"]


# A reply without an id decides only what its sender must have read, and nothing else.


async def test_a_reply_without_an_id_decides_what_alone_was_read_and_waits(
    service: Service,
) -> None:
    approval = await service.ask()
    await sent(service, approval)
    assert await service.says("zhangsan", "同意") == 200
    assert await ends(service, approval) == ["approved"]


async def nameless(service: Service, userid: str = "zhangsan", words: str = "TY") -> list[str]:
    """What is kept of a reply that names nothing."""
    assert await service.says(userid, words) == 200
    return [kept.refusal for kept in await service.kept_of(userid)]


async def test_a_reply_without_an_id_never_decides_what_was_not_sent_yet(
    service: Service,
) -> None:
    service.wecom.knobs.outage = "refuse"
    approval = await service.ask()
    service.clock.advance(minutes=11)
    assert await nameless(service) == ["unclear-which"]
    assert await ends(service, approval) == []


async def test_a_reply_without_an_id_never_decides_what_its_sender_was_not_sent(
    service: Service,
) -> None:
    service.wecom.show_only_to({"zhangsan", "lisi"})
    approval = await service.ask()
    await sent(service, approval)
    assert await nameless(service, "wangwu") == ["unclear-which"]
    assert await ends(service, approval) == []
    assert await nameless(service, "zhangsan") == []
    assert await ends(service, approval) == ["approved"]


async def test_a_reply_without_an_id_never_decides_what_was_sent_in_the_same_moment(
    service: Service,
) -> None:
    approval = await service.ask()
    await service.notified(approval["approval_id"])
    assert await nameless(service) == ["unclear-which"]
    service.clock.advance(milliseconds=1)
    assert await nameless(service) == ["unclear-which"]
    assert await ends(service, approval) == ["approved"]


async def test_a_reply_without_an_id_never_decides_while_two_wait(service: Service) -> None:
    approvals = [await service.ask("1_1"), await service.ask("2_1", approvers=["zhangsan"])]
    await sent(service, *approvals)
    assert await nameless(service) == ["unclear-which"]
    assert [await ends(service, approval) for approval in approvals] == [[], []]
    assert await nameless(service, "lisi") == []
    assert await ends(service, approvals[0]) == ["approved"]


async def test_a_reply_without_an_id_never_decides_a_high_risk(service: Service) -> None:
    approval = await service.ask(risk="high")
    await sent(service, approval)
    assert await nameless(service) == ["unclear-which"]
    assert await ends(service, approval) == []
    assert await service.says("zhangsan", "TY 12345_2") == 200
    assert await ends(service, approval) == ["approved"]


@pytest.mark.parametrize(
    ("passed", "decides"),
    [(timedelta(minutes=10), False), (timedelta(minutes=10) + MILLISECOND, True)],
)
@pytest.mark.parametrize("how", ["decided", "cancelled", "expired"])
async def test_a_reply_without_an_id_never_decides_within_ten_minutes_of_another_end(
    service: Service, clock: PassingClock, how: str, passed: timedelta, decides: bool
) -> None:
    other = await service.ask("1_1", expires_in=660)
    approval = await service.ask("2_1", expires_in=86_400)
    await sent(service, other, approval)
    if how == "decided":
        await service.says("lisi", "BH 1_1")
    elif how == "cancelled":
        await service.api("POST", f"/approvals/{other['approval_id']}/cancel", json={"reason": "x"})
    else:
        await service.expire()
    clock.now += passed
    assert await nameless(service) == ([] if decides else ["unclear-which"])
    assert await ends(service, approval) == (["approved"] if decides else [])


async def test_a_reply_without_an_id_never_decides_within_ten_minutes_of_another_request(
    service: Service, clock: PassingClock
) -> None:
    old = await service.ask("1_1", expires_in=86_400, approvers=["zhangsan"])
    await sent(service, old)
    fresh = await service.ask("2_1", approvers=["zhangsan"])
    await service.notified(fresh["approval_id"])
    clock.advance(seconds=1)
    await service.api("POST", f"/approvals/{fresh['approval_id']}/cancel", json={"reason": "x"})
    clock.advance(minutes=9)
    assert await nameless(service) == ["unclear-which"]
    assert await ends(service, old) == []


async def test_another_members_approvals_do_not_make_a_reply_unclear(service: Service) -> None:
    mine = await service.ask("1_1", approvers=["zhangsan"])
    await sent(service, mine)
    await service.ask("2_1", approvers=["lisi"])
    assert await nameless(service) == []
    assert await ends(service, mine) == ["approved"]


async def test_a_bare_number_decides_nothing(service: Service) -> None:
    approval = await service.ask("12345")
    await sent(service, approval)
    for words in (str(approval["number"]), f"TY {approval['number']}", "12345"):
        assert await service.says("zhangsan", words) == 200
    assert await ends(service, approval) == []


# 6.4: who may decide.


@pytest.mark.parametrize(
    ("userid", "capacity"),
    [("zhangsan", "approver"), ("ZhangSan", "approver"), ("WANGWU", "super-approver")],
)
async def test_who_decided_stands_as_wecom_spelled_it(
    service: Service, userid: str, capacity: str
) -> None:
    approval = await service.ask()
    await service.says(userid, "TY 12345_2")
    now = await service.look(approval["approval_id"])
    assert (now["decided_by"], now["capacity"]) == (userid, capacity)
    assert now["decided_via"] == "wecom-text"
    (kept,) = await replies(service, approval)
    assert kept["by"] == userid


async def test_an_approver_who_is_super_approver_too_decides_as_approver(
    service: Service,
) -> None:
    approval = await service.ask(approvers=["WangWu"])
    await service.says("wangwu", "TY 12345_2")
    assert (await service.look(approval["approval_id"]))["capacity"] == "approver"


async def test_a_stranger_decides_nothing_and_is_kept(service: Service) -> None:
    approval = await service.ask(approvers=["zhangsan"])
    for userid in ("lisi", "ww00000000000000ff/zhangsan", "zhangsan.x"):
        assert await service.says(userid, "TY 12345_2") == 200
    assert await ends(service, approval) == []
    assert await refusals(service, approval) == ["not-an-approver"] * 3


async def test_super_approvers_are_those_of_the_settings_at_the_moment_of_the_reply(
    start: StartService,
) -> None:
    before = await start(super_approvers="wangwu")
    approval = await before.ask("1_1", approvers=["zhangsan"])
    another = await before.ask("2_1", approvers=["zhangsan"])
    await before.quiet()
    await before.stop()
    after = await start(super_approvers="lisi")
    assert await after.says("wangwu", "TY 1_1") == 200
    assert await ends(after, approval) == []
    assert await refusals(after, approval) == ["not-an-approver"]
    assert await after.says("LiSi", "BH 2_1") == 200
    now = await after.look(another["approval_id"])
    assert (now["status"], now["decided_by"]) == ("rejected", "LiSi")
    assert now["capacity"] == "super-approver"


@pytest.mark.parametrize("requester", ["zhangsan", "wangwu"])
async def test_who_requests_never_decides_whatever_else_they_are(
    service: Service, requester: str
) -> None:
    approval = await service.ask(requested_by=requester.upper())
    await sent(service, approval)
    for words in (f"TY {approval['reply_id']}", f"BH {approval['reply_id']}"):
        assert await service.says(requester, words) == 200
    assert await nameless(service, requester) == ["unclear-which"]
    assert await ends(service, approval) == []
    assert await refusals(service, approval) == ["own-request", "own-request"]


# 6.5: every reply is kept.


KEPT = [
    ("TY 12345_2 吗", "question"),
    ("TY 12345_2 不", "hesitation"),
    ("TY 12345_2 1_1", "several-ids"),
    ("12345_2", "unreadable"),
]
KEPT_IN_INBOX = [
    ("TY 9_9", "unknown-approval"),
    ("TY", "unclear-which"),
    ("ok", "needs-id"),
    ("行吗？", "unreadable"),
    ("同意吗", "question"),
    ("帮助", "help"),
    ("待办", "todo"),
]


async def test_every_reply_is_kept_with_who_when_how_and_why(
    service: Service, clock: PassingClock, tmp_path: Path
) -> None:
    approval = await service.ask(risk="high")
    await service.quiet()
    clock.advance(seconds=7)
    for words, _ in (*KEPT, *KEPT_IN_INBOX):
        assert await service.says("ZhangSan", words) == 200
    kept = await replies(service, approval)
    assert [(k["data"]["words"], k["data"]["refusal"]) for k in kept] == KEPT
    for reply in kept:
        assert (reply["by"], reply["via"]) == ("ZhangSan", "wecom-text")
        assert reply["at"] == "2026-01-05T12:00:07.000Z"
    in_inbox = await service.kept_of("zhangsan")
    assert [(k.words, k.refusal) for k in in_inbox] == KEPT_IN_INBOX
    for received in in_inbox:
        assert (received.by, received.channel) == ("ZhangSan", "wecom-text")
        assert received.timestamp == clock.now
    await service.stop()
    assert _streams(tmp_path)["inbox-zhangsan-2026-01-05"] >= len(KEPT_IN_INBOX)


def _streams(folder: Path) -> Counter[str]:
    """Events of each stream, as they stand in the file."""
    with closing(sqlite3.connect(folder / "fta-approval.db")) as database:
        rows = database.execute("SELECT originator_id FROM stored_events").fetchall()
    return Counter(row[0] for row in rows)


async def test_an_inbox_is_of_one_member_and_one_utc_day(
    service: Service, clock: PassingClock
) -> None:
    clock.now = datetime(2026, 1, 5, 23, 59, 59, 999_000, tzinfo=UTC)
    await service.says("zhangsan", "TY 9_1")
    assert [kept.reply_id for kept in await service.kept_of("zhangsan")] == ["9_1"]
    clock.now += MILLISECOND
    await service.says("zhangsan", "TY 9_2")
    await service.says("lisi", "TY 9_3")
    assert [kept.reply_id for kept in await service.kept_of("zhangsan")] == ["9_2"]
    assert [kept.reply_id for kept in await service.kept_of("LISI")] == ["9_3"]


async def test_words_are_kept_as_they_were_written(service: Service) -> None:
    approval = await service.ask()
    words = "  ｔｙ　１２３４５＿２ \U0001f600 ]]> <b>&amp; \t好\n"
    await service.says("zhangsan", words)
    await service.wecom.send_text("lisi", "TY 9_9\x00\x1b[31m")
    kept = await replies(service, approval)
    assert [reply["data"]["words"] for reply in kept] == [words]
    assert await ends(service, approval) == ["approved"]
    (received,) = await service.kept_of("lisi")
    assert received.words == "TY 9_9  [31m"


# 6.2: what was answered with success is on disk.


async def test_what_wecom_was_answered_is_on_disk(service: Service, tmp_path: Path) -> None:
    await service.ask()
    await service.quiet()
    before = _streams(tmp_path)["approval-12345_2"]
    await service.says("zhangsan", "TY 12345_2")
    assert _streams(tmp_path)["approval-12345_2"] >= before + 2
    with closing(sqlite3.connect(tmp_path / "fta-approval.db")) as database:
        known = database.execute("SELECT member FROM delivery_keys").fetchall()
    assert known == [("zhangsan",)]


async def test_a_decision_outlives_a_restart_and_is_not_made_again(start: StartService) -> None:
    first = await start()
    approval = await first.ask()
    await first.says("zhangsan", "TY 12345_2")
    decisions = await first.decisions()
    await first.stop()
    second = await start()
    await second.says("lisi", "BH 12345_2")
    assert await second.decisions() == decisions
    assert await ends(second, approval) == ["approved"]
    assert second.app[keys.WRITER].last_position > int(decisions[0]["id"])
