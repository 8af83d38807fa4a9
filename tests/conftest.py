"""Fixtures: a clock in the test's hand, simulated WeCom and service on real sockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from adapters.simulator.corp import CorpSettings
from adapters.simulator.run import start_simulator
from adapters.simulator.wecom import SimulatedWeCom
from tests.service import Clock, Service, Sleep, start_service

pytest_plugins = ["tests.log_watch"]

StartService = Callable[..., Awaitable[Service]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="the long forms, by make test-slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long forms are left out of the ordinary run, not skipped: they have their own target."""
    if not config.getoption("--slow"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        items[:] = [item for item in items if item not in slow]
        config.hook.pytest_deselected(items=slow)


@pytest.fixture
def clock() -> Iterator[Clock]:
    """Time stands still until the test moves it."""
    yield Clock()


@pytest.fixture
async def wecom(clock: Clock) -> AsyncIterator[SimulatedWeCom]:
    """The simulated WeCom; its `url` is where it answers."""
    simulated = SimulatedWeCom(CorpSettings(), clock=clock)
    running = await start_simulator(simulated)
    simulated.url = running.url  # type: ignore[attr-defined]  # for start_service
    yield simulated
    await running.stop()


@pytest.fixture
def sleep() -> Sleep:
    """How the sender pauses; a module of tests may take it into its own hand."""
    return asyncio.sleep


@pytest.fixture
async def start(
    tmp_path: Path, clock: Clock, wecom: SimulatedWeCom, sleep: Sleep
) -> AsyncIterator[StartService]:
    """Start the service on a real socket and real files; keywords are settings, in lower case."""
    async with AsyncExitStack() as stack:

        async def start_one(**settings: str) -> Service:
            service = await start_service(tmp_path, clock, wecom, settings, sleep)
            stack.push_async_callback(service.stop)
            return service

        yield start_one


@pytest.fixture
async def service(start: StartService) -> Service:
    """The service as most tests want it."""
    return await start()
