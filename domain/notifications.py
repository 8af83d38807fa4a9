"""Whom an approval was told to, what became of each message, and who has seen it whole."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from domain import wording
from domain.decision import Channel
from domain.identity import same_person
from domain.wording import Alarm

ASK, CARD = "ask/", "card/"
"""How the names of two kinds of notice begin: the message that asks, the change of a card."""
# WeCom takes a code once, within 72 hours (wecom-protocol 3.2); what is nearly as old is not tried.
CODE_IS_GOOD_FOR = timedelta(hours=71)
SENT, PENDING = "sent", "pending"


class Way(StrEnum):
    """As what a message reached its member."""

    TEXT = "text"
    CARD = "card"
    BOTH = "both"
    """A card, and the text beside it."""
    DIGEST = "digest"
    """One line for many: the member knows that something waits, and not what."""
    UNKNOWN = ""
    """Recorded by a version that did not say."""


BY_TEXT = (Way.TEXT, Way.BOTH, Way.DIGEST)
BY_CARD = (Way.CARD, Way.BOTH)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of the message that asks one member."""

    userid: str
    state: str = PENDING
    detail: str | None = None
    at: datetime | None = None
    cut: bool = False
    """What was shown is less than the whole message."""
    way: Way = Way.UNKNOWN

    @property
    def was_shown(self) -> bool:
        """Whether the member was sent this very message; a digest shows none."""
        if self.way is Way.UNKNOWN:
            return self.state == SENT
        return self.way is not Way.DIGEST


@dataclass(frozen=True, slots=True)
class ResponseCode:
    """Changes one member's card, once."""

    text: str = field(repr=False)
    given_at: datetime


class Notifications:
    """
    The state of everything that was sent about one approval.

    Args:
        asked: Whom the message that asks goes to.
        alarm: What that message says of the alarm, if its words name one.
    """

    def __init__(
        self, asked: Sequence[str], message: str, reply_id: str, alarm: Alarm | None = None
    ) -> None:
        self.of = {same_person(userid): Delivery(userid) for userid in asked}
        self.recorded: set[str] = set()
        """Notices of which it is known what became of them."""
        self._codes: dict[str, ResponseCode] = {}
        self._changed: set[str] = set()
        self._tapped_by: set[str] = set()
        self._opened_by: set[str] = set()
        self._message = message
        self._reply_id = reply_id
        self._alarm = alarm

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Notifications) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # it changes

    # Questions.

    def reached_at(self, userid: str) -> datetime | None:
        """When WeCom took the very message that asks this member; a digest is not that."""
        delivery = self.of.get(same_person(userid))
        if delivery is None or delivery.state != SENT or delivery.way is Way.DIGEST:
            return None
        return delivery.at

    def has_seen_whole(self, userid: str, channel: Channel) -> bool:
        """
        Whether the member can have read everything that an answer by this channel is about.

        Where no message of theirs about this very approval is known to have arrived, as much has
        to fit as the narrowest message of that channel would show.
        """
        if same_person(userid) in self._opened_by:
            return True
        delivery = self.of.get(same_person(userid))
        if delivery is not None and delivery.was_shown:
            return not delivery.cut and self._room_in_a_text >= 0
        if channel is Channel.CARD:
            return wording.fits_a_card(self._message, self._alarm)
        return self._room_in_a_text >= wording.LINK_BYTES

    def does_opening_matter(self, userid: str) -> bool:
        """Whether an answer by message depends on this member's opening the page, or may yet."""
        return not (
            self.has_seen_whole(userid, Channel.TEXT) and self.has_seen_whole(userid, Channel.CARD)
        )

    def reached(self) -> list[str]:
        """
        Members who were asked and whom that reached.

        Without those who were asked by a version that did not say how: an upgrade must not have
        all of them reminded at once.
        """
        return [
            delivery.userid
            for delivery in self.of.values()
            if delivery.state == SENT and delivery.way is not Way.UNKNOWN
        ]

    def is_beyond_reach(self, userid: str) -> bool:
        """Whether the message that asks this member failed for good."""
        delivery = self.of.get(same_person(userid))
        return delivery is not None and delivery.state not in (SENT, PENDING)

    def was_asked_by_text(self, userid: str) -> bool:
        """Also one who has left since: who comes back reads how it ended."""
        delivery = self.of.get(same_person(userid))
        return delivery is not None and delivery.way in BY_TEXT

    def has_card(self, userid: str) -> bool:
        """Whether a card stands on the member's phone."""
        delivery = self.of.get(same_person(userid))
        sent = delivery is not None and delivery.way in BY_CARD
        return sent or same_person(userid) in self._codes

    def is_card_changed(self, userid: str) -> bool:
        """Whether the member's card shows what became of the approval."""
        return same_person(userid) in self._changed

    def has_tapped(self, userid: str) -> bool:
        """Whether the member's card is known of from a tap, which may come before its delivery is
        recorded."""
        return same_person(userid) in self._tapped_by

    def code_for(self, userid: str, now: datetime) -> str | None:
        """What changes this member's card; None if there is nothing that still would."""
        code = self._codes.get(same_person(userid))
        if code is None or now - code.given_at >= CODE_IS_GOOD_FOR:
            return None
        return code.text

    @property
    def _room_in_a_text(self) -> int:
        # Asked for, not kept: most loads of an approval never need it.
        return wording.bytes_left(self._message, self._reply_id, self._alarm)

    # State. Assign, never check: these run again on every load.

    def sent(
        self, notice: str, to: str, at: datetime, *, cut: bool, way: Way, code: str | None
    ) -> None:
        self.recorded.add(notice)
        if notice.startswith(ASK):
            self.of[same_person(to)] = Delivery(to, SENT, None, at, cut, way)
            if code is not None and not self.has_tapped(to):  # a tap's code is the newer one
                self._codes[same_person(to)] = ResponseCode(code, at)
        elif notice.startswith(CARD):
            self._use_up(to, code)
            if way is Way.CARD:
                self._changed.add(same_person(to))

    def failed(
        self,
        notice: str,
        to: str,
        at: datetime,
        *,
        problem: str,
        unreachable: bool,
        code: str | None,
    ) -> None:
        self.recorded.add(notice)
        if notice.startswith(ASK):
            state = "unreachable" if unreachable else "failed"
            self.of[same_person(to)] = Delivery(to, state, problem, at)
        elif notice.startswith(CARD):
            self._use_up(to, code)

    def lost(self, to: str, problem: str) -> None:
        """The member can no longer be reached; what they were shown before stays shown."""
        before = self.of[same_person(to)]
        self.of[same_person(to)] = replace(before, state="unreachable", detail=problem)

    def opened(self, by: str) -> None:
        self._opened_by.add(same_person(by))

    def tapped(self, by: str, code: str, at: datetime) -> None:
        """Each tap brings a code; the newest one counts, and is good for one change."""
        self._tapped_by.add(same_person(by))
        self._codes[same_person(by)] = ResponseCode(code, at)

    def _use_up(self, to: str, code: str | None) -> None:
        """A code that was tried is not tried again; a newer one, of a tap meanwhile, stays."""
        known = self._codes.get(same_person(to))
        if known is not None and known.text == code:
            del self._codes[same_person(to)]
