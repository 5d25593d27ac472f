"""`for` and keep-firing against Prometheus itself: seeded series, judged by promtool at every evaluation.

Prometheus looks once an interval; what we opened or resolved in between must show at its next look, and nothing else.
What begins and is over between two looks it cannot see: the series and rules here have none of that.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import pytest

from service_monitoring.domain.holds import Hold, Terms, Turn
from service_monitoring.domain.instants import MINUTE, SECOND, Duration
from service_monitoring.domain.rules import NoData, NoDataMode
from service_monitoring.domain.runs import turns
from service_monitoring.domain.strategies import Threshold
from service_monitoring.testing.builders import above

PROMTOOL = shutil.which("promtool")
EVERY = 40
LOOKS = 150
LOOKBACK = Duration(5 * MINUTE)
"""For so long Prometheus takes the newest sample for the value; no multiple of 40 s, so that no tie decides."""

pytestmark = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: Debian's package prometheus")


@dataclass(frozen=True)
class Episode:
    """A rule and its series: a value at each look, or none."""

    holds_for: int
    keeps: int
    values: list[float | None]

    def firing(self) -> list[bool]:
        """Whether ours is open at each look, after the sample and the timers of that instant."""
        heard = [(look, value) for look, value in enumerate(self.values) if value is not None]
        instants = np.array([look * EVERY for look, _ in heard]) * SECOND + MINUTE
        codes = Threshold(above(1.0)).codes(instants, np.array([value for _, value in heard]), 0, None)
        terms = Terms(
            holds_for=Duration(self.holds_for * SECOND),
            recovers_for=Duration(self.keeps * SECOND),
            no_data=NoData(NoDataMode.RESOLVE),
            stale_after=LOOKBACK,
        )
        folded = turns(Hold(at=MINUTE), terms, instants, codes, until=LOOKS * EVERY * SECOND + MINUTE)
        moved = [(each.at - MINUTE, each.turn) for each in folded.turns if each.turn in {Turn.OPENED, Turn.RESOLVED}]
        open_at = []
        for look in range(LOOKS):
            before = [turn for at, turn in moved if at <= look * EVERY * SECOND]
            open_at.append(bool(before) and before[-1] is Turn.OPENED)
        return open_at


def an_episode(seed: int) -> Episode:
    """Of one mind for a while, now and then silent, also for longer than the lookback; then nothing keeps it firing.

    Where data is missing Prometheus counts keep-firing on, and we do not: that is not asked for together. A silence of
    just one look more than the lookback is over before Prometheus looks again, so there is none.
    """
    random = Random(seed)
    silent = seed % 2 == 0
    values: list[float | None] = []
    mood: float | None = 0.5
    while len(values) < LOOKS:
        mood = random.choice([0.5, 2.0, None] if silent and mood is not None else [0.5, 2.0])
        values += [mood] * random.choice([1, 2, 3, 5, 9, 12])
    keeps = 0 if silent else random.choice([0, 1, 2, 4]) * EVERY
    holds_for = random.choice([0, 1, 2, 3, 5]) * EVERY + (random.choice([0, 15]) if keeps == 0 else 0)
    return Episode(holds_for, keeps, [0.5, *values[1:LOOKS]])


def written(values: list[float | None]) -> str:
    return " ".join("_" if value is None else f"{value:g}" for value in values)


def test_incidents_are_open_when_prometheus_fires(tmp_path: Path) -> None:
    episodes = [an_episode(seed) for seed in range(40)]
    rules, tests, series = [], [], []
    for number, episode in enumerate(episodes):
        rule = {"alert": f"Slow{number}", "expr": f'value{{n="{number}"}} > 1', "for": f"{episode.holds_for}s"}
        rules.append(rule | ({"keep_firing_for": f"{episode.keeps}s"} if episode.keeps else {}))
        series.append({"series": f'value{{n="{number}"}}', "values": written(episode.values)})
        for look, is_open in enumerate(episode.firing()):
            expected = [{"exp_labels": {"n": str(number)}}] if is_open else []
            tests.append({"eval_time": f"{look * EVERY}s", "alertname": f"Slow{number}", "exp_alerts": expected})
    opened = sum(sum(episode.firing()) for episode in episodes)
    assert 500 < opened < len(tests) - 500
    groups = {"groups": [{"name": "seeded", "rules": rules}]}
    suite = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": f"{EVERY}s",
        "tests": [{"interval": f"{EVERY}s", "input_series": series, "alert_rule_test": tests}],
    }
    (tmp_path / "rules.yml").write_text(json.dumps(groups), encoding="utf-8")
    (tmp_path / "tests.yml").write_text(json.dumps(suite), encoding="utf-8")
    assert PROMTOOL is not None
    judged = subprocess.run(
        [PROMTOOL, "test", "rules", str(tmp_path / "tests.yml")], check=False, capture_output=True, text=True
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr
