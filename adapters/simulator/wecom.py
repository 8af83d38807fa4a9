"""The simulated WeCom: what the application may ask of it. `api.py` puts it behind HTTP."""

import secrets
from datetime import timedelta
from typing import Any

from adapters.simulator import menu as menus
from adapters.simulator.inbox import Delivered
from adapters.simulator.phones import Phones
from adapters.simulator.refusals import ApiError
from adapters.simulator.rules import needs_callback, read_agent_id, read_content, read_recipients

Json = dict[str, Any]
RECALL_WITHIN = timedelta(hours=24)


class SimulatedWeCom(Phones):
    """
    One company with one application, in memory.

    What an administrator does stands in `Company`, what members do in `Phones`, what the
    application asks here; every method may be called directly or through HTTP.
    """

    def send(self, payload: Json, token_agent_id: int) -> Json:
        agent_id = self._own_agent(read_agent_id(payload, self.knobs), token_agent_id)
        wanted = read_recipients(payload, self.knobs)
        kind, content = read_content(payload)
        if kind == "template_card":
            self._check_card(content)
        reached, answer = self.book.resolve(wanted)
        at, msgid = self.clock(), secrets.token_urlsafe(24)
        for member in reached:
            if not self.inboxes.seen_before(payload, member.userid, at):
                message = Delivered(msgid, member.userid, agent_id, kind, content, at)
                self.inboxes.deliver(message, self.knobs)
        answer["msgid"] = msgid
        if kind == "template_card":
            recipients = frozenset(member.key for member in reached)
            code = self.cards.sent(content, msgid, agent_id, recipients, at)
            answer |= {"response_code": code} if code else {}
        self.changes.bump()
        return answer

    def update_card(self, payload: Json, token_agent_id: int) -> Json:
        agent_id = self._own_agent(read_agent_id(payload, self.knobs), token_agent_id)
        invalid = self.cards.update(payload, agent_id, self.book, self.clock())
        self.changes.bump()
        return {"invaliduser": invalid}

    def recall(self, payload: Json, token_agent_id: int) -> Json:
        messages = self.inboxes.everywhere(str(payload.get("msgid")))
        if not messages or messages[0].agent_id != token_agent_id:
            raise ApiError(40058, "msgid")
        if self.clock() - messages[0].at > RECALL_WITHIN:
            raise ApiError(40058, "more than 24 hours ago")
        for message in messages:
            message.recalled = True
        self.changes.bump()
        return {}

    def user_info(self, code: str | None) -> Json:
        """Who logged in; every member of the company, in the visible range or not."""
        login = self.logins.take(code, self.trusted_hosts, self.clock())
        if login.member is None:
            openid = "o" + login.userid.encode().hex()[:40].ljust(27, "0")
            return {"openid": openid, "external_userid": ""}
        return {"userid": login.member.userid}

    def user(self, userid: str | None) -> Json:
        member = self.book.member(userid)
        if member is None:
            raise ApiError(60111)
        if member.key not in self.book.visible:
            raise ApiError(60011)
        return {
            "userid": member.userid,
            "name": member.name,
            "department": list(member.departments),
            "position": member.position,
            "status": member.status,
        }

    def create_menu(self, payload: Json, agent_id: int, token_agent_id: int) -> Json:
        self._own_agent(agent_id, token_agent_id)
        self.menu = menus.read_menu(payload)
        self.changes.bump()
        return {}

    def get_menu(self, agent_id: int, token_agent_id: int) -> Json:
        self._own_agent(agent_id, token_agent_id)
        if self.menu is None:
            raise ApiError(46003)
        return {"button": self.menu}

    def delete_menu(self, agent_id: int, token_agent_id: int) -> Json:
        self._own_agent(agent_id, token_agent_id)
        self.menu = None
        self.changes.bump()
        return {}

    def _own_agent(self, agent_id: int, token_agent_id: int) -> int:
        if agent_id not in self.tokens.agents.values():
            raise ApiError(40056)
        if agent_id != token_agent_id:
            raise ApiError(301002)
        return agent_id

    def _check_card(self, card: Json) -> None:
        wants_callback = needs_callback(card) and self.knobs.cards_need_verified_callback
        if wants_callback and not self.callback_verified:
            raise ApiError(43012)
        self.cards.check_new(card)
