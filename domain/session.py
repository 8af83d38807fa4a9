"""A member's login: opened, ended, nothing else. Kept as events, so that logins are history."""

from datetime import datetime

from domain.aggregate import Aggregate, Event, applies

SESSION_STREAM = "session-"


def session_stream(session: str) -> str:
    """The stream of a session, named by the SHA-256 of the cookie's value."""
    return SESSION_STREAM + session


def session_of(stream: str) -> str:
    """The session of that stream."""
    return stream.removeprefix(SESSION_STREAM)


class Session(Aggregate):
    """One browser of one member, until it ends or runs out."""

    class Opened(Event, frozen=True, kw_only=True):
        TOPIC = "session.opened"
        by: str
        expires_at: datetime

    class Ended(Event, frozen=True, kw_only=True):
        TOPIC = "session.ended"
        why: str | None = None

    def open(self, by: str, expires_at: datetime, at: datetime) -> None:
        """Begin; the id is random, so a session is opened once."""
        self.trigger(self.Opened, at, by=by, expires_at=expires_at)

    def end(self, at: datetime, why: str | None = None) -> None:
        """End it for good, for a reason such as `logged-out`; again: nothing happens."""
        if not self.ended:
            self.trigger(self.Ended, at, why=why)

    def member(self, at: datetime) -> str | None:
        """Whose session it is, or None once it ended or ran out."""
        return None if self.ended or at >= self.expires_at else self.by

    @applies(Opened)
    def _opened(self, event: Opened) -> None:
        self.by = event.by
        self.opened_at = event.timestamp
        self.expires_at = event.expires_at
        self.ended = False

    @applies(Ended)
    def _ended(self, event: Ended) -> None:
        self.ended = True
