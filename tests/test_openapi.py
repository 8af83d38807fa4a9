"""The OpenAPI document: valid, complete, and true of every answer (contract 3)."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

import web
from domain import errors
from tests.conftest import StartService
from tests.documented import DOCUMENT, STRICT, documented, resolved, wrongs
from tests.service import OTHER_TOKEN, READER_TOKEN, TOKEN, Service
from tests.test_engine_api import ACCEPTED, NO_SUCH_ID, REFUSED, REQUIRED
from web import keys
from web.api_page import inline, prose
from web.errors import STATUS
from web.openapi import every_problem, openapi
from web.operations import ALL, BASE, KNOWN
from web.problems import NOT_FOR_ENGINES
from web.queries import ApprovalsQuery

JSON = "application/json"


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in [*DOCUMENT["paths"].items(), *DOCUMENT["webhooks"].items()]:
        for method, operation in item.items():
            yield f"{method} {path}", operation


# The document itself.


def test_the_document_is_valid_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    validate(json.loads(json.dumps(DOCUMENT)), cls=OpenAPIV31SpecValidator)


def test_it_stands_under_the_prefix_and_bears_the_version_of_the_service() -> None:
    document = openapi("", "1.2.3")
    assert document["servers"] == [{"url": "/api/v1"}]
    assert document["info"]["version"] == "1.2.3"
    assert DOCUMENT["servers"] == [{"url": "/o/bk_fta_solutions/api/v1"}]


async def test_every_route_is_described_and_nothing_else(service: Service) -> None:
    base = service.app[keys.SETTINGS].url_prefix + BASE
    routes = {
        (route.method, route.resource.canonical.removeprefix(base).rstrip("/"))
        for route in service.app.router.routes()
        if route.resource is not None and route.resource.canonical.startswith(base)
    }
    assert routes == set(KNOWN)
    assert len(KNOWN) == len(ALL) == len({operation.name for operation in ALL})


def test_every_refusal_is_documented_or_only_for_members() -> None:
    documented_ones = {type(known.error) for known in every_problem()}
    assert documented_ones & set(STATUS) | NOT_FOR_ENGINES == set(STATUS)
    assert documented_ones & NOT_FOR_ENGINES == set()


def raised_in(path: Path) -> set[str]:
    """Codes of the problems that a module makes."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Problem":
            codes = [one.value for one in node.args[1:2] if isinstance(one, ast.Constant)]
            found |= {code for code in codes if isinstance(code, str)}
    return found


def test_every_problem_that_the_code_can_make_is_documented() -> None:
    folder = Path(str(web.__file__)).parent
    made = set().union(*(raised_in(path) for path in folder.rglob("*.py")))
    assert {"unauthorized", "not-json", "invalid-request", "too-many-requests"} <= made
    assert made <= {known.problem.code for known in every_problem()}


def test_every_code_has_one_status_and_an_example_that_says_so() -> None:
    codes = [known.problem.code for known in every_problem()]
    # `invalid-request` has an example for a query and one for a body.
    assert set(codes) == set(DOCUMENT["components"]["examples"])
    for known in every_problem():
        schema = {"$ref": f"#/components/schemas/{known.model.__name__}"}
        assert wrongs(STRICT, schema, known.example) == []
        assert known.example["status"] == known.problem.status
        if isinstance(known.error, errors.Refusal):
            assert known.problem.status == STATUS[type(known.error)]


CODES = {
    400: {"not-json"},
    401: {"unauthorized", "bad-permit"},
    404: {"not-found", "unknown-approval", "unknown-webhook"},
    405: {"method-not-allowed"},
    409: {
        *("conflicting-request", "already-decided", "position-unknown", "already-redeemed"),
        *("revoked", "frozen", "not-approved", "outcome-differs"),
        *("already-delivered", "not-undelivered"),
    },
    410: {"permit-expired"},
    413: {"content-too-large"},
    415: {"unsupported-media-type"},
    422: {"invalid-request", "nobody-can-decide", "action-differs"},
    429: {"too-many-requests"},
    500: {"internal-error"},
    503: {"no-api-token-configured", "overloaded", "unavailable"},
}


