"""The desk of status pages: what is public of this installation, put together from the store and the course.

Knows which services a page shows, and asks for those alone. What it hands out has public names; a page that there is
not and a service that is on none are the same to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from typing import Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from service_monitoring.domain.configuration import Service
from service_monitoring.domain.course import Course
from service_monitoring.domain.instants import DAY, MINUTE, NANOSECOND, SECOND, Duration, Instant
from service_monitoring.domain.maintenance import Maintenance, covers, windows
from service_monitoring.domain.rules import Severity
from service_monitoring.domain.uptime import FOR_EVER, Condition, Known, Span, timeline
from service_monitoring.errors import NotFound
from service_monitoring.ports import Clock, Tick
from service_monitoring.runtime.turns import Latest, Turns
from service_monitoring.settings import PublicService, StatusPageSettings
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.views.days import DayRow, Days
from service_monitoring.views.status import (
    STATES,
    GroupStatus,
    HistoryView,
    PublicIncident,
    PublicState,
    PublicWork,
    ServiceStatus,
    StatusView,
    overall,
    sentence,
    uptime_share,
)

T = TypeVar("T")

FRESH: Final = Duration(15 * SECOND)
"""How old an answer may be. A flood of visitors costs one answer in that time."""
LATELY: Final = Duration(14 * DAY)
AHEAD: Final = Duration(14 * DAY)
_MONTHS: Final = 14
_MOST_WINDOWS: Final = 5
"""Of one planned work that are shown."""
_PATIENCE: Final = Duration(2 * SECOND)
"""How long a page waits for its days to be counted."""
_UNWATCHED: Final = Duration(2 * MINUTE)
"""Where nothing was decided for so long, nobody knows how anything is."""
_BAD: Final = (Condition.DOWN, Condition.DEGRADED)


class StatusPages(Struct, frozen=True):
    """What the file says about status pages: the pages, what planned work is called, and where people reach us."""

    pages: Sequence[StatusPageSettings]
    work: Mapping[str, str]
    url: str = ""


class StoreStatus:
    """`views.status.StatusDesk` over a store. Belongs to its loop; one answer is made at a time."""

    def __init__(
        self,
        store: SqliteStore,
        days: Days,
        clock: Clock,
        *,
        course: Callable[[], Course],
        pages: Callable[[], StatusPages],
    ) -> None:
        """`pages` gives what the file says now."""
        self._store = store
        self._days = days
        self._clock = clock
        self._course = course
        self._pages = pages
        self._said: StatusPages | None = None
        self._kept: dict[tuple[str, str], tuple[Tick, StatusView | HistoryView]] = {}
        self._counted: dict[str, Latest[Mapping[str, tuple[DayRow, ...]]]] = {}
        self._turns = Turns()

    async def page(self, name: str) -> StatusView:
        """A page."""
        page = self._page(name)
        found = self._fresh(name, "")
        if found is None:
            async with self._turns:
                found = self._fresh(name, "") or self._keep(name, "", await self._view(page))
        assert isinstance(found, StatusView)
        return found

    async def history(self, name: str, month: str) -> HistoryView:
        """Its incidents of a month."""
        page, months = self._page(name), list(self._months())
        month = month or months[0]
        if month not in months:
            raise NotFound(_NOTHING)
        found = self._fresh(name, month)
        if found is None:
            async with self._turns:
                found = self._fresh(name, month) or self._keep(name, month, await self._month(page, month, months))
        assert isinstance(found, HistoryView)
        return found

    def _page(self, name: str) -> StatusPageSettings:
        said = self._pages()
        if said is not self._said and said != self._said:
            self._kept, self._counted = {}, {}
        self._said = said
        found = next((each for each in said.pages if each.name == name), None)
        if found is None:
            raise NotFound(_NOTHING)
        return found

    def _fresh(self, name: str, part: str) -> StatusView | HistoryView | None:
        made, found = self._kept.get((name, part), (None, None))
        return found if made is not None and self._clock.tick().since(made) < FRESH else None

    def _keep(self, name: str, part: str, view: StatusView | HistoryView) -> StatusView | HistoryView:
        self._kept[name, part] = (self._clock.tick(), view)
        return view

    async def _view(self, page: StatusPageSettings) -> StatusView:
        now = self._now()
        days = await self._days_of(page)
        states = {each.service: await self._state(each) for each in _services(page)}
        groups = tuple(
            GroupStatus(group.name, tuple(_status(each, states[each.service], days) for each in group.services))
            for group in page.groups
        )
        incidents = await self._incidents(page, now.plus(Duration(-LATELY)), now)
        state, headline = overall(list(states.values()))
        return StatusView(
            page=page.name,
            title=page.title,
            description=page.description,
            url=page.url or (f"{self._pages().url}/status/{page.name}" if self._pages().url else ""),
            at=_text(now),
            state=state,
            headline=headline,
            history_days=page.history_days,
            complete=days is not None,
            groups=groups,
            open=tuple(each for each in incidents if each.ended_at is None),
            work=tuple(self._work(page, now)),
            past=tuple(each for each in incidents if each.ended_at is not None),
        )

    async def _days_of(self, page: StatusPageSettings) -> Mapping[str, tuple[DayRow, ...]] | None:
        """The days of all its services; None while they are still counted for the first time."""
        if page.name not in self._counted:
            names = [each.service for each in _services(page)]
            make = lambda: self._days.days(names, page.history_days)  # noqa: E731 - it is handed on at once
            self._counted[page.name] = Latest(make, self._clock, fresh=FRESH)
        return await self._counted[page.name].get(_PATIENCE)

    async def _state(self, shown: PublicService) -> PublicState:
        """How a service is now: as its uptime has it, at the instant to which everything is decided."""
        service, judged = self._service(shown.service), self._judged
        if service is None or self._clock.now().since(judged) > _UNWATCHED:
            return PublicState.UNKNOWN
        after, maintenances = judged.plus(NANOSECOND), self._course().configuration.maintenances
        known = await self._store.known(service, judged, after, maintenances=maintenances)
        return STATES[next(timeline(judged, after, known))[1]]

    async def _incidents(self, page: StatusPageSettings, began: Instant, ended: Instant) -> list[PublicIncident]:
        """What went wrong in a range, the latest first."""
        found: list[tuple[Span, PublicIncident]] = []
        maintenances = self._course().configuration.maintenances
        for shown in _services(page):
            service = self._service(shown.service)
            if service is not None:
                known = await self._store.troubles(service, began, ended, maintenances=maintenances)
                found += [(span, _incident(page, shown, span, state)) for span, state in _troubles(known, ended)]
        found = [each for each in found if each[0].ended > began.ns]
        found.sort(key=lambda each: (-each[0].began, each[1].service))
        return [incident for _, incident in found]

    async def _month(self, page: StatusPageSettings, month: str, months: list[str]) -> HistoryView:
        place = months.index(month)
        began, now = Instant.parse(f"{month}-01T00:00:00Z"), self._now()
        after = Instant.parse(f"{months[place - 1]}-01T00:00:00Z") if place else now
        incidents = await self._incidents(page, began, min(after, now))
        return HistoryView(
            page=page.name,
            title=page.title,
            month=month,
            earlier=months[place + 1] if place + 1 < len(months) else None,
            later=months[place - 1] if place else None,
            incidents=tuple(incidents),
        )

    def _work(self, page: StatusPageSettings, now: Instant) -> Iterator[PublicWork]:
        """What is planned for services of the page, and what is under way; not what waits for a failure."""
        found: list[PublicWork] = []
        for maintenance in self._course().configuration.maintenances:
            names = tuple(each.name for each in _services(page) if self._covers(maintenance, each))
            if not names or maintenance.after_failure is not None:
                continue
            name = self._pages().work.get(maintenance.name, "Planned work")
            for begins, ends in islice(windows(maintenance, now, now.plus(AHEAD)), _MOST_WINDOWS):
                found.append(PublicWork(name, names, _text(begins), _text(ends), begins <= now))
        yield from sorted(found, key=lambda each: (each.begins_at, each.name))

    def _covers(self, maintenance: Maintenance, shown: PublicService) -> bool:
        service = self._service(shown.service)
        return service is not None and covers(maintenance, {**dict(service.labels), "service": service.name})

    def _months(self) -> Iterator[str]:
        """The months that may be asked for, the current one first."""
        at = datetime.fromtimestamp(self._now().ns // SECOND, UTC)
        for back in range(_MONTHS):
            year, month = divmod(at.year * 12 + at.month - 1 - back, 12)
            yield f"{year:04}-{month + 1:02}"

    def _service(self, name: str) -> Service | None:
        return next((each for each in self._course().configuration.services if each.name == name), None)

    def _now(self) -> Instant:
        """What began just now is on the page."""
        return max(self._judged.plus(NANOSECOND), self._clock.now())

    @property
    def _judged(self) -> Instant:
        return self._course().progress.judged.at


_NOTHING: Final = "there is nothing here"


def _services(page: StatusPageSettings) -> Iterator[PublicService]:
    for group in page.groups:
        yield from group.services


def _status(shown: PublicService, state: PublicState, days: Mapping[str, tuple[DayRow, ...]] | None) -> ServiceStatus:
    rows = () if days is None else days.get(shown.service, ())
    return ServiceStatus(shown.name, shown.slug, state, uptime_share(rows), rows)


def _troubles(known: Known, ended: Instant) -> Iterator[tuple[Span, PublicState]]:
    """When a service did not work, or not well, without a pause, and the worst of it; planned work excepted."""
    known = replace(known, spells=tuple(each for each in known.spells if each.severity is not Severity.INFO))
    first = min((each.span.began for each in known.spells), default=ended.ns)
    began, worst = None, Condition.DEGRADED
    for span, condition in timeline(Instant(first), ended, known) if first < ended.ns else ():
        if condition in _BAD:
            began = span.began if began is None else began
            worst = condition if condition is Condition.DOWN else worst
        elif began is not None:
            yield Span(began, span.began), STATES[worst]
            began, worst = None, Condition.DEGRADED
    if began is not None:
        goes_on = max(each.span.ended for each in known.spells)
        yield Span(began, max(ended.ns, goes_on)), STATES[worst]


def _incident(page: StatusPageSettings, shown: PublicService, span: Span, state: PublicState) -> PublicIncident:
    over = span.ended < FOR_EVER
    # Of nothing but what is public: it stays the same while the page has its name and the service its own.
    id = sha256(f"{page.name}\n{shown.slug}\n{span.began}".encode()).hexdigest()[:16]
    return PublicIncident(
        id=id,
        service=shown.name,
        slug=shown.slug,
        state=state,
        summary=sentence(shown.name, state, over=over),
        began_at=_text(Instant(span.began)),
        ended_at=_text(Instant(span.ended)) if over else None,
    )


def _text(at: Instant) -> str:
    """To the second: finer is nobody's business."""
    return f"{datetime.fromtimestamp(at.ns // SECOND, UTC):%Y-%m-%dT%H:%M:%SZ}"
