"""`fta-approval doctor`: what it finds wrong, what it says to do, and that it does no harm."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from adapters.simulator.corp import CorpSettings, demo_members
from adapters.simulator.run import serve, start_simulator
from adapters.simulator.wecom import SimulatedWeCom
from adapters.wecom.client import WeComAccount, WeComAway, WeComClient
from adapters.wecom.verification import Answer as EchoAnswer
from tests import confidential
from tests.conftest import StartService
from tests.process import SCRIPT, ServiceProcess
from tests.service import READER_TOKEN, Clock, Service
from web.doctor import Doctor
from web.findings import visible
from web.outside import outgoing_session
from web.remedies import remedy
from web.serving import address_of, bound_socket
from web.settings import PREFIX, Settings, read_settings
from web.site_checks import judged
from web.trial import Trial

SECRET = "simulated-application-secret"
CHECKS = (
    *("settings", "token", "clock", "application", "visible range", "menu"),
    *("callback", "address", "trusted domain"),
)
WITHIN_S = 60.0


def environment(service: Service, **changes: str | None) -> dict[str, str]:
    """The settings of a service that an administrator has set up well, as variables."""
    own = {"listen": service.address, "app_url": f"{service.base}/wechat/"}
    return environment_of(service.wecom, **{**own, **changes})


def environment_of(wecom: SimulatedWeCom, **changes: str | None) -> dict[str, str]:
    corp = wecom.settings
    url: str = wecom.url  # type: ignore[attr-defined]  # set by whoever has started it
    values: dict[str, str | None] = {
        "super_approvers": "wangwu",
        "auditors": "lisi,WangWu",
        "wecom_corp_id": corp.corp_id,
        "wecom_secret": corp.secret,
        "wecom_agent_id": str(corp.agent_id),
        "wecom_token": corp.token,
        "wecom_encoding_aes_key": corp.encoding_aes_key,
        "wecom_api_url": url,
        "wecom_oauth_url": url,
        "wecom_login_url": url,
        **changes,
    }
    return {PREFIX + name.upper(): value for name, value in values.items() if value is not None}


def settings_of(service: Service, **changes: str | None) -> Settings:
    return read_settings(environment(service, **changes))


async def findings(
    service: Service, wait_s: float = 10.0, clock: Clock | None = None, **changes: Any
) -> list[str]:
    """The lines, as they are printed."""
    doctor = Doctor(settings_of(service, **changes), clock or service.clock, wait_s=wait_s)
    return [visible(str(finding)) async for finding in doctor.run()]


async def line(service: Service, check: str, **changes: Any) -> str:
    """The one line of that check."""
    (found,) = [
        found for found in await findings(service, **changes) if f" {check}: " in f" {found}"
    ]
    return found


async def command(*arguments: str, **variables: str) -> tuple[int, list[str], str]:
    """The real command: exit status, lines, stderr."""
    process = await asyncio.create_subprocess_exec(
        SCRIPT,
        *arguments,
        env={"PATH": os.environ["PATH"], f"{PREFIX}LOG_LEVEL": "debug", **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(WITHIN_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    errors = confidential.note_said(arguments[0], err.decode())
    return process.returncode, out.decode().splitlines(), errors


def publish(service: Service) -> None:
    agent = service.wecom.settings.agent_id
    todo = {"type": "view", "name": "审批列表", "url": f"{service.base}/wechat/todo/"}
    service.wecom.create_menu({"button": [todo]}, agent, agent)


def calls(wecom: SimulatedWeCom, path: str) -> int:
    return sum(call.path == path for call in wecom.calls)


@pytest.fixture
async def service(start: StartService) -> Service:
    """Set up well, its menu published."""
    service = await start()
    publish(service)
    return service


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[str]:
    """Somebody else's server: everything is answered by that function."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    running = await serve(app, 0)
    try:
        yield running.url
    finally:
        await running.stop()


def text(body: str, status: int = 200, **more: Any) -> Answer:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=body, status=status, **more)

    return answer


# All is well.


