"""撤销同意 on the page of an approval, and what everybody hears of it."""

import asyncio
from typing import Any

import pytest

from tests.service import Service, Sleep
from tests.test_permits_over_http import approved, code, redeem, report
from tests.visitor import APPROVE, Visitor

MOMENT_S = 0.05
NOT_REDEEMING = "不领取许可的执行方可能已经开始执行"


@pytest.fixture
def sleep() -> Sleep:
    """What the sender waits for is over in a moment."""

    async def moment(seconds: float) -> None:
        await asyncio.sleep(min(seconds, MOMENT_S))

    return moment


async def opened(service: Service, userid: str = "zhangsan") -> tuple[Visitor, str, Any]:
    """Somebody who looks at the page of the only approval."""
    approval_id = (await service.decisions())[-1]["data"]["approval_id"]
    visitor = Visitor(service)
    path = f"/wechat/a/{approval_id}/"
    return visitor, path, await visitor.log_in(userid, visitor.prefix + path)


async def test_who_approved_takes_it_back_and_everybody_is_told(service: Service) -> None:
    service.hurry()
    permit = await approved(service, requested_by="lisi", approvers=["zhangsan"])
    await service.quiet()
    visitor, path, page = await opened(service)
    assert NOT_REDEEMING in page.text
    assert "执行方尚未领取执行许可，许可有效至 20:15" in page.text
    done = await visitor.revoke(page.revocation, "看错了机器")
    assert (done.status, done.location) == (303, visitor.prefix + path)
    after = await visitor.get(path)
    assert after.revocation is None
    assert "已撤销同意" in after.text
    assert "看错了机器" in after.text
    assert code(await redeem(service, permit)) == (409, "revoked")
    approved_, revoked = await service.decisions()
    assert approved_["data"]["status"] == "approved"
    assert revoked["type"] == "fta.approval.revoked"
    told = {name: revoked["data"][name] for name in ("status", "decided_by", "decided_via")}
    assert told == {"status": "revoked", "decided_by": "zhangsan", "decided_via": "web"}
    assert (revoked["data"]["capacity"], revoked["data"]["reason"]) == ("approver", "看错了机器")
    assert "permit" not in revoked["data"]
    await service.quiet()
    for userid, who in (("zhangsan", "您"), ("lisi", "zhangsan"), ("wangwu", "zhangsan")):
        texts = [m.text for m in service.wecom.inbox(userid) if "撤销同意" in m.text]
        assert len(texts) == 1, (userid, texts)
        assert texts[0].startswith("【故障自愈】12345_2（替换故障机 10.0.0.1） "), texts
        assert who in texts[0]
        assert texts[0].endswith("，执行方不能再领取执行许可，无需再处理")


async def test_who_has_not_heard_of_the_approval_hears_of_its_revocation_only(
    service: Service,
) -> None:
    service.hurry()
    await service.ask(requested_by="lisi", approvers=["zhangsan"])
    await service.quiet()
    # Whoever is logged in already can decide while no message gets through.
    visitor = Visitor(service)
    await visitor.log_in("wangwu")
    service.wecom.knobs.outage, service.wecom.knobs.outage_on = "refuse", "message/send"
    asked = (await service.api("GET", "/approvals"))[1]["approvals"][0]
    path = f"/wechat/a/{asked['approval_id']}/"
    await visitor.press((await visitor.get(path)).form, APPROVE)
    await visitor.revoke((await visitor.get(path)).revocation)
    service.wecom.knobs.outage = "none"
    await service.quiet()
    for userid in ("zhangsan", "lisi", "wangwu"):
        # One that was being sent at the very moment of the revocation may still tell of the
        # approval; what comes after it tells of the revocation, once.
        texts = [m.text for m in service.wecom.inbox(userid)]
        assert sum("撤销同意" in text for text in texts) == 1, texts


async def test_pressing_twice_is_one_revocation(service: Service) -> None:
    await approved(service)
    visitor, _, page = await opened(service)
    for _ in range(2):
        assert (await visitor.revoke(page.revocation)).status == 303
    assert len(await service.decisions()) == 2


