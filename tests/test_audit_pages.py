"""`/audit/`: who sees what of the history, and that it is kept who did; nothing can be changed."""

import asyncio
import csv
import io
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from adapters.store.event_store import sqlite_path
from adapters.store.writer import Overloaded
from domain.aggregate import Event
from domain.audit import Audit
from domain.catalogue import EVENTS as STORED
from domain.commands import ChangeSettings, Command, FreezeApprovals, RecordVerification
from domain.configuration import Change, Via
from tests.conftest import StartService
from tests.service import OTHER_TOKEN, WITHIN_S, Clock, Service
from tests.visitor import Page, Visitor
from web import keys
from web.audit import pages_export
from web.audit.pages_kinds import KINDS, kind_of, topics_of
from web.evidence import tree_state
from web.parts import beside_database

Json = dict[str, Any]
AUDIT, EVENTS = "/audit/", "/audit/events/"
AUDITOR = {"auditors": "wangwu", "super_approvers": ""}
ACTION = {"do": "restart", "host": "10.0.0.3"}


@pytest.fixture
async def audited(start: StartService) -> Service:
    return await start(**AUDITOR)


async def visitor(service: Service, userid: str = "wangwu") -> Visitor:
    somebody = Visitor(service)
    await somebody.log_in(userid)
    return somebody


def path_of(approval: Json) -> str:
    return f"/audit/a/{approval['approval_id']}/"


async def kept(service: Service) -> list[Event]:
    """What was recorded of readers of the history, oldest first."""
    last = await service.app[keys.READING].last_position()
    store = service.app[keys.WRITER].store
    stored = store.read_after(0, last)
    return [store.event(one) for one in stored if one.topic.startswith("audit.")]


# One approval.


async def lived(service: Service, clock: Clock) -> Json:
    """An approval to which everything happened."""
    approval: Json = await service.ask(
        "7_3", approvers=["ZhangSan", "lisi"], action=ACTION, requested_by="zhangsan", biz_id="2"
    )
    await service.notified(approval["approval_id"])
    await service.says("zhangsan", "TY 7_3")
    await service.says("wangwu", "BH 7_3 <b>不行</b>")
    await service.says("lisi", "TY 7_3 已确认吗？")
    clock.advance(seconds=65)
    await service.says("lisi", "TY 7_3 已确认备机可用")
    permit = (await service.decisions())[-1]["data"]["permit"]
    for attempt, action in (("a-1", {"do": "stop"}), ("a-2", ACTION), ("a-3", ACTION)):
        body = {"permit": permit, "action": action, "attempt": attempt}
        await service.api("POST", "/permits/redeem", json=body)
    clock.advance(seconds=30)
    outcome = {"outcome": "failed", "detail": "无法连接"}
    await service.api("POST", f"/approvals/{approval['approval_id']}/outcome", json=outcome)
    return approval


async def test_one_page_says_everything_that_happened_to_an_approval(
    audited: Service, clock: Clock
) -> None:
    approval = await lived(audited, clock)
    page = await (await visitor(audited)).get(path_of(approval))
    assert page.status == 200
    for said in (
        "替换故障机 10.0.0.1",
        '"host": "10.0.0.3"',
        approval["action_digest"],
        "ZhangSan、lisi",
        "lisi 于 2026-01-05 20:01:05 通过回复同意",
        "未生效的回复（3）",
        "zhangsan 发起人不能审批",
        "BH 7_3 <b>不行</b>",
        "像是在提问",
        "已送达企业微信",
        "有效至 2026-01-05 20:16:05",
        "已领取 fta",
        "拒绝领取 要执行的操作与批准的不同",
        "拒绝领取 许可已被另一次执行领取",
        "执行失败 fta 无法连接",
        "2026-01-05 20:01:35",
        "时间均为 Asia/Shanghai",
    ):
        assert said in page.text, said
    assert "<b>不行</b>" not in page.html


async def test_its_events_are_those_that_were_stored_in_order(
    audited: Service, clock: Clock
) -> None:
    approval = await lived(audited, clock)
    page = await (await visitor(audited)).get(path_of(approval))
    events = await audited.events(approval["approval_id"])
    positions = [tag["id"] for _, tag in page.tags if tag.get("id", "").startswith("at-")]
    assert positions == [f"at-{event['position']}" for event in events]


