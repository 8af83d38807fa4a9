"""The page of an approval over HTTP: blast radius, other runs, and what an open page is told."""

import re
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.service import Clock, Service
from tests.visitor import APPROVE, Page, Visitor

Json = dict[str, Any]


def page_of(approval: Json) -> str:
    return f"/wechat/a/{approval['approval_id']}/"


async def opened(service: Service, userid: str, approval: Json) -> tuple[Visitor, Page]:
    somebody = Visitor(service)
    return somebody, await somebody.log_in(userid, page_of(approval))


def updating(page: Page, has: str) -> str:
    """Where that page asks what is new."""
    (live,) = [given for _, given in page.tags if given.get("id") == "live"]
    return f"{live['hx-get']}&{urlencode({'has': has})}"


@pytest.mark.parametrize("name", ["影响范围", "blast_radius", "Blast Radius", "IMPACT"])
async def test_the_blast_radius_stands_above_the_other_details(service: Service, name: str) -> None:
    approval = await service.ask(details={"IP": "10.9.9.9", name: "支付主链路"})
    _, page = await opened(service, "zhangsan", approval)
    assert re.search(rf'<p class="blast"><b>{name}</b> <span>支付主链路</span>', page.html)
    assert page.text.index("支付主链路") < page.text.index("编号") < page.text.index("10.9.9.9")
    assert page.html.count("支付主链路") == 1


async def test_other_runs_of_the_node_are_linked_for_who_may_see_them(service: Service) -> None:
    first = await service.ask("1_1", approvers=["lisi"])
    second = await service.ask("1_1", run=2, approvers=["zhangsan", "lisi"])
    third = await service.ask("1_1", run=3, approvers=["zhangsan"])
    await service.ask("1_2", approvers=["zhangsan", "lisi"])
    for userid, seen in (("zhangsan", [third]), ("lisi", [first]), ("wangwu", [third, first])):
        visitor, page = await opened(service, userid, second)
        links = [link for link in page.links if "/wechat/a/" in link and link.count("?") == 0]
        others = [link for link in links if second["approval_id"] not in link]
        assert others == [visitor.prefix + page_of(one) for one in seen], userid


async def test_an_open_page_is_told_how_it_ended_and_loses_its_buttons(service: Service) -> None:
    approval = await service.ask()
    zhangsan, page = await opened(service, "zhangsan", approval)
    same = await zhangsan.get(updating(page, "decide"))
    assert 'id="actions"' not in same.html and 'id="happened"' in same.html
    await service.says("lisi", "BH 12345_2 先不动")
    ended = await zhangsan.get(updating(page, "decide"))
    assert "lisi 于 20:00 通过回复驳回" in ended.text and "先不动" in ended.text
    assert 'id="actions"' in ended.html and ended.forms == []


async def test_an_open_page_is_told_of_the_deadline_before_any_timer(
    service: Service, clock: Clock
) -> None:
    approval = await service.ask(expires_in=60)
    zhangsan, page = await opened(service, "zhangsan", approval)
    clock.advance(seconds=60)
    ended = await zhangsan.get(updating(page, "decide"))
    assert "20:01 到期，无人作出决定" in ended.text and 'id="actions"' in ended.html


async def test_what_may_be_pressed_after_approving_comes_by_itself(service: Service) -> None:
    approval = await service.ask()
    zhangsan, page = await opened(service, "zhangsan", approval)
    lisi, other = await opened(service, "lisi", approval)
    await lisi.press(other.form, APPROVE)
    ended = await zhangsan.get(updating(page, "decide"))
    assert ended.revocation is not None
    revoked = await zhangsan.revoke(ended.revocation)
    assert revoked.status == 303


async def test_a_page_of_another_login_is_told_nothing(service: Service) -> None:
    approval = await service.ask()
    _, page = await opened(service, "zhangsan", approval)
    lisi, _ = await opened(service, "lisi", approval)
    for visitor in (lisi, Visitor(service)):
        over = await visitor.get(updating(page, "decide"))
        assert "登录已失效" in over.text and "zhangsan" not in over.text
        changes = updating(page, "decide").replace("/update/", "/changes/")
        assert (await visitor.get(changes)).status == 204


async def test_a_page_that_may_no_longer_be_seen_says_so(service: Service) -> None:
    mine, others = await service.ask(), await service.ask("7_1", approvers=["lisi"])
    zhangsan, page = await opened(service, "zhangsan", mine)
    address = updating(page, "decide").replace(mine["approval_id"], others["approval_id"])
    gone = await zhangsan.get(address)
    assert "没有找到" in gone.text and "7_1" not in gone.html
    assert (await zhangsan.get(address.replace("/update/", "/changes/"))).status == 404
