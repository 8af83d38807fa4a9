"""An event that a newer program wrote is refused by whoever comes upon it: loudly, no guess.

It can only come about by going back to an older program, or by two versions on one store: the
newer one need not have raised the version of the tables.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from eventsourcing.persistence import StoredEvent

from adapters.store.event_store import EventStore
from adapters.store.mapper import UnreadableEvent
from domain.approval import Approval
from domain.identity import approval_stream
from projections.comparison import rebuild_up_to
from projections.runner import ProjectionRunner
from tests.conftest import StartService
from tests.scenario import APPROVE, NODE, NOON, ask, cancels, says
from tests.stores import (
    SOON_S,
    TABLES,
    House,
    everything,
    logged,
    open_read_models,
    open_store,
    opened,
    writing,
)
from tests.test_health import probe
from tests.test_projections import following
from web.audit.replay import replay
from web.settings import read_settings

__all__ = ["logged"]

NEWER = "its version 2 is unknown to this program"


def store_newer(store: EventStore, version: int = 2) -> None:
    """The end of an approval as a newer program would store it."""
    state = b'{"class_version":2,"originator_id":"approval-12345_2","originator_version":%d}'
    store.recorder.insert_events(
        [StoredEvent(approval_stream(NODE), version, "approval.expired", state % version)]
    )


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path) as house:
        house.do(ask())
        house.catch_up()
        store_newer(house.store)
        house.store.save(Approval.request(ask(obj_id="7_7"), []).collect_events())
        yield house


def test_no_aggregate_is_made_of_it(house: House) -> None:
    with pytest.raises(UnreadableEvent, match=NEWER):
        house.store.load(Approval, approval_stream(NODE))
    with pytest.raises(UnreadableEvent, match=NEWER):
        house.store.events_of(approval_stream(NODE))
    before = house.store.last_position()
    for command in (says("zhangsan", APPROVE), cancels()):
        with pytest.raises(UnreadableEvent, match=NEWER):
            house.do(command)
    assert house.store.last_position() == before


@pytest.mark.usefixtures("logged")
def test_read_models_stand_still_in_front_of_it_and_say_so(house: House) -> None:
    before, position = everything(house.read_models), house.runner.position
    with following(house.store, house.read_models) as runner:
        assert wait_until_it_fails(runner).startswith("UnreadableEvent: event 2 of approval-12345")
        with pytest.raises(TimeoutError, match=f"read models are at {position}, not at"):
            runner.wait_for(house.store.last_position(), 0.0)
    assert everything(house.read_models) == before


def wait_until_it_fails(runner: ProjectionRunner) -> str:
    """What keeps it from going on."""
    give_up_at = time.monotonic() + SOON_S
    while runner.failure is None and time.monotonic() < give_up_at:
        time.sleep(0.01)
    assert runner.failure is not None
    return runner.failure


def test_read_models_are_not_made_anew_over_it(house: House, tmp_path: Path) -> None:
    before = everything(house.read_models)
    with pytest.raises(UnreadableEvent, match=NEWER):
        house.runner.rebuild(TABLES)
    assert everything(house.read_models) == before
    beside = open_read_models(tmp_path / "beside.db")
    with pytest.raises(UnreadableEvent, match=NEWER):
        rebuild_up_to(house.store, beside, dict.fromkeys(TABLES, 9))
    beside.close()


def test_no_state_of_any_moment_is_told_over_it(house: House, tmp_path: Path) -> None:
    given = read_settings({"FTA_APPROVAL_DATABASE": f"sqlite:///{tmp_path / 'events.db'}"})
    with pytest.raises(UnreadableEvent, match=NEWER):
        replay(given, "now", None, NOON, lambda line: None, as_json=False)


@pytest.mark.usefixtures("logged")
async def test_a_command_about_it_is_refused_and_all_others_go_on(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        house.do(ask(), ask(obj_id="7_7"))
        store_newer(house.store)
    with writing(tmp_path) as writer:
        with pytest.raises(Exception, match=NEWER):
            await writer.execute(says("zhangsan", APPROVE))
        await writer.execute(cancels(reply_id="7_7"))
    with opened(tmp_path) as house:
        cancelled = house.store.load(Approval, approval_stream("7_7"))
        assert cancelled is not None and cancelled.ending is not None


@pytest.mark.usefixtures("logged")
async def test_a_service_is_not_ready_over_it(start: StartService, tmp_path: Path) -> None:
    service = await start()
    await service.ask(NODE)
    await service.stop()
    with closing(open_store(tmp_path / "fta-approval.db")) as store:
        store_newer(store, len(store.events_of(approval_stream(NODE))) + 1)
    service = await start()
    async with asyncio.timeout(SOON_S):
        while (answer := await probe(service, "/readyz"))[0] == 200:
            await asyncio.sleep(0.01)
    assert NEWER in answer[1]["checks"]["read_models"]
