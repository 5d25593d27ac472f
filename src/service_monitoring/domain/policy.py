"""The monitoring policy: the aggregate root that owns one service's rules, their evaluation and their incidents.

The only place where these change. It judges what it is given and books in the agenda when each of its holds wants to be
asked again; it does not know who is told (`routing`), what other policies do (`course`), or what time it is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from typing import Final

import msgspec

from service_monitoring.domain import holds
from service_monitoring.domain.agenda import Agenda
from service_monitoring.domain.configuration import Service
from service_monitoring.domain.events import Event, IncidentMoved, RuleMoved
from service_monitoring.domain.holds import Doubt, Hold, Step, StoredHold, Terms, Turn
from service_monitoring.domain.incidents import FINAL, Cause, Incident, Move, State, begin, move
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.recollections import Column, Recollection
from service_monitoring.domain.rules import Lifecycle, LifecycleMove, Rule, moved
from service_monitoring.domain.samples import Observation, Outcome, Reason, Sample, Series
from service_monitoring.domain.strategies import Absence, Threshold, code_of
from service_monitoring.domain.verdicts import Code, Evidence
from service_monitoring.domain.windows import Reach, Window
from service_monitoring.errors import Refused

Key = tuple[str, str, Series]
"""Service, rule and series: what a hold is the hold of, and its key in the agenda."""

_Place = tuple[str, str, tuple[tuple[str, str], ...]]
"""Check, metric and labels: a series within its service."""

_WELL: Final = (None, "")

_FROM_SAMPLES: Final = frozenset({Cause.SAMPLE, Cause.TIMER, Cause.NO_DATA})
"""Causes that come with evidence of their own; a person's deed or a revision rests on what was known before."""

_MOVE_OF: Final = {Turn.OPENED: Move.OPEN, Turn.DROPPED: Move.DROP, Turn.RESOLVED: Move.RESOLVE}


class _Line:
    """One series as this policy hears it: its newest sample, its window, and the tracks of the rules that judge it."""

    __slots__ = ("heard", "series", "tracks", "value", "window")

    def __init__(self, series: Series) -> None:
        self.series = series
        self.tracks: tuple[_Track, ...] = ()
        self.heard = 0
        self.value = 0.0
        self.window: Window | None = None


class _Track:
    """One rule on one series: its hold, and the incident that it carries.

    `usual` is the code that changes nothing: the verdict goes on, what accrues goes on, and the timer of silence moves
    itself when it comes up. -1 where every sample counts.
    """

    __slots__ = ("hold", "incident", "judge", "key", "line", "previous", "rule", "terms", "usual")

    def __init__(self, rule: Rule, line: _Line, terms: Terms, hold: Hold) -> None:
        self.rule = rule
        self.judge = _judge_of(rule)
        self.line = line
        self.terms = terms
        self.incident: Incident | None = None
        self.previous = ""
        self.key: Key = (rule.service, rule.name, line.series)
        self.take(hold)

    def take(self, hold: Hold) -> None:
        """This hold from now on."""
        self.hold = hold
        self.usual = int(hold.code) if hold.doubt is Doubt.NONE and hold.credit == 0 else -1


class Changes(msgspec.Struct, frozen=True):
    """What is to be stored since it was asked last."""

    holds: tuple[StoredHold, ...]
    forgotten: tuple[Key, ...]
    incidents: tuple[Incident, ...]


