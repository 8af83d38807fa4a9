"""Which logins of a member are open: to end them all when a phone is lost, or its owner leaves."""

from domain.identity import same_person
from domain.session import Session, session_of
from projections.database import Tables
from projections.projection import Fact, Projection, milliseconds


class SessionList(Projection):
    """
    One row for each session until it ends. One that ran out keeps its row: a projection reads
    no clock, so whoever asks says at which moment.
    """

    name = "sessions"
    schema = """
        CREATE TABLE sessions (
            session TEXT PRIMARY KEY,
            member TEXT NOT NULL,
            expires_at BIGINT NOT NULL);
        CREATE INDEX sessions_of_member ON sessions (member, expires_at)
    """

    def project(self, fact: Fact, tables: Tables) -> None:
        if isinstance(fact.event, Session.Opened):
            tables.insert(
                self.name,
                {
                    "session": session_of(fact.event.originator_id),
                    "member": same_person(fact.event.by),
                    "expires_at": milliseconds(fact.event.expires_at),
                },
            )
        elif isinstance(fact.event, Session.Ended):
            tables.delete(self.name, {"session": session_of(fact.event.originator_id)})
