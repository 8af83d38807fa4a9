"""The search of the logs for secrets can fail: a run that logs one does, and says which."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.log_watch import leaks

ROOT = Path(__file__).parent.parent

# Each of them logs something secret that nobody has written down beforehand.
LOGS_A_TOKEN = """
def test_it() -> None:
    wecom = SimulatedWeCom()
    corp = wecom.settings
    token, _ = wecom.tokens.issue(corp.corp_id, corp.secret, "127.0.0.1", wecom.knobs)
    structlog.get_logger().debug("a call", query={"t": token})
"""
LOGS_A_TOKEN_WHERE_A_TEST_CATCHES_LOGS = """
def test_it() -> None:
    wecom = SimulatedWeCom()
    corp = wecom.settings
    token, _ = wecom.tokens.issue(corp.corp_id, corp.secret, "127.0.0.1", wecom.knobs)
    with structlog.testing.capture_logs():
        try:
            raise ValueError(token)
        except ValueError:
            structlog.get_logger().exception("crashed")
"""
LOGS_WORDS = """
async def test_it() -> None:
    wecom = SimulatedWeCom()
    await wecom.send_text("zhangsan", "BH 12345_2\\n因为磁盘没满")
    logging.getLogger("some.library").debug("body: %s", "<Content>因为磁盘没满</Content>")
"""
LOGS_AN_ADDRESS = """
def test_it() -> None:
    logging.getLogger("aiohttp.access").info("GET /cgi-bin/gettoken?corpsecret=s")
"""
LOGS_IN_A_PROCESS = """
def test_it(tmp_path: Path) -> None:
    ServiceProcess({"FTA_APPROVAL_API_TOKENS": "fta:a-token-that-is-16"}, tmp_path)
    (tmp_path / "serve.log").write_text('{"event": "Bearer a-token-that-is-16"}')
"""
LOGS_NOTHING = """
async def test_it() -> None:
    wecom = SimulatedWeCom()
    await wecom.send_text("zhangsan", "BH 12345_2 因为磁盘没满")
    structlog.get_logger().warning("reply not kept", member="zhangsan", reply_id="12345_2")
"""
HEAD = """
import logging
from pathlib import Path

import structlog

from adapters.simulator.wecom import SimulatedWeCom
from tests.process import ServiceProcess

"""


def run(folder: Path, test: str) -> tuple[int, str]:
    """Those tests in a run of their own: its exit status, and what it says."""
    file = folder / "test_of_its_own.py"
    file.write_text(HEAD + test, encoding="utf-8")
    ended = subprocess.run(
        (
            *(sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml"),
            *("-p", "tests.log_watch", "-p", "no:cacheprovider", "-x", "-q"),
            *("--basetemp", folder / "tmp", file),
        ),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("test", "kind", "log"),
    [
        (LOGS_A_TOKEN, "access token", "run.log"),
        (LOGS_A_TOKEN_WHERE_A_TEST_CATCHES_LOGS, "access token", "run.log"),
        (LOGS_WORDS, "words of a member", "run.log"),
        (LOGS_AN_ADDRESS, "secret in an address", "run.log"),
        (LOGS_IN_A_PROCESS, "API token", "serve.log"),
    ],
    ids=["a token", "a token in a caught log", "words", "an address", "a process"],
)
def test_a_run_that_logs_a_secret_fails_although_its_tests_pass(
    tmp_path: Path, test: str, kind: str, log: str
) -> None:
    status, said = run(tmp_path, test)
    assert "1 passed" in said
    assert status == 1, said
    assert "SECRETS IN THE LOGS" in said
    assert f"{kind} in {log}: " in said


def test_a_run_that_logs_none_passes(tmp_path: Path) -> None:
    status, said = run(tmp_path, LOGS_NOTHING)
    assert status == 0, said
    assert "SECRETS" not in said


def test_a_secret_is_found_wherever_it_stands_in_a_line_and_quoted_too() -> None:
    known = {"abc/def+ghi=": "key", "short": "never", "abc/def": "code"}
    lines = ["abc/def+ghi=", 'x="…abc/def+ghi="', "?k=abc%2Fdef%2Bghi%3D&", "abc/de short"]
    found = [*leaks([("log", line) for line in lines], known)]
    assert [line.partition(" in ")[0] for line in found] == ["code, key"] * 3
