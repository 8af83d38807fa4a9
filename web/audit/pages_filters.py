"""What a reader of the history looks for, as it stands in an address or in a form."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from domain.decision import Channel
from projections.search import Cursor
from web.audit.filters import Filters, WrongTime, first_after, first_moment
from web.audit.pages_kinds import KINDS, topics_of
from web.audit.pages_reader import HIDDEN, Reader
from web.history import CURSOR, LONGEST_FILTER
from web.shown import STATUS
from web.translation import gettext

APPROVALS, EVENTS = "approvals", "events"
# By the names that they have in an address: what they are called.
OF_APPROVALS = {
    "status": "状态",
    "channel": "结束方式",
    "business": "业务",
    "engine": "发起方",
    "member": "成员",
    "from": "从（日期）",
    "to": "到（日期）",
    "words": "编号、内容或意见中的词",
}
OF_EVENTS = {"kind": "类型", "by": "谁", "from": "从（日期）", "to": "到（日期）"}
# Of some, the only texts that mean something.
KNOWN: Mapping[str, Iterable[str]] = {
    "status": [it.value for it in STATUS],
    "channel": [it.value for it in Channel],
    "kind": list(KINDS),
}


@dataclass(frozen=True, slots=True)
class Typed:
    """What somebody typed, what it means, and which parts of it mean nothing."""

    given: Mapping[str, str]
    """By name; empty: not filtered by."""
    meant: Filters
    recorded: Mapping[str, str]
    """What is kept of who looked: by which filters, and from where on."""
    after: Cursor | None
    """Where the page before ended."""
    wrong: list[str]

    @property
    def used(self) -> dict[str, str]:
        """Those that filter."""
        return {name: text for name, text in self.given.items() if text}

    @property
    def in_words(self) -> str:
        """For paper, on which no form is."""
        names = {**OF_APPROVALS, **OF_EVENTS}
        return gettext("；").join(f"{gettext(names[n])}: {text}" for n, text in self.used.items())


def read_filters(query: Mapping[str, str], zone: ZoneInfo, what: str) -> Typed:
    """
    The filters of approvals or of events; days and times are of that zone, days meant whole.

    A cursor and names that are none of the filters' are left alone.
    """
    names = OF_APPROVALS if what == APPROVALS else OF_EVENTS
    given = {name: query.get(name, "").strip() for name in names}
    wrong = [name for name, text in given.items() if not _is_meant(name, text)]
    times: dict[str, datetime | None] = {"from": None, "to": None}
    for name, read in (("from", first_moment), ("to", first_after)):
        try:
            times[name] = read(given[name], zone) if given[name] else None
        except WrongTime:
            wrong.append(name)
    after = query.get("after", "")
    cursor = CURSOR.fullmatch(after)
    if after and cursor is None:
        wrong.append("after")
    meant, short = _meant(what, given, times["from"], times["to"])
    events = {"what": EVENTS} if what == EVENTS else {}
    from_there = {"after": after} if after else {}
    return Typed(
        given,
        meant,
        {**events, **short.recorded(), **from_there},
        Cursor(*map(int, cursor.groups())) if cursor else None,
        wrong,
    )


def _is_meant(name: str, text: str) -> bool:
    """Whether it can mean something; cut to a length, it would mean more than was wanted."""
    known = KNOWN.get(name)
    return len(text) <= LONGEST_FILTER and (known is None or text in ("", *known))


def _meant(
    what: str, given: Mapping[str, str], since: datetime | None, before: datetime | None
) -> tuple[Filters, Filters]:
    """What is asked, and the same as it is recorded: a kind of events by its one short name."""
    if what == EVENTS:
        kind = given["kind"] or None
        asked = Filters(since=since, before=before, member=given["by"] or None)
        kinds = tuple(topics_of(kind)) if kind is None or kind in KINDS else ()
        return replace(asked, kinds=kinds), replace(asked, kinds=(kind,) if kind else ())
    asked = Filters(
        since=since,
        before=before,
        member=given["member"] or None,
        business=given["business"] or None,
        engine=given["engine"] or None,
        status=given["status"] or None,
        channel=given["channel"] or None,
        words=tuple(given["words"].split()),
    )
    return asked, asked


def address(path: str, reader: Reader, used: Mapping[str, str], after: Cursor | None = None) -> str:
    """That page with these filters; members stay hidden where they are."""
    kept = {
        "names": HIDDEN if reader.are_names_hidden else None,
        "after": after and f"{after.at}-{after.number}",
    }
    query = {name: text for name, text in {**used, **kept}.items() if text}
    return f"{path}?{urlencode(query)}" if query else path


def turns(path: str, reader: Reader, typed: Typed, older: Cursor | None) -> dict[str, Any]:
    """Where the first page stands, and the next; whether this is the first."""
    return {
        "is_first": typed.after is None,
        "newest": address(path, reader, typed.used),
        "older": older and address(path, reader, typed.used, older),
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
