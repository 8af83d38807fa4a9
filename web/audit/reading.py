"""What the commands share that read the history and write nothing."""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from adapters.store.mapper import UnreadableEvent
from adapters.store.schema import NewerStore
from adapters.store.stored_history import WrittenMeanwhile
from web.audit.finding import NotYet, UnknownApproval
from web.audit.pseudonyms import NoNames
from web.findings import say
from web.translation import LANGUAGE

NOT_THERE = (UnknownApproval, NotYet)
NOT_READ = (UnreadableEvent, NewerStore, WrittenMeanwhile)


@contextmanager
def looking(language: str) -> Iterator[None]:
    """In that language; what keeps somebody from reading is said in one line, exit status 1."""
    token = LANGUAGE.set(language)
    try:
        yield
    except sqlite3.Error as error:
        _give_up(f"FTA_APPROVAL_DATABASE cannot be used: {error}")
    except BrokenPipeError:  # whoever read our output has enough; click ends quietly, status 1
        raise
    except (
        UnknownApproval,
        NotYet,
        UnreadableEvent,
        NewerStore,
        NoNames,
        WrittenMeanwhile,
        OSError,
    ) as error:
        _give_up(str(error))
    finally:
        LANGUAGE.reset(token)


def _give_up(why: str) -> None:
    say(f"fta-approval: {why}", err=True)
    sys.exit(1)