async def test_a_good_configuration_is_ok_in_every_line_and_exit_status_0(
    start: StartService, clock: Clock
) -> None:
    clock.now = datetime.now(UTC)  # the command has the clock of this machine
    service = await start()
    publish(service)
    status, lines, errors = await command("doctor", **environment(service))
    assert [found.split(":")[0] for found in lines] == [f"ok  {check}" for check in CHECKS]
    assert (status, errors) == (0, "")
    assert calls(service.wecom, "gettoken") == calls(service.wecom, "menu/get") == 1
    assert [c.path for c in service.wecom.calls].count("user/get") == 2  # wangwu once


async def test_it_changes_nothing_and_makes_no_database(service: Service, tmp_path: Path) -> None:
    database = tmp_path / "elsewhere" / "fta.db"
    await command("doctor", **environment(service, database=f"sqlite:///{database}"))
    assert not database.parent.exists()
    assert not service.wecom.inbox("wangwu")


async def test_a_failure_is_exit_status_1(service: Service) -> None:
    status, lines, _ = await command("doctor", **environment(service, wecom_secret="wrong"))
    assert status == 1
    assert any(found.startswith("FAIL token: ") for found in lines)


async def test_a_wrong_setting_is_exit_status_2_and_nothing_is_asked(service: Service) -> None:
    service.wecom.calls.clear()
    status, lines, errors = await command("doctor", **environment(service, listen="8000"))
    assert (status, lines) == (2, [])
    assert errors == "FTA_APPROVAL_LISTEN: must be HOST:PORT, such as 127.0.0.1:8000\n"
    assert not service.wecom.calls


@pytest.mark.parametrize("name", ["doctor", "menu publish"])
async def test_help_has_an_example(name: str) -> None:
    status, lines, _ = await command(*name.split(), "--help")
    example = lines[lines.index("  Example:") + 1]
    assert (status, f"fta-approval {name}" in example) == (0, True)


# Settings.


@pytest.mark.parametrize(
    ("name", "word"), [("corp_id", "企业ID"), ("secret", "Secret"), ("agent_id", "AgentId")]
)
async def test_what_is_not_set_is_named_and_nothing_is_asked(
    service: Service, name: str, word: str
) -> None:
    service.wecom.calls.clear()
    changes: dict[str, Any] = {f"wecom_{name}": None}
    found = await findings(service, **changes)
    assert found[0].startswith(f"FAIL settings: FTA_APPROVAL_WECOM_{name.upper()} is not set; ")
    assert word in found[0]
    skipped = {part.split(":")[0][5:] for part in found if part.startswith("skip ")}
    assert {"token", "clock", "application", "visible range", "menu", "trusted domain"} == skipped
    assert not service.wecom.calls


async def test_the_public_defaults_fail_unless_wecom_is_on_this_machine(service: Service) -> None:
    assert (await line(service, "settings")).startswith("ok")
    found = await findings(service, wecom_api_url="http://wecom.invalid")
    failed = [part for part in found if part.startswith("FAIL settings: ")]
    assert [part.split()[2] for part in failed] == [
        "FTA_APPROVAL_WECOM_TOKEN",
        "FTA_APPROVAL_WECOM_ENCODING_AES_KEY",
    ]
    assert all("public default" in part for part in failed)


# Codes: each has words of its own.

AT_GETTOKEN = {
    -1: "try again",
    40001: "copy the Secret anew",
    40013: "企业ID",
    45009: "banned",
    50003: "disabled",
    60020: "企业可信IP",
    999999: "devtool/query?e=999999",
}
AT_MENU_GET = {
    -1: "try again",
    40056: "FTA_APPROVAL_WECOM_AGENT_ID",
    301002: "another application",
    48002: "通讯录同步",
    50003: "disabled",
    60020: "add 127.0.0.1 under",
    45009: "limit",
    45033: "too many calls at once",
    40058: "devtool/query?e=40058",
}
AT_USER_GET = {
    60111: "no such userid",
    60011: "可见范围",
    46004: "no such member",
    40003: "not the name",
    60020: "企业可信IP",
    48002: "通讯录同步",
}


