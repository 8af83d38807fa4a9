"""What every command of the shell does: reads settings, runs to the end, tells mistakes."""

import asyncio
import os
import socket
import sqlite3
import sys
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

import click

from web.logs import set_up_logs

WRONG_SETTINGS = 2

T = TypeVar("T")


def given_settings(**overrides: Any) -> Any:
    """The settings, or one line for each mistake and exit status 2."""
    from web.settings import WrongSettings, read_settings, unknown_variables

    for name in unknown_variables(os.environ):
        click.echo(f"{name}: no setting of that name; ignored", err=True)
    try:
        settings = read_settings(os.environ, **overrides)
    except WrongSettings as wrong:
        _give_up(wrong)
    set_up_logs(settings.log_level)
    return settings


def settings_in_force() -> Any:
    """The same with what is stored, where there is a store."""
    from web.settings_shell import stored_over

    given = given_settings()
    in_force = run(stored_over(given))
    return given if in_force is None else in_force


def _give_up(wrong: Any) -> NoReturn:
    for mistake in wrong.mistakes:
        click.echo(mistake, err=True)
    sys.exit(WRONG_SETTINGS)


def listen_on(host: str, port: int) -> socket.socket:
    from web.serving import CannotListen, bound_socket

    try:
        return bound_socket(host, port)
    except CannotListen as error:
        click.echo(str(error), err=True)
        sys.exit(1)


def run(work: Coroutine[Any, Any, T]) -> T | None:
    """Run to the end, None if Ctrl-C ended it; what can be mended is said in one line."""
    import uvloop
    from eventsourcing.persistence import PersistenceError

    from adapters.store.schema import NewerStore
    from web.serving import CannotListen
    from web.settings import WrongSettings

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)
    except KeyboardInterrupt:
        return None
    except WrongSettings as wrong:  # what is stored does not fit to the environment
        _give_up(wrong)
    except (PersistenceError, sqlite3.Error) as error:
        click.echo(f"fta-approval: FTA_APPROVAL_DATABASE cannot be used: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:  # whoever read our output has enough; click ends quietly, status 1
        raise
    except (NewerStore, CannotListen, OSError, ValueError) as error:
        click.echo(f"fta-approval: {error}", err=True)
        sys.exit(1)


def run_on_store(work: Coroutine[Any, Any, None]) -> None:
    """Beside a running service; what the store did not take is said in one line."""
    from adapters.store.writer import StoreUnavailable

    try:
        run(work)
    except StoreUnavailable as error:
        raise click.ClickException(str(error)) from None


def say_plainly(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()
