"""Asking the running program over its Unix socket, from a command.

Knows HTTP over a socket file and the errors behind its answers. Blocks, with a bound; a command is short and has no
loop.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from service_monitoring.errors import MonitoringError, NotFound, Refused, Unavailable

PATIENCE: Final = 30.0
"""Seconds that one answer may take: a backup writes everything that is stored."""


_PAGE: Final = 200
"""Rows that a list gives at once."""
_NEXT: Final = re.compile(r'<(/[^>]*)>; rel="next"')


class NotRunning(MonitoringError):
    """Nobody listens on the socket: no program has this data folder open."""


class Complained(Refused):
    """The configuration is refused; `complaints` are those of the answer, with file, line, column, path and words."""

    def __init__(self, detail: str, complaints: list[dict[str, Any]]) -> None:
        super().__init__(detail)
        self.complaints = complaints


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, patience: float) -> None:
        super().__init__("service-monitoring", timeout=patience)
        self._path = path
        self._patience = patience

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._patience)
        self.sock.connect(str(self._path))


def ask(
    path: Path,
    method: str,
    route: str,
    *,
    query: dict[str, Any] | None = None,
    body: Any = None,
    patience: float = PATIENCE,
) -> Any:
    """One request; the JSON of the answer, or None where it has no content.

    `NotRunning` where nobody listens, else the error that the answer names; `Unavailable` when there is no answer.
    """
    return _answer(path, method, _target(route, query), body, patience)[0]


def walk(path: Path, route: str, query: dict[str, Any], most: int) -> list[Any]:
    """A list page by page, its first `most` rows; errors as from `ask`."""
    target = _target(route, query | {"limit": min(most, _PAGE)})
    rows: list[Any] = []
    while target and len(rows) < most:
        page, target = _answer(path, "GET", target, None, PATIENCE)
        rows += page
    return rows[:most]


def _target(route: str, query: dict[str, Any] | None) -> str:
    return route + ("?" + urlencode(query, doseq=True) if query else "")


def _answer(path: Path, method: str, target: str, body: Any, patience: float) -> tuple[Any, str]:
    """The JSON of an answer, and where its next page is, if there is one."""
    connection = _Connection(path, patience)
    try:
        connection.request(
            method,
            target,
            body=None if body is None else json.dumps(body),
            headers={"Content-Type": "application/json"},
        )
        response = connection.getresponse()
        content = response.read()
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NotRunning(f"no program listens on {path}") from error
    except PermissionError as error:
        raise Unavailable(f"{path} belongs to somebody else: ask as the user who runs the program") from error
    except TimeoutError as error:
        raise Unavailable(f"the running program did not answer on {path} within {patience:g} s") from error
    except (OSError, http.client.HTTPException) as error:
        what = str(error) or type(error).__name__
        raise Unavailable(f"the running program does not answer on {path} ({what})") from error
    finally:
        connection.close()
    if response.status >= 300:
        raise _error(response.status, content)
    try:
        answer = json.loads(content) if content else None
    except ValueError as error:
        raise Unavailable(f"what listens on {path} does not speak JSON: {error}") from error
    further = _NEXT.search(response.getheader("Link") or "")
    return answer, further[1] if further else ""


def _error(status: int, content: bytes) -> MonitoringError:
    try:
        problem = json.loads(content)
        detail = str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        problem, detail = {}, content.decode(errors="replace")[:500]
    if "complaints" in problem:
        return Complained(detail, problem["complaints"])
    if status == 404:
        return NotFound(detail)
    return Unavailable(detail) if status >= 500 else Refused(detail)
