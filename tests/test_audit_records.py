"""Who looked into the history is part of it."""

from datetime import timedelta

from domain.audit import Audit
from domain.commands import RecordExport, RecordLook, RecordSearch, RecordVerification
from domain.identity import audit_stream
from tests.scenario import NOON, MemoryUnit


def test_what_somebody_does_with_the_history_is_kept_in_a_stream_of_that_day() -> None:
    unit = MemoryUnit()
    unit.carry_out(RecordSearch(at=NOON, by="LiSi", via="page", wanted={"status": "approved"}))
    unit.carry_out(RecordLook(at=NOON, by="lisi", via="page", reply_id="12345_2"))
    unit.carry_out(
        RecordExport(at=NOON, by="lisi", via="shell", what="events", wanted={}, form="csv")
    )
    searched, opened, exported = unit.events_of(audit_stream("lisi", NOON))
    assert isinstance(searched, Audit.Searched) and searched.wanted == {"status": "approved"}
    assert isinstance(opened, Audit.Opened) and opened.reply_id == "12345_2"
    assert isinstance(exported, Audit.Exported)
    assert (exported.by, exported.via, exported.form) == ("lisi", "shell", "csv")


def test_every_look_is_kept_however_often() -> None:
    unit = MemoryUnit()
    look = RecordLook(at=NOON, by="lisi", via="page", reply_id="12345_2")
    unit.carry_out(look)
    unit.carry_out(look)
    assert len(unit.events_of(audit_stream("lisi", NOON))) == 2


def test_another_day_and_another_person_have_a_stream_of_their_own() -> None:
    unit = MemoryUnit()
    for by, at in (("lisi", NOON), ("lisi", NOON + timedelta(days=1)), ("wangwu", NOON)):
        unit.carry_out(RecordSearch(at=at, by=by, via="page", wanted={}))
        assert len(unit.events_of(audit_stream(by, at))) == 1


def test_a_verification_is_kept_with_what_it_found() -> None:
    unit = MemoryUnit()
    command = RecordVerification(
        at=NOON, by="service", via="service", tree_size=3, position=4, root_hash="cm9vdA=="
    )
    unit.carry_out(command)
    (verified,) = unit.events_of(audit_stream("service", NOON))
    assert isinstance(verified, Audit.Verified) and verified.problem is None
    assert (verified.tree_size, verified.position, verified.root_hash) == (3, 4, "cm9vdA==")
