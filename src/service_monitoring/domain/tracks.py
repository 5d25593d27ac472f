"""Tracks: what a policy remembers of each series that it hears and of each rule that judges one.

Knows samples, windows, holds and what a rule's strategy makes of them. Decides nothing: the policy steps these values,
and nobody else sees them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from functools import reduce
from typing import Final

import numpy as np

from service_monitoring.domain.configuration import Check
from service_monitoring.domain.flapping import Flips, seen_again
from service_monitoring.domain.holds import Doubt, Hold, Terms, silences
from service_monitoring.domain.incidents import Incident
from service_monitoring.domain.inputs import Taken
from service_monitoring.domain.instants import DAY, Duration, Instant
from service_monitoring.domain.rules import Rule
from service_monitoring.domain.samples import Reason, Sample, Series
from service_monitoring.domain.scores import Score
from service_monitoring.domain.strategies import Absence, Composite, Heartbeat, Judging, Threshold, code_of
from service_monitoring.domain.stretches import Stretch
from service_monitoring.domain.verdicts import Code, Evidence
from service_monitoring.domain.windows import NO_INSTANTS, NO_VALUES, FloatColumn, InstantColumn, Reach, Window

HoldKey = tuple[str, str, Series]
"""Service, rule and series: what a hold is the hold of."""

Key = HoldKey | tuple[str, str, Series, str] | tuple[str, str]
"""A key in the agenda: that of a hold, one with a fourth part that says what else is waited for, or a group and what
it waits for.
"""

SAMPLE, PLAYED = "sample", "played"
"""What is waited for of a series itself: one that was pushed, or one that is known ahead of time."""

Place = tuple[str, str, tuple[tuple[str, str], ...]]
"""Check, metric and labels: a series within its service."""


class Line:
    """One series as this policy hears it: its newest sample, its window, and the tracks of the rules that judge it.

    `lag` is how long after its instant a sample is judged: nothing for what we measured ourselves, the allowance for
    what is pushed. `waiting` are pushed samples that are not judged yet, in order. `met` says that every rule that
    judges the series has its track: not so before its first sample, nor after a rule forgot it. `score` are samples
    that are known ahead of time. `since` is the instant (ns) of the first sample that its window ever held, 0 where it
    was filled from history: a forgotten series that speaks again remembers nothing, after a restart neither.
    `waits` and `plays` are its keys in the agenda.
    """

    __slots__ = (
        "heard", "lag", "met", "plays", "score", "series", "since", "tracks", "value", "waiting", "waits", "window",
    )  # fmt: skip

    def __init__(self, series: Series, lag: Duration = Duration(0)) -> None:
        self.series = series
        self.waits = (series.service, "", series, SAMPLE)
        self.plays = (series.service, "", series, PLAYED)
        self.lag = lag
        self.tracks: tuple[Track, ...] = ()
        self.heard = 0
        self.met = False
        self.value = 0.0
        self.window: Window | None = None
        self.waiting: list[tuple[int, float]] = []
        self.score: Score | None = None
        self.since = 0

    @property
    def place(self) -> Place:
        """Where it is found."""
        return (self.series.check, self.series.metric, self.series.labels)

    def begin(self, at: int) -> None:
        """It speaks for the first time, or after it was forgotten."""
        if self.window is not None and not len(self.window):
            self.since = at

    def hear(self, at: int, value: float) -> None:
        """Its newest sample."""
        self.heard, self.value = at, value
        if self.window is not None:
            self.window.append(at, value)

    def push(self, at: int, value: float, *, receipt: int) -> Taken:
        """Take a sample that came at `receipt` (ns), to be judged when its allowance is over."""
        if at > receipt + self.lag:
            return Taken.FUTURE
        if at < receipt - self.lag or at <= self.decided:
            return Taken.LATE
        place = bisect_left(self.waiting, (at,))
        if place < len(self.waiting) and self.waiting[place][0] == at:
            return Taken.DUPLICATE if self.waiting[place][1] == value else Taken.CONFLICT
        self.waiting.insert(place, (at, value))
        return Taken.JUDGED

    @property
    def decided(self) -> int:
        """The instant (ns) up to which something was decided of it, by a sample, a timer or a gap."""
        return max(self.heard, *(track.hold.at for track in self.tracks), 0)

    # What is known ahead of time ------------------------------------------------------------------------------------

    @property
    def spoken(self) -> int:
        """The instant (ns) of the last sample before the series is next silent for long, as far as that is known."""
        if self.score is None or not (self.heard and self.met):
            return self.heard
        return self.score.spoken(self.heard)

    def play(self, stretch: Stretch) -> None:
        """These samples are to come, after those that wait."""
        if self.waiting:
            instants = np.array([at for at, _ in self.waiting], dtype=np.int64)
            values = np.array([value for _, value in self.waiting], dtype=np.float64)
            stretch = Stretch(
                self.series, np.concatenate([instants, stretch.instants]), np.concatenate([values, stretch.values])
            )
            self.waiting = []
        assert len(stretch.instants) == 0 or stretch.instants[0] > self.heard, f"{self.series} is past that already"
        instants, values = (NO_INSTANTS, NO_VALUES) if self.window is None else self.window.columns
        self.score = Score(stretch, instants, values)
        self.judge_ahead()

    def judge_ahead(self) -> None:
        """Judge what is to come by the rules as they are."""
        if self.score is not None and self.met:
            self.score.judge(self.tracks, self._silence, self.heard)

    @property
    def next(self) -> int | None:
        """When the next sample comes that changes anything, as an instant (ns); None: none does that is known."""
        if self.score is None:
            return None
        index = self.score.next(self.tracks) if self.heard and self.met else self.score.position + 1
        return None if index is None or index >= len(self.score.instants) else int(self.score.instants[index])

    def hear_until(self, at: int) -> None:
        """Hear what is known up to and at an instant (ns)."""
        if self.score is not None:
            self.hear_to(self.score.index(at + 1) - 1)

    def hear_to(self, index: int) -> None:
        """Hear what is known up to that sample."""
        score = self.score
        if score is not None and index > score.position:
            score.position = index
            self.heard, self.value = int(score.instants[index]), float(score.values[index])

    def rest(self, until: int) -> None:
        """What is known ahead and was judged up to and at an instant (ns) becomes the window, what was not waits."""
        score = self.score
        if score is None:
            return
        self.hear_until(until)
        for track in self.tracks:
            track.count(score)
        self.waiting = score.rest()
        assert self.lag or not self.waiting, f"{self.series} has samples that were not played"
        if self.window is not None:
            needed = self.window.needed(score.instants, score.position + 1)
            self.window.become(score.instants[needed], score.values[needed])
        self.score = None

    def past(self) -> tuple[InstantColumn, FloatColumn]:
        """What its rules look back at, up to the newest sample."""
        assert self.window is not None
        if self.score is None:
            return self.window.columns
        needed = self.window.needed(self.score.instants, self.score.position + 1)
        return self.score.instants[needed], self.score.values[needed]

    @property
    def _silence(self) -> Duration | None:
        """The shortest silence that any rule asks for."""
        return min((track.silence for track in self.tracks if track.silence is not None), default=None)

    def shift(self, delta: Duration) -> None:
        """The wall clock stepped."""
        if self.heard:
            self.heard += delta
        if self.since:
            self.since += delta
        if self.window is not None:
            self.window.shift(delta)
        self.waiting = [(at + delta, value) for at, value in self.waiting]

    def fit(self) -> None:
        """Give it a window that is as long as its rules look back."""
        looking = [track.rule.strategy.reach for track in self.tracks if not of_value(track.rule)]
        if not looking:
            self.window = None
            return
        reach = reduce(Reach.joined, looking)
        if self.window is None:
            self.window = Window(reach)
        else:
            self.window.widen(reach)

    def look_back(self) -> None:
        """After a change of rules: where no history was handed over, the newest sample is all that is known."""
        self.fit()
        if self.window is not None and self.heard and not len(self.window):
            self.window.append(self.heard, self.value)


class Track:
    """One rule on one series: its hold, and the incident that it carries.

    `steady` is the code that changes nothing of the hold: the verdict goes on, what accrues goes on, and the timer of
    silence moves itself when it comes up. `usual` is the same while no change of verdict is remembered either. -1 where
    every sample counts. `expires` is when an acknowledgement ends (ns), or 0.
    """

    __slots__ = (
        "draft", "expires", "flips", "hold", "incident", "judge", "key", "line", "member", "previous", "rule",
        "silence", "steady", "terms", "usual",
    )  # fmt: skip

    def __init__(self, rule: Rule, line: Line, terms: Terms, hold: Hold, *, draft: bool, member: bool) -> None:
        self.line = line
        self.incident: Incident | None = None
        self.previous = ""
        self.expires = 0
        self.flips = Flips()
        self.member = member
        self.key: HoldKey = (rule.service, rule.name, line.series)
        self.draft = draft
        self.follow(rule, terms)
        self.take(hold)

    def follow(self, rule: Rule, terms: Terms) -> None:
        """This revision of the rule from now on."""
        self.rule, self.terms = rule, terms
        self.silence = min(silences(terms), default=None)
        self.judge = judge_of(rule)
        if rule.flapping is None:
            self.flips = Flips()

    def take(self, hold: Hold) -> None:
        """This hold from now on."""
        self.hold = hold
        settled = hold.credit == 0 and hold.doubt in _STEADY[hold.code is _UNKNOWN]
        self.steady = int(hold.code if hold.level == 0 else _UNKNOWN + hold.level) if settled else -1
        self.usual = -1 if self.flips.changes else self.steady

    def see(self, flips: Flips) -> None:
        """What is remembered of its changes from now on: while there are any, every sample counts."""
        self.flips = flips
        self.usual = -1 if flips.changes else self.steady

    def count(self, score: Score) -> None:
        """Remember the verdicts that were passed over because they were like the one before."""
        if self.flips.changes and (passed := score.passed(self.rule.name)):
            self.see(seen_again(self.flips, passed))

    def evidence(self, reason: Reason | None, detail: str) -> Evidence:
        """The newest sample, and the value compared unless the verdict rests on silence; `reason` is its run's."""
        line, strategy = self.line, self.rule.strategy
        if line.heard == 0:
            return Evidence()
        sample = Sample(Instant(line.heard), line.series, line.value)
        silent = self.hold.doubt is not Doubt.NONE or self.terms.absent_for is not None
        if silent or isinstance(strategy, Heartbeat | Composite):
            return Evidence(None, sample, reason, detail)
        if line.window is None:
            return Evidence(line.value, sample, reason, detail)
        instants, values = line.past()
        measured = float(strategy.measured(instants, values, len(values) - 1)[0])
        return Evidence(measured if measured == measured else None, sample, reason, detail)  # noqa: PLR0124 - NaN

    @property
    def verdict(self) -> Code:
        """What the rule says now, to others that ask it: Unknown in a gap."""
        return Code.UNKNOWN if self.hold.blind else self.hold.code


