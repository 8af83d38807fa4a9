"""`fta-approval audit show`: one approval whole, from a store that nothing is written to."""

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from eventsourcing.persistence import StoredEvent

from adapters.store.mapper import UnreadableEvent
from adapters.store.schema import SCHEMA_VERSION
from adapters.store.stored_history import WrittenMeanwhile, opened_history
from domain.commands import ChangeSettings
from domain.configuration import Change, Via
from domain.decision import Outcome, Risk
from domain.identity import approval_id, approval_stream
from domain.notifications import Way
from domain.text import NOT_ONE_LINE
from tests.histories import redeem, reports, with_a_permit_key
from tests.process import SCRIPT
from tests.scenario import APPROVE, NODE, REJECT, after, ask, cancels, pushes, reached, says
from tests.stores import House, opened
from web.audit.finding import UnknownApproval, stream_of
from web.audit.show import show
from web.settings import Settings, read_settings
from web.translation import ENGLISH, LANGUAGE

NOW = after(hours=1)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path, super_approvers=["wangwu"]) as house:
        yield house


@pytest.fixture
def given(tmp_path: Path) -> Settings:
    return read_settings({"FTA_APPROVAL_DATABASE": f"sqlite:///{tmp_path / 'events.db'}"})


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    token = LANGUAGE.set(ENGLISH)
    yield
    LANGUAGE.reset(token)


def shown(given: Settings, name: str = NODE, *, as_json: bool = False) -> list[str]:
    lines: list[str] = []
    show(given, name, NOW, lines.append, as_json=as_json)
    return lines


def meant(given: Settings, path: Path, name: str) -> str:
    with opened_history(path) as history:
        return stream_of(history, given, name)


def test_everything_about_an_approval_is_there(house: House, given: Settings) -> None:
    house.store.change_installation(with_a_permit_key)
    house.do(
        ask(
            action='{"ip":"10.0.0.1"}',
            action_digest="sha256:00",
            risk=Risk.HIGH,
            biz_id="2",
            details={"IP": "10.0.0.1"},
            callback_url="https://engine.example/decisions?key=secret",
        ),
        reached("zhangsan", way=Way.CARD),
        reached("lisi", problem="81013", unreachable=True),
        says("sunqi", APPROVE),
        says("zhangsan", APPROVE, at=after(minutes=2), reason="计划内"),
        pushes(after(minutes=2), problem="answered 500"),
    )
    house.do(redeem(house, after(minutes=3), NODE, "try-1", is_same=True))
    house.do(reports(after(minutes=4), NODE, "fta", Outcome.SUCCEEDED))
    assert shown(given) == [
        f"ID: 12345_2  {approval_id(approval_stream(NODE))}  #3",
        "Time zone: Asia/Shanghai",
        "Status: Approved, zhangsan approved via reply at 2026-05-04 20:02:00.000; reason: 计划内",
        "What: 重启 10.0.0.1 的 nginx",
        "Kind: Healing solution, High risk",
        'What will be executed: {"ip":"10.0.0.1"}',
        "Digest: sha256:00",
        "Asked by: fta",
        "Business: 2",
        "IP: 10.0.0.1",
        "Asked at: 2026-05-04 20:00:00.000",
        "Open until: 2026-05-04 20:20:00.000",
        "Approver: zhangsan, lisi",
        "Told: zhangsan, taken by WeCom, 2026-05-04 20:00:01.000, Card",
        "Told: lisi, cannot be reached, 2026-05-04 20:00:01.000, 81013",
        "Told: wangwu, being sent",
        "Execution: executed successfully, reported at 2026-05-04 20:04:00.000",
        "Permit: good until 2026-05-04 20:17:00.000, key key-1",
        "Webhook: https://engine.example/decisions",
        "Webhook: decision 7: not delivered yet, tries: 1: answered 500",
        "",
        "2026-05-04 Asia/Shanghai, 2026-05-04 UTC",
        "   3  20:00:00.000  api         fta asked; approvers: zhangsan, lisi",
        "   4  20:00:01.000              Sent to zhangsan (card)",
        "   5  20:00:01.000              Cannot reach lisi: 81013",
        (
            "   6  20:01:00.000  wecom-text  sunqi chose to approve via reply: “TY 12345_2”"
            " (no effect: not an approver)"
        ),
        "   7  20:02:00.000  wecom-text  zhangsan chose to approve via reply: “TY 12345_2 计划内”",
        "   8  20:02:00.000  wecom-text  Approved by zhangsan (Approver); comment: 计划内",
        "   9  20:02:00.000              Pushing the decision failed (try 1): answered 500",
        "  10  20:03:00.000  api         fta redeemed the permit (attempt try-1)",
        "  11  20:04:00.000  api         fta reported: executed successfully",
    ]


def test_the_day_is_told_when_it_changes_here_or_in_utc(house: House, given: Settings) -> None:
    house.do(ask(expires_in=86_400), says("sunqi", APPROVE, at=after(hours=5)))
    house.do(says("sunqi", REJECT, at=after(hours=13)))
    days = [line for line in shown(given) if line.endswith(" UTC")]
    assert days == [
        "2026-05-04 Asia/Shanghai, 2026-05-04 UTC",
        "2026-05-05 Asia/Shanghai, 2026-05-04 UTC",
        "2026-05-05 Asia/Shanghai, 2026-05-05 UTC",
    ]


def test_as_json_each_event_is_there_as_it_is_stored(house: House, given: Settings) -> None:
    house.do(ask(), says("sunqi", APPROVE), cancels(at=after(minutes=2)))
    lines = [json.loads(line) for line in shown(given, as_json=True)]
    stored = house.store.recorder.select_streams([approval_stream(NODE)])
    assert [json.loads(row.state) for row in stored] == [line["data"] for line in lines]
    assert [(line["position"], line["version"], line["type"]) for line in lines] == [
        (row.id, row.originator_version, row.topic) for row in stored
    ]
    assert [(line["by"], line["via"], line["at"]) for line in lines] == [
        ("fta", "api", "2026-05-04T12:00:00.000Z"),
        ("sunqi", "wecom-text", "2026-05-04T12:01:00.000Z"),
        ("fta", "api", "2026-05-04T12:02:00.000Z"),
    ]


def test_json_is_read_back_whatever_a_member_wrote(tmp_path: Path) -> None:
    words = "TY 12345_2 \x85\x1b[2J\u202e\u2028"
    with opened(tmp_path) as house:
        house.do(ask(), says("sunqi", APPROVE, words=words))
    done = typed(tmp_path, NODE, "--json")
    assert len(done.stdout.splitlines()) == 2
    assert json.loads(done.stdout.splitlines()[1])["data"]["words"] == words
    assert not NOT_ONE_LINE.search(done.stdout.replace("\n", ""))


def test_a_reply_id_means_its_run_and_a_node_its_latest(
    house: House, given: Settings, tmp_path: Path
) -> None:
    for run in (1, 2, 10):
        house.do(ask(run=run, at=after(minutes=run)))
    house.do(ask(obj_id="7_7", run=3), ask(obj_id="7_7", run=12, at=after(minutes=1)))
    path = tmp_path / "events.db"
    assert meant(given, path, NODE) == approval_stream(NODE)
    assert meant(given, path, f"{NODE}.2") == approval_stream(f"{NODE}.2")
    assert meant(given, path, "7_7") == approval_stream("7_7.12")
    assert "Other runs of this node: 12345_2.2, 12345_2.10" in shown(given)
    assert "Other runs of this node: 12345_2, 12345_2.10" in shown(given, f"{NODE}.2")


@pytest.mark.parametrize("views", ["", "empty", "lies"])
def test_a_uuid_is_found_whatever_the_read_models_say(
    house: House, given: Settings, tmp_path: Path, views: str
) -> None:
    house.do(ask(), ask(obj_id="other"))
    uuid = approval_id(approval_stream(NODE))
    if views:
        with closing(sqlite3.connect(tmp_path / "events.db-views")) as connection, connection:
            connection.execute("CREATE TABLE approvals (approval_id, reply_id)")
            if views == "lies":
                connection.execute("INSERT INTO approvals VALUES (?, 'other')", [uuid])
    path = tmp_path / "events.db"
    assert meant(given, path, uuid) == meant(given, path, uuid.upper()) == approval_stream(NODE)
    with pytest.raises(UnknownApproval):
        meant(given, path, uuid.replace(uuid[0], "f" if uuid[0] != "f" else "e"))


