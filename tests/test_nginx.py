"""deploy/nginx/fta-approval.conf in a real nginx: what WeCom, members and engines meet there."""

import asyncio
import json
import re
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest
import yarl
from playwright.async_api import async_playwright, expect

from adapters.simulator.corp import CorpSettings
from adapters.simulator.run import start_simulator
from adapters.simulator.wecom import SimulatedWeCom
from tests import nginx as nginx_module
from tests.browser import QUIET, chromium_here
from tests.conftest import StartService
from tests.nginx import CONF, Nginx, Site, free_ports, make_certificate, nginx_here
from tests.service import TOKEN, WITHIN_S, Clock, Service, start_service
from tests.test_callback import crypto_of, locked, sealed, text
from tests.test_decisions import decide, stream
from tests.visitor import APPROVE, IN_WECOM, OUTSIDE, REJECT, Visitor
from web import keys
from web.static_files import FOLDER

PREFIX = "/o/bk_fta_solutions"


@dataclass(kw_only=True)
class Public(Service):
    """The service as the world meets it: at nginx, over https."""

    site: Site
    nginx: Nginx

    @property
    def url(self) -> str:
        return self.site.url


StartPublic = Callable[..., Awaitable[Public]]


def test_ci_does_not_pass_without_nginx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(nginx_module, "SBIN", "/nowhere")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="install nginx-light"):
        nginx_here()
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="NO NGINX"):
        nginx_here()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """nginx's own, with its certificate."""
    (tmp_path / "nginx").mkdir()
    return tmp_path / "nginx"


@pytest.fixture
async def wecom(clock: Clock, folder: Path) -> AsyncIterator[SimulatedWeCom]:
    """The simulated WeCom, which believes nginx's certificate and nobody else's."""
    simulated = SimulatedWeCom(CorpSettings(), clock=clock, trust=make_certificate(folder))
    running = await start_simulator(simulated)
    simulated.url = running.url  # type: ignore[attr-defined]  # for start_service
    yield simulated
    await running.stop()


@pytest.fixture
async def start_public(
    folder: Path, wecom: SimulatedWeCom, start: StartService
) -> AsyncIterator[StartPublic]:
    """
    Service and nginx as the guide sets them up.

    `changes` are to nginx's file; keywords are settings, where {port} is that of nginx.
    """
    nginx_here()
    async with AsyncExitStack() as stack:

        async def start_one(changes: dict[str, str] | None = None, **settings: str) -> Public:
            port, plain = free_ports()
            here = f"https://localhost:{port}{PREFIX}"
            given = {"app_url": f"{here}/wechat/", "static_url": f"{here}/static/wechat/"}
            given |= {name: value.format(port=port) for name, value in settings.items()}
            service = await start(**given)
            site = Site(port, plain, service.address)
            nginx = await stack.enter_async_context(Nginx(folder, site, changes or {}))
            shutil.copytree(FOLDER, nginx.static, dirs_exist_ok=True)
            trusting = aiohttp.TCPConnector(ssl=wecom.trust or True)
            http = await stack.enter_async_context(aiohttp.ClientSession(connector=trusting))
            wecom.trusted_hosts = {site.host}
            verification = await wecom.save_callback(f"{here}/wechat/entry/")
            assert verification.ok, (verification.why, nginx.logs())
            parts = (service.app, service.runner, service.address, wecom, service.clock, http)
            return Public(*parts, site=site, nginx=nginx)

        yield start_one


@pytest.fixture
async def public(start_public: StartPublic) -> Public:
    return await start_public()


# WeCom.


@pytest.mark.parametrize("path", ["/wechat/entry/", "/wechat/entry"])
async def test_the_callback_url_is_verified_by_the_bare_text(public: Public, path: str) -> None:
    echo, nonce = b"1616140317555161061", "1372623149"
    crypto = crypto_of(public.wecom)
    encrypted = next(e for e in (crypto.encrypt(echo) for _ in range(1000)) if "+" in e)
    signature = crypto.signature("1409659589", nonce, encrypted)
    query = {"msg_signature": signature, "timestamp": "1409659589", "nonce": nonce}
    async with public.http.get(
        public.base + path, params={**query, "echostr": encrypted}, allow_redirects=False
    ) as answer:
        assert (answer.status, await answer.read()) == (200, echo)


