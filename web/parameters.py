"""Numbers and positions in the query of a request."""

import re

from aiohttp import web

from web.errors import invalid

# Any length that fits into a request line: a position beyond the last one is refused as that.
POSITION = re.compile(r"[0-9]{1,4000}", re.ASCII)


def read_position(name: str, text: str) -> int:
    if not POSITION.fullmatch(text):
        raise invalid(name, "must be a position, an integer from 0 on")
    return int(text)


def read_number(
    request: web.Request, name: str, default: int, *, minimum: int = 0, maximum: int
) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not POSITION.fullmatch(text) or not minimum <= int(text) <= maximum:
        raise invalid(name, f"must be an integer from {minimum} to {maximum}")
    return int(text)
