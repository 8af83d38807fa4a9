"""Logging in through WeCom: who comes back is who went, on this site, in this browser."""

import asyncio
import hashlib
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from adapters.simulator.knobs import Knobs
from domain.session import Session, session_stream
from tests.conftest import StartService
from tests.service import Clock, Service
from tests.visitor import APPROVE, IN_WECOM, OUTSIDE, Page, Visitor
from web import keys
from web.addresses import public_addresses
from web.settings import read_settings

PUBLIC = "https://fta.example.com/o/bk_fta_solutions/wechat/"
LOGIN = "/wechat/accounts/login/"
TODO = "/o/bk_fta_solutions/wechat/todo/"


def state_of(sent_away: Page) -> str:
    return parse_qs(urlsplit(sent_away.location).query)["state"][0]


def everything_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


async def set_out(visitor: Visitor, path: str = LOGIN) -> Page:
    page = await visitor.get(path)
    assert page.status == 302, page.html
    return page


# Where one is sent.


async def test_inside_wecom_one_is_sent_to_the_documented_address(start: StartService) -> None:
    service = await start(app_url=PUBLIC, wecom_oauth_url="https://open.weixin.qq.com")
    sent = await set_out(Visitor(service, IN_WECOM))
    assert sent.location == (
        "https://open.weixin.qq.com/connect/oauth2/authorize?appid=ww0123456789abcdef"
        "&redirect_uri=https%3A%2F%2Ffta.example.com%2Fo%2Fbk_fta_solutions%2Fwechat"
        "%2Faccounts%2Flogin%2F&response_type=code&scope=snsapi_base"
        f"&state={state_of(sent)}&agentid=1000002#wechat_redirect"
    )
    assert len(state_of(sent)) == 32 and state_of(sent).isalnum()


async def test_outside_wecom_one_is_sent_to_the_qr_code(start: StartService) -> None:
    service = await start(app_url=PUBLIC, wecom_login_url="https://login.work.weixin.qq.com")
    sent = await set_out(Visitor(service, OUTSIDE))
    assert sent.location == (
        "https://login.work.weixin.qq.com/wwlogin/sso/login?login_type=CorpApp"
        "&appid=ww0123456789abcdef&agentid=1000002"
        "&redirect_uri=https%3A%2F%2Ffta.example.com%2Fo%2Fbk_fta_solutions%2Fwechat"
        f"%2Faccounts%2Flogin%2F&state={state_of(sent)}&lang=zh"
    )


@pytest.mark.parametrize("agent", [IN_WECOM, OUTSIDE])
@pytest.mark.parametrize("path", ["/wechat/todo/", "/wechat/todo", "/wechat/a/{id}/"])
async def test_after_the_login_one_is_where_one_was_going(
    service: Service, agent: str, path: str
) -> None:
    approval = await service.ask()
    visitor = Visitor(service, agent)
    page = await visitor.log_in("zhangsan", path.format(id=approval["approval_id"]))
    assert page.status == 200
    assert "替换故障机 10.0.0.1" in page.text


async def test_the_code_stays_in_no_address_and_nothing_of_the_way_is_kept(
    service: Service,
) -> None:
    visitor = Visitor(service)
    first = await visitor.get("/wechat/todo/")
    sent = await visitor.get(first.location)
    back = await visitor.through_wecom(sent, "zhangsan")
    assert "code=" in back
    arrived = await visitor.get(back)
    assert (arrived.status, arrived.location) == (303, TODO)
    for page in (first, sent, arrived):
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["Referrer-Policy"] == "same-origin"


# Who may come back.


async def test_another_browser_cannot_come_back_with_my_state(service: Service) -> None:
    """Else somebody could be logged in as the one who sent them the link."""
    mine, other = Visitor(service), Visitor(service)
    back = await mine.through_wecom(await set_out(mine), "zhangsan")
    await set_out(other)
    for somebody in (other, Visitor(service)):
        refused = await somebody.get(back)
        assert refused.status == 400 and "登录没有完成" in refused.text
        assert "fta_session" not in somebody.cookies
    assert (await mine.get(back)).status == 303  # and mine was not used up by it


