"""A projection: which tables it keeps, and what each event does to them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from domain.aggregate import Event
from domain.approval import Approval
from projections.database import Tables

ENDS = (Approval.Approved, Approval.Rejected, Approval.Expired, Approval.Cancelled)
"""Events that end an approval."""
DECISIONS = (*ENDS, Approval.Revoked)
"""Events that the engine hears of: an approval may be revoked after it has ended."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One stored event, where it stands, and the approval as it was just after it."""

    position: int
    event: Event
    approval: Approval | None
    """None where the event belongs to no approval."""


class Projection(ABC):
    """
    A read model. It never refuses, never calls out, and reads no clock.

    The runner gives it every event once, in order, inside the transaction that also moves its
    position; so its rows follow from the events alone, and it can be dropped and rebuilt.
    """

    name: ClassVar[str]
    schema: ClassVar[str]
    """Statements that create its table, which has its name, and indexes, separated by `;`."""

    @abstractmethod
    def project(self, fact: Fact, tables: Tables) -> None:
        """Take one event into the tables."""


def milliseconds(at: datetime) -> int:
    """How read models keep times: they sort and compare."""
    return round(at.timestamp() * 1000)
