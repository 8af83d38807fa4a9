"""Who had which right, from when to when, by the changes of the settings that give it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from domain.configuration import Configuration, Via
from domain.identity import same_person

RIGHTS = {
    "admins": "admin",
    "auditors": "auditor",
    "super_approvers": "super-approver",
    "api_tokens": "token",
}
"""What each of these settings makes of who is named in it."""
TOKENS = "api_tokens"
UNKNOWN = "unknown"
"""Whose the tokens were: events of earlier versions do not say."""


@dataclass(slots=True)
class Held:
    """One right of one name, for as long as it was in force without a gap."""

    right: str
    name: str
    """A userid as it was spelled first, or the name of a token."""
    since: datetime
    by: str
    via: str
    until: datetime | None = None
    """None: it still is."""
    ended_by: str | None = None
    ended_via: str | None = None


@dataclass(slots=True)
class _Setting:
    """Who stands in one setting: in the environment, which outranks, and as stored."""

    in_environment: list[str] | None = None
    """None: it is not set there."""
    stored: list[str] | None = None
    holders: dict[str, Held] = field(default_factory=dict)

    @property
    def in_force(self) -> list[str]:
        return (self.stored or []) if self.in_environment is None else self.in_environment


def rights(changes: Iterable[Configuration.Changed]) -> list[Held]:
    """
    Everything that anybody held, in the order in which it began.

    What the environment sets counts from the start of the service at which it was found.
    """
    settings = {name: _Setting() for name in RIGHTS}
    held: list[Held] = []
    for event in changes:
        for name, setting in settings.items():
            if name in event.values or name in event.fingerprints:
                _set(setting, event, _named(event, name))
                held.extend(_moved(RIGHTS[name], setting, event))
    return held


def _named(event: Configuration.Changed, setting: str) -> list[str] | None:
    """Who is named in it from now on; None where it is no longer set."""
    if setting == TOKENS:
        is_set = event.fingerprints.get(setting) is not None
        return event.names.get(setting, [UNKNOWN]) if is_set else None
    text = event.values[setting]
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def _set(setting: _Setting, event: Configuration.Changed, named: list[str] | None) -> None:
    if event.via == Via.ENVIRONMENT:
        setting.in_environment = named
    else:
        setting.stored = named


def _moved(right: str, setting: _Setting, event: Configuration.Changed) -> Iterator[Held]:
    """End what is no longer in force; what is new."""
    fold = str if right == RIGHTS[TOKENS] else same_person
    now = {fold(name): name for name in reversed(setting.in_force)}
    for key in [key for key in setting.holders if key not in now]:
        ended = setting.holders.pop(key)
        ended.until, ended.ended_by, ended.ended_via = event.timestamp, event.by, event.via
    for key, name in reversed(now.items()):
        if key not in setting.holders:
            held = Held(right, name, event.timestamp, event.by, event.via)
            setting.holders[key] = held
            yield held
