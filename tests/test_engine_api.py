"""The engine API over real HTTP: ask, look, list, cancel (contract 4.1 and 4.2)."""

import asyncio
import hashlib
import json
from typing import Any
from uuid import UUID

import pytest
from yarl import URL

from tests.conftest import StartService
from tests.service import NOON, OTHER_TOKEN, READER_TOKEN, TOKEN, Service

REQUIRED = {"obj_id": "12345_2", "message": "替换故障机 10.0.0.1", "approvers": ["zhangsan"]}
NO_SUCH_ID = "00000000-0000-5000-8000-000000000000"
ENDS = ("approved", "rejected", "expired", "cancelled")
EMPTY_ACTION_BYTES = len('{"a":""}')


async def ask(service: Service, token: str = TOKEN, **fields: Any) -> tuple[int, Any]:
    """The smallest request, with these fields instead: status and answer."""
    return await service.api("POST", "/approvals", token, json={**REQUIRED, **fields})


async def send(service: Service, body: bytes, **headers: str) -> tuple[int, Any]:
    """These bytes to where one asks, on a connection of their own."""
    headers = {"Content-Type": "application/json", "Connection": "close", **headers}
    return await service.api("POST", "/approvals", data=body, headers=headers)


async def get(service: Service, path: str) -> tuple[int, Any]:
    """A path that is percent-encoded already."""
    url = URL(f"{service.base}/api/v1{path}", encoded=True)
    async with service.http.get(url, headers={"Authorization": f"Bearer {TOKEN}"}) as response:
        return response.status, await response.json(content_type="application/problem+json")


async def listed(service: Service, query: str = "", token: str = TOKEN) -> list[Any]:
    status, body = await service.api("GET", f"/approvals{query}", token)
    assert status == 200, body
    return list(body["approvals"])


async def cancel(
    service: Service, approval_id: str, token: str = TOKEN, reason: str = "告警已恢复"
) -> tuple[int, Any]:
    path = f"/approvals/{approval_id}/cancel"
    return await service.api("POST", path, token, json={"reason": reason})


async def ended(service: Service, how: str) -> Any:
    """An approval of the smallest request that has ended so."""
    approval = (await ask(service))[1]
    if how == "expired":
        service.clock.advance(hours=1)
        await service.expire()
    elif how == "cancelled":
        await cancel(service, approval["approval_id"])
    else:
        await service.says("zhangsan", {"approved": "TY", "rejected": "BH"}[how] + " 12345_2")
    found = await service.look(approval["approval_id"])
    assert found["status"] == how
    return found


def untold(answer: tuple[int, Any]) -> tuple[int, Any]:
    """The answer but for what became of the messages, which go out meanwhile."""
    return answer[0], {**answer[1], "notifications": []}


def fields_of(problem: Any) -> list[str]:
    return [error["field"] for error in problem["errors"]]


# Every field at the borders of its rule.

ACCEPTED: dict[str, list[Any]] = {
    "obj_id": ["a", "A" * 64, "aZ09_:-", "-", "_", ":"],
    "run": [1, 3.0, 1e3, 2**31, 2**53 - 1],
    "message": ["m", "故" * 2000, "🔧" * 2000, " m "],
    "approvers": [
        ["z"],
        ["z" * 64],
        ["0-_@."],
        [f"zhangsan-{n}" for n in range(100)],
        ["system", "all"],
    ],
    "kind": ["solution", "convergence"],
    "expires_in": [10, 10.0, 2592000],
    "biz_id": [None, "2"],
    "requested_by": [None, "lisi", "执行器"],
    "risk": ["low", "medium", "high"],
    "action": [
        None,
        {},
        {"a": [True, None, "x", {"b": -(2**53 - 1)}], "c": 2**53 - 1},
        {"a": "x" * (16 * 1024 - EMPTY_ACTION_BYTES)},
        {"线": "线" * 5000},
    ],
    "details": [{}, {str(n): "v" for n in range(50)}, {"业务": "", "IP": "10.0.0.1"}],
    "callback_url": [
        None,
        "http://127.0.0.1:9/decided?x=1",
        "https://[::1]/",
        "HTTPS://engine.example",
    ],
}

