"""The drop-in for FTA in processes of its own: Python 3, and whichever Python 2.7 there is."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.service import TOKEN, Service

HERE = Path(__file__).parent
DROP_IN = HERE.parent / "examples" / "fta"
START_S = 60.0


@dataclass
class Engine:
    """One process of FTA's engine, with the drop-in loaded."""

    process: subprocess.Popen[str]

    async def call(self, name: str, *args: Any, **more: Any) -> Any:
        """
        What a function of the drop-in answers.

        Keywords go to the function, but `settings`, which stay, and `in_bytes`.
        """
        settings, in_bytes = more.pop("settings", {}), more.pop("in_bytes", False)
        call = {"call": name, "args": args, "kwargs": more, "bytes": in_bytes}
        return await asyncio.to_thread(self._call, {**call, "settings": settings})

    def _call(self, call: dict[str, Any]) -> Any:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(call) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    async def serves(self, service: Service, notes: Path) -> "Engine":
        """From here on it asks this service, and keeps its notes there."""
        settings = {"ADDRESS": service.base, "TOKEN": TOKEN, "NOTES": str(notes)}
        await self.call("noop", settings={**settings, "TIMEOUT_S": 30, "LISTENS_S": 180})
        return self

    async def asks(self, obj_id: str = "12345_2", message: str = "重启", **more: Any) -> Any:
        """One execution asks, and is expected to succeed."""
        answer = await self.call("wechat_approve", obj_id, "zhangsan,lisi", message, **more)
        assert "result" in answer, answer
        return answer["result"]

    async def refused(self, obj_id: str = "12345_2", message: str = "重启", **more: Any) -> str:
        """One execution asks, and hears why not."""
        answer = await self.call("wechat_approve", obj_id, "zhangsan,lisi", message, **more)
        assert answer["outcome"] == ["failure", "user_code_failure", "发送审批失败"], answer
        assert answer["formatted"] == answer["refused"]
        return str(answer["refused"])

    async def polls(self, alarm_id: int = 12345, node_idx: int = 2, **more: Any) -> Any:
        """What the engine reads, or None while nothing is decided."""
        answer = await self.call("get_approve_result", alarm_id, node_idx, **more)
        result = answer["result"]
        assert result["same"]
        assert result["is"] == (result["status"] is not None)
        if result["is"]:
            return result
        assert result["row"]["approval"] is None
        return None


@contextmanager
def engine(interpreter: str) -> Iterator[Engine]:
    """A process that is ended when the block is."""
    with subprocess.Popen(
        [interpreter, str(HERE / "fta_engine.py"), str(DROP_IN)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        yield Engine(process)
        assert process.stdin
        process.stdin.close()


@cache
def pythons_2() -> tuple[str, ...]:
    """Every Python 2.7 that works here: CPython, PyPy, Jython."""
    names = ("python2.7", "pypy", "jython")
    return tuple(path for name in names if (path := shutil.which(name)) and _is_2_7(path))


def interpreters() -> tuple[str, ...]:
    return (sys.executable, *pythons_2())


def _is_2_7(path: str) -> bool:
    """Version managers put a name on the path that leads nowhere."""
    asks = "import sys; print('%d.%d' % sys.version_info[:2])"
    said = subprocess.run(
        [path, "-c", asks], capture_output=True, text=True, check=False, timeout=START_S
    )
    return said.stdout.strip() == "2.7"
