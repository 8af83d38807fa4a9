"""The way out to WeCom: TLS by whose authorities, and through which proxy."""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from adapters.simulator.app import create_wecom_app
from adapters.simulator.wecom import SimulatedWeCom
from tests.conftest import StartService
from tests.service import Service
from tests.test_doctor import answering, command, environment, environment_of, findings, publish

# So named in the certificate; a WeCom that only a proxy can find.
HOST = "wecom.invalid"


@dataclass
class Authority:
    """A CA as a company has one for its intercepting proxy, made for one test."""

    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def name(self) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])

    def pem(self) -> bytes:
        usage = x509.KeyUsage(
            **dict.fromkeys(
                (
                    *("digital_signature", "content_commitment", "key_encipherment"),
                    *("data_encipherment", "key_agreement", "encipher_only", "decipher_only"),
                ),
                False,
            ),
            key_cert_sign=True,
            crl_sign=True,
        )
        builder = (
            self._builder(self.name, self.key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
        )
        return self._signed(builder).public_bytes(serialization.Encoding.PEM)

    def server(self, folder: Path) -> ssl.SSLContext:
        """What a server with a certificate of this authority speaks."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
        names = [x509.DNSName(HOST), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = self._builder(name, key).add_extension(
            x509.SubjectAlternativeName(names), critical=False
        )
        file = folder / "server.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + self._signed(builder).public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _builder(self, name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(issuer, critical=False)
        )

    def _signed(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return builder.sign(self.key, hashes.SHA256())


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def ca_file(authority: Authority, tmp_path: Path) -> str:
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.pem())
    return str(file)


@pytest.fixture
async def tls_port(
    authority: Authority, wecom: SimulatedWeCom, tmp_path: Path
) -> AsyncIterator[int]:
    """The simulated WeCom once more, over TLS."""
    runner = web.AppRunner(create_wecom_app(wecom), access_log=None, shutdown_timeout=1)
    await runner.setup()
    context = authority.server(tmp_path)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


class Tunnel:
    """A proxy that answers CONNECT, whatever the name, with a connection to one port."""

    def __init__(self, port: int, status: str = "200 Connection established") -> None:
        self._port = port
        self._status = status
        self.asked: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head.split("\r\n")[0])
        writer.write(f"HTTP/1.1 {self._status}\r\n\r\n".encode())
        if " 200 " in f" {self._status} ":
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def over_tls(url: str) -> dict[str, Any]:
    return dict.fromkeys(("wecom_api_url", "wecom_oauth_url", "wecom_login_url"), url)


@pytest.fixture
async def service(start: StartService) -> Service:
    service = await start()
    publish(service)
    return service


def failed(lines: list[str]) -> list[str]:
    return [found for found in lines if found.startswith("FAIL")]


# TLS.


async def test_an_unknown_authority_is_not_trusted_and_the_remedy_is_named(
    service: Service, tls_port: int
) -> None:
    lines = failed(await findings(service, **over_tls(f"https://127.0.0.1:{tls_port}")))
    assert [found.split(":")[0] for found in lines] == ["FAIL token", "FAIL trusted domain"]
    for found in lines:
        assert "its certificate is not trusted (unable to get local issuer certificate)" in found
        assert "set FTA_APPROVAL_WECOM_CA_FILE to the PEM file of its authority" in found
    assert "gettoken" not in [call.path for call in service.wecom.calls]


async def test_with_its_authority_in_the_settings_everything_is_fine(
    service: Service, tls_port: int, ca_file: str
) -> None:
    changes = over_tls(f"https://127.0.0.1:{tls_port}")
    assert failed(await findings(service, **changes, wecom_ca_file=ca_file)) == []


async def test_the_authorities_of_the_system_stay_trusted_beside_it(
    service: Service,
    tls_port: int,
    ca_file: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(Authority().pem())
    monkeypatch.setenv("SSL_CERT_FILE", ca_file)  # now one of the system's
    changes = over_tls(f"https://127.0.0.1:{tls_port}")
    assert failed(await findings(service, **changes, wecom_ca_file=str(other))) == []


async def test_an_authority_of_ours_vouches_for_no_other_name(
    service: Service, tls_port: int, ca_file: str
) -> None:
    changes = over_tls(f"https://localhost:{tls_port}")
    found = failed(await findings(service, **changes, wecom_ca_file=ca_file))[0]
    assert found.startswith("FAIL token: ")
    assert "Hostname mismatch" in found


async def test_our_own_address_has_to_be_trusted_by_everybody(
    service: Service, tls_port: int, ca_file: str
) -> None:
    """The authority of the settings is for calls to WeCom, which does not know it."""
    app_url = f"https://127.0.0.1:{tls_port}/wechat/"
    found = failed(await findings(service, app_url=app_url, wecom_ca_file=ca_file))
    (callback,) = [line for line in found if line.startswith("FAIL callback: ")]
    assert "its certificate is not trusted: unable to get local issuer certificate" in callback


async def test_the_service_sends_and_logs_in_by_that_authority(
    start: StartService, tls_port: int, ca_file: str
) -> None:
    service = await start(
        wecom_api_url=f"https://127.0.0.1:{tls_port}",
        wecom_ca_file=ca_file,
    )
    approval = await service.ask("1_1")
    notified = await service.notified(approval["approval_id"])
    assert {to["state"] for to in notified["notifications"]} == {"sent"}


# Proxies.


async def test_doctor_and_menu_go_through_a_proxy_that_intercepts_tls(
    service: Service, tls_port: int, ca_file: str
) -> None:
    tunnel = Tunnel(tls_port)
    async with listening(tunnel.serve) as proxy:
        variables = environment(
            service, **over_tls(f"https://{HOST}"), wecom_proxy=proxy, wecom_ca_file=ca_file
        )
        # The host is not on this machine, so the public secrets are seen; time stands still there.
        assert failed(await _doctor(variables)) == ["FAIL settings", "FAIL settings", "FAIL clock"]
        assert set(tunnel.asked) == {f"CONNECT {HOST}:443 HTTP/1.1"}
        tunnel.asked.clear()
        status, lines, errors = await command("menu", "publish", **variables)
    assert (status, errors) == (0, "")
    assert lines[0].endswith("already; nothing changed")
    assert tunnel.asked


async def _doctor(variables: dict[str, str]) -> list[str]:
    _, lines, _ = await command("doctor", **variables)
    return [found.split(":")[0] for found in lines]


async def test_doctor_and_menu_go_through_a_proxy_that_forwards(wecom: SimulatedWeCom) -> None:
    asked: list[str] = []
    target: str = wecom.url  # type: ignore[attr-defined]  # set by the fixture

    async def forward(request: web.Request) -> web.Response:
        """The request line holds the whole address, which only a proxy is sent."""
        asked.append(f"{request.url.host}{request.path}")
        async with (
            aiohttp.ClientSession() as http,
            http.request(
                request.method, target + request.path_qs, data=await request.read()
            ) as answer,
        ):
            return web.Response(
                body=await answer.read(),
                status=answer.status,
                headers={"Date": answer.headers["Date"]},
            )

    async with answering(forward) as proxy:
        variables = environment_of(
            wecom,
            **over_tls(f"http://{HOST}"),
            wecom_proxy=proxy,
            app_url="https://example.com/wechat/",
        )
        status, lines, errors = await command("menu", "publish", **variables)
        assert (status, errors) == (0, "")
        _, lines, _ = await command("doctor", **variables)
    assert {f"ok  {check}" for check in ("token", "application", "menu")} <= {
        found.split(":")[0] for found in lines
    }
    assert {path.removeprefix(HOST) for path in asked} == {
        *(f"/cgi-bin/{path}" for path in ("gettoken", "menu/get", "menu/create", "user/get")),
        "/wwlogin/sso/login",
    }


async def test_a_proxy_that_refuses_is_told(service: Service, tls_port: int) -> None:
    tunnel = Tunnel(tls_port, "407 Proxy Authentication Required")
    async with listening(tunnel.serve) as proxy:
        changes = over_tls(f"https://{HOST}")
        lines = failed(await findings(service, **changes, wecom_proxy=proxy))
    token = next(found for found in lines if found.startswith("FAIL token"))
    assert "the proxy of FTA_APPROVAL_WECOM_PROXY answers HTTP 407" in token


async def test_the_proxy_of_the_environment_is_not_used(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    assert failed(await findings(service)) == []


async def test_our_own_address_is_not_asked_through_the_proxy_that_leads_out(
    service: Service,
) -> None:
    found = await findings(service, wecom_proxy="http://127.0.0.1:1")
    assert {line.split(":")[0] for line in found} >= {"FAIL token", "ok  callback"}