async def test_a_members_text_decides(public: Public) -> None:
    approval = await public.ask()
    await public.notified(approval["approval_id"])
    assert await public.says("zhangsan", "TY 12345_2") == 200
    (decision,) = await public.decisions()
    assert (decision["type"], decision["data"]["decided_by"]) == (
        "fta.approval.approved",
        "zhangsan",
    )


async def test_a_callback_over_64_kib_is_refused_at_the_door(public: Public) -> None:
    approval = await public.ask()
    query, body = sealed(public, text(words="TY 12345_2" + " " * 49_200))
    assert len(body) > 64 * 1024
    for data in (body, _in_pieces(body)):
        url = f"{public.base}/wechat/entry/"
        async with public.http.post(url, params=query, data=data) as answer:
            assert (answer.status, answer.headers["Server"]) == (413, "nginx")
    room = (64 * 1024 - len(sealed(public, text())[1])) * 3 // 4 - 64
    query, body = sealed(public, text(words="TY 12345_2" + " " * room))
    assert 64 * 1024 - 300 < len(body) <= 64 * 1024
    async with public.http.post(f"{public.base}/wechat/entry/", params=query, data=body) as answer:
        assert (answer.status, await answer.read()) == (200, b"")
    assert (await public.look(approval["approval_id"]))["status"] == "approved"


async def _in_pieces(body: bytes) -> AsyncIterator[bytes]:
    """Without a Content-Length that would tell beforehand."""
    for start in range(0, len(body), 16_384):
        yield body[start : start + 16_384]


async def test_what_the_service_leaves_unanswered_stays_unanswered(
    public: Public, tmp_path: Path
) -> None:
    """A 502 in its place WeCom might not repeat; nginx waits as long as the service does."""
    approval = await public.ask()
    await public.quiet()
    public.wecom.knobs.retries = 0
    began = time.monotonic()
    with locked(tmp_path):
        delivery = await public.wecom.send_text("zhangsan", "TY 12345_2")
    assert 4.4 < time.monotonic() - began < 5
    assert delivery.status is None
    assert "Disconnected" in str(delivery.attempts[0].error)
    assert (await public.wecom.repeat_last()).answered
    assert (await public.look(approval["approval_id"]))["status"] == "approved"


async def test_while_the_service_is_away_wecom_gets_no_answer(public: Public) -> None:
    public.wecom.knobs.retries = 0
    await public.runner.cleanup()
    delivery = await public.wecom.send_text("zhangsan", "TY 12345_2")
    assert delivery.status is None
    assert "Disconnected" in str(delivery.attempts[0].error)


# Members.


@pytest.mark.parametrize("agent", [IN_WECOM, OUTSIDE])
async def test_login_todo_and_decision_work_at_the_public_address(
    public: Public, agent: str
) -> None:
    approval = await public.ask()
    visitor = Visitor(public, agent)
    asked = await visitor.get("/wechat/todo/")
    sent_away = await visitor.get(asked.location)
    back_to = dict(parse_qsl(urlsplit(sent_away.location).query))["redirect_uri"]
    assert back_to == f"{public.base}/wechat/accounts/login/"
    back = await visitor.through_wecom(sent_away, "zhangsan")
    assert back.startswith(f"{public.base}/wechat/accounts/login/?code=")
    arrived = await visitor.get(back)
    assert (arrived.status, arrived.location) == (303, f"{PREFIX}/wechat/todo/")
    for page, name in ((sent_away, "fta_login"), (arrived, "fta_session")):
        cookie = page.cookies[f"__Secure-{name}"]
        assert (cookie["secure"], cookie["httponly"], cookie["path"]) == (True, True, PREFIX)
    todo = await visitor.get(arrived.location)
    pressed = await visitor.press(todo.form_of(approval), APPROVE)
    assert (pressed.status, pressed.location) == (
        303,
        f"{PREFIX}/wechat/a/{approval['approval_id']}/",
    )
    assert "您 于 20:00 通过页面同意" in (await visitor.get(pressed.location)).text
    assert (await public.look(approval["approval_id"]))["decided_via"] == "web"


