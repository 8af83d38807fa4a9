"""Rows for a spreadsheet: RFC 4180, and nothing in them that a spreadsheet would compute.

Source: OWASP, CSV Injection. A cell that begins like a formula is given an apostrophe in front,
which spreadsheets show as text; also behind what some of them take for the end of a cell.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

from web.audit.json_line import json_line

BOM = b"\xef\xbb\xbf"
# Wide ones too: a Chinese spreadsheet takes them for the narrow ones.
STARTS_FORMULA = "=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20"
BLANKS_AND_QUOTES = "[\\s\"'`\u201c\u201d\u2018\u2019\ufeff\u200b]*"
LIKE_A_FORMULA = re.compile(rf"(^|[;\t\r\n])(?={BLANKS_AND_QUOTES}[{STARTS_FORMULA}])")


def rows_of_cells(rows: Iterable[Sequence[Any]]) -> bytes:
    """Some rows: numbers bare, lists and objects as JSON in one cell, nothing for None."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows([[cell(v) for v in row] for row in rows])
    return text.getvalue().encode("utf-8", "backslashreplace")


def cell(value: Any) -> str | int:
    """What stands in one cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return value
    if not isinstance(value, str):
        value = json_line(value)
    return harmless(value)


def harmless(text: str) -> str:
    """Text of which no spreadsheet makes a formula; what is none already stays as it is."""
    return LIKE_A_FORMULA.sub(r"\1'", text)
