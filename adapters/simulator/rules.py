"""
What WeCom accepts in `message/send`: sizes, required fields, recipients. Pure.

Source: wecom-protocol 5.1-5.4. Lengths that the documentation only advises are not checked.
"""

import copy
import re
from dataclasses import dataclass
from typing import Any

from adapters.simulator.knobs import Knobs
from adapters.simulator.refusals import ApiError

TEXT_BYTES = 2048
KEY_BYTES = 1024
TASK_ID = re.compile(r"[0-9A-Za-z_\-@]{1,128}")
PLAIN_CARDS = ("text_notice", "news_notice")
CALLBACK_CARDS = ("button_interaction", "vote_interaction", "multiple_interaction")
EVERYBODY = ("@all",)

Json = dict[str, Any]


@dataclass(frozen=True)
class Recipients:
    users: tuple[str, ...]
    parties: tuple[str, ...]
    tags: tuple[str, ...]


def read_agent_id(payload: Json, knobs: Knobs) -> int:
    agent_id = payload.get("agentid")
    if knobs.agent_id_may_be_text and isinstance(agent_id, str) and agent_id.isdecimal():
        return int(agent_id)
    if not isinstance(agent_id, int) or isinstance(agent_id, bool):
        raise ApiError(40058, "field `agentid` expect type `int`")
    return agent_id


def read_recipients(payload: Json, knobs: Knobs) -> Recipients:
    found = Recipients(*(_split(payload, field) for field in ("touser", "toparty", "totag")))
    if len(found.users) > 1000:
        raise ApiError(40032)
    if len(found.parties) > 100:
        raise ApiError(82002)
    if len(found.tags) > 100:
        raise ApiError(82003)
    if not (found.users or found.parties or found.tags):
        raise ApiError(knobs.no_recipient_code)
    # Beside @all, parties and tags are ignored.
    return Recipients(EVERYBODY, (), ()) if found.users == EVERYBODY else found


def read_content(payload: Json) -> tuple[str, Json]:
    """Returns the kind of message and its content as members will see it."""
    kind = payload.get("msgtype")
    if not isinstance(kind, str) or kind not in READERS:
        raise ApiError(40008)
    content = payload.get(kind)
    if not isinstance(content, dict):
        raise ApiError(40058, f"field `{kind}` missing")
    return kind, READERS[kind](content)


def _split(payload: Json, field: str) -> tuple[str, ...]:
    value = payload.get(field, "")
    if not isinstance(value, str):
        raise ApiError(40058, f"field `{field}` expect type `string`")
    return tuple(part.strip() for part in value.split("|") if part.strip())


def _text(content: Json) -> Json:
    words = content.get("content")
    if not isinstance(words, str) or not words:
        raise ApiError(44004)
    # WeCom counts bytes and may cut through a character: the replacement sign shows it.
    return {"content": words.encode()[:TEXT_BYTES].decode(errors="replace")}


def _markdown(content: Json) -> Json:
    words = content.get("content")
    if not isinstance(words, str) or not words:
        raise ApiError(44004)
    if len(words.encode()) > TEXT_BYTES:
        raise ApiError(45002)
    return {"content": words}


def _textcard(content: Json) -> Json:
    if not content.get("title"):
        raise ApiError(41016)
    if not content.get("description") or not content.get("url"):
        raise ApiError(40058, "textcard needs `description` and `url`")
    if len(str(content["url"]).encode()) > TEXT_BYTES or "://" not in str(content["url"]):
        raise ApiError(40058, "textcard.url")
    return {
        "title": str(content["title"])[:128],
        "description": str(content["description"])[:512],
        "url": str(content["url"]),
        "btntxt": str(content.get("btntxt") or "详情")[:4],
    }


def read_card(content: Json) -> Json:
    """A template card, checked; a wrong button style becomes 1, as WeCom does it."""
    card = copy.deepcopy(content)
    kind = card.get("card_type")
    if kind not in PLAIN_CARDS + CALLBACK_CARDS:
        raise ApiError(42031)
    if kind not in PLAIN_CARDS and not _object(card, "main_title").get("title"):
        raise ApiError(41016, "main_title.title")
    if kind in PLAIN_CARDS and not _object(card, "card_action").get("type"):
        raise ApiError(42045)
    rows = _list(card, "horizontal_content_list", 0, 6, 42035)
    if any(not row.get("keyname") for row in rows):
        raise ApiError(40058, "horizontal_content_list.keyname")
    _check_action_menu(card)
    if kind == "button_interaction":
        _check_buttons(card)
    if "task_id" in card or needs_callback(card):
        check_task_id(card)
    return card


def check_task_id(card: Json) -> None:
    task_id = card.get("task_id")
    if not isinstance(task_id, str) or not TASK_ID.fullmatch(task_id):
        raise ApiError(42014, "empty, too long or with characters that are not allowed")


def needs_callback(card: Json) -> bool:
    """Whether a tap on this card is reported, which takes a verified callback address."""
    return card["card_type"] in CALLBACK_CARDS or "action_menu" in card


def _check_action_menu(card: Json) -> None:
    if "action_menu" not in card:
        return
    actions = _list(_object(card, "action_menu"), "action_list", 1, 3, 40058)
    _check_keys(actions, "action_menu.action_list")


def _check_buttons(card: Json) -> None:
    buttons = _list(card, "button_list", 1, 6, 40058)
    for button in buttons:
        if not button.get("text"):
            raise ApiError(42038)
        if button.get("style") not in (1, 2, 3, 4):
            button["style"] = 1
        if button.get("type") == 1 and not button.get("url"):
            raise ApiError(40058, "button_list.url")
    _check_keys([button for button in buttons if button.get("type", 0) == 0], "button_list")
    if "button_selection" in card:
        choice = _object(card, "button_selection")
        if not choice.get("question_key"):
            raise ApiError(42043)
        _list(choice, "option_list", 1, 10, 40058)


def _check_keys(items: list[Json], where: str) -> None:
    keys = [item.get("key") for item in items]
    if any(not isinstance(key, str) or not 0 < len(key.encode()) <= KEY_BYTES for key in keys):
        raise ApiError(42039, f"{where}: missing or too long")
    if len(set(keys)) != len(keys):
        raise ApiError(42039, f"{where}: the same key twice")


def _object(parent: Json, field: str) -> Json:
    value = parent.get(field, {})
    if not isinstance(value, dict):
        raise ApiError(40058, f"field `{field}` expect type `object`")
    return value


def _list(parent: Json, field: str, least: int, most: int, errcode: int) -> list[Json]:
    value = parent.get(field, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ApiError(40058, f"field `{field}` expect type `array`")
    if not least <= len(value) <= most:
        raise ApiError(errcode, f"field `{field}` expect array size in [{least}, {most}]")
    return value


READERS = {
    "text": _text,
    "markdown": _markdown,
    "textcard": _textcard,
    "template_card": read_card,
}
