"""The body with which an engine asks, checked field by field (contract 4.1)."""

import hashlib
import json
import math
import re
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import rfc8785
from aiohttp import web
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from domain.commands import RequestApproval
from domain.decision import Kind, Risk
from domain.identity import OBJ_ID, USERID, merged
from domain.text import NOT_ONE_LINE, one_line
from web.errors import Problem

MAX_ACTION_BYTES = 16 * 1024
MAX_INTEGER = 2**53 - 1
MAX_PERMIT = 4096
# Deeper than any action is; far from what the interpreter can take.
MAX_DEPTH = 500

REQUEST = ConfigDict(extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)

M = TypeVar("M", bound=BaseModel)


def _not_bool_or_text(value: Any) -> Any:
    """JSON Schema calls 3.0 an integer; `true` and `"3"` are none."""
    if isinstance(value, bool | str):
        raise ValueError("must be an integer")  # noqa: TRY004  # pydantic reads ValueErrors
    return value


def _line(value: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("holds half of a surrogate pair")
    return one_line(value)


def _said(value: str) -> str:
    if not value.strip():
        raise ValueError("must say something")
    return value


def _obj_id(value: str) -> str:
    if not OBJ_ID.fullmatch(value):
        raise ValueError("must be 1-64 of A-Z a-z 0-9 _ : -")
    return value


def _approvers(values: list[str]) -> list[str]:
    for userid in values:
        if not USERID.fullmatch(userid) or userid.casefold() in ("sys", "@all"):
            raise ValueError(f"{userid!r} is not the userid of a member")
    return merged(values)


def _details(value: Any, check: ValidatorFunctionWrapHandler) -> dict[str, str]:
    details: dict[str, str] = check(value)
    if len(details) != len(value):
        raise ValueError("two of its names are the same on one line")
    return details


def _callback_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        fine = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        fine = fine and "@" not in parts.netloc and not re.search(r"[\\\s]", _line(value))
    except ValueError:
        fine = False
    if not fine:
        raise ValueError("must be an http or https address, without blanks or a user in it")
    return value


def _action(value: dict[str, Any]) -> dict[str, Any]:
    _only_integers(value)
    if len(canonical(value).encode()) > MAX_ACTION_BYTES:
        raise ValueError("is larger than 16 KiB")
    return value


def _only_integers(value: Any) -> None:
    if isinstance(value, float) or (isinstance(value, int) and abs(value) > MAX_INTEGER):
        raise ValueError("its numbers must be integers within 2^53-1")
    for part in _parts(value):
        _only_integers(part)
    if isinstance(value, str):
        _line(value)


def _parts(value: Any) -> list[Any]:
    """What an array or an object holds, its names included; nothing of anything else."""
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []


def canonical(value: Any) -> str:
    """RFC 8785 text."""
    return rfc8785.dumps(value).decode()


def _shown_as(**schema: Any) -> Any:
    """What the OpenAPI document says of a field whose rule is a function above."""
    return Field(json_schema_extra=schema)


# Stands after the limits of an integer, which else would miss the schema.
WHOLE = BeforeValidator(_not_bool_or_text)
# Limits stand before what converts, so that the sentence to the engine speaks of characters.
Label = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_line)]
# A character that neither is a blank nor becomes one.
SOMETHING = r"[^\s" + re.sub("[^ -~]", lambda c: f"\\u{ord(c[0]):04x}", NOT_ONE_LINE.pattern[1:])
SAYS_SOMETHING = _shown_as(pattern=SOMETHING)
Name = Annotated[str, Field(max_length=100), AfterValidator(_line), AfterValidator(_said)]
Value = Annotated[str, Field(max_length=1000), AfterValidator(_line)]
ObjId = Annotated[str, AfterValidator(_obj_id), _shown_as(pattern=f"^{OBJ_ID.pattern}$")]
Userid = Annotated[
    str,
    _shown_as(
        pattern=f"^{USERID.pattern}$", **{"not": {"pattern": "^[sS][yY][sS]$|^@[aA][lL][lL]$"}}
    ),
]
# A schema cannot say "no fraction, however deep"; it says so of the first level.
ACTION = _shown_as(
    additionalProperties={
        "anyOf": [
            {"type": ["string", "boolean", "null", "array", "object"]},
            {"type": "integer", "minimum": -MAX_INTEGER, "maximum": MAX_INTEGER},
        ]
    }
)


