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
    "installation.restored": {
        "by": str,
        "feed_id": str,
        "earlier_feed_id": str,
        "position": int,
        "as_of": datetime,
    },
    "configuration.changed": {
        "by": str,
        "via": str,
        "values": dict[str, str | None],
        "sealed": dict[str, str],
        "fingerprints": dict[str, str | None],
        "told": list[str],
        "names": dict[str, list[str]],
    },
    "configuration.resealed": {"by": str, "sealed": dict[str, str]},
    "configuration.link-offered": {"by": str, "link": str, "expires_at": datetime},
    "configuration.link-used": {"by": str, "link": str},
    "configuration.link-withdrawn": {"by": str, "link": str},
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

REQUEST = b'"originator_id":"approval-12345_2.3","originator_version":1,'
APPROVAL = b'"originator_id":"approval-12345_2.3","originator_version":2,'
INBOX = b'"originator_id":"inbox-zhangsan-2026-05-04","originator_version":1,'
CONFIGURATION = (
    b'{"originator_id":"configuration","originator_version":1,"timestamp":"2026-05-04T12:00:00Z",'
)
AUDIT = (
    b'{"originator_id":"audit-lisi-2026-05-04","originator_version":1,'
    b'"timestamp":"2026-05-04T12:00:00Z",'
)
AT_NOON = b'"timestamp":"2026-05-04T12:00:00Z",'

