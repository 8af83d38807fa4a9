"""`fta-approval audit replay`: what was the case at a moment, and what changed until another."""

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given as random
from hypothesis import settings as hypothesis_settings

from adapters.store.stored_history import StoredHistory, opened_history
from domain.approval import Approval
from domain.commands import ChangeSettings, FindEnvironment
from domain.configuration import CONFIGURATION_STREAM, Change, Configuration, Via
from domain.freeze import FREEZE_STREAM, Freeze
from tests.histories import (
    RANDOM,
    History,
    freezes,
    histories,
    live,
    thaws,
    with_a_permit_key,
)
from tests.process import SCRIPT
from tests.scenario import (
    APPROVE,
    DEADLINE,
    MILLISECOND,
    NODE,
    NOON,
    after,
    ask,
    cancels,
    clock,
    reached,
    says,
)
from tests.stores import House, opened
from tests.whole_life import WHOLE_LIFE
from web.audit import as_it_was
from web.audit.as_it_was import approvals_at, frozen_at, settings_at
from web.audit.difference import NotLater, difference
from web.audit.finding import NotYet
from web.audit.moments import WrongTime, moment
from web.audit.replay import replay, whole
from web.settings import Settings, read_settings
from web.translation import ENGLISH, LANGUAGE

ROME = ZoneInfo("Europe/Rome")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path, super_approvers=["wangwu"]) as house:
        yield house


@pytest.fixture
def given(tmp_path: Path) -> Settings:
    return read_settings(
        {"FTA_APPROVAL_DATABASE": f"sqlite:///{tmp_path / 'events.db'}"},
    )


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    token = LANGUAGE.set(ENGLISH)
    yield
    LANGUAGE.reset(token)


def told(given: Settings, at: str, name: str | None = None, *, as_json: bool = False) -> list[str]:
    lines: list[str] = []
    replay(given, at, name, after(days=1), lines.append, as_json=as_json)
    return lines


def differs(
    given: Settings, at: str, until: str, name: str | None = None, *, as_json: bool = False
) -> list[str]:
    lines: list[str] = []
    difference(given, at, until, name, after(days=1), lines.append, as_json=as_json)
    return lines


# Of what is said at which moment.


def test_everything_as_it_was(house: House, given: Settings) -> None:
    house.store.change_installation(with_a_permit_key)
    house.do(
        FindEnvironment(at=NOON, found=Change({"admins": "lisi"}, {}, {"wecom_secret": "print"})),
        ChangeSettings(
            at=after(minutes=1),
            by="lisi",
            via=Via.PAGE,
            revision=1,
            change=Change({"super_approvers": "wangwu", "admins": "zhangsan"}),
        ),
        ask(),
        ask(obj_id="9_9", expires_in=60, message="重" * 100),
        ask(obj_id="8_8", at=after(minutes=1)),
        freezes(after(minutes=2), "停电"),
        says("zhangsan", APPROVE, at=after(minutes=3)),
        thaws(after(minutes=4)),
        says("zhangsan", APPROVE, at=after(minutes=5)),
    )
    assert told(given, "2026-05-04T20:03") == [
        "2026-05-04 20:03:00.000 Asia/Shanghai, 2026-05-04T12:03:00.000Z",
        (
            "approvals: 3, with events: 4; 3 Waiting, 0 Approved, 0 Rejected, 0 Expired,"
            " 0 Cancelled, 0 Taken back"
        ),
        "approving was frozen by shell:root at 2026-05-04 20:02:00.000, reason: 停电",
        "",
        "waiting: 3, of which overdue and not recorded as such: 1",
        f"  9_9  2026-05-04 20:01:00.000 (overdue)  medium  zhangsan, lisi: {'重' * 60}",
        "  12345_2  2026-05-04 20:20:00.000  medium  zhangsan, lisi: 重启 10.0.0.1 的 nginx",
        "  8_8  2026-05-04 20:21:00.000  medium  zhangsan, lisi: 重启 10.0.0.1 的 nginx",
        "",
        "super approvers: wangwu",
        "admins: lisi",
        "settings in force (what was never set had the default of the program of that time):",
        "  ADMINS=lisi  [environment, environment 2026-05-04 20:00:00.000]",
        "  SUPER_APPROVERS=wangwu  [page, lisi 2026-05-04 20:01:00.000]",
        (
            "  WECOM_SECRET=(secret, fingerprint print)"
            "  [environment, environment 2026-05-04 20:00:00.000]"
        ),
    ]
    later = told(given, "2026-05-04T20:05")
    assert "3, with events: 6; 2 Waiting, 1 Approved" in later[1]
    assert later[2] == "approving was not frozen"
    earlier = told(given, "2026-05-04T19:59:59.999")
    assert earlier[1].startswith("approvals: 0, with events: 0; 0 Waiting")
    assert earlier[-3:-1] == ["super approvers: none", "admins: none"]


