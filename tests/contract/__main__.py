"""
Start a service with the simulated WeCom, tell it a story, and let schemathesis loose on it.

    python -m tests.contract SCHEMATHESIS [its own options, such as --max-time 600]

schemathesis lives in an environment of its own (make contract), and finds in this one's service
approvals in every state: what it invents by itself would be 404 nearly always.
"""

import asyncio
import json
import os
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from adapters.simulator.corp import CorpSettings
from adapters.simulator.knobs import Knobs
from adapters.simulator.run import start_simulator
from adapters.simulator.wecom import SimulatedWeCom
from tests.service import TOKEN, Clock, Service, start_service
from web.app import utc_now

HERE = Path(__file__).parent
LOG = HERE.parent.parent / "build" / "contract.log"
"""What the service said meanwhile: where to look when it answered 500."""
# A stream does not end, and schemathesis waits for the end of an answer; tests/test_openapi.py
# holds it against the document.
LEFT_OUT = "streamDecisions"


class RealClock(Clock):
    """That of this machine."""

    def __call__(self) -> datetime:
        return utc_now()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


async def main(schemathesis: str, options: list[str]) -> int:
    """The exit status of schemathesis: 0 if it found nothing."""
    LOG.parent.mkdir(exist_ok=True)
    with (
        LOG.open("w", encoding="utf-8") as log,
        tempfile.TemporaryDirectory(prefix="fta-approval-contract-") as folder,
    ):
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=log))
        clock = RealClock()
        wecom = SimulatedWeCom(CorpSettings(), clock=clock, knobs=Knobs(verify_timeout_s=30))
        running = await start_simulator(wecom)
        wecom.url = running.url  # type: ignore[attr-defined]  # for start_service
        service = await start_service(Path(folder), clock, wecom, {})
        try:
            known = await tell_a_story(service)
            return await run(schemathesis, options, service, known, Path(folder))
        finally:
            await service.stop()
            await running.stop()


async def tell_a_story(service: Service) -> dict[str, Any]:
    """An approval in every state, and the permit of one that is not yet redeemed."""
    service.hurry()
    action = {"job": "replace", "ip": "10.0.0.1"}
    ids = []
    for obj_id, words in {"1_1": None, "2_1": "TY", "3_1": "BH", "4_1": "TY", "5_1": None}.items():
        asked = await service.ask(obj_id, action=action)
        ids.append(asked["approval_id"])
        if words is not None:
            await service.says("zhangsan", f"{words} {obj_id}")
    await service.api("POST", f"/approvals/{ids[-1]}/cancel", json={"reason": "告警已恢复"})
    approved = [d["data"] for d in await service.decisions() if "permit" in d["data"]]
    assert len(approved) == 2
    asked = {"permit": approved[0]["permit"], "action": action, "attempt": "1"}
    status, _ = await service.api("POST", "/permits/redeem", json=asked)
    assert status == 200
    return {"approvals": ids, "permit": approved[1]["permit"], "action": action}


async def run(
    schemathesis: str, options: list[str], service: Service, known: dict[str, Any], folder: Path
) -> int:
    """schemathesis, as a process of its own, in a folder that goes with it."""
    command = [
        *(schemathesis, "--config-file", str(HERE / "schemathesis.toml")),
        *("run", f"{service.base}/api/v1/openapi.json"),
        *("--header", f"Authorization: Bearer {TOKEN}"),
        *("--exclude-operation-id", LEFT_OUT),
        *options,
    ]
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py"),
        "CONTRACT_KNOWN": json.dumps(known),
    }
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, env=environment)
    return await process.wait()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(str(Path(sys.argv[1]).absolute()), sys.argv[2:])))
