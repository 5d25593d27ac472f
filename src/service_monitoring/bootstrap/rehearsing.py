"""Rehearsals of a history: one here, several in processes of their own, each of which opens the history for itself.

Knows where a history is kept and which driver suits it. Does not know the processes (`side_by_side`), nor what is
decided (`rehearsal`), nor what anybody makes of it: that is handed in. What comes back is in the order in which it was
asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from service_monitoring.bootstrap.ranges import Range, recorded_range
from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.instants import Instant
from service_monitoring.errors import NotFound, Refused
from service_monitoring.rehearsal import recorded
from service_monitoring.rehearsal.assumed import Assumed, Assumption
from service_monitoring.rehearsal.disturbing import (
    Disturbances,
    DisturbedRecording,
    DisturbedSamples,
    limits,
    with_clocks_moved,
    within,
)
from service_monitoring.rehearsal.driving import Progress
from service_monitoring.rehearsal.rehearsed import Rehearsed
from service_monitoring.rehearsal.sampled import sampled
from service_monitoring.storage.history.opening import Foreign, open_history
from service_monitoring.storage.history.own import History

Heard = Callable[[int, Instant, int], None]
"""Told how far a rehearsal has come: its place among all, simulated time, and how many samples that were."""
Make = Callable[[Rehearsed], Any]
"""What is made of a rehearsal where it ran. A function of a module, so that a process can be told of it by its name."""


class Past(Struct, frozen=True):
    """Where a history is: a path or a URL, and the file that says what its columns are called."""

    source: str
    mapping: Path | None = None


class Variant(Struct, frozen=True):
    """One rehearsal: under this configuration, or under the recorded revisions where it is None.

    `disturbed` is what is injected into the history.
    """

    configuration: Configuration | None
    make: Make
    assumption: Assumption | None = None
    disturbed: Disturbances = Disturbances()


class Task(Struct, frozen=True):
    """All that a process needs to know; `aside` is where it may put a history in order."""

    number: int
    past: Past
    span: Range
    variant: Variant
    threads: int
    """That read the history. One of several rehearsals has one; they share the cores already."""
    aside: Path | None = None


class Done(Struct, frozen=True):
    """What became of a task."""

    samples: int
    made: Any


def extent(past: Past) -> Range:
    """All that a history has, to the whole second after its latest instant; `NotFound` where it is empty. Blocks."""
    with _opened(past) as history:
        found = _extent(history)
    if found is None:
        raise NotFound(f"{past.source} holds no history: nothing was recorded there")
    return found


def _extent(history: Foreign | History) -> Range | None:
    found = history.span() if isinstance(history, History) else history.extent()
    return None if found is None else recorded_range(*found)


def rehearse(
    past: Past,
    span: Range,
    variants: Sequence[Variant],
    *,
    jobs: int = 0,
    heard: Heard = lambda number, at, samples: None,
) -> list[Any]:
    """What each variant's `make` gives, in their order. Blocks.

    One variant runs in this process, where `jobs` threads read each portion; more run in at most `jobs` others. 0 jobs
    are as many as there are cores. Interrupted or refused, it leaves none of them behind. `Unavailable` where one died.
    """
    jobs = jobs or len(os.sched_getaffinity(0))
    threads = jobs if len(variants) == 1 else 1
    tasks = [Task(number, past, span, variant, threads) for number, variant in enumerate(variants)]
    workers = min(len(tasks), jobs)
    if workers <= 1:
        return [ended(task, run(task, heard), heard) for task in tasks]
    from service_monitoring.bootstrap.side_by_side import in_processes  # noqa: PLC0415 - as it says of itself

    # A process that is ended puts nothing in order: what it leaves is removed here.
    with TemporaryDirectory(prefix="service-monitoring-rehearsal-", ignore_cleanup_errors=True) as folder:
        return in_processes([replace(task, aside=Path(folder)) for task in tasks], workers, heard)


def run(task: Task, heard: Heard) -> Done:
    """Rehearse here and now. Blocks."""
    span, variant = task.span, task.variant

    def progress(at: Instant, samples: int) -> None:
        heard(task.number, at, samples)

    with _opened(task.past, jobs=task.threads, aside=task.aside) as history:
        rehearsed = _driven(history, span, variant, progress)
    return Done(rehearsed.samples, variant.make(rehearsed))


def ended(task: Task, done: Done, heard: Heard) -> Any:
    """What was made; nothing that is said of how far it has come comes later than that it is there."""
    heard(task.number, task.span.until, done.samples)
    return done.made


def _driven(history: Foreign | History, span: Range, variant: Variant, progress: Progress) -> Rehearsed:
    """By the driver that suits the history: the one place that knows which there are."""
    disturbed = _within(history, span, variant.disturbed)
    if variant.configuration is not None:
        variant = replace(variant, configuration=with_clocks_moved(variant.configuration, disturbed.weeks))
    if isinstance(history, History):
        recording = DisturbedRecording(history, disturbed)
        found = _replayed(recording, span, replace(variant, disturbed=disturbed), progress)
        return replace(found, limits=(*found.limits, *limits(disturbed, recording.lost)))
    if variant.configuration is None:
        raise Refused(
            "this history has samples alone, and no revisions of a configuration: name the configuration to "
            "rehearse, as service-monitoring rehearse monitoring.yaml --history ..."
        )
    found = sampled(
        DisturbedSamples(history, disturbed),
        variant.configuration,
        span.since,
        span.until,
        assumed=_assumed(variant, variant.configuration),
        progress=progress,
    )
    return replace(found, limits=(*found.limits, *limits(disturbed)))


def _replayed(history: DisturbedRecording, span: Range, variant: Variant, progress: Progress) -> Rehearsed:
    configuration, since, until = variant.configuration, span.since, span.until
    if configuration is None:
        return recorded.as_recorded(history, since, until, progress=progress, restarts=variant.disturbed.restarts)
    return recorded.under(
        history,
        configuration,
        since,
        until,
        assumed=_assumed(variant, configuration),
        progress=progress,
        restarts=variant.disturbed.restarts or frozenset(),
    )


def _assumed(variant: Variant, configuration: Configuration) -> Assumed | None:
    return None if variant.assumption is None else Assumed(variant.assumption, configuration)


def _within(history: Foreign | History, span: Range, disturbed: Disturbances) -> Disturbances:
    """What is injected, where it is in what was recorded."""
    there = _extent(history)
    if there is None or disturbed == Disturbances():
        return disturbed
    return within(disturbed, max(span.since, there.since), min(span.until, there.until))


def _opened(past: Past, *, jobs: int = 1, aside: Path | None = None) -> Foreign | History:
    """The history; close it."""
    return open_history(past.source, mapping=past.mapping, jobs=jobs, aside=aside)


def whole(rehearsed: Rehearsed) -> Rehearsed:
    """All of it."""
    return rehearsed
