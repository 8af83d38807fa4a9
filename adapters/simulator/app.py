"""The simulated WeCom as one web application: API, login, control, and the phones to look at."""

from collections.abc import AsyncIterator

from aiohttp import web

from adapters.simulator import chat, control, login_pages
from adapters.simulator.api import WECOM, add_api
from adapters.simulator.pages import add_pages
from adapters.simulator.wecom import SimulatedWeCom


def create_wecom_app(wecom: SimulatedWeCom) -> web.Application:
    app = web.Application(client_max_size=4 * 1024**2)
    app[WECOM] = wecom
    add_pages(app)
    add_api(app)
    app.add_routes([*login_pages.routes, *control.routes, *chat.routes])
    app.on_shutdown.append(_end_streams)
    app.cleanup_ctx.append(_close)
    return app


async def _end_streams(app: web.Application) -> None:
    app[WECOM].changes.close()


async def _close(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[WECOM].close()
