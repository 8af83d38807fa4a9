"""Members under other names, for whoever may read the history and not who they were.

Events stay as they are: names are replaced in what is shown or given out. The same person has the
same name in everything that comes of one store, whatever the case of their userid, and in no
other store.

What this does not hide: whom free text names. In the words of an event the people of that very
event are replaced, and nobody else.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

import msgspec

from domain.aggregate import Event
from domain.identity import AUDIT_STREAM, same_person
from domain.installation import Installation, SecretKind
from projections.outbox import Kind
from web.keyring import Keyring
from web.secret_key import derived_key, secret_key
from web.settings import Settings
from web.vault import Vault

E = TypeVar("E", bound=Event)

PURPOSE = "pseudonyms"
# Of a million members hardly two have one name.
DIGITS = 12
# Who acts through these is an engine, a clock or the service itself.
NOT_BY_MEMBERS = ("api", "fta", "clock", "service", "environment")
ACTING = ("by", "decided_by")
ONE = ("to", "userid", "requested_by")
SEVERAL = ("approvers", "asked", "told")
OF_MEMBERS = ("super_approvers", "admins", "auditors")
"""Settings whose value is userids with commas between."""
SOUGHT = ("member", "by", "who", "reader", "userid")
"""Filters by a person, as recorded of a search or an export."""
TEXTS = ("message", "words", "reason", "why", "detail", "problem", "details", "action", "biz_id")
NUMBERED = (Kind.ANSWER, Kind.GREET)
"""Notices named by the number of what they answer."""
DAILY = re.compile(rf"(inbox-|{AUDIT_STREAM})(.+)(-[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})", re.ASCII)


class NoNames(Exception):
    """There are no pseudonyms of this store here; says why."""


class Pseudonyms:
    """
    Names for members.

    Args:
        key: Whoever has it can tell by trying which userid has which name.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._known: dict[str, str] = {}

    @classmethod
    def of_store(cls, keyring: Keyring) -> Self:
        """Those of one store; they outlive its secret key."""
        return cls(derived_key(keyring.fingerprint_key(), PURPOSE))

    def of(self, userid: str) -> str:
        """The name of this member."""
        person = same_person(userid)
        if person not in self._known:
            made = hmac.new(self._key, person.encode("utf-8", "surrogatepass"), hashlib.sha256)
            self._known[person] = f"member-{made.hexdigest()[:DIGITS]}"
        return self._known[person]

    def in_event(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The same fields of an event, as plain JSON, with other names."""
        return _Renaming(self, fields).renamed(fields)

    def in_approval(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """The same approval as programs see it, with other names."""
        return _Renaming(self, document).renamed(document)

    def event(self, event: E) -> E:
        """The same event with other names; never to be stored."""
        fields = self.in_event(msgspec.to_builtins(event))
        return msgspec.convert(fields, type(event))


def names_of(settings: Settings, installation: Installation) -> Pseudonyms:
    """
    Those of a store that is only read.

    Raises:
        NoNames: Without the secret key there are none, nor before the service has run on it.
    """
    if installation.version == 0 or not installation.made(SecretKind.FINGERPRINT_KEY):
        raise NoNames("this store has no key for pseudonyms yet: start the service once")
    try:
        return Pseudonyms.of_store(Keyring(lambda: installation, Vault(secret_key(settings))))
    except ValueError as error:
        raise NoNames(str(error)) from None


class _Renaming:
    """What is replaced in one event or approval."""

    def __init__(self, names: Pseudonyms, fields: Mapping[str, Any]) -> None:
        self._names = names
        self._people: set[str] = set()
        """Who was replaced."""
        via = fields.get("channel") or fields.get("via") or fields.get("decided_via")
        self._has_member = via not in NOT_BY_MEMBERS
        by = fields.get("by") or ""
        self._left = None if self._is_member(by) else same_person(by)

    def renamed(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        # Who they are is known before texts are searched for them.
        return self._texts({name: self._replaced(name, value) for name, value in fields.items()})

    def _texts(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: self._texts(value)
            if name == "wanted"
            else self._in_text(value)
            if name in TEXTS
            else value
            for name, value in fields.items()
        }

    def _replaced(self, name: str, value: Any) -> Any:
        replace = REPLACED.get(name)
        return value if replace is None or value is None else replace(self, value)

    def _is_member(self, name: str) -> bool:
        return ":" not in name and self._has_member

    def _one(self, userid: str) -> str:
        if not userid:
            return userid
        self._people.add(same_person(userid))
        return self._names.of(userid)

    def _acting(self, name: str) -> str:
        return self._one(name) if self._is_member(name) else name

    def _several(self, userids: list[str]) -> list[str]:
        return [self._one(userid) for userid in userids]

    def _stream(self, stream: str) -> str:
        """`inbox-zhangsan-2026-05-04`"""
        daily = DAILY.fullmatch(stream)
        if daily is None or ":" in daily[2] or daily[2] == self._left:
            return stream
        return f"{daily[1]}{self._one(daily[2])}{daily[3]}"

    def _notice(self, notice: str) -> str:
        """`ask/zhangsan`, `settings/3/zhangsan`, `answer/7`"""
        kind, _, rest = notice.partition("/")
        if kind in NUMBERED or not rest:
            return notice
        number, _, userid = rest.partition("/") if kind == Kind.SETTINGS else ("", "", rest)
        return "/".join(part for part in (kind, number, self._one(userid)) if part)

    def _settings(self, values: dict[str, str | None]) -> dict[str, str | None]:
        return {
            name: ",".join(map(self._one, filter(None, value.split(","))))
            if name in OF_MEMBERS and value
            else value
            for name, value in values.items()
        }

    def _wanted(self, wanted: dict[str, str]) -> dict[str, str]:
        named = {
            name: self._one(value) if name in SOUGHT and ":" not in value else value
            for name, value in wanted.items()
        }
        return {n: self._stream(v) if n == "stream" else v for n, v in named.items()}

    def _notifications(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [self.renamed(entry) for entry in entries]

    def _in_text(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._in_text(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self._in_text(each) for each in value]
        if not isinstance(value, str):
            return value
        for person in self._people:
            if person in value.casefold():
                value = _as_a_word(person).sub(self._names.of(person), value)
        return value


def _as_a_word(person: str) -> re.Pattern[str]:
    """The name of a member where it is not a part of a longer one."""
    letters = r"A-Za-z0-9_\-@"
    pattern = rf"(?<![{letters}.]){re.escape(person)}(?![{letters}]|\.[{letters}])"
    return re.compile(pattern, re.ASCII | re.IGNORECASE)


Replacing = Callable[[_Renaming, Any], Any]
REPLACED: dict[str, Replacing] = {
    **dict.fromkeys(ACTING, _Renaming._acting),
    **dict.fromkeys(ONE, _Renaming._one),
    **dict.fromkeys(SEVERAL, _Renaming._several),
    **dict.fromkeys(("originator_id", "stream"), _Renaming._stream),
    "notice": _Renaming._notice,
    "values": _Renaming._settings,
    "wanted": _Renaming._wanted,
    "notifications": _Renaming._notifications,
}
