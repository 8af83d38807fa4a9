"""What a member said or did: the decrypted XML of a callback as plain values."""

import hashlib
import json
import re
from dataclasses import dataclass

from adapters.wecom.envelope import UnreadableXml, flat_elements

# Members can produce these; XML cannot hold them (wecom-protocol 2.4).
REFUSED_BY_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
UNIX_SECONDS = re.compile("[0-9]{1,12}")


class NotUnderstood(Exception):
    """
    Genuine, and yet no message: answered with 200 and without effect.

    `reason` is one of "not-utf8", "not-xml", "doctype", "too-deep", "repeated-element",
    "no-sender", "no-type", "no-event".
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the decrypted message is not understood: {reason}")


@dataclass(frozen=True, kw_only=True)
class Inbound:
    """What every callback carries."""

    to_user: str
    from_user: str
    created: int | None
    """Unix seconds by WeCom's clock; kept for the record, decides nothing."""
    agent_id: str


@dataclass(frozen=True, kw_only=True)
class TextMessage(Inbound):
    content: str
    """Exactly as sent, blanks included."""
    msg_id: str

    @property
    def delivery_key(self) -> str:
        return _message_key(self.agent_id, self.msg_id, self.created, "text", self.content)


@dataclass(frozen=True, kw_only=True)
class OtherMessage(Inbound):
    """A picture, a voice message …: to be answered, never to decide."""

    msg_type: str
    msg_id: str

    @property
    def delivery_key(self) -> str:
        return _message_key(self.agent_id, self.msg_id, self.created, self.msg_type, "")


@dataclass(frozen=True, kw_only=True)
class Event(Inbound):
    event: str
    """In lower case: WeCom writes `click` and `CLICK`."""
    event_key: str
    task_id: str
    response_code: str
    card_type: str

    @property
    def delivery_key(self) -> str:
        """
        The same for each delivery of one event, for one sender (wecom-protocol 1.8).

        WeCom's own advice, sender and second, is too narrow: two cards tapped within one second
        would count as one.
        """
        key = (self.agent_id, self.created, self.event, self.event_key, self.task_id)
        return f"event:{_digest(*key)}"


def parse(inner: bytes) -> TextMessage | OtherMessage | Event:
    """
    Read one decrypted message. Missing and empty elements are equal.

    Raises:
        NotUnderstood: It is no message from anybody.
    """
    elements = _elements(inner)
    fields = {name: text.strip() for name, text in elements.items()}
    if not fields.get("FromUserName"):
        raise NotUnderstood("no-sender")
    match fields.get("MsgType", "").lower():
        case "":
            raise NotUnderstood("no-type")
        case "event":
            return _event(fields)
        case "text":
            return _text(fields, elements.get("Content", ""))
        case msg_type:
            return _other(fields, msg_type)


def _elements(inner: bytes) -> dict[str, str]:
    try:
        text = inner.decode("utf-8", "surrogatepass")
        # A blank, not nothing: what stood apart must not grow together (`TY 1\x002` names no 12).
        return flat_elements(REFUSED_BY_XML.sub(" ", text))
    except UnicodeDecodeError:
        raise NotUnderstood("not-utf8") from None
    except UnreadableXml as unreadable:
        raise NotUnderstood(unreadable.reason) from None


def _text(fields: dict[str, str], content: str) -> TextMessage:
    return TextMessage(
        to_user=fields.get("ToUserName", ""),
        from_user=fields["FromUserName"],
        created=_created(fields),
        agent_id=_agent_id(fields),
        content=content,
        msg_id=fields.get("MsgId", ""),
    )


def _other(fields: dict[str, str], msg_type: str) -> OtherMessage:
    return OtherMessage(
        to_user=fields.get("ToUserName", ""),
        from_user=fields["FromUserName"],
        created=_created(fields),
        agent_id=_agent_id(fields),
        msg_type=msg_type,
        msg_id=fields.get("MsgId", ""),
    )


def _event(fields: dict[str, str]) -> Event:
    event = fields.get("Event", "").lower()
    if not event:
        raise NotUnderstood("no-event")
    return Event(
        to_user=fields.get("ToUserName", ""),
        from_user=fields["FromUserName"],
        created=_created(fields),
        agent_id=_agent_id(fields),
        event=event,
        event_key=fields.get("EventKey", ""),
        task_id=fields.get("TaskId", ""),
        response_code=fields.get("ResponseCode", ""),
        card_type=fields.get("CardType", ""),
    )


def _agent_id(fields: dict[str, str]) -> str:
    # `taskcard_click`, the event of old cards, spells it with a lower-case d.
    return fields.get("AgentID") or fields.get("AgentId", "")


def _created(fields: dict[str, str]) -> int | None:
    seconds = fields.get("CreateTime", "")
    return int(seconds) if UNIX_SECONDS.fullmatch(seconds) else None


def _message_key(
    agent_id: str, msg_id: str, created: int | None, msg_type: str, content: str
) -> str:
    own_id = msg_id or f"sha256:{_digest(created, msg_type, content)}"
    return f"msg:{agent_id}:{own_id}"


def _digest(*parts: str | int | None) -> str:
    # JSON keeps the parts apart: ("a", "bc") and ("ab", "c") must differ.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