def test_as_json_every_approval_is_there_and_what_else_was_the_case(
    house: House, given: Settings
) -> None:
    house.do(ask(), ask(obj_id="1_1"), cancels(at=after(minutes=1)))
    *approvals, state = map(json.loads, told(given, "2026-05-04T12:01:00Z", as_json=True))
    assert [(a["reply_id"], a["status"]) for a in approvals] == [
        ("12345_2", "cancelled"),
        ("1_1", "pending"),
    ]
    assert (state["record"], state["at"]) == ("state", "2026-05-04T12:01:00.000Z")
    assert state["approvals"]["cancelled"] == state["approvals"]["pending"] == 1
    assert (state["frozen"], state["settings"], state["overdue"]) == (None, [], 0)


def test_one_approval_as_it_was(house: House, given: Settings) -> None:
    house.do(ask(), reached("zhangsan"), cancels(at=after(minutes=1)))
    before = told(given, "2026-05-04T20:00:59", NODE)
    assert "Status: Waiting, open until 2026-05-04 20:20:00.000" in before
    assert before[-1].endswith("Sent to zhangsan")
    assert "Status: Cancelled" in "\n".join(told(given, "2026-05-04T20:01", NODE))
    assert len(told(given, "2026-05-04T20:00:59", NODE, as_json=True)) == 2
    with pytest.raises(NotYet, match="12345_2 had not been asked for; it was at 2026-05-04 20:00"):
        told(given, "2026-05-04T19:00", NODE)


def test_an_overdue_approval_is_said_to_be_overdue_until_that_is_recorded(
    house: House, given: Settings
) -> None:
    house.do(ask(), clock(DEADLINE + MILLISECOND))
    at = "2026-05-04T12:20:00Z"
    assert "overdue since 2026-05-04 20:20:00.000, which is not" in "\n".join(told(given, at, NODE))
    assert "overdue and not recorded as such: 1" in "\n".join(told(given, at))
    assert "1 Expired" in told(given, "2026-05-04T12:20:00.001Z")[1]


