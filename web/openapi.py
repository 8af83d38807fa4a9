"""The OpenAPI 3.1 document, made from the operations and from the models that validate."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from web import described_webhooks, problems
from web.operation import JSON, Answer, Header, Operation
from web.operations import ALL, BASE
from web.problems import KnownProblem

PROBLEM_JSON = "application/problem+json"
SCHEMAS = "#/components/schemas/{model}"
ABOUT = """\
Healing engines ask here for approval, and hear what people decided in WeCom. There is no way to
approve or reject through this API.

JSON in UTF-8; times in UTC with milliseconds. Unknown fields and parameters are refused by their
name. Every answer bears `X-Request-Id`: that of the request, if it is 1-128 visible ASCII
characters without blanks, else a fresh one. Paths answer with and without a last slash; other
methods than those named here, `HEAD` and `OPTIONS` too, are answered 405.

Errors are RFC 9457 documents; `code` is for programs. With `Retry-After`, on 429 and 503, the same
request may be sent again after so many seconds, which repeats nothing. Beside what stands with each
operation there are 404 `not-found` for an address that there is not, and 405 `method-not-allowed`
with `Allow`."""
REQUEST_ID = Header("X-Request-Id", "What this request is called, in the log of the service too.")
IN_PATHS = {
    "approval_id": {"type": "string", "format": "uuid"},
    "id": {"type": "string", "pattern": "^[0-9]+$"},
}
HEADERS = {
    "X-Request-Id": REQUEST_ID,
    "Retry-After": Header("Retry-After", "Seconds to wait.", {"type": "integer", "minimum": 1}),
    "WWW-Authenticate": Header("WWW-Authenticate", "Which scheme to use."),
}


class Schemas(GenerateJsonSchema):
    """Without the titles that pydantic makes of names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def openapi(prefix: str, version: str) -> dict[str, Any]:
    """
    The whole document.

    Args:
        prefix: Under which the service stands, such as `/o/bk_fta_solutions`.
        version: Of the service.
    """
    schemas = _schemas()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fta-approval",
            "version": version,
            "summary": "Approval by WeCom for BlueKing fault self-healing",
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": f"{prefix}{BASE}"}],
        "security": [{"bearer": []}],
        "tags": [{"name": subject} for subject in dict.fromkeys(_subjects())],
        "paths": _paths(schemas),
        "webhooks": described_webhooks.WEBHOOKS,
        "components": {
            "schemas": {name: schema for name, schema in schemas.items() if name not in _queries()},
            "examples": {known.problem.code: {"value": known.example} for known in every_problem()},
            "headers": {name: _header(header) for name, header in HEADERS.items()},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of `FTA_APPROVAL_API_TOKENS`; never in the address.",
                }
            },
        },
    }


def _subjects() -> Iterator[str]:
    yield from (operation.subject for operation in ALL)
    yield described_webhooks.SUBJECT


def every_problem() -> list[KnownProblem]:
    """Each once, in order of status; those of addresses too."""
    found = [known for operation in ALL for known in operation.all_problems]
    everything = dict.fromkeys([*found, *problems.OF_ADDRESSES])
    return sorted(everything, key=lambda known: known.problem.status)


def _schemas() -> dict[str, Any]:
    _, found = models_json_schema(
        list(dict.fromkeys(_models())), ref_template=SCHEMAS, schema_generator=Schemas
    )
    schemas: dict[str, Any] = found["$defs"]
    return schemas


def _models() -> Iterator[tuple[type[BaseModel], Literal["validation", "serialization"]]]:
    for operation in ALL:
        yield operation.query, "validation"
        if operation.body is not None:
            yield operation.body, "validation"
        for answer in operation.answers:
            if answer.model is not None:
                yield answer.model, "serialization"
        for known in operation.all_problems:
            yield known.model, "serialization"


def _queries() -> set[str]:
    """Models that become parameters and need no schema of their own."""
    return {operation.query.__name__ for operation in ALL}


