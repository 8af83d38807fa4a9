"""Permits over HTTP, from the approval to the outcome (contract 4.5)."""

import asyncio
import base64
import json
import string
from typing import Any

import jwt
import pytest
from joserfc import jws
from joserfc.jwk import KeySet, OKPKey

from adapters.engine import permits
from tests import confidential
from tests.conftest import StartService
from tests.service import OTHER_TOKEN, READER_TOKEN, TOKEN, Service
from web import keys
from web.permit_keys import rotate_permit_key

ACTION = {"do": "replace", "ip": "10.0.0.1", "次数": 1}
BASE64URL = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
FIFTEEN_MINUTES_S = 900
# joserfc warns of the name EdDSA since RFC 9864 calls it Ed25519; the contract says EdDSA, which
# older libraries know.
of_its_name = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


async def approved(service: Service, obj_id: str = "12345_2", **fields: Any) -> str:
    """Ask, have zhangsan approve: the permit."""
    asked = await service.ask(obj_id, **{"action": ACTION, **fields})
    assert await service.says("zhangsan", f"TY {asked['reply_id']}") == 200
    permit = (await service.decisions())[-1]["data"]["permit"]
    return confidential.note("permit", str(permit))


async def redeem(
    service: Service, permit: str, attempt: str = "a-1", token: str = TOKEN, **fields: Any
) -> tuple[int, Any]:
    body = {"permit": permit, "action": ACTION, "attempt": attempt, **fields}
    return await service.api("POST", "/permits/redeem", token, json=body)


async def report(
    service: Service, approval_id: str, token: str = TOKEN, **body: Any
) -> tuple[int, Any]:
    return await service.api("POST", f"/approvals/{approval_id}/outcome", token, json=body)


def code(answer: tuple[int, Any]) -> tuple[int, str]:
    return answer[0], answer[1]["code"]


async def public_keys(service: Service) -> list[Any]:
    """Without a token."""
    async with service.http.get(f"{service.base}/api/v1/permits/keys") as response:
        assert response.status == 200
        return list((await response.json())["keys"])


# The permit.


@of_its_name
async def test_an_approved_decision_carries_a_permit_that_public_libraries_verify(
    service: Service,
) -> None:
    permit = await approved(service, run=2)
    data = (await service.decisions())[-1]["data"]
    [key] = await public_keys(service)
    assert set(key) == {"kty", "crv", "x", "kid", "use", "alg"}
    expected = {
        "iss": "fta-approval",
        "aud": "fta",
        "sub": "12345_2.2",
        "obj_id": "12345_2",
        "run": 2,
        "jti": data["approval_id"],
        "act": data["action_digest"],
        "by": "zhangsan",
        "iat": int(service.clock().timestamp()),
        "exp": int(service.clock().timestamp()) + FIFTEEN_MINUTES_S,
    }
    unlimited: Any = {"verify_exp": False, "verify_iat": False}
    theirs = jwt.PyJWK(key)
    assert (
        jwt.decode(permit, theirs, algorithms=["EdDSA"], audience="fta", options=unlimited)
        == expected
    )
    found = jws.deserialize_compact(permit, KeySet([OKPKey.import_key(key)]), algorithms=["EdDSA"])
    assert json.loads(found.payload) == expected
    assert found.headers() == {"alg": "EdDSA", "typ": "JWT", "kid": key["kid"]}


@of_its_name
async def test_what_another_library_signs_with_that_key_is_the_same_text(
    service: Service,
) -> None:
    permit = await approved(service)
    [public] = await public_keys(service)
    private = service.app[keys.KEYRING].permit_key(public["kid"]).private_bytes_raw()
    theirs = OKPKey.import_key(
        {**public, "d": base64.urlsafe_b64encode(private).decode().rstrip("=")}
    )
    header, payload, _ = (base64.urlsafe_b64decode(f"{part}==") for part in permit.split("."))
    signed = jws.serialize_compact(json.loads(header), payload, theirs, algorithms=["EdDSA"])
    assert signed.rpartition(".")[2] == permit.rpartition(".")[2]
    assert theirs.thumbprint() == public["kid"]


