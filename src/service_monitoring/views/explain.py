"""Explain: who was or was not told of an incident, and the chain of reasons, at any instant.

Knows the shapes of the answer and how facts (`on_record`) become lines in the order in which they happened. A pure
function of what is on record: it decides nothing, and repeats no decision that is recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from service_monitoring.domain import oncall
from service_monitoring.domain.configuration import Route
from service_monitoring.domain.events import IncidentMoved, IncidentNoted
from service_monitoring.domain.groups import Group, after
from service_monitoring.domain.incidents import FINAL, Incident, State
from service_monitoring.domain.inputs import Act, Delivery
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.matchers import all_hold, matcher_text
from service_monitoring.domain.notices import Notice, Page
from service_monitoring.domain.routing import OWNERS
from service_monitoring.errors import NotFound
from service_monitoring.views.because import (
    PAGES,
    cause_text,
    evidence_text,
    held_text,
    instant_text,
    length_text,
    through,
)
from service_monitoring.views.on_record import OnRecord, Past, Sent, Timer, names, sort_of

MOST_AHEAD: Final = 20
"""Steps of one escalation that are foretold."""

_ARRIVED: Final = frozenset({"delivered"})
_ENDS: Final = frozenset({"delivered", "parked", "withheld"})


class Line(Struct, frozen=True):
    """One thing that happened, or is due: `what`, and why (`because`). `at` is RFC 3339.

    `people` are the recipients whom it concerns, as `person.ada` or `channel.ops`. `notice` is the key of a notice,
    `state` what became of it, `held` and `by` what held it; `step` counts from 1; `incidents` are others that it names.
    """

    at: str
    kind: str
    what: str
    because: str
    people: tuple[str, ...] = ()
    notice: str = ""
    state: str = ""
    held: str = ""
    by: str = ""
    group: str = ""
    step: int | None = None
    incidents: tuple[str, ...] = ()


class Standing(Struct, frozen=True):
    """Whether a recipient has been told by then, and why or why not. `at` is since when, or when that will change.

    `state` is that of the notice that told last (owed, waiting, uncertain, delivered, parked, withheld), or else
    `held`, `ahead`, `not on call` or `not told`.
    """

    recipient: str
    told: bool
    state: str
    at: str
    because: str


class Explanation(Struct, frozen=True):
    """Who was told of an incident by an instant, who was not, and why: `lines` are what happened, `ahead` what is due.

    With a `person`, all of it is about that person alone.
    """

    incident: str
    service: str
    rule: str
    series: str
    state: str
    at: str
    person: str
    recipients: tuple[Standing, ...]
    lines: tuple[Line, ...]
    ahead: tuple[Line, ...]


def explain(record: OnRecord, at: Instant, *, person: str = "") -> Explanation:
    """The whole answer; `NotFound` for a person whom the configuration in force at that instant does not name."""
    past = Past(record, at)
    people = [each.name for each in past.configuration.people]
    if person and person not in people:
        raise NotFound(f"there is no person {person}: there are {', '.join(sorted(people)) or 'none'}")
    account = _Account(past)
    who = f"person.{person}" if person else ""
    # Where the clock was set back, what was decided before may bear a later instant: it is not told as if it had been.
    lines = sorted((line for line in account.lines(who) if _place(line) <= at.ns), key=_place)
    ahead = sorted(account.ahead(), key=_place)
    if who:
        lines = [line for line in lines if who in line.people]
        ahead = [line for line in ahead if who in line.people]
    incident = past.incident
    return Explanation(
        incident=record.incident.id,
        service=record.incident.service,
        rule=record.incident.rule,
        series=str(record.incident.series),
        state="not begun" if incident is None else str(incident.state),
        at=str(at),
        person=person,
        recipients=tuple(account.standing(each) for each in ([who] if who else account.recipients())),
        lines=tuple(lines),
        ahead=tuple(ahead),
    )


def _place(line: Line) -> int:
    return Instant.parse(line.at).ns


class _Account:
    """One incident's story up to an instant, and what is due after it."""

    def __init__(self, past: Past) -> None:
        self._past = past
        self._record = past.record
        self._at = past.at

    # What happened ----------------------------------------------------------------------------------------------------

    def lines(self, person: str) -> Iterator[Line]:
        """In no order but that of one instant. What did not happen to `person` is told of nobody else."""
        yield from self._gaps()
        yield from self._moves()
        yield from self._routes()
        for group in self._past.groups:
            yield from self._group(group)
            yield from self._steps(group, person)
        for sent in self._past.sent:
            yield from self._notice(sent)

    def _moves(self) -> Iterator[Line]:
        before: Incident | None = None
        for event in self._record.events:
            if event.decided_at > self._at:
                continue
            if isinstance(event, IncidentMoved):
                yield _line(event.decided_at, *_moved(event, before, self._past.as_of(event.decided_at)))
                before = event.incident
            elif isinstance(event, IncidentNoted):
                what = f"it was assigned to {event.to}" if event.act is Act.ASSIGN else "a text was noted on it"
                yield _line(event.decided_at, "noted", what, f"{event.by} did so: {event.text}".removesuffix(": "))
            else:
                said = "began to flap" if event.flapping else "flaps no more"
                why = f"{event.percent:g} % of its last verdicts are changes"
                yield _line(event.decided_at, "flapping", f"the series {said}", why)

    def _gaps(self) -> Iterator[Line]:
        for gap in self._record.gaps:
            if gap.began <= self._at:
                yield _line(gap.began, "gap", "nobody was watching from here on", f"there was a gap ({gap.cause})")
            if gap.ended is not None and gap.ended <= self._at:
                yield _line(gap.ended, "gap", "watching went on", "the gap was over")

    def _routes(self) -> Iterator[Line]:
        """How it was routed when it opened, and again whenever that changed."""
        incident = self._past.incident
        if incident is None or incident.opened_at is None:
            return
        if incident.draft:
            yield _line(
                incident.opened_at, "draft", "nobody is told", "its rule is a draft, and nobody is told of drafts"
            )
            return
        said: list[tuple[str, str, str]] | None = None
        for at in self._turning_points(incident.opened_at, incident.ended_at or self._at):
            then = self._past.as_of(at)
            judged = list(_judged(then.configuration.routes, then.labels))
            if not then.matched:
                judged.append(("unrouted", "no route matches it", "nobody is told where no route matches"))
            if judged != said:
                yield from (_line(at, *each) for each in judged)
            said = judged

    def _turning_points(self, opened: Instant, ended: Instant) -> list[Instant]:
        changes = [each.decided_at for each in self._past.moves]
        changes += [each.at for each in self._record.revisions]
        return sorted({opened, *(at for at in changes if opened < at <= min(ended, self._at))})

    def _group(self, group: Group) -> Iterator[Line]:
        joined, company = self._past.joined(group), self._past.company(group)
        same = ", ".join(f"{name}={value}" for name, value in group.labels)
        what = f"it joined the group {group.id} of {group.route.path}"
        if company:
            what += (
                f", which shares its notices with {', '.join(f'{x.service}.{x.rule} ({x.id})' for x in company[:10])}"
            )
            what += f" and {len(company) - 10} more" if len(company) > 10 else ""
        why = f"they agree in {same}" if same else "the route groups all that it matches"
        others = tuple(each.id for each in company)
        yield _line(joined, "joined", what, why, group=group.id, incidents=others)
        first = self._past.first_flush(group)
        if joined <= first <= self._at:
            yield _first_flush(group, first)

    def _steps(self, group: Group, person: str) -> Iterator[Line]:
        for taken in group.taken:
            if taken.at > self._at or not group.route.steps:
                continue
            then = self._past.as_of(taken.at)
            wanted = group.route.steps[taken.number % len(group.route.steps)].recipients
            number = taken.number + 1
            why = "; ".join(_whom(then, each) for each in wanted)
            what = f"step {number} of {group.route.path} called {names(taken.recipients)}"
            yield _line(taken.at, "step", what, why, people=taken.recipients, group=group.id, step=number)
            if person and person not in taken.recipients and then.leads_to(wanted, person):
                what = f"step {number} of {group.route.path} did not call {names((person,))}"
                yield _line(taken.at, "not_on_call", what, why, people=(person,), group=group.id, step=number)

    def _notice(self, sent: Sent) -> Iterator[Line]:
        notice = sent.notice
        then = self._past.as_of(notice.decided_at)
        more: dict[str, object] = {"people": (notice.recipient,), "notice": notice.key, "group": notice.group}
        way = through(notice.channel, notice.recipient)
        step = notice.step + 1 if notice.page not in {Page.FLAPPING, Page.STEADY, Page.OWNER} else None
        if notice.held is not None:
            what = f"{_who(notice)} was not told{way} ({notice.page} notice)"
            why = held_text(notice.held, then, route=self._route_of(notice))
            yield _line(
                notice.decided_at, "held", what, why, state="held",
                held=str(notice.held.reason), by=notice.held.by, step=step, **more,
            )  # fmt: skip
            return
        state, _, _, _ = self._past.became(sent)
        what = f"{_article(notice.page)} notice to {_who(notice)} was decided{way}{f', at step {step}' if step else ''}"
        why = f"{PAGES.get(notice.page, notice.page)}{_about(notice, self._record.incident.id)}"
        yield _line(notice.decided_at, "notice", what, why, state=state, step=step, **more)
        yield from self._outcomes(sent, more)

    def _outcomes(self, sent: Sent, more: dict[str, object]) -> Iterator[Line]:
        """What became of it, attempt by attempt. An end that decisions learnt is told once."""
        notice = sent.notice
        mine = [each for each in self._record.outcomes if each.settled.notice == notice.key and each.at <= self._at]
        learnt = {str(each.settled.delivery) for each in mine}
        for attempt in sent.attempts:
            if attempt.at > self._at or attempt.outcome in learnt:
                continue
            what, why = _ended(_who(notice), attempt.outcome, attempt.detail)
            yield _line(attempt.at, "outcome", what, why, state=attempt.outcome, **more)
        for outcome in mine:
            settled, then = outcome.settled, self._past.as_of(outcome.at)
            reason = settled.detail if settled.held is None else held_text(settled.held, then)
            what, why = _ended(_who(notice), str(settled.delivery), reason)
            why += ", and an attempt before it may have arrived" if settled.uncertain else ""
            held, by = ("", "") if settled.held is None else (str(settled.held.reason), settled.held.by)
            yield _line(outcome.at, "outcome", what, why, state=str(settled.delivery), held=held, by=by, **more)

    def _route_of(self, notice: Notice) -> str:
        return next((group.route.path for group in self._record.groups if group.id == notice.group), "")

    # What is due ------------------------------------------------------------------------------------------------------

    def ahead(self) -> Iterator[Line]:
        """What would happen if nothing else did."""
        incident = self._past.incident
        if incident is None or incident.draft:
            return
        if incident.state is State.PENDING:
            yield from self._opening(incident)
        until = self._past.taken_until
        if until is not None and until > self._at:
            why = f"the acknowledgement of {incident.acknowledged_by} expires"
            yield _line(until, "expiry", "it is open again, unless it is over", why)
        for group in self._past.groups:
            if not self._past.is_over(group):
                yield from self._ahead_of(group, incident)
        yield from self._waiting()

    def _opening(self, incident: Incident) -> Iterator[Line]:
        found = self._past.rule
        if found is None:
            return
        due = incident.breached_at.plus(found[1].holds_for)
        why = f"it must be breached for {length_text(found[1].holds_for)} of observed time (`for`)"
        yield _line(max(due, self._at), "opening", "it opens, if it stays breached", why)

    def _ahead_of(self, group: Group, incident: Incident) -> Iterator[Line]:
        flush = self._past.next_flush(group)
        if flush is not None and flush == self._past.first_flush(group) and flush >= self._at:
            yield _first_flush(group, flush)
        elif flush is not None and flush > self._at:
            what = f"the group {group.id} tells what is new"
            why = (
                f"`group_interval` is {length_text(group.route.interval)}"
                if group.route.interval
                else ("it is looked at again what is still to be told")
            )
            yield _line(flush, "flush", what, why, group=group.id)
        if incident.state in FINAL:
            return
        for recipient in self._concerned(group):
            yield from self._next_word(group, recipient, incident, flush)
        yield from self._next_steps(group)

    def _next_word(self, group: Group, who: str, incident: Incident, flush: Instant | None) -> Iterator[Line]:
        """When somebody who has not been told would be, and somebody who was would be told again."""
        last = self._last(who, group.id)
        if last is not None and last.notice.held is not None:
            held = last.notice.held
            end = self._past.end_of(held, group.route.path)
            when = _flush_at(group, flush, end) if end is not None else self._at
            what = f"{names((who,))} would be told, if it is still open"
            if end is None:
                what = f"{names((who,))} is told when that is over, if it is still open"
            why = held_text(held, self._past, route=group.route.path)
            yield _line(when, "release", what, why, people=(who,), group=group.id, held=str(held.reason), by=held.by)
        elif last is not None and incident.state is State.OPEN and last.notice.page is not Page.FLAPPING:
            due = last.notice.decided_at.plus(group.route.repeat)
            why = f"`repeat_interval` is {length_text(group.route.repeat)}"
            what = f"{names((who,))} is told again, if it is still open"
            yield _line(_flush_at(group, flush, due), "repeat", what, why, people=(who,), group=group.id)

    def _next_steps(self, group: Group) -> Iterator[Line]:
        timer = self._past.timer(group)
        for count, (number, due) in enumerate(self._past.steps_ahead(group)):
            if count == MOST_AHEAD:
                return
            step = group.route.steps[number % len(group.route.steps)]
            when = self._at if due is None or due < self._at else due
            then = self._past.as_of(when)
            who = then.who(step.recipients)
            calls = f"step {number + 1} of {group.route.path} calls {names(who)}"
            why = f"{'; '.join(self._who_then(when, each) for each in step.recipients)}"
            if step.matchers:
                why += f"; only while {', '.join(map(matcher_text, step.matchers))} is open"
            if due is None:
                assert timer is not None
                assert timer.stopped is not None
                calls = f"step {number + 1} of {group.route.path} waits: its clock stands still"
                why = self._why_still(timer) + self._left(timer, group, number)
                when = timer.stopped
            elif due < self._at:
                why += f"; it was due at {instant_text(due)}, and is asked again at each flush"
            yield _line(when, "step_ahead", calls, why, people=who, group=group.id, step=number + 1)

    def _why_still(self, timer: Timer) -> str:
        incident = self._past.incident
        assert incident is not None
        if incident.state is State.ACKNOWLEDGED:
            until = self._past.taken_until
            ends = "it is over" if until is None else instant_text(until)
            return f"{incident.acknowledged_by} acknowledged it until {ends}, after it had run {self._ran(timer)}"
        return f"nobody need be called, after it had run {self._ran(timer)}"

    def _left(self, timer: Timer, group: Group, number: int) -> str:
        """When a step is due if the acknowledgement expires."""
        until = self._past.taken_until
        if until is None or timer.stopped is None:
            return ""
        due = timer.started.plus(Duration(timer.paused + after(group.route, number)))
        return f"; it would be due at {instant_text(until.plus(due.since(timer.stopped)))}"

    def _ran(self, timer: Timer) -> str:
        assert timer.stopped is not None
        return length_text(Duration(timer.stopped.since(timer.started) - timer.paused))

    def _who_then(self, at: Instant, recipient: str) -> str:
        """Who a step leads to at an instant, by the rota as it is known."""
        return _whom(_Foreseen(self._past, at), recipient)

    def _waiting(self) -> Iterator[Line]:
        for sent in self._past.sent:
            state, since, detail, _ = self._past.became(sent)
            if sent.notice.held is not None or state in _ENDS:
                continue
            when = sent.due_at if sent.due_at is not None and sent.due_at > self._at else self._at
            what = f"the {sent.notice.page} notice to {_who(sent.notice)} is {state}"
            why = f"{detail or 'no attempt has ended yet'}, since {instant_text(since)}"
            more = {"people": (sent.notice.recipient,), "notice": sent.notice.key}
            yield _line(when, "sending", what, why, state=state, group=sent.notice.group, **more)

    # Who --------------------------------------------------------------------------------------------------------------

    def recipients(self) -> list[str]:
        """Everybody who was told, was kept from it, or is led to by now: each once, in that order."""
        found = dict.fromkeys(each.notice.recipient for each in self._past.sent if each.notice.recipient != OWNERS)
        for group in self._past.groups:
            found |= dict.fromkeys(self._concerned(group))
            for step in group.route.steps:
                found |= dict.fromkeys(self._past.who(step.recipients))
        return list(found)

    def _concerned(self, group: Group) -> tuple[str, ...]:
        taken = (who for step in group.taken if step.at <= self._at for who in step.recipients)
        told = (each.notice.recipient for each in self._past.sent if each.notice.group == group.id)
        return tuple(dict.fromkeys((*taken, *told)))

    def _last(self, who: str, group: str = "") -> Sent | None:
        mine = [
            each
            for each in self._past.sent
            if each.notice.recipient == who and each.notice.page is not Page.OWNER and group in {"", each.notice.group}
        ]
        return mine[-1] if mine else None

    def standing(self, who: str) -> Standing:
        """Whether somebody was told, and why or why not."""
        owed = [each for each in self._past.sent if each.notice.recipient == who and each.notice.held is None]
        arrived = [each for each in owed if self._past.became(each)[0] in _ARRIVED]
        last = self._last(who)
        if last is not None and (last.notice.held is None or arrived):
            best = arrived[-1] if arrived else last
            state, since, detail, held = self._past.became(best)
            why = PAGES.get(best.notice.page, str(best.notice.page))
            if state not in _ARRIVED:
                then = self._past.as_of(since)
                why = detail or "it has not been sent yet" if held is None else held_text(held, then)
            return Standing(who, bool(arrived), state, str(since), why)
        if last is not None and last.notice.held is not None:
            then = self._past.as_of(last.notice.decided_at)
            why = held_text(last.notice.held, then, route=self._route_of(last.notice))
            return Standing(who, False, "held", str(last.notice.decided_at), why)
        state, at, why = self._why_nothing(who)
        return Standing(who, False, state, str(at), why)

    def _why_nothing(self, who: str) -> tuple[str, Instant, str]:
        """Why nothing is on record for somebody: state, instant and sentence."""
        incident = self._past.incident
        if incident is None:
            return "not told", self._at, "it had not begun"
        if incident.draft:
            return "not told", self._at, "its rule is a draft, and nobody is told of drafts"
        if incident.opened_at is None:
            return "not told", self._at, f"it was {incident.state}, and had not opened"
        routes = self._past.groups or ()
        if not routes and not self._past.matched:
            return "not told", incident.opened_at, "no route matches it"
        for group in routes:
            found = self._why_not_by(group, who)
            if found is not None:
                return found
        return "not told", incident.opened_at, f"no route that it goes by leads to {names((who,))}"

    def _why_not_by(self, group: Group, who: str) -> tuple[str, Instant, str] | None:
        """Why a group has not told somebody; None where its route does not lead there."""
        steps = group.route.steps
        mine = [number for number, step in enumerate(steps) if self._past.leads_to(step.recipients, who)]
        if not mine:
            return None
        for taken in reversed(group.taken):
            if taken.at <= self._at and taken.number % len(steps) in mine and who not in taken.recipients:
                then = self._past.as_of(taken.at)
                wanted = steps[taken.number % len(steps)].recipients
                why = "; ".join(_whom(then, each) for each in wanted if sort_of(each)[0] == "oncall")
                return "not on call", taken.at, f"at step {taken.number + 1} {why}"
        for number, due in self._past.steps_ahead(group):
            if number % len(steps) not in mine:
                continue
            said = f"step {number + 1} of {group.route.path}, which leads there, has not been reached"
            timer = self._past.timer(group)
            if due is None and timer is not None and timer.stopped is not None:
                return "ahead", timer.stopped, f"{said}, and its clock stands still: {self._why_still(timer)}"
            at = due if due is not None else self._at
            held = self._past.why(group)
            more = "" if held is None or at > self._at else f": {held_text(held, self._past, route=group.route.path)}"
            return "ahead", at, f"{said}{more}"
        at = group.began
        return "not told", at, f"the group of {group.route.path} had nothing to tell {names((who,))}"


