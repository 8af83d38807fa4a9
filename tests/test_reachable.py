"""Which addresses a webhook may reach, however they are written."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from adapters.engine.reachable import Own, Reachable, Refused, meant, name_of

PORT = 8000
OWN_URL = "https://example.com/o/bk_fta_solutions/"
NEVER = {
    "link-local": ["169.254.0.1", "169.254.169.254", "169.254.255.255", "fe80::1", "febf::1"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "no address of anybody": ["0.0.0.0", "0.0.0.1", "0.255.255.255", "::"],  # noqa: S104
    "broadcast": ["255.255.255.255"],
}
INSIDE = {
    "IPv4-mapped": "::ffff:{}",
    "IPv4-compatible": "::{}",
    "NAT64": "64:ff9b::{}",
    "NAT64 of one's own": "64:ff9b:1::{}",
}


def reachable(*allowed: str, host: str = "127.0.0.1", url: str | None = None) -> Reachable:
    return Reachable(Own(host, PORT, url), allowed)


def refusal(judge: Reachable, address: str, port: int = 443, host: str = "h.example") -> str:
    """Why one may not connect there; empty if one may."""
    try:
        judge.check(host, ip_address(address), port)
    except Refused as refused:
        return str(refused)
    return ""


@pytest.mark.parametrize(
    ("address", "what"), [(address, what) for what in NEVER for address in NEVER[what]]
)
def test_what_no_webhook_may_reach(address: str, what: str) -> None:
    assert what in refusal(reachable(), address)
    # No setting opens it.
    assert what in refusal(reachable("0.0.0.0/0", "::/0", "h.example"), address)


@pytest.mark.parametrize("address", ["169.254.169.254", "224.0.0.1", "255.255.255.255"])
@pytest.mark.parametrize("inside", INSIDE.values(), ids=INSIDE)
def test_nor_may_it_inside_of_another_address(inside: str, address: str) -> None:
    assert refusal(reachable(), inside.format(address))


@pytest.mark.parametrize(
    "address",
    [
        "2002:a9fe:a9fe::1",  # 6to4 of 169.254.169.254
        "2001:0:a9fe:a9fe::1",  # Teredo, its server
        "2001:0:808:808::5601:5601",  # Teredo, its client
        "2001:db8::5efe:169.254.169.254",  # ISATAP
        "2001:db8::200:5efe:169.254.169.254",
        "64:ff9b:1:a9fe:a9:fe00::",  # RFC 6052, a prefix of 48 bits
        "64:ff9b:1:a9:fe:a9fe::",  # of 56
        "64:ff9b:1:0:a9:fea9:fe00:0",  # of 64
        "64:ff9b::",
        "fe80::1%1",
    ],
)
def test_nor_by_any_translation(address: str) -> None:
    assert refusal(reachable(), address)


@pytest.mark.parametrize(
    "address",
    [
        *("10.0.0.1", "172.16.0.1", "192.168.0.1", "127.0.0.1", "8.8.8.8", "100.64.0.1"),
        *("::1", "fd00::1", "2606:4700::1111", "::ffff:10.0.0.1", "64:ff9b::8.8.8.8"),
    ],
)
def test_private_loopback_and_public_addresses_may_be_reached(address: str) -> None:
    assert refusal(reachable(), address) == ""


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1"]
)
def test_the_service_itself_may_not_be_reached(address: str) -> None:
    assert "itself listens" in refusal(reachable(), address, PORT)
    assert refusal(reachable(), address, PORT + 1) == ""


@pytest.mark.parametrize("wildcard", ["0.0.0.0", "::"])  # noqa: S104
def test_listening_everywhere_it_has_every_address_of_the_machine(wildcard: str) -> None:
    judge = reachable(host=wildcard)
    for address in ("127.0.0.1", "127.1.2.3", "::ffff:127.0.0.1", *own_addresses()):
        assert "itself listens" in refusal(judge, address, PORT)
        assert refusal(judge, address, PORT + 1) == ""
    assert refusal(judge, "192.0.2.1", PORT) == ""


def own_addresses() -> list[str]:
    """The address with which this machine would begin a conversation; no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:  # it has no network
            return []
        return [str(probe.getsockname()[0])]


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/o/bk_fta_solutions/wechat/entry/",
        "https://example.com/o/bk_fta_solutions",
        "https://EXAMPLE.com:443/o/bk_fta_solutions/api/v1/approvals?x=1#y",
        "https://example.com./o/bk_fta_solutions/",
        "https://example.com//o///bk_fta_solutions/",
        "https://example.com/x/../o/bk_fta_solutions/",
        "https://example.com/o/bk%5Ffta_solutions/",
        "https://example.com/%6f/bk_fta_solutions/",
    ],
)
def test_the_services_own_address_on_the_web_is_refused(url: str) -> None:
    with pytest.raises(Refused, match="own"):
        reachable(url=OWN_URL).check_url(URL(url))


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/o/bk_fta_solutions2/",
        "https://example.com/hook",
        "http://example.com/o/bk_fta_solutions/",
        "https://example.com:8443/o/bk_fta_solutions/",
        "https://www.example.com/o/bk_fta_solutions/",
    ],
)
def test_what_stands_beside_it_is_not(url: str) -> None:
    reachable(url=OWN_URL).check_url(URL(url))


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://h/", "h/path", "//h/path", "file:///etc/passwd", "http:///x", "mailto:h@h"),
        *("http://u@h/", "http://u:p@h/", "http://:p@h/"),
        *("http://169.254.169.254/", "http://[fe80::1]/", "http://0.0.0.0/", "http://[::]/"),
        *("http://[::ffff:169.254.169.254]/", f"http://127.0.0.1:{PORT}/"),
    ],
)
def test_addresses_that_need_no_look_up_to_be_refused(url: str) -> None:
    with pytest.raises(Refused):
        reachable().check_url(URL(url))


