"""Traces: off, nobody asks for them; on, each run, round and delivery is a span, and none of them holds a secret."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from service_monitoring.access.permissions import Role
from service_monitoring.application import Monitor
from service_monitoring.bootstrap.keys import Keyring
from service_monitoring.bootstrap.loading import load
from service_monitoring.bootstrap.program import Program
from service_monitoring.bootstrap.wiring import new_key, open_tracing
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.runtime.tracing import OpenTelemetryTracing
from service_monitoring.settings import InvalidSettings
from service_monitoring.storage.sqlite import SqliteStore
from tests.web.faced import somebody, visiting

pytestmark = pytest.mark.real_time("a program with its loops runs on the real clock")

SECRET = "c4n4ry-s3cr3t"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass
class Seen:
    """What a server was sent: the `traceparent` of each request, by its path."""

    url: str = ""
    parents: dict[str, list[str]] = field(default_factory=dict)

    async def answer(self, request: web.Request) -> web.Response:
        self.parents.setdefault(request.path.split("/")[1], []).append(request.headers.get("traceparent", ""))
        return web.Response(status=500 if request.path.startswith("/page") else 200)


@asynccontextmanager
async def a_server() -> AsyncIterator[Seen]:
    seen = Seen()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", seen.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    seen.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined] # typeshed
    try:
        yield seen
    finally:
        await runner.cleanup()


def a_file(folder: Path, url: str, telemetry: str = "{traces: true}") -> Path:
    file = folder / "monitoring.yaml"
    file.write_text(
        f"""\
network: {{allow: [127.0.0.0/8]}}
services:
  shop:
    checks: {{page: {{http: "{url}/page?key={SECRET}", every: 1s, timeout: 500ms}}}}
    rules: {{down: {{when: {{check: page, metric: up, below: 1}}}}}}
channels: {{hook: {{webhook: "{url}/hook/{SECRET}"}}}}
routes: [{{notify: [channel.hook], group_wait: 0s}}]
self: {{notify: [channel.hook]}}
web: {{listen: none}}
telemetry: {telemetry}
"""
    )
    return file


@asynccontextmanager
async def traced(file: Path) -> AsyncIterator[tuple[Program, InMemorySpanExporter]]:
    """A program whose spans are kept in memory."""
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    settings, clock = load(file), SystemClock()
    async with await SqliteStore.open(settings.store.path, clock) as store:
        keyring = await Keyring(store, clock, new_key).load()
        monitor = await Monitor.resume(store, expected=settings.configuration)
        program = Program(settings, clock, store, monitor, keyring, tracing=OpenTelemetryTracing(provider))
        try:
            yield program, kept
        finally:
            await program.close()


@asynccontextmanager
async def running(program: Program) -> AsyncIterator[None]:
    task = asyncio.create_task(program.run())
    try:
        yield
    finally:
        program.stop()
        with suppress(asyncio.CancelledError):
            await task


async def until(names: set[str], kept: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    """The last span of each name, once there is one of each."""
    while not names <= (found := {span.name: span for span in kept.get_finished_spans()}).keys():
        await asyncio.sleep(0.01)
    return found


@pytest.mark.parametrize(
    ("telemetry", "told"),
    [
        pytest.param("{traces: true}", False, id="nobody outside hears of a trace"),
        pytest.param("{traces: true, propagate: true}", True, id="whoever is asked may go on with a trace"),
    ],
)
async def test_a_run_a_round_and_a_delivery_are_spans_and_hold_no_secret(
    tmp_path: Path, telemetry: str, told: bool
) -> None:
    async with a_server() as seen, traced(a_file(tmp_path, seen.url, telemetry)) as (program, kept):
        async with running(program):
            found = await until({"check", "round", "judge", "keep", "delivery"}, kept)
        spans = kept.get_finished_spans()
    said = "".join(span.to_json() for span in spans)
    assert SECRET not in said
    assert seen.url not in said
    checked, delivered = dict(found["check"].attributes or {}), dict(found["delivery"].attributes or {})
    assert (checked["service_monitoring.check"], checked["service_monitoring.outcome"]) == ("page", "failed")
    assert (delivered["service_monitoring.channel"], delivered["service_monitoring.answer"]) == ("hook", "accepted")
    assert found["judge"].parent is not None and found["keep"].parent is not None
    rounds = {span.context.span_id for span in spans if span.name == "round" and span.context}
    assert {found["judge"].parent.span_id, found["keep"].parent.span_id} <= rounds
    traces = {f"{span.context.trace_id:032x}" for span in spans if span.context}
    for parents in (seen.parents["page"], seen.parents["hook"]):
        assert all(parent.split("-")[1] in traces for parent in parents) if told else not any(parents)


async def test_a_request_is_a_span_named_by_its_template_in_the_trace_of_whoever_asks(tmp_path: Path) -> None:
    async with traced(a_file(tmp_path, "http://127.0.0.1:9")) as (program, kept):
        async with visiting(program.faces, somebody(Role.VIEWER)) as client:
            headers = {"traceparent": PARENT}
            async with client.get(f"/api/v1/outbox/{SECRET}?q={SECRET}", headers=headers) as answer:
                assert answer.status == 404
        (span,) = [each for each in kept.get_finished_spans() if each.name.startswith("GET")]
    assert span.name == "GET /api/v1/outbox/{key}"
    assert dict(span.attributes or {})["http.response.status_code"] == 404
    assert span.context is not None and f"{span.context.trace_id:032x}" == PARENT.split("-")[1]
    assert SECRET not in span.to_json()


def test_traces_are_off_unless_the_file_turns_them_on(tmp_path: Path) -> None:
    off = a_file(tmp_path, "http://127.0.0.1:9", "{}")
    assert open_tracing(load(off)) is None
    on = a_file(tmp_path, "http://127.0.0.1:9")
    assert isinstance(open_tracing(load(on)), OpenTelemetryTracing)
    with pytest.raises(InvalidSettings, match="there is no trace to go on with"):
        load(a_file(tmp_path, "http://127.0.0.1:9", "{propagate: true}"))


def test_a_program_without_traces_does_not_even_import_their_library() -> None:
    asked = "import service_monitoring.bootstrap.program, sys; print('opentelemetry' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


async def test_without_an_sdk_spans_go_nowhere_and_nothing_fails() -> None:
    tracing = OpenTelemetryTracing()
    with tracing.span("check", {"service_monitoring.check": "page"}) as span:
        span.set_attribute("service_monitoring.outcome", "ok")
    assert tracing.onward() == {}


async def test_an_error_in_a_span_is_named_by_its_kind_and_not_by_its_words() -> None:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    with pytest.raises(ValueError, match=SECRET), OpenTelemetryTracing(provider).span("check", {}):
        raise ValueError(SECRET)
    (span,) = kept.get_finished_spans()
    assert dict(span.attributes or {}) == {"error.type": "ValueError"}
    assert SECRET not in span.to_json()
