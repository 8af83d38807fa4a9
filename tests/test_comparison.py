"""Read models are compared with what follows from the events, and the first difference is named."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from domain.commands import OpenSession
from projections.runner import ALL, ProjectionRunner
from tests.conftest import StartService
from tests.histories import with_a_permit_key
from tests.scenario import APPROVE, REJECT, after, ask, pushes, reached, says
from tests.stores import everything, open_read_models, opened
from tests.test_rebuilding import rebuild
from web.audit.comparing import compare_read_models, tell_differences
from web.settings import Settings, read_settings


@pytest.fixture
def given(tmp_path: Path) -> Settings:
    return read_settings({"FTA_APPROVAL_DATABASE": f"sqlite:///{tmp_path / 'events.db'}"})


@pytest.fixture
def views(tmp_path: Path, given: Settings) -> Path:
    """Read models in which every table has rows, kept up event by event; nobody has them open."""
    with opened(tmp_path, ["wangwu"]) as house:
        house.store.change_installation(with_a_permit_key)
        house.do(
            ask(callback_url="https://engine.example/"),
            ask(obj_id="2_1", approvers=["lisi"]),
            ask(obj_id="3_1"),
            reached("zhangsan"),
            says("zhangsan", APPROVE, at=after(minutes=1)),
            pushes(after(minutes=1), delivery=8, problem="answered 500"),
            says("lisi", REJECT, "2_1", at=after(minutes=2)),
            says("sunqi", None, None, at=after(minutes=3)),
            OpenSession(at=after(minutes=4), session="s", by="lisi", expires_at=after(hours=9)),
        )
        path = tmp_path / "events.db-views"
        with closing(open_read_models(path)) as database:
            runner = ProjectionRunner(house.store, database)
            while chunk := house.store.read_after(runner.position, 1):
                runner.take(chunk)
            empty = [name for name, rows in everything(database).items() if not rows]
            assert empty == []
    return path


def change(views: Path, statement: str) -> None:
    with closing(sqlite3.connect(views)) as connection, connection:
        assert connection.execute(statement).rowcount == 1


def test_what_follows_from_the_events_is_the_same(views: Path, given: Settings) -> None:
    seen: list[tuple[int, int]] = []
    assert compare_read_models(given, lambda done, end: seen.append((done, end))) == []
    assert seen[-1][0] == seen[-1][1] > 8
    assert not list(views.parent.glob("*-compared-*"))


@pytest.mark.parametrize("table", [p.name for p in ALL if p.name != "figures"])
def test_a_row_that_is_gone_or_too_many_or_another_is_named(
    views: Path, given: Settings, table: str
) -> None:
    key, row = a_row_of(views, table)
    where = " AND ".join(f"{name} = {literal(row[name])}" for name in key)
    named = {name: row[name] for name in key}
    for other in [name for name in row if name not in key][:1]:  # of some the key is everything
        change(views, f"UPDATE {table} SET {other} = 'x' WHERE {where}")  # noqa: S608
        (found,) = compare_read_models(given)
        assert (found.table, found.row, found.column) == (table, named, other)
        assert (found.live, found.rebuilt) == ("x", row[other])

    change(views, f"DELETE FROM {table} WHERE {where}")  # noqa: S608
    (found,) = compare_read_models(given)
    assert (found.table, found.row, found.column, found.live) == (table, named, None, "no row")

    change(views, insertion(table, row))
    assert compare_read_models(given) == []
    told_apart_by = [name for name in (*key, "number") if name in row]
    invented = {n: 99_999 if isinstance(row[n], int) else "zzz" for n in told_apart_by}
    change(views, insertion(table, {**row, **invented}))
    (found,) = compare_read_models(given)
    assert (found.table, found.column, found.live, found.rebuilt) == (table, None, "a row", "none")


def test_of_a_table_without_a_key_the_whole_row_is_named(views: Path, given: Settings) -> None:
    key, row = a_row_of(views, "figures")
    assert key == []
    change(views, insertion("figures", row))
    (found,) = compare_read_models(given)
    assert (found.table, found.row, found.column, found.live) == ("figures", row, None, "a row")


def a_row_of(views: Path, table: str) -> tuple[list[str], dict[str, Any]]:
    """The names of its primary key, and one of its rows."""
    with closing(sqlite3.connect(views)) as connection:
        shape = connection.execute(f"PRAGMA table_info({table})").fetchall()
        connection.row_factory = sqlite3.Row
        row = connection.execute(f"SELECT * FROM {table} LIMIT 1").fetchone()  # noqa: S608
    return [name for _, name, _, _, _, place in shape if place], dict(row)


def insertion(table: str, row: dict[str, Any]) -> str:
    return f"INSERT INTO {table} VALUES ({', '.join(map(literal, row.values()))})"  # noqa: S608


def literal(value: Any) -> str:
    if value is None:
        return "NULL"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def test_each_table_has_its_own_first_difference(views: Path, given: Settings) -> None:
    change(views, "DELETE FROM sessions")
    with closing(sqlite3.connect(views)) as connection, connection:
        connection.execute("DELETE FROM todo")
    assert [found.table for found in compare_read_models(given)] == ["sessions", "todo"]


def test_how_far_they_are_and_for_which_tables_they_were_made_counts_too(
    views: Path, given: Settings
) -> None:
    change(views, "UPDATE read_models SET made_for = 'an older version'")
    change(views, "UPDATE tracking SET notification_id = 99 WHERE application_name LIKE '%>todo'")
    assert [found.table for found in compare_read_models(given)] == ["read_models", "tracking"]
    (missing, ahead) = compare_read_models(given)
    assert (ahead.column, ahead.live) == ("notification_id", 99)
    assert "an older version" in str(missing)


def test_a_projection_that_is_behind_is_compared_up_to_where_it_is(
    views: Path, given: Settings
) -> None:
    with closing(open_read_models(views)) as database, database.transaction() as tables:
        todo = next(projection for projection in ALL if projection.name == "todo")
        database.reset(tables, {todo.name: todo.schema})
    assert compare_read_models(given) == []


def test_a_difference_is_one_line(views: Path, given: Settings) -> None:
    change(views, "UPDATE approvals SET status = 'rejected' WHERE reply_id = '12345_2'")
    (found,) = compare_read_models(given)
    assert str(found) == (
        "approvals [approval_id=e50e2ff1-ae80-5e1a-a99b-9efab369f2dc] status:"
        " rejected is stored, approved follows"
    )


def test_what_was_found_is_said(views: Path, given: Settings) -> None:
    lines: list[str] = []
    assert tell_differences(given, lines.append)
    change(views, "UPDATE approvals SET status = 'rejected' WHERE reply_id = '12345_2'")
    assert not tell_differences(given, lines.append)
    assert lines[0] == "read models say what the events say"
    assert lines[1].startswith("read models differ: approvals [approval_id=")
    assert "fta-approval projections rebuild" in lines[2]
    assert not tell_differences(given, lines.append, as_json=True)
    found = json.loads(lines[3])
    assert found == {"ok": False, "read_models": [lines[1].removeprefix("read models differ: ")]}


def test_without_read_models_there_is_nothing_to_compare(tmp_path: Path, given: Settings) -> None:
    with pytest.raises(FileNotFoundError, match="there is no event store"):
        compare_read_models(given)
    with opened(tmp_path) as house:
        house.do(ask())
    with pytest.raises(FileNotFoundError, match="there are no read models"):
        compare_read_models(given)


async def test_a_running_service_is_compared_while_it_works(
    start: StartService, tmp_path: Path
) -> None:
    service = await start()
    given = read_settings({"FTA_APPROVAL_DATABASE": f"sqlite:///{tmp_path / 'fta-approval.db'}"})

    async def asks() -> None:
        for number in range(60):
            await service.ask(f"{number}_1")

    asking = asyncio.create_task(asks())
    for _ in range(3):
        assert await asyncio.to_thread(compare_read_models, given) == []
    await asking
    assert await asyncio.to_thread(compare_read_models, given) == []


async def test_read_models_made_anew_are_the_same_bytes(
    start: StartService, tmp_path: Path
) -> None:
    service = await start()
    approval = await service.ask("12345_2")
    await service.notified(approval["approval_id"])
    for number in range(5):
        await service.ask(f"{number}_1", approvers=["lisi"])
    await service.stop()
    before = dumped(tmp_path / "fta-approval.db-views")
    done = rebuild(tmp_path / "fta-approval.db")
    assert done.returncode == 0, done.stderr
    assert dumped(tmp_path / "fta-approval.db-views") == before
    assert len(before) > 100


def dumped(views: Path) -> bytes:
    """Everything that is in it: tables, indexes, rows in the order in which they stand."""
    with closing(sqlite3.connect(views)) as connection:
        return "\n".join(connection.iterdump()).encode()
