"""Addresses: who is a proxy of ours, and for whom proxies ask.

Knows how addresses are written in headers. Does not know requests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Final

from service_monitoring.settings.network import Address, Network

_MOST_HOPS: Final = 32


def among(address: str, networks: Iterable[Network]) -> bool:
    """Whether an address is in one of these networks."""
    read = _address(address)
    return read is not None and any(read in network for network in networks)


def farthest(peer: str, said: Sequence[str], proxies: Sequence[Network]) -> str:
    """The first address, going outwards from us, that is no proxy of ours: whatever is before it was written by it."""
    known = peer
    for hop in reversed(said[-_MOST_HOPS:]):
        read = _address(hop.strip())
        if read is None:
            break
        known = str(read)
        if not among(known, proxies):
            break
    return known


def _address(text: str) -> Address | None:
    """An address as proxies write it: alone, in brackets, with a port, or as IPv6 that carries IPv4."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        read = ip_address(text)
    except ValueError:
        return None
    return getattr(read, "ipv4_mapped", None) or read