@pytest.mark.parametrize(
    "change",
    [
        lambda back, state: back.replace(state, "0" * 32),
        lambda back, state: back.replace(state, state + "0"),
        lambda back, state: back.replace(state, state.upper()),
        lambda back, state: back.replace(state, ""),
        lambda back, state: back.replace(f"&state={state}", ""),
        lambda back, state: back.replace(state, "%FF%00%7C"),
    ],
)
async def test_a_changed_state_is_refused(service: Service, change: object) -> None:
    visitor = Visitor(service)
    sent = await set_out(visitor)
    back = await visitor.through_wecom(sent, "zhangsan")
    refused = await visitor.get(change(back, state_of(sent)))  # type: ignore[operator]
    assert refused.status == 400
    assert "fta_session" not in visitor.cookies


async def test_a_state_is_used_once(service: Service) -> None:
    visitor = Visitor(service)
    back = await visitor.through_wecom(await set_out(visitor), "zhangsan")
    cookies = dict(visitor.cookies)
    assert (await visitor.get(back)).status == 303
    assert "fta_login" not in visitor.cookies
    assert (await visitor.get(back)).status == 400
    # Even where the cookie was kept, WeCom's code is used up.
    again = Visitor(service, cookies=cookies)
    refused = await again.get(back)
    assert refused.status == 400 and "登录没有完成" in refused.text
    assert "fta_session" not in again.cookies


async def test_a_state_is_used_once_even_with_another_code_and_after_a_restart(
    start: StartService,
) -> None:
    """The browser keeps its cookie, and WeCom gives a second code for the same state."""
    service = await start()
    visitor = Visitor(service)
    sent = await set_out(visitor)
    codes = [await visitor.through_wecom(sent, "zhangsan") for _ in range(4)]
    kept = dict(visitor.cookies)
    assert (await visitor.get(codes[0])).status == 303
    await service.stop()
    one, two = await start(), await start()
    for where, back in ((one, codes[1]), (two, codes[2]), (one, codes[3])):
        again = Visitor(where, cookies=dict(kept))
        refused = await again.get(urlsplit(back)._replace(scheme="", netloc="").geturl())
        assert refused.status == 400 and "只能使用一次" in refused.text
        assert refused.links == [TODO]
        assert "fta_session" not in again.cookies
    visitor.service = two
    assert (await visitor.get("/wechat/todo/")).status == 200  # who was first stays


async def test_of_two_who_come_back_with_one_state_at_once_one_is_let_in(
    service: Service,
) -> None:
    visitor = Visitor(service)
    sent = await set_out(visitor)
    codes = [await visitor.through_wecom(sent, "zhangsan") for _ in range(5)]
    browsers = [Visitor(service, cookies=dict(visitor.cookies)) for _ in codes]
    pages = await asyncio.gather(*(b.get(code) for b, code in zip(browsers, codes, strict=True)))
    assert sorted(page.status for page in pages) == [303, 400, 400, 400, 400]
    assert sum("fta_session" in browser.cookies for browser in browsers) == 1


async def test_what_wecom_refuses_uses_up_no_state(service: Service) -> None:
    visitor = Visitor(service)
    sent = await set_out(visitor)
    assert (await visitor.get(f"{LOGIN}?code=x&state={state_of(sent)}")).status == 400
    assert (await visitor.get(await visitor.through_wecom(sent, "zhangsan"))).status == 303


async def test_a_state_ends_after_ten_minutes_whatever_the_browser_keeps(
    service: Service, clock: Clock
) -> None:
    visitor = Visitor(service)
    sent = await set_out(visitor)
    clock.advance(minutes=10)
    assert (await visitor.get(await visitor.through_wecom(sent, "zhangsan"))).status == 400
    sent = await set_out(visitor)
    clock.advance(minutes=9, seconds=59)
    assert (await visitor.get(await visitor.through_wecom(sent, "zhangsan"))).status == 303


