"""The page: a report as one HTML file that needs nothing else, neither a network nor a script.

Knows which part of a report is shown how, and how much of long lists. Does not know what a figure means (`figures`),
nor where shapes stand (`plots`). Every text is escaped by the template engine; a policy in the page forbids whatever
might be loaded or run all the same. Equal reports give equal bytes: nothing says when the page was made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from jinja2 import Environment
from msgspec.structs import replace

from service_monitoring.domain.calendar import local_text
from service_monitoring.domain.instants import DAY, Duration, Instant, seconds
from service_monitoring.domain.notices import Page
from service_monitoring.rehearsal import plots
from service_monitoring.rehearsal.figures import Paged, hours_text
from service_monitoring.rehearsal.report import Report
from service_monitoring.views.because import PAGES, length_text
from service_monitoring.views.drawing import Plot
from service_monitoring.views.engine import engine
from service_monitoring.views.on_record import names

MOST_ROWS: Final = 100
"""Rows of a list; the JSON document has all of them."""


def html_of(report: Report, *, title: str = "Rehearsal") -> str:
    """The page. `title` is what its readers know it by, as the name of the configuration."""
    figures = report.rehearsal
    zone = plots.zone_of_all(figures)
    environment = _environment()
    shown = environment.get_template("report.html").render(
        title=title,
        report=report,
        figures=figures,
        zone=zone,
        night=hours_text(figures.night),
        timeline=plots.timeline(figures, zone),
        weeks=plots.pages_by_week(figures),
        curve=plots.curve(report.sweep) if report.sweep is not None else None,
        gains=plots.gains(report.difference, zone) if report.difference is not None else None,
        disturbed_gains=_disturbed_gains(report, zone),
        disturbed_notes=_disturbed_notes(report),
        moment=lambda at: plots.day_text(at, zone),
        most=MOST_ROWS,
        reason=_reason,
    )
    return shown + "\n"


def _disturbed_gains(report: Report, zone: str) -> Plot | None:
    if report.disturbed is None:
        return None
    return replace(plots.gains(report.disturbed.difference, zone), name="disturbed-gains")


def _disturbed_notes(report: Report) -> tuple[str, ...]:
    """How much of the ledger changes, and what else is to be known of a disturbed rehearsal."""
    disturbed = report.disturbed
    if disturbed is None:
        return ()
    lines = disturbed.lines
    changed = (
        f"Of {lines.before:,} lines of the ledger {lines.only_before:,} are gone; "
        f"of {lines.after:,} now {lines.only_after:,} are new."
    )
    return (changed, *(each for each in disturbed.limits if each not in report.rehearsal.limits))


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = engine("service_monitoring.rehearsal")
    environment.filters |= {
        "lasting": _lasting,
        "whom": lambda recipient: names((recipient,)),
        "grouped": lambda number: f"{number:,}",
        "amount": lambda number, what: f"{number:,} {what}" if number == 1 else f"{number:,} {what}s",
        "signed": lambda number: f"{number:+,}",
        "late": _late,
        "share": lambda part, whole: round(100 * part / whole, 2) if whole else 0,
        "first": _first,
        "iso": lambda at: str(at).replace(".000000000", ""),
        "span": _span,
        "at_zone": lambda at, zone: local_text(at, zone)[:16].replace("T", " "),
    }
    return environment


def _lasting(value: float | None) -> str:
    """Seconds as `1h30m`; whole ones, of which the two largest units are enough. A dash where there are none."""
    if value is None:
        return "-"
    whole = round(value)
    unit = DAY if whole >= 86_400 else 1
    return length_text(seconds(whole - whole % 3_600 if unit == DAY else whole))


def _late(value: float) -> str:
    return f"{_lasting(abs(value))} {'later' if value > 0 else 'earlier'}"


def _span(since: Instant, until: Instant) -> str:
    return length_text(Duration(until.since(since)))


def _first(rows: Sequence[Any], most: int) -> Iterable[Any]:
    return rows[:most]


def _reason(page: Paged) -> str:
    """Why a page was owed, in a sentence."""
    return PAGES[Page(page.page)].replace("`", "")
