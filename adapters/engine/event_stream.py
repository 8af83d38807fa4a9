"""Server-Sent Events, read as the HTML standard says: bytes in, whole events out."""

import codecs
from dataclasses import dataclass


@dataclass(frozen=True)
class ServerSentEvent:
    data: str
    event: str = "message"
    id: str = ""


class EventStream:
    """
    Feed it what arrives, in pieces of any size.

    `last_id` is what a reader sends as Last-Event-ID when it connects again; an event that was
    cut off by the end of the connection does not count.
    """

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        self._rest = ""
        self._begun = False
        self._data: list[str] = []
        self._event = ""
        self._id = last_id

    def feed(self, piece: bytes) -> list[ServerSentEvent]:
        text = self._rest + self._decode(piece)
        if text and not self._begun:
            self._begun = True
            text = text.removeprefix("\ufeff")
        lines, self._rest = _whole_lines(text)
        return [event for line in lines if (event := self._line(line)) is not None]

    def _line(self, line: str) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        data, event = self._data, self._event or "message"
        self._data, self._event = [], ""
        self.last_id = self._id
        return ServerSentEvent("\n".join(data), event, self.last_id) if data else None


def _whole_lines(text: str) -> tuple[list[str], str]:
    """Lines end in CR, LF or both; a CR at the very end may be half of a pair and waits."""
    held = "\r" if text.endswith("\r") else ""
    body = text.removesuffix("\r").replace("\r\n", "\n").replace("\r", "\n")
    *lines, rest = body.split("\n")
    return lines, rest + held
