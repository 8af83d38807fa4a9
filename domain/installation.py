"""What is chosen once for a store: the name of its decision feed, and the secrets made for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from domain.aggregate import Aggregate, Event, applies

STREAM = "installation"


class SecretKind(StrEnum):
    """What a secret that is made here is for."""

    PERMIT_KEY = "permit-key"
    """Signs permits."""
    WEBHOOK_SECRET = "webhook-secret"  # noqa: S105  # a name
    """Signs what is sent to `callback_url`."""
    FINGERPRINT_KEY = "fingerprint-key"
    """Makes fingerprints of secrets, so that nobody finds a secret by trying."""
    TREE_KEY = "tree-key"
    """Signs tree heads, which show that no event was altered."""


@dataclass(frozen=True, slots=True)
class MadeSecret:
    """One secret, sealed with the service's secret key (web/vault.py)."""

    key_id: str
    sealed: str = field(repr=False)
    public: str
    """The half of it that everybody may know, if it has one."""
    made_at: datetime
    voids_earlier: bool
    """The one before is not to be trusted any more; else it serves along for a while."""


class Installation(Aggregate):
    """This store, as distinct from every other, a restored copy of it included."""

    class Founded(Event, frozen=True, kw_only=True):
        TOPIC = "installation.founded"
        feed_id: str

    class SecretMade(Event, frozen=True, kw_only=True):
        TOPIC = "installation.secret-made"
        kind: str
        key_id: str
        sealed: str
        public: str = ""
        by: str | None = None
        voids_earlier: bool = False

    class SecretsResealed(Event, frozen=True, kw_only=True):
        TOPIC = "installation.secrets-resealed"
        by: str
        sealed: dict[str, str]

    class Restored(Event, frozen=True, kw_only=True):
        TOPIC = "installation.restored"
        by: str
        feed_id: str
        earlier_feed_id: str
        position: int
        as_of: datetime

    def found(self, feed_id: str, at: datetime) -> None:
        """Take the name; once taken, nothing happens."""
        if self.version == 0:
            self.trigger(self.Founded, at, feed_id=feed_id)

    def restore(
        self, feed_id: str, by: str, at: datetime, *, position: int, as_of: datetime
    ) -> None:
        """
        Go on as another store than the one that this is a copy of, which may have gone on too.

        Args:
            position: Of the last event of the copy; what came after it is lost here.
            as_of: When that was recorded.
        """
        self.trigger(
            self.Restored,
            at,
            by=by,
            feed_id=feed_id,
            earlier_feed_id=self.feed_id,
            position=position,
            as_of=as_of,
        )

    def make_secret(
        self,
        kind: SecretKind,
        key_id: str,
        sealed: str,
        at: datetime,
        *,
        public: str = "",
        by: str | None = None,
        voids_earlier: bool = False,
    ) -> None:
        """
        Use this secret from now on.

        Args:
            by: Who had it made; None for the service itself at its first start.
            voids_earlier: The earlier ones are not to be trusted any more.
        """
        self.trigger(
            self.SecretMade,
            at,
            kind=kind.value,
            key_id=key_id,
            sealed=sealed,
            public=public,
            by=by,
            voids_earlier=voids_earlier,
        )

    def reseal(self, sealed: Mapping[str, str], by: str, at: datetime) -> None:
        """Keep the same secrets, by their `key_id`, sealed with another key."""
        self.trigger(self.SecretsResealed, at, by=by, sealed=dict(sealed))

    def made(self, kind: SecretKind) -> list[MadeSecret]:
        """Every secret of that kind, the one in use last."""
        return self._secrets.get(kind.value, [])

    def trusted(self, kind: SecretKind) -> list[MadeSecret]:
        """Those that nobody has declared void, the one in use last."""
        made = self.made(kind)
        first = max((n for n, secret in enumerate(made) if secret.voids_earlier), default=0)
        return made[first:]

    @applies(Founded)
    def _founded(self, event: Founded) -> None:
        self.feed_id = event.feed_id
        self.restored_at: datetime | None = None
        """When it was last put back from a copy; None: never."""
        self._secrets: dict[str, list[MadeSecret]] = {}

    @applies(Restored)
    def _restored(self, event: Restored) -> None:
        self.feed_id = event.feed_id
        self.restored_at = event.timestamp

    @applies(SecretMade)
    def _secret_made(self, event: SecretMade) -> None:
        self._secrets.setdefault(event.kind, []).append(
            MadeSecret(
                event.key_id, event.sealed, event.public, event.timestamp, event.voids_earlier
            )
        )

    @applies(SecretsResealed)
    def _secrets_resealed(self, event: SecretsResealed) -> None:
        self._secrets = {
            kind: [replace(one, sealed=event.sealed.get(one.key_id, one.sealed)) for one in made]
            for kind, made in self._secrets.items()
        }
