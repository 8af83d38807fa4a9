"""Starting the stand-ins on a real socket of this machine, for the command line and for tests."""

from dataclasses import dataclass

from aiohttp import web

from adapters.simulator.app import create_wecom_app
from adapters.simulator.corp import Clock, utc_now
from adapters.simulator.engine import EngineSettings
from adapters.simulator.engine_app import create_engine_app
from adapters.simulator.wecom import SimulatedWeCom

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Running:
    """A server that answers at `url`, without a last slash, until `stop`."""

    url: str
    runner: web.AppRunner

    async def stop(self) -> None:
        await self.runner.cleanup()


async def start_simulator(wecom: SimulatedWeCom, port: int = 0) -> Running:
    """
    Serve the simulated WeCom; port 0 takes a free one.

    Give the URL to the service as its WeCom addresses, then `wecom.save_callback(...)`.

    Raises:
        OSError: The port is taken.
    """
    return await serve(create_wecom_app(wecom), port)


async def start_engine(
    settings: EngineSettings, port: int = 0, *, clock: Clock = utc_now
) -> Running:
    """Serve the sample healing engine; it waits for the service where that is not there yet."""
    return await serve(create_engine_app(settings, clock=clock), port)


async def serve(app: web.Application, port: int) -> Running:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return Running(f"http://{LOOPBACK}:{runner.addresses[0][1]}", runner)
