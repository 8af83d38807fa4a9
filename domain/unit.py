"""The unit of work of one command: what it may load and ask, and what it leaves to be saved.

The store has it in adapters/store/unit.py, the read models in projections/directory.py.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from domain.approval import Approval
from domain.audit import Audit
from domain.configuration import Configuration
from domain.freeze import Freeze
from domain.identity import same_person
from domain.inbox import Inbox
from domain.installation import Installation
from domain.permit import PermitTerms
from domain.session import Session


class Directory(Protocol):
    """What only a read model knows, as of the last event recorded before this command."""

    def same_but_for_case(self, reply_id: str) -> Sequence[str]:
        """Reply ids of all approvals ever that differ from this one in case at most."""

    def waiting_for(self, userid: str) -> Sequence[str]:
        """Reply ids of pending approvals that this member may decide, most urgent first."""

    def addressed_to(self, userid: str, limit: int) -> Sequence[str]:
        """Reply ids of pending approvals that this member was asked about; first those that they
        may decide as an approver."""

    def lately_asked_or_ended(self, userid: str, since: datetime) -> Sequence[str]:
        """Reply ids of approvals addressed to the member and asked or ended at or after `since`."""

    def sessions_of(self, userid: str, at: datetime) -> Sequence[str]:
        """The member's sessions that are open at that moment."""


class Unit(Protocol):
    """The unit of work of one command: what it may load, and what it leaves to be saved."""

    @property
    def super_approvers(self) -> list[str]:
        """By the settings in force at this moment, which still hold when this is stored."""

    def approval(self, reply_id: str) -> Approval | None:
        """The approval of that name, as of this moment."""

    def runs(self, obj_id: str) -> list[Approval]:
        """Every run of that node, lowest first."""

    def by_stream(self, stream: str) -> Approval | Inbox | Configuration | None:
        """Whatever has that stream."""

    def inbox(self, userid: str, at: datetime) -> Inbox:
        """The member's inbox of that day, new if there is none."""

    def audit(self, who: str, at: datetime) -> Audit:
        """What they did with the history on that day, new if they have done nothing yet."""

    def session(self, session: str) -> Session | None:
        """The session of that name."""

    def freeze(self) -> Freeze:
        """Whether approving is stopped; one without events is to be added. What is decided by it
        is stored only if it still holds by then."""

    def configuration(self) -> Configuration:
        """The settings that are stored; one without events is to be added."""

    def permit_terms(self) -> PermitTerms | None:
        """By what a permit of this moment is issued; None while there is no key to sign with."""

    def add(
        self, aggregate: Approval | Inbox | Session | Installation | Freeze | Configuration
    ) -> None:
        """Have a new aggregate saved."""

    def is_repeated_delivery(self, userid: str, delivery_key: str) -> bool:
        """Whether this member's message came before, through whichever process; if not, it has
        come now."""

    def directory(self) -> Directory:
        """The read models, caught up. May make the writer run this command again by itself."""


def is_super_approver(userid: str, unit: Unit) -> bool:
    """By the settings in force at this moment."""
    return same_person(userid) in {same_person(name) for name in unit.super_approvers}