async def test_the_issuer_is_the_public_address_and_the_time_that_of_the_settings(
    start: StartService,
) -> None:
    address = "https://example.com/o/bk_fta_solutions/wechat/"
    service = await start(app_url=address, permit_ttl="60")
    permit = await approved(service)
    claims = jwt.decode(permit, options={"verify_signature": False})
    assert claims["iss"] == address
    assert claims["exp"] - claims["iat"] == 60


async def test_only_the_engine_that_asked_is_given_it_however_it_listens(service: Service) -> None:
    permit = await approved(service)
    for token, given in ((TOKEN, [permit]), (READER_TOKEN, [None]), (OTHER_TOKEN, [])):
        found = await service.decisions(token=token)
        assert [decision["data"].get("permit") for decision in found] == given
    _, looked = await service.api("GET", "/approvals?obj_id=12345_2")
    assert "permit" not in json.dumps(looked)
    assert permit not in json.dumps(await service.events(looked["approvals"][0]["approval_id"]))


async def test_it_reads_the_same_each_time_also_after_a_restart_and_a_new_key(
    start: StartService,
) -> None:
    service = await start()
    permit = await approved(service)
    await service.stop()
    settings = service.app[keys.SETTINGS]
    await asyncio.to_thread(rotate_permit_key, settings, voids_earlier=True, say=lambda line: None)
    service = await start()
    assert (await service.decisions())[-1]["data"]["permit"] == permit


async def test_no_other_end_carries_one(service: Service) -> None:
    await service.ask("1_1")
    await service.says("zhangsan", "BH 1_1")
    asked = await service.ask("2_1")
    await service.api("POST", f"/approvals/{asked['approval_id']}/cancel", json={"reason": "x"})
    await service.ask("3_1")
    service.clock.advance(hours=1)
    await service.expire()
    decisions = await service.decisions()
    assert len(decisions) == 3
    assert all("permit" not in decision["data"] for decision in decisions)


async def test_nothing_of_a_permit_stands_on_the_disk(service: Service) -> None:
    permit = await approved(service)
    signature = permit.rpartition(".")[2].encode()
    database = service.app[keys.SETTINGS].database.removeprefix("sqlite:///")
    for ending in ("", "-wal", "-views", "-views-wal"):
        assert signature not in await asyncio.to_thread(_bytes_of, database + ending)


