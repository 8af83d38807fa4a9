"""What stands on the members' phones: messages of the application, and what members answered."""

import hashlib
import json
from collections import Counter, defaultdict, deque
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from adapters.simulator.knobs import Knobs

KEPT = 2000
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@dataclass
class Delivered:
    """One message of the application on one member's phone."""

    msgid: str
    userid: str
    agent_id: int
    kind: str
    content: dict[str, Any]
    at: datetime
    button_caption: str | None = None
    """Once set, the buttons of the card are dead and this stands on them."""
    recalled: bool = False
    tapped: str | None = None
    """The button that was tapped: all of them look dead until an update comes, or none does."""

    @property
    def text(self) -> str:
        """The words of a text or markdown message, the title of a card."""
        if self.kind == "template_card":
            return str(self.content.get("main_title", {}).get("title", ""))
        return str(self.content.get("content") or self.content.get("title", ""))

    @property
    def task_id(self) -> str | None:
        return self.content.get("task_id") if self.kind == "template_card" else None

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "at": self.at.isoformat(),
            "text": self.text,
            "task_id": self.task_id,
        }


@dataclass
class Said:
    """What a member wrote or did, and whether the application took it."""

    userid: str
    words: str
    at: datetime
    delivered: bool | None = None
    """None while it is under way."""


class Inboxes:
    """
    Delivers, and silently does not: WeCom drops what goes beyond a member's limits and what
    `enable_duplicate_check` recognises, and says errcode 0 all the same.
    """

    def __init__(self) -> None:
        self._phones: dict[str, deque[Delivered | Said]] = defaultdict(lambda: deque(maxlen=KEPT))
        self._times: dict[str, deque[datetime]] = defaultdict(lambda: deque(maxlen=KEPT))
        self._sent_before: dict[tuple[str, str], datetime] = {}
        self.unseen: Counter[str] = Counter()
        self.dropped: list[Delivered] = []

    def conversation(self, userid: str) -> list[Delivered | Said]:
        return list(self._phones[userid.casefold()])

    def delivered(self, userid: str) -> list[Delivered]:
        return [entry for entry in self.conversation(userid) if isinstance(entry, Delivered)]

    def words(self) -> list[str]:
        """What members wrote."""
        entries = (entry for phone in self._phones.values() for entry in phone)
        return [entry.words for entry in entries if isinstance(entry, Said)]

    def everywhere(self, msgid: str) -> list[Delivered]:
        """The same message on the phones of all its recipients."""
        return [
            entry
            for phone in list(self._phones.values())
            for entry in phone
            if isinstance(entry, Delivered) and entry.msgid == msgid
        ]

    def say(self, said: Said) -> None:
        self._phones[said.userid.casefold()].append(said)

    def deliver(self, message: Delivered, knobs: Knobs) -> None:
        key = message.userid.casefold()
        if self._over_limit(self._times[key], message.at, knobs):
            self.dropped.append(message)
            return
        self._times[key].append(message.at)
        self._phones[key].append(message)
        self.unseen[key] += 1

    def seen_before(self, payload: dict[str, Any], userid: str, at: datetime) -> bool:
        """Whether the same request reached this member within its `duplicate_check_interval`."""
        if payload.get("enable_duplicate_check") != 1:
            return False
        interval = min(int(payload.get("duplicate_check_interval", 1800)), 14400)
        request = json.dumps(payload, sort_keys=True).encode()
        key = (userid.casefold(), hashlib.sha256(request).hexdigest())
        before = self._sent_before.get(key)
        if before is not None and at - before < timedelta(seconds=interval):
            return True
        self._sent_before[key] = at
        return False

    @staticmethod
    def _over_limit(times: deque[datetime], now: datetime, knobs: Knobs) -> bool:
        while times and now - times[0] >= HOUR:
            times.popleft()
        if len(times) >= knobs.per_member_an_hour:
            return True
        a_minute = knobs.per_member_a_minute
        return len(times) >= a_minute and now - times[-a_minute] < MINUTE