@pytest.mark.parametrize(
    ("path", "check", "errcode", "words"),
    [
        *(("gettoken", "token", code, words) for code, words in AT_GETTOKEN.items()),
        *(("menu/get", "application", code, words) for code, words in AT_MENU_GET.items()),
        *(("user/get", "visible range", code, words) for code, words in AT_USER_GET.items()),
    ],
)
async def test_each_code_has_a_remedy(
    service: Service, path: str, check: str, errcode: int, words: str
) -> None:
    service.wecom.script(path, errcode)
    found = await line(service, check, auditors=None)
    assert found.startswith(f"FAIL {check}: ")
    wrong, _, mend = found.partition("; ")
    assert f"errcode {errcode}" in wrong
    assert words in mend


@pytest.mark.parametrize("code", [40014, 42001])
async def test_a_token_that_is_refused_twice_has_a_remedy(service: Service, code: int) -> None:
    service.wecom.script("menu/get", code, code)
    assert "run this again" in await line(service, "application")


async def test_a_refused_secret_is_tried_once_and_what_needs_a_token_is_skipped(
    service: Service,
) -> None:
    """WeCom bans addresses that keep trying."""
    service.wecom.calls.clear()
    found = await findings(service, wecom_secret="wrong")
    assert [part.split(":")[0] for part in found] == [
        *("ok  settings", "FAIL token", "ok  clock", "skip application"),
        *("skip visible range", "skip menu", "ok  callback", "ok  address", "ok  trusted domain"),
    ]
    assert [call.path for call in service.wecom.calls] == ["gettoken"]


async def test_another_corps_id_is_not_the_secrets_fault(service: Service) -> None:
    found = await line(service, "token", wecom_corp_id="ww0000000000000000")
    assert "FTA_APPROVAL_WECOM_CORP_ID" in found
    assert "Secret" not in found


async def test_an_address_that_is_not_trusted_is_told_once_and_named(service: Service) -> None:
    service.wecom.knobs.trusted_ips = frozenset()
    service.wecom.calls.clear()
    found = await findings(service)
    (failed,) = [part for part in found if part.startswith("FAIL")]
    assert failed.startswith("FAIL application: ")
    assert "add 127.0.0.1 under 应用管理 → the application → 企业可信IP" in failed
    assert [call.path for call in service.wecom.calls] == ["gettoken", "menu/get"]


async def test_another_applications_agent_id_does_not_hide_what_is_wrong_with_members(
    service: Service,
) -> None:
    service.wecom.show_only_to({"lisi"})
    found = await findings(service, wecom_agent_id="1000009")
    failed = [part.split(":")[0] for part in found if part.startswith("FAIL")]
    assert failed == ["FAIL application", "FAIL visible range"]
    assert "FTA_APPROVAL_WECOM_AGENT_ID" in found[3]
    assert "wangwu: errcode 60011" in found[4]
    assert "skip menu: needs a working token and application; mend those first" in found


# WeCom cannot be spoken to.


@pytest.mark.parametrize(
    ("outage", "words"),
    [
        ("html", "something else answers"),
        ("http-500", "something else answers"),
        ("refuse", "the connection broke"),
        ("busy", "WeCom is busy"),
    ],
)
async def test_an_answer_that_is_none_has_a_remedy(
    service: Service, outage: Any, words: str
) -> None:
    service.wecom.knobs.outage = outage
    found = await findings(service)
    assert found[1].startswith("FAIL token: ")
    assert words in found[1].partition("; ")[2]
    assert "skip application" in found[3]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"wecom_api_url": "http://127.0.0.1:1"}, "no connection (Connection refused): let this"),
        ({"wecom_api_url": "http://no-such-host.invalid"}, "mend DNS"),
        ({"wecom_proxy": "http://127.0.0.1:1"}, "FTA_APPROVAL_WECOM_PROXY cannot be connected"),
    ],
)
async def test_a_wecom_that_is_not_reached_has_a_remedy(
    service: Service, settings: Mapping[str, str], words: str
) -> None:
    found = await line(service, "token", **settings)
    assert found.startswith("FAIL token: ")
    assert words in found.partition("; ")[2]


