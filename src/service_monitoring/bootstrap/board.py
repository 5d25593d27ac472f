"""The board of this installation: the projection is fed with each round that was kept, and filled from the store.

Knows the store, the course and the feed. Does not decide anything, and shows nothing that is not kept: what is asked is
answered by the projection alone, in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from service_monitoring.application import Round
from service_monitoring.bootstrap.logs import log
from service_monitoring.domain.course import Course
from service_monitoring.domain.incidents import State
from service_monitoring.domain.inputs import Observed, Pushed
from service_monitoring.domain.instants import DAY, Duration, Instant
from service_monitoring.domain.oncall import next_change, who
from service_monitoring.errors import MonitoringError
from service_monitoring.ports import Clock
from service_monitoring.runtime.feed import Feed
from service_monitoring.runtime.reload import aside
from service_monitoring.storage.reading import Wanted as Notices
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.views.board import OnCallRow, Overview, ServicePage, ServiceRow, Wanted, WorkRow
from service_monitoring.views.desk import row
from service_monitoring.views.live import BOARD, GENERAL, of_service
from service_monitoring.views.projection import RANK, Board

_LATELY: Final = Duration(7 * DAY)
_MOST_ENDED: Final = 1_000
_MOST_PARKED: Final = 10_000
_MOST_NEEDED: Final = 20
_MOST_LABELS: Final = 50
_CHECKS_AT_ONCE: Final = 512


class StoreBoard:
    """`views.board.BoardDesk`, and what keeps it true. Belongs to the loop of the program.

    `begin` after a start, and whenever decisions go on from the store; `kept` with each round after it was kept, which
    costs what a look into a dictionary costs for each observation; `look` in each round of the feed.
    """

    def __init__(
        self,
        store: SqliteStore,
        clock: Clock,
        *,
        course: Callable[[], Course],
        trouble: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """`course` is asked when everything of it is kept; `trouble` is what the monitor says of itself."""
        self._store = store
        self._clock = clock
        self._course = course
        self._trouble = trouble
        self._board = Board()
        self._filled = False
        self._broken = False
        self.feed = Feed(clock, look=self.look)

    def begin(self) -> None:
        """Everything anew from the course, which holds what is kept and no more; what checks said is read later."""
        course = self._course()
        self._board.begin(course.configuration, course.progress, course.incidents(), self._clock.now())
        self._filled = self._broken = False

    def kept(self, judged: Round) -> None:
        """A round is kept: show it. A mistake in here must not keep anything from being judged."""
        try:
            self._board.take(judged.observations, judged.marks, judged.commit)
            self._tell_of_observations(judged)
        except Exception as mistake:  # noqa: BLE001 - whatever it is, the board is rebuilt and judging goes on
            log().error("the board is rebuilt", problem=repr(mistake))
            self._broken = True

    async def look(self, at: Instant) -> Iterable[str]:
        """What changed since it was looked the last time, by rounds and by time."""
        if self._broken:
            self.begin()
        if not self._filled:
            await self._fill()
        self._board.refresh(at)
        turned = self._board.take_turned()
        if not turned.services:
            return turned.topics
        named = self.feed.topics
        return {BOARD, *turned.topics, *(topic for each in turned.services if (topic := of_service(each)) in named)}

    def _tell_of_observations(self, judged: Round) -> None:
        """Whoever looks at one service wants to see each of its observations; most of the time nobody does."""
        named = self.feed.topics
        if not named or (len(named) == 1 and "" in named):
            return
        for admitted in judged.observations:
            what = admitted.input
            if isinstance(what, Observed | Pushed) and (topic := of_service(what.service)) in named:
                self.feed.publish((topic,))

    async def _fill(self) -> None:
        """Read what was said and what ended before; the loop gets its turn between the parts."""
        self._filled = True
        try:
            ended = await self._store.lately(self._clock.now().plus(Duration(-_LATELY)), limit=_MOST_ENDED)
            parked = await self._store.waiting(Notices(("parked",)), limit=_MOST_PARKED)
            self._board.remember((), ended=ended, parked=(each.notice.key for each in parked))
            checks = (check for service in self._board.configuration.services for check in service.checks)
            while part := list(islice(checks, _CHECKS_AT_ONCE)):
                self._board.remember(await self._store.heard(part))
        except MonitoringError as trouble:
            log().warning("the board is not full yet", problem=str(trouble))
            self._filled = False
        self.feed.publish(GENERAL)

    # What it is asked -------------------------------------------------------------------------------------------------

    async def services(self, wanted: Wanted) -> ServicePage:
        """A page of them. A pattern that is new is asked of thousands of values, and nobody waits for it meanwhile."""
        labelled = self._board.labelled
        for matcher in labelled.unasked(wanted.matchers):
            labelled.learn(matcher, await aside(labelled.asked, matcher))
        return self._board.page(wanted)

    async def service(self, name: str) -> ServiceRow:
        """One of them."""
        return self._board.service(name)

    async def labels(self) -> Mapping[str, int]:
        """The names of labels that services have."""
        return dict(self._board.labelled.counts.most_common(_MOST_LABELS))

    async def overview(self) -> Overview:
        """What is to be seen first."""
        at, board = self._clock.now(), self._board
        open_now = board.open()
        waiting = [each for each in open_now if each.state is State.OPEN]
        counted = dict.fromkeys(map(str, sorted(RANK, key=RANK.__getitem__)), 0)
        for each in waiting:
            counted[each.severity] += 1
        return Overview(
            at=str(at),
            services=len(board.configuration.services),
            checks=board.checks,
            conditions=board.counts(),
            unacknowledged=counted,
            acknowledged=len(open_now) - len(waiting),
            needed=tuple(row(each, None, board.around(each)) for each in waiting[:_MOST_NEEDED]),
            parked=board.parked,
            trouble=tuple(self._trouble()),
            oncall=tuple(self._on_call(at)),
            work=tuple(
                WorkRow(each.name, None if until is None else str(until), services, each.comment)
                for each, until, services in board.work()
            ),
            lately=tuple(row(each, None, board.around(each)) for each in board.lately()),
        )

    def _on_call(self, at: Instant) -> Iterator[OnCallRow]:
        for rota in self._board.configuration.rotas:
            change = next_change(rota, at)
            person = next(iter(who(rota, at)), None)
            yield OnCallRow(rota.name, person, None if change is None else str(change))
