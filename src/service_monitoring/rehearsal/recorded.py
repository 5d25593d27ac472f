"""Rehearsing what a program of ours recorded: as it was, or under another configuration throughout.

Knows the course, and which recorded inputs mean something when other decisions are made than those they answered. Does
not know where the recording is kept, nor any driver of columns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from service_monitoring.domain.configuration import Check, Configuration, Service, reach_of
from service_monitoring.domain.course import Course, Decision, Ruling, order_of
from service_monitoring.domain.events import IncidentMoved
from service_monitoring.domain.flapping import REMEMBERED
from service_monitoring.domain.inputs import (
    Acted,
    Admitted,
    Configured,
    GapBegan,
    GapEnded,
    Input,
    Marked,
    MarkKind,
    Observed,
    Order,
    Pinged,
    Pushed,
    Requeued,
    Retired,
    Settled,
    Silenced,
    Stamp,
    Stepped,
    Unsilenced,
)
from service_monitoring.domain.instants import NANOSECOND, SECOND, Duration, Instant
from service_monitoring.domain.notices import Notice
from service_monitoring.domain.rules import Rule
from service_monitoring.domain.samples import Outcome
from service_monitoring.domain.schedules import Period
from service_monitoring.errors import Refused
from service_monitoring.ports import RecordedHistory
from service_monitoring.rehearsal.assumed import Assumed
from service_monitoring.rehearsal.driving import Progress, replay
from service_monitoring.rehearsal.rehearsed import Rehearsed, Unmatched
from service_monitoring.rehearsal.restarted import Restarted
from service_monitoring.rehearsal.unheard import Unobserved, left_out, named, waiting_for, without
from service_monitoring.views.because import instant_text

_TELL_EVERY: Final = 5_000
"""Inputs between two words of progress."""


def unheard(at: Instant, samples: int) -> None:
    """Progress that nobody asks for."""


def as_recorded(
    history: RecordedHistory,
    since: Instant,
    until: Instant,
    *,
    progress: Progress = unheard,
    restarts: frozenset[Instant] | None = None,
) -> Rehearsed:
    """What the recorded revisions decide again in [since, until); all that came before is decided again, too.

    `restarts` are given where a history is not as it was lived: the course is revived at the gaps that begin there, and
    what answered decisions that are not made here is left out.
    """
    extent = history.extent()
    last = Stamp(0, until) if extent is None else extent[1]
    stamp = Stamp(last.epoch, until)
    watched = (
        _Watched(history.inputs(), since, stamp, progress)
        if restarts is None
        else _Otherwise(history, since, stamp, progress)
    )
    end = last if last.at < until else Stamp(last.epoch, until)
    decided = []
    for stamp, decision in replay(watched.inputs(), end, Restarted(restarts) if restarts else None):
        watched.hear(decision)
        if since <= stamp.at < until:
            decided.append(decision)
    begins = since if extent is None else extent[0].at
    unmatched = tuple(each for each in watched.unmatched if each.at >= since)
    first, latest = min(begins, watched.earliest), max(last.at, watched.latest)
    limits = [*outside(since, until, first, latest), *watched.unobserved.limits()]
    return Rehearsed(
        since=since,
        until=until,
        warm=max(since, begins),
        configuration=watched.configuration,
        decisions=tuple(decided),
        samples=watched.samples,
        unmatched=unmatched,
        limits=(*limits, *_unmatched(unmatched, watched.answers)),
    )


def under(
    history: RecordedHistory,
    configuration: Configuration,
    since: Instant,
    until: Instant,
    *,
    assumed: Assumed | None = None,
    progress: Progress = unheard,
    restarts: frozenset[Instant] = frozenset(),
) -> Rehearsed:
    """What `configuration` decides in [since, until) if it is in force throughout.

    It begins cold so long before `since` as its rules look back. What people did, gaps, silences and outcomes are taken
    as they were recorded, as far as they mean something here. Rules that wait for a check that was not there are left
    out. The course is revived at gaps that begin at `restarts`.
    """
    course = _UnderAnother(configuration, since, until, history.extent(), assumed, progress)
    rehearsed = course.go(history, restarts)
    waited = waiting_for(configuration, course.strange())
    if not waited:
        return rehearsed
    # Which checks were there is known at the end, and then rules on others have waited in vain.
    again = None if assumed is None else assumed.anew()
    course = _UnderAnother(without(configuration, waited), since, until, history.extent(), again, progress)
    rehearsed = course.go(history, restarts)
    return replace(rehearsed, limits=(left_out(waited), *rehearsed.limits))


def look_back(configuration: Configuration) -> Duration:
    """How long a rehearsal has to run before its decisions rest on as much history as its rules look back at."""
    return max((_of_service(service) for service in configuration.services), default=Duration(0))


def _of_service(service: Service) -> Duration:
    checks = {check.name: check for check in service.checks}
    lengths = [
        _of_check(service, checks[rule.check]) + _of_rule(rule, checks[rule.check]) if rule.check in checks else 0
        for rule in service.rules
    ]
    joined = [_longest_hold(rule) for rule in service.rules if rule.check not in checks]
    return Duration(max(lengths, default=0) + max(joined, default=0))


def _of_check(service: Service, check: Check) -> int:
    reach = reach_of(service, check.name)
    return max(int(reach.over), reach.samples * check.every)


def _of_rule(rule: Rule, check: Check) -> int:
    schedule = None if check.expects is None else check.expects.schedule
    expected = schedule.every + check.expects.grace if check.expects and isinstance(schedule, Period) else 0
    changes = 0 if rule.flapping is None else REMEMBERED * check.every
    return max(_longest_hold(rule) + expected, changes)


def _longest_hold(rule: Rule) -> int:
    return max(rule.holds_for, rule.recovery.holds_for, rule.no_data.after, *(each.holds_for for each in rule.worse), 0)


class _Watched:
    """Recorded inputs up to an instant of the last epoch, counted on the way."""

    def __init__(self, inputs: Iterable[Admitted], since: Instant, until: Stamp, progress: Progress) -> None:
        self.configuration = Configuration()
        self.unobserved = Unobserved(since, until.at)
        self.earliest, self.latest = until.at, Instant(0)
        self.samples = 0
        self.answers = 0
        self.unmatched: list[Unmatched] = []
        self._inputs = inputs
        self._until = until
        self._progress = progress

    def inputs(self) -> Iterator[Admitted]:
        for number, admitted in enumerate(self._inputs):
            # In an earlier epoch the clock may have shown more than it did after it was set back.
            if admitted.stamp >= self._until:
                return
            if not self.means_something(admitted):
                continue
            self.earliest, self.latest = min(self.earliest, admitted.stamp.at), max(self.latest, admitted.stamp.at)
            if isinstance(admitted.input, Configured):
                self.configuration = admitted.input.configuration
            self.samples += samples_in(admitted.input)
            self.unobserved.hear(admitted)
            if number % _TELL_EVERY == 0:
                self._progress(admitted.stamp.at, self.samples)
            yield admitted

    def hear(self, decision: Decision) -> None:
        """What was decided before the next input is asked for."""

    def means_something(self, admitted: Admitted) -> bool:
        """Whether an input answers what is decided here; all do where everything is as it was lived."""
        return True


class _Otherwise(_Watched):
    """Recorded inputs where something else is decided than was, so that some of them are no answers to it."""

    def __init__(self, history: RecordedHistory, since: Instant, until: Stamp, progress: Progress) -> None:
        super().__init__(history.inputs(), since, until, progress)
        self._incidents: set[str] = set()
        self._owed: set[str] = set()

    def hear(self, decision: Decision) -> None:
        """What may be answered from now on."""
        if isinstance(decision, IncidentMoved):
            self._incidents.add(decision.incident.id)
        elif isinstance(decision, Notice) and decision.held is None:
            self._owed.add(decision.key)

    def means_something(self, admitted: Admitted) -> bool:
        """Acts on incidents that are none here are listed, outcomes of notices that are none are counted."""
        match admitted.input:
            case Acted(incident, act, by) if incident not in self._incidents:
                self.unmatched.append(Unmatched(admitted.stamp.at, act, incident, by))
                return False
            case Settled(notice) | Requeued(notice) if notice not in self._owed:
                self.answers += isinstance(admitted.input, Settled)
                return False
            case _:
                return True


class _UnderAnother:
    """One course under one configuration, fed with what was recorded under others."""

    def __init__(
        self,
        configuration: Configuration,
        since: Instant,
        until: Instant,
        extent: tuple[Stamp, Stamp] | None,
        assumed: Assumed | None,
        progress: Progress,
    ) -> None:
        self._configuration = configuration
        self._since, self._until = since, until
        self._begins = since.plus(Duration(-look_back(configuration)))
        self._assumed = assumed
        self._progress = progress
        self._course: Course | Restarted = Course()
        self._checks = {(check.service, check.name) for service in configuration.services for check in service.checks}
        self._rules = {(rule.service, rule.name) for service in configuration.services for rule in service.rules}
        self._extent = extent
        self._first: Instant | None = None
        self._earliest, self._latest = until, since
        self._last, self._order = Stamp(0, Instant(0)), Order.PERSON
        self._retired: list[Retired] = []
        self._blind = False
        self._decisions: list[Decision] = []
        self._incidents: set[str] = set()
        self._owed: set[str] = set()
        self._heard: set[tuple[str, str]] = set()
        self._watched: set[tuple[str, str]] = set()
        self._unobserved = Unobserved(since, until)
        self._left_out: Counter[str] = Counter()
        self._answers = 0
        self._unmatched: list[Unmatched] = []
        self._samples = self._taken = 0
        self._complete = False

    def go(self, history: RecordedHistory, restarts: frozenset[Instant]) -> Rehearsed:
        """All that was recorded, and what comes of it."""
        if restarts:
            self._course = Restarted(restarts)
        for admitted in history.inputs():
            if not self.take(admitted):
                break
        return self.end()

    def strange(self) -> set[tuple[str, str]]:
        """Checks that nothing came from, and that no recorded configuration had."""
        return self._checks - self._heard - self._watched

    def take(self, admitted: Admitted) -> bool:
        """One recorded input. Whether there is any use in the next one."""
        self._unobserved.hear(admitted)
        if isinstance(admitted.input, Configured):
            self._watch(admitted.input.configuration)
        if self._first is None and (admitted.stamp.at < self._begins or isinstance(admitted.input, Stepped | Marked)):
            self._before(admitted)
            return True
        # In an earlier epoch the clock may have shown more than it did after it was set back.
        if admitted.stamp.at >= self._until and (self._extent is None or admitted.stamp.epoch >= self._extent[1].epoch):
            self._complete = True
            return False
        if self._first is None:
            self._begin(admitted)
        self._earliest, self._latest = min(self._earliest, admitted.stamp.at), max(self._latest, admitted.stamp.at)
        if isinstance(admitted.input, Configured):
            return True
        self._taken += 1
        if self._taken % _TELL_EVERY == 0:
            self._progress(admitted.stamp.at, self._samples)
        if self._means_something(admitted):
            ruling = self._step(admitted)
            if ruling.refusal and isinstance(admitted.input, Acted):
                self._do_not_match(admitted.stamp, admitted.input)
        return True

    def _watch(self, configuration: Configuration) -> None:
        self._watched |= {(check.service, check.name) for service in configuration.services for check in service.checks}

    def end(self) -> Rehearsed:
        """What came of it."""
        extent = self._extent
        if self._first is not None:
            # As far as was watched: nobody knows what came after that.
            judged = self._last if extent is None else max(extent[1], self._last)
            end = (
                Stamp(self._last.epoch, self._until)
                if self._complete
                else min(judged, Stamp(judged.epoch, self._until))
            )
            if (end, Order.MARK) >= (self._last, self._order):
                self._step(Admitted(end, Marked(MarkKind.ALIVE)))
        if self._left_out and not self._heard:
            there = named(sorted(self._left_out))
            raise Refused(
                f"nothing that was recorded is of a check that is configured: it is of {there}; "
                "give the services and checks of the configuration these names"
            )
        first = self._first or self._since
        warm = max(self._since, first.plus(look_back(self._configuration)))
        return Rehearsed(
            since=self._since,
            until=self._until,
            warm=min(warm, self._until),
            configuration=self._configuration,
            decisions=tuple(self._decisions),
            samples=self._samples,
            unmatched=tuple(self._unmatched),
            limits=tuple(self._limits()),
        )

    # The beginning ----------------------------------------------------------------------------------------------------

    def _before(self, admitted: Admitted) -> None:
        """What still holds when it begins: silences, the epoch, and which rules were retired."""
        match admitted.input:
            case Silenced() | Unsilenced() | Stepped():
                self._course.step(admitted)
                self._last, self._order = admitted.stamp, order_of(admitted.input)
            case Retired():
                self._retired.append(admitted.input)
            case _:
                pass

    def _begin(self, first: Admitted) -> None:
        """The configuration is in force before the first input, however little; or where a recorded one was."""
        stamp = first.stamp
        self._first = stamp.at
        with_it = isinstance(first.input, Configured) and not self._retired
        at = stamp.at if with_it else stamp.at.plus(Duration(-1))
        ruling = self._step(Admitted(Stamp(stamp.epoch, at), Configured(self._configuration)))
        if ruling.refusal:
            raise Refused(ruling.refusal)
        for retired in self._retired:
            if (retired.service, retired.rule) in self._rules:
                self._step(Admitted(Stamp(stamp.epoch, at.plus(NANOSECOND)), retired))

    # What is taken ----------------------------------------------------------------------------------------------------

    def _means_something(self, admitted: Admitted) -> bool:
        """Whether an input that answered other decisions says something here, too."""
        what = admitted.input
        match what:
            case Observed() | Pushed() | Pinged():
                if (what.service, what.check) not in self._checks:
                    self._left_out[f"{what.service}.{what.check}"] += 1
                    return False
                self._heard.add((what.service, what.check))
                self._samples += samples_in(what)
            case Acted():
                if what.incident not in self._incidents:
                    self._do_not_match(admitted.stamp, what)
                    return False
            case Settled() | Requeued():
                if what.notice not in self._owed:
                    self._answers += isinstance(what, Settled)
                    return False
            case Retired():
                return (what.service, what.rule) in self._rules
            case GapEnded():
                return self._blind
            case _:
                pass
        return True

    def _do_not_match(self, stamp: Stamp, what: Acted) -> None:
        if self._since <= stamp.at < self._until:
            self._unmatched.append(Unmatched(stamp.at, what.act, what.incident, what.by))

    def _step(self, admitted: Admitted) -> Ruling:
        what = admitted.input
        if self._assumed is not None:
            self._assume(self._assumed, admitted)
        ruling = self._course.step(admitted)
        self._last, self._order = admitted.stamp, order_of(admitted.input)
        if isinstance(what, Stepped) and self._assumed is not None:
            self._assumed.shift(admitted.stamp.at, what.delta)
        if isinstance(what, GapBegan | GapEnded):
            self._blind = isinstance(what, GapBegan)
        self._hear(ruling.decisions)
        return ruling

    def _hear(self, decisions: Iterable[tuple[Stamp, Decision]]) -> None:
        for stamp, decision in decisions:
            if isinstance(decision, IncidentMoved):
                self._incidents.add(decision.incident.id)
            elif isinstance(decision, Notice) and decision.held is None:
                self._owed.add(decision.key)
            if self._assumed is not None:
                self._assumed.hear(stamp, decision)
            if self._since <= stamp.at < self._until:
                self._decisions.append(decision)

    def _assume(self, assumed: Assumed, following: Admitted) -> None:
        """Step what is assumed to happen before the next input; timers first, for they may page somebody."""
        until, what = following.stamp.at, following.input
        order = order_of(what)
        if isinstance(what, Stepped):
            # Before the clock was set, it showed so much less.
            until, order = until.plus(Duration(-what.delta)), Order.PERSON
        while True:
            due, timer = assumed.due(), self._course.due()
            judged = self._course.progress.judged
            if self._blind:
                return  # nothing would take an act: it comes when the gap is over
            if due is not None and (due, Order.PERSON) < (self._last.at, self._order):
                due = self._last.at.plus(NANOSECOND)
            if due is not None and (due.ns, Order.PERSON) <= (until.ns, order):
                act: Acted | Marked = assumed.take()
            elif timer is not None and timer.plus(assumed.after) < until:
                due, act = max(timer, judged.at).plus(NANOSECOND), Marked(MarkKind.ALIVE)
            else:
                return
            ruling = self._course.step(Admitted(Stamp(judged.epoch, due), act))
            self._last, self._order = Stamp(judged.epoch, due), order_of(act)
            self._hear(ruling.decisions)

    # What it cannot say -----------------------------------------------------------------------------------------------

    def _limits(self) -> Iterator[str]:
        if self._extent is None or self._first is None:
            yield "nothing was recorded in this range: nobody knows what would have been decided"
        else:
            latest = max(self._latest, self._extent[1].at)
            yield from outside(self._since, self._until, self._earliest, latest)
        yield from self._unobserved.limits()
        silent = sorted(f"{service}.{check}" for service, check in self._checks - self._heard)
        if silent:
            yield f"nothing was recorded of {named(silent)}: rules on it say nothing"
        if self._left_out:
            number = sum(self._left_out.values())
            names = named(sorted(self._left_out))
            yield f"{number} inputs of {names} were left out: the configuration has no such check"
        yield from _unmatched(self._unmatched, self._answers)
        yield "probes are not run again: what a check would have measured with another target or pace is not known"
        if self._assumed is not None:
            yield self._assumed.limit


def _unmatched(unmatched: Sequence[Unmatched], answers: int) -> Iterator[str]:
    """What answers nothing that is decided here."""
    if unmatched:
        yield (
            f"{len(unmatched)} acts of people were about incidents that are none here, or ended before: "
            "they were applied to no other"
        )
    if answers:
        yield (
            f"{answers} recorded outcomes were about notices that are none here; "
            "every notice without a recorded outcome counts as delivered"
        )


def samples_in(what: Input) -> int:
    """How many samples came with an input."""
    match what:
        case Observed():
            return 0 if what.observation.outcome is Outcome.UNKNOWN else 1 + len(what.observation.measurements)
        case Pushed():
            return len(what.samples)
        case _:
            return 0


def outside(since: Instant, until: Instant, first: Instant, last: Instant) -> Iterator[str]:
    """What is asked and was not recorded."""
    if first > since:
        yield f"the recording begins at {instant_text(first)}: nothing is known of the time before"
    if until.since(last) > SECOND:
        yield f"the recording ends at {instant_text(last)}: nothing is known of the time after"