@pytest.mark.parametrize(
    "forge",
    [
        lambda cookie: cookie.replace("todo", "evil"),
        lambda cookie: cookie[:-2] + "00" + cookie[-1],
        lambda cookie: cookie.replace("|", "%7C"),
        lambda cookie: "x|1|/evil/|",
        lambda cookie: "|||",
        lambda cookie: "",
        lambda cookie: cookie.replace("/wechat", "\\000/wechat"),
    ],
)
async def test_a_forged_login_cookie_is_refused(service: Service, forge: object) -> None:
    visitor = Visitor(service)
    back = await visitor.through_wecom(await set_out(visitor), "zhangsan")
    visitor.cookies["fta_login"] = forge(visitor.cookies["fta_login"])  # type: ignore[operator]
    refused = await visitor.get(back)
    assert refused.status == 400
    assert "fta_session" not in visitor.cookies


async def test_a_login_cookie_that_is_no_text_is_refused(service: Service) -> None:
    host, _, port = service.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"GET /o/bk_fta_solutions/wechat/accounts/login/?code=c&state=s HTTP/1.1\r\n"
        b"Host: x\r\nCookie: fta_login=\xff|1|\xfe|\xfd; fta_session=\xff\r\n"
        b"Connection: close\r\n\r\n"
    )
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("code", ["invented", "authdeny", "", "c" * 513, "%00", "%FF"])
async def test_a_code_that_wecom_refuses_opens_nothing(service: Service, code: str) -> None:
    visitor = Visitor(service)
    sent = await set_out(visitor)
    refused = await visitor.get(f"{LOGIN}?code={code}&state={state_of(sent)}")
    assert refused.status == 400 and "登录没有完成" in refused.text
    assert "fta_session" not in visitor.cookies
    asked = [call for call in service.wecom.calls if "getuserinfo" in call.path]
    assert bool(asked) is (len(code) <= 512)  # no code of WeCom's is longer


async def test_a_code_older_than_five_minutes_is_refused(service: Service, clock: Clock) -> None:
    visitor = Visitor(service)
    back = await visitor.through_wecom(await set_out(visitor), "zhangsan")
    clock.advance(minutes=5)
    assert (await visitor.get(back)).status == 400


async def test_who_cancels_in_wecom_is_not_sent_there_again(service: Service) -> None:
    visitor = Visitor(service, OUTSIDE)
    sent = await set_out(visitor)
    page = await visitor.get(f"{LOGIN}?state={state_of(sent)}")
    assert page.status == 403 and "重新登录" in page.text
    assert "fta_session" not in visitor.cookies


async def test_somebody_who_is_no_member_is_turned_away_kindly(service: Service) -> None:
    await service.ask()
    visitor = Visitor(service)
    refused = await visitor.get(await visitor.through_wecom(await set_out(visitor), "@outside"))
    assert refused.status == 403 and "您不是本企业的成员" in refused.text
    assert refused.links == []  # nothing to press that would lead here again
    assert "fta_session" not in visitor.cookies
    assert (await visitor.get("/wechat/todo/")).status == 303


async def test_a_member_outside_the_visible_range_may_log_in_and_sees_only_their_own(
    service: Service,
) -> None:
    """Membership is not permission: what counts are the approvers of each approval."""
    await service.ask(approvers=["zhangsan"])
    service.wecom.show_only_to({"zhangsan", "wangwu"})
    page = await Visitor(service).log_in("lisi")
    assert page.status == 200 and "没有待审批的事项" in page.text


# WeCom on a bad day.


@pytest.mark.parametrize("outage", ["refuse", "http-500", "html", "busy"])
async def test_while_wecom_is_away_nobody_is_let_in(service: Service, outage: str) -> None:
    visitor = Visitor(service)
    back = await visitor.through_wecom(await set_out(visitor), "zhangsan")
    service.wecom.knobs = Knobs().turned({"outage": outage})
    away = await visitor.get(back)
    assert away.status == 503 and "企业微信没有应答" in away.text
    assert "fta_session" not in visitor.cookies
    service.wecom.knobs = Knobs()
    assert away.links == [TODO]
    assert (await visitor.log_in("zhangsan")).status == 200


