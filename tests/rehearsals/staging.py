"""The outside of a staged day: kinds of checks and channels in this process, offered by entry points like any plugin.

What they say follows from the simulated instant and a seed. Knows ports; does not know rules, routes or the store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from service_monitoring.bootstrap import loading
from service_monitoring.domain.instants import HOUR, MINUTE, SECOND, Duration, Instant
from service_monitoring.domain.notices import Notice
from service_monitoring.domain.samples import Measurement, Observation, Outcome, Reason
from service_monitoring.ports import (
    Accepted,
    Answer,
    Clock,
    Deadline,
    Later,
    Message,
    Rejected,
    Surroundings,
    Uncertain,
)
from service_monitoring.testing.clock import START

ENTRY_POINTS = f"""\
[service_monitoring.sources]
staged = {__name__}:SourceKind
[service_monitoring.sinks]
played = {__name__}:SinkKind
"""
_LENGTHS = (20 * SECOND, 2 * MINUTE, 7 * MINUTE, 25 * MINUTE, 2 * HOUR)


class Stage:
    """What the world does in a day: each target has spells in which it is well, slow, down, hangs or breaks its check.

    Spells of a target follow from its name and the seed, whoever asks and when. In the `plan` are those that are not
    left to the dice: target, from and to by the hour of the day, what it is like.
    """

    def __init__(self, seed: int, plan: Sequence[tuple[str, float, float, str]] = ()) -> None:
        self._seed = seed
        self._plan = plan
        self._spells: dict[str, list[tuple[int, str]]] = {}
        self.sent: Counter[str] = Counter()
        self.answers = Random(f"answers {seed}")
        self.polls = 0

    def spell(self, target: str, at: Instant) -> str:
        """What the target is like."""
        hour = at.since(START) / HOUR
        for name, begins, ends, kind in self._plan:
            if name == target and begins <= hour < ends:
                return kind
        spells = self._spells.setdefault(target, [(START.ns, "well")])
        dice = Random(f"{self._seed} {target} {len(spells)}")
        while spells[-1][0] <= at.ns:
            end = spells[-1][0] + dice.choice(_LENGTHS) + dice.randrange(60) * SECOND
            kinds = ("well", "well", "slow") if spells[-1][1] != "well" else ("slow", "down", "down", "hangs", "broken")
            spells.append((end, dice.choice(kinds)))
        return next(kind for begun, kind in reversed(spells) if begun <= at.ns)


STAGE: list[Stage] = []
"""The stage of the test that runs."""


class SourceOptions(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    staged: str


class SourceKind:
    name = "staged"
    options = SourceOptions

    def open_source(self, options: SourceOptions, *, surroundings: Surroundings) -> Source:
        return Source(options.staged, surroundings.clock)

    def metrics(self, options: SourceOptions) -> list[str]:
        return ["seconds"]

    async def close(self) -> None:
        """Nothing is open."""


class Source:
    """A target in this process."""

    def __init__(self, target: str, clock: Clock) -> None:
        self._target = target
        self._clock = clock

    async def probe(self, deadline: Deadline) -> Observation:
        now = self._clock.now()
        STAGE[-1].polls += 1
        match STAGE[-1].spell(self._target, now):
            case "down":
                return Observation(Outcome.FAILED, Reason.CONNECT, "nobody listens")
            case "hangs":
                await self._clock.wait_until(deadline.tick)
                return Observation(Outcome.FAILED, Reason.TIMEOUT, "no answer")
            case "broken":
                raise LookupError("a defect of the check")
            case spell:
                await self._clock.wait_until(self._clock.tick().plus(Duration(30_000_000)))
                seconds = (4.0 if spell == "slow" else 0.2) + now.ns // SECOND % 7 / 10
                return Observation(Outcome.OK, measurements=(Measurement("seconds", seconds),))


class SinkOptions(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    played: str


class SinkKind:
    name = "played"
    options = SinkOptions

    def open_sink(self, options: SinkOptions, *, surroundings: Surroundings) -> Sink:
        return Sink(options.played, surroundings.clock)

    async def close(self) -> None:
        """Nothing is open."""


class Sink:
    """A channel in this process: `steady` takes all, `moody` fails and hangs now and then, `picky` refuses some."""

    def __init__(self, mood: str, clock: Clock) -> None:
        self._mood = mood
        self._clock = clock

    def render(self, notice: Notice) -> Message:
        return Message(notice.key, notice.thread, str(notice.page), notice.facts.summary)

    async def send(self, message: Message, deadline: Deadline) -> Answer:
        answer = await self._answer(deadline)
        STAGE[-1].sent[type(answer).__name__] += 1
        return answer

    async def _answer(self, deadline: Deadline) -> Answer:
        throw = STAGE[-1].answers.random()
        if self._mood == "picky" and throw < 0.4:
            return Rejected("such a thing is never taken here")
        if self._mood == "moody" and throw < 0.2:
            await self._clock.wait_until(deadline.tick)
            return Uncertain("no answer")
        if self._mood == "moody" and throw < 0.6:
            return Later("busy", Duration(10 * MINUTE) if throw < 0.3 else None)
        await self._clock.wait_until(self._clock.tick().plus(Duration(50_000_000)))
        return Accepted()


@contextmanager
def staged(stage: Stage, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """Its kinds are installed while inside."""
    package = folder / "staging-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "entry_points.txt").write_text(ENTRY_POINTS)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: staging\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(folder)
    kinds: tuple[Any, Any] = (loading.source_kinds, loading.sink_kinds)
    for known in kinds:
        known.cache_clear()
    STAGE.append(stage)
    try:
        yield stage
    finally:
        STAGE.pop()
        monkeypatch.undo()
        for known in kinds:
            known.cache_clear()
