"""The service under measurement, in a process of its own.

    python -m benchmarks.server FOLDER storage|no-storage [SUPER_APPROVER]

`no-storage` is the same handler, with the writer's work left out: signature, decryption, parsing,
the grammar and the command are all there. Sending to WeCom is left out of both: WeCom takes 30
messages a minute for one member, so it would measure WeCom.
"""

import asyncio
import dataclasses
import json
import resource
import sys
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web

from benchmarks.settings import bench_settings
from domain.commands import Command
from web import keys
from web.app import create_app
from web.logs import set_up_logs
from web.open_files import raise_limit
from web.serving import BACKLOG, SWITCH_INTERVAL_S, address_of, bound_socket


async def nothing(command: Command, *, from_callback: bool = False) -> None:
    """What is measured against: no queue, no thread, no disk."""


async def main(folder: Path, storage: bool, super_approvers: list[str]) -> None:
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    raise_limit()
    listening = bound_socket("127.0.0.1", 0)
    address = address_of(listening)
    settings = bench_settings(folder, super_approvers)
    app = create_app(settings, address, sending=False)
    if not storage:
        app[keys.WRITER].execute = nothing  # type: ignore[method-assign]
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listening, backlog=BACKLOG).start()
    await app[keys.READING].progress.reach(app[keys.WRITER].last_position, 3600)
    print(json.dumps({"address": address}), flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    while await lines.readline():  # each line asks for the figures; the end of input ends us
        print(json.dumps(_figures(app)), flush=True)
    await runner.cleanup()


def _figures(app: web.Application) -> dict[str, Any]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    writer = app[keys.WRITER]
    return {
        "cpu_s": used.ru_utime + used.ru_stime,
        "memory_mib": used.ru_maxrss / 1024,
        "position": writer.last_position,
        "behind": writer.last_position - app[keys.READING].progress.position,
        **dataclasses.asdict(writer.figures),
    }


if __name__ == "__main__":
    set_up_logs()
    uvloop.run(main(Path(sys.argv[1]), sys.argv[2] == "storage", sys.argv[3:]))
