"""The configuration as history: what was set, by whom, by which way; and the links that lead to it.

What a setting means is no business of the domain: here are names, texts, and of what is secret the
sealed form and a fingerprint. Whom the environment outranks is decided in web/settings.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from domain.aggregate import Aggregate, Event, applies
from domain.errors import LinkSpent, SettingsMoved
from domain.identity import merged

CONFIGURATION_STREAM = "configuration"
SUPER_APPROVERS = "super_approvers"
# Whoever changes these changes who decides, who configures, or who asks.
TOLD_OF = frozenset((SUPER_APPROVERS, "admins", "api_tokens"))


def link_holder(hashed: str) -> str:
    """Who came by that link, for the record; no member of WeCom has a name with a colon."""
    return f"link:{hashed[:8]}"


class Via(StrEnum):
    """By which way a setting was changed."""

    PAGE = "page"
    SHELL = "shell"
    ENVIRONMENT = "environment"
    """Found at a start of the service; nobody of ours did it."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What one setting was set to, on the page or in the shell."""

    value: str | None
    """None where it is secret."""
    sealed: str | None = field(repr=False)
    fingerprint: str | None
    by: str
    at: datetime
    via: str


@dataclass(frozen=True, slots=True)
class Link:
    """The way to the configuration page while nobody can log in as an administrator."""

    hashed: str
    """SHA-256 of what stands in its address, never that itself."""
    expires_at: datetime
    is_used: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """New contents of some settings. What is in none of the three stays as it is."""

    values: Mapping[str, str | None] = field(default_factory=dict)
    """Of what may be read; None: no longer set."""
    sealed: Mapping[str, str] = field(default_factory=dict, repr=False)
    fingerprints: Mapping[str, str | None] = field(default_factory=dict)
    """Of what is secret; None: no longer set."""
    names: Mapping[str, list[str]] = field(default_factory=dict)
    """What stands in a secret and is none: whose the tokens are."""


