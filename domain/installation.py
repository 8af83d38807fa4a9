"""What is chosen once, at the first start of a store: the name of its decision feed."""

from datetime import datetime

from domain.aggregate import Aggregate, Event, applies

STREAM = "installation"


class Installation(Aggregate):
    """This store, as distinct from every other, a restored copy of it included."""

    class Founded(Event, frozen=True, kw_only=True):
        TOPIC = "installation.founded"
        feed_id: str

    def found(self, feed_id: str, at: datetime) -> None:
        """Take the name; once taken, nothing happens."""
        if self.version == 0:
            self.trigger(self.Founded, at, feed_id=feed_id)

    @applies(Founded)
    def _founded(self, event: Founded) -> None:
        self.feed_id = event.feed_id
