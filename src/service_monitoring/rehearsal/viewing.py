"""Viewing: a rehearsal, or two of them side by side, as the console shows it.

Knows figures, a difference and the rows that are shown of them. Does not know who asked, nor how a row looks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from service_monitoring.domain.instants import DAY, HOUR, MINUTE, SECOND
from service_monitoring.domain.notices import Page
from service_monitoring.rehearsal import plots
from service_monitoring.rehearsal.difference import Difference, Totals
from service_monitoring.rehearsal.figures import Figures, Paged
from service_monitoring.views.because import PAGES, instant_text
from service_monitoring.views.on_record import names
from service_monitoring.views.rehearsals import (
    ChangedIncident,
    HeldBack,
    PageRow,
    PersonRow,
    RehearsalReport,
    RuleBalance,
    Side,
    headline,
)

MOST_ROWS: Final = 2_000
"""Rows of each list."""
_WEEK: Final = 7 * DAY


def view_of(before: Figures, after: Figures | None = None, difference: Difference | None = None) -> RehearsalReport:
    """What is shown. Without `after` there is one side, and nothing to compare it with."""
    last = before if after is None else after
    length = _in_words(last.until.since(last.since))
    rows = sorted(_pages(last, difference), key=lambda row: (row.before is not None, row.at, row.who, row.rule))
    one = None if difference is None else _side(before, difference.before)
    other = _side(last, None if difference is None else difference.after)
    appear, vanish, move, stay = _counts(difference)
    nights = 0 if difference is None else sum(page.at_night for page in difference.gained)
    zone = plots.zone_of_all(last)
    incidents = tuple(_incidents(difference))
    warm = last.warm if difference is None else difference.warm
    said = headline(one, other, length=length, appear=appear, vanish=vanish, move=move, nights=nights)
    if warm >= last.until:
        said = f"Nothing can be said of {length}: rules look back at more than that"
    return RehearsalReport(
        headline=said,
        since=instant_text(last.since),
        until=instant_text(last.until),
        warm=instant_text(warm),
        zone=zone,
        before=one,
        after=other,
        appear=appear,
        vanish=vanish,
        move=move,
        stay=stay,
        pages=tuple(rows[:MOST_ROWS]),
        left_out=max(0, len(rows) - MOST_ROWS) + max(0, len(incidents) - MOST_ROWS),
        people=tuple(_people(last, difference))[:MOST_ROWS],
        rules=tuple(_rules(last, difference))[:MOST_ROWS],
        incidents=incidents[:MOST_ROWS],
        held=tuple(HeldBack(row.count, row.because, names(row.recipients)) for row in last.held[:MOST_ROWS]),
        limits=tuple(_limits(before, last)),
        drawing=None if difference is None else plots.gains(difference, zone),
    )


def _side(figures: Figures, totals: Totals | None) -> Side:
    """Of two sides only that is counted for which both know enough history: their `totals`."""
    totals = totals or Totals(figures.pages, figures.at_night, figures.opened)
    return Side(
        pages=totals.pages,
        at_night=totals.at_night,
        incidents=totals.incidents,
        held=sum(row.count for row in figures.held),
        delay_median=figures.breach_to_page.median,
        delay_p90=figures.breach_to_page.p90,
    )


def _counts(difference: Difference | None) -> tuple[int, int, int, int]:
    if difference is None:
        return 0, 0, 0, 0
    return len(difference.gained), len(difference.lost), len(difference.moved), difference.same


def _pages(figures: Figures, difference: Difference | None) -> Iterator[PageRow]:
    if difference is None:
        yield from (_page("comes", page) for page in figures.every_page if not page.in_warm_up)
        return
    yield from (_page("appears", page) for page in difference.gained)
    yield from (_page("vanishes", page) for page in difference.lost)
    for move in difference.moved:
        yield PageRow(
            what="later" if move.by_seconds > 0 else "earlier",
            at=instant_text(move.after),
            before=instant_text(move.before),
            who=names((move.recipient,)),
            rule=move.rule,
            page=move.page,
            why=_why(move.page),
            at_night=False,
            incidents=(),
        )


def _page(what: str, page: Paged) -> PageRow:
    return PageRow(
        what=what,
        at=instant_text(page.at),
        before=None,
        who=names((page.recipient,)),
        rule=page.rule,
        page=page.page,
        why=_why(page.page),
        at_night=page.at_night,
        incidents=page.incidents[:20],
    )


def _why(page: str) -> str:
    return PAGES[Page(page)].replace("`", "")


def _people(figures: Figures, difference: Difference | None) -> Iterator[PersonRow]:
    weeks = figures.until.since(figures.warm if difference is None else difference.warm) / _WEEK
    for each in figures.recipients if difference is None else ():
        a_week = _a_week(each.pages, weeks)
        at_night = each.at_night
        yield PersonRow(names((each.recipient,)), each.pages, each.pages, at_night, at_night, a_week, a_week, 0, 0, 0)
    for row in () if difference is None else difference.recipients:
        yield PersonRow(
            who=names((row.name,)),
            before=row.before,
            after=row.after,
            at_night_before=row.at_night_before,
            at_night_after=row.at_night_after,
            a_week_before=_a_week(row.before, weeks),
            a_week_after=_a_week(row.after, weeks),
            appear=row.gained,
            vanish=row.lost,
            move=row.earlier + row.later,
        )


def _rules(figures: Figures, difference: Difference | None) -> Iterable[RuleBalance]:
    if difference is None:
        return (RuleBalance(row.rule, row.pages, row.pages, row.at_night, row.at_night) for row in figures.rules)
    return (
        RuleBalance(row.name, row.before, row.after, row.at_night_before, row.at_night_after)
        for row in difference.rules
    )


def _incidents(difference: Difference | None) -> Iterator[ChangedIncident]:
    for each in () if difference is None else difference.incidents:
        began = instant_text(each.began)
        yield ChangedIncident(each.what, each.rule, each.series, began, each.before_seconds, each.after_seconds)


def _limits(before: Figures, after: Figures) -> Iterator[str]:
    yield from dict.fromkeys((*before.limits, *after.limits))
    if after.warm > after.since:
        yield (
            f"until {instant_text(after.warm)} rules knew less history than they look back at: "
            "what they decide before that is counted nowhere here"
        )
    flaws = sum(flaw.count for flaw in after.flaws)
    if flaws:
        yield f"{flaws:,} rows of the history could not be taken: the whole report names them"
    if after.unmatched:
        yield f"of what people did, {len(after.unmatched):,} met no incident: the whole report names them"


def _in_words(length: int) -> str:
    """About how long a range is: `14 days`, `6 hours`."""
    units = ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (SECOND, "second"))
    unit, name = next((each for each in units if round(length / each[0]) >= 2), units[-1])
    count = round(length / unit)
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


def _a_week(pages: int, weeks: float) -> float:
    return round(pages / weeks, 1) if weeks > 0 else 0.0
