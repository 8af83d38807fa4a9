"""What a reader of the history looks for, as it stands in an address or in a form."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from projections.search import Cursor
from web.audit.pages_reader import HIDDEN, Reader
from web.history import CURSOR, LONGEST_FILTER, MOST_WORDS, first_moment

OF_APPROVALS = ("status", "business", "engine", "member", "channel", "from", "to", "words")
OF_EVENTS = ("kind", "by", "from", "to")


@dataclass(frozen=True, slots=True)
class Filters:
    """Named texts, and which of them mean nothing."""

    given: Mapping[str, str]
    """By name, as they were typed; empty: not filtered by."""
    since: int | None
    """Milliseconds; from here."""
    before: int | None
    """Milliseconds; up to before here."""
    after: Cursor | None
    """Where the page before ended."""
    wrong: list[str] = field(default_factory=list)

    @property
    def used(self) -> dict[str, str]:
        """Those that filter."""
        return {name: text for name, text in self.given.items() if text}

    @property
    def recorded(self) -> dict[str, str]:
        """Those and from where on: what is kept of who looked."""
        return {**self.used, **({"after": as_text(self.after)} if self.after else {})}

    @property
    def words(self) -> list[str]:
        return self.given.get("words", "").split()[:MOST_WORDS]

    def get(self, name: str) -> str | None:
        return self.given.get(name) or None


def read_filters(
    query: Mapping[str, str],
    zone: ZoneInfo,
    names: Iterable[str],
    known: Mapping[str, Iterable[str]],
) -> Filters:
    """
    What was typed, and what it means; days are of that zone, both included.

    Args:
        known: For some of them, by name, the only texts that mean something.
    """
    given = {name: query.get(name, "").strip()[:LONGEST_FILTER] for name in names}
    after = query.get("after", "")
    cursor = CURSOR.fullmatch(after)
    since, is_since = first_moment(given["from"], zone)
    before, is_before = first_moment(given["to"], zone, days_later=1)
    understood = {
        **{name: given[name] in ("", *texts) for name, texts in known.items()},
        "from": is_since,
        "to": is_before,
        "after": not after or cursor is not None,
    }
    return Filters(
        given,
        since,
        before,
        Cursor(*map(int, cursor.groups())) if cursor else None,
        [name for name, is_fine in understood.items() if not is_fine],
    )


def address(path: str, reader: Reader, used: Mapping[str, str], after: Cursor | None = None) -> str:
    """That page with these filters; members stay hidden where they are."""
    kept = {
        "names": HIDDEN if reader.are_names_hidden else None,
        "after": after and as_text(after),
    }
    query = {name: text for name, text in {**used, **kept}.items() if text}
    return f"{path}?{urlencode(query)}" if query else path


def as_text(cursor: Cursor) -> str:
    """As it stands in an address."""
    return f"{cursor.at}-{cursor.number}"


def turns(path: str, reader: Reader, filters: Filters, older: Cursor | None) -> dict[str, Any]:
    """Where the first page stands, and the next; whether this is the first."""
    return {
        "is_first": filters.after is None,
        "newest": address(path, reader, filters.used),
        "older": older and address(path, reader, filters.used, older),
    }


def names_switch(path: str, reader: Reader, used: Mapping[str, str]) -> dict[str, Any]:
    """Whether members are hidden, where the same page stands with the opposite, and what addresses
    of other pages end in so that it stays so."""
    opposite = replace(reader, are_names_hidden=not reader.are_names_hidden)
    return {
        "hidden": reader.are_names_hidden,
        "other": address(path, opposite, used),
        "kept": address("", reader, {}),
    }