REFUSED: dict[str, list[Any]] = {
    "obj_id": ["", "a" * 65, "a.2", "a b", "a\n", "中", "a/", 12345, None, [], "\ud800"],
    "run": [0, -1, 1.5, 2**53, 10**400, True, False, "1", "", None, [1], {}],
    "message": ["", "m" * 2001, " ", "\n\t", None, 5, ["m"], {"m": 1}, True, "\ud800"],
    "approvers": [
        *([], "zhangsan", None, {}, [""], [None], [5], ["zhang san"], ["z" * 65], ["z\n"]),
        *(["-z"], ["_z"], [".z"], ["@z"], ["z,lisi"], ["张三"], ["\ud800"]),
        *(["zhangsan", everybody] for everybody in ("sys", "SYS", "@all", "@ALL")),
        [f"zhangsan-{n}" for n in range(101)],
        ["zhangsan"] * 101,
    ],
    "kind": ["", "Solution", "notice", None, 1, ["solution"], "\ud800"],
    "expires_in": [9, 2592001, 0, -5, 10.5, True, "1200", None, []],
    "biz_id": [2, True, ["2"], {}, "", "b" * 129, "\ud800"],
    "requested_by": [5, False, ["lisi"], "", "r" * 129, "\ud800"],
    "risk": ["", "High", "critical", None, 3],
    "action": [
        *("x", 5, [], [{}], True),
        *({"a": number} for number in (1.0, 0.5, 2**53, -(2**53), 10**1000)),
        {"a": [{"b": [0.1]}]},
        {"a": "x" * (16 * 1024 - EMPTY_ACTION_BYTES + 1)},
        *({"a": ["\udfff"]}, {"\ud800": 1}),
    ],
    "details": [
        *(None, [], "x", {"a": 1}, {"a": None}, {"a": {"b": "c"}}, {"a": ["b"]}),
        *({"": "x"}, {"k" * 101: "x"}, {"a": "v" * 1001}, {"a": "\ud800"}, {"\ud800": "x"}),
        {str(n): "v" for n in range(51)},
        {"a\nb": "1", "a b": "2"},
    ],
    "callback_url": [
        *("", "engine", "/decided", "ftp://h/", "http://", "http:///x", "//h/", 5, ["http://h/"]),
        *("http://u@h/", "http://u:p@h/", "http://:p@h/", "http://@h/"),
        *("http://h:0/", "http://h:99999/", "http://h:x/", "http://[h/", "http://h\\@x/"),
        *(f"http://h/{c}" for c in (" ", "\n", "\x00", "\u2028", "\u202e", "\ud800")),
        "http://h/" + "p" * 2040,
    ],
}


@pytest.mark.parametrize("field", ACCEPTED)
async def test_a_value_within_its_rule_is_accepted_and_kept(service: Service, field: str) -> None:
    for number, value in enumerate(ACCEPTED[field]):
        status, approval = await ask(service, **{"obj_id": f"{number}_1", field: value})
        assert status == 201, (value, approval)
        asked = (await service.events(approval["approval_id"]))[0]["data"]
        assert asked[field] == value
        assert field in ("action", "callback_url", "expires_in") or approval[field] == value


@pytest.mark.parametrize("field", REFUSED)
async def test_a_value_outside_its_rule_is_refused_and_its_field_named(
    service: Service, field: str
) -> None:
    for value in REFUSED[field]:
        status, problem = await ask(service, **{field: value})
        assert status == 422, (value, problem)
        assert (problem["code"], fields_of(problem)) == ("invalid-request", [field])
        assert problem["errors"][0]["detail"]
    assert await listed(service) == []


@pytest.mark.parametrize("field", sorted(REQUIRED))
async def test_a_required_field_that_is_missing_is_named(service: Service, field: str) -> None:
    body = {name: value for name, value in REQUIRED.items() if name != field}
    status, problem = await service.api("POST", "/approvals", json=body)
    assert (status, fields_of(problem)) == (422, [field])


async def test_an_unknown_field_is_named(service: Service) -> None:
    for field in ("status", "decided_by", "engine", "at", "Run", "approver", "说"):
        status, problem = await ask(service, **{field: "approved"})
        assert (status, fields_of(problem)) == (422, [field])
    assert await listed(service) == []


async def test_every_mistake_of_one_request_is_named(service: Service) -> None:
    status, problem = await ask(service, run=0, risk="huge", details={"IP": 1}, when="now")
    assert status == 422
    assert sorted(fields_of(problem)) == ["details", "risk", "run", "when"]
    inside = next(error for error in problem["errors"] if error["field"] == "details")
    assert inside["detail"].startswith("IP: ")


async def test_a_name_that_no_answer_can_hold_is_refused_and_not_a_crash(service: Service) -> None:
    status, problem = await ask(service, **{"\ud800": "x"})
    assert (status, fields_of(problem)) == (422, ["body"])


# What is stored of it.


async def test_an_approval_has_exactly_the_fields_of_the_contract(service: Service) -> None:
    status, approval = await ask(service)
    assert status == 201
    assert str(UUID(approval["approval_id"])) == approval["approval_id"]
    assert isinstance(approval["number"], int)
    assert approval == {
        "approval_id": approval["approval_id"],
        "number": approval["number"],
        "obj_id": "12345_2",
        "run": 1,
        "reply_id": "12345_2",
        "kind": "solution",
        "message": "替换故障机 10.0.0.1",
        "risk": "medium",
        "biz_id": None,
        "requested_by": None,
        "engine": "fta",
        "approvers": ["zhangsan"],
        "action_digest": None,
        "details": {},
        "status": "pending",
        "requested_at": "2026-01-05T12:00:00.000Z",
        "expires_at": "2026-01-05T12:20:00.000Z",
        "decided_at": None,
        "decided_by": None,
        "decided_via": None,
        "capacity": None,
        "reason": None,
        "notifications": [
            {"userid": "zhangsan", "state": "pending", "detail": None},
            {"userid": "wangwu", "state": "pending", "detail": None},
        ],
    }
    assert (await ask(service, run=7))[1]["reply_id"] == "12345_2.7"


