"""The answers of this installation, over the embedded store.

Knows the store and how an answer is written as bytes.
"""

from __future__ import annotations

import msgspec

from service_monitoring.ports import Clock
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.views.answers import Answered, Asked


class StoreAnswers:
    """`views.answers.Answers` over a store. Holds no state."""

    def __init__(self, store: SqliteStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def begin(self, key: str, request: str) -> Asked | None:
        """None where this is the first."""
        found = await self._store.begin_answer(key, request, self._clock.now())
        if found is None:
            return None
        answer = None if found.answer is None else msgspec.msgpack.decode(found.answer, type=Answered)
        return Asked(found.request, answer)

    async def end(self, key: str, answer: Answered) -> None:
        """Keep what was answered."""
        await self._store.end_answer(key, answer.status, msgspec.msgpack.encode(answer))

    async def forget(self, key: str) -> None:
        """Nothing was done."""
        await self._store.forget_answer(key)
