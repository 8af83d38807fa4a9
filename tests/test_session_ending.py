"""`fta-approval sessions end`, as an administrator types it, while the service runs or not."""

import asyncio
import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from domain.session import Session, session_stream
from tests import confidential
from tests.conftest import StartService
from tests.process import SCRIPT
from tests.service import Clock, Service
from tests.visitor import APPROVE, Visitor
from web import keys, parts
from web.session_ending import end_sessions


@pytest.fixture
def clock() -> Clock:
    """The command reads the clock of the machine, so the service has to be near it."""
    return Clock(datetime.now(UTC))


async def end(database: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit status, and what was said."""
    process = await asyncio.create_subprocess_exec(
        *map(str, (SCRIPT, "sessions", "end", *arguments)),
        env={
            "FTA_APPROVAL_DATABASE": f"sqlite:///{database}",
            "FTA_APPROVAL_LOG_LEVEL": "debug",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), confidential.note_said("sessions", errors.decode())


async def test_a_lost_phone_is_logged_out_while_the_service_runs(
    service: Service, tmp_path: Path
) -> None:
    approval = await service.ask()
    phone, desk, lisi = (Visitor(service) for _ in range(3))
    form = (await phone.log_in("zhangsan")).form
    await desk.log_in("ZhangSan")
    await lisi.log_in("lisi")
    before = dict(phone.cookies)
    done = await end(tmp_path / "fta-approval.db", "zhangSAN")
    assert done == (0, "ended 2 sessions of zhangSAN\n", "")
    # At once, and whatever the browser keeps.
    for browser in (phone, desk):
        assert (await browser.get("/wechat/todo/")).status == 303
    assert (await phone.press(form, APPROVE)).status == 401
    assert (await Visitor(service, cookies=before).get("/wechat/todo/")).status == 303
    assert (await lisi.get("/wechat/todo/")).status == 200
    assert (await service.look(approval["approval_id"]))["status"] == "pending"
    # Nobody is kept out for good, and the service goes on.
    assert (await phone.log_in("zhangsan")).status == 200
    assert (await phone.press((await phone.get("/wechat/todo/")).form, APPROVE)).status == 303
    assert (await service.look(approval["approval_id"]))["status"] == "approved"


async def test_what_it_did_is_an_event(service: Service, tmp_path: Path) -> None:
    phone = Visitor(service)
    await phone.log_in("zhangsan")
    session = hashlib.sha256(phone.cookies["fta_session"].encode()).hexdigest()
    reading = service.app[keys.READING]
    before = await reading.last_position()
    await end(tmp_path / "fta-approval.db", "zhangsan")
    (_, opened), (position, ended) = await reading.events_of(session_stream(session))
    assert isinstance(opened, Session.Opened) and isinstance(ended, Session.Ended)
    assert (position, ended.why) == (before + 1, "ended-by-administrator")


async def test_it_works_while_no_service_runs_and_says_so_when_there_is_nothing(
    start: StartService, tmp_path: Path
) -> None:
    service = await start()
    phone = Visitor(service)
    await phone.log_in("zhangsan")
    await service.stop()
    database = tmp_path / "fta-approval.db"
    assert await end(database, "lisi") == (0, "ended 0 sessions of lisi\n", "")
    # Its read models may be gone, too: they follow from the events.
    forget_read_models(database)
    assert await end(database, "zhangsan") == (0, "ended 1 session of zhangsan\n", "")
    assert await end(database, "zhangsan") == (0, "ended 0 sessions of zhangsan\n", "")
    phone.service = await start()
    assert (await phone.get("/wechat/todo/")).status == 303


def forget_read_models(database: Path) -> None:
    for views in database.parent.glob(f"{database.name}-views*"):
        views.unlink()


async def test_read_models_that_have_far_to_go_are_waited_for(
    start: StartService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer itself waits for them only as long as everybody else can wait for the writer."""
    service = await start()
    await Visitor(service).log_in("zhangsan")
    await service.stop()
    forget_read_models(tmp_path / "fta-approval.db")
    monkeypatch.setattr(parts, "DIRECTORY_WITHIN_S", 0.0)
    said: list[str] = []
    await end_sessions(service.app[keys.SETTINGS], "zhangsan", said.append)
    assert said == ["ended 1 session of zhangsan"]


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_a_mistyped_database_is_not_made_anew(tmp_path: Path) -> None:
    status, out, errors = await end(tmp_path / "none.db", "zhangsan")
    assert (status, out, files_in(tmp_path)) == (1, "", [])
    assert "there is no event store" in errors and "Traceback" not in errors


@pytest.mark.parametrize("userid", ["", "zhang san", "zhangsan,lisi", "\x1b[31m", "张三"])
async def test_what_is_no_userid_is_said(tmp_path: Path, userid: str) -> None:
    status, out, errors = await end(tmp_path / "none.db", userid)
    assert (status, out) == (2, "")
    assert "is not the userid of a member" in errors and "\x1b" not in errors
