"""Alive, and able to serve: what the operator's probes hear (contract 3)."""

import asyncio
import json
import time
from typing import Any

import pytest

from tests.conftest import StartService
from tests.service import WITHIN_S, Service
from web import keys

READY = {"database": "ok", "writer": "ok", "read_models": "ok"}


async def probe(service: Service, path: str) -> tuple[int, Any]:
    """Without the prefix, and without a token."""
    async with service.http.get(service.url + path, allow_redirects=False) as response:
        assert response.content_type == "application/json"
        return response.status, json.loads(await response.read())


async def test_a_running_service_is_alive_and_ready(service: Service) -> None:
    for slash in ("", "/"):
        assert await probe(service, f"/healthz{slash}") == (200, {"status": "ok"})
        status, body = await probe(service, f"/readyz{slash}")
        assert (status, body["status"], body["checks"]) == (200, "ready", READY)
        assert body["wecom"] == "ok"


async def test_probes_are_asked_without_the_prefix_only(service: Service) -> None:
    for path in ("/healthz", "/readyz"):
        async with service.http.get(service.base + path) as response:
            assert response.status == 404
        async with service.http.post(service.url + path) as response:
            assert response.status == 405


async def test_without_wecom_it_is_ready_and_says_so(start: StartService) -> None:
    service = await start(wecom_corp_id="", wecom_secret="", wecom_agent_id="")
    status, body = await probe(service, "/readyz")
    assert (status, body["checks"]) == (200, READY)
    assert body["wecom"] == "WeCom is not configured"


@pytest.mark.parametrize("outage", ["refuse", "http-500", "busy"])
async def test_a_wecom_that_does_not_answer_stands_in_the_body_until_it_does(
    service: Service, outage: Any
) -> None:
    service.wecom.knobs.outage = outage
    asked = await service.ask()
    async with asyncio.timeout(WITHIN_S):
        while (await probe(service, "/readyz"))[1]["wecom"] == "ok":
            await asyncio.sleep(0.01)
    status, body = await probe(service, "/readyz")
    assert (status, body["status"], body["checks"]) == (200, "ready", READY)
    assert service.wecom.settings.secret not in json.dumps(body)
    service.wecom.knobs.outage = "none"
    await service.notified(asked["approval_id"])
    assert (await probe(service, "/readyz"))[1]["wecom"] == "ok"


async def test_a_wrong_secret_stands_in_the_body_and_shows_no_secret(start: StartService) -> None:
    service = await start(wecom_secret="a-secret-that-is-wrong")
    await service.ask()
    async with asyncio.timeout(WITHIN_S):
        while (await probe(service, "/readyz"))[1]["wecom"] == "ok":
            await asyncio.sleep(0.01)
    status, body = await probe(service, "/readyz")
    assert (status, body["checks"]) == (200, READY)
    assert "40001" in body["wecom"]
    assert "a-secret-that-is-wrong" not in json.dumps(body)


async def test_public_callback_secrets_stand_in_the_body(start: StartService) -> None:
    service = await start(
        wecom_corp_id="",
        wecom_secret="",
        wecom_agent_id="",
        wecom_api_url="https://qyapi.weixin.qq.com",
    )
    status, body = await probe(service, "/readyz")
    assert (status, body["checks"]) == (200, READY)
    assert "public default" in body["wecom"]


async def test_without_its_writer_it_is_alive_and_not_ready(service: Service) -> None:
    await asyncio.to_thread(service.app[keys.WRITER].stop)
    assert (await probe(service, "/healthz"))[0] == 200
    status, body = await probe(service, "/readyz")
    assert (status, body["status"]) == (503, "not ready")
    assert body["checks"] == {**READY, "writer": "the writer has stopped"}
    status, problem = await service.api(
        "POST", "/approvals", json={"obj_id": "1_1", "message": "m", "approvers": ["zhangsan"]}
    )
    assert (status, problem["code"]) == (503, "unavailable")


async def test_a_store_that_takes_nothing_makes_it_unready_until_it_does(service: Service) -> None:
    writer = service.app[keys.WRITER]
    writer.failed_at = time.monotonic()
    status, body = await probe(service, "/readyz")
    assert (status, body["checks"]["writer"]) == (503, "the store does not take what is written")
    await service.ask()
    assert (await probe(service, "/readyz"))[0] == 200
    writer.failed_at = time.monotonic() - 60
    assert (await probe(service, "/readyz"))[0] == 200
