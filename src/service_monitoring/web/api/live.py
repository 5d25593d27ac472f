"""What is live: changes as they come, as server-sent events.

Knows HTTP and the port of what is live. An event is a topic: whoever hears of it asks anew for what it shows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Annotated, Final

from fastapi import Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from service_monitoring.access.permissions import Permission
from service_monitoring.settings.problems import InvalidValue
from service_monitoring.views.live import GENERAL, HEARTBEAT, LONGEST_TOPIC, MOST_TOPICS, Listener, Live
from service_monitoring.web.permitting import ASKED_AGAIN, Again, Routes

_HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}
_ASKED_EVERY: Final = 3
"""Heartbeats after which it is asked again who listens: within a minute."""


class Events(StreamingResponse):
    """What one listener hears, until either side ends it."""

    def __init__(self, listener: Listener, again: Again | None) -> None:
        super().__init__(_told(listener, again), headers=_HEADERS, media_type="text/event-stream")
        self._listener = listener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._listener.close()


def live(desk: Live) -> Routes:
    """Its routes."""
    routes = Routes(area="board")

    @routes.get(
        "/api/v1/events",
        needs=Permission.READ,
        summary="Changes as they come: a stream of server-sent events",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
    )
    async def events(
        request: Request,
        topics: Annotated[
            list[str] | None,
            Query(description=f"Only these, several or with spaces between: {', '.join(GENERAL)}, service:NAME"),
        ] = None,
        seen: Annotated[str, Query(max_length=100, description="As Last-Event-ID, for whoever cannot send it")] = "",
        last_event_id: Annotated[str, Header(max_length=100)] = "",
    ) -> Response:
        listener = desk.listen(_named(topics or ()), last_event_id or seen)
        return Events(listener, request.scope.get(ASKED_AGAIN))

    return routes


def _named(topics: Iterable[str]) -> frozenset[str]:
    named = frozenset(topic for each in topics for topic in each.split())
    if len(named) > MOST_TOPICS or any(len(topic) > LONGEST_TOPIC for topic in named):
        raise InvalidValue("query.topics: too much is named", f"name {MOST_TOPICS} topics at most")
    unknown = sorted(topic for topic in named if topic not in GENERAL and not topic.startswith("service:"))
    if unknown:
        raise InvalidValue("query.topics: there is no such topic", f"name {', '.join(GENERAL)} or service:NAME")
    return named


async def _told(listener: Listener, again: Again | None) -> AsyncIterator[bytes]:
    """What is told. A session that ended, or a role that reads no more, ends it."""
    beats = 0
    while told := await listener.take():
        yield told
        if again is not None and HEARTBEAT in told:
            beats += 1
            if beats % _ASKED_EVERY == 0:
                who = await again()
                if who is None or not who.may(Permission.READ):
                    return