async def test_a_form_of_another_site_decides_nothing(public: Public) -> None:
    approval = await public.ask()
    visitor = Visitor(public)
    form = (await visitor.log_in("zhangsan")).form_of(approval)
    for origin in ("https://localhost", public.site.plain_url, "https://example.com", "null"):
        refused = await visitor.press(form, REJECT, headers={"Origin": origin})
        assert refused.status == 403, origin
    assert (await public.look(approval["approval_id"]))["status"] == "pending"


async def test_links_in_messages_are_public(start_public: StartPublic) -> None:
    public = await start_public(text_link="1")
    approval = await public.ask()
    (words,) = await public.inbox("zhangsan", 1)
    link = f"{public.base}/wechat/a/{approval['approval_id']}/"
    assert f"详情: {link}" in words
    assert (await Visitor(public).log_in("zhangsan", link)).status == 200


async def test_static_files_come_from_nginx(public: Public) -> None:
    style = public.nginx.static / "style.css"
    style.write_text("/* nginx's copy */")
    page = await Visitor(public).log_in("zhangsan")
    here = f"{public.base}/static/wechat/"
    assert f"style-src {here}; img-src {here};" in page.headers["Content-Security-Policy"]
    (address,) = [g["href"] for _, g in page.tags if g.get("rel") == "stylesheet"]
    assert address.startswith(f"{here}style.css?v=")
    async with public.http.get(address) as answer:
        assert (answer.status, await answer.text()) == (200, "/* nginx's copy */")
        assert answer.content_type == "text/css"
        assert answer.headers["Cache-Control"] == "public, max-age=86400"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_static_files_that_nginx_has_not_come_from_the_service(public: Public) -> None:
    """The copy was forgotten, or is older than the file."""
    (public.nginx.static / "style.css").unlink()
    async with public.http.get(f"{public.base}/static/wechat/style.css") as answer:
        assert await answer.read() == (FOLDER / "style.css").read_bytes()
    for nothing in ("", "nothing.css", "../fullchain.pem", "..%2ffullchain.pem", "%2e%2e/tmp"):
        address = yarl.URL(f"{public.base}/static/wechat/{nothing}", encoded=True)
        async with public.http.get(address) as answer:
            assert answer.status in (403, 404), nothing


async def test_a_browser_takes_the_style_from_another_host(start_public: StartPublic) -> None:
    """As from a CDN: the Content-Security-Policy follows the address of the static files."""
    cdn = "https://127.0.0.1:{port}/o/bk_fta_solutions/static/wechat/"
    public = await start_public(static_url=cdn)
    await public.ask()
    trouble: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_here(), args=QUIET)
        context = await browser.new_context(
            ignore_https_errors=True, user_agent=IN_WECOM, locale="zh-CN"
        )
        page = await context.new_page()
        page.on("console", lambda message: trouble.append(message.text))
        chat: str = public.wecom.url  # type: ignore[attr-defined]  # set by the fixture
        await page.goto(f"{chat}/chat/zhangsan")
        await page.goto(f"{public.base}/wechat/todo/")
        button = page.get_by_role("button", name="同意")
        await expect(button).not_to_have_css("background-color", "rgb(239, 239, 239)")
        await button.click()
        await expect(page.get_by_role("status")).to_contain_text("通过页面同意")
        assert page.url.startswith("https://")
        await browser.close()
    assert trouble == []


