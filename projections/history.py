"""Read models for whoever looks back: approvals by what they were about and what became of them,
and by who had a part in them. projections/search.py asks them."""

from typing import Any

from domain.aggregate import Event
from domain.approval import Approval
from domain.identity import same_person
from projections.business import business_of
from projections.database import Tables
from projections.projection import DECISIONS, Fact, Projection, milliseconds

ANSWERS = (Approval.Replied, Approval.Approved, Approval.Rejected, Approval.Revoked)


class History(Projection):
    """
    One row for each approval.

    `channel` is through which it was ended, empty while it waits. What is searched for words is
    casefolded: `words` is reply id and message, `reason` why it ended, `revoked_for` why it was
    taken back.
    """

    name = "history"
    schema = """
        CREATE TABLE history (
            number BIGINT PRIMARY KEY,
            reply_id TEXT NOT NULL,
            asked_at BIGINT NOT NULL,
            business TEXT NOT NULL,
            engine TEXT NOT NULL,
            status TEXT NOT NULL,
            channel TEXT NOT NULL,
            words TEXT NOT NULL,
            reason TEXT NOT NULL,
            revoked_for TEXT NOT NULL);
        CREATE INDEX history_newest ON history (asked_at, number);
        CREATE INDEX history_by_status ON history (status, asked_at, number);
        CREATE INDEX history_by_business ON history (business, asked_at, number, status);
        CREATE INDEX history_by_engine ON history (engine, asked_at, number);
        CREATE INDEX history_by_channel ON history (channel, asked_at, number)
    """

    def project(self, fact: Fact, tables: Tables) -> None:
        if fact.approval is None:
            return
        if fact.event.originator_version == 1:
            asked = fact.approval.requested
            words = f"{fact.approval.reply_id}\n{asked.message}".casefold()
            named = {"reply_id": fact.approval.reply_id, "engine": asked.engine, "words": words}
            nothing_yet = {"channel": "", "reason": "", "revoked_for": ""}
            tables.insert(self.name, {**_found_by(fact), **named, **nothing_yet})
        elif isinstance(fact.event, DECISIONS):
            tables.update(self.name, {"number": fact.approval.number}, _ending(fact))


class HistoryReaders(Projection):
    """One row for each approval and approver of it, who may look back at it whatever was made of
    it, also if they requested it themselves and were not asked."""

    name = "history_readers"
    schema = """
        CREATE TABLE history_readers (
            member TEXT NOT NULL,
            number BIGINT NOT NULL,
            asked_at BIGINT NOT NULL,
            business TEXT NOT NULL,
            status TEXT NOT NULL,
            PRIMARY KEY (member, number));
        CREATE INDEX history_readers_newest ON history_readers (member, asked_at, number);
        CREATE INDEX history_readers_by_status
            ON history_readers (member, status, asked_at, number);
        CREATE INDEX history_readers_by_business
            ON history_readers (member, business, asked_at, number, status)
    """

    def project(self, fact: Fact, tables: Tables) -> None:
        if fact.approval is None:
            return
        is_first = fact.event.originator_version == 1
        if not is_first and not isinstance(fact.event, DECISIONS):
            return
        for userid in fact.approval.approvers:
            member = same_person(userid)
            if is_first:
                tables.insert(self.name, {"member": member, **_found_by(fact)})
            else:
                key = {"member": member, "number": fact.approval.number}
                tables.update(self.name, key, _status(fact))


class HistoryMembers(Projection):
    """One row for each approval and member with any part in it."""

    name = "history_members"
    schema = """
        CREATE TABLE history_members (
            member TEXT NOT NULL,
            asked_at BIGINT NOT NULL,
            number BIGINT NOT NULL,
            PRIMARY KEY (member, asked_at, number))
    """

    def project(self, fact: Fact, tables: Tables) -> None:
        if fact.approval is None:
            return
        asked_at = milliseconds(fact.approval.requested.timestamp)
        for member in taking_part(fact.event):
            row = {"member": member, "asked_at": asked_at, "number": fact.approval.number}
            tables.insert_once(self.name, row)


def taking_part(event: Event) -> list[str]:
    """
    Who had a part in what happened to an approval: requested, was asked, replied, decided.

    In an order that follows from the event: read models made anew are the same, byte for byte.
    """
    if isinstance(event, Approval.Requested):
        requested_by = [event.requested_by] if event.requested_by is not None else []
        return list(
            dict.fromkeys(map(same_person, (*event.approvers, *event.asked, *requested_by)))
        )
    return [same_person(event.by)] if isinstance(event, ANSWERS) else []


def _found_by(fact: Fact) -> dict[str, Any]:
    assert fact.approval is not None  # noqa: S101  # asked by the callers
    asked = fact.approval.requested
    return {
        "number": fact.position,
        "asked_at": milliseconds(asked.timestamp),
        "business": business_of(asked),
        **_status(fact),
    }


def _status(fact: Fact) -> dict[str, Any]:
    assert fact.approval is not None  # noqa: S101  # asked by the callers
    return {"status": fact.approval.status.value}


def _ending(fact: Fact) -> dict[str, Any]:
    assert fact.approval is not None  # noqa: S101  # asked by the caller
    ending = fact.approval.ending
    assert ending is not None  # noqa: S101  # a decision has just been taken in
    why = "revoked_for" if isinstance(fact.event, Approval.Revoked) else "reason"
    said = (ending.reason or "").casefold()
    return {**_status(fact), "channel": ending.via.value, why: said}
