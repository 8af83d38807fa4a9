"""The secrets that this store made for itself, opened: keys of permits and of tree heads, secrets
of webhooks."""

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.engine import permits
from adapters.evidence import keys
from adapters.store.event_store import EventStore
from domain.installation import Installation, MadeSecret, SecretKind
from domain.permit import LONGEST_TTL
from web.vault import Vault

SECRET_BYTES = 32
# After another one was made, so that receivers can be given it meanwhile (contract 4.4).
OLD_WEBHOOK_SECRET_SIGNS_FOR = timedelta(hours=24)


class Keyring:
    """
    What signs permits, webhooks and tree heads.

    Args:
        installation: As it is stored now; asked again where a key is not known, for another
            process may have made it.
    """

    def __init__(self, installation: Callable[[], Installation], vault: Vault) -> None:
        self._installation = installation
        self._vault = vault
        self._permit_keys: dict[str, Ed25519PrivateKey] = {}

    def permit_key(self, key_id: str) -> Ed25519PrivateKey:
        """
        The private key of that name, void ones too: what a position of the feed says never changes.

        Raises:
            KeyError: There is none.
        """
        if key_id not in self._permit_keys:
            made = self._installation().made(SecretKind.PERMIT_KEY)
            self._permit_keys = {one.key_id: self._opened_key(one) for one in made}
        return self._permit_keys[key_id]

    def trusted_permit_keys(self, now: datetime) -> list[dict[str, str]]:
        """Public keys (JWK, RFC 8037) with which a permit that still counts may be signed."""
        trusted = self._installation().trusted(SecretKind.PERMIT_KEY)
        until = [one.made_at + LONGEST_TTL for one in trusted[1:]]  # when the one before retires
        serving = [key for key, end in zip(trusted, until, strict=False) if now < end]
        return [permits.public_jwk(key.key_id, key.public) for key in [*serving, *trusted[-1:]]]

    def webhook_secrets(self, now: datetime) -> list[bytes]:
        """The made secret, and after it the one before while that still signs along."""
        trusted = self._installation().trusted(SecretKind.WEBHOOK_SECRET)[-2:]
        if len(trusted) == 2 and now - trusted[1].made_at >= OLD_WEBHOOK_SECRET_SIGNS_FOR:
            trusted = trusted[1:]
        return [self._vault.open(_name(one.key_id), one.sealed) for one in reversed(trusted)]

    def tree_key(self) -> tuple[str, Ed25519PrivateKey]:
        """
        Name and private key with which tree heads are signed now.

        Raises:
            WrongSecretKey: It was sealed with another key meanwhile.
        """
        made = self._installation().made(SecretKind.TREE_KEY)[-1]
        return made.key_id, self._opened_key(made)

    def fingerprint_key(self) -> bytes:
        """With which fingerprints of secrets are made; it outlives every secret key."""
        made = self._installation().made(SecretKind.FINGERPRINT_KEY)[-1]
        return self._vault.open(_name(made.key_id), made.sealed)

    def check(self) -> None:
        """
        Open everything once, so that a wrong secret key shows at the start and not at night.

        Raises:
            WrongSecretKey: The service ran with another one before.
        """
        _open_everything(self._installation(), self._vault)

    def _opened_key(self, made: MadeSecret) -> Ed25519PrivateKey:
        raw = self._vault.open(_name(made.key_id), made.sealed)
        return Ed25519PrivateKey.from_private_bytes(raw)


def make_permit_key(
    store: EventStore, vault: Vault, at: datetime, by: str, *, voids_earlier: bool = False
) -> str:
    """
    Sign permits with a new key from now on; its name.

    Raises:
        WrongSecretKey: What is stored was sealed with another one; nothing was made.
    """
    make = partial(add_permit_key, vault=vault, at=at, by=by, voids_earlier=voids_earlier)
    return store.change_installation(make).made(SecretKind.PERMIT_KEY)[-1].key_id