class Configuration(Aggregate):
    """One for each store."""

    class Changed(Event, frozen=True, kw_only=True):
        TOPIC = "configuration.changed"
        by: str
        via: str
        values: dict[str, str | None] = msgspec.field(default_factory=dict)
        sealed: dict[str, str] = msgspec.field(default_factory=dict)
        fingerprints: dict[str, str | None] = msgspec.field(default_factory=dict)
        told: list[str] = msgspec.field(default_factory=list)
        names: dict[str, list[str]] = msgspec.field(default_factory=dict)

    class Resealed(Event, frozen=True, kw_only=True):
        TOPIC = "configuration.resealed"
        by: str
        sealed: dict[str, str]

    class LinkOffered(Event, frozen=True, kw_only=True):
        TOPIC = "configuration.link-offered"
        by: str
        link: str
        expires_at: datetime

    class LinkUsed(Event, frozen=True, kw_only=True):
        TOPIC = "configuration.link-used"
        by: str
        link: str

    class LinkWithdrawn(Event, frozen=True, kw_only=True):
        TOPIC = "configuration.link-withdrawn"
        by: str
        link: str

    class Told(Event, frozen=True, kw_only=True):
        TOPIC = "configuration.told"
        notice: str
        to: str
        problem: str | None = None
        unreachable: bool = False

    def __init__(self, stream: str = CONFIGURATION_STREAM) -> None:
        super().__init__(stream)
        self.revision = 0
        """How often it was changed: who changes it says what they have seen."""
        self.stored: dict[str, Stored] = {}
        self.environment: dict[str, str] | None = None
        """What the environment set at the last start (of a secret the fingerprint); None: there
        was none yet."""
        self.link: Link | None = None
        self.recorded: set[str] = set()
        """Notices of which it is known what became of them."""

    def change(self, change: Change, revision: int, by: str, via: Via, at: datetime) -> None:
        """
        Set some settings; what they are set to already changes nothing.

        Raises:
            SettingsMoved: They were changed since that revision: whoever wants this has not seen
                what is in force, and may no longer be allowed to.
        """
        if revision != self.revision:
            raise SettingsMoved
        self._record(self._news(change, self._contents()), by, via, at)

    def find_environment(self, change: Change, at: datetime) -> None:
        """
        The service starts, and this is all that the environment sets.

        What differs from the last start is recorded. At the first start everything does, and
        nobody is told: nothing has changed.
        """
        before = self.environment or {}
        gone = {name: None for name in before if name not in change.values}
        gone = {name: None for name in gone if name not in change.fingerprints}
        whole = Change({**change.values, **gone}, {}, change.fingerprints, change.names)
        self._record(self._news(whole, before), Via.ENVIRONMENT.value, Via.ENVIRONMENT, at)

    def offer_link(self, hashed: str, expires_at: datetime, by: str, at: datetime) -> None:
        """Let one link lead to the page, once and until then; the one before does no more."""
        self.trigger(self.LinkOffered, at, by=by, link=hashed, expires_at=expires_at)

    def use_link(self, hashed: str, by: str, at: datetime) -> None:
        """
        Use it up.

        Raises:
            LinkSpent: It is not the last one offered, was used, or its time is over.
        """
        link = self.link
        if link is None or link.hashed != hashed or link.is_used or at >= link.expires_at:
            raise LinkSpent
        self.trigger(self.LinkUsed, at, by=by, link=hashed)

    def withdraw_link(self, by: str, at: datetime) -> None:
        """Let the one offered last lead nowhere; if there is none, or it was used, nothing."""
        if self.link is not None and not self.link.is_used:
            self.trigger(self.LinkWithdrawn, at, by=by, link=self.link.hashed)

    def reseal(self, sealed: Mapping[str, str], by: str, at: datetime) -> None:
        """Keep the same secrets, sealed with another key."""
        if sealed:
            self.trigger(self.Resealed, at, by=by, sealed=dict(sealed))

    def record_delivery(self, delivery: Any) -> None:
        """Record what became of telling somebody. The same notice again changes nothing."""
        if delivery.notice not in self.recorded:
            self.trigger(
                self.Told,
                delivery.at,
                notice=delivery.notice,
                to=delivery.to,
                problem=delivery.problem,
                unreachable=delivery.unreachable,
            )

    def has_admins(self) -> bool:
        """Whether anybody may open the page by who they are, as far as is known here."""
        return bool((self.environment or {}).get("admins") or "admins" in self.stored)

    def super_approvers(self) -> list[str]:
        """As they are stored, whatever an environment says."""
        stored = self.stored.get(SUPER_APPROVERS)
        return _userids(stored.value if stored else None)

    def _contents(self) -> dict[str, str]:
        """Value or fingerprint of everything stored."""
        return {name: one.value or one.fingerprint or "" for name, one in self.stored.items()}

    def _news(self, change: Change, before: Mapping[str, str]) -> Change:
        """What of it differs."""
        values = {name: v for name, v in change.values.items() if v != before.get(name)}
        prints = {name: p for name, p in change.fingerprints.items() if p != before.get(name)}
        sealed = {name: s for name, s in change.sealed.items() if name in prints}
        names = {name: n for name, n in change.names.items() if name in prints}
        return Change(values, sealed, prints, names)

    def _record(self, news: Change, by: str, via: Via, at: datetime) -> None:
        changed = {*news.values, *news.fingerprints}
        if not changed and (via is not Via.ENVIRONMENT or self.environment is not None):
            return
        is_first = via is Via.ENVIRONMENT and self.environment is None
        told = self._who_is_told(news, via) if changed & TOLD_OF and not is_first else []
        self.trigger(
            self.Changed,
            at,
            by=by,
            via=via.value,
            values=dict(news.values),
            sealed=dict(news.sealed),
            fingerprints=dict(news.fingerprints),
            told=told,
            names={name: list(names) for name, names in news.names.items()},
        )

    def _who_is_told(self, news: Change, via: Via) -> list[str]:
        """Super approvers in force before, and after."""
        stored = {name: one.value for name, one in self.stored.items()}
        environment: dict[str, str | None] = dict(self.environment or {})
        before = environment.get(SUPER_APPROVERS) or stored.get(SUPER_APPROVERS)
        (environment if via is Via.ENVIRONMENT else stored).update(news.values)
        after = environment.get(SUPER_APPROVERS) or stored.get(SUPER_APPROVERS)
        return merged([*_userids(before), *_userids(after)])

    @applies(Changed)
    def _changed(self, event: Changed) -> None:
        self.revision += 1
        if event.via == Via.ENVIRONMENT:
            self._environment_changed(event)
            return
        for name, value in event.values.items():
            self._store(name, value, None, None, event)
        for name, fingerprint in event.fingerprints.items():
            self._store(name, None, event.sealed.get(name), fingerprint, event)

    def _environment_changed(self, event: Changed) -> None:
        found = {**(self.environment or {}), **event.values, **event.fingerprints}
        self.environment = {name: text for name, text in found.items() if text is not None}

    def _store(
        self,
        name: str,
        value: str | None,
        sealed: str | None,
        fingerprint: str | None,
        event: Changed,
    ) -> None:
        if value is None and sealed is None:
            self.stored.pop(name, None)
            return
        self.stored[name] = Stored(value, sealed, fingerprint, event.by, event.timestamp, event.via)

    @applies(Resealed)
    def _resealed(self, event: Resealed) -> None:
        self.revision += 1  # whoever has seen the old key seals with it
        for name, sealed in event.sealed.items():
            was = self.stored[name]
            self.stored[name] = Stored(was.value, sealed, was.fingerprint, was.by, was.at, was.via)

    @applies(LinkOffered)
    def _link_offered(self, event: LinkOffered) -> None:
        self.link = Link(event.link, event.expires_at)

    @applies(LinkUsed)
    def _link_used(self, event: LinkUsed) -> None:
        if self.link is not None:
            self.link = Link(self.link.hashed, self.link.expires_at, is_used=True)

    @applies(LinkWithdrawn)
    def _link_withdrawn(self, event: LinkWithdrawn) -> None:
        self.link = None

    @applies(Told)
    def _told(self, event: Told) -> None:
        self.recorded.add(event.notice)


def _userids(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]
