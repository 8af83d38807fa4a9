"""The service as a process of its own, to be killed."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests import confidential
from web.settings import PREFIX

SCRIPT = Path(sys.executable).with_name("fta-approval")
STARTS_WITHIN_S = 30.0


class ServiceProcess:
    """
    `fta-approval serve` with exactly this environment.

    Args:
        open_files: The soft limit under which it starts, instead of that of the tests.
    """

    def __init__(
        self, environment: Mapping[str, str], folder: Path, open_files: int | None = None
    ) -> None:
        limit = f"ulimit -Sn {open_files} && " if open_files else ""
        self._command = ("/bin/sh", "-c", f'{limit}exec "$0" serve', SCRIPT)
        self._environment = {
            "PATH": os.environ["PATH"],
            "FTA_APPROVAL_LOG_LEVEL": "debug",  # see tests/log_watch.py
            **environment,
        }
        self._folder = folder
        confidential.logs.append(folder / "serve.log")
        confidential.note_settings(
            {name.removeprefix(PREFIX).lower(): value for name, value in environment.items()}
        )
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        with (self._folder / "serve.log").open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                cwd=self._folder,
                env=self._environment,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
            )
        assert self._process.stdout is not None
        async with asyncio.timeout(STARTS_WITHIN_S):
            line = await self._process.stdout.readline()
        for key in self._folder.glob("*.key"):
            confidential.note("secret key", key.read_text().strip())
        assert line.startswith(b"listening on "), (self._folder / "serve.log").read_text()
        return self

    async def kill(self) -> None:
        """`kill -9`: no time to finish anything."""
        await self._end(signal.SIGKILL)

    async def terminate(self) -> int:
        """SIGTERM, and how it exited."""
        return await self._end(signal.SIGTERM)

    async def _end(self, number: int) -> int:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(number)
        return await self._process.wait()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end(signal.SIGKILL)
