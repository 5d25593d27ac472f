"""Queues between producers and consumers: bounded, counted, and for values only.

Knows what a full queue does, chosen by name, and which payloads are frozen. Does not know what the payloads mean, who
consumes them, or how long anything takes.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import is_dataclass
from enum import Enum, StrEnum
from itertools import count
from typing import Final, Generic, TypeVar

from msgspec import Struct

from service_monitoring.domain.instants import Instant
from service_monitoring.errors import Unavailable
from service_monitoring.ports import Deadline, Tick

Item = TypeVar("Item")


class WhenFull(StrEnum):
    """What a queue does with an item when there is no room for it.

    `COALESCE` puts a newer item in the place of a waiting one with the same key, full or not, and refuses a new key
    when full.
    """

    WAIT = "wait"
    DROP_OLDEST = "drop_oldest"
    REFUSE = "refuse"
    COALESCE = "coalesce"


class Offer(StrEnum):
    """What became of an offered item, or of the one that it displaced. Only with `REFUSED` the item is not in."""

    ACCEPTED = "accepted"
    DROPPED_OLDEST = "dropped_oldest"
    COALESCED = "coalesced"
    REFUSED = "refused"


class Closed(Unavailable):
    """The queue was closed and is empty: there will be no further item."""


class QueueStatistics(Struct, frozen=True):
    """Always offered = accepted + refused, and accepted = taken + dropped + coalesced + length.

    `coalesced` counts items that a newer one replaced; `waiting` producers are not counted as offered yet.
    """

    name: str
    capacity: int
    offered: int
    accepted: int
    dropped: int
    refused: int
    coalesced: int
    taken: int
    length: int
    peak: int
    waiting: int


class Queue(Generic[Item]):
    """A bounded first-in first-out queue of immutable payloads, for one loop.

    Laws: the length never exceeds the capacity; every item offered is counted in exactly one way; a cancelled `put` has
    not put, a cancelled `take` has not taken; a payload that is not a frozen value raises `TypeError`.
    """

    def __init__(
        self,
        name: str,
        *,
        capacity: int,
        when_full: WhenFull,
        key: Callable[[Item], Hashable] | None = None,
    ) -> None:
        """`key` goes with `COALESCE` and with it alone."""
        if capacity < 1:
            raise ValueError(f"queue {name}: a capacity of {capacity} holds nothing")
        if (key is not None) is not (when_full is WhenFull.COALESCE):
            raise ValueError(f"queue {name}: a key goes with coalescing, and with it alone")
        self._name = name
        self._capacity = capacity
        self._when_full = when_full
        self._key = key
        self._items: OrderedDict[Hashable, Item] = OrderedDict()
        self._numbers = count()
        self._takers: deque[asyncio.Future[None]] = deque()
        self._putters: deque[asyncio.Future[None]] = deque()
        self._closed = False
        self._offered = self._dropped = self._refused = self._coalesced = self._taken = self._peak = 0

    def __len__(self) -> int:
        return len(self._items)

    def offer(self, item: Item) -> Offer:
        """Put `item` without waiting; a full queue that would wait refuses it. A closed queue refuses everything."""
        ensure_frozen(item)
        self._offered += 1
        if self._closed:
            self._refused += 1
            return Offer.REFUSED
        place: Hashable = next(self._numbers) if self._key is None else self._key(item)
        if self._key is not None and place in self._items:
            self._items[place] = item
            self._coalesced += 1
            return Offer.COALESCED
        outcome = Offer.ACCEPTED
        if len(self._items) >= self._capacity:
            if self._when_full is not WhenFull.DROP_OLDEST:
                self._refused += 1
                return Offer.REFUSED
            self._items.popitem(last=False)
            self._dropped += 1
            outcome = Offer.DROPPED_OLDEST
        self._items[place] = item
        self._peak = max(self._peak, len(self._items))
        _wake_one(self._takers)
        return outcome

    async def put(self, item: Item) -> Offer:
        """Put `item`; with `WAIT` only when there is room, however long that takes: this is the backpressure.

        Refused when the queue is closed, also while waiting. Cancelled, the item is not in and not counted.
        """
        ensure_frozen(item)
        if self._when_full is WhenFull.WAIT:
            await self.room()
        return self.offer(item)

    async def room(self) -> None:
        """Wait until an `offer` would be taken, or the queue is closed; nothing is reserved, so offer at once."""
        while len(self._items) >= self._capacity and not self._closed:
            await _wait_in(self._putters, lambda: len(self._items) < self._capacity)

    def take_now(self, limit: int = 1) -> list[Item]:
        """Up to `limit` items, oldest first, without waiting; none when there are none."""
        number = min(limit, len(self._items))
        taken = [self._items.popitem(last=False)[1] for _ in range(number)]
        self._taken += number
        for _ in range(number):
            _wake_one(self._putters)
        return taken

    async def take_many(self, limit: int) -> list[Item]:
        """Wait for one item, then take what is there, up to `limit`, oldest first; `Closed` after the last one."""
        while not self._items:
            if self._closed:
                raise Closed(f"queue {self._name} is closed and empty")
            await _wait_in(self._takers, lambda: bool(self._items))
        return self.take_now(limit)

    async def take(self) -> Item:
        """Wait for the oldest item and take it; `Closed` after the last one."""
        return (await self.take_many(1))[0]

    def close(self) -> None:
        """Refuse whatever comes from now on; what is in can still be taken. Waiting producers are refused."""
        self._closed = True
        for waiters in (self._takers, self._putters):
            while waiters:
                _wake_one(waiters)

    def statistics(self) -> QueueStatistics:
        """What went in and out so far."""
        return QueueStatistics(
            name=self._name,
            capacity=self._capacity,
            offered=self._offered,
            accepted=self._offered - self._refused,
            dropped=self._dropped,
            refused=self._refused,
            coalesced=self._coalesced,
            taken=self._taken,
            length=len(self._items),
            peak=self._peak,
            waiting=len(self._putters),
        )


async def _wait_in(line: deque[asyncio.Future[None]], sensible: Callable[[], bool]) -> None:
    """Stand in `line` until woken. A waiter that is cancelled after it was woken passes the turn on."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    line.append(future)
    try:
        await future
    except BaseException:
        future.cancel()
        if future in line:
            line.remove(future)
        elif sensible():
            _wake_one(line)
        raise


