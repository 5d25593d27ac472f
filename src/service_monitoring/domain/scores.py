"""Scores: a stretch on a line, judged as a whole, and how much of it has been played.

Knows columns, codes and which of the samples ahead change anything. Decides nothing: at those samples the policy judges
as it does live, and passes over the others, of which `tracks.Track.steady` says that they would change nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final, Protocol

import numpy as np

from service_monitoring.domain import flapping
from service_monitoring.domain.flapping import Flips
from service_monitoring.domain.instants import Duration
from service_monitoring.domain.rules import Rule
from service_monitoring.domain.runs import borders, late
from service_monitoring.domain.strategies import Absence, Composite, Heartbeat
from service_monitoring.domain.stretches import Stretch
from service_monitoring.domain.verdicts import Code
from service_monitoring.domain.windows import CodeColumn, FloatColumn, InstantColumn

_UNKNOWN: Final = int(Code.UNKNOWN)


class Judged(Protocol):
    """What a score asks of a track."""

    rule: Rule
    steady: int
    flips: Flips


class Score:
    """The samples of a series that are known ahead of time, after those of its window.

    `position` is the index of the newest sample that was heard, `counted` that of the newest one that was judged: what
    lies between changed nothing but what is remembered of verdicts, all of which were the same. Single-threaded.
    """

    __slots__ = ("_borders", "_codes", "_first", "_longest", "_silences", "counted", "instants", "position", "values")

    def __init__(self, stretch: Stretch, instants: InstantColumn, values: FloatColumn) -> None:
        """`instants` and `values` are what the series' rules look back at."""
        self._first = len(instants)
        self._longest = stretch.steps.longest
        self.instants = np.concatenate([instants, stretch.instants]) if self._first else stretch.instants
        self.values = np.concatenate([values, stretch.values]) if self._first else stretch.values
        self.position = self.counted = self._first - 1
        self._codes: dict[str, CodeColumn] = {}
        self._borders: list[int] = []
        self._silences: list[int] = []

    def judge(self, tracks: Iterable[Judged], silence: Duration | None, heard: int) -> None:
        """Judge what is ahead by the rule of each track; no timer comes before the series was silent for `silence`.

        `heard` is the instant (ns) of the newest sample so far, 0 for none.
        """
        begin = self.position + 1
        self._first, self.counted = begin, self.position
        self._codes = {track.rule.name: self._codes_of(track.rule, begin) for track in tracks}
        silent, self._silences = None, []
        if silence is not None and begin < len(self.instants):
            if self._longest > silence:
                silent = late(self.instants[begin:], silence)
                self._silences = [place + begin + 1 for place in silent.nonzero()[0].tolist()]
            if heard and int(self.instants[begin]) - heard > silence:
                self._silences.insert(0, begin)
        self._borders = [place + begin + 1 for place in borders(self._codes.values(), silent).tolist()]

    def _codes_of(self, rule: Rule, begin: int) -> CodeColumn:
        strategy = rule.strategy
        if isinstance(strategy, (Absence, Heartbeat, Composite)):
            return np.zeros(len(self.instants) - begin, dtype=np.int8)  # recovered at each
        worse = tuple(each.comparison for each in rule.worse) if rule.worse else ()
        return strategy.codes(self.instants, self.values, begin, rule.recovery.comparison, worse)

    def forget(self) -> None:
        """Nothing before the newest sample is looked back at any more."""
        begin = self.position + 1
        self.instants, self.values = self.instants[begin:], self.values[begin:]
        self.position = self.counted = -1
        self._first, self._codes, self._borders, self._silences = 0, {}, [], [0]

    def passed(self, rule: str) -> int:
        """How many verdicts of a rule were passed over since it judged last: all alike, none where they are Unknown."""
        begin = self.counted + 1
        if begin > self.position or int(self._codes[rule][begin - self._first]) == _UNKNOWN:
            return 0
        return self.position - self.counted

    def rest(self) -> list[tuple[int, float]]:
        """What was not heard yet."""
        begin = self.position + 1
        return list(zip(self.instants[begin:].tolist(), self.values[begin:].tolist(), strict=True))

    def index(self, at: int) -> int:
        """Where the sample of that instant (ns) is."""
        return int(self.instants.searchsorted(at))

    def approach(self, at: int) -> int:
        """Pass over all before the sample of that instant (ns); gives its index."""
        index = self.index(at)
        self.position = index - 1
        return index

    def code(self, rule: str) -> int:
        """What a rule says of the newest sample."""
        return int(self._codes[rule][self.position - self._first])

    def next(self, tracks: Iterable[Judged]) -> int | None:
        """The index of the next sample that changes anything; None: no other one does."""
        start = self.position + 1
        if start >= len(self.instants):
            return None
        index = bisect_right(self._borders, self.position)
        limit = self._borders[index] if index < len(self._borders) else len(self.instants)
        for track in tracks:
            if track.steady != int(self._codes[track.rule.name][start - self._first]):
                return start
            terms = track.rule.flapping if track.flips.changes else None
            if terms is not None and track.steady != _UNKNOWN:
                again = flapping.steady_after(track.flips, terms)
                limit = limit if again is None else min(limit, self.counted + again)
        return limit if limit < len(self.instants) else None

    def spoken(self, heard: int) -> int:
        """The instant (ns) of the last sample before the series is next silent; `heard` where that is the newest."""
        index = bisect_right(self._silences, self.position)
        end = self._silences[index] if index < len(self._silences) else len(self.instants)
        return int(self.instants[end - 1]) if end - 1 > self.position else heard
