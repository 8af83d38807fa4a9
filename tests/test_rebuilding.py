"""`fta-approval projections rebuild`, as an administrator types it."""

import sqlite3
import subprocess
from pathlib import Path

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


def test_a_mistyped_database_is_not_made_anew(tmp_path: Path) -> None:
    done = rebuild(tmp_path / "none.db")
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
    assert "there is no event store" in done.stderr