async def test_an_open_page_hears_of_a_decision_behind_nginx(public: Public) -> None:
    """Its scripts come from nginx, its stream passes unbuffered, its policy allows both."""
    approval = await public.ask()
    trouble: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_here(), args=QUIET)
        context = await browser.new_context(
            ignore_https_errors=True, user_agent=IN_WECOM, locale="zh-CN"
        )
        page = await context.new_page()
        page.on("console", lambda message: trouble.append(message.text))
        chat: str = public.wecom.url  # type: ignore[attr-defined]  # set by the fixture
        await page.goto(f"{chat}/chat/zhangsan")
        async with page.expect_response(lambda answer: "/changes/" in answer.url):
            await page.goto(f"{public.base}/wechat/a/{approval['approval_id']}/")
        await public.says("lisi", "BH 12345_2 先不动")
        await expect(page.locator("#end")).to_contain_text("lisi 于 20:00 通过回复驳回")
        await expect(page.get_by_role("button", name="同意")).to_have_count(0)
        await page.get_by_role("button", name="English").click()
        await expect(page.locator("#end")).to_contain_text("lisi rejected via reply at 20:00")
        cookies = {one["name"]: one["secure"] for one in await context.cookies(public.base)}
        assert cookies == {"__Secure-fta_session": True, "__Secure-fta_language": True}
        await browser.close()
    log = public.nginx.access_log
    for name in ("countdown.js", "htmx.min.js", "htmx-sse.min.js"):
        assert f'"GET {PREFIX}/static/wechat/{name}" 200' in log
    assert trouble == []


# Engines.


async def test_the_stream_brings_a_decision_at_once(public: Public) -> None:
    approval = await public.ask()
    # No heartbeat could push it out of a buffer.
    public.app[keys.READERS].heartbeat_s = 10 * WITHIN_S
    async with stream(public) as reader:
        await public.says("zhangsan", "TY 12345_2")
        (said,) = await reader.decisions(1)
    assert said.type == "fta.approval.approved"
    assert approval["approval_id"] in (said.data or "")


async def test_heartbeats_pass_one_by_one(public: Public) -> None:
    public.app[keys.READERS].heartbeat_s = 0.05
    async with stream(public) as reader:
        assert reader.response.headers["Feed-Id"] == public.app[keys.FEED].feed_id
        for _ in range(3):
            event = await reader.next()
            assert event is not None and event.comment is not None


async def test_who_leaves_at_nginx_is_noticed_behind_it(public: Public) -> None:
    readers = public.app[keys.READERS]
    readers.heartbeat_s = 0.05
    async with stream(public) as reader:
        await reader.next()
        assert readers.open == 1
    async with asyncio.timeout(WITHIN_S):
        while readers.open:
            await asyncio.sleep(0.01)


async def test_a_stream_resumes_after_nginx_was_restarted(public: Public) -> None:
    first, second = await decide(public, "1_1", "2_1")
    async with stream(public) as reader:
        assert [event.id for event in await reader.decisions(2)] == [str(first), str(second)]
        await public.nginx.end()
        with pytest.raises(aiohttp.ClientPayloadError):
            while await reader.next() is not None:
                pass
    await public.nginx.start()
    await decide(public, "3_1")
    async with stream(public, **{"Last-Event-ID": str(first)}) as reader:
        again = await reader.decisions(2)
    assert [json.loads(event.data or "")["subject"] for event in again] == ["2_1", "3_1"]


async def test_a_stream_resumes_after_the_service_was_restarted(
    start_public: StartPublic, tmp_path: Path, clock: Clock, wecom: SimulatedWeCom
) -> None:
    public = await start_public()
    first, second = await decide(public, "1_1", "2_1")
    async with stream(public) as reader:
        await reader.decisions(1)
        await public.runner.cleanup()
        while (event := await reader.next()) is not None:  # ends as it should, not cut off
            assert event.id in (None, str(second))
    async with public.http.get(f"{public.base}/api/v1/decisions/stream") as answer:
        assert answer.status == 502
    given = {"app_url": f"{public.base}/wechat/"}
    again = await start_service(tmp_path, clock, wecom, given, at=public.address)
    try:
        async with stream(public, **{"Last-Event-ID": str(first)}) as reader:
            (was,) = await reader.decisions(1)
            await decide(again, "3_1")
            (comes,) = await reader.decisions(1)
        assert was.id == str(second)
        assert json.loads(comes.data or "")["subject"] == "3_1"
    finally:
        await again.stop()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/decisions"),
        ("GET", "/api/v1/decisions/stream"),
        ("POST", "/api/v1/approvals"),
        ("POST", "/wechat/create_approve/"),
        ("POST", "/wechat/create_approve"),
        ("POST", "/wechat//create_approve/"),
        ("POST", "/wechat/%63reate_approve/"),
        ("POST", "/wechat/todo/../create_approve/"),
    ],
)
async def test_other_networks_do_not_reach_the_api_of_engines(
    start_public: StartPublic, method: str, path: str
) -> None:
    public = await start_public({"allow 127.0.0.0/8;": ""})
    headers = {"Authorization": f"Bearer {TOKEN}", "TOKEN": TOKEN}
    url = yarl.URL(public.base + path, encoded=True)
    async with public.http.request(method, url, headers=headers) as answer:
        assert (answer.status, answer.headers["Server"]) == (403, "nginx")
        assert "nginx" in await answer.text()
    assert (await Visitor(public).log_in("zhangsan")).status == 200


