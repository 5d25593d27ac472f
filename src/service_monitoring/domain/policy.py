"""The monitoring policy: the aggregate root that owns one service's rules, their evaluation and their incidents.

The only place where these change. It judges what it is given and books in the agenda when each of its holds wants to be
asked again; it does not know who is told (`routing`), what other policies do (`course`), or what time it is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Final, assert_never

import msgspec

from service_monitoring.domain import flapping, holds
from service_monitoring.domain.agenda import Agenda
from service_monitoring.domain.configuration import Check, Service, judged_metrics, reach_of
from service_monitoring.domain.events import Event, IncidentMoved, IncidentNoted, RuleMoved, SeriesFlapped
from service_monitoring.domain.holds import Doubt, Hold, Step, StoredHold, Turn
from service_monitoring.domain.hours import HOURS, Hours
from service_monitoring.domain.incidents import FINAL, Cause, Incident, Move, State, begin, move
from service_monitoring.domain.inputs import Act, Acted, Order, Pinged, PushedSample, Taken
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.jobs import SCHEDULE, Jobs, StoredJob
from service_monitoring.domain.matchers import Matcher, MatchOperator
from service_monitoring.domain.recollections import Column, Recollection
from service_monitoring.domain.rules import Lifecycle, LifecycleMove, Rule, Severity, moved
from service_monitoring.domain.samples import Observation, Outcome, Reason, Series
from service_monitoring.domain.standing import Standing
from service_monitoring.domain.strategies import Absence, Composite, Heartbeat
from service_monitoring.domain.stretches import Stretch
from service_monitoring.domain.tracks import SAMPLE, HoldKey, Key, Line, Place, Track, terms_of
from service_monitoring.domain.verdicts import CODES, Code, Evidence
from service_monitoring.domain.windows import Reach, Window
from service_monitoring.errors import Refused

_WELL: Final = (None, "")
_NOTHING: Final = frozenset[str]()

_FROM_SAMPLES: Final = frozenset({Cause.SAMPLE, Cause.TIMER, Cause.NO_DATA})
"""Causes that come with evidence of their own; a person's deed or a revision rests on what was known before."""

_MOVE_OF: Final = {
    Turn.OPENED: Move.OPEN,
    Turn.DROPPED: Move.DROP,
    Turn.RAISED: Move.RAISE,
    Turn.RESOLVED: Move.RESOLVE,
}

EXPIRY: Final = "expiry"
"""What is waited for beside holds and samples: the fourth part of a key in the agenda."""


class Changes(msgspec.Struct, frozen=True):
    """What is to be stored since it was asked last."""

    holds: tuple[StoredHold, ...]
    forgotten: tuple[HoldKey, ...]
    incidents: tuple[Incident, ...]
    jobs: tuple[StoredJob, ...]


