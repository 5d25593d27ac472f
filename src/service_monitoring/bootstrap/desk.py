"""The desk of this installation: what faces ask is read from the embedded store, what they tell is admitted.

Knows the store and the shapes of `views.desk`. Does not decide anything.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

import service_monitoring
from service_monitoring.bootstrap.figures import budgets_of, uptime_of
from service_monitoring.bootstrap.keys import Keyring
from service_monitoring.domain.configuration import Configuration, Service
from service_monitoring.domain.course import Course
from service_monitoring.domain.incidents import FINAL, Incident, State
from service_monitoring.domain.inputs import Acted, Input, Requeued, Retired, Silenced, Unsilenced
from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.domain.matchers import Matcher, all_hold
from service_monitoring.domain.notices import Notice
from service_monitoring.domain.rules import Rule
from service_monitoring.domain.silences import Wanted
from service_monitoring.errors import NotFound, Refused, Unavailable
from service_monitoring.ports import Clock, Drafts, Ended, Ping
from service_monitoring.storage.reading import Posted, Waiting
from service_monitoring.storage.reading import Wanted as Notices
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.views.desk import (
    IncidentDetail,
    NoticeDetail,
    OutboxRow,
    Reloaded,
    Status,
    Telling,
    TriedRow,
    condition_now,
    row,
    transitions,
)
from service_monitoring.views.explain import explain
from service_monitoring.views.explanation import Explanation
from service_monitoring.views.figures import BudgetRow, UptimeRow
from service_monitoring.views.incidents import EVERY, IncidentRow, Narrow
from service_monitoring.views.intake import KeyRow, NewKey, PingRow, as_text
from service_monitoring.views.maintenance import MaintenanceRow, maintenance_row
from service_monitoring.views.rules import RuleDetail, RuleRow, rule_row, series_rows
from service_monitoring.views.silences import (
    EVERY_SILENCE,
    LATELY,
    MOST_MATCHED,
    SilencePage,
    SilencePreview,
    SilenceRow,
    labels_now,
    preview_of,
    silence_row,
)
from service_monitoring.views.wording import render_summary

_ACTS: Final = re.compile(r"(/act/)[A-Za-z0-9_.=-]+")


class StoreDesk:
    """`views.desk.Desk` over a store. Belongs to its loop; reads never wait for writes.

    `course` gives the course as it stands, `ask` admits an input and returns when it is kept. `vitals` gives what only
    a running program knows: its loops, queues, polling and trouble.
    """

    def __init__(
        self,
        store: SqliteStore,
        *,
        course: Callable[[], Course],
        ask: Callable[[Input], Awaitable[object]],
        vitals: Callable[[], dict[str, Any]] | None = None,
        keyring: Keyring | None = None,
        configured: Configuration | None = None,
        reload: Callable[[], Awaitable[Reloaded]] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`configured` is what the file says where no program runs: keys may be made before the first start.

        `clock` says whether a silence has ended; without one that is asked at the last instant that is decided.
        """
        self._store = store
        self._keyring = keyring
        self._reload = reload
        self._configured = configured
        self._now = course
        self._ask = ask
        self._vitals = vitals
        self._clock = clock

    async def incidents(
        self,
        *,
        states: Sequence[State],
        service: str | None,
        limit: int,
        drafts: Drafts = Drafts.LEFT_OUT,
        narrow: Narrow = EVERY,
        after: str = "",
    ) -> list[IncidentRow]:
        """Newest first."""
        found = await self._store.listed(
            states=states, service=service, limit=limit, after=after or None, drafts=drafts, narrow=narrow
        )
        around = self._around()
        return [row(each.incident, each.until, around(each.incident)) for each in found]

    async def incident(self, id: str) -> IncidentDetail:
        """One of them."""
        story = await self._store.incident(id)
        return IncidentDetail(
            incident=row(story.incident, story.until, self._configuration),
            breached_at=str(story.incident.breached_at),
            previous=story.incident.previous,
            transitions=tuple(transitions(story.events)),
            notices=tuple(_telling(posted) for posted in story.notices),
            condition=condition_now(story.incident, self._configuration),
        )

    async def explain(self, id: str, at: Instant | None, person: str) -> Explanation:
        """Who was told of it by an instant, who was not, and why."""
        return explain(await self._store.on_record(id), self._at if at is None else at, person=person)

    async def act(self, act: Acted) -> IncidentRow:
        """Do what a person wants done; returns the incident as it is then."""
        whole = (await self._store.incident(act.incident)).incident.id
        await self._ask(replace(act, incident=whole))
        return (await self.incident(whole)).incident

    async def retire(self, retired: Retired) -> None:
        """Retire a rule."""
        await self._ask(retired)

    async def silences(self, *, ended: Ended, page: SilencePage = EVERY_SILENCE) -> list[SilenceRow]:
        """The latest to end first."""
        at = self._at
        wanted = replace(page, state="current") if ended is Ended.LEFT_OUT and not page.state else page
        return [silence_row(each, at) for each in await self._store.silences(wanted, at)]

    async def silence(self, wanted: Wanted) -> SilenceRow:
        """Make a silence."""
        await self._ask(Silenced(wanted))
        # Somebody may have said the very same before: the one that begins last is this one, or as good.
        said = (wanted.matchers, wanted.author, wanted.comment)
        made = [each for each in self._course.silences() if (each.matchers, each.author, each.comment) == said]
        return silence_row(max(made, key=lambda each: (each.begins, each.ends)), self._at)

    async def expire(self, id: str, by: str) -> SilenceRow:
        """End a silence."""
        whole = (await self._store.silence(id)).id
        await self._ask(Unsilenced(whole, by))
        return silence_row(await self._store.silence(whole), self._at)

    async def extend(self, id: str, by: str, length: Duration) -> SilenceRow:
        """Let a silence end so much later."""
        known = await self._store.silence(id)
        if known.ends <= self._at:
            raise Refused(f"the silence {known.id} ended at {known.ends}: make another one")
        # The one after it is there before it ends: nothing is told in between, whatever stops this half way.
        ends = known.ends.plus(length)
        longer = await self.silence(Wanted(known.matchers, by, known.comment, known.begins, ends))
        await self._ask(Unsilenced(known.id, by))
        return longer

    async def maintenance(self) -> list[MaintenanceRow]:
        """The planned work of the configuration."""
        if not self._configuration.maintenances:
            return []
        at, around = self._at, self._around()
        alive = [each for each in self._course.incidents() if each.opened_at is not None and not each.draft]
        labels = [labels_now(each, around(each)) for each in alive]
        return [maintenance_row(each, at, labels) for each in self._configuration.maintenances]

    async def preview(self, matchers: tuple[Matcher, ...]) -> SilencePreview:
        """Which incidents these matchers match."""
        since = self._at.plus(Duration(-LATELY))
        around, lately = self._around(), await self._store.lately(since, limit=MOST_MATCHED)
        rows = [row(each, None, around(each)) for each in lately if all_hold(matchers, labels_now(each, around(each)))]
        return preview_of(matchers, since, [each for each in rows if each.resolved_at is None], rows)

    async def outbox(
        self, *, states: Sequence[str], limit: int, channel: str = "", text: str = "", before: int | None = None
    ) -> list[OutboxRow]:
        """The latest decided first."""
        wanted = Notices(tuple(states), channel=channel, text=text, before=before)
        return [_outbox_row(each) for each in await self._store.waiting(wanted, limit=limit)]

    async def notice(self, key: str) -> NoticeDetail:
        """One notice with its text and attempts."""
        found = await self._noticed(key)
        posted = next(iter(await self._store.posted(found.notice)), None)
        message = None if posted is None else posted.message
        held = found.notice.held
        return NoticeDetail(
            notice=_outbox_row(found),
            recipient=found.notice.recipient,
            group=found.notice.group,
            thread=found.notice.thread,
            held="" if held is None else f"{held.reason} by {held.by}",
            incidents=found.notice.news or ((found.notice.facts.incident,) if found.notice.facts.incident else ()),
            subject="" if message is None else _without_acts(message.subject),
            body="" if message is None else _without_acts(message.body),
            degraded="" if message is None else message.degraded,
            attempts=tuple(
                TriedRow(each.attempt, each.outcome, each.detail, str(each.at))
                for each in (() if posted is None else posted.attempts)
            ),
        )

    async def requeue(self, requeued: Requeued) -> OutboxRow:
        """Have a parked notice sent once more; returns it as it is then."""
        found = await self._noticed(requeued.notice)
        notice, state = found.notice, found.state
        if state != "parked":
            raise Refused(f"the notice {notice.key[:16]} is {state}: only a parked one can be sent once more")
        await self._ask(replace(requeued, notice=notice.key))
        return _outbox_row((await self._store.waiting(Notices(key=notice.key), limit=1))[0])

    async def _noticed(self, key: str) -> Waiting:
        found = await self._store.waiting(Notices(key=key), limit=2) if key else []
        if not found:
            raise NotFound(f"there is no notice {key!r}: `service-monitoring outbox list` names them")
        if len(found) > 1:
            raise Refused(f"several notices begin with {key!r}: write more of the key")
        return found[0]

    async def rules(
        self, *, service: str | None = None, after: tuple[str, str] | None = None, limit: int | None = None
    ) -> list[RuleRow]:
        """Rules, by service; what stands on another page is not looked at."""
        wanted = islice(self._rules_after(service, after), limit)
        found: list[RuleRow] = []
        for name, rules in groupby(wanted, lambda each: each.service):
            policy = self._course.policy(name)
            alive = list(policy.incidents())
            found += [
                rule_row(rule, policy.lifecycle(rule.name), policy.verdicts(rule.name).values(), alive)
                for rule in rules
            ]
        return found

    def _rules_after(self, service: str | None, after: tuple[str, str] | None) -> Iterator[Rule]:
        first, last = after or ("", "")
        some = [each for each in self._configuration.services if service in {None, each.name} and each.name >= first]
        for each in sorted(some, key=lambda known: known.name):
            names = [rule.name for rule in each.rules]
            if each.name != first:
                yield from each.rules
            elif last in names:
                yield from each.rules[names.index(last) + 1 :]
            else:
                raise Refused(f"the rule {first}.{last} has gone meanwhile: begin with the first page")

    async def rule(self, service: str, rule: str) -> RuleDetail:
        """One of them with its series."""
        found = next(
            (
                each
                for known in self._configuration.services
                if known.name == service
                for each in known.rules
                if each.name == rule
            ),
            None,
        )
        if found is None:
            raise NotFound(f"there is no rule {service}.{rule}: `service-monitoring rules list` names them")
        policy, at = self._course.policy(service), self._course.progress.judged.at
        alive = {each.id: each for each in policy.incidents() if each.rule == rule}
        standings = policy.standings(rule)
        row = rule_row(found, policy.lifecycle(rule), policy.verdicts(rule).values(), alive.values())
        held = await self._store.held_back(list(alive))
        return RuleDetail(row, str(at), series_rows(standings, alive, held, at))

    async def uptime(self, service: str, began: Instant | None, ended: Instant | None) -> UptimeRow:
        """How a service was."""
        return await uptime_of(self._store, self._course, self._service(service), began, ended)

    async def budgets(self, service: str) -> list[BudgetRow]:
        """What is left of its error budgets."""
        return await budgets_of(self._store, self._course, self._service(service))

    async def status(self) -> Status:
        """How it is."""
        services = self._configuration.services
        sizes = self._store.sizes()
        counted = {str(state): 0 for state in State if state not in FINAL}
        for (state, _), number in (await self._store.alive()).items():
            counted[state] += number
        return Status(
            version=service_monitoring.__version__,
            running=self._vitals is not None,
            services=len(services),
            checks=sum(len(service.checks) for service in services),
            rules=sum(len(service.rules) for service in services),
            incidents=counted,
            outbox=await self._store.outbox(),
            judged_until=str(self._course.progress.judged.at),
            sizes={"facts": sizes.facts, "samples": sizes.samples},
            **(self._vitals() if self._vitals is not None else {}),
        )

    async def backup(self, target: str) -> str:
        """Write a backup to a new file, named by its whole path; `Refused` for any other."""
        path = Path(target)
        if not path.is_absolute():
            raise Refused("name the file by its whole path, as /var/backups/monitor.backup: here nothing is relative")
        await self._store.backup(path)
        return str(path)

    async def reload(self) -> Reloaded:
        """Read the configuration again."""
        if self._reload is None:
            raise Unavailable("no program runs here: the file is read when one starts")
        return await self._reload()

    async def pings(self, check: str, *, limit: int) -> list[PingRow]:
        """The newest reports to a check."""
        service, _, name = check.partition(".")
        found = await self._store.pings(service, name, limit=limit)
        every = (each.id for configured in self._known.services for each in configured.checks)
        if not found and check not in every:
            raise NotFound(f"there is no check {check}")
        return [_ping(ping) for ping in found]

    async def keys(self) -> list[KeyRow]:
        """The keys that open something."""
        return self._keys.rows()

    async def create_key(self, check: str) -> NewKey:
        """The first key of a check."""
        return await self._keys.create(check, self._known)

    async def rotate_key(self, check: str, overlap: Duration) -> NewKey:
        """Another key for a check."""
        return await self._keys.rotate(check, self._known, overlap)

    async def revoke_key(self, check: str) -> int:
        """Forget all keys of a check."""
        return await self._keys.revoke(check)

    def _service(self, name: str) -> Service:
        found = next((each for each in self._configuration.services if each.name == name), None)
        if found is None:
            raise NotFound(f"there is no service {name}")
        return found

    def _around(self) -> Callable[[Incident], Configuration]:
        """So much of the configuration as is about an incident's service: a list must not look through all for each."""
        services = {service.name: service for service in self._configuration.services}

        def around(incident: Incident) -> Configuration:
            found = services.get(incident.service)
            return Configuration() if found is None else Configuration((found,))

        return around

    @property
    def _keys(self) -> Keyring:
        if self._keyring is None:
            raise Unavailable("this desk has no keys")
        return self._keyring

    @property
    def _at(self) -> Instant:
        return self._course.progress.judged.at if self._clock is None else self._clock.now()

    @property
    def _known(self) -> Configuration:
        return self._configuration if self._configured is None else self._configured

    @property
    def _course(self) -> Course:
        return self._now()

    @property
    def _configuration(self) -> Configuration:
        return self._course.configuration


