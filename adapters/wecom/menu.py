"""The application's menu: what it holds, and the same with one more entry (wecom-protocol 7)."""

from collections.abc import Sequence
from typing import Any

from adapters.wecom.client import WeComClient, WeComRefused

Button = dict[str, Any]

MOST_ENTRIES = 3
NO_MENU = 46003


class MenuFull(Exception):
    """Three other entries stand in it already, which is the most that WeCom allows."""


async def read_menu(wecom: WeComClient, agent_id: int) -> list[Button]:
    """
    Its entries; none where no menu is set.

    Raises:
        WeComError: It could not be read; 301002 and 40056 say that the agent id is not ours.
    """
    try:
        answer = await wecom.call("menu/get", query={"agentid": str(agent_id)})
    except WeComRefused as error:
        if error.errcode == NO_MENU:
            return []
        raise
    return _objects(answer.get("button"))


async def write_menu(wecom: WeComClient, agent_id: int, menu: Sequence[Button]) -> None:
    """Replace the whole of it."""
    await wecom.call("menu/create", query={"agentid": str(agent_id)}, body={"button": menu})


def entry(name: str, url: str) -> Button:
    """An entry that opens an address."""
    return {"type": "view", "name": name, "url": url}


def with_entry(menu: Sequence[Button], new: Button) -> list[Button]:
    """
    The menu with that entry, in the place of one of the same name or else at the end.

    Raises:
        MenuFull: There is no place for it.
    """
    if any(button.get("name") == new["name"] for button in menu):
        return [new if button.get("name") == new["name"] else button for button in menu]
    if len(menu) >= MOST_ENTRIES:
        raise MenuFull
    return [*menu, new]


def opens(menu: Sequence[Button], url: str) -> bool:
    """Whether some entry, of either level, opens that address; its last slash does not matter."""
    return any(
        leaf.get("type") == "view" and str(leaf.get("url")).rstrip("/") == url.rstrip("/")
        for button in menu
        for leaf in (button, *_objects(button.get("sub_button")))
    )


def named(menu: Sequence[Button], name: str) -> Button | None:
    """The top entry of that name."""
    return next((button for button in menu if button.get("name") == name), None)


def _objects(value: Any) -> list[Button]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
