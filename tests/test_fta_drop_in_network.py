"""examples/fta/wechat.py where the network is bad, or somebody else's."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.fta_interpreters import Engine, engine, interpreters
from tests.service import Service

WITHOUT_TLS = "jython"  # Debian's comes without Bouncy Castle, and so without ssl


@pytest.fixture(scope="module", params=interpreters(), ids=lambda path: Path(path).name)
def process(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with engine(request.param) as started:
        yield started


@pytest.fixture
async def fta(process: Engine, service: Service, tmp_path: Path) -> Engine:
    return await process.serves(service, tmp_path / "notes")


@dataclass
class Between:
    """Stands between engine and service, and does harm."""

    service: Service
    lose: int = 0
    """How many answers to what was carried out are still to be lost."""
    seen: list[str] = field(default_factory=list)
    says: str | None = None
    """What zhangsan writes as soon as an answer is lost."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(f"{request.method} {request.path_qs}")
        headers = {"Authorization": request.headers["Authorization"]}
        body = await request.read()
        if body:
            headers["Content-Type"] = "application/json"
        url = self.service.url + request.path_qs
        async with aiohttp.ClientSession() as http:
            made = http.request(request.method, url, data=body, headers=headers)
            async with made as response:
                raw, status = await response.read(), response.status
        if self.lose and request.method == "POST":
            self.lose -= 1
            if self.says is not None:
                await self.service.heard("zhangsan", self.says)
                self.says = None
            assert request.transport is not None
            request.transport.abort()
        return web.Response(body=raw, status=status, content_type="application/json")


@asynccontextmanager
async def serving(handler: object, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Its address, without a path."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)  # type: ignore[arg-type]
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def between(fta: Engine, service: Service) -> AsyncIterator[Between]:
    between = Between(service)
    async with serving(between.handle) as url:
        prefix = service.base.removeprefix(service.url)
        await fta.call("noop", settings={"ADDRESS": url + prefix})
        yield between


async def test_a_lost_answer_is_asked_for_again_and_asks_nobody_twice(
    fta: Engine, between: Between, service: Service
) -> None:
    between.lose = 2
    asked = await fta.asks()
    assert sum(line.startswith("POST") for line in between.seen) == 3
    assert asked["run"] == 1
    _, body = await service.api("GET", "/approvals")
    assert len(body["approvals"]) == 1
    await service.heard("zhangsan", "TY 12345_2")
    assert (await fta.polls())["status"] == "success"


async def test_an_ask_that_was_never_answered_is_an_error_and_the_next_joins_it(
    fta: Engine, between: Between, service: Service
) -> None:
    between.lose = 3
    assert "POST /approvals" in await fta.refused()
    assert await fta.polls() is None
    assert (await fta.asks())["run"] == 1
    await service.heard("zhangsan", "TY 12345_2")
    first = await fta.polls()
    assert first["status"] == "success"
    assert await fta.polls() == first


async def test_a_decision_of_an_ask_that_was_given_up_is_not_the_next_ones(
    fta: Engine, between: Between, service: Service
) -> None:
    between.lose = 3
    await fta.refused()
    await service.heard("zhangsan", "TY 12345_2")
    assert (await fta.asks())["run"] == 2
    assert await fta.polls() is None


async def test_a_decision_while_the_answer_was_lost_is_this_executions_own(
    fta: Engine, between: Between
) -> None:
    """Nobody else asked this run: only what the service said of our own request was lost."""
    between.lose, between.says = 1, "TY 12345_2"
    assert (await fta.asks())["run"] == 1
    assert (await fta.polls())["status"] == "success"


async def test_a_decision_while_another_executions_request_is_joined_is_not_ours(
    fta: Engine, between: Between, service: Service
) -> None:
    await fta.asks()
    between.lose, between.says = 1, "TY 12345_2"
    assert "12345_2 的审批刚刚结束" in await fta.refused()
    assert (await fta.polls())["status"] == "success"


async def test_a_lost_answer_to_redeeming_is_asked_for_again_by_the_next_poll(
    fta: Engine, between: Between, service: Service
) -> None:
    await fta.asks()
    await service.heard("zhangsan", "TY 12345_2")
    between.lose = 1
    assert await fta.polls() is None
    assert (await fta.polls())["status"] == "success"


async def test_the_token_follows_no_redirect(fta: Engine, service: Service) -> None:
    got: list[str] = []

    async def astray(request: web.Request) -> web.Response:
        got.append(request.path)
        if request.path.startswith("/api"):
            raise web.HTTPTemporaryRedirect("/elsewhere")
        return web.json_response({"approvals": [], "next": None})

    async with serving(astray) as url:
        await fta.call("noop", settings={"ADDRESS": url})
        assert "307" in await fta.refused()
    assert got == ["/api/v1/approvals"]


@pytest.mark.parametrize(
    "body",
    ["", "<html>", "[]", "{}", '{"approvals": [1], "next": null}', '{"approvals": 1', "null"],
)
async def test_what_is_no_answer_of_the_service_decides_nothing(
    fta: Engine, service: Service, body: str
) -> None:
    await fta.asks()

    async def odd(request: web.Request) -> web.Response:
        return web.Response(text=body, content_type="application/json")

    async with serving(odd) as url:
        await fta.call("noop", settings={"ADDRESS": url})
        await fta.refused()
        assert await fta.polls() is None


async def test_no_proxy_of_the_environment_gets_the_token(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with engine(interpreters()[0]) as started:
        await started.serves(service, tmp_path / "notes")
        assert (await started.asks())["run"] == 1


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """For 127.0.0.1, signed by itself: what a server needs, and the file by which it is trusted."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    trusted, secret = folder / "ca.pem", folder / "key.pem"
    trusted.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    kind = serialization.PrivateFormat.PKCS8
    plain = serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, kind, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, secret)
    return context, trusted


@pytest.mark.parametrize(
    "python", [path for path in interpreters() if Path(path).name != WITHOUT_TLS]
)
async def test_over_https_only_a_certificate_that_is_trusted_gets_the_token(
    service: Service, tmp_path: Path, python: str
) -> None:
    context, trusted = await asyncio.to_thread(certificate, tmp_path)
    between = Between(service)
    prefix = service.base.removeprefix(service.url)
    async with serving(between.handle, context) as url:
        with engine(python) as started:
            await started.serves(service, tmp_path / "notes")
            await started.call("noop", settings={"ADDRESS": url + prefix})
            assert "CERTIFICATE_VERIFY_FAILED" in await started.refused()
            assert between.seen == []
            await started.call("noop", settings={"CA_FILE": str(trusted)})
            assert (await started.asks())["run"] == 1


async def test_an_engine_that_still_reads_its_old_table_asks_nobody(
    service: Service, tmp_path: Path
) -> None:
    with engine(interpreters()[0]) as started:
        await started.serves(service, tmp_path / "notes")
        await started.call("old_notice", "old")
        assert "notice.py 仍在读取旧的审批结果表" in await started.refused()
        await started.call("old_notice", "new")
        assert (await started.asks())["run"] == 1
