"""The reload: from the file as it is now to a running program that does what it says.

Knows the order in which things change hands, and what is in force. Does not know when it happens (`runtime.reload`).
Whatever is refused is refused before anything has changed; each step compares with what is in force, so that a reload
that was cut short is completed by the next one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from service_monitoring import plugins
from service_monitoring.bootstrap.logs import log, strike_out
from service_monitoring.bootstrap.wiring import Opened, checks_of, close_kinds, kinds_of, opening
from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.inputs import Configured, Input
from service_monitoring.errors import Refused, Unavailable
from service_monitoring.ports import Clock, Sink
from service_monitoring.runtime.alarm import Alarm
from service_monitoring.runtime.deliver import Deliverer
from service_monitoring.runtime.lanes import Channel
from service_monitoring.runtime.poll import Poller
from service_monitoring.runtime.pulse import Pulse
from service_monitoring.runtime.reload import aside
from service_monitoring.settings import Complaint, InvalidSettings, Origin, Place, Redactor, Settings, WebSettings
from service_monitoring.views.desk import Reloaded

TROUBLE: Final = "configuration"
"""The kind of trouble that a refused file is."""


@dataclass(frozen=True, slots=True)
class Users:
    """Who uses what is opened."""

    poller: Poller
    deliverer: Deliverer
    alarm: Alarm
    pulse: Pulse


class Reloader:
    """Owns the settings in force, and what was opened for them. Belongs to one loop; one call of `reload` at a time."""

    def __init__(
        self,
        opened: Opened,
        clock: Clock,
        *,
        load: Callable[[], Settings],
        decided: Callable[[], Configuration],
        ask: Callable[[Input], Awaitable[object]],
        users: Users,
        troubled: Callable[[str, str], None],
        ending: Callable[[], bool],
    ) -> None:
        """`load` reads the file and blocks; `decided` is the revision in force, `ask` has another one decided and kept.

        `troubled` hears (kind, sentence), an empty sentence when it is over.
        """
        self._opened = opened
        self._clock = clock
        self._load = load
        self._decided = decided
        self._ask = ask
        self._poller, self._deliverer, self._alarm = users.poller, users.deliverer, users.alarm
        self._pulse = users.pulse
        self._troubled = troubled
        self._ending = ending
        self._origin: Origin | None = opened.chosen.origin
        self._leaving: dict[tuple[str, str], list[Sink]] = {}

    @property
    def opened(self) -> Opened:
        """What was opened for that which is in force."""
        return self._opened

    @property
    def settings(self) -> Settings:
        """What is in force."""
        return self._opened.chosen

    async def stamp(self) -> object:
        """How the files look that were read last; on the way, what nothing uses any more is let go of."""
        await self._let_go()
        origin = self._origin
        return None if origin is None else await aside(origin.stamp)

    async def differs(self) -> bool:
        """Whether they say something else by now."""
        origin = self._origin
        return origin is not None and await aside(origin.differs)

    async def reload(self) -> Reloaded:
        """Read the file and do what it says from now on.

        `InvalidSettings` where it is refused, and nothing has changed; `Unavailable` where it could not be kept.
        """
        try:
            if self._ending():
                raise Unavailable("the program is stopping: its configuration stays as it is")
            return await self._reload()
        except InvalidSettings as invalid:
            self._origin = invalid.origin or self._origin
            self._refused(invalid)
            raise
        except Unavailable as trouble:
            log().warning("configuration not reloaded", problem=str(trouble))
            raise

    async def _reload(self) -> Reloaded:
        loaded = await aside(self._load)
        await aside(log)  # the first line imports its library
        before = self._opened
        if loaded.secrets != before.chosen.secrets:
            # What is written about the new ones, and about those still in use, is free of the secrets of both.
            strike_out(Redactor((*before.chosen.secrets, *loaded.secrets)))
        chosen, restart = _lasting(before.chosen, loaded)
        for kind in kinds_of(chosen):
            self._leaving.setdefault(kind, [])
        try:
            opened = opening(chosen, self._clock, before)
            revised = self._decided() != chosen.configuration
            if revised:
                await self._revise(before, opened)
        except InvalidSettings as invalid:
            invalid.origin = loaded.origin
            raise
        except Refused as refusal:
            said = InvalidSettings([Complaint(Place(str(loaded.file)), "", str(refusal))])
            said.origin = loaded.origin
            raise said from refusal
        changed = (["rules"] if revised else []) + await self._hand_over(before, opened)
        self._opened, self._origin = opened, loaded.origin
        for name, channel in before.chosen.channels.items():
            if opened.sinks.get(name) is not before.sinks[name]:
                self._leaving.setdefault((plugins.SINKS, channel.kind), []).append(before.sinks[name])
        self._troubled(TROUBLE, "")
        for sentence in restart:
            log().warning("a restart is needed", problem=sentence)
        log().info("configuration reloaded", file=str(loaded.file), changed=", ".join(changed) or "nothing")
        remarks = tuple(dict.fromkeys(str(each) for each in (*loaded.not_yet, *loaded.warnings)))
        return Reloaded(str(loaded.file), tuple(changed), restart, remarks)

    async def _revise(self, before: Opened, opened: Opened) -> None:
        """Have the revision decided and kept. What it tells at once may go to a channel that is new.

        Where it is not known whether it was kept, both sets of channels stay until the next attempt.
        """
        self._deliverer.replace(channels(opened) | channels(before))
        try:
            await self._ask(Configured(opened.chosen.configuration))
        except Refused:
            self._deliverer.replace(channels(before))
            raise

    async def _hand_over(self, before: Opened, opened: Opened) -> list[str]:
        """Let channels and checks go by what was opened; what changed in a word each."""
        changed = []
        chosen, owners = opened.chosen, opened.chosen.configuration.owners
        if before.sinks != opened.sinks or before.chosen.configuration.owners != owners:
            # At once and first: what the revision told is on its way by now.
            self._deliverer.replace(channels(opened))
            self._alarm.replace(opened.sinks, owners)
            changed.append("channels")
        if before.sources != opened.sources or checks_of(before.chosen) != checks_of(chosen):
            await self._poller.replace(checks_of(chosen), opened.sources)
            changed.append("checks")
        if before.heartbeat != opened.heartbeat:
            self._pulse.replace(opened.heartbeat)
            changed.append("heartbeat")
        if before.chosen.store != chosen.store:
            changed.append("retention")
        if (before.chosen.status_pages, before.chosen.public_work) != (chosen.status_pages, chosen.public_work):
            changed.append("status pages")
        return changed

    def _refused(self, invalid: InvalidSettings) -> None:
        for each in invalid.complaints:
            log().error(
                "configuration refused", place=str(each.place), key=each.path, problem=each.problem, remedy=each.remedy
            )
        first, *more = invalid.complaints
        others = f", and {len(more)} more" if more else ""
        self._troubled(TROUBLE, f"the configuration is refused, and the one before goes on: {first}{others}")

    async def _let_go(self) -> None:
        """Close the kinds that no check and no channel has any more, once nothing is sent through them either."""
        used = kinds_of(self._opened.chosen)
        for kind, sinks in list(self._leaving.items()):
            sinks[:] = [sink for sink in sinks if self._deliverer.uses(sink) or self._alarm.uses(sink)]
            if not sinks:
                del self._leaving[kind]
                await close_kinds({kind} - used)

    async def close(self) -> None:
        """Close every kind that may have something open."""
        await close_kinds(kinds_of(self._opened.chosen) | self._leaving.keys())


def channels(opened: Opened) -> dict[str, Channel]:
    """How each sink is driven."""
    return {name: Channel(sink) for name, sink in opened.sinks.items()}


def _lasting(before: Settings, loaded: Settings) -> tuple[Settings, tuple[str, ...]]:
    """The settings with what can only change at a start as it is now, and a sentence about each of these."""
    warnings = []
    if loaded.store.path != before.store.path:
        warnings.append(
            f"store.path: {loaded.store.path} is used after a restart; until then it is {before.store.path}"
        )
    one, other = before.web, loaded.web
    if (one and (one.host, one.port)) != (other and (other.host, other.port)):
        there = f"{other.host}:{other.port}" if other else "none"
        here = f"{one.host}:{one.port}" if one else "none"
        warnings.append(f"web.listen: {there} is used after a restart; until then it is {here}")
    elif one and other and one.url != other.url:
        there, here = other.url or "none", one.url or "none"
        warnings.append(f"web.url: {there} is used after a restart; until then it is {here}")
    if one and other and _who_may_come(one) != _who_may_come(other):
        warnings.append("web: authentication, tls, behind_proxy and oidc change with a restart; until then all stays")
    if loaded.telemetry != before.telemetry:
        warnings.append("telemetry: it is as the file says after a restart; until then it stays as it is")
    store = replace(loaded.store, path=before.store.path)
    return replace(loaded, store=store, web=one, telemetry=before.telemetry), tuple(warnings)


def _who_may_come(web: WebSettings) -> tuple[object, ...]:
    files = web.tls and (web.tls.certificate, web.tls.key)
    provider = web.oidc and replace(web.oidc, place=Place(""))
    return web.authentication, files, web.behind_proxy, provider