def test_what_changed_between_two_moments(house: House, given: Settings) -> None:
    house.store.change_installation(with_a_permit_key)
    change = Change({"super_approvers": "wangwu"})
    house.do(
        ask(),
        ask(obj_id="1_1"),
        ask(obj_id="2_1"),
        ask(obj_id="3_1"),
        says("zhangsan", APPROVE, at=after(minutes=1)),
        reached("zhangsan", "2_1", at=after(minutes=1)),
        ask(obj_id="4_1", at=after(minutes=2)),
        ChangeSettings(at=after(minutes=2), by="lisi", via=Via.PAGE, revision=0, change=change),
        cancels(reply_id="3_1", at=after(minutes=3)),
    )
    assert differs(given, "2026-05-04T20:00", "2026-05-04T20:02") == [
        "2026-05-04 20:00:00.000 → 2026-05-04 20:02:00.000 Asia/Shanghai",
        (
            "12345_2: Waiting → Approved, zhangsan approved via reply at 2026-05-04 20:01:00.000;"
            " The engine has not redeemed its permit yet; it is good until"
            " 2026-05-04 20:16:00.000; events: 2"
        ),
        "2_1: Waiting → the same; events: 1",
        "4_1: not asked for → Waiting, open until 2026-05-04 20:22:00.000; events: 1",
        "approvals that changed: 3",
        "",
        "2026-05-04 Asia/Shanghai, 2026-05-04 UTC",
        (
            "  11  20:02:00.000              lisi changed settings on the configuration page:"
            " Super approver from “Not set” to “wangwu”; to be told: wangwu"
        ),
    ]
    approval, same, new, settings = map(
        json.loads, differs(given, "2026-05-04T20:00", "2026-05-04T20:02", as_json=True)
    )
    assert (approval["before"]["status"], approval["after"]["status"]) == ("pending", "approved")
    assert (approval["events"], same["reply_id"], new["before"]) == ([7, 8], "2_1", None)
    assert (settings["type"], settings["by"]) == ("configuration.changed", "lisi")


def test_what_changed_of_one_approval(house: House, given: Settings) -> None:
    house.do(ask(), reached("zhangsan"), cancels(at=after(minutes=1)))
    head, _day, line = differs(given, "2026-05-04T20:00:30", "now", NODE)
    assert head.startswith("12345_2: Waiting → Cancelled, fta cancelled via API at ")
    assert line.endswith("fta cancelled it; reason: 告警已恢复")
    assert differs(given, "2026-05-04T20:01", "now", NODE) == ["no change"]
    assert differs(given, "2026-05-04T20:01", "now", NODE, as_json=True) == []
    with pytest.raises(NotYet):
        differs(given, "2026-05-04T19:00", "2026-05-04T19:01", NODE)
    with pytest.raises(NotLater):
        differs(given, "2026-05-04T20:01", "2026-05-04T20:01")


# What is the case follows from every stream up to then.


Seen = tuple[dict[str, Any], Any, Any]


def seen_now(house: House) -> Seen:
    """What is the case, as the store itself says at this moment."""
    streams = {str(e.originator_id) for e in house.store.read_after(0, 10_000)}
    names = [stream for stream in streams if stream.startswith("approval-")]
    approvals = house.store.load_all(Approval, names)
    freeze = house.store.load(Freeze, FREEZE_STREAM)
    configuration = house.store.load(Configuration, CONFIGURATION_STREAM)
    return (
        {name: whole(approval) for name, approval in approvals.items()},
        freeze and freeze.in_force,
        in_force(configuration or Configuration()),
    )


def in_force(configuration: Configuration) -> dict[str, str | None]:
    """Value, or fingerprint, of every setting."""
    stored = {name: one.value or one.fingerprint for name, one in configuration.stored.items()}
    return {**stored, **(configuration.environment or {})}


def replayed_at(history: StoredHistory, at: datetime) -> Seen:
    approvals = {one.id: whole(one) for one in approvals_at(history, at)}
    settings = {one.name: one.value or one.fingerprint for one in settings_at(history, at)}
    return approvals, frozen_at(history, at), settings


def compare_with_what_was_seen(history: History) -> None:
    with TemporaryDirectory() as folder, opened(Path(folder), ["wangwu"]) as house:
        seen: dict[datetime, Seen] = {}
        at = NOON
        for seconds, command in history:
            at = live(house, [(seconds, command)], at)
            seen[at] = seen_now(house)
        with opened_history(Path(folder) / "events.db") as stored:
            for moment_, what in seen.items():
                assert replayed_at(stored, moment_) == what, moment_


@hypothesis_settings(RANDOM, max_examples=40)
@random(history=histories(2, 16))
def test_a_replay_says_what_was_seen_at_the_time(history: History) -> None:
    compare_with_what_was_seen(history)


def test_so_it_does_after_every_kind_of_event() -> None:
    compare_with_what_was_seen(WHOLE_LIFE)


