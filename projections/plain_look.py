"""What somebody looks for, told of an approval or event by itself, without a read model.

For whoever takes out what was true at one position: read models are always of now. A test holds
both against each other (tests/test_search.py).
"""

from collections.abc import Iterable, Sequence

from domain.aggregate import Event
from domain.approval import Approval
from domain.identity import same_person
from projections.audit_trail import via, who
from projections.business import business_of
from projections.history import taking_part
from projections.projection import DECISIONS, milliseconds
from projections.search import Happened, Sought


def is_sought(approval: Approval, events: Sequence[Event], sought: Sought) -> bool:
    """
    Whether this approval is sought; which page it would be on has no part in it.

    Args:
        events: All that happened to it.
    """
    asked, ending = approval.requested, approval.ending
    return (
        _is(sought.business, business_of(asked))
        and _is(sought.engine, asked.engine)
        and _is(sought.status, approval.status.value)
        and _is(sought.channel, ending.via.value if ending else "")
        and _is_between(milliseconds(asked.timestamp), sought)
        and _is_among(sought.reader, map(same_person, asked.approvers))
        and _is_among(sought.member, (person for event in events for person in taking_part(event)))
        and all(word.casefold() in _said(approval, events) for word in sought.words)
    )


def is_wanted(event: Event, wanted: Happened) -> bool:
    """Whether this event is wanted; which page it would be on has no part in it."""
    by = who(event)
    return (
        (not wanted.kinds or event.TOPIC in wanted.kinds)
        and _is_among(wanted.by, [same_person(by)] if by is not None else [])
        and _is(wanted.via, via(event))
        and _is(wanted.stream, event.originator_id)
        and _is_between(milliseconds(event.timestamp), wanted)
    )


def _is(sought: str | None, value: str | None) -> bool:
    return sought is None or sought == value


def _is_among(sought: str | None, people: Iterable[str]) -> bool:
    return sought is None or same_person(sought) in people


def _is_between(at: int, wanted: Sought | Happened) -> bool:
    is_late_enough = wanted.since is None or at >= wanted.since
    return is_late_enough and (wanted.before is None or at < wanted.before)


def _said(approval: Approval, events: Sequence[Event]) -> str:
    reasons = [getattr(event, "reason", "") for event in events if isinstance(event, DECISIONS)]
    said = [approval.reply_id, approval.requested.message, *filter(None, reasons)]
    return "\n".join(said).casefold()
