"""One letter on its way to one member: what WeCom has taken of it, and how it went."""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from adapters.wecom.client import (
    Unreachable,
    WeComAway,
    WeComClient,
    WeComMisconfigured,
    WeComRefused,
)
from domain.notifications import Way
from web.letters import Letter

NOT_CONFIGURED = "WeCom is not configured"
CODE_IS_USED = 60140

Outcome = dict[str, Any]
"""What of a `RecordDelivery` says how it went."""

log = structlog.get_logger()


class Post:
    """
    One letter on its way to one member.

    What WeCom has taken of it stays taken when the rest has to be tried again: the same card a
    second time would be refused, and the code that changes it lost.
    """

    def __init__(
        self,
        wecom: Callable[[], WeComClient | None],
        userid: str,
        on_sent: Callable[[], None],
        has_room: Callable[[], Awaitable[None]],
    ) -> None:
        self._wecom = wecom
        self._userid = userid
        self._on_sent = on_sent
        self._has_room = has_room
        self.card: Outcome | None = None
        """What became of the card, once WeCom has it."""
        self._card_refused = False
        self._text_may_have_arrived = False
        self._change_may_have_arrived = False

    async def deliver(self, letter: Letter) -> Outcome:
        """
        Hand it to WeCom, and say how it went.

        Raises:
            WeComAway, WeComMisconfigured: Not now; deliver it again later.
        """
        if letter.problem is not None:
            return {"problem": letter.problem}
        if letter.already:
            return {"way": Way.CARD}
        try:
            return await self._deliver(letter)
        except Unreachable as error:
            return self.card or {"problem": str(error), "unreachable": True}
        except WeComRefused as error:
            return self.card or {"problem": str(error), "response_code": letter.changes}

    async def _deliver(self, letter: Letter) -> Outcome:
        has_card = letter.card is not None and self._wecom() is not None
        if has_card and self.card is None and not self._card_refused:
            await self._hand_over_card(letter)
        if self.card is not None and not letter.beside_card:
            return self.card
        if letter.text is None:
            raise WeComRefused(0, "the card could not be changed")
        shown = await self._hand_over_text(letter)
        if self.card is None:
            return {**shown, "response_code": letter.changes}
        return {**self.card, "cut": letter.cut, "way": Way.BOTH} if "cut" in shown else self.card

    async def _hand_over_text(self, letter: Letter) -> Outcome:
        """
        The text; where WeCom will not have its words, one that has none but ours.

        The words of engines stand in most texts, and one that WeCom blocks must not keep anybody
        from hearing that something waits.
        """
        assert letter.text is not None  # noqa: S101  # asked by the caller
        try:
            await self._send_text(letter.text, once=letter.once)
        except WeComRefused as error:
            if letter.plain is None or self._wecom() is None:
                raise
            log.warning("text refused", why=str(error))
            await self._send_text(letter.plain, once=letter.once)
            return {"way": Way.DIGEST}
        return {"cut": letter.cut, "way": Way.TEXT}

    async def _send_text(self, text: str, *, once: bool) -> None:
        """
        What an earlier try may have delivered is not delivered again within half an hour: where
        only WeCom's answers get lost, the member would read the same with every try. What surely
        did not arrive is: WeCom leaves out any text that it has taken before, whatever it was for.
        """
        once = once or self._text_may_have_arrived
        await self._has_room()
        try:
            await self._client().send_text(self._userid, text, once=once)
        except WeComAway as error:
            self._text_may_have_arrived |= error.may_have_arrived
            raise
        self._on_sent()

    async def _hand_over_card(self, letter: Letter) -> None:
        """A card that WeCom will not have goes out as a text, whatever it has against it."""
        try:
            self.card = await (self._change(letter) if letter.changes else self._send_card(letter))
        except (WeComRefused, WeComMisconfigured) as error:
            if isinstance(error, WeComMisconfigured) and not error.is_about_one_kind_of_call:
                raise
            log.warning("card refused", why=str(error))
            self._card_refused = True

    async def _send_card(self, letter: Letter) -> Outcome:
        assert letter.card is not None  # noqa: S101  # asked by the caller
        await self._has_room()
        code = await self._client().send_card(self._userid, letter.card)
        self._on_sent()
        return {"way": Way.CARD, "cut": letter.card_cut, "response_code": code}

    async def _change(self, letter: Letter) -> Outcome:
        """60140 after an answer that got lost: the code is used, and by us."""
        assert letter.card is not None and letter.changes is not None  # noqa: S101
        try:
            await self._client().update_card(self._userid, letter.changes, letter.card)
        except WeComAway as error:
            self._change_may_have_arrived |= error.may_have_arrived
            raise
        except WeComRefused as error:
            if error.errcode != CODE_IS_USED or not self._change_may_have_arrived:
                raise
        return {"way": Way.CARD, "response_code": letter.changes}

    def _client(self) -> WeComClient:
        """As it is now: while a letter waits, somebody may correct the settings."""
        if (wecom := self._wecom()) is None:
            raise WeComRefused(0, NOT_CONFIGURED)
        return wecom
