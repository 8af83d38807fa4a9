"""What is stored keeps its name and stays legible for ever. These lists only grow.

When a test here fails, the remedy is an upcast or a default, not another expectation: stores out
there hold these very bytes.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import msgspec
import pytest
from eventsourcing.persistence import JSONTranscoder, StoredEvent

from adapters.store.mapper import EventMapper, UnreadableEvent
from domain import identity
from domain.aggregate import Event
from domain.catalogue import EVENTS
from domain.configuration import CONFIGURATION_STREAM, Via
from domain.decision import Capacity, Channel, Kind, Outcome, Risk, Status, Verdict
from domain.freeze import FREEZE_STREAM
from domain.installation import STREAM, SecretKind
from domain.session import session_stream
from tests.golden_events import (
    FOLDER,
    FULLEST,
    GOLDEN,
    SHORTEST,
    Golden,
    file_name,
    stored,
)
from tests.scenario import NOON

EVERY_EVENT: dict[str, Any] = {
    "originator_id": str,
    "originator_version": int,
    "timestamp": datetime,
}
ENDED_BY_A_PERSON: dict[str, Any] = {
    "by": str,
    "channel": str,
    "capacity": str,
    "reason": str | None,
}
FIELDS: dict[str, dict[str, Any]] = {
    "approval.requested": {
        "engine": str,
        "channel": str,
        "obj_id": str,
        "run": int,
        "message": str,
        "approvers": list[str],
        "asked": list[str],
        "kind": str,
        "risk": str,
        "expires_in": int,
        "expires_at": datetime,
        "biz_id": str | None,
        "requested_by": str | None,
        "action": str | None,
        "action_digest": str | None,
        "details": dict[str, str],
        "callback_url": str | None,
        "test": bool,
        "tells_requester": bool,
    },
    "approval.notified": {
        "notice": str,
        "to": str,
        "cut": bool,
        "way": str,
        "response_code": str | None,
    },
    "approval.notification-failed": {
        "notice": str,
        "to": str,
        "problem": str,
        "unreachable": bool,
        "response_code": str | None,
    },
    "approval.became-unreachable": {"to": str, "problem": str},
    "approval.nobody-reached": {},
    "approval.reminded": {},
    "approval.opened": {"by": str},
    "approval.replied": {
        "by": str,
        "words": str,
        "channel": str,
        "verdict": str | None,
        "reason": str | None,
        "refusal": str | None,
        "repeated": bool,
        "delivery_key": str | None,
        "sent_at": datetime | None,
        "response_code": str | None,
        "batch": str | None,
    },
    "approval.approved": {
        **ENDED_BY_A_PERSON,
        "batch": str | None,
        "permit_key": str | None,
        "permit_issuer": str | None,
        "permit_expires_at": datetime | None,
    },
    "approval.rejected": {**ENDED_BY_A_PERSON, "batch": str | None},
    "approval.expired": {},
    "approval.cancelled": {"by": str, "channel": str, "reason": str},
    "approval.revoked": ENDED_BY_A_PERSON,
    "approval.redeemed": {"by": str, "channel": str, "attempt": str},
    "approval.redemption-refused": {"by": str, "channel": str, "attempt": str, "refusal": str},
    "approval.outcome-reported": {
        "by": str,
        "channel": str,
        "outcome": str,
        "detail": str | None,
    },
    "approval.webhook-delivered": {"delivery": int, "attempt": int, "released": list[int]},
    "approval.webhook-failed": {
        "delivery": int,
        "attempt": int,
        "problem": str,
        "failures": int,
        "retry_at": datetime | None,
        "down": bool,
        "released": list[int],
    },
    "approval.webhook-requeued": {"delivery": int, "by": str, "channel": str},
    "inbox.received": {
        "by": str,
        "words": str,
        "channel": str,
        "refusal": str,
        "verdict": str | None,
        "reply_id": str | None,
        "suggestions": list[str],
        "delivery_key": str | None,
        "sent_at": datetime | None,
        "unanswered": bool,
    },
    "inbox.greeted": {"by": str},
    "inbox.answered": {"notice": str, "to": str, "problem": str | None, "unreachable": bool},
    "session.opened": {"by": str, "expires_at": datetime},
    "session.ended": {"why": str | None},
    "installation.founded": {"feed_id": str},
    "installation.secret-made": {
        "kind": str,
        "key_id": str,
        "sealed": str,
        "public": str,
        "by": str | None,
        "voids_earlier": bool,
    },
    "freeze.began": {"by": str, "why": str},
    "freeze.ended": {"by": str},
    "installation.secrets-resealed": {"by": str, "sealed": dict[str, str]},
    "configuration.changed": {
        "by": str,
        "via": str,
        "values": dict[str, str | None],
        "sealed": dict[str, str],
        "fingerprints": dict[str, str | None],
        "told": list[str],
    },
    "configuration.resealed": {"by": str, "sealed": dict[str, str]},
    "configuration.link-offered": {"by": str, "link": str, "expires_at": datetime},
    "configuration.link-used": {"by": str, "link": str},
    "configuration.told": {
        "notice": str,
        "to": str,
        "problem": str | None,
        "unreachable": bool,
    },
    "audit.searched": {"by": str, "via": str, "wanted": dict[str, str]},
    "audit.opened": {"by": str, "via": str, "reply_id": str},
    "audit.exported": {
        "by": str,
        "via": str,
        "what": str,
        "wanted": dict[str, str],
        "form": str,
        "pseudonyms": bool,
    },
    "audit.verified": {
        "by": str,
        "via": str,
        "tree_size": int,
        "position": int,
        "root_hash": str,
        "problem": str | None,
    },
}

MAPPER = EventMapper(JSONTranscoder())  # which it does not use
NAMES = [f"{one.topic}-{number}" for number, one in enumerate(GOLDEN)]
TODAYS = [
    one for one in GOLDEN if one.version == getattr(EVENTS.get(one.topic), "class_version", 0)
]


def test_every_stored_name_with_its_fields() -> None:
    today = {
        topic: {field.name: field.type for field in msgspec.structs.fields(event_class)}
        for topic, event_class in EVENTS.items()
    }
    assert today == {topic: {**EVERY_EVENT, **fields} for topic, fields in FIELDS.items()}


def test_every_event_has_its_golden_file_for_each_version_and_no_other_has_one() -> None:
    wanted = {
        file_name(topic, version)
        for topic, event_class in EVENTS.items()
        for version in range(1, event_class.class_version + 1)
    }
    assert {path.name for path in FOLDER.iterdir()} == wanted
    assert {file_name(one.topic, one.version) for one in GOLDEN} == wanted  # none of them is empty


@pytest.mark.parametrize("one", GOLDEN, ids=NAMES)
def test_a_golden_event_is_of_the_version_that_its_file_says(one: Golden) -> None:
    assert json.loads(one.state).get("class_version", 1) == one.version


def test_the_golden_bytes_show_every_event_with_every_field() -> None:
    shown: dict[str, set[str]] = {}
    for one in TODAYS:
        shown.setdefault(one.topic, set()).update(json.loads(one.state))
    assert shown == {topic: {*EVERY_EVENT, *fields} for topic, fields in FIELDS.items()}


@pytest.mark.parametrize("one", GOLDEN, ids=NAMES)
def test_what_was_ever_stored_can_be_read(one: Golden) -> None:
    event = MAPPER.to_domain_event(stored(one.topic, one.state))
    assert type(event) is EVENTS[one.topic]


@pytest.mark.parametrize(("topic", "version", "state"), TODAYS)
def test_what_was_stored_is_still_read_as_it_was_meant(
    topic: str, version: int, state: bytes
) -> None:
    event = MAPPER.to_domain_event(stored(topic, state))
    assert json.loads(state).items() <= msgspec.to_builtins(event).items()


@pytest.mark.parametrize(("topic", "version", "state"), TODAYS)
def test_an_event_comes_back_as_it_went(topic: str, version: int, state: bytes) -> None:
    event = MAPPER.to_domain_event(stored(topic, state))
    row = MAPPER.to_stored_event(event)
    assert (row.topic, row.originator_id, row.originator_version) == (
        topic,
        event.originator_id,
        event.originator_version,
    )
    assert MAPPER.to_domain_event(row) == event
    assert json.loads(state).items() <= json.loads(row.state).items()


def test_what_the_defaults_say_about_older_events() -> None:
    """A default is part of what an old event means."""
    requested, notified, failed, replied, received, answered, ended = (
        MAPPER.to_domain_event(stored(topic, SHORTEST[topic]))
        for topic in (
            "approval.requested",
            "approval.notified",
            "approval.notification-failed",
            "approval.replied",
            "inbox.received",
            "inbox.answered",
            "session.ended",
        )
    )
    assert (requested.biz_id, requested.requested_by, requested.action) == (None, None, None)
    assert (requested.details, requested.callback_url, requested.test) == ({}, None, False)
    assert (notified.cut, failed.unreachable, answered.unreachable) == (False, False, False)
    assert (replied.refusal, replied.repeated, replied.sent_at) == (None, False, None)
    assert (received.suggestions, received.verdict) == ([], None)
    # What an older version sent calls for no message of the kinds that it did not know.
    assert (requested.tells_requester, notified.way, notified.response_code) == (False, "", None)
    assert (replied.response_code, received.unanswered) == (None, False)
    assert replied.batch is None  # it was decided alone
    assert ended.why is None


def test_times_come_back_aware_and_to_the_microsecond() -> None:
    event = MAPPER.to_domain_event(stored("approval.requested", FULLEST["approval.requested"]))
    assert event.timestamp == NOON.replace(microsecond=123456)
    assert event.timestamp.utcoffset() is not None


# What cannot be right is not read.


@pytest.mark.parametrize(("topic", "version", "state"), GOLDEN)
def test_an_event_under_another_key_is_refused(topic: str, version: int, state: bytes) -> None:
    """A decision moved to another run is the worst bug there is."""
    row = stored(topic, state)
    stream, version = str(row.originator_id), row.originator_version
    for key in (
        {"originator_id": stream + "0"},
        {"originator_id": stream[:-2]},
        {"originator_id": stream.upper()},
        {"originator_version": version + 1},
    ):
        with pytest.raises(UnreadableEvent, match="says that it is another event"):
            MAPPER.to_domain_event(stored(topic, state, **key))


@pytest.mark.parametrize("topic", ["approval.undone", "approval", "", "Approval.Approved"])
def test_an_unknown_topic_is_refused(topic: str) -> None:
    with pytest.raises(UnreadableEvent, match=r"event 2 of approval-12345_2\.3 is of an unknown"):
        MAPPER.to_domain_event(stored(topic, SHORTEST["approval.replied"]))


@pytest.mark.parametrize(
    "damage",
    [
        (b'"by":"zhangsan"', b'"by":7'),
        (b'"by":"zhangsan",', b""),
        (b"zhangsan", b"zhang\xff"),
        (b"2026-05-04T12:00:00Z", b"yesterday"),
        (b'"}', b""),
    ],
    ids=["another type", "a field gone", "not UTF-8", "no time", "cut short"],
)
def test_damaged_bytes_are_refused(damage: tuple[bytes, bytes]) -> None:
    topic, state = "approval.approved", SHORTEST["approval.approved"]
    row = stored(topic, state)
    damaged = StoredEvent(
        originator_id=row.originator_id,
        originator_version=row.originator_version,
        topic=topic,
        state=state.replace(*damage),
    )
    assert damaged.state != state
    with pytest.raises(UnreadableEvent, match="cannot be read"):
        MAPPER.to_domain_event(damaged)


# A change that a default cannot express.


class Moved(Event, frozen=True, kw_only=True):
    """Version 1 kept `person`; version 2 calls it `by`, and adds how."""

    TOPIC = "test.moved"
    class_version: ClassVar[int] = 2
    by: str
    channel: str

    @staticmethod
    def upcast_v1_v2(state: dict[str, Any]) -> None:
        state["by"] = state.pop("person")
        state["channel"] = "web"


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EVENTS, Moved.TOPIC, Moved)


OLD = (
    b'{"originator_id":"test-1","originator_version":4,"timestamp":"2026-05-04T12:00:00Z",'
    b'"person":"zhangsan"}'
)


@pytest.mark.usefixtures("moved")
def test_an_event_of_an_older_version_is_upcast() -> None:
    assert MAPPER.to_domain_event(stored("test.moved", OLD)) == Moved(
        originator_id="test-1",
        originator_version=4,
        timestamp=NOON,
        by="zhangsan",
        channel="web",
    )


@pytest.mark.usefixtures("moved")
def test_an_event_of_the_present_version_tells_it_and_is_not_upcast() -> None:
    event = MAPPER.to_domain_event(stored("test.moved", OLD))
    row = MAPPER.to_stored_event(event)
    assert json.loads(row.state) == {
        "class_version": 2,
        "originator_id": "test-1",
        "originator_version": 4,
        "timestamp": "2026-05-04T12:00:00Z",
        "by": "zhangsan",
        "channel": "web",
    }
    assert MAPPER.to_domain_event(row) == event


@pytest.mark.usefixtures("moved")
def test_an_upcast_event_under_another_key_is_refused_too() -> None:
    with pytest.raises(UnreadableEvent, match="says that it is another event"):
        MAPPER.to_domain_event(stored("test.moved", OLD, originator_id="test-2"))


@pytest.mark.usefixtures("moved")
@pytest.mark.parametrize("state", [OLD.replace(b"person", b"who"), b"[]", b"7"])
def test_an_older_event_that_cannot_be_upcast_is_unreadable(state: bytes) -> None:
    with pytest.raises(UnreadableEvent, match="cannot be read"):
        MAPPER.to_domain_event(StoredEvent("test-1", 4, "test.moved", state))


@pytest.mark.parametrize("topic", ["approval.expired", "test.moved"])
@pytest.mark.usefixtures("moved")
def test_an_event_of_a_version_that_this_program_does_not_know_is_unreadable(topic: str) -> None:
    newer = b'{"class_version":3,' + OLD.removeprefix(b"{")
    with pytest.raises(UnreadableEvent, match="version 3 is unknown"):
        MAPPER.to_domain_event(stored(topic, newer))


# Names that events and programs outside refer to.


def test_the_names_of_approvals_are_fixed_for_ever() -> None:
    first, third = identity.reply_id("12345_2", 1), identity.reply_id("12345_2", 3)
    assert (first, third) == ("12345_2", "12345_2.3")
    streams = identity.approval_stream(first), identity.approval_stream(third)
    assert streams == ("approval-12345_2", "approval-12345_2.3")
    assert [identity.approval_id(stream) for stream in streams] == [
        "e50e2ff1-ae80-5e1a-a99b-9efab369f2dc",
        "4a193538-b7db-5a07-8b74-9cb4ecb5d610",
    ]


def test_the_names_of_other_streams() -> None:
    assert identity.inbox_stream("ZhangSan", NOON) == "inbox-zhangsan-2026-05-04"
    assert identity.audit_stream("LiSi", NOON) == "audit-lisi-2026-05-04"
    assert session_stream("00ff") == "session-00ff"
    assert STREAM == "installation"
    assert FREEZE_STREAM == "freeze"
    assert CONFIGURATION_STREAM == "configuration"


@dataclass(frozen=True)
class Words:
    kind: Any
    values: set[str]


@pytest.mark.parametrize(
    "words",
    [
        Words(Verdict, {"approve", "reject"}),
        Words(Channel, {"wecom-text", "wecom-card", "web", "clock", "api"}),
        Words(Capacity, {"approver", "super-approver"}),
        Words(Status, {"pending", "approved", "rejected", "expired", "cancelled", "revoked"}),
        Words(Risk, {"low", "medium", "high"}),
        Words(Kind, {"solution", "convergence"}),
        Words(Outcome, {"succeeded", "failed", "skipped"}),
        Words(SecretKind, {"permit-key", "webhook-secret", "fingerprint-key", "tree-key"}),
        Words(Via, {"page", "shell", "environment"}),
    ],
    ids=lambda words: words.kind.__name__,
)
def test_the_words_that_events_and_the_api_use(words: Words) -> None:
    assert {word.value for word in words.kind} == words.values
