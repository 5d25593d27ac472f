"""`rehearse`: what a configuration would have decided about what was recorded, and whom it would have paged.

Knows what is typed, where it is wrong, and what is written where. Does not know how anything is decided, nor how a
report looks (`show_rehearsal`, `rehearsal.page`).
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from service_monitoring import bootstrap
from service_monitoring.bootstrap import rehearsing
from service_monitoring.bootstrap.loading import rehearsable
from service_monitoring.bootstrap.ranges import Range, chosen
from service_monitoring.bootstrap.rehearsing import Past, Variant
from service_monitoring.cli import Form, show
from service_monitoring.domain.calendar import active_hours
from service_monitoring.domain.configuration import Configuration, with_drafts_active
from service_monitoring.domain.instants import Instant, in_seconds
from service_monitoring.domain.schedules import Span
from service_monitoring.errors import NotFound, Refused
from service_monitoring.rehearsal.assumed import Assumption
from service_monitoring.rehearsal.difference import difference_of
from service_monitoring.rehearsal.disturbed import disturbed_of
from service_monitoring.rehearsal.disturbing import Disturbances, disturbances
from service_monitoring.rehearsal.figures import figures_of
from service_monitoring.rehearsal.judging import TrueIncident, judge, read_incidents
from service_monitoring.rehearsal.rehearsed import Rehearsed
from service_monitoring.rehearsal.report import Report, as_json, report_of
from service_monitoring.rehearsal.sweep import Sweep as Curve
from service_monitoring.rehearsal.sweep import summary_of, sweep_of
from service_monitoring.settings import Settings, Sweep, Variation, current, grid, sweep
from service_monitoring.settings.lengths import duration
from service_monitoring.wire.ledger import ledger

_UTC: Final = "UTC"


class Asked(NamedTuple):
    """A rehearsal as it was typed; what was not is empty."""

    config: Path | None
    history: str
    mapping: Path | None
    began: str
    ended: str
    against: Path | None
    sweeps: Sequence[str]
    drafts: bool
    injects: Sequence[str]
    assume: str
    incidents: Path | None
    night: str
    report: Path | None
    ledger: Path | None
    jobs: int


class _Read(NamedTuple):
    """What was typed, read: the settings of the configuration, those to compare with, and the points of the sweep."""

    settings: Settings | None
    other: Settings | None
    sweeps: tuple[Sweep, ...]
    points: tuple[tuple[Variation, ...], ...]
    assumption: Assumption | None
    truth: tuple[TrueIncident, ...] | None
    night: Span
    disturbed: Disturbances


def rehearse(asked: Asked, form: Form) -> None:
    """Rehearse, and show what came of it. Whatever is wrong is said before anything runs, where that can be known."""
    before = signal.signal(signal.SIGTERM, _end)
    try:
        _rehearse(asked, form)
    finally:
        signal.signal(signal.SIGTERM, before)


def _rehearse(asked: Asked, form: Form) -> None:
    read = _read(asked)
    _refuse_unwritable(asked.report)
    _refuse_unwritable(asked.ledger)
    past = _past(asked, read.settings)
    span = _span(asked, past, _UTC if read.settings is None else read.settings.timezone)
    variants = list(_variants(asked, read))
    with _progress(span, len(variants)) as heard:
        made = rehearsing.rehearse(past, span, variants, jobs=asked.jobs, heard=heard)
    report = _report(asked, read, made)
    title = "" if asked.config is None else asked.config.name
    if asked.ledger is not None:
        _write(asked.ledger, ledger(_to_write(asked, made).decisions))
    if asked.report is not None:
        from service_monitoring.rehearsal.page import html_of

        _write(asked.report, html_of(report, title=title or "Rehearsal").encode())
    document = as_json(report).decode()
    if form is Form.JSON:
        show.text(document + "\n")
    else:
        from service_monitoring.cli import show_rehearsal

        show_rehearsal.rehearsed(json.loads(document), title)


# What is asked --------------------------------------------------------------------------------------------------------


def _read(asked: Asked) -> _Read:
    if asked.config is None:
        _needs_a_configuration(asked)
    sweeps = tuple(sweep(each) for each in asked.sweeps)
    points = grid(sweeps)
    settings = None if asked.config is None else _settings(asked.config)
    return _Read(
        settings=settings,
        other=None if asked.against is None else _settings(asked.against),
        sweeps=sweeps,
        points=points,
        assumption=_assumption(asked.assume) if asked.assume else None,
        truth=None if asked.incidents is None else read_incidents(_text(asked.incidents), str(asked.incidents)),
        night=_night(asked.night),
        disturbed=disturbances(asked.injects, _UTC if settings is None else settings.timezone),
    )


def _needs_a_configuration(asked: Asked) -> None:
    given = {
        "--against": asked.against,
        "--sweep": asked.sweeps,
        "--include-drafts": asked.drafts,
        "--assume": asked.assume,
    }
    for name, value in given.items():
        if value:
            raise Refused(f"{name} needs a configuration: service-monitoring rehearse monitoring.yaml {name} ...")
    if not asked.history:
        raise Refused("nothing is named to rehearse: give a configuration, or --history FOLDER of a monitor, or both")


def _settings(config: Path) -> Settings:
    if not config.exists():
        raise NotFound(f"there is no {config}: name a configuration")
    return rehearsable(config)


def _past(asked: Asked, settings: Settings | None) -> Past:
    if asked.history:
        return Past(asked.history, asked.mapping)
    assert settings is not None, "one of them is there"
    return Past(str(settings.store.path), asked.mapping)


def _span(asked: Asked, past: Past, zone: str) -> Range:
    """From and to as they were typed, by the zone of the configuration; all that there is where they were not."""
    return chosen(rehearsing.extent(past), asked.began, asked.ended, zone)


def _assumption(text: str) -> Assumption:
    what, _, rest = text.partition("=")
    after, colon, by = rest.partition(":")
    named = by.startswith("by=") and len(by) > len("by=")
    if what != "ack" or not after or (colon and not named):
        raise Refused(f"--assume {text} says nothing that can be assumed: write ack=10m, or ack=10m:by=NAME")
    length = duration(after)
    if length <= 0:
        raise Refused(f"--assume {text}: nobody acknowledges in no time: write ack=10m")
    return Assumption(length, by.removeprefix("by=")) if by else Assumption(length)


def _night(text: str) -> Span:
    return active_hours(None, text, _UTC).spans[0]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise Refused(f"{path} cannot be read ({why}): name a readable file") from error


# What is rehearsed ----------------------------------------------------------------------------------------------------


def _variants(asked: Asked, read: _Read) -> Iterator[Variant]:
    """The configuration itself, the one it is compared with, the first one disturbed, then each point.

    All are read before any runs.
    """
    whole = partial(_variant, read.assumption, rehearsing.whole, drafts=asked.drafts)
    yield whole(None if read.settings is None else read.settings.configuration)
    if read.other is not None:
        yield whole(read.other.configuration)
    if asked.injects:
        yield replace(whole(None if read.settings is None else read.settings.configuration), disturbed=read.disturbed)
    in_short = partial(summary_of, night=read.night)
    for point in read.points:
        assert asked.config is not None, "a sweep needs a configuration"
        configuration = rehearsable(asked.config, point).configuration
        yield _variant(read.assumption, in_short, configuration, drafts=asked.drafts)


def _variant(
    assumption: Assumption | None, make: rehearsing.Make, configuration: Configuration | None, *, drafts: bool
) -> Variant:
    if drafts and configuration is not None:
        configuration = with_drafts_active(configuration)
    return Variant(configuration, make, assumption)


def _report(asked: Asked, read: _Read, made: Sequence[Any]) -> Report:
    base: Rehearsed = made[0]
    points = made[len(made) - len(read.points) :]
    difference = None
    if asked.against is not None:
        names = (str(asked.config), str(asked.against))
        difference = difference_of(base, made[1], names=names, night=read.night)
    return report_of(
        figures_of(base, night=read.night),
        difference=difference,
        sweep=_curve(asked, read, points) if read.points else None,
        judgement=None if read.truth is None else judge(base, read.truth, night=read.night),
        disturbed=disturbed_of(base, _to_write(asked, made), asked.injects, night=read.night)
        if asked.injects
        else None,
    )


def _to_write(asked: Asked, made: Sequence[Any]) -> Rehearsed:
    """The rehearsal itself, disturbed where something is injected."""
    found: Rehearsed = made[0] if not asked.injects else made[1 if asked.against is None else 2]
    return found


def _curve(asked: Asked, read: _Read, made: Sequence[Any]) -> Curve:
    assert asked.config is not None, "a sweep needs a configuration"
    parameters = [variation.key for variation in read.points[0]]
    values = [tuple(variation.text for variation in point) for point in read.points]
    return sweep_of(
        parameters, list(zip(values, made, strict=True)), read.truth, current=current(asked.config, read.sweeps)
    )


# What is said and written ---------------------------------------------------------------------------------------------


def _end(number: int, _: object) -> None:
    """Told to end, it leaves no process and no file behind."""
    raise SystemExit(128 + number)


@contextmanager
def _progress(span: Range, count: int) -> Iterator[rehearsing.Heard]:
    """A bar on a terminal, with simulated time and samples a second; nothing anywhere else."""
    if not sys.stderr.isatty():
        yield lambda number, at, samples: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(file=sys.stderr)
    clock, began = bootstrap.the_clock(), bootstrap.the_clock().tick()
    shares, counts = [0.0] * count, [0] * count
    whole = max(1, span.until.since(span.since))
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("rehearsing", total=count)

        def heard(number: int, at: Instant, samples: int) -> None:
            shares[number] = min(1.0, max(0.0, at.since(span.since) / whole))
            counts[number] = samples
            rate = sum(counts) / max(0.001, in_seconds(clock.tick().since(began)))
            said = f"{str(at)[:16].replace('T', ' ')} {rate:,.0f} samples/s"
            bar.update(task, completed=sum(shares), description=said)

        yield heard


def _write(path: Path, content: bytes) -> None:
    """Aside first, then under its name: a reader finds all of it or what was there before."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_bytes(content)
        aside.replace(path)
    except OSError as error:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise Refused(f"{path} cannot be written ({error.strerror}): name another file") from error


def _refuse_unwritable(path: Path | None) -> None:
    """Said before hours of work, where it can be seen before."""
    if path is None:
        return
    if path.is_dir():
        raise Refused(f"{path} cannot be written (it is a folder): name a file in it")
    if not path.parent.is_dir():
        raise Refused(f"{path} cannot be written (there is no folder {path.parent}): name another file")
