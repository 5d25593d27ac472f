"""The agenda: what is due next, in an order that no restart has to remember.

Knows due times as integers (nanoseconds of whatever clock its owner lives by), a class of order and a key. Does not
know what an entry means, what time it is, or how to wait for it: decisions and polling share it.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Any, Final, Generic, Protocol, TypeVar


class Ordered(Protocol):
    """Hashable, and in order among its like: a string, a tuple of strings, or an object that compares by its name."""

    def __hash__(self) -> int: ...
    def __lt__(self, other: Any, /) -> bool: ...


Key = TypeVar("Key", bound=Ordered)

_GARBAGE: Final = 64
"""How many dead entries are left lying before it is asked whether they outnumber the living."""

_BUCKET: Final = 20
"""The width of a bucket as a power of two: a millisecond, nearly, in nanoseconds."""


class Agenda(Generic[Key]):
    """Entries (due, order, key), earliest first; ties go by order, then key, never by booking order.

    A key has one booking at a time. Keys of one order must compare with each other. For one thread; never blocks.
    A booking that is put off costs nothing but remembering it: its entry is moved when it comes up. Entries that were
    replaced or cancelled are skipped when they come up, and swept out before they outnumber the living two to one.

    Within, it is a heap of buckets a millisecond wide, each sorted when it becomes the front. A plain heap of entries
    was tried: at fifty thousand checks a second it spent more on comparing tuples than all the rest of polling.
    """

    __slots__ = ("_buckets", "_dead", "_front", "_front_id", "_ids", "_later", "_next", "_placed")

    def __init__(self) -> None:
        # The living entry of each key: any other entry with that key is dead. And what is wanted of those put off.
        self._placed: dict[Key, tuple[int, int, Key]] = {}
        self._later: dict[Key, tuple[int, int]] = {}
        # The earliest bucket, sorted, from `_next` on; the others, unsorted, and a heap of their ids.
        self._front: list[tuple[int, int, Key]] = []
        self._next = 0
        self._front_id = 0
        self._buckets: dict[int, list[tuple[int, int, Key]]] = {}
        self._ids: list[int] = []
        self._dead = 0

    def __len__(self) -> int:
        """How many keys are booked."""
        return len(self._placed)

    def __contains__(self, key: Key) -> bool:
        return key in self._placed

    def due(self, key: Key) -> int | None:
        """When `key` is due, if it is booked."""
        wanted = self._later.get(key) or self._placed.get(key)
        return None if wanted is None else wanted[0]

    def book(self, key: Key, due: int, order: int = 0) -> None:
        """Book `key`, in place of its earlier booking if it has one."""
        placed = self._placed.get(key)
        if placed is None:
            self._place((due, order, key))
        elif (due, order) >= placed[:2]:
            self._later[key] = (due, order)  # its entry comes up early enough, and moves then
        else:
            self._later.pop(key, None)
            self._place((due, order, key))
            self._bury()

    def cancel(self, key: Key) -> None:
        """Forget the booking of `key`; nothing happens when it has none."""
        if self._placed.pop(key, None) is not None:
            self._later.pop(key, None)
            self._bury()

    def peek(self) -> tuple[int, int, Key] | None:
        """The earliest (due, order, key), left where it is."""
        while self._next < len(self._front) or self._advance():
            first = self._front[self._next]
            key = first[2]
            if self._placed.get(key) is not first:
                self._next += 1
                self._dead -= 1
            elif key in self._later:
                self._next += 1
                self._place((*self._later.pop(key), key))
            else:
                return first
        return None

    def pop(self) -> tuple[int, int, Key] | None:
        """Take the earliest (due, order, key) out."""
        first = self.peek()
        if first is not None:
            self._next += 1
            del self._placed[first[2]]
        return first

    def pop_before(self, due: int, order: int) -> tuple[int, int, Key] | None:
        """Take the earliest out if it comes before (due, order), whatever its key."""
        first = self.peek()
        if first is None or first[0] > due or (first[0] == due and first[1] >= order):
            return None
        self._next += 1
        del self._placed[first[2]]
        return first

    def pop_due(self, until: int) -> Iterator[tuple[int, int, Key]]:
        """Take out one after the other what is due at `until` or before.

        Each step looks afresh: what is booked or cancelled between two steps counts, even when it is due earlier.
        """
        placed, later = self._placed, self._later
        while True:
            first = self._front[self._next] if self._next < len(self._front) else self.peek()
            if first is None or placed.get(first[2]) is not first or first[2] in later:
                first = self.peek()
            if first is None or first[0] > until:
                return
            self._next += 1
            del placed[first[2]]
            yield first

    def shift(self, delta: int) -> None:
        """Move every due time by `delta`: the clock that they are counted on was stepped."""
        wanted = [(*(self._later.get(key) or placed[:2]), key) for key, placed in self._placed.items()]
        self._placed.clear()
        self._later.clear()
        self._buckets.clear()
        self._ids.clear()
        self._front, self._next, self._dead = [], 0, 0
        for due, order, key in wanted:
            self._place((due + delta, order, key))

    def _place(self, entry: tuple[int, int, Key]) -> None:
        self._placed[entry[2]] = entry
        bucket = entry[0] >> _BUCKET
        if bucket <= self._front_id and self._next < len(self._front):
            if bucket == self._front_id:
                insort(self._front, entry, lo=self._next)
                return
            self._buckets[self._front_id] = self._front[self._next :]
            heappush(self._ids, self._front_id)
            self._front, self._next = [], 0
        waiting = self._buckets.get(bucket)
        if waiting is None:
            self._buckets[bucket] = [entry]
            heappush(self._ids, bucket)
        else:
            waiting.append(entry)

    def _advance(self) -> bool:
        """Make the next bucket the front. Whether there is one."""
        if not self._ids:
            return False
        self._front_id = heappop(self._ids)
        self._front = self._buckets.pop(self._front_id)
        self._front.sort()
        self._next = 0
        return True

    def _bury(self) -> None:
        """Count an entry that just died."""
        self._dead += 1
        if self._dead > _GARBAGE + 2 * len(self._placed):
            self.shift(0)
