"""Systems that page, as tests see them: servers on this machine that answer as their documentation says.

Each keeps the alerts that were sent to it, and refuses what its interface does not take.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from msgspec import Struct

from service_monitoring.ports import Answer, Sink, Surroundings
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.settings import AddressPolicy
from service_monitoring.sinks import alertmanager, opsgenie, pagerduty
from service_monitoring.testing.sink_laws import Behaviour, Received, a_deadline, a_notice

LOCAL = AddressPolicy.allowing(["127.0.0.0/8"])
SECRET = "T0PSECRETT0PSECRETT0PSECRET00000"
OFFERS = (("acknowledge", "https://monitor.example/act/abc"), ("resolve", "https://monitor.example/act/def"))
"""What may be done about a notice, as words and URLs."""


class Api(ABC):
    """An interface over HTTP. `told` answers everything instead, where it is set."""

    later = 429
    never = 400

    def __init__(self) -> None:
        self.behaviour = Behaviour.ACCEPT
        self.told: tuple[int, str] | None = None
        self.received: list[Received] = []
        self.requests: list[bytes] = []
        self.alerts: dict[str, dict[str, Any]] = {}
        self.port = 0
        self._server = web.Server(self._serve, handler_cancellation=True, access_log=None)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connections(self) -> int:
        return len(self._server.connections)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Api]:
        runner = web.ServerRunner(self._server, shutdown_timeout=0.01)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.behaviour is Behaviour.HANG:
            await asyncio.Event().wait()
        body = await request.read()
        head = b"\r\n".join(name + b": " + value for name, value in request.raw_headers)
        whole = f"{request.method} {request.path_qs}\r\n".encode() + head + b"\r\n\r\n" + body
        self.requests.append(whole)
        self.received.append(Received(request.headers.get("Idempotency-Key", ""), whole))
        if self.behaviour is Behaviour.RESET and request.transport is not None:
            connection: socket.socket = request.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.transport.abort()
        if self.told is not None:
            return web.Response(status=self.told[0], text=self.told[1])
        if self.behaviour in {Behaviour.NOT_NOW, Behaviour.NEVER}:
            status = self.later if self.behaviour is Behaviour.NOT_NOW else self.never
            return web.json_response({"message": "as told"}, status=status)
        try:
            content = json.loads(body)
        except ValueError:
            return web.json_response({"message": "invalid JSON"}, status=400)
        status, answer = self.answer(request, content)
        return web.json_response(answer, status=status)

    @abstractmethod
    def answer(self, request: web.BaseRequest, content: Any) -> tuple[int, object]:
        """What the interface says to a request."""


class PagerDutyApi(Api):
    """Events API v2."""

    def answer(self, request: web.BaseRequest, content: Any) -> tuple[int, object]:
        if (request.method, request.path) != ("POST", "/v2/enqueue"):
            return 404, {}
        errors = [*self._errors(content)]
        if errors:
            return 400, {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
        key, action = content["dedup_key"], content["event_action"]
        open_ = self.alerts.get(key, {"status": "resolve"})["status"] != "resolve"
        if action == "trigger" or open_:
            before = self.alerts.get(key, {}) if open_ else {}
            self.alerts[key] = before | content.get("payload", {}) | {"status": action}
        return 202, {"status": "success", "message": "Event processed", "dedup_key": key}

    def _errors(self, content: Any) -> Iterator[str]:
        if content.get("routing_key") != SECRET:
            yield f"'routing_key' is invalid: {content.get('routing_key')}"
        if content.get("event_action") not in {"trigger", "acknowledge", "resolve"}:
            yield "'event_action' is missing or unknown"
        if not 0 < len(content.get("dedup_key", "")) <= 255:
            yield "'dedup_key' is missing or longer than 255 characters"
        payload = content.get("payload", {})
        if content.get("event_action") == "trigger":
            if not 0 < len(payload.get("summary", "")) <= 1024:
                yield "'payload.summary' is missing or longer than 1024 characters"
            if not payload.get("source"):
                yield "'payload.source' is missing or blank"
            if payload.get("severity") not in {"critical", "error", "warning", "info"}:
                yield "'payload.severity' is invalid"


class OpsgenieApi(Api):
    """The Alert API."""

    never = 422

    def answer(self, request: web.BaseRequest, content: Any) -> tuple[int, object]:
        if request.headers.get("Authorization") != f"GenieKey {SECRET}":
            return 401, {"message": f"Key format is not valid: {request.headers.get('Authorization')}"}
        accepted = 202, {"result": "Request will be processed", "took": 0.1, "requestId": "43a29c5c-3dbf-4fa4"}
        if (request.method, request.path) == ("POST", "/v2/alerts"):
            return accepted if self._create(content) else (422, {"message": "Request body is not processable."})
        _, _, root, alias, action = request.path.split("/")
        if root != "alerts" or request.query.get("identifierType") != "alias" or action not in {"close", "acknowledge"}:
            return 404, {"message": "no such path"}
        if self.alerts.get(alias, {"status": "close"})["status"] != "close":
            self.alerts[alias] |= {"status": action, "note": content.get("note")}
        return accepted

    def _create(self, alert: Any) -> bool:
        details = alert.get("details", {})
        tags = alert.get("tags", [])
        fits = (
            0 < len(alert.get("message", "")) <= 130
            and 0 < len(alert.get("alias", "")) <= 512
            and len(alert.get("description", "")) <= 15000
            and len(alert.get("entity", "")) <= 512
            and len(alert.get("source", "")) <= 100
            and alert.get("priority", "P3") in {"P1", "P2", "P3", "P4", "P5"}
            and len(tags) <= 20
            and all(len(tag) <= 50 for tag in tags)
            and sum(len(name) + len(value) for name, value in details.items()) <= 8000
        )
        if fits:
            known = self.alerts.get(alert["alias"], {"status": "close"})
            fresh = known["status"] == "close"
            self.alerts[alert["alias"]] = alert | {"status": "open", "count": 1} if fresh else known
            self.alerts[alert["alias"]]["count"] += not fresh
        return fits


class AlertmanagerApi(Api):
    """API v2. Alerts are kept by their labels, as one is told from another there."""

    later = 503

    def answer(self, request: web.BaseRequest, content: Any) -> tuple[int, object]:
        if (request.method, request.path) != ("POST", "/api/v2/alerts"):
            return 404, {}
        for alert in content:
            if not alert.get("labels") or not all(alert["labels"].values()):
                return 400, "an alert needs labels, each with a value"
            begun, ended = alert.get("startsAt"), alert.get("endsAt")
            if begun and ended and datetime.fromisoformat(ended) < datetime.fromisoformat(begun):
                return 400, "start time must be before end time"
            over = ended is not None and datetime.fromisoformat(ended) <= datetime.now(UTC)
            key = json.dumps(alert["labels"], sort_keys=True)
            self.alerts[key] = alert | {"status": "resolved" if over else "active"}
        return 200, {}


class Pager(Struct, frozen=True):
    """A kind with a server for it, and the keys of a channel by the root of that server."""

    name: str
    kind: Callable[[], Any]
    api: Callable[[], Api]
    keys: Callable[[str], dict[str, object]]

    def sink(self, kind: Any, root: str, *, network: AddressPolicy = LOCAL, **more: Any) -> Sink:
        return self.sink_in(Surroundings(SystemClock(), network), kind, root, **more)

    def sink_in(self, world: Surroundings, kind: Any, root: str, **more: Any) -> Sink:
        sink: Sink = kind.open_sink(kind.options.model_validate(self.keys(root) | more), surroundings=world)
        return sink


PAGERDUTY = Pager("pagerduty", pagerduty.Kind, PagerDutyApi, lambda root: {"pagerduty": SECRET, "url": root})
OPSGENIE = Pager("opsgenie", opsgenie.Kind, OpsgenieApi, lambda root: {"opsgenie": SECRET, "url": root})
ALERTMANAGER = Pager(
    "alertmanager",
    alertmanager.Kind,
    AlertmanagerApi,
    # The notices of these tests are old, and what they say goes on.
    lambda root: {"alertmanager": root, "headers": {"Authorization": f"Bearer {SECRET}"}, "lasts": "20000d"},
)
PAGERS = (PAGERDUTY, OPSGENIE, ALERTMANAGER)


async def answer_to(sink: Sink, **facts: Any) -> Answer:
    return await sink.send(sink.render(a_notice(**facts)), a_deadline())
