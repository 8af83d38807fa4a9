"""
`fta-approval settings rotate-key`: a new secret key, with everything stored sealed anew.

In this order, so that a crash at any moment leaves a key that opens what is stored: the new key is
written beside the old one; one transaction seals everything anew; the new key takes the old one's
place. What a crash left between the last two steps whoever opens the store next finishes.
"""

import base64
import os
from collections.abc import Callable
from contextlib import closing
from datetime import datetime

from adapters.store.event_store import EventStore, open_event_store
from adapters.store.lease import FileLease
from domain.configuration import CONFIGURATION_STREAM, Configuration
from web.admin_link import write_privately
from web.in_force import Secrets
from web.keyring import Keyring, resealed
from web.parts import beside_database, check_store_exists, opened_vault
from web.secret_key import key_in, key_path, new_key_path, put_in_place
from web.settings import PREFIX, Settings
from web.shell_account import shell_account
from web.vault import Vault


class NotRotated(Exception):
    """The key is as it was; says why."""


def rotate_secret_key(settings: Settings, at: datetime, say: Callable[[str], None]) -> None:
    """
    Seal everything with a new key. The service has to be stopped: it would go on with the old one.

    Raises:
        NotRotated: The service runs.
        WrongSecretKey, OSError: The key of now does not open what is stored; the file cannot be
            written. Nothing was changed.
    """
    check_store_exists(settings)
    lease = FileLease(beside_database(settings, ".lease"))
    if not lease.try_take():
        raise NotRotated("the service runs: stop it, in every process, then repeat this")
    try:
        _rotate(settings, at, say)
    finally:
        lease.release()


def _rotate(settings: Settings, at: datetime, say: Callable[[str], None]) -> None:
    fresh = new_key_path(settings)
    with closing(open_event_store(settings.database)) as store:
        # Opens everything, so a new key that stands there already is one that nothing needs.
        old = opened_vault(settings, store, lambda: at)
        write_privately(fresh, base64.b64encode(os.urandom(32)).decode() + "\n")
        reseal_store(store, old, Vault(key_in(fresh)), at)
    if settings.secret_key is None:
        put_in_place(fresh, key_path(settings))
        say(f"everything stored is sealed with a new key, which stands in {key_path(settings)}")
    else:
        say(
            f"everything stored is sealed with a new key: put the contents of {fresh} into "
            f"{PREFIX}SECRET_KEY before the next start, then remove that file"
        )
    say(
        "events keep what the old key sealed: where it got out, set the secrets themselves anew too"
    )


def reseal_store(store: EventStore, old: Vault, new: Vault, at: datetime) -> None:
    """In one transaction, everything or nothing."""
    by = shell_account()
    installation = store.found(at)
    installation.reseal(resealed(installation, old, new), by, at)
    configuration = store.load(Configuration, CONFIGURATION_STREAM) or Configuration()
    key = Keyring(lambda: store.found(at), old).fingerprint_key()
    before, after = Secrets(old, key), Secrets(new, key)
    sealed = {
        name: after.seal(name, before.open(name, one.sealed))
        for name, one in configuration.stored.items()
        if one.sealed is not None
    }
    configuration.reseal(sealed, by, at)
    store.save([*installation.collect_events(), *configuration.collect_events()])
