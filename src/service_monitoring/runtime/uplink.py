"""The uplink: whether our own network is up, asked of canaries when a service seems to be down.

Knows observations, and sources of targets that nobody depends on. Stands between polling and admission: a failure that
our own network explains is our fault, and judges no service. Does not know checks, rules or who is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from service_monitoring.domain.inputs import Observed
from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.domain.samples import Observation, Outcome, Reason
from service_monitoring.ports import Clock, Source, Tick
from service_monitoring.runtime.deadlines import deadline_after, within

FRESH: Final = Duration(2 * SECOND)
"""How long an answer of the canaries is good for."""
PATIENCE: Final = Duration(3 * SECOND)
"""How long a canary may take."""
_OVERRUN: Final = Duration(SECOND // 2)

OF_THE_NETWORK: Final = frozenset({Reason.DNS, Reason.CONNECT, Reason.TIMEOUT})
"""What a network that is down looks like from here. Whoever answers, however badly, was reached."""


class Uplink:
    """Asks canaries, at most once at a time, and keeps their answer for two seconds.

    Belongs to one loop. `excused` waits for the canaries, three seconds and a half at most; cancelled, it leaves no
    probe behind. Without canaries everything is as it seems.
    """

    def __init__(self, canaries: Sequence[Source], clock: Clock, *, troubled: Callable[[str], None]) -> None:
        """`troubled` hears a sentence when our network is down, and the empty one when it is up again."""
        self._canaries = tuple(canaries)
        self._clock = clock
        self._troubled = troubled
        self._asking: asyncio.Task[bool] | None = None
        self._asked: Tick | None = None
        self._offline = False

    @property
    def canaries(self) -> int:
        """How many are asked."""
        return len(self._canaries)

    @property
    def offline(self) -> bool:
        """What was known last."""
        return self._offline

    async def excused(self, observed: Observed) -> Observed:
        """The observation as it is, or as our own fault, where no canary can be reached either."""
        observation = observed.observation
        if not self._canaries or observation.outcome is Outcome.UNKNOWN:
            return observed
        if observation.outcome is Outcome.OK:
            return observed
        if observation.reason not in OF_THE_NETWORK or not await self._is_offline():
            return observed
        detail = f"no canary can be reached either: our own network is down ({observation.detail})"
        excuse = Observation(Outcome.UNKNOWN, Reason.SELF_OFFLINE, detail, attempts=observation.attempts)
        return replace(observed, observation=excuse)

    async def watch(self, beat: Callable[[], None]) -> None:
        """While our network is down, ask whether it is up again; until cancelled."""
        while True:
            beat()
            await self._clock.wait_until(self._clock.tick().plus(FRESH))
            if self._offline:
                await self._is_offline()

    async def _is_offline(self) -> bool:
        now = self._clock.tick()
        if self._asked is not None and now.since(self._asked) < FRESH:
            return self._offline
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(), name="canaries")
            self._asking.add_done_callback(self._answered)
        return await asyncio.shield(self._asking)

    def _answered(self, asking: asyncio.Task[bool]) -> None:
        self._asking = None
        if asking.cancelled() or asking.exception() is not None:
            return
        self._asked = self._clock.tick()
        before, self._offline = self._offline, asking.result()
        if before is not self._offline:
            self._troubled(
                f"our own network is down: none of {len(self._canaries)} canaries can be reached" if not before else ""
            )

    async def _ask(self) -> bool:
        async with asyncio.TaskGroup() as tasks:
            probes = [tasks.create_task(self._unreachable(canary)) for canary in self._canaries]
        return all(probe.result() for probe in probes)

    async def _unreachable(self, canary: Source) -> bool:
        """Whether a canary says that it cannot be reached. One that breaks down says nothing, and counts as reached."""
        try:
            async with within(self._clock, deadline_after(self._clock, Duration(PATIENCE + _OVERRUN))):
                seen = await canary.probe(deadline_after(self._clock, PATIENCE))
        except TimeoutError:
            return True
        except Exception:  # noqa: BLE001 - a faulty canary must not excuse everything
            return False
        return seen.outcome is Outcome.FAILED and seen.reason in OF_THE_NETWORK
