"""`fta-approval demo`: service, simulated WeCom and sample engine on loopback, in one process."""

import asyncio
import secrets
import socket
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

from adapters.simulator.corp import CorpSettings
from adapters.simulator.engine import EngineSettings
from adapters.simulator.fast_clock import FastClock
from adapters.simulator.run import Running, start_engine, start_simulator
from adapters.simulator.wecom import SimulatedWeCom
from adapters.wecom import menu
from web.app import utc_now
from web.serving import address_of, bound_socket, serve
from web.settings import PREFIX, Settings, read_settings

Say = Callable[[str], None]

LOOPBACK = "127.0.0.1"
ENGINE = "demo-engine"
CALLBACK_AGAIN_AFTER_S = 2.0


async def run_demo(port: int, folder: str | None, say: Say, speed: int = 1) -> None:
    """
    Everything, until Ctrl-C.

    Args:
        port: Of the service; the simulated WeCom and the engine take the next two. 0: free ones.
        folder: Where the data is kept; None: in a folder that goes with the demo.
        speed: How many times as fast as this machine's clock that of all three runs.
    """
    clock = FastClock(speed, utc_now)
    async with AsyncExitStack() as stack:
        if folder is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="fta-approval-"))
        listening = stack.enter_context(bound_socket(LOOPBACK, port))
        corp = CorpSettings(trusted_hosts=frozenset([address_of(listening)]))
        wecom = SimulatedWeCom(corp, clock=clock)
        phones = await start_simulator(wecom, port and port + 1)
        stack.push_async_callback(phones.stop)
        token = secrets.token_urlsafe(24)
        settings = demo_settings(Path(folder), wecom.settings, phones.url, token)
        base = f"http://{address_of(listening)}{settings.url_prefix}"
        engine = await start_engine(EngineSettings(base, token), port and port + 2, clock=clock)
        stack.push_async_callback(engine.stop)
        tour = _tour(base, phones, engine, token, speed)
        await _serve(settings, listening, clock, wecom, base, lambda: say(tour))


async def _serve(
    settings: Settings,
    listening: socket.socket,
    clock: FastClock,
    wecom: SimulatedWeCom,
    base: str,
    ready: Callable[[], None],
) -> None:
    """Start the service, then do what an administrator does in WeCom."""
    started = asyncio.Event()

    async def set_up_wecom() -> None:
        await started.wait()
        verification = await wecom.save_callback(f"{base}/wechat/entry/")
        if not verification.ok:
            raise ValueError(f"the callback could not be verified: {verification.why}")
        todo = menu.entry("审批列表", f"{base}/wechat/todo/")
        wecom.create_menu({"button": [todo]}, wecom.settings.agent_id, wecom.settings.agent_id)
        ready()

    async def serve_by_that_clock() -> None:
        await serve(
            settings,
            listening,
            say=lambda line: started.set(),
            clock=clock,
            monotonic=clock.monotonic,
            sleep=clock.sleep,
        )

    setting_up = asyncio.create_task(set_up_wecom())
    serving = asyncio.create_task(serve_by_that_clock())
    try:
        await asyncio.wait([setting_up, serving], return_when=asyncio.FIRST_EXCEPTION)
        for task in (setting_up, serving):
            if task.done():
                task.result()
        await serving
    finally:
        setting_up.cancel()
        serving.cancel()
        await asyncio.gather(setting_up, serving, return_exceptions=True)


def demo_settings(folder: Path, corp: CorpSettings, wecom_url: str, token: str) -> Settings:
    """The service as an administrator of the simulated company would set it up."""
    environment = {
        "DATABASE": f"sqlite:///{folder.absolute() / 'fta-approval.db'}",
        "API_TOKENS": f"{ENGINE}:{token}",
        "SUPER_APPROVERS": "wangwu",
        "ADMINS": "wangwu",
        "WECOM_CORP_ID": corp.corp_id,
        "WECOM_SECRET": corp.secret,
        "WECOM_AGENT_ID": str(corp.agent_id),
        "WECOM_TOKEN": corp.token,
        "WECOM_ENCODING_AES_KEY": corp.encoding_aes_key,
        "WECOM_API_URL": wecom_url,
        "WECOM_OAUTH_URL": wecom_url,
        "WECOM_LOGIN_URL": wecom_url,
        # A card shows both ways to answer. The text beside it would say the same again, and two
        # messages for each approval are more quickly too many, which begins the digests.
        "MESSAGE_STYLE": "card",
        "TEXT_LINK": "1",
    }
    return read_settings({PREFIX + name: value for name, value in environment.items()})


async def run_simulator(port: int, callback: str | None, say: Say) -> None:
    """
    The simulated WeCom alone, until Ctrl-C.

    Args:
        callback: Of a service that runs or will; members may log in at its host.
    """
    trusted = frozenset([urlsplit(callback).netloc] if callback else [])
    wecom = SimulatedWeCom(CorpSettings(trusted_hosts=trusted))
    phones = await start_simulator(wecom, port)
    try:
        say(f"simulated WeCom on {phones.url}, for a service with\n")
        say(_settings_for(wecom.settings, phones.url))
        if callback is not None:
            await _save_callback(wecom, callback, say)
        await asyncio.Event().wait()
    finally:
        await phones.stop()


async def _save_callback(wecom: SimulatedWeCom, callback: str, say: Say) -> None:
    """As soon as the service answers there: it may need what was just printed to start."""
    why = ""
    while not (verification := await wecom.save_callback(callback)).ok:
        if verification.why != why:
            why = verification.why
            say(f"callback {callback}: {why}; tried again until it is verified")
        await asyncio.sleep(CALLBACK_AGAIN_AFTER_S)
    say(f"callback {callback}: verified")


def _settings_for(corp: CorpSettings, wecom_url: str) -> str:
    """As a shell takes them; Token and EncodingAESKey are the service's defaults."""
    application = [("CORP_ID", corp.corp_id), ("SECRET", corp.secret), ("AGENT_ID", corp.agent_id)]
    addresses = [(f"{of}_URL", wecom_url) for of in ("API", "OAUTH", "LOGIN")]
    settings = [*application, *addresses]
    exports = [f"  export {PREFIX}WECOM_{name}={value}" for name, value in settings]
    return "\n".join([*exports, ""])


def _tour(base: str, phones: Running, engine: Running, token: str, speed: int) -> str:
    return f"""
listening on {base}

  自愈测试   {engine.url}/                 push an alarm here: the engine asks for approval
  企业微信   {phones.url}/chat/zhangsan    张三's phone (also lisi, wangwu): press 同意 on the card,
                                            or answer TY 1_1 or BH 1_1
  待办       {base}/wechat/todo/
{_how_fast(speed)}
  or by curl:
  curl -s {engine.url}/event/api/demo/ -H 'Content-Type: application/json' -d '{{
    "ip": "10.0.0.1", "source_id": "1", "source_time": "2026-01-01 00:00:00",
    "alarm_type": "ping", "alarm_content": "ping unreachable"}}'
  curl -s {phones.url}/control/send_text -d '{{"userid": "zhangsan", "content": "TY 1_1"}}'
  curl -s {base}/api/v1/decisions -H 'Authorization: Bearer {token}'

Ctrl-C stops all of it.
"""


def _how_fast(speed: int) -> str:
    if speed == 1:
        return ""
    minute_s = f"{60 / speed:.1f}".removesuffix(".0")
    return (
        f"\n  The clock of all three runs {speed} times as fast: a minute passes in {minute_s} s.\n"
    )
