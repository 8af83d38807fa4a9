"""A service under measurement, started as a process of its own and asked for its figures."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any


@dataclass
class Server:
    """The measured process."""

    address: str
    process: asyncio.subprocess.Process

    async def caught_up(self) -> dict[str, Any]:
        """The figures, once the read models have everything."""
        while (figures := await self.figures())["behind"] > 0:
            await asyncio.sleep(0.01)  # another process; it has nothing to tell us when
        return figures

    async def figures(self) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(b"\n")
        await self.process.stdin.drain()
        return dict(json.loads(await self.process.stdout.readline()))


@asynccontextmanager
async def server(module: str, *arguments: str) -> AsyncIterator[Server]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    yield Server(json.loads(await process.stdout.readline())["address"], process)
    process.stdin.close()
    await process.wait()
