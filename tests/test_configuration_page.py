"""The configuration page over real HTTP: who may, what is shown, what is saved, what is tested."""

import re
from pathlib import Path
from typing import Any

import pytest

from domain.configuration import CONFIGURATION_STREAM, Configuration
from tests import confidential
from tests.configuring import changes, set_elsewhere, set_here
from tests.conftest import StartService
from tests.service import TOKEN, Clock, Service
from tests.test_in_force import read_all
from tests.visitor import Form, Page, Visitor
from web import keys
from web.settings import PUBLIC_AES_KEY, PUBLIC_TOKEN

PAGE = "/doc/wechat_config/"
FREE = {"super_approvers": "", "api_tokens": "", "api_readers": ""}
NEW_TOKEN = "token-typed-on-the-page"


@pytest.fixture
async def service(start: StartService) -> Service:
    """One with an administrator, and most of it left to the page."""
    return await start(**FREE, admins="wangwu")


async def administrator(service: Service) -> Visitor:
    visitor = Visitor(service)
    await visitor.log_in("wangwu", visitor.prefix + PAGE)
    return visitor


def path(visitor: Visitor) -> str:
    return visitor.prefix + PAGE


def section(page: Page, name: str) -> Form:
    """The form of one section, as it is filled in."""
    (form,) = [f for f in page._read().forms if f.fields.get("section") == name]
    # A browser sends no box that is not ticked, and what is chosen.
    ticked = {given["name"] for tag, given in page.tags if "checked" in given and tag == "input"}
    boxes = {given["name"] for tag, given in page.tags if given.get("type") == "checkbox"}
    for box in boxes - ticked:
        form.fields.pop(box, None)
    return form


async def saved(visitor: Visitor, name: str, page: Any = None, **typed: str) -> Page:
    """Type something into a section and press its button."""
    form = section(page or await visitor.get(path(visitor)), name)
    fields = {**form.fields, **{key.replace("__", "."): text for key, text in typed.items()}}
    if "api_tokens" in typed and NEW_TOKEN in typed["api_tokens"]:
        confidential.note("API token", NEW_TOKEN)
    return await visitor.post(form.action, fields, headers={"Origin": visitor.origin})


async def reopened(visitor: Visitor) -> str:
    return (await visitor.get(path(visitor))).html


# Who may.


async def test_to_others_there_is_no_such_page(service: Service) -> None:
    visitor = Visitor(service)
    refused = await visitor.log_in("zhangsan", visitor.prefix + PAGE)
    unknown = await visitor.get(f"{visitor.prefix}/doc/nothing/")
    assert (refused.status, refused.text) == (404, unknown.text)


async def test_nobody_saves_with_another_ones_form(service: Service) -> None:
    admin, other = await administrator(service), Visitor(service)
    form = section(await admin.get(path(admin)), "messages")
    fields = {**form.fields, "time_zone": "UTC"}
    await other.log_in("zhangsan")
    headers = {"Origin": other.origin}
    assert (await other.post(form.action, fields, headers=headers)).status == 404
    assert (await Visitor(service).post(form.action, fields, headers=headers)).status == 401
    forged = {**fields, "token": "0" * 64}
    assert (await admin.post(form.action, forged, headers=headers)).status == 403
    elsewhere = {"Origin": "https://elsewhere.example"}
    assert (await admin.post(form.action, fields, headers=elsewhere)).status == 403
    assert service.app[keys.SETTINGS].time_zone == "Asia/Shanghai"


async def test_an_old_login_is_renewed_before_anything_is_saved(
    service: Service, clock: Clock
) -> None:
    visitor = await administrator(service)
    page = await visitor.get(path(visitor))
    clock.advance(minutes=46)
    assert (await saved(visitor, "messages", page, time_zone="UTC")).status == 401
    assert service.app[keys.SETTINGS].time_zone == "Asia/Shanghai"
    assert "/wechat/accounts/login/" in (await visitor.get(path(visitor))).location


# What is saved.


async def test_a_change_is_in_force_and_recorded(service: Service) -> None:
    visitor = await administrator(service)
    answer = await saved(visitor, "messages", time_zone="UTC", message_style="both")
    assert answer.status == 303
    settings = service.app[keys.SETTINGS]
    assert (settings.time_zone, settings.message_style) == ("UTC", "both")
    last = (await changes(service))[-1]
    assert (last.by, last.via) == ("wangwu", "page")
    assert last.values == {"time_zone": "UTC", "message_style": "both"}


