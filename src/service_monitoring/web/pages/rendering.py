"""Rendering: templates and static files of the console, and what every page has around its own part.

Knows Jinja and the files of this package. Every text is escaped by the engine; a value that no template was handed is a
mistake that a test finds. Does not know what any page shows.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment

from service_monitoring.access.permissions import Permission
from service_monitoring.views.engine import engine
from service_monitoring.web.permitting import identity_of

AREAS: Final = (
    ("/", "Overview", "o", Permission.READ),
    ("/services", "Services", "s", Permission.READ),
    ("/incidents", "Incidents", "i", Permission.READ),
    ("/silences", "Silences", "m", Permission.READ),
    ("/oncall", "On call", "c", Permission.READ),
    ("/outbox", "Outbox", "x", Permission.READ),
    ("/rehearsals", "Rehearsals", "r", Permission.READ),
    ("/system", "System", "y", Permission.READ),
    ("/accounts", "Accounts", "a", Permission.ADMINISTER),
)
"""Path, name, the key that leads there after `g`, and what it needs."""

_UNFIT: Final = dict.fromkeys(
    (*range(9), *range(11, 32), 127, *range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000)),
    "\N{REPLACEMENT CHARACTER}",
)
"""Control characters, what turns the text after it around, and halves of characters, which cannot be encoded."""

_PACKAGE: Final = "service_monitoring.web.pages"


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page. Besides `values`, templates know `request`, `identity`, `may`, `csrf`, `areas` and `static`."""
    identity = identity_of(request)
    text = (
        environment()
        .get_template(template)
        .render(
            values
            | {
                "request": request,
                "identity": identity,
                "may": lambda permission: identity.may(Permission(permission)),
                "csrf": identity.csrf,
                "areas": [area for area in AREAS if identity.may(area[3])],
            }
        )
    )
    return HTMLResponse(text, status)


@cache
def environment() -> Environment:
    """The engine with the templates of the console."""
    made = engine(_PACKAGE)
    made.add_extension("jinja2.ext.do")
    made.globals["static"] = static_url
    made.filters["plain"] = plain
    return made


def plain(text: str, most: int = 4_096) -> str:
    """A text of people or of checks, cut where it is long; what no page may hold is shown as a sign of its own."""
    shown = text.translate(_UNFIT)
    return shown if len(shown) <= most else shown[:most] + "..."


@cache
def static_files() -> dict[str, bytes]:
    """The static files by their names."""
    folder = files(_PACKAGE) / "static"
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file() and each.name[0] != "."}


@cache
def static_url(name: str) -> str:
    """Where a static file is found. What all of them hold is in the address, so that it may be kept for ever.

    They share it, so that a script finds another one beside itself.
    """
    if name not in static_files():
        raise KeyError(name)
    return f"/static/{_static_digest()}/{name}"


@cache
def _static_digest() -> str:
    digest = sha256()
    for name, content in sorted(static_files().items()):
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:12]
