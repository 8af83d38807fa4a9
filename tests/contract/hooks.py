"""
For schemathesis: what exists in the service, and what a JSON Schema cannot say.

Loaded by schemathesis in its own environment; nothing of the project is imported here.
"""

import json
import os
import re
import zlib
from typing import Any

import schemathesis

KNOWN = json.loads(os.environ["CONTRACT_KNOWN"])
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LONGEST_PERMIT = 4096
# Refusals that depend on what happened before, or on a rule that no schema can say: that the
# service refuses such a request is right, though the schema allows it.
BY_STATE = {"action-differs", "nobody-can-decide", "permit-expired"}
BEYOND_SCHEMA = re.compile(
    "two of its names are the same on one line"
    "|must be an http or https address, without blanks or a user in it"
    "|its numbers must be integers within"
    "|is larger than 16 KiB"
)


def _chosen(text: str) -> int:
    """One of eight, always the same for the same text: nothing is left to chance here."""
    return zlib.crc32(text.encode(errors="replace")) % 8


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any]) -> dict[str, Any]:
    """Most approvals that are asked for exist."""
    name = (path_parameters or {}).get("approval_id")
    if isinstance(name, str) and UUID.fullmatch(name) and _chosen(name):
        approvals = KNOWN["approvals"]
        path_parameters["approval_id"] = approvals[_chosen(name) % len(approvals)]
    return path_parameters


@schemathesis.hook
def map_query(context: Any, query: dict[str, Any]) -> dict[str, Any]:
    """Nobody decides meanwhile: waiting a minute would show nothing more than waiting a second."""
    wait = (query or {}).get("wait")
    if isinstance(wait, int) and not isinstance(wait, bool) and 1 < wait <= 60:
        query["wait"] = 1
    return query


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Half of the permits are one, and of those without an action half have the right one."""
    permit = body.get("permit") if isinstance(body, dict) else None
    if isinstance(permit, str) and 1 <= len(permit) <= LONGEST_PERMIT and _chosen(permit) < 4:
        body["permit"] = KNOWN["permit"]
        if body.get("action") is None and _chosen(permit) < 2:
            body["action"] = KNOWN["action"]
    return body


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """False for a refusal that is right although the schema allows what was asked."""
    if type(failure).__name__ != "RejectedPositiveData":
        return True
    problem = json.loads(response.content)
    if problem["code"] in BY_STATE:
        return False
    return not (
        problem["errors"] and all(BEYOND_SCHEMA.search(e["detail"]) for e in problem["errors"])
    )
