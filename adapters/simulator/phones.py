"""What members do on their phones: write, open the menu, tap cards. WeCom then calls back."""

import asyncio
import secrets
from datetime import datetime
from typing import Any

from adapters.simulator import menu as menus
from adapters.simulator.callbacks import Delivery, Field
from adapters.simulator.cards import change
from adapters.simulator.company import Company
from adapters.simulator.inbox import Delivered, Said
from adapters.simulator.rules import CALLBACK_CARDS

Json = dict[str, Any]


class Phones(Company):
    """Source: wecom-protocol 2, 3.1."""

    _message_ids = 0
    _last_inner: bytes | None = None

    def inbox(self, userid: str) -> list[Delivered]:
        """The messages of the application on this member's phone, oldest first."""
        return self.inboxes.delivered(userid)

    async def send_text(
        self, userid: str, content: str, msg_id: int | None = None, *, at: datetime | None = None
    ) -> Delivery:
        """
        A member writes to the application.

        `msg_id` repeats or chooses WeCom's id; `at` is the CreateTime where it is not now. The
        userid goes out as spelled here, and need not be a member's.
        """
        said = Said(userid, content, self.clock())
        self.inboxes.say(said)
        self.changes.bump()
        delivery = await self.send_message(
            userid, "text", [("Content", content)], msg_id=msg_id, at=at
        )
        said.delivered = delivery.answered
        self.changes.bump()
        return delivery

    async def send_message(
        self,
        userid: str,
        kind: str,
        fields: list[Field],
        *,
        msg_id: int | None = None,
        at: datetime | None = None,
    ) -> Delivery:
        """Any message: text, image, voice, location …"""
        own_id = self._next_message_id() if msg_id is None else msg_id
        head = self._head(userid, kind, at)
        return await self._call_back([*head, *fields, ("MsgId", own_id), self._agent()], userid)

    async def send_event(
        self,
        userid: str,
        event: str,
        fields: list[Field] | None = None,
        *,
        at: datetime | None = None,
    ) -> Delivery:
        """Any event: subscribe, enter_agent, click …; events carry no MsgId."""
        head = self._head(userid, "event", at)
        body: list[Field] = [*head, ("Event", event), *(fields or []), self._agent()]
        return await self._call_back(body, userid)

    async def enter_agent(self, userid: str) -> Delivery:
        return await self.send_event(userid, "enter_agent", [("EventKey", "")])

    async def click_menu(self, userid: str, name_or_key: str) -> Delivery:
        """
        Tap an entry of the menu; `view` reports its address, the phone opens it.

        Raises:
            LookupError: The application has no such entry.
        """
        entry = menus.find(self.menu or [], name_or_key)
        key = entry.get("key") or entry.get("url") or entry.get("pagepath", "")
        return await self.send_event(userid, entry["type"], [("EventKey", key)])

    async def tap(
        self,
        userid: str,
        task_id: str,
        key: str,
        selected: dict[str, list[str]] | None = None,
        *,
        menu: bool = False,
    ) -> Delivery | None:
        """
        Tap a button of a card, or an item of its top-right menu.

        The buttons look dead at once and are dead only when an update says so: whoever taps again
        before that is reported again.

        Returns:
            None when the button is dead, so that nothing leaves the phone.

        Raises:
            LookupError: This member has no such card, or the card no such button.
        """
        message = self._card(userid, task_id)
        if key not in _keys(message.content, menu):
            raise LookupError(f"the card {task_id} has no button {key}")
        if message.recalled or (message.button_caption is not None and not menu):
            return None
        if menu:
            return await self._tapped(message, userid, key, {}, menu)
        message.tapped = key
        self.changes.bump()
        try:
            return await self._tapped(message, userid, key, selected or {}, menu)
        finally:
            loop = asyncio.get_running_loop()
            loop.call_later(self.knobs.card_waits_s, self._wait_no_longer, message)
            self.changes.bump()

    def _wait_no_longer(self, message: Delivered) -> None:
        """No update has come: the buttons look as they are."""
        if message.tapped is not None:
            message.tapped = None
            self.changes.bump()

    async def repeat_last(self) -> Delivery:
        """The last callback again, sealed anew: what a retry looks like to the application."""
        if self._last_inner is None:
            raise LookupError("nothing was sent yet")
        return await self._caller.deliver_inner(self._last_inner, self.knobs)

    async def send_inner(self, inner: bytes) -> Delivery:
        """Any bytes, properly sealed."""
        return await self._caller.deliver_inner(inner, self.knobs)

    async def release_callbacks(self, *, reverse: bool = False) -> list[Delivery]:
        """Let go what the knob `hold_callbacks` kept back."""
        return await self._caller.release(reverse=reverse)

    def _head(self, userid: str, kind: str, at: datetime | None) -> list[Field]:
        return [
            ("ToUserName", self.settings.corp_id),
            ("FromUserName", userid),
            ("CreateTime", int((at or self.clock()).timestamp())),
            ("MsgType", kind),
        ]

    def _agent(self) -> Field:
        return ("AgentID", self.settings.agent_id)

    def _next_message_id(self) -> int:
        # The clock in front: a simulator started again must not repeat ids that the application
        # remembers as seen.
        self._message_ids += 1
        return (int(self.clock().timestamp() * 1000) << 20) + self._message_ids

    def _card(self, userid: str, task_id: str) -> Delivered:
        for message in reversed(self.inbox(userid)):
            if message.task_id == task_id:
                return message
        raise LookupError(f"{userid} has no card {task_id}")

    async def _tapped(
        self, message: Delivered, userid: str, key: str, selected: dict[str, list[str]], menu: bool
    ) -> Delivery:
        fields: list[Field] = [
            ("EventKey", key),
            ("TaskId", message.content["task_id"]),
            ("CardType", message.content["card_type"]),
            ("ResponseCode", self.cards.code_for_tap(message, self.clock())),
        ]
        if menu:
            return await self.send_event(userid, "template_card_menu_event", fields)
        if selected:
            fields.append(("SelectedItems", [_selected_item(*item) for item in selected.items()]))
        delivery = await self.send_event(userid, "template_card_event", fields)
        self._honour_passive_update(message, delivery)
        return delivery

    def _honour_passive_update(self, message: Delivered, delivery: Delivery) -> None:
        if self.knobs.passive_card_reply == "ignored" or not delivery.attempts:
            return
        reply = self._caller.open_reply(delivery.attempts[-1].body) or {}
        if reply.get("MsgType") == "update_button":
            change(message, reply.get("ReplaceName", ""), None)

    async def _call_back(self, fields: list[Field], userid: str) -> Delivery:
        delivery = await self._caller.deliver(fields, self.knobs)
        self._last_inner = delivery.inner
        reply = self._caller.open_reply(delivery.attempts[-1].body) if delivery.attempts else None
        if reply and reply.get("MsgType") == "text" and reply.get("Content"):
            content = {"content": reply["Content"]}
            answer = Delivered(
                secrets.token_urlsafe(24),
                userid,
                self.settings.agent_id,
                "text",
                content,
                self.clock(),
            )
            self.inboxes.deliver(answer, self.knobs)
            self.changes.bump()
        return delivery


def _keys(card: Json, menu: bool) -> set[str]:
    if menu:
        return {action["key"] for action in card.get("action_menu", {}).get("action_list", [])}
    if card.get("card_type") not in CALLBACK_CARDS:
        return set()
    if "submit_button" in card:
        return {card["submit_button"].get("key")}
    return {button["key"] for button in card.get("button_list", []) if button.get("type", 0) == 0}


def _selected_item(question: str, options: list[str]) -> Field:
    chosen: list[Field] = [("OptionId", option) for option in options]
    return ("SelectedItem", [("QuestionKey", question), ("OptionIds", chosen)])
