"""examples/fta/wechat.py against the running service, under Python 3 and under a Python 2.7."""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.commands import FreezeApprovals, Revoke, ThawApprovals
from tests.fta_interpreters import Engine, engine, interpreters, pythons_2
from tests.service import OTHER_TOKEN, TOKEN, Service
from web import keys


@pytest.fixture(scope="module", params=interpreters(), ids=lambda path: Path(path).name)
def process(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Started once: some interpreters take seconds. What it knows is in its notes."""
    with engine(request.param) as started:
        yield started


@pytest.fixture(scope="module")
def other_process() -> Iterator[Engine]:
    with engine(interpreters()[0]) as started:
        yield started


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "notes"


@pytest.fixture
async def fta(process: Engine, service: Service, notes: Path) -> Engine:
    return await process.serves(service, notes)


@pytest.fixture
async def another(other_process: Engine, service: Service, notes: Path) -> Engine:
    """Another process of the same engine: the same notes."""
    return await other_process.serves(service, notes)


@pytest.fixture
async def elsewhere(other_process: Engine, service: Service, tmp_path: Path) -> Engine:
    """A process of the engine on a machine that has other notes."""
    return await other_process.serves(service, tmp_path / "others-notes")


def listening(notes: Path) -> list[str]:
    """The notes of executions that asked or are asking."""
    return [note.name for note in notes.rglob("*.as*")]


def grow_old(notes: Path, seconds: float) -> None:
    """As if so much time had passed since an execution asked or polled."""
    for note in notes.rglob("*.as*"):
        past = time.time() - seconds
        os.utime(note, (past, past))


async def all_runs(service: Service, obj_id: str = "12345_2") -> list[tuple[int, str]]:
    _, body = await service.api("GET", f"/approvals?obj_id={obj_id}")
    return [(one["run"], one["status"]) for one in body["approvals"]]


async def decide(service: Service, words: str, userid: str = "zhangsan") -> None:
    answer = await service.heard(userid, words)
    assert "审批成功" in answer, answer


def test_a_python_2_7_is_among_those_that_run_this() -> None:
    """On a developer's machine its absence is said; in CI, which installs one, it is an error."""
    if pythons_2():
        return
    missing = "NO PYTHON 2.7: examples/fta/wechat.py was tried under Python 3 only; install jython"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


# Asking.


async def test_the_request_is_what_fta_gave(fta: Engine, service: Service) -> None:
    asked = await fta.asks(message="重启 10.0.0.1 的 nginx")
    approval = await service.look(asked["approval_id"])
    assert (approval["obj_id"], approval["run"], approval["kind"]) == ("12345_2", 1, "solution")
    assert approval["approvers"] == ["zhangsan", "lisi"]
    assert approval["message"] == "重启 10.0.0.1 的 nginx"
    assert asked["number"] == approval["number"]
    text = (await service.inbox("zhangsan", 1))[0]
    assert text.startswith("【故障自愈】即将执行 重启 10.0.0.1 的 nginx,请审核！\n")


async def test_bytes_are_read_as_utf_8(fta: Engine, service: Service) -> None:
    answer = await fta.call(
        "wechat_approve", "12345_2", "zhangsan, lisi,,", "重启“甲”", in_bytes=True
    )
    approval = await service.look(answer["result"]["approval_id"])
    assert approval["message"] == "重启“甲”"
    assert approval["approvers"] == ["zhangsan", "lisi"]


@pytest.mark.parametrize("in_bytes", [False, True])
async def test_further_fields_go_along(fta: Engine, service: Service, in_bytes: bool) -> None:
    more: dict[str, Any] = {
        "kind": "convergence",
        "details": {"业务": "游戏"},
        "risk": "high",
        "expires_in": 60,
    }
    asked = await fta.asks("12345_-1", **more, in_bytes=in_bytes)
    approval = await service.look(asked["approval_id"])
    assert (approval["kind"], approval["risk"]) == ("convergence", "high")
    assert approval["details"] == {"业务": "游戏"}


async def test_names_of_blueking_become_userids_by_a_table(
    fta: Engine, service: Service, tmp_path: Path
) -> None:
    table = tmp_path / "userids.json"
    table.write_text(json.dumps({"zhangsan": "ZhangSan01"}), encoding="utf-8")
    await fta.call("noop", settings={"USERIDS": str(table)})
    try:
        asked = await fta.asks()
    finally:
        await fta.call("noop", settings={"USERIDS": None})
    assert (await service.look(asked["approval_id"]))["approvers"] == ["ZhangSan01", "lisi"]


async def test_nobody_to_ask_is_said_and_nothing_is_asked(fta: Engine, service: Service) -> None:
    answer = await fta.call("wechat_approve", "12345_2", " , ", "重启")
    assert answer["refused"] == "12345_2 没有审批人"
    assert await all_runs(service) == []


async def test_what_the_service_refuses_is_an_error_and_no_execution_listens(
    fta: Engine, service: Service, notes: Path
) -> None:
    assert "invalid-request" in await fta.refused(message="重" * 2001)
    assert await all_runs(service) == []
    assert not listening(notes)


async def test_a_wrong_token_is_an_error_and_stands_nowhere(fta: Engine, service: Service) -> None:
    await fta.call("noop", settings={"TOKEN": "not-a-token-of-it"})
    answer = await fta.call("wechat_approve", "12345_2", "zhangsan", "重启")
    assert "401 unauthorized" in answer["refused"]
    polled = await fta.call("get_approve_result", 12345, 2)
    assert polled["result"]["status"] is None
    assert "not-a-token" not in json.dumps([answer, polled])


async def test_a_service_that_is_away_is_an_error(fta: Engine, service: Service) -> None:
    await fta.call("noop", settings={"ADDRESS": "http://127.0.0.1:1"})
    assert "URLError" in await fta.refused()


@pytest.mark.parametrize("obj_id", ["../12345_2", "12345.2", "", "x" * 65, "12345_2\n"])
async def test_an_obj_id_is_a_name_and_no_path(
    fta: Engine, service: Service, notes: Path, obj_id: str
) -> None:
    assert "obj_id" in await fta.refused(obj_id)
    assert not listening(notes)
    polled = await fta.call("get_approve_result", f"../{obj_id}", 2)
    assert polled["result"]["status"] is None
    assert "is no obj_id" in polled["log"][0]


# Which run.


async def test_the_same_request_while_it_waits_is_the_same_approval(
    fta: Engine, service: Service
) -> None:
    first, again = await fta.asks(), await fta.asks()
    assert first == again
    assert await all_runs(service) == [(1, "pending")]


async def test_another_message_while_one_waits_is_refused(fta: Engine, service: Service) -> None:
    await fta.asks(message="重启")
    assert "409 conflicting-request" in await fta.refused(message="替换")
    assert await all_runs(service) == [(1, "pending")]


async def test_a_retry_is_asked_anew_and_does_not_hear_the_old_decision(
    fta: Engine, service: Service
) -> None:
    """S1 of the old system."""
    await fta.asks()
    await decide(service, "BH 12345_2 磁盘没满")
    old = await fta.polls()
    assert old["row"]["reason"] == "驳回（微信审批）：磁盘没满"
    again = await fta.asks()
    assert (again["run"], again["reply_id"]) == (2, "12345_2.2")
    assert await fta.polls() is None
    await decide(service, "BH 12345_2.2")
    assert (await fta.polls())["row"]["reason"] == "驳回（微信审批）"


async def test_a_retry_waits_for_an_execution_that_has_not_heard_its_end(
    fta: Engine, another: Engine, service: Service
) -> None:
    await fta.asks()
    await decide(service, "BH 12345_2")
    assert "上一次执行可能还在等待" in await another.refused()
    assert (await fta.polls())["state"] == "rejected"
    assert (await another.asks())["run"] == 2


async def test_an_execution_that_died_keeps_nobody_waiting_for_long(
    fta: Engine, service: Service, notes: Path
) -> None:
    await fta.asks()
    await decide(service, "BH 12345_2")
    grow_old(notes, 179)
    await fta.refused()
    grow_old(notes, 181)
    assert (await fta.asks())["run"] == 2


async def test_a_poll_shows_that_an_execution_lives(
    fta: Engine, service: Service, notes: Path
) -> None:
    await fta.asks()
    grow_old(notes, 1000)
    assert await fta.polls() is None
    await decide(service, "BH 12345_2")
    assert "上一次执行可能还在等待" in await fta.refused()


async def test_runs_that_the_old_api_opened_count(fta: Engine, service: Service) -> None:
    body = {"message": "重启", "verifier": "zhangsan", "obj_id": "12345_2"}
    url = f"{service.base}/wechat/create_approve/"
    async with service.http.post(url, json=body, headers={"TOKEN": TOKEN}) as response:
        assert (await response.json())["result"] is True
    await decide(service, "BH 12345_2")
    assert await fta.polls() is None
    assert (await fta.asks())["run"] == 2


async def test_another_engines_approval_of_that_name_is_an_error(
    fta: Engine, service: Service
) -> None:
    await service.ask("12345_2", OTHER_TOKEN)
    assert "conflicting-request" in await fta.refused()
    assert await fta.polls() is None


async def test_a_caller_that_knows_its_run_names_it(fta: Engine, service: Service) -> None:
    await fta.asks(run=7)
    assert (await fta.asks(run=7))["run"] == 7
    await decide(service, "BH 12345_2.7")
    assert (await fta.asks(run=8))["run"] == 8
    assert (await fta.polls(run=7))["state"] == "rejected"
    assert await fta.polls(run=8) is None
    assert await fta.polls(run=9) is None


# What the engine reads.


async def test_nothing_is_decided_before_anybody_asked(fta: Engine) -> None:
    assert await fta.polls() is None


async def test_nothing_is_decided_where_the_notes_are_not(
    fta: Engine, elsewhere: Engine, service: Service
) -> None:
    await fta.asks()
    await decide(service, "BH 12345_2")
    assert await elsewhere.polls() is None


async def test_a_poll_of_a_node_reads_no_other_node(fta: Engine, service: Service) -> None:
    await fta.asks("12345_2")
    await fta.asks("12345_20")
    await decide(service, "BH 12345_20")
    assert await fta.polls(12345, 2) is None
    assert (await fta.polls(12345, 20))["state"] == "rejected"


async def test_the_answer_outlives_the_engine(
    fta: Engine, another: Engine, service: Service
) -> None:
    """Asked by one process, polled by the next: what it knows is on disk."""
    await fta.asks()
    await decide(service, "BH 12345_2")
    assert (await another.polls())["state"] == "rejected"
    assert (await fta.polls())["state"] == "rejected"


async def test_a_rejection_is_ftas_row(fta: Engine, service: Service) -> None:
    asked = await fta.asks()
    await decide(service, "BH 12345_2 磁盘没满", "lisi")
    got = await fta.polls()
    assert got["status"] == "failure"
    assert got["row"] == {
        "obj_id": f"{asked['number']}-12345_2",
        "alarm_id": 12345,
        "node_idx": 2,
        "approval": 0,
        "reason": "驳回（微信审批）：磁盘没满",
        "approver": "lisi",
    }


async def test_ends_without_a_person_name_the_system(fta: Engine, service: Service) -> None:
    await fta.asks("1_1")
    asked = await fta.asks("2_1", expires_in=86400)
    service.clock.advance(seconds=1200)
    await service.expire()
    await service.api(
        "POST", f"/approvals/{asked['approval_id']}/cancel", json={"reason": "告警已恢复"}
    )
    expired, cancelled = await fta.polls(1, 1), await fta.polls(2, 1)
    assert (expired["row"]["approval"], expired["row"]["approver"]) == (0, "系统")
    assert expired["row"]["reason"] == "审批超时"
    assert (cancelled["row"]["approval"], cancelled["row"]["approver"]) == (0, "系统")
    assert cancelled["row"]["reason"] == "审批已撤销：告警已恢复"


async def outcomes(fta: Engine) -> list[list[Any]]:
    """Of mechanism A, of notice, of get_bak_ip."""
    return list((await fta.call("outcome", 12345, 2))["result"])


async def test_a_node_that_waits_has_no_outcome(fta: Engine, service: Service) -> None:
    await fta.asks()
    assert await outcomes(fta) == [None, None, None]


async def test_each_mechanism_ends_a_rejected_node_by_its_own_words(
    fta: Engine, service: Service
) -> None:
    await fta.asks()
    await decide(service, "BH 12345_2")
    assert await outcomes(fta) == [
        ["skipped", None, "[zhangsan]驳回 了审批 [拒绝执行-（zhangsan）微信操作]"],
        ["failure", None, "驳回（微信审批）"],
        ["failure", None, "驳回（微信审批）"],
    ]


async def test_each_mechanism_ends_an_expired_node_by_its_own_words(
    fta: Engine, service: Service
) -> None:
    await fta.asks()
    service.clock.advance(seconds=1200)
    await service.expire()
    assert await outcomes(fta) == [
        ["skipped", "timeout", "[系统]驳回了审批[超时]"],
        ["failure", "timeout", "审批超时"],
        ["failure", "timeout", "审批超时"],
    ]


async def test_a_lost_service_decides_nothing_and_says_why(fta: Engine, service: Service) -> None:
    await fta.asks()
    await decide(service, "BH 12345_2")
    await fta.call("noop", settings={"ADDRESS": "http://127.0.0.1:1"})
    polled = await fta.call("get_approve_result", 12345, 2)
    assert polled["result"]["status"] is None
    assert "URLError" in polled["log"][0]
    await fta.call("noop", settings={"ADDRESS": service.base})
    assert (await fta.polls())["state"] == "rejected"


# 通过: once, to one execution.


async def test_an_approval_is_redeemed_before_the_engine_hears_of_it(
    fta: Engine, service: Service
) -> None:
    asked = await fta.asks()
    await decide(service, "TY 12345_2")
    got = await fta.polls()
    assert got["status"] == "success"
    assert got["row"] == {
        "obj_id": f"{asked['number']}-12345_2",
        "alarm_id": 12345,
        "node_idx": 2,
        "approval": 1,
        "reason": "同意（微信审批）",
        "approver": "zhangsan",
    }
    assert await times_redeemed(service, asked) == 1


async def test_the_same_execution_that_polls_again_gets_the_same_answer(
    fta: Engine, another: Engine, service: Service
) -> None:
    asked = await fta.asks()
    await decide(service, "TY 12345_2 已确认")
    first = await fta.polls()
    assert first["row"]["reason"] == "同意（微信审批）：已确认"
    service.clock.advance(hours=1)
    assert await fta.polls() == first
    assert await another.polls() == first
    assert await times_redeemed(service, asked) == 1


async def test_a_retry_of_what_was_approved_waits_for_a_yes_of_its_own(
    fta: Engine, service: Service
) -> None:
    """S1 of the old system, the way round that is dangerous."""
    await fta.asks()
    await decide(service, "TY 12345_2")
    assert (await fta.polls())["status"] == "success"
    assert (await fta.asks())["run"] == 2
    assert await fta.polls() is None
    assert "审批成功：12345_2 您已于" in await service.heard("zhangsan", "TY 12345_2")
    assert await fta.polls() is None
    await decide(service, "TY 12345_2.2")
    assert (await fta.polls())["status"] == "success"


async def test_of_two_executions_that_asked_the_same_one_gets_it(
    fta: Engine, another: Engine, service: Service
) -> None:
    asked = await fta.asks()
    assert await another.asks() == asked
    await decide(service, "TY 12345_2")
    got = [await fta.polls(), await another.polls(), await fta.polls()]
    assert [one["state"] for one in got] == ["approved", "used", "used"]
    assert [one["row"]["approval"] for one in got] == [1, 0, 0]
    assert got[1]["row"]["reason"] == "审批已用于另一次执行，请重试"
    assert await times_redeemed(service, asked) == 1


async def test_of_two_machines_that_share_no_notes_one_gets_it(
    fta: Engine, elsewhere: Engine, service: Service
) -> None:
    await fta.asks()
    await elsewhere.asks()
    await decide(service, "TY 12345_2")
    got = await asyncio.gather(fta.polls(), elsewhere.polls())
    assert sorted(one["state"] for one in got) == ["approved", "used"]


async def test_an_execution_thought_dead_and_its_retry_are_not_both_approved(
    fta: Engine, another: Engine, service: Service, notes: Path
) -> None:
    """It never heard its end and did not poll for long; if it polls all the same, one of the two
    is told, once."""
    await fta.asks()
    await decide(service, "TY 12345_2")
    grow_old(notes, 181)
    assert (await another.asks())["run"] == 2
    await decide(service, "TY 12345_2.2")
    got = [await fta.polls(), await another.polls()]
    assert [one["state"] for one in got] == ["approved", "used"]


async def test_an_engine_that_died_while_asking_leaves_one_that_asks_again_alone_in_doubt(
    fta: Engine, service: Service, notes: Path
) -> None:
    """Its note stays, so that nobody can tell how many poll: one poll is told, and no more."""
    (notes / "12345_2").mkdir(parents=True)
    (notes / "12345_2" / f"1.{'0' * 32}.asking").write_text("{}")
    await fta.asks()
    await decide(service, "TY 12345_2")
    assert [(await fta.polls())["state"] for _ in range(2)] == ["approved", "used"]


async def test_another_approval_under_the_same_name_is_not_the_one_that_was_asked(
    fta: Engine, service: Service, notes: Path
) -> None:
    """The store was restored to a time before it, and somebody has asked since."""
    await fta.asks()
    await decide(service, "TY 12345_2")
    (name,) = listening(notes)
    (notes / "12345_2" / name).write_text(json.dumps({"number": 10**9}))
    assert await fta.polls() is None


async def test_a_permit_that_has_expired_is_no_approval(fta: Engine, service: Service) -> None:
    await fta.asks()
    await decide(service, "TY 12345_2")
    service.clock.advance(seconds=901)
    got = await fta.polls()
    assert (got["status"], got["state"]) == ("failure", "too-late")
    assert got["row"]["reason"] == "审批已同意，但许可已失效，请重试"
    assert (await fta.asks())["run"] == 2


async def test_a_revoked_approval_is_none(fta: Engine, service: Service) -> None:
    asked = await fta.asks()
    await decide(service, "TY 12345_2")
    await service.app[keys.WRITER].execute(
        Revoke(
            at=service.clock(),
            by="lisi",
            reply_id=asked["reply_id"],
            reason="搞错了",
        )
    )
    got = await fta.polls()
    assert (got["row"]["approval"], got["row"]["approver"]) == (0, "lisi")
    assert got["row"]["reason"] == "同意已被撤销：搞错了"


async def test_while_everything_is_frozen_nothing_is_handed_over(
    fta: Engine, service: Service
) -> None:
    await fta.asks()
    await decide(service, "TY 12345_2")
    execute = service.app[keys.WRITER].execute
    await execute(FreezeApprovals(at=service.clock(), by="shell:root", why="网络变更"))
    answer = await fta.call("get_approve_result", 12345, 2)
    assert answer["result"]["status"] is None
    assert "frozen" in answer["log"][0]
    await execute(ThawApprovals(at=service.clock(), by="shell:root"))
    assert (await fta.polls())["status"] == "success"


async def test_a_caller_that_names_its_run_gets_that_runs_approval_and_no_other(
    fta: Engine, another: Engine, service: Service
) -> None:
    await fta.asks(run=1)
    await decide(service, "TY 12345_2")
    await another.asks(run=2)
    first = await fta.polls(run=1)
    assert first["status"] == "success"
    assert await fta.polls(run=1) == first
    assert await another.polls(run=2) is None


async def test_each_mechanism_ends_an_approved_node_by_its_own_words(
    fta: Engine, service: Service
) -> None:
    await fta.asks()
    await decide(service, "TY 12345_2")
    assert await outcomes(fta) == [
        ["success", None, "[zhangsan]通过 了审批 [准许执行自愈套餐-（zhangsan）微信操作]"],
        ["success", None, "同意（微信审批）"],
        ["success", None, "成功获取备机10.0.0.9"],
    ]


async def test_what_came_of_the_action_is_reported(fta: Engine, service: Service) -> None:
    asked = await fta.asks()
    refused = await fta.call("report_outcome", 12345, 2, "succeeded")
    assert "409 not-approved" in refused["refused"]
    await decide(service, "TY 12345_2")
    await fta.polls()
    for _ in range(2):
        answer = await fta.call("report_outcome", 12345, 2, "succeeded", "已替换", in_bytes=True)
        assert answer["result"] is None
    refused = await fta.call("report_outcome", 12345, 2, "failed")
    assert "409 outcome-differs" in refused["refused"]
    (event,) = [e for e in await service.events(asked["approval_id"]) if "outcome" in e["type"]]
    assert (event["data"]["outcome"], event["data"]["detail"]) == ("succeeded", "已替换")


async def test_neither_token_nor_permit_is_logged(fta: Engine, service: Service) -> None:
    await fta.asks()
    await decide(service, "TY 12345_2")
    (decision,) = await service.decisions()
    await service.app[keys.WRITER].execute(
        FreezeApprovals(at=service.clock(), by="shell:root", why="网络变更")
    )
    answer = await fta.call("get_approve_result", 12345, 2)
    assert answer["log"]
    assert TOKEN not in json.dumps(answer)
    assert decision["data"]["permit"] not in json.dumps(answer)


async def times_redeemed(service: Service, asked: Any) -> int:
    events = await service.events(asked["approval_id"])
    return [event["type"] for event in events].count("approval.redeemed")
