"""Every operation of the engine API. A new route needs one; a test compares them."""

from aiohttp import web

from web import (
    described_approvals,
    described_decisions,
    described_itself,
    described_permits,
    described_webhooks,
    keys,
)
from web.operation import Operation

BASE = "/api/v1"
ALL: tuple[Operation, ...] = (
    *described_approvals.OPERATIONS,
    *described_decisions.OPERATIONS,
    *described_permits.OPERATIONS,
    *described_webhooks.OPERATIONS,
    *described_itself.OPERATIONS,
)
KNOWN = {(operation.method, operation.path): operation for operation in ALL}


def operation_of(request: web.Request) -> Operation | None:
    """What this request is about; None for an address or a method that there is not."""
    resource = request.match_info.route.resource
    if resource is None:
        return None
    path = resource.canonical.removeprefix(request.app[keys.SETTINGS].url_prefix + BASE)
    return KNOWN.get((request.method, path.rstrip("/")))
