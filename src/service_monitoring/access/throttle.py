"""Throttle: how often one may try to be let in, counted for each account and for each address.

Pure: takes monotonic ticks. Holds a bounded number of those who tried; nothing of what they tried.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Final

from service_monitoring.domain.instants import MINUTE, Duration
from service_monitoring.ports import Tick

TRIES: Final = 5
WITHIN: Final = MINUTE
MOST: Final = 10_000
"""Whom it remembers at once. With more, the one is forgotten who tried longest ago."""


class Throttle:
    """Tries within a sliding minute. Not for threads."""

    def __init__(self, *, tries: int = TRIES, within: Duration = WITHIN, most: int = MOST) -> None:
        self._tries = tries
        self._within = within
        self._most = most
        self._known: OrderedDict[str, tuple[Tick, ...]] = OrderedDict()

    def ask(self, names: Iterable[str], at: Tick) -> Duration:
        """Count a try for each of these names, and none where one of them has no more: how long it has to wait then.

        Tries that are under way count: many at once are not more than one after the other.
        """
        tried = {name: self._recent(name, at) for name in names}
        waits = [
            Duration(self._within - at.since(ticks[-self._tries]))
            for ticks in tried.values()
            if len(ticks) >= self._tries
        ]
        if waits:
            return max(waits)
        for name, ticks in tried.items():
            self._known[name] = (*ticks, at)
            self._known.move_to_end(name)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return Duration(0)

    def forgive(self, names: Iterable[str], at: Tick) -> None:
        """Take back the try of that tick: it succeeded."""
        for name in names:
            left = list(self._known.get(name, ()))
            if at in left:
                left.remove(at)
            if left:
                self._known[name] = tuple(left)
            else:
                self._known.pop(name, None)

    def __len__(self) -> int:
        """How many it remembers."""
        return len(self._known)

    def _recent(self, name: str, at: Tick) -> tuple[Tick, ...]:
        return tuple(tick for tick in self._known.get(name, ()) if at.since(tick) < self._within)


def origin(address: str) -> str:
    """Who counts as one address: of IPv6, the network of 64 bits that one household has to choose from."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed, 64), strict=False))
