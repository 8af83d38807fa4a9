"""A real nginx on loopback, with the very file that administrators copy."""

import asyncio
import os
import shutil
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests import confidential

CONF = Path(__file__).parent.parent / "deploy" / "nginx" / "fta-approval.conf"
SBIN = "/usr/sbin:/usr/local/sbin"  # where it stands is often in nobody's PATH
STARTS_WITHIN_S = 10.0
OUR_LOGS = ("fta-approval.access.log", "fta-approval.error.log")
Key = ec.EllipticCurvePrivateKey

# Around the file: what a distribution's own nginx.conf says, which logs whole requests and
# compresses, and paths of the test's own. One process, which stays who it is.
AROUND = """
daemon off;
master_process off;
pid nginx.pid;
error_log logs/main.log;
events { worker_connections 256; }
http {
    types { text/css css; application/javascript js; image/svg+xml svg; text/html html; }
    default_type application/octet-stream;
    access_log logs/everything.log;
    gzip on;
    client_body_temp_path tmp/body;
    proxy_temp_path tmp/proxy;
    fastcgi_temp_path tmp/fastcgi;
    uwsgi_temp_path tmp/uwsgi;
    scgi_temp_path tmp/scgi;
    include fta-approval.conf;
}
"""


def nginx_here() -> str:
    """nginx of this machine. On a developer's machine its absence is said; in CI it is an error."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:{SBIN}")
    if found is not None:
        return found
    if os.environ.get("CI"):
        pytest.fail("there is no nginx, so nobody has tried deploy/nginx; install nginx-light")
    pytest.skip("NO NGINX: deploy/nginx/fta-approval.conf was not tried; install nginx-light")


@dataclass(frozen=True)
class Site:
    """What an administrator puts in the place of the file's examples."""

    port: int
    plain_port: int
    service: str

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    @property
    def url(self) -> str:
        return f"https://{self.host}"

    @property
    def plain_url(self) -> str:
        return f"http://localhost:{self.plain_port}"


class Nginx:
    """
    nginx with everything that it reads and writes in one folder, where its certificate is.

    Args:
        changes: What of the file to replace beside addresses and paths.
    """

    def __init__(self, folder: Path, site: Site, changes: dict[str, str]) -> None:
        self.folder = folder
        self.static = folder / "static"
        self._site = site
        self._changes = changes
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        confidential.logs += [self.folder / "logs" / name for name in OUR_LOGS]
        for name in ("logs", "tmp", "static"):
            (self.folder / name).mkdir()
        (self.folder / "fta-approval.conf").write_text(self._conf())
        (self.folder / "nginx.conf").write_text(AROUND)
        await self.start()
        return self

    async def start(self) -> None:
        """The first time, or again after `end`."""
        program = nginx_here()
        with (self.folder / "logs" / "stderr.log").open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *(program, "-p", self.folder, "-c", "nginx.conf", "-e", "logs/main.log"),
                cwd=self.folder,
                env={},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=errors,
            )
        await self._answers()

    async def end(self) -> None:
        """At once: what passes through it is cut."""
        if self._process is not None:
            if self._process.returncode is None:
                self._process.terminate()
            await self._process.wait()

    def _conf(self) -> str:
        text = CONF.read_text()
        for example, ours in {
            "https://example.com$request_uri": f"{self._site.url}$request_uri",
            "server_name example.com;": "server_name localhost;",
            "listen 80;": f"listen 127.0.0.1:{self._site.plain_port};",
            "listen 443 ssl;": f"listen 127.0.0.1:{self._site.port} ssl;",
            "server 127.0.0.1:8000;": f"server {self._site.service};",
            "/etc/ssl/fta-approval/": f"{self.folder}/",
            "/var/log/nginx/": f"{self.folder}/logs/",
            "alias /var/www/fta-approval/static/": f"alias {self.static}/",
            **self._changes,
        }.items():
            assert example in text, f"{CONF.name} no longer says {example}"
            text = text.replace(example, ours)
        return text

    async def _answers(self) -> None:
        assert self._process is not None
        async with asyncio.timeout(STARTS_WITHIN_S):
            while True:
                assert self._process.returncode is None, self.logs()
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self._site.port)
                except OSError:
                    await asyncio.sleep(0.01)
                    continue
                writer.close()
                await writer.wait_closed()
                return

    def logs(self) -> str:
        """Everything that it wrote."""
        return "".join(file.read_text() for file in sorted((self.folder / "logs").iterdir()))

    @property
    def access_log(self) -> str:
        return (self.folder / "logs" / "fta-approval.access.log").read_text()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.end()


def free_ports() -> tuple[int, int]:
    """Two ports that nobody listens on just now."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def make_certificate(folder: Path) -> ssl.SSLContext:
    """`fullchain.pem` and `privkey.pem` for localhost; what believes them, and nobody else."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _signed("Authority of the test", authority_key, authority_key)
    server = _signed("localhost", key, authority_key, authority)
    chain = [certificate.public_bytes(Encoding.PEM) for certificate in (server, authority)]
    (folder / "fullchain.pem").write_bytes(b"".join(chain))
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return ssl.create_default_context(cadata=chain[1].decode())


def _signed(
    name: str, key: Key, by: Key, authority: x509.Certificate | None = None
) -> x509.Certificate:
    """A certificate of that authority; without one, an authority itself."""
    subject, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.subject if authority else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(authority is None, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False
        )
        .add_extension(_usage(is_authority=authority is None), critical=True)
    )
    if authority is not None:
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(by, SHA256())


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
