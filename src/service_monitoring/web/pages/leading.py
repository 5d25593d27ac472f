"""Leading: fields of the forms by which people come and go, as they were typed, and where they may be led afterwards.

Knows forms and local paths. A password is not trimmed, as other texts are (`forms`). Does not know what a form is for.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request

FIRST: Final = "/"
"""The page that people see first."""
_LONGEST: Final = 1_000
_LOCAL: Final = re.compile(r"/(?![/\\])[!-\[\]-~]*", re.ASCII)
_NEVER: Final = ("/login", "/logout", "/setup", "/api/", "/act/", "/ping/")
"""Where nobody is led after signing in: forms of that, and addresses that are for programs or hold keys."""


async def sent(request: Request, *names: str) -> dict[str, str]:
    """The fields of a form by name; one that was not sent, or not as text, is empty."""
    async with request.form() as form:
        given = {name: form.get(name) for name in names}
    return {name: value if isinstance(value, str) else "" for name, value in given.items()}


async def chosen(request: Request, name: str) -> list[str]:
    """The values of a field that may be sent several times."""
    async with request.form() as form:
        return [value for value in form.getlist(name) if isinstance(value, str)]


def local_path(given: str) -> str:
    """A path of ours, as it was given; the first page for everything that may lead elsewhere."""
    if len(given) > _LONGEST or _LOCAL.fullmatch(given) is None or given.startswith(_NEVER):
        return FIRST
    try:
        parts = urlsplit(given)
    except ValueError:
        return FIRST
    return FIRST if parts.scheme or parts.netloc else given
