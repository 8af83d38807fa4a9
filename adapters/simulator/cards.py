"""Cards that can be changed after they were sent: response codes, task ids, updates."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from adapters.simulator.address_book import AddressBook
from adapters.simulator.inbox import Delivered, Inboxes
from adapters.simulator.refusals import ApiError
from adapters.simulator.rules import CALLBACK_CARDS, needs_callback, read_card

CODE_LIVES = timedelta(hours=72)
Json = dict[str, Any]


@dataclass
class ResponseCode:
    msgid: str
    agent_id: int
    recipients: frozenset[str]
    given: datetime
    used: bool = False


class Cards:
    """Source: wecom-protocol 3.2 and 5.4."""

    def __init__(self, inboxes: Inboxes) -> None:
        self._inboxes = inboxes
        self.codes: dict[str, ResponseCode] = {}
        self._task_ids: dict[str, str] = {}

    def check_new(self, card: Json) -> None:
        """A task_id is used once, for ever."""
        if card.get("task_id") in self._task_ids:
            raise ApiError(42014, "task_id was used before")

    def sent(
        self, card: Json, msgid: str, agent_id: int, recipients: frozenset[str], at: datetime
    ) -> str | None:
        """Remember a card; returns the response code that `message/send` gives, if it gives one."""
        if "task_id" in card:
            self._task_ids[card["task_id"]] = msgid
        if not needs_callback(card):
            return None
        return self.code(msgid, agent_id, recipients, at)

    def code(self, msgid: str, agent_id: int, recipients: frozenset[str], at: datetime) -> str:
        code = secrets.token_urlsafe(32)
        self.codes[code] = ResponseCode(msgid, agent_id, recipients, at)
        return code

    def code_for_tap(self, message: Delivered, at: datetime) -> str:
        """Each tap gives one more update of the message."""
        recipients = frozenset(
            entry.userid.casefold() for entry in self._inboxes.everywhere(message.msgid)
        )
        return self.code(message.msgid, message.agent_id, recipients, at)

    def update(self, payload: Json, agent_id: int, book: AddressBook, at: datetime) -> list[str]:
        """
        Change a card on some phones or all; a call that is refused uses no code up.

        Returns:
            The userids among `userids` that are no recipients or out of sight.
        """
        caption, card = _read_update(payload)
        wanted, parties = _read_recipients(payload)
        code = self._valid(payload.get("response_code"), agent_id, at)
        if card is not None:
            self._adopt(card, code.msgid)
        code.used = True
        reachable = code.recipients & book.visible
        chosen = reachable & {*wanted, *book.in_parties(parties)}
        if payload.get("atall") == 1:
            chosen = reachable
        for message in self._inboxes.everywhere(code.msgid):
            if message.userid.casefold() in chosen:
                change(message, caption, card)
        return [userid for userid in wanted if userid not in reachable]

    def _valid(self, given: Any, agent_id: int, at: datetime) -> ResponseCode:
        code = self.codes.get(given) if isinstance(given, str) else None
        if code is None or code.used or at - code.given >= CODE_LIVES:
            raise ApiError(60140)
        if code.agent_id != agent_id:
            raise ApiError(42015)
        return code

    def _adopt(self, card: Json, msgid: str) -> None:
        task_id = card.get("task_id")
        if task_id is not None and self._task_ids.setdefault(task_id, msgid) != msgid:
            raise ApiError(42014, "task_id was used before")


def change(message: Delivered, caption: str | None, card: Json | None) -> None:
    message.tapped = None
    if card is not None:
        message.content = card
        message.button_caption = card.get("replace_text")
    elif message.content.get("card_type") in CALLBACK_CARDS:
        message.button_caption = caption


def _read_update(payload: Json) -> tuple[str | None, Json | None]:
    button, card = payload.get("button"), payload.get("template_card")
    if isinstance(card, dict):
        return None, read_card(card)
    if isinstance(button, dict) and isinstance(button.get("replace_name"), str):
        return button["replace_name"], None
    raise ApiError(40058, "one of `button.replace_name` and `template_card`")


def _read_recipients(payload: Json) -> tuple[list[str], tuple[str, ...]]:
    """Userids and departments: arrays here, where `message/send` has strings."""
    userids = _array(payload, "userids", str, 1000, 40032)
    parties = _array(payload, "partyids", int, 100, 82002)
    _array(payload, "tagids", int, 100, 82003)  # the company has no tags
    return [userid.casefold() for userid in userids], tuple(map(str, parties))


def _array(payload: Json, field: str, kind: type, most: int, errcode: int) -> list[Any]:
    value = payload.get(field, [])
    if not isinstance(value, list) or not all(isinstance(item, kind) for item in value):
        raise ApiError(40058, f"field `{field}` expect type `array`")
    if len(value) > most:
        raise ApiError(errcode)
    return value