async def test_other_runs_of_its_node_are_named_where_the_reader_may_see_them(
    audited: Service,
) -> None:
    first = await audited.ask("7_3", approvers=["zhangsan"])
    second = await audited.ask("7_3", run=2, approvers=["lisi"])
    for userid, seen in (("wangwu", [second]), ("zhangsan", [])):
        page = await (await visitor(audited, userid)).get(path_of(first))
        links = [link for link in page.links if link.endswith("/") and "/audit/a/" in link]
        assert links == [f"{Visitor(audited).prefix}{path_of(run)}" for run in seen]


async def test_of_a_callback_address_no_query_is_shown(audited: Service) -> None:
    address = "https://fta.example.com/hook?key=hunter2"
    approval = await audited.ask("7_3", callback_url=address)
    page = await (await visitor(audited)).get(path_of(approval))
    assert "https://fta.example.com/hook" in page.text
    assert "hunter2" not in page.html


# Looking for approvals.


def listed(page: Page) -> list[str]:
    """Reply ids on the page, from the top."""
    words = page.text.split()
    return [words[i + 1] for i, word in enumerate(words) if word == "编号"]


async def searched(somebody: Visitor, path: str = AUDIT, **filters: str) -> Page:
    return await somebody.get(f"{path}?{urlencode(filters)}")


async def a_few(service: Service) -> None:
    """Four approvals, each found by something else."""
    await service.ask("1_1", message="替换 10.0.0.1", details={"业务": "支付"})
    await service.ask("2_1", OTHER_TOKEN, message="重启 redis", approvers=["lisi"])
    await service.ask("3_1", message="重启 nginx", approvers=["zhangsan"])
    await service.ask("4_1", message="清理日志", approvers=["zhangsan"])
    await service.says("zhangsan", "TY 3_1 已确认备机可用")
    await service.says("zhangsan", "BH 4_1 先观察")


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, ["4_1", "3_1", "2_1", "1_1"]),
        ({"status": "approved"}, ["3_1"]),
        ({"business": "支付"}, ["1_1"]),
        ({"engine": "other"}, ["2_1"]),
        ({"member": "LiSi"}, ["2_1", "1_1"]),
        ({"channel": "wecom-text"}, ["4_1", "3_1"]),
        ({"words": "重启"}, ["3_1", "2_1"]),
        ({"words": "先观察"}, ["4_1"]),
        ({"words": "重 启 n g i n x"}, ["3_1"]),
        ({"words": "重 启 n g i n y"}, []),
        ({"from": "2026-01-05", "to": "2026-01-05"}, ["4_1", "3_1", "2_1", "1_1"]),
        ({"from": "2026-01-06"}, []),
        ({"to": "2026-01-04"}, []),
        ({"status": "rejected", "member": "zhangsan", "words": "日志"}, ["4_1"]),
    ],
    ids=str,
)
async def test_approvals_are_found_by_each_filter(
    audited: Service, filters: dict[str, str], found: list[str]
) -> None:
    await a_few(audited)
    page = await searched(await visitor(audited), **filters)
    assert (page.status, listed(page)) == (200, found)
    assert ("没有找到审批" in page.text) is (not found)
    assert "时间均为 Asia/Shanghai" in page.text


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (AUDIT, {"status": "done"}),
        (AUDIT, {"channel": "telegram"}),
        (AUDIT, {"from": "yesterday"}),
        (AUDIT, {"to": "9999-12-31"}),
        (AUDIT, {"after": "1"}),
        (AUDIT, {"words": "a" * 201}),
        (EVENTS, {"by": "a" * 201}),
        (EVENTS, {"kind": "everything"}),
        (EVENTS, {"from": "2026-02-30"}),
        (EVENTS, {"after": "-1-1"}),
    ],
    ids=str,
)
async def test_a_filter_that_means_nothing_shows_nothing_says_so_and_is_no_look(
    audited: Service, path: str, wrong: dict[str, str]
) -> None:
    await a_few(audited)
    page = await searched(await visitor(audited), path, **wrong)
    assert page.status == 400
    assert "没有看懂查找条件，什么也没有列出" in page.text
    assert "/audit/a/" not in page.html and "<li>" not in page.html and "CSV" not in page.text
    assert await kept(audited) == []


