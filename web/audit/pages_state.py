"""Whether the whole history is as it was recorded, as far as anybody has looked: in words."""

from typing import Any

from aiohttp import web

from adapters.evidence.heads import BadHead
from web import keys
from web.audit.pages_shown import moments
from web.evidence import TreeState, tree_state
from web.translation import gettext


async def state_of_the_log(request: web.Request) -> dict[str, Any]:
    """The newest signed tree head and the last verification, where there are any."""
    try:
        state = await tree_state(request.app[keys.READING])
    except BadHead:
        return {**_nothing(), "problem": gettext("最新的签名树头不能读取")}
    return _nothing() if state is None else _described(request, state)


def _nothing() -> dict[str, Any]:
    return dict.fromkeys(
        (
            *("problem", "verified_at", "verified_by", "verified_size"),
            *("signed_at", "tree_size", "position", "root_hash", "key_id"),
        )
    )


def _described(request: web.Request, state: TreeState) -> dict[str, Any]:
    at, verified = moments(request), state.verified
    found = _nothing() | {
        "signed_at": at(state.signed_at),
        "tree_size": state.tree_size,
        "position": state.position,
        "root_hash": state.root_hash,
        "key_id": state.key_id,
    }
    if verified is None:
        return found
    return found | {
        "problem": verified.problem,
        "verified_at": at(verified.at),
        "verified_by": verified.by,
        "verified_size": verified.tree_size,
    }
