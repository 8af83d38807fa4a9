"""Who had which right and when: the review, against a simple oracle and as an auditor takes it."""

import csv
import io
import random
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.store.event_store import open_event_store
from domain.audit import Audit
from domain.configuration import Change, Configuration, Via
from domain.identity import audit_stream, same_person
from tests import confidential
from tests.configuring import set_here
from tests.conftest import StartService
from tests.scenario import NOON
from tests.service import Clock, Service
from tests.test_configuration_page import FREE
from tests.test_settings_commands import database, run
from web.audit.access_review import line
from web.audit.rights import RIGHTS, TOKENS, UNKNOWN, Held, rights
from web.in_force import environment_of
from web.parts import build_parts
from web.settings import PREFIX, read_settings
from web.shell_account import shell_account

PEOPLE = ("zhangsan", "ZhangSan", "lisi", "wangwu")
ENGINES = ("fta", "bcs", "FTA")
LISTS = ("admins", "auditors", "super_approvers")


def after(minutes: int) -> datetime:
    return NOON + timedelta(minutes=minutes)


def changes_of(configuration: Configuration) -> list[Configuration.Changed]:
    return [e for e in configuration.collect_events() if isinstance(e, Configuration.Changed)]


# Random histories.


class History:
    """Settings as they come, and beside them who is in force after each change, by plain sets."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.configuration = Configuration()
        self.moments: list[tuple[datetime, dict[str, set[str]]]] = []
        self.layers: dict[Via, dict[str, list[str]]] = {Via.SHELL: {}, Via.ENVIRONMENT: {}}

    def go(self, steps: int) -> None:
        for step in range(steps):
            if self.chance.random() < 0.3:
                self.start(after(step))
            else:
                self.edit(after(step))
            self.moments.append((after(step), {name: self.in_force(name) for name in RIGHTS}))

    def start(self, at: datetime) -> None:
        """The service starts with another environment."""
        names = [name for name in RIGHTS if self.chance.random() < 0.4]
        found = {name: self.some(name) for name in names}
        self.layers[Via.ENVIRONMENT] = found
        self.configuration.find_environment(self.change(found), at)

    def edit(self, at: datetime) -> None:
        name = self.chance.choice(list(RIGHTS))
        layer = self.layers[Via.SHELL]
        if self.chance.random() < 0.3:
            layer.pop(name, None)
            gone: dict[str, str | None] = {name: None}
            change = Change({}, {}, gone) if name == TOKENS else Change(gone)
        else:
            layer[name] = self.some(name)
            change = self.change({name: layer[name]})
        revision = self.configuration.revision
        self.configuration.change(change, revision, "shell:root", Via.SHELL, at)

    def some(self, name: str) -> list[str]:
        everybody = ENGINES if name == TOKENS else PEOPLE
        return self.chance.sample(everybody, self.chance.randint(1, len(everybody)))

    def change(self, lists: dict[str, list[str]]) -> Change:
        values = {name: ",".join(people) for name, people in lists.items() if name != TOKENS}
        if TOKENS not in lists:
            return Change(values)
        # The same names with other tokens are another fingerprint, the same tokens are not.
        text = ",".join(sorted(lists[TOKENS])) + self.chance.choice("ab")
        lists[TOKENS] = sorted(lists[TOKENS])
        return Change(values, {TOKENS: "sealed"}, {TOKENS: text}, {TOKENS: lists[TOKENS]})

    def in_force(self, name: str) -> set[str]:
        stored = self.layers[Via.SHELL].get(name, [])
        found = self.layers[Via.ENVIRONMENT].get(name, stored)
        return {one if name == TOKENS else same_person(one) for one in found}


@pytest.mark.parametrize("seed", range(100))
def test_at_every_moment_the_review_names_who_was_in_force(seed: int) -> None:
    history = History(random.Random(seed))  # noqa: S311  # no secret
    history.go(40)
    held = rights(changes_of(history.configuration))
    for at, expected in history.moments:
        for setting, right in RIGHTS.items():
            fold = str if setting == TOKENS else same_person
            named = [fold(h.name) for h in held if h.right == right and is_held(h, at)]
            assert sorted(named) == sorted(expected[setting]), (at, setting)


def is_held(held: Held, at: datetime) -> bool:
    return held.since <= at and (held.until is None or at < held.until)


# What a row says.


def test_a_right_has_who_gave_it_and_who_took_it_and_by_which_way() -> None:
    one = Configuration()
    one.change(Change({"admins": "lisi,wangwu"}), 0, "link:00ff", Via.PAGE, after(0))
    one.change(Change({"admins": "wangwu,LiSi"}), 1, "wangwu", Via.PAGE, after(1))
    one.change(Change({"admins": "wangwu"}), 2, "shell:root", Via.SHELL, after(2))
    one.change(Change({"admins": None}), 3, "wangwu", Via.PAGE, after(3))
    assert rights(changes_of(one)) == [
        Held("admin", "lisi", after(0), "link:00ff", "page", after(2), "shell:root", "shell"),
        Held("admin", "wangwu", after(0), "link:00ff", "page", after(3), "wangwu", "page"),
    ]


def test_the_environment_outranks_what_is_stored_and_what_is_stored_comes_back() -> None:
    one = Configuration()
    one.change(Change({"auditors": "lisi"}), 0, "wangwu", Via.PAGE, after(0))
    one.find_environment(Change({"auditors": "zhangsan"}), after(1))
    one.find_environment(Change({"time_zone": "UTC"}), after(2))
    found = [(h.name, h.since, h.until, h.via) for h in rights(changes_of(one))]
    assert found == [
        ("lisi", after(0), after(1), "page"),
        ("zhangsan", after(1), after(2), "environment"),
        ("lisi", after(2), None, "environment"),
    ]


def test_whose_tokens_they_were_is_unknown_before_it_was_recorded() -> None:
    one = Configuration()
    one.change(Change({}, {TOKENS: "s"}, {TOKENS: "f1"}), 0, "wangwu", Via.PAGE, after(0))
    two = Change({}, {TOKENS: "s"}, {TOKENS: "f2"}, {TOKENS: ["fta", "bcs"]})
    one.change(two, 1, "wangwu", Via.PAGE, after(1))
    one.change(Change({}, {}, {TOKENS: None}), 2, "wangwu", Via.PAGE, after(2))
    found = [(h.name, h.since, h.until) for h in rights(changes_of(one))]
    assert found == [
        (UNKNOWN, after(0), after(1)),
        ("fta", after(1), after(2)),
        ("bcs", after(1), after(2)),
    ]


async def test_names_of_tokens_are_kept_with_every_change_and_the_tokens_are_not(
    start: StartService,
) -> None:
    service = await start(**FREE)
    token = confidential.note("API token", "a-token-of-bcs-0")
    await set_here(service, api_tokens=f"bcs:{token},bcs:{token}1,fta:{token}2")
    stored = await changes_events(service)
    assert stored[-1].names == {TOKENS: ["bcs", "fta"]}
    assert token not in repr(stored)


async def changes_events(service: Service) -> list[Configuration.Changed]:
    with closing(open_event_store(database(service))) as store:
        found = [event for _, event in store.events_of("configuration")]
    return [event for event in found if isinstance(event, Configuration.Changed)]


async def test_names_of_tokens_of_the_environment_are_kept_too(service: Service) -> None:
    (found,) = await changes_events(service)
    assert (found.via, found.names) == ("environment", {TOKENS: ["fta", "other", "reader"]})


def test_an_environment_without_tokens_names_nobody(tmp_path: Path) -> None:
    given = read_settings({f"{PREFIX}DATABASE": f"sqlite:///{tmp_path}/a.db"})
    parts = build_parts(given, lambda: NOON)
    assert environment_of(given, parts.in_force.secrets).names == {}
    for store in (parts.writer.store, parts.runner.source, parts.store):
        store.close()
    parts.read_models.close()
    confidential.note("secret key", (tmp_path / "a.db.key").read_text().strip())


# The file.


@pytest.mark.parametrize(
    "words",
    ["=1+1", "+1", "-1", "@a", "\t=1", "\r=1", " =1", "\n@a", "＝1", "＋1", "－1", "＠a"],
)
def test_nothing_in_it_is_a_formula(words: str) -> None:
    ((cell, other),) = csv.reader(io.StringIO(line([words, "a=1"]), newline=""))
    assert cell == f"'{words}"
    assert other == "a=1"


async def review(service: Service, *options: str) -> list[dict[str, str]]:
    status, out, err = await run(
        database(service), "audit", "access-review", *options, FTA_APPROVAL_TIME_ZONE="Asia/Tokyo"
    )
    assert status == 0, err
    assert out.removeprefix("\ufeff").startswith("what,name,from,to,")
    assert out.startswith("\ufeff") == ("--bom" in options)
    return list(csv.DictReader(io.StringIO(out.removeprefix("\ufeff"), newline="")))


async def test_the_review_shows_rights_and_decisions_of_super_approvers_and_is_recorded(
    service: Service,
) -> None:
    for number in range(3):
        await service.ask(f"{number}_1")
    assert await service.says("wangwu", "TY 0_1") == 200
    assert await service.says("wangwu", "BH 1_1 =HYPERLINK(1)") == 200
    assert await service.says("lisi", "TY 2_1") == 200
    rows = await review(service, "--bom")
    held = [(row["what"], row["name"], row["set_via"]) for row in rows[:-2]]
    assert held == [
        ("super-approver", "wangwu", "environment"),
        ("token", "fta", "environment"),
        ("token", "other", "environment"),
        ("token", "reader", "environment"),
    ]
    assert rows[0]["from"] == "2026-01-05T21:00:00+09:00"
    decided: Any = [
        (row["name"], row["approval"], row["decision"], row["set_via"], row["reason"])
        for row in rows[-2:]
    ]
    assert decided == [
        ("wangwu", "0_1", "approved", "wecom-text", ""),
        ("wangwu", "1_1", "rejected", "wecom-text", "'=HYPERLINK(1)"),
    ]
    exported = await exports(service)
    assert [(e.what, e.form, e.wanted, e.by) for e in exported] == [
        ("access-review", "csv", {}, shell_account())
    ]


async def exports(service: Service) -> list[Audit.Exported]:
    with closing(open_event_store(database(service))) as store:
        stream = audit_stream(shell_account(), datetime.now(UTC))
        return [e for _, e in store.events_of(stream) if isinstance(e, Audit.Exported)]


async def test_days_are_those_of_the_time_zone(service: Service, clock: Clock) -> None:
    """Noon in UTC on the fifth is nine in the evening in Tokyo."""
    await service.ask("1_1")
    await service.ask("2_1")
    assert await service.says("wangwu", "TY 1_1") == 200
    clock.advance(hours=3)
    await service.ask("3_1")
    assert await service.says("wangwu", "TY 3_1") == 200

    async def decided(*options: str) -> list[str]:
        rows = await review(service, *options)
        return [row["approval"] for row in rows if row["what"] == "decision"]

    assert await decided("--from", "2026-01-05", "--to", "2026-01-05") == ["1_1"]
    assert await decided("--from", "2026-01-06", "--to", "2026-01-06") == ["3_1"]
    assert await decided("--from", "2026-01-07") == []
    assert [row["what"] for row in await review(service, "--to", "2026-01-04")] == []
    status, _, err = await run(
        database(service), "audit", "access-review", "--from", "2026-01-06", "--to", "2026-01-05"
    )
    assert (status, "is before --from" in err) == (2, True)
    assert (await exports(service))[-1].wanted == {"to": "2026-01-04"}
