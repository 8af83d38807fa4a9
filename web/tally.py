"""What handlers and reactions count as they go, for /metrics; it begins anew with the process."""

from collections import Counter
from itertools import product
from typing import Any, Literal, get_args

# Closed sets: a label never holds a word from outside (contract 3). What else comes is `other`.
CallbackKind = Literal["verification", "text", "event", "other", "unread"]
CallbackOutcome = Literal["taken", "ignored", "not-genuine", "not-kept", "not-stored"]
MessageKind = Literal["ask", "answer", "other"]
MessageOutcome = Literal["sent", "unreachable", "failed"]


class Tally:
    """Everything is counted in the event loop; /metrics reads."""

    def __init__(self) -> None:
        self.callbacks_by_end = _zeros(CallbackKind, CallbackOutcome)
        self.messages_by_end = _zeros(MessageKind, MessageOutcome)
        self.agent_is_closed = False
        self.nobody_was_reached = 0

    def callbacks(self, kind: CallbackKind, outcome: CallbackOutcome) -> None:
        """One callback came and was dealt with; `unread` is what could not be opened."""
        self.callbacks_by_end[kind, outcome] += 1

    def message(self, kind: MessageKind, outcome: MessageOutcome) -> None:
        """What became of one message to one member, for good."""
        self.messages_by_end[kind, outcome] += 1

    def agent_closed(self, is_closed: bool) -> None:
        """WeCom has switched the application off, or on again."""
        self.agent_is_closed = is_closed

    def nobody_reached(self) -> None:
        """Of one approval, no member at all got the message that asks."""
        self.nobody_was_reached += 1


def _zeros(kinds: Any, outcomes: Any) -> Counter[tuple[str, str]]:
    """From the start: a series that begins at 1 hides its first increase from an alert."""
    return Counter(dict.fromkeys(product(get_args(kinds), get_args(outcomes)), 0))
