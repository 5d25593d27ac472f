"""The agenda: what is due next, in an order that no restart has to remember.

Knows due times as integers (nanoseconds of whatever clock its owner lives by), a class of order and a key. Does not
know what an entry means, what time it is, or how to wait for it: decisions and polling share it.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush, heapreplace
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound="str | tuple[object, ...]")

_GARBAGE: Final = 64
"""How many dead entries are left lying before it is asked whether they outnumber the living."""


class Agenda(Generic[Key]):
    """Entries (due, order, key), earliest first; ties go by order, then key, never by booking order.

    A key has one booking at a time. Keys of one order must compare with each other. For one thread; never blocks.
    The usual case costs no heap operation: a booking that is put off is only remembered, and the heap's entry is
    moved when it comes up. Entries that were replaced or cancelled are skipped when they come up, and swept out
    before they outnumber the living two to one.
    """

    __slots__ = ("_heap", "_placed", "_wanted")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Key]] = []
        self._wanted: dict[Key, tuple[int, int]] = {}
        self._placed: dict[Key, tuple[int, int]] = {}

    def __len__(self) -> int:
        """How many keys are booked."""
        return len(self._wanted)

    def __contains__(self, key: Key) -> bool:
        return key in self._wanted

    def due(self, key: Key) -> int | None:
        """When `key` is due, if it is booked."""
        wanted = self._wanted.get(key)
        return None if wanted is None else wanted[0]

    def book(self, key: Key, due: int, order: int = 0) -> None:
        """Book `key`, in place of its earlier booking if it has one."""
        wanted = (due, order)
        self._wanted[key] = wanted
        placed = self._placed.get(key)
        if placed is not None and placed <= wanted:
            return  # its entry in the heap comes up early enough, and moves then
        self._placed[key] = wanted
        heappush(self._heap, (due, order, key))
        if len(self._heap) > _GARBAGE + 3 * len(self._wanted):
            self._rebuild(0)

    def cancel(self, key: Key) -> None:
        """Forget the booking of `key`; nothing happens when it has none."""
        if self._wanted.pop(key, None) is not None:
            del self._placed[key]
            if len(self._heap) > _GARBAGE + 3 * len(self._wanted):
                self._rebuild(0)

    def peek(self) -> tuple[int, int, Key] | None:
        """The earliest (due, order, key), left where it is."""
        heap = self._heap
        while heap:
            first = heap[0]
            due, order, key = first
            placed = self._placed.get(key)
            if placed is None or placed[0] != due or placed[1] != order:
                heappop(heap)
                continue
            wanted = self._wanted[key]
            if wanted == placed:
                return first
            self._placed[key] = wanted
            heapreplace(heap, (wanted[0], wanted[1], key))
        return None

    def pop(self) -> tuple[int, int, Key] | None:
        """Take the earliest (due, order, key) out."""
        first = self.peek()
        if first is not None:
            heappop(self._heap)
            del self._wanted[first[2]], self._placed[first[2]]
        return first

    def pop_due(self, until: int) -> Iterator[tuple[int, int, Key]]:
        """Take out one after the other what is due at `until` or before.

        Each step looks afresh: what is booked or cancelled between two steps counts, even when it is due earlier.
        """
        while (first := self.peek()) is not None and first[0] <= until:
            heappop(self._heap)
            key = first[2]
            del self._wanted[key], self._placed[key]
            yield first

    def shift(self, delta: int) -> None:
        """Move every due time by `delta`: the clock that they are counted on was stepped."""
        self._rebuild(delta)

    def _rebuild(self, delta: int) -> None:
        self._wanted = {key: (due + delta, order) for key, (due, order) in self._wanted.items()}
        self._placed = dict(self._wanted)
        self._heap = [(due, order, key) for key, (due, order) in self._wanted.items()]
        heapify(self._heap)
