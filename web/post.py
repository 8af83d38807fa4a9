"""One letter on its way to one member: what WeCom has taken of it, and how it went."""

from collections.abc import Callable
from typing import Any

import structlog

from adapters.wecom.client import (
    Unreachable,
    WeComClient,
    WeComMisconfigured,
    WeComRefused,
)
from domain.notifications import Way
from web.letters import Letter

NOT_CONFIGURED = "WeCom is not configured"

Outcome = dict[str, Any]
"""What of a `RecordDelivery` says how it went."""

log = structlog.get_logger()


class Post:
    """
    One letter on its way to one member.

    What WeCom has taken of it stays taken when the rest has to be tried again: the same card a
    second time would be refused, and the code that changes it lost.
    """

    def __init__(self, wecom: WeComClient | None, userid: str, on_sent: Callable[[], None]) -> None:
        self._wecom = wecom
        self._userid = userid
        self._on_sent = on_sent
        self.card: Outcome | None = None
        """What became of the card, once WeCom has it."""
        self._card_refused = False
        self._text_may_have_arrived = False

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
            return {"problem": str(error), "unreachable": True}
        except WeComRefused as error:
            return {"problem": str(error)}

    async def _deliver(self, letter: Letter) -> Outcome:
        if letter.card is not None and self.card is None and not self._card_refused:
            await self._hand_over_card(letter)
        if self.card is not None and not letter.beside_card:
            return self.card
        if letter.text is None:
            raise WeComRefused(0, "the card could not be changed")
        await self._hand_over_text(letter.text, once=letter.once)
        if self.card is None:
            return {"cut": letter.cut, "way": Way.TEXT}
        return {**self.card, "cut": letter.cut, "way": Way.BOTH}

    async def _hand_over_text(self, text: str, *, once: bool) -> None:
        """
        What an earlier try may have delivered is not delivered again within half an hour: where
        only WeCom's answers get lost, the member would read the same with every try.
        """
        again = self._text_may_have_arrived
        self._text_may_have_arrived = True
        await self._client().send_text(self._userid, text, once=once or again)
        self._on_sent()

    async def _hand_over_card(self, letter: Letter) -> None:
        """A card that WeCom will not have goes out as a text, whatever it has against it."""
        assert letter.card is not None  # noqa: S101  # asked by the caller
        try:
            if letter.changes is not None:
                await self._client().update_card(self._userid, letter.changes, letter.card)
                self.card = {"way": Way.CARD}
            else:
                code = await self._client().send_card(self._userid, letter.card)
                self._on_sent()
                self.card = {"way": Way.CARD, "cut": letter.card_cut, "response_code": code}
        except (WeComRefused, WeComMisconfigured) as error:
            if isinstance(error, WeComMisconfigured) and not error.is_about_one_kind_of_call:
                raise
            log.warning("card refused", why=str(error))
            self._card_refused = True

    def _client(self) -> WeComClient:
        if self._wecom is None:
            raise WeComRefused(0, NOT_CONFIGURED)
        return self._wecom