def make_webhook_secret(store: EventStore, vault: Vault, at: datetime, by: str) -> bytes:
    """
    Sign webhooks with a new secret from now on, the one before along with it for a while.

    Raises:
        WrongSecretKey: As above.
    """
    make = partial(_make_webhook_secret, vault=vault, at=at, by=by)
    made = store.change_installation(make).made(SecretKind.WEBHOOK_SECRET)[-1]
    return vault.open(_name(made.key_id), made.sealed)


def make_what_is_missing(store: EventStore, vault: Vault, at: datetime) -> Installation:
    """
    At the first start. Processes that start together end with one value (contract 2).

    Raises:
        WrongSecretKey: As above.
    """

    def make(installation: Installation) -> None:
        if not installation.made(SecretKind.PERMIT_KEY):
            add_permit_key(installation, vault, at)
        if not installation.made(SecretKind.WEBHOOK_SECRET):
            _make_webhook_secret(installation, vault, at)
        if not installation.made(SecretKind.FINGERPRINT_KEY):
            _make_random(installation, SecretKind.FINGERPRINT_KEY, "fingerprint", vault, at)
        if not installation.made(SecretKind.TREE_KEY):
            _make_tree_key(installation, vault, at)

    return store.change_installation(make)


def add_permit_key(
    installation: Installation,
    vault: Vault,
    at: datetime,
    by: str | None = None,
    voids_earlier: bool = False,
) -> None:
    """
    The same, not saved yet.

    Raises:
        WrongSecretKey: As above.
    """
    _open_everything(installation, vault)
    key = Ed25519PrivateKey.generate()
    public = permits.public_text(key)
    key_id = permits.key_id(public)
    installation.make_secret(
        SecretKind.PERMIT_KEY,
        key_id,
        vault.seal(_name(key_id), key.private_bytes_raw()),
        at,
        public=public,
        by=by,
        voids_earlier=voids_earlier,
    )


def make_tree_key(store: EventStore, vault: Vault, at: datetime, by: str) -> str:
    """
    Sign tree heads with a new key from now on; its name. What the one before signed stays good.

    Raises:
        WrongSecretKey: As above.
    """
    make = partial(_make_tree_key, vault=vault, at=at, by=by)
    return store.change_installation(make).made(SecretKind.TREE_KEY)[-1].key_id


def _make_tree_key(
    installation: Installation, vault: Vault, at: datetime, by: str | None = None
) -> None:
    _open_everything(installation, vault)
    key = Ed25519PrivateKey.generate()
    public = keys.public_text(key)
    key_id = keys.key_id(public)
    sealed = vault.seal(_name(key_id), key.private_bytes_raw())
    installation.make_secret(SecretKind.TREE_KEY, key_id, sealed, at, public=public, by=by)


def _make_webhook_secret(
    installation: Installation, vault: Vault, at: datetime, by: str | None = None
) -> None:
    _make_random(installation, SecretKind.WEBHOOK_SECRET, "webhook", vault, at, by)


def _make_random(
    installation: Installation,
    kind: SecretKind,
    name: str,
    vault: Vault,
    at: datetime,
    by: str | None = None,
) -> None:
    _open_everything(installation, vault)
    key_id = f"{name}-{os.urandom(8).hex()}"
    sealed = vault.seal(_name(key_id), os.urandom(SECRET_BYTES))
    installation.make_secret(kind, key_id, sealed, at, by=by)


def resealed(installation: Installation, old: Vault, new: Vault) -> dict[str, str]:
    """
    Every secret of the store by its `key_id`, sealed anew.

    Raises:
        WrongSecretKey: `old` does not open one of them.
    """
    every = [made for kind in SecretKind for made in installation.made(kind)]
    return {
        one.key_id: new.seal(_name(one.key_id), old.open(_name(one.key_id), one.sealed))
        for one in every
    }


def _open_everything(installation: Installation, vault: Vault) -> None:
    """
    Before anything is sealed beside it: secrets that were sealed with two keys could be opened
    with neither, and the store never loses an event, so the service would not start again.
    """
    for kind in SecretKind:
        for made in installation.made(kind):
            vault.open(_name(made.key_id), made.sealed)


def _name(key_id: str) -> str:
    return f"secret {key_id}"