async def test_thirty_stand_on_a_page_and_each_page_is_a_look(audited: Service) -> None:
    for number in range(33):
        await audited.ask(f"{number}_1", biz_id="支付 & 订单" if number else None)
    wangwu = await visitor(audited)
    first = await searched(wangwu, business="支付 & 订单")
    assert listed(first) == [f"{number}_1" for number in range(32, 2, -1)]
    (older,) = [link for link in first.links if "after=" in link]
    second = await wangwu.get(older)
    assert listed(second) == ["2_1", "1_1"]
    (newest,) = [link for link in second.links if link.endswith("%26+%E8%AE%A2%E5%8D%95")]
    assert listed(await wangwu.get(newest)) == listed(first)
    looks = [event.wanted for event in await kept(audited) if isinstance(event, Audit.Searched)]
    wanted = {"business": "支付 & 订单"}
    after = older.rpartition("after=")[2]
    assert looks == [wanted, {**wanted, "after": after}, wanted]


async def test_what_is_searched_for_is_escaped(audited: Service) -> None:
    page = await searched(await visitor(audited), words='"><script>', business="'--")
    assert "<script>" not in page.html and page.status == 200


@pytest.mark.parametrize("path", [AUDIT, EVENTS])
async def test_whatever_bytes_stand_in_an_address_are_searched_for_and_kept(
    audited: Service, path: str
) -> None:
    wangwu = await visitor(audited)
    for strange in ("%FF%FE", "%ED%A0%80", "%00", "%0A%1B[2J", "%F0%9F%98%80", "%E2%80%AE"):
        page = await wangwu.get(f"{path}?words={strange}&by={strange}&member={strange}")
        assert page.status == 200, strange
    assert len(await kept(audited)) == 6
    assert (await wangwu.get(EVENTS)).status == 200


# What happened beside them.


async def busy_day(
    service: Service, setting: str = "message_style", values: tuple[str, ...] = ("card", "both")
) -> None:
    """Something of many a kind: logins, a message that names nothing, a freeze, a setting."""
    zhangsan = await visitor(service, "zhangsan")
    await zhangsan.log_out(await zhangsan.get("/wechat/todo/"))
    await service.says("lisi", "今天天气不错")
    writer, now = service.app[keys.WRITER], service.clock()
    await writer.execute(FreezeApprovals(at=now, by="shell:ops", why="演练"))
    for value in values:
        revision = (await service.app[keys.READING].configuration()).revision
        change = Change({setting: value})
        await writer.execute(
            ChangeSettings(at=now, by="lisi", via=Via.PAGE, revision=revision, change=change)
        )


def told(page: Page) -> list[str]:
    """What each line of the list says, from the top."""
    return re.findall(r'<span class="said">(.*?)</span>', page.html)


async def test_what_happened_beside_the_approvals_is_told_in_words(audited: Service) -> None:
    await audited.ask("1_1")
    await busy_day(audited)
    page = await searched(await visitor(audited), EVENTS)
    assert page.status == 200 and "时间均为 Asia/Shanghai" in page.text
    said = "\n".join(told(page))
    for words in (
        "zhangsan 登录（会话 ",
        "登录结束（会话 ",
        "“今天天气不错”（未生效: 未能理解）",
        "shell:ops 冻结了审批，原因: 演练",
        "由“card”改为“both”",
        "wangwu 搜索了审计历史（页面）",
        "服务首次启动，环境变量中的配置",
        "服务生成了许可签名密钥",
    ):
        assert words in said, words
    assert "发起审批" not in said
    assert "登录 zhangsan 登录结束（会话 " in page.text  # which does not say whose it was
    assert said.index("由“card”改为“both”") < said.index("zhangsan 登录")


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({"kind": "freezes"}, ["shell:ops 冻结了审批，原因: 演练"]),
        ({"by": "shell:OPS"}, ["shell:ops 冻结了审批，原因: 演练"]),
        ({"kind": "freezes", "by": "lisi"}, []),
        ({"kind": "freezes", "from": "2026-01-06"}, []),
    ],
    ids=str,
)
async def test_events_are_found_by_each_filter(
    audited: Service, filters: dict[str, str], said: list[str]
) -> None:
    await busy_day(audited)
    page = await searched(await visitor(audited), EVENTS, **filters)
    assert (page.status, told(page)) == (200, said)
    assert ("没有找到事件" in page.text) is (not said)


