"""Settings that are stored take effect without a restart; those of the environment go first."""

import asyncio
import base64
import re
from pathlib import Path
from typing import Any

import pytest

from tests.configuring import changes, set_elsewhere, set_here
from tests.conftest import StartService
from tests.service import OTHER_TOKEN, TOKEN, WITHIN_S, Service
from tests.visitor import Visitor
from web import keys
from web.settings import WrongSettings

WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
NEW_TOKEN = "token-that-was-made-later"
FREE = {"super_approvers": "", "api_tokens": "", "api_readers": ""}


async def eventually(question: Any) -> None:
    """Wait until it is true."""
    async with asyncio.timeout(WITHIN_S):
        while not question():
            await asyncio.sleep(0.01)


@pytest.fixture
async def service(start: StartService) -> Service:
    """One whose environment leaves people and tokens to the page."""
    running = await start(**FREE)
    await set_here(running, api_tokens=f"fta:{TOKEN}")
    return running


async def test_a_stored_super_approver_decides_at_once(service: Service) -> None:
    await service.ask()
    heard = await service.heard("wangwu", "TY 12345_2")
    assert "审批失败" in heard
    await set_here(service, super_approvers="wangwu")
    assert "审批成功" in await service.heard("wangwu", "TY 12345_2")


async def test_who_was_removed_by_another_process_decides_nothing_any_more(
    service: Service,
) -> None:
    """Judged by what is stored when it is decided, however long this process takes to notice."""
    await set_here(service, super_approvers="wangwu")
    await service.ask()
    set_elsewhere(service, super_approvers="lisi")
    assert "审批失败" in await service.heard("wangwu", "TY 12345_2")


async def test_what_another_process_sets_is_noticed(service: Service) -> None:
    set_elsewhere(service, time_zone="UTC", message_style="card")
    await eventually(lambda: service.app[keys.SETTINGS].message_style == "card")
    assert service.app[keys.CLOCKFACE].zone.key == "UTC"


async def test_the_environment_goes_first(start: StartService) -> None:
    service = await start()
    await set_here(service, super_approvers="lisi", time_zone="UTC")
    settings = service.app[keys.SETTINGS]
    assert (settings.super_approvers, settings.time_zone) == (["wangwu"], "UTC")
    approval = await service.ask(approvers=["zhangsan"])
    refused = await service.heard("lisi", f"TY {approval['reply_id']}")
    assert "审批失败" in refused


async def test_what_is_stored_is_in_force_after_a_restart(
    start: StartService, service: Service
) -> None:
    await set_here(service, text_link="1")
    await service.stop()
    again = await start(**FREE)
    assert again.app[keys.SETTINGS].text_link is True
    assert (await again.api("GET", "/approvals"))[0] == 200


async def test_a_removed_token_is_refused_and_its_stream_ends(service: Service) -> None:
    await set_here(service, api_tokens=f"fta:{TOKEN},other:{OTHER_TOKEN}")
    headers = {"Authorization": f"Bearer {OTHER_TOKEN}"}
    url = f"{service.base}/api/v1/decisions/stream"
    async with service.http.get(url, headers=headers) as stream:
        assert stream.status == 200
        await set_here(service, api_tokens=f"fta:{TOKEN}")
        async with asyncio.timeout(WITHIN_S):
            await stream.content.read()
    assert (await service.api("GET", "/approvals", OTHER_TOKEN))[0] == 401
    assert (await service.api("GET", "/approvals", TOKEN))[0] == 200


async def test_the_stream_of_who_may_no_longer_read_everything_ends(service: Service) -> None:
    await set_here(service, api_tokens=f"fta:{TOKEN},other:{OTHER_TOKEN}", api_readers="other")
    headers = {"Authorization": f"Bearer {OTHER_TOKEN}"}
    url = f"{service.base}/api/v1/decisions/stream"
    async with service.http.get(url, headers=headers) as stream:
        await set_here(service, api_readers=None)
        async with asyncio.timeout(WITHIN_S):
            await stream.content.read()


async def test_a_poll_that_waits_is_refused_once_its_token_is_gone(service: Service) -> None:
    await set_here(service, api_tokens=f"fta:{TOKEN},other:{OTHER_TOKEN}")
    feed = service.app[keys.FEED]
    poll = asyncio.create_task(service.api("GET", "/decisions?wait=30", OTHER_TOKEN))
    await eventually(lambda: feed._followers > 0)
    await set_here(service, api_tokens=f"fta:{TOKEN}")
    await service.ask(approvers=["zhangsan"])
    await service.says("zhangsan", "TY 12345_2")
    async with asyncio.timeout(WITHIN_S):
        assert (await poll)[0] == 401