async def test_a_host_that_is_not_trusted_is_the_administrators_affair(service: Service) -> None:
    """Errcode 50001: to try again is of no use until the trusted domain is set."""
    visitor = Visitor(service)
    back = await visitor.through_wecom(await set_out(visitor), "zhangsan")
    service.wecom.trusted_hosts.clear()
    refused = await visitor.get(back)
    assert refused.status == 503 and "可信域名" in refused.text and "管理员" in refused.text
    assert "fta_session" not in visitor.cookies
    # It stops no messages.
    await service.ask()
    assert len(await service.inbox("zhangsan", 1)) == 1


@pytest.mark.parametrize("path", [LOGIN, f"{LOGIN}?code=c&state=s"])
async def test_without_wecom_a_page_says_what_to_set(start: StartService, path: str) -> None:
    service = await start(wecom_secret="")
    page = await Visitor(service).get(path)
    assert page.status == 503 and "CorpID" in page.text
    assert page.cookies == {}


# Where one comes back to.

EVIL = [
    "https://evil.example/",
    "http:evil.example",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/o/bk_fta_solutions//evil.example",
    "/o/bk_fta_solutions/\\evil.example",
    "/o/bk_fta_solutions/../../evil",
    "/o/bk_fta_solutions/wechat/./todo/",
    "/o/bk_fta_solutions/wechat/..",
    "/o/bk_fta_solutions/%2e%2e/evil",
    "/o/bk_fta_solutions/%2F%2Fevil.example",
    "/o/bk_fta_solutions@evil.example/",
    "/o/bk_fta_solutions.evil.example/",
    "/o/bk_fta_solutions",
    "/o/bk_fta_solutionsx/wechat/todo/",
    "/elsewhere/",
    "/",
    "",
    "javascript:alert(1)",
    "data:text/html,x",
    "/o/bk_fta_solutions/wechat/todo/\r\nSet-Cookie: a=b",
    "/o/bk_fta_solutions/wechat/todo/\n",
    "/o/bk_fta_solutions/wechat/todo/?next=//evil.example",
    "/o/bk_fta_solutions/wechat/todo/#//evil.example",
    "/o/bk_fta_solutions/wechat/todo/|evil",
    " /o/bk_fta_solutions/wechat/todo/",
    "\t//evil.example",
    "/o/bk_fta_solutions/wechat/待办/",
]


@pytest.mark.parametrize("times_encoded", [1, 2])
async def test_one_comes_back_to_this_service_only(service: Service, times_encoded: int) -> None:
    visitor = Visitor(service)
    for evil in EVIL:
        value = evil
        for _ in range(times_encoded):
            value = quote(value, safe="")
        sent = await set_out(visitor, f"{LOGIN}?next={value}")
        arrived = await visitor.get(await visitor.through_wecom(sent, "zhangsan"))
        assert (arrived.status, arrived.location) == (303, TODO), evil


async def test_an_empty_prefix_keeps_to_this_site_too(start: StartService) -> None:
    service = await start(url_prefix="")
    visitor = Visitor(service)
    for wanted, reached in [
        ("//evil.example", "/wechat/todo/"),
        ("/../evil", "/wechat/todo/"),
        ("/audit/", "/audit/"),
    ]:
        sent = await set_out(visitor, f"/wechat/accounts/login/?next={wanted}")
        arrived = await visitor.get(await visitor.through_wecom(sent, "zhangsan"))
        assert arrived.location == reached
    assert arrived.cookies["fta_session"]["path"] == "/"


# The session.


async def test_the_cookies_are_for_this_service_and_for_no_script(service: Service) -> None:
    visitor = Visitor(service)
    sent = await set_out(visitor)
    arrived = await visitor.get(await visitor.through_wecom(sent, "zhangsan"))
    for cookie, lifetime in (
        (sent.cookies["fta_login"], "600"),
        (arrived.cookies["fta_session"], "43200"),
    ):
        assert cookie["httponly"] and not cookie["secure"] and not cookie["domain"]
        assert (cookie["samesite"], cookie["path"]) == ("Lax", "/o/bk_fta_solutions")
        assert cookie["max-age"] == lifetime