def _bytes_of(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123  # a name that is not always there
        return file.read()


# Redeeming.


def settled(approval: dict[str, Any]) -> dict[str, Any]:
    """Without what became of messages, which may still be under way."""
    return {name: value for name, value in approval.items() if name != "notifications"}


async def test_it_is_redeemed_once_and_the_same_attempt_may_ask_again(service: Service) -> None:
    permit = await approved(service)
    status, approval = await redeem(service, permit)
    assert status == 200
    assert settled(approval) == settled(await service.look(approval["approval_id"]))
    status, again = await redeem(service, permit)
    assert (status, settled(again)) == (200, settled(approval))
    assert code(await redeem(service, permit, "a-2")) == (409, "already-redeemed")
    service.clock.advance(days=1)
    status, later = await redeem(service, permit)
    assert (status, settled(later)) == (200, settled(approval))
    events = await service.events(approval["approval_id"])
    told = [(e["type"], e["by"], e["via"], e["data"]) for e in events if "rede" in e["type"]]
    assert told == [
        ("approval.redeemed", "fta", "api", {"attempt": "a-1"}),
        (
            "approval.redemption-refused",
            "fta",
            "api",
            {"attempt": "a-2", "refusal": "already-redeemed"},
        ),
    ]


@pytest.mark.parametrize("action", [{**ACTION, "次数": 2}, {}, None])
async def test_another_action_is_refused(service: Service, action: Any) -> None:
    permit = await approved(service)
    answer = await redeem(service, permit, action=action)
    assert code(answer) == (422, "action-differs")
    assert [error["field"] for error in answer[1]["errors"]] == ["action"]


async def test_the_same_action_in_another_spelling_is_the_same(service: Service) -> None:
    permit = await approved(service)
    body = '{"attempt": "a", "action": {"\\u6b21\\u6570": 1, "ip": "10.0.0.1", "do":"replace"}, '
    body += f'"permit": "{permit}"}}'
    headers = {"Content-Type": "application/json"}
    status, _ = await service.api("POST", "/permits/redeem", data=body, headers=headers)
    assert status == 200


async def test_after_its_time_it_is_refused(service: Service) -> None:
    permit = await approved(service)
    service.clock.advance(seconds=FIFTEEN_MINUTES_S)
    assert code(await redeem(service, permit)) == (410, "permit-expired")


async def test_after_any_change_it_is_none(service: Service) -> None:
    """Every place of the text, and each bit of the base64 character that stands there."""
    permit = await approved(service)
    ours = service.app[keys.PERMITS]
    for place, character in enumerate(permit):
        if character == ".":
            changes = ["", "-"]
        else:
            number = BASE64URL.index(character)
            changes = [BASE64URL[number ^ (1 << bit)] for bit in range(6)]
        for change in changes:
            changed = permit[:place] + change + permit[place + 1 :]
            with pytest.raises(Exception) as refused:  # compared below
                ours.claims(changed)
            assert getattr(refused.value, "code", None) == "bad-permit", changed
    last = BASE64URL.index(permit[-1])
    assert code(await redeem(service, permit[:-1] + BASE64URL[last ^ 1])) == (401, "bad-permit")
    assert (await redeem(service, permit))[0] == 200


@pytest.mark.parametrize(
    "made",
    [
        lambda permit: permit + "A",
        lambda permit: permit + "=",
        lambda permit: " " + permit,
        lambda permit: permit + "\n",
        lambda permit: permit.replace(".", "..", 1),
        lambda permit: permit.rpartition(".")[0] + ".",
        lambda permit: "x",
        lambda permit: "a.b.c",
        lambda permit: "许可",
        lambda permit: jwt.encode({"sub": "12345_2"}, "x" * 32, algorithm="HS256"),
        lambda permit: jwt.encode({"sub": "12345_2"}, "", algorithm="none"),
    ],
)
async def test_what_is_no_permit_of_ours_is_refused(service: Service, made: Any) -> None:
    permit = await approved(service)
    assert code(await redeem(service, made(permit))) == (401, "bad-permit")
    assert (await redeem(service, permit))[0] == 200


async def test_our_own_signature_under_other_claims_is_none(service: Service) -> None:
    """Not even who had the key would redeem what nobody approved."""
    permit = await approved(service)
    name = jwt.get_unverified_header(permit)["kid"]
    claims = jwt.decode(permit, options={"verify_signature": False})
    key = service.app[keys.KEYRING].permit_key(name)
    for change in ({"exp": claims["exp"] + 1}, {"run": 2}, {"sub": "9_9"}, {"by": "lisi"}):
        forged = permits.sign({**claims, **change}, name, key)
        assert code(await redeem(service, forged)) == (401, "bad-permit")
    assert code(await redeem(service, permits.sign({"a": 1}, name, key))) == (401, "bad-permit")


@pytest.mark.parametrize("token", [OTHER_TOKEN, READER_TOKEN])
async def test_another_engine_does_not_redeem_nor_report(service: Service, token: str) -> None:
    permit = await approved(service)
    assert code(await redeem(service, permit, token=token)) == (401, "bad-permit")
    approval_id = (await service.decisions())[-1]["data"]["approval_id"]
    answer = await report(service, approval_id, token, outcome="succeeded")
    assert code(answer) == (404, "unknown-approval")


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"attempt": ""}, "attempt"),
        ({"attempt": "a" * 65}, "attempt"),
        ({"attempt": " "}, "attempt"),
        ({"attempt": 1}, "attempt"),
        ({"permit": ""}, "permit"),
        ({"permit": "a" * 5000}, "permit"),
        ({"action": []}, "action"),
        ({"action": {"n": 1.5}}, "action"),
        ({"action": {"n": "a" * 20_000}}, "action"),
        ({"force": True}, "force"),
    ],
)
async def test_a_wrong_field_is_named(service: Service, fields: Any, wrong: str) -> None:
    body = {"permit": "x.y.z", "attempt": "a", **fields}
    status, problem = await service.api("POST", "/permits/redeem", json=body)
    assert (status, problem["code"]) == (422, "invalid-request")
    assert [error["field"] for error in problem["errors"]] == [wrong]