async def test_a_corrected_secret_is_used_without_a_restart(start: StartService) -> None:
    service = await start(wecom_secret="", **FREE)
    await set_here(service, wecom_secret="secret-of-another-application-000000000000")
    assert service.app[keys.OUTSIDE].wecom is not None
    wrong = service.app[keys.OUTSIDE].wecom
    await set_here(service, text_link="1")
    assert service.app[keys.OUTSIDE].wecom is wrong, "it would forget that WeCom refused us"
    await set_here(service, api_tokens=f"fta:{TOKEN}", wecom_secret=service.wecom.settings.secret)
    await service.ask(approvers=["zhangsan"])
    await service.inbox("zhangsan", 1)


async def test_a_message_that_waits_for_the_right_secret_goes_out_with_it(
    start: StartService,
) -> None:
    """WeCom refused our secret, and is not asked again for minutes; then somebody corrects it."""
    service = await start(wecom_secret="", **FREE)
    wrong = "secret-of-another-application-000000000000"
    await set_here(service, api_tokens=f"fta:{TOKEN}", wecom_secret=wrong)
    await service.ask(approvers=["zhangsan"])
    client = service.app[keys.OUTSIDE].wecom
    assert client is not None
    await eventually(lambda: client.problem)
    await set_here(service, wecom_secret=service.wecom.settings.secret)
    await service.inbox("zhangsan", 1)


async def test_the_environment_of_a_start_that_differs_is_recorded(start: StartService) -> None:
    first = await start(time_zone="UTC")
    await first.stop()
    second = await start(time_zone="UTC", webhook_secret=WEBHOOK_SECRET)
    await second.stop()
    third = await start(time_zone="UTC", webhook_secret=WEBHOOK_SECRET)
    found = await changes(third)
    assert [event.via for event in found] == ["environment"] * 2
    assert found[0].values["time_zone"] == "UTC"
    assert list(found[1].fingerprints) == ["webhook_secret"]


def read_all(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.glob("fta-approval.db*"))


async def test_no_secret_stands_in_the_store(service: Service, tmp_path: Path) -> None:
    await set_here(service, api_tokens=f"fta:{NEW_TOKEN}", wecom_token="TokenThatIsStored")
    await service.stop()
    stored = read_all(tmp_path)
    for secret in (NEW_TOKEN, "TokenThatIsStored", service.wecom.settings.secret):
        assert secret.encode() not in stored


async def test_what_is_stored_and_does_not_fit_the_environment_stops_the_start(
    start: StartService, service: Service
) -> None:
    await set_here(service, api_readers="fta")
    await service.stop()
    with pytest.raises(WrongSettings, match="API_READERS: fta is no name in API_TOKENS"):
        await start(**{**FREE, "api_tokens": f"other:{OTHER_TOKEN}"})


# Telling.


async def test_super_approvers_old_and_new_hear_of_a_change(service: Service) -> None:
    await set_here(service, super_approvers="wangwu")
    await set_here(service, by="wangwu", super_approvers="lisi", text_link="1")
    heard = await service.inbox("wangwu", 2)
    assert heard[0] == (
        "【故障自愈】审批配置已变更（shell:root 于 20:00 在服务器命令行修改）: "
        "审批管理员改为 wangwu。如非本人或计划内，请立即核实"
    )
    assert "wangwu 于 " in heard[1]
    assert "审批管理员改为 lisi" in heard[1]
    assert len(await service.inbox("lisi", 1)) == 1


async def test_of_tokens_they_hear_that_they_were_changed(service: Service) -> None:
    await set_here(service, super_approvers="wangwu")
    await set_here(service, api_tokens=f"fta:{TOKEN},other:{NEW_TOKEN}")
    heard = (await service.inbox("wangwu", 2))[1]
    assert "执行方的 API 令牌已修改" in heard
    assert not re.search(f"{TOKEN}|{NEW_TOKEN}", heard)


async def test_who_was_told_is_not_told_again_after_a_restart(
    start: StartService, service: Service
) -> None:
    await set_here(service, super_approvers="wangwu")
    await service.inbox("wangwu", 1)
    await service.quiet()
    await service.stop()
    again = await start(**FREE)
    await again.quiet()
    assert len(again.wecom.inbox("wangwu")) == 1


async def test_a_stored_super_approver_sees_what_waits(service: Service) -> None:
    await service.ask(approvers=["zhangsan"])
    visitor = Visitor(service)
    assert "12345_2" not in (await visitor.log_in("lisi")).text
    await set_here(service, super_approvers="lisi")
    assert "12345_2" in (await visitor.get("/wechat/todo/")).text
