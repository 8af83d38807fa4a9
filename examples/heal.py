"""
One run of one alarm: ask, wait, redeem, act, report.

    APPROVAL_URL=http://127.0.0.1:8000/o/bk_fta_solutions APPROVAL_TOKEN=... \
        python heal.py 12345_2 10.0.0.1
"""

import asyncio
import os
import sys
import uuid

from adapters.engine.client import EngineClient
from adapters.engine.documents import Outcome, Status
from adapters.engine.errors import EngineError


async def heal(client: EngineClient, obj_id: str, ip: str) -> str:
    action = {"job": "replace-machine", "ip": ip}
    asked = await client.ask(
        obj_id, f"替换故障机 {ip}", ["zhangsan", "lisi"], action=action, expires_in=1200
    )
    ended = await client.wait(asked)
    if ended.status is not Status.APPROVED or ended.permit is None:
        return f"{asked.reply_id} {ended.status}: nothing was done"
    try:
        # Before the first step, never after it. One name for this very process: if it is killed
        # half-way, the next one is refused as `AlreadyRedeemed`, and somebody has to look.
        await client.redeem(ended.permit, action, attempt=str(uuid.uuid4()))
    except EngineError as error:
        return f"{asked.reply_id}: no leave to act, nothing was done; {error}"
    outcome = Outcome.SUCCEEDED if replace(ip) else Outcome.FAILED
    await client.report(ended, outcome, f"{ip} → 10.0.0.254")
    return f"{asked.reply_id} {outcome}, allowed by {ended.decided_by}"


def replace(ip: str) -> bool:
    print(f"replacing {ip}")
    return True


async def main(obj_id: str, ip: str) -> None:
    async with EngineClient(os.environ["APPROVAL_URL"], os.environ["APPROVAL_TOKEN"]) as client:
        print(await heal(client, obj_id, ip))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
