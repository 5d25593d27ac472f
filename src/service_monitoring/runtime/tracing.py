"""Tracing: spans of what the program does, told to OpenTelemetry. The only module that knows its API.

It is imported where the settings turn traces on, and nowhere else: whoever works without it does not even ask. Without
an SDK in the process its spans go nowhere. What a span says is a name, a number or a word of ours: never an address, a
detail of an answer or the text of an exception, for these may hold secrets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider, get_tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_NAME: Final = "service-monitoring"
_W3C: Final = TraceContextTextMapPropagator()


class OpenTelemetryTracing:
    """`ports.Tracing`. For any loop or thread; never blocks."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        """Without a provider, that of the process: an SDK sets it."""
        self._tracer = get_tracer(_NAME, tracer_provider=provider)

    @contextmanager
    def span(self, name: str, attributes: Mapping[str, str | int]) -> Iterator[Span]:
        """A span around what happens inside; a child of the one around it."""
        with self._tracer.start_as_current_span(
            name, attributes=dict(attributes), record_exception=False, set_status_on_exception=False
        ) as span:
            yield from _watched(span)

    @contextmanager
    def served(self, method: str, headers: Mapping[str, str]) -> Iterator[Span]:
        """A span of a request that somebody sent: a child of his own, where he named one in `traceparent`."""
        with self._tracer.start_as_current_span(
            method,
            context=_W3C.extract(dict(headers)),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            yield from _watched(span)

    def onward(self) -> Mapping[str, str]:
        """The headers by which whoever is asked next goes on with this trace."""
        headers: dict[str, str] = {}
        _W3C.inject(headers)
        return headers


def _watched(span: Span) -> Iterator[Span]:
    try:
        yield span
    except BaseException as error:
        span.set_attribute("error.type", type(error).__name__)
        if isinstance(error, Exception):
            span.set_status(Status(StatusCode.ERROR))
        raise
