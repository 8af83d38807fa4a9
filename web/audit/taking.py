"""`fta-approval audit export`: a part of the history, to a file or to whatever reads our output."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from adapters.store.event_store import EventStore
from web.app import utc_now
from web.audit.export import Extract, off_the_loop, written
from web.audit.pseudonyms import Pseudonyms
from web.audit.recording import recorded
from web.findings import say
from web.keyring import Keyring
from web.parts import check_store_exists, opened_store, opened_vault
from web.settings import Settings
from web.shell_account import shell_account

Put = Callable[[bytes], object]


async def take(settings: Settings, extract: Extract, to: Path | None, *, pseudonyms: bool) -> None:
    """
    Write it, once it is recorded who takes what, and say on stderr up to which position.

    Args:
        extract: With no pseudonyms yet: they are those of the store.
        to: A file, which only its owner may read and which is there whole or not at all; None:
            standard output.

    Raises:
        StoreUnavailable: It could not be recorded; nothing was given out.
        FileNotFoundError: There is no event store; one that is mistyped is not made anew.
        FileExistsError: Somebody is writing that file.
        BrokenPipeError: Nobody reads on.
        WrongSecretKey, KeyIsGone: There are no pseudonyms without the secret key.
    """
    check_store_exists(settings)
    with opened_store(settings) as store, _output(to) as put:
        if pseudonyms:
            extract = replace(extract, names=_names(settings, store))
        await recorded(store, extract.record(shell_account(), "shell", utc_now()))
        last = store.last_position()
        async for piece in off_the_loop(written(store, extract, last)):
            put(piece)
    say(f"exported up to position {last}", err=True)


def _names(settings: Settings, store: EventStore) -> Pseudonyms:
    vault = opened_vault(settings, store, utc_now)
    return Pseudonyms.of_store(Keyring(lambda: store.found(utc_now()), vault))


def _output(to: Path | None) -> AbstractContextManager[Put]:
    if to is not None:
        return _file(to)
    return nullcontext(_put_on_terminal if sys.stdout.isatty() else _put_out)


@contextmanager
def _file(to: Path) -> Iterator[Put]:
    """It takes the place of another of that name in the end; until then it is called `.part`."""
    part = to.with_name(f"{to.name}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise FileExistsError(
            f"{part} is there: somebody exports to it, or did and was stopped; remove it then"
        ) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file.write
            file.flush()
            os.fsync(file.fileno())
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)


def _put_out(piece: bytes) -> None:
    sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def _put_on_terminal(piece: bytes) -> None:
    """Foreign text has no power over it."""
    for line in piece.decode().splitlines():
        say(line)