async def test_of_attempts_at_once_one_wins(service: Service) -> None:
    permit = await approved(service)
    answers = await asyncio.gather(*[redeem(service, permit, f"a-{n}") for n in range(20)])
    codes = [status for status, _ in answers]
    assert sorted(codes) == [200] + [409] * 19


async def test_a_key_that_got_out_voids_what_it_signed_and_the_next_approval_has_a_new_one(
    service: Service,
) -> None:
    permit = await approved(service)
    [first] = await public_keys(service)
    settings = service.app[keys.SETTINGS]
    await asyncio.to_thread(rotate_permit_key, settings, voids_earlier=True, say=lambda line: None)
    assert code(await redeem(service, permit)) == (401, "bad-permit")
    fresh = await approved(service, "2_1")
    [second] = await public_keys(service)
    assert second["kid"] != first["kid"]
    assert (await redeem(service, fresh))[0] == 200


async def test_a_key_that_is_rotated_in_the_ordinary_way_voids_nothing(service: Service) -> None:
    permit = await approved(service)
    settings = service.app[keys.SETTINGS]
    await asyncio.to_thread(rotate_permit_key, settings, voids_earlier=False, say=lambda line: None)
    fresh = await approved(service, "2_1")
    names = [jwt.get_unverified_header(text)["kid"] for text in (permit, fresh)]
    assert [key["kid"] for key in await public_keys(service)] == names
    assert (await redeem(service, permit))[0] == 200
    assert (await redeem(service, fresh))[0] == 200


# Outcome.


async def test_an_outcome_is_reported_once_and_told(service: Service) -> None:
    service.hurry()
    await approved(service, requested_by="lisi", approvers=["zhangsan"])
    approval_id = (await service.decisions())[-1]["data"]["approval_id"]
    said = {"outcome": "failed", "detail": "没有备机\n请人工处理"}
    status, approval = await report(service, approval_id, **said)
    assert status == 200
    assert approval == await service.look(approval_id)
    assert await report(service, approval_id, **said) == (200, approval)
    other = await report(service, approval_id, outcome="succeeded")
    assert code(other) == (409, "outcome-differs")
    await service.quiet()
    told = "【故障自愈】12345_2（替换故障机 10.0.0.1） 执行失败: 没有备机 请人工处理"
    for userid in ("zhangsan", "lisi"):
        assert [m.text for m in service.wecom.inbox(userid)].count(told) == 1, userid
    assert told not in [message.text for message in service.wecom.inbox("wangwu")]


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, "outcome"),
        ({"outcome": "done"}, "outcome"),
        ({"outcome": "failed", "detail": 1}, "detail"),
        ({"outcome": "failed", "detail": "a" * 2001}, "detail"),
        ({"outcome": "failed", "why": "a"}, "why"),
    ],
)
async def test_a_wrong_outcome_is_refused(service: Service, body: Any, wrong: str) -> None:
    await approved(service)
    approval_id = (await service.decisions())[-1]["data"]["approval_id"]
    status, problem = await report(service, approval_id, **body)
    assert (status, [e["field"] for e in problem["errors"]]) == (422, [wrong])


async def test_before_an_approval_there_is_no_outcome(service: Service) -> None:
    asked = await service.ask()
    answer = await report(service, asked["approval_id"], outcome="succeeded")
    assert code(answer) == (409, "not-approved")
