"""Targets: what each check asks, as a text without secrets.

Knows settings and the one rule that every kind of check follows: the option of its own name says what is asked. Shows
no user, no query and no argument: any of them may be a secret that nobody called one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from service_monitoring.settings import CheckSettings, Redactor, Settings

LONGEST: Final = 500


class Targets:
    """The targets of the configuration in force. Belongs to its loop."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._of: Settings | None = None
        self._targets: dict[tuple[str, str], str] = {}

    def __call__(self, service: str, check: str) -> str:
        """What a check asks, or nothing where it asks nobody."""
        settings = self._settings()
        if settings is not self._of:
            redact = Redactor(settings.secrets)
            self._targets = {(each.service, each.name): redact(target_of(each)) for each in settings.checks}
            self._of = settings
        return self._targets.get((service, check), "")


def target_of(check: CheckSettings) -> str:
    """What a check asks: an address without user and query, or the name of a program."""
    given = getattr(check.options, check.kind, "")
    if isinstance(given, list | tuple):
        given = given[0] if given else ""
    text = str(given)
    if "://" in text:
        parts = urlsplit(text)
        text = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{'?...' if parts.query else ''}"
    return text[:LONGEST]
