"""The configuration as history: what a change records, who is told, what a link is good for."""

from datetime import timedelta

import pytest

from domain.configuration import Change, Configuration, Via
from domain.errors import LinkSpent, SettingsMoved
from tests.scenario import NOON, after

HOUR = timedelta(hours=1)


def replayed(configuration: Configuration) -> Configuration:
    """The same by its stored events alone, which must carry everything."""
    return Configuration.replay("configuration", events_of(configuration))


def events_of(configuration: Configuration) -> list[Configuration.Changed]:
    return list(configuration.collect_events())  # type: ignore[arg-type]  # what these tests read


def changed(configuration: Configuration, **values: str | None) -> None:
    configuration.change(Change(values), configuration.revision, "wangwu", Via.PAGE, NOON)


def found(configuration: Configuration, **values: str) -> None:
    configuration.find_environment(Change(values), NOON)


def test_what_is_set_is_kept_with_who_and_when() -> None:
    one = Configuration()
    change = Change({"time_zone": "UTC"}, {"wecom_secret": "sealed"}, {"wecom_secret": "00ff"})
    one.change(change, 0, "wangwu", Via.PAGE, NOON)
    stored = replayed(one).stored
    assert (stored["time_zone"].value, stored["time_zone"].by) == ("UTC", "wangwu")
    assert (stored["wecom_secret"].sealed, stored["wecom_secret"].fingerprint) == ("sealed", "00ff")


def test_what_is_set_already_changes_nothing() -> None:
    one = Configuration()
    change = Change({"time_zone": "UTC"}, {"wecom_secret": "sealed"}, {"wecom_secret": "00ff"})
    one.change(change, 0, "wangwu", Via.PAGE, NOON)
    again = Change({"time_zone": "UTC"}, {"wecom_secret": "sealed anew"}, {"wecom_secret": "00ff"})
    one.change(again, 1, "lisi", Via.PAGE, NOON)
    assert len(events_of(one)) == 1


def test_what_is_no_longer_set_is_gone() -> None:
    one = Configuration()
    one.change(Change({"time_zone": "UTC"}, {"a": "s"}, {"a": "f"}), 0, "wangwu", Via.PAGE, NOON)
    one.change(Change({"time_zone": None}, {}, {"a": None}), 1, "wangwu", Via.PAGE, NOON)
    assert replayed(one).stored == {}


def test_who_has_not_seen_what_is_in_force_changes_nothing() -> None:
    one = Configuration()
    changed(one, admins="wangwu")
    with pytest.raises(SettingsMoved):
        one.change(Change({"admins": "lisi"}), 0, "lisi", Via.PAGE, NOON)
    assert one.stored["admins"].value == "wangwu"


@pytest.mark.parametrize("name", ["super_approvers", "admins", "api_tokens"])
def test_super_approvers_old_and_new_are_told_of_what_matters(name: str) -> None:
    one = Configuration()
    changed(one, super_approvers="wangwu,lisi")
    if name == "super_approvers":
        changed(one, super_approvers="Lisi,zhangsan")
        assert events_of(one)[-1].told == ["wangwu", "lisi", "zhangsan"]
        return
    change = Change({}, {name: "s"}, {name: "f"}) if name == "api_tokens" else Change({name: "x"})
    one.change(change, 1, "wangwu", Via.SHELL, NOON)
    assert events_of(one)[-1].told == ["wangwu", "lisi"]


def test_nobody_is_told_of_anything_else() -> None:
    one = Configuration()
    changed(one, super_approvers="wangwu")
    changed(one, time_zone="UTC", message_style="card")
    assert events_of(one)[-1].told == []


# The environment.


def test_the_first_start_records_the_environment_and_tells_nobody() -> None:
    one = Configuration()
    found(one, super_approvers="wangwu")
    (event,) = events_of(one)
    assert (event.via, event.values, event.told) == (
        "environment",
        {"super_approvers": "wangwu"},
        [],
    )


def test_the_same_environment_again_is_no_event() -> None:
    one = Configuration()
    found(one)
    found(one)
    assert len(events_of(one)) == 1


def test_an_environment_that_differs_is_recorded_where_it_does() -> None:
    one = Configuration()
    found(one, super_approvers="wangwu", time_zone="UTC", app_url="http://a.example/wechat/")
    found(one, super_approvers="lisi", time_zone="UTC")
    event = events_of(one)[-1]
    assert event.values == {"super_approvers": "lisi", "app_url": None}
    assert event.told == ["wangwu", "lisi"]


def test_what_the_environment_no_longer_names_is_again_what_is_stored() -> None:
    one = Configuration()
    found(one, super_approvers="wangwu")
    changed(one, super_approvers="zhangsan")
    assert events_of(one)[-1].told == ["wangwu"]
    one.find_environment(Change(), NOON)
    assert events_of(one)[-1].told == ["wangwu", "zhangsan"]


# The link.


def test_a_link_works_once() -> None:
    one = Configuration()
    one.offer_link("00ff", NOON + HOUR, "shell:root", NOON)
    one.use_link("00ff", "link:00ff", after(minutes=59))
    with pytest.raises(LinkSpent):
        one.use_link("00ff", "link:00ff", after(minutes=59))


def test_a_link_works_for_its_time() -> None:
    one = Configuration()
    one.offer_link("00ff", NOON + HOUR, "shell:root", NOON)
    with pytest.raises(LinkSpent):
        one.use_link("00ff", "link:00ff", NOON + HOUR)


def test_a_newer_link_ends_the_one_before() -> None:
    one = Configuration()
    one.offer_link("00ff", NOON + HOUR, "shell:root", NOON)
    one.offer_link("11ee", NOON + HOUR, "shell:root", NOON)
    with pytest.raises(LinkSpent):
        one.use_link("00ff", "link:00ff", NOON)
    one.use_link("11ee", "link:11ee", NOON)
