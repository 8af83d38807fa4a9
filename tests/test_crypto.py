"""Callback encryption: WeCom's own vectors, every way to be wrong.

Another library's opinion stands in test_wechatpy.py.
"""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.wecom.crypto import (
    BadCipher,
    BadSignature,
    CallbackCrypto,
    NotGenuine,
    WrongReceiver,
)

FILE = json.loads((Path(__file__).parent / "wecom-vectors.json").read_text("utf-8"))
VECTORS = [pytest.param(vector, id=vector["id"]) for vector in FILE["vectors"]]
NEGATIVES = [pytest.param(vector, id=vector["id"]) for vector in FILE["negatives"]]

TOKEN = "SimToken0123456789"
KEY = "FwaiPBEkVOIwwMTSxq3nnJ1ddRDEA6FAeIoVATeAN68"
CORP = "ww0123456789abcdef"
OURS = CallbackCrypto(TOKEN, KEY, CORP)


def crypto_of(vector: dict[str, Any]) -> CallbackCrypto:
    return CallbackCrypto(vector["token"], vector["encoding_aes_key"], vector["receiveid"])


def encrypted_raw(content: bytes) -> str:
    """What the right key makes of any content, well formed or not."""
    key = base64.b64decode(KEY + "=")
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    return base64.b64encode(encryptor.update(content) + encryptor.finalize()).decode()


def padded(content: bytes) -> bytes:
    pad = 32 - len(content) % 32
    return content + bytes([pad]) * pad


@pytest.mark.parametrize("vector", VECTORS)
def test_every_vector_is_decrypted(vector: dict[str, Any]) -> None:
    assert crypto_of(vector).decrypt(vector["encrypt"]).decode() == vector["expected_plaintext"]


@pytest.mark.parametrize("vector", VECTORS)
def test_every_vector_has_the_signature_we_compute(vector: dict[str, Any]) -> None:
    parts = (vector["timestamp"], vector["nonce"], vector["encrypt"])

    assert crypto_of(vector).signature(*parts) == vector["msg_signature"]
    crypto_of(vector).verify(vector["msg_signature"], *parts)


@pytest.mark.parametrize("vector", VECTORS)
def test_every_vector_is_encrypted_again_byte_for_byte(vector: dict[str, Any]) -> None:
    random = bytes.fromhex(vector["expected_random_hex"])

    encrypted = crypto_of(vector).encrypt(vector["expected_plaintext"].encode(), random)

    assert encrypted == vector["encrypt"]


@pytest.mark.parametrize("vector", NEGATIVES)
def test_every_negative_vector_is_refused_for_its_signature(vector: dict[str, Any]) -> None:
    assert vector["expect"] == -40001
    with pytest.raises(BadSignature):
        crypto_of(vector).verify(
            vector["msg_signature"], vector["timestamp"], vector["nonce"], vector["encrypt"]
        )


@pytest.mark.parametrize(
    "key", ["", KEY[:-1], KEY + "A", KEY[:-1] + "=", KEY[:-1] + "+", KEY[:-1] + "\n", KEY + "\n"]
)
def test_a_key_that_is_not_43_letters_and_digits_is_refused_without_quoting_it(key: str) -> None:
    with pytest.raises(ValueError, match="exactly 43 characters") as refused:
        CallbackCrypto(TOKEN, key, CORP)
    assert KEY[:8] not in str(refused.value)


def test_spare_bits_in_the_last_character_of_the_key_change_nothing() -> None:
    same_key = KEY[:-1] + "9"

    assert CallbackCrypto(TOKEN, same_key, CORP).decrypt(OURS.encrypt(b"hello")) == b"hello"


@pytest.mark.parametrize("changed", range(4))
def test_a_signature_over_anything_else_does_not_fit(changed: int) -> None:
    signed = [OURS.signature("1700000000", "42", "abc"), "1700000000", "42", "abc"]
    OURS.verify(*signed)
    signed[changed] += "1"

    with pytest.raises(BadSignature):
        OURS.verify(*signed)


@pytest.mark.parametrize("signature", ["", "签名", "\ud800", "0" * 40])
def test_a_signature_that_is_none_does_not_fit(signature: str) -> None:
    with pytest.raises(BadSignature):
        OURS.verify(signature, "\udfff", "随机", "é")


def test_an_upper_case_signature_does_not_fit() -> None:
    with pytest.raises(BadSignature):
        OURS.verify(OURS.signature("1", "2", "abc").upper(), "1", "2", "abc")


