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
        known_minute, kept = self._counts.pop(member, (minute, 0))
        kept = kept if known_minute == minute else 0
        is_kept = kept < KEPT_A_MINUTE
        self._counts[member] = (minute, kept + is_kept)
        if len(self._counts) > REMEMBERED_MEMBERS:
            self._counts.popitem(last=False)
        self.not_kept += not is_kept
        return is_kept

    def give_back(self, userid: str, at: datetime) -> None:
        """It could not be stored; WeCom repeats it, and then it counts."""
        member, minute = same_person(userid), int(at.timestamp()) // 60
        known_minute, kept = self._counts.get(member, (minute, 0))
        if known_minute == minute and kept:
            self._counts[member] = (minute, kept - 1)
