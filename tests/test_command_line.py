"""The commands that need no account: what is wrong is said in one line."""

import asyncio
import socket
from contextlib import closing

import pytest

from tests.process import SCRIPT, STARTS_WITHIN_S


async def said(*arguments: str) -> tuple[int | None, str]:
    """Exit status and stderr of a command that ends by itself."""
    process = await asyncio.create_subprocess_exec(
        *map(str, (SCRIPT, *arguments)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(process.communicate(), STARTS_WITHIN_S)
    return process.returncode, errors.decode()


@pytest.mark.parametrize("command", ["demo", "simulator"])
async def test_a_port_that_is_taken_is_one_line(command: str) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        status, errors = await said(command, "--port", str(taken.getsockname()[1]))
    assert status == 1
    assert len(errors.splitlines()) == 1 and "address already in use" in errors.lower()


@pytest.mark.parametrize("command", ["demo", "simulator"])
@pytest.mark.parametrize("port", ["-1", "65536", "x"])
async def test_a_port_that_cannot_be_is_wrong_usage(command: str, port: str) -> None:
    status, errors = await said(command, "--port", port)
    assert status == 2 and "Invalid value for '--port'" in errors


async def test_the_simulator_says_with_which_settings_the_service_works_beside_it() -> None:
    process = await asyncio.create_subprocess_exec(
        *map(str, (SCRIPT, "simulator", "--port", "0")), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(STARTS_WITHIN_S):
            text = await process.stdout.readuntil(b"LOGIN_URL=")
    finally:
        process.kill()
        await process.communicate()
    names = [line.split("=")[0].split()[-1] for line in text.decode().splitlines() if "=" in line]
    assert names == [
        f"FTA_APPROVAL_WECOM_{name}"
        for name in ("CORP_ID", "SECRET", "AGENT_ID", "API_URL", "OAUTH_URL", "LOGIN_URL")
    ]