async def test_an_answer_that_takes_too_long_has_a_remedy(
    service: Service, wecom: SimulatedWeCom
) -> None:
    wecom.knobs.outage, wecom.knobs.slow_s = "slow", 30
    account = WeComAccount(wecom.settings.corp_id, wecom.settings.agent_id, SECRET)
    settings = settings_of(service)
    async with outgoing_session(settings) as session:
        client = WeComClient(
            session, settings.wecom_api_url, account, service.clock.monotonic, timeout_s=0.05
        )
        with pytest.raises(WeComAway) as away:
            await client.fetch_token()
    assert "no answer in time" in remedy(away.value)


# The clock.


@pytest.mark.parametrize("ahead_s", [-60, 0, 60])
async def test_a_clock_within_a_minute_is_fine(service: Service, ahead_s: int) -> None:
    ours = Clock(service.clock.now + timedelta(seconds=ahead_s))
    assert await line(service, "clock", clock=ours) == (
        f"ok  clock: differs from WeCom's by {abs(ahead_s)} s"
    )


@pytest.mark.parametrize(("ahead_s", "said"), [(61, "61 s fast"), (-4000, "4000 s slow")])
async def test_a_clock_that_is_off_is_told_by_how_much(
    service: Service, ahead_s: int, said: str
) -> None:
    ours = Clock(service.clock.now + timedelta(seconds=ahead_s))
    found = await line(service, "clock", clock=ours)
    assert found.startswith(f"FAIL clock: this machine is {said}; let NTP set it")


async def test_the_clock_is_judged_although_the_secret_is_refused(service: Service) -> None:
    ours = Clock(service.clock.now + timedelta(hours=8))
    assert "28800 s fast" in await line(service, "clock", clock=ours, wecom_secret="wrong")


@pytest.mark.parametrize("date", ["yesterday", "Mon, 99 Foo 2026 99:99:99 GMT", ""])
async def test_a_date_that_cannot_be_read_is_no_verdict(service: Service, date: str) -> None:
    async def answer(request: web.Request) -> web.Response:
        body = {"errcode": 40013, "errmsg": "x"}
        return web.json_response(body, headers={"Date": date})

    async with answering(answer) as url:
        found = await line(service, "clock", wecom_api_url=url)
    assert found.startswith("skip clock: ")


# Members.


async def test_every_administrator_outside_the_visible_range_is_named(service: Service) -> None:
    service.wecom.show_only_to({"lisi"})
    found = await findings(service, admins="zhangsan,nobody")
    assert [part.partition(" (")[0].split(":")[1] for part in found if "visible" in part] == [
        *(" wangwu", " zhangsan", " nobody", " lisi can be reached"),
    ]
    assert "60011" in found[4]
    assert "60111" in found[6]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (2, "is disabled"),
        (4, "has not activated WeCom"),
        (5, "has left the company"),
        (9, "has the status 9"),
    ],
)
async def test_a_member_who_cannot_answer_is_told(
    tmp_path: Path, clock: Clock, status: int, words: str
) -> None:
    zhangsan, lisi, wangwu = demo_members()
    corp = CorpSettings(members=(zhangsan, lisi, replace(wangwu, status=status)))
    wecom = SimulatedWeCom(corp, clock=clock)
    running = await start_simulator(wecom)
    wecom.url = running.url  # type: ignore[attr-defined]  # for environment_of
    settings = read_settings(environment_of(wecom, listen="127.0.0.1:1"))
    try:
        lines = [str(finding) async for finding in Doctor(settings, clock).run()]
    finally:
        await running.stop()
    assert any(part.startswith(f"FAIL visible range: wangwu {words}; ") for part in lines)


async def test_no_super_approver_is_a_warning(service: Service) -> None:
    found = await findings(service, super_approvers=None, auditors=None)
    assert [part[:19] for part in found if "visible" in part] == ["warn visible range:"]
    assert not any(part.startswith("FAIL") for part in found)