async def test_approvers_are_merged_without_case_and_the_first_spelling_kept(
    service: Service,
) -> None:
    approval = (await ask(service, approvers=["ZhangSan", "lisi", "zhangsan", "LISI"]))[1]
    assert approval["approvers"] == ["ZhangSan", "lisi"]


BREAKING = (
    "\x00 \t \n \r \x0b \x1b \x7f \x85 \u2028 \u2029 \u200e \u200f \u061c \u202e \u2066 \u2069"
)


async def test_every_string_becomes_one_line(service: Service) -> None:
    text, blank = f"a{BREAKING}b", "a" + " " * len(BREAKING) + "b"
    labels = {"message": text, "biz_id": text, "requested_by": text}
    asked: dict[str, Any] = {**labels, "details": {text: text}}
    approval = (await ask(service, **asked))[1]
    assert {name: approval[name] for name in asked} == {
        "message": blank,
        "biz_id": blank,
        "requested_by": blank,
        "details": {blank: blank},
    }
    assert (await ask(service, **asked))[0] == 200
    cancelled = (await cancel(service, approval["approval_id"], reason=text))[1]
    assert cancelled["reason"] == blank


async def test_the_digest_is_of_the_canonical_action_whatever_the_order(service: Service) -> None:
    # RFC 8785 by hand: names in the order of their UTF-16 units, so U+1F527 (D83D DD27) stands
    # before U+FB01; no blanks; only what JSON must escape is escaped.
    by_hand = '{"host":"10.0.0.1","steps":[1,{"a":null,"b":true}],"\\n":"é\\"/","🔧":0,"ﬁ":-5}'
    canonical = '{"\\n":"é\\"/","host":"10.0.0.1","steps":[1,{"a":null,"b":true}],"🔧":0,"ﬁ":-5}'
    expected = "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()
    action = json.loads(by_hand)
    backwards = dict(reversed(action.items()))
    status, approval = await ask(service, action=action)
    assert (status, approval["action_digest"]) == (201, expected)
    assert untold(await ask(service, action=backwards)) == untold((200, approval))
    asked = (await service.events(approval["approval_id"]))[0]["data"]
    assert (asked["action"], asked["action_digest"]) == (action, expected)


async def test_an_action_is_hashed_as_sent_and_not_made_one_line(service: Service) -> None:
    approval = (await ask(service, action={"script": "a\nb"}))[1]
    digest = hashlib.sha256(b'{"script":"a\\nb"}').hexdigest()
    assert approval["action_digest"] == f"sha256:{digest}"


async def test_the_requester_is_not_asked(service: Service) -> None:
    approval = (await ask(service, approvers=["ZhangSan", "lisi"], requested_by="zhangsan"))[1]
    assert approval["approvers"] == ["ZhangSan", "lisi"]
    assert [to["userid"] for to in approval["notifications"]] == ["lisi", "wangwu"]


async def test_a_request_that_nobody_could_decide_is_refused(service: Service) -> None:
    status, problem = await ask(
        service, approvers=["zhangsan", "ZHANGSAN"], requested_by="ZhangSan"
    )
    assert (status, problem["code"]) == (422, "nobody-can-decide")
    assert fields_of(problem) == ["approvers"]
    assert await listed(service) == []


# The same request again.


@pytest.mark.parametrize("how", ["pending", *ENDS])
async def test_the_same_request_again_is_the_same_approval_in_every_state(
    service: Service, how: str
) -> None:
    first = (await ask(service))[1] if how == "pending" else await ended(service, how)
    before = await service.events(first["approval_id"])
    service.clock.advance(minutes=5)
    for _ in range(3):
        status, again = await ask(service)
        assert status == 200
        assert {**again, "notifications": []} == {**first, "notifications": []}
    after = await service.events(first["approval_id"])
    assert [e for e in after if e["type"] != "approval.notified"] == [
        e for e in before if e["type"] != "approval.notified"
    ]


async def test_requests_are_the_same_after_defaults_and_whatever_the_order(
    service: Service,
) -> None:
    full: dict[str, Any] = {
        "approvers": ["lisi", "zhangsan"],
        "details": {"IP": "10.0.0.1", "集群": "a"},
        "action": {"do": "replace", "host": {"ip": "10.0.0.1", "id": 5}},
    }
    first = await ask(service, **full)
    again = await ask(
        service,
        approvers=["ZHANGSAN", "zhangsan", "Lisi"],
        details={"集群": "a", "IP": "10.0.0.1"},
        action={"host": {"id": 5, "ip": "10.0.0.1"}, "do": "replace"},
        run=1,
        kind="solution",
        risk="medium",
        expires_in=1200,
        biz_id=None,
        requested_by=None,
        callback_url=None,
    )
    assert (first[0], untold(again)) == (201, untold((200, first[1])))


DIFFERENT: list[dict[str, Any]] = [
    {"message": "重启 10.0.0.1"},
    {"approvers": ["lisi"]},
    {"approvers": ["zhangsan", "lisi"]},
    {"kind": "convergence"},
    {"expires_in": 1201},
    {"biz_id": "2"},
    {"requested_by": "lisi"},
    {"risk": "high"},
    {"action": {}},
    {"details": {"IP": "10.0.0.1"}},
    {"callback_url": "http://127.0.0.1:9/"},
]


