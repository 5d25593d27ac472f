"""Figures: what a rehearsal comes to, as values from which every page, table and document is made.

Knows decisions and what they mean to people: incidents, pages, what was held back and why, nights and weeks. Does not
know how figures are shown, nor any other rehearsal (`difference`, `sweep`). What is counted, and what is not:

- a page is a notice that is owed and not held; of several incidents it is counted once, under the rule that it is about
  first;
- pages that were decided before `warm` are counted apart, and in no other figure;
- the k-th percentile of n values is the one at place ceil(k * n / 100), so that it is a value that was there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final, TypeVar

from msgspec import Struct

from service_monitoring.domain import calendar
from service_monitoring.domain.configuration import Configuration, Person
from service_monitoring.domain.events import IncidentMoved, SilenceMoved
from service_monitoring.domain.incidents import FINAL, Incident, State
from service_monitoring.domain.instants import DAY, Duration, Instant, in_seconds
from service_monitoring.domain.notices import Facts, Held, Notice, Page, Withheld
from service_monitoring.domain.routing import OWNERS, labels_of
from service_monitoring.domain.rules import Lifecycle, Rule
from service_monitoring.domain.schedules import ActiveHours, Span
from service_monitoring.domain.silences import Silence
from service_monitoring.rehearsal.rehearsed import Rehearsed
from service_monitoring.views.because import NAMES_AN_INCIDENT, evidence_text, held_sentence, silence_text
from service_monitoring.views.on_record import rota_names, sort_of

NIGHT: Final = Span(22 * 60, 7 * 60)
"""From 22:00 to 07:00, in the zone of whoever is paged (`zone_of`)."""

UTC: Final = "UTC"
"""The zone where nobody has one."""

THE_MONITOR: Final = "the monitor itself"
"""What stands for a rule where a page is about none."""

_KINDS: Final = {
    Page.FIRST: "first",
    Page.RELEASED: "first",
    Page.RAISED: "raised",
    Page.REPEATED: "repeated",
    Page.ESCALATED: "escalated",
    Page.UPDATED: "resolved",
    Page.RECOVERED: "resolved",
    Page.CLOSED: "resolved",
    Page.FLAPPING: "other",
    Page.STEADY: "other",
    Page.OWNER: "other",
}


class Delay(Struct, frozen=True):
    """How long something took, in seconds, over `count` cases; None where there was none."""

    count: int = 0
    median: float | None = None
    p90: float | None = None
    longest: float | None = None


class Told(Struct, frozen=True):
    """Somebody was paged of an incident, for the reason `page`."""

    at: Instant
    recipient: str
    page: str


class Episode(Struct, frozen=True):
    """An incident that opened. `lasted_seconds` is from its opening to its end, or to the end of the rehearsal.

    `evidence` is what it opened on; `labels` are those that it is routed by. `paged_after_seconds` is from its first
    breached sample to the first page. One `in_warm_up` opened before enough history was known.
    """

    id: str
    service: str
    rule: str
    series: str
    severity: str
    state: str
    draft: bool
    breached_at: Instant
    opened_at: Instant
    acknowledged_at: Instant | None
    acknowledged_by: str
    ended_at: Instant | None
    lasted_seconds: float
    evidence: str
    previous: str
    labels: dict[str, str]
    told: tuple[Told, ...]
    paged_at: Instant | None
    paged_after_seconds: float | None
    in_warm_up: bool


class Paged(Struct, frozen=True):
    """A page, or what would have been one but for the reason `held`.

    `kind` is first, raised, repeated, escalated, resolved or other; `incidents` are the ids of those it tells of. In
    the quiet hours of a person only what is excepted from them is told.
    """

    at: Instant
    recipient: str
    channel: str
    rule: str
    page: str
    kind: str
    incidents: tuple[str, ...]
    step: int
    at_night: bool
    in_quiet_hours: bool
    in_warm_up: bool
    held: str = ""
    because: str = ""


class Week(Struct, frozen=True):
    """Pages of one ISO week, `2026-W02`, in the zone of whoever is paged."""

    week: str
    pages: int
    at_night: int


class Recipient(Struct, frozen=True):
    """What somebody is told. `pages` is the sum of the six kinds, and of `weeks`.

    In quiet hours `in_quiet_hours` came through, since they are excepted, and `held_in_quiet_hours` did not. `held`
    counts all that was held back, for whatever reason.
    """

    recipient: str
    zone: str
    pages: int
    first: int
    raised: int
    repeated: int
    escalated: int
    resolved: int
    other: int
    at_night: int
    in_quiet_hours: int
    held_in_quiet_hours: int
    held: int
    in_warm_up: int
    weeks: tuple[Week, ...]


class RuleRow(Struct, frozen=True):
    """What a rule causes. `incidents` opened after the warm-up, `still_open` of them at the end."""

    rule: str
    draft: bool
    incidents: int
    still_open: int
    open_seconds: float
    pages: int
    at_night: int
    held: int
    breach_to_page: Delay


class HeldRow(Struct, frozen=True):
    """How many pages one reason held back, in a sentence and for whom."""

    reason: str
    because: str
    count: int
    recipients: tuple[str, ...]


class FlawRow(Struct, frozen=True):
    """What of a history could not be taken."""

    where: str
    line: int
    why: str
    count: int


class UnmatchedRow(Struct, frozen=True):
    """What a person did to an incident that the rehearsal does not have."""

    at: Instant
    act: str
    incident: str
    by: str


class Figures(Struct, frozen=True):
    """Everything that is said of one rehearsal, of [since, until). `night` is in minutes after midnight.

    `opened` is the sum of `resolved` and `still_open`; incidents `of_drafts` and those that opened in the warm-up are
    counted apart. `pending` ones were about to open at the end, `dropped` ones were over before they did. `rules` come
    in the order of their pages, those that page most first. `weeks` are all that the range touches, in UTC.
    """

    since: Instant
    until: Instant
    warm: Instant
    samples: int
    night: Span
    incidents: tuple[Episode, ...]
    opened: int
    resolved: int
    still_open: int
    of_drafts: int
    opened_in_warm_up: int
    pending: int
    dropped: int
    pages: int
    at_night: int
    in_warm_up: int
    in_quiet_hours: int
    held_in_quiet_hours: int
    breach_to_page: Delay
    recipients: tuple[Recipient, ...]
    rules: tuple[RuleRow, ...]
    weeks: tuple[str, ...]
    held: tuple[HeldRow, ...]
    every_page: tuple[Paged, ...]
    every_held: tuple[Paged, ...]
    unmatched: tuple[UnmatchedRow, ...]
    flaws: tuple[FlawRow, ...]
    limits: tuple[str, ...]


_Row = TypeVar("_Row", Episode, Paged)


def figures_of(rehearsed: Rehearsed, *, night: Span = NIGHT) -> Figures:
    """All figures of a rehearsal; `night` is in the zone of whoever is paged."""
    account = _Account(rehearsed, night)
    pages = tuple(page for page in account.pages if not page.held)
    held = tuple(page for page in account.pages if page.held)
    counted = [page for page in pages if not page.in_warm_up]
    episodes = account.episodes(pages)
    warm = [episode for episode in episodes if not episode.in_warm_up]
    judged = [episode for episode in warm if not episode.draft]
    return Figures(
        since=rehearsed.since,
        until=rehearsed.until,
        warm=rehearsed.warm,
        samples=rehearsed.samples,
        night=night,
        incidents=episodes,
        opened=len(judged),
        resolved=sum(episode.ended_at is not None for episode in judged),
        still_open=sum(episode.ended_at is None for episode in judged),
        of_drafts=len(warm) - len(judged),
        opened_in_warm_up=len(episodes) - len(warm),
        pending=account.count(State.PENDING),
        dropped=account.count(State.DROPPED),
        pages=len(counted),
        at_night=sum(page.at_night for page in counted),
        in_warm_up=len(pages) - len(counted),
        in_quiet_hours=sum(page.in_quiet_hours for page in counted),
        held_in_quiet_hours=sum(page.held == Withheld.QUIET_HOURS and not page.in_warm_up for page in held),
        breach_to_page=_delay_to_page(judged),
        recipients=tuple(_recipients(account, pages, held)),
        rules=tuple(_rules(rehearsed.configuration, warm, counted, held)),
        weeks=tuple(_weeks(rehearsed.since, rehearsed.until)),
        held=tuple(_held(page for page in held if not page.in_warm_up)),
        every_page=pages,
        every_held=held,
        unmatched=tuple(UnmatchedRow(each.at, str(each.act), each.incident, each.by) for each in rehearsed.unmatched),
        flaws=tuple(FlawRow(flaw.where, flaw.line, flaw.why, flaw.count) for flaw in rehearsed.flaws),
        limits=rehearsed.limits,
    )


def percentile(values: Iterable[float], percent: int) -> float | None:
    """The value at place ceil(percent * n / 100) of n values in order; None where there are none."""
    ordered = sorted(values)
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)] if ordered else None


def delay_of(values: Iterable[float]) -> Delay:
    """Median, ninetieth percentile and longest of some times."""
    times = sorted(values)
    return Delay(len(times), percentile(times, 50), percentile(times, 90), times[-1] if times else None)


def zone_of(recipient: str, configuration: Configuration) -> str:
    """A person's zone: that of their quiet hours, else of the first rota that names them, else that of most people.

    Channels have that of most people, since these look at them. Where nobody has a zone it is UTC.
    """
    sort, name = sort_of(recipient)
    own = _own_zone(name, configuration) if sort == "person" else ""
    if own:
        return own
    zones = Counter(filter(None, (_own_zone(person.name, configuration) for person in configuration.people)))
    return min(zones, key=lambda zone: (-zones[zone], zone), default=UTC)


def _own_zone(name: str, configuration: Configuration) -> str:
    person = _person(name, configuration)
    if person is not None and person.quiet is not None:
        return person.quiet.hours.zone
    return next((rota.zone for rota in configuration.rotas if name in rota_names(rota)), "")


@lru_cache(maxsize=4096)
def week_of(at: Instant, zone: str) -> str:
    """The ISO week that an instant is in, by the calendar of a zone: `2026-W02`."""
    year, week, _ = datetime.fromisoformat(calendar.local_text(at, zone)).isocalendar()
    return f"{year}-W{week:02}"


def hours_text(span: Span) -> str:
    """`22:00 to 07:00`."""
    return " to ".join(f"{minute // 60:02}:{minute % 60:02}" for minute in (span.since, span.until))


def news_of(notice: Notice) -> tuple[str, ...]:
    """The ids of the incidents that a notice tells of: what is new in it, or where nothing is, all that it names."""
    about = dict.fromkeys(facts.incident for facts in (notice.facts, *notice.others))
    return notice.news or tuple(id for id in about if id)


class _Spells:
    """Whether hours are active, asked in the order of time: the calendar is asked once for each spell of them."""

    def __init__(self) -> None:
        self._known: dict[ActiveHours, tuple[Instant, Instant | None, bool]] = {}

    def active(self, hours: ActiveHours, at: Instant) -> bool:
        known = self._known.get(hours)
        if known is None or at < known[0] or (known[1] is not None and at >= known[1]):
            known = self._known[hours] = (at, calendar.next_change(hours, at), calendar.is_active(hours, at))
        return known[2]


class _Account:
    """The decisions of a rehearsal, read once."""

    def __init__(self, rehearsed: Rehearsed, night: Span) -> None:
        self._rehearsed = rehearsed
        self._night = night
        self._configuration = rehearsed.configuration
        self._last: dict[str, Incident] = {}
        self._opening: dict[str, Incident] = {}
        self._silences: dict[str, Silence] = {}
        self._facts: dict[str, Facts] = {}
        self._zones: dict[str, str] = {}
        self._spells = _Spells()
        self._rules = {rule.id: (rule, service) for service in self._configuration.services for rule in service.rules}
        self.pages: list[Paged] = []
        for decision in rehearsed.decisions:
            match decision:
                case IncidentMoved():
                    self._move(decision.incident)
                case SilenceMoved():
                    self._silences[decision.silence.id] = decision.silence
                case Notice():
                    self._note(decision)
                case _:
                    # Notes, rules and flapping move no figure: what they cause is an incident or a notice.
                    continue

    def zone(self, recipient: str) -> str:
        """The zone by which somebody has nights and weeks."""
        zone = self._zones.get(recipient)
        if zone is None:
            zone = self._zones[recipient] = zone_of(recipient, self._configuration)
        return zone

    @property
    def people(self) -> list[str]:
        """Everybody who might have been paged, in the order of the file."""
        return [f"person.{person.name}" for person in self._configuration.people]

    def count(self, state: State) -> int:
        """How many incidents were in a state at last."""
        return sum(incident.state is state for incident in self._last.values())

    def episodes(self, pages: Iterable[Paged]) -> tuple[Episode, ...]:
        """The incidents that opened, by their opening."""
        told: dict[str, list[Told]] = {}
        for page in pages:
            for id in page.incidents:
                told.setdefault(id, []).append(Told(page.at, page.recipient, page.page))
        found = (self._episode(id, first, tuple(told.get(id, ()))) for id, first in self._opening.items())
        return tuple(sorted(found, key=lambda episode: (episode.opened_at, episode.rule, episode.series)))

    def _move(self, incident: Incident) -> None:
        self._last[incident.id] = incident
        if incident.opened_at is not None:
            self._opening.setdefault(incident.id, incident)

    def _note(self, notice: Notice) -> None:
        for facts in (notice.facts, *notice.others):
            self._facts[facts.incident] = facts
        at, held = notice.decided_at, notice.held
        recipient = notice.recipient or f"channel.{notice.channel}"
        nights = ActiveHours(self.zone(recipient), spans=(self._night,))
        self.pages.append(
            Paged(
                at=at,
                recipient=recipient,
                channel=notice.channel,
                rule=_named(notice.facts.service, notice.facts.rule),
                page=str(notice.page),
                kind=_KINDS[notice.page],
                incidents=news_of(notice),
                step=notice.step,
                at_night=self._spells.active(nights, at),
                in_quiet_hours=self._is_quiet(recipient, at),
                in_warm_up=at < self._rehearsed.warm,
                held="" if held is None else str(held.reason),
                because="" if held is None else self._because(held),
            )
        )

    def _is_quiet(self, recipient: str, at: Instant) -> bool:
        sort, name = sort_of(recipient)
        person = _person(name, self._configuration) if sort == "person" else None
        return person is not None and person.quiet is not None and self._spells.active(person.quiet.hours, at)

    def _because(self, held: Held) -> str:
        by = held.by
        if held.reason is Withheld.SILENCED:
            by = silence_text(self._silences.get(held.by), held.by)
        elif held.reason in NAMES_AN_INCIDENT and held.by in self._last:
            # By its rule, not by its id: what held back forty pages is one reason.
            by = _named(self._last[held.by].service, self._last[held.by].rule)
        return held_sentence(Held(held.reason, by))

    def _episode(self, id: str, first: Incident, told: tuple[Told, ...]) -> Episode:
        last = self._last[id]
        opened = first.opened_at
        assert opened is not None
        ended = last.ended_at if last.state in FINAL else None
        paged = min((each.at for each in told), default=None)
        return Episode(
            id=id,
            service=last.service,
            rule=f"{last.service}.{last.rule}",
            series=str(last.series),
            severity=str(last.severity),
            state=str(last.state),
            draft=last.draft,
            breached_at=last.breached_at,
            opened_at=opened,
            acknowledged_at=last.acknowledged_at,
            acknowledged_by=last.acknowledged_by,
            ended_at=ended,
            lasted_seconds=in_seconds((ended or self._rehearsed.until).since(opened)),
            evidence=evidence_text(first.evidence),
            previous=last.previous,
            labels=self._labels(last),
            told=told,
            paged_at=paged,
            paged_after_seconds=None if paged is None else in_seconds(paged.since(last.breached_at)),
            in_warm_up=opened < self._rehearsed.warm,
        )

    def _labels(self, incident: Incident) -> dict[str, str]:
        """What it is routed by; of a rule that the last revision lacks, what its notices said, or what is sure."""
        known = self._rules.get(f"{incident.service}.{incident.rule}")
        if known is not None:
            return _sorted(labels_of(incident.series, *known, incident.severity))
        if incident.id in self._facts:
            return _sorted(dict(self._facts[incident.id].labels))
        sure = {"service": incident.service, "rule": incident.rule, "severity": str(incident.severity)}
        return _sorted(dict(incident.series.labels) | sure)


def _recipients(account: _Account, pages: Sequence[Paged], held: Sequence[Paged]) -> Iterator[Recipient]:
    everybody = {*account.people, *(page.recipient for page in (*pages, *held))}
    for recipient in sorted(everybody, key=lambda name: (name == OWNERS, not name.startswith("person."), name)):
        own = [page for page in pages if page.recipient == recipient]
        counted = [page for page in own if not page.in_warm_up]
        kinds = Counter(page.kind for page in counted)
        zone = account.zone(recipient)
        mine = [page for page in held if page.recipient == recipient and not page.in_warm_up]
        yield Recipient(
            recipient=recipient,
            zone=zone,
            pages=len(counted),
            first=kinds["first"],
            raised=kinds["raised"],
            repeated=kinds["repeated"],
            escalated=kinds["escalated"],
            resolved=kinds["resolved"],
            other=kinds["other"],
            at_night=sum(page.at_night for page in counted),
            in_quiet_hours=sum(page.in_quiet_hours for page in counted),
            held_in_quiet_hours=sum(page.held == Withheld.QUIET_HOURS for page in mine),
            held=len(mine),
            in_warm_up=len(own) - len(counted),
            weeks=tuple(_by_week(counted, zone)),
        )


def _by_week(pages: Iterable[Paged], zone: str) -> Iterator[Week]:
    weeks: dict[str, list[Paged]] = {}
    for page in pages:
        weeks.setdefault(week_of(page.at, zone), []).append(page)
    for week, found in sorted(weeks.items()):
        yield Week(week, len(found), sum(page.at_night for page in found))


def _rules(
    configuration: Configuration, episodes: Sequence[Episode], pages: Sequence[Paged], held: Sequence[Paged]
) -> list[RuleRow]:
    known: dict[str, Rule | None] = dict.fromkeys((*_of(episodes), *_of(pages), *_of(held)))
    known |= {
        rule.id: rule
        for service in configuration.services
        for rule in service.rules
        if rule.state is not Lifecycle.RETIRED
    }
    opened, told = by_rule(episodes), by_rule(pages)
    kept = by_rule([page for page in held if not page.in_warm_up])
    rows = (
        _rule_row(name, rule, opened.get(name, ()), told.get(name, ()), kept.get(name, ()))
        for name, rule in known.items()
    )
    return sorted(rows, key=lambda row: (-row.pages, -row.incidents, row.rule))


def _rule_row(
    name: str, rule: Rule | None, episodes: Sequence[Episode], pages: Sequence[Paged], held: Sequence[Paged]
) -> RuleRow:
    return RuleRow(
        rule=name,
        draft=rule is not None and rule.state is Lifecycle.DRAFT,
        incidents=len(episodes),
        still_open=sum(episode.ended_at is None for episode in episodes),
        open_seconds=sum((episode.lasted_seconds for episode in episodes), 0.0),
        pages=len(pages),
        at_night=sum(page.at_night for page in pages),
        held=len(held),
        breach_to_page=_delay_to_page(episodes),
    )


def _of(rows: Iterable[Episode | Paged]) -> Iterator[str]:
    return (row.rule for row in rows)


def by_rule(rows: Iterable[_Row]) -> dict[str, list[_Row]]:
    """Incidents or pages of each rule, in their order."""
    found: dict[str, list[_Row]] = {}
    for row in rows:
        found.setdefault(row.rule, []).append(row)
    return found


def _held(pages: Iterable[Paged]) -> list[HeldRow]:
    found: dict[tuple[str, str], list[str]] = {}
    for page in pages:
        found.setdefault((page.held, page.because), []).append(page.recipient)
    rows = (HeldRow(*why, len(whom), tuple(sorted(set(whom)))) for why, whom in found.items())
    return sorted(rows, key=lambda row: (-row.count, row.reason, row.because))


def _delay_to_page(episodes: Iterable[Episode]) -> Delay:
    return delay_of(each.paged_after_seconds for each in episodes if each.paged_after_seconds is not None)


def _weeks(since: Instant, until: Instant) -> Iterable[str]:
    """Every ISO week that a range touches, by UTC."""
    weeks, at = [], since
    while at < until:
        weeks.append(week_of(at, UTC))
        at = at.plus(Duration(7 * DAY))
    return dict.fromkeys((*weeks, week_of(Instant(until.ns - 1), UTC)))


def _named(service: str, rule: str) -> str:
    return f"{service}.{rule}" if rule else THE_MONITOR


def _person(name: str, configuration: Configuration) -> Person | None:
    return next((person for person in configuration.people if person.name == name), None)


def _sorted(labels: dict[str, str]) -> dict[str, str]:
    return {name: str(value) for name, value in sorted(labels.items())}