async def test_only_what_was_typed_otherwise_is_changed(service: Service) -> None:
    visitor = await administrator(service)
    await saved(visitor, "wecom")
    await saved(visitor, "engines")
    assert [event.via for event in await changes(service)] == ["environment"]


async def test_who_looked_before_another_changed_saves_nothing(service: Service) -> None:
    visitor = await administrator(service)
    page = await visitor.get(path(visitor))
    await set_here(service, text_link="1")
    answer = await saved(visitor, "messages", page, time_zone="UTC")
    assert answer.status == 409
    assert "已被其他人修改" in answer.text
    assert service.app[keys.SETTINGS].time_zone == "Asia/Shanghai"


async def test_an_administrator_removed_elsewhere_saves_nothing(start: StartService) -> None:
    service = await start(**FREE)
    await set_here(service, admins="wangwu")
    visitor = await administrator(service)
    page = await visitor.get(path(visitor))
    set_elsewhere(service, admins="lisi")
    answer = await saved(visitor, "messages", page, time_zone="UTC")
    assert answer.status in (404, 409)
    assert service.app[keys.SETTINGS].time_zone == "Asia/Shanghai"


async def test_nor_by_naming_the_revision_that_removed_them(start: StartService) -> None:
    service = await start(**FREE)
    await set_here(service, admins="wangwu")
    visitor = await administrator(service)
    form = section(await visitor.get(path(visitor)), "people")
    seen = int(form.fields["revision"])
    fields = {**form.fields, "admins": "wangwu,zhangsan", "revision": str(seen + 1)}
    set_elsewhere(service, admins="lisi")
    await visitor.post(form.action, fields, headers={"Origin": visitor.origin})
    assert (await service.app[keys.READING].configuration()).stored["admins"].value == "lisi"


@pytest.mark.parametrize(
    ("name", "typed", "said"),
    [
        ("wecom", {"app_url": "https://mycompany.com/"}, "并以 /wechat/ 结束"),
        ("engines", {"webhook_secret": "whsec_"}, "必须是 whsec_ 加 base64"),
        ("engines", {"permit_ttl": "5"}, "必须是允许范围内的秒数"),
        ("wecom", {"super_approvers": "王五"}, "请填写成员账号"),
        ("wecom", {"super_approvers": "nobody-of-ours"}, "企业微信中没有这个成员"),
        ("messages", {"time_zone": "Mars"}, "没有这个时区"),
        ("engines", {"api_tokens": "fta:short"}, "必须写作 名称:令牌"),
        ("engines", {"api_readers": "unknown"}, "没有这个名称的令牌"),
    ],
)
async def test_what_cannot_be_is_said_and_not_saved(
    service: Service, name: str, typed: dict[str, str], said: str
) -> None:
    visitor = await administrator(service)
    answer = await saved(visitor, name, **typed)
    assert answer.status == 422
    assert said in answer.text
    assert [event.via for event in await changes(service)] == ["environment"]


async def test_as_typed_one_field_is_checked_and_nothing_saved(service: Service) -> None:
    visitor = await administrator(service)
    form = section(await visitor.get(path(visitor)), "wecom")

    async def checked(field: str, typed: str) -> str:
        fields = {**form.fields, field: typed, "field": field}
        return (await visitor.post(f"{path(visitor)}check/", fields)).text

    assert "并以 /wechat/ 结束" in await checked("app_url", "https://mycompany.com/")
    assert "没有这个成员" in await checked("super_approvers", "nobody-of-ours")
    assert await checked("super_approvers", "zhangsan") == "可以保存"
    assert [event.via for event in await changes(service)] == ["environment"]


async def test_the_last_administrator_cannot_be_removed_on_the_page(start: StartService) -> None:
    service = await start(**FREE)
    await set_here(service, admins="wangwu")
    visitor = await administrator(service)
    answer = await saved(visitor, "people", admins="")
    assert (answer.status, "不能删除所有配置管理员" in answer.text) == (422, True)


# Secrets.