@pytest.mark.parametrize("how", ["pending", *ENDS])
async def test_a_different_request_conflicts_and_changes_nothing(
    service: Service, how: str
) -> None:
    first = (await ask(service))[1] if how == "pending" else await ended(service, how)
    for fields in DIFFERENT:
        status, problem = await ask(service, **fields)
        assert (status, problem["code"]) == (409, "conflicting-request"), fields
    found = await service.look(first["approval_id"])
    assert {**found, "notifications": []} == {**first, "notifications": []}


async def test_another_engines_request_conflicts_even_if_it_is_equal(service: Service) -> None:
    await ask(service)
    for token in (OTHER_TOKEN, READER_TOKEN):
        status, problem = await ask(service, token)
        assert (status, problem["code"]) == (409, "conflicting-request")
    assert (await ask(service, OTHER_TOKEN, run=2))[0] == 201


async def test_both_tokens_of_an_engine_are_the_same_engine(start: StartService) -> None:
    service = await start(api_tokens=f"fta:{TOKEN},fta:{OTHER_TOKEN}", api_readers="")
    approval = (await ask(service))[1]
    assert untold(await ask(service, OTHER_TOKEN)) == untold((200, approval))
    assert (await cancel(service, approval["approval_id"], OTHER_TOKEN))[0] == 200


async def test_a_hundred_at_once_open_one_approval(service: Service) -> None:
    answers = await asyncio.gather(*(ask(service) for _ in range(100)))
    assert sorted(status for status, _ in answers) == [200] * 99 + [201]
    assert len({approval["approval_id"] for _, approval in answers}) == 1


# Runs.


async def test_a_later_run_cancels_the_lower_ones_that_still_wait(service: Service) -> None:
    first, second = (await ask(service))[1], (await ask(service, run=2))[1]
    await service.says("zhangsan", "TY 12345_2.2")
    third, fifth = (await ask(service, run=3))[1], (await ask(service, run=5))[1]
    found = [await service.look(a["approval_id"]) for a in (first, second, third, fifth)]
    assert [(a["status"], a["reason"], a["decided_by"], a["decided_via"]) for a in found] == [
        ("cancelled", "superseded by run 2", "fta", "api"),
        ("approved", None, "zhangsan", "wecom-text"),
        ("cancelled", "superseded by run 5", "fta", "api"),
        ("pending", None, None, None),
    ]


async def test_a_lower_run_whose_deadline_has_passed_is_expired_and_not_superseded(
    service: Service,
) -> None:
    first = (await ask(service))[1]
    service.clock.advance(hours=1)
    await ask(service, run=2)
    assert (await service.look(first["approval_id"]))["status"] == "expired"


async def test_neither_a_higher_run_nor_anothers_is_superseded(service: Service) -> None:
    others = (await ask(service, OTHER_TOKEN))[1]
    higher = (await ask(service, run=3))[1]
    await ask(service, run=2)
    assert (await service.look(others["approval_id"], OTHER_TOKEN))["status"] == "pending"
    assert (await service.look(higher["approval_id"]))["status"] == "pending"


async def test_an_approval_holds_for_its_run_and_no_other(service: Service) -> None:
    await ended(service, "approved")
    status, second = await ask(service, run=2)
    assert (status, second["status"]) == (201, "pending")


# Look and list.


async def test_an_approval_is_found_by_its_uuid_as_it_is_now(service: Service) -> None:
    asked = (await ask(service))[1]
    await service.says("zhangsan", "BH 12345_2 太忙")
    found = await service.look(asked["approval_id"])
    assert {**found, "notifications": []} == {
        **asked,
        "status": "rejected",
        "decided_at": "2026-01-05T12:00:00.000Z",
        "decided_by": "zhangsan",
        "decided_via": "wecom-text",
        "capacity": "approver",
        "reason": "太忙",
        "notifications": [],
    }


@pytest.mark.parametrize("below", ["", "/events"])
async def test_what_is_no_approval_is_not_found(service: Service, below: str) -> None:
    await ask(service)
    for name in (NO_SUCH_ID, "12345_2", "1", "%00", "%0d%0a", "%ed%a0%80", "a" * 2000, "'"):
        status, problem = await get(service, f"/approvals/{name}{below}")
        assert (status, problem["code"]) == (404, "unknown-approval"), name


async def test_a_list_is_filtered_by_every_parameter(service: Service) -> None:
    one = (await ask(service, biz_id="2"))[1]
    two = (await ask(service, obj_id="12345_3", biz_id="3", run=2))[1]
    three = (await ask(service, run=2))[1]
    for query, expected in (
        ("", [one, two, three]),
        ("?obj_id=12345_2", [one, three]),
        ("?run=2", [two, three]),
        ("?run=1", [one]),
        ("?status=pending", [two, three]),
        ("?status=cancelled", [one]),
        ("?status=approved", []),
        ("?biz_id=3", [two]),
        ("?obj_id=12345_2&run=2&status=pending", [three]),
        ("?obj_id=12345_2&biz_id=3", []),
        ("?obj_id=12345", []),
        ("?obj_id=%25", []),
        ("?obj_id=%00&biz_id=%ff", []),
        (f"?after={one['number']}", [two, three]),
        (f"?after={three['number']}", []),
    ):
        found = [approval["approval_id"] for approval in await listed(service, query)]
        assert found == [approval["approval_id"] for approval in expected], query