_UNKNOWN: Final = Code.UNKNOWN
_STEADY: Final = ((Doubt.NONE,), (Doubt.FRESH, Doubt.SILENT))
"""In which doubt another verdict of the same code says nothing new: of one that is known, and of Unknown."""


def of_value(rule: Rule) -> bool:
    """Whether the newest sample alone decides, or none: such a rule costs no window."""
    return isinstance(rule.strategy, Threshold | Absence | Heartbeat | Composite)


def judge_of(rule: Rule) -> Callable[[Line], int]:
    """What gives the code at a line's newest sample: of its value alone where no history is needed."""
    strategy, recovery = rule.strategy, rule.recovery.comparison
    worse = tuple(each.comparison for each in rule.worse)
    if isinstance(strategy, Absence | Heartbeat | Composite):
        return lambda _: int(Code.RECOVERED)
    if isinstance(strategy, Threshold):
        comparison = strategy.comparison
        if recovery is None and not worse:
            # As nearly all rules are, and `code_of` says nothing else of them.
            holds, breached, recovered = comparison.holds, int(Code.BREACHED), int(Code.RECOVERED)
            return lambda line: breached if holds(line.value) else recovered
        return lambda line: int(code_of(line.value, comparison, recovery, worse))
    judging: Judging = strategy

    def judge_window(line: Line) -> int:
        assert line.window is not None
        values = line.window.values
        return int(judging.codes(line.window.instants, values, len(values) - 1, recovery, worse)[0])

    return judge_window


def terms_of(rule: Rule, check: Check | None) -> Terms:
    """What rule and check say of time. Silence is the subject of an absence; heartbeats and composites have none."""
    absent = rule.strategy if isinstance(rule.strategy, Absence) else None
    silent = check is None or isinstance(rule.strategy, Absence | Heartbeat | Composite)
    # A series that speaks less than once a day is not forgotten between two samples.
    return Terms(
        holds_for=rule.holds_for,
        recovers_for=rule.recovery.holds_for,
        no_data=rule.no_data,
        stale_after=None if silent or check is None else check.stale_after,
        absent_for=None if absent is None else absent.after,
        worse=tuple(each.holds_for for each in rule.worse),
        forget_after=None
        if silent or check is None
        else Duration(max(check.forget_after, min(2 * check.stale_after, 400 * DAY))),
    )
