"""`fta-approval permits rotate-key`: permits are signed with a new key from now on."""

from collections.abc import Callable

from web.app import utc_now
from web.keyring import make_permit_key
from web.parts import check_store_exists, opened_store
from web.secret_key import secret_key
from web.settings import Settings
from web.shell_account import shell_account
from web.vault import Vault


def rotate_permit_key(
    settings: Settings, *, voids_earlier: bool, say: Callable[[str], None]
) -> None:
    """
    Make a new key; a running service uses it for the next approval.

    Args:
        voids_earlier: The key got out: permits that it signed are not redeemed any more.

    Raises:
        FileNotFoundError: There is no event store; one that is mistyped is not made anew.
        WrongSecretKey: The service ran with another secret key.
    """
    check_store_exists(settings)
    vault = Vault(secret_key(settings))
    with opened_store(settings) as store:
        name = make_permit_key(
            store, vault, utc_now(), shell_account(), voids_earlier=voids_earlier
        )
    say(f"permits are signed with {name} from now on")
    if voids_earlier:
        say("permits signed with an earlier key are void; their engines have to ask the next run")
