"""Rehearsals as faces ask for them: what may be varied, jobs and how far they have come, and what came of them.

Knows values ready for people and for JSON, and how the change that a rehearsal shows is said in a sentence. Does not
know how anything is rehearsed, where a job runs, or where a history is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct

from service_monitoring.errors import Refused
from service_monitoring.views.drawing import Plot

MOST_DAYS: Final = 92
"""Days that one rehearsal may reach over."""
MOST_SAMPLES: Final = 50_000_000
"""Samples that one side of a rehearsal may judge."""
MOST_WAITING: Final = 8
"""Jobs that may wait."""
MOST_CHANGES: Final = 50
"""Values that one rehearsal may change."""


class Standing(StrEnum):
    """How a job stands, or how it ended."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


UNDER_WAY: Final = frozenset({Standing.QUEUED, Standing.RUNNING})


class Parameter(Struct, frozen=True):
    """One number that may be another: `key` as changes name it; `value` is empty where the file is silent."""

    key: str
    name: str
    value: str


class RuleParameters(Struct, frozen=True):
    """The numbers of one rule."""

    service: str
    rule: str
    draft: bool
    parameters: tuple[Parameter, ...]


class RehearsalOptions(Struct, frozen=True):
    """What may be rehearsed: the recorded extent, and what of the file may be varied.

    `since` and `until` are None, and `nothing` says why, where nothing is recorded. `services` are those whose name
    has what was searched for, at most 200 of `of_services`; `rules` are those of the services that were asked about.
    """

    since: str | None
    until: str | None
    nothing: str
    zone: str
    services: tuple[str, ...]
    of_services: int
    rules: tuple[RuleParameters, ...]
    routes: tuple[Parameter, ...]


class Change(Struct, frozen=True):
    """One value in place of what the file says: `shop.slow.above`, `0.5`."""

    key: str
    value: str


class Wanted(Struct, frozen=True):
    """A rehearsal as somebody asks for it, in the texts that were written.

    `began` and `ended` are local dates or times, RFC 3339, or `-7d` back from the end; empty is all that is recorded.
    `drafts` lets drafts tell people, as a change like any other. `acknowledged_after` assumes that somebody, or
    `acknowledged_by`, takes each incident on so long after the first page.
    """

    by: str = ""
    began: str = ""
    ended: str = ""
    changes: tuple[Change, ...] = ()
    drafts: bool = False
    acknowledged_after: str = ""
    acknowledged_by: str = ""


class Fault(Struct, frozen=True):
    """What is wrong with one field, in a sentence. The field of a change is its key; of none in particular, nothing."""

    field: str
    sentence: str


