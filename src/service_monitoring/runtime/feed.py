"""The feed: tells whoever listens that something changed, a few times a second, each change written once for all.

Knows topics, listeners and how much may wait for one. Does not know what changed, nor how bytes reach anybody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from service_monitoring.domain.instants import MILLISECOND, SECOND, Duration, Instant
from service_monitoring.errors import Unavailable
from service_monitoring.ports import Clock, Tick
from service_monitoring.views.live import HEARTBEAT

MOST_LISTENERS: Final = 1_000
MOST_WAITING: Final = 32 * 1024
"""Bytes that wait for one listener, before one `reset` takes their place."""
PATIENCE: Final = Duration(15 * SECOND)
"""How long a listener may take nothing of what waits for it."""
EVERY: Final = Duration(15 * SECOND)
SHORTEST: Final = Duration(250 * MILLISECOND)
LONGEST: Final = Duration(900 * MILLISECOND)
"""Between two rounds. The more listen, the longer: a round costs each listener about a tenth of a millisecond."""
_EACH: Final = MILLISECOND
_AT_ONCE: Final = 10
_BREATH: Final = MILLISECOND
"""So many listeners are woken at once, and then others have so long: probes wait for their turn, too."""
_REMEMBERED: Final = 512
"""Changes that may be told again to somebody who was away for a moment."""
_SPREAD: Final = Duration(10 * MILLISECOND)
"""By so much for each listener they should spread out what they ask for after a change."""


class FeedStatistics(Struct, frozen=True):
    """How many listen, what was told, and who was let go for not listening."""

    listeners: int
    rounds: int
    told: int
    resets: int
    dropped: int
    refused: int


class Feed:
    """Changes for many listeners (`views.live.Live`). Belongs to one asyncio loop; `publish` never waits.

    `look` is awaited in each round and gives topics besides those that were published: what time alone changed.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        look: Callable[[Instant], Awaitable[Iterable[str]]] | None = None,
        most: int = MOST_LISTENERS,
    ) -> None:
        self._clock = clock
        self._look = look
        self._most = most
        # Ids of another run are not ours: what came after them is unknown.
        self._run = f"{clock.now().ns:x}"
        self._number = 0
        self._pending: dict[str, None] = {}
        self._past: deque[tuple[int, str]] = deque(maxlen=_REMEMBERED)
        self._listeners: dict[_Listener, None] = {}
        self._of: dict[str, dict[_Listener, None]] = {}
        self._stopping = False
        self._rounds = self._told = self._resets = self._dropped = self._refused = 0

    def statistics(self) -> FeedStatistics:
        """As it stands."""
        return FeedStatistics(
            len(self._listeners), self._rounds, self._told, self._resets, self._dropped, self._refused
        )

    def listened(self, topic: str) -> bool:
        """Whether anybody named this topic."""
        return topic in self._of

    @property
    def topics(self) -> Collection[str]:
        """Topics that somebody named, and perhaps nothing for the general ones."""
        return self._of.keys()

    def publish(self, topics: Iterable[str]) -> None:
        """These changed, and that is committed."""
        self._pending.update(dict.fromkeys(topics))

    def listen(self, topics: Collection[str], seen: str = "") -> _Listener:
        """Listen."""
        if len(self._listeners) >= self._most:
            self._refused += 1
            raise Unavailable(f"{self._most} listen already: ask for the page again now and then")
        listener = _Listener(self, frozenset(topics) or frozenset({""}))
        self._listeners[listener] = None
        for topic in listener.topics:
            self._of.setdefault(topic, {})[listener] = None
        listener.put("hello", self._hello())
        missed = self._since(seen)
        if missed is None:
            listener.put_reset(self._reset())
        else:
            for topic in missed:
                if listener.wants(topic):
                    listener.put(topic, self._frame(topic))
        return listener

    async def run(self, beat: Callable[[], None]) -> None:
        """Tell of changes until `stop`."""
        breathed = self._clock.tick()
        while not self._stopping:
            beat()
            await self._clock.wait_until(self._clock.tick().plus(self.pace()))
            if self._look is not None:
                self.publish(await self._look(self._clock.now()))
            await self._round()
            if self._clock.tick().since(breathed) >= EVERY:
                breathed = self._clock.tick()
                self._let_go(breathed)
                await self._tell(dict.fromkeys(self._listeners, (("", HEARTBEAT),)))

    async def stop(self) -> None:
        """Nobody is told any more: every listener is at its end."""
        self._stopping = True
        for listener in list(self._listeners):
            listener.end()

    def pace(self) -> Duration:
        """How long one round follows another."""
        return Duration(max(SHORTEST, min(LONGEST, len(self._listeners) * _EACH)))

    async def _round(self) -> None:
        pending, self._pending = self._pending, {}
        if not pending:
            return
        self._rounds += 1
        told: dict[_Listener, list[tuple[str, bytes]]] = {}
        for topic in pending:
            self._number += 1
            self._past.append((self._number, topic))
            frame = self._frame(topic)
            general = () if ":" in topic else self._of.get("", ())
            for listener in (*self._of.get(topic, ()), *general):
                told.setdefault(listener, []).append((topic, frame))
        self._let_go(self._clock.tick())
        await self._tell(told)

    async def _tell(self, told: Mapping[_Listener, Sequence[tuple[str, bytes]]]) -> None:
        for place, (listener, frames) in enumerate(told.items()):
            if place % _AT_ONCE == _AT_ONCE - 1:
                await self._clock.wait_until(self._clock.tick().plus(_BREATH))
            for topic, frame in frames:
                self._told += 1
                if not listener.put(topic, frame):
                    self._resets += 1
                    listener.put_reset(self._reset())

    def _let_go(self, now: Tick) -> None:
        for listener in [each for each in self._listeners if each.overdue(now)]:
            self._dropped += 1
            listener.end()

    def _since(self, seen: str) -> list[str] | None:
        """The topics that changed after an event; None where that is not known."""
        if not seen:
            return []
        run, _, number = seen.partition("-")
        if run != self._run or not number.isdecimal() or int(number) > self._number:
            return None
        oldest = self._past[0][0] if self._past else self._number + 1
        if int(number) < oldest - 1:
            return None
        return list(dict.fromkeys(topic for each, topic in self._past if each > int(number)))

    def _frame(self, topic: str) -> bytes:
        return f"id: {self._run}-{self._number}\ndata: {topic}\n\n".encode()

    def _reset(self) -> bytes:
        return f"id: {self._run}-{self._number}\nevent: reset\ndata: all\n\n".encode()

    def _hello(self) -> bytes:
        spread = len(self._listeners) * _SPREAD // MILLISECOND
        return f"retry: 3000\nid: {self._run}-{self._number}\nevent: hello\ndata: {spread}\n\n".encode()

    def now(self) -> Tick:
        """For listeners."""
        return self._clock.tick()

    def leave(self, listener: _Listener) -> None:
        """It is gone."""
        if listener not in self._listeners:
            return
        del self._listeners[listener]
        for topic in listener.topics:
            named = self._of[topic]
            del named[listener]
            if not named:
                del self._of[topic]