async def test_a_secret_is_never_shown(service: Service) -> None:
    await set_here(
        service, api_tokens=f"fta:{NEW_TOKEN}", webhook_secret="whsec_" + "c2VjcmV0c2VjcmV0" * 2
    )
    visitor = await administrator(service)
    shown = await reopened(visitor)
    settings = service.app[keys.SETTINGS]
    for secret in (
        NEW_TOKEN,
        settings.webhook_secret.get_secret_value(),
        settings.wecom_secret.get_secret_value() if settings.wecom_secret else "?",
        settings.wecom_token.get_secret_value(),
        settings.wecom_encoding_aes_key.get_secret_value(),
    ):
        assert secret not in shown
    assert "已设置" in shown


async def test_what_was_typed_in_vain_is_shown_again_but_no_secret(service: Service) -> None:
    visitor = await administrator(service)
    answer = await saved(visitor, "engines", api_tokens=f"fta:{NEW_TOKEN}", permit_ttl="many")
    assert answer.status == 422
    assert 'value="many"' in answer.html
    assert NEW_TOKEN not in answer.html


async def test_an_empty_field_leaves_a_secret_as_it_is_and_a_ticked_box_clears_it(
    service: Service,
) -> None:
    await set_here(service, webhook_secret="whsec_" + "c2VjcmV0c2VjcmV0" * 2)
    visitor = await administrator(service)
    await saved(visitor, "engines", webhook_secret="")
    assert service.app[keys.SETTINGS].webhook_secrets
    await saved(visitor, "engines", clear__webhook_secret="1")
    assert not service.app[keys.SETTINGS].webhook_secrets


async def test_tokens_are_added_and_removed_one_by_one(service: Service) -> None:
    await set_here(service, api_tokens=f"fta:{TOKEN}")
    visitor = await administrator(service)
    await saved(visitor, "engines", api_tokens=f"other:{NEW_TOKEN}")
    assert service.app[keys.SETTINGS].engines == [("fta", TOKEN), ("other", NEW_TOKEN)]
    name = re.findall(r'name="(remove\.[0-9a-f]+)"', await reopened(visitor))[0]
    await saved(visitor, "engines", **{name.replace(".", "__"): "1"})
    assert service.app[keys.SETTINGS].engines == [("other", NEW_TOKEN)]
    assert (await service.api("GET", "/approvals", TOKEN))[0] == 401


async def test_public_defaults_are_flagged_until_they_are_changed(
    start: StartService, tmp_path: Path
) -> None:
    """With a WeCom that is not of this machine: nothing is sent to it here."""
    service = await start(
        **FREE,
        wecom_corp_id="",
        wecom_token="",
        wecom_encoding_aes_key="",
        wecom_api_url="https://wecom.invalid",
    )
    visitor = Visitor(service)
    await used(visitor, link_in(tmp_path))
    assert "任何人都能伪造成员的回复" in await reopened(visitor)
    page = await visitor.get(f"{path(visitor)}?make=1")
    made = section(page, "wecom").fields
    assert (len(made["wecom_token"]), len(made["wecom_encoding_aes_key"])) == (32, 43)
    assert service.app[keys.SETTINGS].wecom_token.get_secret_value() == PUBLIC_TOKEN
    wrong = await saved(visitor, "wecom", page, wecom_encoding_aes_key="a" * 42)
    assert "必须是 43 位字母或数字" in wrong.text
    await saved(visitor, "wecom", page)
    settings = service.app[keys.SETTINGS]
    assert settings.wecom_token.get_secret_value() == made["wecom_token"]
    assert settings.wecom_encoding_aes_key.get_secret_value() != PUBLIC_AES_KEY
    shown = await reopened(visitor)
    assert "任何人都能伪造成员的回复" not in shown
    assert made["wecom_token"] not in shown


async def test_what_the_environment_sets_is_locked(service: Service) -> None:
    visitor = await administrator(service)
    page = await visitor.get(path(visitor))
    assert "由环境变量 FTA_APPROVAL_ADMINS 设置: wangwu" in page.text
    form = section(page, "people")
    assert "admins" not in form.fields
    fields = {**form.fields, "admins": "lisi"}
    await visitor.post(form.action, fields, headers={"Origin": visitor.origin})
    assert service.app[keys.SETTINGS].admins == ["wangwu"]
    assert [event.via for event in await changes(service)] == ["environment"]


