"""JSON in one line that no terminal obeys."""

from typing import Any

import msgspec

from domain.text import NOT_ONE_LINE


def json_line(value: Any) -> str:
    """What would break the line or turn its direction stands as `\\u2028`: read, it is the same."""
    plain = msgspec.json.encode(value).decode()
    return NOT_ONE_LINE.sub(lambda found: f"\\u{ord(found[0]):04x}", plain)