class ApprovalRequest(BaseModel):
    """What an engine asks. `(obj_id, run)` is its identity, one for the whole service."""

    model_config = REQUEST

    obj_id: ObjId
    """1-64 of `A-Z a-z 0-9 _ : -`; FTA's form is `{alarm instance id}_{node index}`."""
    run: Annotated[int, Field(ge=1, le=MAX_INTEGER), WHOLE] = 1
    """Which execution of that node asks: an approval holds for this run and no other."""
    message: Annotated[
        str,
        Field(min_length=1, max_length=2000),
        AfterValidator(_line),
        AfterValidator(_said),
        SAYS_SOMETHING,
    ]
    """What will be executed. Becomes one line."""
    approvers: Annotated[
        list[Userid], Field(min_length=1, max_length=100), AfterValidator(_approvers)
    ]
    """Userids: 1-64 of `A-Z a-z 0-9 _ - @ .`, the first a letter or digit, not `sys` or `@all`;
    compared without case, doubles are merged."""
    kind: Literal["solution", "convergence"] = "solution"
    """Chooses the wording: 通知或审批 package, or 异常防御需审批."""
    expires_in: Annotated[int, Field(ge=10, le=2_592_000), WHOLE] = 1200
    """Seconds."""
    biz_id: Label | None = None
    requested_by: Label | None = None
    """Is not asked and cannot decide."""
    risk: Literal["low", "medium", "high"] = "medium"
    """High is never decided from a list, in a batch or without its id."""
    action: Annotated[dict[str, Any], AfterValidator(_action), ACTION] | None = None
    """What exactly will be done: any object of at most 16 KiB in its RFC 8785 form, its numbers
    integers within 2^53-1."""
    details: Annotated[
        dict[Name, Value],
        Field(max_length=50),
        WrapValidator(_details),
        _shown_as(propertyNames={"maxLength": 100, "pattern": SOMETHING}),
    ] = Field(default_factory=dict)
    """Shown on the page, such as 业务, 告警类型, IP, 集群, 模块. No two names that are the same
    on one line."""
    callback_url: (
        Annotated[
            str,
            Field(max_length=2048),
            AfterValidator(_callback_url),
            _shown_as(format="uri", pattern="^[hH][tT][tT][pP][sS]?://"),
        ]
        | None
    ) = None
    """The decision is also pushed there; http or https, no user in it."""

    def command(self, engine: str, at: datetime) -> RequestApproval:
        """What it asks of the domain."""
        action = None if self.action is None else canonical(self.action)
        return RequestApproval(
            at=at,
            engine=engine,
            obj_id=self.obj_id,
            run=self.run,
            message=self.message,
            approvers=self.approvers,
            kind=Kind(self.kind),
            expires_in=self.expires_in,
            biz_id=self.biz_id,
            requested_by=self.requested_by,
            risk=Risk(self.risk),
            action=action,
            action_digest=None if action is None else digest(action),
            details=self.details,
            callback_url=self.callback_url,
        )


class CancelRequest(BaseModel):
    """Why an approval is no longer needed."""

    model_config = REQUEST

    reason: Annotated[
        str,
        Field(min_length=1, max_length=500),
        AfterValidator(_line),
        AfterValidator(_said),
        SAYS_SOMETHING,
    ]


class RedeemRequest(BaseModel):
    """An engine is about to act."""

    model_config = REQUEST

    permit: Annotated[str, Field(min_length=1, max_length=MAX_PERMIT)]
    """As it stood in the decision."""
    action: Annotated[dict[str, Any], AfterValidator(_action), ACTION] | None = None
    """What exactly will be done now: it has to be what was asked."""
    attempt: Annotated[
        str,
        Field(min_length=1, max_length=64),
        AfterValidator(_line),
        AfterValidator(_said),
        SAYS_SOMETHING,
    ]
    """The engine's own name for this execution."""