# FTA_APPROVAL_CALLBACK_HOSTS.


@pytest.mark.parametrize(
    ("allowed", "host", "address", "may"),
    [
        ("hook.example", "hook.example", "10.0.0.1", True),
        ("hook.example", "HOOK.example.", "10.0.0.1", True),
        ("Hook.Example.", "hook.example", "10.0.0.1", True),
        ("hook.example", "www.hook.example", "10.0.0.1", False),
        ("hook.example", "hook.example.org", "10.0.0.1", False),
        ("*.example", "hook.example", "10.0.0.1", True),
        ("*.example", "a.hook.example", "10.0.0.1", True),
        ("*.example", "example", "10.0.0.1", False),
        ("*.example", "hookexample", "10.0.0.1", False),
        ("审批.example", "xn--fiq5y71i.example", "10.0.0.1", False),
        ("10.0.0.0/8", "hook.example", "10.1.2.3", True),
        ("10.0.0.0/8", "hook.example", "11.1.2.3", False),
        ("10.0.0.0/8", "hook.example", "::ffff:10.1.2.3", True),
        ("10.0.0.0/8", "hook.example", "64:ff9b::10.1.2.3", False),
        ("10.0.0.1", "10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", "10.0.0.2", False),
        ("fd00::/8", "hook.example", "fd00::1", True),
        ("fd00::/8", "hook.example", "10.0.0.1", False),
    ],
)
def test_only_what_is_allowed_is_reached(allowed: str, host: str, address: str, may: bool) -> None:
    assert (refusal(reachable(allowed), address, host=host) == "") is may


@pytest.mark.parametrize("text", ["", "*.", "*", "a b", "a/b", "http://a", "a:80", "*.*.a", "a..b"])
def test_what_is_no_name_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"no name|is no"):
        name_of(text)


# Random ones.


@given(st.ip_addresses(v=4))
@settings(deadline=None)
def test_an_address_inside_another_is_found(address: IPv4Address) -> None:
    number = int(address)
    forms = [
        f"::ffff:{address}",
        f"64:ff9b::{address}",
        str(IPv6Address(0x2002 << 112 | number << 80)),
    ]
    for form in forms:
        assert address in meant(IPv6Address(form))


@given(st.ip_addresses())
@settings(deadline=None)
def test_every_address_is_judged(address: IPv4Address | IPv6Address) -> None:
    refusal(reachable("10.0.0.0/8", "*.example"), str(address), PORT)
