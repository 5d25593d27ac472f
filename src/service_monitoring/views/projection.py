"""The projection: how every service is now, folded from what was committed, and rebuilt from the store at a start.

Knows the configuration, incidents, observations and which condition goes before which (as `domain.uptime` has it). Does
not know when anything was committed or who looks; decides nothing, and nothing is decided by it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter, deque
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from itertools import chain
from typing import Final, NamedTuple

from msgspec import Struct

from service_monitoring.domain import calendar
from service_monitoring.domain.configuration import Check, Configuration, Service
from service_monitoring.domain.course import Progress
from service_monitoring.domain.incidents import FINAL, Incident, State
from service_monitoring.domain.inputs import Admitted, Delivery, Observed, Pushed, Settled, Stamp, Taken
from service_monitoring.domain.instants import NANOSECOND, Instant
from service_monitoring.domain.maintenance import Maintenance, Once, covers, maintained, window_at
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.samples import Outcome
from service_monitoring.domain.uptime import FOR_EVER, Condition
from service_monitoring.errors import NotFound
from service_monitoring.ports import Commit, Ping
from service_monitoring.views.board import (
    MOST_ROWS,
    WORST_FIRST,
    CheckRow,
    OpenRow,
    ServicePage,
    ServiceRow,
    Sort,
    Wanted,
    place,
    place_of,
)
from service_monitoring.views.labelled import Labelled

RANK: Final = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.INFO: 2}
_OPEN: Final = frozenset({State.OPEN, State.ACKNOWLEDGED})
_LATELY: Final = 20
"""Incidents that ended last, and are kept at hand."""
_EPISODES: Final = 16
"""Incidents of one service that ended last: of them it is known when it failed."""
_DURATION: Final = "duration_seconds"


class Heard(Struct, frozen=True):
    """What a check said last: outcome, reason and length of a run, a push that counts, or the signal of a job."""

    service: str
    check: str
    stamp: Stamp
    outcome: str
    reason: str = ""
    duration: float | None = None


class Turned(NamedTuple):
    """What is another than when it was asked last: services by name, and topics of what else is."""

    services: frozenset[str]
    topics: frozenset[str]


class _Seen:
    """A check of a service, and what it said last. `until` (ns) is when that no longer counts."""

    __slots__ = ("check", "duration", "outcome", "reason", "row", "stamp", "until")

    def __init__(self, check: Check, row: _Row) -> None:
        self.check = check
        self.row = row
        self.stamp: Stamp | None = None
        self.outcome = ""
        self.reason = ""
        self.duration: float | None = None
        self.until = 0


class _Row:
    """A service. `booked` (ns) is when somebody looks whether it is still heard, 0 where nobody does."""

    __slots__ = (
        "booked",
        "checks",
        "condition",
        "episodes",
        "incidents",
        "planned",
        "service",
        "since",
        "text",
    )

    def __init__(self, service: Service, planned: tuple[int, ...]) -> None:
        self.service = service
        labels = " ".join(f"{name}={value}" for name, value in service.labels)
        self.text = f"{service.name} {labels} {service.description}".casefold()
        self.planned = planned
        self.checks: dict[str, _Seen] = {check.name: _Seen(check, self) for check in service.checks}
        self.incidents: dict[str, Incident] = {}
        self.episodes: list[tuple[Instant, Instant]] = []
        self.condition = Condition.UNKNOWN
        self.since: Instant | None = None
        self.booked = 0


class Board:
    """All services as they are now. For one loop; nothing here waits.

    `begin` sets it up anew, `take` folds a round that was kept into it, `remember` adds what checks said before that,
    in whichever order, and `refresh` what time alone changes. Whoever shows a page of it sees one state.
    """

    def __init__(self) -> None:
        self._configuration = Configuration()
        self._progress = Progress(Stamp(0, Instant(0)))
        self._rows: dict[str, _Row] = {}
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._places: dict[Condition, list[str]] = {condition: [] for condition in WORST_FIRST}
        self._names: list[str] = []
        self._open: dict[str, Incident] = {}
        self._lately: deque[Incident] = deque(maxlen=_LATELY)
        self._parked: set[str] = set()
        self._labelled = Labelled()
        self._working: dict[int, Instant] = {}
        self._edges: list[tuple[int, int]] = []
        self._looks: list[tuple[int, str]] = []
        self._turned: dict[str, None] = {}
        self._topics: dict[str, None] = {}
        self._at = Instant(0)

    # What it is told --------------------------------------------------------------------------------------------------

    def begin(
        self, configuration: Configuration, progress: Progress, incidents: Iterable[Incident], at: Instant
    ) -> None:
        """Everything anew: what is in force and open. What checks said last is kept, where there still are such."""
        self._progress, self._at = progress, at
        self._open = {each.id: each for each in incidents if each.state in _OPEN and not each.draft}
        self._configure(configuration)
        self._topics |= dict.fromkeys(("board", "incidents", "silences", "outbox"))

    def remember(self, heard: Iterable[Heard], ended: Iterable[Incident] = (), parked: Iterable[str] = ()) -> None:
        """What checks said, and incidents that ended, before all that was taken; older than what is known is passed.

        `parked` are keys of notices that reached nobody.
        """
        self._parked.update(parked)
        for each in heard:
            seen = self._seen.get((each.service, each.check))
            if seen is not None and (seen.stamp is None or seen.stamp < each.stamp):
                self._hear(seen, each.stamp, each.outcome, each.reason, each.duration)
        known = {each.id for each in self._lately}
        found = [each for each in ended if each.id not in known and each.ended_at is not None and _counts(each)]
        for incident in found:
            self._end(incident)
        self._lately = deque(sorted((*self._lately, *found), key=_ending)[-_LATELY:], maxlen=_LATELY)

    def take(
        self, observations: Sequence[Admitted], marks: Mapping[Stamp, Sequence[Taken]], commit: Commit | None
    ) -> None:
        """A round that is kept: what was heard, and what was decided."""
        for admitted in observations:
            what = admitted.input
            if isinstance(what, Observed):
                seen = self._seen.get((what.service, what.check))
                if seen is not None:
                    observation = what.observation
                    duration = None
                    for measured in observation.measurements:
                        if measured.metric == _DURATION:
                            duration = measured.value
                            break
                    self._hear(seen, admitted.stamp, observation.outcome, observation.reason or "", duration)
            elif isinstance(what, Pushed) and Taken.JUDGED in marks.get(admitted.stamp, ()):
                seen = self._seen.get((what.service, what.check))
                if seen is not None:
                    self._hear(seen, admitted.stamp, Outcome.OK, "", None)
        if commit is not None:
            self._commit(commit)

    def refresh(self, at: Instant) -> None:
        """What time alone changed by `at`: observations that no longer count, planned work that begins and ends."""
        self._at = max(self._at, at)
        while self._edges and self._edges[0][0] <= at.ns:
            _, number = heappop(self._edges)
            self._work(number, at)
            for row in self._rows.values():
                if number in row.planned:
                    self._judge(row)
        while self._looks and self._looks[0][0] <= at.ns:
            due, name = heappop(self._looks)
            found = self._rows.get(name)
            if found is not None:
                if found.booked == due:
                    found.booked = 0
                self._judge(found)

    def take_turned(self) -> Turned:
        """What changed since it was asked last."""
        turned = Turned(frozenset(self._turned), frozenset(self._topics))
        self._turned, self._topics = {}, {}
        return turned

    def _commit(self, commit: Commit) -> None:
        moved = commit.progress.shifts != self._progress.shifts
        self._progress = commit.progress
        self._at = max(self._at, commit.progress.judged.at)
        for incident in commit.incidents:
            self._move(incident)
        if commit.configuration is not None:
            self._configure(commit.configuration)
        elif moved:
            self._reckon_anew()
        for ping in commit.pings:
            heard = heard_of(ping)
            seen = self._seen.get((heard.service, heard.check))
            if seen is not None:
                self._hear(seen, heard.stamp, heard.outcome, "", None)
        for _, record in commit.records:
            settled = record.input if isinstance(record, Admitted) else None
            if isinstance(settled, Settled) and settled.delivery is Delivery.PARKED:
                self._parked.add(settled.notice)
        self._parked.difference_update(commit.requeued)
        if commit.silences:
            self._topics["silences"] = None
        if commit.notices or commit.settlements or commit.requeued:
            self._topics["outbox"] = None

    def _hear(self, seen: _Seen, stamp: Stamp, outcome: str, reason: str, duration: float | None) -> None:
        same = seen.outcome == outcome and seen.reason == reason
        seen.stamp, seen.outcome, seen.reason, seen.duration = stamp, outcome, reason, duration
        at = stamp.at.ns if stamp.epoch == self._progress.judged.epoch else self._moved(stamp)
        seen.until = _until(seen, at)
        row = seen.row
        if same and row.condition is not Condition.UNKNOWN and row.booked:
            return
        self._at = max(self._at, Instant(at))
        self._judge(row)
        if not same:
            self._turned[row.service.name] = None

    def _moved(self, stamp: Stamp) -> int:
        """The instant (ns) of a stamp by the clock as it is set now."""
        return stamp.at.ns + sum(delta for epoch, delta in self._progress.shifts if epoch > stamp.epoch)

    def _reckon_anew(self) -> None:
        """The clock was set: what counts until when is another instant."""
        for seen in self._seen.values():
            if seen.stamp is not None:
                seen.until = _until(seen, self._moved(seen.stamp))
        for row in self._rows.values():
            self._judge(row)

    def _move(self, incident: Incident) -> None:
        if not _counts(incident):
            return
        row = self._rows.get(incident.service)
        self._topics["incidents"] = None
        if incident.state in FINAL:
            self._open.pop(incident.id, None)
            self._lately.append(incident)
        elif incident.state in _OPEN:
            self._open[incident.id] = incident
        if row is None:
            return
        self._turned[incident.service] = None
        if incident.state in FINAL:
            row.incidents.pop(incident.id, None)
            self._end(incident)
        elif incident.state in _OPEN:
            row.incidents[incident.id] = incident
        self._judge(row)

    def _end(self, incident: Incident) -> None:
        row = self._rows.get(incident.service)
        if row is not None and incident.opened_at is not None and incident.ended_at is not None:
            episode = (incident.opened_at, incident.ended_at)
            if episode not in row.episodes:
                insort(row.episodes, episode)
                del row.episodes[:-_EPISODES]
            self._judge(row)

    def _configure(self, configuration: Configuration) -> None:
        before = self._rows
        self._configuration = configuration
        self._labelled = Labelled(configuration.services)
        self._rows, self._seen, self._looks, self._edges, self._working = {}, {}, [], [], {}
        self._places = {condition: [] for condition in WORST_FIRST}
        for number in range(len(configuration.maintenances)):
            self._work(number, self._at)
        for service in configuration.services:
            own = self._labelled.own[service.name]
            planned = tuple(n for n, each in enumerate(configuration.maintenances) if covers(each, own))
            row = self._rows[service.name] = _Row(service, planned)
            for name, seen in row.checks.items():
                self._seen[service.name, name] = seen
            known = before.get(service.name)
            if known is not None:
                self._take_over(row, known)
        for incident in self._open.values():
            if incident.service in self._rows:
                self._rows[incident.service].incidents[incident.id] = incident
        self._names = sorted(self._rows)
        for name in self._names:
            row = self._rows[name]
            row.condition, row.since = self._condition(row)
            self._places[row.condition].append(name)
        self._turned |= dict.fromkeys(chain(before, self._rows))

    def _take_over(self, row: _Row, known: _Row) -> None:
        """What is known of a service goes on: what its checks said, and when it failed."""
        row.episodes = known.episodes
        for name, seen in row.checks.items():
            old = known.checks.get(name)
            if old is not None and old.check.kind == seen.check.kind and old.stamp is not None:
                seen.stamp, seen.outcome, seen.reason, seen.duration = old.stamp, old.outcome, old.reason, old.duration
                seen.until = _until(seen, self._moved(old.stamp))

    # Which condition --------------------------------------------------------------------------------------------------

    def _judge(self, row: _Row) -> None:
        condition, since = self._condition(row)
        if condition is not row.condition:
            name = row.service.name
            place = self._places[row.condition]
            del place[bisect_left(place, name)]
            insort(self._places[condition], name)
            row.condition = condition
            self._turned[name] = None
        row.since = since

    def _condition(self, row: _Row) -> tuple[Condition, Instant | None]:
        """How it is now, and since when what it is so by is; looks again when that may end by itself."""
        heard = _heard_until(row)
        if heard > self._at.ns and heard < FOR_EVER and not row.booked:
            row.booked = heard
            heappush(self._looks, (heard, row.service.name))
        elif heard == FOR_EVER:
            row.booked = FOR_EVER
        work = self._work_on(row)
        if work is not None:
            return Condition.MAINTENANCE, work[1]
        severe = [each for each in row.incidents.values() if each.severity is Severity.CRITICAL]
        if severe:
            return Condition.DOWN, _opened_first(severe)
        if heard <= self._at.ns:
            return Condition.UNKNOWN, Instant(heard) if heard else None
        lesser = [each for each in row.incidents.values() if each.severity is Severity.WARNING]
        if lesser:
            return Condition.DEGRADED, _opened_first(lesser)
        return Condition.UP, row.episodes[-1][1] if row.episodes else None

    def _work_on(self, row: _Row) -> tuple[int, Instant] | None:
        """The planned work that a service is in as a whole, by its place in the configuration, and since when."""
        for number in row.planned:
            maintenance = self._configuration.maintenances[number]
            if maintenance.after_failure is None:
                if number in self._working:
                    return number, self._working[number]
                continue
            open_now = ((_opened_first([each]), Instant(FOR_EVER)) for each in row.incidents.values())
            failures = [*row.episodes, *open_now]
            for begins, ends in maintained(maintenance, self._at, self._at.plus(NANOSECOND), failures):
                if begins <= self._at < ends:
                    heappush(self._looks, (ends.ns, row.service.name))
                    return number, begins
        return None

    def _work(self, number: int, at: Instant) -> None:
        """A piece of planned work as it is at `at`, and when that changes."""
        maintenance = self._configuration.maintenances[number]
        window = window_at(maintenance, at)
        self._working.pop(number, None)
        if window is not None:
            self._working[number] = window[0]
        edge = window[1] if window is not None else _next_window(maintenance, at)
        if edge is not None:
            heappush(self._edges, (edge.ns, number))

    # What it is asked -------------------------------------------------------------------------------------------------

    @property
    def configuration(self) -> Configuration:
        """The revision in force."""
        return self._configuration

    @property
    def checks(self) -> int:
        """How many there are."""
        return len(self._seen)

    @property
    def parked(self) -> int:
        """How many notices reached nobody, and wait for a person."""
        return len(self._parked)

    def counts(self) -> dict[str, int]:
        """How many services are in each condition, the worst first."""
        return {str(condition): len(self._places[condition]) for condition in WORST_FIRST}

    def open(self) -> list[Incident]:
        """Incidents that are open or acknowledged, the most severe first, then the oldest."""
        return sorted(self._open.values(), key=_urgency)

    def lately(self) -> list[Incident]:
        """Incidents that ended last, the latest first."""
        return list(reversed(self._lately))

    def work(self) -> Iterator[tuple[Maintenance, Instant | None, int]]:
        """Planned work that is going on, until when, and on how many services as a whole."""
        counted = Counter(
            found[0] for name in self._places[Condition.MAINTENANCE] if (found := self._work_on(self._rows[name]))
        )
        for number, maintenance in enumerate(self._configuration.maintenances):
            if number in counted or (number in self._working and maintenance.after_failure is None):
                window = window_at(maintenance, self._at) if maintenance.after_failure is None else None
                yield maintenance, None if window is None else window[1], counted[number]

    @property
    def labelled(self) -> Labelled:
        """Which services have which labels, by the revision in force."""
        return self._labelled

    def around(self, incident: Incident) -> Configuration:
        """So much of the configuration as is about the service of an incident: nobody has to look for it."""
        row = self._rows.get(incident.service)
        return Configuration() if row is None else Configuration((row.service,))

    def service(self, name: str) -> ServiceRow:
        """One of them; `NotFound`."""
        if name not in self._rows:
            raise NotFound(f"there is no service {name}")
        return self._shown(self._rows[name])

    def page(self, wanted: Wanted) -> ServicePage:
        """A page of services, in the order that is wanted."""
        limit = max(1, min(MOST_ROWS, wanted.limit))
        conditions = frozenset(wanted.conditions or WORST_FIRST)
        first, after = place(wanted.after, wanted.sort)
        lists = [self._names] if wanted.sort is Sort.NAME else [self._places[each] for each in WORST_FIRST]
        before = 0 if wanted.sort is Sort.NAME else WORST_FIRST.index(first)
        found: list[str] = []
        matched = 0
        chosen = self._chosen(wanted)
        for number, names in enumerate(lists):
            if wanted.sort is Sort.CONDITION and WORST_FIRST[number] not in conditions:
                continue
            fitting = self._fitting(names, wanted.text, chosen)
            matched += len(fitting)
            begin = bisect_right(fitting, after) if number == before and after else 0
            if number >= before:
                found += fitting[begin : begin + limit + 1 - len(found)]
        more, shown = len(found) > limit, [self._rows[name] for name in found[:limit]]
        further = place_of(shown[-1].condition, shown[-1].service.name, wanted.sort) if more else ""
        return ServicePage(tuple(self._shown(row) for row in shown), matched, further)

    def _chosen(self, wanted: Wanted) -> list[Container[str]]:
        """Sets of services that are wanted by a matcher each, and by conditions where no list is of one condition."""
        chosen: list[Container[str]] = [self._labelled.holding(each) for each in wanted.matchers]
        if wanted.sort is Sort.NAME and wanted.conditions:
            chosen.append(frozenset(chain.from_iterable(self._places[each] for each in frozenset(wanted.conditions))))
        return chosen

    def _fitting(self, names: list[str], text: str, chosen: Iterable[Container[str]]) -> list[str]:
        """Those of a list that are chosen, and have all words of a text."""
        for services in chosen:
            names = [name for name in names if name in services]
        for word in text.casefold().split():
            names = [name for name in names if word in self._rows[name].text]
        return names

    def _shown(self, row: _Row) -> ServiceRow:
        incidents = sorted(row.incidents.values(), key=_urgency)
        work = self._work_on(row) if row.condition is Condition.MAINTENANCE else None
        return ServiceRow(
            service=row.service.name,
            description=row.service.description,
            labels=dict(row.service.labels),
            condition=row.condition,
            since=None if row.since is None else str(row.since),
            maintenance="" if work is None else self._configuration.maintenances[work[0]].name,
            unacknowledged=sum(each.state is State.OPEN for each in incidents),
            incidents=tuple(_open_row(each) for each in incidents),
            checks=tuple(self._check_row(seen) for seen in row.checks.values()),
        )

    def _check_row(self, seen: _Seen) -> CheckRow:
        return CheckRow(
            check=seen.check.name,
            kind=seen.check.kind,
            outcome=str(seen.outcome),
            reason=str(seen.reason),
            duration_seconds=seen.duration,
            at=None if seen.stamp is None else str(Instant(self._moved(seen.stamp))),
            current=seen.until > self._at.ns,
        )


def heard_of(ping: Ping) -> Heard:
    """What a report says of a job."""
    return Heard(ping.report.service, ping.report.check, ping.stamp, str(ping.report.signal))


def _until(seen: _Seen, at: int) -> int:
    """Until when something that was heard counts. The silence of a job is what is expected of it."""
    if seen.check.expects is not None:
        return FOR_EVER
    return at if seen.outcome == Outcome.UNKNOWN else at + seen.check.stale_after


def _heard_until(row: _Row) -> int:
    """Until when the service is heard: by any check, and by jobs where it has nothing else."""
    checks = row.checks.values()
    own = [seen.until for seen in checks if seen.check.expects is None]
    return max(own or [seen.until for seen in checks], default=FOR_EVER)


def _counts(incident: Incident) -> bool:
    """A draft counts for nothing, and so does what never opened."""
    return not incident.draft and incident.opened_at is not None


def _opened_first(incidents: Iterable[Incident]) -> Instant:
    return min(each.opened_at or each.breached_at for each in incidents)


def _ending(incident: Incident) -> tuple[Instant, str]:
    return incident.ended_at or incident.changed_at, incident.id


def _urgency(incident: Incident) -> tuple[int, Instant, str]:
    return RANK[incident.severity], incident.opened_at or incident.breached_at, incident.id


def _open_row(incident: Incident) -> OpenRow:
    return OpenRow(
        id=incident.id,
        rule=incident.rule,
        series=str(incident.series),
        severity=incident.severity,
        state=incident.state,
        opened_at=None if incident.opened_at is None else str(incident.opened_at),
    )


def _next_window(maintenance: Maintenance, at: Instant) -> Instant | None:
    when = maintenance.when
    if isinstance(when, Once):
        return when.begins if when.begins > at else None
    return calendar.next_begin(when, at)
