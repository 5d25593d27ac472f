"""Recorded pasts on the command line: our own written as Parquet, those of others taken in, and one that is made up.

Knows how the answers look, and how far it has come. Does not know how any history is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from service_monitoring.cli import Form, show
from service_monitoring.cli.asking import load, say
from service_monitoring.cli.demo import example_history
from service_monitoring.domain.instants import NANOSECOND, Instant
from service_monitoring.errors import NotFound, Refused
from service_monitoring.ports import Flaw, SampleHistory
from service_monitoring.storage.history import writing
from service_monitoring.storage.history.importing import import_history
from service_monitoring.storage.history.opening import open_samples
from service_monitoring.storage.history.own_samples import OwnSamples


def export(folder: Path, since: str, until: str, config: Path, form: Form) -> None:
    """Write the samples of the data folder as Parquet, a folder a day."""
    with OwnSamples(load(config).store.path, aside=folder.absolute().parent) as history:
        writing.refuse_filled(folder)
        begin, end = _bounds(history, since, until, "nothing was measured yet")
        with _told(begin, end) as told:
            count = writing.export(history.portions(begin, end), folder, told=told)
        answer = {"folder": str(folder), "samples": count, "flaws": msgspec.to_builtins(history.flaws())}
        say(form, answer, f"Wrote {show.amount(count, 'sample')} into {folder}")
        _show_flaws(form, history.flaws())


def import_(source: str, into: Path, mapping: Path | None, since: str, until: str, form: Form) -> None:
    """Take a history of others into a folder of Parquet."""
    with open_samples(
        source, mapping=mapping, aside=into.absolute().parent if into.parent.is_dir() else None
    ) as history:
        begin, end = _bounds(history, since, until, f"{source} holds no samples")
        with _told(begin, end) as told:
            imported = import_history(history, into, begin, end, told=told)
    answer: dict[str, Any] = {"folder": str(into), **msgspec.to_builtins(imported)}
    already = f"; {imported.known} were there already" if imported.known else ""
    if imported.contradicting:
        already += f"; {imported.contradicting} contradict what was there, which stands"
    say(form, answer, f"Took {show.amount(imported.taken, 'sample')} into {into}{already}")
    _show_flaws(form, imported.flaws)


def example(folder: Path, days: int, seed: int, form: Form) -> None:
    """Write a shop, what it measured and what went wrong there: something to rehearse before there is a past."""
    samples = example_history.write(folder, days, seed)
    if form is Form.JSON:
        show.as_json({"folder": str(folder), "samples": samples, "days": days})
        return
    counted = show.amount(samples, "sample")
    show.line(f"Wrote monitoring.yaml, incidents.yaml and history ({counted}) into {folder}")
    show.line(f"Next: cd {folder}; service-monitoring rehearse monitoring.yaml --history history")


def _bounds(history: SampleHistory, since: str, until: str, empty: str) -> tuple[Instant, Instant]:
    """What was asked for, and otherwise all that there is."""
    begin, end = (Instant.parse(text) if text else None for text in (since, until))
    if begin is None or end is None:
        extent = history.extent()
        if extent is None:
            raise NotFound(f"{empty}: there is nothing to write")
        begin, end = begin or extent[0], end or extent[1].plus(NANOSECOND)
    if not begin < end:
        raise Refused(f"there is nothing from {begin} until {end}: write an earlier --from or a later --to")
    return begin, end


@contextmanager
def _told(begin: Instant, end: Instant) -> Iterator[writing.Progress]:
    """A bar on the terminal, of how much of the time is done."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[samples]} samples")
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("reading", total=end.since(begin), samples=0)

        def told(until: Instant, samples: int) -> None:
            bar.update(task, completed=until.since(begin), samples=samples)

        yield told


def _show_flaws(form: Form, flaws: tuple[Flaw, ...]) -> None:
    if form is Form.HUMAN:
        for flaw in flaws:
            place = f"{flaw.where}:{flaw.line}" if flaw.line else flaw.where
            more = f" (and {flaw.count - 1} more)" if flaw.count > 1 else ""
            show.warn(f"left out: {place}: {flaw.why}{more}")
