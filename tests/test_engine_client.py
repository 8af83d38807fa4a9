"""The client for engines at the real service: ask, look, find, cancel, wait, follow."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import pytest

from adapters.engine.client import EngineClient
from adapters.engine.documents import (
    Approval,
    Decision,
    Outcome,
    Permit,
    Status,
    action_digest,
)
from adapters.engine.errors import (
    ActionDiffers,
    AlreadyDecided,
    AlreadyRedeemed,
    BadPermit,
    ConflictingRequest,
    FeedChanged,
    Frozen,
    NotApproved,
    OutcomeDiffers,
    PermitExpired,
    Refused,
    Revoked,
    Unauthorized,
    UnknownApproval,
)
from domain.commands import FreezeApprovals, Revoke, ThawApprovals
from tests.service import OTHER_TOKEN, READER_TOKEN, TOKEN, WITHIN_S, Service
from web import keys

ACTION = {"job": "replace", "hosts": ["10.0.0.1"], "说明": "换机 😀"}


@pytest.fixture
async def client(service: Service) -> AsyncIterator[EngineClient]:
    async with EngineClient(service.base, TOKEN) as found:
        yield found


async def follow(client: EngineClient, count: int, after: int = 0) -> list[Decision]:
    found: list[Decision] = []
    async with asyncio.timeout(WITHIN_S), aclosing(client.decisions(after)) as decisions:
        async for decision in decisions:
            found.append(decision)
            if len(found) == count:
                break
    return found


# Asking.


async def test_an_approval_is_told_as_the_service_has_it(
    service: Service, client: EngineClient
) -> None:
    asked = await client.ask(
        "12345_2",
        "替换故障机 10.0.0.1",
        ["zhangsan", "lisi"],
        run=2,
        kind="convergence",
        expires_in=600,
        biz_id="7",
        requested_by="wangwu",
        risk="high",
        action=ACTION,
        details={"IP": "10.0.0.1"},
    )
    told = await service.look(asked.approval_id)
    assert (asked.obj_id, asked.run, asked.reply_id) == ("12345_2", 2, "12345_2.2")
    assert (asked.engine, asked.number) == ("fta", told["number"])
    assert (asked.kind, asked.risk, asked.biz_id) == ("convergence", "high", "7")
    assert (asked.requested_by, asked.approvers) == ("wangwu", ("zhangsan", "lisi"))
    assert dict(asked.details) == {"IP": "10.0.0.1"}
    assert asked.status is Status.PENDING
    assert not asked.has_ended
    assert asked.requested_at == service.clock()
    assert (asked.expires_at - asked.requested_at).total_seconds() == 600
    assert asked.action_digest == told["action_digest"] == action_digest(ACTION)
    assert (await client.look(asked)).identity == asked.identity


async def test_the_same_again_is_the_same_and_something_else_conflicts(
    client: EngineClient,
) -> None:
    asked = await client.ask("12345_2", "替换故障机", ["zhangsan"])
    assert await client.ask("12345_2", "替换故障机", ["zhangsan"]) == asked
    with pytest.raises(ConflictingRequest):
        await client.ask("12345_2", "替换另一台", ["zhangsan"])


async def test_what_the_service_refuses_says_which_field(client: EngineClient) -> None:
    with pytest.raises(Refused, match="expires_in") as caught:
        await client.ask("12345_2", "替换故障机", ["zhangsan"], expires_in=1)
    assert (caught.value.code, caught.value.status) == ("invalid-request", 422)
    assert caught.value.document["errors"][0]["field"] == "expires_in"


async def test_runs_are_found(client: EngineClient) -> None:
    for run in (1, 2, 3):
        await client.ask("12345_2", "替换故障机", ["zhangsan"], run=run)
    await client.ask("12345_3", "替换故障机", ["zhangsan"])
    assert [one.run for one in await client.find("12345_2")] == [1, 2, 3]
    (waiting,) = await client.find("12345_2", status=Status.PENDING)
    assert waiting.run == 3
    assert await client.find("9_9") == []


async def test_cancelling_again_is_the_same_and_too_late_says_how_it_ended(
    service: Service, client: EngineClient
) -> None:
    asked = await client.ask("12345_2", "替换故障机", ["zhangsan"])
    ended = await client.cancel(asked, "不需要了")
    assert (ended.status, ended.decided_by, ended.reason) == (Status.CANCELLED, "fta", "不需要了")
    assert (await client.cancel(asked.approval_id, "不需要了")).identity == asked.identity
    other = await client.ask("12345_3", "替换故障机", ["zhangsan"])
    await service.says("zhangsan", "TY 12345_3")
    with pytest.raises(AlreadyDecided) as caught:
        await client.cancel(other, "不需要了")
    assert caught.value.decision["decided_by"] == "zhangsan"


async def test_an_engine_knows_its_own_approvals_only(
    service: Service, client: EngineClient
) -> None:
    asked = await client.ask("12345_2", "替换故障机", ["zhangsan"])
    async with EngineClient(service.base, OTHER_TOKEN) as other:
        with pytest.raises(UnknownApproval):
            await other.look(asked.approval_id)
        with pytest.raises(ConflictingRequest):
            await other.ask("12345_2", "替换故障机", ["zhangsan"])
    async with EngineClient(service.base, READER_TOKEN) as reader:
        assert (await reader.look(asked)).engine == "fta"


async def test_a_wrong_token_is_said_at_once(service: Service) -> None:
    async with EngineClient(service.base, "not-a-token-at-all") as client:
        with pytest.raises(Unauthorized):
            await client.find("12345_2")
        with pytest.raises(Unauthorized):
            await follow(client, 1)


async def test_a_name_cannot_leave_its_place_in_the_address(client: EngineClient) -> None:
    for name in ("../decisions", "a?b", "a/b", "..", ""):
        with pytest.raises((UnknownApproval, Refused)):
            await client.cancel(name, "x")


# Hearing.


@pytest.mark.parametrize(
    ("words", "status"), [("TY 12345_2", Status.APPROVED), ("BH 12345_2 太忙", Status.REJECTED)]
)
async def test_waiting_ends_when_somebody_decides(
    service: Service, client: EngineClient, words: str, status: Status
) -> None:
    asked = await client.ask("12345_2", "替换故障机", ["zhangsan"])
    waiting = asyncio.create_task(client.wait(asked, WITHIN_S))
    await service.says("zhangsan", words)
    ended = await waiting
    assert (ended.status, ended.decided_by, ended.decided_via) == (status, "zhangsan", "wecom-text")
    assert ended.decided_at == service.clock()


async def test_waiting_for_what_ended_long_ago_ends_at_once(
    service: Service, client: EngineClient
) -> None:
    asked = await client.ask("12345_2", "替换故障机", ["zhangsan"], expires_in=10)
    service.clock.advance(seconds=10)
    await service.expire()
    assert (await client.wait(asked.approval_id, WITHIN_S)).status is Status.EXPIRED


async def test_waiting_is_not_ended_by_another_run(service: Service, client: EngineClient) -> None:
    first = await client.ask("12345_2", "替换故障机", ["zhangsan"])
    second = await client.ask("12345_2", "替换故障机", ["zhangsan"], run=2)
    waiting = asyncio.create_task(client.wait(second, WITHIN_S))
    assert (await client.wait(first, WITHIN_S)).status is Status.CANCELLED
    await service.says("zhangsan", "TY 12345_2.2")
    ended = await waiting
    assert (ended.identity, ended.status) == (second.identity, Status.APPROVED)


async def test_decisions_are_those_of_the_feed(service: Service, client: EngineClient) -> None:
    for number in range(5):
        await client.ask(f"{number}_1", "替换故障机", ["zhangsan"])
        await service.says("zhangsan", f"TY {number}_1")
    found = await follow(client, 5)
    assert [str(one.position) for one in found] == [one["id"] for one in await service.decisions()]
    assert {one.type for one in found} == {"fta.approval.approved"}
    assert {one.time for one in found} == {service.clock()}
    (later,) = await follow(client, 1, after=found[3].position)
    assert later == found[4]


async def test_a_position_that_the_service_does_not_know_is_another_feed(
    client: EngineClient,
) -> None:
    with pytest.raises(FeedChanged):
        await follow(client, 1, after=10**6)


async def test_a_decision_names_its_feed_and_no_other_is_taken_for_it(
    service: Service, client: EngineClient
) -> None:
    await service.ask("12345_2")
    await service.says("zhangsan", "TY 12345_2")
    (found,) = await follow(client, 1)
    _, page = await service.api("GET", "/decisions")
    assert found.feed_id == page["feed_id"]
    async with aclosing(client.decisions(0, found.feed_id)) as again:
        assert await anext(again) == found
    with pytest.raises(FeedChanged, match="is of feed another"):
        await anext(client.decisions(0, "another"))


# Acting.


async def approved(service: Service, client: EngineClient, obj_id: str = "12345_2") -> Approval:
    """What zhangsan has approved, as the decision tells it."""
    asked = await client.ask(obj_id, "替换故障机", ["zhangsan"], action=ACTION)
    await service.says("zhangsan", f"TY {obj_id}")
    return await client.wait(asked, WITHIN_S)


def permit_of(approval: Approval) -> Permit:
    assert approval.permit is not None
    return approval.permit


async def test_a_permit_is_redeemed_once_and_the_same_attempt_is_answered_alike(
    service: Service, client: EngineClient
) -> None:
    permit = permit_of(await approved(service, client))
    first = await client.redeem(permit, ACTION, "attempt-1")
    assert (first.status, first.identity) == (Status.APPROVED, permit.of)
    again = await client.redeem(permit, ACTION, "attempt-1")
    # Messages may still be under way: what became of them is another matter.
    assert replace(again, notifications=first.notifications) == first
    with pytest.raises(AlreadyRedeemed):
        await client.redeem(permit, ACTION, "attempt-2")


async def test_a_permit_is_for_this_action_in_any_spelling(
    service: Service, client: EngineClient
) -> None:
    permit = permit_of(await approved(service, client))
    with pytest.raises(ActionDiffers):
        await client.redeem(permit, {**ACTION, "hosts": ["10.0.0.2"]}, "attempt-1")
    with pytest.raises(ActionDiffers):
        await client.redeem(permit, None, "attempt-1")
    turned = dict(reversed(list(ACTION.items())))
    assert (await client.redeem(permit, turned, "attempt-1")).identity == permit.of


async def test_without_an_action_the_permit_is_for_none(
    service: Service, client: EngineClient
) -> None:
    asked = await client.ask("12345_2", "替换故障机", ["zhangsan"])
    await service.says("zhangsan", "TY 12345_2")
    permit = permit_of(await client.wait(asked, WITHIN_S))
    with pytest.raises(ActionDiffers):
        await client.redeem(permit, ACTION, "attempt-1")
    assert (await client.redeem(permit, None, "attempt-1")).action_digest is None


async def test_a_permit_that_was_changed_or_is_anothers_is_none(
    service: Service, client: EngineClient
) -> None:
    permit = permit_of(await approved(service, client))
    with pytest.raises(BadPermit):
        await client.redeem(Permit(permit.text[:-3] + "abc", permit.of), ACTION, "attempt-1")
    async with EngineClient(service.base, OTHER_TOKEN) as other:
        with pytest.raises(BadPermit):
            await other.redeem(permit, ACTION, "attempt-1")
    assert (await client.redeem(permit, ACTION, "attempt-1")).identity == permit.of


async def test_a_permit_ends_and_the_next_run_is_asked(
    service: Service, client: EngineClient
) -> None:
    permit = permit_of(await approved(service, client))
    service.clock.advance(seconds=900)
    with pytest.raises(PermitExpired):
        await client.redeem(permit, ACTION, "attempt-1")


async def test_what_is_taken_back_or_frozen_is_not_redeemed(
    service: Service, client: EngineClient
) -> None:
    back = await approved(service, client)
    frozen = await approved(service, client, "12345_3")
    execute, now = service.app[keys.WRITER].execute, service.clock()
    await execute(Revoke(at=now, by="zhangsan", reply_id="12345_2"))
    with pytest.raises(Revoked):
        await client.redeem(permit_of(back), ACTION, "attempt-1")
    await execute(FreezeApprovals(at=now, by="shell:root", why="网络变更"))
    with pytest.raises(Frozen, match="网络变更"):
        await client.redeem(permit_of(frozen), ACTION, "attempt-1")
    await execute(ThawApprovals(at=now, by="shell:root"))
    assert (await client.redeem(permit_of(frozen), ACTION, "attempt-1")).obj_id == "12345_3"
    kinds = [one.type.rpartition(".")[2] for one in await follow(client, 3)]
    assert kinds == ["approved", "approved", "revoked"]


async def test_whoever_only_reads_gets_no_permit(service: Service, client: EngineClient) -> None:
    ended = await approved(service, client)
    async with EngineClient(service.base, READER_TOKEN) as reader:
        (decision,) = await follow(reader, 1)
        assert decision.approval.identity == ended.identity
        assert (decision.permit, (await reader.wait(ended, WITHIN_S)).permit) == (None, None)


async def test_an_outcome_is_reported_once_and_again_alike(
    service: Service, client: EngineClient
) -> None:
    asked = await client.ask("12345_3", "替换故障机", ["zhangsan"])
    with pytest.raises(NotApproved):
        await client.report(asked, "succeeded")
    ended = await approved(service, client)
    await client.redeem(permit_of(ended), ACTION, "attempt-1")
    told = await client.report(ended, Outcome.SUCCEEDED, "10.0.0.1 → 10.0.0.254")
    assert told.identity == ended.identity
    assert await client.report(ended.approval_id, "succeeded", "10.0.0.1 → 10.0.0.254") == told
    with pytest.raises(OutcomeDiffers):
        await client.report(ended, Outcome.FAILED)
    with pytest.raises(ValueError, match="perhaps"):
        await client.report(ended, "perhaps")


# What it costs to import.


@pytest.mark.parametrize("module", ["adapters.engine.client", "adapters.engine.blocking"])
def test_an_engine_that_imports_the_client_imports_nothing_of_the_service(module: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    )
    loaded = {name.split(".")[0] for name in ended.stdout.split()}
    service = {"web", "projections", "domain", "eventsourcing", "msgspec", "pydantic", "structlog"}
    assert loaded & service == set()
    assert "aiohttp" in loaded
    ours = {name for name in ended.stdout.split() if name.startswith("adapters.")}
    # Tree heads, too, which it keeps; not the tree, nor the store.
    assert ours - {
        f"adapters.evidence{part}" for part in ("", ".heads", ".head_file", ".merkle")
    } == {name for name in ours if name.startswith("adapters.engine")}
