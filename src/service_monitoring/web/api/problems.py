"""Problems: every error as problem+json, in words that give nothing away.

Knows HTTP and the errors of this system. Paths, bodies and headers are never repeated: they may hold keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from service_monitoring.errors import (
    Conflict,
    Forbidden,
    MonitoringError,
    NotFound,
    Refused,
    TooMuch,
    Unauthenticated,
    Unavailable,
)
from service_monitoring.settings.complaints import MOST_COMPLAINTS, InvalidSettings
from service_monitoring.settings.problems import InvalidValue

STATUS: Final[tuple[tuple[type[MonitoringError], int, str], ...]] = (
    (Unauthenticated, 401, "not authorised"),
    (Forbidden, 403, "forbidden"),
    (NotFound, 404, "not found"),
    (InvalidValue, 422, "not understood"),
    (Refused, 409, "refused"),
    (Conflict, 409, "conflict"),
    (TooMuch, 429, "too many requests"),
    (Unavailable, 503, "unavailable"),
    (MonitoringError, 500, "error"),
)
LATER: Final = "5"
"""Seconds after which to ask again."""

_NAMED: Final = 10
"""How many things that are wrong with one request are named, and how much is shown of what each is called."""
_SHOWN: Final = 100


def status_of(error: MonitoringError) -> tuple[int, str, dict[str, str]]:
    """The status of an error, its title, and the headers that go with it."""
    status, title = next((status, title) for kind, status, title in STATUS if isinstance(error, kind))
    if isinstance(error, TooMuch):
        return status, title, {"Retry-After": str(error.seconds)}
    if status == 503:
        return status, title, {"Retry-After": LATER}
    return status, title, {"WWW-Authenticate": "Bearer"} if status == 401 else {}


def answer_errors(app: FastAPI) -> None:
    """Answer each error with a problem of its own kind."""

    @app.exception_handler(MonitoringError)
    async def answer_trouble(request: Request, error: Exception) -> Response:
        assert isinstance(error, MonitoringError)
        status, title, headers = status_of(error)
        return problem(status, title, str(error), headers)

    @app.exception_handler(InvalidSettings)
    async def answer_complaints(request: Request, error: InvalidSettings) -> Response:
        complaints = [each.plain() for each in error.complaints[:MOST_COMPLAINTS]]
        detail = f"the configuration is refused: {error.complaints[0]}"
        return problem(422, "invalid configuration", detail, complaints=complaints)

    @app.exception_handler(HTTPException)
    async def answer_no_route(request: Request, error: HTTPException) -> Response:
        # Neither the path, which may hold a key, nor anything else that was sent: errors are logged by others, too.
        title = HTTPStatus(error.status_code).phrase.lower()
        detail = "there is nothing here" if error.status_code == 404 else f"{title}: /openapi.json has what is possible"
        return problem(error.status_code, title, detail, error.headers)

    @app.exception_handler(Exception)
    async def answer_defect(request: Request, error: Exception) -> Response:
        # Its text may hold anything; it goes to the log, where the framework raises it again.
        return problem(500, "error", "the program made a mistake: its log says which")

    @app.exception_handler(RequestValidationError)
    async def answer_nonsense(request: Request, error: RequestValidationError) -> Response:
        found = error.errors()
        said = [f"{'.'.join(str(part)[:_SHOWN] for part in each['loc'])}: {each['msg']}" for each in found[:_NAMED]]
        if len(found) > _NAMED:
            said.append(f"and {len(found) - _NAMED} more")
        return problem(422, "not understood", "; ".join(said))


def problem(status: int, title: str, detail: str, headers: Mapping[str, str] | None = None, **more: object) -> Response:
    """An error as problem+json (RFC 9457). Of what was sent, what is no text is replaced."""
    detail = detail.encode(errors="replace").decode()
    body = msgspec.json.encode({"type": "about:blank", "title": title, "status": status, "detail": detail, **more})
    return Response(body, status, headers, media_type="application/problem+json")


def json(value: Any, status: int = 200) -> Response:
    """A value of ours as JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")
