"""Words for what happened beside the approvals."""

from typing import Any

import pytest

from domain.aggregate import Aggregate, Event
from domain.audit import Audit
from domain.configuration import CONFIGURATION_STREAM, Change, Configuration, Via
from domain.freeze import Freeze
from domain.inbox import Inbox
from domain.installation import STREAM, Installation, SecretKind
from domain.session import Session, session_stream
from tests.scenario import NOON, after
from web.happenings import SECRETS, settings_before
from web.timeline import in_words
from web.translation import CHINESE, ENGLISH, LANGUAGE

LINK = "link:1a2b3c4d"


def told(event: Event, **more: Any) -> tuple[str, str]:
    """Chinese and English."""
    lines = []
    for language in (CHINESE, ENGLISH):
        token = LANGUAGE.set(language)
        lines.append(in_words(event, **more))
        LANGUAGE.reset(token)
    return lines[0], lines[1]


def last_of(aggregate: Aggregate) -> Event:
    return list(aggregate.collect_events())[-1]


def wrote(**reply: Any) -> Event:
    inbox = Inbox("inbox-zhangsan-2026-05-04")
    inbox.receive(NOON, **{"by": "zhangsan", "channel": "wecom-text", **reply})
    return last_of(inbox)


@pytest.mark.parametrize(
    ("reply", "chinese", "english"),
    [
        (
            {"words": "TY 9", "verdict": "approve", "refusal": "unknown-approval"},
            "zhangsan 通过回复同意: “TY 9”（未生效: 没有这个编号）",
            "zhangsan chose to approve via reply: “TY 9” (no effect: there is no such id)",
        ),
        (
            {
                "words": "TY 1_1 2",
                "verdict": "approve",
                "refusal": "several-ids",
                "suggestions": ["1_1"],
            },
            "zhangsan 通过回复同意: “TY 1_1 2”（未生效: 写了不止一个编号），可供选择的有 1_1",
            (
                "zhangsan chose to approve via reply: “TY 1_1 2”"
                " (no effect: it names more than one id); named as possible: 1_1"
            ),
        ),
        (
            {"words": "待办", "refusal": "todo"},
            "zhangsan 通过回复回复: “待办”（查看待办）",
            "zhangsan answered via reply: “待办” (asked what waits)",
        ),
        (
            {"words": "[image]\n[31m", "refusal": "not-text"},
            "zhangsan 通过回复回复: “[image] [31m”（未生效: 不是文字）",
            "zhangsan answered via reply: “[image] [31m” (no effect: not a text)",
        ),
    ],
)
def test_what_somebody_wrote_that_named_no_approval(
    reply: dict[str, Any], chinese: str, english: str
) -> None:
    assert told(wrote(**reply)) == (chinese, english)


def test_a_picture_after_another_is_not_answered_again() -> None:
    inbox = Inbox("inbox-zhangsan-2026-05-04")
    for at in (NOON, after(minutes=1)):
        picture = {"words": "[image]", "refusal": "not-text", "channel": "wecom-text"}
        inbox.receive(at, by="zhangsan", **picture)
    assert told(last_of(inbox))[1].endswith("; not answered, for that was said before on this day")


def test_logins_are_told_apart_by_their_session() -> None:
    session = Session(session_stream("0123456789abcdef"))
    session.open("zhangsan", after(hours=8), NOON)
    assert told(last_of(session)) == (
        "zhangsan 登录（会话 01234567）",
        "zhangsan logged in (session 01234567)",
    )
    session.end(after(minutes=1), "logged-out")
    assert told(last_of(session)) == (
        "登录结束（会话 01234567）: 本人退出",
        "a login ended (session 01234567): logged out",
    )


def test_who_came_by_the_link_is_no_member() -> None:
    session = Session(session_stream("0123456789abcdef"))
    session.open(LINK, after(hours=1), NOON)
    assert told(last_of(session))[1] == (
        f"somebody entered the configuration page by the one-time link ({LINK}, session 01234567)"
    )


def test_of_a_secret_there_is_what_it_is_for_and_who_made_it() -> None:
    installation = Installation(STREAM)
    installation.found("feed", NOON)
    installation.make_secret(SecretKind.PERMIT_KEY, "kid-1", "sealed", NOON)
    assert told(last_of(installation))[1] == "the service made a key that signs permits (kid-1)"
    installation.make_secret(
        SecretKind.PERMIT_KEY, "kid-2", "sealed", NOON, by="shell:root", voids_earlier=True
    )
    assert told(last_of(installation)) == (
        "shell:root 生成了新的许可签名密钥（kid-2），此前的作废",
        "shell:root made a new key that signs permits (kid-2), and those before are void",
    )


def test_no_kind_of_secret_is_without_words() -> None:
    assert set(SecretKind) <= set(SECRETS)


def test_a_freeze() -> None:
    freeze = Freeze()
    freeze.freeze("shell:root", "网络变更", NOON)
    assert told(last_of(freeze))[1] == "shell:root froze approvals, reason: 网络变更"
    freeze.thaw("shell:root", after(minutes=1))
    assert told(last_of(freeze))[0] == "shell:root 解除了审批冻结"


