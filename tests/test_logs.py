"""A log that cannot be written costs the line, and nothing else."""

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from tests import confidential
from tests.process import SCRIPT
from tests.service import TOKEN
from tests.test_crash import PREFIX_PATH, free_port


@pytest.fixture
def broken_pipe() -> Iterator[int]:
    """Where nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


async def test_the_writer_survives_an_error_that_it_cannot_log(
    tmp_path: Path, broken_pipe: int
) -> None:
    database, port = tmp_path / "fta-approval.db", free_port()
    process = await asyncio.create_subprocess_exec(
        SCRIPT,
        "serve",
        env={
            "FTA_APPROVAL_DATABASE": f"sqlite:///{database}",
            "FTA_APPROVAL_LISTEN": f"127.0.0.1:{port}",
            "FTA_APPROVAL_API_TOKENS": f"fta:{TOKEN}",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=broken_pipe,
    )
    assert process.stdout is not None
    assert (await process.stdout.readline()).startswith(b"listening on")
    async with aiohttp.ClientSession() as http:
        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # whoever holds the store, the writer gives up
            assert await ask(http, port, "1_1") == 503
            assert await ready(http, port) == 503
        assert await ask(http, port, "1_1") == 201
        assert await ready(http, port) == 200
    process.terminate()
    assert await process.wait() == 0


async def ready(http: aiohttp.ClientSession, port: int) -> int:
    async with http.get(f"http://127.0.0.1:{port}/readyz") as response:
        return response.status


async def ask(http: aiohttp.ClientSession, port: int, obj_id: str) -> int:
    body = {"obj_id": obj_id, "message": "替换故障机", "approvers": ["zhangsan"]}
    url = f"http://127.0.0.1:{port}{PREFIX_PATH}/api/v1/approvals"
    async with http.post(url, json=body, headers={"Authorization": f"Bearer {TOKEN}"}) as response:
        return response.status


async def test_a_request_that_is_not_understood_is_not_quoted(tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    confidential.logs.append(log)
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            SCRIPT,
            "serve",
            cwd=tmp_path,
            env={"FTA_APPROVAL_LISTEN": f"127.0.0.1:{port}"},
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    assert process.stdout is not None
    assert (await process.stdout.readline()).startswith(b"listening on")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nAuthorization: Bearer SECRETSECRET\x01\r\n\r\n")
    assert b" 400 " in await reader.readline()
    writer.close()
    process.terminate()
    assert await process.wait() == 0
    assert "SECRET" not in log.read_text()
    assert "request not understood" in log.read_text()
