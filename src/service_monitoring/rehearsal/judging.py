"""Judging: what a configuration caught and missed of what really went wrong, and what it called people for in vain.

Knows true incidents, as people noted them, and the figures of a rehearsal. Does not know where a file comes from: it is
given as text. A true incident is caught by an incident that is open within [start, end] and has all of its labels.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import PurePath
from typing import Final, NamedTuple

from msgspec import Struct

from service_monitoring.domain.configuration import Configuration, Service
from service_monitoring.domain.instants import Instant, in_seconds
from service_monitoring.domain.routing import OWNERS
from service_monitoring.domain.rules import Rule
from service_monitoring.domain.schedules import Span
from service_monitoring.errors import Refused
from service_monitoring.rehearsal.difference import seen_of
from service_monitoring.rehearsal.figures import (
    NIGHT,
    THE_MONITOR,
    Delay,
    Figures,
    Paged,
    by_rule,
    delay_of,
    figures_of,
)
from service_monitoring.rehearsal.rehearsed import Rehearsed
from service_monitoring.rehearsal.same import Seen
from service_monitoring.settings.complaints import Complaint, InvalidSettings, KeyPath, Place
from service_monitoring.settings.document import Document
from service_monitoring.settings.problems import InvalidValue, shown

_NEEDED: Final = ("id", "start", "end")
_EXAMPLE: Final = "{id: outage-7, start: 2026-01-06T02:00:00Z, end: 2026-01-06T05:00:00Z, labels: {service: shop}}"


class TrueIncident(Struct, frozen=True):
    """Something that really went wrong, from `start` to `end`, both included, where these labels say."""

    id: str
    start: Instant
    end: Instant
    labels: dict[str, str]


class Caught(Struct, frozen=True):
    """What became of a true incident: which rules caught it, and whom it called, each after so many seconds.

    One that drafts alone would catch is not `caught`.
    """

    id: str
    caught: bool
    start: Instant
    end: Instant
    labels: dict[str, str]
    rules: dict[str, float]
    people: dict[str, float]


class Verdict(Struct, frozen=True):
    """Of a rule, what it caught and missed of what it might have caught; of a recipient, what they were called for.

    `for_nothing` are pages of incidents that overlap no true incident whose labels agree.
    """

    name: str
    caught: int
    missed: int
    time_to_catch: Delay
    pages: int
    for_nothing: int
    for_nothing_at_night: int


class Judgement(Struct, frozen=True):
    """All of it; a true incident counts as caught when any rule did that is no draft.

    Of `true` ones that begin after the warm-up; those `outside` of that or of the rehearsal are not judged.
    """

    true: int
    outside: int
    caught: int
    missed: int
    time_to_catch: Delay
    pages: int
    for_nothing: int
    for_nothing_at_night: int
    incidents: tuple[Caught, ...]
    rules: tuple[Verdict, ...]
    recipients: tuple[Verdict, ...]


def read_incidents(text: str, path: str) -> tuple[TrueIncident, ...]:
    """What really went wrong, from the text of a file `path`: CSV where its name ends so, else YAML.

    CSV has the columns `id`, `start`, `end` and one for each label, an empty field being no label. YAML is a list, or
    a list under `incidents`, of mappings with `id`, `start`, `end` and `labels`. Instants are RFC 3339.
    `InvalidSettings` names each file, line and remedy.
    """
    found: dict[str, TrueIncident] = {}
    complaints: list[Complaint] = []
    is_csv = PurePath(path).suffix.lower() == ".csv"
    for row in (_rows_of_csv if is_csv else _rows_of_yaml)(text, path):
        try:
            true = _true(row)
            if true.id in found:
                raise InvalidValue(f"{shown(true.id)} is there twice", "give each an id of its own")
            found[true.id] = true
        except InvalidValue as error:
            complaints.append(Complaint(row.place, "", error.problem, error.remedy))
    if complaints:
        raise InvalidSettings(complaints)
    return tuple(sorted(found.values(), key=lambda true: (true.start, true.id)))


def is_caught_by(true: TrueIncident, seen: Seen) -> bool:
    """Whether an incident is open within a true one, and has all of its labels."""
    return _overlap(true, seen) and true.labels.items() <= seen.labels.items()


def is_for_nothing(seen: Seen, truth: Iterable[TrueIncident]) -> bool:
    """Whether nothing went wrong where and while an incident was open."""
    return not any(is_caught_by(true, seen) for true in truth)


def within(truth: Iterable[TrueIncident], since: Instant, until: Instant) -> list[TrueIncident]:
    """Those that begin in [since, until): of others nothing can be said."""
    return [true for true in truth if since <= true.start < until]


def judge(rehearsed: Rehearsed, truth: Sequence[TrueIncident], *, night: Span = NIGHT) -> Judgement:
    """What was caught, missed and told for nothing. Drafts are judged, as rules; what they would page is not known.

    Pages of the warm-up, and those about incidents that opened in it, are not judged; nor is one about no incident.
    """
    figures = figures_of(rehearsed, night=night)
    seen = [seen_of(each, figures.until) for each in figures.incidents]
    pages = [page for page in figures.every_page if not page.in_warm_up and page.incidents]
    inside = within(truth, rehearsed.warm, rehearsed.until)
    drafts = {row.rule for row in figures.rules if row.draft}
    incidents = [_caught(true, seen, pages, drafts) for true in inside]
    nothing = {each.id for each in seen if not each.in_warm_up and is_for_nothing(each, truth)}
    vain = [page for page in pages if nothing.issuperset(page.incidents)]
    of_active = [[delay for rule, delay in each.rules.items() if rule not in drafts] for each in incidents]
    delays = [min(found) for found in of_active if found]
    return Judgement(
        true=len(incidents),
        outside=len(truth) - len(incidents),
        caught=len(delays),
        missed=len(incidents) - len(delays),
        time_to_catch=delay_of(delays),
        pages=len(pages),
        for_nothing=len(vain),
        for_nothing_at_night=sum(page.at_night for page in vain),
        incidents=tuple(incidents),
        rules=tuple(_rules(rehearsed.configuration, figures, incidents, pages, vain)),
        recipients=tuple(_recipients(figures, incidents, pages, vain)),
    )


class _Row(NamedTuple):
    """What a file says of one incident, and where; or why that cannot be told."""

    place: Place
    fields: Mapping[str, object]
    labels: Mapping[str, object]
    problem: tuple[str, str] = ("", "")


def _rows_of_csv(text: str, path: str) -> Iterator[_Row]:
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    line = 1
    try:
        columns = next(reader, [])
        lacking = [name for name in _NEEDED if name not in columns]
        if lacking:
            remedy = "begin the file with id,start,end,service"
            raise _unusable(Place(path, 1, 1), f"there is no column {', '.join(lacking)}", remedy)
        # A field in quotes may go over several lines: the first of them is where it stands.
        line = reader.line_num + 1
        for row in reader:
            place, line = Place(path, line, 1), reader.line_num + 1
            if row and len(row) != len(columns):
                # The fields may stand in the wrong columns.
                yield _Row(place, {}, {}, ("it has not as many fields as columns", "quote a field that holds a comma"))
            elif row:
                fields = dict(zip(columns, row, strict=True))
                labels = {name: value for name, value in fields.items() if name not in _NEEDED and value}
                yield _Row(place, {name: fields[name] for name in _NEEDED}, labels)
    except csv.Error as error:
        raise _unusable(Place(path, line, 1), str(error), "write CSV, a line an incident") from error


def _rows_of_yaml(text: str, path: str) -> Iterator[_Row]:
    document = Document.parse(text.encode(), name=path)
    if document.complaints:
        raise InvalidSettings(document.complaints)
    root: KeyPath = ()
    data = document.data
    if isinstance(data, dict) and "incidents" in data:
        data, root = data["incidents"], ("incidents",)
    if not isinstance(data, list):
        raise _unusable(document.place(root), "there is no list of incidents", f"begin each with a dash: - {_EXAMPLE}")
    for number, item in enumerate(data):
        place = document.place((*root, number))
        labels = item.get("labels") or {} if isinstance(item, dict) else None
        if not isinstance(item, dict) or not isinstance(labels, dict):
            yield _Row(place, {}, {}, ("it is not a mapping, or its labels are none", f"write {_EXAMPLE}"))
        else:
            yield _Row(place, {name: value for name, value in item.items() if name != "labels"}, labels)


def _true(row: _Row) -> TrueIncident:
    if row.problem[0]:
        raise InvalidValue(*row.problem)
    lacking = [name for name in _NEEDED if row.fields.get(name) in {None, ""}]
    if lacking:
        raise InvalidValue(f"it lacks {', '.join(lacking)}", f"write {_EXAMPLE}")
    strange = sorted(row.fields.keys() - set(_NEEDED))
    if strange:
        raise InvalidValue(f"{shown(str(strange[0]))} is not known here", "write what is a label under labels")
    start, end = (_instant(name, row.fields[name]) for name in ("start", "end"))
    if end < start:
        raise InvalidValue("it ends before it starts", "change places of start and end")
    labels = {_text(name): _text(value) for name, value in sorted(row.labels.items())}
    return TrueIncident(_text(row.fields["id"]), start, end, labels)


def _instant(name: str, value: object) -> Instant:
    try:
        return Instant.parse(str(value).strip())
    except Refused:
        remedy = "write RFC 3339 with an offset, as 2026-01-06T02:00:00Z"
        raise InvalidValue(f"{name} is no instant: {shown(str(value))}", remedy) from None


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidValue(f"{shown(str(value))} is not a text", "write it in quotes")
    return str(value).strip()


def _unusable(place: Place, problem: str, remedy: str) -> InvalidSettings:
    return InvalidSettings([Complaint(place, "", problem, remedy)])


def _overlap(true: TrueIncident, seen: Seen) -> bool:
    # An incident lasts to before its end; one that ends at once was open all the same.
    return seen.opened_at <= true.end and (seen.ended > true.start or seen.opened_at == seen.ended >= true.start)


def _caught(true: TrueIncident, seen: Iterable[Seen], pages: Iterable[Paged], drafts: Set[str]) -> Caught:
    catching = [each for each in seen if is_caught_by(true, each)]
    ids = {each.id for each in catching}
    calls = [
        page for page in pages if page.kind != "resolved" and page.at <= true.end and ids.intersection(page.incidents)
    ]
    return Caught(
        id=true.id,
        caught=any(each.rule not in drafts for each in catching),
        start=true.start,
        end=true.end,
        labels=true.labels,
        rules=_soonest((each.rule, _after(true, each.opened_at)) for each in catching),
        people=_soonest((page.recipient, _after(true, page.at)) for page in calls),
    )


def _after(true: TrueIncident, at: Instant) -> float:
    """How long after the start; what was known before it is known at once."""
    return max(0.0, in_seconds(at.since(true.start)))


def _soonest(found: Iterable[tuple[str, float]]) -> dict[str, float]:
    soonest: dict[str, float] = {}
    for name, delay in found:
        soonest[name] = min(delay, soonest.get(name, delay))
    return dict(sorted(soonest.items()))


def _rules(
    configuration: Configuration,
    figures: Figures,
    incidents: Sequence[Caught],
    pages: Sequence[Paged],
    vain: Sequence[Paged],
) -> Iterator[Verdict]:
    known = {rule.id: (rule, service) for service in configuration.services for rule in service.rules}
    told, in_vain = (by_rule(some) for some in (pages, vain))
    for row in figures.rules:
        if row.rule == THE_MONITOR:
            continue
        might = [each for each in incidents if row.rule in each.rules or _concerns(known.get(row.rule), each.labels)]
        delays = [each.rules.get(row.rule) for each in might]
        yield _verdict(row.rule, delays, told.get(row.rule, ()), in_vain.get(row.rule, ()))


def _concerns(known: tuple[Rule, Service] | None, labels: Mapping[str, str]) -> bool:
    """Whether a rule might catch what has these labels: no label that all its incidents have says otherwise."""
    if known is None:
        return False
    rule, service = known
    sure = {**dict(service.labels), **dict(rule.labels)}
    sure |= {"service": rule.service, "check": rule.check, "metric": rule.metric, "rule": rule.name}
    return all(sure.get(name, value) == value for name, value in labels.items())


def _recipients(
    figures: Figures, incidents: Sequence[Caught], pages: Sequence[Paged], vain: Sequence[Paged]
) -> Iterator[Verdict]:
    for row in figures.recipients:
        if row.recipient == OWNERS:
            continue
        of_them = [[page for page in some if page.recipient == row.recipient] for some in (pages, vain)]
        yield _verdict(row.recipient, [each.people.get(row.recipient) for each in incidents], *of_them)


def _verdict(name: str, delays: Sequence[float | None], pages: Sequence[Paged], vain: Sequence[Paged]) -> Verdict:
    caught = [delay for delay in delays if delay is not None]
    return Verdict(
        name=name,
        caught=len(caught),
        missed=len(delays) - len(caught),
        time_to_catch=delay_of(caught),
        pages=len(pages),
        for_nothing=len(vain),
        for_nothing_at_night=sum(page.at_night for page in vain),
    )