def test_codes_are_for_ever() -> None:
    """Programs decide by them: this table only grows."""
    found: dict[int, set[str]] = {}
    for known in every_problem():
        found.setdefault(known.problem.status, set()).add(known.problem.code)
    assert found == CODES


@pytest.mark.parametrize(("name", "operation"), [*operations()], ids=lambda given: str(given)[:40])
def test_every_example_is_what_its_schema_says(name: str, operation: dict[str, Any]) -> None:
    contents = [*operation.get("requestBody", {}).get("content", {}).values()]
    for response in operation["responses"].values():
        contents += response.get("content", {}).values()
    for content in contents:
        several = [resolved(one)["value"] for one in content.get("examples", {}).values()]
        for example in [*several, *([content["example"]] if "example" in content else [])]:
            assert wrongs(STRICT, content["schema"], example) == [], name


def test_every_status_lists_the_codes_that_it_can_have() -> None:
    conflict = DOCUMENT["paths"]["/approvals/{approval_id}/cancel"]["post"]["responses"]["409"]
    schema = conflict["content"]["application/problem+json"]["schema"]
    example = DOCUMENT["components"]["examples"]["already-decided"]["value"]
    assert wrongs(STRICT, schema, example) == []
    for change in ({"code": "conflicting-request"}, {"status": 422}, {"decision": None}):
        assert wrongs(STRICT, schema, {**example, **change}) != []


def test_everything_that_needs_a_token_says_so() -> None:
    assert DOCUMENT["security"] == [{"bearer": []}]
    open_ones = {name for name, one in operations() if one.get("security") == []}
    assert open_ones >= {"get /openapi.json", "get /docs"}
    for name, operation in operations():
        is_open = name in open_ones
        assert ("401" in operation["responses"]) != is_open, name


# What is asked: the schema says what the model does.

# What JSON Schema cannot say: what becomes of the text, a host, a size in bytes, depth.
# (And to Python, unlike to JSON Schema, `$` is also before a last line break.)
BEYOND_SCHEMA: dict[str, list[Any]] = {
    "obj_id": ["a\n"],
    "approvers": [["z\n"]],
    "action": [
        *({"a": [{"b": [0.1]}]}, {"a": "x" * 16_377}),
        *({"a": ["\udfff"]}, {"\ud800": 1}, {"a": 1.0}),
    ],
    "details": [{"a": "\ud800"}, {"\ud800": "x"}, {"a\nb": "1", "a b": "2"}],
    "callback_url": [
        *("http://", "http:///x", "http://u@h/", "http://u:p@h/", "http://:p@h/", "http://@h/"),
        *("http://h:0/", "http://h:99999/", "http://h:x/", "http://[h/", "http://h\\@x/"),
        *(f"http://h/{c}" for c in (" ", "\n", "\x00", "\u2028", "\u202e", "\ud800")),
    ],
    "biz_id": ["\ud800"],
    "requested_by": ["\ud800"],
    "message": ["\ud800"],
}
ASKED = {"$ref": "#/components/schemas/ApprovalRequest"}


@pytest.mark.parametrize("field", ACCEPTED)
def test_the_schema_allows_what_is_accepted(field: str) -> None:
    for value in ACCEPTED[field]:
        assert wrongs(DOCUMENT, ASKED, {**REQUIRED, field: value}) == [], value


@pytest.mark.parametrize("field", REFUSED)
def test_the_schema_refuses_what_is_refused(field: str) -> None:
    for value in REFUSED[field]:
        if value not in BEYOND_SCHEMA.get(field, []):
            assert wrongs(DOCUMENT, ASKED, {**REQUIRED, field: value}) != [], value


def test_the_schema_knows_required_and_unknown_fields() -> None:
    assert wrongs(DOCUMENT, ASKED, REQUIRED) == []
    assert wrongs(DOCUMENT, ASKED, {**REQUIRED, "status": "approved"}) != []
    for field in REQUIRED:
        without = {name: value for name, value in REQUIRED.items() if name != field}
        assert wrongs(DOCUMENT, ASKED, without) != []


