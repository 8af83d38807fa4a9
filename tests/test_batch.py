"""Several at once: what is shown is what is decided, each by itself, once."""

import asyncio
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from aiohttp.test_utils import make_mocked_request

from adapters.store.writer import Overloaded
from domain.commands import Command, Decide, FreezeApprovals
from tests.conftest import StartService
from tests.service import Clock, Service
from tests.visitor import APPROVE, REJECT, Form, Page, Visitor
from web import keys
from web.batch_forms import MOST, Batch, make_token

BATCH = "/wechat/todo/batch/"
Json = dict[str, Any]


async def visitor(service: Service, userid: str) -> Visitor:
    somebody = Visitor(service)
    await somebody.log_in(userid)
    return somebody


async def picked(somebody: Visitor, *approvals: Json) -> Page:
    """The page that asks once more, for these."""
    query = urlencode([("pick", one["approval_id"]) for one in approvals])
    return await somebody.get(f"{BATCH}?{query}")


async def pressed(somebody: Visitor, form: Form, decision: str, reason: str = "") -> Page:
    """The page with the results."""
    sent = await somebody.press(form, decision, reason)
    assert sent.status == 303, sent.html
    return await somebody.get(sent.location)


async def statuses(service: Service, *approvals: Json) -> list[str]:
    return [(await service.look(one["approval_id"]))["status"] for one in approvals]


async def ask(service: Service, *names: str, **fields: Any) -> list[Json]:
    return [await service.ask(name, **{"message": f"替换 {name}", **fields}) for name in names]


async def test_what_was_ticked_is_shown_whole_and_then_decided_each_by_itself(
    service: Service,
) -> None:
    first, second, third = await ask(service, "1_1", "2_1", "3_1")
    zhangsan = await visitor(service, "zhangsan")
    page = await picked(zhangsan, first, second)
    for words in ("替换 1_1", "替换 2_1", "自愈套餐", "以下 2 项"):
        assert words in page.text
    assert "3_1" not in page.text
    assert await statuses(service, first, second, third) == ["pending"] * 3
    done = await pressed(zhangsan, page.batch, APPROVE, "一起看过")
    assert "2 项全部生效" in done.text
    assert await statuses(service, first, second, third) == ["approved", "approved", "pending"]
    events = [(await service.events(one["approval_id"]))[-2:] for one in (first, second)]
    told = [event["data"] for pair in events for event in pair]
    assert [event["type"] for pair in events for event in pair] == [
        "approval.replied",
        "approval.approved",
    ] * 2
    assert {data["batch"] for data in told} == {page.batch.fields["batch"]}
    assert {data["reason"] for data in told} == {"一起看过"}
    ended = await service.look(first["approval_id"])
    assert (ended["decided_by"], ended["capacity"]) == ("zhangsan", "approver")
    detail = await zhangsan.get(f"/wechat/a/{first['approval_id']}/")
    assert f"批次 {page.batch.fields['batch'][:8]}" in detail.text


async def test_all_are_rejected_with_a_ready_reason(service: Service) -> None:
    asked = await ask(service, "1_1", "2_1", kind="convergence")
    wangwu = await visitor(service, "wangwu")
    page = await picked(wangwu, *asked)
    assert "全部：拒绝执行" in page.text
    form = page.batch
    form.fields["ready"] = "duplicate"
    assert "2 项全部生效" in (await pressed(wangwu, form, REJECT)).text
    for one in asked:
        ended = await service.look(one["approval_id"])
        assert (ended["status"], ended["reason"]) == ("rejected", "重复告警")
        assert ended["capacity"] == "super-approver"


async def test_each_has_its_own_result_and_says_who_was_first(
    service: Service, clock: Clock
) -> None:
    mine, late = await ask(service, "1_1", "2_1"), await service.ask("3_1", expires_in=60)
    zhangsan, lisi = await visitor(service, "zhangsan"), await visitor(service, "lisi")
    page = await picked(zhangsan, *mine, late)
    await lisi.press((await lisi.get("/wechat/todo/")).form_of(mine[1]), REJECT, "先不动")
    clock.advance(seconds=60)
    done = await pressed(zhangsan, page.batch, APPROVE)
    assert "1 项生效，2 项没有生效" in done.text
    for words in ("没有生效: lisi 于 20:00 通过页面驳回", "20:01 到期，无人作出决定"):
        assert words in done.text
    assert await statuses(service, *mine, late) == ["approved", "rejected", "expired"]


async def test_pressing_twice_decides_nothing_twice(service: Service) -> None:
    asked = await ask(service, "1_1", "2_1", "3_1")
    zhangsan = await visitor(service, "zhangsan")
    form = (await picked(zhangsan, *asked)).batch
    pages = await asyncio.gather(*(pressed(zhangsan, form, APPROVE) for _ in range(4)))
    pages.append(await pressed(zhangsan, form, APPROVE))
    assert all("3 项全部生效" in page.text for page in pages)
    # The other button of the same page, afterwards: everything is decided already.
    other = await pressed(zhangsan, form, REJECT)
    assert "0 项生效，3 项没有生效" in other.text and "您 于 20:00 通过页面同意" in other.text
    assert await statuses(service, *asked) == ["approved"] * 3
    for one in asked:
        kinds = [event["type"] for event in await service.events(one["approval_id"])]
        assert kinds.count("approval.approved") == 1