# The callback.


async def test_a_callback_with_another_token_is_told(service: Service) -> None:
    for changes in ({"wecom_token": "Other"}, {"wecom_encoding_aes_key": "b" * 43}):
        found = await line(service, "callback", **changes)
        assert found.startswith("FAIL callback: ")
        assert "answers 403: another Token, EncodingAESKey or CorpID is in use there" in found


async def test_a_callback_that_nobody_answers_is_told(service: Service) -> None:
    found = await line(service, "callback", app_url="http://127.0.0.1:1/wechat/")
    assert found.startswith("FAIL callback: http://127.0.0.1:1/wechat/entry/ does not answer (C")
    assert "(Connection refused)" in found
    assert "start fta-approval serve" in found


async def test_without_a_public_address_the_one_listened_on_is_asked(service: Service) -> None:
    found = await line(service, "callback", app_url=None)
    assert found.startswith(f"ok  callback: {service.base}/wechat/entry/ answered")
    found = await line(service, "callback", app_url=None, listen="127.0.0.1:0")
    assert found.startswith("skip callback: ")


async def never(request: web.Request) -> web.Response:
    await asyncio.Event().wait()
    return web.Response()


async def moved(request: web.Request) -> web.Response:
    raise web.HTTPFound("https://example.com/o/\x1b[2J?msg_signature=x")


def echoing(service: Service, before: str = "", after: str = "") -> Answer:
    """A proxy that passes the answer on, and something of its own with it."""

    async def answer(request: web.Request) -> web.Response:
        url = f"{service.base}/wechat/entry/"
        async with service.http.get(url, params=request.query) as response:
            return web.Response(text=before + await response.text() + after)

    return answer


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (text("nginx", 404), ["answers HTTP 404", "FTA_APPROVAL_URL_PREFIX"]),
        (text("bad gateway", 502), ["answers HTTP 502"]),
        (moved, ["redirects to https://example.com/o/", "does not follow"]),
        (never, ["does not answer (no answer in time)"]),
        (text("<html>\x1b[31m请登录"), ["instead of 19", "'<html>\\x1b[31m请登录'"]),
        (text(""), ["answers 0 bytes instead of 19"]),
    ],
    ids=["404", "502", "redirect", "never", "login page", "empty"],
)
async def test_what_wecom_would_not_accept_is_told_apart(
    service: Service, answer: Answer, words: list[str]
) -> None:
    wait_s = 0.3 if answer is never else 10.0
    async with answering(answer) as url:
        found = await line(service, "callback", wait_s=wait_s, app_url=f"{url}/wechat/")
    assert found.startswith("FAIL callback: ")
    for word in words:
        assert word in found
    assert "msg_signature" not in found
    assert found.isprintable()


@pytest.mark.parametrize(
    ("before", "after"), [("", "\n"), (" ", ""), ("\ufeff", ""), ("", "<script></script>")]
)
async def test_one_byte_too_many_is_told(service: Service, before: str, after: str) -> None:
    async with answering(echoing(service)) as url:
        assert (await line(service, "callback", app_url=f"{url}/wechat/")).startswith("ok  ")
    async with answering(echoing(service, before, after)) as url:
        found = await line(service, "callback", app_url=f"{url}/wechat/")
    assert found.startswith("FAIL callback: ")
    assert f"answers {19 + len((before + after).encode())} bytes instead of 19" in found


@pytest.mark.parametrize(("took_s", "outcome"), [(1.0, "ok"), (1.01, "FAIL")])
def test_an_answer_after_a_second_comes_too_late(took_s: float, outcome: str) -> None:
    answer = EchoAnswer(b"1", 200, b"1", "", took_s)
    finding = judged("https://example.com/wechat/entry/", answer)
    assert finding.outcome == outcome
    assert outcome == "ok" or "took 1.0 s, and WeCom gives up after 1 s" in finding.text


# The menu.


def leaf(name: str, url: str) -> dict[str, Any]:
    return {"type": "view", "name": name, "url": url}