class MonitoringPolicy:
    """One service's rules and their evaluation state.

    Single-threaded and synchronous; one writer at a time. Every method that takes `at` decides at that instant and
    returns the events that follow, in order; instants given to it never decrease within an epoch.
    """

    def __init__(self, service: str, agenda: Agenda[Key]) -> None:
        self.service = service
        self._agenda = agenda
        self._configured = Service(service)
        self._rules: dict[str, Rule] = {}
        self._lifecycle: dict[str, Lifecycle] = {}
        self._lines: dict[_Place, _Line] = {}
        self._awaited: dict[_Place, _Line] = {}
        self._tracks: dict[tuple[str, Series], _Track] = {}
        self._stale_after: dict[str, Duration] = {}
        self._said: dict[str, tuple[Reason | None, str]] = {}
        self._dirty: dict[Key, _Track] = {}
        self._forgotten: dict[Key, None] = {}
        self._moved: dict[str, Incident] = {}

    # What it is asked -------------------------------------------------------------------------------------------------

    @property
    def configured(self) -> Service:
        """The service as the configuration describes it."""
        return self._configured

    def rule(self, name: str) -> Rule:
        """The rule of that name as configured; `Refused` when there is none."""
        try:
            return self._rules[name]
        except KeyError:
            raise Refused(f"service {self.service} has no rule {name}") from None

    def lifecycle(self, name: str) -> Lifecycle:
        """Where the rule stands."""
        self.rule(name)
        return self._lifecycle[name]

    def incidents(self) -> Iterator[Incident]:
        """The incidents that are not over, in the order of rule and series."""
        for track in self._in_order():
            if track.incident is not None:
                yield track.incident

    def breached_now(self, incident: Incident, check: str, at: Instant) -> bool:
        """Whether the run of `check` at `at` left the incident's verdict breached.

        That is a breached sample of that instant. Where silence itself is what is breached (an absence, or `no_data`)
        no sample will ever say so: there it is a run of the series' own check that brought none.
        """
        track = self._tracks.get((incident.rule, incident.series))
        if track is None or track.hold.code is not Code.BREACHED or incident.series.check != check:
            return False
        silence = track.terms.absent_for is not None or track.hold.doubt is Doubt.PRESUMED
        return silence or track.line.heard == at.ns

    def reach(self, check: str) -> Reach:
        """The history that this policy's rules on `check` look back at.

        A verdict in force rests on a sample that is younger than `stale_after` and a gap, which is shorter than that;
        its evidence is the window of that sample.
        """
        reach = Reach(samples=1)
        for rule in self._rules.values():
            if rule.check == check:
                reach = reach.joined(rule.strategy.reach)
        return Reach(reach.samples, Duration(reach.over + 2 * self._stale_after.get(check, Duration(0))))

    # What it is told --------------------------------------------------------------------------------------------------

    def configure(self, service: Service, at: Instant, retired: Iterable[str] = ()) -> list[Event]:
        """Take over a revision of the service: rules come, go or change; what did not change keeps its state.

        `retired` names rules of this revision that a person retired before. The caller has refused twins.
        """
        gone = set(retired)
        events: list[Event] = []
        before = self._rules
        self._configured = service
        self._stale_after = {check.name: check.stale_after for check in service.checks}
        self._rules = {rule.name: rule for rule in service.rules}
        for name, old in before.items():
            new = self._rules.get(name)
            if new is None:
                if self._lifecycle.pop(name) is not Lifecycle.RETIRED:
                    events += self._close(old, at, Cause.REMOVED)
                    events.append(RuleMoved(at, at, self.service, name, Lifecycle.RETIRED, Cause.REMOVED))
            elif new.revision != old.revision or new.state is not old.state:
                events += self._close(old, at, Cause.SUPERSEDED)
                self._lifecycle.pop(name)
        for name, rule in self._rules.items():
            if name not in self._lifecycle:
                state = Lifecycle.RETIRED if name in gone else rule.state
                self._lifecycle[name] = state
                events.append(RuleMoved(at, at, self.service, name, state, "configured"))
        self._attach(at)
        return events

    def retire(self, name: str, reason: str, at: Instant) -> list[Event]:
        """Retire a rule for ever: its incidents close, and stay in history."""
        rule = self.rule(name)
        self._lifecycle[name] = moved(rule.id, self._lifecycle[name], LifecycleMove.RETIRE)
        closed = self._close(rule, at, Cause.RETIRED)
        return [*closed, RuleMoved(at, at, self.service, name, Lifecycle.RETIRED, reason)]

    def observe(self, check: str, observation: Observation, at: Instant) -> list[Event]:
        """Judge what a run of a check yielded."""
        events: list[Event] = []
        if observation.outcome is Outcome.UNKNOWN:
            for track in self._in_order():
                if track.line.series.check == check:
                    events += self._apply(track, holds.unknown(track.hold, track.terms, at.ns), at)
            return events
        self._said[check] = (observation.reason, observation.detail)
        self._hear(check, "up", (), at, 1.0 if observation.outcome is Outcome.OK else 0.0, events)
        for measured in observation.measurements:
            self._hear(check, measured.metric, measured.labels, at, measured.value, events)
        return events

    def recall(self, recollection: Recollection, shift: int) -> None:
        """Remember what a check said before a restart, its instants shifted: windows fill, nothing is decided."""
        self._said[recollection.check] = (recollection.reason, recollection.detail)
        for column in recollection.columns:
            instants = [at + shift for at in column.instants] if shift else column.instants
            self._remember(recollection.check, column, instants)

    def fire(self, key: Key, order: int, due: int) -> list[Event]:
        """A timer that was booked for this policy has come, at its due instant (ns); one that moved is booked again."""
        track = self._tracks[key[1:]]
        wanted = holds.due(track.hold, track.terms, track.line.heard)
        if wanted is None:
            self._agenda.cancel(key)
            return []
        if wanted != (due, order):
            self._agenda.book(key, *wanted)
            return []
        return self._apply(track, holds.fired(track.hold, track.terms, due, wanted[1]), Instant(due))

    def acknowledge(self, incident: Incident, by: str, at: Instant) -> list[Event]:
        """A person takes the incident on."""
        track = self._carrier(incident)
        return [self._change(track, Move.ACKNOWLEDGE, at, Cause.PERSON, by=by)]

    def resolve(self, incident: Incident, by: str, at: Instant) -> list[Event]:
        """A person ends the incident: while it is breached, no new one begins before one Healthy verdict."""
        track = self._carrier(incident)
        event = self._change(track, Move.RESOLVE, at, Cause.PERSON, by=by)
        self._hold(track, holds.resolved(track.hold, at.ns))
        return [event]

    def blind(self, at: Instant) -> None:
        """A gap begins: nobody watches after `at`."""
        for track in self._tracks.values():
            self._hold(track, holds.blinded(track.hold, at.ns))

    def sight(self, at: Instant) -> None:
        """The gap ends at `at`."""
        for track in self._tracks.values():
            self._hold(track, holds.sighted(track.hold, track.terms, at.ns, track.line.heard))

    def shift(self, delta: Duration) -> None:
        """The wall clock stepped by `delta`; the agenda is shifted by its owner."""
        for line in self._lines.values():
            if line.heard:
                line.heard += delta
            if line.window is not None:
                line.window.shift(delta)
        for track in self._tracks.values():
            track.take(holds.shifted(track.hold, delta))
            self._dirty[track.key] = track

    # What is kept -----------------------------------------------------------------------------------------------------

    def revive(self, service: Service, retired: Iterable[str]) -> None:
        """Take over a service as it was configured before a restart: nothing is decided; `restore` follows."""
        gone = set(retired)
        self._configured = service
        self._stale_after = {check.name: check.stale_after for check in service.checks}
        self._rules = {rule.name: rule for rule in service.rules}
        self._lifecycle = {rule.name: Lifecycle.RETIRED if rule.name in gone else rule.state for rule in service.rules}

    def restore(self, stored: StoredHold, incident: Incident | None) -> None:
        """Put back a hold as it was stored, with its incident; the rule must be configured already.

        A hold whose rule is gone is let go.
        """
        rule = self._rules.get(stored.rule)
        if rule is None or self._lifecycle[stored.rule] is not Lifecycle.ACTIVE or not rule.matches(stored.series):
            self._forgotten[(stored.service, stored.rule, stored.series)] = None
            return
        line = self._line(stored.series, stored.hold.at)
        track = self._tracks[stored.rule, stored.series]
        track.take(stored.hold)
        track.incident, track.previous = incident, stored.previous
        if stored.heard > line.heard:
            line.heard, line.value = stored.heard, stored.value
            if stored.series.metric == "up":
                self._said[stored.series.check] = (stored.reason, stored.detail)
        elif not line.heard:
            self._awaited[_place(line.series)] = line
        self._dirty.pop(track.key, None)

    def rebook(self) -> None:
        """Book every hold anew, once the windows are filled again after a restart."""
        for track in self._tracks.values():
            self._book(track)

    def take_changes(self) -> Changes:
        """What changed since the last call, for the store."""
        kept = tuple(
            StoredHold(
                service=self.service,
                rule=track.rule.name,
                series=track.line.series,
                hold=track.hold,
                incident="" if track.incident is None else track.incident.id,
                previous=track.previous,
                heard=track.line.heard,
                value=track.line.value,
                reason=self._why(track.line.series)[0],
                detail=self._why(track.line.series)[1],
            )
            for track in self._dirty.values()
        )
        changes = Changes(kept, tuple(self._forgotten), tuple(self._moved.values()))
        self._dirty, self._forgotten, self._moved = {}, {}, {}
        return changes

    @property
    def changed(self) -> bool:
        """Whether there is something to store."""
        return bool(self._dirty or self._forgotten or self._moved)

    # How it does it ---------------------------------------------------------------------------------------------------

    def _in_order(self) -> list[_Track]:
        """By rule, then series: the order at one instant, which no restart has to remember."""
        return [self._tracks[key] for key in sorted(self._tracks)]

    def _hear(
        self,
        check: str,
        metric: str,
        labels: tuple[tuple[str, str], ...],
        at: Instant,
        value: float,
        events: list[Event],
    ) -> None:
        line = self._lines.get((check, metric, labels))
        if line is None:
            line = self._line(Series(self.service, check, metric, labels), at.ns)
            self._satisfy_absence(line.series, at, events)
        now = at.ns
        if line.heard == now:
            return  # a series has one value at an instant: the first stands
        line.heard, line.value = now, value
        if line.window is not None:
            line.window.append(now, value)
        for track in line.tracks:
            code = track.judge(line)
            if code != track.usual:
                events += self._apply(track, holds.judged(track.hold, track.terms, now, Code(code)), at)

    def _remember(self, check: str, column: Column, instants: Sequence[int]) -> None:
        place = (check, column.metric, column.labels)
        line = self._lines.get(place)
        if line is None:
            line = self._lines[place] = _Line(Series(self.service, *place))
        last = instants[-1]
        if line.heard != last:
            # Of several samples of one instant the first stands.
            line.heard, line.value = last, column.values[bisect_left(instants, last)]
        if line.window is not None:
            line.window.extend(instants, column.values)

    def _apply(self, track: _Track, step: Step, at: Instant) -> list[Event]:
        self._hold(track, step.hold)
        return [
            self._begin(track, at, cause) if turn is Turn.BEGAN else self._change(track, _MOVE_OF[turn], at, cause)
            for turn, cause in step.turns
        ]

    def _begin(self, track: _Track, at: Instant, cause: Cause) -> Event:
        incident = begin(
            self.service,
            track.rule.name,
            track.line.series,
            severity=track.rule.severity,
            at=at,
            cause=cause,
            evidence=self._evidence(track),
            previous=track.previous,
        )
        return self._record(track, incident, at)

    def _change(self, track: _Track, what: Move, at: Instant, cause: Cause, *, by: str = "") -> Event:
        assert track.incident is not None
        evidence = self._evidence(track) if cause in _FROM_SAMPLES else None
        return self._record(track, move(track.incident, what, at=at, cause=cause, evidence=evidence, by=by), at)

    def _record(self, track: _Track, incident: Incident, at: Instant) -> Event:
        self._moved[incident.id] = incident
        self._dirty[track.key] = track
        over = incident.state in FINAL
        track.incident = None if over else incident
        if over and incident.state is not State.DROPPED:
            track.previous = incident.id
        return IncidentMoved(at, at, incident)

    def _hold(self, track: _Track, hold: Hold) -> None:
        if hold != track.hold:
            track.take(hold)
            self._dirty[track.key] = track
        self._book(track)

    def _book(self, track: _Track) -> None:
        wanted = holds.due(track.hold, track.terms, track.line.heard)
        if wanted is None:
            self._agenda.cancel(track.key)
        else:
            self._agenda.book(track.key, *wanted)

    def _evidence(self, track: _Track) -> Evidence:
        """The newest sample, and the value compared unless the verdict rests on silence."""
        line = track.line
        if line.heard == 0:
            return Evidence()
        sample = Sample(Instant(line.heard), line.series, line.value)
        reason, detail = self._why(line.series)
        if track.hold.doubt is not Doubt.NONE or track.terms.absent_for is not None:
            return Evidence(None, sample, reason, detail)
        if line.window is None:
            return Evidence(line.value, sample, reason, detail)
        window = line.window
        measured = float(track.rule.strategy.measured(window.instants, window.values, len(window) - 1)[0])
        return Evidence(measured if measured == measured else None, sample, reason, detail)  # noqa: PLR0124 - NaN

    def _why(self, series: Series) -> tuple[Reason | None, str]:
        """Why the newest run was not ok: evidence of `up`."""
        return self._said.get(series.check, _WELL) if series.metric == "up" else _WELL

    def _carrier(self, incident: Incident) -> _Track:
        track = self._tracks.get((incident.rule, incident.series))
        if track is None or track.incident is None or track.incident.id != incident.id:
            raise Refused(f"incident {incident.id} is {incident.state}: it is over")
        return track

    def _line(self, series: Series, at: int) -> _Line:
        """The line of a series, made with a track for each active rule that judges it."""
        place = _place(series)
        line = self._lines.get(place)
        if line is None:
            line = self._lines[place] = _Line(series)
        for rule in self._rules.values():
            judged = self._lifecycle[rule.name] is Lifecycle.ACTIVE and rule.matches(series)
            if judged and (rule.name, series) not in self._tracks:
                self._track(rule, line, at)
        return line

    def _track(self, rule: Rule, line: _Line, at: int) -> None:
        track = _Track(rule, line, self._terms(rule), Hold(at=at, anchor=at))
        self._tracks[rule.name, line.series] = track
        line.tracks = tuple(sorted((*line.tracks, track), key=lambda known: known.rule.name))
        self._dirty[track.key] = track
        self._forgotten.pop(track.key, None)
        self._fit(line)
        self._book(track)

    def _fit(self, line: _Line) -> None:
        """Give the line a window that is as long as its rules look back."""
        looking = [track.rule.strategy.reach for track in line.tracks if not _of_value(track.rule)]
        if not looking:
            line.window = None
            return
        reach = reduce(Reach.joined, looking)
        if line.window is None:
            line.window = Window(reach)
            if line.heard:
                line.window.append(line.heard, line.value)
        else:
            line.window.widen(reach)

    def _attach(self, at: Instant) -> None:
        """After a change of rules: every known series meets its new rules, absence waits for series never heard."""
        for line in list(self._lines.values()):
            self._line(line.series, at.ns)
            for track in line.tracks:
                track.rule = self._rules[track.rule.name]
                track.judge = _judge_of(track.rule)
                terms = self._terms(track.rule)
                if terms != track.terms:
                    track.terms = terms
                    self._hold(track, holds.counted_to(track.hold, at.ns))
        tracked = {name for name, _ in self._tracks}
        for rule in self._rules.values():
            waits = isinstance(rule.strategy, Absence) and rule.name not in tracked
            if waits and self._lifecycle[rule.name] is Lifecycle.ACTIVE:
                line = self._line(Series(self.service, rule.check, rule.metric, rule.selects), at.ns)
                self._awaited[_place(line.series)] = line

    def _satisfy_absence(self, series: Series, at: Instant, events: list[Event]) -> None:
        """A series speaks for the first time: absences that waited for any like it have it to judge from now on."""
        for place, line in sorted(self._awaited.items()):
            if line.heard or line.series == series:
                del self._awaited[place]
                continue
            for track in line.tracks:
                if track.rule.matches(series):
                    if track.terms.absent_for is not None:
                        events += self._apply(track, holds.judged(track.hold, track.terms, at.ns, Code.RECOVERED), at)
                    self._forget(track)
            if not line.tracks:
                del self._awaited[place], self._lines[place]

    def _close(self, rule: Rule, at: Instant, cause: Cause) -> list[Event]:
        """Let go of a rule's tracks; what was open closes, what was pending is dropped."""
        events: list[Event] = []
        for track in [track for track in self._in_order() if track.rule.name == rule.name]:
            if track.incident is not None:
                pending = track.incident.state is State.PENDING
                events.append(self._change(track, Move.DROP if pending else Move.CLOSE, at, cause))
            self._forget(track)
        return events

    def _forget(self, track: _Track) -> None:
        del self._tracks[track.rule.name, track.line.series]
        track.line.tracks = tuple(other for other in track.line.tracks if other is not track)
        self._agenda.cancel(track.key)
        self._dirty.pop(track.key, None)
        self._forgotten[track.key] = None

    def _terms(self, rule: Rule) -> Terms:
        silent = isinstance(rule.strategy, Absence)
        return Terms(
            holds_for=rule.holds_for,
            recovers_for=rule.recovery.holds_for,
            no_data=rule.no_data,
            stale_after=None if silent else self._stale_after.get(rule.check),
            absent_for=rule.strategy.after if isinstance(rule.strategy, Absence) else None,
        )


