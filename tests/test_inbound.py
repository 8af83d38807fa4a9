"""The decrypted XML: messages, every event we know, and what is no message at all."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.wecom.inbound import Event, NotUnderstood, OtherMessage, TextMessage, parse

HEAD = {"ToUserName": "ww01", "FromUserName": "zhangsan", "CreateTime": "1700000000"}
COMMON: dict[str, Any] = {"to_user": "ww01", "from_user": "zhangsan", "created": 1_700_000_000}
FILE = json.loads((Path(__file__).parent / "wecom-vectors.json").read_text("utf-8"))
PLAIN = {v["id"]: v["expected_plaintext"] for v in FILE["vectors"]}


def inner(raw: str = "", **fields: str) -> bytes:
    """An inner message; `raw` is written as it stands."""
    written = (f"<{name}><![CDATA[{text}]]></{name}>" for name, text in (HEAD | fields).items())
    return f"<xml>{''.join(written)}{raw}</xml>".encode("utf-8", "surrogatepass")


def text_message(content: str) -> TextMessage:
    message = parse(inner(MsgType="text", Content=content, MsgId="73", AgentID="1000002"))
    assert isinstance(message, TextMessage)
    return message


def happening(**fields: str) -> Event:
    parsed = parse(inner(**{"MsgType": "event", "AgentID": "1000002", **fields}))
    assert isinstance(parsed, Event)
    return parsed


def test_a_text_message_is_read_whole() -> None:
    assert text_message("TY 100_2") == TextMessage(
        **COMMON, agent_id="1000002", content="TY 100_2", msg_id="73"
    )


def test_the_recorded_messages_are_read() -> None:
    official, ours = parse(PLAIN["A-post"].encode()), parse(PLAIN["S-text"].encode())

    assert isinstance(official, TextMessage)
    assert (official.from_user, official.content, official.agent_id) == ("mycreate", "hello", "218")
    assert official.delivery_key == "msg:218:4561255354251345929"
    assert isinstance(ours, TextMessage)
    assert (ours.content, ours.msg_id) == ("TY 100_2", "7300000000000000001")


@pytest.mark.parametrize(
    ("vector", "event", "event_key"),
    [
        ("S-subscribe", "subscribe", ""),
        ("S-enter", "enter_agent", ""),
        ("S-click", "click", "MY_PENDING"),
        ("S-view", "view", "https://approve.example.com/m?a=1&b=2"),
        ("S-card", "template_card_event", "approve"),
    ],
)
def test_the_recorded_events_are_read(vector: str, event: str, event_key: str) -> None:
    parsed = parse(PLAIN[vector].encode())

    assert isinstance(parsed, Event)
    assert (parsed.event, parsed.event_key, parsed.from_user) == (event, event_key, "zhangsan")


@pytest.mark.parametrize(
    "content", ["  TY 100_2\n", "　ＴＹ　", "a <b> & c", "👍", "一\n二", "", " ", "]]]]><![CDATA[>"]
)
def test_the_content_is_kept_exactly_as_sent(content: str) -> None:
    assert text_message(content).content == content.replace("]]]]><![CDATA[>", "]]>")


@pytest.mark.parametrize("control", ["\x00", "\x08", "\x1d", "\ufffe", "\uffff", "\ud800"])
def test_a_character_that_xml_cannot_hold_becomes_a_blank_and_joins_nothing(control: str) -> None:
    assert text_message(f"TY{control}1{control}2").content == "TY 1 2"


def test_a_message_without_cdata_and_with_lines_between_is_read() -> None:
    raw = (
        b"<xml>\n<ToUserName> ww01 </ToUserName>\n<FromUserName>\nzhangsan\n</FromUserName>"
        b"<MsgType> Text </MsgType><Content>a &amp; b</Content></xml>"
    )

    assert parse(raw) == TextMessage(
        to_user="ww01", from_user="zhangsan", created=None, agent_id="", content="a & b", msg_id=""
    )


@pytest.mark.parametrize("kind", ["image", "voice", "video", "location", "link", "miniprogram"])
def test_another_kind_of_message_is_read_as_such(kind: str) -> None:
    message = parse(inner(MsgType=kind, MsgId="74", AgentID="1", MediaId="x", Content="TY 1"))

    assert message == OtherMessage(**COMMON, agent_id="1", msg_type=kind, msg_id="74")
    assert message.delivery_key == "msg:1:74"


@pytest.mark.parametrize(
    "name",
    [
        *("subscribe", "unsubscribe", "enter_agent", "LOCATION", "click", "CLICK", "view", "VIEW"),
        *("view_miniprogram", "scancode_push", "scancode_waitmsg", "pic_sysphoto"),
        *("location_select", "close_inactive_agent", "change_contact"),
    ],
)
def test_an_event_is_read_by_its_name_in_lower_case(name: str) -> None:
    assert happening(Event=name) == Event(
        **COMMON,
        agent_id="1000002",
        event=name.lower(),
        event_key="",
        task_id="",
        response_code="",
        card_type="",
    )


@pytest.mark.parametrize("name", ["template_card_event", "template_card_menu_event"])
def test_a_tap_on_a_card_says_what_which_and_how_to_answer(name: str) -> None:
    # What the drop-down holds has names of its own, which must not be taken for the event's.
    chosen = (
        "<SelectedItems><SelectedItem><QuestionKey>reason</QuestionKey><OptionIds>"
        "<OptionId>r1</OptionId><OptionId>r2</OptionId></OptionIds><EventKey>no</EventKey>"
        "</SelectedItem></SelectedItems>"
    )
    fields = {"EventKey": "approve", "TaskId": "t@1", "CardType": "button_interaction"}

    tap = parse(inner(chosen, MsgType="event", Event=name, ResponseCode="RC", **fields))

    assert tap == Event(
        **COMMON,
        agent_id="",
        event=name,
        event_key="approve",
        task_id="t@1",
        response_code="RC",
        card_type="button_interaction",
    )


def test_a_tap_on_an_old_card_spells_its_agent_differently() -> None:
    old = parse(inner(MsgType="event", Event="taskcard_click", TaskId="t", AgentId="1000002"))

    assert old.agent_id == "1000002"


@pytest.mark.parametrize("when", ["", "soon", "-1", "1.5", "１７", "9" * 5000])
def test_a_time_that_is_none_is_unknown(when: str) -> None:
    assert happening(Event="click", CreateTime=when).created is None


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not-xml"),
        (b"hello", "not-xml"),
        (b'{"MsgType": "text"}', "not-xml"),
        (b"<xml><FromUserName>a</FromUserName>", "not-xml"),
        (b"<xml>\xff</xml>", "not-utf8"),
        (b"<!DOCTYPE xml>" + inner(MsgType="text"), "doctype"),
        (b"<!DOCTYPE x [<!ENTITY e 'b'>]><xml><FromUserName>&e;</FromUserName></xml>", "doctype"),
        (inner("<a>" * 20 + "</a>" * 20, MsgType="text"), "too-deep"),
        (inner("<FromUserName>boss</FromUserName>", MsgType="text"), "repeated-element"),
        (inner(MsgType="text", FromUserName=""), "no-sender"),
        (inner(MsgType="text", FromUserName="  "), "no-sender"),
        (b"<xml><MsgType>text</MsgType></xml>", "no-sender"),
        (
            b"<xml><a><FromUserName>boss</FromUserName></a><MsgType>text</MsgType></xml>",
            "no-sender",
        ),
        (inner(), "no-type"),
        (inner(MsgType=""), "no-type"),
        (inner(MsgType="event"), "no-event"),
        (inner(MsgType="event", Event=""), "no-event"),
    ],
)
def test_what_is_no_message_is_not_understood_and_says_why(raw: bytes, reason: str) -> None:
    with pytest.raises(NotUnderstood) as refused:
        parse(raw)
    assert refused.value.reason == reason
    assert str(refused.value).endswith(reason)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


TAP = {"Event": "template_card_event", "EventKey": "approve", "TaskId": "t1"}


def test_the_same_event_delivered_again_has_the_same_key() -> None:
    again = happening(**TAP | {"Event": "TEMPLATE_CARD_EVENT", "ResponseCode": "another"})

    assert again.delivery_key == happening(**TAP, ResponseCode="RC").delivery_key


@pytest.mark.parametrize(
    "other",
    [
        {"AgentID": "1000003"},
        {"CreateTime": "1700000001"},
        {"CreateTime": ""},
        {"Event": "template_card_menu_event"},
        {"EventKey": "reject"},
        {"TaskId": "t2"},
        {"EventKey": "", "TaskId": "approvet1"},
        {"EventKey": "approvet1", "TaskId": ""},
    ],
)
def test_events_that_differ_anywhere_have_different_keys(other: dict[str, str]) -> None:
    assert happening(**TAP | other).delivery_key != happening(**TAP).delivery_key


def test_a_message_is_known_by_its_agent_and_its_id() -> None:
    assert text_message("TY 1").delivery_key == "msg:1000002:73"
    assert text_message("BH 1").delivery_key == "msg:1000002:73"


@pytest.mark.parametrize(
    "other",
    [
        {"Content": "TY 2"},
        {"CreateTime": "1700000001"},
        {"AgentID": "2"},
        {"MsgType": "image"},
        {"MsgId": "7"},
    ],
)
def test_a_message_without_an_id_is_known_by_what_it_says_and_when(other: dict[str, str]) -> None:
    message = {"MsgType": "text", "Content": "TY 1", "AgentID": "1"}
    key = parse(inner(**message)).delivery_key

    assert key.startswith("msg:1:sha256:")
    assert parse(inner(**message, MsgId="")).delivery_key == key
    assert parse(inner(**message | other)).delivery_key != key


def test_two_pictures_without_ids_are_told_apart_by_their_kind_and_second() -> None:
    picture = {"MsgType": "image", "AgentID": "1"}

    others: tuple[dict[str, str], ...] = ({}, {"MsgType": "voice"}, {"CreateTime": "1"})
    keys = {parse(inner(**picture | other)).delivery_key for other in others}

    assert len(keys) == 3


NAMES = ["ToUserName", "FromUserName", "CreateTime", "MsgType", "Event", "Content", "AgentID", "x"]
VALUES = st.sampled_from(["text", "event", "click", "1", ""]) | st.text()


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), VALUES) | st.binary())
def test_whatever_is_decrypted_is_a_message_or_not_understood(
    sent: dict[str, str] | bytes,
) -> None:
    try:
        parsed = parse(sent if isinstance(sent, bytes) else inner(**sent))
    except NotUnderstood:
        return
    assert parsed.from_user
    assert parsed.delivery_key
