"""Network policy: which addresses this program may connect to on somebody's behalf.

Knows addresses alone: no names, no resolving, no sockets. Whoever connects asks once more for the very address that it
is about to connect to, after resolving, so that a name which changes its address between two looks gains nothing.

`ipaddress` of Python 3.11 calls global what is not: shared address space, NAT64, 6to4, site-local, IPv4-compatible and
newer documentation prefixes. Those are listed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from service_monitoring.settings.problems import InvalidValue, shown

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

METADATA: Final[frozenset[Address]] = frozenset({IPv4Address("169.254.169.254"), IPv6Address("fd00:ec2::254")})
"""Where clouds hand out credentials: never, whatever is allowed."""

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_IPV4_COMPATIBLE: Final = IPv6Network("::/96")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL: Final = IPv6Network("64:ff9b:1::/48")
_NOT_GLOBAL: Final[tuple[tuple[Network, str], ...]] = (
    (IPv4Network("100.64.0.0/10"), "shared address space of carriers"),
    (IPv4Network("192.0.0.0/24"), "reserved for protocols"),
    (IPv4Network("192.88.99.0/24"), "the 6to4 relay"),
    (IPv6Network("2001::/32"), "a Teredo tunnel"),
    (IPv6Network("2002::/16"), "a 6to4 tunnel"),
    (IPv6Network("3fff::/20"), "for documentation only"),
    (_NAT64, "a NAT64 translation"),
    (_NAT64_LOCAL, "a local NAT64 translation"),
)


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Refuses everything that is not the public internet, unless `allowed` lists it; metadata addresses always.

    Immutable; never blocks.
    """

    allowed: tuple[Network, ...] = ()

    @classmethod
    def allowing(cls, networks: Iterable[str]) -> AddressPolicy:
        """The policy that also allows `networks`, as `10.0.0.0/8`; `InvalidValue` for one that is not a network."""
        return cls(tuple(network(text) for text in networks))

    def refusal(self, address: Address) -> str | None:
        """Why nobody may connect to `address`, or None when one may.

        Addresses that carry another one inside (mapped, compatible, NAT64, 6to4, Teredo) are judged by both.
        """
        if isinstance(address, IPv6Address):
            if address.ipv4_mapped is not None:
                return self.refusal(address.ipv4_mapped)
            address = IPv6Address(int(address))
        if address in METADATA:
            return f"{address} hands out credentials of the machine: it is never connected to"
        if not any(address in allowed for allowed in self.allowed):
            reason = _not_public(address)
            if reason is not None:
                return f"{address} is {reason}: list it under network.allow to connect to it"
        for inner in _carried(address):
            refusal = self.refusal(inner)
            if refusal is not None:
                return f"{address} leads elsewhere: {refusal}"
        if address in _NAT64_LOCAL and any(inner in METADATA for inner in _translated(address)):
            return f"{address} leads to an address that hands out credentials of the machine"
        return None


def address(text: str) -> Address:
    """Read an address in its usual form; octal, hexadecimal, decimal and shortened IPv4 are `InvalidValue`."""
    try:
        return ip_address(text)
    except ValueError:
        raise InvalidValue(f"{shown(text)} is not an address", "write 192.0.2.1 or 2001:db8::1") from None


def network(text: str) -> Network:
    """Read a network, or one address as a network of itself; anything else is `InvalidValue`."""
    try:
        return ip_network(text)
    except ValueError as error:
        if "host bits" in str(error):
            proper = ip_network(text, strict=False)
            raise InvalidValue(f"{shown(text)} names an address within a network", f"write {proper}") from None
        raise InvalidValue(f"{shown(text)} is not a network", "write 10.0.0.0/8, fd00::/8 or one address") from None


def is_loopback(host: str) -> bool:
    """Whether a host, as people write it in an address, is this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _not_public(address: Address) -> str | None:
    """What `address` is, where it is not part of the public internet."""
    for prefix, name in _NOT_GLOBAL:
        if address in prefix:
            return name
    if address.is_unspecified:
        return "no address at all"
    if address.is_loopback:
        return "this machine itself"
    if address.is_link_local:
        return "link-local"
    if address.is_multicast:
        return "multicast"
    if not address.is_global:
        return "private"
    if address.version == 6 and address not in _GLOBAL_UNICAST:
        return "outside the global unicast addresses"
    return None


def _carried(address: Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that an allowed IPv6 address leads to."""
    if isinstance(address, IPv4Address):
        return
    if address in _NAT64 or (address in _IPV4_COMPATIBLE and int(address) > 0xFFFF):
        yield IPv4Address(int(address) & 0xFFFFFFFF)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield address.teredo[1]


def _translated(address: Address) -> Iterator[IPv4Address]:
    """What a local NAT64 address may stand for: RFC 6052 puts the bits elsewhere for each length of prefix."""
    octets = address.packed
    for positions in ((6, 7, 9, 10), (7, 9, 10, 11), (9, 10, 11, 12), (12, 13, 14, 15)):
        yield IPv4Address(bytes(octets[position] for position in positions))