async def test_every_kind_of_event_that_is_no_approvals_has_a_place(audited: Service) -> None:
    for topic in STORED:
        is_of_approval = topic.startswith("approval.") and topic != "approval.webhook-requeued"
        assert (kind_of(topic) is None) is is_of_approval, topic
    of_each = [topic for kind in KINDS for topic in topics_of(kind)]
    assert sorted(of_each) == list(topics_of(None))
    assert all(topics_of(kind) for kind in KINDS)


async def test_who_looked_at_which_approval_leads_to_it(audited: Service) -> None:
    approval = await audited.ask("1_1")
    wangwu = await visitor(audited)
    await wangwu.get(path_of(approval))
    page = await searched(wangwu, EVENTS, kind="looks")
    assert "wangwu 查看了 1_1 的全部历史（页面）" in told(page)[1]
    assert Visitor(audited).prefix + path_of(approval) in page.links


# Who sees what.


async def test_a_look_is_kept_before_anything_is_shown(audited: Service, clock: Clock) -> None:
    approval = await audited.ask("1_1")
    wangwu = await visitor(audited)
    await searched(wangwu, words="替换", names="hidden")
    await searched(wangwu, EVENTS, kind="logins")
    await wangwu.get(path_of(approval))
    looks = [(e.TOPIC, e.by, e.via, getattr(e, "wanted", e)) for e in await kept(audited)]  # type: ignore[attr-defined]
    assert [look[:3] for look in looks] == [
        ("audit.searched", "wangwu", "page"),
        ("audit.searched", "wangwu", "page"),
        ("audit.opened", "wangwu", "page"),
    ]
    assert looks[0][3] == {"words": "替换", "names": "hidden"}
    assert looks[1][3] == {"what": "events", "kinds": "logins"}
    assert getattr(looks[2][3], "reply_id", None) == "1_1"