def _ping(ping: Ping) -> PingRow:
    report, enclosed = ping.report, ping.enclosed
    return PingRow(
        at=str(ping.stamp.at),
        signal=report.signal,
        run=report.run,
        exit_code=report.exit_code,
        body=as_text(enclosed.content),
        cut=enclosed.cut,
    )


def _outbox_row(waiting: Waiting) -> OutboxRow:
    facts = waiting.notice.facts
    return OutboxRow(
        key=waiting.notice.key,
        channel=waiting.notice.channel,
        page=waiting.notice.page,
        service=facts.service,
        rule=facts.rule,
        incident=facts.incident,
        summary=render_summary(facts) if facts.incident else facts.summary,
        decided_at=str(waiting.notice.decided_at),
        state=waiting.state,
        attempts=waiting.attempt,
        next_at=None if waiting.due_at is None else str(waiting.due_at),
        detail=waiting.detail,
        since=str(waiting.since),
        position=waiting.position,
    )


def _without_acts(text: str) -> str:
    """A text without what lets its reader act: whoever looks at the outbox may not be who was told."""
    return _ACTS.sub(r"\1...", text)


def _telling(posted: Posted) -> Telling:
    notice: Notice = posted.notice
    return Telling(
        key=notice.key,
        channel=notice.channel,
        page=notice.page,
        decided_at=str(notice.decided_at),
        held="" if notice.held is None else f"{notice.held.reason} by {notice.held.by}",
        state=posted.state,
        attempts=posted.attempt,
        detail=posted.attempts[-1].detail if posted.attempts else "",
        recipient=notice.recipient,
    )
