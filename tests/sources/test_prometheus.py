"""What the kind `prometheus` takes from a page of metrics, and what it says of it."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_open_metrics
from pydantic import ValidationError

from service_monitoring.domain.samples import Measurement, Observation, Outcome, Reason, samples_of
from service_monitoring.sources import exposition, prometheus
from service_monitoring.sources.exposition import Page, read
from service_monitoring.sources.phases import Failed
from service_monitoring.sources.prometheus import OWN, Kind, Options
from service_monitoring.testing.clock import START
from tests.sources.rigs import (
    a_moment,
    cancelled,
    no_files_left,
    nothing_left,
    probed,
    serving,
    silence,
    surroundings,
    unused_port,
    values,
)

PAGE = """\
# HELP queue_depth Jobs that wait.
# TYPE queue_depth gauge
queue_depth{queue="mail"} 3
queue_depth{queue="print"} 7.5 1700000000000
# TYPE requests_total counter
requests_total 1027
queue_depth_max 99
errors_total NaN
"""


def of(page: str, *metrics: str) -> Page:
    return read(page.encode(), metrics=dict.fromkeys(metrics), taken=OWN)


@asynccontextmanager
async def showing(page: str | bytes, *, head: str = "HTTP/1.1 200 OK") -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that shows this page; its URL and the requests it got."""
    asked: list[bytes] = []
    content = page.encode() if isinstance(page, str) else page

    async def show(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(f"{head}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
        await silence(reader, writer)

    async with serving(show) as port:
        yield f"http://127.0.0.1:{port}/metrics", asked


async def scraped(url: str, *metrics: str, within: float = 5.0, **options: Any) -> Observation:
    kind = Kind()
    try:
        source = kind.open_source(Options(prometheus=url, metrics=metrics, **options), surroundings=surroundings())
        return await probed(source, within)
    finally:
        await kind.close()


async def test_chosen_metrics_are_taken_with_their_labels_and_the_phases() -> None:
    async with showing(PAGE) as (url, _):
        observation = await scraped(url, "queue_depth", "requests_total")
    assert observation.outcome is Outcome.OK
    assert observation.detail == "3 samples"
    assert [each for each in observation.measurements if each.metric not in OWN] == [
        Measurement("queue_depth", 3.0, (("queue", "mail"),)),
        Measurement("queue_depth", 7.5, (("queue", "print"),)),
        Measurement("requests_total", 1027.0),
    ]
    assert {"duration_seconds", "connect_seconds", "first_byte_seconds", "status_code", "body_bytes"} <= set(
        values(observation)
    )


async def test_a_missing_metric_is_told_and_does_not_fail_the_run() -> None:
    async with showing(PAGE) as (url, _):
        observation = await scraped(url, "queue_depth", "jobs_done", "errors_total")
    assert observation.outcome is Outcome.OK
    assert observation.detail == "2 samples; missing: jobs_done; left out: 1 that are not finite"


async def test_what_is_not_finite_never_becomes_a_sample() -> None:
    async with showing('a NaN\na{b="c"} +Inf\nd -Inf\ne 1' + "0" * 400 + "\nf 1\n") as (url, _):
        observation = await scraped(url, "a", "d", "e", "f")
    samples = samples_of("shop", "queue", observation, START)
    assert [str(each.series) for each in samples if each.series.metric in "adef"] == ["shop/queue/f"]
    assert "4 that are not finite" in observation.detail


def test_labels_of_our_own_are_renamed_and_empty_ones_dropped() -> None:
    page = of('a{service="x",severity="y",exported_service="z",free="1",empty=""} 1\n', "a")
    assert page.measurements == (
        Measurement("a", 1.0, (
            ("exported_exported_service", "x"), ("exported_service", "z"), ("exported_severity", "y"), ("free", "1"),
        )),
    )  # fmt: skip


def test_metrics_that_we_measure_ourselves_are_renamed() -> None:
    page = of("up 0\nduration_seconds 9\n", "up", "duration_seconds")
    assert [each.metric for each in page.measurements] == ["exported_up", "exported_duration_seconds"]


def test_of_two_samples_of_one_series_the_first_stands() -> None:
    page = of('a{x="1"} 1\na{x="1"} 2\na 3\n', "a")
    assert [each.value for each in page.measurements] == [1.0, 3.0]
    assert page.repeated == 1


def test_both_formats_of_a_real_client_give_the_same_samples() -> None:
    registry = CollectorRegistry()
    Gauge("depth", "Jobs", ["queue"], registry=registry).labels('a "quoted"\\name\n{x="y"} 5').set(4)
    Counter("requests", "Asked", registry=registry).inc(3, exemplar={"trace": "abc"})
    histogram = Histogram("took_seconds", "Time", registry=registry, buckets=(0.1, 1))
    histogram.observe(0.5, exemplar={"trace": "def"})
    wanted = ("depth", "requests_total", "took_seconds_bucket", "took_seconds_count", "took_seconds_sum")
    pages = [generate_latest(registry), generate_open_metrics(registry)]  # type: ignore[no-untyped-call] # it has no types
    assert b"trace" in pages[1]
    text, open_metrics = (read(page, metrics=dict.fromkeys(wanted), taken=OWN) for page in pages)
    assert text == open_metrics
    assert text.missing == ()
    assert Measurement("depth", 4.0, (("queue", 'a "quoted"\\name\n{x="y"} 5'),)) in text.measurements
    assert Measurement("took_seconds_bucket", 1.0, (("le", "1.0"),)) in text.measurements


def test_indented_and_quoted_names_are_found() -> None:
    page = of('  a 1\n\ta{b="c"}\t2\r\n{"a",d="e"} 3\n{"other",d="e"} 4\n', "a")
    assert [each.value for each in page.measurements] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "page", ["<html><body>Sign in</body></html>", '{"status": "ok"}', "a one\n", 'a{b="c} 1\n', "a{b} 1\n", b"a \xff"]
)
async def test_what_is_no_page_of_metrics_fails_by_protocol(page: str | bytes) -> None:
    async with showing(page) as (url, _):
        observation = await scraped(url, "a")
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.PROTOCOL)
    assert "status_code" in values(observation)


