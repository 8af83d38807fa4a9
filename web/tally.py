"""What handlers and reactions count as they go, for /metrics; it begins anew with the process."""

from collections import Counter
from collections.abc import Iterable
from itertools import product
from typing import Literal, get_args

from projections.outbox import Kind

# Closed sets: a label never holds a word from outside (contract 3). What else comes is `other`.
CallbackKind = Literal["verification", "text", "event", "other", "unread"]
CallbackOutcome = Literal["taken", "ignored", "not-genuine", "not-kept", "not-stored"]
MessageOutcome = Literal["sent", "unreachable", "failed"]
WebhookOutcome = Literal["delivered", "failed", "down", "given-up"]


class Tally:
    """Everything is counted in the event loop; /metrics reads."""

    def __init__(self) -> None:
        self.callbacks_by_end = _zeros(get_args(CallbackKind), get_args(CallbackOutcome))
        self.messages_by_end = _zeros(Kind, get_args(MessageOutcome))
        self.webhooks_by_outcome = Counter(dict.fromkeys(get_args(WebhookOutcome), 0))

    def callbacks(self, kind: CallbackKind, outcome: CallbackOutcome) -> None:
        """One callback came and was dealt with; `unread` is what could not be opened."""
        self.callbacks_by_end[kind, outcome] += 1

    def message(self, kind: Kind, outcome: MessageOutcome) -> None:
        """What became of one notice to one member, for good."""
        self.messages_by_end[kind.value, outcome] += 1

    def webhook(self, outcome: WebhookOutcome) -> None:
        """What came of one try to push a decision."""
        self.webhooks_by_outcome[outcome] += 1


def _zeros(kinds: Iterable[str], outcomes: Iterable[str]) -> Counter[tuple[str, str]]:
    """From the start: a series that begins at 1 hides its first increase from an alert."""
    return Counter(dict.fromkeys(product(map(str, kinds), outcomes), 0))