# As version 0.1.0 wrote them, for each topic with every field, then without what has a default.
# Never edit a line; a change of an event adds one.
GOLDEN: list[tuple[str, bytes]] = [
    (
        "approval.rejected",
        b"{" + APPROVAL + AT_NOON + b'"by":"lisi","channel":"web","capacity":"approver",'
        b'"reason":"\xe4\xb8\x9a\xe5\x8a\xa1\xe9\xab\x98\xe5\xb3\xb0","batch":"5f0c"}',
    ),
    (
        "approval.approved",
        b"{" + APPROVAL + AT_NOON + b'"by":"zhangsan","channel":"web","capacity":"approver",'
        b'"reason":"ok","permit_key":"k-1","permit_issuer":"fta-approval",'
        b'"permit_expires_at":"2026-05-04T12:15:00Z","batch":"5f0c"}',
    ),
    (
        "approval.replied",
        b"{" + APPROVAL + AT_NOON + b'"by":"zhangsan","words":"TY 12345_2.3",'
        b'"channel":"wecom-text","verdict":"approve","reason":"ok","refusal":"not-an-approver",'
        b'"repeated":true,"delivery_key":"6054768590064713728","sent_at":"2026-05-04T11:59:59Z",'
        b'"response_code":"code","batch":"5f0c"}',
    ),
    (
        "approval.requested",
        b"{"
        + REQUEST
        + b'"timestamp":"2026-05-04T12:00:00.123456Z","engine":"fta","channel":"api",'
        b'"obj_id":"12345_2","run":3,'
        b'"message":"\xe9\x87\x8d\xe5\x90\xaf nginx","approvers":["zhangsan","LiSi"],'
        b'"asked":["zhangsan","LiSi","wangwu"],"kind":"convergence","risk":"high",'
        b'"expires_in":1200,"expires_at":"2026-05-04T12:20:00.123456Z","biz_id":"2",'
        b'"requested_by":"wangwu","action":"{\\"ip\\":\\"10.0.0.1\\"}",'
        b'"action_digest":"sha256:00","details":{"IP":"10.0.0.1"},'
        b'"callback_url":"https://engine.example/decisions"}',
    ),
    (
        "approval.requested",
        b'{"originator_id":"approval-12345_2","originator_version":1,'
        + AT_NOON
        + b'"engine":"fta-approval doctor",'
        b'"channel":"api","obj_id":"12345_2","run":1,"message":"m","approvers":["zhangsan"],'
        b'"asked":["zhangsan"],"kind":"solution","risk":"medium","expires_in":1200,'
        b'"expires_at":"2026-05-04T12:20:00Z","test":true,"tells_requester":true}',
    ),
    (
        "approval.requested",
        b'{"originator_id":"approval-12345_2","originator_version":1,'
        + AT_NOON
        + b'"engine":"fta",'
        b'"channel":"fta","obj_id":"12345_2","run":1,"message":"m","approvers":["zhangsan"],'
        b'"asked":["zhangsan"],"kind":"solution","risk":"medium","expires_in":1200,'
        b'"expires_at":"2026-05-04T12:20:00Z"}',
    ),
    (
        "approval.notified",
        b"{" + APPROVAL + AT_NOON + b'"notice":"ask/zhangsan","to":"zhangsan","cut":true}',
    ),
    (
        "approval.notified",
        b"{" + APPROVAL + AT_NOON + b'"notice":"ask/lisi","to":"lisi","cut":true,"way":"card",'
        b'"response_code":"code"}',
    ),
    ("approval.notified", b"{" + APPROVAL + AT_NOON + b'"notice":"answer/7","to":"zhangsan"}'),
    (
        "approval.notification-failed",
        b"{" + APPROVAL + AT_NOON + b'"notice":"ask/lisi","to":"lisi",'
        b'"problem":"WeCom is not configured","unreachable":true}',
    ),
    (
        "approval.notification-failed",
        b"{" + APPROVAL + AT_NOON + b'"notice":"card/lisi","to":"lisi",'
        b'"problem":"errcode 60140","response_code":"code"}',
    ),
    (
        "approval.notification-failed",
        b"{" + APPROVAL + AT_NOON + b'"notice":"ask/lisi","to":"lisi","problem":"errcode 81013"}',
    ),
    (
        "approval.became-unreachable",
        b"{" + APPROVAL + AT_NOON + b'"to":"lisi","problem":"the member has left"}',
    ),
    ("approval.nobody-reached", b"{" + APPROVAL + AT_NOON[:-1] + b"}"),
    ("approval.reminded", b"{" + APPROVAL + AT_NOON[:-1] + b"}"),
    ("approval.opened", b"{" + APPROVAL + AT_NOON + b'"by":"zhangsan"}'),
    (
        "approval.replied",
        b"{" + APPROVAL + AT_NOON + b'"by":"zhangsan","words":"TY 12345_2.3",'
        b'"channel":"wecom-text","verdict":"approve","reason":"ok","refusal":"not-an-approver",'
        b'"repeated":true,"delivery_key":"6054768590064713728","sent_at":"2026-05-04T11:59:59Z"}',
    ),
    (
        "approval.replied",
        b"{" + APPROVAL + AT_NOON + b'"by":"lisi","words":"approve/12345_2.3",'
        b'"channel":"wecom-card","response_code":"code"}',
    ),
    (
        "approval.replied",
        b"{" + APPROVAL + AT_NOON + b'"by":"zhangsan","words":"approve","channel":"web"}',
    ),
    (
        "approval.approved",
        b"{" + APPROVAL + AT_NOON + b'"by":"zhangsan","channel":"wecom-card",'
        b'"capacity":"super-approver","reason":"ok","permit_key":"k-1",'
        b'"permit_issuer":"fta-approval","permit_expires_at":"2026-05-04T12:15:00Z"}',
    ),
    (
        "approval.approved",
        b"{" + APPROVAL + AT_NOON + b'"by":"zhangsan","channel":"web","capacity":"approver"}',
    ),
    (
        "approval.rejected",
        b"{" + APPROVAL + AT_NOON + b'"by":"lisi","channel":"wecom-text","capacity":"approver",'
        b'"reason":"\xe7\xad\x89\xe5\x8f\x98\xe6\x9b\xb4\xe7\xaa\x97\xe5\x8f\xa3"}',
    ),
    (
        "approval.rejected",
        b"{" + APPROVAL + AT_NOON + b'"by":"lisi","channel":"web","capacity":"approver"}',
    ),
    ("approval.expired", b"{" + APPROVAL + AT_NOON[:-1] + b"}"),
    (
        "approval.cancelled",
        b"{" + APPROVAL + AT_NOON + b'"by":"fta","channel":"api","reason":"superseded by run 4"}',
    ),
    (
        "approval.webhook-delivered",
        b"{" + APPROVAL + AT_NOON + b'"delivery":7,"attempt":2,"released":[8,9]}',
    ),
    (
        "approval.webhook-delivered",
        b"{" + APPROVAL + AT_NOON + b'"delivery":7,"attempt":1}',
    ),
    (
        "approval.webhook-failed",
        b"{" + APPROVAL + AT_NOON + b'"delivery":7,"attempt":3,"problem":"answered 503",'
        b'"failures":2,"retry_at":"2026-05-04T12:00:30Z","down":true,"released":[8]}',
    ),
    (
        "approval.webhook-failed",
        b"{" + APPROVAL + AT_NOON + b'"delivery":7,"attempt":8,"problem":"answered 400",'
        b'"failures":8}',
    ),
    (
        "approval.webhook-requeued",
        b"{" + APPROVAL + AT_NOON + b'"delivery":7,"by":"shell:root","channel":"shell"}',
    ),
    (
        "inbox.received",
        b"{" + INBOX + AT_NOON + b'"by":"ZhangSan","words":"TY 9_9","channel":"wecom-text",'
        b'"refusal":"unknown-approval","verdict":"approve","reply_id":"9_9",'
        b'"suggestions":["12345_2"],"delivery_key":"7","sent_at":"2026-05-04T11:59:59Z"}',
    ),
    (
        "inbox.received",
        b"{" + INBOX + AT_NOON + b'"by":"ZhangSan","words":"[image]","channel":"wecom-text",'
        b'"refusal":"not-text","unanswered":true}',
    ),
    (
        "inbox.received",
        b"{" + INBOX + AT_NOON + b'"by":"ZhangSan","words":"hello","channel":"wecom-text",'
        b'"refusal":"unreadable"}',
    ),
    ("inbox.greeted", b"{" + INBOX + AT_NOON + b'"by":"ZhangSan"}'),
    (
        "inbox.answered",
        b"{" + INBOX + AT_NOON + b'"notice":"answer/1","to":"ZhangSan","problem":"p",'
        b'"unreachable":true}',
    ),
    ("inbox.answered", b"{" + INBOX + AT_NOON + b'"notice":"answer/1","to":"ZhangSan"}'),
    (
        "session.opened",
        b'{"originator_id":"session-00ff","originator_version":1,' + AT_NOON + b'"by":"zhangsan",'
        b'"expires_at":"2026-05-04T20:00:00Z"}',
    ),
    (
        "session.ended",
        b'{"originator_id":"session-00ff","originator_version":2,'
        + AT_NOON
        + b'"why":"logged-out"}',
    ),
    (
        "session.ended",
        b'{"originator_id":"session-00ff","originator_version":2,' + AT_NOON[:-1] + b"}",
    ),
    (
        "approval.revoked",
        b"{" + APPROVAL + AT_NOON + b'"by":"zhangsan","channel":"web",'
        b'"capacity":"approver","reason":"no"}',
    ),
    (
        "approval.revoked",
        b"{" + APPROVAL + AT_NOON + b'"by":"zhangsan","channel":"web","capacity":"approver"}',
    ),
    (
        "approval.redeemed",
        b"{" + APPROVAL + AT_NOON + b'"by":"fta","channel":"api","attempt":"a-1"}',
    ),
    (
        "approval.redemption-refused",
        b"{" + APPROVAL + AT_NOON + b'"by":"fta","channel":"api","attempt":"a-2",'
        b'"refusal":"already-redeemed"}',
    ),
    (
        "approval.outcome-reported",
        b"{" + APPROVAL + AT_NOON + b'"by":"fta","channel":"api","outcome":"failed",'
        b'"detail":"no spare host"}',
    ),
    (
        "approval.outcome-reported",
        b"{" + APPROVAL + AT_NOON + b'"by":"fta","channel":"api","outcome":"succeeded"}',
    ),
    (
        "freeze.began",
        b'{"originator_id":"freeze","originator_version":1,'
        + AT_NOON
        + b'"by":"shell:root","why":"network change"}',
    ),
    (
        "freeze.ended",
        b'{"originator_id":"freeze","originator_version":2,' + AT_NOON + b'"by":"shell:root"}',
    ),
    (
        "installation.founded",
        b'{"originator_id":"installation","originator_version":1,' + AT_NOON + b'"feed_id":"f-1"}',
    ),
    (
        "installation.secret-made",
        b'{"originator_id":"installation","originator_version":2,'
        + AT_NOON
        + b'"kind":"permit-key","key_id":"k-1","sealed":"c2VhbGVk","public":"cHVibGlj",'
        b'"by":"shell:root","voids_earlier":true}',
    ),
    (
        "installation.secret-made",
        b'{"originator_id":"installation","originator_version":2,'
        + AT_NOON
        + b'"kind":"webhook-secret","key_id":"k-2","sealed":"c2VhbGVk"}',
    ),
    (
        "installation.secrets-resealed",
        b'{"originator_id":"installation","originator_version":4,'
        + AT_NOON
        + b'"by":"shell:root","sealed":{"k-1":"YW5ldw=="}}',
    ),
    (
        "installation.restored",
        b'{"originator_id":"installation","originator_version":5,'
        + AT_NOON
        + b'"by":"shell:root","feed_id":"f-2","earlier_feed_id":"f-1","position":17,'
        b'"as_of":"2026-05-04T11:00:00Z"}',
    ),
    (
        "configuration.changed",
        CONFIGURATION
        + b'"by":"wangwu","via":"page","values":{"super_approvers":"wangwu,lisi","app_url":null},'
        b'"sealed":{"wecom_secret":"c2VhbGVk"},"fingerprints":{"wecom_secret":"00ff",'
        b'"webhook_secret":null},"told":["wangwu","lisi"]}',
    ),
    ("configuration.changed", CONFIGURATION + b'"by":"environment","via":"environment"}'),
    (
        "configuration.changed",
        CONFIGURATION + b'"by":"shell:root","via":"shell","sealed":{"api_tokens":"c2VhbGVk"},'
        b'"fingerprints":{"api_tokens":"00ff"},"names":{"api_tokens":["fta","bcs"]}}',
    ),
    (
        "configuration.resealed",
        CONFIGURATION + b'"by":"shell:root","sealed":{"wecom_secret":"YW5ldw=="}}',
    ),
    (
        "configuration.link-offered",
        CONFIGURATION + b'"by":"shell:root","link":"00ff","expires_at":"2026-05-04T13:00:00Z"}',
    ),
    ("configuration.link-used", CONFIGURATION + b'"by":"link:00ff","link":"00ff"}'),
    ("configuration.link-withdrawn", CONFIGURATION + b'"by":"shell:root","link":"00ff"}'),
    (
        "configuration.told",
        CONFIGURATION
        + b'"notice":"settings/1/lisi","to":"lisi","problem":"60111","unreachable":true}',
    ),
    (
        "configuration.told",
        CONFIGURATION + b'"notice":"settings/1/lisi","to":"lisi"}',
    ),
    (
        "audit.searched",
        AUDIT + b'"by":"lisi","via":"page","wanted":{"member":"zhangsan"}}',
    ),
    ("audit.opened", AUDIT + b'"by":"lisi","via":"page","reply_id":"12345_2.3"}'),
    (
        "audit.exported",
        AUDIT + b'"by":"lisi","via":"page","what":"events","wanted":{"status":"approved"},'
        b'"form":"csv","pseudonyms":true}',
    ),
    (
        "audit.exported",
        AUDIT + b'"by":"lisi","via":"page","what":"events","wanted":{},"form":"jsonl"}',
    ),
    (
        "audit.verified",
        AUDIT + b'"by":"shell:root","via":"shell","tree_size":100,"position":120,'
        b'"root_hash":"cm9vdA==","problem":"event 7 was changed"}',
    ),
    (
        "audit.verified",
        AUDIT
        + b'"by":"service","via":"service","tree_size":0,"position":0,"root_hash":"cm9vdA=="}',
    ),
]
FULLEST, SHORTEST = dict(reversed(GOLDEN)), dict(GOLDEN)
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
        Words(Channel, {"wecom-text", "wecom-card", "web", "clock", "api", "shell"}),
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
