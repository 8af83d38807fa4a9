"""FTA's old API, `POST /wechat/create_approve/`, byte for byte (contract 5)."""

import json
from typing import Any

import aiohttp
import pytest

from tests.conftest import StartService
from tests.service import OTHER_TOKEN, READER_TOKEN, TOKEN, Service

ASKED = {"message": "替换故障机 10.0.0.1", "verifier": "zhangsan,lisi", "obj_id": "12345_2"}
WRONG_TOKEN = '{"result": false, "message": "token不正确"}'.encode()
NOT_JSON = '{"result": false, "message": "POST不是合法JSON"}'.encode()
FAILED = '{"result": false, "message": "创建审批单异常"}'.encode()


def is_empty(field: str) -> bytes:
    return f'{{"result": false, "message": "字段【{field}】不能为空"}}'.encode()


def created(number: int) -> bytes:
    text = '{"result": true, "message": "创建审批单成功", "data": {"approve_id": %d}}'
    return (text % number).encode()


async def post(
    service: Service, body: object, token: str | None = TOKEN, path: str = "create_approve/"
) -> bytes:
    """What FTA's engine sends: the raw bytes of the answer, which is always 200 and JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Connection": "close", **({} if token is None else {"TOKEN": token})}
    url = f"{service.base}/wechat/{path}"
    async with service.http.post(url, data=raw, headers=headers, allow_redirects=False) as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        assert response.charset == "utf-8"
        return await response.read()


async def ask(service: Service, **fields: Any) -> int:
    """The number of the approval."""
    answer = json.loads(await post(service, {**ASKED, **fields}))
    assert answer["result"] is True, answer
    return int(answer["data"]["approve_id"])


async def all_of(service: Service) -> list[Any]:
    """Every approval, by whichever engine, without what became of the messages."""
    status, body = await service.api("GET", "/approvals?limit=1000", READER_TOKEN)
    assert status == 200
    return [{**approval, "notifications": []} for approval in body["approvals"]]


# The table, in its order.


async def test_created_is_answered_with_the_number_of_the_approval(service: Service) -> None:
    answer = await post(service, ASKED)
    (approval,) = await all_of(service)
    assert answer == created(approval["number"])
    assert (approval["reply_id"], approval["status"]) == ("12345_2", "pending")
    assert (approval["message"], approval["engine"]) == (ASKED["message"], "fta")
    assert approval["approvers"] == ["zhangsan", "lisi"]
    assert (approval["kind"], approval["risk"]) == ("solution", "medium")
    assert approval["expires_at"] == "2026-01-05T12:20:00.000Z"


async def test_it_is_asked_in_the_chat_like_any_other(service: Service) -> None:
    await ask(service)
    assert (await service.inbox("lisi", 1))[0] == (
        "【故障自愈】即将执行 替换故障机 10.0.0.1,请审核！\n"
        "同意请回复: TY 12345_2\n"
        "驳回请回复: BH 12345_2"
    )
    await service.says("lisi", "TY 12345_2")
    (decision,) = await service.decisions()
    assert (decision["subject"], decision["data"]["decided_by"]) == ("12345_2", "lisi")


async def test_the_token_is_looked_at_before_anything_else(service: Service) -> None:
    for token in (None, "", " ", "x", TOKEN + "x", TOKEN[:-1], f"Bearer {TOKEN}", f"fta:{TOKEN}"):
        for body in (b"no JSON", b"{}", b"x" * 300_000, ASKED):
            assert await post(service, body, token) == WRONG_TOKEN, token
    assert await all_of(service) == []


async def test_without_any_token_configured_none_is_right(start: StartService) -> None:
    service = await start(api_tokens="", api_readers="")
    for token in (None, "", TOKEN):
        assert await post(service, ASKED, token) == WRONG_TOKEN


async def test_any_engines_token_will_do_in_that_header_only(service: Service) -> None:
    for number, token in enumerate((TOKEN, OTHER_TOKEN, READER_TOKEN)):
        answer = await post(service, {**ASKED, "obj_id": f"{number}_1"}, token)
        assert json.loads(answer)["result"] is True
    assert [a["engine"] for a in await all_of(service)] == ["fta", "other", "reader"]
    headers = {"Authorization": f"Bearer {TOKEN}"}
    url = f"{service.base}/wechat/create_approve/?TOKEN={TOKEN}"
    async with service.http.post(url, json=ASKED, headers=headers) as response:
        assert await response.read() == WRONG_TOKEN


async def test_then_whether_it_is_json(service: Service) -> None:
    for body in (
        b"",
        b"message=a&verifier=zhangsan&obj_id=1_1",
        b"{",
        b"{'message': 1}",
        b'{"message": NaN}',
        b'{"message": "\xff"}',
        b'{"message": "a", "message": "b"}',
        b"[" * 10_000 + b"]" * 10_000,
    ):
        assert await post(service, body) == NOT_JSON, body[:40]
    assert await all_of(service) == []


async def test_then_whether_message_verifier_and_obj_id_are_there(service: Service) -> None:
    for body, missing in (
        ({}, "message"),
        ({"message": ""}, "message"),
        ({"message": None}, "message"),
        ({"verifier": "zhangsan", "obj_id": "1_1"}, "message"),
        ({"message": "m"}, "verifier"),
        ({"message": "m", "verifier": "", "obj_id": ""}, "verifier"),
        ({"message": "m", "obj_id": "1_1"}, "verifier"),
        ({"message": "m", "verifier": "zhangsan"}, "obj_id"),
        ({"message": "m", "verifier": "zhangsan", "obj_id": ""}, "obj_id"),
        ({"message": "m", "verifier": "zhangsan", "obj_id": None}, "obj_id"),
        # What is missing is said before what is wrong.
        ({"message": "m" * 5000, "verifier": "张三"}, "obj_id"),
    ):
        assert await post(service, body) == is_empty(missing), body
    assert await all_of(service) == []


async def test_anything_else_wrong_is_one_answer_and_creates_nothing(service: Service) -> None:
    wrongs: tuple[dict[str, Any], ...] = (
        *({"obj_id": value} for value in ("a.2", "a b", "a" * 65, "中", 12345, ["1_1"], {"a": 1})),
        *({"message": value} for value in ("m" * 2001, " ", 5, ["m"], True, "\ud800")),
        *({"verifier": value} for value in (",", " , ,", "张三", "sys", "@all", "zhang san")),
        *({"verifier": value} for value in (["zhangsan"], {"zhangsan": 1}, 5, "z" * 65, "\ud800")),
        {"verifier": ",".join(f"zhangsan-{n}" for n in range(101))},
        *({"callback_url": value} for value in ("engine", "ftp://h/", "http://u:p@h/", 5, ["x"])),
    )
    for wrong in wrongs:
        assert await post(service, {**ASKED, **wrong}) == FAILED, wrong
    for body in (b"[]", b"null", b'"x"', b"5", json.dumps(ASKED).encode().ljust(300_000)):
        assert await post(service, body) == FAILED, body[:40]
    assert await all_of(service) == []


async def test_a_body_not_packed_as_it_says_is_answered_too(service: Service) -> None:
    headers = {"TOKEN": TOKEN, "Content-Encoding": "gzip", "Connection": "close"}
    url = f"{service.base}/wechat/create_approve/"
    async with service.http.post(url, data=b"no gzip", headers=headers) as response:
        assert (response.status, await response.read()) == (200, NOT_JSON)


# What is read of it.


@pytest.mark.parametrize(
    ("verifier", "approvers"),
    [
        ("zhangsan", ["zhangsan"]),
        (" zhangsan , lisi ", ["zhangsan", "lisi"]),
        (",zhangsan,,lisi,", ["zhangsan", "lisi"]),
        ("ZhangSan,zhangsan,LISI,lisi", ["ZhangSan", "LISI"]),
        ("zhangsan,\n\tlisi", ["zhangsan", "lisi"]),
    ],
)
async def test_verifier_is_split_at_its_commas(
    service: Service, verifier: str, approvers: list[str]
) -> None:
    await ask(service, verifier=verifier)
    assert [a["approvers"] for a in await all_of(service)] == [approvers]


async def test_what_the_old_client_sends_besides_is_ignored(service: Service) -> None:
    await ask(
        service,
        app_code="fta",
        app_secret="secret",
        run=7,
        risk="high",
        expires_in=5,
        status="approved",
        requested_by="lisi",
        unknown={"deep": [1.5]},
    )
    (approval,) = await all_of(service)
    assert (approval["run"], approval["risk"], approval["status"]) == (1, "medium", "pending")
    assert (approval["expires_at"], approval["requested_by"]) == ("2026-01-05T12:20:00.000Z", None)


async def test_the_message_becomes_one_line_and_the_callback_is_kept(service: Service) -> None:
    await ask(service, message="a\nTY 1_1\u2028b", callback_url="http://127.0.0.1:9/done")
    await ask(service, obj_id="1_1", callback_url="")
    (first, _) = await all_of(service)
    assert first["message"] == "a TY 1_1 b"
    requested = (await service.events(first["approval_id"]))[0]
    assert (requested["via"], requested["by"]) == ("fta", "fta")
    assert requested["data"]["callback_url"] == "http://127.0.0.1:9/done"


# The same node again.


async def test_pending_with_the_same_is_the_same_approval(service: Service) -> None:
    number = await ask(service)
    before = await all_of(service)
    service.clock.advance(minutes=19, seconds=59)
    assert await ask(service) == number
    assert await ask(service, verifier="LISI, zhangsan,") == number
    assert await all_of(service) == before


async def test_pending_with_another_message_or_others_changes_nothing(service: Service) -> None:
    number = await ask(service)
    before = await all_of(service)
    for other in (
        {"message": "重启 10.0.0.1"},
        {"verifier": "zhangsan"},
        {"verifier": "zhangsan,lisi,wangwu"},
        {"verifier": "zhangsan,wangwu"},
    ):
        assert await post(service, {**ASKED, **other}) == FAILED
    assert await post(service, ASKED, OTHER_TOKEN) == FAILED
    assert await all_of(service) == before
    assert await ask(service) == number


@pytest.mark.parametrize("how", ["approved", "rejected", "expired", "cancelled", "overdue"])
async def test_after_an_end_the_next_run_is_opened_and_decided_anew(
    service: Service, how: str
) -> None:
    first = await ask(service)
    (approval,) = await all_of(service)
    if how in ("approved", "rejected"):
        await service.says("lisi", {"approved": "TY", "rejected": "BH"}[how] + " 12345_2")
    elif how == "cancelled":
        path = f"/approvals/{approval['approval_id']}/cancel"
        assert (await service.api("POST", path, json={"reason": "x"}))[0] == 200
    else:
        service.clock.advance(minutes=20)
        if how == "expired":
            await service.expire()
    second = await ask(service)
    assert second > first
    ended, waiting = await all_of(service)
    assert ended["status"] == ("expired" if how == "overdue" else how)
    assert (waiting["reply_id"], waiting["status"]) == ("12345_2.2", "pending")
    assert waiting["number"] == second
    # The words of the first run decide nothing about the second.
    await service.says("lisi", "TY 12345_2")
    assert (await all_of(service))[1]["status"] == "pending"
    await service.says("lisi", "TY 12345_2.2")
    assert (await all_of(service))[1]["status"] == "approved"
    assert [d["subject"] for d in await service.decisions()] == ["12345_2", "12345_2.2"]


async def test_runs_of_both_apis_are_counted_together(service: Service) -> None:
    await service.ask("12345_2", run=4, approvers=["lisi"], message="m")
    # It waits: the same words find it, others are refused.
    same = await ask(service, message="m", verifier="lisi")
    (approval,) = await all_of(service)
    assert same == approval["number"]
    assert await post(service, ASKED) == FAILED
    await service.says("lisi", "TY 12345_2.4")
    number = await ask(service)
    assert (await all_of(service))[-1]["reply_id"] == "12345_2.5"
    # And what the old API opened, the new one supersedes.
    later = await service.ask("12345_2", run=6)
    found = {a["number"]: a for a in await all_of(service)}
    assert (found[number]["status"], found[number]["reason"]) == (
        "cancelled",
        "superseded by run 6",
    )
    assert found[later["number"]]["status"] == "pending"


async def test_a_run_that_another_engine_has_waiting_is_not_touched(service: Service) -> None:
    others = await service.ask("12345_2", token=OTHER_TOKEN)
    assert await post(service, ASKED) == FAILED
    assert (await service.look(others["approval_id"], OTHER_TOKEN))["status"] == "pending"
    await service.says("zhangsan", "BH 12345_2")
    await ask(service)
    assert [(a["reply_id"], a["engine"]) for a in await all_of(service)] == [
        ("12345_2", "other"),
        ("12345_2.2", "fta"),
    ]


# Around it.


async def test_its_address_has_no_redirect_with_or_without_its_last_slash(
    service: Service,
) -> None:
    with_slash = await post(service, ASKED)
    assert await post(service, ASKED, path="create_approve") == with_slash
    assert json.loads(with_slash)["result"] is True


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_only_post_is_allowed_there(service: Service, method: str) -> None:
    url = f"{service.base}/wechat/create_approve/"
    async with service.http.request(method, url, json=ASKED, headers={"TOKEN": TOKEN}) as response:
        assert response.status == 405
        assert response.headers["Allow"] == "POST"
    assert await all_of(service) == []


async def test_it_needs_no_content_type_and_no_session(service: Service) -> None:
    url = f"{service.base}/wechat/create_approve/"
    headers = {"TOKEN": TOKEN, "Content-Type": "application/x-www-form-urlencoded"}
    async with aiohttp.ClientSession() as fresh:
        body = json.dumps(ASKED, ensure_ascii=False).encode()
        async with fresh.post(url, data=body, headers=headers) as response:
            assert json.loads(await response.read())["result"] is True
