"""What a form of the configuration page asks for, and what is wrong with it."""

import re
from collections.abc import Mapping, Sequence

from adapters.wecom.client import WeComClient, WeComError
from domain.configuration import Configuration
from domain.identity import USERID, same_person
from web.editable import ITEMS, PEOPLE, SECRET_TEXT, SWITCH, TOKENS, Item, Section
from web.in_force import SettingsInForce, text_of
from web.remedies import errcode_of
from web.settings import PREFIX, Settings, WrongSettings

# WeCom says of these for certain that there is no such member, or not for this application.
NO_SUCH_MEMBER = (40003, 46004, 60011, 60111)
MOST_ASKED = 50
LAST_ADMIN = "不能删除所有配置管理员，否则没有人能再打开本页"
NOT_A_MEMBER = "企业微信中没有这个成员，或不在应用的可见范围内"

Texts = dict[str, str | None]
Mistakes = dict[str, str]
"""What is wrong, in Chinese, by the name of the setting."""


def changes_in(form: Mapping[str, str], section: Section, in_force: SettingsInForce) -> Texts:
    """What of a section is to be set otherwise than it is; None: no longer set."""
    found: Texts = {}
    for item in section.items:
        if in_force.is_locked(item.name):
            continue
        now = text_of(getattr(in_force.now, item.name))
        text = _wanted(item, form, now, in_force)
        if text is not None and text != now:
            found[item.name] = text or None
    return found


def _wanted(item: Item, form: Mapping[str, str], now: str, in_force: SettingsInForce) -> str | None:
    """What it is to be set to; None where the form says nothing about it."""
    typed = form.get(item.name, "").strip()
    if item.kind == TOKENS:
        return _tokens(form, typed, in_force)
    if item.kind == SECRET_TEXT:
        # Nobody sees what stands there, so an empty field says nothing.
        return "" if f"clear.{item.name}" in form else typed or None
    if item.kind == SWITCH:
        return "1" if item.name in form else "0"
    if item.name not in form:
        return None
    return ",".join(_parts(typed)) if "," in now + typed or item.kind == PEOPLE else typed


def _tokens(form: Mapping[str, str], typed: str, in_force: SettingsInForce) -> str:
    kept = [
        f"{engine}:{token}"
        for engine, token in in_force.now.engines
        if f"remove.{token_name(in_force, engine, token)}" not in form
    ]
    return ",".join([*kept, *_parts(typed)])


def token_name(in_force: SettingsInForce, engine: str, token: str) -> str:
    """By which a page names a token without knowing it."""
    return in_force.secrets.fingerprint(f"token of {engine}", token)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in re.split("[,，\n]", text) if part.strip()]


def mistakes_in(texts: Texts, configuration: Configuration, in_force: SettingsInForce) -> Mistakes:
    """What cannot be in force. What is refused for another setting's sake is said there."""
    try:
        settings = in_force.with_change(configuration, texts)
    except WrongSettings as wrong:
        return dict(map(_mistake, wrong.mistakes))
    if "admins" in texts and in_force.now.admins and not settings.admins:
        return {"admins": LAST_ADMIN}
    return {}


def _mistake(line: str) -> tuple[str, str]:
    """A line of `WrongSettings` in the words of the page."""
    name = line.partition(":")[0].removeprefix(PREFIX).lower()
    item = ITEMS.get(name)
    return name, item.rule if item else line


async def strangers(texts: Texts, now: Settings, wecom: WeComClient | None) -> Mistakes:
    """
    Who of those that are new is nobody whom the application sees, as far as WeCom can be asked.

    Where it cannot, nothing is wrong: the configuration has to be mended while it is.
    """
    if wecom is None:
        return {}
    found: Mistakes = {}
    for name, text in texts.items():
        if ITEMS[name].kind != PEOPLE:
            continue
        known = {same_person(userid) for userid in getattr(now, name)}
        new = [userid for userid in _parts(text or "") if same_person(userid) not in known]
        unknown = await _unknown(wecom, [one for one in new if USERID.fullmatch(one)][:MOST_ASKED])
        if unknown:
            found[name] = f"{NOT_A_MEMBER}: {', '.join(unknown)}"
    return found


async def _unknown(wecom: WeComClient, userids: Sequence[str]) -> list[str]:
    unknown = []
    for userid in userids:
        try:
            await wecom.call("user/get", query={"userid": userid})
        except WeComError as error:
            if errcode_of(error) not in NO_SUCH_MEMBER:
                break  # every further call would fare alike
            unknown.append(userid)
    return unknown