class MonitoringPolicy:
    """One service's rules and their evaluation state.

    Single-threaded and synchronous; one writer at a time. Every method that takes `at` decides at that instant and
    returns the events that follow, in order; instants given to it never decrease within an epoch. What is pushed is
    judged when its allowance is over: its events are true at the sample's instant and decided at `at`.
    """

    def __init__(self, service: str, agenda: Agenda[Key]) -> None:
        self.service = service
        self._agenda = agenda
        self._configured = Service(service)
        self._checks: dict[str, Check] = {}
        self._rules: dict[str, Rule] = {}
        self._lifecycle: dict[str, Lifecycle] = {}
        self._members: frozenset[str] = frozenset()
        self._judged: dict[str, frozenset[str]] = {}
        self._lines: dict[Place, Line] = {}
        self._awaited: dict[Place, Line] = {}
        self._attended: frozenset[str] = frozenset()
        self._tracks: dict[tuple[str, Series], Track] = {}
        self._jobs = Jobs(service, agenda)
        self._hours = Hours(service, agenda)
        self._said: dict[str, tuple[Reason | None, str]] = {}
        self._decided = Instant(0)
        self._blind_since: int | None = None
        self._turned: dict[str, None] = {}
        self._dirty: dict[HoldKey, Track] = {}
        self._forgotten: dict[HoldKey, None] = {}
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
        """The incidents that are not over, in the order of rule and series; those of drafts too."""
        # Of most services nothing is open: what is asked of ten thousand does not sort for nothing.
        alive = {key: track.incident for key, track in self._tracks.items() if track.incident is not None}
        yield from (alive[key] for key in sorted(alive))

    def verdicts(self, rule: str) -> dict[tuple[tuple[str, str], ...], Code]:
        """What a rule says now, by the labels of its series."""
        return {track.line.series.labels: track.verdict for track in self._in_order() if track.rule.name == rule}

    @property
    def turned(self) -> bool:
        """Whether a member of a composite may say something else than before."""
        return bool(self._turned)

    @property
    def in_gap(self) -> bool:
        """Whether nobody watches."""
        return self._blind_since is not None

    def take_turned(self) -> tuple[str, ...]:
        """The rules that are members of composites and may say something else than at the last call."""
        turned, self._turned = tuple(self._turned), {}
        return turned

    def flapping(self, rule: str, series: Series) -> bool:
        """Whether the rule changes its mind about the series too often."""
        track = self._tracks.get((rule, series))
        return track is not None and track.flips.flapping

    def breached_now(self, incident: Incident, check: str, at: Instant) -> bool:
        """Whether the run of `check` at `at` left the incident's verdict breached.

        That is a breached sample of that instant. Where silence itself is what is breached (an absence, or `no_data`)
        no sample will ever say so: there it is a run of the series' own check that brought none.
        """
        track = self._tracks.get((incident.rule, incident.series))
        if track is None or track.hold.code is not Code.BREACHED or incident.series.check != check:
            return False
        silence = track.terms.absent_for is not None or track.hold.doubt is Doubt.PRESUMED
        return silence or track.line.heard == at.ns - track.line.lag

    def heard_at(self, check: str, until: int) -> int:
        """The instant (ns) of the newest run of a check, all of which are heard up to and at `until`; or 0."""
        line = self._lines.get((check, "up", ()))
        if line is None:
            return 0
        line.hear_until(until)
        return line.heard

    def reach(self, check: str) -> Reach:
        """The history that this policy's rules on `check` look back at.

        A verdict in force rests on a sample that is younger than `stale_after` and a gap, which is shorter than that;
        its evidence is the window of that sample.
        """
        return reach_of(self._configured, check)

    def standings(self, name: str, among: Container[tuple[tuple[str, str], ...]] | None = None) -> list[Standing]:
        """How a rule stands on each series that it judges, in their order; `Refused` when there is no such rule.

        With `among`, on those with these labels alone: what each rests on is not looked up for thousands of others.
        """
        rule = self.rule(name)
        job = self._jobs.due(rule.check) if isinstance(rule.strategy, Heartbeat) else None
        return [
            Standing(self._stored(track), track.terms, track.line.lag, self._evidence(track), job)
            for track in self._in_order()
            if track.rule.name == name and (among is None or track.line.series.labels in among)
        ]

    # What it is told --------------------------------------------------------------------------------------------------

    def configure(
        self, service: Service, at: Instant, retired: Iterable[str] = (), members: frozenset[str] = frozenset()
    ) -> list[Event]:
        """Take over a revision of the service: rules come, go or change; what did not change keeps its state.

        `retired` names rules of this revision that a person retired before, `members` those that composites join. The
        caller has refused twins, and given the history that new rules look back at (`refill`).
        """
        gone = set(retired)
        events: list[Event] = []
        before, self._decided = self._rules, at
        self._configured, self._members = service, members
        self._checks = {check.name: check for check in service.checks}
        self._rules = {rule.name: rule for rule in service.rules}
        for name, old in before.items():
            new = self._rules.get(name)
            if new is None or (new.state is not old.state and self._lifecycle[name] is not Lifecycle.RETIRED):
                state = self._lifecycle.pop(name)
                if state is not Lifecycle.RETIRED:
                    cause = Cause.REMOVED if new is None else Cause.SUPERSEDED
                    events += self._close(old, at, cause)
                    if new is None:
                        events.append(RuleMoved(at, at, self.service, name, Lifecycle.RETIRED, cause))
            elif new.revision != old.revision:
                revived = self._lifecycle[name] is Lifecycle.RETIRED and name not in gone
                if revived:
                    self._lifecycle.pop(name)
        revised = {
            name
            for name, rule in self._rules.items()
            if name in self._lifecycle and rule.revision != before[name].revision
        }
        for name, rule in self._rules.items():
            known = self._lifecycle.get(name)
            if known is None:
                state = self._lifecycle[name] = Lifecycle.RETIRED if name in gone else rule.state
                events.append(RuleMoved(at, at, self.service, name, state, "configured"))
            elif name in revised and known is not Lifecycle.RETIRED:
                events.append(RuleMoved(at, at, self.service, name, known, "revised"))
        self._judged = judged_metrics(self._rules.values())
        self._jobs.expect(self._checks, at.ns)
        self._keep_hours(at)
        for name in sorted(revised):
            if self._lifecycle[name] is not Lifecycle.RETIRED:
                events += self._revise(before[name], self._rules[name], at)
        events += self._attach(at)
        return events

    def retire(self, name: str, reason: str, at: Instant) -> list[Event]:
        """Retire a rule for ever: its incidents close, and stay in history."""
        self._decided = at
        rule = self.rule(name)
        self._lifecycle[name] = moved(rule.id, self._lifecycle[name], LifecycleMove.RETIRE)
        closed = self._close(rule, at, Cause.RETIRED)
        self._hours.forget(name)
        return [*closed, RuleMoved(at, at, self.service, name, Lifecycle.RETIRED, reason)]

    def observe(self, check: str, observation: Observation, at: Instant) -> list[Event]:
        """Judge what a run of a check yielded."""
        events: list[Event] = []
        self._decided = at
        if observation.outcome is Outcome.UNKNOWN:
            for track in self._in_order():
                if track.line.series.check == check:
                    events += self._apply(track, holds.unknown(track.hold, track.terms, at.ns), at)
            return events
        self._said[check] = (observation.reason, observation.detail)
        self._hear(check, "up", (), at, 1.0 if observation.outcome is Outcome.OK else 0.0, events)
        judged = self._judged.get(check, _NOTHING)
        for measured in observation.measurements:
            if measured.metric in judged:
                self._hear(check, measured.metric, measured.labels, at, measured.value, events)
        return events

    def push(self, check: str, samples: Sequence[PushedSample], at: Instant) -> tuple[Taken, ...]:
        """Take samples that came at `at`: each is judged when its allowance is over, and nothing is decided now."""
        configured = self._checks.get(check)
        if configured is None:
            return (Taken.UNKNOWN,) * len(samples)
        taken: list[Taken] = []
        for sample in samples:
            place = (check, sample.metric, sample.labels)
            line = self._lines.get(place)
            if line is None:
                if sample.at.ns > at.ns + configured.allowance:
                    taken.append(Taken.FUTURE)
                    continue
                line = self._lines[place] = Line(Series(self.service, *place), configured.allowance)
            taken.append(line.push(sample.at.ns, sample.value, receipt=at.ns))
            self._wait_for_sample(line)
        return tuple(taken)

    def hear(self, stretches: Iterable[Stretch]) -> None:
        """Samples are known ahead of time: `fire` plays them. Each series at most once, after all that was heard of it.

        What no check of this revision brings is left out, and what no rule judges of a run. Until `rest`, nothing else
        may be observed or pushed.
        """
        for stretch in stretches:
            series = stretch.series
            check = self._checks.get(series.check)
            if check is None:
                continue
            if check.allowance or series.metric == "up" or series.metric in self._judged.get(check.name, _NOTHING):
                line = self._line_of(series)
                line.play(stretch)
                self._look_ahead(line)
                for track in line.tracks:
                    self._book(track)  # silence is known to come later

    def rest(self, until: int) -> None:
        """What was played up to and at `until` (ns) is remembered, and what waits for its allowance waits by itself."""
        for line in list(self._lines.values()):
            if line.score is not None:
                line.rest(until - line.lag - 1 if line.lag else until)
                self._agenda.cancel(line.plays)
                self._wait_for_sample(line)

    def attend(self, checks: frozenset[str], at: Instant, observing: tuple[str, str] | None) -> None:
        """Somebody waits for the next sample of these checks, whatever it says.

        All up to and at `at` is heard by now, but of checks after `observing` the samples of that instant are to come.
        """
        changed = checks ^ self._attended
        self._attended = checks
        for line in self._lines.values():
            check = line.series.check
            if check in changed and line.score is not None and not line.lag:
                line.hear_until(at.ns if observing is None or (self.service, check) <= observing else at.ns - 1)
                self._look_ahead(line)

    def report(self, pinged: Pinged, at: Instant) -> list[Event]:
        """A job reported; `Refused` when nobody expects it to."""
        self._decided = at
        self._jobs.report(pinged, at.ns)
        return self._judge_job(pinged.check, at)

    def combine(self, name: str, labels: tuple[tuple[str, str], ...], code: Code, at: Instant) -> list[Event]:
        """A composite's members say together: `code`."""
        self._decided = at
        rule = self.rule(name)
        series = Series(self.service, "", "", labels)
        track = self._tracks.get((name, series))
        if track is None:
            if self._lifecycle[name] is Lifecycle.RETIRED:
                return []
            track = self._track(rule, self._line_of(series), at.ns)
        if code is track.hold.code and track.hold.doubt is not Doubt.FRESH:
            return []
        return self._apply(track, holds.judged(track.hold, track.terms, at.ns, code), at)

    def recall(self, recollection: Recollection, shift: int) -> None:
        """Remember what a check said before a restart, its instants shifted: windows fill, nothing is decided."""
        self._said[recollection.check] = (recollection.reason, recollection.detail)
        judged = self._judged.get(recollection.check, _NOTHING)
        for column in recollection.columns:
            if column.metric != "up" and column.metric not in judged:
                continue
            instants = [at + shift for at in column.instants] if shift else column.instants
            self._remember(recollection.check, column, instants)

    def recall_pushed(self, check: str, samples: Sequence[tuple[int, PushedSample]], judged: int) -> None:
        """Remember pushed samples that were taken before a restart, each with its instant (ns) by the clock of now.

        Those not judged at `judged` (ns) wait again, and so do those that were due at that very instant and changed
        nothing, if they were: judged once more, they change nothing again. All come at once, for they were judged in
        the order of their instants, whichever push brought them.
        """
        configured = self._checks.get(check)
        if configured is None:
            return
        for at, sample in sorted(samples, key=lambda each: each[0]):
            place = (check, sample.metric, sample.labels)
            line = self._lines.get(place)
            if line is None:
                line = self._lines[place] = Line(Series(self.service, *place), configured.allowance)
            if at + line.lag >= judged and at > line.decided:
                line.push(at, sample.value, receipt=at)
                continue
            if line.heard < at:
                line.heard, line.value = at, sample.value
            if line.window is not None and line.window.newest < at and line.since <= at:
                line.window.append(at, sample.value)

    def refill(self, check: str, reach: Reach, history: Sequence[tuple[Recollection, Duration]]) -> None:
        """Let windows on a check reach further back: all that its series had, by epoch, each with its shift.

        Series that no rule judged so far are met here; `configure` lets those go that no rule judges then.
        """
        for place, samples in _by_place(check, history).items():
            line = self._line_of(Series(self.service, *place))
            # What waits is not judged yet.
            known = [each for each in samples if not line.lag or each[0] <= line.heard]
            instants, values = [at for at, _ in known], [value for _, value in known]
            line.window = Window(reach)
            line.window.extend(instants, values)
            if line.since:
                line.since = 0
                self._dirty |= {track.key: track for track in line.tracks}
            if instants and instants[-1] > line.heard:
                line.heard, line.value = instants[-1], values[bisect_left(instants, instants[-1])]

    def fire(self, key: Key, order: int, due: Instant) -> list[Event]:
        """A timer was taken out of the agenda at its due instant; one that moved is booked again."""
        if len(key) == 4:
            return self._fire_other(key, due)
        assert len(key) == 3
        track = self._tracks[key[1], key[2]]
        lag = track.line.lag
        if lag and self._blind_since is not None:
            return []
        at = due if not lag else due.plus(Duration(-lag))
        track.line.hear_until(at.ns)
        wanted = holds.due(track.hold, track.terms, track.line.spoken)
        if wanted is None:
            return []
        if wanted != (at.ns, order):
            self._agenda.book(key, wanted[0] + lag, wanted[1])
            return []
        self._decided = due
        events = self._apply(track, holds.fired(track.hold, track.terms, at.ns, wanted[1]), at)
        self._look_ahead(track.line)
        return events

    def play(self, series: Series, at: Instant) -> list[Event]:
        """The next sample that says anything new, or that somebody waits for, is heard at its instant."""
        self._decided = at
        return self._play(self._lines[series.check, series.metric, series.labels], at)

    def act(self, incident: Incident, what: Acted, at: Instant) -> list[Event]:
        """What a person does to an incident that is not over; nothing, where it is so already."""
        self._decided = at
        track = self._carrier(incident)
        track.line.hear_until(at.ns - track.line.lag - 1)
        match what.act:
            case Act.ACKNOWLEDGE:
                return [self._take_on(track, Move.ACKNOWLEDGE, what, at)]
            case Act.SNOOZE:
                if what.expires_after is None:
                    raise Refused("a snooze has an end: say for how long")
                return [self._take_on(track, Move.SNOOZE, what, at)]
            case Act.RESOLVE:
                # While it is breached, no new one begins before one Healthy verdict.
                event = self._change(track, Move.RESOLVE, at, Cause.PERSON, person=what)
                self._hold(track, holds.resolved(track.hold, self._true(track, at)))
                self._look_ahead(track.line)
                return [event]
            case Act.ASSIGN:
                return self._assign(track, what, at)
            case Act.NOTE:
                return [noted(what, at, incident)]
            case _:
                assert_never(what.act)

    def _take_on(self, track: Track, how: Move, what: Acted, at: Instant) -> Event:
        """For a while or until it is over; who says so last says for how long."""
        event = self._change(track, how, at, Cause.PERSON, person=what)
        track.expires = 0 if what.expires_after is None else at.ns + what.expires_after
        self._wait_for_expiry(track)
        return event

    def _assign(self, track: Track, what: Acted, at: Instant) -> list[Event]:
        assert track.incident is not None
        if not what.to:
            raise Refused("an incident is assigned to somebody: say to whom")
        if track.incident.assigned_to == what.to:
            return []
        track.incident = msgspec.structs.replace(track.incident, assigned_to=what.to)
        self._moved[track.incident.id] = track.incident
        return [noted(what, at, track.incident)]

    def blind(self, at: Instant) -> None:
        """A gap begins: nobody watches after `at`."""
        self._blind_since = at.ns
        for track in self._tracks.values():
            if not track.line.lag:
                self._hold(track, holds.blinded(track.hold, at.ns))
        self._jobs.blind(at.ns)

    def sight(self, at: Instant) -> list[Event]:
        """The gap ends at `at`.

        What was pushed before it is judged now: up to the gap's begin each sample at its own instant, the others at the
        gap's end. What comes after it and is older than its end is too late.
        """
        self._decided = at
        began, self._blind_since = self._blind_since, None
        events: list[Event] = []
        if began is None:
            return events
        pushed = [self._lines[place] for place in sorted(place for place, line in self._lines.items() if line.lag)]
        for line in pushed:
            events += self._catch_up(line, began)
            for track in line.tracks:
                self._hold(track, holds.blinded(track.hold, began))
        for track in self._in_order():
            self._hold(track, holds.sighted(track.hold, track.terms, at.ns, track.line.heard))
        for line in pushed:
            while line.waiting and line.waiting[0][0] <= at.ns:
                events += self._take_waiting(line, at)
        self._jobs.sight(at.ns)
        for name in self._jobs.names():
            events += self._judge_job(name, at)
        for track in self._in_order():
            if 0 < track.expires <= at.ns:
                track.expires = at.ns  # also after a restart it does not expire before
                self._dirty[track.key] = track
                self._agenda.book((*track.key, EXPIRY), at.ns, Order.EXPIRY)
        return events

    def shift(self, delta: Duration, at: Instant) -> None:
        """The wall clock stepped by `delta` to `at`; the agenda is shifted by its owner, but appointments stay."""
        for line in self._lines.values():
            line.shift(delta)
        for track in self._tracks.values():
            track.take(holds.shifted(track.hold, delta))
            track.expires += delta if track.expires else 0
            self._dirty[track.key] = track
        self._jobs.shift(delta, at.ns)

    def wake(self, at: Instant) -> list[Event]:
        """After a step of the wall clock: active hours are asked again, for they are appointments."""
        self._decided = at
        events: list[Event] = []
        for name in self._hours.names():
            events += self._turn_hours(name, at)
        return events

    # What is kept -----------------------------------------------------------------------------------------------------

    def revive(self, service: Service, retired: Iterable[str], at: Instant, members: frozenset[str]) -> None:
        """Take over a service as it was configured before a restart: nothing is decided; `restore` follows."""
        gone = set(retired)
        self._configured, self._members = service, members
        self._checks = {check.name: check for check in service.checks}
        self._rules = {rule.name: rule for rule in service.rules}
        self._lifecycle = {rule.name: Lifecycle.RETIRED if rule.name in gone else rule.state for rule in service.rules}
        self._judged = judged_metrics(self._rules.values())
        self._jobs.revive(self._checks)
        self._keep_hours(at)

    def restore(self, stored: StoredHold, incident: Incident | None) -> None:
        """Put back a hold as it was stored, with its incident; the rule must be configured already.

        A hold whose rule is gone is let go.
        """
        rule = self._rules.get(stored.rule)
        if rule is None or self._lifecycle[stored.rule] is Lifecycle.RETIRED or not self._concerns(rule, stored.series):
            self._forgotten[(stored.service, stored.rule, stored.series)] = None
            return
        line = self._line_of(stored.series)
        track = self._track(rule, line, stored.hold.at)
        track.flips, track.expires = stored.flips, stored.expires
        track.take(stored.hold)
        track.incident, track.previous = incident, stored.previous
        line.since = max(line.since, stored.since)
        if stored.hold.blind and not line.lag:
            self._blind_since = stored.hold.at  # the program ended in a gap that it had found out
        if stored.heard > line.heard:
            line.heard, line.value = stored.heard, stored.value
            if stored.series.metric == "up":
                self._said[stored.series.check] = (stored.reason, stored.detail)
        elif not line.heard and isinstance(rule.strategy, Absence):
            self._awaited[line.place] = line
        self._dirty.pop(track.key, None)

    def restore_job(self, stored: StoredJob) -> None:
        """Put back what was known of a job."""
        self._jobs.restore(stored)

    def rebook(self) -> None:
        """Book every timer anew, once the windows are filled again after a restart."""
        for track in self._tracks.values():
            self._book(track)
            self._wait_for_expiry(track)
        for line in self._lines.values():
            line.fit()
            self._wait_for_sample(line)
        self._jobs.rebook()

    def take_changes(self) -> Changes:
        """What changed since the last call, for the store."""
        kept = tuple(self._stored(track) for track in self._dirty.values())
        jobs = tuple(self._jobs.take_changes())
        changes = Changes(kept, tuple(self._forgotten), tuple(self._moved.values()), jobs)
        self._dirty, self._forgotten, self._moved = {}, {}, {}
        return changes

    @property
    def changed(self) -> bool:
        """Whether there is something to store."""
        return bool(self._dirty or self._forgotten or self._moved or self._jobs.changed)

    # How it does it ---------------------------------------------------------------------------------------------------

    def _stored(self, track: Track) -> StoredHold:
        reason, detail = self._why(track.line.series)
        return StoredHold(
            service=self.service,
            rule=track.rule.name,
            series=track.line.series,
            hold=track.hold,
            incident="" if track.incident is None else track.incident.id,
            previous=track.previous,
            heard=track.line.heard,
            value=track.line.value,
            reason=reason,
            detail=detail,
            expires=track.expires,
            flips=track.flips,
            since=track.line.since,
        )

    def _in_order(self) -> list[Track]:
        """By rule, then series: the order at one instant, which no restart has to remember."""
        return [self._tracks[key] for key in sorted(self._tracks)]

    def _true(self, track: Track, at: Instant) -> int:
        """The instant up to which a track is decided when `at` is: earlier where samples are waited for."""
        return max(track.hold.at, at.ns - track.line.lag) if track.line.lag else at.ns

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
        new = line is None or not (line.heard and line.met)
        if line is None or new:
            line = self._meet(Series(self.service, check, metric, labels), at, events)
            line.begin(at.ns)
        if line.heard == at.ns:
            return  # a series has one value at an instant: the first stands
        line.heard, line.value = at.ns, value
        if line.window is not None:
            line.window.append(at.ns, value)
        for track in line.tracks:  # as `_judge` does, but this is what every sample of ours costs
            code = track.judge(line)
            if code != track.usual:
                self._say(track, code, at, events)
            elif new:
                self._book(track)

    def _judge(self, track: Track, code: int, at: Instant, events: list[Event], *, new: bool) -> None:
        """What a rule says of the newest sample; silence is booked, whatever that is, where its series is `new`."""
        if code != track.usual:
            self._say(track, code, at, events)
        elif new:
            self._book(track)

    def _say(self, track: Track, said: int, at: Instant, events: list[Event]) -> None:
        """A verdict that is not as before, or that is counted."""
        code = CODES[said]
        events += self._apply(track, holds.judged(track.hold, track.terms, at.ns, code), at)
        self._see(track, code, at, events)

    def _see(self, track: Track, code: Code, at: Instant, events: list[Event]) -> None:
        """One more verdict, of which may follow that the series flaps, or does so no more."""
        terms = track.rule.flapping
        if terms is None or code is Code.UNKNOWN:
            return
        breached = code >= Code.BREACHED
        if breached is track.flips.breached and not track.flips.changes:
            return
        before = track.flips
        track.see(flapping.seen(before, terms, breached=breached))
        self._dirty[track.key] = track
        if before.flapping is not track.flips.flapping:
            share = flapping.percent(track.flips.changes)
            events.append(
                SeriesFlapped(
                    at, self._decided, self.service, track.rule.name, track.line.series, track.flips.flapping, share
                )
            )

    def _remember(self, check: str, column: Column, instants: Sequence[int]) -> None:
        place = (check, column.metric, column.labels)
        line = self._lines.get(place)
        if line is None:
            line = self._lines[place] = Line(Series(self.service, *place))
        last = instants[-1]
        if line.heard != last:
            # Of several samples of one instant the first stands.
            line.heard, line.value = last, column.values[bisect_left(instants, last)]
        if line.window is not None:
            first = bisect_left(instants, line.since)
            line.window.extend(instants[first:], column.values[first:])

    def _catch_up(self, line: Line, until: int) -> list[Event]:
        """Judge what waits on a line and fire its timers, each at its own instant, as far as `until` (ns)."""
        events: list[Event] = []
        while True:
            wanted = [
                (due[0], due[1], track.rule.name, track)
                for track in line.tracks
                if (due := holds.due(track.hold, track.terms, line.heard)) is not None and due[0] <= until
            ]
            first = min(wanted, key=lambda each: each[:3], default=None)
            if line.waiting and line.waiting[0][0] <= until and (first is None or line.waiting[0][0] <= first[0]):
                events += self._take_waiting(line)
            elif first is not None:
                at, order, _, track = first
                events += self._apply(track, holds.fired(track.hold, track.terms, at, order), Instant(at))
            else:
                return events

    def _fire_other(self, key: tuple[str, str, Series, str], due: Instant) -> list[Event]:
        self._decided = due
        _, name, series, purpose = key
        if purpose == HOURS:
            return self._turn_hours(name, due)
        if purpose == SCHEDULE:
            self._jobs.fire(series.check, due.ns)
            return self._judge_job(series.check, due)
        if self._blind_since is not None:
            return []  # the end of the gap decides what was due of a pushed series, and what expired
        if purpose == SAMPLE:
            line = self._lines[series.check, series.metric, series.labels]
            if line.score is None:
                return self._take_waiting(line)
            return self._play(line, due.plus(Duration(-line.lag)))
        assert purpose == EXPIRY
        track = self._tracks[name, series]
        track.expires = 0
        return [self._change(track, Move.EXPIRE, due, Cause.EXPIRED)]

    def _take_waiting(self, line: Line, then: Instant | None = None) -> list[Event]:
        """Judge the earliest sample that waits, at its own instant, or at `then`."""
        at, value = line.waiting.pop(0)
        judged_at = Instant(at) if then is None else then
        events: list[Event] = []
        new = not (line.heard and line.met)
        if new:
            self._meet(line.series, judged_at, events)
            line.begin(at)
        line.hear(at, value)
        for track in line.tracks:
            self._judge(track, track.judge(line), judged_at, events, new=new)
        self._wait_for_sample(line)
        return events

    def _play(self, line: Line, at: Instant) -> list[Event]:
        """The sample at that instant is heard, and judged as if it came alone."""
        score = line.score
        assert score is not None
        events: list[Event] = []
        index = score.approach(at.ns)
        for track in line.tracks:
            track.count(score)
        new = not (line.heard and line.met)
        if new:
            self._meet(line.series, at, events)
            line.judge_ahead()
        line.hear_to(index)
        for track in line.tracks:
            self._judge(track, score.code(track.rule.name), at, events, new=new)
        score.counted = score.position
        self._look_ahead(line)
        return events

    def _look_ahead(self, line: Line) -> None:
        """Book the next sample that is known and changes anything, or that is waited for."""
        score = line.score
        if score is None:
            return
        attended = line.series.check in self._attended and score.position + 1 < len(score.instants)
        at = int(score.instants[score.position + 1]) if attended else line.next
        key, order = (line.waits, Order.SAMPLE) if line.lag else (line.plays, Order.OBSERVATION)
        if at is None:
            self._agenda.cancel(key)
        else:
            self._agenda.book(key, at + line.lag, order)

    def _meet(self, series: Series, at: Instant, events: list[Event]) -> Line:
        """A series speaks for the first time, or after it was forgotten: rules that match it judge it from now on.

        How long it is silent counts from this sample, whatever it says: whoever hears it books that.
        """
        line = self._line(series, at.ns)
        self._satisfy_absence(series, at, events)
        return line

    def _apply(self, track: Track, step: Step, at: Instant) -> list[Event]:
        self._hold(track, step.hold)
        events: list[Event] = []
        for turn, cause in step.turns:
            if turn is Turn.BEGAN:
                events.append(self._begin(track, at, cause))
            elif turn is Turn.VANISHED:
                events += self._vanish(track, at)
            else:
                events.append(self._change(track, _MOVE_OF[turn], at, cause))
        return events

    def _vanish(self, track: Track, at: Instant) -> list[Event]:
        """Its series is forgotten: what was open closes, what was pending is dropped."""
        events: list[Event] = []
        if track.incident is not None:
            pending = track.incident.state is State.PENDING
            events.append(self._change(track, Move.DROP if pending else Move.CLOSE, at, Cause.VANISHED))
        self._forget(track)
        line = track.line
        line.met = False
        line.fit()
        if not line.tracks:
            line.heard = 0  # what is still to come is as of a series that was never heard
        if line.score is not None:
            if line.window is None:
                line.score.forget()
        elif not line.tracks and not line.waiting:
            self._lines.pop(line.place, None)
        return events

    def _begin(self, track: Track, at: Instant, cause: Cause) -> Event:
        incident = begin(
            self.service,
            track.rule.name,
            track.line.series,
            severity=track.rule.severity,
            at=at,
            cause=cause,
            evidence=self._evidence(track),
            previous=track.previous,
            draft=track.draft,
        )
        return self._record(track, incident, at)

    def _change(self, track: Track, what: Move, at: Instant, cause: Cause, *, person: Acted | None = None) -> Event:
        assert track.incident is not None
        evidence = self._evidence(track) if cause in _FROM_SAMPLES else None
        severity: Severity | None = None
        if what is Move.RAISE:
            severity = track.rule.worse[track.hold.raised - 1].severity
        by = "" if person is None else person.by
        moved = move(track.incident, what, at=at, cause=cause, evidence=evidence, by=by, severity=severity)
        return self._record(track, moved, at, person)

    def _record(self, track: Track, incident: Incident, at: Instant, person: Acted | None = None) -> Event:
        self._moved[incident.id] = incident
        self._dirty[track.key] = track
        over = incident.state in FINAL
        track.incident = None if over else incident
        if track.expires and incident.state is not State.ACKNOWLEDGED:
            track.expires = 0
            self._agenda.cancel((*track.key, EXPIRY))
        if over and incident.state is not State.DROPPED:
            track.previous = incident.id
        if person is None:
            return IncidentMoved(at, self._decided, incident)
        return IncidentMoved(at, self._decided, incident, person.act, person.by, person.comment)

    def _hold(self, track: Track, hold: Hold) -> None:
        if hold != track.hold:
            if track.member and (hold.code is not track.hold.code or hold.blind is not track.hold.blind):
                self._turned[track.rule.name] = None
            track.take(hold)
            self._dirty[track.key] = track
        self._book(track)

    def _book(self, track: Track) -> None:
        wanted = holds.due(track.hold, track.terms, track.line.spoken)
        if wanted is None:
            self._agenda.cancel(track.key)
        else:
            self._agenda.book(track.key, wanted[0] + track.line.lag, wanted[1])

    def _wait_for_sample(self, line: Line) -> None:
        if line.lag and line.waiting:
            self._agenda.book(line.waits, line.waiting[0][0] + line.lag, Order.SAMPLE)
        elif line.lag:
            self._agenda.cancel(line.waits)

    def _wait_for_expiry(self, track: Track) -> None:
        key = (*track.key, EXPIRY)
        if track.expires:
            self._agenda.book(key, track.expires, Order.EXPIRY)
        else:
            self._agenda.cancel(key)

    # Heartbeats and hours ---------------------------------------------------------------------------------------------

    def _judge_job(self, check: str, at: Instant) -> list[Event]:
        """What the rules on a heartbeat say of its job now."""
        events: list[Event] = []
        for track in self._in_order():
            if track.line.series.check == check and isinstance(track.rule.strategy, Heartbeat):
                code = self._code_of_job(track.rule.strategy, check)
                if code != track.usual:
                    events += self._apply(track, holds.judged(track.hold, track.terms, at.ns, code), at)
        return events

    def _code_of_job(self, strategy: Heartbeat, check: str) -> Code:
        return Code.BREACHED if self._jobs.failings(check).intersection(strategy.counts) else Code.RECOVERED

    def _keep_hours(self, at: Instant) -> None:
        judging = (rule for name, rule in self._rules.items() if self._lifecycle[name] is not Lifecycle.RETIRED)
        self._hours.keep(judging, at)

    def _turn_hours(self, name: str, at: Instant) -> list[Event]:
        off = self._hours.turn(name, at)
        events: list[Event] = []
        for track in self._in_order():
            if track.rule.name == name and track.hold.off is not off:
                then = Instant(self._true(track, at))
                track.line.hear_until(then.ns)
                events += self._apply(track, holds.awake(track.hold, track.terms, then.ns, off=off), then)
                self._look_ahead(track.line)
        return events

    # Evidence ---------------------------------------------------------------------------------------------------------

    def _evidence(self, track: Track) -> Evidence:
        reason, detail = self._why(track.line.series)
        return track.evidence(reason, detail)

    def _why(self, series: Series) -> tuple[Reason | None, str]:
        """Why the newest run was not ok: evidence of `up`."""
        return self._said.get(series.check, _WELL) if series.metric == "up" else _WELL

    def _carrier(self, incident: Incident) -> Track:
        track = self._tracks.get((incident.rule, incident.series))
        if track is None or track.incident is None or track.incident.id != incident.id:
            raise Refused(f"incident {incident.id} is {incident.state}: it is over")
        return track

    # Lines and tracks -------------------------------------------------------------------------------------------------

    def _concerns(self, rule: Rule, series: Series) -> bool:
        if isinstance(rule.strategy, Composite):
            return not series.check
        if isinstance(rule.strategy, Heartbeat):
            return series == self._reports(rule.check)
        return rule.matches(series)

    def _reports(self, check: str) -> Series:
        """What a rule on a heartbeat is a rule on."""
        return Series(self.service, check, "heartbeat")

    def _line_of(self, series: Series) -> Line:
        place = (series.check, series.metric, series.labels)
        line = self._lines.get(place)
        if line is None:
            check = self._checks.get(series.check)
            line = self._lines[place] = Line(series, Duration(0) if check is None else check.allowance)
        return line

    def _line(self, series: Series, at: int) -> Line:
        """The line of a series, made with a track for each rule that judges it."""
        line = self._line_of(series)
        for rule in self._rules.values():
            if self._lifecycle[rule.name] is not Lifecycle.RETIRED and self._concerns(rule, series):
                self._track(rule, line, at)
        line.met = True
        return line

    def _track(self, rule: Rule, line: Line, at: int) -> Track:
        known = self._tracks.get((rule.name, line.series))
        if known is not None:
            return known
        terms = terms_of(rule, self._checks.get(rule.check))
        then = at - line.lag
        hold = Hold(at=then, anchor=then, off=self._hours.off(rule.name))
        draft = self._lifecycle[rule.name] is Lifecycle.DRAFT
        track = Track(rule, line, terms, hold, draft=draft, member=rule.name in self._members)
        self._tracks[rule.name, line.series] = track
        line.tracks = tuple(sorted((*line.tracks, track), key=lambda known: known.rule.name))
        self._dirty[track.key] = track
        self._forgotten.pop(track.key, None)
        line.fit()
        self._book(track)
        return track

    def _attach(self, at: Instant) -> list[Event]:
        """After a change of rules: every known series meets its new rules, and is judged by them as it stands."""
        events: list[Event] = []
        for line in list(self._lines.values()):
            check = self._checks.get(line.series.check)
            line.lag = line.lag if check is None else check.allowance
            before = {track.rule.name for track in line.tracks}
            self._line(line.series, at.ns)
            line.look_back()
            for track in line.tracks:
                terms = terms_of(self._rules[track.rule.name], self._checks.get(track.rule.check))
                changed = terms != track.terms
                track.follow(self._rules[track.rule.name], terms)
                track.member = track.rule.name in self._members
                then = self._true(track, at)
                if changed:
                    self._hold(track, holds.counted_to(track.hold, then))
                if track.rule.name not in before:
                    events += self._apply(track, self._as_it_stands(track, track.hold, then), Instant(then))
            self._wait_for_sample(line)
            if not (line.tracks or line.lag or line.series.metric == "up"):
                del self._lines[line.place]  # nobody judges it: it is looked up again when somebody does
        tracked = {name for name, _ in self._tracks}
        for rule in self._rules.values():
            if rule.name in tracked or self._lifecycle[rule.name] is Lifecycle.RETIRED:
                continue
            if isinstance(rule.strategy, Absence):
                line = self._line(Series(self.service, rule.check, rule.metric, _named(rule.selects)), at.ns)
                self._awaited[line.place] = line
            elif isinstance(rule.strategy, Heartbeat):
                self._track(rule, self._line_of(self._reports(rule.check)), at.ns)
        return events

    def _revise(self, old: Rule, rule: Rule, at: Instant) -> list[Event]:
        """A changed condition or modifier judges each series as it stands, at the instant of the reload."""
        events: list[Event] = []
        for track in [track for track in self._in_order() if track.rule.name == rule.name]:
            if not self._concerns(rule, track.line.series) or _subject(rule) is not _subject(old):
                events += self._close_track(track, at, Cause.SUPERSEDED)
                continue
            then = self._true(track, at)
            track.follow(rule, terms_of(rule, self._checks.get(rule.check)))
            track.line.look_back()
            began = holds.counted_to(track.hold, then)
            step = self._as_it_stands(track, began, then)
            if step.hold.code in (Code.RECOVERED, Code.BETWEEN) and track.incident is not None:
                pending = track.incident.state is State.PENDING
                self._hold(track, holds.superseded(step.hold))
                move_of = Move.DROP if pending else Move.CLOSE
                events.append(self._change(track, move_of, Instant(then), Cause.SUPERSEDED))
            else:
                events += self._apply(track, step, Instant(then))
        return events

    def _as_it_stands(self, track: Track, hold: Hold, at: int) -> Step:
        """What a rule that is new or changed says of the samples that are there."""
        line, stale_after = track.line, track.terms.stale_after
        again = holds.again(hold, off=self._hours.off(track.rule.name), levels=len(track.terms.worse))
        if isinstance(track.rule.strategy, Absence | Composite) or not line.heard:
            return Step(again)
        if hold.doubt is Doubt.AFTER_GAP and stale_after is not None and hold.anchor - line.heard >= stale_after:
            return Step(again)  # its sample was too old when the gap ended: no rule knows more before the next one
        if isinstance(track.rule.strategy, Heartbeat):
            code = self._code_of_job(track.rule.strategy, track.rule.check)
        elif hold.blind or (stale_after is not None and at - line.heard >= hold.credit + stale_after):
            code = Code.UNKNOWN
        else:
            code = Code(track.judge(line))
        return holds.judged(again, track.terms, at, code)

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
                del self._awaited[place]
                if line.score is None and not line.waiting:  # otherwise it is about to speak itself
                    del self._lines[place]

    def _close(self, rule: Rule, at: Instant, cause: Cause) -> list[Event]:
        """Let go of a rule's tracks; what was open closes, what was pending is dropped."""
        events: list[Event] = []
        for track in [track for track in self._in_order() if track.rule.name == rule.name]:
            events += self._close_track(track, at, cause)
        return events

    def _close_track(self, track: Track, at: Instant, cause: Cause) -> list[Event]:
        events: list[Event] = []
        if track.incident is not None:
            pending = track.incident.state is State.PENDING
            events.append(self._change(track, Move.DROP if pending else Move.CLOSE, at, cause))
        self._forget(track)
        return events

    def _forget(self, track: Track) -> None:
        del self._tracks[track.rule.name, track.line.series]
        track.line.tracks = tuple(other for other in track.line.tracks if other is not track)
        self._agenda.cancel(track.key)
        self._agenda.cancel((*track.key, EXPIRY))
        self._dirty.pop(track.key, None)
        self._forgotten[track.key] = None
        if track.member:
            self._turned[track.rule.name] = None


