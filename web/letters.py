"""What a row of the outbox says at this moment: words and cards, or nothing any more."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from adapters.wecom import cards, notices
from adapters.wecom.cards import Card
from adapters.wecom.messages import Clockface, answer_on_approval, answer_to_inbox
from adapters.wecom.notices import Waiting
from adapters.wecom.settings_notice import settings_line
from adapters.wecom.waiting import MAX_NAMED
from domain import wording
from domain.approval import Approval
from domain.configuration import CONFIGURATION_STREAM, Configuration
from domain.decision import Channel, Status
from domain.errors import Frozen
from domain.identity import APPROVAL_STREAM
from domain.inbox import Inbox
from projections.outbox import MOOT_AFTER_REVOCATION, MOOT_AFTER_THE_END, Kind, kind_of
from web.addresses import Addresses
from web.reading import Reading

Row = Any

# For how long WeCom takes the same words for a repetition (adapters/wecom/client.py).
RECOGNISED_FOR = timedelta(minutes=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """One message to one member, ready to be sent."""

    text: str | None = None
    cut: bool = False
    """The text does not show the whole message."""
    once: bool = False
    """The same words to the same member within half an hour can only be a repetition."""
    plain: str | None = None
    """Goes out instead of a text that WeCom refuses: nothing in it comes from elsewhere."""
    card: Card | None = None
    """Goes out instead of the text; what WeCom refuses as a card goes out as the text."""
    card_cut: bool = False
    beside_card: bool = False
    """The text goes out as well."""
    changes: str | None = None
    """The response code of the card that this one takes the place of."""
    already: bool = False
    """The card shows it: another change was before this one."""
    problem: str | None = None
    """Nothing can be sent, for this reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Digest:
    """One message for many rows, and which of them it is about."""

    text: str
    plain: str
    """The same without a word from elsewhere."""
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Style:
    """How approvers are asked (contract 2)."""

    card: bool = False
    text: bool = True
    link: bool = False