async def test_a_bad_parameter_of_the_list_is_named(service: Service) -> None:
    for field, values in {
        "run": ["0", "-1", "x", "", "1.0", "9007199254740992", "%D9%A1"],
        "limit": ["0", "1001", "x", "", "-1", "1_0", "+1"],
        "after": ["-1", "x", "", "99999999999999999999"],
        "status": ["", "Pending", "open"],
        "engine": ["other"],
        "token": [TOKEN],
    }.items():
        for value in values:
            status, problem = await get(service, f"/approvals?{field}={value}")
            assert (status, fields_of(problem)) == (422, [field]), value
    assert fields_of((await get(service, "/approvals?%ff=1"))[1]) == ["\ufffd"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
async def test_pages_show_everything_once_also_what_is_asked_meanwhile(
    service: Service, limit: int
) -> None:
    wanted = [(await ask(service, obj_id=f"{n}_1"))[1]["number"] for n in range(7)]
    seen: list[int] = []
    cursor: str | None = "0"
    while cursor is not None:
        path = f"/approvals?limit={limit}&after={cursor}"
        page = (await service.api("GET", path))[1]
        assert len(page["approvals"]) <= limit
        seen += [approval["number"] for approval in page["approvals"]]
        cursor = page["next"]
        if len(wanted) == 7:
            wanted.append((await ask(service, obj_id="late_1"))[1]["number"])
    # What is asked after the last page was read stands after it.
    assert seen == wanted[: len(seen)]
    assert len(seen) >= 7


async def test_what_was_answered_is_listed_at_once(service: Service) -> None:
    for number in range(60):
        approval = (await ask(service, obj_id=f"{number}_1"))[1]
        found = await listed(service, f"?after={approval['number'] - 1}")
        assert [a["approval_id"] for a in found] == [approval["approval_id"]]
        await cancel(service, approval["approval_id"])
        assert await listed(service, "?status=pending") == []


async def test_events_tell_the_whole_history_oldest_first(service: Service) -> None:
    asked = (await ask(service, action={"do": "replace"}, approvers=["ZhangSan"]))[1]
    await service.notified(asked["approval_id"])
    service.clock.advance(seconds=5)
    await service.says("lisi", "TY 12345_2")
    await service.says("zhangsan", "BH 12345_2 太忙")
    events = await service.events(asked["approval_id"])
    assert all(set(e) == {"position", "type", "at", "by", "via", "data"} for e in events)
    positions = [event["position"] for event in events]
    assert positions == sorted(set(positions))
    assert positions[0] == asked["number"]
    by_people = [event for event in events if event["type"] != "approval.notified"]
    assert [(e["type"], e["at"], e["by"], e["via"]) for e in by_people] == [
        ("approval.requested", "2026-01-05T12:00:00.000Z", "fta", "api"),
        ("approval.replied", "2026-01-05T12:00:05.000Z", "lisi", "wecom-text"),
        ("approval.replied", "2026-01-05T12:00:05.000Z", "zhangsan", "wecom-text"),
        ("approval.rejected", "2026-01-05T12:00:05.000Z", "zhangsan", "wecom-text"),
    ]
    requested, stranger, _, rejected = (event["data"] for event in by_people)
    assert requested["action"] == {"do": "replace"}
    assert requested["expires_at"] == "2026-01-05T12:20:00.000Z"
    assert (stranger["words"], stranger["refusal"]) == ("TY 12345_2", "not-an-approver")
    assert (rejected["capacity"], rejected["reason"]) == ("approver", "太忙")


async def test_what_the_service_did_by_itself_is_ascribed_to_nobody(service: Service) -> None:
    asked = (await ask(service))[1]
    await service.notified(asked["approval_id"])
    service.clock.advance(hours=1)
    await service.expire()
    events = await service.events(asked["approval_id"])
    assert {(e["type"], e["by"], e["via"]) for e in events[1:]} == {
        ("approval.notified", None, None),
        ("approval.expired", None, "clock"),
    }
    # That it ended is told too, and may have been by now.
    notified = [e["data"] for e in events if e["type"] == "approval.notified"]
    were_asked = [data["to"] for data in notified if data["notice"].startswith("ask/")]
    assert sorted(were_asked) == ["wangwu", "zhangsan"]


# Cancel.


async def test_cancelling_ends_the_wait_and_again_is_the_same_answer(service: Service) -> None:
    asked = await service.notified((await ask(service))[1]["approval_id"])
    status, cancelled = await cancel(service, asked["approval_id"])
    assert status == 200
    assert cancelled == {
        **asked,
        "status": "cancelled",
        "decided_at": "2026-01-05T12:00:00.000Z",
        "decided_by": "fta",
        "decided_via": "api",
        "reason": "告警已恢复",
    }
    service.clock.advance(seconds=1)
    assert await cancel(service, asked["approval_id"], reason="另一个原因") == (200, cancelled)
    await service.says("zhangsan", "TY 12345_2")
    assert (await service.look(asked["approval_id"]))["status"] == "cancelled"


@pytest.mark.parametrize("how", ["approved", "rejected", "expired"])
async def test_cancelling_after_another_end_tells_who_was_first(service: Service, how: str) -> None:
    first = await ended(service, how)
    status, problem = await cancel(service, first["approval_id"])
    assert (status, problem["code"]) == (409, "already-decided")
    assert problem["decision"] == {
        name: first[name]
        for name in ("status", "decided_at", "decided_by", "decided_via", "reason")
    }
    assert (await service.look(first["approval_id"]))["status"] == how


async def test_cancelling_at_the_deadline_is_too_late_with_no_timer_running(
    service: Service,
) -> None:
    asked = (await ask(service, expires_in=10))[1]
    service.clock.advance(seconds=10)
    status, problem = await cancel(service, asked["approval_id"])
    assert (status, problem["decision"]["status"]) == (409, "expired")
    assert problem["decision"]["decided_by"] is None
    assert (await service.look(asked["approval_id"]))["status"] == "expired"


async def test_a_run_superseded_counts_as_cancelled_by_its_engine(service: Service) -> None:
    first = (await ask(service))[1]
    await ask(service, run=2)
    status, answer = await cancel(service, first["approval_id"])
    assert (status, answer["reason"]) == (200, "superseded by run 2")


async def test_a_cancel_needs_a_reason(service: Service) -> None:
    asked = (await ask(service))[1]
    path = f"/approvals/{asked['approval_id']}/cancel"
    for body in ({}, *({"reason": v} for v in ("", " \n", "r" * 501, None, 1, "\ud800"))):
        status, problem = await service.api("POST", path, json=body)
        assert (status, fields_of(problem)) == (422, ["reason"]), body
    assert (await service.look(asked["approval_id"]))["status"] == "pending"


async def test_a_cancel_takes_up_to_500_characters_and_nothing_else(service: Service) -> None:
    asked = (await ask(service))[1]
    path = f"/approvals/{asked['approval_id']}/cancel"
    status, problem = await service.api("POST", path, json={"reason": "r", "by": "lisi"})
    assert (status, fields_of(problem)) == (422, ["by"])
    status, cancelled = await cancel(service, asked["approval_id"], reason="原" * 500)
    assert (status, cancelled["reason"]) == (200, "原" * 500)


async def test_a_reply_and_many_cancels_at_once_end_it_once(service: Service) -> None:
    asked = (await ask(service))[1]
    await asyncio.gather(
        service.says("zhangsan", "TY 12345_2"),
        *(cancel(service, asked["approval_id"]) for _ in range(20)),
        service.says("wangwu", "BH 12345_2"),
    )
    events = await service.events(asked["approval_id"])
    ends = [event["type"].removeprefix("approval.") for event in events]
    assert len([end for end in ends if end in ENDS]) == 1
    assert len(await service.decisions()) == 1


# Walls between engines.


async def test_an_engine_neither_sees_nor_touches_what_another_asked(service: Service) -> None:
    asked = (await ask(service))[1]
    path = f"/approvals/{asked['approval_id']}"
    unknown = (await service.api("GET", f"/approvals/{NO_SUCH_ID}", OTHER_TOKEN))[1]
    del unknown["request_id"]
    for method, below, body in (
        ("GET", "", None),
        ("GET", "/events", None),
        ("POST", "/cancel", {"reason": "x"}),
    ):
        status, problem = await service.api(method, path + below, OTHER_TOKEN, json=body)
        assert status == 404
        del problem["request_id"]
        hidden = json.dumps(problem).replace(asked["approval_id"], NO_SUCH_ID)
        assert json.loads(hidden) == unknown
    assert await listed(service, "", OTHER_TOKEN) == []
    assert await listed(service, "?obj_id=12345_2", OTHER_TOKEN) == []
    assert (await service.look(asked["approval_id"]))["status"] == "pending"


async def test_a_reader_reads_everything_and_touches_nothing_of_others(service: Service) -> None:
    asked = await service.notified((await ask(service))[1]["approval_id"])
    assert await service.look(asked["approval_id"], READER_TOKEN) == asked
    assert await listed(service, "", READER_TOKEN) == [asked]
    path = f"/approvals/{asked['approval_id']}/events"
    assert (await service.api("GET", path, READER_TOKEN))[0] == 200
    status, problem = await cancel(service, asked["approval_id"], READER_TOKEN)
    assert (status, problem["code"]) == (404, "unknown-approval")
    # Asking a later run is another engine's; it supersedes nothing of ours.
    assert (await ask(service, READER_TOKEN, run=2))[0] == 201
    assert (await service.look(asked["approval_id"]))["status"] == "pending"


# Who may come in, and how.

ADDRESSES = [
    ("POST", "/approvals"),
    ("GET", "/approvals"),
    ("GET", f"/approvals/{NO_SUCH_ID}"),
    ("GET", f"/approvals/{NO_SUCH_ID}/events"),
    ("POST", f"/approvals/{NO_SUCH_ID}/cancel"),
    ("GET", "/decisions"),
    ("GET", "/decisions/stream"),
    ("GET", "/nothing"),
]


WRONG_AUTHORIZATION = [
    None,
    "",
    "Bearer",
    "Bearer ",
    f"Basic {TOKEN}",
    f"Token {TOKEN}",
    TOKEN,
    f"Bearer {TOKEN}x",
    f"Bearer {TOKEN[:-1]}",
    f"Bearer {TOKEN.upper()}",
    f"Bearer fta:{TOKEN}",
    f"Bearer {TOKEN},{OTHER_TOKEN}",
    "Bearer 令牌",
]


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
async def test_without_the_right_token_nothing_is_open(
    service: Service, method: str, path: str
) -> None:
    for authorization in WRONG_AUTHORIZATION:
        headers = {} if authorization is None else {"Authorization": authorization}
        url = f"{service.base}/api/v1{path}"
        async with service.http.request(method, url, headers=headers, json=REQUIRED) as response:
            problem = await response.json(content_type="application/problem+json")
        assert (response.status, problem["code"]) == (401, "unauthorized"), authorization
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert TOKEN not in json.dumps(problem)
    assert await listed(service) == []


async def test_a_token_in_the_address_is_not_accepted(service: Service) -> None:
    for query in (f"token={TOKEN}", f"access_token={TOKEN}", f"authorization=Bearer%20{TOKEN}"):
        url = f"{service.base}/api/v1/decisions?{query}"
        async with service.http.get(url) as response:
            assert response.status == 401
    with_user = URL(f"{service.base}/api/v1/decisions").with_user("fta").with_password(TOKEN)
    async with service.http.get(with_user) as response:
        assert response.status == 401


async def test_the_scheme_is_read_without_case(service: Service) -> None:
    url = f"{service.base}/api/v1/decisions"
    async with service.http.get(url, headers={"Authorization": f"bearer {TOKEN}"}) as response:
        assert response.status == 200


async def test_without_any_token_configured_the_api_is_closed(start: StartService) -> None:
    service = await start(api_tokens="", api_readers="")
    for method, path in ADDRESSES:
        status, problem = await service.api(method, path, json=REQUIRED)
        assert (status, problem["code"]) == (503, "no-api-token-configured")
        assert "FTA_APPROVAL_API_TOKENS" in problem["detail"]


async def test_there_is_no_way_to_approve_through_the_api(service: Service) -> None:
    asked = (await ask(service))[1]
    path = f"/approvals/{asked['approval_id']}"
    words = {"decision": "approve", "status": "approved", "verdict": "approve", "by": "zhangsan"}
    for verb in (
        "approve",
        "reject",
        "decision",
        "decide",
        "replies",
        "TY",
        "revocation",
        "events",
    ):
        status, _ = await service.api("POST", f"{path}/{verb}", json=words)
        assert status in (404, 405), verb
    for method in ("PUT", "PATCH", "DELETE", "POST"):
        status, problem = await service.api(method, path, json=words)
        assert (status, problem["code"]) == (405, "method-not-allowed")
    assert (await service.api("POST", "/decisions", json=words))[0] == 405
    assert (await service.api("POST", "/approvals?status=approved", json=REQUIRED))[0] == 422
    # Nor does an engine's token open the page where a member decides.
    page = f"{service.base}/wechat/a/{asked['approval_id']}/decision"
    headers = {"Authorization": f"Bearer {TOKEN}", "TOKEN": TOKEN}
    async with service.http.post(
        page, data={"decision": "approve"}, headers=headers, allow_redirects=False
    ) as response:
        assert response.status >= 300
    assert (await service.look(asked["approval_id"]))["status"] == "pending"
    assert await service.decisions() == []


async def test_every_address_has_no_redirect_with_or_without_its_last_slash(
    service: Service,
) -> None:
    asked = await service.notified((await ask(service))[1]["approval_id"])
    of_one = f"/approvals/{asked['approval_id']}"
    for path in ("/approvals", of_one, f"{of_one}/events", "/decisions"):
        bare = await service.api("GET", path, allow_redirects=False)
        assert bare[0] == 200
        assert await service.api("GET", f"{path}/", allow_redirects=False) == bare
    again = await service.api("POST", "/approvals/", json=REQUIRED, allow_redirects=False)
    assert again[0] == 200
    cancelled = await service.api(
        "POST", f"{of_one}/cancel/", json={"reason": "x"}, allow_redirects=False
    )
    assert cancelled[0] == 200


@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_new_approval_is_where_its_location_says(service: Service, slash: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    url = f"{service.base}/api/v1/approvals{slash}"
    async with service.http.post(url, headers=headers, json=REQUIRED) as response:
        approval = await response.json()
        location = response.headers["Location"]
    assert location == f"/o/bk_fta_solutions/api/v1/approvals/{approval['approval_id']}"
    async with service.http.get(service.url + location, headers=headers) as response:
        assert (await response.json())["approval_id"] == approval["approval_id"]


# Bodies that are none.


NOT_JSON = [
    b"",
    b"obj_id=12345_2",
    b"{",
    b'{"obj_id": "12345_2",}',
    b"{'obj_id': '12345_2'}",
    b'{"run": NaN}',
    b'{"run": Infinity}',
    b'{"run": -Infinity}',
    b'{"obj_id": "a", "obj_id": "b"}',
    b'{"action": {"a": 1, "a": 2}}',
    b'{"message": "\xff"}',
    b'{"message": "\xed\xa0\x80"}',
    '{"message": "故"}'.encode("gbk"),
    b"\xef\xbb\xbf{}",
    b'{"message": "a\nb"}',
    b"[" * 501 + b"]" * 501,
    b"[" * 10_000 + b"]" * 10_000,
    b'{"action": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001,
]


async def test_what_is_not_json_is_a_bad_request(service: Service) -> None:
    for body in NOT_JSON:
        status, problem = await send(service, body)
        assert (status, problem["code"]) == (400, "not-json"), body[:50]
    assert await listed(service) == []


@pytest.mark.parametrize("depth", [100, 400, 500])
async def test_json_nested_deeply_within_reason_is_taken_and_shown(
    service: Service, depth: int
) -> None:
    action = json.loads('{"a":' * (depth - 1) + "5" + "}" * (depth - 1))
    status, approval = await ask(service, action=action)
    assert status == 201
    assert (await service.events(approval["approval_id"]))[0]["data"]["action"] == action


async def test_json_that_is_no_object_is_refused(service: Service) -> None:
    for body in (b"[]", b'"x"', b"5", b"null", b"[{}]", b"true"):
        status, problem = await send(service, body)
        assert (status, problem["code"]) == (422, "invalid-request"), body


@pytest.mark.parametrize("huge", ["9" * 5000, "-" + "9" * 5000, "1e400"], ids=lambda n: n[:3])
async def test_a_number_too_large_for_any_computer_is_json_and_refused(
    service: Service, huge: str
) -> None:
    required = json.dumps(REQUIRED).removesuffix("}")
    for field in ("run", "expires_in", "risk", "action", "other"):
        value = f'{{"a": [{huge}]}}' if field == "action" else huge
        status, problem = await send(service, f'{required}, "{field}": {value}}}'.encode())
        assert (status, fields_of(problem)) == (422, [field])


async def test_another_kind_of_body_is_an_unsupported_media_type(service: Service) -> None:
    body = json.dumps(REQUIRED).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "text/json", "x", ""):
        status, problem = await send(service, body, **{"Content-Type": kind})
        assert (status, problem["code"]) == (415, "unsupported-media-type"), kind
    assert await listed(service) == []


async def test_a_body_too_large_is_refused(service: Service) -> None:
    status, problem = await send(service, b" " * (256 * 1024 + 1))
    assert (status, problem["code"]) == (413, "content-too-large")
    largest = json.dumps(REQUIRED).encode().ljust(256 * 1024 - 1)
    assert (await send(service, largest))[0] == 201


async def test_a_body_that_is_not_packed_as_it_says_is_a_bad_request(service: Service) -> None:
    status, problem = await send(service, b"no gzip", **{"Content-Encoding": "gzip"})
    assert (status, problem["code"]) == (400, "not-json")


# Problem documents.


PROBLEMS = [
    ("GET", "/", 404, "not-found"),
    ("GET", "/nothing", 404, "not-found"),
    ("GET", "/approvals/a/b/c", 404, "not-found"),
    ("POST", "/approvals/a/cancel/now", 404, "not-found"),
    ("DELETE", "/approvals", 405, "method-not-allowed"),
    ("PUT", f"/approvals/{NO_SUCH_ID}", 405, "method-not-allowed"),
    ("GET", f"/approvals/{NO_SUCH_ID}/cancel", 405, "method-not-allowed"),
    ("POST", "/decisions", 405, "method-not-allowed"),
    ("GET", f"/approvals/{NO_SUCH_ID}", 404, "unknown-approval"),
    ("GET", "/approvals?x=1", 422, "invalid-request"),
    ("POST", "/approvals", 415, "unsupported-media-type"),
    ("GET", "/decisions?after=1000000", 409, "position-unknown"),
]


async def test_every_refusal_is_a_problem_document(service: Service) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for method, path, status, code in PROBLEMS:
        url = f"{service.base}/api/v1{path}"
        async with service.http.request(method, url, headers=headers) as response:
            assert response.content_type == "application/problem+json", path
            problem = json.loads((await response.read()).decode("utf-8"))
        assert (response.status, problem["code"]) == (status, code)
        assert (problem["type"], problem["status"]) == (f"/problems/{code}", status)
        assert len(problem["detail"].split()) > 2
        assert isinstance(problem["errors"], list)
        assert ("Allow" in response.headers) == (status == 405)


async def test_what_is_allowed_instead_is_said(service: Service) -> None:
    url, headers = f"{service.base}/api/v1/approvals", {"Authorization": f"Bearer {TOKEN}"}
    async with service.http.put(url, headers=headers) as response:
        assert set(response.headers["Allow"].split(",")) == {"GET", "POST"}


async def test_answers_are_json_in_utf_8_with_times_in_utc(service: Service) -> None:
    url, headers = f"{service.base}/api/v1/approvals", {"Authorization": f"Bearer {TOKEN}"}
    async with service.http.post(url, headers=headers, json=REQUIRED) as response:
        assert response.headers["Content-Type"] == "application/json; charset=utf-8"
        raw = await response.read()
    assert "替换故障机".encode() in raw
    assert json.loads(raw)["requested_at"] == NOON.strftime("%Y-%m-%dT%H:%M:%S.000Z")
