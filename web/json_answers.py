"""JSON answers, in UTF-8 as people read it."""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web


def json_answer(
    body: Any,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    content_type: str = "application/json",
) -> web.Response:
    """The body as JSON; Chinese stays Chinese."""
    return web.Response(
        text=json.dumps(body, ensure_ascii=False),
        status=status,
        headers=headers,
        content_type=content_type,
        charset="utf-8",
    )
