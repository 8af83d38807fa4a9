"""Logins: opened, ended, and all of a member's ended at once."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from domain import errors
from domain.approval import Approval
from domain.commands import EndSession, EndSessionsOf, OpenSession
from domain.session import Session
from tests.scenario import (
    APPROVE,
    MILLISECOND,
    NOON,
    Scenario,
    after,
    ask,
    event,
    given,
    says,
)
from tests.stores import in_one_batch, opened, pausing, writing

__all__ = ["pausing"]

TWELVE_HOURS = timedelta(hours=12)


def logs_in(by: str, session: str, at: datetime = NOON, **fields: Any) -> OpenSession:
    return OpenSession(at=at, session=session, by=by, expires_at=at + TWELVE_HOURS, **fields)


def ends_all(by: str, at: datetime = NOON + timedelta(minutes=1)) -> EndSessionsOf:
    return EndSessionsOf(at=at, by=by, why="ended-by-administrator")


def ended(scenario: Scenario) -> list[str]:
    """The streams whose sessions the last command ended, for that reason."""
    assert {getattr(new, "why", None) for new in scenario.happened} <= {"ended-by-administrator"}
    assert {type(new) for new in scenario.happened} <= {Session.Ended}
    return sorted(new.originator_id for new in scenario.happened)


def test_a_session_is_ended_once_and_says_why() -> None:
    logout = EndSession(at=after(minutes=1), session="a", why="logged-out")
    scenario = given(logs_in("zhangsan", "a")).when(logout)
    scenario.then(event(Session.Ended, originator_id="session-a", why="logged-out"))
    scenario.when(logout).then_nothing()
    scenario.when(EndSession(at=NOON, session="unknown")).then_nothing()


def test_a_state_opens_one_session() -> None:
    scenario = given(logs_in("zhangsan", "a", state="5f"))
    scenario.when(logs_in("lisi", "b", after(minutes=9), state="5f")).then_refused(errors.LoginUsed)
    scenario.when(logs_in("lisi", "b", state="60")).then(event(Session.Opened, by="lisi"))


def test_a_state_is_no_message_of_anybody() -> None:
    """Deliveries of members and states of logins are kept in one place."""
    key = "login:5f"
    said = says("zhangsan", APPROVE, delivery_key=key)
    given(ask(), said).when(logs_in("zhangsan", "a", state="5f")).then(event(Session.Opened))
    given(ask(), logs_in("zhangsan", "a", state="5f")).when(said).then(
        event(Approval.Replied), event(Approval.Approved)
    )


def test_a_new_login_ends_the_earlier_session_of_the_browser() -> None:
    scenario = given(logs_in("zhangsan", "a"), logs_in("zhangsan", "elsewhere"))
    scenario.when(logs_in("lisi", "b", after(hours=1), replaces="a")).then(
        event(Session.Ended, originator_id="session-a", why="logged-in-again"),
        event(Session.Opened, originator_id="session-b", by="lisi"),
    )
    again = logs_in("lisi", "c", after(hours=2), replaces="a")  # which has ended
    scenario.when(again).then(event(Session.Opened))
    invented = logs_in("lisi", "d", after(hours=2), replaces="invented")
    scenario.when(invented).then(event(Session.Opened))


def test_a_login_that_is_refused_ends_nothing() -> None:
    scenario = given(logs_in("zhangsan", "a", state="5f"))
    scenario.when(logs_in("zhangsan", "b", state="5f", replaces="a"))
    scenario.then_refused(errors.LoginUsed)


@pytest.mark.usefixtures("pausing")
async def test_of_many_who_come_back_with_one_state_one_is_let_in(tmp_path: Path) -> None:
    """In one transaction and in several, in one process and in two."""
    with writing(tmp_path) as one, writing(tmp_path) as two:
        for number in range(10):
            state = f"state-{number}"
            logins = [logs_in("zhangsan", f"{number}-{n}", state=state) for n in range(4)]
            apart = [one.execute(logins[0]), two.execute(logins[1])]
            outcomes, more = await asyncio.gather(
                asyncio.gather(*apart, return_exceptions=True), in_one_batch(one, *logins[2:])
            )
            told = [type(outcome) for outcome in [*outcomes, *more]]
            assert (told.count(type(None)), told.count(errors.LoginUsed)) == (1, 3), told


def test_every_open_session_of_a_member_ends_at_once_and_nobody_elses() -> None:
    scenario = given(
        logs_in("zhangsan", "phone"),
        logs_in("ZhangSan", "desk", after(hours=1)),
        logs_in("lisi", "other"),
        logs_in("zhangsan", "gone"),
        EndSession(at=after(hours=1), session="gone"),
    ).when(ends_all("zhangSAN", after(hours=2)))
    assert ended(scenario) == ["session-desk", "session-phone"]
    assert scenario.answer == 2
    scenario.when(ends_all("zhangsan", after(hours=3))).then_nothing()
    assert scenario.answer == 0


def test_what_has_run_out_is_not_ended_again() -> None:
    scenario = given(logs_in("zhangsan", "a"), logs_in("zhangsan", "b", NOON + MILLISECOND))
    scenario.when(ends_all("zhangsan", NOON + TWELVE_HOURS))
    assert ended(scenario) == ["session-b"]


def test_who_logs_in_afterwards_is_logged_in() -> None:
    scenario = given(logs_in("zhangsan", "a"), ends_all("zhangsan"))
    scenario.and_(logs_in("zhangsan", "b", after(minutes=2)))
    session = scenario.unit.replayed(Session, "session-b")
    assert session is not None and session.member(after(minutes=2)) == "zhangsan"


def test_on_disk_they_end_in_one_transaction(tmp_path: Path) -> None:
    with opened(tmp_path) as house:
        house.do(logs_in("zhangsan", "a"), logs_in("ZhangSan", "b"), logs_in("lisi", "c"))
        assert house.do(ends_all("zhangsan")) == 2
        assert [row["session"] for row in house.rows("sessions")] == ["c"]
        assert house.do(ends_all("zhangsan")) == 0
        assert house.do(ends_all("")) == 0


@pytest.mark.usefixtures("pausing")
@pytest.mark.parametrize("count", [1, 30])
async def test_what_was_opened_a_moment_before_ends_too(tmp_path: Path, count: int) -> None:
    """The writer asks read models that have seen the whole batch, and before it."""
    with writing(tmp_path) as writer:
        await writer.execute(logs_in("zhangsan", "before"))
        logins = [logs_in("zhangsan", f"session-{number}") for number in range(count)]
        outcomes = await in_one_batch(writer, *logins, ends_all("zhangsan"))
        assert outcomes[-1] == count + 1


async def test_a_session_that_another_process_ends_meanwhile_is_ended_once(tmp_path: Path) -> None:
    """The two meet at the version of its event; who comes second looks again."""
    with writing(tmp_path) as one, writing(tmp_path) as two:
        for number in range(20):
            await one.execute(logs_in("zhangsan", f"s{number}"))
            counts = await asyncio.gather(
                one.execute(ends_all("zhangsan")), two.execute(ends_all("ZhangSan"))
            )
            assert sorted(counts) == [0, 1]