class _Listener:
    """One who listens: what waits for it, a topic once."""

    __slots__ = ("_bytes", "_ended", "_feed", "_since", "_waiting", "_woken", "topics")

    def __init__(self, feed: Feed, topics: frozenset[str]) -> None:
        self._feed = feed
        self.topics = topics
        self._waiting: dict[str, bytes] = {}
        self._bytes = 0
        self._since: Tick | None = None
        self._woken = asyncio.Event()
        self._ended = False

    @property
    def waiting(self) -> int:
        """Bytes that wait for it."""
        return self._bytes

    def wants(self, topic: str) -> bool:
        """Whether it listens for this one."""
        return topic in self.topics or ("" in self.topics and ":" not in topic)

    async def take(self) -> bytes:
        """What is new; nothing once it is over."""
        while not self._waiting and not self._ended:
            self._woken.clear()
            await self._woken.wait()
        if self._ended:
            return b""
        taken = b"".join(self._waiting.values())
        self._waiting, self._bytes, self._since = {}, 0, None
        return taken

    def close(self) -> None:
        """It listens no more."""
        self._feed.leave(self)

    def put(self, topic: str, frame: bytes) -> bool:
        """Let this wait for it, in the place of an earlier one of the same topic; False where there is no room."""
        before = self._waiting.pop(topic, b"")
        size = self._bytes - len(before) + len(frame)
        if size > MOST_WAITING:
            return False
        self._waiting[topic] = frame
        self._bytes = size
        self._wake()
        return True

    def put_reset(self, frame: bytes) -> None:
        """Let one `reset` stand for whatever waits."""
        self._waiting, self._bytes = {"reset": frame}, len(frame)
        self._wake()

    def overdue(self, now: Tick) -> bool:
        """Whether it has taken nothing of what waits for too long."""
        return self._since is not None and now.since(self._since) >= PATIENCE

    def end(self) -> None:
        """Let it go."""
        self._ended = True
        self._waiting, self._bytes, self._since = {}, 0, None
        self._woken.set()
        self._feed.leave(self)

    def _wake(self) -> None:
        if self._since is None:
            self._since = self._feed.now()
        self._woken.set()
