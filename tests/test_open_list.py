"""An open list over HTTP: what it is told, when, and that nothing dead stays alive on it."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import aiohttp

from domain.commands import EndSessionsOf, FreezeApprovals
from tests.conftest import StartService
from tests.service import WITHIN_S, Clock, Service
from tests.visitor import APPROVE, REJECT, Page, Visitor
from web import keys
from web.listed import PAGE_SIZE
from web.update import MOST_CARDS, MOST_DECIDED

TODO = "/wechat/todo/"
Json = dict[str, Any]


async def opened(service: Service, userid: str, path: str = TODO) -> tuple[Visitor, Page]:
    somebody = Visitor(service)
    await somebody.log_in(userid)
    return somebody, await somebody.get(path)


def address(page: Page, name: str) -> str:
    """Where the list asks (`hx-get`) or listens (`sse-connect`)."""
    (found,) = [given[name] for _, given in page.tags if name in given]
    return found


def has(page: Page) -> list[tuple[str, str]]:
    """What the page says that it has, as htmx sends it."""
    return [
        (given["name"], given["value"])
        for _, given in page.tags
        if given.get("name") in ("list", "bar", "open", "did", "undo")
    ]


async def update(somebody: Visitor, page: Page) -> Page:
    answer = await somebody.get(f"{address(page, 'hx-get')}&{urlencode(has(page))}")
    assert answer.status == 200
    return answer


def swapped(page: Page) -> dict[str, str]:
    """Ids of elements in an update, and where those without one go."""
    found = [given for _, given in page.tags if "hx-swap-oob" in given]
    return {given.get("id", given["hx-swap-oob"]): given["hx-swap-oob"] for given in found}


async def press(somebody: Visitor, approval: Json, decision: str) -> None:
    form = (await somebody.get(f"/wechat/a/{approval['approval_id']}/")).form
    assert (await somebody.press(form, decision)).status == 303


# What is new.


async def test_nothing_that_may_be_typed_in_is_replaced(service: Service) -> None:
    first, second = await service.ask("1_1"), await service.ask("2_1", expires_in=2000)
    zhangsan, page = await opened(service, "zhangsan")
    answer = await update(zhangsan, page)
    assert "<textarea" not in answer.html and "<form" not in answer.html
    assert f"left-{first['approval_id']}" in swapped(answer)
    assert not [one for one in swapped(answer) if one.startswith(("card-", "press-", "state-"))]
    assert second["approval_id"] in answer.html


async def test_what_another_decided_loses_its_buttons_and_says_by_whom(service: Service) -> None:
    first, second = await service.ask("1_1"), await service.ask("2_1", risk="high")
    zhangsan, page = await opened(service, "zhangsan")
    lisi, _ = await opened(service, "lisi")
    await press(lisi, first, REJECT)
    await press(lisi, second, APPROVE)
    answer = await update(zhangsan, page)
    assert "lisi 于 20:00 通过页面驳回" in answer.text and "通过页面同意" in answer.text
    for approval in (first, second):
        for part in ("press", "state"):
            assert swapped(answer)[f"{part}-{approval['approval_id']}"] == "true"
    assert "<button" not in answer.html and 'name="open"' not in answer.html
    assert 'name="pick"' not in answer.html and "没有待审批的事项" in answer.text


async def test_what_is_overdue_is_dead_whether_or_not_the_clock_ended_it(
    service: Service, clock: Clock
) -> None:
    approval = await service.ask("1_1", expires_in=60)
    zhangsan, page = await opened(service, "zhangsan")
    clock.advance(seconds=60)
    answer = await update(zhangsan, page)
    assert f"press-{approval['approval_id']}" in swapped(answer)
    assert "20:01 到期，无人作出决定" in answer.text


async def test_what_is_new_goes_where_it_belongs(service: Service) -> None:
    middle = await service.ask("1_1", expires_in=600)
    zhangsan, page = await opened(service, "zhangsan")
    first = await service.ask("2_1", expires_in=300)
    last = await service.ask("3_1", expires_in=900)
    answer = await update(zhangsan, page)
    places = re.findall(
        r'hx-swap-oob="(after[^"]+)">\s*<article[^>]* id="card-([^"]+)"', answer.html
    )
    assert places == [
        ("afterbegin:#cards", first["approval_id"]),
        (f"afterend:#card-{middle['approval_id']}", last["approval_id"]),
    ]
    form = answer.form_of(first)
    assert (await zhangsan.press(form, APPROVE)).status == 303


async def test_of_a_later_page_nothing_moves_but_what_ends(service: Service) -> None:
    asked = [await service.ask(f"{n}_1", expires_in=1000 + n) for n in range(PAGE_SIZE + 2)]
    zhangsan, page = await opened(service, "zhangsan", f"{TODO}?page=2")
    await press(zhangsan, asked[0], APPROVE)
    await press(zhangsan, asked[PAGE_SIZE], APPROVE)
    answer = await update(zhangsan, page)
    assert f"press-{asked[PAGE_SIZE]['approval_id']}" in swapped(answer)
    assert "<article" not in answer.html


async def test_a_list_that_has_grown_long_gets_nothing_new_but_stays_true(
    service: Service,
) -> None:
    """What it has stands in an address, which has room for so much."""
    most = MOST_CARDS + PAGE_SIZE
    asked = [await service.ask(f"{n}_1", expires_in=1000 + n) for n in range(most)]
    zhangsan, page = await opened(service, "zhangsan")
    address_of_update = address(page, "hx-get")
    await press(zhangsan, asked[-1], REJECT)
    await service.ask("new_1", expires_in=100)
    query = [one for one in has(page) if one[0] == "list"]
    query += [("open", one["approval_id"]) for one in asked]
    for name in ("did", "undo"):
        query += [(name, one["approval_id"]) for one in asked[: MOST_DECIDED + 10]]
    answer = await zhangsan.get(f"{address_of_update}&{urlencode(query)}")
    assert answer.status == 200 and "<article" not in answer.html
    assert f"press-{asked[-1]['approval_id']}" in swapped(answer)
    assert len(address_of_update) + len(urlencode(query)) < 8190


async def test_what_i_decided_elsewhere_and_what_is_used_meanwhile(service: Service) -> None:
    first, second = await service.ask("1_1"), await service.ask("2_1")
    zhangsan, _ = await opened(service, "zhangsan")
    await press(zhangsan, first, APPROVE)
    page = await zhangsan.get(TODO)
    assert ("undo", first["approval_id"]) in has(page)
    await press(zhangsan, second, APPROVE)
    permit = (await service.decisions())[0]["data"]["permit"]
    redeem = {"permit": permit, "attempt": "1"}
    assert (await service.api("POST", "/permits/redeem", json=redeem))[0] == 200
    answer = await update(zhangsan, page)
    assert swapped(answer)[f"undo-{first['approval_id']}"] == "true"
    assert "领取执行许可" in answer.text
    assert swapped(answer)["afterbegin:#decided"] == "afterbegin:#decided"
    assert answer.revocation is not None and second["approval_id"] in answer.revocation.action


async def test_of_what_is_not_theirs_an_update_says_nothing(start: StartService) -> None:
    service = await start(super_approvers="wangwu")
    approval = await service.ask("1_1", approvers=["lisi"])
    wangwu, page = await opened(service, "wangwu")
    await service.stop()
    wangwu.service = service = await start(super_approvers="")
    answer = await update(wangwu, page)
    assert f"press-{approval['approval_id']}" in swapped(answer)
    assert "不再由您审批" in answer.text and "替换" not in answer.text
    unknown = urlencode(
        [*has(page)[-1:], ("open", 'x"><script>'), ("did", approval["approval_id"])]
    )
    strange = await wangwu.get(f"{address(page, 'hx-get')}&{unknown}")
    assert strange.status == 200 and "<script>" not in strange.html


async def test_nobody_elses_login_keeps_a_list_alive(service: Service) -> None:
    await service.ask("1_1")
    browser, page = await opened(service, "zhangsan")
    browser.forget()
    for answer in (await update(browser, page), await switched(browser, page)):
        assert swapped(answer) == {"todo": "true"}
        assert "登录已失效" in answer.text and "<form" not in answer.html
        assert "hx-get" not in answer.html


async def switched(browser: Visitor, page: Page) -> Page:
    await browser.log_in("lisi")
    return await update(browser, page)


# When.


class Listening:
    """One open event stream."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def heard(self) -> str:
        """The next event; comments are passed over."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                frame = (await self.answer.content.readuntil(b"\n\n")).decode()
                if not frame.startswith(":"):
                    return frame.split("\n")[0]


@asynccontextmanager
async def listen(somebody: Visitor, page: Page) -> AsyncIterator[Listening]:
    headers = {"Cookie": "; ".join(f"{n}={v}" for n, v in somebody.cookies.items())}
    url = somebody.service.url + address(page, "sse-connect")
    async with somebody.service.http.get(url, headers=headers) as answer:
        yield Listening(answer)


CHANGED = "event: changed"


async def test_everybody_concerned_is_told_and_nobody_else(service: Service) -> None:
    viewers = service.app[keys.VIEWERS]
    people = {name: (await opened(service, name))[0] for name in ("zhangsan", "lisi", "wangwu")}
    # Opened after all have logged in: since then nothing has happened.
    pages = {name: await one.get(TODO) for name, one in people.items()}
    async with AsyncExitStack() as stack:
        zhangsan, lisi, wangwu = [
            await stack.enter_async_context(listen(one, pages[name]))
            for name, one in people.items()
        ]
        approval = await service.ask("1_1", approvers=["zhangsan"])
        assert await zhangsan.heard() == await wangwu.heard() == CHANGED
        assert await times_told(service, "lisi") == 0
        told = await times_told(service, "zhangsan")
        await service.ask("2_1", approvers=["lisi"])
        assert await lisi.heard() == await wangwu.heard() == CHANGED
        assert await times_told(service, "zhangsan") == told
        await press(people["wangwu"], approval, REJECT)
        assert await zhangsan.heard() == CHANGED
        # Not once for each of them, but once for all, however often the read models moved.
        assert 0 < viewers.reads <= await service.app[keys.READING].last_position()


async def times_told(service: Service, member: str) -> int:
    """How often, of everything that has happened up to now."""
    viewers, last = service.app[keys.VIEWERS], await service.quiet()
    async with asyncio.timeout(WITHIN_S):
        while viewers.reached < last:
            await asyncio.sleep(0.01)
    (viewer,) = viewers.of(member)
    return viewer.told


async def test_who_comes_late_is_told_at_once(service: Service) -> None:
    zhangsan, page = await opened(service, "zhangsan")
    await service.ask("1_1")
    async with listen(zhangsan, page) as stream:
        assert await stream.heard() == CHANGED


async def test_a_freeze_is_told_to_everybody(service: Service) -> None:
    lisi, page = await opened(service, "lisi")
    async with listen(lisi, page) as stream:
        command = FreezeApprovals(at=service.clock(), by="admin", why="网络变更")
        await service.app[keys.WRITER].execute(command)
        assert await stream.heard() == CHANGED
    assert "网络变更" in (await update(lisi, page)).text


async def test_a_stream_ends_with_its_session(service: Service) -> None:
    zhangsan, page = await opened(service, "zhangsan")
    service.app[keys.LIST_READERS].heartbeat_s = 0.05
    async with listen(zhangsan, page) as stream:
        command = EndSessionsOf(at=service.clock(), by="zhangsan", why="ended-by-administrator")
        await service.app[keys.WRITER].execute(command)
        # The list asks once more, and hears that it is over.
        assert await stream.heard() == CHANGED
        async with asyncio.timeout(WITHIN_S):
            await stream.answer.content.read()
    assert "登录已失效" in (await update(zhangsan, page)).text
    async with listen(zhangsan, page) as stream:
        assert stream.answer.status == 204


async def test_only_a_list_of_this_session_is_told(service: Service) -> None:
    _, page = await opened(service, "zhangsan")
    lisi, _ = await opened(service, "lisi")
    for somebody in (lisi, Visitor(service)):
        async with listen(somebody, page) as stream:
            assert stream.answer.status == 204


async def test_the_service_ends_although_lists_are_open(service: Service) -> None:
    zhangsan, page = await opened(service, "zhangsan")
    async with listen(zhangsan, page) as stream:
        ending = asyncio.create_task(service.runner.cleanup())
        async with asyncio.timeout(WITHIN_S):
            await stream.answer.content.read()
            await ending
    service.stopped = True
    await service.http.close()