async def test_markup_in_a_value_is_text(service: Service) -> None:
    visitor = await administrator(service)
    answer = await saved(visitor, "messages", time_zone='"><script>alert(1)</script>')
    assert "<script>alert" not in answer.html


# Tests.


@pytest.mark.parametrize("what", ["token", "callback", "menu"])
async def test_a_test_says_what_doctor_finds(service: Service, what: str) -> None:
    visitor = await administrator(service)
    page = await visitor.get(path(visitor))
    (form,) = [f for f in page._read().forms if ("what", what) in f.buttons]
    answer = await visitor.post(f"{path(visitor)}test/", {**form.fields, "what": what})
    assert answer.status == 200
    assert 'class="findings"' in answer.html
    assert [event.via for event in await changes(service)] == ["environment"]


async def test_a_test_approval_goes_to_who_pressed(service: Service) -> None:
    visitor = await administrator(service)
    page = await visitor.get(path(visitor))
    (form,) = [f for f in page._read().forms if ("what", "send") in f.buttons]
    answer = await visitor.post(f"{path(visitor)}test/", {**form.fields, "what": "send"})
    assert "WeCom took doctor:" in answer.text
    assert any("【测试】" in text for text in await service.inbox("wangwu", 1))


# The first start.


def link_in(folder: Path) -> str:
    file = folder / "admin-link"
    assert file.stat().st_mode & 0o777 == 0o600
    return confidential.note("one-time link", file.read_text().strip())


async def used(visitor: Visitor, link: str) -> Page:
    """Open it, and press the button."""
    page = await visitor.get(link)
    (form,) = [f for f in page._read().forms if "key" in f.fields]
    return await visitor.post(form.action, form.fields, headers={"Origin": visitor.origin})


async def test_the_first_start_leads_to_the_page_once(start: StartService, tmp_path: Path) -> None:
    service = await start(**FREE)
    link = link_in(tmp_path)
    first, second = Visitor(service), Visitor(service)
    assert (await first.get(link)).status == 200
    assert (await used(second, link)).status == 303, "looking has used nothing up"
    assert (await second.get(path(second))).status == 200
    assert (await used(first, link)).status == 410
    assert not (tmp_path / "admin-link").exists()
    await saved(second, "people", admins="wangwu")
    assert service.app[keys.SETTINGS].admins == ["wangwu"]
    last: Any = (await changes(service))[-1]
    assert last.by.startswith("link:")
    stored = await service.app[keys.READING].events_of(CONFIGURATION_STREAM)
    kinds = [type(event) for _, event in stored]
    assert Configuration.LinkOffered in kinds
    assert Configuration.LinkUsed in kinds


async def test_the_link_and_who_came_by_it_last_an_hour(
    start: StartService, tmp_path: Path, clock: Clock
) -> None:
    service = await start(**FREE)
    visitor = Visitor(service)
    clock.advance(minutes=59)
    assert (await used(visitor, link_in(tmp_path))).status == 303
    clock.advance(minutes=59)
    assert (await visitor.get(path(visitor))).status == 200
    clock.advance(minutes=1)
    assert (await visitor.get(path(visitor))).status == 303


async def test_an_expired_link_leads_nowhere(
    start: StartService, tmp_path: Path, clock: Clock
) -> None:
    service = await start(**FREE)
    clock.advance(hours=1)
    assert (await used(Visitor(service), link_in(tmp_path))).status == 410


async def test_who_came_by_the_link_sees_no_approvals(start: StartService, tmp_path: Path) -> None:
    service = await start(**FREE)
    visitor = Visitor(service)
    await used(visitor, link_in(tmp_path))
    value = visitor.cookies["fta_setup"]
    visitor.cookies["fta_session"] = value
    await set_here(service, api_tokens=f"fta:{TOKEN}")
    approval = await service.ask(approvers=["zhangsan"])
    assert (await visitor.get(f"/wechat/a/{approval['approval_id']}/")).status == 404


async def test_with_an_admin_no_link_is_made(service: Service, tmp_path: Path) -> None:
    assert not (tmp_path / "admin-link").exists()


async def test_the_link_itself_is_not_in_the_store(start: StartService, tmp_path: Path) -> None:
    service = await start(**FREE)
    secret = link_in(tmp_path).partition("key=")[2]
    await service.stop()
    stored = read_all(tmp_path)
    assert secret.encode() not in stored
