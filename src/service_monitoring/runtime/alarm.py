"""The alarm: telling the owners of the monitor when its own store cannot be written, now or ever again.

Knows sinks and a few sentences. Uses neither store nor outbox, because they are what it speaks of: a sentence is sent
once, at once, and not remembered.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from service_monitoring.domain.instants import SECOND, Duration, Instant
from service_monitoring.domain.notices import Facts, Notice, Page, notice_key, thread_key
from service_monitoring.domain.routing import OWNERS
from service_monitoring.domain.rules import Severity
from service_monitoring.errors import Unavailable
from service_monitoring.ports import Clock, Deadline, Sink
from service_monitoring.runtime.deadlines import deadline_after, within
from service_monitoring.runtime.queue import Queue, WhenFull

_BUDGET: Final = Duration(10 * SECOND)
_BEAT: Final = Duration(20 * SECOND)


class Alarm:
    """Sends sentences straight to the owners' sinks. One loop; `ring` never blocks, and keeps the newest eight."""

    def __init__(self, sinks: Mapping[str, Sink], owners: Sequence[str], clock: Clock) -> None:
        self._clock = clock
        self._under_way: Counter[int] = Counter()
        self.replace(sinks, owners)
        self._sentences: Queue[str] = Queue("alarm", capacity=8, when_full=WhenFull.DROP_OLDEST)

    def replace(self, sinks: Mapping[str, Sink], owners: Sequence[str]) -> None:
        """Tell these from now on; what is being sent ends as it began."""
        self._sinks = {name: sinks[name] for name in owners if name in sinks}

    def uses(self, sink: Sink) -> bool:
        """Whether something is sent through it, or will be."""
        return self._under_way[id(sink)] > 0 or any(sink is each for each in self._sinks.values())

    def ring(self, sentence: str) -> None:
        """Tell the owners."""
        self._sentences.offer(sentence)

    async def run(self, beat: Callable[[], None]) -> None:
        """Send what rings, until cancelled; an owner who cannot be reached is not tried again."""
        while True:
            beat()
            try:
                async with within(self._clock, deadline_after(self._clock, _BEAT)):
                    sentence = await self._sentences.take()
            except TimeoutError:
                continue
            except Unavailable:
                return
            await asyncio.gather(*self._sending(sentence, deadline_after(self._clock, _BUDGET)))

    async def last_words(self, sentence: str, deadline: Deadline) -> None:
        """Tell the owners at once, without the loop; whom that does not reach by the deadline is not told."""
        with suppress(TimeoutError):
            async with within(self._clock, deadline):
                await asyncio.gather(*self._sending(sentence, deadline), return_exceptions=True)

    def _sending(self, sentence: str, deadline: Deadline) -> list[Coroutine[Any, Any, None]]:
        at = self._clock.now()
        return [self._send(name, sink, sentence, at, deadline) for name, sink in self._sinks.items()]

    async def _send(self, name: str, sink: Sink, sentence: str, at: Instant, deadline: Deadline) -> None:
        group = hashlib.sha256(f"alarm\n{sentence}\n{at}".encode()).hexdigest()[:16]
        notice = Notice(
            key=notice_key(group, OWNERS, name, Page.OWNER, 1),
            thread=thread_key(group, OWNERS, name),
            group=group,
            sequence=1,
            recipient=OWNERS,
            channel=name,
            page=Page.OWNER,
            decided_at=at,
            facts=Facts(summary=sentence, severity=Severity.CRITICAL, state="trouble"),
        )
        self._under_way[id(sink)] += 1
        try:
            await sink.send(sink.render(notice), deadline)
        finally:
            self._under_way[id(sink)] -= 1
