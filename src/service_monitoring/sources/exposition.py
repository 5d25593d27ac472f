"""Exposition: the samples that a page of metrics shows, as far as somebody chose them.

Knows the text format of Prometheus and OpenMetrics (read by prometheus_client). Does not know how a page is fetched.

A page has thousands of lines, of which a check wants a few, and the library's parser is Python: only chosen lines are
handed to it, as if they stood alone. Types and help texts are not: they would rename counters, and people choose a
metric by the name that the page shows.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from service_monitoring.domain.samples import Measurement, Reason
from service_monitoring.sources.phases import Failed

MOST: Final = 2000
"""Samples taken from one page: each is a series to keep, and a histogram has many."""

LONGEST_LINE: Final = 16 * 1024

RESERVED: Final = frozenset({"service", "check", "metric", "rule", "severity"})
"""Labels of this system's own."""


@dataclass(frozen=True, slots=True)
class Page:
    """What was found. `missing` are chosen metrics without a sample; a metric whose samples were left out is not."""

    measurements: tuple[Measurement, ...]
    missing: tuple[str, ...]
    not_finite: int
    repeated: int


def read(page: bytes, *, metrics: Collection[str], taken: Collection[str]) -> Page:
    """The samples of `metrics` in `page`, without their timestamps: a polled sample is of the instant of its poll.

    A metric of one of the names in `taken`, and a label of one in `RESERVED`, is prefixed with `exported_`. NaN and
    infinity are left out and counted; of two samples of one series the first stands. `Failed(protocol)` when it is no
    such page, `Failed(too_large)` when more than `MOST` samples were chosen.
    """
    chosen, first = _lines(page, metrics)
    found: dict[tuple[str, tuple[tuple[str, str], ...]], Measurement] = {}
    seen: set[str] = set()
    not_finite = repeated = 0
    for name, labels, value in _samples(chosen or first):
        if name not in metrics:
            continue
        seen.add(name)
        number = _float(value)
        if not math.isfinite(number):
            not_finite += 1
            continue
        measurement = Measurement(_renamed(name, taken), number, _labels(labels))
        if found.setdefault((measurement.metric, measurement.labels), measurement) is not measurement:
            repeated += 1
    missing = tuple(name for name in metrics if name not in seen)
    return Page(tuple(found.values()), missing, not_finite, repeated)


def _lines(page: bytes, metrics: Collection[str]) -> tuple[list[str], list[str]]:
    """The lines that may be samples of `metrics`, and the first line that must be one of any metric."""
    try:
        text = page.decode()
    except UnicodeDecodeError as error:
        raise Failed(Reason.PROTOCOL, "the page is not UTF-8 text, as metrics are") from error
    begins = (*metrics, "{")  # a quoted name stands among the labels
    lines = [line.strip() for line in text.split("\n")]
    chosen = [line for line in lines if line.startswith(begins)]
    first = next(([line] for line in lines if line and not line.startswith("#")), [])
    if any(len(line) > LONGEST_LINE for line in (*chosen, *first)):
        raise Failed(Reason.PROTOCOL, f"the page has a line of more than {LONGEST_LINE // 1024} KiB")
    if len(chosen) > 2 * MOST:
        raise Failed(Reason.TOO_LARGE, f"the page has more than {MOST} samples of the chosen metrics")
    return chosen, first


def _samples(lines: list[str]) -> Iterator[tuple[str, dict[str, str], float]]:
    try:
        for family in text_string_to_metric_families("\n".join(lines)):
            for sample in family.samples:
                yield sample.name, sample.labels, sample.value
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # it was not written for strangers' pages
        raise Failed(Reason.PROTOCOL, f"the page cannot be read as metrics: {error}") from error


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _renamed(name: str, taken: Collection[str]) -> str:
    while name in taken:
        name = f"exported_{name}"
    return name


def _labels(labels: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Sorted; an empty label is none, as everywhere with Prometheus."""
    kept = {name: value for name, value in labels.items() if value}
    for name in sorted(RESERVED & kept.keys()):
        renamed = name
        while renamed in kept:
            renamed = f"exported_{renamed}"
        kept[renamed] = kept.pop(name)
    return tuple(sorted(kept.items()))