async def test_a_menu_without_our_page_is_to_be_published(service: Service) -> None:
    wecom, agent = service.wecom, service.wecom.settings.agent_id
    wecom.delete_menu(agent, agent)
    found = await line(service, "menu")
    assert found.startswith("FAIL menu: no entry opens ")
    assert found.endswith("; run fta-approval menu publish")
    other = leaf("审批列表", "https://example.com/old/")
    wecom.create_menu({"button": [other]}, agent, agent)
    assert "审批列表 opens https://example.com/old/, not " in await line(service, "menu")
    below = {"name": "更多", "sub_button": [leaf("待办", f"{service.base}/wechat/todo")]}
    wecom.create_menu({"button": [other, below]}, agent, agent)
    assert (await line(service, "menu")).startswith("ok  menu: opens ")


# The address, and the trusted domain.


async def test_the_public_address_has_to_be_set_and_better_be_https(service: Service) -> None:
    assert (await line(service, "address", app_url=None)).endswith("for a WeCom on this machine")
    real = {"wecom_api_url": "http://no-such-host.invalid", "super_approvers": "wangwu"}
    found = await line(service, "address", app_url=None, **real)
    assert found.startswith("FAIL address: FTA_APPROVAL_APP_URL is not set")
    found = await line(service, "address", app_url="http://127.0.0.1:1/wechat/", **real)
    assert found.startswith("warn address: ")
    found = await line(service, "address", app_url="https://127.0.0.1:1/wechat/", **real)
    assert found == "ok  address: https://127.0.0.1:1/wechat/"


async def test_a_host_that_is_not_trusted_is_named_with_its_port(service: Service) -> None:
    service.wecom.trusted_hosts.clear()
    found = await line(service, "trusted domain")
    assert found.startswith("FAIL trusted domain: WeCom does not let members log in at 127.0.0.1:")
    assert f"enter {service.address} under" in found
    assert "授权回调域" in found


@pytest.mark.parametrize(
    ("page", "outcome"),
    [
        (
            text("<script>var known = [-31020]; redirect_uri</script><title>企业微信</title>"),
            "skip",
        ),
        (text('<a href="/x?redirect_uri=y">登录</a>'), "skip"),
        (text("<html>请登录代理服务器</html>", 407), "skip"),
        (text('{"errcode": -31039}'), "FAIL"),
        (text("<p>redirect_uri 与配置的授权完成回调域名不一致</p>"), "FAIL"),
    ],
)
async def test_a_login_page_that_does_not_say_is_no_failure(
    service: Service, page: Answer, outcome: str
) -> None:
    """What WeCom's real page looks like is not known."""
    async with answering(page) as url:
        found = await line(service, "trusted domain", wecom_login_url=url)
    assert found.startswith(f"{outcome} trusted domain: ")
    assert ("not proved" in found) is (outcome == "skip")


async def test_the_login_page_is_asked_as_a_browser_would(service: Service) -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.raw_path)
        return web.Response()

    async with answering(answer) as url:
        await line(service, "trusted domain", wecom_login_url=url)
    back = f"{service.base}/wechat/accounts/login/".replace(":", "%3A").replace("/", "%2F")
    corp = service.wecom.settings
    assert re.fullmatch(
        rf"/wwlogin/sso/login\?login_type=CorpApp&appid={corp.corp_id}&agentid={corp.agent_id}"
        rf"&redirect_uri={re.escape(back)}&state=[0-9a-f]{{32}}&lang=zh",
        asked[0],
    )