@pytest.mark.parametrize("length", range(64))
def test_every_length_of_padding_comes_back(length: int) -> None:
    assert OURS.decrypt(OURS.encrypt(b"x" * length)) == b"x" * length


def test_the_same_message_is_never_encrypted_to_the_same_text() -> None:
    assert OURS.encrypt(b"hello") != OURS.encrypt(b"hello")


def test_random_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes, not 15"):
        OURS.encrypt(b"hello", b"x" * 15)


GOOD = OURS.encrypt(b"hello", b"0" * 16)
CONTENT = b"0" * 16 + b"\0\0\0\5hello" + CORP.encode()


@pytest.mark.parametrize(
    "encrypted",
    [
        pytest.param("", id="empty"),
        pytest.param("密文", id="not ASCII"),
        pytest.param("\ud800", id="a lone surrogate"),
        pytest.param(GOOD[:8] + "\n" + GOOD[8:], id="a line break in base64"),
        pytest.param(GOOD[:8] + "*" + GOOD[8:], id="a stranger in base64"),
        pytest.param(GOOD.rstrip("="), id="base64 without its padding"),
        pytest.param(GOOD + "====", id="base64 with more padding"),
        pytest.param(GOOD.replace("+", "-").replace("/", "_"), id="base64 for URLs"),
        pytest.param(encrypted_raw(padded(CONTENT))[:-8], id="half a block"),
        pytest.param(encrypted_raw(padded(CONTENT) + b"\x10" * 16), id="blocks of 16, not of 32"),
        pytest.param(encrypted_raw(CONTENT[:32] + bytes(32)), id="a pad of 0"),
        pytest.param(encrypted_raw(CONTENT[:31] + b"\x21" * 33), id="a pad of 33"),
        pytest.param(encrypted_raw(CONTENT.ljust(62, b"\x13") + b"\x12\x13"), id="an uneven pad"),
        pytest.param(encrypted_raw(padded(CONTENT[:19])), id="no room for the length"),
        pytest.param(encrypted_raw(padded(b"0" * 16 + b"\0\0\0\1")), id="a length beyond the end"),
        pytest.param(encrypted_raw(padded(b"0" * 16 + b"\xff" * 4 + CONTENT)), id="a huge length"),
    ],
)
def test_what_does_not_decrypt_is_refused(encrypted: str) -> None:
    with pytest.raises(BadCipher):
        OURS.decrypt(encrypted)


def test_the_hand_made_content_is_good_until_it_is_spoilt() -> None:
    assert OURS.decrypt(encrypted_raw(padded(CONTENT))) == b"hello"


@pytest.mark.parametrize("receiver", ["", "ww0123456789abcdeg", CORP[:-1], CORP + "f", "企业"])
def test_a_message_for_another_receiver_is_refused(receiver: str) -> None:
    with pytest.raises(WrongReceiver):
        OURS.decrypt(CallbackCrypto(TOKEN, KEY, receiver).encrypt(b"hello"))


def test_until_the_receiver_is_known_every_receiver_will_do_and_nothing_else_is_laxer() -> None:
    unsettled = CallbackCrypto(TOKEN, KEY, None)

    assert unsettled.decrypt(OURS.encrypt(b"hello")) == b"hello"
    with pytest.raises(WrongReceiver):
        OURS.decrypt(unsettled.encrypt(b"hello"))
    with pytest.raises(BadSignature):
        unsettled.verify("0" * 40, "1", "2", "abc")
    with pytest.raises(BadCipher):
        unsettled.decrypt(encrypted_raw(padded(b"0" * 16 + b"\0\0\0\1")))


@pytest.mark.parametrize(
    ("encrypted", "code"),
    [
        (CallbackCrypto(TOKEN, KEY, "ww9").encrypt(b"the plain text"), "wrong-receiver"),
        (encrypted_raw(padded(b"the plain text")), "bad-cipher"),
        ("the plain text", "bad-cipher"),
    ],
)
def test_a_refusal_says_its_code_and_no_secret(encrypted: str, code: str) -> None:
    with pytest.raises(NotGenuine) as refused:
        OURS.decrypt(encrypted)

    told = f"{refused.value!r} {refused.value} {refused.value.__cause__!r} {OURS!r}"
    assert refused.value.code == code
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
    assert not any(secret in told for secret in ("plain text", TOKEN, KEY, CORP, "ww9"))


@settings(deadline=None)
@given(st.text() | st.binary().map(lambda content: encrypted_raw(padded(content))))
def test_nothing_that_is_sent_breaks_the_decryption(encrypted: str) -> None:
    with pytest.raises(NotGenuine):
        OURS.decrypt(encrypted)
