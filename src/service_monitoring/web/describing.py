"""Describing the API: the shapes that faces show, who may ask, and which problems each route may answer.

The shapes are written once, as they are: no route has a second model of what it answers. What many routes have in
common is said here, once, by what can be seen of each: its method, its permission and what it takes. Knows structs and
OpenAPI.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any, Final

import msgspec
from fastapi import FastAPI

from service_monitoring.access.permissions import EVERYBODY
from service_monitoring.views.answers import LONGEST_KEY
from service_monitoring.web.permitting import NEEDS

TITLE: Final = "service-monitoring"
VERSION: Final = "1"
"""That of the API, as in its paths. Which program answers is told to those who may read: its status says it."""
ABOUT: Final = f"""\
Everything that the console shows and does. Send a token as `Authorization: Bearer sm_...`; whoever is signed in sends
the cookie of the session, and `X-CSRF-Token` with whatever changes something.

Each operation names the permission that it needs in `{NEEDS}`. Whether somebody may is said before what is sent is
looked at: 401 for a stranger, 403 for somebody who may not. HEAD is answered wherever GET is. Every error is
`application/problem+json` (RFC 9457).

Whatever is sent by POST, PUT or DELETE may carry an `Idempotency-Key`: sent again by the same one within 24 hours, it
is not done again, but answered as it was, with `Idempotent-Replayed: true`. The same key with another body is 422; 409
means that there is no answer yet. Answers that hold a secret, or come of one, are not kept, nor are those of more than
256 KiB: sent again, these are 409, and say that it was done.

Long lists come in pages: follow the `Link` header with `rel="next"`."""

AREAS: Final = {
    "monitor": "The program itself: how it is, its configuration, backups, and figures.",
    "board": "Every service as it is now.",
    "services": "One service: its checks, series, values, uptime and budgets.",
    "rules": "Rules, and how each stands.",
    "incidents": "What is wrong, who was told, and what people do about it.",
    "silences": "What nobody is told of, and planned work.",
    "on call": "Who is on call.",
    "outbox": "Notices, and what became of them.",
    "rehearsals": "What would have happened.",
    "keys": "Keys of checks that report by themselves.",
    "access": "Accounts, sessions, tokens and the audit trail.",
}
"""The areas of the API, in the order in which they are shown."""

_TEMPLATE: Final = "#/components/schemas/{name}"
_PROBLEM: Final = {
    "title": "Problem",
    "description": "An error in words for people (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "examples": ["about:blank"]},
        "title": {"type": "string", "examples": ["not found"]},
        "status": {"type": "integer", "examples": [404]},
        "detail": {"type": "string", "examples": ["there is no incident 3f2a9c1e77aa00bb"]},
        "complaints": {
            "type": "array",
            "description": "What is wrong with a configuration, one by one",
            "items": {"type": "object"},
        },
        "faults": {
            "type": "array",
            "description": "What is wrong with what a rehearsal is to try",
            "items": {"type": "object"},
        },
        "reasons": {
            "type": "array",
            "description": "Why the program is not ready, for those who may read",
            "items": {"type": "string"},
        },
    },
}
_LATER: Final = {"Retry-After": {"description": "Seconds", "schema": {"type": "string", "pattern": "^[0-9]+$"}}}
_PROBLEMS: Final = {
    400: "What was sent cannot be read, or says in two ways who asks",
    401: "It is not known who asks",
    403: "Whoever asks may not, or a page of somebody else sent this",
    404: "There is no such thing",
    409: "Refused as things are, or somebody else was faster",
    413: "More was sent than is read",
    421: "The name in Host is not known here",
    422: "What was sent is not understood",
    429: "Too much at once",
    503: "Not now: the disk is full, or the program begins or ends",
}
_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Sent again with the same key within 24 hours, it is answered as it was, and not done again.",
    "schema": {"type": "string", "pattern": "^[!-~]+$", "minLength": 1, "maxLength": LONGEST_KEY},
    "examples": {"random": {"value": "5b0c3e1a-7a55-4f0e-9c0b-2f1f3d3c9a10"}},
}
_NEXT: Final = {
    "Link": {"description": 'The next page, with rel="next", where there is one', "schema": {"type": "string"}}
}
_HEALTH: Final = ("/healthz", "/readyz")
_BY_NAME: Final = ("service", "person", "account")
"""What is asked for by a name in the query, and may not be there."""
_AFTER_ONE: Final = "/api/v1/rehearsals"
"""A list whose next page begins after a row that may be gone."""
_NAMING: Final = ("/api/v1/keys", "/api/v1/tokens")
"""Where acts name in their body what may not be there."""


def answers(kind: Any, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers a value of this kind."""
    return {status: {"content": {"application/json": {"schema": deepcopy(_schema(kind))}}}}


@cache
def _schema(kind: Any) -> dict[str, Any]:
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=_TEMPLATE)
    return schema


def texts(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers text of one of these media types."""
    return {200: {"content": {kind: {"schema": {"type": "string"}} for kind in kinds}}}


def describe(app: FastAPI, *kinds: Any, cookie: str) -> None:
    """Let the description hold the schemas of these kinds, and what routes have in common.

    `cookie` is how the cookie of a session is called.
    """
    described = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        # Not before somebody asks: most programs serve for ever and are never asked.
        _, components = msgspec.json.schema_components(kinds, ref_template=_TEMPLATE)
        description = described()
        held = description.setdefault("components", {})
        schemas = held.setdefault("schemas", {})
        schemas.update(components)
        schemas["Problem"] = _PROBLEM
        # What the framework would answer: here it answers problems.
        schemas.pop("HTTPValidationError", None), schemas.pop("ValidationError", None)
        held["responses"] = {f"Problem{status}": _problem(status) for status in _PROBLEMS}
        held["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "A token of a program, sm_..."},
            "session": {"type": "apiKey", "in": "cookie", "name": cookie, "description": "Whoever is signed in"},
        }
        for path, methods in description["paths"].items():
            for method, operation in methods.items():
                _complete(path, method, operation)
        return description

    app.openapi = openapi  # type: ignore[method-assign]  # how FastAPI has its description extended


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    asked = operation.setdefault("parameters", [])
    for status in _may_answer(path, method, operation):
        responses.setdefault(str(status), {"$ref": f"#/components/responses/Problem{status}"})
    if any(each["name"] == "after" for each in asked) and (found := responses.get("200")):
        schema = found["content"]["application/json"]["schema"]
        if schema.get("type") == "array":
            found["headers"] = _NEXT
    if method != "get" and path.startswith("/api/v1/"):
        asked.append(_KEY)


def _may_answer(path: str, method: str, operation: dict[str, Any]) -> Iterator[int]:
    """The problems that a route may answer."""
    asked, act = operation["parameters"], method != "get"
    if path not in _HEALTH:
        yield from (400, 403, 421)
    if operation[NEEDS] not in EVERYBODY:
        yield 401
    named = any(each["name"] in _BY_NAME for each in asked)
    if "{" in path or path == _AFTER_ONE or named or (act and path in _NAMING):
        yield 404
    if asked or act:
        yield from (409, 422)
    if act:
        yield from (413, 429)
    if path != "/healthz":
        yield 503


def _problem(status: int) -> dict[str, Any]:
    said: dict[str, Any] = {
        "description": _PROBLEMS[status],
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status in {429, 503}:
        said["headers"] = _LATER
    if status == 401:
        said["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return said
