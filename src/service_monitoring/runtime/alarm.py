"""The alarm: telling the owners of the monitor of its own trouble, by a way that needs no store.

Knows sinks and a few sentences. Uses neither store nor outbox, because they are what it speaks of: what is said is in
memory alone, and a program that is killed meanwhile does not say it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from msgspec import Struct

from service_monitoring.domain.instants import SECOND, Duration, Instant, in_seconds
from service_monitoring.domain.notices import Facts, Notice, Page, notice_key, thread_key
from service_monitoring.domain.routing import OWNERS
from service_monitoring.domain.rules import Severity
from service_monitoring.errors import Unavailable
from service_monitoring.ports import Accepted, Clock, Deadline, Rejected, Sink, Tick
from service_monitoring.runtime.attempts import attempt, message_of
from service_monitoring.runtime.deadlines import deadline_after, within
from service_monitoring.runtime.queue import Queue, WhenFull

SETTLED: Final = Duration(10 * SECOND)
"""How long a trouble must stay away to be over: one that comes and goes is told once."""
_LOOK: Final = Duration(5 * SECOND)
_AGAIN: Final = (Duration(2 * SECOND), Duration(8 * SECOND))
"""How long after an attempt that did not arrive it is tried again."""


class _Said(Struct, frozen=True):
    """One sentence; all of one trouble share `group`, and with it a thread."""

    sentence: str
    group: str
    at: Instant
    page: Page = Page.OWNER
    severity: Severity = Severity.CRITICAL
    state: str = "trouble"


class _Trouble:
    """What is wrong, or was until just now."""

    __slots__ = ("began", "ended", "group", "sentence")

    def __init__(self, sentence: str, group: str, began: Tick) -> None:
        self.sentence = sentence
        self.group = group
        self.began = began
        self.ended: Tick | None = None


class Alarm:
    """Sends sentences straight to the owners' sinks. One loop; `ring` never blocks, and keeps the newest eight.

    A trouble is told once, and once more when it has been over for ten seconds. What an owner's far side does not take
    is tried twice more.
    """

    def __init__(
        self,
        sinks: Mapping[str, Sink],
        owners: Sequence[str],
        clock: Clock,
        *,
        missed: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        """`missed` hears which owner was not told, and why."""
        self._clock = clock
        self._missed = missed
        self._under_way: Counter[int] = Counter()
        self._troubles: dict[str, _Trouble] = {}
        self.replace(sinks, owners)
        self._sentences: Queue[_Said] = Queue("alarm", capacity=8, when_full=WhenFull.DROP_OLDEST)

    def replace(self, sinks: Mapping[str, Sink], owners: Sequence[str]) -> None:
        """Tell these from now on; what is being sent ends as it began."""
        self._sinks = {name: sinks[name] for name in owners if name in sinks}

    def uses(self, sink: Sink) -> bool:
        """Whether something is sent through it, or will be."""
        return self._under_way[id(sink)] > 0 or any(sink is each for each in self._sinks.values())

    def ring(self, sentence: str) -> None:
        """Tell the owners."""
        self._sentences.offer(self._said(sentence))

    def trouble(self, kind: str, sentence: str) -> None:
        """Something of this kind is wrong: the owners are told, unless they know."""
        known = self._troubles.get(kind)
        if known is None:
            said = self._said(sentence, kind)
            self._troubles[kind] = _Trouble(sentence, said.group, self._clock.tick())
            self._sentences.offer(said)
        else:
            known.ended = None

    def over(self, kind: str) -> None:
        """It is no longer wrong: the owners are told when it stays so."""
        known = self._troubles.get(kind)
        if known is not None and known.ended is None:
            known.ended = self._clock.tick()

    async def run(self, beat: Callable[[], None]) -> None:
        """Send what rings, until cancelled."""
        while True:
            beat()
            self._settle()
            try:
                async with within(self._clock, deadline_after(self._clock, _LOOK)):
                    said = await self._sentences.take()
            except TimeoutError:
                continue
            except Unavailable:
                return
            await asyncio.gather(*self._telling(said, beat))

    async def last_words(self, sentence: str, deadline: Deadline) -> None:
        """Tell the owners at once, without the loop; whom that does not reach by the deadline is not told."""
        said = self._said(sentence)
        notices = [(sink, _notice(said, name)) for name, sink in self._sinks.items()]
        with suppress(TimeoutError):
            async with within(self._clock, deadline):
                await asyncio.gather(
                    *(sink.send(message_of(sink, notice), deadline) for sink, notice in notices),
                    return_exceptions=True,
                )

    def _settle(self) -> None:
        """Tell of what has been over for a while."""
        now = self._clock.tick()
        for kind, trouble in list(self._troubles.items()):
            if trouble.ended is not None and now.since(trouble.ended) >= SETTLED:
                del self._troubles[kind]
                lasted = in_seconds(trouble.ended.since(trouble.began))
                sentence = f"this is over after {lasted:.0f} s: {trouble.sentence}"
                at = self._clock.now()
                self._sentences.offer(_Said(sentence, trouble.group, at, Page.RECOVERED, Severity.INFO, state="over"))

    def _said(self, sentence: str, kind: str = "") -> _Said:
        at = self._clock.now()
        group = hashlib.sha256(f"alarm\n{kind or sentence}\n{at}".encode()).hexdigest()[:16]
        return _Said(sentence, group, at)

    def _telling(self, said: _Said, beat: Callable[[], None]) -> list[Coroutine[Any, Any, None]]:
        return [self._tell(name, sink, said, beat) for name, sink in self._sinks.items()]

    async def _tell(self, name: str, sink: Sink, said: _Said, beat: Callable[[], None]) -> None:
        self._under_way[id(sink)] += 1
        try:
            message = message_of(sink, _notice(said, name))
            why = ""
            for wait in (Duration(0), *_AGAIN):
                if wait:
                    await self._clock.wait_until(self._clock.tick().plus(wait))
                beat()
                answer, _ = await attempt(sink, message, self._clock)
                if isinstance(answer, Accepted):
                    return
                why = answer.detail
                if isinstance(answer, Rejected):
                    break
            self._missed(f"{name} was not told that {said.sentence}: {why}")
        finally:
            self._under_way[id(sink)] -= 1


def _notice(said: _Said, channel: str) -> Notice:
    return Notice(
        key=notice_key(said.group, OWNERS, channel, said.page, 1),
        thread=thread_key(said.group, OWNERS, channel),
        group=said.group,
        sequence=1 if said.page is Page.OWNER else 2,
        recipient=OWNERS,
        channel=channel,
        page=said.page,
        decided_at=said.at,
        facts=Facts(summary=said.sentence, severity=said.severity, state=said.state),
    )