def _wake_one(line: deque[asyncio.Future[None]]) -> None:
    while line:
        future = line.popleft()
        if not future.done():
            future.set_result(None)
            return


_PLAIN: Final = (str, int, float, bytes, bool, type(None), Enum, Instant, Tick, Deadline)


class _Nature(Enum):
    VALUE = 1
    CONTAINER = 2
    LIVE = 3


_NATURES: Final[dict[type[object], _Nature]] = {}


def _nature(kind: type[object]) -> _Nature:
    if issubclass(kind, Struct):
        return _Nature.VALUE if kind.__struct_config__.frozen else _Nature.LIVE
    if issubclass(kind, (tuple, frozenset)):
        return _Nature.CONTAINER
    if is_dataclass(kind):
        return _Nature.VALUE if kind.__dataclass_params__.frozen else _Nature.LIVE  # type: ignore[attr-defined] # typeshed hides it
    return _Nature.VALUE if issubclass(kind, _PLAIN) else _Nature.LIVE


def ensure_frozen(payload: object) -> None:
    """Raise `TypeError` unless `payload` is a frozen value, or a tuple or frozenset of such.

    A live object in a queue would have two owners. The question is answered once a type; a frozen class that holds a
    mutable field is its author's fault and is not looked into.
    """
    kind = type(payload)
    nature = _NATURES.get(kind) or _NATURES.setdefault(kind, _nature(kind))
    if nature is _Nature.CONTAINER:
        for part in payload:  # type: ignore[attr-defined] # a tuple or frozenset, by its nature
            ensure_frozen(part)
    elif nature is _Nature.LIVE:
        raise TypeError(f"{kind.__name__} is a live object: a queue carries ids and frozen values only")
