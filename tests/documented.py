"""Answers held against the OpenAPI document: nothing undocumented, nothing missing."""

import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import aiohttp
from jsonschema import Draft202012Validator, FormatChecker

from tests.service import TOKEN, Service
from web.openapi import openapi

Document = Mapping[str, Any]
PREFIX = "/o/bk_fta_solutions"


def strict(document: Document) -> dict[str, Any]:
    """The same document, in which an answer may have no field but the documented ones."""
    made: dict[str, Any] = deepcopy(dict(document))
    for schema in made["components"]["schemas"].values():
        if schema.get("additionalProperties") is True and "properties" in schema:
            schema["additionalProperties"] = False
    return made


DOCUMENT = openapi(PREFIX, "0")
STRICT = strict(DOCUMENT)


def wrongs(document: Document, schema: Document, value: Any) -> list[str]:
    """What a JSON Schema of that document finds wrong with a value."""
    # `allOf` beside `properties`: what is allowed elsewhere is not known there.
    whole = {**schema, "components": document["components"]}
    checker = Draft202012Validator(whole, format_checker=FormatChecker())
    return [error.message for error in checker.iter_errors(value)]


def resolved(given: Document) -> Document:
    """What a reference points to."""
    found: Any = given
    while "$ref" in found:
        names = found["$ref"].removeprefix("#/").split("/")
        found = STRICT
        for name in names:
            found = found[name]
    return dict(found)


async def documented(
    service: Service, method: str, path: str, token: str | None = TOKEN, **request: Any
) -> tuple[int, Any]:
    """
    One request to the engine API, and whether the document says what is answered.

    `path` may have `{approval_id}` or `{id}`, which is then among the keywords.
    """
    named = {name: request.pop(name, None) for name in ("approval_id", "id")}
    operation = STRICT["paths"][path.partition("?")[0]][method.lower()]
    headers = dict(request.pop("headers", {}))
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    url = f"{service.base}/api/v1{path.format(**named)}"
    async with service.http.request(method, url, headers=headers, **request) as response:
        raw = await response.read()
    described = operation["responses"].get(str(response.status))
    assert described is not None, (method, path, response.status, raw)
    _check_headers(response, described)
    if "content" not in described:
        assert raw == b""
        return response.status, None
    assert list(described["content"]) == [response.content_type]
    if "json" not in response.content_type:
        return response.status, raw.decode()
    body = json.loads(raw)
    schema = described["content"][response.content_type]["schema"]
    assert wrongs(STRICT, schema, body) == [], (method, path, body)
    return response.status, body


def _check_headers(response: aiohttp.ClientResponse, described: Document) -> None:
    for name, header in described["headers"].items():
        if name == "X-Request-Id" or resolved(header).get("required"):
            assert name in response.headers, name
    for name in ("Location", "ETag", "Retry-After", "WWW-Authenticate"):
        assert name not in response.headers or name in described["headers"], name
