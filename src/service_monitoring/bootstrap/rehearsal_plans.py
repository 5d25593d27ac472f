"""Plans of rehearsals: what a file lets people vary, and what a request that somebody wrote comes to.

Knows the file, how changes, ranges and assumptions are written, and the field to which each complaint belongs. Does not
know when a rehearsal runs, nor what it decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from service_monitoring.bootstrap.loading import rehearsable
from service_monitoring.bootstrap.ranges import Range, chosen, moment, range_of
from service_monitoring.bootstrap.rehearsal_requests import Request
from service_monitoring.domain.configuration import Configuration, with_drafts_active
from service_monitoring.domain.instants import DAY
from service_monitoring.domain.rules import Lifecycle
from service_monitoring.errors import NotFound, Refused
from service_monitoring.rehearsal.assumed import Assumption
from service_monitoring.settings import Complaint, InvalidSettings, InvalidValue, Settings, Variation, sweep
from service_monitoring.settings.complaints import KeyPath
from service_monitoring.settings.gather import Gathered, gather
from service_monitoring.settings.lengths import duration
from service_monitoring.settings.varying import (
    RuleVariables,
    Variable,
    services_of,
    to_write,
    variables_of,
    variables_of_routes,
    yaml_of,
)
from service_monitoring.views.rehearsals import (
    MOST_CHANGES,
    MOST_DAYS,
    Fault,
    Parameter,
    RuleParameters,
    Wanted,
    Written,
    WrongRehearsal,
)


class Plan(Struct, frozen=True):
    """What a request comes to."""

    request: Request
    written: tuple[Written, ...]
    yaml: str


class Known:
    """What may be varied in a file, small enough to be kept of ten thousand services."""

    def __init__(self, gathered: Gathered) -> None:
        self.services = services_of(gathered)
        self.routes = tuple(map(_parameter, variables_of_routes(gathered)))
        self._rules = {name: msgspec.json.encode(variables_of(gathered, name)) for name in self.services}

    def rules(self, service: str) -> list[RuleParameters]:
        """The rules of a service; none of one that is not known."""
        found = msgspec.json.decode(self._rules.get(service, b"[]"), type=list[RuleVariables])
        return [RuleParameters(service, each.rule, each.draft, tuple(map(_parameter, each.values))) for each in found]


def extent_of(folder: Path) -> tuple[Range | None, str]:
    """All that is recorded, or why there is nothing. Blocks."""
    try:
        there = range_of(folder)
    except NotFound as error:
        return None, str(error)
    return there, "" if there is not None else "nothing is recorded yet: come back when some checks have run"


def _parameter(variable: Variable) -> Parameter:
    return Parameter(variable.key, variable.name, variable.value)


def planned(settings: Settings, wanted: Wanted) -> Plan:
    """Everything that a process needs. Blocks; `WrongRehearsal`."""
    faults: list[Fault] = []
    span = _span(settings, wanted, faults)
    assumption = _assumption(wanted, faults)
    variations = _variations(wanted, faults)
    if faults:
        raise WrongRehearsal(tuple(faults))
    try:
        before = rehearsable(settings.file).configuration
    except InvalidSettings as invalid:
        sentence = f"the file as it is cannot be used: {invalid.complaints[0]}"
        raise WrongRehearsal((Fault("", sentence),)) from invalid
    after = None
    if variations or wanted.drafts:
        after = _loaded(settings.file, variations)
    if after is not None and wanted.drafts:
        try:
            after = with_drafts_active(after)
        except Refused as refused:
            raise WrongRehearsal((Fault("drafts", str(refused)),)) from refused
    assert span is not None, "there would be a fault"
    request = Request(
        data=str(settings.store.path.resolve()),
        title=settings.file.name,
        since=span.since,
        until=span.until,
        before=before,
        after=after,
        assumption=assumption,
    )
    gathered = gather(settings.file)
    drafts: dict[KeyPath, str] = {
        ("services", service.name, "rules", rule.name, "state"): "active"
        for service in (before.services if wanted.drafts else ())
        for rule in service.rules
        if rule.state is Lifecycle.DRAFT
    }
    written = tuple(Written(*msgspec.structs.astuple(each)) for each in to_write(gathered, variations))
    return Plan(request, written, yaml_of(gathered, variations, drafts))


def _loaded(file: Path, variations: Sequence[Variation]) -> Configuration:
    """The file with these values in place of its own; each complaint is one about the value that brought it about."""
    try:
        return rehearsable(file, variations).configuration
    except InvalidSettings as invalid:
        found: dict[str, str] = {}
        for complaint in invalid.complaints:
            key = next((each.key for each in variations if _is_of(complaint, each)), "")
            problem = next(
                (
                    complaint.problem.removeprefix(f"with {each}, ")
                    for each in variations
                    if complaint.problem.startswith(f"with {each}, ")
                ),
                complaint.problem,
            )
            found.setdefault(key, f"{problem}; {complaint.remedy}" if complaint.remedy else problem)
        raise WrongRehearsal(tuple(Fault(key, sentence) for key, sentence in found.items())) from invalid


def _is_of(complaint: Complaint, tried: Variation) -> bool:
    """Whether this value may have brought it about, as `settings.overriding` says."""
    if complaint.path == f"--sweep {tried.key}":
        return True
    said = complaint.problem
    return said.startswith((f"with {tried}, ", f"with {tried} and ")) or f" and {tried}, " in said


def _span(settings: Settings, wanted: Wanted, faults: list[Fault]) -> Range | None:
    there, nothing = extent_of(settings.store.path)
    if there is None:
        faults.append(Fault("began", nothing))
        return None
    good = True
    for field, text in (("began", wanted.began), ("ended", wanted.ended)):
        try:
            moment(text, settings.timezone, there.until) if text else None
        except Refused as refused:
            faults.append(Fault(field, str(refused)))
            good = False
    if not good:
        return None
    try:
        span = chosen(there, wanted.began, wanted.ended, settings.timezone, names=("from", "to"))
    except Refused as refused:
        faults.append(Fault("began", str(refused)))
        return None
    span = Range(max(span.since, there.since), min(span.until, there.until))
    if span.until.since(span.since) > MOST_DAYS * DAY:
        sentence = f"these are more than {MOST_DAYS} days, the most that is rehearsed here: choose a shorter range"
        faults.append(Fault("began", sentence))
        return None
    return span


def _assumption(wanted: Wanted, faults: list[Fault]) -> Assumption | None:
    if not wanted.acknowledged_after:
        return None
    try:
        after = duration(wanted.acknowledged_after.removeprefix("ack="))
    except InvalidValue as invalid:
        faults.append(Fault("acknowledged_after", str(invalid)))
        return None
    if after <= 0:
        faults.append(Fault("acknowledged_after", "nobody acknowledges in no time; write 10m"))
        return None
    return Assumption(after, wanted.acknowledged_by) if wanted.acknowledged_by else Assumption(after)


def _variations(wanted: Wanted, faults: list[Fault]) -> list[Variation]:
    found: list[Variation] = []
    if len(wanted.changes) > MOST_CHANGES:
        faults.append(
            Fault("", f"these are {len(wanted.changes)} changes, and at most {MOST_CHANGES} are tried at once")
        )
        return found
    for change in wanted.changes:
        try:
            tried = sweep(f"{change.key}={change.value.strip()}").variations
            if len(tried) != 1:
                raise InvalidValue("these are several values", "write one")
            if any(each.key == change.key for each in found):
                raise InvalidValue(f"{change.key} is changed twice", "write one value for it")
        except InvalidValue as invalid:
            faults.append(Fault(change.key, str(invalid)))
        else:
            found += tried
    return found