def _by_place(check: str, history: Iterable[tuple[Recollection, Duration]]) -> dict[Place, list[tuple[int, float]]]:
    """The samples of each series by their instants of now; of several at one instant the first stays the first.

    Before the clock was set, a sample may have been pushed that lies ahead of one that was pushed after that.
    """
    found: dict[Place, list[tuple[int, float]]] = {}
    for recollection, shift in history:
        for column in recollection.columns:
            samples = found.setdefault((check, column.metric, column.labels), [])
            samples += [(at + shift, value) for at, value in zip(column.instants, column.values, strict=True)]
    for samples in found.values():
        samples.sort(key=lambda each: each[0])
    return found


def _subject(rule: Rule) -> type[object]:
    """What a rule is about: samples, or one of the things that are not."""
    strategy = rule.strategy
    return type(strategy) if isinstance(strategy, Absence | Heartbeat | Composite) else object


def _named(matchers: tuple[Matcher, ...]) -> tuple[tuple[str, str], ...]:
    """The labels that matchers name by their value: what a series that was never heard is called by."""
    equal = MatchOperator.EQUALS
    return tuple(sorted((each.label, each.value) for each in matchers if each.operator is equal and each.value))


def noted(what: Acted, at: Instant, incident: Incident | None = None) -> IncidentNoted:
    """What a person assigned or noted, as a fact; a note may be on an incident that is over, and is not known here."""
    if what.act is Act.NOTE and not what.comment.strip():
        raise Refused("a note has a text: say what is to be kept")
    event = IncidentNoted(at, at, what.incident, what.act, what.by, what.comment, what.to)
    if incident is None:
        return event
    return msgspec.structs.replace(event, service=incident.service, rule=incident.rule, series=incident.series)