async def test_the_old_address_of_fta_works(public: Public) -> None:
    body = {"message": "替换故障机", "verifier": "zhangsan", "obj_id": "7_1"}
    url = f"{public.base}/wechat/create_approve/"
    async with public.http.post(url, json=body, headers={"TOKEN": TOKEN}) as answer:
        assert (await answer.json())["message"] == "创建审批单成功"


def test_nginx_waits_longer_than_the_longest_poll() -> None:
    engines = CONF.read_text().partition("create_approve)")[2].partition("static/wechat")[0]
    waits = [int(seconds) for seconds in re.findall(r"proxy_read_timeout (\d+)s;", engines)]
    assert len(waits) == 2 and min(waits) > 60


# Everybody else.


async def test_only_the_prefix_and_the_proof_of_the_domain_are_public(public: Public) -> None:
    for path in ("/", "/healthz", "/readyz", "/metrics", "/o/", "/wechat/todo/", "/WW_verify_x/"):
        async with public.http.get(public.url + path) as answer:
            assert answer.status == 404 and "<center>nginx</center>" in await answer.text(), path
    for url in (public.url, public.site.plain_url):
        proof = f"{url}/WW_verify_7rG3kjVbXHngiald.txt"
        async with public.http.get(proof, allow_redirects=False) as answer:
            # There is none here, says the service, by a page of its own.
            assert answer.status == 404 and "<center>nginx" not in await answer.text(), url


async def test_http_leads_to_https(public: Public) -> None:
    address = f"{PREFIX}/wechat/todo/?a=1"
    async with public.http.get(public.site.plain_url + address, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (301, public.url + address)


async def test_what_is_secret_in_a_query_is_in_no_log(public: Public) -> None:
    """Neither in the ordinary case, nor where the service is away and nginx complains."""
    visitor = Visitor(public)
    sent_away = await visitor.get("/wechat/accounts/login/")
    back = await visitor.through_wecom(sent_away, "zhangsan")
    await visitor.get(back)
    await public.says("zhangsan", "TY 12345_2")
    query, body = sealed(public, text())
    big = body + b" " * 65_536
    entry = f"{public.base}/wechat/entry/"
    echo = {"echostr": crypto_of(public.wecom).encrypt(b"12345"), **query}
    for _ in ("the service is there", "it is away"):
        for method, url, params, data in (
            ("GET", entry, echo, None),
            ("POST", entry, query, body),
            ("POST", entry, query, big),
            ("GET", back, {}, None),
            ("GET", public.site.plain_url + PREFIX + "/wechat/entry/", echo, None),
        ):
            await _whatever(public, method, url, params, data)
        await public.runner.cleanup()
    assert '"GET /o/bk_fta_solutions/wechat/accounts/login/"' in public.nginx.access_log
    assert '"POST /o/bk_fta_solutions/wechat/entry/" 444' in public.nginx.access_log
    written = public.nginx.logs()
    secret = {**echo, **dict(parse_qsl(urlsplit(back).query))}
    for name, value in secret.items():
        if name != "timestamp":
            assert value not in written, name
        assert f"{name}=" not in written


async def _whatever(public: Public, method: str, url: str, params: Any, data: Any) -> None:
    try:
        async with (
            asyncio.timeout(WITHIN_S),
            public.http.request(method, url, params=params, data=data, allow_redirects=False),
        ):
            pass
    except aiohttp.ClientError:
        pass
