"""Cards: an approval with two buttons, what becomes of it, and what a tap says.

A card goes to one member and is changed for that member alone, so that each has a response code of
their own. Source: wecom-protocol 3.2, 5.4. Lengths marked "~" there are advice for the eye.
"""

import re
from datetime import datetime
from typing import Any

from adapters.wecom.messages import ENDED, HOW, Clockface, in_chinese
from domain.approval import Approval
from domain.decision import Kind, Risk, Verdict
from domain.identity import same_person
from domain.wording import CARD_CHARACTERS, FACT_CHARACTERS, fits_a_card

Card = dict[str, Any]

MOST_FACTS = 6
APPROVE_STYLE, REJECT_STYLE = 1, 4
RED, GREY = 2, 0
TITLE_CHARACTERS, SUBTITLE_CHARACTERS = 36, 44
CUT_MARK = "…（未显示完，请打开详情查看后审批）"
RISK = {Risk.LOW: "低风险", Risk.MEDIUM: "中风险", Risk.HIGH: "高风险"}
KIND = {Kind.SOLUTION: "自愈套餐", Kind.CONVERGENCE: "异常防御"}
WHAT = {Kind.SOLUTION: "操作", Kind.CONVERGENCE: "异常防御"}
# What of the details says where it happens, in this order.
PLACES = ("业务", "IP", "集群", "模块")
BUTTON = re.compile(r"(?P<verdict>approve|reject)/(?P<reply_id>[A-Za-z0-9_:.-]{1,90})", re.ASCII)


def asking_card(
    approval: Approval, userid: str, page: str, clockface: Clockface, now: datetime
) -> Card:
    """The card that asks one member: what, where, risk, deadline, who else, what to type."""
    return {
        **_head(approval, userid, "待审批", page),
        "main_title": {
            "title": _cut(f"{RISK[approval.risk]}{WHAT[approval.kind]}待您审批", TITLE_CHARACTERS),
            "desc": f"{clockface.show(approval.expires_at, now)} 前有效（{clockface.zone.key}）",
        },
        "sub_title_text": _message(approval),
        "quote_area": {"type": 0, "quote_text": _to_type(approval)},
        "horizontal_content_list": _facts(approval, userid),
        "button_list": _buttons(approval),
    }


def outcome_card(
    approval: Approval, userid: str, page: str, clockface: Clockface, now: datetime
) -> Card:
    """What the card becomes: how it ended, by whom and when, with nothing left to tap."""
    ending = approval.ending
    assert ending is not None  # noqa: S101  # the caller tells of an end
    at, word = clockface.show(ending.at, now), ENDED[ending.status]
    who = f"{ending.by} " if ending.by else ""
    how = f"通过{HOW[ending.via]}" if ending.via in HOW else ""
    facts = _facts(approval, userid)
    if ending.reason:
        facts = [*facts[:5], _fact("意见", in_chinese(ending.reason))]
    return {
        **_head(approval, userid, f"已{word}", page),
        "main_title": {
            "title": f"已{word}",
            "desc": _cut(f"{who}于 {at} {how}{word}", SUBTITLE_CHARACTERS),
        },
        "sub_title_text": _message(approval),
        "horizontal_content_list": facts,
        "button_list": _buttons(approval),
        # Takes the place of the buttons, grey and dead.
        "replace_text": _cut(f"已{word} {who}{at}", FACT_CHARACTERS),
    }


def read_tap(event_key: str) -> tuple[Verdict, str] | None:
    """What a tapped button decides about which approval; None if it is no button of ours."""
    button = BUTTON.fullmatch(event_key)
    return None if button is None else (Verdict(button["verdict"]), button["reply_id"])


def _head(approval: Approval, userid: str, state: str, page: str) -> Card:
    is_high = approval.risk is Risk.HIGH and approval.ending is None
    return {
        "card_type": "button_interaction",
        "source": {"desc": f"故障自愈 · {state}", "desc_color": RED if is_high else GREY},
        "card_action": {"type": 1, "url": page},
        "task_id": approval.card_name(userid),
    }


def _message(approval: Approval) -> str:
    message = approval.requested.message
    if fits_a_card(message, approval.alarm):
        return message
    return message[: CARD_CHARACTERS - len(CUT_MARK)] + CUT_MARK


def _facts(approval: Approval, userid: str) -> list[Card]:
    """What a fact is called has room for five characters."""
    asked = approval.requested
    others = [name for name in approval.approvers if same_person(name) != same_person(userid)]
    run = f"，第 {asked.run} 次执行" if asked.run > 1 else ""
    return [
        _fact("编号", f"{approval.reply_id}{run}"),
        *_where(approval),
        _fact("风险", RISK[approval.risk]),
        _fact("类型", KIND[approval.kind]),
        _fact("还问了", "、".join(others) or "没有别人"),
    ][:MOST_FACTS]


def _where(approval: Approval) -> list[Card]:
    """Of an alarm its business and type, each by itself: whoever decides goes by them."""
    asked, alarm = approval.requested, approval.alarm
    if alarm is not None and (alarm.business or alarm.alarm_type):
        named = (("业务", alarm.business), ("告警类型", alarm.alarm_type))
        return [_fact(name, value) for name, value in named if value]
    places = [asked.details[name] for name in PLACES if asked.details.get(name)]
    return [_fact("位置", " / ".join(places) or asked.biz_id or asked.engine)]


def _fact(name: str, value: str) -> Card:
    # An id is never cut: half of it could be another one.
    shown = value if name == "编号" else _cut(value, FACT_CHARACTERS)
    return {"keyname": name, "value": shown}


def _buttons(approval: Approval) -> list[Card]:
    return [
        {"text": "同意", "style": APPROVE_STYLE, "key": f"approve/{approval.reply_id}"},
        {"text": "驳回", "style": REJECT_STYLE, "key": f"reject/{approval.reply_id}"},
    ]


def _to_type(approval: Approval) -> str:
    return f"也可回复: TY {approval.reply_id} 或 BH {approval.reply_id} 原因"


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"
