"""Shortfalls: what of an expectation did not come true, what came instead, and why, in words with file and line.

Compares how a course stands with what a trial expects. Does not decide anything, nor step the course.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from msgspec import Struct

from service_monitoring.domain import oncall
from service_monitoring.domain.course import Course
from service_monitoring.domain.holds import Phase
from service_monitoring.domain.incidents import FINAL, Incident, State
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.notices import Notice
from service_monitoring.domain.standing import Standing
from service_monitoring.rehearsal.memory import Memory
from service_monitoring.rehearsal.reasons import Reasons, standing_text
from service_monitoring.rehearsal.trials import (
    Expectation,
    ExpectedIncident,
    ExpectedNotice,
    ExpectedPerson,
    ExpectedVerdict,
    Seen,
    Trial,
    Undone,
    played,
)
from service_monitoring.settings import Place
from service_monitoring.settings.lengths import duration_text
from service_monitoring.settings.problems import one_line
from service_monitoring.views.because import instant_text

PENDING: Final = "pending"
NOBODY: Final = "nobody"

_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")

_Wanted = TypeVar("_Wanted")
_Found = TypeVar("_Found")


class Shortfall(Struct, frozen=True):
    """One thing that is not as expected: `missing` what was expected, or `unexpected` what came; `why` explains it.

    `at` counts from the beginning of the trial.
    """

    place: Place
    at: Duration
    what: str
    missing: str = ""
    unexpected: str = ""
    why: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """For people; the first line begins with the place, as editors jump to it."""
        sign, said = ("missing", self.missing) if self.missing else ("unexpected", self.unexpected)
        yield one_line(f"{self.place}: at {duration_text(self.at)}, {self.what}: {sign} {said}")
        for reason in self.why:
            yield one_line(f"    {reason}")


class Tried(Struct, frozen=True):
    """What came of a trial. It held where there are no shortfalls. `lasted` is simulated time."""

    trial: Trial
    shortfalls: tuple[Shortfall, ...]
    lasted: Duration

    @property
    def held(self) -> bool:
        """Whether everything came as expected."""
        return not self.shortfalls

    def lines(self) -> list[str]:
        """All shortfalls, for people."""
        return [line for shortfall in self.shortfalls for line in shortfall.lines()]


def tried(trial: Trial) -> Tried:
    """Play a trial to its end, and compare."""
    found: list[Shortfall] = []
    for seen, course, memory in played(trial):
        found += _Look(trial, seen, course, memory).shortfalls()
    ends = max((each.at for each in trial.expectations), default=trial.starts)
    return Tried(trial, tuple(found), ends.since(trial.starts))


class _Look:
    """One look at how things stand."""

    def __init__(self, trial: Trial, seen: Seen, course: Course, memory: Memory) -> None:
        self._starts = trial.starts
        self._configuration = trial.configuration
        self._seen = seen
        self._course = course
        self._memory = memory
        self._at = seen.deed.at if isinstance(seen, Undone) else seen.at
        self._reasons = Reasons(course, memory, self._at)

    def shortfalls(self) -> Iterator[Shortfall]:
        if isinstance(self._seen, Undone):
            why = [self._seen.why, *(self._reasons.of_rule(self._seen.deed.rule) if self._seen.deed.rule else ())]
            yield self._missing(self._seen.deed.place, "people", str(self._seen.deed.doing), why)
            return
        yield from self._incidents(self._seen)
        yield from self._notices(self._seen, "pages", self._seen.pages, held=False)
        yield from self._notices(self._seen, "held", self._seen.held, held=True)
        yield from self._people(self._seen.on_call)
        yield from self._verdicts(self._seen.rules)

    # Incidents --------------------------------------------------------------------------------------------------------

    def _incidents(self, expectation: Expectation) -> Iterator[Shortfall]:
        if expectation.incidents is None:
            return
        ended = {each.id: each for each in self._memory.moved() if each.state in FINAL}
        there = [*self._course.incidents(), *ended.values()]
        missing, others = _paired(expectation.incidents, there, _is_it)
        for wanted in missing:
            said = " ".join(part for part in (wanted.rule, _braces(wanted.labels), str(wanted.state)) if part)
            said += f" ({wanted.severity})" if wanted.severity is not None else ""
            yield self._missing(wanted.place, "incidents", said, self._reasons.of_incidents(wanted.rule))
        if expectation.others == "none":
            for incident in others:
                if incident.state in {State.OPEN, State.ACKNOWLEDGED} and not incident.draft:
                    why = self._reasons.of_opening(incident)
                    yield self._unexpected(expectation, "incidents", _incident_text(incident), why)

    # Notices ----------------------------------------------------------------------------------------------------------

    def _notices(
        self, expectation: Expectation, what: str, wanted: tuple[ExpectedNotice, ...] | None, *, held: bool
    ) -> Iterator[Shortfall]:
        if wanted is None:
            return
        there = [each for each in self._memory.notices() if (each.held is not None) is held]
        missing, others = _paired([each for each in wanted for _ in range(each.times)], there, _is_told)
        for each in missing:
            said = " ".join((f"{each.about or 'anything'} to {each.to}", str(each.page or each.reason or ""))).strip()
            why = self._reasons.of_silence(each.about, each.to) if not held else self._reasons.told(each.about, each.to)
            yield self._missing(each.place, what, said, why)
        if expectation.others == "none":
            for said, same in self._alike(others).items():
                why = self._reasons.of_notice(same[0])
                yield self._unexpected(expectation, what, f"{said}, {self._when(same)}", why)

    def _alike(self, notices: Iterable[Notice]) -> dict[str, list[Notice]]:
        """Notices that say the same to the same: an hourly repeat is said once."""
        found: dict[str, list[Notice]] = {}
        for each in notices:
            why = str(each.page) if each.held is None else str(each.held.reason)
            found.setdefault(f"{', '.join(_rules_of(each))} to {each.recipient} {why}", []).append(each)
        return found

    def _when(self, notices: Sequence[Notice]) -> str:
        first, last = (self._offset(each.decided_at) for each in (notices[0], notices[-1]))
        return f"at {first}" if len(notices) == 1 else f"{len(notices)} times, first at {first} and last at {last}"

    # What else --------------------------------------------------------------------------------------------------------

    def _people(self, wanted: Iterable[ExpectedPerson]) -> Iterator[Shortfall]:
        rotas = {rota.name: rota for rota in self._configuration.rotas}
        for each in wanted:
            people = oncall.who(rotas[each.rota], self._at)
            if people != ((each.person,) if each.person else ()):
                why = [f"{', '.join(people) or NOBODY} is on call in {each.rota}"]
                yield self._missing(each.place, "on_call", f"{each.rota}: {each.person or NOBODY}", why)

    def _verdicts(self, wanted: Iterable[ExpectedVerdict]) -> Iterator[Shortfall]:
        for each in wanted:
            service, _, rule = each.rule.partition(".")
            standings = [
                standing
                for standing in self._course.policy(service).standings(rule)
                if set(each.labels) <= set(standing.stored.series.labels)
            ]
            if not all(each.verdict in _words(standing) for standing in standings) or (
                not standings and each.verdict != "unknown"
            ):
                said = " ".join(part for part in (each.rule, _braces(each.labels), each.verdict) if part)
                why = [standing_text(standing, self._at) for standing in standings]
                yield self._missing(each.place, "rules", said, why or self._reasons.of_rule(each.rule))

    def _missing(self, place: Place, what: str, said: str, why: Sequence[str]) -> Shortfall:
        return Shortfall(place, self._at.since(self._starts), what, missing=said, why=tuple(map(self._counted, why)))

    def _unexpected(self, expectation: Expectation, what: str, said: str, why: Sequence[str]) -> Shortfall:
        place = dict(expectation.keys).get(what, expectation.place)
        reasons = tuple(map(self._counted, why))
        return Shortfall(place, self._at.since(self._starts), what, unexpected=said, why=reasons)

    def _counted(self, reason: str) -> str:
        """Instants as the file counts them, `30m (2026-03-28T19:30:00Z)`."""

        def count(found: re.Match[str]) -> str:
            at = Instant.parse(found[0])
            return found[0] if at < self._starts else f"{self._offset(at)} ({instant_text(at)})"

        return _INSTANT.sub(count, reason)

    def _offset(self, at: Instant) -> str:
        return duration_text(at.since(self._starts))


def _paired(
    wanted: Sequence[_Wanted], there: Sequence[_Found], fits: Callable[[_Wanted, _Found], bool]
) -> tuple[list[_Wanted], list[_Found]]:
    """What is wanted and not there, and what is there and not wanted, when as many as possible are paired.

    What is wanted may fit several: whoever has one gives it up where there is another (augmenting paths).
    """
    taken: dict[int, int] = {}

    def place(number: int, tried: set[int]) -> bool:
        for candidate, found in enumerate(there):
            if candidate in tried or not fits(wanted[number], found):
                continue
            tried.add(candidate)
            if candidate not in taken or place(taken[candidate], tried):
                taken[candidate] = number
                return True
        return False

    missing = [each for number, each in enumerate(wanted) if not place(number, set())]
    return missing, [found for candidate, found in enumerate(there) if candidate not in taken]


def _is_it(wanted: ExpectedIncident, incident: Incident) -> bool:
    return (
        wanted.rule == f"{incident.service}.{incident.rule}"
        and wanted.state is incident.state
        and wanted.severity in {None, incident.severity}
        and set(wanted.labels) <= set(incident.series.labels)
    )


def _is_told(wanted: ExpectedNotice, notice: Notice) -> bool:
    reason = None if notice.held is None else notice.held.reason
    return (
        wanted.to == notice.recipient
        and (not wanted.about or wanted.about in _rules_of(notice))
        and wanted.page in {None, notice.page}
        and wanted.reason in {None, reason}
    )


def _rules_of(notice: Notice) -> list[str]:
    every = (f"{facts.service}.{facts.rule}" for facts in (notice.facts, *notice.others) if facts.rule)
    return list(dict.fromkeys(every))


def _words(standing: Standing) -> set[str]:
    """What may be said of it: of what is pending also that it is breached."""
    return {str(standing.verdict)} | ({PENDING} if standing.stored.hold.phase is Phase.PENDING else set())


def _incident_text(incident: Incident) -> str:
    series = _braces(incident.series.labels)
    return " ".join(
        part
        for part in (f"{incident.service}.{incident.rule}", series, str(incident.state), f"({incident.severity})")
        if part
    )


def _braces(labels: tuple[tuple[str, str], ...]) -> str:
    return "{" + ", ".join(f"{name}: {value}" for name, value in labels) + "}" if labels else ""