def _paths(schemas: Mapping[str, Any]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for operation in ALL:
        of_path = paths.setdefault(operation.path, {})
        of_path[operation.method.lower()] = _operation(operation, schemas)
    return paths


def _operation(operation: Operation, schemas: Mapping[str, Any]) -> dict[str, Any]:
    described = {
        "operationId": operation.name,
        "tags": [operation.subject],
        "summary": operation.summary,
        "description": operation.text,
        "parameters": [*_parameters(operation, schemas)],
        "responses": {**_answers(operation), **_problems(operation.all_problems)},
    }
    if operation.body is not None:
        described["requestBody"] = _body(operation)
    if operation.is_open:
        described["security"] = []
    return described


def _parameters(operation: Operation, schemas: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, schema in IN_PATHS.items():
        if f"{{{name}}}" in operation.path:
            yield {"name": name, "in": "path", "required": True, "schema": dict(schema)}
    of_query = schemas[operation.query.__name__]
    for name, given in of_query.get("properties", {}).items():
        schema = dict(given)
        parameter = {"name": name, "in": "query", "schema": _without_null(schema)}
        if "description" in schema:
            parameter["description"] = schema.pop("description")
        yield parameter
    for header in (*operation.headers, REQUEST_ID_SENT):
        yield {"name": header.name, "in": "header", **_header(header)}


REQUEST_ID_SENT = Header(
    "X-Request-Id",
    "What to call this request; what does not fit is replaced.",
    {"type": "string"},
)


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that is left out is not null: an address knows no null."""
    if "anyOf" in schema:
        (kept,) = (one for one in schema.pop("anyOf") if one != {"type": "null"})
        schema.pop("default")
        schema.update(kept)
    return schema


def _body(operation: Operation) -> dict[str, Any]:
    assert operation.body is not None  # noqa: S101  # asked by the caller
    examples = {name: {"value": value} for name, value in operation.body_examples.items()}
    content = {"schema": _ref(operation.body), "examples": examples}
    return {"required": True, "content": {JSON: content}}


def _answers(operation: Operation) -> dict[str, Any]:
    return {str(answer.status): _answer(answer) for answer in operation.answers}


def _answer(answer: Answer) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": answer.text,
        "headers": {
            **{header.name: _required_header(header) for header in answer.headers},
            REQUEST_ID.name: _ref_to("headers", REQUEST_ID.name),
        },
    }
    if answer.status != 304:
        schema = {"type": "object" if answer.media_type == JSON else "string"}
        content: dict[str, Any] = {"schema": _ref(answer.model) if answer.model else schema}
        if answer.example is not None:
            content["example"] = answer.example
        described["content"] = {answer.media_type: content}
    if answer.links:
        described["links"] = dict(answer.links)
    return described


def _problems(known: Iterable[KnownProblem]) -> dict[str, Any]:
    by_status = groupby(known, key=lambda one: one.problem.status)
    return {str(status): _problem(status, list(of_status)) for status, of_status in by_status}


def _problem(status: int, known: list[KnownProblem]) -> dict[str, Any]:
    codes = [one.problem.code for one in known]
    refs = [_ref(model) for model in dict.fromkeys(one.model for one in known)]
    exactly = {"status": {"const": status}, "code": {"enum": codes}}
    # A header that not every problem of this status bears is described and not promised.
    headers = sorted({name for one in known for name in one.problem.headers if name in HEADERS})
    return {
        "description": "\n".join(f"`{one.problem.code}`: {one.when}." for one in known),
        "headers": {name: _ref_to("headers", name) for name in [*headers, REQUEST_ID.name]},
        "content": {
            PROBLEM_JSON: {
                "schema": {
                    "allOf": [refs[0] if len(refs) == 1 else {"anyOf": refs}],
                    "properties": exactly,
                },
                "examples": {code: _ref_to("examples", code) for code in codes},
            }
        },
    }


def _header(header: Header) -> dict[str, Any]:
    return {"description": header.text, "schema": dict(header.schema)}


def _required_header(header: Header) -> dict[str, Any]:
    return {**_header(header), "required": True}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": SCHEMAS.format(model=model.__name__)}


def _ref_to(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}