async def test_what_cannot_be_kept_is_not_shown(
    audited: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    approval = await audited.ask("1_1", message="替换 10.0.0.1")
    wangwu = await visitor(audited)

    async def busy(command: Command, **more: Any) -> Any:
        raise Overloaded

    monkeypatch.setattr(audited.app[keys.WRITER], "execute", busy)
    for path in (AUDIT, EVENTS, path_of(approval)):
        page = await wangwu.get(path)
        assert page.status == 503, path
        assert "10.0.0.1" not in page.html and "登录（" not in page.html


PAGES = (AUDIT, EVENTS)


async def test_who_is_not_logged_in_is_sent_to_the_login_and_back(audited: Service) -> None:
    approval = await audited.ask("1_1")
    for path in (*PAGES, path_of(approval), "/audit/a/nothing/"):
        assert (await Visitor(audited).get(path)).status == 303, path
    assert "审计" in (await Visitor(audited).log_in("wangwu", AUDIT)).text


async def test_a_stranger_finds_what_there_is_not(audited: Service) -> None:
    approval = await audited.ask("1_1", approvers=["zhangsan"])
    lisi = await visitor(audited, "lisi")
    unknown = await lisi.get("/audit/nothing/")
    for path in (*PAGES, path_of(approval), "/audit/a/nothing/"):
        page = await lisi.get(path)
        assert (page.status, page.text) == (404, unknown.text), path
    assert await kept(audited) == []


async def test_an_approver_sees_theirs_alone_and_that_is_kept_too(audited: Service) -> None:
    mine = await audited.ask("1_1", approvers=["zhangsan", "lisi"], message="替换 10.0.0.1")
    other = await audited.ask("2_1", approvers=["lisi"], message="替换 10.0.0.2")
    await audited.says("zhangsan", "TY 2_1")
    zhangsan = await visitor(audited, "zhangsan")
    page = await searched(zhangsan, member="lisi")
    assert listed(page) == ["1_1"]
    assert "10.0.0.2" not in page.html and "2_1" not in page.html
    for of_auditors in ("历史的完整性", "其他事件", "JSON Lines"):
        assert of_auditors not in page.text
    assert (await zhangsan.get(path_of(mine))).status == 200
    for path in (path_of(other), EVENTS):
        assert (await zhangsan.get(path)).status == 404, path
    assert [(e.TOPIC, e.by) for e in await kept(audited)] == [  # type: ignore[attr-defined]
        ("audit.searched", "zhangsan"),
        ("audit.opened", "zhangsan"),
    ]


async def test_what_others_were_asked_fills_nobodys_page(audited: Service) -> None:
    await audited.ask("0_1", approvers=["zhangsan"])
    for number in range(1, 32):
        await audited.ask(f"{number}_1", approvers=["lisi"])
    assert listed(await searched(await visitor(audited, "zhangsan"))) == ["0_1"]


async def test_the_events_decide_who_may_see_it_whatever_a_read_model_says(
    audited: Service,
) -> None:
    await audited.ask("1_1", approvers=["zhangsan"])
    other = await audited.ask("2_1", approvers=["lisi"])
    zhangsan = await visitor(audited, "zhangsan")
    views = beside_database(audited.app[keys.SETTINGS], "-views")
    with closing(sqlite3.connect(views)) as database, database:
        row = ("zhangsan", other["number"], 0, "", "pending")
        database.execute("INSERT INTO history_readers VALUES (?, ?, ?, ?, ?)", row)
    assert listed(await searched(zhangsan)) == ["1_1"]


@pytest.mark.parametrize(
    ("role", "is_auditor"), [("auditors", True), ("admins", True), ("super_approvers", False)]
)
async def test_super_approvers_see_every_approval_and_auditors_and_admins_the_rest(
    start: StartService, role: str, is_auditor: bool
) -> None:
    service = await start(**{"super_approvers": "", role: "WangWu"})
    approval = await service.ask("1_1", approvers=["zhangsan"])
    wangwu = await visitor(service)
    page = await searched(wangwu)
    assert listed(page) == ["1_1"]
    assert (await wangwu.get(path_of(approval))).status == 200
    assert (await wangwu.get(EVENTS)).status == (200 if is_auditor else 404)
    for of_auditors in ("历史的完整性", "其他事件", "JSON Lines"):
        assert (of_auditors in page.text) is is_auditor


async def test_lists_and_the_page_of_an_approval_lead_auditors_there_and_nobody_else(
    audited: Service,
) -> None:
    approval = await audited.ask("1_1")
    prefix = Visitor(audited).prefix
    detail = f"/wechat/a/{approval['approval_id']}/"
    for userid, leads in (("wangwu", True), ("zhangsan", False)):
        somebody = await visitor(audited, userid)
        for path, there in (
            ("/wechat/todo/", AUDIT),
            ("/wechat/history/", AUDIT),
            (detail, path_of(approval)),
        ):
            assert (prefix + there in (await somebody.get(path)).links) is leads, (userid, path)


async def test_nothing_under_audit_changes_anything_but_what_is_kept_of_readers(
    audited: Service,
) -> None:
    """Every route, so that a new one is thought about here."""
    under = f"{audited.app[keys.SETTINGS].url_prefix}/audit"
    routes = {
        (route.method, route.resource.canonical.removeprefix(under).rstrip("/"))
        for route in audited.app.router.routes()
        if route.resource is not None and route.resource.canonical.startswith(under)
    }
    assert routes == {
        ("GET", ""),
        ("GET", "/events"),
        ("GET", "/a/{approval_id}"),
        ("POST", "/export"),
    }


# Members under other names.


async def test_members_stand_under_other_names_everywhere_when_that_is_wanted(
    audited: Service, clock: Clock
) -> None:
    approval = await lived(audited, clock)
    await busy_day(audited, "admins", ("lisi", "lisi,zhangsan"))
    wangwu = await visitor(audited)
    for path in (AUDIT, path_of(approval)):
        shown = await wangwu.get(path)
        assert "lisi" in shown.text
        (hide,) = [link for link in shown.links if "names=hidden" in link]
        hidden = await wangwu.get(hide)
        assert hidden.status == 200 and "姓名已用代号代替" in hidden.text
        assert not re.search("lisi|zhangsan", hidden.html, re.IGNORECASE)
        assert "member-" in hidden.text
        (back,) = [link for link in hidden.links if link.endswith(path)]
        assert "lisi" in (await wangwu.get(back)).text
        others = [link for link in hidden.links if "/audit/" in link and link != back]
        assert others and all(link.endswith("?names=hidden") for link in others)
    events = await searched(wangwu, EVENTS, names="hidden")
    assert not re.search("lisi|zhangsan", events.html, re.IGNORECASE)
    to_approval = [link for link in events.links if "/audit/a/" in link]
    assert to_approval and all(link.endswith("?names=hidden") for link in to_approval)


# A copy to take away.


async def export_form(somebody: Visitor, path: str = AUDIT, **filters: str) -> dict[str, str]:
    """The fields of the form on the page with these filters."""
    page = await searched(somebody, path, **filters)
    (form,) = [form for form in page.all_forms if form.action.endswith("/audit/export/")]
    assert form.buttons == [("form", "jsonl"), ("form", "csv")] and form.method == "post"
    return form.fields


async def export(somebody: Visitor, fields: dict[str, str], form: str, **request: Any) -> Page:
    headers = {"Origin": somebody.origin, **request.pop("headers", {})}
    return await somebody.post("/audit/export/", {**fields, "form": form}, headers=headers)


def rows_of(page: Page) -> list[Json]:
    return [json.loads(line) for line in page.body.decode().splitlines()]


async def test_what_fits_to_the_filters_is_taken_whole_and_that_is_kept(audited: Service) -> None:
    for number in range(35):
        await audited.ask(f"{number}_1", approvers=["zhangsan"] if number % 7 else ["lisi"])
    wangwu = await visitor(audited)
    page = await export(wangwu, await export_form(wangwu, member="zhangsan"), "jsonl")
    assert page.status == 200
    assert page.headers["Content-Type"] == "application/x-ndjson; charset=utf-8"
    assert page.headers["Content-Disposition"] == (
        'attachment; filename="fta-approval-approvals-20260105-200000.jsonl"'
    )
    assert page.headers["Cache-Control"] == "no-store"
    taken = [row["reply_id"] for row in rows_of(page)]
    assert taken == [f"{number}_1" for number in range(35) if number % 7]
    exported = (await kept(audited))[-1]
    assert isinstance(exported, Audit.Exported)
    assert (exported.by, exported.via, exported.what, exported.form, exported.pseudonyms) == (
        *("wangwu", "page", "approvals", "jsonl"),
        False,
    )
    assert exported.wanted == {"member": "zhangsan"}


async def test_a_spreadsheet_gets_what_it_can_read(audited: Service) -> None:
    await a_few(audited)
    wangwu = await visitor(audited)
    page = await export(wangwu, await export_form(wangwu, status="approved"), "csv")
    assert page.headers["Content-Type"] == "text/csv; charset=utf-8"
    text = page.body.decode("utf-8-sig")
    assert page.body != text.encode()  # it says that it is UTF-8
    head, row = csv.DictReader(io.StringIO(text)), None
    (row,) = list(head)
    assert (row["reply_id"], row["message"]) == ("3_1", "重启 nginx")


async def test_other_events_are_taken_too(audited: Service) -> None:
    await audited.ask("1_1")
    await busy_day(audited)
    wangwu = await visitor(audited)
    page = await export(wangwu, await export_form(wangwu, EVENTS, kind="freezes"), "jsonl")
    assert [row["type"] for row in rows_of(page)] == ["freeze.began"]
    everything = await export(wangwu, await export_form(wangwu, EVENTS), "jsonl")
    kinds = {row["type"] for row in rows_of(everything)}
    assert {"freeze.began", "session.opened", "configuration.changed", "audit.exported"} <= kinds
    assert not [kind for kind in kinds if kind.startswith("approval.")]
    by_stranger = await export(wangwu, await export_form(wangwu, EVENTS, by="shell:ops"), "jsonl")
    assert [row["type"] for row in rows_of(by_stranger)] == ["freeze.began"]


async def test_names_stay_hidden_in_what_is_taken(audited: Service, clock: Clock) -> None:
    await lived(audited, clock)
    wangwu = await visitor(audited)
    for path in (AUDIT, EVENTS):
        for form in ("jsonl", "csv"):
            page = await export(wangwu, await export_form(wangwu, path, names="hidden"), form)
            assert page.status == 200 and b"member-" in page.body
            assert not re.search(b"lisi|zhangsan", page.body, re.IGNORECASE)
            exported = (await kept(audited))[-1]
            assert isinstance(exported, Audit.Exported) and exported.pseudonyms


async def test_nobody_else_takes_anything_and_no_form_but_ours_does(audited: Service) -> None:
    await audited.ask("1_1", approvers=["zhangsan"])
    wangwu, zhangsan = await visitor(audited), await visitor(audited, "zhangsan")
    fields = await export_form(wangwu)
    elsewhere = {"Origin": "https://evil.example.com"}
    nothing: dict[str, str] = {}
    for somebody, sent, headers, status in (
        (Visitor(audited), fields, nothing, 401),
        (zhangsan, fields, nothing, 404),
        (zhangsan, nothing, nothing, 404),
        (wangwu, {**fields, "token": "0" * 64}, nothing, 403),
        (wangwu, nothing, nothing, 403),
        (wangwu, fields, elsewhere, 403),
        (wangwu, {**fields, "status": "done"}, nothing, 400),
        (wangwu, {**fields, "what": "secrets"}, nothing, 400),
    ):
        page = await export(somebody, sent, "jsonl", headers=headers)
        assert page.status == status, (sent, status)
        assert b"1_1" not in page.body
    assert (await export(wangwu, fields, "xlsx")).status == 400
    assert (await wangwu.get("/audit/export/")).status == 405
    assert not [it for it in await kept(audited) if isinstance(it, Audit.Exported)]


async def test_what_cannot_be_kept_is_not_given(
    audited: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await audited.ask("1_1")
    wangwu = await visitor(audited)
    fields = await export_form(wangwu)

    async def busy(command: Command, **more: Any) -> Any:
        raise Overloaded

    monkeypatch.setattr(audited.app[keys.WRITER], "execute", busy)
    page = await export(wangwu, fields, "jsonl")
    assert page.status == 503 and b"1_1" not in page.body


async def test_half_a_file_never_looks_like_a_whole_one(
    audited: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await audited.ask("1_1")
    wangwu = await visitor(audited)
    fields = await export_form(wangwu)

    def broken(*given: Any) -> Iterator[bytes]:
        yield b"{}\n"
        raise ValueError("event 9 cannot be read")

    monkeypatch.setattr(pages_export, "written", broken)
    with pytest.raises(aiohttp.ClientPayloadError):
        await export(wangwu, fields, "jsonl")


# The state of the log.


async def verified(service: Service, problem: str | None) -> None:
    """As `fta-approval audit verify` records it."""
    command = RecordVerification(
        at=service.clock(),
        by="shell:ops",
        via="shell",
        tree_size=25,
        position=25,
        root_hash="q1s7H2mZc0Yt8m7x9J7Yy1k3Jb1v0S5mY9w2mH4yQ0Q=",
        problem=problem,
    )
    await service.app[keys.WRITER].execute(command)


@pytest.mark.parametrize("path", [AUDIT, EVENTS])
async def test_it_says_who_verified_the_history_last_when_and_what_they_found(
    audited: Service, clock: Clock, path: str
) -> None:
    wangwu = await visitor(audited)
    assert "还没有核验过" in (await wangwu.get(path)).text
    said = "由 shell:ops 于 2026-01-05 20:00:00 核验，共 25 个事件。"
    await verified(audited, "event 7 is not as it was recorded")
    page = await wangwu.get(path)
    assert "核验发现问题 event 7 is not as it was recorded" in page.text and said in page.text
    assert "没有发现改动" not in page.text
    clock.advance(hours=1)
    await verified(audited, None)
    page = await wangwu.get(path)
    assert "没有发现改动" in page.text and "20:00:00 核验" not in page.text
    assert "这只说明数据自身一致" in page.text and "核验发现问题" not in page.text


async def test_it_says_what_the_newest_signed_head_covers(audited: Service) -> None:
    wangwu = await visitor(audited)
    async with asyncio.timeout(WITHIN_S):
        while (state := await tree_state(audited.app[keys.READING])) is None:
            await asyncio.sleep(0.01)
    page = await wangwu.get(AUDIT)
    newest = re.search(
        r"最新的签名: (\d+) 个事件，签于 2026-01-05 20:00:00，密钥 (\S+)。", page.text
    )
    assert newest is not None
    assert int(newest[1]) >= state.tree_size and newest[2] == state.key_id


async def test_a_head_that_cannot_be_read_is_a_problem(audited: Service) -> None:
    wangwu = await visitor(audited)
    path = sqlite_path(audited.app[keys.SETTINGS].database)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("INSERT INTO tree_heads VALUES (?, ?)", (10**9, "{}"))
    page = await wangwu.get(AUDIT)
    assert page.status == 200 and "核验发现问题 最新的签名树头不能读取" in page.text