class OutcomeRequest(BaseModel):
    """What became of the action."""

    model_config = REQUEST

    outcome: Literal["succeeded", "failed", "skipped"]
    detail: Annotated[str, Field(max_length=2000), AfterValidator(_line)] | None = None


def digest(canonical_text: str) -> str:
    """`sha256:` and the hex of the SHA-256 of the canonical text."""
    return "sha256:" + hashlib.sha256(canonical_text.encode()).hexdigest()


async def read_json(request: web.Request) -> Any:
    """
    The body as JSON.

    Raises:
        Problem: 415 for another kind of body, 400 for what is not JSON (RFC 8259; names in an
            object only once, no NaN).
    """
    if request.content_type != "application/json" or not _is_utf_8(request):
        raise unsupported_media_type()
    try:
        return strict_json(await request.read())
    except (ValueError, web.RequestPayloadError) as error:
        raise not_json(str(error)) from None


def unsupported_media_type() -> Problem:
    """The body is of another kind, or in another charset."""
    return Problem(415, "unsupported-media-type", "send the body as application/json in UTF-8")


def not_json(why: str) -> Problem:
    """The body says that it is JSON and is not."""
    return Problem(400, "not-json", f"the body is not JSON: {printable(why)}")


def _is_utf_8(request: web.Request) -> bool:
    """JSON is; a charset says nothing about it, but one that differs was meant."""
    return (request.charset or "utf-8").casefold() in ("utf-8", "utf8")


def strict_json(body: bytes) -> Any:
    """
    JSON by RFC 8259 and no more.

    Raises:
        ValueError: For NaN, names that stand twice, bad UTF-8, nesting beyond MAX_DEPTH.
    """
    try:
        found = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_no_constant,
            parse_int=_number,
        )
    except RecursionError:
        found, too_deep = None, True
    else:
        too_deep = _is_deeper_than(MAX_DEPTH, found)
    if too_deep:
        raise ValueError("nested too deeply")
    return found


def _is_deeper_than(depth: int, value: Any) -> bool:
    """Level by level: a recursive answer would meet the limit that it is to keep others from."""
    level = [value]
    for _ in range(depth):
        parts = (part for one in level for part in _parts(one))
        level = [part for part in parts if isinstance(part, dict | list)]
        if not level:
            return False
    return True


def _number(text: str) -> int | float:
    """An integer too long for Python's own reading is JSON all the same; no field takes it."""
    return int(text) if len(text) <= 1000 else math.inf


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


async def read_body(request: web.Request, model: type[M]) -> M:
    """
    The body as one of the models above.

    Raises:
        Problem: As `read_json`; 422 with every field that is wrong, missing or unknown.
    """
    body = await read_json(request)
    if not isinstance(body, dict):
        raise Problem(422, "invalid-request", "the body must be a JSON object")
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise invalid_fields(error) from None


def invalid_fields(error: ValidationError) -> Problem:
    """Every field that is wrong, missing or unknown."""
    wrong = [{"field": _field(found), "detail": _detail(found)} for found in error.errors()]
    detail = "; ".join(f"{one['field']}: {one['detail']}" for one in wrong[:5])
    return Problem(422, "invalid-request", detail, wrong)


def _field(found: Any) -> str:
    return printable(str(found["loc"][0])) if found["loc"] else "body"


def _detail(found: Any) -> str:
    """What is wrong, after where in the field: `1: Input should be a valid string`."""
    if found["type"] == "extra_forbidden":
        return "is not a field of this request"
    inside = ".".join(str(part) for part in found["loc"][1:])
    message = found["msg"].removeprefix("Value error, ")
    return printable(f"{inside}: {message}" if inside else message)


def printable(text: str) -> str:
    """Foreign text for an answer that must be valid UTF-8."""
    return one_line(text[:200]).encode(errors="replace").decode()
