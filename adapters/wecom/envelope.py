"""The outer XML of a callback: opened with suspicion, for it comes before any proof of origin."""

import html

from defusedxml.common import DTDForbidden, EntitiesForbidden
from defusedxml.ElementTree import DefusedXMLParser, ParseError

from adapters.wecom.crypto import BadEnvelope, CallbackCrypto

MAX_BODY_BYTES = 64 * 1024
# WeCom's deepest message (the nodes of an approval of its own) has seven levels.
MAX_DEPTH = 16


class UnreadableXml(Exception):
    """Not a small, flat document; `reason` says why and never quotes it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def open_post(
    crypto: CallbackCrypto, body: bytes, signature: str, timestamp: str, nonce: str
) -> bytes:
    """
    Open the body of one POST and give the message inside; cheap checks come first.

    Raises:
        NotGenuine: Size, envelope, signature, cipher or receiver is wrong.
    """
    encrypted = _encrypted(body)
    crypto.verify(signature, timestamp, nonce, encrypted)
    return crypto.decrypt(encrypted)


def open_echo(
    crypto: CallbackCrypto, signature: str, timestamp: str, nonce: str, echostr: str
) -> bytes:
    """
    Open the GET that verifies the URL; what it gives is answered byte for byte.

    A raw `+` of the query arrives as a blank, which base64 never holds (wecom-protocol 1.5).
    """
    encrypted = echostr.replace(" ", "+")
    crypto.verify(signature, timestamp, nonce, encrypted)
    return crypto.decrypt(encrypted)


def seal_post(
    crypto: CallbackCrypto,
    message: bytes,
    *,
    to_user: str,
    agent_id: str,
    timestamp: str,
    nonce: str,
    cdata: bool = True,
) -> tuple[bytes, str]:
    """Body and signature as WeCom would send them; WeCom writes with and without CDATA."""
    encrypted = crypto.encrypt(message)
    quote = _cdata if cdata else _escaped
    body = (
        f"<xml><ToUserName>{quote(to_user)}</ToUserName>"
        f"<Encrypt>{quote(encrypted)}</Encrypt><AgentID>{quote(agent_id)}</AgentID></xml>"
    )
    return body.encode(), crypto.signature(timestamp, nonce, encrypted)


def flat_elements(text: str) -> dict[str, str]:
    """
    Name and text of every element directly under the root; one that holds elements counts as empty.

    A name that occurs twice is refused: whichever we took, somebody else might take the other.

    Raises:
        UnreadableXml: "not-xml", "doctype", "too-deep" or "repeated-element".
    """
    parser = DefusedXMLParser(target=_FlatTarget(), forbid_dtd=True)
    try:
        parser.feed(text)
        elements: dict[str, str] = parser.close()
    except (DTDForbidden, EntitiesForbidden):
        raise UnreadableXml("doctype") from None
    except ParseError:
        raise UnreadableXml("not-xml") from None
    return elements


class _FlatTarget:
    """What the parser tells its finds to; builds no tree."""

    def __init__(self) -> None:
        self._depth = 0
        self._pieces: list[str] = []
        self._holds_elements = False
        self._elements: dict[str, str] = {}

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise UnreadableXml("too-deep")
        if self._depth == 2:
            self._pieces, self._holds_elements = [], False
        elif self._depth > 2:
            self._holds_elements = True

    def data(self, piece: str) -> None:
        self._pieces.append(piece)

    def end(self, name: str) -> None:
        if self._depth == 2:
            if name in self._elements:
                raise UnreadableXml("repeated-element")
            self._elements[name] = "" if self._holds_elements else "".join(self._pieces)
        self._depth -= 1

    def close(self) -> dict[str, str]:
        return self._elements


def _encrypted(body: bytes) -> str:
    if len(body) > MAX_BODY_BYTES:
        raise BadEnvelope
    try:
        encrypted = flat_elements(body.decode("utf-8")).get("Encrypt")
    except (UnicodeDecodeError, UnreadableXml):
        raise BadEnvelope from None
    if not encrypted:
        raise BadEnvelope
    return encrypted


def _cdata(text: str) -> str:
    return "<![CDATA[" + text.replace("]]>", "]]]]><![CDATA[>") + "]]>"


def _escaped(text: str) -> str:
    return html.escape(text, quote=False)
