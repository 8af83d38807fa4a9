"""The outer XML of a callback: what is opened, and how every stranger is turned away."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.wecom.crypto import BadCipher, BadEnvelope, BadSignature, CallbackCrypto, NotGenuine
from adapters.wecom.envelope import (
    MAX_BODY_BYTES,
    UnreadableXml,
    flat_elements,
    open_echo,
    open_post,
    seal_post,
)

TOKEN = "SimToken0123456789"
CORP = "ww0123456789abcdef"
CRYPTO = CallbackCrypto(TOKEN, "FwaiPBEkVOIwwMTSxq3nnJ1ddRDEA6FAeIoVATeAN68", CORP)
WHEN = ("1700000000", "42")
ENCRYPTED = CRYPTO.encrypt(b"hello")

FILE = json.loads((Path(__file__).parent / "wecom-vectors.json").read_text("utf-8"))
POSTS = [pytest.param(v, id=v["id"]) for v in FILE["vectors"] if "post_body" in v]


def opened(body: str | bytes, encrypted: str = ENCRYPTED) -> bytes:
    """Open a body whose signature is right for `encrypted`."""
    raw = body.encode() if isinstance(body, str) else body
    return open_post(CRYPTO, raw, CRYPTO.signature(*WHEN, encrypted), *WHEN)


@pytest.mark.parametrize("vector", POSTS)
def test_the_recorded_bodies_are_opened(vector: dict[str, str]) -> None:
    crypto = CallbackCrypto(vector["token"], vector["encoding_aes_key"], vector["receiveid"])

    inner = open_post(
        crypto,
        vector["post_body"].encode(),
        vector["msg_signature"],
        vector["timestamp"],
        vector["nonce"],
    )

    assert inner.decode() == vector["expected_plaintext"]


@pytest.mark.parametrize(
    "body",
    [
        f"<xml><ToUserName>{CORP}</ToUserName><Encrypt>{ENCRYPTED}</Encrypt></xml>",
        f"<xml><Encrypt>{ENCRYPTED}</Encrypt><ToUserName/><AgentID>1</AgentID></xml>",
        f"<xml>\n<AgentID><![CDATA[1]]></AgentID>\n<Encrypt><![CDATA[{ENCRYPTED}]]></Encrypt>\n</xml>\n",
        f"<?xml version='1.0' encoding='GBK'?><xml><Encrypt>{ENCRYPTED}</Encrypt></xml>",
        f"\ufeff<xml><Encrypt>{ENCRYPTED}</Encrypt></xml>",
        f"<xml><A><Encrypt>decoy</Encrypt></A><Encrypt>{ENCRYPTED}</Encrypt></xml>",
    ],
    ids=["no CDATA", "Encrypt first", "lines between", "another charset named", "BOM", "decoy"],
)
def test_order_blanks_and_cdata_do_not_matter(body: str) -> None:
    assert opened(body) == b"hello"


ONE = f"<Encrypt>{ENCRYPTED}</Encrypt>"
BOMB = "".join(
    f'<!ENTITY a{n} "&a{n - 1};&a{n - 1};&a{n - 1};&a{n - 1};&a{n - 1};">' for n in range(1, 20)
)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("", id="nothing"),
        pytest.param("hello", id="no XML"),
        pytest.param('{"encrypt": "x"}', id="JSON"),
        pytest.param("<xml></xml>", id="no Encrypt"),
        pytest.param("<xml><Encrypt/></xml>", id="an empty Encrypt"),
        pytest.param(f"<xml><encrypt>{ENCRYPTED}</encrypt></xml>", id="another name"),
        pytest.param(f"<xml xmlns='urn:x'>{ONE}</xml>", id="another namespace"),
        pytest.param(ONE, id="Encrypt as the root"),
        pytest.param(f"<xml><a>{ONE}</a></xml>", id="Encrypt too deep"),
        pytest.param(f"<xml>{ONE}{ONE}</xml>", id="two Encrypts"),
        pytest.param(f"<xml>{ONE}<a/><a/></xml>", id="two of another name"),
        pytest.param(f"<xml><Encrypt>{ENCRYPTED}<b/></Encrypt></xml>", id="more inside Encrypt"),
        pytest.param(f"<xml>{ONE}", id="an open end"),
        pytest.param(f"<xml>{ONE}</xml><xml/>", id="two documents"),
        pytest.param(f"<xml>{ONE}&nbsp;</xml>", id="an unknown entity"),
        pytest.param(f"<!DOCTYPE xml><xml>{ONE}</xml>", id="a DOCTYPE"),
        pytest.param(
            f"<!DOCTYPE xml [<!ENTITY e '{ENCRYPTED}'>]><xml><Encrypt>&e;</Encrypt></xml>",
            id="an entity",
        ),
        pytest.param(
            f"<!DOCTYPE xml SYSTEM 'file:///etc/passwd'><xml>{ONE}</xml>", id="an outside file"
        ),
        pytest.param(
            f"<!DOCTYPE xml [<!ENTITY a0 'lol'>{BOMB}]><xml><Encrypt>&a19;</Encrypt></xml>",
            id="a billion laughs",
        ),
        pytest.param(f"<xml>{ONE}{'<a>' * 16}{'</a>' * 16}</xml>", id="deep nesting"),
        pytest.param(f"<xml>{ONE}{'<a>' * 20_000}", id="deep nesting without an end"),
        pytest.param(f"<xml>{ONE}<a>\x08</a></xml>", id="a control character"),
        pytest.param(f"<xml>{ONE}</xml>".encode("utf-16"), id="UTF-16"),
        pytest.param(f"<xml>{ONE}<a>".encode() + b"\xff</a></xml>", id="broken UTF-8"),
        pytest.param(b"<xml><a>\xed\xa0\x80</a></xml>", id="a surrogate in UTF-8"),
    ],
)
def test_what_is_no_envelope_is_refused(body: str | bytes) -> None:
    with pytest.raises(BadEnvelope) as refused:
        opened(body)
    assert refused.value.code == "bad-envelope"
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_a_body_of_exactly_64_kib_is_opened_and_one_byte_more_is_not() -> None:
    body = f"<xml>{ONE}</xml>".ljust(65_536)

    assert MAX_BODY_BYTES == 65_536
    assert opened(body) == b"hello"
    with pytest.raises(BadEnvelope):
        opened(body + " ")


def test_sixteen_levels_of_nesting_are_accepted() -> None:
    assert opened(f"<xml>{ONE}{'<a>' * 15}{'</a>' * 15}</xml>") == b"hello"


def test_the_signature_is_checked_before_anything_is_decrypted() -> None:
    body = b"<xml><Encrypt>not base64</Encrypt></xml>"

    with pytest.raises(BadSignature):
        open_post(CRYPTO, body, "0" * 40, *WHEN)
    with pytest.raises(BadCipher):
        open_post(CRYPTO, body, CRYPTO.signature(*WHEN, "not base64"), *WHEN)


def test_the_envelope_is_checked_before_the_signature() -> None:
    with pytest.raises(BadEnvelope):
        open_post(CRYPTO, b"x", "0" * 40, *WHEN)


@pytest.mark.parametrize("cdata", [True, False])
def test_what_the_simulator_seals_is_opened(cdata: bool) -> None:
    message = "<xml>同意 ]]> & <b/></xml>".encode()

    body, signature = seal_post(
        CRYPTO,
        message,
        to_user="a<&]]>b",
        agent_id="1000002",
        timestamp=WHEN[0],
        nonce=WHEN[1],
        cdata=cdata,
    )

    assert open_post(CRYPTO, body, signature, *WHEN) == message
    assert flat_elements(body.decode())["ToUserName"] == "a<&]]>b"
    assert flat_elements(body.decode())["AgentID"] == "1000002"
    assert (b"CDATA" in body) is cdata


def test_the_echo_is_opened_although_its_plus_became_a_blank() -> None:
    random = (n.to_bytes(16) for n in range(1000))
    echo = next(e for e in (CRYPTO.encrypt(b"1616140317555161061", r) for r in random) if "+" in e)
    signature = CRYPTO.signature(*WHEN, echo)

    assert open_echo(CRYPTO, signature, *WHEN, echo) == b"1616140317555161061"
    assert open_echo(CRYPTO, signature, *WHEN, echo.replace("+", " ")) == b"1616140317555161061"


def test_an_echo_with_another_signature_is_refused() -> None:
    with pytest.raises(BadSignature):
        open_echo(CRYPTO, CRYPTO.signature("1", "2", ENCRYPTED), *WHEN, ENCRYPTED)
    with pytest.raises(BadSignature):
        open_echo(CRYPTO, "", "", "", "")


def test_an_element_that_holds_elements_counts_as_empty() -> None:
    assert flat_elements("<xml><a>x<b>y</b>z</a><c>d</c></xml>") == {"a": "", "c": "d"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hello", "not-xml"),
        ("<!DOCTYPE xml><xml/>", "doctype"),
        ("<a>" * 17, "too-deep"),
        ("<xml><a/><a/></xml>", "repeated-element"),
    ],
)
def test_unreadable_xml_says_why(text: str, reason: str) -> None:
    with pytest.raises(UnreadableXml) as refused:
        flat_elements(text)
    assert refused.value.reason == reason
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


MARKUP = st.lists(
    st.sampled_from(
        [
            *b"<xml> </xml> <Encrypt> </Encrypt> <![CDATA[ ]]> &amp; &x; <!DOCTYPE".split(),
            *(
                b"<!ENTITY",
                b" x [",
                b" y 'z'>",
                b"]>",
                b"<?xml version='1.0'?>",
                ENCRYPTED.encode(),
            ),
        ]
    )
    | st.binary(max_size=4)
).map(b"".join)


@settings(deadline=None)
@given(st.binary() | MARKUP, st.text(), st.text(), st.text())
def test_whatever_a_stranger_posts_is_not_genuine_and_nothing_worse(
    body: bytes, signature: str, timestamp: str, nonce: str
) -> None:
    with pytest.raises(NotGenuine):
        open_post(CRYPTO, body, signature, timestamp, nonce)


@settings(deadline=None)
@given(st.text())
def test_whatever_stands_in_a_signed_envelope_breaks_nothing(text: str) -> None:
    body = f"<xml><Encrypt>{text}</Encrypt></xml>"

    with pytest.raises(NotGenuine):
        opened(body, text)