async def test_over_https_the_cookies_are_secure_and_named_so(start: StartService) -> None:
    service = await start(app_url=PUBLIC)
    service.wecom.trusted_hosts.add("fta.example.com")
    visitor = Visitor(service)
    sent = await set_out(visitor)
    arrived = await visitor.get(await visitor.through_wecom(sent, "zhangsan"))
    assert set(sent.cookies) == {"__Secure-fta_login"}
    assert set(arrived.cookies) == {"__Secure-fta_session", "__Secure-fta_login"}
    for cookie in (*sent.cookies.values(), *arrived.cookies.values()):
        # The one that is taken away too: browsers ignore a __Secure- cookie without Secure.
        assert cookie["secure"] and cookie["httponly"]
        assert (cookie["samesite"], cookie["path"]) == ("Lax", "/o/bk_fta_solutions")
    assert arrived.cookies["__Secure-fta_login"]["max-age"] == "0"
    assert (await visitor.get("/wechat/todo/")).status == 200


async def test_over_https_the_plain_names_count_for_nothing(start: StartService) -> None:
    """A cookie without the prefix may have been set over http by somebody on the way."""
    service = await start(app_url=PUBLIC)
    service.wecom.trusted_hosts.add("fta.example.com")
    visitor = Visitor(service)
    await visitor.log_in("zhangsan")
    value = visitor.cookies["__Secure-fta_session"]
    assert (await Visitor(service, cookies={"fta_session": value}).get(TODO)).status == 303


async def test_every_login_opens_a_session_of_its_own(service: Service) -> None:
    visitor, seen = Visitor(service), set()
    visitor.cookies["fta_session"] = "chosen-by-somebody-else"
    for userid in ("zhangsan", "zhangsan", "lisi"):
        arrived = await visitor.get(await visitor.through_wecom(await set_out(visitor), userid))
        seen.add(arrived.cookies["fta_session"].value)
    assert len(seen) == 3 and all(len(value) >= 43 for value in seen)
    fixed = Visitor(service, cookies={"fta_session": "chosen-by-somebody-else"})
    assert (await fixed.get("/wechat/todo/")).status == 303
    assert "lisi" in (await visitor.get("/wechat/todo/")).text


async def test_a_new_login_ends_the_earlier_one_of_this_browser_only(service: Service) -> None:
    await service.ask()
    visitor, elsewhere = Visitor(service), Visitor(service)
    form = (await visitor.log_in("zhangsan")).form
    await elsewhere.log_in("zhangsan")
    kept = Visitor(service, cookies=dict(visitor.cookies))
    arrived = await visitor.get(await visitor.through_wecom(await set_out(visitor), "lisi"))
    assert arrived.status == 303
    assert (await kept.get("/wechat/todo/")).status == 303
    assert (await kept.press(form, APPROVE)).status == 401
    assert (await visitor.press(form, APPROVE)).status == 403  # the form was another session's
    assert (await elsewhere.get("/wechat/todo/")).status == 200
    assert "lisi" in (await visitor.get("/wechat/todo/")).text
    assert await service.decisions() == []
    hashed = hashlib.sha256(kept.cookies["fta_session"].encode()).hexdigest()
    (_, opened), (_, ended) = await service.app[keys.READING].events_of(session_stream(hashed))
    assert isinstance(opened, Session.Opened) and isinstance(ended, Session.Ended)
    assert (opened.by, ended.why) == ("zhangsan", "logged-in-again")


async def test_a_login_that_fails_ends_nothing(service: Service) -> None:
    visitor = Visitor(service)
    await visitor.log_in("zhangsan")
    sent = await set_out(visitor)
    assert (await visitor.get(f"{LOGIN}?code=x&state={state_of(sent)}")).status == 400
    stranger = await visitor.through_wecom(await set_out(visitor), "@outside")
    assert (await visitor.get(stranger)).status == 403
    assert (await visitor.get("/wechat/todo/")).status == 200


async def test_a_session_ends_after_twelve_hours(service: Service, clock: Clock) -> None:
    visitor = Visitor(service)
    await visitor.log_in("zhangsan")
    clock.advance(hours=11, minutes=59, seconds=59)
    assert (await visitor.get("/wechat/todo/")).status == 200
    clock.advance(seconds=1)
    assert (await visitor.get("/wechat/todo/")).status == 303