async def test_the_file_that_proves_the_host_is_served_exactly_at_its_root(
    start: StartService, tmp_path: Path
) -> None:
    file = tmp_path / "WW_verify_7rG3kjVbXHngiald.txt"
    file.write_bytes(b"\xff7rG3kjVbXHngiald\r\n")
    service = await start(wecom_verify_file=str(file))
    url = f"{service.url}/{file.name}"
    async with service.http.get(url) as response:
        assert (response.status, await response.read()) == (200, file.read_bytes())
        assert response.content_type == "text/plain"
    for other in (f"{service.url}/WW_verify_x.txt", f"{service.base}/{file.name}"):
        async with service.http.get(other) as response:
            assert response.status == 404
    assert await line(service, "verify file", wecom_verify_file=str(file)) == (
        f"ok  verify file: {url} answers what WeCom wants to see"
    )
    file.write_bytes(b"another")
    found = await line(service, "verify file", wecom_verify_file=str(file))
    assert found.startswith("FAIL verify file: ")
    assert "answers something else" in found


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", None])
async def test_a_file_that_is_not_served_at_the_root_is_told(
    service: Service, tmp_path: Path, url: str | None
) -> None:
    file = tmp_path / "WW_verify_7rG3kjVbXHngiald.txt"
    file.write_bytes(b"7rG3kjVbXHngiald")
    app_url = f"{url or service.url}/wechat/"
    found = await line(service, "verify file", wecom_verify_file=str(file), app_url=app_url)
    assert ("does not answer" if url else "answers HTTP 404") in found
    assert f"let nginx pass /{file.name}, at the root of the host, on" in found


# What is printed.


async def test_no_secret_is_printed_although_it_is_quoted_to_us(service: Service) -> None:
    async def quoting(request: web.Request) -> web.Response:
        if request.path.endswith("gettoken") and request.query["corpsecret"] == "good" * 5:
            return web.json_response({"errcode": 0, "access_token": "the-token-that-was-given"})
        return web.json_response({"errcode": 40001, "errmsg": f"refused: {request.raw_path}"})

    async with answering(quoting) as url:
        for secret in ("good" * 5, "bad" * 5):
            shown = "\n".join(
                await findings(service, wecom_api_url=url, wecom_secret=secret, wecom_login_url=url)
            )
            assert "FAIL" in shown
            assert "refused: " in shown
            corp = service.wecom.settings
            for hidden in (secret, "the-token-that-was-given", corp.token, corp.encoding_aes_key):
                assert hidden not in shown


async def test_a_secret_of_one_letter_does_not_spoil_the_line(service: Service) -> None:
    assert "open.work.weixin.qq.com" in await line(service, "token", wecom_secret="x")


async def test_foreign_text_has_no_power_over_the_terminal(service: Service) -> None:
    async def colourful(request: web.Request) -> web.Response:
        return web.json_response({"errcode": 40013, "errmsg": "\x1b]0;x\x07\n\u202e\x9b2J"})

    async with answering(colourful) as url:
        status, lines, _ = await command(
            "doctor", **environment(service, wecom_api_url=url, wecom_login_url=url)
        )
    assert status == 1
    assert all(found.isprintable() for found in lines)
    assert r"errcode 40013: \x1b]0;x\x07\n\u202e\x9b2J; copy the" in lines[1]


async def test_a_terminal_that_cannot_write_chinese_sees_the_rest(service: Service) -> None:
    status, lines, errors = await command(
        "doctor", **environment(service, wecom_secret="wrong"), PYTHONIOENCODING="ascii"
    )
    assert (status, errors) == (1, "")
    assert r"copy the Secret anew from \u5e94\u7528" in "".join(lines)


# A test approval.


async def test_a_test_approval_is_sent_by_the_service_and_is_no_decision(
    service: Service, tmp_path: Path
) -> None:
    database = f"sqlite:///{tmp_path / 'fta-approval.db'}"
    found = await sent(service, "ZhangSan", database)
    match = re.fullmatch(
        r"ok  send: WeCom took (doctor:20260105-120000-[0-9a-f]{6}) for ZhangSan \(and, like every "
        r"approval, wangwu\); answer TY \1 or BH \1 in the chat within 10 minutes .*"
        r"nothing is executed",
        found,
    )
    assert match is not None, found
    reply_id = match[1]
    (asked,) = await service.inbox("zhangsan", 1)
    assert "【测试】" in asked
    assert "不会执行任何操作" in asked
    assert reply_id in (await service.inbox("wangwu", 1))[0]
    assert await service.says("zhangsan", f"TY {reply_id}") == 200
    told = (await service.inbox("zhangsan", 2))[1]
    assert told == f"【故障自愈】审批成功：您已同意 {reply_id}"
    assert await service.decisions(token=READER_TOKEN) == []


