"""How many labelled anomalies deviation and forecast catch, against a threshold that raises as many false incidents.

17 CloudWatch series of the Numenta Anomaly Benchmark (https://github.com/numenta/NAB, realAWSCloudwatch, and three that
it took from other accounts), five minutes apart, with labelled windows. What is chosen is chosen on the first half of
each series; the second half gives the score. `--choose` repeats the choice, `--plot FILE` draws the curves. Knows the
data and what a false incident is; every verdict and turn is the domain's.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import product
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from service_monitoring.domain.comparisons import code_of
from service_monitoring.domain.holds import Hold, Terms, Turn
from service_monitoring.domain.instants import DAY, HOUR, MINUTE, SECOND, Duration
from service_monitoring.domain.runs import turns
from service_monitoring.domain.strategies import Comparison, Deviation, Direction, Forecast, Operator, Threshold
from service_monitoring.domain.verdicts import Code
from service_monitoring.domain.windows import CodeColumn, FloatColumn, InstantColumn

FOLDER: Final = Path(__file__).parents[2] / "shared" / "data" / "nab"
STALE_AFTER: Final = Duration(5 * MINUTE * 5 // 2)
PERCENTILE: Final = 99.9
SIGMAS: Final = (3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0)
KEEPS: Final = Duration(12 * HOUR)
"""`recover: {for: 12h}` of every rule, the threshold's too: what comes back within half a day is the same episode."""


