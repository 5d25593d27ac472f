"""Metrics: the figures of the monitor as Prometheus and OpenMetrics read them.

Knows the text formats by their library, and the names of metrics. A registry of its own is made for each answer, so
that nothing of the process is shared and nothing is kept. Does not know where the figures come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from fastapi import Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from service_monitoring.access.permissions import Permission
from service_monitoring.views.measures import Measures, Meter
from service_monitoring.web.describing import texts
from service_monitoring.web.permitting import Routes

_Values = Mapping[str, float] | Mapping[str, int] | Mapping[tuple[str, str], int]
"""Numbers by the values of their labels."""

_PREFIX: Final = "service_monitoring_"


def metrics(meter: Meter) -> Routes:
    """Its route."""
    routes = Routes(area="monitor")

    @routes.get(
        "/metrics",
        needs=Permission.METRICS,
        summary="Figures of the monitor itself, for Prometheus or OpenMetrics",
        response_class=PlainTextResponse,
        responses=texts("text/plain", "application/openmetrics-text"),
    )
    async def exposed(request: Request) -> Response:
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Figures(await meter.measures()))
        return Response(encode(registry), media_type=kind)

    return routes


class _Figures(Collector):
    """What was measured once, as families of metrics."""

    def __init__(self, measures: Measures) -> None:
        self._measures = measures

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        yield from _polling(self._measures)
        yield from _keeping(self._measures)
        yield from _telling(self._measures)
        yield from _running(self._measures)


def _polling(of: Measures) -> Iterator[Metric]:
    yield _gauge("services", "Services of the configuration in force.", of.services)
    yield _gauge("checks", "Checks of the configuration in force.", of.checks)
    yield _gauge("rules", "Rules of the configuration in force.", of.rules)
    yield _counts("check_runs", "Runs of polled checks, by their outcome.", ["outcome"], of.runs)
    yield _counts("check_slots", "Slots of polled checks, by what became of them.", ["result"], of.slots)
    yield _gauge("check_runs_outstanding", "Runs of checks that are going on.", of.outstanding)
    lateness = HistogramMetricFamily(
        f"{_PREFIX}check_lateness_seconds", "How late runs of checks began, which is our own doing."
    )
    buckets = [(str(bound), float(number)) for bound, number in of.lateness.buckets]
    lateness.add_metric([], [*buckets, ("+Inf", float(of.lateness.count))], of.lateness.total)
    yield lateness


def _keeping(of: Measures) -> Iterator[Metric]:
    queues = of.queues
    yield _gauges(
        "queue_length", "Items that wait in a queue.", ["queue"], {name: each.length for name, each in queues.items()}
    )
    yield _gauges(
        "queue_capacity",
        "Items that a queue holds at most.",
        ["queue"],
        {n: each.capacity for n, each in queues.items()},
    )
    yield _counts(
        "queue_dropped", "Items dropped for newer ones.", ["queue"], {n: q.dropped for n, q in queues.items()}
    )
    yield _counts("queue_refused", "Items that found no room.", ["queue"], {n: q.refused for n, q in queues.items()})
    writers = of.writers
    yield _counts("commits", "Transactions of a file.", ["file"], {n: each.commits for n, each in writers.items()})
    yield _counts(
        "commit_operations", "Writes in transactions.", ["file"], {n: each.operations for n, each in writers.items()}
    )
    yield _counts(
        "commit_failures", "Writes that failed.", ["file"], {name: each.failures for name, each in writers.items()}
    )
    yield _gauges("store_size_bytes", "Bytes on the disk, write-ahead logs included.", ["file"], of.sizes)
    yield _gauge("judged_timestamp_seconds", "Until when everything is judged, in Unix time.", of.judged_at)
    yield _gauge("judging_lag_seconds", "How long ago that is.", of.judging_lag)
    yield _count("watch_gaps", "Times in which nobody watched that were found since the program began.", of.gaps)


def _telling(of: Measures) -> Iterator[Metric]:
    yield _gauges("incidents", "Incidents that are not over, without drafts.", ["state", "severity"], of.incidents)
    yield _gauges("notices", "Notices of the outbox, the busiest channels by name.", ["state", "channel"], of.notices)
    yield _counts(
        "delivery_answers",
        "Answers to attempts at notices, the busiest channels by name.",
        ["channel", "answer"],
        of.answers,
    )


def _running(of: Measures) -> Iterator[Metric]:
    loops = of.loops
    yield _gauges("loop_up", "Whether a loop runs.", ["loop"], {name: float(each.up) for name, each in loops.items()})
    yield _counts(
        "loop_restarts",
        "How often a loop was started again.",
        ["loop"],
        {n: each.restarts for n, each in loops.items()},
    )
    yield _gauges(
        "loop_silent_seconds",
        "Since a loop gave a sign of life.",
        ["loop"],
        {name: each.silent_seconds for name, each in loops.items()},
    )
    yield _gauge("event_loop_lag_seconds", "How late the event loop is.", of.lag)
    yield _gauge("event_loop_lag_longest_seconds", "How late it was at most since the program began.", of.longest_lag)
    yield _gauge("troubles", "Reasons why nobody should rely on the program now.", of.troubles)
    yield _gauge("uplink_up", "Whether our own network is up, as far as canaries tell.", float(of.uplink_up))
    yield _counts(
        "http_requests", "Requests answered, by the template of their route.", ["route", "status"], of.requests
    )
    yield _gauge("event_listeners", "Readers of live changes that are connected.", of.listeners)
    yield _gauges("build_info", "The version of the program.", ["version"], {of.version: 1})


def _gauge(name: str, said: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{_PREFIX}{name}", said, value=value)


def _count(name: str, said: str, value: float) -> Metric:
    return CounterMetricFamily(f"{_PREFIX}{name}", said, value=value)


def _gauges(
    name: str, said: str, labels: list[str], values: Mapping[str, float] | Mapping[tuple[str, str], int]
) -> Metric:
    family = GaugeMetricFamily(f"{_PREFIX}{name}", said, labels=labels)
    for key, value in _sorted(values):
        family.add_metric(key, value)
    return family


def _counts(
    name: str, said: str, labels: list[str], values: Mapping[str, int] | Mapping[tuple[str, str], int]
) -> Metric:
    family = CounterMetricFamily(f"{_PREFIX}{name}", said, labels=labels)
    for key, value in _sorted(values):
        family.add_metric(key, value)
    return family


def _sorted(values: _Values) -> Iterable[tuple[list[str], float]]:
    return sorted(([key] if isinstance(key, str) else list(key), float(value)) for key, value in values.items())
