"""What a check has found, and how a terminal shows it."""

import sys
from dataclasses import dataclass
from enum import StrEnum

import click

from domain.text import NOT_ONE_LINE


class Outcome(StrEnum):
    OK = "ok"
    WARN = "warn"
    SKIP = "skip"
    """Nothing was learned: something else has to be mended first, or only a person can see it."""
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `fta-approval doctor`."""

    outcome: Outcome
    check: str
    text: str

    def __str__(self) -> str:
        return f"{self.outcome:<3} {self.check}: {self.text}"


def ok(check: str, text: str) -> Finding:
    return Finding(Outcome.OK, check, text)


def warn(check: str, text: str) -> Finding:
    return Finding(Outcome.WARN, check, text)


def skip(check: str, text: str) -> Finding:
    return Finding(Outcome.SKIP, check, text)


def fail(check: str, wrong: str, remedy: str) -> Finding:
    """What is wrong, and in a sentence how to mend it."""
    return Finding(Outcome.FAIL, check, f"{wrong}; {remedy}")


def say(line: object, *, err: bool = False) -> None:
    """Print one line, whatever others have put into it and whatever the terminal can write."""
    encoding = (sys.stderr if err else sys.stdout).encoding or "utf-8"
    shown = visible(str(line)).encode(encoding, "backslashreplace").decode(encoding)
    click.echo(shown, err=err)
    (sys.stderr if err else sys.stdout).flush()


def visible(text: str) -> str:
    r"""Foreign text without power over a terminal: `\x1b` is shown, not obeyed (contract 1)."""
    return NOT_ONE_LINE.sub(lambda found: _escaped(found[0]), text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
