"""Text from outside."""

import re

# Characters that break a line or paragraph, other control characters, bidirectional overrides
# and isolates: each could make a message read as something that it is not.
NOT_ONE_LINE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]"
)


def one_line(text: str) -> str:
    """The same text on one line, in one direction: what breaks that becomes a blank."""
    return NOT_ONE_LINE.sub(" ", text)
