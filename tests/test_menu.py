"""`fta-approval menu publish`: one entry, and nothing else that stands in the menu is touched."""

from typing import Any

import pytest

from adapters.simulator.wecom import SimulatedWeCom
from adapters.wecom.menu import MenuFull, with_entry
from tests.test_doctor import answering, calls, command, environment_of, text

APP_URL = "https://example.com/o/fta/wechat/"
TODO = {"type": "view", "name": "审批列表", "url": f"{APP_URL}todo/"}
Menu = list[dict[str, Any]]


def leaf(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "view", "name": name, "url": "https://example.com/", **more}


CLICK = {"type": "click", "name": "帮助", "key": "HELP"}
MORE = {"name": "更多", "sub_button": [leaf("手册"), CLICK]}


def set_menu(wecom: SimulatedWeCom, menu: Menu) -> None:
    agent = wecom.settings.agent_id
    wecom.create_menu({"button": menu}, agent, agent)
    wecom.calls.clear()


async def publish(wecom: SimulatedWeCom, **changes: str | None) -> tuple[int, list[str], list[str]]:
    """Exit status, and the lines on stdout and stderr."""
    variables = environment_of(wecom, **{"app_url": APP_URL, **changes})
    status, lines, errors = await command("menu", "publish", **variables)
    return status, lines, errors.splitlines()


async def test_where_there_is_no_menu_ours_is_made(wecom: SimulatedWeCom) -> None:
    status, lines, errors = await publish(wecom)
    assert (status, errors) == (0, [])
    assert lines == [f"审批列表 opens {APP_URL}todo/; entries beside it: 0"]
    assert wecom.menu == [TODO]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([CLICK], [CLICK, TODO]),
        ([MORE, CLICK], [MORE, CLICK, TODO]),
        ([leaf("审批列表"), MORE, CLICK], [TODO, MORE, CLICK]),
        ([CLICK, {"type": "click", "name": "审批列表", "key": "TODO"}], [CLICK, TODO]),
        ([CLICK, {"name": "审批列表", "sub_button": [leaf("手册")]}], [CLICK, TODO]),
        ([leaf("手册", sub_button=[])], [leaf("手册", sub_button=[]), TODO]),
    ],
)
async def test_other_entries_stay_and_an_older_one_of_ours_is_replaced_in_place(
    wecom: SimulatedWeCom, before: Menu, after: Menu
) -> None:
    set_menu(wecom, before)
    status, lines, errors = await publish(wecom)
    assert (status, errors) == (0, [])
    assert lines[0].endswith(f"entries beside it: {len(after) - 1}")
    assert wecom.menu == after


async def test_three_other_entries_leave_no_place_and_nothing_is_changed(
    wecom: SimulatedWeCom,
) -> None:
    menu: Menu = [MORE, CLICK, leaf("手册")]
    set_menu(wecom, menu)
    status, lines, (said,) = await publish(wecom)
    assert (status, lines) == (1, [])
    assert "three other entries" in said
    assert "自定义菜单" in said
    assert wecom.menu == menu
    assert calls(wecom, "menu/create") == 0


async def test_what_is_published_already_is_not_written_again(wecom: SimulatedWeCom) -> None:
    set_menu(wecom, [CLICK, TODO])
    status, lines, _ = await publish(wecom)
    assert (status, lines) == (0, [f"审批列表 opens {APP_URL}todo/ already; nothing changed"])
    assert calls(wecom, "menu/create") == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"app_url": None}, "FTA_APPROVAL_APP_URL is not set"),
        ({"wecom_secret": None}, "set FTA_APPROVAL_WECOM_CORP_ID"),
        ({"wecom_secret": "guessed"}, "copy the Secret anew"),
        ({"wecom_agent_id": "7"}, "FTA_APPROVAL_WECOM_AGENT_ID"),
        ({"wecom_api_url": "http://127.0.0.1:1"}, "let this machine out"),
    ],
)
async def test_what_is_missing_is_one_line_and_exit_status_1(
    wecom: SimulatedWeCom, changes: dict[str, str | None], words: str
) -> None:
    status, lines, (said,) = await publish(wecom, **changes)
    assert (status, lines) == (1, [])
    assert said.startswith("fta-approval: ")
    assert words in said
    assert "guessed" not in said
    assert wecom.menu is None


@pytest.mark.parametrize(("code", "words"), [(60020, "企业可信IP"), (40058, "40058"), (-1, "busy")])
async def test_a_menu_that_cannot_be_read_is_not_replaced(
    wecom: SimulatedWeCom, code: int, words: str
) -> None:
    """Else whatever stood there would be lost."""
    set_menu(wecom, [CLICK])
    wecom.script("menu/get", code)
    status, _, (said,) = await publish(wecom)
    assert (status, wecom.menu) == (1, [CLICK])
    assert words in said


async def test_a_menu_that_is_refused_is_told(wecom: SimulatedWeCom) -> None:
    wecom.script("menu/create", 40058)
    status, _, (said,) = await publish(wecom)
    assert (status, wecom.menu) == (1, None)
    assert "devtool/query?e=40058" in said


async def test_wrong_settings_are_exit_status_2(wecom: SimulatedWeCom) -> None:
    status, lines, (said,) = await publish(wecom, app_url="example.com")
    assert (status, lines) == (2, [])
    assert said.startswith("FTA_APPROVAL_APP_URL: ")


async def test_foreign_text_has_no_power_over_the_terminal(wecom: SimulatedWeCom) -> None:
    async with answering(text('{"errcode": 40013, "errmsg": "\\u001b[2J\\u0007"}')) as url:
        _, _, (said,) = await publish(wecom, wecom_api_url=url)
    assert r"errcode 40013: \x1b[2J\x07; " in said


def test_a_full_menu_with_ours_in_it_has_room() -> None:
    assert with_entry([MORE, leaf("审批列表"), CLICK], TODO) == [MORE, TODO, CLICK]
    with pytest.raises(MenuFull):
        with_entry([MORE, CLICK, leaf("手册")], TODO)
