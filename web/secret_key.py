"""The one secret of the service, and the keys that are derived from it."""

import base64
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from adapters.store.event_store import sqlite_path
from web.settings import Settings, decoded_key


class KeyIsGone(ValueError):
    """There is a store, and not the key that it was sealed with; another one would not open it."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is missing, the key of the store beside it: put it back from where it is kept"
        )


def secret_key(settings: Settings) -> bytes:
    """
    The 32 bytes from which every other key is derived: given, or made before there is a store.

    Raises:
        KeyIsGone: There is a store already.
        ValueError: The file does not hold such a key.
    """
    if settings.secret_key is not None:
        return decoded_key(settings.secret_key.get_secret_value()) or b""
    path = key_path(settings)
    if not path.exists() and settings.secret_key_file is None:
        # Looked for again after the store: another process may be making both, the key first.
        if sqlite_path(settings.database).exists() and not path.exists():
            raise KeyIsGone(path)
        _make_key_file(path)
    return key_in(path)


def key_path(settings: Settings) -> Path:
    """The file of the key, where the environment does not give the key itself."""
    database = sqlite_path(settings.database)
    return Path(settings.secret_key_file or database.with_name(database.name + ".key"))


def new_key_path(settings: Settings) -> Path:
    """Where a new key stands until it takes the place of the old one."""
    path = key_path(settings)
    return path.with_name(f"{path.name}.new")


def key_in(path: Path) -> bytes:
    """
    The key that a file holds.

    Raises:
        ValueError: It holds none.
    """
    key = decoded_key(path.read_text())
    if key is None or len(key) != 32:
        raise ValueError(f"{path} must hold 32 bytes in base64")
    return key


def put_in_place(fresh: Path, path: Path) -> None:
    """Let a new key take the place of the old one, at once and for good."""
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def finish_rotation(settings: Settings, opens: Callable[[bytes], bool]) -> Path | None:
    """
    Put a key in place that a crash left beside the old one, if it is what opens the store.

    Returns:
        Where it stands now; None where there was nothing to finish.
    """
    fresh = new_key_path(settings)
    if settings.secret_key is not None or not fresh.exists():
        return None
    if opens(secret_key(settings)) or not opens(key_in(fresh)):
        return None
    put_in_place(fresh, key_path(settings))
    return key_path(settings)


def _make_key_file(path: Path) -> None:
    """Readable by us only, and whole: of two processes that start together one key wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(base64.b64encode(os.urandom(32)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):
        os.link(fresh, path)
    fresh.unlink()


def derived_key(secret: bytes, purpose: str) -> bytes:
    """A key for one purpose only."""
    return HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(secret)
