"""
The same as heal.py in plain calls, for a script.

    APPROVAL_URL=http://127.0.0.1:8000/o/bk_fta_solutions APPROVAL_TOKEN=... \
        python heal_blocking.py 12345_2 10.0.0.1
"""

import os
import sys
import uuid

from adapters.engine.blocking import BlockingEngineClient
from adapters.engine.documents import Outcome, Status
from adapters.engine.errors import EngineError


def heal(client: BlockingEngineClient, obj_id: str, ip: str) -> str:
    action = {"job": "replace-machine", "ip": ip}
    asked = client.ask(obj_id, f"替换故障机 {ip}", ["zhangsan", "lisi"], action=action)
    ended = client.wait(asked)  # a timeout= would raise StillPending
    if ended.status is not Status.APPROVED or ended.permit is None:
        return f"{asked.reply_id} {ended.status}: nothing was done"
    try:
        client.redeem(ended.permit, action, attempt=str(uuid.uuid4()))
    except EngineError as error:
        return f"{asked.reply_id}: no leave to act, nothing was done; {error}"
    print(f"replacing {ip}")
    client.report(ended, Outcome.SUCCEEDED, f"{ip} → 10.0.0.254")
    return f"{asked.reply_id} {Outcome.SUCCEEDED}, allowed by {ended.decided_by}"


if __name__ == "__main__":
    with BlockingEngineClient(os.environ["APPROVAL_URL"], os.environ["APPROVAL_TOKEN"]) as client:
        print(heal(client, *sys.argv[1:]))
