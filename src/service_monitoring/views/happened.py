"""What happened to an incident up to an instant, and to every notice about it, each with its reason.

Knows what is on record. Does not know what is due (`ahead`), nor how each recipient stands (`explain`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from service_monitoring.domain.configuration import Route
from service_monitoring.domain.events import IncidentMoved, IncidentNoted
from service_monitoring.domain.groups import Group
from service_monitoring.domain.incidents import Incident, State
from service_monitoring.domain.inputs import Act, Delivery
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.matchers import all_hold, matcher_text
from service_monitoring.domain.notices import Notice, Page
from service_monitoring.views.because import (
    PAGES,
    cause_text,
    evidence_text,
    held_text,
    instant_text,
    length_text,
    through,
    to_whom,
    whom,
)
from service_monitoring.views.explanation import Line, first_flush, line
from service_monitoring.views.on_record import Past, Sent, names


class Happened:
    """One incident's story up to an instant."""

    def __init__(self, past: Past) -> None:
        self._past = past
        self._record = past.record
        self._at = past.at

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
                yield line(event.decided_at, *_moved(event, before, self._past.as_of(event.decided_at)))
                before = event.incident
            elif isinstance(event, IncidentNoted):
                what = f"it was assigned to {event.to}" if event.act is Act.ASSIGN else "a text was noted on it"
                yield line(event.decided_at, "noted", what, f"{event.by} did so: {event.text}".removesuffix(": "))
            else:
                said = "began to flap" if event.flapping else "flaps no more"
                why = f"{event.percent:g} % of its last verdicts are changes"
                yield line(event.decided_at, "flapping", f"the series {said}", why)

    def _gaps(self) -> Iterator[Line]:
        for gap in self._record.gaps:
            if gap.began <= self._at:
                yield line(gap.began, "gap", "nobody was watching from here on", f"there was a gap ({gap.cause})")
            if gap.ended is not None and gap.ended <= self._at:
                yield line(gap.ended, "gap", "watching went on", "the gap was over")

    def _routes(self) -> Iterator[Line]:
        """How it was routed when it opened, and again whenever that changed."""
        incident = self._past.incident
        if incident is None or incident.opened_at is None:
            return
        if incident.draft:
            yield line(
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
                yield from (line(at, *each) for each in judged)
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
        yield line(joined, "joined", what, why, group=group.id, incidents=others)
        first = self._past.first_flush(group)
        if joined <= first <= self._at:
            yield first_flush(group, first)

    def _steps(self, group: Group, person: str) -> Iterator[Line]:
        for taken in group.taken:
            if taken.at > self._at or not group.route.steps:
                continue
            then = self._past.as_of(taken.at)
            wanted = group.route.steps[taken.number % len(group.route.steps)].recipients
            number = taken.number + 1
            why = "; ".join(whom(then, each) for each in wanted)
            what = f"step {number} of {group.route.path} called {names(taken.recipients)}"
            yield line(taken.at, "step", what, why, people=taken.recipients, group=group.id, step=number)
            if person and person not in taken.recipients and then.leads_to(wanted, person):
                what = f"step {number} of {group.route.path} did not call {names((person,))}"
                yield line(taken.at, "not_on_call", what, why, people=(person,), group=group.id, step=number)

    def _notice(self, sent: Sent) -> Iterator[Line]:
        notice = sent.notice
        then = self._past.as_of(notice.decided_at)
        more: dict[str, object] = {"people": (notice.recipient,), "notice": notice.key, "group": notice.group}
        way = through(notice.channel, notice.recipient)
        step = notice.step + 1 if notice.page not in {Page.FLAPPING, Page.STEADY, Page.OWNER} else None
        if notice.held is not None:
            what = f"{to_whom(notice)} was not told{way} ({notice.page} notice)"
            why = held_text(notice.held, then, route=self._past.route_of(notice))
            yield line(
                notice.decided_at, "held", what, why, state="held",
                held=str(notice.held.reason), by=notice.held.by, step=step, **more,
            )  # fmt: skip
            return
        state, _, _, _ = self._past.became(sent)
        what = (
            f"{_article(notice.page)} notice to {to_whom(notice)} was decided{way}{f', at step {step}' if step else ''}"
        )
        why = f"{PAGES.get(notice.page, notice.page)}{_about(notice, self._record.incident.id)}"
        yield line(notice.decided_at, "notice", what, why, state=state, step=step, **more)
        yield from self._outcomes(sent, more)

    def _outcomes(self, sent: Sent, more: dict[str, object]) -> Iterator[Line]:
        """What became of it, attempt by attempt. An end that decisions learnt is told once."""
        notice = sent.notice
        mine = [each for each in self._record.outcomes if each.settled.notice == notice.key and each.at <= self._at]
        learnt = {str(each.settled.delivery) for each in mine}
        for attempt in sent.attempts:
            if attempt.at > self._at or attempt.outcome in learnt:
                continue
            what, why = _ended(to_whom(notice), attempt.outcome, attempt.detail)
            yield line(attempt.at, "outcome", what, why, state=attempt.outcome, **more)
        for outcome in mine:
            settled, then = outcome.settled, self._past.as_of(outcome.at)
            reason = settled.detail if settled.held is None else held_text(settled.held, then)
            what, why = _ended(to_whom(notice), str(settled.delivery), reason)
            why += ", and an attempt before it may have arrived" if settled.uncertain else ""
            held, by = ("", "") if settled.held is None else (str(settled.held.reason), settled.held.by)
            yield line(outcome.at, "outcome", what, why, state=str(settled.delivery), held=held, by=by, **more)


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