def test_parameters_are_the_fields_of_the_model_that_checks_them() -> None:
    parameters = DOCUMENT["paths"]["/approvals"]["get"]["parameters"]
    queries = {one["name"]: one["schema"] for one in parameters if one["in"] == "query"}
    assert set(queries) == set(ApprovalsQuery.model_fields)
    assert queries["limit"] == {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
    assert queries["run"] == {"type": "integer", "minimum": 1, "maximum": 2**53 - 1}
    assert resolved(queries["status"])["enum"][0] == "pending"


async def test_a_parameter_that_means_nothing_is_refused_at_every_address(
    service: Service,
) -> None:
    for operation in ALL:
        body = next(iter(operation.body_examples.values()), None)
        for query in ("?limt=5", f"?{next(iter(operation.query.model_fields), 'x')}=1&x=2"):
            status, problem = await documented(
                service,
                operation.method,
                operation.path + query,
                approval_id=NO_SUCH_ID,
                json=body,
            )
            assert (status, problem["code"]) == (422, "invalid-request"), operation.name
            assert problem["errors"][0]["field"] in ("limt", "x")


async def test_a_parameter_that_stands_twice_is_refused(service: Service) -> None:
    for path in ("/approvals?limit=1&limit=2", "/decisions?after=0&after=0"):
        status, problem = await documented(service, "GET", path)
        assert (status, problem["errors"][0]["detail"]) == (422, "stands twice in the address")


# What is answered: exactly what the document says.


async def test_every_answer_of_a_whole_story_is_documented(service: Service) -> None:
    asked = {**REQUIRED, "action": {"do": "replace"}, "details": {"IP": "10.0.0.1"}}
    status, first = await documented(service, "POST", "/approvals", json=asked)
    assert status == 201
    assert (await documented(service, "POST", "/approvals", json=asked))[0] == 200
    assert (await documented(service, "POST", "/approvals", json=REQUIRED))[0] == 409
    await service.notified(first["approval_id"])
    await service.says("lisi", "TY 12345_2")
    await service.says("zhangsan", "BH 12345_2 太忙")
    of_it = {"approval_id": first["approval_id"]}
    status, problem = await documented(
        service, "POST", "/approvals/{approval_id}/cancel", json={"reason": "x"}, **of_it
    )
    assert (status, problem["decision"]["decided_by"]) == (409, "zhangsan")
    await documented(service, "POST", "/approvals", json={**asked, "run": 2})
    await documented(service, "POST", "/approvals", json={**asked, "run": 3})
    service.clock.advance(hours=1)
    await service.expire()
    for path in ("/approvals/{approval_id}", "/approvals/{approval_id}/events"):
        assert (await documented(service, "GET", path, **of_it))[0] == 200
    assert len((await documented(service, "GET", "/approvals"))[1]["approvals"]) == 3
    assert (await documented(service, "GET", "/approvals?limit=1"))[1]["next"] is not None
    decisions = (await documented(service, "GET", "/decisions"))[1]["decisions"]
    ends = [decision["data"]["status"] for decision in decisions]
    assert ends == ["rejected", "cancelled", "expired"]


async def test_every_answer_about_a_permit_is_documented(service: Service) -> None:
    action = {"do": "replace"}
    approved = await service.ask(action=action)
    of_it = {"approval_id": approved["approval_id"]}
    outcome = "/approvals/{approval_id}/outcome"
    answer = await documented(service, "POST", outcome, json={"outcome": "failed"}, **of_it)
    assert (answer[0], answer[1]["code"]) == (409, "not-approved")
    await service.notified(approved["approval_id"])
    await service.says("zhangsan", "TY 12345_2")
    permit = (await documented(service, "GET", "/decisions"))[1]["decisions"][0]["data"]["permit"]
    asked = {"permit": permit, "action": action, "attempt": "1"}
    for change, status, code in (
        ({"permit": f"{permit}x"}, 401, "bad-permit"),
        ({"action": {}}, 422, "action-differs"),
        ({}, 200, None),
        ({}, 200, None),
        ({"attempt": "2"}, 409, "already-redeemed"),
    ):
        answer = await documented(service, "POST", "/permits/redeem", json={**asked, **change})
        assert (answer[0], answer[1].get("code")) == (status, code)
    for said, status in (("succeeded", 200), ("succeeded", 200), ("failed", 409)):
        answer = await documented(service, "POST", outcome, json={"outcome": said}, **of_it)
        assert answer[0] == status
    for path in ("/approvals/{approval_id}", "/approvals/{approval_id}/events"):
        assert (await documented(service, "GET", path, **of_it))[0] == 200
    assert (await documented(service, "GET", "/decisions"))[0] == 200
    assert (await documented(service, "GET", "/permits/keys", None))[1]["keys"]


async def test_a_stream_is_what_the_document_says(service: Service) -> None:
    described = STRICT["paths"]["/decisions/stream"]["get"]["responses"]["200"]
    asked = await service.ask()
    await service.says("zhangsan", "TY 12345_2")
    url = f"{service.base}/api/v1/decisions/stream"
    async with service.http.get(url, headers={"Authorization": f"Bearer {TOKEN}"}) as response:
        assert [response.content_type] == list(described["content"])
        assert all(name in response.headers for name in described["headers"])
        lines = [(await response.content.readline()).decode() for _ in range(4)]
    assert [line.partition(": ")[0] for line in lines] == ["id", "event", "data", "\n"]
    decision = json.loads(lines[2].removeprefix("data: "))
    assert wrongs(STRICT, {"$ref": "#/components/schemas/Decision"}, decision) == []
    assert decision["data"]["approval_id"] == asked["approval_id"]


async def test_anothers_permit_is_answered_exactly_as_a_forged_one(service: Service) -> None:
    await service.ask(action={"do": "replace"})
    await service.says("zhangsan", "TY 12345_2")
    ((decision),) = await service.decisions()
    permit = decision["data"]["permit"]
    forged = permit[:-1] + ("A" if permit[-1] != "A" else "B")
    answers = [
        await documented(
            service,
            "POST",
            "/permits/redeem",
            token,
            json={"permit": one, "action": {"do": "replace"}, "attempt": "1"},
            headers={"X-Request-Id": "the-same"},
        )
        for token, one in (
            *((OTHER_TOKEN, permit), (READER_TOKEN, permit)),
            *((OTHER_TOKEN, forged), (TOKEN, forged), (TOKEN, "x")),
        )
    ]
    assert answers[0][0] == 401
    assert answers == [answers[0]] * 5
    assert "permit" not in (await service.decisions(token=READER_TOKEN))[0]["data"]


async def test_every_way_to_be_refused_is_documented(service: Service) -> None:
    for operation in ALL:
        body = next(iter(operation.body_examples.values()), None)
        about: dict[str, Any] = {"approval_id": NO_SUCH_ID}
        method, path = operation.method, operation.path
        if not operation.is_open:
            assert (await documented(service, method, path, None, **about))[0] == 401
        if "{approval_id}" in path or "{id}" in path:
            assert (await documented(service, method, path, json=body, **about))[0] == 404
        if operation.body is None:
            continue
        kind = {"Content-Type": JSON}
        for data, headers, expected in (
            (b"{", kind, 400),
            (b"[]", kind, 422),
            (b'{"x": 1}', kind, 422),
            (b" " * 300_000, {**kind, "Connection": "close"}, 413),
            (b"{}", {"Content-Type": "text/plain"}, 415),
        ):
            answer = await documented(service, method, path, data=data, headers=headers, **about)
            assert answer[0] == expected, (operation.name, expected)


async def test_a_limit_and_a_service_without_tokens_are_documented(start: StartService) -> None:
    closed = await start(api_tokens="", api_readers="")
    for operation in ALL:
        if not operation.is_open:
            answer = await documented(
                closed, operation.method, operation.path, approval_id=NO_SUCH_ID
            )
            assert (answer[0], answer[1]["code"]) == (503, "no-api-token-configured")
    assert (await documented(closed, "GET", "/openapi.json", None))[0] == 200


async def test_too_often_is_documented_everywhere(start: StartService) -> None:
    service = await start(api_rate="1")
    await documented(service, "GET", "/approvals")
    for operation in ALL:
        answer = await documented(service, operation.method, operation.path, approval_id=NO_SUCH_ID)
        assert answer[0] == (200 if operation.is_open else 429)


# Where it stands.


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
async def test_it_is_open_to_everybody_and_not_sent_twice(service: Service, path: str) -> None:
    url = f"{service.base}/api/v1{path}"
    async with service.http.get(url) as response:
        assert response.status == 200
        etag, first = response.headers["ETag"], await response.read()
        assert response.headers["Cache-Control"] == "no-cache"
    async with service.http.get(f"{url}/", headers={"If-None-Match": etag}) as response:
        assert (response.status, await response.read()) == (304, b"")
        assert (response.headers["ETag"], response.headers["Cache-Control"]) == (etag, "no-cache")
    async with service.http.get(url, headers={"Authorization": "Bearer wrong"}) as response:
        assert (response.status, await response.read()) == (200, first)


async def test_the_document_that_is_served_is_that_document(start: StartService) -> None:
    service = await start(url_prefix="/elsewhere")
    async with service.http.get(f"{service.base}/api/v1/openapi.json") as response:
        served = await response.json()
    assert served == json.loads(json.dumps(openapi("/elsewhere", served["info"]["version"])))
    assert served["info"]["version"] != "0"


async def test_the_page_says_everything_without_a_script(service: Service) -> None:
    async with service.http.get(f"{service.base}/api/v1/docs") as response:
        page = await response.text()
        policy = response.headers["Content-Security-Policy"]
    assert "<script" not in page
    assert not re.search(r"\son[a-z]+=|javascript:", page)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for operation in ALL:
        assert f'id="{operation.name}"' in page
        assert operation.path in page
        for known in operation.all_problems:
            assert f">{known.problem.code}</code>" in page
        for field in operation.query.model_fields:
            assert f">{field}</span>" in page
    assert TOKEN not in page


def test_a_description_is_shown_and_never_obeyed() -> None:
    assert prose("<b>a</b> `<i>`\n\n& b") == (
        '<p>&lt;b&gt;a&lt;/b&gt; <code class="code">&lt;i&gt;</code></p><p>&amp; b</p>'
    )
    assert inline("`1 < 2`") == '<code class="code">1 &lt; 2</code>'


# Walls between engines.


@pytest.mark.parametrize("token", [OTHER_TOKEN, READER_TOKEN])
async def test_anothers_approval_is_answered_exactly_as_one_that_there_is_not(
    service: Service, token: str
) -> None:
    asked = await service.notified((await service.ask())["approval_id"])
    for operation in ALL:
        if "{approval_id}" not in operation.path:
            continue
        body = next(iter(operation.body_examples.values()), None)
        answers = []
        for approval_id in (asked["approval_id"], NO_SUCH_ID):
            answer = await documented(
                service,
                operation.method,
                operation.path,
                token,
                approval_id=approval_id,
                json=body,
                headers={"X-Request-Id": "the-same"},
            )
            answers.append((answer[0], json.dumps(answer[1]).replace(approval_id, "ID")))
        # A reader knows the other name of what it may read.
        answers[0] = (answers[0][0], answers[0][1].replace("no approval 12345_2", "no approval ID"))
        if token == READER_TOKEN and operation.method == "GET":
            assert (answers[0][0], answers[1][0]) == (200, 404), operation.name
        else:
            assert answers[0] == answers[1], operation.name
            assert answers[0][0] == 404
    assert await service.look(asked["approval_id"]) == asked