def test_a_stream_counts_up_to_its_last_event_of_that_time_whatever_the_positions(
    house: House, given: Settings
) -> None:
    """The clock was set back between the two: what is later in the order bears the earlier time."""
    house.do(ask(at=after(minutes=5)), ask(obj_id="1_1", at=NOON))
    assert "approvals: 1, with" in told(given, "2026-05-04T12:00:00Z")[1]
    house.do(cancels(at=after(minutes=4)))  # within one approval time does not go back
    assert "1 Cancelled" in told(given, "2026-05-04T12:05:00Z")[1]
    assert "0 Cancelled" in told(given, "2026-05-04T12:04:59Z")[1]


def test_as_many_as_there_may_be_waiting_are_counted_and_the_most_urgent_named(
    house: House, given: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(as_it_was, "MOST_NAMED", 3)
    for number in (4, 1, 5, 2, 3):
        house.do(ask(obj_id=f"{number}_1", expires_in=60 * (9 - number)))
    lines = told(given, "2026-05-04T12:00:00Z")
    named = [line.split()[0] for line in lines if " zhangsan, lisi: " in line]
    assert named == ["5_1", "4_1", "3_1"]
    assert "  and 2 more (--json lists all)" in lines


# Moments.


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-05-04", datetime(2026, 5, 3, 22, tzinfo=UTC)),
        ("2026-05-04T14:00", NOON),
        ("2026-05-04 14:00:00", NOON),
        ("2026-05-04T12:00:00Z", NOON),
        ("2026-05-04T12:00:00.123Z", NOON + timedelta(milliseconds=123)),
        ("2026-05-04T20:00:00+08:00", NOON),
    ],
)
def test_a_moment_is_read_in_the_zone_unless_it_names_one(text: str, at: datetime) -> None:
    assert moment(text, ROME, NOON) == at + timedelta(microseconds=999)


def test_a_time_that_was_copied_means_all_of_its_millisecond(house: House, given: Settings) -> None:
    at = NOON + timedelta(microseconds=123_456)
    house.do(ask(at=at))
    assert "approvals: 1, with" in told(given, "2026-05-04 20:00:00.123")[1]
    assert "approvals: 0, with" in told(given, "2026-05-04 20:00:00.122")[1]
    assert moment("2026-05-04T12:00:00.123455Z", ROME, NOON) == at - timedelta(microseconds=1)
    assert moment("now", ROME, NOON) == NOON


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "0001-01-01", "9999-12-31T23:59"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    zone = ZoneInfo("Asia/Shanghai" if text.startswith("0") else "America/New_York")
    with pytest.raises(WrongTime, match="is no time; write 2026-05-04, "):
        moment(text, zone, NOON)


# As somebody types it.


def typed(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, "audit", "replay", *arguments],
        env={"FTA_APPROVAL_DATABASE": f"sqlite:///{folder / 'events.db'}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_is_asked_in_the_shell_and_writes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        house.do(ask(), cancels(at=after(minutes=1)))
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in tmp_path.iterdir()}
    done = typed(tmp_path, "--at", "2026-05-04T20:00")
    assert (done.returncode, "1 Waiting" in done.stdout) == (0, True), done.stderr
    done = typed(tmp_path, "--at", "2026-05-04", "--diff", "now", "--language", "zh", NODE)
    assert (done.returncode, done.stdout.startswith("12345_2: 尚未发起 → 已撤销")) == (0, True)
    wrong = typed(tmp_path, "--at", "yesterday")
    assert (wrong.returncode, "'yesterday' is no time" in wrong.stderr) == (2, True)
    backwards = typed(tmp_path, "--at", "now", "--diff", "2026-05-04")
    assert (backwards.returncode, "must be later" in backwards.stderr) == (2, True)
    early = typed(tmp_path, "--at", "2026-05-04", NODE)
    assert (early.returncode, early.stdout, len(early.stderr.splitlines())) == (1, "", 1)
    assert {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in tmp_path.iterdir()} == before