async def test_a_high_risk_is_never_among_them(service: Service) -> None:
    (low,), (high,) = await ask(service, "1_1"), await ask(service, "2_1", risk="high")
    zhangsan = await visitor(service, "zhangsan")
    page = await picked(zhangsan, low, high)
    assert "高风险，需打开后单独审批" in page.text
    form = page.batch
    assert form.fields["approvals"] == low["approval_id"]
    form.fields["approvals"] += " " + high["approval_id"]
    assert (await zhangsan.press(form, APPROVE)).status == 403
    # Even with a token that this service would never make the domain refuses.
    form.fields["token"] = await forged(service, zhangsan, form)
    done = await pressed(zhangsan, form, REJECT)
    assert "1 项生效，1 项没有生效" in done.text and "打开详情" in done.text
    assert await statuses(service, low, high) == ["rejected", "pending"]


async def forged(service: Service, somebody: Visitor, form: Form) -> str:
    """The token for whatever stands in the form."""
    reading = service.app[keys.READING]
    found = [await reading.by_uuid(one) for one in form.fields["approvals"].split(" ")]
    batch = Batch(form.fields["batch"], [one for one in found if one is not None])
    return token_for(service, somebody, batch)


def token_for(service: Service, somebody: Visitor, batch: Batch) -> str:
    """What the service would make in that member's session."""
    cookies = "; ".join(f"{name}={value}" for name, value in somebody.cookies.items())
    request = make_mocked_request("GET", "/", headers={"Cookie": cookies}, app=service.app)
    return make_token(request, batch)


async def test_one_kind_at_a_time(service: Service) -> None:
    one, other = await ask(service, "1_1", "2_1"), await ask(service, "3_1", kind="convergence")
    zhangsan = await visitor(service, "zhangsan")
    page = await picked(zhangsan, *one, *other)
    assert "一次只能审批同一类型" in page.text and 'name="approvals"' not in page.html
    ways = [link for link in page.links if "pick=" in link]
    first = await zhangsan.get(ways[0])
    assert first.batch.fields["approvals"].split() == [a["approval_id"] for a in one]
    form = first.batch
    form.fields["approvals"] += " " + other[0]["approval_id"]
    form.fields["token"] = await forged(service, zhangsan, form)
    assert (await zhangsan.press(form, APPROVE)).status == 403
    assert await statuses(service, *one, *other) == ["pending"] * 3


async def test_at_most_fifty(service: Service) -> None:
    asked = await ask(service, *(f"{n}_1" for n in range(MOST + 1)))
    zhangsan = await visitor(service, "zhangsan")
    refused = await picked(zhangsan, *asked)
    assert refused.status == 422 and "一次最多审批 50 项" in refused.text
    page = await picked(zhangsan, *asked[:MOST], *asked[:MOST])
    form = page.batch
    more = Form(form.action, form.method, dict(form.fields), form.buttons)
    more.fields["approvals"] += " " + asked[MOST]["approval_id"]
    more.fields["token"] = await forged(service, zhangsan, more)
    assert (await zhangsan.press(more, APPROVE)).status == 403
    assert "50 项全部生效" in (await pressed(zhangsan, form, APPROVE)).text
    assert await statuses(service, asked[MOST]) == ["pending"]


async def test_without_a_tick_it_says_so(service: Service) -> None:
    page = await picked(await visitor(service, "zhangsan"))
    assert page.status == 422 and "没有勾选" in page.text


async def test_what_is_not_theirs_is_neither_shown_nor_decided(service: Service) -> None:
    mine, other = await service.ask("1_1"), await service.ask("2_1", approvers=["lisi"])
    own = await service.ask("3_1", requested_by="zhangsan")
    zhangsan = await visitor(service, "zhangsan")
    page = await picked(zhangsan, mine, other, own, {"approval_id": "no uuid"})
    assert "2_1" not in page.text and "3_1" in page.text
    # It waits still, for others: that is what it says of it.
    assert "这个操作由您发起，需由其他审批人决定。" in page.text and "到期" not in page.text
    form = page.batch
    assert form.fields["approvals"] == mine["approval_id"]
    form.fields["approvals"] += " " + own["approval_id"]
    form.fields["token"] = await forged(service, zhangsan, form)
    done = await pressed(zhangsan, form, APPROVE)
    assert "1 项生效，1 项没有生效" in done.text and "发起人不能审批" in done.text
    assert await statuses(service, mine, other, own) == ["approved", "pending", "pending"]