class _Foreseen(Past):
    """Another instant with the configuration that is in force at the one that is explained."""

    def __init__(self, past: Past, at: Instant) -> None:
        super().__init__(past.record, at)
        self.configuration = past.configuration


def _line(at: Instant, kind: str, what: str, because: str, **more: object) -> Line:
    return Line(str(at), kind, what, because, **more)  # type: ignore[arg-type]  # the fields of a line, by name


def _moved(event: IncidentMoved, before: Incident | None, then: Past) -> tuple[str, str, str]:
    """Kind, what happened, and why."""
    incident = event.incident
    name = f"{incident.service}.{incident.rule}"
    comment = f": {event.comment}" if event.comment else ""
    by = event.by or incident.acknowledged_by
    if before is not None and before.severity is not incident.severity:
        return "raised", f"its severity rose to {incident.severity}", cause_text(incident)
    match incident.state:
        case State.PENDING:
            return "breached", f"{name} was breached on {incident.series}", cause_text(incident)
        case State.OPEN if before is not None and before.state is State.ACKNOWLEDGED:
            return "expired", "it is open again", cause_text(incident)
        case State.OPEN:
            return "opened", f"{name} opened", _why_opened(incident, then)
        case State.ACKNOWLEDGED:
            until = then.taken_until
            ends = "it is over" if until is None else instant_text(until)
            return "acknowledged", f"{by} acknowledged it until {ends}", f"{by} took it on{comment}"
        case State.DROPPED:
            return (
                "dropped",
                "it ended before it opened",
                f"it recovered before `for` had passed; {cause_text(incident)}",
            )
        case _:
            why = f"{event.by} did so{comment}" if event.by else cause_text(incident)
            return str(incident.state), f"it was {incident.state}", why


