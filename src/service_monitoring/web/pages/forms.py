"""Forms: what a form of a page was filled in with, within bounds, and the sentence where it cannot be used.

Knows how browsers send forms. The door in front has looked at where they come from. Does not know any page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qs

from fastapi import Request

from service_monitoring.domain.instants import Duration, Instant
from service_monitoring.errors import MonitoringError, Refused
from service_monitoring.settings.problems import InvalidValue
from service_monitoring.web.api.fields import length
from service_monitoring.web.permitting import identity_of

_MOST: Final = 128 * 1024
"""Bytes of a form: a comment, or the ids of a page of rows."""
_MOST_FIELDS: Final = 400
_LONGEST: Final = 4_096
_DATE: Final = len("2026-01-05")


class Form:
    """Fields by their names; what was left out is empty."""

    def __init__(self, fields: Mapping[str, Sequence[str]]) -> None:
        self._fields = fields

    def text(self, name: str, longest: int = _LONGEST) -> str:
        """One text; `InvalidValue` where it is too long."""
        given = next(iter(self._fields.get(name, ())), "").strip()
        if len(given) > longest:
            raise InvalidValue(f"{name} is {len(given)} characters long", f"write at most {longest}")
        return given

    def needed(self, name: str, what: str, longest: int = _LONGEST) -> str:
        """One text that cannot be left out: `what` says what is missing then."""
        given = self.text(name, longest)
        if not given:
            raise InvalidValue(f"{what} is missing", "fill it in")
        return given

    def texts(self, name: str) -> list[str]:
        """All texts of this name, line by line, without what is empty."""
        lines = (line.strip() for text in self._fields.get(name, ()) for line in text.splitlines())
        return [line for line in lines if line]

    def length(self, name: str) -> Duration | None:
        """A length of time, as `2h`."""
        return length(self.text(name, 64) or None)

    def instant(self, name: str) -> Instant | None:
        """An instant, or the beginning of a day of UTC."""
        return moment(self.text(name, 64))


async def form_of(request: Request) -> Form:
    """The form that was sent; `InvalidValue` where it is too large to be one of ours."""
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > _MOST:
            raise InvalidValue("this is too much for one form", "write less")
    try:
        fields = parse_qs(content.decode(errors="replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise InvalidValue("this form has too many fields", "choose less") from None
    return Form(fields)


def asked(request: Request) -> Form:
    """What the address asks for, as if a form had been filled in: so do the filters of lists."""
    names = request.query_params.keys()
    return Form({name: request.query_params.getlist(name) for name in names})


def who(request: Request, form: Form) -> str:
    """Whose act it is: that of whoever is known, else of whom the form names."""
    return identity_of(request).name or form.needed("by", "your name", 200)


def moment(text: str) -> Instant | None:
    """An instant as RFC 3339, or the beginning of a day of UTC; none where nothing is written."""
    if not text:
        return None
    try:
        return Instant.parse(f"{text}T00:00:00Z" if len(text) == _DATE else text.replace(" UTC", "Z").replace(" ", "T"))
    except Refused as refused:
        raise InvalidValue(str(refused), "write 2026-01-05, or 2026-01-05T12:00:00Z") from None


def sentence(error: MonitoringError) -> str:
    """An error as a page says it."""
    return capital(str(error))


def capital(text: str) -> str:
    """A text as a sentence that begins and ends like one."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")
