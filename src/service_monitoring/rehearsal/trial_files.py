"""Files of rehearsal tests: from YAML to trials, or to everything that is wrong at once, with line, key and remedy.

Knows what such a file may name: the rules, checks, series, people and rotas of its configuration, which somebody else
loads. Blocks on files. Does not play a trial.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from service_monitoring.domain.incidents import State
from service_monitoring.domain.inputs import Pinged, Signal
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.notices import Page, Withheld
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.samples import Series
from service_monitoring.rehearsal.notation import Missing, expanded
from service_monitoring.rehearsal.trial_names import Known
from service_monitoring.rehearsal.trial_shapes import (
    DeedShape,
    ExpectedNoticeShape,
    ExpectShape,
    HeldShape,
    PageShape,
    ReportShape,
    SeriesShape,
    TestShape,
    TrialFileShape,
)
from service_monitoring.rehearsal.trials import (
    MOST_RUNS,
    UP,
    Blind,
    Deed,
    Expectation,
    ExpectedIncident,
    ExpectedNotice,
    ExpectedPerson,
    ExpectedVerdict,
    Lane,
    Report,
    Trial,
    stride_of,
)
from service_monitoring.settings import InvalidSettings, InvalidValue, Settings
from service_monitoring.settings.complaints import Complaints, KeyPath
from service_monitoring.settings.document import Document
from service_monitoring.settings.problems import shown
from service_monitoring.settings.secrets import SecretReader
from service_monitoring.settings.validation import suggestion, validated
from service_monitoring.views.because import instant_text

STARTS: Final = Instant.parse("2026-01-05T09:00:00Z")
"""When a test begins that does not say it: a Monday."""

Load = Callable[[Path, Document | None], Settings]
"""Loads the configuration at a path, or the one that is part of a file there."""

_LISTS: Final = ("incidents", "pages", "held")


def read_trials(path: Path, load: Load) -> tuple[Trial, ...]:
    """The tests of a file, in their order. `InvalidSettings` with all complaints, also those of the configuration."""
    document = Document.read(path, name=str(path))
    complaints = Complaints(document.place, files=[str(path)])
    shape = _shaped(document, complaints, path.parent)
    if document.complaints or len(complaints) or shape is None:
        raise InvalidSettings([*document.complaints, *complaints.found()])
    settings = _settings(shape.configuration, document, complaints, path, load)
    trials = tuple(_File(document, complaints, shape, settings).trials()) if settings is not None else ()
    if len(complaints):
        raise InvalidSettings(complaints.found())
    return trials


def _shaped(document: Document, complaints: Complaints, folder: Path) -> TrialFileShape | None:
    return validated(
        TrialFileShape,
        document.data,
        secrets=SecretReader(folder=folder, environment={}),
        report=lambda fault: complaints.add(
            fault.path,
            fault.problem,
            fault.remedy,
            at=document.place_of_key(fault.path) if fault.key else document.place(fault.path),
        ),
    )


def _settings(given: object, document: Document, complaints: Complaints, path: Path, load: Load) -> Settings | None:
    if isinstance(given, dict):
        return load(path, document.part("configuration"))
    if not isinstance(given, str):
        complaints.add(
            ("configuration",), "a configuration is expected here", "write the path of a file, or {services: ...}"
        )
        return None
    file = path.parent / given
    if not file.is_file():
        complaints.add(("configuration",), f"there is no file {file}", "write its path from the folder of this file")
        return None
    return load(file, None)


class _File:
    """One file while it is read."""

    def __init__(self, document: Document, complaints: Complaints, shape: TrialFileShape, settings: Settings) -> None:
        self._document = document
        self._complaints = complaints
        self._shape = shape
        self._configuration = settings.configuration
        self._known = Known(settings)

    def trials(self) -> Iterator[Trial]:
        names: set[str] = set()
        for number, test in enumerate(self._shape.tests):
            path: KeyPath = ("tests", number)
            if test.name in names:
                self._complaints.add(
                    (*path, "name"), f"{shown(test.name)} is the name of a test before", "write another"
                )
            names.add(test.name)
            yield self._trial(test, path)

    def _trial(self, test: TestShape, path: KeyPath) -> Trial:
        starts: Instant = test.starts or self._shape.starts or STARTS
        reader = _Reader(self._document, self._complaints, self._known, starts)
        blind = tuple(reader.blind(test, path))
        every = test.every or self._shape.every
        samples: dict[str, tuple[KeyPath, object]] = {
            key: (("samples", key), given) for key, given in self._shape.samples.items()
        }
        samples |= {key: ((*path, "samples", key), given) for key, given in test.samples.items()}
        lanes: dict[Series, Lane] = {}
        places: dict[Series, KeyPath] = {}
        for key, (where, given) in samples.items():
            lane = reader.lane(key, given, every, where)
            if lane is not None:
                lanes[lane.series], places[lane.series] = lane, where
        reader.refuse_lost_values(lanes.values(), places)
        reports: dict[str, tuple[KeyPath, list[ReportShape]]] = {
            check: (("reports", check), given) for check, given in self._shape.reports.items()
        }
        reports |= {check: ((*path, "reports", check), given) for check, given in test.reports.items()}
        expectations = tuple(reader.expectations(test.expect, (*path, "expect"), blind))
        until = max(each.at for each in expectations)
        reader.refuse_too_many(lanes.values(), until, path)
        return Trial(
            name=test.name,
            place=self._document.place(path),
            starts=starts,
            configuration=self._configuration,
            lanes=tuple(lanes.values()),
            reports=tuple(reader.reports(reports)),
            deeds=tuple(reader.deeds(test.people, (*path, "people"), blind, until)),
            blind=blind,
            expectations=expectations,
        )


class _Reader:
    """Reads the parts of one test, and complains of each at its place."""

    def __init__(self, document: Document, complaints: Complaints, known: Known, starts: Instant) -> None:
        self._document = document
        self._complaints = complaints
        self._known = known
        self._starts = starts

    # What is given ----------------------------------------------------------------------------------------------------

    def lane(self, key: str, given: object, every: Any, path: KeyPath) -> Lane | None:
        """The values of one series."""
        shape = self._series_shape(given, path)
        try:
            series = self._known.series(key)
        except InvalidValue as error:
            self._at_key(path, error)
            return None
        if shape is None:
            return None
        inner: KeyPath = (*path, "values") if isinstance(given, dict) else path
        try:
            values = expanded(shape.values)
        except InvalidValue as error:
            self._complaints.invalid(inner, error)
            return None
        if series.metric == UP and not {each for each in values if isinstance(each, float)} <= {0.0, 1.0}:
            self._complaints.add(inner, "up is 1 where a run was ok and 0 where it failed", "write 1x5 0x20")
            return None
        return Lane(series, self._at(shape.begins, (*path, "from")), shape.every or every, values)

    def _series_shape(self, given: object, path: KeyPath) -> SeriesShape | None:
        """Values as they are written: `0x20` is no number here, whatever YAML thinks of it."""
        if isinstance(given, dict):
            data = dict(given)
            if "values" in data and not isinstance(data["values"], dict | list):
                data["values"] = self._document.written((*path, "values"))
        else:
            data = {"values": None if isinstance(given, list) else self._document.written(path)}
        return validated(
            SeriesShape,
            data,
            secrets=SecretReader(folder=Path(), environment={}),
            report=lambda fault: self._complaints.add(
                (*path, *fault.path), fault.problem, fault.remedy, at=self._document.place_of_key((*path, *fault.path))
            ),
        )

    def refuse_lost_values(self, lanes: Iterable[Lane], places: Mapping[Series, KeyPath]) -> None:
        """A run is there where `up` has a value: what else were measured, no run would measure it."""
        lanes = list(lanes)
        ups = {(lane.series.service, lane.series.check): lane for lane in lanes if lane.series.metric == UP}
        for lane in lanes:
            up = ups.get((lane.series.service, lane.series.check))
            check = self._known.checks[f"{lane.series.service}.{lane.series.check}"]
            if up is None or up is lane or check.allowance:
                continue
            for number, value in enumerate(lane.values):
                at = lane.since.ns + number * lane.every
                if not isinstance(value, Missing) and not isinstance(up.at(at), float):
                    problem = f"value {number + 1} has no run: {check.id}.up has no value there"
                    self._complaints.add(places[lane.series], problem, "write _ here, or a 1 or 0 there")
                    break

    def refuse_too_many(self, lanes: Iterable[Lane], until: Instant, path: KeyPath) -> None:
        """A step of a year at the pace of a check is no slip that anybody should wait for."""
        runs = 0
        for lane in lanes:
            check = self._known.checks[f"{lane.series.service}.{lane.series.check}"]
            lasts = min(len(lane.values) * lane.every, until.since(lane.since))
            runs += max(0, lasts) // stride_of(check, lane)
        if runs > MOST_RUNS:
            problem = f"these are {runs} samples, more than {MOST_RUNS}"
            self._complaints.add(path, problem, "expect it earlier, or give fewer values")

    def reports(self, given: Mapping[str, tuple[KeyPath, list[ReportShape]]]) -> Iterator[Report]:
        """What jobs report."""
        for name, (path, shapes) in given.items():
            check = self._known.checks.get(name)
            jobs = [each.id for each in self._known.checks.values() if each.expects is not None]
            if check is None or check.expects is None:
                problem = f"there is no check {name}" if check is None else f"no job reports to {name}"
                self._at_key(path, InvalidValue(problem, suggestion(name, jobs)))
                continue
            for number, shape in enumerate(shapes):
                at = self._at(shape.at, (*path, number, "at"))
                yield Report(at, Pinged(check.service, check.name, Signal(shape.signal), shape.run, shape.exit_code))

    def deeds(
        self, given: Iterable[DeedShape], path: KeyPath, blind: Iterable[Blind], until: Instant
    ) -> Iterator[Deed]:
        """What people do, up to the last expectation: nobody would see what comes of anything after it."""
        for number, shape in enumerate(given):
            where: KeyPath = (*path, number)
            at = self._at(shape.at, (*where, "at"))
            self._refuse_blind(at, (*where, "at"), [each for each in blind if each.began < at <= each.ended])
            if at > until:
                self._complaints.add((*where, "at"), "nothing is expected after this", "add an expectation")
            said = getattr(shape, shape.doing)
            rule = said if isinstance(said, str) else ""
            if isinstance(said, str):
                self._name(said, (*where, str(shape.doing)), "rule", self._known.rules)
            if self._known.people:
                self._name(shape.by, (*where, "by"), "person", self._known.people)
            yield Deed(
                at=at,
                doing=shape.doing,
                by=shape.by,
                place=self._document.place(where),
                rule=rule,
                labels=tuple(sorted(shape.labels.items())),
                matchers=shape.silence or (),
                lasts=shape.lasts or shape.expires_after,
                comment=shape.comment,
            )

    def blind(self, test: TestShape, path: KeyPath) -> Iterator[Blind]:
        """When nobody watches."""
        until = self._starts
        for number, shape in enumerate(test.disturb):
            where: KeyPath = (*path, "disturb", number, "at")
            began = self._at(shape.at, where)
            if began <= until:
                self._complaints.add(
                    where, "the monitor is not running then", "write them in order, after the beginning"
                )
            until = began.plus(shape.monitor_down)
            yield Blind(began, until)

    # What is expected -------------------------------------------------------------------------------------------------

    def expectations(
        self, given: Iterable[ExpectShape], path: KeyPath, blind: Iterable[Blind]
    ) -> Iterator[Expectation]:
        """What holds when."""
        before: Instant | None = None
        for number, shape in enumerate(given):
            where: KeyPath = (*path, number)
            at = self._at(shape.at, (*where, "at"))
            if before is not None and at <= before:
                self._complaints.add((*where, "at"), "this is not after the expectation before", "write them in order")
            before = at
            self._refuse_blind(at, (*where, "at"), [each for each in blind if each.began <= at < each.ended])
            yield Expectation(
                at=at,
                place=self._document.place(where),
                incidents=self._incidents(shape, where),
                pages=self._notices(shape.pages, (*where, "pages")),
                held=self._notices(shape.held, (*where, "held")),
                on_call=tuple(self._on_call(shape.on_call, (*where, "on_call"))),
                rules=tuple(self._verdicts(shape.rules, (*where, "rules"))),
                others=shape.others,
                keys=tuple((key, self._document.place_of_key((*where, key))) for key in _LISTS),
            )

    def _incidents(self, shape: ExpectShape, path: KeyPath) -> tuple[ExpectedIncident, ...] | None:
        if shape.incidents is None:
            return None
        found: list[ExpectedIncident] = []
        for number, each in enumerate(shape.incidents):
            where: KeyPath = (*path, "incidents", number)
            self._name(each.rule, (*where, "rule"), "rule", self._known.rules)
            severity = None if each.severity is None else Severity(each.severity)
            labels = tuple(sorted(each.labels.items()))
            found.append(ExpectedIncident(each.rule, self._document.place(where), State(each.state), severity, labels))
        return tuple(found)

    def _notices(
        self, given: Iterable[PageShape] | Iterable[HeldShape] | None, path: KeyPath
    ) -> tuple[ExpectedNotice, ...] | None:
        return (
            None if given is None else tuple(self._notice(each, (*path, number)) for number, each in enumerate(given))
        )

    def _notice(self, shape: ExpectedNoticeShape, path: KeyPath) -> ExpectedNotice:
        if shape.to.startswith("oncall."):
            self._complaints.add((*path, "to"), "a page goes to a person", "write person.NAME: who is on call then")
        else:
            self._name(shape.to, (*path, "to"), "recipient", self._known.recipients)
        if shape.about:
            self._name(shape.about, (*path, "about"), "rule", self._known.rules)
        page = Page(shape.page) if isinstance(shape, PageShape) and shape.page is not None else None
        reason = Withheld(shape.reason) if isinstance(shape, HeldShape) and shape.reason is not None else None
        return ExpectedNotice(shape.to, self._document.place(path), shape.about, page, reason, shape.times)

    def _on_call(self, given: Mapping[str, str], path: KeyPath) -> Iterator[ExpectedPerson]:
        for rota, person in given.items():
            if self._name(rota, (*path, rota), "rota", self._known.rotas):
                if person:
                    self._name(person, (*path, rota), "person", self._known.people)
                yield ExpectedPerson(rota, person, self._document.place_of_key((*path, rota)))

    def _verdicts(self, given: Mapping[str, str], path: KeyPath) -> Iterator[ExpectedVerdict]:
        for key, verdict in given.items():
            try:
                rule, labels = self._known.rule(key)
            except InvalidValue as error:
                self._at_key((*path, key), error)
                continue
            yield ExpectedVerdict(rule, verdict, self._document.place_of_key((*path, key)), labels)

    # What both need ---------------------------------------------------------------------------------------------------

    def _at(self, given: Any, path: KeyPath) -> Instant:
        """A moment as an instant; not before the beginning."""
        at = given if isinstance(given, Instant) else self._starts.plus(given)
        if at < self._starts:
            self._complaints.add(
                path, f"the test begins later, at {instant_text(self._starts)}", "write a moment after that"
            )
        return at

    def _refuse_blind(self, at: Instant, path: KeyPath, blind: Iterable[Blind]) -> None:
        for each in blind:
            problem = f"the monitor is down until {instant_text(each.ended)}: nothing is decided then"
            self._complaints.add(path, problem, "write a moment at which it runs")

    def _name(self, name: str, path: KeyPath, sort: str, known: Iterable[str]) -> bool:
        if name in known:
            return True
        self._complaints.add(path, f"there is no {sort} {shown(name)}", suggestion(name, known))
        return False

    def _at_key(self, path: KeyPath, error: InvalidValue) -> None:
        self._complaints.add(path, error.problem, error.remedy, at=self._document.place_of_key(path))
