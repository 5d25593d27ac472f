"""Trials: tests of a configuration that people write: given these samples, who is told what by then.

Knows what a trial gives and expects, and steps the course through it in simulated time. Does not know how a trial is
written (`trial_files`), nor how what came is compared with what was expected (`shortfalls`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum, StrEnum
from typing import Final

from msgspec import Struct

from service_monitoring.domain.configuration import Check, Configuration
from service_monitoring.domain.course import Course
from service_monitoring.domain.incidents import State
from service_monitoring.domain.inputs import (
    Act,
    Acted,
    Admitted,
    Configured,
    GapBegan,
    GapCause,
    GapEnded,
    Input,
    Marked,
    MarkKind,
    Observed,
    Pinged,
    Pushed,
    PushedSample,
    Retired,
    Silenced,
    Stamp,
)
from service_monitoring.domain.instants import MILLISECOND, Duration, Instant
from service_monitoring.domain.matchers import Matcher
from service_monitoring.domain.notices import Page, Withheld
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.samples import Measurement, Observation, Outcome, Series
from service_monitoring.domain.silences import Wanted
from service_monitoring.rehearsal.memory import Memory
from service_monitoring.rehearsal.notation import Value
from service_monitoring.settings import Place

UP: Final = "up"
FINEST: Final = Duration(MILLISECOND)
"""Everything in a trial is at whole milliseconds: between two of them there is room to look."""

MOST_RUNS: Final = 2_000_000
"""Runs of checks in one trial: a year of runs every fifteen seconds."""

_INSTANT: Final = Duration(1)
Labels = tuple[tuple[str, str], ...]


class Lane(Struct, frozen=True):
    """The values of one series: the first at `since`, each in force for `every`."""

    series: Series
    since: Instant
    every: Duration
    values: tuple[Value, ...]

    def at(self, instant: int) -> Value | None:
        """What is in force at an instant (ns); None before the first and after the last."""
        number, _ = divmod(instant - self.since.ns, self.every)
        return self.values[number] if 0 <= number < len(self.values) else None


class Report(Struct, frozen=True):
    """A job reports."""

    at: Instant
    pinged: Pinged


class Doing(StrEnum):
    """What people do in a trial."""

    ACKNOWLEDGE = "acknowledge"
    SNOOZE = "snooze"
    RESOLVE = "resolve"
    RETIRE = "retire"
    SILENCE = "silence"


_ACTS: Final = {Doing.ACKNOWLEDGE: Act.ACKNOWLEDGE, Doing.SNOOZE: Act.SNOOZE, Doing.RESOLVE: Act.RESOLVE}


class Deed(Struct, frozen=True):
    """A person does something to the incidents of a rule that have these labels, to a rule, or silences matchers."""

    at: Instant
    doing: Doing
    by: str
    place: Place
    rule: str = ""
    labels: Labels = ()
    matchers: tuple[Matcher, ...] = ()
    lasts: Duration | None = None
    comment: str = ""


class Blind(Struct, frozen=True):
    """Nobody watches: the monitor is down in (began, ended]."""

    began: Instant
    ended: Instant


class ExpectedIncident(Struct, frozen=True):
    """An incident of this rule is in this state; a final state means since the expectation before."""

    rule: str
    place: Place
    state: State = State.OPEN
    severity: Severity | None = None
    labels: Labels = ()


class ExpectedNotice(Struct, frozen=True):
    """So many notices to a recipient; what is left empty may be anything."""

    to: str
    place: Place
    about: str = ""
    page: Page | None = None
    reason: Withheld | None = None
    times: int = 1


class ExpectedPerson(Struct, frozen=True):
    """This person is on call, or nobody where it is empty."""

    rota: str
    person: str
    place: Place


class ExpectedVerdict(Struct, frozen=True):
    """`breached`, `healthy`, `unknown` or `pending`, on all series of a rule that have these labels."""

    rule: str
    verdict: str
    place: Place
    labels: Labels = ()


class Expectation(Struct, frozen=True):
    """What holds right after an instant, when everything that is due by then is decided.

    Notices are those since the expectation before. None where nothing is said. `others` says whether there may be more
    incidents and notices than those; `keys` are where the lists stand, by name.
    """

    at: Instant
    place: Place
    incidents: tuple[ExpectedIncident, ...] | None = None
    pages: tuple[ExpectedNotice, ...] | None = None
    held: tuple[ExpectedNotice, ...] | None = None
    on_call: tuple[ExpectedPerson, ...] = ()
    rules: tuple[ExpectedVerdict, ...] = ()
    others: str = "none"
    keys: tuple[tuple[str, Place], ...] = ()


class Trial(Struct, frozen=True):
    """One test: a configuration comes into force at `starts`, then this happens, and that is expected."""

    name: str
    place: Place
    starts: Instant
    configuration: Configuration
    lanes: tuple[Lane, ...] = ()
    reports: tuple[Report, ...] = ()
    deeds: tuple[Deed, ...] = ()
    blind: tuple[Blind, ...] = ()
    expectations: tuple[Expectation, ...] = ()


class Undone(Struct, frozen=True):
    """A person could not do what the trial says: there was nothing to do it to, or it was refused."""

    deed: Deed
    why: str


Seen = Expectation | Undone
"""Where a trial is looked at: an expectation is due, or something could not be done."""


class _Turn(IntEnum):
    """The order at one instant, as that of the course; a look comes after everything."""

    DEED = 0
    CONFIGURATION = 1
    ARRIVAL = 2
    SIGHT = 3
    BLIND = 4
    LOOK = 5


def played(trial: Trial) -> Iterator[tuple[Seen, Course, Memory]]:
    """Step the course through a trial; wherever it is to be looked at, give how it stands. For one thread.

    What a look is given changes with the next step.
    """
    course, memory = Course(), Memory(trial.starts, trial.configuration)
    for at, _, what in _in_order(trial):
        match what:
            case Expectation():
                # One nanosecond later all timers of the instant have fired, and nothing else can have happened.
                _step(course, memory, at.plus(_INSTANT), Marked(MarkKind.ALIVE))
                memory.keep(course.take_changes())
                yield what, course, memory
                memory.looked()
            case Deed():
                for why in _do(course, memory, what):
                    memory.keep(course.take_changes())
                    yield Undone(what, why), course, memory
            case _:
                _step(course, memory, at, what)


def _step(course: Course, memory: Memory, at: Instant, what: Input) -> str:
    admitted = Admitted(Stamp(0, at), what)
    ruling = course.step(admitted)
    memory.remember(admitted, ruling)
    return ruling.refusal


def _in_order(trial: Trial) -> list[tuple[Instant, _Turn, Input | Deed | Expectation]]:
    """Everything that happens up to the last expectation, in the order in which it does."""
    until = max((each.at for each in trial.expectations), default=trial.starts)
    found: list[tuple[Instant, _Turn, Input | Deed | Expectation]] = [
        (trial.starts, _Turn.CONFIGURATION, Configured(trial.configuration))
    ]
    found += [(each.at, _Turn.DEED, each) for each in trial.deeds]
    found += [(each.at, _Turn.LOOK, each) for each in trial.expectations]
    arrivals: list[tuple[Instant, str, str, Input]] = [
        (each.at, each.pinged.service, each.pinged.check, each.pinged) for each in trial.reports
    ]
    arrivals += [(at, name, check, what) for at, name, check, what in _samples(trial, until)]
    for each in trial.blind:
        found += [
            (each.began, _Turn.BLIND, GapBegan(GapCause.RESTART)),
            (each.ended, _Turn.SIGHT, GapEnded()),
        ]
        arrivals = [arrival for arrival in arrivals if not each.began < arrival[0] <= each.ended]
    arrivals.sort(key=lambda arrival: arrival[:3])
    found += [(at, _Turn.ARRIVAL, what) for at, _, _, what in arrivals]
    found.sort(key=lambda entry: entry[:2])  # stable: what is equal stays in the order of the text
    return [entry for entry in found if entry[0] <= until]


def _samples(trial: Trial, until: Instant) -> Iterator[tuple[Instant, str, str, Input]]:
    checks = {check.id: check for service in trial.configuration.services for check in service.checks}
    lanes: dict[str, list[Lane]] = {}
    for lane in trial.lanes:
        lanes.setdefault(f"{lane.series.service}.{lane.series.check}", []).append(lane)
    for name, mine in lanes.items():
        check = checks[name]
        for at in _instants(check, mine, until):
            values = [(lane.series, lane.at(at)) for lane in mine if not check.allowance or _begins(lane, at)]
            what = _arrival(check, Instant(at), [(key, value) for key, value in values if isinstance(value, float)])
            if what is not None:
                yield Instant(at), check.service, check.name, what


def _instants(check: Check, lanes: Iterable[Lane], until: Instant) -> list[int]:
    """When a check runs: at each step of its series, and within a longer step as often as it does by itself.

    A check that ran only once a step would be stale in between, and no such thing happens to a live one. What is
    pushed comes once a step.
    """
    found: set[int] = set()
    for lane in lanes:
        stride = stride_of(check, lane)
        for number in range(len(lane.values)):
            begin = lane.since.ns + number * lane.every
            if begin > until.ns:
                break
            found.update(range(begin, min(begin + lane.every, until.ns + 1), stride))
    return sorted(found)


def stride_of(check: Check, lane: Lane) -> Duration:
    """How long after a run the next one is, within one step of a series."""
    pace = -(-check.every // FINEST) * FINEST
    return lane.every if check.allowance else Duration(min(lane.every, pace))


def _begins(lane: Lane, at: int) -> bool:
    return (at - lane.since.ns) % lane.every == 0


def _arrival(check: Check, at: Instant, values: list[tuple[Series, float]]) -> Input | None:
    """What comes of a check at an instant; None where no series of it has a value."""
    if not values:
        return None
    if check.allowance:
        samples = tuple(PushedSample(at, series.metric, value, series.labels) for series, value in values)
        return Pushed(check.service, check.name, samples)
    up = [value for series, value in values if series.metric == UP]
    failed = bool(up) and not up[0]
    measured = tuple(
        Measurement(series.metric, value, series.labels) for series, value in values if series.metric != UP
    )
    detail = "the test says so" if failed else ""
    outcome = Outcome.FAILED if failed else Outcome.OK
    return Observed(check.service, check.name, Observation(outcome, None, detail, measured), at)


def _do(course: Course, memory: Memory, deed: Deed) -> Iterator[str]:
    """Do it; gives a sentence where that cannot be."""
    service, _, rule = deed.rule.partition(".")
    what: list[Input] = []
    match deed.doing:
        case Doing.SILENCE:
            what = [Silenced(Wanted(deed.matchers, deed.by, deed.comment, lasts=deed.lasts))]
        case Doing.RETIRE:
            what = [Retired(service, rule, deed.comment or "the test says so", deed.by)]
        case Doing.ACKNOWLEDGE | Doing.SNOOZE | Doing.RESOLVE:
            # What is due before comes first: it may open what is acknowledged here.
            before = deed.at.plus(Duration(-_INSTANT))
            if memory.at < before:
                _step(course, memory, before, Marked(MarkKind.ALIVE))
            lasts = None if deed.doing is Doing.RESOLVE else deed.lasts
            what = [
                Acted(each.id, _ACTS[deed.doing], deed.by, deed.comment, lasts)
                for each in course.incidents()
                if each.state is not State.PENDING
                and (each.service, each.rule) == (service, rule)
                and set(deed.labels) <= set(each.series.labels)
            ]
            if not what:
                yield f"{deed.rule} has no incident to {deed.doing}"
    for each in what:
        refusal = _step(course, memory, deed.at, each)
        if refusal:
            yield refusal