async def test_a_super_approver_may_and_a_second_one_hears_who_was_first(service: Service) -> None:
    await approved(service)
    first, _, page = await opened(service, "wangwu")
    second, _, other = await opened(service, "lisi")
    assert (await first.revoke(page.revocation)).status == 303
    late = await second.revoke(other.revocation)
    assert late.status == 409
    assert "wangwu（审批管理员） 于 20:00 通过页面撤销同意" in late.text
    assert (await service.decisions())[-1]["data"]["capacity"] == "super-approver"


async def test_the_requester_has_no_such_button(service: Service) -> None:
    await approved(service, requested_by="wangwu")
    _, _, page = await opened(service, "wangwu")
    assert page.revocation is None


@pytest.mark.parametrize("what", ["redeemed", "reported", "expired"])
async def test_when_it_is_too_late_there_is_no_button_and_an_old_one_does_nothing(
    service: Service, what: str
) -> None:
    permit = await approved(service)
    visitor, path, page = await opened(service)
    approval_id = path.split("/")[3]
    if what == "redeemed":
        assert (await redeem(service, permit))[0] == 200
        says = "执行方已于 20:00 领取执行许可"
    elif what == "reported":
        assert (await report(service, approval_id, outcome="succeeded", detail="好了"))[0] == 200
        says = "执行成功，20:00 报告: 好了"
    else:
        service.clock.advance(minutes=15)
        says = "执行许可已于 20:15 过期，执行方没有领取"
    now = await visitor.get(path)
    assert now.revocation is None
    assert says in now.text
    late = await visitor.revoke(page.revocation)
    assert late.status == 409
    assert "撤销没有生效" in late.text
    assert (await service.look(approval_id))["status"] == "approved"


@pytest.mark.parametrize("end", ["BH 1_1", None])
async def test_what_was_not_approved_has_no_such_button(service: Service, end: str | None) -> None:
    asked = await service.ask("1_1")
    if end:
        await service.says("zhangsan", end)
    visitor = Visitor(service)
    path = f"/wechat/a/{asked['approval_id']}/"
    page = await visitor.log_in("zhangsan", visitor.prefix + path)
    assert page.revocation is None


async def test_a_form_of_somebody_else_or_for_something_else_does_nothing(
    service: Service,
) -> None:
    await approved(service)
    visitor, path, page = await opened(service)
    form = page.revocation
    assert form is not None
    _, _, others = await opened(service, "lisi")
    for fields in ({}, {"token": "x"}, others.revocation.fields):
        answer = await visitor.post(f"{path}revocation", fields)
        assert answer.status == 403
    decide = await visitor.post(f"{path}decision", {**form.fields, "view": "page"})
    assert decide.status in (403, 422)
    elsewhere = {"Origin": "https://elsewhere.example"}
    refused = await visitor.post(f"{path}revocation", form.fields, headers=elsewhere)
    assert refused.status == 403
    visitor.forget()
    assert (await visitor.post(f"{path}revocation", form.fields)).status == 401
    assert (await visitor.get(f"{path}revocation")).status == 405
    assert len(await service.decisions()) == 1


async def test_a_stranger_finds_nothing(service: Service) -> None:
    await approved(service, approvers=["zhangsan"])
    _, path, page = await opened(service)
    stranger = Visitor(service)
    await stranger.log_in("lisi")
    answer = await stranger.post(f"{path}revocation", page.revocation.fields)
    assert answer.status == 404


async def test_a_reason_that_is_too_long_revokes_nothing(service: Service) -> None:
    await approved(service)
    visitor, _, page = await opened(service)
    assert (await visitor.revoke(page.revocation, "长" * 501)).status == 422
    assert len(await service.decisions()) == 1
    assert (await visitor.revoke(page.revocation, "长" * 500)).status == 303


async def test_a_later_reply_hears_that_it_was_revoked(service: Service) -> None:
    service.hurry()
    await approved(service)
    visitor, _, page = await opened(service)
    await visitor.revoke(page.revocation)
    heard = await service.heard("zhangsan", "TY 12345_2")
    assert "12345_2 已由 zhangsan 于 20:00 通过页面撤销同意，本次回复未生效" in heard