@dataclass(frozen=True, eq=False)
class Recorded:
    """A series and its labelled windows; `half` is the instant at which the second half begins."""

    name: str
    instants: InstantColumn
    values: FloatColumn
    windows: tuple[tuple[int, int], ...]

    @property
    def half(self) -> int:
        return int(self.instants[len(self.instants) // 2])

    @property
    def usual(self) -> FloatColumn:
        """The values of the first half: all that may be known when a rule is written."""
        return self.values[self.instants < self.half]


class Score(NamedTuple):
    """Windows caught, which is an incident opened in them, and incidents opened outside of every window."""

    caught: frozenset[tuple[str, int]]
    false: int

    def __add__(self, other: object) -> Score:
        """Of two rules together; each raises its own false incidents."""
        assert isinstance(other, Score)
        return Score(self.caught | other.caught, self.false + other.false)

    def __str__(self) -> str:
        return f"{len(self.caught)} windows, {self.false} false incidents"


class Choice(NamedTuple):
    """What is chosen on the first halves: all of both rules but `sigmas`, which is tuned to a number of incidents."""

    baseline: Duration
    season: Duration | None
    holds_for: Duration
    within: Duration
    fit: Duration


CHOSEN: Final = Choice(Duration(2 * DAY), None, HOUR, HOUR, HOUR)


def read(folder: Path = FOLDER) -> tuple[Recorded, ...]:
    """Every series; a sample that is no later than one before it is left out."""
    windows = json.loads((folder / "windows.json").read_text(encoding="utf-8"))
    return tuple(_series(path, windows[path.name]) for path in sorted(folder.glob("*.csv")))


def _series(path: Path, windows: list[list[str]]) -> Recorded:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    instants = np.array([_instant(at) for at, _ in rows], dtype=np.int64)
    values = np.array([float(value) for _, value in rows])
    later = np.concatenate([[True], instants[1:] > np.maximum.accumulate(instants)[:-1]])
    labelled = tuple((_instant(begin), _instant(end)) for begin, end in windows)
    return Recorded(path.name, instants[later], values[later], labelled)


def _instant(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


class Halves:
    """The scores of rules on the first halves and on the second halves of all series."""

    def __init__(self, recorded: Iterable[Recorded], keeps: Duration = KEEPS) -> None:
        self._recorded = tuple(recorded)
        self._keeps = keeps
        self.deviations = cache(self._deviations)
        self.forecasts = cache(self._forecasts)

    def thresholds(self, percentile: float = PERCENTILE) -> tuple[Score, Score]:
        """Above the percentile of the first half."""

        def codes(each: Recorded) -> CodeColumn:
            limit = Comparison(Operator.ABOVE, float(np.percentile(each.usual, percentile)))
            return Threshold(limit).codes(each.instants, each.values, 0, None)

        return self._scores(codes, Duration(0))

    def _deviations(
        self, baseline: Duration, season: Duration | None, holds_for: Duration
    ) -> dict[float, tuple[Score, Score]]:
        """For each of `SIGMAS`; a score is measured once and compared with all of them."""
        anywhere = Comparison(Operator.OUTSIDE, 0.0, 0.0)
        strategy = Deviation(anywhere, baseline=baseline, season=season, stands_for=STALE_AFTER)
        measured = {each.name: strategy.measured(each.instants, each.values, 0) for each in self._recorded}

        def outside(sigmas: float) -> Callable[[Recorded], CodeColumn]:
            def codes(each: Recorded) -> CodeColumn:
                scores = measured[each.name]
                found: CodeColumn = code_of(scores, Comparison(Operator.OUTSIDE, -sigmas, sigmas), None)
                found[np.isnan(scores)] = Code.UNKNOWN
                return found

            return codes

        return {sigmas: self._scores(outside(sigmas), holds_for) for sigmas in SIGMAS}

    def _forecasts(self, within: Duration, fit: Duration) -> tuple[Score, Score]:
        """Up through the first half's percentile; a line is smooth enough without `for`."""

        def codes(each: Recorded) -> CodeColumn:
            level = float(np.percentile(each.usual, PERCENTILE))
            strategy = Forecast(level=level, within=within, fit=fit, stands_for=STALE_AFTER, direction=Direction.UP)
            return strategy.codes(each.instants, each.values, 0, None)

        return self._scores(codes, Duration(0))

    def together(self, choice: Choice, sigmas: float) -> tuple[Score, Score]:
        """Deviation and forecast, two rules on each series."""
        deviation = self.deviations(choice.baseline, choice.season, choice.holds_for)[sigmas]
        forecast = self.forecasts(choice.within, choice.fit)
        return deviation[0] + forecast[0], deviation[1] + forecast[1]

    def tuned(self, choice: Choice, false: int) -> tuple[float, Score] | None:
        """The smallest of `SIGMAS` that raises no more false incidents on the second halves, and its score there."""
        fitting = ((sigmas, self.together(choice, sigmas)[1]) for sigmas in SIGMAS)
        return next(((sigmas, score) for sigmas, score in fitting if score.false <= false), None)

    def _scores(self, codes: Callable[[Recorded], CodeColumn], holds_for: Duration) -> tuple[Score, Score]:
        terms = Terms(holds_for=holds_for, recovers_for=self._keeps, stale_after=STALE_AFTER)
        first, second = Score(frozenset(), 0), Score(frozenset(), 0)
        for each in self._recorded:
            folded = turns(Hold(at=int(each.instants[0])), terms, each.instants, codes(each))
            opened = [turned.at for turned in folded.turns if turned.turn is Turn.OPENED]
            first += _scored(each, [at for at in opened if at < each.half])
            second += _scored(each, [at for at in opened if at >= each.half])
        return first, second


def _scored(each: Recorded, opened: list[int]) -> Score:
    caught = frozenset((each.name, begin) for begin, end in each.windows if any(begin <= at <= end for at in opened))
    return Score(caught, sum(not any(begin <= at <= end for begin, end in each.windows) for at in opened))


def labelled(recorded: Iterable[Recorded]) -> int:
    """How many windows reach into the second halves."""
    return sum(end >= each.half for each in recorded for _, end in each.windows)


def choices() -> Iterator[Choice]:
    """What the choice is made from."""
    for baseline, season, minutes in product((1, 2, 3), (None, DAY), (0, 15, 30, 60)):
        for within, fit in product((5, 15, 30, 60), (30, 60, 120)):
            if season is None or baseline > 1:
                yield Choice(
                    Duration(baseline * DAY),
                    season,
                    Duration(minutes * MINUTE),
                    Duration(within * MINUTE),
                    Duration(fit * MINUTE),
                )


def choose(halves: Halves) -> tuple[Choice, float, Score]:
    """On the first halves: most windows with no more false incidents than the threshold there, then fewest of them."""
    limit = halves.thresholds()[0].false
    scored = ((choice, sigmas, halves.together(choice, sigmas)[0]) for choice in choices() for sigmas in SIGMAS)
    fitting = [each for each in scored if each[2].false <= limit]
    return min(fitting, key=lambda each: (-len(each[2].caught), each[2].false))


def plot(halves: Halves, windows: int) -> str:
    """Windows caught by false incidents on the second halves, as SVG: one curve by sigmas, one by the percentile."""
    ours = [halves.together(CHOSEN, sigmas)[1] for sigmas in SIGMAS]
    alone = [score for _, score in halves.deviations(CHOSEN.baseline, CHOSEN.season, CHOSEN.holds_for).values()]
    theirs = [halves.thresholds(percentile)[1] for percentile in (99.5, 99.8, 99.9, 99.95, 100.0)]
    width, height, left, bottom, most = 560, 320, 50, 40, 50

    def place(score: Score) -> tuple[float, float]:
        across = left + score.false / most * (width - left - 20)
        return across, height - bottom - len(score.caught) / windows * (height - bottom - 20)

    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"'
            ' font-size="12">'
        ),
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<path d="M{left} 20V{height - bottom}H{width - 20}" fill="none" stroke="#888"/>',
    ]
    for false in range(0, most + 1, 10):
        across, _ = place(Score(frozenset(), false))
        parts.append(f'<text x="{across:.0f}" y="{height - bottom + 16}" text-anchor="middle">{false}</text>')
    for count in range(0, windows + 1, 3):
        y = height - bottom - count / windows * (height - bottom - 20)
        parts.append(f'<text x="{left - 8}" y="{y + 4:.0f}" text-anchor="end">{count}</text>')
    parts.append(f'<text x="{width / 2}" y="{height - 6}" text-anchor="middle">false incidents</text>')
    turned = f'x="14" y="{height / 2}" transform="rotate(-90 14 {height / 2})"'
    parts.append(f'<text {turned} text-anchor="middle">windows caught</text>')
    named = (("deviation + forecast", "#06c", ours), ("deviation alone", "#7ab", alone), ("threshold", "#c60", theirs))
    for number, (name, colour, scores) in enumerate(named):
        points = sorted({place(score) for score in scores})
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in points]
        at = f'x="{width - 30}" y="{height - bottom - 20 - 16 * number}"'
        parts.append(f'<text {at} text-anchor="end" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    """Print the scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--choose", action="store_true", help="repeat the choice on the first halves")
    parser.add_argument("--plot", type=Path, help="write the curves as SVG")
    arguments = parser.parse_args()
    recorded = read()
    windows = labelled(recorded)
    print(f"{len(recorded)} series; {windows} windows reach into the second halves")
    for keeps in (KEEPS, Duration(6 * HOUR), HOUR):
        halves = Halves(recorded, keeps)
        threshold = halves.thresholds()[1]
        tuned = halves.tuned(CHOSEN, threshold.false)
        print(f"kept firing for {keeps // HOUR} h")
        print(f"    threshold: {threshold}")
        print("    no sigmas raise so few" if tuned is None else f"    tuned to it, sigmas {tuned[0]:g}: {tuned[1]}")
        for sigmas in SIGMAS:
            print(f"    sigmas {sigmas:4g}: {halves.together(CHOSEN, sigmas)[1]}")
    halves = Halves(recorded)
    if arguments.choose:
        choice, sigmas, score = choose(halves)
        print(f"chosen on the first halves, where it has {score} with sigmas {sigmas:g}: {choice}")
        print("which is what is used" if choice == CHOSEN else f"which is NOT what is used: {CHOSEN}")
    if arguments.plot is not None:
        arguments.plot.write_text(plot(halves, windows), encoding="utf-8")


if __name__ == "__main__":
    main()