async def test_a_session_outlives_the_process_and_so_do_its_forms(start: StartService) -> None:
    service = await start()
    approval = await service.ask()
    visitor = Visitor(service)
    form = (await visitor.log_in("zhangsan")).form
    await service.stop()
    visitor.service = again = await start()
    pressed = await visitor.press(form, APPROVE, headers={"Origin": again.url})
    assert pressed.status == 303
    assert (await again.look(approval["approval_id"]))["decided_by"] == "zhangsan"


@pytest.mark.parametrize("value", ["", "x", "a" * 5000, "session-", "%00", "' OR 1=1 --"])
async def test_an_invented_session_is_none(service: Service, value: str) -> None:
    await Visitor(service).log_in("zhangsan")
    assert (await Visitor(service, cookies={"fta_session": value}).get(TODO)).status == 303


async def test_the_store_knows_the_hash_of_a_session_and_not_its_cookie(
    service: Service, tmp_path: Path
) -> None:
    visitor = Visitor(service)
    await visitor.log_in("zhangsan")
    value = visitor.cookies["fta_session"]
    hashed = hashlib.sha256(value.encode()).hexdigest()
    # Whoever reads the store cannot use what stands there.
    assert (await Visitor(service, cookies={"fta_session": hashed}).get(TODO)).status == 303
    await service.stop()
    stored = everything_in(tmp_path)
    assert hashed.encode() in stored
    assert value.encode() not in stored


# Logging out.

LOGOUT = "/wechat/accounts/logout/"


async def test_who_logs_out_is_out_whatever_the_browser_keeps(service: Service) -> None:
    approval = await service.ask()
    visitor, elsewhere = Visitor(service), Visitor(service)
    page = await visitor.log_in("zhangsan")
    await elsewhere.log_in("zhangsan")
    kept = Visitor(service, cookies=dict(visitor.cookies))
    out = await visitor.log_out(page)
    assert out.status == 200 and "已退出登录" in out.text
    assert out.links == [visitor.prefix + LOGIN]
    assert "fta_session" not in visitor.cookies
    for browser in (visitor, kept):
        assert (await browser.get("/wechat/todo/")).status == 303
        assert (await browser.press(page.form, APPROVE)).status == 401
    assert (await elsewhere.get("/wechat/todo/")).status == 200
    assert (await service.look(approval["approval_id"]))["status"] == "pending"
    again = await visitor.get(await visitor.through_wecom(await set_out(visitor), "zhangsan"))
    assert (again.status, again.location) == (303, TODO)
    # Nor does it come back to life when its owner logs in again.
    assert (await kept.get("/wechat/todo/")).status == 303


async def test_logging_out_is_recorded_once_and_again_it_says_the_same(service: Service) -> None:
    visitor = Visitor(service)
    page = await visitor.log_in("zhangsan")
    kept = dict(visitor.cookies)
    assert (await visitor.log_out(page)).status == 200
    before = await service.app[keys.READING].last_position()
    visitor.cookies = dict(kept)
    assert (await visitor.log_out(page)).status == 200
    reloaded = await visitor.log_out(page)  # without the cookie
    assert reloaded.status == 200 and "已退出登录" in reloaded.text
    hashed = hashlib.sha256(kept["fta_session"].encode()).hexdigest()
    events = await service.app[keys.READING].events_of(session_stream(hashed))
    assert [getattr(event, "why", None) for _, event in events] == [None, "logged-out"]
    assert await service.app[keys.READING].last_position() == before


