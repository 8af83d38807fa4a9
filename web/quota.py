"""How much one member may write in a minute before it is only counted (contract 6.5)."""

from collections import OrderedDict
from datetime import datetime

from domain.identity import same_person

KEPT_A_MINUTE = 60
REMEMBERED_MEMBERS = 10_000


class ReplyQuota:
    """Counts by member and minute; only the most recent members are remembered."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self.not_kept = 0

    def allows(self, userid: str, at: datetime) -> bool:
        """Whether this message is still to be kept."""
        member, minute = same_person(userid), int(at.timestamp()) // 60
        known_minute, count = self._counts.pop(member, (minute, 0))
        count = count + 1 if known_minute == minute else 1
        self._counts[member] = (minute, count)
        if len(self._counts) > REMEMBERED_MEMBERS:
            self._counts.popitem(last=False)
        if count > KEPT_A_MINUTE:
            self.not_kept += 1
            return False
        return True
