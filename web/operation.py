"""The words in which an operation of the engine API is described."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from web import problems
from web.problems import KnownProblem
from web.queries import NoQuery

JSON = "application/json"


@dataclass(frozen=True)
class Header:
    """A header of a request or of an answer."""

    name: str
    text: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True)
class Answer:
    """A success."""

    status: int
    text: str
    model: type[BaseModel] | None = None
    example: Any = None
    headers: tuple[Header, ...] = ()
    media_type: str = JSON
    links: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """What one method does at one address."""

    method: str
    path: str
    name: str
    """operationId."""
    subject: str
    """Under which heading it stands."""
    summary: str
    text: str
    answers: tuple[Answer, ...]
    problems: tuple[KnownProblem, ...] = ()
    """Beside those that every operation of its kind has."""
    query: type[BaseModel] = NoQuery
    body: type[BaseModel] | None = None
    body_examples: Mapping[str, Any] = field(default_factory=dict)
    headers: tuple[Header, ...] = ()
    is_open: bool = False
    """Without a token."""

    @property
    def all_problems(self) -> tuple[KnownProblem, ...]:
        """In order of status."""
        found = [*self.problems, *self._of_its_kind()]
        return tuple(sorted(dict.fromkeys(found), key=lambda known: known.problem.status))

    def _of_its_kind(self) -> list[KnownProblem]:
        found = [problems.INTERNAL]
        if not self.is_open:
            found += [problems.UNAUTHORIZED, problems.NO_TOKEN_CONFIGURED, problems.TOO_MANY]
            found += [problems.UNAVAILABLE]
        if self.body is None:
            return [*found, problems.INVALID_QUERY]
        found += [problems.NOT_JSON, problems.TOO_LARGE, problems.MEDIA_TYPE]
        return [*found, problems.INVALID_BODY, problems.OVERLOADED]
