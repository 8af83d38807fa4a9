"""`fta-approval freeze` and `thaw`: nothing is approved or redeemed meanwhile, by no process."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from eventsourcing.persistence import IntegrityError

from adapters.store.event_store import EventStore, open_event_store
from domain import errors
from domain.commands import FreezeApprovals
from domain.freeze import FREEZE_STREAM, Freeze
from domain.permit import PermitRules
from tests.process import SCRIPT
from tests.scenario import APPROVE, NOON, after, ask, presses, says
from tests.service import Service
from tests.stores import writing
from tests.test_permits_over_http import approved, code, redeem
from tests.visitor import APPROVE as PRESS_APPROVE
from tests.visitor import REJECT as PRESS_REJECT
from tests.visitor import Visitor
from web import freezing, keys
from web.parts import beside_database

WHY = "网络变更"
ENDED_WITHIN_S = 30.0


async def run(service: Service, *words: str) -> tuple[int, str, str]:
    """The command as an administrator types it, beside the running service."""
    database = service.app[keys.SETTINGS].database
    process = await asyncio.create_subprocess_exec(
        SCRIPT,
        *words,
        env={"FTA_APPROVAL_DATABASE": database, "PATH": "/usr/bin:/bin"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), ENDED_WITHIN_S)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_while_frozen_everybody_who_tries_is_told_why(service: Service) -> None:
    service.hurry()
    permit = await approved(service)
    await service.ask("2_1")
    status, said, _ = await run(service, "freeze", "--why", WHY)
    assert status == 0
    assert said == "frozen: nothing is approved and no permit redeemed until fta-approval thaw\n"
    answer = await redeem(service, permit)
    assert code(answer) == (409, "frozen")
    assert "网络变更" in answer[1]["detail"]
    heard = await service.heard("zhangsan", "TY 2_1")
    assert heard == "【故障自愈】审批失败：审批已冻结（网络变更），2_1 未作决定，解冻后请重新审批"
    async with service.http.get(f"{service.url}/readyz") as response:
        body = await response.json()
    assert response.status == 200
    assert body["approving"].endswith(": 网络变更")
    assert (await run(service, "thaw"))[:2] == (0, "thawed\n")
    assert (await redeem(service, permit))[0] == 200
    assert "您已同意 2_1" in await service.heard("zhangsan", "TY 2_1")


async def test_who_froze_and_thawed_stands_in_the_history(service: Service) -> None:
    await run(service, "freeze", "--why", WHY)
    await run(service, "thaw")
    stored: list[Any] = await service.app[keys.READING].events_of(FREEZE_STREAM)
    assert [type(event) for _, event in stored] == [Freeze.Began, Freeze.Ended]
    assert all(event.by.startswith("shell:") for _, event in stored)


async def test_to_thaw_what_is_not_frozen_is_said(service: Service) -> None:
    assert (await run(service, "thaw"))[:2] == (0, "nothing was frozen\n")


@pytest.mark.parametrize(
    "words", [["freeze"], ["freeze", "--why", " "], ["freeze", "--why", "a" * 201]]
)
async def test_a_freeze_says_why(service: Service, words: list[str]) -> None:
    status, _, said = await run(service, *words)
    assert (status, "--why" in said) == (2, True)
    assert (await service.app[keys.READING].freeze()).version == 0


async def test_without_a_store_nothing_is_frozen(service: Service, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        SCRIPT,
        *("freeze", "--why", WHY),
        env={"FTA_APPROVAL_DATABASE": f"sqlite:///{tmp_path}/misspelt.db", "PATH": "/usr/bin:/bin"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(process.communicate(), ENDED_WITHIN_S)
    assert process.returncode == 1
    assert b"there is no event store" in said


async def test_a_rebuild_under_way_holds_up_no_freeze(service: Service) -> None:
    """Read models are made anew in one transaction, which may take minutes."""
    views = beside_database(service.app[keys.SETTINGS], "-views")
    with closing(sqlite3.connect(views, isolation_level=None)) as rebuild:
        rebuild.execute("BEGIN IMMEDIATE")
        status, said, _ = await run(service, "freeze", "--why", WHY)
    assert (status, said.startswith("frozen")) == (0, True)
    assert (await service.app[keys.READING].freeze()).in_force is not None


async def test_a_freeze_asks_for_no_secret_key(service: Service) -> None:
    key = beside_database(service.app[keys.SETTINGS], ".key")
    key.rename(key.with_name("elsewhere"))
    assert (await run(service, "freeze", "--why", WHY))[0] == 0
    assert not key.exists()


async def test_the_pages_say_so_and_a_pressed_button_decides_nothing(service: Service) -> None:
    visitor = Visitor(service)
    asked = await service.ask()
    page = f"/wechat/a/{asked['approval_id']}/"
    before = await visitor.log_in("zhangsan", visitor.prefix + page)
    assert "审批已冻结" not in before.text
    await freezing.freeze(service.app[keys.SETTINGS], WHY, lambda line: None)
    refused = await visitor.press(before.form, PRESS_APPROVE)
    assert refused.status == 409
    assert f"原因: {WHY}" in refused.text
    assert (await service.look(asked["approval_id"]))["status"] == "pending"
    for path in ("/wechat/todo/", page):
        assert f"审批已冻结，暂时不能同意。原因: {WHY}。" in (await visitor.get(path)).text
    assert (await visitor.press(before.form, PRESS_REJECT)).status == 303
    assert (await service.look(asked["approval_id"]))["status"] == "rejected"


async def test_the_page_of_what_was_approved_says_why_its_engine_does_not_begin(
    service: Service,
) -> None:
    visitor = Visitor(service)
    asked = await service.ask()
    page = f"/wechat/a/{asked['approval_id']}/"
    before = await visitor.log_in("zhangsan", visitor.prefix + page)
    assert (await visitor.press(before.form, PRESS_APPROVE)).status == 303
    assert "审批已冻结" not in (await visitor.get(page)).text
    await freezing.freeze(service.app[keys.SETTINGS], WHY, lambda line: None)
    said = f"审批已冻结，执行方暂时不能领取执行许可。原因: {WHY}。仍可以撤销同意。"
    assert said in (await visitor.get(page)).text


# The moment.


def freeze_by_another_process(store: EventStore) -> None:
    command = FreezeApprovals(at=NOON, by="shell:root", why=WHY)
    freeze = Freeze()
    freeze.freeze(command.by, command.why, command.at)
    with closing(store.another()) as other:
        other.save(freeze.collect_events())


@pytest.mark.parametrize("answer", [says("zhangsan", APPROVE), presses("zhangsan", APPROVE)])
async def test_a_freeze_between_deciding_and_storing_is_seen(tmp_path: Path, answer: Any) -> None:
    """Another process froze after we had looked and before our transaction began."""
    with writing(tmp_path) as writer:
        await writer.execute(ask())
        frozen: list[bool] = []

        def freezes_meanwhile() -> PermitRules:
            # Asked for once the freeze has been looked at, to issue the permit.
            if not frozen:
                frozen.append(True)
                freeze_by_another_process(writer.store)
            return PermitRules()

        writer.permit_rules = freezes_meanwhile
        with pytest.raises(errors.Frozen, match=WHY):
            await writer.execute(answer)
        assert frozen == [True]


def test_what_was_decided_by_a_stream_that_moved_is_not_stored(tmp_path: Path) -> None:
    with closing(open_event_store(f"sqlite:///{tmp_path}/events.db")) as store:
        freeze = Freeze()
        freeze.freeze("shell:root", WHY, after(seconds=1))
        freeze.thaw("shell:root", after(seconds=2))
        store.save(freeze.collect_events(), unmoved={FREEZE_STREAM: 0, "another": 7})
        for version in (0, 1):
            with pytest.raises(IntegrityError, match="has moved on"):
                store.save([], unmoved={FREEZE_STREAM: version})
        assert store.save([], unmoved={FREEZE_STREAM: 2}) == {}
