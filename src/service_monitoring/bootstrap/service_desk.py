"""The service desk of this installation: `views.service.ServiceDesk` over the embedded store and the course.

Knows the store and the shapes of `views.service`. Does not decide anything, and never writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final

from service_monitoring.domain.configuration import Check, Configuration, Service
from service_monitoring.domain.course import Course
from service_monitoring.domain.incidents import Incident, State
from service_monitoring.domain.inputs import Observed, Stamp
from service_monitoring.domain.instants import DAY, MINUTE, NANOSECOND, Duration, Instant, in_seconds
from service_monitoring.domain.maintenance import Maintenance, covers, window_at
from service_monitoring.domain.matchers import Matcher
from service_monitoring.domain.policy import MonitoringPolicy
from service_monitoring.domain.rules import Rule
from service_monitoring.domain.samples import Series
from service_monitoring.domain.standing import Opinion, opinion
from service_monitoring.domain.uptime import FOR_EVER, Known, Span, Spell, timeline
from service_monitoring.errors import NotFound, Refused
from service_monitoring.ports import Clock
from service_monitoring.storage.lines import Run
from service_monitoring.storage.samples import Labels
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.views.desk import row
from service_monitoring.views.rules import SeriesRow, rule_row, series_row
from service_monitoring.views.service import (
    POINTS,
    Around,
    CheckRow,
    Line,
    Range,
    RulePage,
    RuleStanding,
    RunPage,
    SeriesName,
    SeriesPage,
    ServiceDetail,
    SpanRow,
    buckets,
    condition_in_words,
    limits,
    run_row,
    width_for,
)
from service_monitoring.views.silences import WindowRow, silence_row, window_rows

_AHEAD: Final = Duration(7 * DAY)
"""How far planned work is looked for."""
_MOST_WINDOWS: Final = 3
_MOST_SILENCES: Final = 50
_MOST_INCIDENTS: Final = 100
_UNKNOWN_SILENCE: Final = Duration(5 * MINUTE)
"""After how long the line of a check breaks that is configured no more."""
_WORST_FIRST: Final = (Opinion.BREACHED, Opinion.UNKNOWN, Opinion.HEALTHY)


class StoreServiceDesk:
    """`views.service.ServiceDesk`. Belongs to its loop; reads never wait for writes."""

    def __init__(
        self,
        store: SqliteStore,
        *,
        course: Callable[[], Course],
        clock: Clock | None = None,
        target: Callable[[str, str], str] | None = None,
    ) -> None:
        """`target` says what a check asks. Without a clock it is as late as everything is decided."""
        self._store = store
        self._now = course
        self._clock = clock
        self._target = target or (lambda service, check: "")

    def now(self) -> Instant:
        """By the clock; without one, right after what is decided."""
        return self._course.progress.judged.at.plus(NANOSECOND) if self._clock is None else self._clock.now()

    async def service(self, service: str) -> ServiceDetail:
        """One of them."""
        found, policy = self._service(service), self._course.policy(service)
        at = self.now()
        checks = await self._checks(found)
        incidents = [each for each in policy.incidents() if each.state is not State.PENDING and not each.draft]
        touching = [each for each in self._configuration.maintenances if _may_hold(each.matchers, found)]
        spells = [Spell(each.severity, _ALWAYS) for each in incidents]
        return ServiceDetail(
            service=found.name,
            description=found.description,
            labels=dict(found.labels),
            condition=_condition(found, spells, touching, checks, at),
            judged_until=str(self._course.progress.judged.at),
            checks=checks,
            rules=tuple(await self._standings(found, policy)),
            open_incidents=len(incidents),
            silences=tuple(
                silence_row(each, at)
                for each in islice(sorted(self._course.silences(), key=lambda each: each.ends), _MOST_SILENCES)
                if at < each.ends and _may_hold(each.matchers, found)
            ),
            maintenance=tuple(_planned(touching, at)),
        )

    async def rule(self, service: str, rule: str, *, after: str, limit: int) -> RulePage:
        """One of its rules with some of its series."""
        found = self._rule(self._service(service), rule)
        policy, at = self._course.policy(service), self._course.progress.judged.at
        codes, alive = policy.verdicts(rule), list(policy.incidents())
        named = sorted((str(Series(service, found.check, found.metric, labels)), labels) for labels in codes)
        rest = [labels for name, labels in named if name > after]
        shown = frozenset(rest[:limit])
        rows = await self._series(policy, found, shown, alive)
        return RulePage(
            rule=rule_row(found, policy.lifecycle(rule), codes.values(), alive),
            says=condition_in_words(found),
            judged_until=str(at),
            series=rows,
            total=len(codes),
            next=rows[-1].series if len(rest) > limit and rows else None,
        )

    async def runs(self, service: str, check: str, *, before: str, limit: int) -> RunPage:
        """Runs of a check, the newest first."""
        known = self._service(service)
        if check not in {each.name for each in known.checks} and not self._store.lines.series(service, check):
            raise NotFound(f"there is no check {service}.{check}")
        found = await self._store.lines.runs(service, check, before=_stamp(before), limit=limit + 1)
        shown = found[:limit]
        return RunPage(
            runs=tuple(
                run_row(each.stamp.at, each.input.started, each.input.observation)
                for each in shown
                if isinstance(each.input, Observed)
            ),
            next=f"{shown[-1].stamp.epoch}.{shown[-1].stamp.at.ns}" if len(found) > limit else None,
        )

    async def series(self, service: str, *, check: str, after: str, limit: int) -> SeriesPage:
        """Which series there are."""
        configured = [each.name for each in self._service(service).checks if check in ("", each.name)]
        named = sorted(
            (f"{name}/{metric}/{_text(labels)}", SeriesName(name, metric, _text(labels)))
            for name in configured
            for metric, labels in self._store.lines.series(service, name)
        )
        rest = [each for each in named if each[0] > after]
        further = rest[limit - 1][0] if len(rest) > limit else None
        return SeriesPage(tuple(name for _, name in rest[:limit]), len(named), further)

    async def line(self, service: str, series: SeriesName, within: Range, *, points: int = POINTS) -> Line:
        """The values of a series in a range."""
        found = self._service(service)
        known = self._store.lines.series(service, series.check)
        (metric, labels), number = next(
            (each for each in known.items() if (each[0][0], _text(each[0][1])) == (series.metric, series.labels)),
            (("", ()), 0),
        )
        if not number:
            name = f"{series.check}/{series.metric}{{{series.labels}}}"
            raise NotFound(f"there is no series {name} of {service}: nothing of that name was measured")
        check = next((each for each in found.checks if each.name == series.check), None)
        run = Run(
            check=self._store.lines.number(service, series.check),
            series=number,
            pushed=check is not None and bool(check.allowance),
            within=(within.began.ns, within.ended.ns),
            width=width_for(within.length, points),
            late=0 if check is None else check.allowance + MINUTE,
        )
        read = await self._store.lines.line(run)
        around = await self._store.lines.around(found, Span(*run.within), (), limit=0)
        silent_after = _UNKNOWN_SILENCE if check is None else Duration(check.stale_after + check.allowance)
        whole = Series(service, series.check, metric, labels)
        return Line(
            service=service,
            series=series,
            began=str(within.began),
            ended=str(within.ended),
            width_seconds=in_seconds(Duration(read.width)),
            buckets=tuple(buckets(read.tallies, silent_after, around.unwatched)),
            limits=tuple(limit for rule in found.rules if rule.matches(whole) for limit in limits(rule)),
            since=None if read.since is None else str(Instant(read.since)),
        )

    async def around(self, service: str, within: Range) -> Around:
        """What else was in a range."""
        found, span = self._service(service), Span(within.began.ns, within.ended.ns)
        around = await self._store.lines.around(found, span, self._configuration.maintenances, limit=_MOST_INCIDENTS)
        return Around(
            incidents=tuple(row(each, None, Configuration((found,))) for each in around.incidents),
            unwatched=tuple(_span(each) for each in around.unwatched),
            maintenance=tuple(_span(each) for each in around.maintained),
        )

    async def _checks(self, service: Service) -> tuple[CheckRow, ...]:
        lines = self._store.lines
        newest = await lines.newest(service.name, [each.name for each in service.checks])
        pushed = await lines.pushed_at(service.name, [each.name for each in service.checks if each.allowance])
        rows: list[CheckRow] = []
        for check in service.checks:
            run, heard = newest.get(check.name), pushed.get(check.name)
            if check.expects is not None:
                pings = await self._store.pings(service.name, check.name, limit=1)
                heard = pings[0].stamp.at if pings else None
            elif run is not None:
                heard = run.stamp.at
            shown = (
                run_row(run.stamp.at, run.input.started, run.input.observation)
                if run is not None and isinstance(run.input, Observed)
                else None
            )
            rows.append(
                CheckRow(
                    check=check.name,
                    kind=check.kind,
                    target=self._target(service.name, check.name),
                    every_seconds=in_seconds(check.every) if check.every else None,
                    timeout_seconds=in_seconds(check.timeout) if check.timeout else None,
                    stale_after_seconds=in_seconds(check.stale_after),
                    heard_at=None if heard is None else str(heard),
                    newest=shown,
                )
            )
        return tuple(rows)

    async def _standings(self, service: Service, policy: MonitoringPolicy) -> list[RuleStanding]:
        found: list[RuleStanding] = []
        alive = list(policy.incidents())
        for rule in service.rules:
            codes = policy.verdicts(rule.name)
            worst = min(codes, key=lambda each: (_WORST_FIRST.index(opinion(codes[each])), each), default=None)
            rows = () if worst is None else await self._series(policy, rule, frozenset([worst]), alive)
            told = rule_row(rule, policy.lifecycle(rule.name), codes.values(), alive)
            found.append(RuleStanding(told, len(codes), rows[0] if rows else None))
        return found

    async def _series(
        self, policy: MonitoringPolicy, rule: Rule, among: frozenset[Labels], incidents: list[Incident]
    ) -> tuple[SeriesRow, ...]:
        at = self._course.progress.judged.at
        standings = sorted(policy.standings(rule.name, among), key=lambda each: str(each.stored.series))
        alive = {each.id: each for each in incidents if each.rule == rule.name}
        wanted = [each.stored.incident for each in standings if each.stored.incident in alive]
        held = await self._store.held_back(wanted)
        return tuple(
            series_row(each, alive.get(each.stored.incident), held.get(each.stored.incident), at) for each in standings
        )

    def _service(self, name: str) -> Service:
        found = next((each for each in self._configuration.services if each.name == name), None)
        if found is None:
            raise NotFound(f"there is no service {name}")
        return found

    def _rule(self, service: Service, name: str) -> Rule:
        found = next((each for each in service.rules if each.name == name), None)
        if found is None:
            raise NotFound(f"there is no rule {service.name}.{name}")
        return found

    @property
    def _course(self) -> Course:
        return self._now()

    @property
    def _configuration(self) -> Configuration:
        return self._course.configuration


_ALWAYS: Final = Span(-FOR_EVER, FOR_EVER)


def _condition(
    service: Service, spells: list[Spell], touching: list[Maintenance], checks: tuple[CheckRow, ...], at: Instant
) -> str:
    """How it is now, by the rule by which it is counted how it was."""
    own = _own(service)
    planned = any(
        covers(each, own) and each.after_failure is None and window_at(each, at) is not None for each in touching
    )
    known = Known(
        spells=tuple(spells),
        unheard=() if _heard(service, checks, at) else (_ALWAYS,),
        maintenance=(_ALWAYS,) if planned else (),
    )
    return str(next(timeline(at, at.plus(NANOSECOND), known))[1])


def _heard(service: Service, rows: tuple[CheckRow, ...], at: Instant) -> bool:
    """Whether any check has something current to say; what a job does not say is expected of it."""
    heard: list[bool] = []
    for check, known in zip(service.checks, rows, strict=True):
        unknown = known.newest is not None and known.newest.outcome == "unknown"
        recent = known.heard_at is not None and _current(check, Instant.parse(known.heard_at), at)
        heard.append(recent and not unknown)
    polled = [said for said, check in zip(heard, service.checks, strict=True) if check.expects is None]
    return any(polled or heard)


def _current(check: Check, heard: Instant, at: Instant) -> bool:
    return check.expects is not None or at.since(heard) <= check.stale_after


def _own(service: Service) -> dict[str, str]:
    return {**dict(service.labels), "service": service.name}


def _may_hold(matchers: tuple[Matcher, ...], service: Service) -> bool:
    """Whether something of a service may be meant: labels of its series and rules may have any value."""
    own: Mapping[str, str] = _own(service)
    return all(matcher.holds(own) for matcher in matchers if matcher.label in own)


def _planned(maintenances: list[Maintenance], at: Instant) -> Iterator[WindowRow]:
    yield from window_rows(maintenances, at, at.plus(_AHEAD), _MOST_WINDOWS)


def _text(labels: Labels) -> str:
    """Labels as a series shows them, without the braces."""
    shown = str(Series("", "", "", labels))
    return shown[shown.index("{") + 1 : -1] if labels else ""


def _span(span: Span) -> SpanRow:
    return SpanRow(str(Instant(span.began)), str(Instant(span.ended)))


def _stamp(text: str) -> Stamp | None:
    if not text:
        return None
    epoch, dot, at = text.partition(".")
    if not (dot and epoch.isdecimal() and at.isdecimal() and len(text) <= 40):
        raise Refused(f"{text[:64]!r} is no place in a list: take it from `next` of the page before")
    return Stamp(int(epoch), Instant(int(at)))
