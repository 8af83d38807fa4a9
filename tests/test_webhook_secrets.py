"""Secrets of webhooks: how they are given, whose sign, and that the public library agrees."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from adapters.engine.signature import secret_of, secret_text, signed_headers
from tests.service import NOON
from web.settings import PREFIX, WrongSettings, read_settings
from web.webhook_secrets import WebhookSecrets, parse_webhook_secrets

A, B, C = (secret_text(bytes([number]) * 24) for number in (1, 2, 3))
TOKENS = "fta:token-of-the-engine-fta,other:token-of-another-engine"


def read(secret: str) -> Any:
    return read_settings({PREFIX + "API_TOKENS": TOKENS, PREFIX + "WEBHOOK_SECRET": secret})


@given(
    st.binary(min_size=24, max_size=64),
    st.text(),
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001  # made aware below
)
@settings(deadline=None)
def test_the_public_library_signs_the_same(secret: bytes, words: str, at: datetime) -> None:
    at, body = at.replace(tzinfo=UTC), words.encode(errors="replace")
    headers = signed_headers("feed-7", at, body, [secret])
    assert headers["webhook-signature"] == Webhook(secret).sign("feed-7", at, body.decode())
    assert secret_of(secret_text(secret)) == secret


def test_each_secret_has_its_signature_the_new_one_first() -> None:
    one, other = bytes(24), bytes(range(24))
    both = signed_headers("1", NOON, b"{}", [one, other])["webhook-signature"].split(" ")
    assert both == [
        signed_headers("1", NOON, b"{}", [secret])["webhook-signature"] for secret in (one, other)
    ]


@pytest.mark.parametrize("size", [24, 32, 64])
def test_a_secret_of_24_to_64_bytes_is_taken(size: int) -> None:
    assert read(secret_text(bytes(size))).webhook_secrets == {"": [bytes(size)]}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("whsec_", "entry 1 must be whsec_"),
        (secret_text(bytes(23)), "entry 1 must be whsec_ and 24-64 bytes"),
        (secret_text(bytes(65)), "entry 1 must be whsec_ and 24-64 bytes"),
        (base64.b64encode(bytes(32)).decode(), "entry 1 must be whsec_"),
        (f"{A}!", "entry 1"),
        (f"{A},x y:{B}", "entry 2"),
        (f"{A},fta:{B},fta:secret-that-is-none", "entry 3"),
        (f"{A},{B},{C}", "everybody has more than 2 secrets"),
        (f"fta:{A},fta:{B},fta:{C}", "fta has more than 2 secrets"),
        (f"{A},{A}", "the same secret stands twice for everybody"),
        (f"nobody:{A}", "nobody is no name in API_TOKENS"),
    ],
)
def test_a_mistake_is_one_line_and_quotes_no_secret(text: str, why: str) -> None:
    with pytest.raises(WrongSettings) as wrong:
        read(text)
    (line,) = wrong.value.mistakes
    assert line.startswith(f"{PREFIX}WEBHOOK_SECRET: ") and why in line
    for secret in (A, B, C, "secret-that-is-none"):
        assert secret.removeprefix("whsec_") not in line
    assert A not in repr(read(f"{A},fta:{B}"))


def test_whose_secrets_sign() -> None:
    made = [b"made"]
    own_first = WebhookSecrets(parse_webhook_secrets(f"{A},fta:{B},fta:{C}"), lambda now: made)
    assert own_first.of("fta", NOON) == [secret_of(B), secret_of(C)]
    assert own_first.of("other", NOON) == [secret_of(A)]
    own_only = WebhookSecrets(parse_webhook_secrets(f"fta:{B}"), lambda now: made)
    assert (own_only.of("fta", NOON), own_only.of("other", NOON)) == ([secret_of(B)], made)


@pytest.mark.parametrize("hosts", ["a.example, *.b.example ,10.0.0.0/8,fd00::/8,127.0.0.1", ""])
def test_callback_hosts_are_names_and_networks(hosts: str) -> None:
    settings = read_settings({PREFIX + "CALLBACK_HOSTS": hosts})
    assert settings.callback_hosts == [one.strip() for one in hosts.split(",") if one]


@pytest.mark.parametrize("hosts", ["a b", "http://a/", "10.0.0.0/33", "*", "a:80"])
def test_what_is_no_host_is_told(hosts: str) -> None:
    with pytest.raises(WrongSettings, match="CALLBACK_HOSTS"):
        read_settings({PREFIX + "CALLBACK_HOSTS": hosts})
