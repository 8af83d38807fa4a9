"""Which addresses a webhook may reach: never link-local, multicast, unspecified ones, nor our own.

Private and loopback addresses are allowed: receivers live there. What of them should be out of
reach, the operator says by `FTA_APPROVAL_CALLBACK_HOSTS`.
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from yarl import URL

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

THIS_NETWORK = IPv4Network("0.0.0.0/8")
BROADCAST = IPv4Address("255.255.255.255")
# A translator connects to an IPv4 address that stands inside (RFC 6052; RFC 8215 for one's own).
NAT64, LOCAL_NAT64 = IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48")
IPV4_COMPATIBLE = IPv6Network("::/96")
ISATAP = (0x0000_5EFE, 0x0200_5EFE)  # RFC 5214: the third quarter of the address


class Refused(Exception):
    """A webhook must not go there; in a sentence, why."""


@dataclass(frozen=True)
class Own:
    """Where the service itself answers."""

    host: str
    """The IP address that it listens on."""
    port: int
    url: str | None = None
    """Public address up to and including the prefix, where there is one."""


class Reachable:
    """
    Judges where a webhook may go.

    Args:
        allowed: Names, `*.name` and networks, when only those may be reached; else empty.
    """

    def __init__(self, own: Own, allowed: Sequence[str] = ()) -> None:
        self._own = own
        self._own_host = ip_address(own.host)
        self._limited = bool(allowed)
        self._networks = [network for one in allowed if (network := network_of(one)) is not None]
        self._names = [name_of(one) for one in allowed if network_of(one) is None]

    def check_url(self, url: URL) -> None:
        """
        What can be said without looking the name up; of an address in digits that is everything.

        Raises:
            Refused: No webhook goes there.
        """
        if url.scheme not in ("http", "https") or not url.raw_host or url.port is None:
            raise Refused("the address is none that a webhook can be sent to")
        if url.user is not None or url.password is not None:
            raise Refused("the address names a user")
        if self._own.url is not None and is_under(url, URL(self._own.url)):
            raise Refused("the address is the approval service's own")
        literal = address_of(url.raw_host)
        if literal is not None:
            self.check(url.raw_host, literal, url.port)

    def check(self, host: str, address: Address, port: int) -> None:
        """
        Whether one may connect to this address, which that host was found to have.

        Raises:
            Refused: No webhook goes there.
        """
        self.check_address(address, port)
        if self._limited and not self._is_allowed(host, address):
            raise Refused(f"{host} is not among FTA_APPROVAL_CALLBACK_HOSTS")

    def check_address(self, address: Address, port: int) -> None:
        """
        What holds for an address whatever its name and the settings.

        Raises:
            Refused: No webhook goes there.
        """
        for one in meant(address):
            if (what := _never(one)) is not None:
                raise Refused(f"{address} is {what}")
            if port == self._own.port and self._is_own(one):
                raise Refused(f"at {address}, port {port}, the approval service itself listens")

    def _is_own(self, address: Address) -> bool:
        if self._own_host.is_unspecified:
            return is_of_this_machine(address)
        return address in meant(self._own_host)

    def _is_allowed(self, host: str, address: Address) -> bool:
        name = host.lower().rstrip(".")
        if any(_fits(name, allowed) for allowed in self._names):
            return True
        mapped = getattr(address, "ipv4_mapped", None) or address
        return any(mapped in network for network in self._networks)


def meant(address: Address) -> Sequence[Address]:
    """The address, and those IPv4 addresses that it leads to by mapping or translation."""
    if isinstance(address, IPv4Address):
        return [address]
    plain = IPv6Address(int(address))  # without a zone
    found: list[Address | None] = [plain, plain.ipv4_mapped, plain.sixtofour]
    found += plain.teredo or ()
    last, third = int(plain) & 0xFFFF_FFFF, int(plain) >> 32 & 0xFFFF_FFFF
    if plain in NAT64 or plain in LOCAL_NAT64 or third in ISATAP:
        found.append(IPv4Address(last))
    if plain in LOCAL_NAT64:
        found += [_embedded(plain, length) for length in (48, 56, 64)]
    if plain in IPV4_COMPATIBLE and last > 1:  # else it is :: or ::1
        found.append(IPv4Address(last))
    return [one for one in found if one is not None]


def _embedded(address: IPv6Address, length: int) -> IPv4Address:
    """The IPv4 address behind a prefix of that length; bits 64 to 71 hold nothing (RFC 6052)."""
    upper, lower = int(address) >> 64, int(address) & (1 << 56) - 1
    return IPv4Address((upper << 56 | lower) >> 120 - length - 32 & 0xFFFF_FFFF)


def _never(address: Address) -> str | None:
    """What is wrong with an address, whatever the settings say."""
    if address.is_link_local:
        return "link-local"
    if address.is_multicast:
        return "multicast"
    if address.is_unspecified or address in THIS_NETWORK:
        return "no address of anybody"
    if address == BROADCAST:
        return "broadcast"
    return None


def is_of_this_machine(address: Address) -> bool:
    """Whether it is one of the addresses of this machine: only to those a socket can be bound."""
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def is_under(url: URL, base: URL) -> bool:
    """Whether an address is that of `base` or below it, however it is spelled."""
    if (url.scheme, _host(url), url.port) != (base.scheme, _host(base), base.port):
        return False
    path, below = _segments(url), _segments(base)
    return path[: len(below)] == below


def _host(url: URL) -> str:
    return (url.raw_host or "").lower().rstrip(".")


def _segments(url: URL) -> list[str]:
    return [part for part in url.path.split("/") if part]


def address_of(host: str) -> Address | None:
    """The address that a host in digits is; None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def network_of(text: str) -> Network | None:
    """A network, a single address too; None for a name."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def name_of(text: str) -> str:
    """
    A name or `*.name` as names are compared: lower case, and as DNS has it.

    Raises:
        ValueError: It is none.
    """
    star, name = ("*.", text[2:]) if text.startswith("*.") else ("", text)
    try:
        host = URL.build(scheme="http", host=name.rstrip(".")).raw_host
    except ValueError:
        host = None
    if not host or not set(host) <= NAME_CHARACTERS or ".." in host:
        raise ValueError(f"{text!r} is no name, no *.name and no network")
    return star + host.lower()


NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")


def _fits(name: str, allowed: str) -> bool:
    if allowed.startswith("*."):
        return name.endswith(allowed[1:]) and name != allowed[1:]
    return name == allowed