def _why_opened(incident: Incident, then: Past) -> str:
    evidence = evidence_text(incident.evidence)
    holds_for = then.rule[1].holds_for if then.rule is not None else Duration(0)
    why = f"it was breached for {length_text(holds_for)} (`for`)" if holds_for else "the rule has no `for`"
    return f"{why}; {evidence}" if evidence else why


def _judged(routes: Iterable[Route], labels: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """What the tree of routes said, in its order."""
    taken = ""
    for route in routes:
        if taken:
            yield "route", f"{route.path} was not asked", f"{taken} matches, and does not continue"
            continue
        failing = [each for each in route.matchers if not each.holds(labels)]
        if failing:
            why = ", ".join(
                f"{matcher_text(each)} does not hold: it is {labels.get(each.label, '')!r}" for each in failing
            )
            yield "route", f"{route.path} does not match", why
            continue
        held = ", ".join(map(matcher_text, route.matchers))
        narrower = [each for each in route.routes if all_hold(each.matchers, labels)]
        what = f"{route.path} matches" + (", and leaves it to a narrower route" if narrower else "")
        more = ", and continues to the next" if route.proceed else ""
        yield "route", what, (f"{held} holds" if held else "it matches everything") + more
        yield from _judged(route.routes, labels)
        taken = "" if route.proceed else route.path


def _whom(then: Past, recipient: str) -> str:
    """Who a recipient led to: of a rota who was on call, and until when."""
    rota = then.rota(recipient)
    if rota is None:
        return f"it names {names((recipient,))}"
    people = oncall.who(rota, then.at)
    change = oncall.next_change(rota, then.at)
    until = "" if change is None else f" until {instant_text(change)}"
    who = f"{people[0]} was" if people else "nobody was"
    return f"{who} on call in {rota.name}{until}"


def _first_flush(group: Group, at: Instant) -> Line:
    why = f"`group_wait` is {length_text(group.route.wait)}"
    return _line(at, "flush", f"the group {group.id} was to tell first", why, group=group.id)


def _flush_at(group: Group, flush: Instant | None, due: Instant) -> Instant:
    """The first flush at or after an instant."""
    if flush is None or flush >= due:
        return flush or due
    if not group.route.interval:
        return due
    apart = int(group.route.interval)
    return flush.plus(Duration(-(-due.since(flush) // apart) * apart))


def _who(notice: Notice) -> str:
    return "the owners of the monitor" if notice.recipient == OWNERS else names((notice.recipient,))


def _article(page: Page) -> str:
    return f"{'an' if page[0] in 'aeiou' else 'a'} {page}"


def _about(notice: Notice, incident: str) -> str:
    others = [id for id in notice.news if id != incident]
    return f", together with {len(others)} other{'s' * (len(others) > 1)}" if others else ""


def _ended(who: str, outcome: str, detail: str) -> tuple[str, str]:
    """What became of an attempt or a notice, and why."""
    match outcome:
        case Delivery.DELIVERED:
            return f"the notice to {who} was delivered", detail or "the far side took it"
        case Delivery.PARKED:
            return f"the notice to {who} was parked: it is not tried again", detail or "the far side refused it"
        case Delivery.WITHHELD:
            return f"the notice to {who} was withheld", detail or "it was of no use any more"
        case Delivery.DELAYED:
            return f"the notice to {who} is delayed, and tried again", detail or "the far side did not take it yet"
        case "uncertain":
            return (
                f"it is uncertain whether the notice to {who} arrived",
                detail or "an attempt ended without an answer",
            )
        case _ if outcome.startswith("void"):
            return f"an end of the notice to {who} came too late to count", detail or "a younger attempt existed"
        case _:
            return (
                f"an attempt of the notice to {who} failed, and is made again",
                detail or "the far side did not take it",
            )
