"""JSON in one line that no terminal obeys."""

import json
from typing import Any

from domain.text import NOT_ONE_LINE


def json_line(value: Any) -> str:
    """What would break the line or turn its direction stands as `\\u2028`: read, it is the same."""
    return NOT_ONE_LINE.sub(lambda found: f"\\u{ord(found[0]):04x}", _compact(value))


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
