"""Labelled anomalies of real series: deviation and forecast catch more of them than a threshold that is as loud.

All but one number of the rules was chosen on the first half of each series (`python -m bench.nab --choose` repeats it);
the second half gives the score, at an equal number of false incidents.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.nab import CHOSEN, FOLDER, Halves, labelled, plot, read

pytestmark = [
    pytest.mark.recorded_data("the Numenta Anomaly Benchmark's CloudWatch series"),
    pytest.mark.skipif(not FOLDER.is_dir(), reason=f"there are no recorded series in {FOLDER}"),
]


@pytest.fixture(scope="module")
def halves() -> Halves:
    return Halves(read())


def test_deviation_and_forecast_catch_more_than_a_threshold_with_as_many_false_incidents(halves: Halves) -> None:
    threshold = halves.thresholds()[1]
    tuned = halves.tuned(CHOSEN, threshold.false)
    assert tuned is not None
    _, ours = tuned
    assert ours.false == threshold.false == 27
    assert (len(ours.caught), len(threshold.caught)) == (12, 11)


def test_the_page_shows_what_is_measured(halves: Halves, project: Path) -> None:
    drawn = (project / "docs" / "reference" / "nab.svg").read_text(encoding="utf-8")
    assert drawn == plot(halves, labelled(read()))