def test_who_has_the_wrong_case_is_told_what_there_is(
    house: House, given: Settings, tmp_path: Path
) -> None:
    house.do(ask(obj_id="Node_A"), ask(obj_id="NODE_A"))
    with pytest.raises(UnknownApproval, match="no approval node_a; there is NODE_A, Node_A"):
        meant(given, tmp_path / "events.db", "node_a")
    with pytest.raises(UnknownApproval, match=r"no approval Node$"):
        meant(given, tmp_path / "events.db", "Node")


def test_times_are_in_the_zone_that_is_stored_unless_the_environment_names_one(
    house: House, given: Settings, tmp_path: Path
) -> None:
    house.do(
        ask(),
        ChangeSettings(
            at=NOW, by="lisi", via=Via.PAGE, revision=0, change=Change({"time_zone": "Europe/Rome"})
        ),
    )
    assert "Asked at: 2026-05-04 14:00:00.000" in shown(given)
    database = f"sqlite:///{tmp_path / 'events.db'}"
    environment = {"FTA_APPROVAL_DATABASE": database, "FTA_APPROVAL_TIME_ZONE": "UTC"}
    assert "Asked at: 2026-05-04 12:00:00.000" in shown(read_settings(environment))


def test_an_event_of_a_newer_program_is_not_guessed_at(house: House, given: Settings) -> None:
    house.do(ask())
    store_newer(house)
    with pytest.raises(UnreadableEvent, match="version 2 is unknown to this program"):
        shown(given)


def store_newer(house: House) -> None:
    """An event as a newer program would store it."""
    state = b'{"class_version":2,"originator_id":"approval-12345_2","originator_version":2}'
    house.store.recorder.insert_events(
        [StoredEvent(approval_stream(NODE), 2, "approval.expired", state)]
    )


# As somebody types it.


def typed(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, "audit", "show", *arguments],
        env={"FTA_APPROVAL_DATABASE": f"sqlite:///{folder / 'events.db'}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def state_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}


def test_nothing_is_written_and_nothing_is_left_beside_the_store(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        house.do(ask(message="rm \x1b[2J -rf"))
    before = state_of(tmp_path)
    done = typed(tmp_path, NODE, "--language", "zh")
    assert (done.returncode, done.stderr) == (0, "")
    assert r"内容: rm \x1b[2J -rf" in done.stdout
    assert state_of(tmp_path) == before


def test_a_store_in_use_is_read_with_what_was_stored_last(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        house.do(ask(), cancels())
        done = typed(tmp_path, NODE)
        assert (done.returncode, "Status: Cancelled" in done.stdout) == (0, True), done.stderr
        house.do(ask(obj_id="7_7"))
        assert typed(tmp_path, "7_7").returncode == 0


def test_what_cannot_be_shown_is_one_line_and_exit_status_1(tmp_path: Path) -> None:
    missing = typed(tmp_path, NODE)
    assert (missing.returncode, list(tmp_path.iterdir())) == (1, [])
    assert missing.stderr.startswith("fta-approval: there is no event store at ")
    with opened(tmp_path) as house:
        house.do(ask(obj_id="Node_A"))
        unknown = typed(tmp_path, "node_a")
        assert unknown.returncode == 1
        assert unknown.stderr == "fta-approval: there is no approval node_a; there is Node_A\n"
        house.do(ask())
        store_newer(house)
    newer = typed(tmp_path, NODE)
    assert (newer.returncode, len(newer.stderr.splitlines())) == (1, 1)
    assert "its version 2 is unknown to this program" in newer.stderr
    (tmp_path / "events.db").write_bytes(b"something else, long enough to be no database" * 9)
    other = typed(tmp_path, NODE)
    assert (other.returncode, len(other.stderr.splitlines())) == (1, 1)
    assert "FTA_APPROVAL_DATABASE cannot be used: file is not a database" in other.stderr


def test_what_is_written_meanwhile_is_not_passed_over(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        house.do(ask())
    with pytest.raises(WrittenMeanwhile), opened_history(tmp_path / "events.db") as history:
        assert history.last_position
        with opened(tmp_path) as house:
            house.do(ask(obj_id="7_7"))


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        house.do(ask())
    with closing(sqlite3.connect(tmp_path / "events.db")) as connection:
        connection.execute("PRAGMA user_version=99")
    done = typed(tmp_path, NODE)
    assert done.returncode == 1
    assert f"has schema 99, this program knows {SCHEMA_VERSION}" in done.stderr
