"""Every route that is served names what it needs, and lets in those alone who may: all routes, each by everybody."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi import FastAPI, Response
from fastapi.routing import iter_route_contexts
from msgspec.structs import replace

from service_monitoring.access.identity import OWNER, STRANGER, Identity
from service_monitoring.access.permissions import OF_ROLE, Permission, Role, of_scopes
from service_monitoring.access.provider import Provider
from service_monitoring.bootstrap import load, opened
from service_monitoring.errors import Forbidden, Unauthenticated
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.views.faces import Faces
from service_monitoring.web.application import application
from service_monitoring.web.permitting import BETWEEN, IDENTITY, Permitted

FILE = """\
services:
  shop: {checks: {beat: {heartbeat: {period: 5m, grace: 1m}}}}
web: {listen: none}
"""

PUBLIC = {
    ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/openapi.json"), ("GET", "/static/{digest}/{name}"),
    ("GET", "/login"), ("POST", "/login"), ("GET", "/login/second"), ("POST", "/login/second"),
    ("GET", "/login/oidc"), ("GET", "/login/oidc/callback"), ("GET", "/setup"), ("POST", "/setup"),
    ("GET", "/status/{page}.json"), ("GET", "/status/{page}"), ("GET", "/status/{page}/history"),
    ("GET", "/status/{page}/feed.rss"), ("GET", "/status/{page}/badge/{service}.svg"),
    ("GET", "/status/{page}/badge/{service}.json"),
}  # fmt: skip
"""What is for everybody: whatever comes to be here is read by two people."""

# Beside them, `/ping/KEY`, `/api/v1/samples` and `/act/TOKEN` need Permission.KEY: they stand before the application,
# and each asks for a key of its own (tests/web/test_arrivals.py and test_acts.py).


def a_token(role: Role, *scopes: Permission) -> Identity:
    return Identity("ada", role, of_scopes(scopes, role), "token", handle="token-1")


def a_session(role: Role) -> Identity:
    return Identity("ada", role, OF_ROLE[role], "session", csrf="csrf", handle="session-1")


EVERYBODY = {Permission.PUBLIC, Permission.KEY}
READS = EVERYBODY | {Permission.READ}
WHO = {
    "a stranger": (STRANGER, EVERYBODY),
    "a viewer": (a_session(Role.VIEWER), READS | {Permission.ACCOUNT, Permission.METRICS}),
    "a responder": (
        a_session(Role.RESPONDER), READS | {Permission.ACCOUNT, Permission.METRICS, Permission.RESPOND},
    ),
    "an admin": (a_session(Role.ADMIN), set(Permission)),
    "the owner of the socket": (OWNER, set(Permission)),
    "a token for metrics": (a_token(Role.ADMIN, Permission.METRICS), EVERYBODY | {Permission.METRICS}),
    "a token that reads": (a_token(Role.ADMIN, Permission.READ), READS),
    "a token that responds": (a_token(Role.ADMIN, Permission.RESPOND), READS | {Permission.RESPOND}),
    "a token that administers": (a_token(Role.ADMIN, Permission.ADMINISTER), READS | {Permission.ADMINISTER}),
    "a token that would administer, of a viewer": (a_token(Role.VIEWER, Permission.ADMINISTER), READS),
}  # fmt: skip
"""Whoever there is, and what that one may do: written out, and not asked of the program."""


def served(app: FastAPI) -> Iterator[tuple[str, str, Any]]:
    """Every route: its method, its path, and itself."""
    for context in iter_route_contexts(app.routes):
        for method in sorted(context.methods or {"ANY"}):
            yield method, context.path or "", context.original_route


def nameless(app: FastAPI) -> list[tuple[str, str]]:
    """Routes that name no permission."""
    return [
        (method, path) for method, path, route in served(app) if not isinstance(route, Permitted) or route.needs is None
    ]


async def asked(app: FastAPI, method: str, path: str, who: Identity) -> int | None:
    """The status that a request without a body is answered with as far as permissions go; None once it is let in."""
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(b"host", b"monitor"), (b"content-type", b"application/json")], "client": ("127.0.0.1", 1),
        "server": ("monitor", 80), "app": app, IDENTITY: who,
    }  # fmt: skip

    class LetIn(Exception):
        """It was permitted: what comes of it is for others to test."""

    async def between(route: Any, scope: Any, receive: Any, send: Any) -> None:
        raise LetIn

    async def receive() -> Any:
        raise AssertionError("what is sent is not read before it is clear who sends it")

    async def send(message: Any) -> None:
        raise AssertionError(f"answered before it was permitted: {message}")

    scope[BETWEEN] = between
    try:
        # Past what counts and writes down: a thousand refusals need not be kept.
        await app.router(scope, receive, send)
    except LetIn:
        return None
    except Unauthenticated:
        return 401
    except Forbidden:
        return 403
    raise AssertionError("nobody was asked")


class AProvider:
    """An identity provider that nobody comes to."""

    name = "somewhere else"


@pytest.fixture
async def faces(tmp_path: Path) -> Any:
    file = tmp_path / "monitoring.yaml"
    file.write_text(FILE)
    async with opened(load(file), SystemClock()) as program:
        yield replace(program.faces, provider=cast(Provider, AProvider()))


async def test_every_route_names_what_it_needs_and_lets_in_those_alone_who_have_it(faces: Faces) -> None:
    missing = [name for name in Faces.__struct_fields__ if getattr(faces, name) is None]
    assert set(missing) <= {"links", "tracing"}, "every area is served here"
    app = application(faces)
    routes = list(served(app))
    assert nameless(app) == [] and len(routes) > 100
    assert {(method, path) for method, path, route in routes if route.needs in EVERYBODY} == PUBLIC
    wrong = []
    for method, path, route in routes:
        concrete = path.replace("{act}", "note").replace("{", "").replace("}", "")
        for name, (who, may) in WHO.items():
            expected = None if route.needs in may else 401 if who is STRANGER else 403
            if (found := await asked(app, method, concrete, who)) != expected:
                wrong.append(f"{name}: {method} {path} needs {route.needs}: {found} for {expected}")
    assert wrong == []


async def test_a_route_that_names_nothing_is_found_and_opens_for_nobody(faces: Faces) -> None:
    app = application(faces)

    @app.get("/api/v1/planted")
    async def planted() -> Response:
        raise AssertionError("nobody gets here")

    assert nameless(app) == [("GET", "/api/v1/planted")]
    assert await asked(app, "GET", "/api/v1/planted", OWNER) == 403
    assert await asked(app, "GET", "/api/v1/planted", STRANGER) == 401


async def test_what_the_description_says_of_permissions_is_what_is_asked_for(faces: Faces) -> None:
    app = application(faces)
    needs = {(method, path): route.needs for method, path, route in served(app)}
    described = app.openapi()["paths"]
    said = {(method.upper(), path): each for path, methods in described.items() for method, each in methods.items()}
    assert {route: each["x-permission"] for route, each in said.items()} == {route: needs[route] for route in said}
    ids = [each["operationId"] for each in said.values()]
    assert len(set(ids)) == len(ids)
    for route, each in said.items():
        assert ("401" in each["responses"]) == ("security" in each) == (needs[route] not in EVERYBODY), route
    pages = {path for _, path in needs if not path.startswith("/api/")}
    assert pages.isdisjoint(described) or pages & set(described) == {"/healthz", "/readyz", "/metrics"}
    assert {path for _, path in needs if path.startswith("/api/")} == {path for path in described if "/api/" in path}
