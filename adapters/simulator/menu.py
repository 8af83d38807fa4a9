"""The application's menu: what WeCom accepts. Source: wecom-protocol 7."""

from typing import Any

from adapters.simulator.refusals import ApiError

Json = dict[str, Any]
KEYED = (
    "click",
    "scancode_push",
    "scancode_waitmsg",
    "pic_sysphoto",
    "pic_photo_or_album",
    "pic_weixin",
    "location_select",
)


def read_menu(payload: Json) -> list[Json]:
    buttons = _buttons(payload, "button", 1, 3)
    for button in buttons:
        _check_name(button, 16)
        if button.get("sub_button"):
            if button.keys() & {"type", "key", "url"}:
                raise ApiError(40058, "a button with `sub_button` has only a name")
            for below in _buttons(button, "sub_button", 1, 5):
                if below.get("sub_button"):
                    raise ApiError(40058, "a menu has two levels")
                _check_name(below, 40)
                _check_leaf(below)
        else:
            _check_leaf(button)
    return buttons


def find(menu: list[Json], name_or_key: str) -> Json:
    """
    The entry that a member taps.

    Raises:
        LookupError: No such entry.
    """
    for button in menu:
        leaves: list[Json] = button.get("sub_button") or [button]
        for leaf in leaves:
            if name_or_key in (leaf.get("name"), leaf.get("key"), leaf.get("url")):
                return leaf
    raise LookupError(f"no menu entry {name_or_key}")


def _buttons(parent: Json, field: str, least: int, most: int) -> list[Json]:
    value = parent.get(field)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ApiError(40058, f"field `{field}` expect type `array`")
    if not least <= len(value) <= most:
        raise ApiError(40058, f"field `{field}` expect array size in [{least}, {most}]")
    return value


def _check_name(button: Json, most_bytes: int) -> None:
    name = button.get("name")
    if not isinstance(name, str) or not 0 < len(name.encode()) <= most_bytes:
        raise ApiError(40058, f"button name: 1 to {most_bytes} bytes")


def _check_leaf(button: Json) -> None:
    kind = button.get("type")
    if kind == "view":
        _check_size(button, "url", 1024)
    elif kind == "view_miniprogram":
        _check_size(button, "pagepath", 1024)
        _check_size(button, "appid", 128)
    elif kind in KEYED:
        _check_size(button, "key", 128)
    else:
        raise ApiError(40058, "button type")


def _check_size(button: Json, field: str, most_bytes: int) -> None:
    value = button.get(field)
    if not isinstance(value, str) or not 0 < len(value.encode()) <= most_bytes:
        raise ApiError(40058, f"button {field}: 1 to {most_bytes} bytes")