async def test_each_test_approval_has_a_name_of_its_own(service: Service, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'fta-approval.db'}"
    names = {(await sent(service, "zhangsan", database)).split()[4] for _ in range(2)}
    assert len(names) == 2


async def sent(service: Service, userid: str, database: str, wait_s: float = 10.0) -> str:
    """What doctor says of a test approval."""
    settings = settings_of(service, database=database)
    trial = Trial(settings, service.clock, wait_s=wait_s)
    return str(await trial.run(userid))


async def test_the_whole_command_with_the_service_as_another_process(tmp_path: Path) -> None:
    wecom = SimulatedWeCom(CorpSettings())
    running = await start_simulator(wecom)
    wecom.url = running.url  # type: ignore[attr-defined]  # for environment_of
    with bound_socket("127.0.0.1", 0) as free:
        address = address_of(free)
    variables = environment_of(
        wecom, listen=address, database=f"sqlite:///{tmp_path / 'fta-approval.db'}"
    )
    try:
        async with ServiceProcess(variables, tmp_path):
            _, lines, errors = await command("doctor", "--send", "lisi", **variables)
            assert lines[-1].startswith("ok  send: WeCom took doctor:"), errors
    finally:
        await running.stop()
    assert "【测试】" in wecom.inbox("lisi")[0].text


async def test_a_member_who_is_not_reached_by_it_is_told(service: Service, tmp_path: Path) -> None:
    found = await sent(service, "nobody", f"sqlite:///{tmp_path / 'fta-approval.db'}")
    assert found.startswith("FAIL send: nobody cannot be reached (")
    assert "可见范围" in found


async def test_a_service_without_wecom_is_told(start: StartService, tmp_path: Path) -> None:
    service = await start(wecom_secret="")
    found = await sent(service, "zhangsan", f"sqlite:///{tmp_path / 'fta-approval.db'}")
    assert "WeCom is not configured" in found
    assert "compare the settings of fta-approval serve" in found


async def test_without_a_service_on_that_database_it_says_so(
    service: Service, tmp_path: Path
) -> None:
    await service.stop()
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    settings = settings_of(service, database=f"sqlite:///{tmp_path / 'fta-approval.db'}")
    found = str(await Trial(settings, service.clock, sleep).run("zhangsan"))
    assert found.startswith("FAIL send: nothing has become of doctor:")
    assert f"fta-approval serve has to run on this database ({tmp_path}/fta-approval.db)" in found
    assert sum(waited) == 30.0


async def test_a_mistyped_database_is_not_made(service: Service, tmp_path: Path) -> None:
    found = await sent(service, "zhangsan", f"sqlite:///{tmp_path / 'new' / 'fta.db'}")
    assert found.startswith(f"FAIL send: there is no event store at {tmp_path}/new/fta.db; ")
    assert not (tmp_path / "new").exists()


async def test_a_file_that_is_no_database_is_told(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "text.db"
    file.write_text("this is no database, it is a text of some length\n" * 100)
    found = await sent(service, "zhangsan", f"sqlite:///{file}")
    assert found.startswith(f"FAIL send: the event store at {file} cannot be used (")


async def test_nothing_is_sent_where_no_token_is_to_be_had(service: Service) -> None:
    doctor = Doctor(settings_of(service, wecom_secret="wrong"), service.clock)
    lines = [str(finding) async for finding in doctor.run("zhangsan")]
    assert lines[-1] == "skip send: needs a working token and application; mend those first"


@pytest.mark.parametrize("userid", ["张三", "@all", "sys", "SYS", "a b", ""])
async def test_who_is_no_member_is_a_usage_error(service: Service, userid: str) -> None:
    status, lines, errors = await command("doctor", "--send", userid, **environment(service))
    assert (status, lines) == (2, [])
    assert "is not the userid of a member" in errors
