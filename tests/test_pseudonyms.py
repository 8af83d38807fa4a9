"""Members under other names: nobody's own name is left, and each has one name everywhere."""

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from domain.catalogue import EVENTS
from projections.document import document
from tests.golden_events import FULLEST, SHORTEST
from tests.scenario import APPROVE, NOON, ask, given, says
from web.audit.pseudonyms import NoNames, Pseudonyms, names_of
from web.keyring import Keyring
from web.parts import opened_store, opened_vault
from web.settings import PREFIX, read_settings

NAMES = Pseudonyms(b"k" * 32)
PEOPLE = ("zhangsan", "lisi", "wangwu")


def renamed(**fields: Any) -> dict[str, Any]:
    return NAMES.in_event(fields)


@pytest.mark.parametrize("stored", [FULLEST, SHORTEST], ids=["fullest", "shortest"])
@pytest.mark.parametrize("topic", FULLEST)
def test_no_event_of_any_kind_says_who_it_was(topic: str, stored: dict[str, bytes]) -> None:
    shown = json.dumps(NAMES.in_event(msgspec.json.decode(stored[topic]))).casefold()
    assert not [person for person in PEOPLE if person in shown]


def test_a_store_that_is_only_read_has_the_names_that_it_has_otherwise(tmp_path: Path) -> None:
    key = base64.b64encode(b"k" * 32).decode()
    database = f"sqlite:///{tmp_path / 'events.db'}"
    settings = read_settings({f"{PREFIX}DATABASE": database, f"{PREFIX}SECRET_KEY": key})
    with opened_store(settings) as store:
        with pytest.raises(NoNames):
            names_of(settings, store.found(NOON))
        vault = opened_vault(settings, store, lambda: NOON)
        otherwise = Pseudonyms.of_store(Keyring(lambda: store.found(NOON), vault))
        assert names_of(settings, store.found(NOON)).of("lisi") == otherwise.of("lisi")
        wrong = base64.b64encode(b"l" * 32).decode()
        another = settings.model_copy(update={"secret_key": SecretStr(wrong)})
        with pytest.raises(NoNames, match="cannot be opened"):
            names_of(another, store.found(NOON))


def test_every_kind_of_event_is_looked_at() -> None:
    assert set(FULLEST) == set(EVENTS)


def test_a_member_has_one_name_whatever_the_case_and_another_in_another_store() -> None:
    assert NAMES.of("ZhangSan") == NAMES.of("zhangsan") == Pseudonyms(b"k" * 32).of("zhangsan")
    assert NAMES.of("zhangsan") != NAMES.of("lisi")
    assert NAMES.of("zhangsan") != Pseudonyms(b"l" * 32).of("zhangsan")


@pytest.mark.parametrize(
    "fields",
    [
        {"by": "shell:root", "via": "shell"},
        {"by": "fta", "channel": "api"},
        {"by": "environment", "via": "environment"},
        {"by": "service", "via": "service", "originator_id": "audit-service-2026-05-04"},
        {"by": "link:00ff", "originator_id": "configuration"},
        {"engine": "lisi", "message": "lisi"},
        {"decided_by": "fta", "decided_via": "api"},
        {"notice": "answer/7", "originator_id": "approval-lisi_1", "obj_id": "lisi_1"},
        {"by": "shell:root", "originator_id": "audit-shell:root-2026-05-04"},
        {"suggestions": ["lisi_1"], "values": {"app_url": "http://lisi/wechat/"}},
    ],
    ids=str,
)
def test_engines_accounts_and_approvals_keep_their_names(fields: dict[str, Any]) -> None:
    assert renamed(**fields) == fields


def test_texts_name_nobody_of_their_own_event() -> None:
    lisi, zhangsan = NAMES.of("lisi"), NAMES.of("zhangsan")
    asked = renamed(
        approvers=["LiSi", "zhangsan"],
        message="请 lisi确认，再由ZHANGSAN.",
        details={"负责人": "lisi", "机器": "lisi-2 xlisi lisi.local"},
        action='{"owner":"zhangsan"}',
    )
    assert asked["approvers"] == [lisi, zhangsan]
    assert asked["message"] == f"请 {lisi}确认，再由{zhangsan}."
    assert asked["details"] == {"负责人": lisi, "机器": "lisi-2 xlisi lisi.local"}
    assert asked["action"] == f'{{"owner":"{zhangsan}"}}'
    said = renamed(
        by="lisi", channel="wecom-text", words="TY 1_1 LISI 与 wangwu 已确认", verdict="approve"
    )
    assert said["words"] == f"TY 1_1 {lisi} 与 wangwu 已确认"  # wangwu is not in this event


def test_a_notice_and_a_stream_are_named_after_the_same_person() -> None:
    lisi = NAMES.of("lisi")
    assert renamed(notice="ask/lisi", to="LiSi") == {"notice": f"ask/{lisi}", "to": lisi}
    assert renamed(notice="settings/3/lisi") == {"notice": f"settings/3/{lisi}"}
    assert renamed(notice="revoked/corp/7") == {"notice": f"revoked/{NAMES.of('corp/7')}"}
    inbox = renamed(originator_id="inbox-li-si-2026-05-04-2026-05-05")
    assert inbox["originator_id"] == f"inbox-{NAMES.of('li-si-2026-05-04')}-2026-05-05"


def test_what_somebody_looked_for_names_nobody_either() -> None:
    wanted = {"member": "LiSi", "by": "shell:root", "stream": "inbox-lisi-2026-05-04"}
    shown = renamed(by="shell:root", via="shell", wanted={**wanted, "words": "lisi 重启"})["wanted"]
    lisi = NAMES.of("lisi")
    assert shown["member"] == lisi and shown["by"] == "shell:root"
    assert shown["stream"] == f"inbox-{lisi}-2026-05-04"
    assert shown["words"] == f"{lisi} 重启"


def test_an_approval_as_programs_see_it_names_nobody() -> None:
    unit = given(ask(approvers=["zhangsan", "LiSi"], requested_by="wangwu", message="问 LISI")).unit
    unit.carry_out(says("lisi", APPROVE))
    (approval,) = unit.approvals()
    shown = NAMES.in_approval(document(approval))
    assert not [person for person in PEOPLE if person in json.dumps(shown).casefold()]
    assert shown["decided_by"] == shown["approvers"][1] == NAMES.of("lisi")
    assert shown["message"] == f"问 {NAMES.of('lisi')}"
    assert {entry["userid"] for entry in shown["notifications"]} == set(shown["approvers"])


@pytest.mark.parametrize("topic", FULLEST)
def test_an_event_can_be_shown_in_words_under_other_names(topic: str) -> None:
    event = msgspec.json.decode(FULLEST[topic], type=EVENTS[topic])
    shown = NAMES.event(event)
    assert type(shown) is type(event) and shown.timestamp == event.timestamp
    assert not [person for person in PEOPLE if person in repr(shown).casefold()]
