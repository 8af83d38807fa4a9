"""`fta-approval projections rebuild`, as an administrator types it."""

import sqlite3
import subprocess
from pathlib import Path

from projections.runner import ALL
from tests.conftest import StartService
from tests.process import SCRIPT
from tests.service import Service


def rebuild(database: Path, *names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, "projections", "rebuild", *names],
        env={"FTA_APPROVAL_DATABASE": f"sqlite:///{database}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def todo(database: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(f"{database}-views") as connection:
        rows = connection.execute("SELECT * FROM todo ORDER BY member, reply_id").fetchall()
    connection.close()
    return rows


async def test_a_damaged_read_model_is_made_anew_and_nothing_is_sent_again(
    service: Service, tmp_path: Path
) -> None:
    approval = await service.ask("12345_2")
    await service.notified(approval["approval_id"])
    sent = len(service.wecom.inbox("zhangsan"))
    await service.stop()
    database = tmp_path / "fta-approval.db"
    before = todo(database)
    with sqlite3.connect(f"{database}-views") as connection:
        connection.execute("DELETE FROM todo")
    connection.close()
    done = rebuild(database, "todo")
    assert (done.returncode, todo(database)) == (0, before), done.stderr
    assert rebuild(database).returncode == 0
    assert len(service.wecom.inbox("zhangsan")) == sent


def test_an_unknown_read_model_is_named_with_those_there_are(tmp_path: Path) -> None:
    done = rebuild(tmp_path / "none.db", "nope")
    assert done.returncode == 2
    assert "'nope' is none of approvals, todo, decision_feed" in done.stderr


def test_the_help_names_every_read_model() -> None:
    said = " ".join(rebuild(Path("unread"), "--help").stdout.split())
    assert f"NAME is one of {', '.join(projection.name for projection in ALL)}." in said


def test_a_mistyped_database_is_not_made_anew(tmp_path: Path) -> None:
    done = rebuild(tmp_path / "none.db")
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
    assert "there is no event store" in done.stderr


async def test_read_models_that_are_ahead_of_the_events_begin_anew(
    start: StartService, tmp_path: Path
) -> None:
    """An older copy of the store was put back by hand, beside newer read models."""
    service = await start()
    await service.ask("1_1")
    await service.stop()
    database = tmp_path / "fta-approval.db"
    older = database.read_bytes()
    service = await start()
    for number in range(2, 6):
        await service.ask(f"{number}_1")
    await service.stop()
    database.write_bytes(older)
    service = await start()
    await service.ask("9_1")
    status, page = await service.api("GET", "/approvals")
    assert (status, [a["obj_id"] for a in page["approvals"]]) == (200, ["1_1", "9_1"])
    assert [row[1] for row in todo(database) if row[0] == "zhangsan"] == ["1_1", "9_1"]