def changed(*changes: tuple[Change, Via]) -> tuple[Configuration.Changed, Configuration]:
    """The last change, and the configuration in front of it."""
    configuration = Configuration()
    events: list[Event] = []
    for change, via in changes:
        if via is Via.ENVIRONMENT:
            configuration.find_environment(change, NOON)
        else:
            configuration.change(change, configuration.revision, "lisi", via, NOON)
        events += configuration.collect_events()
    last = events[-1]
    assert isinstance(last, Configuration.Changed)
    return last, Configuration.replay(CONFIGURATION_STREAM, events[:-1])


def test_settings_are_told_from_what_to_what_and_of_secrets_only_that() -> None:
    event, then = changed(
        (Change({"super_approvers": "zhangsan"}), Via.PAGE),
        (
            Change(
                {"super_approvers": "zhangsan,lisi", "time_zone": None},
                {"wecom_secret": "SEALED"},
                {"wecom_secret": "PRINT", "wecom_token": None},
            ),
            Via.SHELL,
        ),
    )
    chinese, english = told(event, before=settings_before(event, then))
    assert chinese == (
        "lisi 在服务器命令行修改了配置: 审批管理员 由“zhangsan”改为“zhangsan,lisi”；"
        "Secret 已更换（内容保密）；将告知 zhangsan、lisi"
    )
    assert "from “zhangsan” to “zhangsan,lisi”" in english
    assert "SEALED" not in english and "PRINT" not in english
    assert "is “zhangsan,lisi”" in told(event)[1]  # where what was before is not known


def test_what_the_environment_sets_is_told_against_the_start_before() -> None:
    first, _ = changed((Change({"admins": "zhangsan"}), Via.ENVIRONMENT))
    assert told(first)[0] == "服务首次启动，环境变量中的配置: 配置管理员 为“zhangsan”"
    event, then = changed(
        (Change({"admins": "zhangsan"}), Via.ENVIRONMENT),
        (Change({"admins": "lisi"}), Via.PAGE),
        (Change({}), Via.ENVIRONMENT),
    )
    assert told(event, before=settings_before(event, then))[0].startswith(
        "服务启动，环境变量与上次启动时不同: 配置管理员 由“zhangsan”改为“未设置”"
    )


def test_an_address_is_told_without_the_password_in_it() -> None:
    proxy = "http://user:word@proxy.mycompany.com:3128"
    event, _ = changed((Change({"wecom_proxy": proxy}), Via.PAGE))
    assert "http://…@proxy.mycompany.com:3128" in told(event)[0]


def test_the_link_to_the_configuration_page_is_never_told_whole() -> None:
    configuration = Configuration()
    hashed = "1a2b3c4d" * 8
    configuration.offer_link(hashed, after(hours=1), "shell:root", NOON)
    offered = told(last_of(configuration))
    configuration.use_link(hashed, LINK, NOON)
    used = told(last_of(configuration))
    assert offered[1] == "shell:root made a one-time link to the configuration page (1a2b3c4d)"
    assert used[0] == "配置页面的一次性链接已使用（1a2b3c4d）"


def test_what_somebody_did_with_the_history() -> None:
    audit = Audit("audit-wangwu-2026-05-04")
    audit.search("wangwu", "page", {"member": "zhangsan", "words": "a\nb"}, NOON)
    assert told(last_of(audit)) == (
        "wangwu 搜索了审计历史（页面）: member: zhangsan，words: a b",
        "wangwu searched the history (page): member: zhangsan, words: a b",
    )
    audit.search("wangwu", "page", {}, NOON)
    assert told(last_of(audit))[1] == "wangwu searched the history (page)"
    audit.open("wangwu", "page", "12345_2.3", NOON)
    assert told(last_of(audit))[0] == "wangwu 查看了 12345_2.3 的全部历史（页面）"
    audit.export("wangwu", "shell", "events", {"status": "approved"}, "csv", NOON, pseudonyms=True)
    assert told(last_of(audit))[1] == (
        "wangwu exported events (csv, shell), with pseudonyms in place of names: status: approved"
    )
    found = {"tree_size": 7, "position": 9, "root_hash": "", "problem": None}
    audit.verify("service", "service", NOON, **found)  # type: ignore[arg-type]
    assert told(last_of(audit))[1] == (
        "service verified 7 events, up to position 9 (the service itself): as they were recorded"
    )
    audit.verify("service", "service", NOON, **{**found, "problem": "position 3 was changed"})  # type: ignore[arg-type]
    assert told(last_of(audit))[0].endswith(": 发现问题: position 3 was changed")


def test_whose_the_tokens_are_is_told_and_no_token() -> None:
    change = Change(
        {}, {"api_tokens": "SEALED"}, {"api_tokens": "PRINT"}, {"api_tokens": ["fta", "bcs"]}
    )
    event, _ = changed((change, Via.SHELL))
    assert told(event)[1].endswith(": API tokens replaced (secret), for fta, bcs")
