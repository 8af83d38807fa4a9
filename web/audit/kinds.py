"""Kinds of event by the names that people look for them with."""

from domain.catalogue import EVENTS
from domain.configuration import Via
from domain.decision import Channel

EVERYTHING = "all"
# Each is the beginnings of stored names; a whole name is a kind of its own, too.
GROUPS: dict[str, tuple[str, ...]] = {
    "approvals": ("approval.",),
    "messages": ("inbox.",),
    "logins": ("session.", "configuration.link-used"),
    "configuration": ("configuration.",),
    "keys": ("installation.secret", "configuration.resealed"),
    "freezes": ("freeze.",),
    "webhooks": ("approval.webhook-",),
    "looks": ("audit.searched", "audit.opened"),
    "exports": ("audit.exported",),
    "verifications": ("audit.verified",),
    "installation": ("installation.",),
    "audit": ("audit.",),
}
CHANNELS_OF_ENDS = tuple(channel.value for channel in Channel)
"""Through which an approval ends."""
CHANNELS = tuple(dict.fromkeys((*CHANNELS_OF_ENDS, "fta", *(via.value for via in Via), "service")))
"""Through which events come."""


class UnknownKind(ValueError):
    """No event is of that kind."""

    def __init__(self, name: str) -> None:
        groups = ", ".join((EVERYTHING, *GROUPS))
        super().__init__(f"{name!r} is none of {groups}, nor a stored name such as freeze.began")


def topics(names: tuple[str, ...]) -> tuple[str, ...]:
    """
    The stored names of several kinds; none for everything.

    Raises:
        UnknownKind: One of them is none.
    """
    if EVERYTHING in names:
        return ()
    return tuple(dict.fromkeys(topic for name in names for topic in _of(name)))


def _of(name: str) -> list[str]:
    beginnings = GROUPS.get(name)
    if beginnings is not None:
        return [topic for topic in EVENTS if topic.startswith(beginnings)]
    if name not in EVENTS:
        raise UnknownKind(name)
    return [name]
