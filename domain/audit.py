"""Who looked into the history and took what out of it: kept in the history itself."""

from collections.abc import Mapping
from datetime import datetime

from domain.aggregate import Aggregate, Event, applies


class Audit(Aggregate):
    """What one person, or the service by itself, did with the history on one UTC day."""

    class Searched(Event, frozen=True, kw_only=True):
        TOPIC = "audit.searched"
        by: str
        via: str
        wanted: dict[str, str]

    class Opened(Event, frozen=True, kw_only=True):
        TOPIC = "audit.opened"
        by: str
        via: str
        reply_id: str

    class Exported(Event, frozen=True, kw_only=True):
        TOPIC = "audit.exported"
        by: str
        via: str
        what: str
        wanted: dict[str, str]
        form: str
        pseudonyms: bool = False

    class Verified(Event, frozen=True, kw_only=True):
        TOPIC = "audit.verified"
        by: str
        via: str
        tree_size: int
        position: int
        root_hash: str
        problem: str | None = None

    def search(self, by: str, via: str, wanted: Mapping[str, str], at: datetime) -> None:
        """Somebody was shown what these filters find."""
        self.trigger(self.Searched, at, by=by, via=via, wanted=dict(wanted))

    def open(self, by: str, via: str, reply_id: str, at: datetime) -> None:
        """Somebody was shown everything that happened to one approval."""
        self.trigger(self.Opened, at, by=by, via=via, reply_id=reply_id)

    def export(
        self,
        by: str,
        via: str,
        what: str,
        wanted: Mapping[str, str],
        form: str,
        at: datetime,
        *,
        pseudonyms: bool,
    ) -> None:
        """
        Somebody begins to take something away; recorded before the first byte goes out.

        Args:
            what: Of what kind it is, such as `events`.
            form: In which form, such as `csv`.
            pseudonyms: Members stand in it under other names.
        """
        self.trigger(
            self.Exported,
            at,
            by=by,
            via=via,
            what=what,
            wanted=dict(wanted),
            form=form,
            pseudonyms=pseudonyms,
        )

    def verify(
        self,
        by: str,
        via: str,
        at: datetime,
        *,
        tree_size: int,
        position: int,
        root_hash: str,
        problem: str | None,
    ) -> None:
        """
        Everything up to a position was computed anew.

        Args:
            tree_size: How many events that was.
            root_hash: What they come to, base64.
            problem: The first thing that is not as it was recorded; None: there is none.
        """
        self.trigger(
            self.Verified,
            at,
            by=by,
            via=via,
            tree_size=tree_size,
            position=position,
            root_hash=root_hash,
            problem=problem,
        )

    @applies(Searched)
    def _searched(self, event: Searched) -> None:
        """Nothing follows from it."""

    @applies(Opened)
    def _opened(self, event: Opened) -> None:
        """Nothing follows from it."""

    @applies(Exported)
    def _exported(self, event: Exported) -> None:
        """Nothing follows from it."""

    @applies(Verified)
    def _verified(self, event: Verified) -> None:
        """Nothing follows from it."""