def _of_value(rule: Rule) -> bool:
    """Whether the newest sample alone decides: such a rule costs no window."""
    return isinstance(rule.strategy, Threshold | Absence)


def _place(series: Series) -> _Place:
    return (series.check, series.metric, series.labels)


def _judge_of(rule: Rule) -> Callable[[_Line], int]:
    """What gives the code at a line's newest sample: of its value alone where no history is needed."""
    strategy, recovery = rule.strategy, rule.recovery.comparison
    if isinstance(strategy, Absence):
        return lambda _: int(Code.RECOVERED)
    if isinstance(strategy, Threshold):
        comparison = strategy.comparison
        return lambda line: int(code_of(line.value, comparison, recovery))

    def judge_window(line: _Line) -> int:
        assert line.window is not None
        values = line.window.values
        return int(strategy.codes(line.window.instants, values, len(values) - 1, recovery)[0])

    return judge_window


def refuse_twins(service: Service) -> None:
    """Two active rules of one policy must not say the same; `Refused` names both."""
    known: dict[tuple[object, ...], str] = {}
    for rule in service.rules:
        if rule.state is not Lifecycle.ACTIVE:
            continue
        twin = known.setdefault(rule.signature, rule.name)
        if twin != rule.name:
            raise Refused(f"rules {service.name}.{twin} and {service.name}.{rule.name} are the same rule twice")
