"""Rules as faces show them: how each stands, on which series, what is counted and what comes next.

Knows the values that are shown, as text and numbers ready for JSON. Does not know where they come from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from service_monitoring.domain.incidents import Incident, State
from service_monitoring.domain.inputs import Order
from service_monitoring.domain.instants import Instant, in_seconds
from service_monitoring.domain.notices import Held
from service_monitoring.domain.rules import Lifecycle, Rule
from service_monitoring.domain.standing import Opinion, Standing, opinion
from service_monitoring.domain.verdicts import Code

NEXT: Final = {
    Order.HOLD: "opens",
    Order.WORSE: "rises",
    Order.RECOVERY: "resolves",
    Order.SCHEDULE: "is expected to report",
    Order.STALE: "turns unknown",
    Order.ABSENCE: "counts as absent",
    Order.NO_DATA: "counts as breached",
    Order.FORGET: "is forgotten",
}
"""What a rule or its series does at its next due instant, when no sample comes before."""


WHY: Final = {
    "nothing_heard": "no sample came yet",
    "too_little": "its window holds too little",
    "stale": "no sample came for too long",
    "not_measured": "its last run could not measure",
    "gap": "nobody is watching",
    "after_gap": "nothing was measured since nobody watched",
    "no_data": "missing data counts as a breach",
    "off_hours": "these are not its active hours",
    "flapping": "it changes its mind too often",
    "resolved_by_hand": "a person ended its incident while it was breached",
    "not_yet_recovered": "it is between the limit and that of recovery",
}
"""What is to be said besides a verdict, in words."""


class RuleRow(Struct, frozen=True):
    """One rule in a list: where its lifecycle is, and on how many series it says `breached`, `healthy` and `unknown`.

    `kind` is that of its condition; `incidents` are those that are open or acknowledged.
    """

    service: str
    rule: str
    state: str
    severity: str
    kind: str
    check: str
    metric: str
    verdicts: dict[str, int]
    incidents: int


class CountRow(Struct, frozen=True):
    """Observed time that was counted: for `for`, `recovery`, `no_data` or `absent_for`."""

    what: str
    accrued_seconds: float
    needed_seconds: float


class SeriesRow(Struct, frozen=True):
    """A rule on one series.

    `since` is when verdict, episode, gap or hours changed last. `value` is what was compared, `heard_at` the instant of
    the newest sample. `why` are words: `nothing_heard too_little stale not_measured gap after_gap no_data off_hours
    flapping resolved_by_hand not_yet_recovered`. `due_at` and `due_for` say what comes next if no sample does; `held`
    why nobody is told of its incident.
    """

    series: str
    verdict: str
    since: str | None
    value: float | None
    reason: str | None
    detail: str
    heard_at: str | None
    why: tuple[str, ...]
    counts: tuple[CountRow, ...]
    due_at: str | None
    due_for: str | None
    incident: str | None
    incident_state: str | None
    held: str


class RuleDetail(Struct, frozen=True):
    """A rule with every series that it judges, when everything up to `judged_until` is decided."""

    rule: RuleRow
    judged_until: str
    series: tuple[SeriesRow, ...]


def rule_row(rule: Rule, state: Lifecycle, codes: Iterable[Code], incidents: Iterable[Incident]) -> RuleRow:
    """A rule as a list shows it; `incidents` are those of its service that are not over."""
    said = Counter(opinion(code) for code in codes)
    mine = [each for each in incidents if each.rule == rule.name and each.state is not State.PENDING]
    return RuleRow(
        service=rule.service,
        rule=rule.name,
        state=state,
        severity=rule.severity,
        kind=str(rule.strategy.__struct_config__.tag),
        check=rule.check,
        metric=rule.metric,
        verdicts={str(each): said[each] for each in Opinion},
        incidents=len(mine),
    )


def series_row(standing: Standing, incident: Incident | None, held: Held | None, at: Instant) -> SeriesRow:
    """A rule on a series as its page shows it, when everything up to `at` is decided."""
    stored, evidence, due, since = standing.stored, standing.evidence, standing.due(), standing.since()
    return SeriesRow(
        series=str(stored.series),
        verdict=standing.verdict,
        since=None if since is None else str(since),
        value=evidence.value,
        reason=evidence.reason,
        detail=evidence.detail,
        heard_at=str(Instant(stored.heard)) if stored.heard else None,
        why=tuple(standing.why(at)),
        counts=tuple(
            CountRow(each.what, in_seconds(each.accrued), in_seconds(each.needed)) for each in standing.counts(at)
        ),
        due_at=None if due is None else str(due[0]),
        due_for=None if due is None else NEXT[due[1]],
        incident=None if incident is None else incident.id,
        incident_state=None if incident is None else incident.state,
        held="" if held is None else f"{held.reason} by {held.by}",
    )


def series_rows(
    standings: Iterable[Standing], incidents: Mapping[str, Incident], held: Mapping[str, Held], at: Instant
) -> tuple[SeriesRow, ...]:
    """All series of a rule; incidents and what holds them back by their ids."""
    return tuple(
        series_row(each, incidents.get(each.stored.incident), held.get(each.stored.incident), at) for each in standings
    )
