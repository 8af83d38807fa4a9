"""Kinds of event by the names that people look for them with."""

import pytest

from domain.catalogue import EVENTS
from web.audit.kinds import EVERYTHING, GROUPS, UnknownKind, topics


@pytest.mark.parametrize("group", GROUPS)
def test_a_kind_is_never_everything_by_being_nothing(group: str) -> None:
    assert topics((group,)) and set(topics((group,))) <= set(EVENTS)


def test_kinds_add_up_and_all_is_all() -> None:
    assert topics(("freezes", "freeze.began")) == ("freeze.began", "freeze.ended")
    assert topics(("logins",)) == ("session.opened", "session.ended", "configuration.link-used")
    assert topics((EVERYTHING, "freezes")) == ()


def test_what_is_no_kind_is_refused() -> None:
    with pytest.raises(UnknownKind, match=r"'approval\.' is none of all"):
        topics(("approval.",))


def test_every_event_is_of_some_kind() -> None:
    assert {topic for group in GROUPS for topic in topics((group,))} == set(EVENTS)
