"""The OpenAPI document as people read it: what templates/api_docs.html shows, and nothing else."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

Json = Mapping[str, Any]
# Where limits stand in a schema, and of what they are.
LIMITS = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", ""),
    ("minProperties", "maxProperties", " entries"),
)


@dataclass(frozen=True)
class Row:
    """A parameter, a field, a header: its name, what it may be, what it means."""

    name: str
    kind: str
    text: str = ""
    needed: bool = False


@dataclass(frozen=True)
class Example:
    title: str
    code: str


@dataclass(frozen=True)
class Outcome:
    """One status: a success, or the problems that share it."""

    status: str
    text: str
    model: str | None
    headers: list[Row]
    examples: list[Example]


@dataclass(frozen=True)
class Chapter:
    """One operation."""

    anchor: str
    method: str
    path: str
    subject: str
    summary: str
    text: str
    is_open: bool
    parameters: list[Row]
    body: str | None
    body_examples: list[Example]
    successes: list[Outcome]
    problems: list[Outcome]


class Page:
    """The document, resolved and put into order."""

    def __init__(self, document: Json) -> None:
        self._document = document
        self.version = str(document["info"]["version"])
        self.about = str(document["info"]["description"])
        self.base = str(document["servers"][0]["url"])
        self.chapters = [*self._chapters("paths"), *self._chapters("webhooks")]
        self.subjects = list(dict.fromkeys(chapter.subject for chapter in self.chapters))
        self.models = {
            name: (schema.get("description", ""), self._rows(schema))
            for name, schema in document["components"]["schemas"].items()
            if "properties" in schema
        }

    def _chapters(self, of: str) -> Iterator[Chapter]:
        for path, item in self._document.get(of, {}).items():
            for method, operation in item.items():
                yield self._chapter(of, method, path, operation)

    def _chapter(self, of: str, method: str, path: str, operation: Json) -> Chapter:
        outcomes = [self._outcome(*pair) for pair in operation["responses"].items()]
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        return Chapter(
            anchor=operation["operationId"],
            method=method.upper(),
            path=path,
            subject=operation["tags"][0],
            summary=operation["summary"],
            text=operation["description"],
            is_open=of == "paths" and operation.get("security") == [],
            parameters=[self._parameter(given) for given in operation.get("parameters", [])],
            body=_name(body.get("schema", {})),
            body_examples=self._examples(body),
            successes=[one for one in outcomes if one.status < "4"],
            problems=[one for one in outcomes if one.status >= "4"],
        )

    def _parameter(self, given: Json) -> Row:
        where = {"path": "in the path", "query": "", "header": "header"}[given["in"]]
        kind = ", ".join(filter(None, (self._kind(given["schema"]), where)))
        return Row(given["name"], kind, given.get("description", ""), given.get("required", False))

    def _outcome(self, status: str, given: Json) -> Outcome:
        headers = {name: self._resolved(one) for name, one in given.get("headers", {}).items()}
        content: Json = next(iter(given.get("content", {}).values()), {})
        return Outcome(
            status=status,
            text=given["description"],
            model=_name(content.get("schema", {})),
            headers=[
                Row(name, self._kind(one["schema"]), one.get("description", ""))
                for name, one in headers.items()
                if name != "X-Request-Id"
            ],
            examples=self._examples(content),
        )

    def _examples(self, content: Json) -> list[Example]:
        several = content.get("examples", {})
        found = {name: self._resolved(one)["value"] for name, one in several.items()}
        if "example" in content:
            found["example"] = content["example"]
        return [Example(name, _pretty(value)) for name, value in found.items()]

    def _rows(self, schema: Json) -> list[Row]:
        # An answer has every field, which goes without saying; it may get more of them.
        is_request = schema.get("additionalProperties") is False
        needed = schema.get("required", []) if is_request else []
        return [
            Row(name, self._kind(one), one.get("description", ""), name in needed)
            for name, one in schema["properties"].items()
        ]

    def _kind(self, schema: Json) -> str:
        """In words: `integer, 1 to 1000, default 100`."""
        limits = (_range(schema.get(low), schema.get(high), what) for low, high, what in LIMITS)
        kind = ", ".join(filter(None, (self._type(schema), *limits)))
        if schema.get("default") not in (None, {}):
            kind += f", default {_plain(schema['default'])}"
        return kind

    def _type(self, schema: Json) -> str:
        if "$ref" in schema:
            target = self._resolved(schema)
            return self._type(target) if "enum" in target else _name(schema) or ""
        if "anyOf" in schema:
            return " or ".join(self._kind(one) for one in schema["anyOf"])
        if "enum" in schema:
            return ", ".join(f"`{_plain(value)}`" for value in schema["enum"])
        if "const" in schema:
            return f"`{_plain(schema['const'])}`"
        if schema.get("type") == "array":
            return f"list of {self._type(schema['items'])}"
        return str(schema.get("format") or schema.get("type", "anything"))

    def _resolved(self, given: Json) -> Json:
        if "$ref" not in given:
            return given
        found: Any = self._document
        for name in given["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        return dict(found)


def prose(text: str) -> Markup:
    """Paragraphs, lines and `code` of a description; everything else is shown as it stands."""
    paragraphs = (str(escape(one)).strip() for one in text.split("\n\n"))
    coded = (re.sub("`([^`]+)`", r'<code class="code">\1</code>', one) for one in paragraphs)
    # Not to be escaped again: what came in was, and the rest is ours.
    return Markup("".join(f"<p>{one}</p>" for one in coded))  # noqa: S704


def inline(text: str) -> Markup:
    """The same within a line."""
    return Markup(str(prose(text)).removeprefix("<p>").removesuffix("</p>"))  # noqa: S704


def _range(low: int | None, high: int | None, what: str) -> str:
    if high is None:
        return "" if low is None else f"from {low}{what}"
    return f"at most {high}{what}" if low is None else f"{low} to {high}{what}"


def _name(schema: Json) -> str | None:
    ref = schema.get("$ref")
    return None if ref is None else str(ref).rsplit("/", 1)[-1]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _pretty(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
