"""
Nothing secret in any log at debug level: fails the whole run if there is.

A plugin of pytest. Every line that is logged during the tests, by structlog and by the standard
library, is written to one file, whatever a test does with logs itself; at the end that file and the
logs of all processes are searched for everything in tests/confidential.py.
"""

import logging
import traceback
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote

import pytest
import structlog

from adapters.simulator.company import Company
from tests import confidential

LOG = pytest.StashKey[Path]()
FOUND = pytest.StashKey[list[str]]()
# What is shorter stands in ordinary words, too.
SHORTEST = 6
NEVER = {"access_token=": "access token in an address", "corpsecret=": "secret in an address"}
MOST_SHOWN = 20
LOGGER = structlog.make_filtering_bound_logger(logging.DEBUG)


@pytest.fixture(scope="session", autouse=True)
def log_of_the_run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Write down every line, also those that a test catches for itself."""
    path = tmp_path_factory.mktemp("logs") / "run.log"
    request.config.stash[LOG] = path
    root = logging.getLogger()
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        handler = logging.StreamHandler(file)
        handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        structlog.configure(wrapper_class=_writing_to(file))
        yield
        root.removeHandler(handler)
        structlog.reset_defaults()


def _writing_to(file: TextIO) -> Any:
    """
    structlog's own logger, which notes what it is given before any processor sees it.

    Processors may be exchanged by a test, and then lines never reach the end of them.
    """

    class Watched(LOGGER):  # type: ignore[valid-type,misc]  # structlog makes the class
        def _proxy_to_logger(self, name: str, event: Any = None, *args: Any, **more: Any) -> Any:
            said = {**self._context, **more}
            file.write(f"{name} {event} {' '.join(map(_told, said.items()))}\n")
            if said.get("exc_info"):
                file.write(traceback.format_exc())
            file.flush()
            return super()._proxy_to_logger(name, event, *args, **more)

    return Watched


def _told(item: tuple[str, Any]) -> str:
    return f"{item[0]}={item[1]}"


@pytest.fixture(scope="session")
def companies() -> Iterator[list[Company]]:
    """Every simulated company that came into being since they were last asked for secrets."""
    made: list[Company] = []
    begin = Company.__init__

    def noted(self: Company, *args: Any, **more: Any) -> None:
        begin(self, *args, **more)
        made.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Company, "__init__", noted)
        yield made


@pytest.fixture(autouse=True)
def secrets_of_companies(companies: list[Company]) -> Iterator[None]:
    """What WeCom gave out during a test, and what members confided to it."""
    yield
    for company in companies:
        for kind, secret in company.secrets():
            confidential.note(kind, secret)
    companies.clear()


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = session.config.stash.get(LOG, None)
    if path is None:
        return
    found = [*leaks(_lines([path, *confidential.logs]), confidential.known)]
    session.config.stash[FOUND] = found
    if found:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    found = config.stash.get(FOUND, [])
    if found:
        terminalreporter.section("SECRETS IN THE LOGS", sep="=", red=True, bold=True)
        for line in found[:MOST_SHOWN]:
            terminalreporter.line(line, red=True)
        terminalreporter.line(f"{len(found)} in all; each of these lines must not be logged")


def leaks(lines: Iterable[tuple[str, str]], known: Mapping[str, str]) -> Iterator[str]:
    """For each line that holds a secret: which kind of secret, in which log, and the line."""
    by_beginning = _by_beginning(known)
    for log, line in lines:
        kinds = {kind for text, kind in NEVER.items() if text in line}
        for place in range(len(line) - SHORTEST + 1):
            for secret, kind in by_beginning.get(line[place : place + SHORTEST], ()):
                if line.startswith(secret, place):
                    kinds.add(kind)
        if kinds:
            yield f"{', '.join(sorted(kinds))} in {log}: {line[:300]}"


def _by_beginning(known: Mapping[str, str]) -> Mapping[str, list[tuple[str, str]]]:
    """There are tens of thousands: each place of a line asks only for those that begin there."""
    by_beginning: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for secret, kind in known.items():
        # Words of several lines are logged line by line, and what is in an address is quoted.
        for text in {secret, quote(secret, safe=""), *secret.splitlines()}:
            if len(text) >= SHORTEST:
                by_beginning[text[:SHORTEST]].append((text, kind))
    return by_beginning


def _lines(paths: Iterable[Path]) -> Iterator[tuple[str, str]]:
    for path in dict.fromkeys(paths):
        if path.exists():
            with path.open(encoding="utf-8", errors="replace") as file:
                yield from ((path.name, line.rstrip("\n")) for line in file)
