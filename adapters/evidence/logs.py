"""What the installation's events say of tree heads: under which names this store has signed them,
one and another after each restore, and with which keys."""

import json
from contextlib import suppress
from dataclasses import dataclass, field

from adapters.evidence.heads import TreeHead
from adapters.evidence.keys import BadKey, public_keys
from adapters.store.snapshot import Snapshot

INSTALLATION = "installation"
FOUNDED, RESTORED = b"installation.founded", b"installation.restored"
SECRET_MADE, TREE_KEY = b"installation.secret-made", "tree-key"


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A public key of tree heads, and since when it signs."""

    key_id: str
    public: str
    made_at: str


def made_keys(snapshot: Snapshot) -> list[MadeKey]:
    """The one in use last. What an altered event says is no key is left out: the verification has
    to get as far as that event."""
    found = []
    for _, (_, _, _, topic, state) in snapshot.of_stream(INSTALLATION):
        if topic == SECRET_MADE:
            with suppress(ValueError, KeyError, TypeError, AttributeError, BadKey):
                said = json.loads(state)
                if said["kind"] == TREE_KEY:
                    public_keys([said["public"]])
                    found.append(MadeKey(said["key_id"], said["public"], said["timestamp"]))
    return found


@dataclass(slots=True)
class Logs:
    """Log ids, and how many events of earlier logs the store still begins with."""

    current: str | None = None
    ended_at: dict[str, int] = field(default_factory=dict)
    """Sizes up to which heads of earlier logs are about this store's events."""

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Logs":
        """As the installation's events say; what they say wrong the verification finds."""
        logs = cls()
        for _, (position, _, _, topic, state) in snapshot.of_stream(INSTALLATION):
            try:
                said = json.loads(state)
                feed_id = said["feed_id"]
                if topic == RESTORED:
                    kept = snapshot.count_up_to(min(int(said["position"]), position))
                    logs.ended_at[said["earlier_feed_id"]] = kept
                if topic in (FOUNDED, RESTORED):
                    logs.current = feed_id
            except (ValueError, KeyError, TypeError):
                continue
        return logs

    def knows(self, head: TreeHead) -> bool:
        """Whether it is of this store, now or before it was put back."""
        return head.log_id == self.current or head.log_id in self.ended_at

    @property
    def were_put_back(self) -> bool:
        """Whether this store says that it was ever restored from a copy."""
        return bool(self.ended_at)

    def is_beyond(self, head: TreeHead) -> bool:
        """Whether it covers events that an earlier log had and this copy of it does not."""
        return head.tree_size > self.ended_at.get(head.log_id, head.tree_size)

    def covers(self, head: TreeHead) -> bool:
        """Whether it is about events that this store holds."""
        return self.knows(head) and not self.is_beyond(head)

    def lost(self, head: TreeHead) -> int:
        return head.tree_size - self.ended_at[head.log_id]