class WrongRehearsal(Refused):
    """What is asked for cannot be rehearsed: all that is wrong at once, each at its field."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        super().__init__("; ".join(each.sentence for each in faults))


class JobRow(Struct, frozen=True):
    """One job as lists show it. `wanted` is what was asked for, `since` and `until` what that comes to.

    `share` is how much is done, from 0 to 1; `at` the simulated instant that it has come to, `samples` how many it has
    judged. `place` is how many are before one that waits. `sentence` is what came of it, or why nothing did.
    """

    id: str
    state: Standing
    wanted: Wanted
    since: str
    until: str
    asked_at: str
    began_at: str | None
    ended_at: str | None
    place: int
    share: float
    at: str | None
    samples: int
    sentence: str


class Written(Struct, frozen=True):
    """What is to be written to have a change: the place in a file, the path there, the value before and after."""

    place: str
    path: str
    before: str
    after: str


class JobDetail(Struct, frozen=True):
    """One job, and what to write in the file to have what it tries; `yaml` are the lines with what is around them."""

    job: JobRow
    written: tuple[Written, ...]
    yaml: str


class Side(Struct, frozen=True):
    """What one side comes to, after the warm-up. Delays are from breach to page, in seconds."""

    pages: int
    at_night: int
    incidents: int
    held: int
    delay_median: float | None
    delay_p90: float | None


class PageRow(Struct, frozen=True):
    """A page that appears, vanishes or comes at another time; `comes` where there is nothing to compare with.

    `incidents` are ids; `before` is when it came, of one that moves.
    """

    what: str
    at: str
    before: str | None
    who: str
    rule: str
    page: str
    why: str
    at_night: bool
    incidents: tuple[str, ...]


class PersonRow(Struct, frozen=True):
    """Pages of one recipient, before and after, in all, at night, and a week on average."""

    who: str
    before: int
    after: int
    at_night_before: int
    at_night_after: int
    a_week_before: float
    a_week_after: float
    appear: int
    vanish: int
    move: int


class RuleBalance(Struct, frozen=True):
    """Pages of one rule, before and after."""

    rule: str
    before: int
    after: int
    at_night_before: int
    at_night_after: int


class ChangedIncident(Struct, frozen=True):
    """An incident that only one side has (gained, lost), or that is open for longer or shorter."""

    what: str
    rule: str
    series: str
    began: str
    before_seconds: float
    after_seconds: float


class HeldBack(Struct, frozen=True):
    """How many pages one reason held back with the changes, and for whom."""

    count: int
    because: str
    whom: str


class RehearsalReport(Struct, frozen=True):
    """What came of a job. Without changes there is no `before`, and `pages` are all that come.

    `stay` counts the pages that are as before. Lists hold 2,000 rows at most; `left_out` counts what they do not hold.
    `limits` are sentences, to be read first.
    """

    headline: str
    since: str
    until: str
    warm: str
    zone: str
    before: Side | None
    after: Side
    appear: int
    vanish: int
    move: int
    stay: int
    pages: tuple[PageRow, ...]
    left_out: int
    people: tuple[PersonRow, ...]
    rules: tuple[RuleBalance, ...]
    incidents: tuple[ChangedIncident, ...]
    held: tuple[HeldBack, ...]
    limits: tuple[str, ...]
    drawing: Plot | None


class Rehearsals(Protocol):
    """Rehearsals of what this program recorded.

    One job runs and eight wait; the last 20 that have ended are kept while the program runs. `NotFound` where no job
    has that id, or has not come to what is asked for.
    """

    async def options(self, services: tuple[str, ...] = (), search: str = "") -> RehearsalOptions:
        """What may be rehearsed, with the rules of these services."""
        ...

    async def start(self, wanted: Wanted) -> JobRow:
        """Have it rehearsed; `WrongRehearsal` names each field, `Refused` where too many wait."""
        ...

    async def job(self, id: str) -> JobDetail:
        """One of them."""
        ...

    async def jobs(self, *, limit: int, before: str = "") -> list[JobRow]:
        """The latest asked for first; `before` is the id of the last one of the page before."""
        ...

    async def cancel(self, id: str) -> JobRow:
        """End one that waits or runs; of one that has ended nothing changes."""
        ...

    async def report(self, id: str) -> RehearsalReport:
        """What came of one that is done."""
        ...

    async def page(self, id: str) -> bytes:
        """The whole report as a page of its own."""
        ...

    async def ledger(self, id: str, side: str) -> AsyncIterator[bytes]:
        """Every decision as JSON lines, piece by piece; the `side` is before or after."""
        ...


LASTING: Final[Mapping[str, str]] = {"1d": "the last day", "7d": "the last 7 days", "30d": "the last 30 days"}
"""Ranges that are offered by name."""


def headline(before: Side | None, after: Side, *, length: str, appear: int, vanish: int, move: int, nights: int) -> str:
    """What a rehearsal shows, in a sentence. `length` is that of the range, `nights` how many appear at night."""
    if before is None:
        at_night = f", {after.at_night:,} of them at night" if after.pages else ""
        return f"{_amount(after.pages, 'page')} in {length}{at_night}, of {_amount(after.incidents, 'incident')}"
    if not appear and not vanish and not move:
        return f"Nothing changes in {length}: the same {_amount(after.pages, 'page')} at the same instants"
    more = after.pages - before.pages
    said = f"{_amount(abs(more), 'page')} {'more' if more > 0 else 'fewer'}" if more else "As many pages as before"
    parts = [
        f"{said} in {length}",
        ", ".join(
            text
            for count, text in (
                (appear, f"{appear:,} new"),
                (vanish, f"{vanish:,} gone"),
                (move, f"{move:,} at another time"),
            )
            if count
        ),
        f"{nights:,} of the new ones at night" if nights else "nobody else is woken at night",
    ]
    return "; ".join(parts)


def _amount(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
