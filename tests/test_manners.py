"""Manners of the engine API: rates, request ids, ETags, caches, sizes, kinds of bodies, methods."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import structlog
from structlog.testing import LogCapture

from tests.conftest import StartService
from tests.service import OTHER_TOKEN, READER_TOKEN, TOKEN, Clock, Service
from tests.test_engine_api import NO_SUCH_ID, REQUIRED
from web.rate import RateLimit

Answer = tuple[int, Any, aiohttp.ClientResponse]


async def call(
    service: Service, method: str, path: str, token: str | None = TOKEN, **request: Any
) -> Answer:
    """Status, JSON or None, and the response for its headers."""
    headers = dict(request.pop("headers", {}))
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    url = f"{service.base}/api/v1{path}"
    async with service.http.request(method, url, headers=headers, **request) as response:
        raw = await response.read()
    return response.status, json.loads(raw) if raw else None, response


async def looks(service: Service, times: int, token: str = TOKEN) -> list[int]:
    """The status of each of so many requests."""
    return [(await call(service, "GET", "/decisions", token))[0] for _ in range(times)]


# So many a second.


def test_a_bucket_holds_a_second_and_fills_as_time_goes_by() -> None:
    clock = Clock()
    limit = RateLimit(4, 2, clock.monotonic)
    assert [limit.wait_s(0) for _ in range(4)] == [0.0] * 4
    assert limit.wait_s(0) == 0.25
    clock.advance(seconds=0.25)
    assert (limit.wait_s(0), limit.wait_s(0)) == (0.0, 0.25)
    clock.advance(hours=1)
    assert [limit.wait_s(0) > 0 for _ in range(5)] == [False] * 4 + [True]
    assert limit.wait_s(1) == 0.0


def test_knocking_while_one_has_to_wait_makes_it_no_longer() -> None:
    clock = Clock()
    limit = RateLimit(1, 1, clock.monotonic)
    assert limit.wait_s(0) == 0.0
    for _ in range(10):
        clock.advance(seconds=0.1)
        waited = limit.wait_s(0)
    assert waited == 0.0


def test_a_clock_that_goes_back_gives_nothing_and_takes_nothing() -> None:
    clock = Clock()
    limit = RateLimit(2, 1, clock.monotonic)
    assert limit.wait_s(0) == 0.0
    clock.advance(seconds=-60)
    assert (limit.wait_s(0), limit.wait_s(0) > 0) == (0.0, True)


def test_without_a_limit_nobody_waits() -> None:
    limit = RateLimit(0, 1, Clock().monotonic)
    assert [limit.wait_s(0) for _ in range(5000)] == [0.0] * 5000


async def test_who_comes_too_often_is_told_when_to_come_again(start: StartService) -> None:
    service = await start(api_rate="3")
    assert await looks(service, 3) == [200] * 3
    status, problem, response = await call(service, "GET", "/decisions")
    assert (status, problem["code"]) == (429, "too-many-requests")
    assert response.headers["Retry-After"] == "1"
    assert TOKEN not in json.dumps(problem)
    service.clock.advance(seconds=1)
    assert await looks(service, 4) == [200] * 3 + [429]


async def test_each_token_has_a_bucket_of_its_own_also_of_one_engine(start: StartService) -> None:
    tokens = f"fta:{TOKEN},fta:{OTHER_TOKEN},reader:{READER_TOKEN}"
    service = await start(api_rate="1", api_tokens=tokens)
    for token in (TOKEN, OTHER_TOKEN, READER_TOKEN):
        assert await looks(service, 2, token) == [200, 429]


async def test_whoever_has_no_token_empties_nobodys_bucket(start: StartService) -> None:
    service = await start(api_rate="1")
    for _ in range(20):
        assert (await call(service, "GET", "/decisions", None))[0] == 401
        assert (await call(service, "GET", "/decisions", f"{TOKEN}x"))[0] == 401
    assert await looks(service, 2) == [200, 429]


async def test_what_comes_too_often_does_nothing_and_its_body_is_not_read(
    start: StartService,
) -> None:
    service = await start(api_rate="1")
    assert await looks(service, 1) == [200]

    async def endless() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    url, headers = f"{service.base}/api/v1/approvals", {"Authorization": f"Bearer {TOKEN}"}
    headers["Content-Type"] = "application/json"
    async with service.http.post(url, data=endless(), headers=headers) as response:
        assert response.status == 429
    assert (await call(service, "POST", "/approvals", json=REQUIRED))[0] == 429
    service.clock.advance(seconds=1)
    assert (await call(service, "GET", "/approvals"))[1]["approvals"] == []


async def test_a_long_poll_and_a_stream_count_once(start: StartService) -> None:
    service = await start(api_rate="3")
    url, headers = f"{service.base}/api/v1/decisions", {"Authorization": f"Bearer {TOKEN}"}
    async with service.http.get(f"{url}/stream", headers=headers) as stream:
        assert stream.status == 200
        asked = await service.ask()
        waiting = asyncio.create_task(call(service, "GET", "/decisions?wait=60"))
        await service.says("zhangsan", f"TY {asked['reply_id']}")
        assert len((await waiting)[1]["decisions"]) == 1
        assert await stream.content.readline()
        assert await looks(service, 1) == [429]


async def test_the_old_api_takes_from_the_same_bucket_and_says_it_in_its_own_words(
    start: StartService,
) -> None:
    service = await start(api_rate="2")
    url = f"{service.base}/wechat/create_approve/"
    body = {"message": "替换故障机", "verifier": "zhangsan", "obj_id": "12345_2"}
    answers = []
    for _ in range(3):
        async with service.http.post(url, json=body, headers={"TOKEN": TOKEN}) as response:
            assert response.status == 200
            answers.append(await response.json())
    assert [answer["result"] for answer in answers] == [True, True, False]
    assert answers[2]["message"] == "创建审批单异常"
    assert await looks(service, 1) == [429]
    async with service.http.post(url, json=body, headers={"TOKEN": "x" * 20}) as response:
        assert (await response.json())["message"] == "token不正确"


# An id for each request.


@pytest.fixture
def lines() -> Any:
    """What is logged from now on, as the service would write it."""
    capture = LogCapture()
    before = structlog.get_config()["processors"]
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, capture])
    yield capture.entries
    structlog.configure(processors=before)


EVERY_ANSWER = [
    ("GET", "/approvals", TOKEN, 200),
    ("POST", "/approvals", TOKEN, 415),
    ("GET", f"/approvals/{NO_SUCH_ID}", TOKEN, 404),
    ("GET", "/nothing", TOKEN, 404),
    ("PUT", "/approvals", TOKEN, 405),
    ("GET", "/approvals?x=1", TOKEN, 422),
    ("GET", "/decisions?after=99999", TOKEN, 409),
    ("GET", "/approvals", None, 401),
]


async def test_every_answer_names_its_request_as_it_was_named(service: Service) -> None:
    for method, path, token, expected in EVERY_ANSWER:
        headers = {"X-Request-Id": "run-7/step:2~!"}
        status, body, response = await call(service, method, path, token, headers=headers)
        assert (status, response.headers["X-Request-Id"]) == (expected, "run-7/step:2~!")
        assert status == 200 or body["request_id"] == "run-7/step:2~!"
        status, body, response = await call(service, method, path, token)
        fresh = response.headers["X-Request-Id"]
        assert len(fresh) == 36
        assert status == 200 or body["request_id"] == fresh


async def test_a_stream_names_its_request_too(service: Service) -> None:
    url = f"{service.base}/api/v1/decisions/stream"
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Request-Id": "stream-1"}
    async with service.http.get(url, headers=headers) as response:
        assert response.headers["X-Request-Id"] == "stream-1"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "号", "a\tb", TOKEN, OTHER_TOKEN])
async def test_a_request_id_that_does_not_fit_is_replaced(service: Service, sent: str) -> None:
    headers = {"X-Request-Id": sent}
    response = (await call(service, "GET", "/approvals", headers=headers))[2]
    assert len(response.headers["X-Request-Id"]) == 36
    assert response.headers["X-Request-Id"] != sent


async def test_the_longest_request_id_is_kept(service: Service) -> None:
    sent = "!" + "~" * 127
    response = (await call(service, "GET", "/approvals", headers={"X-Request-Id": sent}))[2]
    assert response.headers["X-Request-Id"] == sent


async def test_a_request_stands_in_the_log_with_its_id_and_its_engine(
    service: Service, lines: list[dict[str, Any]]
) -> None:
    path = f"{service.base}/api/v1/approvals".removeprefix(service.url)
    await call(service, "GET", f"/approvals?biz_id=geheim&{TOKEN}=1", headers={"X-Request-Id": "a"})
    await call(service, "GET", "/approvals", None, headers={"X-Request-Id": "b"})
    (wrong, stranger) = [line for line in lines if line["event"] == "request"]
    assert (wrong.pop("ms") >= 0, stranger.pop("ms") >= 0) == (True, True)
    about = {"event": "request", "log_level": "info", "method": "GET", "path": path}
    assert wrong == {**about, "request_id": "a", "engine": "fta", "status": 422}
    assert stranger == {**about, "request_id": "b", "engine": None, "status": 401}
    assert "geheim" not in str(lines)


async def test_what_went_well_is_said_at_debug_only(
    service: Service, lines: list[dict[str, Any]]
) -> None:
    await call(service, "GET", "/approvals")
    (line,) = [line for line in lines if line["event"] == "request"]
    assert (line["log_level"], line["status"]) == ("debug", 200)


async def test_what_a_handler_logs_bears_the_id_of_its_request_and_no_other(
    service: Service, lines: list[dict[str, Any]]
) -> None:
    url = f"{service.base}/wechat/create_approve/"
    for request_id in ("one", "two"):
        headers = {"TOKEN": TOKEN, "X-Request-Id": request_id}
        async with service.http.post(url, json=[], headers=headers) as response:
            assert response.headers["X-Request-Id"] == request_id
    refused = [line for line in lines if line["event"] == "create_approve refused"]
    assert [line["request_id"] for line in refused] == ["one", "two"]


# Nothing is sent twice, and nothing is kept that must not be.


async def approval_with_etag(service: Service) -> tuple[str, str]:
    """The path of an approval that changes no more by itself, and its ETag."""
    asked = await service.notified((await service.ask())["approval_id"])
    path = f"/approvals/{asked['approval_id']}"
    return path, (await call(service, "GET", path))[2].headers["ETag"]


async def test_who_holds_an_approval_is_not_sent_it_again(service: Service) -> None:
    path, etag = await approval_with_etag(service)
    assert etag.startswith('"')
    for held in (etag, f"W/{etag}", f'"other", {etag}', f'W/"other",W/{etag}', "*"):
        status, body, response = await call(service, "GET", path, headers={"If-None-Match": held})
        assert (status, body) == (304, None), held
        assert response.headers["ETag"] == etag
        assert response.headers["X-Request-Id"]
        assert "Content-Length" not in response.headers or held


@pytest.mark.parametrize("held", ['"other"', "", "other", 'W/""', '"', '"*"'])
async def test_who_holds_something_else_is_sent_it(service: Service, held: str) -> None:
    path, etag = await approval_with_etag(service)
    status, body, response = await call(service, "GET", path, headers={"If-None-Match": held})
    assert (status, response.headers["ETag"]) == (200, etag)
    assert body["approval_id"] in path


async def test_an_etag_changes_whenever_the_approval_does(service: Service) -> None:
    path, etag = await approval_with_etag(service)
    await service.says("zhangsan", "TY 12345_2")
    status, body, response = await call(service, "GET", path, headers={"If-None-Match": etag})
    assert (status, body["status"]) == (200, "approved")
    assert response.headers["ETag"] != etag


async def test_a_condition_does_not_open_what_is_anothers(service: Service) -> None:
    path, _ = await approval_with_etag(service)
    assert (await call(service, "GET", path, OTHER_TOKEN, headers={"If-None-Match": "*"}))[0] == 404


async def test_no_cache_keeps_what_a_token_opened(service: Service) -> None:
    for method, path, token, _ in [*EVERY_ANSWER, ("GET", "/decisions/stream", TOKEN, 200)]:
        url, headers = f"{service.base}/api/v1{path}", {"Authorization": f"Bearer {token}"}
        async with service.http.request(method, url, headers=headers) as response:
            assert response.headers["Cache-Control"] == "no-store", path


# Methods.

PATHS = ["/approvals", f"/approvals/{NO_SUCH_ID}", "/decisions", "/decisions/stream"]


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PROPFIND"])
async def test_other_methods_are_told_which_there_are(service: Service, method: str) -> None:
    for path in PATHS:
        status, _, response = await call(service, method, path)
        assert status == 405, path
        assert "GET" in response.headers["Allow"].split(",")
        assert (await call(service, method, path, None))[0] == 401


# Bodies.


async def test_a_body_that_comes_in_pieces_is_refused_once_it_is_too_large(
    service: Service,
) -> None:
    sent = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(64):
            sent += 1
            yield b" " * 16 * 1024

    headers = {"Content-Type": "application/json", "Connection": "close"}
    status, problem, _ = await call(service, "POST", "/approvals", data=pieces(), headers=headers)
    assert (status, problem["code"]) == (413, "content-too-large")


async def test_a_small_body_in_pieces_is_taken(service: Service) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for byte in json.dumps(REQUIRED).encode():
            yield bytes([byte])

    headers = {"Content-Type": "application/json"}
    assert (await call(service, "POST", "/approvals", data=pieces(), headers=headers))[0] == 201


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "utf8"])
async def test_a_body_that_says_it_is_utf_8_is_taken(service: Service, charset: str) -> None:
    headers = {"Content-Type": f"application/json; charset={charset}"}
    body = json.dumps(REQUIRED, ensure_ascii=False).encode()
    assert (await call(service, "POST", "/approvals", data=body, headers=headers))[0] == 201


@pytest.mark.parametrize("charset", ["gbk", "utf-16", "latin-1", "x"])
async def test_a_body_in_another_charset_is_an_unsupported_media_type(
    service: Service, charset: str
) -> None:
    headers = {"Content-Type": f"application/json; charset={charset}"}
    body = json.dumps(REQUIRED, ensure_ascii=False).encode()
    status, problem, _ = await call(service, "POST", "/approvals", data=body, headers=headers)
    assert (status, problem["code"]) == (415, "unsupported-media-type")
    assert "UTF-8" in problem["detail"]