async def test_the_token_fits_this_session_and_these_approvals_only(service: Service) -> None:
    first, second = await ask(service, "1_1", "2_1")
    zhangsan, lisi = await visitor(service, "zhangsan"), await visitor(service, "lisi")
    form = (await picked(zhangsan, first, second)).batch
    ids = form.fields["approvals"].split()
    for changed in (
        {"approvals": ids[0]},
        {"approvals": " ".join(reversed(ids))},
        {"approvals": " ".join([*ids, ids[0]])},
        {"approvals": ""},
        {"batch": "0" * 32},
        {"batch": "x"},
        {"token": ""},
    ):
        other = Form(form.action, "post", {**form.fields, **changed}, form.buttons)
        assert (await zhangsan.press(other, APPROVE)).status == 403, changed
    assert (await lisi.press(form, APPROVE)).status == 403
    elsewhere = {"Origin": "https://evil.example"}
    assert (await zhangsan.press(form, APPROVE, headers=elsewhere)).status == 403
    assert (await Visitor(service).press(form, APPROVE)).status == 401
    assert (await zhangsan.press(form, APPROVE, "字" * 501)).status == 422
    form.fields["ready"] = "peak"
    assert (await zhangsan.press(form, APPROVE)).status == 422
    assert await statuses(service, first, second) == ["pending"] * 2


async def test_another_request_of_the_same_name_is_not_what_was_shown(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that was put back may hold another approval under the same uuid."""
    (first,) = await ask(service, "1_1", action={"ip": "10.0.0.1"})
    zhangsan = await visitor(service, "zhangsan")
    form = (await picked(zhangsan, first)).batch
    approval = await service.app[keys.READING].by_uuid(first["approval_id"])
    assert approval is not None
    assert (
        token_for(service, zhangsan, Batch(form.fields["batch"], [approval]))
        == form.fields["token"]
    )
    for field, value in (("message", "别的"), ("action_digest", "sha256:0"), ("kind", "x")):
        first_request = approval.requested
        approval.requested = msgspec.structs.replace(first_request, **{field: value})
        token = token_for(service, zhangsan, Batch(form.fields["batch"], [approval]))
        approval.requested = first_request
        assert token != form.fields["token"], field


async def test_while_approving_is_frozen_each_says_so_and_all_can_be_rejected(
    service: Service,
) -> None:
    asked = await ask(service, "1_1", "2_1")
    zhangsan = await visitor(service, "zhangsan")
    freeze = FreezeApprovals(at=service.clock(), by="admin", why="网络变更")
    await service.app[keys.WRITER].execute(freeze)
    page = await picked(zhangsan, *asked)
    assert "网络变更" in page.text
    refused = await pressed(zhangsan, page.batch, APPROVE)
    assert "0 项生效" in refused.text and "审批已冻结" in refused.text
    assert await statuses(service, *asked) == ["pending"] * 2
    done = await pressed(zhangsan, (await picked(zhangsan, *asked)).batch, REJECT)
    assert "2 项全部生效" in done.text


async def test_what_a_busy_service_could_not_take_is_said(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = await ask(service, "1_1", "2_1")
    zhangsan = await visitor(service, "zhangsan")
    form = (await picked(zhangsan, *asked)).batch
    writer, takes = service.app[keys.WRITER], {"2_1"}
    execute = writer.execute

    async def busy(command: Command, **more: Any) -> Any:
        if isinstance(command, Decide) and command.reply_id not in takes:
            raise Overloaded
        return await execute(command, **more)

    monkeypatch.setattr(writer, "execute", busy)
    takes.clear()
    assert (await zhangsan.press(form, APPROVE)).status == 503
    takes.add("2_1")
    done = await pressed(zhangsan, form, APPROVE)
    assert "1 项生效，1 项没有生效" in done.text and "系统繁忙，没有处理" in done.text
    monkeypatch.undo()
    # The same press once more completes it.
    assert "2 项全部生效" in (await pressed(zhangsan, form, APPROVE)).text
    assert await statuses(service, *asked) == ["approved"] * 2


async def test_results_are_for_who_pressed(service: Service) -> None:
    asked = await ask(service, "1_1", "2_1")
    zhangsan, lisi = await visitor(service, "zhangsan"), await visitor(service, "lisi")
    sent = await zhangsan.press((await picked(zhangsan, *asked)).batch, APPROVE)
    assert (await zhangsan.get(sent.location)).status == 200
    assert (await lisi.get(sent.location)).status == 404
    assert (await zhangsan.get(sent.location.replace("approve", "reject"))).status == 404
    assert (await zhangsan.get(sent.location.replace("approve", "x"))).status == 404
    assert (await zhangsan.get(f"{BATCH}x/?decision=approve")).status == 404
    assert (await Visitor(service).get(sent.location)).status == 303


async def test_who_is_not_logged_in_is_sent_to_the_login(start: StartService) -> None:
    service = await start()
    assert (await Visitor(service).get(f"{BATCH}?pick=x")).status == 303
