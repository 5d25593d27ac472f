"""Groups: incidents that are told together, what each recipient heard last, and how far an escalation is.

Knows incidents by their facts, and the terms of a route. Everything here is a value, or a function of values and an
instant. Does not know which incidents go by which route (`routing`), what is told at a flush (`flushes`), nor when
(`dispatch`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from service_monitoring.domain.configuration import Route
from service_monitoring.domain.incidents import FINAL, State
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.notices import Facts, Held
from service_monitoring.domain.rules import Severity

Labels = tuple[tuple[str, str], ...]


class Word(Struct, frozen=True):
    """What a recipient heard last of one incident.

    `severity` is that under which it was told to be open, None where it was not, or where it was told to be over; `by`
    is the number of the notice that said so. `held` is why nothing was said, as it was recorded last.
    """

    recipient: str
    severity: Severity | None = None
    by: int = 0
    held: Held | None = None


class Member(Struct, frozen=True):
    """An incident in a group. `facts` are the newest; it has `left` when another group tells of it now.

    `blocked` is why nobody is told whatever the instant: a parent, or flapping. While `awaits` names checks, a run of
    each is waited for, `until` then at most.
    """

    group: str
    joined: int
    facts: Facts
    words: tuple[Word, ...] = ()
    blocked: Held | None = None
    awaits: tuple[str, ...] = ()
    until: Instant | None = None
    left: bool = False
    gone: bool = False

    @property
    def incident(self) -> str:
        """Its id."""
        return self.facts.incident

    @property
    def over(self) -> bool:
        """Whether the incident has ended."""
        return self.facts.state in FINAL

    @property
    def wants(self) -> bool:
        """Whether somebody should hear that it is open: nobody has taken it on."""
        return self.facts.state == State.OPEN and not self.left

    def word(self, recipient: str) -> Word:
        """What a recipient heard last."""
        return next((word for word in self.words if word.recipient == recipient), Word(recipient))

    def told(self, word: Word) -> Member:
        """With this last word."""
        others = tuple(each for each in self.words if each.recipient != word.recipient)
        nothing = word.severity is None and word.held is None
        return replace(self, words=others if nothing else (*others, word))

    @property
    def believed(self) -> bool:
        """Whether somebody was told that it is open, and not that it is over."""
        return any(word.severity is not None for word in self.words)


class Taken(Struct, frozen=True):
    """A step of the escalation that was taken, and who it led to at that instant.

    Where a reload gave it other recipients, these hear of incidents that joined as number `since` and later.
    """

    number: int
    at: Instant
    recipients: tuple[str, ...]
    since: int = 0


class Group(Struct, frozen=True):
    """One episode: from the first of its incidents until the last is over and that was told.

    `route` are its terms; without a path it is one that the configuration no longer has. `due` is the next flush,
    `wakes` one out of turn, because somebody's quiet hours end, `late` another, for what fell due in a gap.
    The clock of the escalation runs from `started` (the first notice) while an incident is open that nobody has taken
    on: `paused` is how long it stood still, `stopped` since when it does; it is `renewed` when all were over and
    another joined. `passed` are steps that were due and that no incident matched. `failed` counts the contacts of a
    person that could not be reached.
    """

    id: str
    route: Route
    labels: Labels
    began: Instant
    due: Instant | None
    flushed: bool = False
    wakes: Instant | None = None
    late: Instant | None = None
    sequence: int = 0
    joined: int = 0
    started: Instant | None = None
    stopped: Instant | None = None
    paused: Duration = Duration(0)
    renewed: bool = False
    taken: tuple[Taken, ...] = ()
    next_step: int = 0
    passed: tuple[int, ...] = ()
    told_at: tuple[tuple[str, Instant], ...] = ()
    failed: tuple[tuple[str, int], ...] = ()
    ended: bool = False

    @property
    def reached(self) -> tuple[str, ...]:
        """Everybody whom the escalation has come to, in that order."""
        return tuple(dict.fromkeys(recipient for step in self.taken for recipient in step.recipients))

    @property
    def step_due(self) -> Instant | None:
        """When the next step of the escalation is due; None while its clock stands still, and after the last."""
        if (
            self.started is None
            or self.renewed
            or self.stopped is not None
            or self.next_step >= len(self.route.steps) * self.route.rounds
        ):
            return None
        return self.started.plus(Duration(self.paused + after(self.route, self.next_step)))


def identity(route: str, labels: Labels, first: str, again: Instant | None = None) -> str:
    """The id that every run derives: of the route, the labels, and the first incident.

    One that comes by a route for another reason than that it opened may have come by it before: `again` is when.
    """
    text = "\n".join((route, *(f"{name}={value}" for name, value in labels), first, *([str(again)] if again else [])))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def begin(route: Route, labels: Labels, first: Facts, at: Instant, *rest: Instant) -> Group:
    """A group of which `first` will be the first incident; `rest` is when it comes by this route if not as it opens."""
    return Group(identity(route.path, labels, first.incident, *rest), replace(route, routes=()), labels, at, None)


def joined(group: Group, facts: Facts, alive: int, at: Instant) -> tuple[Group, Member]:
    """With one more incident. The wait runs from the first; the first flush is at once where it is over for any.

    Where none of the others is `alive` their escalation is over: another one begins with the next flush.
    """
    if not alive and group.started is not None:
        group = replace(group, renewed=True)
    if not group.flushed:
        opened = facts.opened_at or at
        over = opened.plus(group.route.wait) <= at
        group = replace(group, due=at if over else group.due or at.plus(group.route.wait))
    group = replace(group, joined=group.joined + 1)
    return group, Member(group.id, group.joined, facts)


def after(route: Route, number: int) -> Duration:
    """How long after the first notice a step is due, later rounds included.

    A further round begins as long after the last step as that came after the one before; `repeat` after it, where there
    is one step, or where the last two come together.
    """
    round_, place = divmod(number, len(route.steps))
    last = route.steps[-1].after
    apart = last - route.steps[-2].after if len(route.steps) > 1 else 0
    return Duration(route.steps[place].after + round_ * (last + (apart or route.repeat)))


def revised(group: Group, route: Route, who: Callable[[Iterable[str]], tuple[str, ...]], at: Instant) -> Group:
    """On other terms. Steps that lead to others now do so for incidents to come: what is open was told to those before.

    Who is no longer called hears of what they know, to its end.
    """
    steps = tuple((step.recipients, step.matchers) for step in group.route.steps)
    wanted = tuple((step.recipients, step.matchers) for step in route.steps)
    taken = group.taken
    if steps != wanted:
        taken = tuple(
            each if _step(steps, each.number) == _step(wanted, each.number) else _retaken(group, each, route, who)
            for each in taken
        )
    due = group.due
    if due is None and route.interval:
        due = at.plus(route.interval)  # without an interval nothing was waited for
    return replace(group, route=replace(route, routes=()), taken=taken, due=due)


def anew(group: Group) -> Group:
    """The same group, with an escalation that has not begun."""
    return replace(group, started=None, stopped=None, paused=Duration(0), taken=(), next_step=0, passed=())


def _step(steps: Sequence[object], number: int) -> object:
    return steps[number % len(steps)] if steps else None


def _retaken(group: Group, step: Taken, route: Route, who: Callable[[Iterable[str]], tuple[str, ...]]) -> Taken:
    recipients = who(route.steps[step.number % len(route.steps)].recipients) if route.steps else ()
    return replace(step, recipients=recipients, since=group.joined)


def clocked(group: Group, wanting: int, at: Instant) -> Group:
    """The escalation's clock stands still while nobody need be called: everything is taken on, or over.

    `wanting` counts the incidents of which somebody should hear.
    """
    if group.started is None:
        return group
    running = wanting > 0
    if running and group.stopped is not None:
        return replace(group, stopped=None, paused=Duration(group.paused + at.since(group.stopped)))
    if not running and group.stopped is None:
        return replace(group, stopped=at)
    return group
