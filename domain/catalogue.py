"""Every kind of aggregate, and so of event, that is ever stored."""

from domain.aggregate import Aggregate, Event
from domain.approval import Approval
from domain.audit import Audit
from domain.configuration import Configuration
from domain.freeze import Freeze
from domain.inbox import Inbox
from domain.installation import Installation
from domain.session import Session

AGGREGATES: tuple[type[Aggregate], ...] = (
    Approval,
    Inbox,
    Session,
    Installation,
    Freeze,
    Configuration,
    Audit,
)

EVENTS: dict[str, type[Event]] = {
    event_class.TOPIC: event_class
    for aggregate in AGGREGATES
    for event_class in aggregate.event_classes()
}