async def test_another_status_fails_by_status() -> None:
    async with showing("a 1\n", head="HTTP/1.1 503 Service Unavailable") as (url, _):
        observation = await scraped(url, "a")
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.STATUS)
    assert "a" not in values(observation)


async def test_a_page_above_the_cap_is_too_large() -> None:
    async with showing("a 1\n" + "#" * 5000) as (url, _):
        observation = await scraped(url, "a", max_body="4KiB")
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.TOO_LARGE)


def test_more_samples_than_anybody_wants_are_too_large() -> None:
    page = "".join(f'a{{n="{number}"}} 1\n' for number in range(2 * exposition.MOST + 1))
    with pytest.raises(Failed) as failed:
        of(page, "a")
    assert failed.value.reason is Reason.TOO_LARGE


def test_a_line_without_end_is_refused() -> None:
    with pytest.raises(Failed) as failed:
        of('a{b="' + "\\" * 1_000_000 + '"} 1\n', "a")
    assert failed.value.reason is Reason.PROTOCOL


async def test_a_large_page_is_read_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    readers: list[str] = []

    def noting(page: bytes, **options: Any) -> Page:
        readers.append(threading.current_thread().name)
        return read(page, **options)

    monkeypatch.setattr(prometheus, "read", noting)
    async with showing("a 1\n" + "b 2\n" * 40_000) as (url, _):
        large = await scraped(url, "a")
    async with showing("a 1\n") as (url, _):
        small = await scraped(url, "a")
    assert (values(large)["a"], values(small)["a"]) == (1.0, 1.0)
    assert readers[0].startswith("reading-metrics")
    assert readers[1] == threading.main_thread().name


async def test_both_formats_are_asked_for_with_credentials_of_the_check() -> None:
    async with showing("a 1\n") as (url, asked):
        await scraped(url, "a", auth={"bearer": "of-ours"}, headers={"X-Tenant": "t"})
        await scraped(url, "a", headers={"Accept": "text/plain"})
    assert b"Accept: text/plain;version=0.0.4, application/openmetrics-text" in asked[0]
    assert b"Authorization: Bearer of-ours\r\n" in asked[0]
    assert b"X-Tenant: t\r\n" in asked[0]
    assert b"Accept: text/plain\r\n" in asked[1]


async def test_a_refused_connection_measures_nothing() -> None:
    with unused_port() as port:
        observation = await scraped(f"http://127.0.0.1:{port}/metrics", "a")
    assert (observation.reason, observation.measurements) == (Reason.CONNECT, ())


async def test_a_page_that_never_comes_is_a_timeout() -> None:
    async with serving(silence) as port:
        observation = await scraped(f"http://127.0.0.1:{port}/metrics", "a", within=0.05)
    assert (observation.outcome, observation.reason) == (Outcome.FAILED, Reason.TIMEOUT)


async def test_an_address_that_is_not_permitted_is_blocked() -> None:
    kind = Kind()
    options = Options(prometheus="http://127.0.0.1:9/metrics", metrics=("a",))
    observation = await probed(kind.open_source(options, surroundings=surroundings("127.0.0.2/32")))
    await kind.close()
    assert observation.reason is Reason.BLOCKED_ADDRESS


async def test_running_out_of_files_is_our_own_fault() -> None:
    async with showing("a 1\n") as (url, _):
        kind = Kind()
        source = kind.open_source(Options(prometheus=url, metrics=("a",)), surroundings=surroundings())
        with no_files_left():
            observation = await probed(source)
        await kind.close()
    assert (observation.outcome, observation.reason) == (Outcome.UNKNOWN, Reason.INTERNAL_ERROR)


async def test_a_cancelled_attempt_leaves_nothing() -> None:
    kind = Kind()
    async with serving(silence) as port:
        options = Options(prometheus=f"http://127.0.0.1:{port}/metrics", metrics=("a",))
        source = kind.open_source(options, surroundings=surroundings())
        async with nothing_left():
            await cancelled(source, after=a_moment)
    await kind.close()


@given(st.text(alphabet="a{}=\"\\,# \t\n1e+.NI_'é\x00:", max_size=60))
@example('a{"')
@example("a")
@example("a ")
@example('{"a"} 1 # {} x')
def test_no_page_raises_anything_but_a_failure(page: str) -> None:
    with suppress(Failed):
        assert all(math.isfinite(each.value) for each in of(page, "a").measurements)


@pytest.mark.parametrize(
    "wrong",
    [
        {"prometheus": "ftp://shop.test/metrics", "metrics": ["a"]},
        {"prometheus": "http://shop.test/metrics"},
        {"prometheus": "http://shop.test/metrics", "metrics": []},
        {"prometheus": "http://shop.test/metrics", "metrics": ["a{b='c'}"]},
        {"prometheus": "http://u:p@shop.test/metrics", "metrics": ["a"]},
        {"prometheus": "http://shop.test/metrics", "metrics": ["a"], "method": "POST"},
    ],
)
def test_options_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate(wrong)
