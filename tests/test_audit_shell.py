"""`fta-approval audit search` and `export`, as an auditor types them, beside the service or not."""

import asyncio
import base64
import csv
import io
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from domain.audit import Audit
from tests import confidential
from tests.process import SCRIPT
from tests.scenario import APPROVE, REJECT, after, ask, clock, presses, says
from tests.service import Service
from tests.stores import House, logged, opened
from web.audit import search as audit_search
from web.audit.filters import Filters
from web.settings import PREFIX, read_settings
from web.shell_account import shell_account

__all__ = ["logged"]
KEY = base64.b64encode(b"k" * 32).decode()
WITHIN_S = 60.0
BY_WANGWU = "approved by wangwu as super approver via web"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path, super_approvers=["wangwu"]) as house:
        yield house


async def audit(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit status, and what was said."""
    process = await asyncio.create_subprocess_exec(
        *map(str, (SCRIPT, "audit", *arguments)),
        env={
            "FTA_APPROVAL_DATABASE": f"sqlite:///{folder / 'events.db'}",
            "FTA_APPROVAL_SECRET_KEY": KEY,
            "FTA_APPROVAL_LOG_LEVEL": "warning",
            **environment,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await asyncio.wait_for(process.communicate(), WITHIN_S)
    assert process.returncode is not None
    return process.returncode, out.decode(), confidential.note_said("audit", errors.decode())


def recorded(house: House) -> list[Any]:
    """What was kept of who looked for what and took what, oldest first."""
    stored = [house.store.event(one) for one in house.store.read_after(0, 100_000)]
    return [event for event in stored if isinstance(event, Audit.Searched | Audit.Exported)]


def some(house: House) -> None:
    house.do(
        ask(obj_id="1_1", approvers=["zhangsan", "lisi"], biz_id="支付", message="重启 nginx"),
        ask(obj_id="2_1", at=after(hours=1), message="替换\x1b[31m 故障机", expires_in=60),
        presses("LiSi", REJECT, "1_1"),
        presses("wangwu", APPROVE, "2_1", at=after(hours=1)),
        ask(obj_id="3_1", at=after(hours=5), message="重启"),
        ask(obj_id="4_1", at=after(hours=6), message="重启", expires_in=60),
        clock(after(hours=7), "4_1"),
        says("zhangsan", APPROVE, "9_9"),
    )


async def test_a_search_tells_a_line_each_and_is_recorded(house: House, tmp_path: Path) -> None:
    some(house)
    status, out, errors = await audit(tmp_path, "search", "--from", "2026-05-04")
    assert status == 0, errors
    assert out.splitlines() == [
        "2026-05-05 02:00:00  4_1  expired at 2026-05-05 03:00:00  重启",
        "2026-05-05 01:00:00  3_1  pending until 2026-05-05 01:20:00  重启",
        f"2026-05-04 21:00:00  2_1  {BY_WANGWU} at 2026-05-04 21:00:00  替换\\x1b[31m 故障机",
        "2026-05-04 20:00:00  1_1  rejected by LiSi via web at 2026-05-04 20:01:00  重启 nginx",
    ]
    assert errors.splitlines() == ["times are Asia/Shanghai"]
    (searched,) = recorded(house)
    assert (searched.by, searched.via) == (shell_account(), "shell")
    assert searched.wanted == {"since": "2026-05-03T16:00:00.000Z"}


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--member", "lisi", "--business", "支付", "--to", "2026-05-04"], ["1_1"]),
        (["--from", "2026-05-04T21:00", "--to", "2026-05-04T13:00:00Z"], ["2_1"]),
        (["--status", "expired", "--engine", "fta", "--words", "重启", "--words", "4_1"], ["4_1"]),
        (["--channel", "web", "--limit", "1"], ["2_1"]),
        (["--words", "nothing"], []),
    ],
)
async def test_a_search_finds_by_each_filter(
    house: House, tmp_path: Path, arguments: list[str], found: list[str]
) -> None:
    some(house)
    status, out, errors = await audit(tmp_path, "search", "--json", *arguments)
    assert status == 0, errors
    assert [json.loads(line)["reply_id"] for line in out.splitlines()] == found


async def test_a_search_finds_events_that_are_no_approval(house: House, tmp_path: Path) -> None:
    some(house)
    await audit(tmp_path, "search", "--member", "zhangsan")
    status, out, errors = await audit(
        tmp_path, "search", "--events", "looks", "--events", "messages"
    )
    assert status == 0, errors
    own, before, message = out.splitlines()
    assert f"audit.searched  {shell_account()} via shell" in own
    assert before.endswith('{"wanted":{"member":"zhangsan"}}')
    assert "inbox.received  zhangsan via wecom-text  inbox-zhangsan-2026-05-04" in message
    status, out, _ = await audit(tmp_path, "search", "--events", "all", "--limit", "5", "--json")
    assert len(out.splitlines()) == 5


async def test_a_search_under_other_names_names_nobody(house: House, tmp_path: Path) -> None:
    some(house)
    for arguments in ([], ["--events", "all"], ["--json"]):
        status, out, errors = await audit(tmp_path, "search", "--pseudonyms", *arguments)
        assert status == 0, errors
        assert "member-" in out
        assert not [one for one in ("zhangsan", "lisi", "wangwu") if one in out.casefold()]


async def test_nothing_is_found_by_read_models_that_have_not_seen_everything(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some(house)
    with closing(sqlite3.connect(tmp_path / "events.db")) as connection, connection:
        connection.execute(
            "INSERT INTO stored_events (originator_id, originator_version, topic, state) "
            "VALUES ('x', 1, 'of a newer program', '{}')"
        )
    monkeypatch.setattr(audit_search, "CAUGHT_UP_WITHIN_S", 0.5)
    database = f"sqlite:///{tmp_path / 'events.db'}"
    settings = read_settings({f"{PREFIX}DATABASE": database, f"{PREFIX}SECRET_KEY": KEY})
    question = audit_search.Question(
        filters=Filters(), events=False, limit=1, as_json=True, pseudonyms=False
    )
    said: list[object] = []
    with pytest.raises(audit_search.Behind, match=r"read models are at .* projections rebuild"):
        await audit_search.look_for(settings, question, lambda line, err=False: said.append(line))
    assert said == []
    status, out, _ = await audit(tmp_path, "export", "--what", "approvals")  # does not need them
    assert status == 0 and len(out.splitlines()) == 4


async def test_an_export_goes_out_as_json_lines_its_own_record_included(
    house: House, tmp_path: Path
) -> None:
    some(house)
    status, out, errors = await audit(tmp_path, "export", "--member", "lisi", "--engine", "fta")
    assert status == 0, errors
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["type"] for row in rows] == ["approval.replied", "approval.rejected"]
    (exported,) = recorded(house)
    assert (exported.by, exported.via, exported.what) == (shell_account(), "shell", "events")
    assert (exported.form, exported.pseudonyms) == ("jsonl", False)
    assert exported.wanted == {"member": "lisi", "engine": "fta"}
    status, out, errors = await audit(tmp_path, "export", "--events", "exports", "-o", "-")
    assert len(out.splitlines()) == 2
    assert errors == f"exported up to position {house.store.last_position()}\n"


async def test_a_file_is_its_owners_and_whole(house: House, tmp_path: Path) -> None:
    some(house)
    file = tmp_path / "out.csv"
    arguments = ("export", "--what", "approvals", "--form", "csv", "--bom", "--pseudonyms")
    status, out, errors = await audit(tmp_path, *arguments, "-o", str(file))
    assert (status, out) == (0, ""), errors
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_bytes().startswith(b"\xef\xbb\xbfapproval_id,")
    rows = list(csv.DictReader(io.StringIO(file.read_text("utf-8-sig"), newline="")))
    assert [row["reply_id"] for row in rows] == ["1_1", "2_1", "3_1", "4_1"]
    assert "lisi" not in file.read_text().casefold()
    assert not list(tmp_path.glob("*.part"))  # noqa: ASYNC240
    (exported,) = recorded(house)
    assert exported.pseudonyms is True


async def test_nobody_else_writes_the_file_meanwhile(house: House, tmp_path: Path) -> None:
    some(house)
    (tmp_path / "out.part").write_text("another's")
    status, out, errors = await audit(tmp_path, "export", "-o", str(tmp_path / "out"))
    assert (status, out) == (1, "") and "out.part is there" in errors
    assert (tmp_path / "out.part").read_text() == "another's"
    assert recorded(house) == []


async def test_what_cannot_be_recorded_is_not_given_out(house: House, tmp_path: Path) -> None:
    some(house)
    with closing(sqlite3.connect(tmp_path / "events.db")) as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON stored_events "
            "WHEN NEW.topic LIKE 'audit.%' BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    for arguments in (["export"], ["export", "-o", str(tmp_path / "out")], ["search"]):
        status, out, errors = await audit(tmp_path, *arguments)
        assert (status, out) == (1, ""), errors
        assert len(errors.splitlines()) == 1
    assert not list(tmp_path.glob("out*"))  # noqa: ASYNC240


async def test_whoever_reads_may_stop_reading(house: House, tmp_path: Path) -> None:
    house.do(*(ask(obj_id=f"{number}_1", message="重" * 1500) for number in range(100)))
    for command in ("export", "search --json"):
        shell = f"{SCRIPT} audit {command} | head -c 10; echo ${{PIPESTATUS[0]}}"
        process = await asyncio.create_subprocess_exec(
            *("/bin/bash", "-c", shell),
            env={
                "PATH": "/usr/bin:/bin",
                "FTA_APPROVAL_DATABASE": f"sqlite:///{tmp_path / 'events.db'}",
                "FTA_APPROVAL_SECRET_KEY": KEY,
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await asyncio.wait_for(process.communicate(), WITHIN_S)
        assert out.splitlines()[-1].endswith(b"1"), (out, errors)
        assert b"Traceback" not in errors and b"Broken" not in errors, errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["search", "--from", "yesterday"], "'yesterday' is no time"),
        (["search", "--to", "9999-12-31"], "'9999-12-31' is no time"),
        (["search", "--from", "2026-05-05", "--to", "2026-05-04"], "--to: is before --from"),
        (["export", "--from", "2026-05-05T08:00", "--to", "2026-05-05T07:59"], "--to: is before"),
        (["search", "--status", "done"], "done"),
        (["search", "--channel", "page"], "'page' is none of wecom-text"),
        (["search", "--events", "secrets"], "'secrets' is none of all"),
        (["search", "--events", "logins", "--engine", "fta"], "--engine"),
        (["export", "--what", "approvals", "--events", "logins"], "--events"),
        (["export", "--channel", "smoke"], "'smoke' is none of"),
    ],
    ids=str,
)
async def test_what_means_nothing_is_said_and_nothing_is_shown(
    house: House, tmp_path: Path, arguments: list[str], said: str
) -> None:
    some(house)
    status, out, errors = await audit(tmp_path, *arguments)
    assert (status, out) == (2, "")
    assert said in errors
    assert recorded(house) == []


async def test_without_a_store_nothing_is_made(tmp_path: Path) -> None:
    for arguments in (["search"], ["export"], ["export", "-o", str(tmp_path / "out")]):
        status, out, errors = await audit(tmp_path, *arguments)
        assert (status, out) == (1, "") and "there is no event store" in errors
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240


async def test_beside_the_service_what_it_has_just_answered_is_found(
    service: Service, tmp_path: Path
) -> None:
    await service.ask("1_1")
    (key,) = tmp_path.glob("*.key")  # noqa: ASYNC240
    database = {"FTA_APPROVAL_DATABASE": f"sqlite:///{key.with_suffix('')}"}
    given = {"FTA_APPROVAL_SECRET_KEY": key.read_text().strip(), **database}
    for command in ("search", "export"):
        status, out, errors = await audit(tmp_path, command, **given)
        assert status == 0, errors
        assert "1_1" in out
    await service.ask("2_1")


async def test_one_approval_is_shown_under_other_names_too(house: House, tmp_path: Path) -> None:
    some(house)
    status, out, errors = await audit(tmp_path, "show", "1_1", "--pseudonyms")
    assert (status, out) == (1, "") and "no key for pseudonyms yet" in errors
    await audit(tmp_path, "search", "--pseudonyms")  # makes what a service makes when it starts
    for arguments in ([], ["--json"], ["--language", "zh"]):
        status, out, errors = await audit(tmp_path, "show", "1_1", "--pseudonyms", *arguments)
        assert status == 0, errors
        assert "member-" in out
        assert not [one for one in ("zhangsan", "lisi", "wangwu") if one in out.casefold()]
