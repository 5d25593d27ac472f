"""The desk of rotas: what faces ask is worked out from the configuration in force, beside the loop.

Knows where the configuration and the time come from. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.rotas import Rota
from service_monitoring.errors import NotFound
from service_monitoring.ports import Clock
from service_monitoring.runtime.reload import aside
from service_monitoring.views.rota import Calendar, OnCallRow, calendar_of, standing


class ConfiguredRotas:
    """`views.rota.RotaDesk` over a configuration. Belongs to one loop, and never blocks it."""

    def __init__(self, configuration: Callable[[], Configuration], clock: Clock) -> None:
        self._configuration = configuration
        self._clock = clock

    async def on_call(self, at: Instant | None) -> list[OnCallRow]:
        """Who is on call for each rota."""
        rotas, asked = self._configuration().rotas, self._clock.now() if at is None else at
        # A rota may say the same for two years before it changes: to find that out takes its time.
        return await aside(lambda: [standing(rota, asked) for rota in rotas])

    async def calendar(self, rota: str, begin: Instant, end: Instant) -> Calendar:
        """One rota over a range."""
        found = self._rota(rota)
        return await aside(lambda: calendar_of(found, begin, end))

    def now(self) -> Instant:
        """What the clock says."""
        return self._clock.now()

    def _rota(self, name: str) -> Rota:
        found = next((each for each in self._configuration().rotas if each.name == name), None)
        if found is None:
            raise NotFound(f"there is no rota {name}")
        return found