async def test_only_our_form_in_this_session_logs_out(service: Service) -> None:
    visitor, other = Visitor(service), Visitor(service)
    page, others = await visitor.log_in("zhangsan"), await other.log_in("zhangsan")
    approval = await service.ask()
    deciding = (await visitor.get(f"/wechat/a/{approval['approval_id']}/")).form
    token = page.logout.fields["token"]
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    for fields, headers in [
        ({"token": others.logout.fields["token"]}, {}),
        ({"token": deciding.fields["token"]}, {}),
        ({"token": ""}, {}),
        ({}, kind),
        (f"token={token}&token={token}", kind),
        (f"token={token}", {"Content-Type": "text/plain"}),
        ({"token": token}, {"Origin": "https://evil.example"}),
        ({"token": token}, {"Origin": "null"}),
        ({"token": token}, {"Origin": ""}),
    ]:
        refused = await visitor.post(LOGOUT, fields, headers=headers)
        assert refused.status == 403, (fields, headers)
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        assert (await visitor.send(method, f"{visitor.prefix}{LOGOUT}?token={token}")).status == 405
    assert (await visitor.post(f"{LOGOUT}?token={token}", {}, headers=kind)).status == 403
    # A token of the logout decides nothing either.
    deciding.fields["token"] = token
    assert (await visitor.press(deciding, APPROVE)).status == 403
    assert (await visitor.get("/wechat/todo/")).status == 200
    out = await visitor.post(LOGOUT.rstrip("/"), {"token": token})  # old browsers send no Origin
    assert out.status == 200 and "fta_session" not in visitor.cookies
    assert (await other.get("/wechat/todo/")).status == 200


async def test_the_way_out_stands_at_the_foot_of_the_list_and_of_a_page(service: Service) -> None:
    approval = await service.ask()
    visitor = Visitor(service)
    page = await visitor.log_in("ZhangSan", f"/wechat/a/{approval['approval_id']}/")
    assert "zhangsan退出登录" in page.text.lower().replace(" ", "")
    assert "退出登录" not in (await visitor.get("/wechat/nothing/")).text
    assert (await visitor.log_out(page)).status == 200
    assert (await visitor.get("/wechat/todo/")).status == 303


async def test_over_https_logging_out_drops_the_secure_cookie(start: StartService) -> None:
    service = await start(app_url=PUBLIC)
    service.wecom.trusted_hosts.add("fta.example.com")
    visitor = Visitor(service)
    out = await visitor.log_out(await visitor.log_in("zhangsan"))
    cookie = out.cookies["__Secure-fta_session"]
    assert cookie["secure"] and cookie["httponly"] and cookie["max-age"] == "0"
    assert cookie["path"] == "/o/bk_fta_solutions"
    assert "__Secure-fta_session" not in visitor.cookies


# The public address.


@pytest.mark.parametrize(
    ("app_url", "listening_on", "ours", "foreign"),
    [
        (None, "127.0.0.1:8000", ["http://127.0.0.1:8000"], ["http://127.0.0.1", "null", ""]),
        (None, "0.0.0.0:8000", ["http://127.0.0.1:8000"], ["http://0.0.0.0:8000"]),
        (None, "[::1]:8000", ["http://[::1]:8000"], ["http://::1:8000"]),
        (None, "10.1.2.3:80", ["http://10.1.2.3"], ["http://10.1.2.3:80", "https://10.1.2.3"]),
        (
            "https://FTA.Example.com:443/o/bk_fta_solutions/wechat/",
            "127.0.0.1:8000",
            ["https://fta.example.com", "http://127.0.0.1:8000"],
            ["http://fta.example.com", "https://fta.example.com.evil.example", "https://a"],
        ),
        (PUBLIC, "10.1.2.3:8000", ["https://fta.example.com"], ["http://10.1.2.3:8000"]),
        (
            "http://fta.example.com:8080/x/wechat/",
            "127.0.0.1:1",
            ["http://fta.example.com:8080"],
            ["http://fta.example.com"],
        ),
    ],
)
def test_which_origins_are_ours(
    app_url: str | None, listening_on: str, ours: list[str], foreign: list[str]
) -> None:
    settings = read_settings({"FTA_APPROVAL_APP_URL": app_url} if app_url else {})
    addresses = public_addresses(settings, listening_on)
    assert [o for o in [*ours, *foreign] if addresses.is_ours(o)] == ours


async def test_nothing_of_a_request_changes_where_links_lead(service: Service) -> None:
    forged = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    sent = await Visitor(service).get(LOGIN, headers={**forged, "X-Forwarded-Proto": "https"})
    assert "evil" not in sent.location
    assert set(sent.cookies) == {"fta_login"}
