"""Settings and the process: the real command, its one line, its exit status (contract 1 and 2)."""

import asyncio
import base64
import json
import os
import pty
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from pydantic import SecretStr

from adapters.store.read_models import ReadModelDatabase
from tests import confidential
from web.settings import PREFIX, Settings, WrongSettings, read_settings

SCRIPT = Path(sys.executable).with_name("fta-approval")
TOKEN = "token-of-the-engine-fta"
SECRET = "secret-that-nobody-may-see"
KEY = base64.b64encode(bytes(range(32))).decode()
WITHIN_S = 60.0


def environment(**settings: str) -> dict[str, str]:
    """Nothing but these settings; a free port unless one is given."""
    given = {"LISTEN": "127.0.0.1:0", **{name.upper(): value for name, value in settings.items()}}
    return {"PATH": os.environ["PATH"], **{PREFIX + name: value for name, value in given.items()}}


def run(folder: Path, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """The real command, to its end."""
    ended = subprocess.run(
        [SCRIPT, *arguments],
        cwd=folder,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    confidential.note_said(" ".join(arguments), ended.stderr)
    return ended


class Serving:
    """`fta-approval serve` that has said its line."""

    def __init__(self, process: asyncio.subprocess.Process, line: str, log: Path) -> None:
        self.process = process
        self.line = line
        self.url = line.removeprefix("listening on ")
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text()

    async def stop(self, number: int = signal.SIGTERM) -> tuple[int, bytes]:
        """How it exited, and what else it said on stdout."""
        self.process.send_signal(number)
        return await self.end()

    async def end(self) -> tuple[int, bytes]:
        assert self.process.stdout is not None
        async with asyncio.timeout(WITHIN_S):
            rest = await self.process.stdout.read()
            return await self.process.wait(), rest


@asynccontextmanager
async def serving(folder: Path, *arguments: str, **settings: str) -> AsyncIterator[Serving]:
    """The service as a process; whatever happens, it has ended afterwards."""
    log = folder / "serve.log"
    confidential.logs.append(log)
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            SCRIPT,
            "serve",
            *arguments,
            cwd=folder,
            env=environment(**settings),
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(WITHIN_S):
            line = (await process.stdout.readline()).decode()
        assert line, log.read_text()
        yield Serving(process, line.rstrip("\n"), log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def key_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*key*"))


def read(**settings: str) -> Settings:
    return read_settings({PREFIX + name.upper(): value for name, value in settings.items()})


def mistakes(**settings: str) -> list[str]:
    with pytest.raises(WrongSettings) as wrong:
        read(**settings)
    return wrong.value.mistakes


# What is read.


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = read()
    assert settings.database == "sqlite:///var/fta-approval.db"
    assert settings.listen == "127.0.0.1:8000"
    assert settings.address == ("127.0.0.1", 8000)
    assert settings.url_prefix == "/o/bk_fta_solutions"
    assert settings.static_path == "/o/bk_fta_solutions/static/wechat/"
    assert settings.engines == []
    assert settings.api_readers == []
    assert settings.api_rate == 1000
    assert settings.wecom_token == SecretStr("FTAToken")
    assert settings.wecom_encoding_aes_key == SecretStr(
        "FTAEncodingAESKeyFTAEncodingAESKey923456781"
    )
    assert settings.super_approvers == settings.admins == settings.auditors == []
    assert settings.message_style == "text"
    assert settings.text_link is False
    assert settings.time_zone == "Asia/Shanghai"
    assert settings.wecom_api_url == "https://qyapi.weixin.qq.com"
    assert settings.wecom_oauth_url == "https://open.weixin.qq.com"
    assert settings.wecom_login_url == "https://login.work.weixin.qq.com"
    for name in (
        *("secret_key", "secret_key_file", "app_url", "static_url", "wecom_proxy"),
        *("wecom_ca_file", "wecom_verify_file"),
        *("wecom_corp_id", "wecom_secret", "wecom_agent_id"),
    ):
        assert getattr(settings, name) is None
    assert not settings.wecom_is_configured


def test_every_setting_is_read(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text(f"{KEY}\n")
    proof = tmp_path / "WW_verify_7rG3kjVbXHngiald.txt"
    proof.write_bytes(b"7rG3kjVbXHngiald")
    settings = read(
        database="sqlite:////srv/fta/approval.db",
        listen="[::1]:9000",
        url_prefix="/fta",
        secret_key=KEY,
        secret_key_file=str(key_file),
        api_tokens=f"fta:{TOKEN}, fta:{TOKEN}-2 ,other:{TOKEN}-3,",
        api_readers="other, fta",
        api_rate="0",
        app_url="https://fta.example/o/fta/wechat/",
        static_url="https://cdn.example/fta/",
        wecom_token="Token",
        wecom_encoding_aes_key="a" * 43,
        wecom_corp_id="ww1",
        wecom_secret=SECRET,
        wecom_agent_id="1000002",
        super_approvers=" wangwu , lisi, WangWu,",
        admins="wangwu",
        auditors="lisi",
        message_style="both",
        text_link="1",
        time_zone="UTC",
        wecom_api_url="http://127.0.0.1:9/",
        wecom_proxy="http://proxy.example:3128",
        wecom_verify_file=str(proof),
    )
    assert settings.address == ("::1", 9000)
    assert settings.engines == [("fta", TOKEN), ("fta", f"{TOKEN}-2"), ("other", f"{TOKEN}-3")]
    assert settings.api_readers == ["other", "fta"]
    assert settings.super_approvers == ["wangwu", "lisi"]
    assert (settings.api_rate, settings.wecom_agent_id, settings.text_link) == (0, 1000002, True)
    assert settings.wecom_api_url == "http://127.0.0.1:9"
    assert settings.wecom_verify_file == str(proof)
    assert settings.wecom_is_configured


def test_an_empty_variable_counts_as_not_set_but_the_prefix_may_be_empty() -> None:
    assert read(**dict.fromkeys(Settings.model_fields, "")) == read(url_prefix="")
    assert read(url_prefix="").url_prefix == ""
    assert read(url_prefix="").static_path == "/static/wechat/"


def test_only_the_environment_that_is_given_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTA_APPROVAL_LISTEN", "127.0.0.1:9999")
    monkeypatch.setenv("FTA_APPROVAL_WECOM_SECRET", SECRET)
    assert read() == read_settings({})
    assert read().listen == "127.0.0.1:8000"
    assert read().wecom_secret is None


def test_no_secret_shows_in_the_settings_themselves() -> None:
    settings = read(
        api_tokens=f"fta:{SECRET}",
        secret_key=KEY,
        wecom_secret=SECRET,
        wecom_token="SecretToken",
        wecom_encoding_aes_key="s" * 43,
    )
    shown = repr(settings) + str(settings)
    for secret in (SECRET, KEY, "SecretToken", "s" * 43):
        assert secret not in shown


WRONG: dict[str, list[str]] = {
    "database": ["fta.db", "sqlite://", "sqlite:///", "mysql://h/x", "postgresql://u:pw@h/fta"],
    "listen": ["8000", ":8000", "127.0.0.1", "127.0.0.1:", "h:x", "h:65536", "h:-1", "h: 80"],
    "url_prefix": ["/", "fta", "/fta/", "//fta", "/f ta", "/故障", "/fta?x", "/a/{b}"],
    "secret_key": ["x", KEY[:-5], base64.b64encode(bytes(31)).decode(), "密", KEY + KEY],
    "secret_key_file": ["/nowhere/key", "/dev/null", "/"],
    "api_tokens": [
        SECRET,
        f":{SECRET}",
        f"f ta:{SECRET}",
        f"故障:{SECRET}",
        "fta:short",
        "fta:",
        "fta:fifteen-charact",
        "fta:blank in the token of it",
        "fta:令牌令牌令牌令牌令牌令牌令牌令牌",
        f"fta:{SECRET},other:{SECRET}",
        ",".join(f"fta:{SECRET}{n}" for n in range(3)),
    ],
    "api_readers": ["nobody"],
    "api_rate": ["-1", "x", "1.5"],
    "app_url": [
        "fta.example/wechat/",
        "https://fta.example/",
        "https://u:p@h/wechat/",
        "https:///wechat/",
    ],
    "static_url": ["static", "/static", "ftp://h/", "https://cdn.example"],
    "wecom_token": ["T" * 33, "To ken", "令牌", "a-b"],
    "wecom_encoding_aes_key": ["a" * 42, "a" * 44, "a" * 42 + "=", "密" * 43],
    "wecom_agent_id": ["x", "1.5"],
    "super_approvers": ["张三", "zhang san", "zhangsan;lisi", "z" * 65],
    "admins": ["张三", "-"],
    "auditors": ["张三", "@all"],
    "message_style": ["sms", "Text", "text,card"],
    "text_link": ["maybe", "2"],
    "time_zone": ["Shanghai", "../etc/passwd", "/etc/localtime", "Asia"],
    "wecom_api_url": ["qyapi.weixin.qq.com", "ftp://h", "http://", "http://[", "http://u:p@h"],
    "wecom_oauth_url": ["x"],
    "wecom_login_url": ["x"],
    "wecom_proxy": ["proxy:3128", "socks5://h:1", "http://u:p@h:1"],
    "wecom_ca_file": ["/nowhere/ca.pem", "/dev/null", "/", __file__],
    "wecom_verify_file": ["/nowhere/WW_verify_a1.txt", "/nowhere/proof.txt", "/dev/null", "/"],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_one_line_that_names_its_variable(name: str) -> None:
    for value in WRONG[name]:
        (line,) = mistakes(**{name: value})
        assert line.startswith(f"{PREFIX}{name.upper()}: "), value
        assert len(line) > len(f"{PREFIX}{name.upper()}: ") + 5
        assert "\n" not in line


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("WW_verify_a1.txt", b"", "must hold 1-1024 bytes"),
        ("WW_verify_a1.txt", b"x" * 1025, "must hold 1-1024 bytes"),
        ("WW_verify_.txt", b"x", "must be named as WeCom named it"),
        ("WW_verify_a1.txt.bak", b"x", "must be named as WeCom named it"),
        ("WW_verify_a-1.txt", b"x", "must be named as WeCom named it"),
        ("ww_verify_a1.txt", b"x", "must be named as WeCom named it"),
        ("WW_verify_故障.txt", b"x", "must be named as WeCom named it"),
    ],
)
def test_only_what_wecom_gave_is_served_as_its_proof(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    (line,) = mistakes(wecom_verify_file=str(file))
    assert line.startswith(f"FTA_APPROVAL_WECOM_VERIFY_FILE: {file} {said}")


def test_a_proof_of_1024_bytes_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "WW_verify_a1.txt"
    file.write_bytes(b"x" * 1024)
    assert read(wecom_verify_file=str(file)).wecom_verify_file == str(file)


def test_a_file_of_authorities_without_any_certificate_is_told(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n")
    (line,) = mistakes(wecom_ca_file=str(file))
    assert line == f"FTA_APPROVAL_WECOM_CA_FILE: {file} must hold certificates in PEM"


def test_wrong_files_are_one_line_each_and_exit_status_2(tmp_path: Path) -> None:
    for arguments in (["serve"], ["doctor"], ["menu", "publish"]):
        ended = run(
            tmp_path, *arguments, wecom_ca_file="ca.pem", wecom_verify_file="WW_verify_1.txt"
        )
        assert (ended.returncode, ended.stdout) == (2, "")
        missing = "cannot be read: No such file or directory"
        assert ended.stderr.splitlines() == [
            f"FTA_APPROVAL_WECOM_CA_FILE: ca.pem {missing}",
            f"FTA_APPROVAL_WECOM_VERIFY_FILE: WW_verify_1.txt {missing}",
        ]


def test_no_line_shows_a_secret() -> None:
    secret = ("api_tokens", "secret_key", "wecom_token", "wecom_encoding_aes_key")
    for name in secret:
        for value in WRONG[name]:
            said = mistakes(**{name: value})[0].partition(": ")[2]
            for part in value.split(",")[0].split(":"):
                assert len(part) < 6 or part not in said
    assert ":pw@" not in mistakes(database="postgresql://u:pw@h/fta")[0]
    assert "u:p@" not in mistakes(wecom_proxy="http://u:p@h:1")[0]


def test_every_unknown_reader_is_named() -> None:
    found = mistakes(api_tokens=f"fta:{TOKEN}", api_readers="fta,one,two")
    assert [line.split()[1] for line in found] == ["one", "two"]


# The command.


def test_several_mistakes_are_several_lines_and_exit_status_2(tmp_path: Path) -> None:
    ended = run(
        tmp_path,
        "serve",
        listen="8000",
        api_tokens=SECRET,
        wecom_encoding_aes_key=SECRET,
        secret_key=SECRET,
        wecom_token=f"{SECRET}!",
        admins="张三",
        time_zone="Mars/Olympus",
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    lines = ended.stderr.splitlines()
    assert sorted(line.partition(":")[0] for line in lines) == [
        "FTA_APPROVAL_ADMINS",
        "FTA_APPROVAL_API_TOKENS",
        "FTA_APPROVAL_LISTEN",
        "FTA_APPROVAL_SECRET_KEY",
        "FTA_APPROVAL_TIME_ZONE",
        "FTA_APPROVAL_WECOM_ENCODING_AES_KEY",
        "FTA_APPROVAL_WECOM_TOKEN",
    ]
    assert SECRET not in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_one_mistake_is_one_line(tmp_path: Path) -> None:
    ended = run(tmp_path, "serve", "--listen", "8000")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "FTA_APPROVAL_LISTEN: must be HOST:PORT, such as 127.0.0.1:8000\n"


def test_a_variable_that_means_nothing_is_named(tmp_path: Path) -> None:
    ended = run(tmp_path, "serve", listen="x", api_token=SECRET, permit_ttl="900")
    lines = ended.stderr.splitlines()
    assert lines[0].startswith("FTA_APPROVAL_API_TOKEN: ")
    assert [line.partition(":")[0] for line in lines[1:]] == ["FTA_APPROVAL_LISTEN"]
    assert SECRET not in ended.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("serve", "--help"), ()])
def test_help_says_what_there_is(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ended = run(tmp_path, *arguments)
    assert ended.returncode in ((0, 2) if not arguments else (0,))
    shown = ended.stdout + ended.stderr
    assert "Usage: fta-approval" in shown
    assert ("--listen" if "serve" in arguments else "serve") in shown


def test_the_version_is_that_of_the_distribution(tmp_path: Path) -> None:
    ended = run(tmp_path, "--version")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.fullmatch(r"fta-approval \d+\.\d+\.\d+\n", ended.stdout)


def test_a_command_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    ended = run(tmp_path, "approve", "12345_2")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "approve" in ended.stderr


def test_a_port_that_is_taken_is_one_line_and_exit_status_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run(tmp_path, "serve", listen=f"127.0.0.1:{port}")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == f"cannot listen on 127.0.0.1:{port}: Address already in use\n"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "203.0.113.1"])
def test_an_address_that_is_not_ours_is_one_line(tmp_path: Path, host: str) -> None:
    ended = run(tmp_path, "serve", listen=f"{host}:8000")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"cannot listen on {host}:8000: ")
    assert len(ended.stderr.splitlines()) == 1


def test_a_database_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database, it is a text of some length\n" * 100)
    (tmp_path / "folder.db").mkdir()
    for name in ("text.db", "folder.db", "text.db/below.db"):
        ended = run(tmp_path, "serve", database=f"sqlite:///{name}")
        assert (ended.returncode, ended.stdout) == (1, ""), name
        assert ended.stderr.startswith("fta-approval: "), name
        assert len(ended.stderr.splitlines()) == 1, ended.stderr


async def test_a_newer_store_is_refused_in_one_line(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.stop()
    database = sqlite3.connect(tmp_path / "var" / "fta-approval.db")
    version = database.execute("PRAGMA user_version").fetchone()[0]
    database.execute(f"PRAGMA user_version = {version + 1000}")
    database.commit()
    database.close()
    ended = run(tmp_path, "serve")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("fta-approval: ")
    assert f"has schema {version + 1000}" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


# Serving, and its end.


@pytest.mark.parametrize("prefix", ["/o/bk_fta_solutions", "", "/fta"])
async def test_it_says_one_line_when_it_is_ready_and_sigterm_exits_0(
    tmp_path: Path, prefix: str
) -> None:
    async with serving(tmp_path, url_prefix=prefix, api_tokens=f"fta:{TOKEN}") as service:
        assert re.fullmatch(rf"listening on http://127\.0\.0\.1:\d+{prefix}", service.line)
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as http:
            async with http.get(f"{service.url}/api/v1/decisions") as response:
                assert response.status == 200
            host = urlsplit(service.url).netloc
            async with http.get(f"http://{host}/readyz") as response:
                assert response.status == 200
        assert await service.stop() == (0, b"")


async def test_the_option_wins_over_the_variable(tmp_path: Path) -> None:
    async with serving(tmp_path, "--listen", "localhost:0", listen="203.0.113.1:80") as service:
        assert service.line.startswith("listening on http://127.0.0.1:")
        assert (await service.stop(signal.SIGINT))[0] == 0


async def test_sigterm_finishes_the_request_under_way_and_takes_no_new_one(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, api_tokens=f"fta:{TOKEN}") as service:
        parts = urlsplit(service.url)
        assert parts.hostname and parts.port
        body = json.dumps({"obj_id": "1_1", "message": "m", "approvers": ["zhangsan"]}).encode()
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(
            f"POST {parts.path}/api/v1/approvals HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        async with asyncio.timeout(WITHIN_S):
            # Now the handler has it and waits for the body.
            assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
            service.process.terminate()
            while not await _refuses(parts.hostname, parts.port):
                await asyncio.sleep(0.01)
            writer.write(body[:10])
            await writer.drain()
            writer.write(body[10:])
            answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        assert b"HTTP/1.1 201 Created" in answer
        assert await service.end() == (0, b"")
    async with (
        serving(tmp_path, api_tokens=f"fta:{TOKEN}") as service,
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as http,
    ):
        listed = await _body(http, f"{service.url}/api/v1/approvals")
    assert [approval["obj_id"] for approval in listed["approvals"]] == ["1_1"]


async def _refuses(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


async def test_sigterm_lets_streams_and_long_polls_go(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, api_tokens=f"fta:{TOKEN}") as service,
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as http,
        http.get(f"{service.url}/api/v1/decisions/stream") as stream,
    ):
        poll = asyncio.create_task(_body(http, f"{service.url}/api/v1/decisions?wait=60"))
        async with http.get(f"{service.url}/api/v1/decisions") as response:
            assert response.status == 200
        assert await service.stop() == (0, b"")
        assert (await poll)["decisions"] == []
        assert b"data:" not in await stream.read()


async def _body(http: aiohttp.ClientSession, url: str) -> Any:
    async with http.get(url) as response:
        return await response.json()


# The key, and what is made at the first start.


async def test_a_key_is_made_at_the_first_start_for_us_alone_and_kept(tmp_path: Path) -> None:
    keys = []
    for _ in range(2):
        async with serving(tmp_path) as service:
            await service.stop()
        path = tmp_path / "var" / "fta-approval.db.key"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        keys.append(path.read_text())
        assert keys[-1] not in service.log
    assert keys[0] == keys[1]
    assert len(base64.b64decode(keys[0])) == 32


async def test_a_key_that_is_given_makes_no_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    for settings in ({"secret_key": KEY}, {"secret_key_file": "key"}):
        async with serving(tmp_path, **settings) as service:
            await service.stop()
        assert key_files(tmp_path / "var") == []


async def test_processes_that_start_together_end_with_one_key_and_one_feed(
    tmp_path: Path,
) -> None:
    settings = {"api_tokens": f"fta:{TOKEN}"}
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as http,
        asyncio.TaskGroup() as group,
    ):

        async def feed_id(number: int) -> Any:
            (tmp_path / str(number)).mkdir()
            async with serving(
                tmp_path / str(number), database=f"sqlite:///{tmp_path}/both.db", **settings
            ) as service:
                return (await _body(http, f"{service.url}/api/v1/decisions"))["feed_id"]

        found = [group.create_task(feed_id(number)) for number in range(3)]
    assert len({task.result() for task in found}) == 1
    assert key_files(tmp_path) == ["both.db.key"]


def test_read_models_that_are_opened_together_are_made_once(tmp_path: Path) -> None:
    """What six processes do at their first start, nearer to the same moment."""
    schemas = {"todo": "CREATE TABLE todo (member TEXT)"}
    for number in range(5):
        together = threading.Barrier(6)
        path = tmp_path / f"{number}.db-views"

        def open_one(together: threading.Barrier = together, path: Path = path) -> dict[str, int]:
            together.wait(WITHIN_S)
            read_models = ReadModelDatabase(path, "feed", schemas)
            with read_models.transaction() as tables:
                positions = read_models.positions(tables, ["todo"])
            read_models.close()
            return positions

        with ThreadPoolExecutor(6) as threads:
            opened = [threads.submit(open_one) for _ in range(6)]
        assert [one.result() for one in opened] == [{"todo": 0}] * 6


# Logs.


async def test_a_crash_shown_on_a_terminal_shows_no_token(tmp_path: Path) -> None:
    """The pretty traceback would print local variables, tokens among them."""
    code = (
        "import structlog\n"
        "from web.logs import set_up_logs\n"
        "set_up_logs()\n"
        f"token = {SECRET[:10]!r} + {SECRET[10:]!r}\n"
        "try:\n    1 / 0\n"
        "except ZeroDivisionError:\n    structlog.get_logger().exception('crashed')\n"
    )
    ours, theirs = pty.openpty()
    ended = subprocess.run(  # noqa: ASYNC221  # it is short
        [sys.executable, "-c", code], stderr=theirs, cwd=Path(__file__).parents[1], check=False
    )
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert ended.returncode == 0
    assert "crashed" in shown
    assert "ZeroDivisionError" in shown
    assert SECRET not in shown


@pytest.mark.parametrize(
    ("level", "logged"),
    [
        ("debug", ["ours debug", "ours info", "ours warning", "theirs debug", "theirs warning"]),
        ("info", ["ours info", "ours warning", "theirs warning"]),
        ("warning", ["ours warning", "theirs warning"]),
    ],
)
def test_a_log_holds_what_its_level_says_and_of_libraries_less(
    level: str, logged: list[str]
) -> None:
    code = (
        "import logging, structlog\n"
        "from web.logs import set_up_logs\n"
        f"set_up_logs()\nset_up_logs({level!r})\n"
        "ours, theirs = structlog.get_logger(), logging.getLogger('theirs')\n"
        "for level in ('debug', 'info', 'warning'): getattr(ours, level)(f'ours {level}')\n"
        "for level in ('debug', 'warning'): getattr(theirs, level)(level)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = ended.stderr.splitlines()
    assert [json.loads(line)["event"] if line[0] == "{" else line for line in lines] == logged


@pytest.mark.parametrize(("level", "lines"), [("debug", 1), ("info", 0)])
async def test_the_log_level_is_a_setting(tmp_path: Path, level: str, lines: int) -> None:
    async with serving(tmp_path, log_level=level) as service, aiohttp.ClientSession() as http:
        async with http.get(f"{service.url}/wechat/entry/") as answer:
            assert answer.status == 403
        await service.stop()
    assert service.log.count("callback not genuine") == lines
    assert mistakes(log_level="loud") == [
        "FTA_APPROVAL_LOG_LEVEL: Input should be 'debug', 'info' or 'warning'"
    ]


async def test_the_public_callback_secrets_are_warned_of(tmp_path: Path) -> None:
    async with serving(tmp_path, admins="wangwu") as service:
        await service.stop()
    (line,) = service.log.splitlines()
    assert "public default" in json.loads(line)["event"]
    changed = {"wecom_token": "Token", "wecom_encoding_aes_key": "a" * 43}
    async with serving(tmp_path, admins="wangwu", **changed) as service:
        await service.stop()
    assert service.log == ""
