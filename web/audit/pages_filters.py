"""What a reader of the history looks for, as it stands in an address or in a form."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from web.audit.pages_reader import HIDDEN, Reader
from web.history import LONGEST_FILTER, MOST_WORDS, first_moment

OF_APPROVALS = ("status", "business", "engine", "member", "channel", "from", "to", "words")
OF_EVENTS = ("kind", "by", "via", "from", "to")


@dataclass(frozen=True, slots=True)
class Filters:
    """Named texts, and which of them mean nothing."""

    given: Mapping[str, str]
    """By name, as they were typed; empty: not filtered by."""
    since: int | None
    """Milliseconds; from here."""
    before: int | None
    """Milliseconds; up to before here."""
    wrong: list[str] = field(default_factory=list)

    @property
    def used(self) -> dict[str, str]:
        """Those that filter."""
        return {name: text for name, text in self.given.items() if text}

    @property
    def words(self) -> list[str]:
        return self.given.get("words", "").split()[:MOST_WORDS]

    def get(self, name: str) -> str | None:
        return self.given.get(name) or None


def read_filters(
    query: Mapping[str, str],
    names: Iterable[str],
    zone: ZoneInfo,
    known: Mapping[str, Iterable[str]],
) -> Filters:
    """
    Days are of that zone, both included.

    Args:
        known: For some of them, by name, the only texts that mean something.
    """
    given = {name: query.get(name, "").strip()[:LONGEST_FILTER] for name in names}
    since, is_since = first_moment(given["from"], zone)
    before, is_before = first_moment(given["to"], zone, days_later=1)
    wrong = [name for name, texts in known.items() if given[name] and given[name] not in texts]
    wrong += [name for name, is_fine in (("from", is_since), ("to", is_before)) if not is_fine]
    return Filters(given, since, before, wrong)


def address(path: str, reader: Reader, used: Mapping[str, str], **more: str | None) -> str:
    """That page with these filters; members stay hidden where they are."""
    kept = {"names": HIDDEN if reader.are_names_hidden else None}
    query = {name: text for name, text in {**used, **kept, **more}.items() if text}
    return f"{path}?{urlencode(query)}" if query else path


def names_switch(path: str, reader: Reader, used: Mapping[str, str]) -> dict[str, Any]:
    """Whether members are hidden, and where the same page stands with the opposite."""
    opposite = replace(reader, are_names_hidden=not reader.are_names_hidden)
    return {"hidden": reader.are_names_hidden, "other": address(path, opposite, used)}
