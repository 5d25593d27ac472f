"""Rotas on the command line: who is on call, who will be, what is doubtful, and calendar files.

Works from the configuration file alone: what the program was told at run time is not known here. Does not know how an
answer looks (`show_oncall`), nor calendar files (`ical`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from service_monitoring import bootstrap
from service_monitoring.cli import BAD_ANSWER, DONE, Form, ical, show
from service_monitoring.cli.asking import load
from service_monitoring.domain.coverage import Examined, examined, gaps
from service_monitoring.domain.instants import DAY, Duration, Instant, in_seconds
from service_monitoring.domain.oncall import next_change, shifts, who, whole_shifts
from service_monitoring.domain.rotas import Rota
from service_monitoring.errors import NotFound, Refused
from service_monitoring.settings import Settings
from service_monitoring.settings.lengths import duration
from service_monitoring.settings.validation import suggestion

_MOST_BYTES: Final = 16 * 1024 * 1024
_LONGEST: Final = Duration(10 * 366 * DAY)


def at(text: str, rota: str, config: Path, form: Form) -> None:
    """Who is on call at an instant; now, where it is empty."""
    from service_monitoring.cli import show_oncall

    now = bootstrap.the_clock().now()
    asked = Instant.parse(text) if text else now
    rows = [_standing(each, asked) for each in _chosen(load(config), rota)]
    _tell(rows, form, lambda: show_oncall.standing(rows, now))


def upcoming(over: str, rota: str, config: Path, form: Form) -> None:
    """Shifts and gaps from now on, for so long."""
    from service_monitoring.cli import show_oncall

    now = bootstrap.the_clock().now()
    until = now.plus(_length(over))
    rows = [row for each in _chosen(load(config), rota) for row in _shifts(each, now, until)]
    _tell(rows, form, lambda: show_oncall.upcoming(rows, now))


def lint(over: str, rota: str, config: Path, form: Form) -> int:
    """What is doubtful from now on, for so long. Bad is a time without anybody, or with two overrides."""
    from service_monitoring.cli import show_oncall

    now = bootstrap.the_clock().now()
    found = [(each, examined(each, now, now.plus(_length(over)))) for each in _chosen(load(config), rota)]
    rows = [_examined(each, result) for each, result in found]
    _tell(rows, form, lambda: show_oncall.lint(rows, now))
    return BAD_ANSWER if any(row["gaps"] or row["overlaps"] for row in rows) else DONE


def export(rota: str, weeks: int, config: Path) -> None:
    """A calendar file of one rota on standard output."""
    [chosen] = _chosen(load(config), rota)
    now = bootstrap.the_clock().now()
    show.text(ical.written(rota, whole_shifts(chosen, now, now.plus(Duration(weeks * 7 * DAY))), now))


def import_(file: Path, rota: str, config: Path) -> int:
    """The overrides that a calendar file holds, as YAML for the configuration; who is unknown is said beside it."""
    from service_monitoring.cli import show_oncall

    settings = load(config)
    zone = _chosen(settings, rota)[0].zone if rota else settings.timezone
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise Refused(f"{file} cannot be read ({error.strerror}): name a calendar file") from None
    if len(content) > _MOST_BYTES:
        raise Refused(f"{file} is larger than 16 MiB: no calendar of shifts is")
    entries = ical.read(content, settings.people, zone)
    return BAD_ANSWER if show_oncall.overrides(entries, zone) else DONE


def gaps_ahead(settings: Settings) -> Iterator[str]:
    """A sentence for each rota that leaves somebody waiting within a year."""
    now = bootstrap.the_clock().now()
    for rota in settings.configuration.rotas:
        found = gaps(rota, now, now.plus(Duration(365 * DAY)))
        if found:
            from service_monitoring.cli import show_oncall

            first = f"first from {show_oncall.local(found[0].begin)} until {show_oncall.local(found[0].end)}"
            times = show.amount(len(found), "time")
            yield f"oncall.{rota.name}: nobody is on call {times} within a year, {first}; ask oncall lint"


def _chosen(settings: Settings, name: str) -> list[Rota]:
    """All rotas, or the one that was named; `NotFound` where there is none."""
    rotas = settings.configuration.rotas
    if not name:
        return list(rotas)
    found = [rota for rota in rotas if rota.name == name]
    if not found:
        remedy = suggestion(name, [rota.name for rota in rotas]) if rotas else "the file has none"
        raise NotFound(f"there is no rota {name}: {remedy}")
    return found


def _length(text: str) -> Duration:
    length = duration(text)
    if not 0 < length <= _LONGEST:
        raise Refused(f"{text} is not a time to look ahead: write 4w, or 3650d at most")
    return length


def _tell(rows: list[dict[str, Any]], form: Form, show_rows: Callable[[], None]) -> None:
    if form is Form.JSON:
        show.as_json(rows)
    elif rows:
        show_rows()
    else:
        show.line("No rotas.")


def _standing(rota: Rota, asked: Instant) -> dict[str, Any]:
    change = next_change(rota, asked)
    shift = next(shifts(rota, asked, asked.plus(Duration(1))), None)
    return {
        "rota": rota.name,
        "at": str(asked),
        "people": list(who(rota, asked)),
        "layer": None if shift is None else shift.layer,
        "until": None if change is None else str(change),
    }


def _shifts(rota: Rota, since: Instant, until: Instant) -> Iterator[dict[str, Any]]:
    end = since
    for shift in shifts(rota, since, until):
        if end < shift.begin:
            yield _row(rota, None, end, shift.begin, None)
        yield _row(rota, shift.person, shift.begin, shift.end, shift.layer)
        end = shift.end
    if end < until:
        yield _row(rota, None, end, until, None)


def _row(rota: Rota, person: str | None, begin: Instant, end: Instant, layer: int | None) -> dict[str, Any]:
    return {"rota": rota.name, "person": person, "from": str(begin), "until": str(end), "layer": layer}


def _examined(rota: Rota, found: Examined) -> dict[str, Any]:
    return {
        "rota": rota.name,
        "from": str(found.begin),
        "until": str(found.end),
        "gaps": [{"from": str(gap.begin), "until": str(gap.end)} for gap in found.gaps],
        "overlaps": [
            {"person": each.person, "hidden": each.hidden, "from": str(each.begin), "until": str(each.end)}
            for each in found.overlaps
        ],
        "twice": [
            {
                "person": each.person,
                "layer": each.layer,
                "from": None if each.begin is None else str(each.begin),
                "until": None if each.end is None else str(each.end),
            }
            for each in found.twice
        ],
        "loads": [
            {
                "person": load.person,
                "total_seconds": in_seconds(load.total),
                "night_seconds": in_seconds(load.nights),
                "weekend_seconds": in_seconds(load.weekends),
            }
            for load in found.loads
        ],
        "unfair": [
            {
                "person": each.person,
                "what": each.what,
                "seconds": in_seconds(each.carried),
                "mean_seconds": in_seconds(each.mean),
            }
            for each in found.unfair
        ],
    }
