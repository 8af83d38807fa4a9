"""The queries of the engine API, checked parameter by parameter."""

import re
from typing import Annotated, Any, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from domain.decision import Status
from web.ask import MAX_INTEGER, invalid_fields, printable
from web.errors import invalid

# As long as an integer may be that Python reads; a position beyond the last is refused as that.
DIGITS = re.compile(r"[0-9]{1,4000}", re.ASCII)

Q = TypeVar("Q", bound=BaseModel)


def _from_digits(value: Any) -> Any:
    """An address holds text; neither blanks, signs nor underscores are digits."""
    if isinstance(value, str):
        if not DIGITS.fullmatch(value):
            raise ValueError("must be an integer in decimal digits")
        return int(value)
    return value


DECIMAL = BeforeValidator(_from_digits)
Limit = Annotated[int, Field(ge=1, le=1000), DECIMAL]
Position = Annotated[int, Field(ge=0), DECIMAL]


class NoQuery(BaseModel):
    """An address that has no parameters."""

    model_config = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True
    )


class ApprovalsQuery(NoQuery):
    """Which approvals, and from where on."""

    obj_id: str | None = None
    run: Annotated[int, Field(ge=1, le=MAX_INTEGER), DECIMAL] | None = None
    status: Status | None = None
    biz_id: str | None = None
    after: Annotated[str, Field(pattern="^[0-9]{1,18}$")] = "0"
    """The `next` of the page before."""
    limit: Limit = 100

    @property
    def filters(self) -> dict[str, object]:
        """What an approval must have, by field."""
        wanted = self.model_dump(mode="json", include={"obj_id", "run", "status", "biz_id"})
        return {name: value for name, value in wanted.items() if value is not None}


class DecisionsQuery(NoQuery):
    """Which decisions, and how long to wait for the first."""

    after: Position = 0
    """The last position that was seen; 0: from the beginning."""
    limit: Limit = 100
    wait: Annotated[int, Field(ge=0, le=60), DECIMAL] = 0
    """Seconds to wait when there is none yet."""


class StreamQuery(NoQuery):
    """From where on."""

    after: Position = 0
    """The last position that was seen; `Last-Event-ID` wins over it."""


class WebhooksQuery(NoQuery):
    """Which deliveries, and from where on."""

    state: Literal["waiting", "undelivered"] | None = None
    """Left out: both."""
    after: Annotated[str, Field(pattern="^[0-9]{1,18}$")] = "0"
    """The `next` of the page before."""
    limit: Limit = 100


def check_names(request: web.Request, model: type[BaseModel]) -> None:
    """
    Refuse what means nothing: a parameter that was misspelt would silently not be obeyed.

    Raises:
        Problem: 422 for a parameter that is unknown, or stands there twice.
    """
    for name in request.query:
        if name not in model.model_fields:
            raise invalid(printable(name), "is not a parameter of this request")
        if len(request.query.getall(name)) > 1:
            raise invalid(name, "stands twice in the address")


def read_position(name: str, text: str) -> int:
    """
    A position that stands elsewhere than in the query.

    Raises:
        Problem: 422.
    """
    if not DIGITS.fullmatch(text):
        raise invalid(name, "must be a position, an integer from 0 on")
    return int(text)


def read_query(request: web.Request, model: type[Q]) -> Q:
    """
    The query as one of the models above.

    Raises:
        Problem: 422 with every parameter that is wrong.
    """
    try:
        return model.model_validate(dict(request.query))
    except ValidationError as error:
        raise invalid_fields(error) from None
