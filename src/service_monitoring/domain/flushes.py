"""Flushes: what a group tells at an instant, to whom, and what is held back from whom.

A function of a group, its members and the instant. Does not know who stands behind a rota or why something is held (it
asks its `Surroundings`), nor when it is asked (`dispatch`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from service_monitoring.domain import groups
from service_monitoring.domain.configuration import Step
from service_monitoring.domain.groups import Group, Member, Taken, Word
from service_monitoring.domain.incidents import State
from service_monitoring.domain.instants import MINUTE, Duration, Instant
from service_monitoring.domain.matchers import all_hold
from service_monitoring.domain.notices import Facts, Held, Notice, Page, Withheld, notice_key, thread_key
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.samples import Series

_RANK: Final = {severity: rank for rank, severity in enumerate(Severity)}
_LOOK_AGAIN: Final = Duration(MINUTE)
"""How often it is looked at what is held, where there is no interval to do it at."""


class Surroundings(Protocol):
    """What a group asks about the world at an instant. Pure."""

    def why(self, group: Group, facts: Facts, at: Instant) -> Held | None:
        """Why nobody is told of an incident now, if there is a reason."""
        ...

    def who(self, recipients: Iterable[str], at: Instant) -> tuple[str, ...]:
        """People and channels that recipients lead to now, each once."""
        ...

    def channel(self, recipient: str, failed: int) -> str:
        """Through what somebody is told, when so many of their contacts failed."""
        ...

    def quiet_until(self, recipient: str, severities: frozenset[Severity], at: Instant) -> Instant | None:
        """Until when somebody is left alone; None when they are not, or one of the severities is excepted."""
        ...

    def planned(self, facts: Facts, at: Instant) -> str | None:
        """The maintenance that an incident is in at an instant, if it is in one."""
        ...


class Flushed(Struct, frozen=True):
    """A group after a flush, the members that changed, and what is told or held."""

    group: Group
    members: tuple[Member, ...]
    notices: tuple[Notice, ...]


def flush(
    group: Group,
    members: Mapping[str, Member],
    world: Surroundings,
    at: Instant,
    *,
    regular: bool = True,
    anew: str = "",
) -> Flushed:
    """Tell what there is to tell at `at`.

    A regular flush also repeats, and sets the next one. After a gap only the latest step that fell due is taken. The
    recipient `anew` is told again what is open: the last word about it did not arrive.
    """
    return _Flush(group, members, world, at).run(regular=regular, anew=anew)


class _Flush:
    """One flush on its way."""

    def __init__(self, group: Group, members: Mapping[str, Member], world: Surroundings, at: Instant) -> None:
        self._group = group
        self._before = members
        self._members = dict(sorted(members.items(), key=lambda item: item[1].joined))
        self._world = world
        self._at = at
        self._notices: list[Notice] = []
        self._wakes: Instant | None = None
        self._why = {
            id: member.blocked or world.why(group, member.facts, at)
            for id, member in self._members.items()
            if not member.gone and not (member.left and not member.over)
        }

    def run(self, *, regular: bool, anew: str) -> Flushed:
        """All of it."""
        carried = self._carry_over()
        free = [id for id, why in self._why.items() if why is None and self._members[id].wants]
        if self._group.renewed and (carried or free):
            self._group = replace(self._group if carried else groups.anew(self._group), renewed=False)
        if free and self._group.started is None:
            self._group = replace(self._group, started=self._at)
        called = self._take_steps(free) if free else {}
        told = (word.recipient for member in self._members.values() for word in member.words if word.severity)
        for recipient in dict.fromkeys((*self._group.reached, *told)):
            again = (regular and self._is_due_again(recipient)) or recipient == anew
            self._tell(recipient, free, again=again, called=called.get(recipient))
        if not self._group.reached and self._group.route.steps:
            for recipient in self._world.who(self._group.route.steps[0].recipients, self._at):
                self._hold(recipient)
        self._let_go()
        self._set_due(regular=regular)
        changed = tuple(member for id, member in self._members.items() if member is not self._before[id])
        return Flushed(self._group, changed, tuple(self._notices))

    def _carry_over(self) -> bool:
        """Compare the state before a maintenance with that after it: what was down is still down, and no news.

        Whether there was such. An incident that ended in it and the one that began in it after that are one to whoever
        heard of the first.
        """
        carried = False
        alive = {_subject(member.facts): id for id, member in self._members.items() if self._is_new(id)}
        for id, why in self._why.items():
            before = self._members[id]
            after = alive.get(_subject(before.facts))
            if why is not None or after is None or not (before.over and before.believed):
                continue
            if self._ended_and_began_in_one(before.facts, self._members[after].facts):
                for word in before.words:
                    if word.severity is not None:
                        self._members[after] = self._members[after].told(replace(word, held=None))
                self._members[id] = replace(before, words=())
                carried = True
        return carried

    def _is_new(self, id: str) -> bool:
        member = self._members[id]
        return not (member.over or member.left or member.gone or member.believed)

    def _ended_and_began_in_one(self, before: Facts, after: Facts) -> bool:
        if before.ended_at is None or after.opened_at is None:
            return False
        planned = self._world.planned(before, before.ended_at)
        return planned is not None and planned == self._world.planned(after, after.opened_at)

    def _take_steps(self, free: Sequence[str]) -> dict[str, int]:
        """Take the steps that are due; whom they call, and by which step.

        One that matches no incident is passed by, and taken as soon as it matches one.
        """
        group = self._group
        due = list(group.passed)
        while (when := group.step_due) is not None and when <= self._at:
            due.append(group.next_step)
            group = replace(group, next_step=group.next_step + 1)
        steps = group.route.steps
        taken = [number for number in due if steps and self._matches(steps[number % len(steps)], free)]
        group = replace(group, passed=tuple(number for number in due if number not in taken))
        if group.late is not None and group.taken:
            taken = taken[-1:]
        called: dict[str, int] = {}
        for number in taken:
            who = self._world.who(steps[number % len(steps)].recipients, self._at)
            group = replace(group, taken=(*group.taken, Taken(number, self._at, who)))
            called |= dict.fromkeys(who, number)
        self._group = group
        return called

    def _matches(self, step: Step, free: Sequence[str]) -> bool:
        return not step.matchers or any(all_hold(step.matchers, dict(self._members[id].facts.labels)) for id in free)

    def _tell(self, recipient: str, free: Sequence[str], *, again: bool, called: int | None) -> None:
        """One notice to a recipient, if there is anything new, or to be said again."""
        self._hold(recipient)
        known = {id: self._members[id].word(recipient).severity for id in self._why}
        opened = [id for id in free if known[id] is None and self._is_called(recipient, self._members[id])]
        raised = [id for id in free if _rose(known[id], self._members[id].facts.severity)]
        over = [id for id, why in self._why.items() if why is None and self._members[id].over and known[id] is not None]
        if over and not self._group.route.resolved:
            self._forget(recipient, over)
            over = []
        again = again and any(known[id] is not None for id in free)
        if not (opened or raised or over or again or (called is not None and free)):
            return
        news = [*opened, *raised, *over]
        until = self._world.quiet_until(
            recipient, frozenset(self._members[id].facts.severity for id in news or free), self._at
        )
        if until is not None:
            self._leave_alone(recipient, news, until)
            return
        number = self._notify(recipient, self._page(recipient, opened, raised, over, called=called), news, None)
        for id in [*opened, *raised]:
            word = Word(recipient, self._members[id].facts.severity, number)
            self._members[id] = self._members[id].told(word)
        self._forget(recipient, over)
        others = tuple(each for each in self._group.told_at if each[0] != recipient)
        self._group = replace(self._group, told_at=(*others, (recipient, self._at)))

    def _page(
        self, recipient: str, opened: Sequence[str], raised: Sequence[str], over: Sequence[str], *, called: int | None
    ) -> Page:
        """What is new about it, the more urgent first."""
        if opened:
            if all(self._members[id].word(recipient).held for id in opened):
                return Page.RELEASED
            return Page.ESCALATED if called else Page.FIRST
        if raised:
            return Page.RAISED
        if not over:
            return Page.REPEATED if called is None else Page.ESCALATED
        if any(not self._members[id].over and self._hears(recipient, self._members[id]) for id in self._why):
            return Page.UPDATED
        resolved = any(self._members[id].facts.state == State.RESOLVED for id in over)
        return Page.RECOVERED if resolved else Page.CLOSED

    def _hold(self, recipient: str) -> None:
        """Record for whom something is held from now on, or for another reason than before."""
        kept: dict[Held, list[str]] = {}
        for id in self._why:
            why = self._reason(id)
            if why is not None and self._is_kept_from(recipient, id, why):
                kept.setdefault(why, []).append(id)
        for why, news in kept.items():
            self._notify(recipient, self._held_page(recipient, news), news, why)
            self._note(recipient, news, why)

    def _reason(self, id: str) -> Held | None:
        member = self._members[id]
        if member.facts.state == State.ACKNOWLEDGED and not member.left:
            return self._why[id] or Held(Withheld.ACKNOWLEDGED, member.facts.taken_by)
        return self._why[id]

    def _is_kept_from(self, recipient: str, id: str, why: Held) -> bool:
        """Whether a recipient would hear of it but for this reason, and that is not on record yet."""
        member = self._members[id]
        word = member.word(recipient)
        if word.held == why:
            return False
        if member.over:
            return word.severity is not None
        if word.severity is None and not self._is_called(recipient, member):
            return False
        return not member.left and (word.severity is None or _rose(word.severity, member.facts.severity))

    def _is_called(self, recipient: str, member: Member) -> bool:
        """Whether a recipient hears of an incident that opens; before the first step is taken it is known to whom."""
        group = self._group
        steps = group.route.steps
        if not group.taken:
            return not steps or all_hold(steps[0].matchers, dict(member.facts.labels))
        for taken in group.taken:
            if recipient in taken.recipients and member.joined > taken.since:
                matchers = steps[taken.number % len(steps)].matchers if steps else ()
                if not matchers or all_hold(matchers, dict(member.facts.labels)):
                    return True
        return False

    def _hears(self, recipient: str, member: Member) -> bool:
        return member.word(recipient).severity is not None or self._is_called(recipient, member)

    def _held_page(self, recipient: str, news: Sequence[str]) -> Page:
        if all(self._members[id].over for id in news):
            return Page.RECOVERED
        return Page.FIRST if any(self._members[id].word(recipient).severity is None for id in news) else Page.RAISED

    def _leave_alone(self, recipient: str, news: Sequence[str], until: Instant) -> None:
        why = Held(Withheld.QUIET_HOURS, recipient)
        fresh = [id for id in news if self._members[id].word(recipient).held != why]
        if fresh:
            self._notify(recipient, self._held_page(recipient, fresh), fresh, why)
            self._note(recipient, fresh, why)
        if news:
            self._wakes = until if self._wakes is None else min(self._wakes, until)

    def _note(self, recipient: str, ids: Iterable[str], why: Held) -> None:
        for id in ids:
            word = self._members[id].word(recipient)
            self._members[id] = self._members[id].told(replace(word, held=why))

    def _forget(self, recipient: str, ids: Iterable[str]) -> None:
        """It is over, and the recipient knows."""
        for id in ids:
            self._members[id] = self._members[id].told(Word(recipient))

    def _is_due_again(self, recipient: str) -> bool:
        return any(
            who == recipient and told.plus(self._group.route.repeat) <= self._at for who, told in self._group.told_at
        )

    def _notify(self, recipient: str, page: Page, news: Sequence[str], held: Held | None) -> int:
        """One notice, about `news` first, then about whatever else is open. Its number."""
        others: list[str] = []
        if held is None:
            alive = [id for id, why in self._why.items() if why is None and not self._members[id].over]
            others = [id for id in alive if self._hears(recipient, self._members[id])]
        about = [self._members[id].facts for id in dict.fromkeys((*news, *others))]
        worst = sorted(range(len(about)), key=lambda place: (-_RANK[about[place].severity], place))
        lead = about[worst[0]] if page is not Page.FIRST or not news else self._members[news[0]].facts
        listed = [facts for facts in about if facts is not lead][: max(0, self._group.route.listed - 1)]
        number = self._group.sequence + 1
        group = self._group = replace(self._group, sequence=number)
        failed = next((count for who, count in group.failed if who == recipient), 0)
        channel = self._world.channel(recipient, failed)
        ended = sum(1 for id in news if self._members[id].over)
        self._notices.append(
            Notice(
                key=notice_key(group.id, recipient, channel, page, number),
                thread=thread_key(group.id, recipient, channel),
                group=group.id,
                sequence=number,
                recipient=recipient,
                channel=channel,
                page=page,
                decided_at=self._at,
                facts=lead,
                held=held,
                others=tuple(listed),
                open=len(about) - ended,
                over=ended,
                step=group.taken[-1].number if group.taken else 0,
                labels=group.labels,
                news=tuple(news),
            )
        )
        return number

    def _let_go(self) -> None:
        """Of what is over nothing more is told when everybody knows who believed it open."""
        for id, member in self._members.items():
            if not member.gone and (member.over or member.left) and not member.believed:
                self._members[id] = replace(member, gone=True, words=(), blocked=None, awaits=(), until=None)
        if all(member.gone for member in self._members.values()):
            self._group = replace(self._group, ended=True, due=None, wakes=None)

    def _set_due(self, *, regular: bool) -> None:
        wanting = sum(1 for member in self._members.values() if member.wants and not member.gone)
        group = groups.clocked(self._group, wanting, self._at)
        if not group.ended:
            group = replace(group, flushed=True, late=None)
            if not group.route.interval:
                group = replace(group, due=self._without_interval())
            elif regular:
                group = replace(group, due=self._at.plus(group.route.interval))
            group = replace(group, wakes=self._wakes)
        self._group = group

    def _without_interval(self) -> Instant | None:
        """Changes are told at once: only a repeat is waited for, and the end of a reason to hold."""
        group = self._group
        again = self._at.plus(_LOOK_AGAIN)
        due = [at.plus(group.route.repeat) for who, at in group.told_at if self._is_to_be_repeated(who)]
        if group.passed or any(why is not None for why in self._why.values()):
            due.append(again)
        # A repeat that was due and is still held is asked for again, but not at this very instant.
        return min((again if at <= self._at else at for at in due), default=None)

    def _is_to_be_repeated(self, recipient: str) -> bool:
        return any(member.wants and member.word(recipient).severity for member in self._members.values())


def _rose(known: Severity | None, now: Severity) -> bool:
    return known is not None and _RANK[now] > _RANK[known]


def _subject(facts: Facts) -> tuple[str, str, Series | None]:
    return facts.service, facts.rule, facts.series
