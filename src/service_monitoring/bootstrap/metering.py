"""The meter of a running program: what its parts say of themselves, as one value.

Knows the parts and what they count. Asks the store twice, and nobody else has to wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

import service_monitoring
from service_monitoring.domain.instants import SECOND, in_seconds
from service_monitoring.ports import Clock
from service_monitoring.runtime.cycle import Cycle
from service_monitoring.runtime.deliver import Deliverer
from service_monitoring.runtime.lateness import Lateness
from service_monitoring.runtime.poll import Poller
from service_monitoring.runtime.supervise import JobState, Supervisor
from service_monitoring.runtime.uplink import Uplink
from service_monitoring.runtime.watchdog import Watchdog
from service_monitoring.storage.sqlite import SqliteStore
from service_monitoring.views.measures import (
    Histogram,
    LoopMeasures,
    Measures,
    QueueMeasures,
    RequestCounts,
    WriterMeasures,
    among_channels,
)

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Seconds; what is counted is right to 66 microseconds."""


class Parts(Struct, frozen=True):
    """The parts that are asked. `listeners` says how many readers of live changes there are, `troubles` of reasons."""

    store: SqliteStore
    cycle: Cycle
    poller: Poller
    deliverer: Deliverer
    supervisor: Supervisor
    watchdog: Watchdog
    uplink: Uplink
    outcomes: Mapping[str, int]
    requests: RequestCounts
    troubles: Callable[[], int]
    listeners: Callable[[], int] = lambda: 0


class ProgramMeter:
    """`views.measures.Meter` of a program. Belongs to its loop."""

    def __init__(self, parts: Parts, clock: Clock) -> None:
        self._parts = parts
        self._clock = clock

    async def measures(self) -> Measures:
        """All of them."""
        parts = self._parts
        course = parts.cycle.course
        services = course.configuration.services
        polled, inbox, health, sizes = (
            parts.poller.statistics(),
            parts.cycle.statistics(),
            parts.store.health(),
            parts.store.sizes(),
        )
        writers = {"facts": health.facts, "samples": health.samples}
        judged = course.progress.judged.at
        queues = {"inbox": QueueMeasures(inbox.length, inbox.capacity, inbox.dropped, inbox.refused)}
        queues |= {f"{name}_writer": QueueMeasures(each.waiting, each.capacity) for name, each in writers.items()}
        answers = {
            (lane.channel, answer): number
            for lane in parts.deliverer.statistics()
            for answer, number in lane.answers.items()
        }
        return Measures(
            version=service_monitoring.__version__,
            services=len(services),
            checks=sum(len(service.checks) for service in services),
            rules=sum(len(service.rules) for service in services),
            runs=dict(parts.outcomes),
            slots={"started": polled.started, "skipped": polled.skipped, "shed": polled.shed},
            outstanding=polled.outstanding,
            lateness=histogram(parts.poller.lateness),
            queues=queues,
            writers={
                name: WriterMeasures(each.groups, each.operations, each.failures) for name, each in writers.items()
            },
            sizes={"facts": sizes.facts, "samples": sizes.samples},
            incidents=await parts.store.alive(),
            notices=among_channels(await parts.store.owed(), 1),
            answers=among_channels(answers, 0),
            loops={
                name: LoopMeasures(each.state is JobState.RUNNING, each.restarts, each.silent_seconds)
                for name, each in parts.supervisor.statistics().items()
            },
            lag=in_seconds(parts.watchdog.lag),
            longest_lag=in_seconds(parts.watchdog.longest),
            judged_at=judged.ns / SECOND,
            judging_lag=in_seconds(self._clock.now().since(judged)),
            gaps=parts.cycle.gaps,
            troubles=parts.troubles(),
            uplink_up=not parts.uplink.offline,
            requests=parts.requests.counts(),
            listeners=parts.listeners(),
        )


def histogram(lateness: Lateness) -> Histogram:
    """The lateness in few buckets."""
    *buckets, count = lateness.at_most(tuple(int(bound * SECOND) for bound in BOUNDS))
    return Histogram(tuple(zip(BOUNDS, buckets, strict=True)), count, lateness.total / SECOND)
