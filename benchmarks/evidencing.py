"""What evidence costs: the tree grown from nothing, everything verified, one approval proved."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from adapters.evidence.growing import Grower
from adapters.evidence.keys import public_keys
from adapters.evidence.logs import made_keys
from adapters.evidence.outside import in_order
from adapters.evidence.proofs import inclusion_proof
from adapters.evidence.verification import Verifier
from adapters.store.event_store import open_event_store
from adapters.store.snapshot import opened_snapshot
from domain.identity import approval_stream
from web.audit.evidence_commands import head_in
from web.keyring import Keyring
from web.secret_key import secret_key
from web.settings import Settings
from web.vault import Vault


def grow_tree(settings: Settings, folder: Path) -> None:
    """As at the first start on a store that has none, heads in a file too."""
    vault = Vault(secret_key(settings))
    with closing(open_event_store(settings.database)) as store:
        keyring = Keyring(lambda: store.found(_now()), vault)
        grower = Grower(store, store.found(_now()).feed_id, keyring.tree_key, _now, _heads(folder))
        while grower.grow() is not None:
            pass
        grower.file_heads()


def verify(settings: Settings, folder: Path) -> None:
    """All of `audit verify`; after `grow_tree`."""
    with opened_snapshot(settings.database) as snapshot:
        keys = public_keys(made.public for made in made_keys(snapshot))
        with in_order([head_in(str(_heads(folder)))]) as outside:
            found = Verifier(snapshot, keys, outside).run()
    if found.problem is not None or found.covered != found.tree_size or not found.outside:
        raise RuntimeError(found)


def prove(settings: Settings, folder: Path) -> None:
    """An inclusion proof of the first approval: every other event is hashed for it once."""
    with opened_snapshot(settings.database) as snapshot:
        inclusion_proof(snapshot, approval_stream("1_1"), head_in(str(_heads(folder))))


def _heads(folder: Path) -> Path:
    return folder / "heads.jsonl"


def _now() -> datetime:
    return datetime.now(UTC)