class Letters:
    """Writes what stands in the outbox, by what is the case now; None for what is moot."""

    def __init__(
        self,
        reading: Reading,
        clock: Callable[[], datetime],
        clockface: Clockface,
        addresses: Addresses,
        style: Style,
        restored_at: datetime | None = None,
    ) -> None:
        self._reading = reading
        self._clock = clock
        self._clockface = clockface
        self._addresses = addresses
        self._style = style
        self._restored_at = restored_at
        """When the store was put back from a copy: what was asked before that and is lost may have
        been asked in the very same words."""

    async def letter(self, row: Row) -> Letter | None:
        """
        What to send for one row.

        None when it is moot: it was sent (the outbox may be behind the events), or nobody is to
        be asked any more.
        """
        if row["stream"] == CONFIGURATION_STREAM:
            return await self._of_settings(row)
        if not row["stream"].startswith(APPROVAL_STREAM):
            return await self._to_inbox(row)
        approval = await self._reading.approval(row["stream"].removeprefix(APPROVAL_STREAM))
        assert approval is not None  # noqa: S101  # its event called for this message
        return await self._about(approval, row)

    async def still_due(self, rows: Sequence[Row]) -> list[Row]:
        """Those of some rows about approvals that are not moot."""
        return [row for row, _ in await self._due(rows)]

    async def digest(self, userid: str, rows: Sequence[Row]) -> Digest | None:
        """One message for several rows about approvals; None where all of them are moot."""
        still = await self._due(rows)
        if not still:
            return None
        ended = {a.reply_id: a for _, a in still if a.ending is not None}
        open_ = {a.reply_id: a for _, a in still if a.ending is None}
        waiting = await self._waiting(userid)
        if open_ and not waiting.count:  # asked as a super approver, and none any more
            waiting = Waiting(len(open_), min(open_.values(), key=lambda a: a.expires_at))
        now = self._clock()
        alarms = sum(kind_of(row["notice"]) is Kind.ALARM for row, _ in still)
        text = notices.digest(
            waiting, list(ended.values()), alarms, self._clockface, now, self._addresses.todo
        )
        plain = notices.plain_digest(waiting.count, len(ended), self._addresses.todo)
        return Digest(text=text, plain=plain, rows=[row for row, _ in still])

    async def _due(self, rows: Sequence[Row]) -> list[tuple[Row, Approval]]:
        streams = [row["stream"].removeprefix(APPROVAL_STREAM) for row in rows]
        found = {a.reply_id: a for a in await self._reading.approvals(list(dict.fromkeys(streams)))}
        pairs = [(row, found[stream]) for row, stream in zip(rows, streams, strict=True)]
        return [(row, approval) for row, approval in pairs if not self._is_moot(approval, row)]

    def _is_moot(self, approval: Approval, row: Row) -> bool:
        if row["notice"] in approval.notifications.recorded:
            return True
        kind = kind_of(row["notice"])
        if approval.status is Status.REVOKED and kind in MOOT_AFTER_REVOCATION:
            return True
        over = approval.ending is not None or self._clock() >= approval.expires_at
        return over and kind in MOOT_AFTER_THE_END

    async def _about(self, approval: Approval, row: Row) -> Letter | None:
        if self._is_moot(approval, row):
            return None
        now, userid = self._clock(), row["userid"]
        match kind_of(row["notice"]):
            case Kind.ASK:
                return self._asking(approval, userid)
            case Kind.REMIND:
                return self._unasked(approval, notices.reminder(approval, self._clockface, now))
            case Kind.ALARM:
                return self._unasked(approval, notices.alarm(approval))
            case Kind.END:
                line = notices.end_line(approval, userid, self._clockface, now)
                return self._unasked(approval, line)
            case Kind.RESULT:
                line = notices.result_line(approval, self._clockface, now)
                return self._unasked(approval, line)
            case Kind.REVOKED:
                line = notices.revoked_line(approval, userid, self._clockface, now)
                return self._unasked(approval, line)
            case Kind.OUTCOME:
                return self._unasked(approval, notices.outcome_line(approval))
            case Kind.CARD:
                return self._outcome(approval, userid)
            case _:
                return await self._answer(approval, row)

    def _asking(self, approval: Approval, userid: str) -> Letter:
        page = self._addresses.page_of(approval.approval_id)
        message, alarm = approval.requested.message, approval.alarm
        link, todo = page if self._style.link else None, self._addresses.todo
        text, cut = wording.asking_text(message, approval.reply_id, link, alarm, todo)
        plain = notices.plain_waiting(approval, page)
        once = not self._may_have_been_lost(approval)
        if not self._style.card:
            return Letter(text=text, cut=cut, plain=plain, once=once)
        return Letter(
            text=text,
            cut=cut,
            once=once,
            plain=plain,
            card=cards.asking_card(approval, userid, page, self._clockface, self._clock()),
            card_cut=not wording.fits_a_card(message, alarm),
            beside_card=self._style.text,
        )

    def _may_have_been_lost(self, approval: Approval) -> bool:
        """Whether WeCom could take these words for those of an approval that is lost."""
        if self._restored_at is None:
            return False
        return approval.requested.timestamp - self._restored_at < RECOGNISED_FOR

    def _unasked(self, approval: Approval, text: str) -> Letter:
        if approval.ending is not None:
            return Letter(text=text, plain=notices.plain_end(approval))
        page = self._addresses.page_of(approval.approval_id)
        return Letter(text=text, plain=notices.plain_waiting(approval, page))

    def _outcome(self, approval: Approval, userid: str) -> Letter:
        """The card's end; where no code would change it any more, a line instead."""
        now, told = self._clock(), approval.notifications
        code = told.code_for(userid, now)
        if code is None and told.is_card_changed(userid):
            return Letter(already=True)
        is_told = self._hears_otherwise(approval, userid)
        if code is None and is_told:
            return Letter(problem="no response code is left that would change the card")
        line = None if is_told else notices.end_line(approval, userid, self._clockface, now)
        page = self._addresses.page_of(approval.approval_id)
        card = cards.outcome_card(approval, userid, page, self._clockface, now)
        plain = notices.plain_end(approval) if line else None
        return Letter(card=card if code else None, changes=code, text=line, plain=plain)

    def _hears_otherwise(self, approval: Approval, userid: str) -> bool:
        """Whether another message tells the member of the end, so that the card need not."""
        if approval.was_ended_in_chat_by(userid):
            assert approval.ending is not None  # noqa: S101  # it was ended
            return approval.ending.via is Channel.TEXT  # a tap is answered by its card alone
        return approval.notifications.was_asked_by_text(userid)

    async def _answer(self, approval: Approval, row: Row) -> Letter:
        replied = msgspec.json.decode(row["payload"], type=Approval.Replied)
        waiting = await self._reading.waiting_ids(row["userid"], self._clock())
        last = (await self._reading.freeze()).last if replied.refusal == Frozen.code else None
        why = last.why if last is not None else None
        return Letter(text=answer_on_approval(replied, approval, waiting, self._clockface, why))

    async def _to_inbox(self, row: Row) -> Letter | None:
        inbox = await self._reading.inbox(row["stream"])
        if inbox is None or row["notice"] in inbox.answered:
            return None
        if kind_of(row["notice"]) is Kind.GREET:
            return await self._greeting(row["userid"])
        received = msgspec.json.decode(row["payload"], type=Inbox.Received)
        names = await self._reading.waiting_ids(row["userid"], received.timestamp)
        first = await self._reading.approvals(names[:MAX_NAMED])
        todo = self._addresses.todo if self._style.link else None
        return Letter(text=answer_to_inbox(received, names, first, self._clockface, todo))

    async def _of_settings(self, row: Row) -> Letter | None:
        if row["notice"] in (await self._reading.configuration()).recorded:
            return None
        changed = msgspec.json.decode(row["payload"], type=Configuration.Changed)
        return Letter(text=settings_line(changed, self._clockface, self._clock()))

    async def _greeting(self, userid: str) -> Letter:
        waiting = await self._waiting(userid)
        return Letter(
            text=notices.greeting(waiting, self._clockface, self._clock(), self._addresses.todo)
        )

    async def _waiting(self, userid: str) -> Waiting:
        count, first = await self._reading.most_urgent(userid, self._clock(), 1)
        return Waiting(count, first[0] if first else None)
